"""Errors as WeCom words them: HTTP 200, a code, and a tail for support that is never the same."""

import secrets
from datetime import datetime
from typing import Any

WORDS = {
    -1: "system busy",
    6000: "concurrent modification",
    40001: "invalid credential",
    40003: "invalid userid",
    40008: "invalid message type",
    40013: "invalid corpid",
    40014: "invalid access_token",
    40016: "invalid button size",
    40017: "invalid button type",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40020: "invalid button url size",
    40021: "invalid menu version",
    40022: "invalid sub_menu level",
    40023: "invalid sub button size",
    40024: "invalid sub button type",
    40025: "invalid sub button name size",
    40026: "invalid sub button key size",
    40027: "invalid sub button url size",
    40029: "invalid code",
    40031: "invalid userid list",
    40032: "invalid userid list size",
    40033: "invalid characters",
    40035: "invalid parameter",
    40056: "invalid agentid",
    40057: "invalid callbackurl or callbackurl verification failed",
    40058: "invalid Request Parameter",
    41001: "access_token missing",
    41002: "corpid missing",
    41004: "corpsecret missing",
    41008: "code missing",
    41016: "title missing",
    42001: "access_token expired",
    42003: "code expired",
    42014: "invalid task_id",
    42015: "the message belongs to another application",
    42016: "task_id does not exist",
    42017: "key does not exist",
    # Which field of a card each of these is about is known only where it says so.
    **dict.fromkeys([42018, 42019, 42020, *range(42027, 42051)], "invalid template_card"),
    42022: "code already used",
    42031: "invalid card_type",
    42035: "horizontal_content_list exceeds its limit",
    42038: "button text missing",
    42039: "invalid button key",
    42043: "invalid question_key",
    42045: "card_action missing",
    43012: "application has no callback url",
    44004: "empty content",
    45002: "content size out of limit",
    45009: "api freq out of limit",
    45033: "api concurrent out of limit",
    46003: "no menu",
    46004: "member does not exist",
    48002: "api forbidden",
    50001: "redirect_uri is not a trusted domain",
    50003: "application disabled",
    60011: "no privilege to access/modify contact/party/agent",
    60020: "not allow to access from your ip",
    60111: "userid not found",
    60140: "response_code invalid, expired or used",
    81012: "empty recipients",
    81013: "user & party & tag all invalid",
    82001: "invalid touser & toparty & totag",
    82002: "too many parties",
    82003: "too many tags",
    82004: "content not allowed",
    85002: "content with blocked words",
    85004: "too many changes of the trusted domain",
    85005: "ownership of the domain is not proved",
    301002: "token of another application",
}


class ApiError(Exception):
    """WeCom refuses a call; `extra` stands beside the code in the body."""

    def __init__(self, errcode: int, why: str = "", **extra: Any) -> None:
        self.errcode = errcode
        self.extra = extra
        words = WORDS.get(errcode, "error")
        super().__init__(f"{words}: {why}" if why else words)

    def body(self, at: datetime, ip: str) -> dict[str, Any]:
        stamp = int(at.timestamp())
        tail = (
            f", hint: [{stamp}_{secrets.randbelow(100)}_{secrets.token_hex(16)}], from ip: {ip}, "
            f"more info at https://open.work.weixin.qq.com/devtool/query?e={self.errcode}"
        )
        return {"errcode": self.errcode, "errmsg": str(self) + tail, **self.extra}
