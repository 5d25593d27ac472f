"""Sessions: how long somebody who signed in stays so.

Pure: takes instants and hashes. What opens a session is in its cookie alone; it is not known here.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, Duration, Instant

IDLE: Final = Duration(12 * HOUR)
"""After so long without a request it is over."""
ABSOLUTE: Final = Duration(7 * DAY)
"""After so long it is over in any case."""
NOTED: Final = MINUTE
"""How exactly it is kept when one was seen last: not every request is worth a write."""
MOST: Final = 100
"""Sessions of one account; the one that was not seen for longest makes room."""

_HANDLE: Final = 16


class Session(Struct, frozen=True):
    """A session by its hash (SHA-256, hexadecimal). `handle` names it and opens nothing."""

    hash: str
    account: str
    handle: str
    made_at: Instant
    seen_at: Instant
    address: str
    agent: str


def digest(secret: str) -> str:
    """What is kept of a secret that has enough random bits: nobody finds it again from this."""
    return sha256(secret.encode(errors="replace")).hexdigest()


def handle(digest: str) -> str:
    """What names a session, or a token, in lists."""
    return digest[:_HANDLE]


def csrf(secret: str) -> str:
    """What the forms of a session carry: it follows from the secret, and the secret not from it."""
    return hmac.new(secret.encode(errors="replace"), b"service-monitoring csrf", sha256).hexdigest()


def alive(session: Session, at: Instant) -> bool:
    """Whether it is not over yet."""
    return at.since(session.seen_at) < IDLE and at.since(session.made_at) < ABSOLUTE
