"""What a healing engine does with the approval service; docs/engines.md tells the whole way.

Ask, wait for the decision, redeem its permit, and only then act; report what came of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack
from urllib.parse import quote

import aiohttp

from adapters.engine.calls import Calls
from adapters.engine.documents import (
    Approval,
    Decision,
    Outcome,
    Permit,
    Status,
    action_digest,
)
from adapters.engine.errors import OtherApproval, StillPending, UnexpectedAnswer
from adapters.engine.exchange import Exchange, checked_token, checked_url
from adapters.engine.following import Following, Place
from adapters.engine.pauses import Patience
from adapters.engine.reading import read_approval
from adapters.engine.witness import Witness
from adapters.evidence.heads import BadHead, TreeHead, head_of

PATIENCE = Patience()
PAGE = 1000
Action = Mapping[str, Any]


class Asking(TypedDict, total=False):
    """What may be said beside what must be (contract 4.1); the service has the defaults."""

    run: int
    kind: Literal["solution", "convergence"]
    expires_in: int
    biz_id: str
    requested_by: str
    risk: Literal["low", "medium", "high"]
    action: Action
    details: Mapping[str, str]
    callback_url: str


class EngineClient:
    """
    One engine at one service; an async context manager, for any number of tasks of one loop.

    Each request is repeated by itself while the service cannot be reached, is too slow or says
    429, 500, 502, 503 or 504, because each means the same however often it arrives.

    Args:
        service_url: With the prefix: http://127.0.0.1:8000/o/bk_fta_solutions
        session: Used and left open. Without one the client has its own.
        trouble: Told what is wrong when a decision stream breaks, and None when it stands again.
        witness: Keeps the tree heads that `tree_head` brings.

    Raises (all calls):
        Unreachable: Nothing is known of it; the same call again is safe.
        Refused: Its subclasses in adapters/engine/errors.py, at once.
        UnexpectedAnswer, OtherApproval: The answer must not be used.
    """

    def __init__(
        self,
        service_url: str,
        token: str,
        *,
        session: aiohttp.ClientSession | None = None,
        patience: Patience = PATIENCE,
        trouble: Callable[[str | None], None] = lambda why: None,
        witness: Witness | None = None,
    ) -> None:
        self._service_url, self._token = checked_url(service_url), checked_token(token)
        self._session, self._own_session = session, session is None
        self._patience, self._trouble = patience, trouble
        self._witness = Witness() if witness is None else witness

    def __repr__(self) -> str:
        return f"EngineClient({self._service_url!r})"

    async def __aenter__(self) -> Self:
        if self._session is None:
            # Each wait and each follower holds a connection; none may keep a request waiting.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own_session and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    # Asking.

    async def ask(
        self, obj_id: str, message: str, approvers: Sequence[str], **more: Unpack[Asking]
    ) -> Approval:
        """
        Ask for an approval of one run; the same request again is the same approval, at any state.

        Raises:
            ConflictingRequest: This run is taken; ask the next one, and people decide anew.
            ValueError: The action is no JSON that two programs read alike.
        """
        if isinstance(approvers, str):
            raise TypeError("approvers is a list of userids")
        digest = action_digest(more.get("action"))
        asked = {"obj_id": obj_id, "message": message, "approvers": list(approvers), **more}
        found = read_approval(await self._call("POST", "/approvals", asked))
        _same((obj_id, more.get("run", 1), digest), found)
        return found

    async def look(self, approval: Approval | str) -> Approval:
        """The approval as it is now, by itself or by its id. It carries no permit."""
        return await self._about(approval, "GET")

    async def find(
        self,
        obj_id: str,
        *,
        run: int | None = None,
        status: Status | None = None,
        biz_id: str | None = None,
    ) -> list[Approval]:
        """What this engine asked for an obj_id, in the order in which it was asked."""
        wanted = {"obj_id": obj_id, "run": run, "status": status, "biz_id": biz_id, "limit": PAGE}
        params = {name: str(value) for name, value in wanted.items() if value is not None}
        found: list[Approval] = []
        while True:
            page = await self._call("GET", "/approvals", params=params)
            if not isinstance(page, dict) or not isinstance(page.get("approvals"), list):
                raise UnexpectedAnswer("the answer is no list of approvals")
            found += [read_approval(one) for one in page["approvals"]]
            if any(one.obj_id != obj_id for one in found):
                raise OtherApproval(f"asked for {obj_id}, answered with another")
            if page.get("next") is None:
                return found
            params["after"] = str(page["next"])

    async def cancel(self, approval: Approval | str, reason: str) -> Approval:
        """
        End the wait; again: the same answer.

        Raises:
            AlreadyDecided: It ended otherwise before.
        """
        return await self._about(approval, "POST", "/cancel", {"reason": reason})

    # Hearing of the decision.

    async def wait(self, approval: Approval | str, timeout: float | None = None) -> Approval:
        """
        The approval as it was when it ended, with its permit if it was approved.

        Each wait reads the stream over a connection of its own, from the request on. An engine
        with many runs follows `decisions` once instead.

        Raises:
            StillPending: After `timeout` seconds; nothing is decided by that.
            FeedChanged: The service was restored meanwhile; `look` says what became of it.
        """
        asked = approval if isinstance(approval, Approval) else await self.look(approval)
        try:
            async with (
                asyncio.timeout(timeout),
                aclosing(self.decisions(after=asked.number)) as decisions,
            ):
                async for decision in decisions:
                    if decision.approval.approval_id == asked.approval_id:
                        return decision.approval.must_be(asked.identity)
        except TimeoutError:
            pass
        raise StillPending(asked.reply_id)

    def decisions(
        self, after: int = 0, feed_id: str | None = None
    ) -> AsyncGenerator[Decision, None]:
        """
        Every decision after a position, for ever: each once, in order, none missing.

        However often the connection breaks or the service is killed and started again, it goes on
        where it was. Keep the position (and its `feed_id`) in one transaction with what was done
        about the decision: then that holds across ends of this process as well. Close it with
        `contextlib.aclosing` where it is left before its end.

        Raises:
            FeedChanged: The service has another feed than that of the position, or of `feed_id`.
                Nothing of it was given, and nothing begins anew by itself.
            Refused: The token has ended, for instance.
            UnexpectedAnswer: A decision that cannot be read; it is neither skipped nor counted.
        """
        if after < 0:
            raise ValueError("a position is never negative")
        following = Following(self._exchange(), self._patience, self._trouble)
        return following.decisions(Place(after, feed_id))

    async def tree_head(self) -> TreeHead | None:
        """
        The newest signed head of the service's history, kept by the witness; None before the first.

        Ask for it now and then: what it covers nobody can alter unnoticed any more.

        Raises:
            LogWentBack: The history is not the one that was shown before.
        """
        page = await self._call("GET", "/decisions", params={"limit": "1"})
        if not isinstance(page, dict) or page.get("tree_head") is None:
            return None  # an older service has none
        try:
            head = head_of(page["tree_head"])
        except BadHead as error:
            raise UnexpectedAnswer(f"the tree head cannot be used: {error}") from None
        await asyncio.to_thread(self._witness.see, head)
        return head

    # Acting.

    async def redeem(self, permit: Permit, action: Action | None, attempt: str) -> Approval:
        """
        Use the permit, before anything is done; only after this has returned may it be done.

        Args:
            action: What is about to be done, exactly as it was asked.
            attempt: 1-64 characters that name this execution, kept before the call: the same one
                again is answered alike, another one is refused. So that two workers, or one that
                was killed and started again, never do it twice.

        Raises:
            AlreadyRedeemed, PermitExpired, BadPermit, ActionDiffers, Revoked, Frozen
        """
        digest = action_digest(action)
        body = {"permit": permit.text, "action": action, "attempt": attempt}
        found = read_approval(await self._call("POST", "/permits/redeem", body)).must_be(permit.of)
        _same((permit.of.obj_id, permit.of.run, digest), found)
        if found.status is not Status.APPROVED:
            raise OtherApproval(f"{found.reply_id} was redeemed and is {found.status}")
        return found

    async def report(
        self, approval: Approval | str, outcome: Outcome | str, detail: str = ""
    ) -> Approval:
        """
        Say what came of it: `succeeded`, `failed` or `skipped`. The same again is the same.

        Raises:
            NotApproved, OutcomeDiffers
        """
        body = {"outcome": Outcome(outcome).value, "detail": detail}
        return await self._about(approval, "POST", "/outcome", body)

    # Inside.

    async def _about(
        self,
        approval: Approval | str,
        method: str,
        what: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> Approval:
        """One approval: the answer is about that one, or is not used."""
        asked = approval.approval_id if isinstance(approval, Approval) else approval
        path = f"/approvals/{quote(asked, safe='')}{what}"
        found = read_approval(await self._call(method, path, body))
        if isinstance(approval, Approval):
            return found.must_be(approval.identity)
        if found.approval_id != asked:
            raise OtherApproval(f"asked about {asked}, answered with {found.approval_id}")
        return found

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        calls = Calls(self._exchange(), self._patience)
        return await calls.call(method, path, body, params)

    def _exchange(self) -> Exchange:
        if self._session is None:
            raise RuntimeError("use it as `async with EngineClient(...) as client`")
        return Exchange(self._service_url, self._token, self._session)


def _same(asked: tuple[str, int, str | None], found: Approval) -> None:
    answered = (found.obj_id, found.run, found.action_digest)
    if answered != asked:
        raise OtherApproval(f"asked about {asked}, answered with {answered}")
