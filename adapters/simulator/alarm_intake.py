"""Reading an alarm as FTA's REST 推送 takes it, with what this sample asks besides."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Literal

from adapters.simulator.alarms import AlarmData
from adapters.simulator.pages import ZONE

ACCEPTED, WRONG = 1200, 1400
DEFAULT_TYPE = "api_default"
Risk = Literal["low", "medium", "high"]
RISKS: tuple[Risk, ...] = ("low", "medium", "high")
AT_ONCE = (1, 4, 10, 50)
TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%z")


class WrongAlarm(Exception):
    """The sentence is for the person who pushed it."""


def read_alarm(
    application: str, body: Mapping[str, Any], approvers: Sequence[str], now: datetime
) -> AlarmData:
    """`approvers` are asked where the alarm names none."""
    return AlarmData(
        ip=_ip(body),
        content=_text(body, "alarm_content"),
        alarm_type=_text(body, "alarm_type", DEFAULT_TYPE),
        application=application,
        source_id=_text(body, "source_id", ""),
        source_time=_time(body, now),
        approvers=_approvers(body, approvers),
        expires_in=_seconds(body),
        risk=_risk(body),
    )


def read_count(body: Mapping[str, Any]) -> int:
    """How many alarms are pushed at once."""
    value = _text(body, "count", "1")
    if value not in map(str, AT_ONCE):
        raise WrongAlarm(f"字段【count】应为 {'、'.join(map(str, AT_ONCE))} 之一")
    return int(value)


def of_several_machines(alarm: AlarmData, count: int) -> list[AlarmData]:
    """The same alarm of so many machines: the first has its address, the others those after it."""
    first = ip_address(alarm.ip)
    try:
        return [dataclasses.replace(alarm, ip=str(first + after)) for after in range(count)]
    except ValueError:
        raise WrongAlarm(f"字段【ip】之后不足 {count} 个地址：{alarm.ip}") from None


def _text(body: Mapping[str, Any], field: str, default: str | None = None) -> str:
    value = body.get(field)
    if value in (None, ""):
        if default is None:
            raise WrongAlarm(f"字段【{field}】不能为空")
        return default
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise WrongAlarm(f"字段【{field}】应为字符串")
    return str(value)


def _ip(body: Mapping[str, Any]) -> str:
    value = _text(body, "ip").strip()
    try:
        return str(ip_address(value))
    except ValueError:
        raise WrongAlarm(f"字段【ip】不是合法的 IP：{value[:64]}") from None


def _time(body: Mapping[str, Any], now: datetime) -> str:
    value = _text(body, "source_time", now.astimezone(ZONE).strftime(TIMES[0])).strip()
    if not any(_fits(value, pattern) for pattern in TIMES):
        raise WrongAlarm("字段【source_time】应形如 2026-01-31 12:00:00")
    return value


def _fits(value: str, pattern: str) -> bool:
    try:
        datetime.strptime(value, pattern)  # noqa: DTZ007 - only the form is asked
    except ValueError:
        return False
    return True


def _approvers(body: Mapping[str, Any], default: Sequence[str]) -> tuple[str, ...]:
    value = body.get("approvers") or list(default)
    names = re.split(r"[,，\s]+", value) if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WrongAlarm("字段【approvers】应为成员帐号，以逗号分隔")
    found = tuple(name.strip() for name in names if name.strip())
    if not found:
        raise WrongAlarm("字段【approvers】不能为空")
    return found


def _seconds(body: Mapping[str, Any]) -> int:
    value = _text(body, "expires_in", "1200")
    if not value.isdecimal() or not 10 <= int(value) <= 2592000:
        raise WrongAlarm("字段【expires_in】应为 10 到 2592000 之间的秒数")
    return int(value)


def _risk(body: Mapping[str, Any]) -> Risk:
    value = _text(body, "risk", "medium")
    for risk in RISKS:
        if value == risk:
            return risk
    raise WrongAlarm(f"字段【risk】应为 {'、'.join(RISKS)} 之一")
