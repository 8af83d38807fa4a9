"""One story, told in every example: 12345_2 is asked, zhangsan approves it."""

import json
from typing import Any

APPROVAL_ID = "e50e2ff1-ae80-5e1a-a99b-9efab369f2dc"
FEED_ID = "0b1d4a528a9e4b6f9d0e3f1f5a10c2d7"

REQUEST: dict[str, Any] = {
    "obj_id": "12345_2",
    "message": "替换故障机 10.0.0.1",
    "approvers": ["zhangsan", "lisi"],
    "risk": "high",
    "action": {"job": "replace", "ip": "10.0.0.1"},
    "details": {"业务": "示例业务", "IP": "10.0.0.1"},
    "expires_in": 1200,
}
SMALLEST_REQUEST = {"obj_id": "12345_3", "message": "重启进程", "approvers": ["zhangsan"]}
WAITING: dict[str, Any] = {
    "approval_id": APPROVAL_ID,
    "number": 7,
    "obj_id": "12345_2",
    "run": 1,
    "reply_id": "12345_2",
    "kind": "solution",
    "message": "替换故障机 10.0.0.1",
    "risk": "high",
    "biz_id": None,
    "requested_by": None,
    "engine": "fta",
    "approvers": ["zhangsan", "lisi"],
    "action_digest": "sha256:c6ac22d5fbd6b5a7ee9d6b0bd9b1ef5a4ac1a5cfd0f0ce1b1a8f1fb7c6b0d1ab",
    "details": {"业务": "示例业务", "IP": "10.0.0.1"},
    "status": "pending",
    "requested_at": "2026-01-05T12:00:00.000Z",
    "expires_at": "2026-01-05T12:20:00.000Z",
    "decided_at": None,
    "decided_by": None,
    "decided_via": None,
    "capacity": None,
    "reason": None,
    "notifications": [
        {"userid": "zhangsan", "state": "sent", "detail": None},
        {"userid": "lisi", "state": "pending", "detail": None},
    ],
}
APPROVED = {
    **WAITING,
    "status": "approved",
    "decided_at": "2026-01-05T12:03:00.000Z",
    "decided_by": "zhangsan",
    "decided_via": "wecom-text",
    "capacity": "approver",
}
CANCELLED = {
    **WAITING,
    "status": "cancelled",
    "decided_at": "2026-01-05T12:03:00.000Z",
    "decided_by": "fta",
    "decided_via": "api",
    "reason": "告警已恢复",
}
EVENTS = {
    "events": [
        {
            "position": 7,
            "type": "approval.requested",
            "at": "2026-01-05T12:00:00.000Z",
            "by": "fta",
            "via": "api",
            "data": {"obj_id": "12345_2", "run": 1, "message": "替换故障机 10.0.0.1"},
        },
        {
            "position": 12,
            "type": "approval.approved",
            "at": "2026-01-05T12:03:00.000Z",
            "by": "zhangsan",
            "via": "wecom-text",
            "data": {"capacity": "approver", "reason": None},
        },
    ]
}
DECISION: dict[str, Any] = {
    "specversion": "1.0",
    "id": "12",
    "source": "/fta-approval",
    "type": "fta.approval.approved",
    "subject": "12345_2",
    "time": "2026-01-05T12:03:00.000Z",
    "datacontenttype": "application/json",
    "data": APPROVED,
}
TREE_HEAD = {
    "log_id": FEED_ID,
    "tree_size": 12,
    "position": 12,
    "timestamp": "2026-01-06T11:12:13.000Z",
    "root_hash": "rxK9a0Wcw0GzN8zJ0cUxUsBYVrxfvlm1+U8fHb1LZ3k=",
    "key_id": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    "signature": "5WmFSV1pwq0rH5jZ9cuYLVw7pxbyV+R93xTSjlo6Q1Gq"
    "wZ4nFDZiFEOvhFlMtIj7VKoOVqLBFWmLmxFSO5naCA==",
}
DECISIONS = {"decisions": [DECISION], "next": 12, "feed_id": FEED_ID, "tree_head": TREE_HEAD}
UNDELIVERED = {
    "id": "12",
    "webhook_id": f"{FEED_ID}-12",
    "approval_id": APPROVAL_ID,
    "reply_id": "12345_2",
    "engine": "fta",
    "url": "https://engine.example/decisions",
    "state": "undelivered",
    "attempts": 8,
    "problem": "answered 404",
    "destination_down": False,
    "last_attempt_at": "2026-01-06T19:15:35.000Z",
    "next_attempt_at": None,
}
REDEEM = {
    "permit": "eyJhbGciOiJFZERTQSJ9.CLAIMS.SIGNATURE",
    "action": {"job": "replace", "ip": "10.0.0.1"},
    "attempt": "execution-678",
}
KEYS = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "use": "sig",
            "alg": "EdDSA",
        }
    ]
}
STREAM = (
    f"id: 12\nevent: fta.approval.approved\ndata: {json.dumps(DECISION, ensure_ascii=False)}\n\n"
    ": still here\n\n"
)
