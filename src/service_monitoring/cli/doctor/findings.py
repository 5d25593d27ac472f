"""What the doctor finds, as values."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """How bad it is. Only `wrong` makes the doctor's exit code 1."""

    FINE = "fine"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


class Finding(Struct, frozen=True):
    """One thing that was looked at. `why` and `remedy` are given for what is not fine."""

    topic: str
    level: Level
    what: str
    why: str = ""
    remedy: str = ""


def fine(topic: str, what: str) -> Finding:
    """As it should be."""
    return Finding(topic, Level.FINE, what)


def doubtful(topic: str, what: str, why: str, remedy: str) -> Finding:
    """It may be meant."""
    return Finding(topic, Level.DOUBTFUL, what, why, remedy)


def wrong(topic: str, what: str, why: str, remedy: str) -> Finding:
    """It will fail, or has."""
    return Finding(topic, Level.WRONG, what, why, remedy)
