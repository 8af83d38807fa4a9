# -*- coding: utf-8 -*-
"""An engine's process around examples/fta/wechat.py: reads calls, writes answers, line by line.

Runs under Python 2.7, Jython and 3: `fta_engine.py FOLDER_OF_WECHAT`.
"""

import json
import logging
import sys


class Kept(logging.Handler):
    """What was logged, for who looks for secrets."""

    def __init__(self):
        logging.Handler.__init__(self)
        self.lines = []

    def emit(self, record):
        said = record.getMessage()
        self.lines.append(said.decode("utf-8") if isinstance(said, bytes) else said)


def main():
    sys.path.insert(0, sys.argv[1])
    import wechat

    kept = Kept()
    wechat.log.addHandler(kept)
    wechat.log.setLevel(logging.DEBUG)
    wechat.PAUSE_S = 0.01
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        call = json.loads(line)
        del kept.lines[:]
        answer = answer_to(wechat, call)
        answer["log"] = list(kept.lines)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def answer_to(wechat, call):
    for name, value in call.get("settings", {}).items():
        setattr(wechat, name, str(value) if isinstance(value, type(u"")) else value)
    args, kwargs = call.get("args", []), native(call.get("kwargs", {}))
    if call.get("bytes"):  # as a caller of Python 2 that never decoded anything
        args = in_bytes(args)
        kwargs = {name: in_bytes(value) for name, value in kwargs.items()}
    try:
        return {"result": as_json(wechat, run(wechat, call["call"], args, kwargs))}
    except wechat.ApproveError as error:
        # As FTA logs it: formatted into a native string.
        formatted = "%s" % error
        if isinstance(formatted, bytes):
            formatted = formatted.decode("utf-8")
        words = wechat.outcome("notice", error)
        return {"refused": error.why, "formatted": formatted, "outcome": list(words)}


def run(wechat, name, args, kwargs):
    if name == "noop":
        return None
    if name == "old_notice":  # a notice.py that was left as it was, or one that was not
        module = type(sys)("manager.solution.notice")
        module.get_approve_result = {"old": answer_to, "new": wechat.get_approve_result}[args[0]]
        sys.modules["manager.solution.notice"] = module
        return None
    if name == "outcome":  # of a poll, by each mechanism
        got = wechat.get_approve_result(*args)
        kinds = ("waiting", "notice", "get_bak_ip")
        return [wechat.outcome(kind, got, ip="10.0.0.9") for kind in kinds]
    return getattr(wechat, name)(*args, **kwargs)


def as_json(wechat, got):
    if not isinstance(got, wechat.ApproveResult):
        return got._asdict() if hasattr(got, "_asdict") else got
    status, result = got  # as FTA unpacks it
    same = (got.approval, got.reason) == (result["approval"], result["reason"])
    return {"status": status, "row": result, "state": got.state, "is": bool(got), "same": same}


def in_bytes(value):
    if isinstance(value, type(u"")):
        return value.encode("utf-8")
    if isinstance(value, dict):
        return {in_bytes(name): in_bytes(one) for name, one in value.items()}
    return [in_bytes(one) for one in value] if isinstance(value, list) else value


def native(kwargs):
    return {str(name): value for name, value in kwargs.items()}


main()
