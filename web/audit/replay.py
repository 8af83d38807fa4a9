"""`fta-approval audit replay`: what was the case at a moment, and what changed until another."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from adapters.store.event_store import sqlite_path
from adapters.store.stored_history import StoredHistory, opened_history
from domain.approval import Approval
from domain.decision import Status
from projections.document import document, timestamp
from web.audit.as_it_was import (
    Setting,
    Sum,
    approvals_at,
    frozen_at,
    settings_at,
)
from web.audit.finding import NotYet, reply_id_of, stream_of
from web.audit.moments import moment
from web.audit.show import as_line, zone_of
from web.audit.told import told
from web.audit.zone import Zone
from web.settings import Settings
from web.shown import STATUS
from web.translation import gettext
from web.vocabulary import people

SHOWN_OF_A_MESSAGE = 60
WITH_NAMES = ("super_approvers", "admins")

Say = Callable[[str], None]


def replay(
    given: Settings, at: str, name: str | None, now: datetime, say: Say, *, as_json: bool
) -> None:
    """
    Print what was the case then: of one approval, or of everything.

    Raises:
        WrongTime: No such moment.
        UnknownApproval, NotYet: There is, or was, none.
        UnreadableEvent, NewerStore: A newer program wrote it, or it is damaged.
        FileNotFoundError, WrittenMeanwhile, sqlite3.Error: The store cannot be read.
    """
    with opened_history(sqlite_path(given.database)) as history:
        zone = zone_of(given, history)
        then = moment(at, zone.zone, now)
        if name is not None:
            lines = _of_one(history, stream_of(history, given, name), then, zone, as_json)
        elif as_json:
            lines = _as_json(history, then)
        else:
            lines = _of_everything(history, then, zone)
        for line in lines:
            say(line)


def _of_one(
    history: StoredHistory, stream: str, at: datetime, zone: Zone, as_json: bool
) -> Iterator[str]:
    events = history.events_of(stream)
    then = [one for one in events if one.event.timestamp <= at]
    if not then:
        raise NotYet(reply_id_of(stream), zone.full(events[0].event.timestamp))
    return map(as_line, then) if as_json else told(then, [], at, zone)


def _of_everything(history: StoredHistory, at: datetime, zone: Zone) -> Iterator[str]:
    total = Sum()
    for approval in approvals_at(history, at):
        total.add(approval, at)
    yield f"{zone.full(at)} {zone.zone.key}, {timestamp(at)}"
    yield _counts(total)
    yield frozen_line(history, at, zone)
    yield from _waiting(total, at, zone)
    yield from _settings(settings_at(history, at), zone)


def _counts(total: Sum) -> str:
    counts = ", ".join(f"{total.statuses[s]} {gettext(STATUS[s])}" for s in Status)
    about = {"number": total.statuses.total(), "events": total.events, "counts": counts}
    return gettext("审批单 %(number)s，事件 %(events)s: %(counts)s") % about


def frozen_line(history: StoredHistory, at: datetime, zone: Zone) -> str:
    """Whether approving was frozen, since when, by whom and why."""
    frozen = frozen_at(history, at)
    if frozen is None:
        return gettext("审批没有冻结")
    about = {"at": zone.full(frozen.at), "who": frozen.by, "why": frozen.why}
    return gettext("审批已冻结: %(who)s 于 %(at)s，原因: %(why)s") % about


def _waiting(total: Sum, at: datetime, zone: Zone) -> Iterator[str]:
    number = total.statuses[Status.PENDING]
    about = {"number": number, "overdue": total.overdue}
    yield ""
    yield gettext("等待审批 %(number)s，其中已到期而尚未记录 %(overdue)s:") % about
    waiting = total.waiting()
    for one in waiting:
        message = one.message[:SHOWN_OF_A_MESSAGE]
        late = gettext("（已到期）") if at >= one.expires_at else ""
        who = people(one.approvers)
        yield f"  {one.reply_id}  {zone.full(one.expires_at)}{late}  {one.risk}  {who}: {message}"
    if number > len(waiting):
        more = {"number": number - len(waiting)}
        yield f"  {gettext('另有 %(number)s 项未列出（--json 列出全部）') % more}"


def _settings(settings: Sequence[Setting], zone: Zone) -> Iterator[str]:
    values = {one.name: one.value for one in settings}
    yield ""
    yield gettext("审批管理员: %(who)s") % {"who": values.get("super_approvers") or gettext("无")}
    yield gettext("配置管理员: %(who)s") % {"who": values.get("admins") or gettext("无")}
    yield gettext("生效的配置（没有设置过的为当时程序的默认值）:")
    for one in settings:
        yield f"  {setting_line(one, zone)}"


def setting_line(one: Setting, zone: Zone) -> str:
    """A setting, where it came from, who set it and when; of a secret only its fingerprint."""
    value = one.value if one.fingerprint is None else f"(secret, fingerprint {one.fingerprint})"
    return f"{one.name.upper()}={value}  [{one.source}, {one.by} {zone.full(one.at)}]"


def _as_json(history: StoredHistory, at: datetime) -> Iterator[str]:
    """Every approval, and in the last line what else was the case."""
    total = Sum()
    for approval in approvals_at(history, at):
        total.add(approval, at)
        yield as_json_line({"record": "approval", **whole(approval)})
    frozen = frozen_at(history, at)
    yield as_json_line(
        {
            "record": "state",
            "at": timestamp(at),
            "approvals": {status.value: total.statuses[status] for status in Status},
            "overdue": total.overdue,
            "frozen": frozen and asdict(frozen),
            "settings": [asdict(one) for one in settings_at(history, at)],
        }
    )


def whole(approval: Approval) -> dict[str, Any]:
    """The approval as programs see it, and what came of it."""
    permit, redeemed, outcome = approval.permit, approval.redeemed, approval.outcome
    return {
        **document(approval),
        "permit": permit and {"key": permit.key_id, "expires_at": permit.expires_at},
        "redeemed": redeemed and {"at": redeemed.timestamp, "attempt": redeemed.attempt},
        "outcome": outcome
        and {"at": outcome.timestamp, "outcome": outcome.outcome, "detail": outcome.detail},
    }


def as_json_line(row: dict[str, Any]) -> str:
    """With times in UTC, as everywhere else."""
    return json.dumps(row, ensure_ascii=False, default=_timestamp)


def _timestamp(at: datetime) -> str:
    return timestamp(at.astimezone(UTC))
