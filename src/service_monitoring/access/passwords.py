"""Passwords: which may be chosen. How they are kept is known to `hashes` alone.

Pure. Length is what makes a password hard to guess, so there are no rules about its characters.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from service_monitoring.access.accounts import same
from service_monitoring.errors import Refused

SHORTEST: Final = 12
LONGEST: Final = 256
"""Characters. Hashing costs the same for any of them, but nobody has to take in more."""

_COMMON: Final = frozenset(
    (
        *("123456789012", "1234567890123", "12345678901234", "123456789012345", "1234567890123456", "012345678910"),
        *("123456123456", "123123123123", "111222333444", "112233445566", "098765432109", "987654321098"),
        *("administrator", "adminadmin123", "adminadminadmin", "administrator1", "rootrootroot", "toortoortoor"),
        *("password1234", "password12345", "password123456", "passwordpassword", "password123!", "p@ssw0rd1234"),
        *("passw0rd1234", "mypassword123", "mypassword1234", "thisismypassword", "newpassword1", "changemechangeme"),
        *("changeme1234", "changeme12345", "letmeinletmein", "letmein12345", "welcome12345", "welcomewelcome"),
        *("qwertyuiop12", "qwertyuiop123", "qwertyuiop[]", "qwertyuiopasdf", "qwertyuiopasdfghjkl", "qwerty123456"),
        *("qwertyqwerty", "qwerty1234567", "1q2w3e4r5t6y", "1qaz2wsx3edc", "q1w2e3r4t5y6", "zaq12wsxcde3"),
        *(
            "abcdefghijkl",
            "abcdefghijklm",
            "abcdefghijklmnopqrstuvwxyz",
            "abc123abc123",
            "abcd12345678",
            "asdfghjkl123",
        ),
        *("iloveyou1234", "iloveyou12345", "iloveyouiloveyou", "sunshine1234", "football1234", "baseball1234"),
        *(
            "monkey123456",
            "dragon123456",
            "superman1234",
            "princess1234",
            "trustno1trustno1",
            "correcthorsebatterystaple",
        ),
        *("monitoring123", "monitoring1234", "servicemonitoring", "service-monitoring", "servicemonitoring1"),
    )
)
"""The commonest of those that are long enough, and the words that lie nearest here."""


def plain(password: str) -> str:
    """The same text for the same password, whatever keyboard it was typed on (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def fit(password: str, name: str) -> str:
    """A password that somebody of this name may choose, as it is hashed; `Refused` says why it may not be."""
    chosen = plain(password)
    if len(chosen) < SHORTEST:
        raise Refused(f"a password has at least {SHORTEST} characters: take several words")
    if len(chosen) > LONGEST:
        raise Refused(f"a password has at most {LONGEST} characters")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in chosen):
        raise Refused("a password has no control characters, nor halves of characters")
    spoken = same(chosen)
    if spoken == same(name) or spoken in _COMMON or len(set(spoken)) < 3:
        raise Refused("this password is among the first that anybody would try: take several words")
    return chosen
