# -*- coding: utf-8 -*-
"""
FTA's wechat.py on fta-approval: takes the place of server/project/utils/wechat.py.

Python 2.7 and 3, standard library only. manager/solution/notice.py needs one line, so that the
engine reads decisions from here and no longer from its old table (docs/migrating-from-fta.md):

    from project.utils.wechat import get_approve_result, wechat_approve

Settings, from the environment of the engine:

FTA_APPROVAL_ADDRESS      the service with its prefix, http://127.0.0.1:8000/o/bk_fta_solutions
FTA_APPROVAL_TOKEN        one of its API tokens (without the name and the colon before it)
FTA_APPROVAL_NOTES        a folder that every process of the engine can write, and keeps
                          (~/.fta-approval): which run of which node was asked by whom
FTA_APPROVAL_EXPIRES_IN   seconds for which approvers may answer (1200). FTA itself waits half of an
                          alarm definition's timeout
FTA_APPROVAL_TIMEOUT      seconds for each request to the service (5)
FTA_APPROVAL_CA_FILE      PEM: trusted instead of the system's authorities
FTA_APPROVAL_USERIDS      a JSON file, {"name in BlueKing": "userid in WeCom"}; a name that is not
                          in it is its own userid

What it promises. An approval holds for the run that was asked and no other. It is handed to one
execution: whatever polls, the service lets one of them redeem its permit. Where it cannot be known
which execution polls, or whether the service said something, there is no decision.
"""

import collections
import json
import logging
import os
import re
import sys
import time
import uuid

try:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener
except ImportError:  # Python 2.7
    from httplib import HTTPException
    from urllib2 import HTTPError, HTTPRedirectHandler, ProxyHandler, Request, build_opener

ADDRESS = os.environ.get("FTA_APPROVAL_ADDRESS", "http://127.0.0.1:8000/o/bk_fta_solutions")
TOKEN = os.environ.get("FTA_APPROVAL_TOKEN", u"")
NOTES = os.environ.get("FTA_APPROVAL_NOTES") or os.path.join(
    os.path.expanduser("~"), ".fta-approval"
)
EXPIRES_IN = int(os.environ.get("FTA_APPROVAL_EXPIRES_IN", "1200"))
TIMEOUT_S = float(os.environ.get("FTA_APPROVAL_TIMEOUT", "5"))
CA_FILE = os.environ.get("FTA_APPROVAL_CA_FILE") or None
USERIDS = os.environ.get("FTA_APPROVAL_USERIDS") or None

BUSY = (429, 502, 503, 504)
TRIES = 3
PAUSE_S = 1.0
# An execution that lives polls at least every 60 s (FTA's own steps). One that has neither asked
# nor polled for three times as long, and was not told the end, is taken to be dead.
LISTENS_S = 180
# How long a dead execution is still reckoned with: FTA keeps what it will poll with for 14 days.
REMEMBERED_S = 14 * 86400
MOST_BYTES = 8 * 1024 * 1024

OBJ_ID = re.compile(r"[A-Za-z0-9_:-]{1,64}\Z")
NOTE = re.compile(r"([0-9]{1,16})\.([0-9a-f]{32})\.(asking|asked)\Z")
SYSTEM = u"系统"
REASONS = {
    "approved": u"同意（微信审批）",
    "rejected": u"驳回（微信审批）",
    "expired": u"审批超时",
    "cancelled": u"审批已撤销",
    "revoked": u"同意已被撤销",
    # These two were approved, and that is no longer, or not for this execution, worth anything.
    "too-late": u"审批已同意，但许可已失效，请重试",
    "used": u"审批已用于另一次执行，请重试",
}
# What mechanism A writes between brackets where nobody wrote anything (FTA's own words).
PRESSED = {
    "approved": u"准许执行自愈套餐-（%s）微信操作",
    "rejected": u"拒绝执行-（%s）微信操作",
}
WITHOUT_A_PERSON = {
    "expired": u"超时",
    "cancelled": u"已撤销",
    "revoked": u"同意已被撤销",
    "too-late": u"许可已失效",
    "used": u"已用于另一次执行",
}

log = logging.getLogger("solution")  # FTA's own
_text_type = type(u"")

Asked = collections.namedtuple("Asked", "obj_id run reply_id approval_id number")
Outcome = collections.namedtuple("Outcome", "status failure_type words")
_Note = collections.namedtuple("_Note", "run attempt is_asked path")


class ApproveError(Exception):
    u"""Nobody was asked, or the service says no. FTA's callers end the node by 发送审批失败."""

    def __init__(self, why):
        Exception.__init__(self, why)
        self.why = why

    def __str__(self):
        return _native(self.why)

    def __unicode__(self):
        return self.why


class Unknown(ApproveError):
    """The service gave no answer: what was asked for may have happened or not."""


class ApproveResult(tuple):
    """
    `status, result`, as FTA's callers unpack it, and FTA's row by attributes.

    `status` is None while nothing is decided, else `success` or `failure` as `set_finished` takes
    it; `result` has `obj_id`, `approval` (1, 0 or None) and `reason`. It is false while nothing is
    decided. `state` is the approval's status, or `too-late` or `used`; `words` are the member's.
    """

    def __new__(cls, row, state=None, words=u""):
        status = None if state is None else ("success" if row["approval"] else "failure")
        made = tuple.__new__(cls, (status, row))
        made.state, made.words = state, words
        made.status, made.result = status, row
        for name in ("obj_id", "alarm_id", "node_idx", "approval", "reason", "approver"):
            setattr(made, name, row.get(name))
        return made

    def __bool__(self):
        return self.status is not None

    __nonzero__ = __bool__


# What FTA calls.


def wechat_approve(obj_id, verifier, message, callback_url=None, run=None, **more):
    u"""
    Ask the approvers to allow one execution of a node.

    Call it once for each execution. While the last approval of `obj_id` waits, the same request is
    that approval; once it has ended, the next run is asked.

    Args:
        obj_id: `{alarm instance id}_{node index}`.
        verifier: Names separated by commas, or a list of them.
        run: Which execution asks, where the caller knows; then it polls by the same number.
        more: Further fields of `POST /api/v1/approvals`: kind, details, risk, expires_in …

    Raises:
        ApproveError: Nobody is asked now: no approvers, a refusal, another message waits for an
            answer, an earlier execution may still be listening, or the service does not answer.
    """
    try:
        _refuse_old_table()
        return _Asking(_body(obj_id, verifier, message, callback_url, more), run).ask()
    # The notes, the table of userids, bad bytes; an answer that is none of the service's.
    except (EnvironmentError, ValueError, LookupError, TypeError) as error:
        raise ApproveError(_said(error))


def get_approve_result(alarm_id, node_idx, run=None):
    """
    What became of the approval that was asked last for this node, as FTA polls for it.

    It never raises: where anything is in doubt nothing is decided, and the log says why. An
    approval is redeemed first; the same execution that polls again gets the same answer, any other
    execution does not get it.
    """
    obj_id = u"%s_%s" % (_text(alarm_id), _text(node_idx))
    try:
        found = _Polling(obj_id, run).look()
    except Exception as error:  # the engine polls again; a crash here would end the node
        log.warning("$%s no decision: %s", _native(obj_id), _native(_said(error)))
        found = None
    state, approval = found or (None, {})
    words = approval.get("reason") or u""
    row = {
        "obj_id": None if state is None else u"%s-%s" % (approval["number"], obj_id),
        "alarm_id": alarm_id,
        "node_idx": node_idx,
        "approval": None if state is None else int(state == "approved"),
        "reason": None if state is None else _reason(state, words),
        "approver": None if state is None else _person(approval) or SYSTEM,
    }
    return ApproveResult(row, state, words)


def outcome(mechanism, result, ip=u""):
    """
    How a node ends, by FTA's words: status, failure_type (None: FTA's own default), words.

    None while nothing is decided.

    Args:
        mechanism: `waiting` (A), `notice` or `get_bak_ip` (B).
        result: What `get_approve_result` answered, or an ApproveError of `wechat_approve`.
        ip: The host that `get_bak_ip` has found.
    """
    if mechanism not in ("waiting", "notice", "get_bak_ip"):
        raise ValueError("no mechanism of FTA: %r" % (mechanism,))
    if isinstance(result, ApproveError):
        return Outcome("failure", "user_code_failure", u"发送审批失败")
    if not result:
        return None
    late = "timeout" if result.state == "expired" else None
    if mechanism == "waiting":
        status = "success" if result.approval else "skipped"
        return Outcome(status, late, _words_of_waiting(result))
    if result.approval and mechanism == "get_bak_ip":
        return Outcome("success", None, u"成功获取备机%s" % _text(ip))
    return Outcome(result.status, late, result.reason)


def report_outcome(alarm_id, node_idx, outcome, detail=u"", run=None):
    """
    Tell the service, and by it the approvers, what came of the action that they allowed.

    The same again changes nothing.

    Args:
        outcome: `succeeded`, `failed` or `skipped`.

    Raises:
        ApproveError: It was not approved, another outcome was reported, nobody answered.
    """
    obj_id = u"%s_%s" % (_text(alarm_id), _text(node_idx))
    approval = _Polling(obj_id, run).approval()
    if approval is None:
        raise ApproveError(u"no run of %s was asked from here" % obj_id)
    body = {"outcome": _text(outcome), "detail": _text(detail)}
    status, answer = _call("POST", "/approvals/%s/outcome" % approval["approval_id"], body)
    if status != 200:
        raise _refusal(status, answer)


# Asking.


class _Asking(object):
    def __init__(self, body, run):
        self.body, self.run = body, run
        self.obj_id = body["obj_id"]
        self.notes = _Notes(self.obj_id)
        self.is_doubtful = False

    def ask(self):
        last = _last(self.obj_id)
        self.body["run"] = self.run or self._next_run(last)
        # Before the request: whoever else asks meanwhile sees that this one does.
        note = self.notes.begin(self.body["run"])
        try:
            approval = self._post()
            self._expect_fresh(approval, last, note)
        except Exception:  # this execution ends here, and will not poll
            self.notes.forget(note)
            raise
        self.notes.confirm(note, approval["number"])
        names = ("obj_id", "run", "reply_id", "approval_id", "number")
        return Asked(*[approval[name] for name in names])

    def _next_run(self, last):
        if last is not None and last["status"] == "pending":
            return last["run"]
        highest = last["run"] if last else 0
        if self.notes.may_listen(highest):
            raise ApproveError(
                u"上一次执行可能还在等待 %s 的审批结果，未发起新的审批，请 %d 秒后重试"
                % (self.obj_id, LISTENS_S)
            )
        return max(highest, self.notes.newest() or 0) + 1

    def _post(self):
        """The same request until it is answered: the service knows it again."""
        status, answer, self.is_doubtful = _call_patiently("POST", "/approvals", self.body)
        if status not in (200, 201):
            raise _refusal(status, answer)
        return answer

    def _expect_fresh(self, approval, last, note):
        """A decision that is there already was given to somebody else, unless only the answer to
        our own request was lost."""
        if approval["status"] == "pending" or self.run:
            return
        was_there = last is not None and last["run"] == approval["run"]
        alone = [other.attempt for other in self.notes.of(approval["run"])] == [note.attempt]
        if was_there or not self.is_doubtful or not alone:
            raise ApproveError(u"%s 的审批刚刚结束，未发起新的审批，请重试" % approval["reply_id"])


def _body(obj_id, verifier, message, callback_url, more):
    obj_id = _text(obj_id)
    if not OBJ_ID.match(obj_id):
        raise ApproveError(u"obj_id must be 1-64 of A-Z a-z 0-9 _ : -")
    approvers = _approvers(verifier)
    if not approvers:
        raise ApproveError(u"%s 没有审批人" % obj_id)
    body = {"obj_id": obj_id, "message": _text(message), "approvers": approvers}
    body["expires_in"] = EXPIRES_IN
    if callback_url:
        body["callback_url"] = _text(callback_url)
    body.update((name, _text_in(value)) for name, value in more.items() if value is not None)
    return body


def _approvers(verifier):
    if isinstance(verifier, (bytes, _text_type)):
        verifier = _text(verifier).split(u",")
    names = [_text(name).strip() for name in verifier or ()]
    known = {}
    if USERIDS:
        with open(USERIDS, "rb") as file:
            known = json.loads(file.read().decode("utf-8"))
    return [known.get(name, name) for name in names if name]


def _last(obj_id):
    """The approval of the highest run that the service knows of, or None."""
    last, after = None, 0
    while after is not None:
        path = "/approvals?obj_id=%s&limit=1000&after=%s" % (obj_id, after)
        status, answer, _ = _call_patiently("GET", path)
        if status != 200:
            raise _refusal(status, answer)
        for approval in answer["approvals"]:
            if last is None or approval["run"] > last["run"]:
                last = approval
        after = answer["next"]
    return last


def _refuse_old_table():
    """An engine that reads its old table would take an old decision for a new one."""
    notice = sys.modules.get("manager.solution.notice")
    reads = getattr(notice, "get_approve_result", get_approve_result)
    if reads.__module__ != __name__:
        raise ApproveError(
            u"manager/solution/notice.py 仍在读取旧的审批结果表，"
            u"请改为 from project.utils.wechat import get_approve_result, wechat_approve"
        )


# Polling.


class _Polling(object):
    def __init__(self, obj_id, run):
        if not OBJ_ID.match(obj_id):
            raise ApproveError(u"%s is no obj_id" % obj_id)
        self.obj_id, self.is_named = obj_id, run is not None
        self.notes = _Notes(obj_id)
        self.run = run if self.is_named else self.notes.newest()

    def look(self):
        """State and approval once it has ended for this execution, else None."""
        if self.run is None:
            log.info("$%s no decision: nobody was asked from here", self.obj_id)
            return None
        self.notes.touch(self.run)
        alone = self.is_named or self.notes.is_alone(self.run)
        attempt = self._attempt(alone)
        approval = self.approval()
        if approval is None or approval["status"] == "pending":
            return None
        state = approval["status"]
        if state == "approved":
            state = _redeem(approval, attempt)
        if state is not None and alone:
            self.notes.tell(self.run)
        return state and (state, approval)

    def approval(self):
        """The approval of this run, if it is the very one that was asked."""
        if self.run is None:
            return None
        path = "/approvals?obj_id=%s&run=%d" % (self.obj_id, self.run)
        status, answer = _call("GET", path)
        if status != 200:
            raise _refusal(status, answer)
        number = self.notes.number(self.run)
        fits = [one for one in answer["approvals"] if number in (None, one["number"])]
        if not fits:
            log.warning("$%s run %s: not the approval that was asked", self.obj_id, self.run)
        return fits[0] if fits else None

    def _attempt(self, alone):
        """
        The name under which the permit is redeemed.

        The same for the same execution. Where more than one may be polling each poll gets a name
        of its own, so that one poll at most is told.
        """
        if self.is_named:
            return str(uuid.uuid5(uuid.NAMESPACE_OID, str("%s.%d" % (self.obj_id, self.run))))
        return self.notes.of(self.run)[0].attempt if alone else uuid.uuid4().hex


def _redeem(approval, attempt):
    """`approved` for this attempt, `used`, `too-late` or `revoked`; an error while nobody knows."""
    body = {"permit": _permit(approval), "action": None, "attempt": attempt}
    status, answer = _call("POST", "/permits/redeem", body)
    if status == 200:
        return "approved"
    ends = {"already-redeemed": "used", "permit-expired": "too-late", "revoked": "revoked"}
    state = ends.get(answer.get("code"))
    if state is None:
        raise _refusal(status, answer)
    return state


def _permit(approval):
    """It stands in the decision, whose position is that of the approval's event."""
    status, answer = _call("GET", "/approvals/%s/events" % approval["approval_id"])
    if status != 200:
        raise _refusal(status, answer)
    positions = [e["position"] for e in answer["events"] if e["type"] == "approval.approved"]
    if len(positions) != 1:
        raise ApproveError(u"%s has no decision in its events" % approval["reply_id"])
    path = "/decisions?after=%d&limit=1" % (positions[0] - 1)
    status, answer = _call("GET", path)
    if status != 200:
        raise _refusal(status, answer)
    for decision in answer["decisions"]:
        same = decision["data"]["approval_id"] == approval["approval_id"]
        if decision["id"] == str(positions[0]) and same and decision["data"].get("permit"):
            return decision["data"]["permit"]
    raise ApproveError(u"%s: the decision carries no permit" % approval["reply_id"])


# Words.


def _reason(state, words):
    by_person = state in ("approved", "rejected", "cancelled", "revoked")
    return REASONS[state] + (u"：" + words if words and by_person else u"")


def _person(approval):
    """Who decided, if it was a person."""
    return approval.get("decided_by") if approval.get("capacity") else None


def _words_of_waiting(result):
    if result.state in PRESSED:
        verdict = u"通过" if result.approval else u"驳回"
        said = result.words or PRESSED[result.state] % result.approver
        return u"[%s]%s 了审批 [%s]" % (result.approver, verdict, said)
    return u"[%s]驳回了审批[%s]" % (SYSTEM, WITHOUT_A_PERSON[result.state])


# Notes: which run was asked, by how many executions, and which of them has heard its end.


class _Notes(object):
    """
    Files in a folder for each obj_id, each written once under a name of its own, so that no lock
    is needed: `3.{attempt}.asking`, then `.asked`; `3.told` once the end was handed over.
    """

    def __init__(self, obj_id):
        self.folder = os.path.join(NOTES, str(obj_id))

    def begin(self, run):
        if not os.path.isdir(self.folder):
            try:
                os.makedirs(self.folder, 0o700)
            except OSError:
                if not os.path.isdir(self.folder):  # another process was faster
                    raise
        attempt = uuid.uuid4().hex
        path = self._write("%d.%s.asking" % (run, attempt), {})
        return _Note(run, attempt, False, path)

    def confirm(self, note, number):
        """From here on polls are about this run."""
        self._write("%d.%s.asked" % (note.run, note.attempt), {"number": number})
        _remove(note.path)
        for other in self._all():
            is_over = self.was_told(other.run) or _age_s(other.path) > REMEMBERED_S
            if other.run < note.run and is_over:
                _remove(other.path)

    def forget(self, note):
        _remove(note.path)

    def newest(self):
        """The run that polls are about."""
        runs = [note.run for note in self._all() if note.is_asked]
        return max(runs) if runs else None

    def of(self, run):
        """One note for each execution that asked this run."""
        return list({note.attempt: note for note in self._all() if note.run == run}.values())

    def is_alone(self, run):
        """Whether only one execution can be polling."""
        earlier = [n for n in self._all() if n.run < run and not self.was_told(n.run)]
        return len(self.of(run)) == 1 and not earlier

    def may_listen(self, highest):
        """
        Whether an execution may still be polling that was not told the end.

        One that is only asking, for a run that the service has not heard of, asks the same as we.

        Args:
            highest: The highest run that the service knows of; it has ended.
        """
        return any(
            _age_s(note.path) < LISTENS_S and not self.was_told(note.run)
            for note in self._all()
            if note.is_asked or note.run <= highest
        )

    def touch(self, run):
        for note in self._all():
            if note.run == run:
                os.utime(note.path, None)

    def number(self, run):
        """The number of the approval that was asked, or None where no note says."""
        for note in self._all():
            if note.run == run and note.is_asked:
                with open(note.path, "rb") as file:
                    return json.loads(file.read().decode("utf-8"))["number"]
        return None

    def tell(self, run):
        if not self.was_told(run) and os.path.isdir(self.folder):
            self._write("%d.told" % run, {})

    def was_told(self, run):
        return os.path.exists(os.path.join(self.folder, "%d.told" % run))

    def _all(self):
        if not os.path.isdir(self.folder):
            return []
        found = [(NOTE.match(name), name) for name in sorted(os.listdir(self.folder))]
        return [
            _Note(int(m.group(1)), m.group(2), m.group(3) == "asked", os.path.join(self.folder, n))
            for m, n in found
            if m
        ]

    def _write(self, name, content):
        """Whole or not at all, and on disk."""
        path = os.path.join(self.folder, name)
        hidden = "%s.%s.new" % (path, uuid.uuid4().hex)
        with open(hidden, "wb") as file:
            file.write(json.dumps(content).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(hidden, path)
        return path


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        log.info("note %s is gone", path)


def _age_s(path):
    try:
        return time.time() - os.path.getmtime(path)
    except OSError:  # removed meanwhile
        return float("inf")


# HTTP.


class _NoRedirect(HTTPRedirectHandler):
    """The token is for the service and nobody else."""

    def redirect_request(self, *args, **kwargs):
        return None


def _call(method, path, body=None):
    """
    One request: status and JSON.

    Raises:
        Unknown: No answer that could be understood; the request may have been carried out.
    """
    if not TOKEN:
        raise ApproveError(u"FTA_APPROVAL_TOKEN is not set")
    data = None if body is None else json.dumps(body).encode("ascii")
    request = Request(str(ADDRESS.rstrip("/") + "/api/v1" + path), data)
    request.get_method = lambda: method
    request.add_header("Authorization", "Bearer " + TOKEN)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        return _send(request)
    except (EnvironmentError, HTTPException, ValueError) as error:
        raise Unknown(u"%s %s: %s" % (method, path.split("?")[0], _said(error)))


def _call_patiently(method, path, body=None):
    """The same request until it is answered: status, JSON, whether an answer was lost before."""
    was_lost = False
    for left in range(TRIES - 1, -1, -1):
        try:
            status, answer = _call(method, path, body)
            if status not in BUSY or not left:
                return status, answer, was_lost
        except Unknown:
            was_lost = True
            if not left:
                raise
        time.sleep(PAUSE_S)


def _send(request):
    opener = build_opener(ProxyHandler({}), _NoRedirect(), *_https())
    try:
        response = opener.open(request, timeout=TIMEOUT_S)
    except HTTPError as error:
        response = error
    try:
        raw = response.read(MOST_BYTES + 1)
        status = response.getcode()
    finally:
        response.close()
    if len(raw) > MOST_BYTES:
        raise ValueError("the answer is too large")
    answer = json.loads(raw.decode("utf-8")) if status < 300 or raw[:1] == b"{" else {}
    if not isinstance(answer, dict):
        raise ValueError("the answer is no JSON object")  # noqa: TRY004  # as bad as no JSON
    return status, answer


def _https():
    """Certificates are verified, also by the early releases of 2.7 that do not by themselves."""
    if not ADDRESS.lower().startswith("https:"):
        return ()
    import ssl

    try:
        from urllib.request import HTTPSHandler
    except ImportError:
        from urllib2 import HTTPSHandler
    if not hasattr(ssl, "create_default_context"):
        raise ApproveError(u"this Python cannot verify certificates; use 2.7.9 or newer, or http")
    return (HTTPSHandler(context=ssl.create_default_context(cafile=CA_FILE)),)


def _refusal(status, answer):
    said = u"%s %s" % (answer.get("code", u""), answer.get("detail", u""))
    return ApproveError(u"the service answered %d %s" % (status, said))


# Text. FTA's own strings are bytes in one place and unicode in the next.


def _text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value if isinstance(value, _text_type) else _text_type(value)


def _text_in(value):
    """The same with every byte string in it as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, dict):
        return {_text_in(name): _text_in(one) for name, one in value.items()}
    return [_text_in(one) for one in value] if isinstance(value, (list, tuple)) else value


def _said(error):
    """One line about an error, as text; some Pythons put bytes of any encoding into theirs."""
    said = getattr(error, "why", None)
    if said is None:
        said = str(error)
    if isinstance(said, bytes):
        said = said.decode("utf-8", "replace")
    return u"%s: %s" % (error.__class__.__name__, u" ".join(said.split()))


def _native(text):
    """As a log of this Python takes it."""
    return text.encode("utf-8") if sys.version_info[0] == 2 else text
