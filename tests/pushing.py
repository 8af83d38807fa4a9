"""What tests of webhooks have in common: receivers, decisions to push, time that passes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from projections.webhooks import changed_after, next_turn
from tests.receiver import Receiver
from tests.service import OTHER_TOKEN, TOKEN, WITHIN_S, Service
from tests.test_sending import Pauses
from web import keys

DAY_S = 86_400.0


@dataclass
class Pushed:
    """A service that pushes, its receivers, and time in the test's hand."""

    service: Service
    sleep: Pauses
    ids: dict[str, str] = field(default_factory=dict)
    """Of each approval, by its reply id."""

    async def decides(self, obj_id: str, receiver: Receiver, path: str = "/", **asked: Any) -> None:
        """The engine asks, and cancels: a decision like any other."""
        token = asked.pop("token", TOKEN)
        approval = await self.service.ask(
            obj_id, token, callback_url=receiver.url(path), expires_in=2_000_000, **asked
        )
        self.ids[obj_id] = approval["approval_id"]
        url = f"/approvals/{approval['approval_id']}/cancel"
        status, answer = await self.service.api("POST", url, token, json={"reason": "x"})
        assert status == 200, answer

    async def settled(self) -> None:
        """Everything that is due has been tried, and that is known."""
        reading = self.service.app[keys.READING]
        async with asyncio.timeout(WITHIN_S):
            while True:
                await reading.caught_up()
                if not await reading.of_read_models(self._is_due):
                    return
                self.sleep.over()
                await asyncio.sleep(0.005)

    def _is_due(self, tables: Any) -> bool:
        destinations, _ = changed_after(tables, 0)
        turns = [next_turn(tables, one, self.service.clock()) for one in destinations]
        return any(turn is not None and turn.wait_ms == 0 for turn in turns)

    async def after(self, seconds: float) -> None:
        """So much later, at once."""
        self.service.clock.advance(seconds=seconds)
        await self.settled()

    async def passes(self, seconds: float, step_s: float = 60.0) -> None:
        """So much later, a little at a time."""
        while seconds > 0:
            await self.after(min(seconds, step_s))
            seconds -= step_s

    async def webhooks(self, query: str = "", token: str = TOKEN) -> list[Any]:
        status, body = await self.service.api("GET", f"/webhooks{query}", token)
        assert status == 200, body
        return list(body["webhooks"])

    async def redeliver(self, name: str, token: str = TOKEN) -> tuple[int, Any]:
        return await self.service.api("POST", f"/webhooks/{name}/redeliver", token)

    async def happened(self, obj_id: str) -> list[Any]:
        """What the approval's events say about pushing."""
        events = await self.service.events(self.ids[obj_id])
        return [event for event in events if event["type"].startswith("approval.webhook")]

    async def positions(self) -> list[str]:
        return [decision["id"] for decision in await self.service.decisions()]


OF_OTHER: dict[str, Any] = {"token": OTHER_TOKEN}


def names(count: int, first: int = 1) -> Sequence[str]:
    """Reply ids in the order of their number."""
    return [f"{number}_1" for number in range(first, first + count)]
