"""Who is in the company, who may see the application, and whom a message reaches."""

from typing import Any

from adapters.simulator.corp import CorpSettings, Member
from adapters.simulator.refusals import ApiError
from adapters.simulator.rules import EVERYBODY, Recipients


class AddressBook:
    """Userids are compared without case. Source: wecom-protocol 5.2, 8.3, 8.4."""

    def __init__(self, settings: CorpSettings) -> None:
        self.members = {member.key: member for member in settings.members}
        visible = settings.visible
        self.visible = set(self.members) if visible is None else {v.casefold() for v in visible}

    def member(self, userid: str | None) -> Member | None:
        return self.members.get((userid or "").casefold())

    def seen(self) -> dict[str, Member]:
        """The members in the application's visible range."""
        return {key: member for key, member in self.members.items() if key in self.visible}

    def resolve(self, wanted: Recipients) -> tuple[list[Member], dict[str, Any]]:
        """
        The members that a message reaches, and the lists of those that it does not.

        Raises:
            ApiError: 81013 with the lists, when nobody is left.
        """
        found, wrong_users = self._by_userid(wanted.users)
        in_parties, wrong_parties = self._by_party(wanted.parties)
        found |= in_parties
        lists = {
            "invaliduser": "|".join(wrong_users),
            "invalidparty": "|".join(wrong_parties),
            "invalidtag": "|".join(wanted.tags),  # the company has no tags
        }
        if not found:
            raise ApiError(81013, **lists)
        unlicensed = "|".join(member.key for member in found.values() if not member.licensed)
        reached = [member for member in found.values() if member.licensed]
        return reached, lists | {"unlicenseduser": unlicensed}

    def in_parties(self, parties: tuple[str, ...]) -> set[str]:
        """Keys of the members in these departments whom the application may see."""
        return set(self._by_party(parties)[0])

    def _by_userid(self, userids: tuple[str, ...]) -> tuple[dict[str, Member], list[str]]:
        if userids == EVERYBODY:
            return self.seen(), []
        keys = dict.fromkeys(userid.casefold() for userid in userids)
        seen = self.seen()
        return {key: seen[key] for key in keys if key in seen}, [k for k in keys if k not in seen]

    def _by_party(self, parties: tuple[str, ...]) -> tuple[dict[str, Member], list[str]]:
        inside = {
            party: {k: m for k, m in self.seen().items() if party in map(str, m.departments)}
            for party in parties
        }
        found = {key: member for members in inside.values() for key, member in members.items()}
        return found, [party for party, members in inside.items() if not members]
