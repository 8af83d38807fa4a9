"""WeCom's error codes, and what each of them calls for. Source: wecom-protocol 4.2."""

from enum import Enum


class Remedy(Enum):
    """What to do about an error code."""

    NONE = "it is no error"
    RENEW = "fetch a new token and repeat once"
    LATER = "back off and repeat"
    WINDOW = "wait for the window of the limit to pass, then repeat"
    MEND = "stop, and tell an administrator"
    MEND_KIND = "stop this kind of call, and tell an administrator"
    UNREACHABLE = "give up for this member"
    NEVER = "give up for this request"


# The shortest window of a frequency limit is a minute.
WINDOW_S = 60.0

_CODES: dict[Remedy, tuple[int, ...]] = {
    Remedy.NONE: (0,),
    Remedy.RENEW: (40014, 42001),
    # 45033 asks for fewer calls at once, too (WeComClient: AT_ONCE).
    Remedy.LATER: (-1, 6000, 45033),
    Remedy.WINDOW: (45009,),
    # Repeating these is dangerous: many calls with a wrong secret ban the caller's address.
    Remedy.MEND: (40001, 40013, 40056, 40057, 50003, 60020, 301002),
    # A login from a domain that is not trusted must not stop messages.
    Remedy.MEND_KIND: (43012, 48002, 50001, 85004, 85005),
    Remedy.UNREACHABLE: (40003, 46004, 60011, 60111, 81013),
    Remedy.NEVER: (
        40008,
        *range(40016, 40028),
        40029,
        *(40031, 40032, 40033, 40035, 40058),
        *(41001, 41002, 41004, 41008, 41016),
        *(42003, 42022),
        *(42014, 42015, 42016, 42017, 42018, 42019, 42020),
        *range(42027, 42051),
        46003,  # no menu set: for who reads it an empty one, and otherwise no success
        *(44004, 45002, 60140, 81012, 82001, 82002, 82003, 82004, 85002),
    ),
}

REMEDIES: dict[int, Remedy] = {code: remedy for remedy, codes in _CODES.items() for code in codes}


def remedy_of(errcode: int) -> Remedy:
    """What a code calls for; one that nobody has described is not repeated."""
    return REMEDIES.get(errcode, Remedy.NEVER)
