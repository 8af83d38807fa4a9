"""Why an approved step was not carried out, as 执行详情 says it."""

from adapters.engine.errors import (
    ActionDiffers,
    AlreadyRedeemed,
    BadPermit,
    Frozen,
    PermitExpired,
    Revoked,
)


class NoPermit(Exception):
    """The decision carries none: the service is older than permits, or took it away."""


REASONS: dict[type[Exception], str] = {
    NoPermit: "审批服务没有给出执行许可（服务版本过旧，或许可已作废）",
    Revoked: "审批已撤销",
    Frozen: "审批服务已冻结，暂停执行",
    PermitExpired: "执行许可已过期",
    AlreadyRedeemed: "执行许可已用于另一次执行",
    ActionDiffers: "要执行的操作与审批的不一致",
    BadPermit: "执行许可无效",
}
# Whoever took it back knows; whoever redeemed it reports what came of it.
LEFT_TO_OTHERS = (Revoked, AlreadyRedeemed)


def why_not(error: Exception) -> str:
    return f"{REASONS.get(type(error), f'执行许可未通过：{error}')}，本次未执行任何操作"
