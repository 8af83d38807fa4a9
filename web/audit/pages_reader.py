"""Who opens a page of the history, what of it is theirs, and that they did is kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from domain.commands import RecordLook, RecordSearch
from projections.search import Sought, search
from web import keys
from web.sessions import logged_in, may_audit, sees_everything

VIA = "page"
HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Reader:
    """A member before whom a page of the history lies."""

    member: str
    is_auditor: bool
    """Auditors and admins: the whole history, its proof, and a copy to take away."""
    sees_all_approvals: bool
    """So do super approvers, who are asked about every approval, without the rest."""
    are_names_hidden: bool

    @property
    def only(self) -> str | None:
        """Whose approvals are listed; None: everybody's."""
        return None if self.sees_all_approvals else self.member


async def reader_of(request: web.Request) -> Reader:
    """
    Who asks, whatever is theirs.

    Raises:
        NotLoggedIn: Nobody is.
    """
    member = await logged_in(request)
    return Reader(
        member,
        is_auditor=may_audit(request, member),
        sees_all_approvals=sees_everything(request, member),
        are_names_hidden=request.query.get("names") == HIDDEN,
    )


async def searcher_of(request: web.Request) -> Reader:
    """
    The same, if there is anything that they may find.

    Raises:
        NotLoggedIn: Nobody is.
        HTTPNotFound: Neither an auditor nor an approver of anything: the same as at an address
            that does not exist.
    """
    reader = await reader_of(request)
    if not reader.sees_all_approvals and not await _is_approver_of_something(request, reader):
        raise web.HTTPNotFound
    return reader


async def auditor_of(request: web.Request) -> Reader:
    """
    The same for what only auditors and admins see.

    Raises:
        NotLoggedIn, HTTPNotFound: As above; for super approvers and approvers too.
    """
    reader = await reader_of(request)
    if not reader.is_auditor:
        raise web.HTTPNotFound
    return reader


async def record_search(request: web.Request, reader: Reader, wanted: Mapping[str, str]) -> None:
    """
    Keep what is about to be shown; before it is.

    Args:
        wanted: What, by which filters, and from where on.

    Raises:
        Overloaded, StoreUnavailable: It could not be kept, so it may not be shown.
    """
    at = request.app[keys.CLOCK]()
    hidden = {"names": HIDDEN} if reader.are_names_hidden else {}
    command = RecordSearch(at=at, by=reader.member, via=VIA, wanted={**wanted, **hidden})
    await request.app[keys.WRITER].execute(command)


async def record_look(request: web.Request, reader: Reader, reply_id: str) -> None:
    """
    Keep which approval is about to be shown; before it is.

    Raises:
        Overloaded, StoreUnavailable: It could not be kept, so it may not be shown.
    """
    at = request.app[keys.CLOCK]()
    command = RecordLook(at=at, by=reader.member, via=VIA, reply_id=reply_id)
    await request.app[keys.WRITER].execute(command)


async def _is_approver_of_something(request: web.Request, reader: Reader) -> bool:
    reading, theirs = request.app[keys.READING], Sought(reader=reader.member)
    await reading.caught_up()
    found = await reading.of_read_models(lambda database: search(database, theirs, limit=1))
    return bool(found.reply_ids)
