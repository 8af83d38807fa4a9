"""One history in which everything happens that ever can: every kind of event there is."""

from typing import Any

from domain.configuration import Via
from domain.decision import Outcome
from domain.installation import SecretKind
from domain.notifications import Way
from tests.histories import (
    LONG,
    freezes,
    log_out,
    push,
    push_again,
    redeem,
    reports,
    revokes,
    send,
    thaws,
)
from tests.histories_aimed import gives_up, sends_beside
from tests.histories_beside import (
    configure,
    looks_at,
    looks_for,
    offer,
    reseal,
    restore,
    rotate,
    start,
    takes_away,
    use_link,
    verifies,
)
from tests.scenario import (
    APPROVE,
    REJECT,
    ask,
    cancels,
    clock,
    comes,
    leaves,
    opens,
    presses,
    reached,
    reminds,
    says,
)

BOTH = {"approvers": ["zhangsan", "lisi"]}
PUSHED = {"callback_url": "http://a.example/", "expires_in": 86_400}
WHOLE_LIFE: list[tuple[int, tuple[Any, dict[str, Any]]]] = [
    (0, (start, {"texts": {"message_style": "card"}})),
    (0, (configure, {"by": "lisi", "via": Via.PAGE, "texts": {"super_approvers": "wangwu"}})),
    (0, (configure, {"by": "lisi", "via": Via.SHELL, "texts": {"wecom_secret": "first"}})),
    (1, (sends_beside, {"number": 0, "outcome": {}})),
    (1, (reseal, {})),
    (1, (rotate, {"what": SecretKind.WEBHOOK_SECRET, "compromised": True})),
    (1, (offer, {})),
    (1, (use_link, {})),
    (1, (log_out, {"number": 0})),
    (1, (offer, {})),
    (1, (restore, {})),
    (1, (ask, {"obj_id": "1_1", **BOTH, **PUSHED})),
    (0, (ask, {"obj_id": "2_1", **BOTH, **PUSHED})),
    (0, (ask, {"obj_id": "3_1", "message": LONG, **BOTH})),
    (0, (ask, {"obj_id": "4_1", **BOTH})),
    (0, (ask, {"obj_id": "5_1", **BOTH})),
    (1, (send, {"number": 0, "outcome": {"way": Way.TEXT}})),
    (1, (reached, {"to": "lisi", "reply_id": "3_1", "problem": "81013", "unreachable": True})),
    (1, (opens, {"by": "zhangsan", "reply_id": "3_1"})),
    (1, (says, {"by": "zhangsan", "verdict": None, "reply_id": None})),
    (1, (sends_beside, {"number": 0, "outcome": {"problem": "no"}})),
    (1, (comes, {"by": "zhangsan"})),
    (1, (leaves, {"by": "zhangsan"})),
    (1, (freezes, {"why": "停电"})),
    (1, (says, {"by": "zhangsan", "verdict": APPROVE, "reply_id": "1_1"})),
    (1, (thaws, {})),
    (1, (presses, {"by": "zhangsan", "verdict": APPROVE, "reply_id": "1_1"})),
    (1, (redeem, {"reply_id": "1_1", "attempt": "a", "is_same": False})),
    (1, (redeem, {"reply_id": "1_1", "attempt": "a", "is_same": True})),
    (1, (reports, {"reply_id": "1_1", "engine": "fta", "outcome": Outcome.FAILED})),
    (1, (presses, {"by": "lisi", "verdict": APPROVE, "reply_id": "2_1"})),
    (1, (revokes, {"by": "lisi", "reply_id": "2_1"})),
    (1, (presses, {"by": "lisi", "verdict": REJECT, "reply_id": "4_1"})),
    (1, (cancels, {"reply_id": "5_1"})),
    (900, (reminds, {"reply_id": "3_1"})),
    (900, (clock, {"reply_id": "3_1"})),
    (1, (push, {"number": 0, "came": {}})),
    (1, (gives_up, {"number": 0})),
    (1, (push_again, {"number": 0})),
    (1, (looks_for, {"by": "wangwu", "wanted": {}})),
    (1, (looks_at, {"by": "wangwu", "reply_id": "1_1"})),
    (1, (takes_away, {"by": "wangwu", "pseudonyms": True})),
    (1, (verifies, {"problem": None})),
]
