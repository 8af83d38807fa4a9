"""Logging in: who may be sent back where, and codes that tell once who it was."""

import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from adapters.simulator.corp import Member
from adapters.simulator.refusals import ApiError

CODE_LIVES = timedelta(minutes=5)
STATE = re.compile(r"[0-9A-Za-z]{0,128}")


class LoginRefused(Exception):
    """What WeCom shows instead of sending the browser back."""


@dataclass
class LoginCode:
    member: Member | None
    """None: somebody from outside the company."""
    userid: str
    host: str
    state: str
    given: datetime
    used: bool = False


class Logins:
    """Source: wecom-protocol 6.1-6.4."""

    def __init__(self) -> None:
        self.given: dict[str, LoginCode] = {}

    def send_back(
        self, member: Member | None, userid: str, redirect_uri: str, state: str, at: datetime
    ) -> str:
        """Returns the address with code and state; the state is unchanged, even an empty one."""
        code = secrets.token_urlsafe(24)
        self.given[code] = LoginCode(member, userid, urlsplit(redirect_uri).netloc, state, at)
        base = quote(redirect_uri.partition("#")[0], safe=string.punctuation)
        mark = "&" if "?" in base else "?"
        return f"{base}{mark}code={code}&state={quote(state, safe='')}"

    def take(self, code: str | None, trusted_hosts: set[str], at: datetime) -> LoginCode:
        if not code:
            raise ApiError(41008)
        login = self.given.get(code)
        if login is None or login.used or at - login.given >= CODE_LIVES:
            raise ApiError(40029)
        if login.host not in trusted_hosts:
            raise ApiError(50001)
        login.used = True
        return login


def check_redirect(redirect_uri: str, trusted_hosts: set[str], code: str = "") -> None:
    if not redirect_uri:
        raise LoginRefused(f"redirect_uri 参数缺失{code and ' -31035'}")
    where = urlsplit(redirect_uri)
    if where.scheme not in ("http", "https") or where.netloc not in trusted_hosts:
        raise LoginRefused(
            f"redirect_uri 参数错误{code}：{where.netloc or redirect_uri} 不是该应用的可信域名"
        )
