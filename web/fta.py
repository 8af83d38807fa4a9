"""FTA's old API: `POST /wechat/create_approve/`, always HTTP 200 (contract 5)."""

from typing import Any

import structlog
from aiohttp import web
from pydantic import ValidationError

from domain.commands import RequestNextRun
from domain.errors import Refusal
from web import keys
from web.ask import ApprovalRequest, printable, strict_json
from web.errors import BUSY
from web.json_answers import json_answer

log = structlog.get_logger()

REQUIRED = ("message", "verifier", "obj_id")
FAILED = "创建审批单异常"


class Failed(Exception):
    """The old API says no; `why` is its word for it."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


async def create_approve(request: web.Request) -> web.Response:
    """Ask as FTA's engine does. The checks and their order are the old system's."""
    try:
        engine = _engine(request)
        fields = _required(await _read(request))
        command = _command(fields, engine, request)
        approval = await request.app[keys.WRITER].execute(command)
    except Failed as failed:
        return json_answer({"result": False, "message": failed.why})
    except (Refusal, ValidationError, web.HTTPRequestEntityTooLarge, *BUSY) as error:
        log.warning("create_approve refused", why=_reason(error))
        return json_answer({"result": False, "message": FAILED})
    except Exception:
        # FTA reads nothing but its own JSON.
        log.exception("create_approve failed")
        return json_answer({"result": False, "message": FAILED})
    data = {"approve_id": approval.number}
    return json_answer({"result": True, "message": "创建审批单成功", "data": data})


def _engine(request: web.Request) -> str:
    """By one of the tokens of the engine API, in the same bucket: one limit for each token."""
    holder = request.app[keys.ENGINES].holder(request.headers.get("TOKEN"))
    if holder is None:
        raise Failed("token不正确")
    request[keys.ENGINE] = holder.engine
    if request.app[keys.RATE_LIMIT].wait_s(holder.token):
        log.warning("create_approve refused", why="too many requests", engine=holder.engine)
        raise Failed(FAILED)
    return holder.engine


async def _read(request: web.Request) -> Any:
    try:
        return strict_json(await request.read())
    except (ValueError, web.RequestPayloadError):
        raise Failed("POST不是合法JSON") from None


def _required(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        log.warning("create_approve refused", why="the body is no JSON object")
        raise Failed(FAILED)
    for name in REQUIRED:
        if not body.get(name):
            raise Failed(f"字段【{name}】不能为空")
    return body


def _command(fields: dict[str, Any], engine: str, request: web.Request) -> RequestNextRun:
    """The same limits as for the engine API; what FTA sends besides is ignored."""
    verifier = fields["verifier"]
    checked = ApprovalRequest.model_validate(
        {
            "obj_id": fields["obj_id"],
            "message": fields["message"],
            "approvers": _split(verifier) if isinstance(verifier, str) else None,
            "callback_url": fields.get("callback_url") or None,
        }
    )
    return RequestNextRun(
        at=request.app[keys.CLOCK](),
        engine=engine,
        obj_id=checked.obj_id,
        message=checked.message,
        approvers=checked.approvers,
        callback_url=checked.callback_url,
    )


def _split(verifier: str) -> list[str]:
    return [part.strip() for part in verifier.split(",") if part.strip()]


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return printable("; ".join(f"{e['loc']}: {e['msg']}" for e in error.errors()))
    return str(error) or type(error).__name__
