"""
A sample healing engine (故障自愈): takes alarms, asks before it touches a machine, follows what is
decided, and redeems the permit before it acts. It shows how an engine uses the service; the repair
itself is only written down.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from adapters.engine.client import EngineClient
from adapters.engine.documents import Approval, Outcome, Status
from adapters.engine.errors import (
    ConflictingRequest,
    EngineError,
    FeedChanged,
    UnknownApproval,
    Unreachable,
)
from adapters.simulator.alarms import Alarm, AlarmData, Run, Step
from adapters.simulator.corp import Clock, Member, demo_members, utc_now
from adapters.simulator.live import Changes
from adapters.simulator.why_not import LEFT_TO_OTHERS, NoPermit, why_not

Sleep = Callable[[float], Awaitable[None]]
PAUSE_S, LONGEST_S = 2.0, 60.0
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
        client: EngineClient,
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
        # Of the decisions that were seen. An engine that does more than show keeps both on disk,
        # in one transaction with what it did (docs/engines.md).
        self._position, self._feed_id = 0, ""
        self._open: dict[str, tuple[Alarm, Run]] = {}
        """By approval: runs that have not ended."""
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
        """Follow the decisions for ever; the client goes on by itself where a connection breaks."""
        while True:
            try:
                await self._follow_once()
            except FeedChanged:
                self._position, self._feed_id = 0, ""
                await self._give_up_what_is_unknown()
            except EngineError as error:
                self.stream_trouble(str(error))
            await self._sleep(PAUSE_S)

    async def _follow_once(self) -> None:
        following = self._client.decisions(self._position, self._feed_id or None)
        async with aclosing(following) as decisions:
            async for decision in decisions:
                self._position, self._feed_id = decision.position, decision.feed_id or ""
                self.apply(decision.approval)

    async def _give_up_what_is_unknown(self) -> None:
        """The service was restored. What it still knows ends in its feed; the rest never will."""
        waiting = [one for one in self._open.items() if one[1][1].ask.state == "waiting"]
        for approval_id, (_, run) in waiting:
            try:
                await self._client.look(approval_id)
            except UnknownApproval:
                run.failed("审批服务已恢复到较早的状态，没有这张审批单", self.clock())
                self._open.pop(approval_id, None)
            except EngineError as error:
                log.warning("could not look an approval up: %s", error)
        self.changes.bump()

    def apply(self, approval: Approval) -> None:
        """Give the end of an approval to the run that asked for it, if it was ours."""
        alarm, run = self._open.get(approval.approval_id, (None, None))
        if alarm is None or run is None or not run.decided(approval, self.clock()):
            return
        log.info("alarm %s run %s: %s", alarm.alarm_id, run.number, approval.status)
        if run.replace.state == "planned":
            del self._open[approval.approval_id]
        elif approval.status is Status.APPROVED:
            self._start(self._replace(alarm, run, approval))
        self.changes.bump()

    def stream_trouble(self, why: str | None) -> None:
        """What the page says of the connection; None: it stands."""
        self.connected, self.trouble = why is None, why or ""
        self.changes.bump()

    async def stop(self) -> None:
        self.changes.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Asking.

    def _begin(self, alarm: Alarm, run: Run) -> None:
        alarm.runs.append(run)
        run.ask.start(self.clock())
        self._start(self._ask(alarm, run))
        self.changes.bump()

    async def _ask(self, alarm: Alarm, run: Run) -> None:
        try:
            approval = await self._reached(run.ask, lambda: self._asked(alarm, run))
        except ConflictingRequest as refusal:
            if await self._move_to_free_run(alarm, run):
                await self._ask(alarm, run)
            else:
                self._fail(run, refusal)
        except EngineError as error:
            self._fail(run, error)
        else:
            run.asked(approval)
            self._open[approval.approval_id] = (alarm, run)
            self.changes.bump()
            await self._catch_up(run, approval)

    async def _asked(self, alarm: Alarm, run: Run) -> Approval:
        return await self._client.ask(
            alarm.obj_id, alarm.message, alarm.data.approvers, **alarm.asking(run)
        )

    async def _catch_up(self, run: Run, approval: Approval) -> None:
        """The decision may have passed us on the stream before we knew the approval's id."""
        try:
            now = await self._reached(run.ask, lambda: self._client.look(approval))
            if now.has_ended and run.ask.state == "waiting":
                self.apply(await self._client.wait(approval))
        except EngineError as error:
            log.warning("could not look an approval up: %s", error)

    async def _move_to_free_run(self, alarm: Alarm, run: Run) -> bool:
        """
        An engine that was started again counts its alarms from 1 and may meet an approval of its
        earlier life. It takes the next run, so that people decide anew.
        """
        try:
            taken = max((one.run for one in await self._client.find(alarm.obj_id)), default=0)
        except EngineError:
            return False
        if taken < run.number:
            return False
        run.number = taken + 1
        return True

    def _fail(self, run: Run, error: EngineError) -> None:
        run.failed(f"发送审批失败：{error}", self.clock())
        self.changes.bump()

    # Acting.

    async def _replace(self, alarm: Alarm, run: Run, approval: Approval) -> None:
        """Redeem, and only then act: what was approved is done once, or not at all."""
        try:
            if approval.permit is None:
                raise NoPermit
            permit = approval.permit
            await self._reached(
                run.replace,
                lambda: self._client.redeem(permit, alarm.action, alarm.attempt(run)),
            )
        except (EngineError, NoPermit) as error:
            run.replace.end("failure", why_not(error), self.clock())
            outcome = None if isinstance(error, LEFT_TO_OTHERS) else Outcome.SKIPPED
        else:
            done = f"演示：这里会用备机替换 {alarm.data.ip}，实际没有执行任何操作"
            run.replace.end("success", done, self.clock())
            outcome = Outcome.SUCCEEDED
        self._open.pop(approval.approval_id, None)
        self.changes.bump()
        if outcome is not None:
            await self._report(run, approval, outcome)

    async def _report(self, run: Run, approval: Approval, outcome: Outcome) -> None:
        note = run.replace.note
        try:
            await self._reached(run.replace, lambda: self._client.report(approval, outcome, note))
        except EngineError as error:
            log.warning("could not report an outcome: %s", error)
        self._tell(run.replace, note)

    # Inside.

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reached(self, step: Step, call: Callable[[], Awaitable[Approval]]) -> Approval:
        """Call until the service can be reached; each call means the same however often made."""
        while True:
            try:
                approval = await call()
            except Unreachable as error:
                self._tell(step, f"暂时联系不上审批服务，正在重试：{error}")
                await self._sleep(min(max(PAUSE_S, error.retry_after_s), LONGEST_S))
            else:
                step.note = "" if step.state == "waiting" else step.note
                return approval

    def _tell(self, step: Step, note: str) -> None:
        step.note = note
        self.changes.bump()
