"""
What a test may turn: where WeCom's behaviour is unknown, and where it fails.

Each knob stands for a question that the documentation leaves open, or for a bad day at WeCom.
The defaults are the likeliest reading and a good day.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import msgspec

Outage = Literal["none", "refuse", "http-500", "html", "busy", "slow", "lost-answer"]
XmlForm = Literal["cdata", "plain", "cdata-agent-last", "plain-newlines"]
XML_FORMS: tuple[XmlForm, ...] = ("cdata", "plain", "cdata-agent-last", "plain-newlines")


@dataclass
class Knobs:
    # A bad day. `refuse` closes the connection, `lost-answer` does the work and then closes it,
    # `busy` is errcode -1, `slow` waits `slow_s` and then works.
    outage: Outage = "none"
    outage_on: str = ""
    """Only paths that contain this, such as `message/send`."""
    outage_calls: int | None = None
    """Heals by itself after so many calls; None: when the knob is turned back."""
    slow_s: float = 10.0

    # Tokens and addresses.
    token_lifetime_s: float = 7200
    expired_token_code: Literal[40014, 42001] = 40014
    same_token_while_valid: bool = True
    wrong_secrets_before_ban: int = 2000
    trusted_ips: frozenset[str] | None = None
    """企业可信IP; None: every caller."""

    # Sending.
    agent_id_may_be_text: bool = False
    no_recipient_code: Literal[82001, 81012] = 82001
    per_member_a_minute: int = 30
    per_member_an_hour: int = 1000
    cards_need_verified_callback: bool = True
    passive_card_reply: Literal["honoured", "ignored"] = "honoured"
    card_waits_s: float = 3.0
    """Seconds for which a tapped card looks dead while no update comes; then it lives again."""

    # Calling back.
    callback_timeout_s: float = 5.0
    verify_timeout_s: float = 1.0
    retries: int = 3
    retry_spacing_s: float = 0.2
    retry_non_200: bool = False
    retry_encrypts_anew: bool = False
    duplicates: int = 0
    """So many repetitions of every callback, although it was answered."""
    drop_callbacks: int = 0
    """So many of the next callbacks never leave WeCom."""
    hold_callbacks: bool = False
    """Kept until `release_callbacks`, which may also turn their order round."""
    xml_forms: tuple[XmlForm, ...] = field(default=XML_FORMS)
    """Callbacks take these in turn."""

    def turned(self, changes: dict[str, Any]) -> "Knobs":
        """
        A copy with these settings, as they arrive in JSON.

        Raises:
            ValueError: A name that is no knob, or a value that does not fit.
        """
        unknown = changes.keys() - {knob.name for knob in fields(self)}
        if unknown:
            raise ValueError(f"no such knob: {', '.join(sorted(unknown))}")
        return msgspec.convert({**asdict(self), **changes}, type=Knobs)
