"""How many files this process may have open: each reader of decisions is one."""

import resource
from contextlib import suppress

import structlog

# A thousand readers, as many connections of other kinds, and the database.
ENOUGH = 4096
MOST = 65_536

log = structlog.get_logger()


def raise_limit() -> int:
    """Raise the soft limit as far as the hard one allows; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has a limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        log.warning(
            "few files may be open, and each reader of decisions needs one: "
            "raise the hard limit (LimitNOFILE= of systemd, --ulimit nofile of docker)",
            limit=soft,
            enough=ENOUGH,
        )
    return soft
