"""Which business an approval is about, as people know it."""

from domain.approval import Approval

NAME = "业务"


def business_of(asked: Approval.Requested) -> str:
    """The name among the details, as pages show it, else `biz_id`; empty if neither is given."""
    return asked.details.get(NAME, "").strip() or (asked.biz_id or "").strip()
