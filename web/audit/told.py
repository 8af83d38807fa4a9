"""One approval in lines of text: what was asked, who was told, how it ended, all that happened."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from adapters.store.stored_history import Stored
from domain.approval import Approval
from domain.decision import Status
from domain.notifications import Way
from projections.webhooks import shown_url
from web.audit.finding import reply_id_of
from web.audit.zone import Zone
from web.detail import DELIVERY
from web.shown import KIND, RISK, STATUS
from web.timeline import execution, how_it_ended, in_words
from web.translation import gettext
from web.vocabulary import WAYS, people, why


def told(
    events: Sequence[Stored], others: Sequence[str], at: datetime, zone: Zone
) -> Iterator[str]:
    """
    Everything about one approval.

    Args:
        events: All of it that counts, oldest first.
        others: Streams of the other runs of its node.
        at: As of when it is told.
    """
    approval = Approval.replay(events[0].event.originator_id, [one.event for one in events])
    approval.number = events[0].position
    yield from _head(approval, at, zone)
    if others:
        names = people([reply_id_of(one) for one in others])
        yield _line("这个节点的其他执行", names)
    yield ""
    yield from timeline(events, zone)


def timeline(events: Sequence[Stored], zone: Zone) -> Iterator[str]:
    """Each event in words."""
    return lines([(one, in_words(one.event)) for one in events], zone)


def lines(events: Sequence[tuple[Stored, str]], zone: Zone) -> Iterator[str]:
    """
    Each event with its position, its time and, where it has one, its channel.

    Args:
        events: With their words.
    """
    width, day = len(str(events[-1][0].position)), ""
    for one, words in events:
        if (today := zone.day(one.event.timestamp)) != day:
            day = today
            yield day
        channel = getattr(one.event, "channel", "")
        at = zone.clock(one.event.timestamp)
        yield f"  {one.position:>{width}}  {at}  {channel:<10}  {words}"


def state(approval: Approval, at: datetime, zone: Zone) -> str:
    """Where it stands, in one line."""
    words = gettext(STATUS[approval.status])
    if approval.status is Status.PENDING:
        until = {"until": zone.full(approval.expires_at)}
        late = at >= approval.expires_at
        text = "%(until)s 已到期，尚未记录" if late else "有效期至 %(until)s"
        return f"{words}{gettext('，')}{gettext(text) % until}"
    ended = how_it_ended(approval, "", zone.full)
    reason = why(approval.ending.reason) if approval.ending else ""
    because = gettext("，原因: %(reason)s") % {"reason": reason} if reason else ""
    return f"{words}{gettext('，')}{ended}{because}"


def _head(approval: Approval, at: datetime, zone: Zone) -> Iterator[str]:
    asked = approval.requested
    yield _line("编号", f"{approval.reply_id}  {approval.approval_id}  #{approval.number}")
    yield _line("时区", zone.zone.key)
    yield _line("状态", state(approval, at, zone))
    if asked.test:
        yield _line("测试", gettext("不是决定，不会执行任何操作"))
    yield _line("内容", asked.message)
    kind, risk = gettext(KIND[approval.kind]), gettext(RISK[approval.risk])
    yield _line("类型", f"{kind}{gettext('，')}{risk}")
    if asked.action is not None:
        yield _line("将要执行的操作", asked.action)
        yield _line("操作摘要", str(asked.action_digest))
    yield _line("发起方", people(filter(None, [asked.engine, asked.requested_by])))
    if asked.biz_id is not None:
        yield _line("业务编号", asked.biz_id)
    for name, value in asked.details.items():
        yield f"{name}: {value}"
    yield _line("发起时间", zone.full(asked.timestamp))
    yield _line("有效期至", zone.full(asked.expires_at))
    yield _line("审批人", people(asked.approvers))
    yield from _deliveries(approval, zone)
    yield from _afterwards(approval, at, zone)


def _deliveries(approval: Approval, zone: Zone) -> Iterator[str]:
    for one in approval.deliveries.values():
        facts = [gettext(DELIVERY.get(one.state, one.state))]
        if one.at is not None:
            facts.append(zone.full(one.at))
        if one.way is not Way.UNKNOWN:
            facts.append(gettext(WAYS[one.way]))
        if one.cut:
            facts.append(gettext("未显示完"))
        if one.detail:
            facts.append(one.detail)
        yield _line("送达", f"{one.userid}{gettext('，')}{gettext('，').join(facts)}")


def _afterwards(approval: Approval, at: datetime, zone: Zone) -> Iterator[str]:
    """What the engine made of it, and whether it was told."""
    if done := execution(approval, at, zone.full):
        yield _line("执行", done)
    if approval.permit is not None:
        permit = approval.permit
        until = {"until": zone.full(permit.expires_at), "key": permit.key_id}
        yield _line("许可", gettext("有效期至 %(until)s，密钥 %(key)s") % until)
    if approval.requested.callback_url:
        yield _line("推送", shown_url(approval.requested.callback_url))
    for position, webhook in approval.webhooks.of.items():
        about = {"position": position, "attempts": webhook.attempts}
        text = "结论 %(position)s: 第 %(attempts)s 次推送后尚未送达"
        if webhook.is_delivered:
            text = "结论 %(position)s: 第 %(attempts)s 次推送送达"
        elif webhook.is_undelivered:
            text = "结论 %(position)s: 第 %(attempts)s 次推送后放弃"
        problem = f": {webhook.problem}" if webhook.problem else ""
        yield _line("推送", gettext(text) % about + problem)


def _line(title: str, value: str) -> str:
    return f"{gettext(title)}: {value}"
