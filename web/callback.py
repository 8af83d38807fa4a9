"""WeCom's callback: URL verification, and what members write, tap and do (contract 5)."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

import structlog
from aiohttp import web

from adapters.store.writer import Overloaded, StoreUnavailable
from adapters.wecom import events, replies
from adapters.wecom.crypto import NotGenuine
from adapters.wecom.envelope import open_echo, open_post
from adapters.wecom.events import Meaning
from adapters.wecom.inbound import Event, NotUnderstood, OtherMessage, TextMessage, parse
from domain.approval import Approval
from domain.commands import Greet, RecordLeaving, Reply
from domain.errors import Refusal
from domain.identity import SENDER
from web import keys
from web.tally import CallbackKind

routes = web.RouteTableDef()
log = structlog.get_logger()

# WeCom gives up after five seconds and sends again (wecom-protocol 1.8).
WRITER_WITHIN_S = 4.5
TRY_AGAIN_EVERY_S = 0.25

NO_EFFECT = "callback without effect"

Message = TextMessage | OtherMessage | Event
CallbackCommand = Reply | Greet | RecordLeaving


@routes.get("/wechat/entry/")
async def verify(request: web.Request) -> web.Response:
    """URL verification: the bare text, decrypted. Source: wecom-protocol 1.5."""
    query = request.query
    try:
        echo = open_echo(
            request.app[keys.CALLBACK_CRYPTO],
            query["msg_signature"],
            query["timestamp"],
            query["nonce"],
            query["echostr"],
        )
    except (KeyError, NotGenuine) as error:
        request.app[keys.TALLY].callbacks("verification", "not-genuine")
        _turn_away(error)
    request.app[keys.TALLY].callbacks("verification", "taken")
    return web.Response(body=echo, content_type="text/plain", charset="utf-8")


@routes.post("/wechat/entry/")
async def receive(request: web.Request) -> web.Response:
    """
    Take one callback.

    4xx to what is not genuine; 200 and nothing else to what is, repeats included; no answer at
    all to what could not be stored, because WeCom repeats that. Source: wecom-protocol 1.6-1.8.
    """
    counted = request.app[keys.TALLY].callbacks
    inner = await _open(request)
    received_at = request.app[keys.CLOCK]()
    if request.app[keys.SETTINGS].callback_is_public_knowledge:
        log.error(
            "callback ignored: Token or EncodingAESKey is the public default; "
            "set FTA_APPROVAL_WECOM_TOKEN and FTA_APPROVAL_WECOM_ENCODING_AES_KEY"
        )
        counted("unread", "ignored")
        return web.Response()
    command = _command_in(request, inner, received_at)
    if command is None:
        counted("other", "ignored")
        return web.Response()
    kind: CallbackKind = "text" if isinstance(command, Reply) else "event"
    quota = request.app[keys.REPLY_QUOTA]
    if not quota.allows(command.by, received_at):
        counted(kind, "not-kept")
        log.warning("reply not kept: more than 60 a minute", member=command.by)
        return web.Response()
    if not await _is_stored(request, command):
        quota.give_back(command.by, received_at)
        counted(kind, "not-stored")
        _leave_unanswered(request)
        return web.Response()
    counted(kind, "taken")
    return web.Response()


async def _open(request: web.Request) -> bytes:
    """Size, signature, cipher, receiver: whatever is wrong is turned away without a word."""
    query = request.query
    try:
        return open_post(
            request.app[keys.CALLBACK_CRYPTO],
            await request.read(),
            query["msg_signature"],
            query["timestamp"],
            query["nonce"],
        )
    except (
        KeyError,
        NotGenuine,
        web.HTTPRequestEntityTooLarge,
        web.RequestPayloadError,
    ) as error:
        request.app[keys.TALLY].callbacks("unread", "not-genuine")
        _turn_away(error)


def _turn_away(error: Exception) -> NoReturn:
    """Scanners hit every public address: answer quickly, say nothing, do not fill the log."""
    log.debug("callback not genuine", why=getattr(error, "code", "bad-request"))
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        raise web.HTTPRequestEntityTooLarge(error.status, error.status, text="") from None
    raise web.HTTPForbidden(text="") from None


def _command_in(
    request: web.Request, inner: bytes, received_at: datetime
) -> CallbackCommand | None:
    message = _message_to_us(request, inner)
    return None if message is None else _command_of(request, message, received_at)


def _message_to_us(request: web.Request, inner: bytes) -> Message | None:
    """What it says, if it is for this application; everything else has no effect."""
    settings = request.app[keys.SETTINGS]
    try:
        message = parse(inner)
    except NotUnderstood as error:
        log.warning(NO_EFFECT, why=error.reason)
        return None
    ours = (settings.wecom_corp_id, str(settings.wecom_agent_id))
    if (message.to_user, message.agent_id) != ours:
        log.warning(NO_EFFECT, why="another application or corp")
        return None
    return message


def _command_of(
    request: web.Request, message: Message, received_at: datetime
) -> CallbackCommand | None:
    """What follows from it; None where that is nothing but a line in the log."""
    if isinstance(message, Event):
        _notice_state_of_application(request, message)
    if not SENDER.fullmatch(message.from_user) or message.from_user.casefold() == "sys":
        log.info(NO_EFFECT, why="no member sent it", kind=getattr(message, "event", "message"))
        return None
    timestamp = request.query["timestamp"]
    match message:
        case TextMessage():
            return replies.to_command(message, received_at, timestamp)
        case OtherMessage(msg_type=kind):
            command: CallbackCommand | None = events.of_other(message, received_at)
        case Event(event=kind):
            command = events.to_command(message, received_at, timestamp)
    if command is None:
        log.info(NO_EFFECT, why="nothing follows from it", kind=kind)
    return command


def _notice_state_of_application(request: web.Request, event: Event) -> None:
    """WeCom switches off an application that nobody uses: then nobody can be asked any more."""
    outside = request.app[keys.OUTSIDE]
    match events.meaning_of(event):
        case Meaning.CLOSED:
            outside.application_closed = True
            log.error("WeCom has switched the application off; switch it on in the admin site")
        case Meaning.CLOSING:
            log.warning("WeCom may switch the application off: too few use it", kind=event.event)
        case Meaning.REOPENED:
            outside.application_closed = False
            log.info("the application works again", kind=event.event)


async def _is_stored(request: web.Request, command: CallbackCommand) -> bool:
    """Whether it is on disk, whatever it decided; as long as WeCom waits, it is tried again."""
    try:
        async with asyncio.timeout(WRITER_WITHIN_S):
            await _stored(request, command)
    except TimeoutError:
        log.error("callback not stored, left unanswered")
        return False
    return True


async def _stored(request: web.Request, command: CallbackCommand) -> None:
    while True:
        try:
            outcome = await request.app[keys.WRITER].execute(command, from_callback=True)
        except Refusal:
            return  # it is kept, with why; the answer goes out by message
        except (Overloaded, StoreUnavailable):
            # If it was stored after all, the next try is recognised as a repeat.
            await asyncio.sleep(TRY_AGAIN_EVERY_S)
        else:
            if isinstance(command, RecordLeaving):
                _say_of_whom_nobody_is_left(command.by, outcome)
            return


def _say_of_whom_nobody_is_left(userid: str, approvals: Sequence[Approval]) -> None:
    for approval in approvals:
        log.error("the last approver has left", member=userid, reply_id=approval.reply_id)


def _leave_unanswered(request: web.Request) -> None:
    """A closed connection is what WeCom repeats for certain; of statuses its manuals disagree."""
    if request.transport is not None:
        request.transport.abort()
