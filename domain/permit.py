"""
A permit: what the engine that asked gets with an approval, for one action, once (contract 4.5).

The signed text follows from this and from the key: it is never stored, and comes out the same each
time (adapters/engine/permits.py).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# A retired key serves along for that long.
LONGEST_TTL = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PermitRules:
    """What the settings in force say of permits."""

    issuer: str = "fta-approval"
    ttl: timedelta = timedelta(seconds=900)


@dataclass(frozen=True, slots=True)
class PermitTerms:
    """By what permits are issued at this moment."""

    key_id: str
    issuer: str
    ttl: timedelta

    def expiry(self, at: datetime) -> datetime:
        """When a permit of that moment expires: in whole seconds, as its claims are."""
        return at.replace(microsecond=0) + self.ttl


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    """What one approval authorises, who gave it, until when, and under which key."""

    key_id: str
    issuer: str
    engine: str
    reply_id: str
    obj_id: str
    run: int
    approval_id: str
    action_digest: str | None
    by: str
    issued_at: datetime
    expires_at: datetime

    def is_expired(self, at: datetime) -> bool:
        """At `exp` itself it is (RFC 7519 4.1.4)."""
        return at >= self.expires_at

    def claims(self) -> dict[str, Any]:
        """What is signed."""
        return {
            "iss": self.issuer,
            "aud": self.engine,
            "sub": self.reply_id,
            "obj_id": self.obj_id,
            "run": self.run,
            "jti": self.approval_id,
            "act": self.action_digest,
            "by": self.by,
            "iat": int(self.issued_at.timestamp()),
            "exp": int(self.expires_at.timestamp()),
        }
