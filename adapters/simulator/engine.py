"""
A sample healing engine (故障自愈): takes alarms, asks before it touches a machine, follows what is
decided. It shows how an engine uses the service; the repair itself is only written down.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from adapters.simulator.alarms import Alarm, AlarmData, Json, Run
from adapters.simulator.approval_client import ApprovalClient, Refused, Unreachable
from adapters.simulator.corp import Clock, Member, demo_members, utc_now
from adapters.simulator.live import Changes

Sleep = Callable[[float], Awaitable[None]]
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineSettings:
    service_url: str
    """With the prefix: http://127.0.0.1:8000/o/bk_fta_solutions"""
    token: str
    members: tuple[Member, ...] = demo_members()
    approvers: tuple[str, ...] = ("zhangsan", "lisi")
    """Asked where an alarm names nobody."""


class AlreadyHealed(Exception):
    """The last run succeeded; there is nothing to try again."""


class HealingEngine:
    def __init__(
        self,
        settings: EngineSettings,
        client: ApprovalClient,
        *,
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.alarms: dict[int, Alarm] = {}
        self.changes = Changes()
        self.connected = False
        self.trouble = ""
        self._client = client
        self._sleep = sleep
        self._waiting: dict[str, tuple[Alarm, Run]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # What people ask of the engine.

    def take(self, data: AlarmData) -> Alarm:
        """Take an alarm and begin its first run."""
        alarm = Alarm(len(self.alarms) + 1, str(uuid.uuid4()), data, self.clock())
        self.alarms[alarm.alarm_id] = alarm
        self._begin(alarm, Run(1))
        return alarm

    def retry(self, alarm: Alarm) -> Run:
        """
        Begin the next run, which is asked anew; a run that still waits is superseded by it.

        Raises:
            AlreadyHealed
        """
        if alarm.state == "success":
            raise AlreadyHealed
        run = Run(alarm.last_run.number + 1)
        self._begin(alarm, run)
        return run

    # Following.

    async def follow(self) -> None:
        """Follow the decisions for ever, through every break of the connection."""
        failures = 0
        while True:
            try:
                async with aclosing(self._client.decisions()) as decisions:
                    async for decision in decisions:
                        failures = 0
                        if decision is None:
                            await self._connected()
                        else:
                            self.apply(decision["data"])
                self._disconnected("连接已结束")
            except (Unreachable, Refused) as error:
                self._disconnected(str(error))
            await self._sleep(_pause(failures))
            failures += 1

    def apply(self, approval: Json) -> None:
        """Give the end of an approval to the run that asked for it, if it was ours."""
        alarm, run = self._waiting.get(approval.get("approval_id", ""), (None, None))
        if alarm is None or run is None:
            return
        if run.decided(approval, alarm.data.ip, self.clock()):
            del self._waiting[approval["approval_id"]]
            log.info("alarm %s run %s: %s", alarm.alarm_id, run.number, run.state)
            self.changes.bump()

    async def stop(self) -> None:
        self.changes.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Inside.

    def _begin(self, alarm: Alarm, run: Run) -> None:
        alarm.runs.append(run)
        run.ask.start(self.clock())
        task = asyncio.create_task(self._ask(alarm, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.changes.bump()

    async def _ask(self, alarm: Alarm, run: Run) -> None:
        failures = 0
        while run.ask.state == "waiting":
            try:
                await self._ask_once(alarm, run)
                break
            except Unreachable as error:
                self._tell(run, f"暂时联系不上审批服务，正在重试：{error}")
                await self._sleep(_pause(failures))
                failures += 1
            except Refused as refusal:
                if not await self._move_to_free_run(alarm, run, refusal):
                    run.failed(f"发送审批失败：{refusal}", self.clock())
        self.changes.bump()

    async def _ask_once(self, alarm: Alarm, run: Run) -> None:
        approval = run.approval or await self._client.ask(alarm.request(run))
        run.asked(approval)
        self._waiting[approval["approval_id"]] = (alarm, run)
        self.changes.bump()
        # The decision may have passed us on the stream before we knew the approval's id.
        self.apply(await self._client.approval(approval["approval_id"]))

    async def _move_to_free_run(self, alarm: Alarm, run: Run, refusal: Refused) -> bool:
        """
        An engine that was started again counts its alarms from 1 and may meet an approval of its
        earlier life. It takes the next run, so that people decide anew.
        """
        if refusal.code != "conflicting-request":
            return False
        try:
            taken = max(await self._client.runs_of(alarm.obj_id), default=0)
        except (Unreachable, Refused):
            return False
        if taken < run.number:
            return False
        run.number = taken + 1
        return True

    async def _connected(self) -> None:
        """What was decided while nobody listened may be older than where the stream begins."""
        self.connected, self.trouble = True, ""
        self.changes.bump()
        for approval_id in list(self._waiting):
            try:
                self.apply(await self._client.approval(approval_id))
            except (Unreachable, Refused) as error:
                log.warning("could not look an approval up: %s", error)

    def _disconnected(self, why: str) -> None:
        self.connected, self.trouble = False, why
        self.changes.bump()

    def _tell(self, run: Run, note: str) -> None:
        run.ask.note = note
        self.changes.bump()


def _pause(failures: int) -> float:
    return BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
