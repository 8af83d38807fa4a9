"""What happened beside the approvals, sorted into what an auditor looks for."""

from collections.abc import Iterable, Mapping

from domain.catalogue import EVENTS

# By the beginnings of stored names; the first that fits. A kind of event that is new to one of
# these aggregates is found without a word here.
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "keys": ("密钥", ("installation.secret", "configuration.resealed")),
    "installation": ("审批库", ("installation.",)),
    "configuration": ("配置", ("configuration.",)),
    "logins": ("登录", ("session.",)),
    "exports": ("导出", ("audit.exported",)),
    "looks": ("查阅历史", ("audit.searched", "audit.opened")),
    "verifications": ("核验", ("audit.",)),
    "freezes": ("冻结", ("freeze.",)),
    "webhooks": ("重新推送", ("approval.webhook-requeued",)),
    "messages": ("未归入审批单的消息", ("inbox.",)),
}


def kind_of(topic: str) -> str | None:
    """Which of them; None for what belongs to the history of an approval alone."""
    for kind, (_, beginnings) in KINDS.items():
        if topic.startswith(beginnings):
            return kind
    return None


def topics_of(kind: str | None) -> Iterable[str]:
    """Stored names of that kind, in order; None: of all of them."""
    return sorted(
        topic for topic in EVENTS if (it := kind_of(topic)) is not None and kind in (None, it)
    )
