"""Runs: stretches of a column with one code and no silence in them, and the fold that takes `holds` through whole ones.

Knows columns of codes and what `holds` answers. Does not know how a code came about (`strategies`), nor what `for`,
`recover`, silence or `no_data` mean: every turn comes from `judged`, `due` and `fired`, here only asked less often than
there are samples. Gaps of our own and people's acts end a column: the caller applies them to the hold and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.holds import (
    Doubt,
    Hold,
    Step,
    Terms,
    Turn,
    counted_to,
    due,
    fired,
    judged,
    shifted,
    silences,
)
from service_monitoring.domain.incidents import Cause
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import NO_INSTANTS, CodeColumn, InstantColumn

BoolColumn = npt.NDArray[np.bool_]

_Turns = tuple[tuple[Turn, Cause], ...]

_BLOCK: Final = 1 << 15
"""So many samples at once stay in the cache of a core."""

_BASE: Final = 1 << 60
"""Where holds stand that are told apart by everything but their instant; not at 0, which means none in some fields."""

_NEVER: Final = 1 << 61
_CELLS: Final = 512
_ROUNDS: Final = 16
"""So often to and fro between two cells, and the rest of it is looked for at once."""


class Runs(NamedTuple):
    """Three columns of one length: run i is of the samples from index begins[i] up to ends[i], all of code codes[i]."""

    begins: InstantColumn
    ends: InstantColumn
    codes: CodeColumn


class Turned(Struct, frozen=True, gc=False):
    """A turn of an episode at an instant (ns), and its cause. Of these a column may bring millions."""

    at: int
    turn: Turn
    cause: Cause


class Folded(Struct, frozen=True):
    """Where a column left the hold, counted up to the end of it, and every turn on the way, in order.

    `heard` is the instant of the last sample, with which the next column goes on; 0 when the series was let go of.
    """

    hold: Hold
    turns: list[Turned]
    heard: int


def runs(instants: InstantColumn, codes: CodeColumn, silence: Duration | None) -> Runs:
    """Where the code changes, and where the next sample is more than `silence` away, a run ends."""
    count = len(codes)
    if count == 0:
        nothing = np.empty(0, dtype=np.int64)
        return Runs(nothing, nothing, codes)
    inner = borders([codes], late(instants, silence)) + 1
    bounds = np.concatenate([np.zeros(1, dtype=np.int64), inner, np.full(1, count)])
    return Runs(bounds[:-1], bounds[1:], codes[bounds[:-1]])


def late(instants: InstantColumn, silence: Duration | None) -> BoolColumn:
    """After which samples but the last the next one is more than `silence` away."""
    count = max(0, len(instants) - 1)
    if silence is None:
        return np.zeros(count, dtype=np.bool_)
    if count <= _BLOCK:
        few: BoolColumn = instants[1:] - instants[:-1] > silence
        return few
    found, steps = np.empty(count, dtype=np.bool_), np.empty(min(count, _BLOCK), dtype=np.int64)
    for begin in range(0, count, _BLOCK):
        size = min(_BLOCK, count - begin)
        np.subtract(instants[begin + 1 : begin + 1 + size], instants[begin : begin + size], out=steps[:size])
        np.greater(steps[:size], silence, out=found[begin : begin + size])
    return found


def borders(columns: Iterable[CodeColumn], silent: BoolColumn | None = None) -> InstantColumn:
    """The indices of samples, but the last, after which it is silent, if it ever is, or any column's code changes."""
    changing = [codes for codes in columns if len(codes) and codes.min() != codes.max()]
    if not changing:
        return NO_INSTANTS if silent is None else silent.nonzero()[0]
    edges = changing[0][1:] != changing[0][:-1]
    for codes in changing[1:]:
        edges |= codes[1:] != codes[:-1]
    if silent is not None:
        edges |= silent
    return np.flatnonzero(edges)


def turns(
    hold: Hold,
    terms: Terms,
    instants: InstantColumn,
    codes: CodeColumn,
    *,
    heard: int = 0,
    until: int | None = None,
) -> Folded:
    """Take a hold through a column of samples and their codes, and through every timer that falls due meanwhile.

    `heard` is the instant (ns) of the last sample before the column, 0 for none. At one instant samples come before
    timers. With `until` what is due up to and at that instant has come, too; without it nothing is asked for after the
    last sample, so that the next column goes on where this one ended and any cut gives the same turns.
    """
    return _Fold(terms, instants, codes).through(hold, heard, until)


class _Cell:
    """A hold after a sample of some code, without its instant, and what `holds` answers about it, asked once.

    Timers and samples depend on time only through what is counted, and everything that is counted grows evenly: what a
    sample does is the same at every instant before a timer is due if it is the same at the first and at the last one.
    """

    __slots__ = ("alarm", "far", "hold", "links", "near", "steady")

    def __init__(self, hold: Hold, terms: Terms, code: int) -> None:
        self.hold = hold
        self.links: dict[int, _Link | None] = {}
        self.alarm: _Link | None = None
        # What is due when no sample follows, and what is due although samples do.
        self.near = _delay(due(hold, terms, hold.at), hold)
        self.far = _delay(due(hold, terms, _NEVER), hold)
        self.steady = all(
            judged(hold, terms, at, Code(code)) == Step(counted_to(hold, at))
            for at in (hold.at + 1, hold.at + self.far)
        )


_Link = tuple[_Turns, _Cell]
"""What a sample or a timer does, and where it leads."""


def _delay(wanted: tuple[int, object] | None, hold: Hold) -> int:
    return _NEVER if wanted is None else min(_NEVER, wanted[0] - hold.at)


def _based(hold: Hold) -> Hold:
    """A hold after a sample, moved to `_BASE`, without an anchor that is no later: silence counts from the sample."""
    based = shifted(hold, Duration(_BASE - hold.at))
    return based if based.anchor == 0 or based.doubt is Doubt.AFTER_GAP else replace(based, anchor=0)


class _Fold:
    """One way through one column."""

    def __init__(self, terms: Terms, instants: InstantColumn, codes: CodeColumn) -> None:
        self._terms = terms
        self._instants = instants
        self._begins, self._ends, self._codes = runs(instants, codes, min(silences(terms), default=None))
        self._firsts, self._lasts = instants[self._begins], instants[self._ends - 1]
        self._cells: dict[tuple[Hold, int], _Cell] = {}
        self._turned: list[Turned] = []
        self._let_go = False

    def through(self, hold: Hold, heard: int, until: int | None) -> Folded:
        """All runs, then what is due up to `until`."""
        firsts, lasts, codes = self._firsts.tolist(), self._lasts.tolist(), self._codes.tolist()
        end, limit = heard if until is None else until, 0 if until is None else until + 1
        if codes:
            cell = self._judged(self._timers(hold, heard, firsts[0]), firsts[0], codes[0])
            cell, began = self._between(cell, firsts, lasts, codes)
            end, limit = (lasts[-1], lasts[-1]) if until is None else (end, limit)
            hold = self._rest(cell, began, len(codes) - 1, limit)
        else:
            hold = self._timers(hold, heard, limit)
        heard = 0 if self._let_go else lasts[-1] if lasts else heard
        return Folded(counted_to(hold, max(hold.at, end)), self._turned, heard)

    def _between(self, cell: _Cell, firsts: list[int], lasts: list[int], codes: list[int]) -> tuple[_Cell, int]:
        """From the first sample of the first run to that of the last one; gives its cell and where that began."""
        turned = self._turned
        index, began, last = 1, firsts[0], lasts[0]
        before, rounds = cell, 0
        while index < len(codes):
            if rounds >= _ROUNDS:
                size = self._circling(index, cell, before, firsts)
                rounds = 0
                if size:
                    index += size
                    began, last = firsts[index - 1], lasts[index - 1]
                    continue
            first, code = firsts[index], codes[index]
            alarm = began + cell.far
            if alarm < first and (alarm <= last or alarm - last < cell.near) and (cell.steady or began == last):
                began = alarm
                moved, cell = cell.alarm or self._alarm(cell, codes[index - 1])
                for turn, cause in moved:
                    turned.append(Turned(began, turn, cause))
                rounds = 0
                continue
            link = None
            if first - began <= cell.far and first - last <= cell.near and (cell.steady or began == last):
                link = cell.links[code] if code in cell.links else self._link(cell, code)
            if link is not None:
                rounds = rounds + 1 if link[1] is before else 0
                before = cell
                moved, cell = link
                for turn, cause in moved:
                    turned.append(Turned(first, turn, cause))
            else:
                cell = self._judged(self._rest(cell, began, index - 1, first), first, code)
                rounds = 0
            began, last = first, lasts[index]
            index += 1
        return cell, began

    def _circling(self, index: int, cell: _Cell, before: _Cell, firsts: list[int]) -> int:
        """How many runs from `index` on, an even number, do nothing but lead from `cell` to the one before and back."""
        size = min(_BLOCK, len(firsts) - index) & ~1
        begin, end = index - 1, index - 1 + size
        lasts = self._firsts[begin + 1 : end + 1]
        ok = self._codes[begin + 1 : end + 1] == self._codes[begin - 1 : end - 1]
        for offset, each in enumerate((cell, before)):
            began, last, next_ = self._firsts[begin:end][offset::2], self._lasts[begin:end][offset::2], lasts[offset::2]
            ok[offset::2] &= (next_ - began <= each.far) & (next_ - last <= each.near)
            if not each.steady:
                ok[offset::2] &= began == last
        size = (size if ok.all() else int(np.argmin(ok))) & ~1
        if size == 0:
            return 0
        out, back = (each.links[int(code)] for each, code in zip((cell, before), self._codes[index:], strict=False))
        assert out is not None
        assert back is not None
        self._turned += [
            Turned(first, turn, cause)
            for first, moved in zip(firsts[index : index + size], cycle((out[0], back[0])), strict=False)
            for turn, cause in moved
        ]
        return size

    def _link(self, cell: _Cell, code: int) -> _Link | None:
        """What a sample does if it comes before a timer; None if that depends on when."""
        first, last = (judged(cell.hold, self._terms, _BASE + delay, Code(code)) for delay in (1, cell.far))
        hold = _based(first.hold)
        same = first.turns == last.turns and hold == _based(last.hold)
        link = cell.links[code] = (first.turns, self._cell(hold, code)) if same else None
        return link

    def _alarm(self, cell: _Cell, code: int) -> _Link:
        """What the timer does that comes although samples do."""
        wanted = due(cell.hold, self._terms, _NEVER)
        assert wanted is not None
        step = fired(cell.hold, self._terms, *wanted)
        link = cell.alarm = (step.turns, self._cell(_based(step.hold), code))
        return link

    def _cell(self, hold: Hold, code: int) -> _Cell:
        cell = self._cells.get((hold, code))
        if cell is None:
            if len(self._cells) >= _CELLS:
                self._cells.clear()
            cell = self._cells[hold, code] = _Cell(hold, self._terms, code)
        return cell

    def _judged(self, hold: Hold, at: int, code: int) -> _Cell:
        return self._cell(_based(self._heard(hold, at, Code(code))), code)

    def _heard(self, hold: Hold, at: int, code: Code) -> Hold:
        self._let_go = False
        return self._moved(judged(hold, self._terms, at, code), at)

    def _rest(self, cell: _Cell, began: int, run: int, limit: int) -> Hold:
        """The rest of a run, of which everything up to `began` was done: its samples, and the timers before `limit`.

        Samples that change nothing are passed over up to the next timer that comes although they do.
        """
        instants, terms = self._instants, self._terms
        hold, end, code = shifted(cell.hold, Duration(began - _BASE)), int(self._ends[run]), Code(self._codes[run])
        index = int(np.searchsorted(instants[:end], began, side="right")) - 1
        while True:
            if index + 1 < end:
                at = int(instants[index + 1])
                if judged(hold, terms, at, code) == Step(counted_to(hold, at)):
                    wanted = due(hold, terms, _NEVER)
                    last = _NEVER if wanted is None else wanted[0]
                    index += int(np.searchsorted(instants[index + 1 : end], last, side="right"))
            before = limit if index + 1 == end else int(instants[index + 1])
            now = self._fired(hold, int(instants[index]), before)
            if now is not None:
                hold = now
            elif index + 1 == end:
                return hold
            else:
                index += 1
                hold = self._heard(hold, int(instants[index]), code)

    def _timers(self, hold: Hold, heard: int, before: int) -> Hold:
        """Everything that is due before an instant."""
        now: Hold | None = hold
        while now is not None:
            hold, now = now, self._fired(now, heard, before)
        return hold

    def _fired(self, hold: Hold, heard: int, before: int) -> Hold | None:
        """The next timer, if it is due before that instant.

        One that leaves everything as it was says that the series is let go of: it begins anew with its next sample.
        """
        wanted = due(hold, self._terms, 0 if self._let_go else heard)
        if wanted is None or wanted[0] >= before:
            return None
        at = wanted[0]
        step = fired(hold, self._terms, at, wanted[1])
        moved = self._moved(step, at)
        if moved == counted_to(hold, at):
            self._let_go = True
            return Hold(at=at)
        return moved

    def _moved(self, step: Step, at: int) -> Hold:
        for turn, cause in step.turns:
            self._turned.append(Turned(at, turn, cause))
        return step.hold
