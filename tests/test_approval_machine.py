"""Random commands in random order, beside a plain model of the contract that knows no domain code.

The model is written from the contract: dicts and ifs. After every step both must tell the same
story, and what is promised of every history must hold.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from eventsourcing.persistence import JSONTranscoder
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from adapters.store.mapper import EventMapper
from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import Reply
from domain.decision import Channel, Risk, Verdict
from domain.errors import Refusal
from domain.inbox import Inbox
from domain.notifications import Way
from tests.scenario import (
    NOON,
    MemoryUnit,
    ask,
    ask_next,
    cancels,
    clock,
    comes,
    leaves,
    opens,
    presses,
    reached,
    reminds,
    says,
)

APPROVE = "approve"
ENDS = (Approval.Approved, Approval.Rejected, Approval.Expired, Approval.Cancelled)
AFTER_THE_END = (Approval.Replied, Approval.Notified, Approval.NotificationFailed)

SHORT, OTHER = "清理磁盘", "重启 nginx"
NO_CARD, NO_LINK, LONG = "重" * 161, "重" * 600, "重" * 1000
# What shows the whole message: a text, a text with the address of a page, a card.
SHOWN_BY = {
    SHORT: {"text", "link", "card"},
    OTHER: {"text", "link", "card"},
    NO_CARD: {"text", "link"},
    NO_LINK: {"text"},
    LONG: set(),
}
MILLISECOND = timedelta(milliseconds=1)
TEN_SECONDS = timedelta(seconds=10)
TWO_MINUTES, FIVE_MINUTES, TEN_MINUTES = (timedelta(minutes=minutes) for minutes in (2, 5, 10))
HOUR, HOURS_71 = timedelta(hours=1), timedelta(hours=71)
NOT_TEXT = "not-text"


class Model:
    """What the contract says, in the plainest words."""

    def __init__(self) -> None:
        self.approvals: dict[str, dict[str, Any]] = {}
        self.super_approvers: set[str] = set()
        self.seen: set[tuple[str, str]] = set()
        self.inbox = 0
        self.answered_in_inbox = 0
        self.told_text_only: set[tuple[str, str]] = set()
        self.inbox_last: dict[tuple[str, str], datetime] = {}
        self.greeted: dict[str, list[datetime]] = {}

    # Each command answers the code of the refusal, or None.

    def request(self, at: datetime, **asked: Any) -> str | None:
        obj_id, run = asked["obj_id"], asked["run"]
        name = obj_id if run == 1 else f"{obj_id}.{run}"
        same = {**asked, "approvers": {who.lower() for who in asked["approvers"]}}
        if name in self.approvals:
            return None if self.approvals[name]["same"] == same else "conflicting-request"
        return self._open(at, name, same)

    def next_run(self, at: datetime, **asked: Any) -> str | None:
        people = {who.lower() for who in asked["approvers"]}
        runs = [a for a in self.approvals.values() if a["same"]["obj_id"] == asked["obj_id"]]
        last = max(runs, key=lambda a: int(a["same"]["run"]), default=None)
        if last is None:
            run = 1
        else:
            self._expire(last, at)
            if last["status"] == "pending":
                was = last["same"]
                told = (was["engine"], was["message"], was["approvers"])
                if told == (asked["engine"], asked["message"], people):
                    return None
                return "conflicting-request"
            run = last["same"]["run"] + 1
        rest = {"requested_by": None, "risk": "medium", "expires_in": 1200}
        same = {**asked, "approvers": people, "run": run, **rest}
        name = asked["obj_id"] if run == 1 else f"{asked['obj_id']}.{run}"
        return self._open(at, name, same)

    def _open(self, at: datetime, name: str, same: dict[str, Any]) -> str | None:
        requester = (same["requested_by"] or "").lower()
        if same["approvers"] == {requester}:
            return "nobody-can-decide"
        for other in self.approvals.values():
            lower = other["same"]["obj_id"] == same["obj_id"] and other["same"]["run"] < same["run"]
            if lower and other["same"]["engine"] == same["engine"]:
                self._expire(other, at)
                if other["status"] == "pending":
                    self._end(other, "cancelled", same["engine"], at)
        self.approvals[name] = {
            "same": same,
            "status": "pending",
            "by": None,
            "last": at,
            "asked_at": at,
            "ended_at": None,
            "deadline": at + timedelta(seconds=same["expires_in"]),
            "asked": (same["approvers"] | self.super_approvers) - {requester},
            "sent": {},
            "gone": set(),
            "cut": set(),
            "opened": set(),
            "notices": set(),
            "codes": {},
            "tapped": set(),
            "reminded": False,
            "nobody_reached": False,
            "replies": 0,
        }
        return None

    def reply(self, at: datetime, by: str, verdict: str, **how: Any) -> str | None:
        me, name = by.lower(), how["reply_id"]
        if (me, how["key"]) in self.seen:
            return None
        self.seen.add((me, how["key"]))
        if name is None:
            if how["doubt"] is not None:
                return self._keep_in_inbox(at, me, str(how["doubt"]))
            name = self._only_one_that_can_be_meant(at, me)
            if name is None:
                return self._keep_in_inbox(at, me, "unclear-which")
        elif name not in self.approvals:
            fitting = [known for known in self.approvals if known.lower() == name.lower()]
            if len(fitting) != 1 or how["channel"] == Channel.CARD:  # nobody mistypes a button
                return self._keep_in_inbox(at, me, "unknown-approval")
            name = fitting[0]
        approval = self.approvals[name]
        no: str | None = how["doubt"]
        if no is not None:
            self._touch(approval, at)
            approval["replies"] += 1
        else:
            no = self._answer(approval, at, by, verdict, how["channel"], from_list=False)
        if how["code"] is not None:
            approval["codes"][me] = (how["code"], approval["last"])
            approval["tapped"].add(me)
        return no

    def _keep_in_inbox(self, at: datetime, me: str, why: str) -> str:
        self.inbox += 1
        day = me, f"{at:%Y-%m-%d}"
        self.inbox_last[day] = max(self.inbox_last.get(day, at), at)
        if why != NOT_TEXT or day not in self.told_text_only:
            self.answered_in_inbox += 1
        if why == NOT_TEXT:
            self.told_text_only.add(day)
        return why

    def greet(self, at: datetime, by: str, key: str) -> None:
        me, day = by.lower(), f"{at:%Y-%m-%d}"
        if (me, key) in self.seen:
            return
        self.seen.add((me, key))
        if all(at - before >= HOUR for before in self.greeted.get(me, [])) and self._waiting(me):
            last = max(self.inbox_last.get((me, day), at), at)
            self.inbox_last[me, day] = last
            self.greeted.setdefault(me, []).append(last)

    def leave(self, at: datetime, by: str, key: str) -> None:
        me = by.lower()
        if (me, key) in self.seen:
            return
        self.seen.add((me, key))
        for a in self.approvals.values():
            if a["status"] == "pending" and me in a["asked"] - a["gone"]:
                self._touch(a, at)
                self._lose(a, me)

    def press(
        self, at: datetime, by: str, verdict: str, name: str, from_list: bool, login: timedelta
    ) -> str | None:
        if name not in self.approvals:
            return "unknown-approval"
        return self._answer(self.approvals[name], at, by, verdict, "web", from_list, login)

    def _answer(
        self,
        a: dict[str, Any],
        at: datetime,
        by: str,
        verdict: str,
        channel: str,
        from_list: bool,
        login: timedelta = timedelta(),
    ) -> str | None:
        me, status = by.lower(), "approved" if verdict == APPROVE else "rejected"
        a["replies"] += 1
        repeated = a["status"] == status and str(a["by"]).lower() == me
        if repeated:
            self._touch(a, at)
            return None
        no = None
        if me == (a["same"]["requested_by"] or "").lower():
            no = "own-request"
        elif me not in a["same"]["approvers"] | self.super_approvers:
            no = "not-an-approver"
        else:
            self._expire(a, at)
            if a["status"] != "pending":
                no = "already-decided"
            elif a["same"]["risk"] == "high" and from_list:
                no = "high-risk-needs-its-page"
            elif a["same"]["risk"] == "high" and status == "approved" and login > FIVE_MINUTES:
                no = "login-too-old"
            elif channel != "web" and self._unread(a, me, channel):
                no = "open-it-first"
        self._touch(a, at)
        if no is None:
            self._end(a, status, by, at)
        return no

    def cancel(self, at: datetime, engine: str, name: str) -> str | None:
        a = self.approvals.get(name)
        if a is None or a["same"]["engine"] != engine:
            return "unknown-approval"
        if a["status"] == "cancelled":
            return None
        self._expire(a, at)
        if a["status"] != "pending":
            return "already-decided"
        self._end(a, "cancelled", engine, at)
        return None

    def clock(self, at: datetime, name: str) -> str | None:
        if name not in self.approvals:
            return "unknown-approval"
        self._expire(self.approvals[name], at)
        return None

    def open_page(self, at: datetime, by: str, name: str) -> str | None:
        if name not in self.approvals:
            return "unknown-approval"
        a = self.approvals[name]
        unread = any(self._unread(a, by.lower(), by_what) for by_what in ("text", "wecom-card"))
        if a["status"] == "pending" and unread:
            self._touch(a, at)
            a["opened"].add(by.lower())
        return None

    def _is_due(self, left: timedelta, quarter: timedelta) -> bool:
        return quarter >= TWO_MINUTES and TWO_MINUTES - TEN_SECONDS <= left <= quarter

    def remind(self, at: datetime, name: str) -> str | None:
        if name not in self.approvals:
            return "unknown-approval"
        a = self.approvals[name]
        quarter = timedelta(seconds=a["same"]["expires_in"] / 4)
        left = a["deadline"] - at
        if a["status"] == "pending" and not a["reminded"] and self._is_due(left, quarter):
            self._touch(a, at)
            a["reminded"] = True
        return None

    def reach(self, at: datetime, to: str, name: str, kind: str, how: dict[str, Any]) -> str | None:
        if name not in self.approvals:
            return "unknown-approval"
        a, me = self.approvals[name], to.lower()
        if f"{kind}/{me}" in a["notices"]:
            return None
        a["notices"].add(f"{kind}/{me}")
        self._touch(a, at)
        if kind == "card":
            if a["codes"].get(me, (None,))[0] == how["response_code"]:
                a["codes"].pop(me, None)
        elif kind == "ask" and "problem" in how:
            self._lose(a, me)
        elif kind == "ask":
            a["gone"].discard(me)
            a["sent"][me] = (how["way"], a["last"])
            if how.get("cut"):
                a["cut"].add(me)
            if "response_code" in how and me not in a["tapped"]:
                a["codes"][me] = (how["response_code"], a["last"])
        return None

    def _lose(self, a: dict[str, Any], me: str) -> None:
        a["gone"].add(me)
        if a["status"] == "pending" and a["same"]["approvers"] & a["asked"] <= a["gone"]:
            a["nobody_reached"] = True

    def _waiting(self, me: str) -> list[str]:
        return [
            name
            for name, a in self.approvals.items()
            if a["status"] == "pending"
            and me in a["same"]["approvers"] | self.super_approvers
            and me != (a["same"]["requested_by"] or "").lower()
        ]

    def _only_one_that_can_be_meant(self, at: datetime, me: str) -> str | None:
        waiting = self._waiting(me)
        if len(waiting) != 1:
            return None
        (name,) = waiting
        a = self.approvals[name]
        way, reached_at = a["sent"].get(me, ("digest", at))
        if me in a["gone"] or way == "digest" or reached_at >= at or a["same"]["risk"] == "high":
            return None
        for other_name, other in self.approvals.items():
            lately = other["asked_at"] >= at - TEN_MINUTES or (
                other["ended_at"] is not None and other["ended_at"] >= at - TEN_MINUTES
            )
            if other_name != name and me in other["asked"] and lately:
                return None
        return name

    def _unread(self, a: dict[str, Any], me: str, channel: str) -> bool:
        shown_by = SHOWN_BY[a["same"]["message"]]
        if me in a["opened"]:
            return False
        way = a["sent"].get(me, ("digest",))[0]
        # Of what an older version sent to somebody who has left, nobody knows what it showed.
        if way != "digest" and (way or me not in a["gone"]):
            return me in a["cut"] or "text" not in shown_by
        return ("card" if channel == "wecom-card" else "link") not in shown_by

    def _expire(self, a: dict[str, Any], at: datetime) -> None:
        if a["status"] == "pending" and at >= a["deadline"]:
            self._end(a, "expired", None, at)

    def _end(self, a: dict[str, Any], status: str, by: str | None, at: datetime) -> None:
        self._touch(a, at)
        a["status"], a["by"], a["ended_at"] = status, by, a["last"]

    def _touch(self, a: dict[str, Any], at: datetime) -> None:
        a["last"] = max(a["last"], at)


nodes = st.sampled_from(["a_1", "A_1", "b_1"])
runs = st.integers(1, 3)
picks = st.integers(0, 11)
people = st.sampled_from(["zhangsan", "lisi", "wangwu", "ZhangSan", "LISI"])
groups = st.lists(people, min_size=1, max_size=3)
engines = st.sampled_from(["fta", "fta", "fta", "other"])
messages = st.sampled_from([SHORT, SHORT, OTHER, NO_CARD, NO_LINK, LONG])
verdicts = st.sampled_from(["approve", "approve", "reject"])
channels = st.sampled_from([Channel.TEXT, Channel.CARD])
logins = st.sampled_from([timedelta(milliseconds=ms) for ms in (0, 300_000, 300_001)])
steps = st.sampled_from(
    [timedelta(milliseconds=ms) for ms in (-2000, -1, 1, 1, 59_999, 60_000, 601_000, 1_200_000)]
)
lengths = st.sampled_from([60, 479, 480, 1200, 1200, 1200, 400_000])
ways = st.sampled_from(
    [
        {"way": "text"},
        {"way": "text", "cut": True},
        {"way": "card", "response_code": "sent"},
        {"way": "card", "response_code": "sent", "cut": True},
        {"way": "both", "response_code": "sent"},
        {"way": "digest"},
        {"way": ""},
        {"problem": "不在可见范围"},
        {"problem": "不在可见范围", "unreachable": True},
    ]
)


class ApprovalMachine(RuleBasedStateMachine):
    sent: Bundle[Reply] = Bundle("sent")

    @initialize(supers=st.lists(people, max_size=1))
    def start(self, supers: list[str]) -> None:
        self.unit, self.model, self.now = MemoryUnit(), Model(), NOON
        self.ended: dict[str, Event] = {}
        self.keys = 0
        self.settings_change(supers)
        self.request_by_the_old_api(
            obj_id="a_1", engine="fta", message=SHORT, approvers=["zhangsan", "lisi"]
        )

    def both(self, command: Any, expected: str | None) -> None:
        """The service does what the model said."""
        try:
            self.unit.carry_out(command)
            told = None
        except Refusal as refusal:
            told = refusal.code
        assert told == expected, f"{command}: {told}, not {expected}"

    @rule(supers=st.lists(people, max_size=1))
    def settings_change(self, supers: list[str]) -> None:
        self.unit.super_approvers = supers
        self.model.super_approvers = {who.lower() for who in supers}

    @rule(step=steps)
    def time_passes(self, step: timedelta) -> None:
        self.now += step

    @rule(
        obj_id=nodes,
        run=runs,
        engine=engines,
        message=messages,
        approvers=groups,
        requested_by=st.sampled_from([None, None, "lisi", "WangWu"]),
        risk=st.sampled_from(["medium", "medium", "high"]),
        expires_in=lengths,
    )
    def request(self, risk: str, **asked: Any) -> None:
        expected = self.model.request(self.now, risk=risk, **asked)
        self.both(ask(self.now, risk=Risk(risk), **asked), expected)

    @rule(data=st.data(), late=st.booleans())
    def request_again(self, data: st.DataObject, late: bool) -> None:
        """To the letter, but for the order and spelling of the approvers."""
        if not self.model.approvals:
            return
        name = data.draw(st.sampled_from(sorted(self.model.approvals)))
        same = self.model.approvals[name]["same"]
        people = sorted((who.upper() for who in same["approvers"]), reverse=late)
        asked = {**same, "approvers": people}
        assert self.model.request(self.now, **asked) is None
        before = len(self.unit.stored)
        self.both(ask(self.now, **{**asked, "risk": Risk(same["risk"])}), None)
        assert len(self.unit.stored) == before

    @rule(obj_id=nodes, engine=engines, message=messages, approvers=groups)
    def request_by_the_old_api(self, **asked: Any) -> None:
        self.both(ask_next(self.now, **asked), self.model.next_run(self.now, **asked))

    @rule(
        target=sent,
        by=people,
        verdict=verdicts,
        pick=st.one_of(st.none(), picks),
        channel=channels,
        doubt=st.sampled_from([None, None, None, "question", NOT_TEXT]),
    )
    def reply(
        self, by: str, verdict: str, pick: int | None, channel: Channel, doubt: str | None
    ) -> Reply:
        self.keys += 1
        if pick is None:
            channel = Channel.TEXT  # every button names an approval
        code = f"tap {self.keys}" if channel is Channel.CARD and self.keys % 4 else None
        reply_id = None if pick is None else self.picked(pick)
        command = says(
            by,
            Verdict(verdict),
            reply_id,
            self.now,
            channel=channel,
            doubt=doubt,
            delivery_key=str(self.keys),
            response_code=code,
        )
        self.deliver(command)
        return command

    def deliver(self, command: Reply) -> None:
        assert command.verdict is not None
        expected = self.model.reply(
            command.at,
            command.by,
            command.verdict.value,
            reply_id=command.reply_id,
            channel=command.channel.value,
            doubt=command.doubt,
            key=command.delivery_key,
            code=command.response_code,
        )
        self.both(command, expected)

    @rule(command=sent)
    def deliver_again(self, command: Reply) -> None:
        """WeCom repeats a callback; whatever has happened since, nothing comes of it."""
        before = len(self.unit.stored)
        self.deliver(replace(command, at=self.now))
        assert len(self.unit.stored) == before

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), by=people, verdict=verdicts, pause=steps)
    def reply_without_an_id_to_what_arrived(
        self, data: st.DataObject, by: str, verdict: str, pause: timedelta
    ) -> None:
        self.send(data.draw(st.sampled_from(self.waiting())), by, "ask", {"way": "text"})
        self.now += pause
        self.reply(by, verdict, None, Channel.TEXT, None)

    @rule(by=people, verdict=verdicts, pick=picks, from_list=st.booleans(), login=logins)
    def press(self, by: str, verdict: str, pick: int, from_list: bool, login: timedelta) -> None:
        name, made = self.picked(pick), self.now - login
        expected = self.model.press(self.now, by, verdict, name, from_list, login)
        command = presses(
            by, Verdict(verdict), name, self.now, from_list=from_list, logged_in_at=made
        )
        self.both(command, expected)

    @rule(engine=engines, pick=picks)
    def cancel(self, engine: str, pick: int) -> None:
        name = self.picked(pick)
        self.both(cancels(engine, name, self.now), self.model.cancel(self.now, engine, name))

    @rule(pick=picks)
    def clock_strikes(self, pick: int) -> None:
        name = self.picked(pick)
        self.both(clock(self.now, name), self.model.clock(self.now, name))

    @rule(by=people, pick=picks)
    def open_page(self, by: str, pick: int) -> None:
        name = self.picked(pick)
        self.both(opens(by, name, self.now), self.model.open_page(self.now, by, name))

    @rule(pick=picks, to=people, how=ways)
    def reach(self, pick: int, to: str, how: dict[str, Any]) -> None:
        self.send(self.picked(pick), to, "ask", how)

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), how=ways)
    def reach_all(self, data: st.DataObject, how: dict[str, Any]) -> None:
        """Of one approval, so that there is one of which nobody can be told."""
        name = data.draw(st.sampled_from(self.waiting()))
        for to in sorted(self.model.approvals[name]["asked"]):
            self.send(name, to, "ask", how)

    @rule(
        pick=picks,
        to=people,
        kind=st.sampled_from(["card", "card", "end", "remind"]),
        own=st.booleans(),
    )
    def reach_by_another_message(self, pick: int, to: str, kind: str, own: bool) -> None:
        """A card is changed by the code that there is, or by one that a tap has taken over."""
        name = self.picked(pick)
        codes = self.model.approvals.get(name, {"codes": {}})["codes"]
        code = codes.get(to.lower(), (None,))[0] if own and kind == "card" else None
        self.send(name, to, kind, {"way": "text", "response_code": code})

    def send(self, name: str, to: str, kind: str, how: dict[str, Any]) -> None:
        """Only who was asked is sent the message that asks."""
        if name not in self.model.approvals or to.lower() in self.model.approvals[name]["asked"]:
            expected = self.model.reach(self.now, to, name, kind, how)
            told = {**how, "way": Way(how.get("way", "text"))}
            notice = f"{kind}/{to.lower()}"
            self.both(reached(to, name, self.now, notice=notice, **told), expected)

    @rule(pick=picks)
    def clock_reminds(self, pick: int) -> None:
        name = self.picked(pick)
        self.both(reminds(self.now, name), self.model.remind(self.now, name))

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), before=st.sampled_from([-1, 0, 0, 1]), again=st.booleans())
    def clock_reminds_when_it_is_due(self, data: st.DataObject, before: int, again: bool) -> None:
        """To the millisecond: when a quarter of the time is left, and when two minutes are."""
        name = data.draw(st.sampled_from(self.waiting()))
        a = self.model.approvals[name]
        quarter = timedelta(seconds=a["same"]["expires_in"] / 4)
        left = (
            data.draw(st.sampled_from([quarter, TWO_MINUTES - TEN_SECONDS])) + before * MILLISECOND
        )
        self.now = max(self.now, a["deadline"] - left)
        for _ in range(1 + again):
            self.both(reminds(self.now, name), self.model.remind(self.now, name))

    @rule(by=people, key=st.integers(0, 30))
    def leave(self, by: str, key: int) -> None:
        """Some of the keys come twice."""
        self.model.leave(self.now, by, f"left {key}")
        self.both(leaves(by, self.now, delivery_key=f"left {key}"), None)

    @rule(
        by=people,
        key=st.integers(0, 30),
        pause=st.sampled_from([MILLISECOND, HOUR - MILLISECOND, HOUR, -2 * MILLISECOND]),
    )
    def come_and_come_again(self, by: str, key: int, pause: timedelta) -> None:
        for number in (key, key + 1):
            self.model.greet(self.now, by, f"came {number}")
            self.both(comes(by, self.now, delivery_key=f"came {number}"), None)
            self.now += pause

    @rule(before=st.sampled_from([timedelta(minutes=30), HOUR, MILLISECOND]))
    def midnight_comes(self, before: timedelta) -> None:
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        self.now = midnight + timedelta(days=1) - before

    def picked(self, pick: int) -> str:
        """Mostly a name that is known; else one in the other case, or an unknown one."""
        known = sorted(self.model.approvals)
        if pick == 11 or not known:
            return "9_9"
        return known[0].swapcase() if pick == 10 else known[pick % len(known)]

    def waiting(self) -> list[str]:
        return [name for name, a in self.model.approvals.items() if a["status"] == "pending"]

    # What is promised of every history.

    @invariant()
    def the_model_tells_the_same(self) -> None:
        approvals = {approval.reply_id: approval for approval in self.unit.approvals()}
        assert approvals.keys() == self.model.approvals.keys()
        for name, approval in approvals.items():
            told, ending = self.model.approvals[name], approval.ending
            assert approval.status == told["status"], name
            assert (ending and ending.by) == told["by"], name
            assert (ending and ending.at) == told["ended_at"], name
            assert approval.modified_at == told["last"], name
            assert self.count(Approval.Replied, approval.id) == told["replies"], name
        assert self.count(Inbox.Received) == self.model.inbox
        received = [event for event in self.unit.stored if isinstance(event, Inbox.Received)]
        answered = sum(not event.unanswered for event in received)
        assert answered == self.model.answered_in_inbox

    @invariant()
    def the_model_tells_the_same_of_every_message(self) -> None:
        for approval in self.unit.approvals():
            name, told = approval.reply_id, self.model.approvals[approval.reply_id]
            assert approval.reminded == told["reminded"], name
            assert approval.nobody_reached == told["nobody_reached"], name
            notifications = approval.notifications
            assert set(map(str.lower, notifications.reached())) == {
                me for me, (way, _) in told["sent"].items() if way and me not in told["gone"]
            }, name
            for me in ("zhangsan", "lisi", "wangwu"):
                way = told["sent"].get(me, ("", None))[0]
                assert notifications.is_beyond_reach(me) == (me in told["gone"]), name
                by_text = way in ("text", "both", "digest")
                assert notifications.was_asked_by_text(me) == by_text, name
                has_card = way in ("card", "both") or me in told["codes"]
                assert notifications.has_card(me) == has_card, name
                code, given_at = told["codes"].get(me, (None, self.now))
                for now in (self.now, given_at + HOURS_71 - MILLISECOND, given_at + HOURS_71):
                    good = code if now - given_at < HOURS_71 else None
                    assert notifications.code_for(me, now) == good, name

    @invariant()
    def an_approval_ends_once_and_for_all(self) -> None:
        for approval in self.unit.approvals():
            events = self.unit.events_of(approval.id)
            ends = [number for number, event in enumerate(events) if isinstance(event, ENDS)]
            assert len(ends) <= 1
            if ends:
                end, later = events[ends[0]], events[ends[0] + 1 :]
                assert all(isinstance(event, AFTER_THE_END) for event in later)
                assert self.ended.setdefault(approval.reply_id, end) == end
            assert bool(ends) == (approval.reply_id in self.ended)

    @invariant()
    def nothing_is_said_twice(self) -> None:
        for approval in self.unit.approvals():
            assert self.count(Approval.Reminded, approval.id) <= 1
            assert self.count(Approval.NobodyReached, approval.id) <= 1
            notices = [
                event.notice
                for event in self.unit.events_of(approval.id)
                if isinstance(event, Approval.Notified | Approval.NotificationFailed)
            ]
            assert len(notices) == len(set(notices))

    @invariant()
    def nobody_is_greeted_twice_within_an_hour(self) -> None:
        greeted: dict[str, list[datetime]] = {}
        for event in self.unit.stored:
            if isinstance(event, Inbox.Greeted):
                greeted.setdefault(event.by.lower(), []).append(event.timestamp)
        for times in greeted.values():
            assert all(later - earlier >= HOUR for earlier, later in pairwise(sorted(times)))
        assert greeted == self.model.greeted

    @invariant()
    def time_never_goes_back_inside_one_approval(self) -> None:
        for approval in self.unit.approvals():
            times = [event.timestamp for event in self.unit.events_of(approval.id)]
            assert times == sorted(times)

    @invariant()
    def who_decided_is_who_replied(self) -> None:
        verdicts: dict[type, str] = {Approval.Approved: "approve", Approval.Rejected: "reject"}
        for approval in self.unit.approvals():
            events: list[Any] = self.unit.events_of(approval.id)
            for said, end in pairwise(events):
                if type(end) in verdicts:
                    assert isinstance(said, Approval.Replied)
                    told = (said.by, said.verdict, said.channel, said.reason, said.timestamp)
                    verdict = verdicts[type(end)]
                    assert told == (end.by, verdict, end.channel, end.reason, end.timestamp)
                    assert (said.refusal, said.repeated) == (None, False)

    @invariant()
    def what_was_stored_tells_the_whole_state(self) -> None:
        """What the last command left in memory is what the next one will load."""
        for stream, live in self.unit.aggregates.items():
            replayed = self.unit.replayed(type(live), stream)
            assert replayed is not None
            assert {**vars(live), "number": 0} == {**vars(replayed), "number": 0}

    def teardown(self) -> None:
        """The bytes tell it too."""
        mapper = EventMapper(JSONTranscoder())
        for event in getattr(self, "unit", MemoryUnit()).stored:
            assert mapper.to_domain_event(mapper.to_stored_event(event)) == event

    def count(self, kind: type[Event], stream: str | None = None) -> int:
        events = self.unit.stored if stream is None else self.unit.events_of(stream)
        return sum(isinstance(event, kind) for event in events)


TestApprovalMachine = ApprovalMachine.TestCase
TestApprovalMachine.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=[]
)
