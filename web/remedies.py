"""What an administrator does about an error of WeCom's API, in one sentence.

Codes: wecom-protocol 4.2. Who reads this has WeCom's admin site open, so the names of its pages
are Chinese, as they stand there.
"""

import os
import re
import ssl

import aiohttp

from adapters.wecom.client import WeComError

LOOK_UP = "look the code up at https://open.work.weixin.qq.com/devtool/query?e={code}"
BY_CODE = {
    -1: "WeCom is busy: try again in a minute",
    6000: "somebody else changed the same thing: try again in a minute",
    40001: "copy the Secret anew from 应用管理 → the application into FTA_APPROVAL_WECOM_SECRET; "
    "do not keep trying, WeCom bans an address after many wrong secrets",
    40003: "correct the userid: it is the 账号 in 通讯录, not the name",
    40013: "copy the 企业ID from 我的企业 → 企业信息 into FTA_APPROVAL_WECOM_CORP_ID "
    "(WeCom takes up to half an hour to know a new one)",
    40014: "WeCom gave a token and refuses it: another program may fetch tokens with this Secret, "
    "or a proxy keeps old answers; run this again",
    40056: "copy the AgentId from 应用管理 → the application into FTA_APPROVAL_WECOM_AGENT_ID",
    40057: "save the callback address anew under 接收消息 → 设置API接收",
    42001: "WeCom gave a token and says that it has ended: run this again",
    43012: "save the callback address under 接收消息 → 设置API接收 first",
    45009: "WeCom's limit is reached, or this address is banned after many wrong secrets: "
    "correct the Secret and wait an hour",
    45033: "too many calls at once: try again in a minute",
    46004: "there is no such member: correct the userid, or invite the member under 通讯录",
    48002: "this Secret may not do that: take the Secret of the application under 应用管理, "
    "not that of 通讯录同步 or of 客户联系",
    50001: "enter the host of FTA_APPROVAL_APP_URL under 网页授权及JS-SDK → 可信域名",
    50003: "the application is disabled: enable it under 应用管理 → the application",
    60011: "the member is outside the visible range: add them under 应用 → 可见范围",
    60020: "add {address} under 应用管理 → the application → 企业可信IP; it works after a minute",
    60111: "no such userid, or outside the visible range: correct it, or add the member under "
    "应用 → 可见范围",
    301002: "the Secret belongs to another application than the AgentId: copy both from the same "
    "page, 应用管理 → the application",
}
FROM_IP = re.compile(r"from ip: ([0-9a-fA-F.:]+)")
ERRCODE = re.compile(r"errcode (-?\d+)")


def errcode_of(error: WeComError) -> int | None:
    """WeCom's code, or None where it did not answer; every detail begins with it."""
    found = ERRCODE.search(str(error))
    return int(found[1]) if found else None


def remedy(error: WeComError) -> str:
    """How to mend it."""
    code = errcode_of(error)
    if code is None:
        # The client lets no text of aiohttp through, for it quotes addresses with secrets in them;
        # its kind is enough here.
        return unreached(error.__context__)
    return BY_CODE.get(code, LOOK_UP).format(code=code, address=_address_seen(error))


def unreached(error: BaseException | None) -> str:
    """What to look at when WeCom could not be spoken to."""
    match error:
        case aiohttp.ClientProxyConnectionError():
            return "the proxy of FTA_APPROVAL_WECOM_PROXY cannot be connected to: correct it"
        case aiohttp.ClientHttpProxyError():
            return (
                f"the proxy of FTA_APPROVAL_WECOM_PROXY answers HTTP {error.status}: "
                "have it let this machine reach WeCom"
            )
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return (
                f"its certificate is not trusted ({why_not_trusted(error)}): where a proxy "
                "intercepts TLS, set FTA_APPROVAL_WECOM_CA_FILE to the PEM file of its authority"
            )
        case aiohttp.ClientConnectorDNSError():
            return (
                "the name, WeCom's or that of the proxy if one is set, is not found: mend DNS, or "
                "set FTA_APPROVAL_WECOM_PROXY"
            )
        case aiohttp.ClientConnectorError():
            return (
                f"no connection ({why_not_connected(error)}): let this machine out to it, or set "
                "FTA_APPROVAL_WECOM_PROXY"
            )
        case TimeoutError():
            return (
                "no answer in time: let this machine out to it, or set FTA_APPROVAL_WECOM_PROXY; "
                "a firewall that drops what it forbids looks like this"
            )
        case None:
            return (
                "something else answers in WeCom's place, such as a proxy or its login page: "
                "correct FTA_APPROVAL_WECOM_API_URL or FTA_APPROVAL_WECOM_PROXY"
            )
    return "the connection broke: try again, then look at the proxy or firewall on the way"


def why_not_connected(error: aiohttp.ClientConnectorError) -> str:
    """In the system's words, which name no address."""
    number = error.os_error.errno
    return os.strerror(number) if number else "every address of it was tried"


def why_not_trusted(error: BaseException) -> str:
    found = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    if isinstance(found, ssl.SSLCertVerificationError):
        return found.verify_message
    return type(found or error).__name__


def _address_seen(error: WeComError) -> str:
    found = FROM_IP.search(str(error))
    return found[1] if found else "the address from which this machine reaches WeCom"
