"""
What the sample healing engine remembers of an alarm: its runs, their two steps, how they ended.

A decision belongs to the approval of one run of one alarm and to nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from adapters.engine.client import Asking
from adapters.engine.documents import Approval, Status

StepState = Literal["planned", "waiting", "success", "failure"]

NODE = 1
ASK, REPLACE = "请求审批", "替换故障机"
ENDINGS = {
    Status.REJECTED: "审批驳回",
    Status.EXPIRED: "审批超时",
    Status.CANCELLED: "已取消",
    Status.REVOKED: "审批已撤销",
}


@dataclass(frozen=True)
class AlarmData:
    """An alarm as it was pushed, and who is to be asked about it."""

    ip: str
    content: str
    alarm_type: str
    application: str
    source_id: str
    source_time: str
    approvers: tuple[str, ...]
    expires_in: int
    risk: Literal["low", "medium", "high"]


@dataclass
class Step:
    name: str
    state: StepState = "planned"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    note: str = ""

    def start(self, at: datetime) -> None:
        self.state, self.started_at = "waiting", at

    def end(self, state: StepState, note: str, at: datetime) -> None:
        self.state, self.note, self.ended_at = state, note, at


@dataclass
class Run:
    """One execution of the solution: ask, then replace the machine."""

    number: int
    ask: Step = field(default_factory=lambda: Step(ASK))
    replace: Step = field(default_factory=lambda: Step(REPLACE))
    approval: Approval | None = None
    """The approval as the service last told it."""

    @property
    def steps(self) -> tuple[Step, Step]:
        return (self.ask, self.replace)

    @property
    def state(self) -> Literal["waiting", "success", "failure"]:
        if "failure" in (self.ask.state, self.replace.state):
            return "failure"
        return "success" if self.replace.state == "success" else "waiting"

    def asked(self, approval: Approval) -> None:
        self.approval, self.ask.note = approval, ""

    def decided(self, approval: Approval, at: datetime) -> bool:
        """
        Take the end of this run's own approval; anything else changes nothing.

        Approved, the machine waits to be replaced. Taken back meanwhile, that is only noted: it is
        the service that lets nobody redeem it any more.

        Returns:
            Whether something changed.
        """
        if self.approval is None or approval.identity != self.approval.identity:
            return False
        if self.ask.state == "waiting" and approval.has_ended:
            self.approval = approval
            self._end_asking(approval.status, at)
            return True
        taken_back = approval.status is Status.REVOKED and self.replace.state == "waiting"
        if taken_back:
            self.approval = approval
        return taken_back

    def _end_asking(self, status: Status, at: datetime) -> None:
        if status is Status.APPROVED:
            self.ask.end("success", "审批同意", at)
            self.replace.start(at)
        else:
            self.ask.end("failure", ENDINGS.get(status, "未获同意"), at)

    def failed(self, why: str, at: datetime) -> None:
        self.ask.end("failure", why, at)


@dataclass
class Alarm:
    alarm_id: int
    event_id: str
    """Unique for ever, other than `alarm_id`, which counts from 1 after every start."""
    data: AlarmData
    taken_at: datetime
    runs: list[Run] = field(default_factory=list)

    @property
    def obj_id(self) -> str:
        return f"{self.alarm_id}_{NODE}"

    @property
    def last_run(self) -> Run:
        return self.runs[-1]

    @property
    def state(self) -> str:
        return self.last_run.state

    @property
    def message(self) -> str:
        return f"{REPLACE} {self.data.ip}（业务：{self.data.application}）"

    @property
    def action(self) -> Mapping[str, Any]:
        """
        What exactly is approved, and redeemed.

        The event id stands in it: an approval of an earlier life of this engine, which had the
        same alarm id and run, is then of another action and can never be taken for ours.
        """
        return {"do": "replace-machine", "ip": self.data.ip, "event_id": self.event_id}

    def attempt(self, run: Run) -> str:
        """What a permit is redeemed under: the same for this run, however often it is tried."""
        return f"{self.event_id}.{run.number}"

    def asking(self, run: Run) -> Asking:
        """What is said beside obj_id, message and approvers."""
        data = self.data
        return {
            "run": run.number,
            "expires_in": data.expires_in,
            "risk": data.risk,
            "biz_id": data.application,
            "action": self.action,
            "details": {
                "业务": data.application,
                "告警类型": data.alarm_type,
                "IP": data.ip,
                "告警内容": data.content,
                "告警时间": data.source_time,
                "告警源编号": data.source_id or "无",
            },
        }
