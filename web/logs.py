"""Logs: JSON where stderr is no terminal, else for the eye."""

import logging
import sys

import structlog


def set_up_logs(level: int = logging.INFO) -> None:
    """Everything to stderr; nothing that was decrypted, no secret and no token is ever logged."""
    is_terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        # The prettier ones print local variables, and with them tokens and secrets.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_terminal
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    processors: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if not is_terminal:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
