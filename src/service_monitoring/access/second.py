"""The second factor: what an account is asked besides its password, and what stands in for it when it is lost.

Pure: takes instants and random digits. Knows factors by what is stored of them, which opens nothing without a key that
is elsewhere, and recovery codes by their hashes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import HOUR, MINUTE, Duration, Instant

HALF_OPEN: Final = Duration(5 * MINUTE)
"""How long somebody whose password was right may look for the code."""
MOST_HALF_OPEN: Final = 10
"""Of one account; the oldest makes room."""
OFFERED: Final = Duration(30 * MINUTE)
"""How long a secret that was shown waits for the first code of it."""
RECOVERY_CODES: Final = 10
TRIES: Final = 20
WITHIN: Final = Duration(HOUR)
"""How often six digits may be tried of one account, besides the tries of a minute: there are a million of them."""

_BYTES: Final = 10
"""Of a recovery code: nobody guesses 80 bits, nor finds them again from their hash."""
_LENGTH: Final = 25
_GROUP: Final = 5


class SecondFactor(Struct, frozen=True):
    """The second factor of an account: its secret, sealed, and the last step of time whose code was used."""

    account: str
    sealed: str
    step: int
    made_at: Instant


class RecoveryCode(Struct, frozen=True):
    """A recovery code by its hash (SHA-256, hexadecimal); it was good once where it was used."""

    hash: str
    account: str
    made_at: Instant
    used_at: Instant | None = None


class HalfOpen(Struct, frozen=True):
    """Somebody whose password was right, and who owes a code. Void where password or factor are others meanwhile."""

    account: str
    password: str
    sealed: str
    expires_at: Instant


def recovery_code(digits: str) -> str:
    """The recovery code of random hexadecimal digits, as it is shown: five groups of digits, which any keyboard has."""
    code = f"{int(digits[: 2 * _BYTES], 16):0{_LENGTH}d}"
    return "-".join(code[place : place + _GROUP] for place in range(0, _LENGTH, _GROUP))


def recovery_digest(code: str) -> str:
    """What is kept of a recovery code, however its groups were written."""
    plain = "".join(code.split()).replace("-", "")
    return sha256(f"recovery {plain}".encode(errors="replace")).hexdigest()


def six_digits(code: str) -> str:
    """The six digits that were typed, without the spaces that apps show; nothing where it is something else."""
    plain = "".join(code.split())
    return plain if len(plain) == 6 and plain.isascii() and plain.isdecimal() else ""
