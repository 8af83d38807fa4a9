"""Permits over HTTP: their public keys, redeeming one, and what became of the action (contract
4.5)."""

import asyncio

from aiohttp import web

from domain.commands import Redeem, ReportOutcome
from domain.decision import Outcome
from projections.document import document
from web import keys
from web.api import approval_of
from web.ask import OutcomeRequest, RedeemRequest, canonical, digest, read_body
from web.json_answers import json_answer

routes = web.RouteTableDef()

KEYS_ARE_GOOD_FOR_S = 300


@routes.get("/permits/keys")
async def public_keys(request: web.Request) -> web.Response:
    """The public keys (JWKS), for who wants to check a permit before it is redeemed."""
    found = await asyncio.to_thread(request.app[keys.PERMITS].public_keys)
    headers = {"Cache-Control": f"public, max-age={KEYS_ARE_GOOD_FOR_S}"}
    return json_answer({"keys": found}, headers=headers)


@routes.post("/permits/redeem")
async def redeem(request: web.Request) -> web.Response:
    """May the engine act now? Once; the same attempt may ask again."""
    asked = await read_body(request, RedeemRequest)
    claims = await asyncio.to_thread(request.app[keys.PERMITS].claims, asked.permit)
    command = Redeem(
        at=request.app[keys.CLOCK](),
        engine=request[keys.ENGINE],
        reply_id=str(claims.get("sub")),
        permit=claims,
        attempt=asked.attempt,
        action_digest=None if asked.action is None else digest(canonical(asked.action)),
    )
    return json_answer(document(await request.app[keys.WRITER].execute(command)))


@routes.post("/approvals/{approval_id}/outcome")
async def report_outcome(request: web.Request) -> web.Response:
    """What became of the action; the same again: the same answer."""
    said = await read_body(request, OutcomeRequest)
    approval = await approval_of(request)
    command = ReportOutcome(
        at=request.app[keys.CLOCK](),
        engine=request[keys.ENGINE],
        reply_id=approval.reply_id,
        outcome=Outcome(said.outcome),
        detail=said.detail or None,
    )
    return json_answer(document(await request.app[keys.WRITER].execute(command)))
