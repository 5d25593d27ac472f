"""Answers: what acts were answered that came with a key of their sender's, so that nothing is done twice.

Knows the port and its shapes. Does not know where answers are kept, nor HTTP beyond what an answer consists of.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

LONGEST_KEY: Final = 200
"""Characters of a sender's key."""


class Answered(Struct, frozen=True):
    """An answer. Where it is not `whole`, its body was not kept: it holds a secret, or is too long."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    whole: bool = True


class Asked(Struct, frozen=True):
    """What there is under a key already: a digest of what was asked, and its answer, None where there is none yet."""

    request: str
    answer: Answered | None


class Answers(Protocol):
    """Answers by digests of their keys, each kept for 24 hours.

    Of several that begin with one key at once, one alone is told to do it. What was begun and not ended, as where the
    program was killed meanwhile, stays so for as long: nobody knows whether it was done.
    """

    async def begin(self, key: str, request: str) -> Asked | None:
        """None where this is the first: it is to be done, and then ended or forgotten. `Unavailable`."""
        ...

    async def end(self, key: str, answer: Answered) -> None:
        """Keep what was answered."""
        ...

    async def forget(self, key: str) -> None:
        """Nothing was done: the key may be used once more."""
        ...
