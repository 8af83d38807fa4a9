"""One approval as the list and its own page show it: words, times, the token of its form."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from domain.approval import Approval
from domain.decision import Kind, Risk, Status
from web import keys
from web.sessions import may_decide, may_revoke, session_hash
from web.translation import gettext

LIST, PAGE = "list", "page"
VIEWS = (LIST, PAGE)
FACTS_IN_LIST, FACT_LENGTH = 4, 60
LONG_MESSAGE = 80  # a headline up to here, a paragraph beyond
BUSINESS = "业务"
RISK = {Risk.LOW: "低风险", Risk.MEDIUM: "中风险", Risk.HIGH: "高风险"}
KIND = {Kind.SOLUTION: "自愈套餐", Kind.CONVERGENCE: "异常防御"}
# What the two buttons say: FTA's own words on the page of mechanism A.
BUTTONS = {Kind.SOLUTION: ("同意", "驳回"), Kind.CONVERGENCE: ("准许执行自愈套餐", "拒绝执行")}
STATUS = {
    Status.PENDING: "待审批",
    Status.APPROVED: "已同意",
    Status.REJECTED: "已驳回",
    Status.EXPIRED: "已超时",
    Status.CANCELLED: "已撤销",
    Status.REVOKED: "已撤销同意",
}


def shown(
    request: web.Request, approval: Approval, member: str, view: str, now: datetime
) -> dict[str, Any]:
    """
    What the templates need of an approval.

    Args:
        view: Where the form stands, LIST or PAGE; its token fits no other place.
    """
    asked, status = approval.requested, status_at(approval, now)
    return {
        "id": approval.approval_id,
        "path": path_of(request, approval.approval_id),
        "reply_id": approval.reply_id,
        "run": asked.run,
        "message": asked.message,
        "is_long": len(asked.message) > LONG_MESSAGE,
        "risk": approval.risk.value,
        "risk_words": gettext(RISK[approval.risk]),
        "kind_words": gettext(KIND[approval.kind]),
        "from_whom": asked.details.get(BUSINESS) or asked.biz_id or asked.engine,
        "facts": _facts(asked.details),
        "left": in_words(approval.expires_at - now),
        "until": request.app[keys.CLOCKFACE].show(approval.expires_at, now),
        "zone": request.app[keys.SETTINGS].time_zone,
        "status": status.value,
        "status_words": gettext(STATUS[status]),
        "may_decide": status is Status.PENDING and may_decide(request, approval, member),
        "may_revoke": may_revoke(request, approval, member, now),
        "revoke_token": _revocation_token(request, approval),
        "open_first": view == LIST and approval.risk is Risk.HIGH,
        "view": view,
        "buttons": dict(
            zip(("approve", "reject"), map(gettext, BUTTONS[approval.kind]), strict=True)
        ),
        "reason": "",
        "token": form_token(request, approval, view),
    }


def path_of(request: web.Request, approval_id: str) -> str:
    """The page of an approval, on this site."""
    return f"{request.app[keys.ADDRESSES].prefix}/wechat/a/{approval_id}/"


def status_at(approval: Approval, now: datetime) -> Status:
    """Overdue is expired, whether or not the clock has recorded it yet."""
    overdue = approval.ending is None and now >= approval.expires_at
    return Status.EXPIRED if overdue else approval.status


def form_token(request: web.Request, approval: Approval, view: str) -> str:
    """For a form of this session, about this approval, in this place, and for nothing else."""
    return request.app[keys.FORM_TOKENS].make(
        "decide", session_hash(request), approval.approval_id, view
    )


def is_our_form(request: web.Request, approval: Approval, form: dict[str, str]) -> bool:
    """Whether the form was made by `form_token`, for whom and where it says."""
    view = form.get("view", "")
    return view in VIEWS and request.app[keys.FORM_TOKENS].fits(
        form.get("token", ""), "decide", session_hash(request), approval.approval_id, view
    )


def is_revocation_form(request: web.Request, approval: Approval, form: dict[str, str]) -> bool:
    """Whether the form was made here, for this session and approval, to take it back."""
    expected = ("revoke", session_hash(request), approval.approval_id)
    return request.app[keys.FORM_TOKENS].fits(form.get("token", ""), *expected)


def _revocation_token(request: web.Request, approval: Approval) -> str:
    return request.app[keys.FORM_TOKENS].make("revoke", session_hash(request), approval.approval_id)


def in_words(left: timedelta) -> str:
    """How long, as one says it: never more than there is."""
    seconds = max(int(left.total_seconds()), 0)
    if seconds < 120:
        return gettext("%(number)s 秒") % {"number": seconds}
    if seconds < 7200:
        return gettext("%(number)s 分钟") % {"number": seconds // 60}
    if seconds < 172_800:
        return gettext("%(number)s 小时") % {"number": seconds // 3600}
    return gettext("%(number)s 天") % {"number": seconds // 86_400}


def _facts(details: dict[str, str]) -> list[str]:
    """The first details in short; the page has all of them whole, with their names."""
    values = [value for name, value in details.items() if name != BUSINESS and value]
    return [
        value if len(value) <= FACT_LENGTH else f"{value[:FACT_LENGTH]}…"
        for value in values[:FACTS_IN_LIST]
    ]
