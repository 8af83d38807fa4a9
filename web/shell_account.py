"""Who gives a command of `fta-approval` beside the running service, for the record."""

import getpass

UNKNOWN = "unknown"


def shell_account() -> str:
    """`shell:` and the name of the account; no member of WeCom has a name with a colon."""
    try:
        return f"shell:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, such as in a container
        return f"shell:{UNKNOWN}"
