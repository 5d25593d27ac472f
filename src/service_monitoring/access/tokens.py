"""Tokens: what programs send to be let in, and for how long it is good.

Pure: takes instants and hashes. A token itself is known here while it is looked at, and never kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from service_monitoring.access.permissions import SCOPES, Permission, Role, of_scopes
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.errors import Refused

PREFIX: Final = "sm_"
"""How each begins, so that whoever looks for secrets where none should be finds it."""
LASTS: Final = Duration(90 * DAY)
LONGEST: Final = Duration(3_660 * DAY)
MOST: Final = 100
"""Tokens of one account."""

_TOKEN: Final = re.compile(rf"{PREFIX}[0-9a-f]{{64}}", re.ASCII)
_LONGEST_NAME: Final = 100


class Token(Struct, frozen=True):
    """A token by its hash (SHA-256, hexadecimal). Past `expires_at` it opens nothing."""

    hash: str
    handle: str
    name: str
    account: str
    scopes: tuple[Permission, ...]
    made_at: Instant
    expires_at: Instant | None = None
    used_at: Instant | None = None


def written(secret: str) -> str:
    """The token of a secret of 64 hexadecimal digits."""
    return PREFIX + secret


def is_one(text: str) -> bool:
    """Whether this could be a token at all."""
    return _TOKEN.fullmatch(text) is not None


def alive(token: Token, at: Instant) -> bool:
    """Whether it opens anything at that instant."""
    return token.expires_at is None or at < token.expires_at


def fit_name(name: str) -> str:
    """What a token may be called, without the spaces around it; `Refused`."""
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise Refused(f"a token has a name of at most {_LONGEST_NAME} characters that says what it is for")
    return name


def fit_scopes(scopes: Iterable[Permission], role: Role) -> tuple[Permission, ...]:
    """Scopes that somebody of this role may give, in their order and each once; `Refused`."""
    given = set(scopes)
    known = ", ".join(SCOPES)
    if not given or not given <= set(SCOPES):
        raise Refused(f"a token is good for at least one of {known}, and for nothing else")
    if beyond := sorted(given - of_scopes(SCOPES, role)):
        raise Refused(
            f"a token is never good for more than its account, and the role {role} has not: {', '.join(beyond)}"
        )
    return tuple(scope for scope in SCOPES if scope in given)


def fit_length(lasts: Duration | None) -> Duration:
    """How long a token is good; `Refused`."""
    if lasts is None:
        return LASTS
    if not 0 < lasts <= LONGEST:
        raise Refused(f"a token is good for some time, and for {LONGEST // DAY} days at most")
    return lasts
