"""What no log may hold: everything secret that the tests use or are given, and where logs stand.

Noted where it comes into being; tests/log_watch.py searches every log of the run for it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from web.settings import PUBLIC_AES_KEY, PUBLIC_TOKEN, parse_api_tokens

PUBLIC = (PUBLIC_TOKEN, PUBLIC_AES_KEY)

known: dict[str, str] = {}
"""Kind of each secret, by the secret."""
logs: list[Path] = []
"""Of processes that tests start."""
said: list[tuple[str, str]] = []
"""What commands wrote to stderr, where a test reads it: which command, and each line."""


def note(kind: str, secret: str) -> str:
    """From now on it must not be found in any log."""
    if secret not in PUBLIC:
        known[secret] = kind
    return secret


def note_said(command: str, stderr: str) -> str:
    """Search that too."""
    said.extend((f"stderr of {command}", line) for line in stderr.splitlines())
    return stderr


def note_settings(settings: Mapping[str, str]) -> None:
    """Those of `FTA_APPROVAL_…`, in lower case, that are secret."""
    for name, kind in {
        "wecom_secret": "application secret",
        "wecom_token": "Token of the callback",
        "wecom_encoding_aes_key": "EncodingAESKey",
        "secret_key": "secret key",
    }.items():
        if settings.get(name):
            note(kind, settings[name])
    for secret in re.findall(r"whsec_[^,]+", settings.get("webhook_secret", "")):
        note("secret of webhooks", secret)
    for _, token in parse_api_tokens(settings.get("api_tokens", "")):
        note("API token", token)


def note_key_beside(database: Path) -> None:
    """The key that was made at the first start."""
    key = database.with_name(database.name + ".key")
    if key.exists():
        note("secret key", key.read_text().strip())
