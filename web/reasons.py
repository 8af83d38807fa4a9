"""Why somebody rejects, ready to be chosen, or in their own words."""

from collections.abc import Mapping

from domain.decision import Verdict
from domain.text import one_line

MAX_REASON = 500

# What is kept is Chinese, whoever chose it: engines and colleagues read one language.
READY = {
    "peak": "业务高峰",
    "unclear": "信息不足",
    "duplicate": "重复告警",
    "handled": "已人工处理",
}


class UnusableReason(Exception):
    """Nothing can be decided with it; `code` names the page that says why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def reason_in(form: Mapping[str, str]) -> str | None:
    """
    What the member chose and wrote, on one line.

    Raises:
        UnusableReason: It is too long, or chosen from what was never offered.
    """
    chosen = form.get("ready", "")
    if chosen and chosen not in READY:
        raise UnusableReason("bad-form")
    # Browsers count a line break as one character and send two.
    own = one_line(form.get("reason", "").replace("\r\n", "\n")).strip()
    if len(own) > MAX_REASON:
        raise UnusableReason("reason-too-long")
    own = own.encode(errors="replace").decode()
    return "，".join(part for part in (READY.get(chosen, ""), own) if part) or None


def verdict_in(form: Mapping[str, str]) -> Verdict:
    """
    Which button was pressed.

    Raises:
        UnusableReason: None of ours; or 同意 was, while a reason to reject is chosen: which of the
            two was meant nobody can say.
    """
    if form.get("decision") not in list(Verdict):
        raise UnusableReason("bad-form")
    verdict = Verdict(form["decision"])
    if verdict is Verdict.APPROVE and form.get("ready"):
        raise UnusableReason("approved-with-a-reason-to-reject")
    return verdict
