"""
What the sample healing engine remembers of an alarm: its runs, their two steps, how they ended.

A decision belongs to the approval of one run of one alarm and to nothing else.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Json = dict[str, Any]
StepState = Literal["planned", "waiting", "success", "failure"]

NODE = 1
ASK, REPLACE = "请求审批", "替换故障机"
IDENTITY = ("approval_id", "obj_id", "run")
ENDINGS = {
    "rejected": "审批驳回",
    "expired": "审批超时",
    "cancelled": "已取消",
    "revoked": "审批已撤销",
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
    risk: str


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
    approval: Json | None = None
    """The approval as the service last told it."""

    @property
    def steps(self) -> tuple[Step, Step]:
        return (self.ask, self.replace)

    @property
    def state(self) -> Literal["waiting", "success", "failure"]:
        if "failure" in (self.ask.state, self.replace.state):
            return "failure"
        return "success" if self.replace.state == "success" else "waiting"

    def asked(self, approval: Json) -> None:
        self.approval, self.ask.note = approval, ""

    def decided(self, approval: Json, ip: str, at: datetime) -> bool:
        """
        Take the end of this run's own approval; anything else changes nothing.

        Returns:
            Whether something changed.
        """
        if self.approval is None or self.ask.state != "waiting":
            return False
        if any(approval[name] != self.approval[name] for name in IDENTITY):
            return False
        if approval["status"] == "pending":
            return False
        self.approval = approval
        if approval["status"] == "approved":
            self.ask.end("success", "审批同意", at)
            self.replace.start(at)
            self.replace.end("success", f"演示：这里会用备机替换 {ip}，实际没有执行任何操作", at)
        else:
            self.ask.end("failure", ENDINGS.get(str(approval["status"]), "未获同意"), at)
        return True

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

    def request(self, run: Run) -> Json:
        """
        The body of `POST /approvals`.

        The event id stands in the action: an approval of an earlier life of this engine, which
        had the same alarm id and run, is then another request and can never be taken for ours.
        """
        data = self.data
        return {
            "obj_id": self.obj_id,
            "run": run.number,
            "message": f"{REPLACE} {data.ip}（业务：{data.application}）",
            "approvers": list(data.approvers),
            "expires_in": data.expires_in,
            "risk": data.risk,
            "biz_id": data.application,
            "action": {"do": "replace-machine", "ip": data.ip, "event_id": self.event_id},
            "details": {
                "业务": data.application,
                "告警类型": data.alarm_type,
                "IP": data.ip,
                "告警内容": data.content,
                "告警时间": data.source_time,
                "告警源编号": data.source_id or "无",
            },
        }
