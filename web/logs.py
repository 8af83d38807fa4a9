"""Logs: JSON where stderr is no terminal, else for the eye."""

import logging
import os
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


class Unbreakable:
    """
    A log that cannot be written is lost, and nothing else.

    The disk is full, or whoever read the pipe has gone: were that raised where the line was to be
    written, it would end the writer, the projections or the sending.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """Unbuffered: what is left in a buffer would fail once more when the process ends."""
        with suppress(OSError):
            os.write(self._descriptor, text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def set_up_logs(named: str = "info") -> None:
    """Everything to stderr; nothing that was decrypted, no secret and no token is ever logged."""
    level = logging.getLevelNamesMapping()[named.upper()]
    is_terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        # The prettier ones print local variables, and with them tokens and secrets.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_terminal
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if not is_terminal:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(
            file=cast("TextIO", Unbreakable(sys.stderr.fileno()))
        ),
        cache_logger_on_first_use=True,
    )
    logging.getLogger("aiohttp.server").addFilter(_without_the_request)
    logging.basicConfig(stream=sys.stderr, format="%(name)s %(message)s")
    # Libraries say at "info" what nobody needs.
    logging.getLogger().setLevel(level if level == logging.DEBUG else logging.WARNING)


def _without_the_request(record: logging.LogRecord) -> bool:
    """aiohttp quotes what it could not parse, and with it tokens, cookies and login codes."""
    kind = record.exc_info[0] if record.exc_info else None
    if kind is not None and kind.__module__.startswith("aiohttp."):
        record.msg, record.args = "request not understood: %s", (kind.__name__,)
        record.exc_info = record.exc_text = None
    return True
