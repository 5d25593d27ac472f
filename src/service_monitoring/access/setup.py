"""Setup: the token of the first run, with which the first account is made.

Pure: takes instants. It is good once, for half an hour, and as long as there is no account; only its hash is held.
"""

from __future__ import annotations

import hmac
from typing import Final

from msgspec import Struct

from service_monitoring.access.sessions import digest
from service_monitoring.domain.instants import MINUTE, Duration, Instant

LASTS: Final = Duration(30 * MINUTE)


class Setup(Struct, frozen=True):
    """A token by its hash; it opens nothing from `expires_at` on."""

    hash: str
    expires_at: Instant


def begun(secret: str, at: Instant) -> Setup:
    """What is held of a token that is printed now."""
    return Setup(digest(secret), at.plus(LASTS))


def opens(setup: Setup | None, token: str, at: Instant) -> bool:
    """Whether this is the token, and it is still good."""
    matches = hmac.compare_digest(digest(token.strip()), setup.hash if setup is not None else digest(""))
    return setup is not None and matches and at < setup.expires_at
