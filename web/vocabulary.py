"""Words that many sentences about what happened share: why, by which way, to whom."""

from collections.abc import Iterable, Mapping

from adapters.wecom.messages import HOW, in_chinese
from domain.decision import Channel
from domain.notifications import Way
from domain.text import one_line
from projections.outbox import Kind, kind_of
from web.translation import ENGLISH, LANGUAGE, gettext

REFUSED = {
    "not-an-approver": "不是审批人",
    "own-request": "发起人不能审批",
    "already-decided": "此前已有结论",
    "high-risk-needs-its-page": "高风险操作需写明编号或打开详情",
    "login-too-old": "高风险操作需重新确认身份",
    "open-it-first": "内容未能完整显示，需先打开详情",
    "question": "像是在提问",
    "hesitation": "像是还有疑虑",
    "several-ids": "写了不止一个编号",
    "stale": "到达时间异常",
    "another-card": "不是这次审批的卡片",
    "unreadable": "未能理解",
    "frozen": "审批已冻结",
}
DELIVERED = {
    Kind.ASK: "已发送给 %(to)s%(way)s",
    Kind.REMIND: "已提醒 %(to)s%(way)s",
    Kind.ALARM: "已请求协助 %(to)s%(way)s",
    Kind.END: "已告知结果 %(to)s%(way)s",
    Kind.RESULT: "已告知发起人结果 %(to)s%(way)s",
    Kind.REVOKED: "已告知撤销 %(to)s%(way)s",
    Kind.OUTCOME: "已告知执行结果 %(to)s%(way)s",
    Kind.ANSWER: "已答复 %(to)s%(way)s",
    Kind.GREET: "已问候 %(to)s%(way)s",
    Kind.CARD: "已更新卡片 %(to)s%(way)s",
    Kind.SETTINGS: "已告知配置变更 %(to)s%(way)s",
}
ABOUT = {
    Kind.ASK: "",
    Kind.REMIND: "提醒",
    Kind.ALARM: "协助请求",
    Kind.END: "结果",
    Kind.RESULT: "结果",
    Kind.REVOKED: "撤销消息",
    Kind.OUTCOME: "执行结果",
    Kind.ANSWER: "答复",
    Kind.GREET: "问候",
    Kind.CARD: "卡片更新",
    Kind.SETTINGS: "配置变更通知",
}
NOT_REDEEMED = {
    "action-differs": "要执行的操作与批准的不同",
    "frozen": "审批已冻结",
    "revoked": "同意已被撤销",
    "already-redeemed": "许可已被另一次执行领取",
    "permit-expired": "许可已过期",
}
# Whole sentences: what is one word in Chinese, button and past fact alike, is several in English.
SAID = {
    "approve": "%(who)s 通过%(how)s同意",
    "reject": "%(who)s 通过%(how)s驳回",
    None: "%(who)s 通过%(how)s回复",
}
WAYS = {
    Way.TEXT: "文本",
    Way.CARD: "卡片",
    Way.BOTH: "文本和卡片",
    Way.DIGEST: "汇总消息",
}
CHANNEL = {**HOW, Channel.CLOCK: "系统"}


def delivered(notice: str, to: str, way: str = "") -> str:
    """A message reached its member; `way` says as what, where that says something."""
    return gettext(DELIVERED[kind_of(notice)]) % {"to": to, "way": way}


def not_delivered(notice: str, to: str, problem: str | None, *, unreachable: bool) -> str:
    """A message did not reach its member, and why."""
    about = {"to": to, "problem": one_line(problem or "")}
    what = ABOUT[kind_of(notice)]
    if not what:
        text = "无法送达 %(to)s: %(problem)s" if unreachable else "发送失败 %(to)s: %(problem)s"
        return gettext(text) % about
    text = (
        "%(what)s无法送达 %(to)s: %(problem)s"
        if unreachable
        else "%(what)s发送失败 %(to)s: %(problem)s"
    )
    return gettext(text) % {**about, "what": gettext(what)}


def people(userids: Iterable[str]) -> str:
    """Some members in a row."""
    return gettext("、").join(userids)


def why(reason: str | None) -> str:
    """The reason on one line, and in the reader's language where it is one of ours."""
    words = reason or ""
    return one_line(words if LANGUAGE.get() == ENGLISH else in_chinese(words))


def detail(words: str | None) -> str:
    """What else was said, behind a colon."""
    return f": {one_line(words)}" if words else ""


def listed(facts: Mapping[str, str]) -> str:
    """Names and what they stand for, as strangers may have written them."""
    return one_line(gettext("，").join(f"{name}: {value}" for name, value in facts.items()))
