"""What happened beside the approvals, in words: messages, logins, secrets, settings, readers."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from domain.audit import Audit
from domain.configuration import Configuration, Via
from domain.decision import Channel
from domain.freeze import Freeze
from domain.inbox import Inbox
from domain.installation import Installation
from domain.session import Session, session_of
from domain.text import one_line
from web.editable import ITEMS
from web.translation import gettext
from web.vocabulary import (
    CHANNEL,
    REFUSED,
    SAID,
    delivered,
    listed,
    not_delivered,
    people,
)

# Of names that are hashes, as much as tells one from another.
SHOWN_OF_A_HASH = 8
# Where an address has a name and a password in front of its host.
USERINFO = re.compile(r"(?<=//)[^/@\s]*@")

ASKED_FOR = {"help": "询问用法", "todo": "查看待办"}
NAMED_NO_APPROVAL = {
    **REFUSED,
    "unknown-approval": "没有这个编号",
    "unclear-which": "不能确定是哪一项",
    "needs-id": "没有写明编号",
    "not-text": "不是文字",
}
WHY_A_LOGIN_ENDED = {
    "logged-out": "本人退出",
    "logged-in-again": "同一浏览器重新登录",
    "left-visible-range": "已离开应用的可见范围",
    "ended-by-administrator": "由管理员结束",
    "restored": "服务从备份恢复",
}
SECRETS = {
    "permit-key": "许可签名密钥",
    "webhook-secret": "推送签名密钥",
    "fingerprint-key": "指纹密钥",
    "tree-key": "历史签名密钥",
}
CHANGED = {
    Via.PAGE: "%(who)s 在配置页面修改了配置",
    Via.SHELL: "%(who)s 在服务器命令行修改了配置",
    Via.ENVIRONMENT: "服务启动，环境变量与上次启动时不同",
}
FOUND_AT_FIRST = "服务首次启动，环境变量中的配置"
BY_WHICH_WAY = {"page": "页面", "shell": "命令行", "service": "服务自身"}


def settings_before(changed: Configuration.Changed, then: Configuration) -> dict[str, str | None]:
    """
    What the settings of a change were until then, as far as they may be read.

    Args:
        then: The configuration as it was in front of that change.
    """
    if changed.via == Via.ENVIRONMENT:
        return {name: (then.environment or {}).get(name) for name in changed.values}
    stored = {name: one.value for name, one in then.stored.items()}
    return {name: stored.get(name) for name in changed.values}


def settings_changed(
    changed: Configuration.Changed, before: Mapping[str, str | None] | None = None
) -> str:
    """
    Which settings were changed, by whom and by which way; of secret ones only that they were.

    Args:
        before: What they were until then; None: it is not known here.
    """
    how = CHANGED.get(Via(changed.via), CHANGED[Via.SHELL])
    if changed.via == Via.ENVIRONMENT and changed.originator_version == 1:
        how = FOUND_AT_FIRST
    public = [_setting(name, value, before) for name, value in changed.values.items()]
    secret = [
        _secret_setting(name, given, changed.names.get(name, ()))
        for name, given in changed.fingerprints.items()
    ]
    what = gettext("；").join([*public, *secret]) or gettext("无")
    told = gettext("；将告知 %(who)s") % {"who": people(changed.told)} if changed.told else ""
    return f"{gettext(how) % {'who': changed.by}}: {one_line(what)}{told}"


def setting_title(name: str) -> str:
    """What a setting is called on its page."""
    return gettext(ITEMS[name].title) if name in ITEMS else name.upper()


def setting_value(value: str | None) -> str:
    """What a setting is set to; of an address without the name and password that may be in it."""
    return USERINFO.sub("…@", value) if value else gettext("未设置")


def _setting(name: str, value: str | None, before: Mapping[str, str | None] | None) -> str:
    about = {"name": setting_title(name), "new": setting_value(value)}
    if before is None:
        return gettext("%(name)s 为“%(new)s”") % about
    old = setting_value(before.get(name))
    return gettext("%(name)s 由“%(old)s”改为“%(new)s”") % {**about, "old": old}


def _secret_setting(name: str, fingerprint: str | None, names: Sequence[str]) -> str:
    text = "%(name)s 已更换（内容保密）" if fingerprint else "%(name)s 已清除"
    whose = gettext("，名称: %(names)s") % {"names": people(names)} if names else ""
    return gettext(text) % {"name": setting_title(name)} + whose


def _received(event: Any) -> str:
    how = gettext(CHANNEL[Channel(event.channel)])
    said = gettext(SAID[event.verdict]) % {"who": event.by, "how": how}
    said += f": “{one_line(event.words)}”"
    if event.refusal in ASKED_FOR:
        about = {"said": said, "what": gettext(ASKED_FOR[event.refusal])}
        return gettext("%(said)s（%(what)s）") % about
    because = gettext(NAMED_NO_APPROVAL.get(event.refusal, event.refusal))
    said = gettext("%(said)s（未生效: %(because)s）") % {"said": said, "because": because}
    if event.suggestions:
        said += gettext("，可供选择的有 %(names)s") % {"names": people(event.suggestions)}
    return said + (gettext("，当天已说明过，不再答复") if event.unanswered else "")


def _greeted(event: Any) -> str:
    return gettext("%(who)s 打开了应用，有审批等待，将问候") % {"who": event.by}


def _answered(event: Any) -> str:
    if event.problem is None:
        return delivered(event.notice, event.to)
    return not_delivered(event.notice, event.to, event.problem, unreachable=event.unreachable)


def _logged_in(event: Any) -> str:
    about = {"who": event.by, "session": _session(event)}
    if ":" in event.by:  # no member's name has one (domain/configuration.py)
        return gettext("通过一次性链接登录配置页面（%(who)s，会话 %(session)s）") % about
    return gettext("%(who)s 登录（会话 %(session)s）") % about


def _login_ended(event: Any) -> str:
    because = gettext(WHY_A_LOGIN_ENDED.get(event.why, event.why)) if event.why else ""
    ended = gettext("登录结束（会话 %(session)s）") % {"session": _session(event)}
    return f"{ended}: {because}" if because else ended


def _session(event: Any) -> str:
    return session_of(event.originator_id)[:SHOWN_OF_A_HASH]


def _founded(event: Any) -> str:
    return gettext("审批库建立，标识 %(feed)s") % {"feed": event.feed_id}


def _secret_made(event: Any) -> str:
    about = {
        "who": event.by,
        "what": gettext(SECRETS.get(event.kind, event.kind)),
        "key": event.key_id,
    }
    text = "%(who)s 生成了新的%(what)s（%(key)s）" if event.by else "服务生成了%(what)s（%(key)s）"
    voided = gettext("，此前的作废") if event.voids_earlier else ""
    return gettext(text) % about + voided


def _secrets_resealed(event: Any) -> str:
    about = {"who": event.by, "number": len(event.sealed)}
    return gettext("%(who)s 更换了主密钥，%(number)s 个密钥已重新加密") % about


def _froze(event: Any) -> str:
    about = {"who": event.by, "why": one_line(event.why)}
    return gettext("%(who)s 冻结了审批，原因: %(why)s") % about


def _thawed(event: Any) -> str:
    return gettext("%(who)s 解除了审批冻结") % {"who": event.by}


def _settings_resealed(event: Any) -> str:
    about = {"who": event.by, "number": len(event.sealed)}
    return gettext("%(who)s 更换了主密钥，%(number)s 项保密配置已重新加密") % about


def _link_offered(event: Any) -> str:
    about = {"who": event.by, "link": event.link[:SHOWN_OF_A_HASH]}
    return gettext("%(who)s 生成了配置页面的一次性链接（%(link)s）") % about


def _link_used(event: Any) -> str:
    return gettext("配置页面的一次性链接已使用（%(link)s）") % {
        "link": event.link[:SHOWN_OF_A_HASH]
    }


def _link_withdrawn(event: Any) -> str:
    about = {"who": event.by, "link": event.link[:SHOWN_OF_A_HASH]}
    return gettext("%(who)s 作废了配置页面的一次性链接（%(link)s）") % about


def _restored(event: Any) -> str:
    about = {"who": event.by, "position": event.position, "feed": event.feed_id}
    return (
        gettext("%(who)s 从备份恢复了服务，备份到位置 %(position)s，决定推送改为 %(feed)s") % about
    )


def _searched(event: Any) -> str:
    return gettext("%(who)s 搜索了审计历史（%(how)s）") % _reader(event) + _wanted(event)


def _looked(event: Any) -> str:
    about = {**_reader(event), "id": one_line(event.reply_id)}
    return gettext("%(who)s 查看了 %(id)s 的全部历史（%(how)s）") % about


def _exported(event: Any) -> str:
    about = {**_reader(event), "what": event.what, "form": event.form}
    said = gettext("%(who)s 导出了 %(what)s（%(form)s，%(how)s）") % about
    return said + (gettext("，人名以代号代替") if event.pseudonyms else "") + _wanted(event)


def _verified(event: Any) -> str:
    about = {**_reader(event), "number": event.tree_size, "position": event.position}
    said = gettext("%(who)s 核验了 %(number)s 个事件，到位置 %(position)s（%(how)s）") % about
    if event.problem is None:
        return said + gettext(": 与记录一致")
    return said + gettext(": 发现问题: %(problem)s") % {"problem": one_line(event.problem)}


def _reader(event: Any) -> dict[str, str]:
    return {"who": event.by, "how": gettext(BY_WHICH_WAY.get(event.via, event.via))}


def _wanted(event: Any) -> str:
    return f": {listed(event.wanted)}" if event.wanted else ""


WORDS: dict[type, Callable[[Any], str]] = {
    Inbox.Received: _received,
    Inbox.Greeted: _greeted,
    Inbox.Answered: _answered,
    Session.Opened: _logged_in,
    Session.Ended: _login_ended,
    Installation.Founded: _founded,
    Installation.SecretMade: _secret_made,
    Installation.SecretsResealed: _secrets_resealed,
    Installation.Restored: _restored,
    Freeze.Began: _froze,
    Freeze.Ended: _thawed,
    Configuration.Changed: settings_changed,
    Configuration.Resealed: _settings_resealed,
    Configuration.LinkOffered: _link_offered,
    Configuration.LinkUsed: _link_used,
    Configuration.LinkWithdrawn: _link_withdrawn,
    Configuration.Told: _answered,
    Audit.Searched: _searched,
    Audit.Opened: _looked,
    Audit.Exported: _exported,
    Audit.Verified: _verified,
}
