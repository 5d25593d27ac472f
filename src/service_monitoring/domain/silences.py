"""Silences: for a while, somebody wants to hear nothing of what has certain labels.

Knows silences, and whether one holds at an instant: that is a function of the two, and stored nowhere. Does not know
what is held back because of one (`routing`), nor which incidents there are. Beginnings and ends are appointments on the
wall clock: nothing is booked for them, and no step of the clock shifts them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.matchers import Matcher, all_hold
from service_monitoring.errors import Refused


class Silence(Struct, frozen=True):
    """Holds in [begins, ends) for whatever all `matchers` hold for. `expired_by` ended it before it was over."""

    id: str
    matchers: tuple[Matcher, ...]
    begins: Instant
    ends: Instant
    author: str
    comment: str = ""
    expired_by: str = ""

    def holds(self, labels: Mapping[str, str], at: Instant) -> bool:
        """Whether it silences these labels at an instant."""
        return self.begins <= at < self.ends and all_hold(self.matchers, labels)


class StoredSilence(Struct, frozen=True):
    """A silence as it is kept. `over`: no decision asks for it any more, and it is kept for people alone."""

    silence: Silence
    over: bool = False


class Wanted(Struct, frozen=True):
    """What somebody wants to be silenced: to an instant `ends`, or for so long.

    `begins` is when it was said where it is left out.
    """

    matchers: tuple[Matcher, ...]
    author: str
    comment: str = ""
    begins: Instant | None = None
    ends: Instant | None = None
    lasts: Duration | None = None


def made(wanted: Wanted, at: Instant) -> Silence:
    """The silence that is wanted at `at`; its id follows from all of it. `Refused` where it can be none.

    Decisions that have been made stay as they are: one that should have begun before begins now.
    """
    if all_hold(wanted.matchers, {}):
        raise Refused("these matchers silence everything: name a label, as service=shop")
    begins = at if wanted.begins is None else max(wanted.begins, at)
    if (wanted.ends is None) == (wanted.lasts is None):
        raise Refused("a silence has an end, or a length")
    ends = begins.plus(wanted.lasts) if wanted.lasts is not None else wanted.ends
    assert ends is not None
    if ends <= begins:
        raise Refused(f"a silence until {ends} has ended before it begins")
    name = "\n".join(
        (
            "silence",
            str(begins),
            str(ends),
            wanted.author,
            wanted.comment,
            *(f"{one.label}{one.operator}{one.value}" for one in wanted.matchers),
        )
    )
    id = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Silence(id, wanted.matchers, begins, ends, wanted.author, wanted.comment)


def expired(silence: Silence, by: str, at: Instant) -> Silence:
    """The silence as it is when somebody ends it at `at`; `Refused` where it is over."""
    if silence.ends <= at:
        raise Refused(f"the silence {silence.id} ended at {silence.ends}")
    return replace(silence, begins=min(silence.begins, at), ends=at, expired_by=by)


def silencing(silences: Iterable[Silence], labels: Mapping[str, str], at: Instant) -> Silence | None:
    """The silence that holds for these labels at an instant; of several the one that lasts longest."""
    holding = [silence for silence in silences if silence.holds(labels, at)]
    return max(holding, key=lambda silence: (silence.ends, silence.id), default=None)


def next_end(silences: Iterable[Silence], labels: Mapping[str, str], at: Instant) -> Instant | None:
    """Until when these labels are silenced from `at` on without a pause; None where they are not.

    One silence may follow upon another. Asked of what is known at `at`: somebody may say another word meanwhile.
    """
    matching = [silence for silence in silences if all_hold(silence.matchers, labels)]
    until = at
    while (longest := silencing(matching, labels, until)) is not None:
        until = longest.ends
    return None if until == at else until


class Silences:
    """The silences that decisions ask for. A change is taken out once, to be stored.

    One that has ended is let go of when somebody makes or ends another: at an input, so that two runs of the same
    inputs keep the same, and not before, so that one that a step of the clock brings back holds again.
    """

    def __init__(self, known: Iterable[Silence] = ()) -> None:
        self._kept = {silence.id: silence for silence in known}
        self._changed: dict[str, StoredSilence] = {}

    def all(self) -> tuple[Silence, ...]:
        """All of them, also those that have ended and those that have not begun."""
        return tuple(self._kept.values())

    def make(self, wanted: Wanted, at: Instant) -> Silence:
        """One more; `Refused`."""
        silence = made(wanted, at)
        if silence.id in self._kept:
            raise Refused(f"there is this silence already: {silence.id}")
        self._let_go(at)
        return self._keep(silence)

    def expire(self, id: str, by: str, at: Instant) -> Silence:
        """End one now; `Refused` where there is none."""
        known = self._kept.get(id)
        if known is None:
            raise Refused(f"no silence {id} holds, or will")
        silence = expired(known, by, at)
        self._let_go(at)
        return self._keep(silence)

    def take_changes(self) -> tuple[StoredSilence, ...]:
        """What changed since the last call."""
        changed, self._changed = tuple(self._changed.values()), {}
        return changed

    def _keep(self, silence: Silence) -> Silence:
        self._kept[silence.id] = silence
        self._changed[silence.id] = StoredSilence(silence)
        return silence

    def _let_go(self, at: Instant) -> None:
        for silence in [each for each in self._kept.values() if each.ends <= at]:
            del self._kept[silence.id]
            self._changed[silence.id] = StoredSilence(silence, over=True)
