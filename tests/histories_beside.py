"""What else happens in random histories: settings, secrets, somebody looks at the history."""

import itertools
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from domain.commands import (
    ChangeSettings,
    FindEnvironment,
    OfferLink,
    RecordExport,
    RecordLook,
    RecordSearch,
    RecordVerification,
    UseLink,
)
from domain.configuration import CONFIGURATION_STREAM, Change, Configuration, Via
from domain.installation import Installation, SecretKind
from tests.stores import House

LINKS = itertools.count()
SECRET = ("wecom_secret", "api_tokens")


def made(kind: Any, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A command without its time."""
    return st.fixed_dictionaries(strategies).map(lambda fields: (kind, fields))


def _change(texts: dict[str, str | None]) -> Change:
    secret = {name: text for name, text in texts.items() if name in SECRET}
    return Change(
        {name: text for name, text in texts.items() if name not in SECRET},
        {name: f"sealed {text}" for name, text in secret.items() if text},
        {name: text and f"print {text}" for name, text in secret.items()},
    )


def _configuration(house: House) -> Configuration:
    return house.store.load(Configuration, CONFIGURATION_STREAM) or Configuration()


def configure(
    house: House, at: datetime, by: str, via: Via, texts: dict[str, str | None]
) -> ChangeSettings:
    """By somebody who has seen what is in force."""
    revision = _configuration(house).revision
    return ChangeSettings(at=at, by=by, via=via, revision=revision, change=_change(texts))


def start(at: datetime, texts: dict[str, str | None]) -> FindEnvironment:
    """The service starts, and its environment sets this."""
    return FindEnvironment(at=at, found=_change({n: t for n, t in texts.items() if t}))


def offer(at: datetime) -> OfferLink:
    link = f"link {next(LINKS)}"
    return OfferLink(
        at=at,
        by="shell:root",
        link=link,
        expires_at=at + timedelta(hours=1),
        only_without_admins=False,
    )


def use_link(house: House, at: datetime) -> UseLink | None:
    """The link that was offered last, used or not."""
    link = _configuration(house).link
    if link is None:
        return None
    session = f"link {next(LINKS)}"
    until = at + timedelta(hours=1)
    return UseLink(at=at, link=link.hashed, session=session, expires_at=until)


def rotate(house: House, at: datetime, what: SecretKind, compromised: bool) -> None:
    """A new secret is made."""

    def make(installation: Installation) -> None:
        name = f"key-{installation.version}"
        by = "shell:root" if compromised else None
        installation.make_secret(what, name, "sealed", at, by=by, voids_earlier=compromised)

    house.store.change_installation(make)


def reseal(house: House, at: datetime) -> None:
    """Everything stored is sealed with another secret key."""
    configuration = _configuration(house)
    sealed = {name: f"anew {at}" for name, one in configuration.stored.items() if one.sealed}
    configuration.reseal(sealed, "shell:root", at)
    house.store.save(configuration.collect_events())
    house.store.change_installation(lambda one: one.reseal({"key-1": "anew"}, "shell:root", at))


def restore(house: House, at: datetime) -> None:
    """The store is put back from a copy, and a link that was offered leads nowhere any more."""
    configuration = _configuration(house)
    configuration.withdraw_link("shell:root", at)
    house.store.save(configuration.collect_events())
    position = house.store.last_position()
    feed_id = f"feed-{position}"
    house.store.change_installation(
        lambda one: one.restore(feed_id, "shell:root", at, position=position, as_of=at)
    )


def looks_for(at: datetime, by: str, wanted: dict[str, str]) -> RecordSearch:
    return RecordSearch(at=at, by=by, via="page", wanted=wanted)


def looks_at(at: datetime, by: str, reply_id: str) -> RecordLook:
    return RecordLook(at=at, by=by, via="page", reply_id=reply_id)


def takes_away(at: datetime, by: str, pseudonyms: bool) -> RecordExport:
    return RecordExport(
        at=at, by=by, via="shell", what="events", wanted={}, form="csv", pseudonyms=pseudonyms
    )


def verifies(at: datetime, problem: str | None) -> RecordVerification:
    return RecordVerification(
        at=at,
        by="service",
        via="service",
        tree_size=1,
        position=1,
        root_hash="cm9vdA==",
        problem=problem,
    )


TEXTS = st.fixed_dictionaries(
    {},
    optional={
        "super_approvers": st.sampled_from(["wangwu", "wangwu,lisi", None]),
        "admins": st.sampled_from(["lisi", None]),
        "wecom_secret": st.sampled_from(["first", "second", None]),
        "message_style": st.sampled_from(["text", "card"]),
    },
)
READERS = st.sampled_from(["wangwu", "WangWu", "shell:root"])
CONFIGURES = made(
    configure,
    by=st.sampled_from(["lisi", "shell:root"]),
    via=st.sampled_from([Via.PAGE, Via.SHELL]),
    texts=TEXTS,
)
RESEALS = made(reseal)
SETTINGS = st.one_of(
    CONFIGURES,
    made(start, texts=TEXTS),
    made(offer),
    made(use_link),
    made(rotate, what=st.sampled_from(list(SecretKind)), compromised=st.booleans()),
    RESEALS,
    made(restore),
)
LOOKING = st.one_of(
    made(looks_for, by=READERS, wanted=st.sampled_from([{}, {"status": "approved"}])),
    made(looks_at, by=READERS, reply_id=st.sampled_from(["1_1", "nowhere"])),
    made(takes_away, by=READERS, pseudonyms=st.booleans()),
    made(verifies, problem=st.sampled_from([None, "position 1 was changed"])),
)
BESIDE = st.one_of(SETTINGS, LOOKING)
IN_THE_HOUSE = (configure, use_link, rotate, reseal, restore)
"""What needs to know what there is."""
