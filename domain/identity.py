"""Names: of an approval, of its stream, of a person. Fixed for ever, because they are stored."""

import re
from datetime import datetime
from uuid import UUID, uuid5

# Never change it: every approval_id that was ever given out follows from it.
NAMESPACE = UUID("6f1c9c55-6a3e-4f0e-9d2b-7f7a2f1f5a10")

OBJ_ID = re.compile(r"[A-Za-z0-9_:-]{1,64}", re.ASCII)
USERID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-@.]{0,63}", re.ASCII)
# A member of a linked corp answers as CorpId/userid (wecom-protocol 2).
SENDER = re.compile(r"(?:[A-Za-z0-9_\-]{1,64}/)?[A-Za-z0-9][A-Za-z0-9_\-@.]{0,63}", re.ASCII)

APPROVAL_STREAM = "approval-"
AUDIT_STREAM = "audit-"


def reply_id(obj_id: str, run: int) -> str:
    """What an approver types: `12345_2` for run 1, `12345_2.3` for run 3. No obj_id has a dot."""
    return obj_id if run == 1 else f"{obj_id}.{run}"


def approval_stream(reply: str) -> str:
    """The stream of an approval: natural, so that asking twice meets the same one."""
    return APPROVAL_STREAM + reply


def approval_id(stream: str) -> str:
    """The uuid by which programs and pages name an approval."""
    return str(uuid5(NAMESPACE, stream))


def inbox_stream(userid: str, at: datetime) -> str:
    """The stream of a member's replies that name no approval, one for each UTC day."""
    return f"inbox-{same_person(userid)}-{at:%Y-%m-%d}"


def audit_stream(who: str, at: datetime) -> str:
    """The stream of what somebody did with the history, one for each UTC day."""
    return f"{AUDIT_STREAM}{same_person(who)}-{at:%Y-%m-%d}"


def same_person(userid: str) -> str:
    """The form in which userids are compared: WeCom ignores their case (wecom-protocol 8.3)."""
    return userid.casefold()


def may_be_member(name: str | None) -> bool:
    """Whether a name could be the userid of somebody; who asks may also be a program."""
    return name is not None and USERID.fullmatch(name) is not None and name.casefold() != "sys"


def merged(userids: list[str]) -> list[str]:
    """Without doubles, the first spelling of each kept."""
    people: dict[str, str] = {}
    for userid in userids:
        people.setdefault(same_person(userid), userid)
    return list(people.values())
