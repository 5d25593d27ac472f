"""Hashes of passwords, by Argon2id.

Every call blocks for tens of milliseconds and takes 19 MiB: whoever has a loop calls it in a thread, and not in many.
"""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16)
"""What OWASP asks for at least: 19 MiB, two passes, one lane."""

NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUhIQ$EfImvH6jrmheiZ2z3+CPo7M/kE87NspQwc1JaOfNqQk"
"""What is verified for a name that there is not, so that it takes as long: a test compares its parameters with ours."""


def hashed(password: str, salt: bytes) -> str:
    """The hash of a password, with its parameters and its salt, which is 16 random bytes."""
    return _HASHER.hash(password, salt=salt)


def verified(encoded: str, password: str) -> bool:
    """Whether that is the password. What is no hash is verified like that of nobody, and is not."""
    try:
        return _HASHER.verify(encoded or NOBODYS, password.encode(errors="replace")) and bool(encoded)
    except (VerificationError, InvalidHashError):
        return False


def outdated(encoded: str) -> bool:
    """Whether today it would be hashed with other parameters."""
    return _HASHER.check_needs_rehash(encoded)
