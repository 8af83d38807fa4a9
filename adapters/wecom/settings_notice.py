"""What super approvers read when it was changed who decides, who configures, or who asks."""

from datetime import datetime

from adapters.wecom.messages import Clockface
from adapters.wecom.notices import HEAD
from domain.configuration import TOLD_OF, Configuration, Via

NAMES = {"super_approvers": "审批管理员", "admins": "配置管理员", "api_tokens": "执行方的 API 令牌"}
HOW = {Via.PAGE: "在配置页面", Via.SHELL: "在服务器命令行"}
NOBODY = "无"
SHOWN = 20


def settings_line(changed: Configuration.Changed, clockface: Clockface, now: datetime) -> str:
    """Who changed what, and when; of tokens only that they were."""
    what = "；".join(_what(changed, name) for name in NAMES if name in _changed(changed))
    at = clockface.show(changed.timestamp, now)
    if changed.via == Via.ENVIRONMENT:
        return f"{HEAD}审批配置已变更（{at}，服务启动时的环境变量）: {what}。如非计划内，请立即核实"
    who = f"{changed.by} 于 {at} {HOW[Via(changed.via)]}"
    return f"{HEAD}审批配置已变更（{who}修改）: {what}。如非本人或计划内，请立即核实"


def _changed(changed: Configuration.Changed) -> frozenset[str]:
    return TOLD_OF.intersection((*changed.values, *changed.fingerprints))


def _what(changed: Configuration.Changed, name: str) -> str:
    if name not in changed.values:
        return f"{NAMES[name]}已修改"
    people = (changed.values[name] or "").split(",")
    more = f" 等 {len(people)} 人" if len(people) > SHOWN else ""
    return f"{NAMES[name]}改为 {'、'.join(people[:SHOWN]) or NOBODY}{more}"
