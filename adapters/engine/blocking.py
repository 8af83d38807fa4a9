"""The same client for scripts: plain calls that wait, and a plain iterator of decisions."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from adapters.engine.client import PATIENCE, Action, Asking, EngineClient
from adapters.engine.documents import Approval, Decision, Outcome, Permit, Status
from adapters.engine.errors import Unreachable
from adapters.engine.pauses import Patience
from adapters.engine.witness import Witness
from adapters.evidence.heads import TreeHead

T = TypeVar("T")


class BlockingEngineClient:
    """
    `EngineClient` behind a thread of its own, for any number of threads; a context manager.

    What the calls mean and raise stands there. Ctrl-C ends the call that waits, and its request.
    """

    def __init__(
        self,
        service_url: str,
        token: str,
        *,
        patience: Patience = PATIENCE,
        witness: Witness | None = None,
    ) -> None:
        self._client = EngineClient(service_url, token, patience=patience, witness=witness)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Blocking{self._client!r}"

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("it is open already")
        started = threading.Event()
        # A daemon: a script that ends without closing it is not held up.
        self._thread = threading.Thread(
            target=self._work, args=(started,), name="engine-client", daemon=True
        )
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it; calls that other threads wait in end as `Unreachable`. Again: nothing."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def ask(
        self, obj_id: str, message: str, approvers: Sequence[str], **more: Unpack[Asking]
    ) -> Approval:
        return self._run(self._client.ask(obj_id, message, approvers, **more))

    def look(self, approval: Approval | str) -> Approval:
        return self._run(self._client.look(approval))

    def find(
        self,
        obj_id: str,
        *,
        run: int | None = None,
        status: Status | None = None,
        biz_id: str | None = None,
    ) -> list[Approval]:
        return self._run(self._client.find(obj_id, run=run, status=status, biz_id=biz_id))

    def cancel(self, approval: Approval | str, reason: str) -> Approval:
        return self._run(self._client.cancel(approval, reason))

    def wait(self, approval: Approval | str, timeout: float | None = None) -> Approval:
        return self._run(self._client.wait(approval, timeout))

    def tree_head(self) -> TreeHead | None:
        return self._run(self._client.tree_head())

    def redeem(self, permit: Permit, action: Action | None, attempt: str) -> Approval:
        return self._run(self._client.redeem(permit, action, attempt))

    def report(
        self, approval: Approval | str, outcome: Outcome | str, detail: str = ""
    ) -> Approval:
        return self._run(self._client.report(approval, outcome, detail))

    def decisions(
        self, after: int = 0, feed_id: str | None = None
    ) -> Generator[Decision, None, None]:
        """Every decision after a position; each `next` waits for one. Leaving it closes it."""
        reading = Reading(self._client.decisions(after, feed_id))
        try:
            while True:
                yield self._run(reading.next())
        finally:
            if self._loop is not None:
                self._run(reading.close())

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                call.close()
                raise RuntimeError("use it as `with BlockingEngineClient(...) as client`")
            waited = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return waited.result()
        except CancelledError:
            raise Unreachable("the client was closed while it waited") from None
        except BaseException:
            waited.cancel()
            raise

    def _work(self, started: threading.Event) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            runner.run(self._client.__aenter__())
            self._loop = loop
            loop.call_soon(started.set)
            loop.run_forever()
            runner.run(self._end())

    async def _end(self) -> None:
        """Whoever still waits for an answer hears that it was cancelled."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.__aexit__(None, None, None)


class Reading:
    """One reader of the feed. Closing waits for a step that was interrupted to have ended."""

    def __init__(self, decisions: AsyncGenerator[Decision, None]) -> None:
        self._decisions = decisions
        self._one_at_a_time = asyncio.Lock()

    async def next(self) -> Decision:
        async with self._one_at_a_time:
            return await anext(self._decisions)

    async def close(self) -> None:
        async with self._one_at_a_time:
            await self._decisions.aclose()
