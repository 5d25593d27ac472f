"""Heartbeats: what is wrong with a job that reports, by its schedule: missed, late, failed, overran.

Knows the reports, slots and gaps of one check. Does not know which rules count what (`policy`), where reports come from
or which clock is running: it steps when it is asked, and says when it wants to be asked again. Reports at an instant
are decided before what is due at it: one that comes exactly at its deadline is in time.

A job owes a report for every slot of its schedule. A success, or the start of a run, settles every slot up to it; a
failure settles none. `missed` is that nothing settled a slot in time, `late` that something did afterwards.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.calendar import next_slot, previous_slot
from service_monitoring.domain.inputs import Signal
from service_monitoring.domain.instants import HOUR, SECOND, Duration, Instant
from service_monitoring.domain.schedules import Cron, Expectation, Failing

EARLY: Final = 5 * SECOND
"""A job whose clock is ahead of ours by so much is still on time: more is a step of the clock everywhere."""

RUNS: Final = 100
"""So many runs of one job are followed at a time; beyond that the oldest is forgotten."""

ENDED: Final = 250
"""So many runs that ended are remembered, so that their reports, when they are sent again, change nothing."""

CORRECTION: Final = 3 * HOUR
"""A clock that goes back by so much was wrong before, as for Debian's cron: slots are what it says now."""


class Run(Struct, frozen=True):
    """A run under way. `lost` is time that nobody watched and that does not count, in nanoseconds.

    `kept`: its start settled a slot in time. `overran`: its time is over, and so it is no longer taken for alive.
    """

    id: str
    started: int
    kept: bool = False
    overran: bool = False
    lost: int = 0


class Job(Struct, frozen=True):
    """State of one check that waits for reports. Instants are in nanoseconds, 0 where there is none.

    Slots up to `settled` ask for nothing more; a period counts from there. Nothing is missed before `not_before`: a gap
    has let slots pass, of which `spared` is the newest. Slots up to `reached` have begun although the clock went back
    behind them. `ended` are runs, oldest first. `blind_since`: a gap is on, and nothing is asked for.
    """

    settled: int
    not_before: int = 0
    spared: int = 0
    reached: int = 0
    runs: tuple[Run, ...] = ()
    ended: tuple[str, ...] = ()
    missed: bool = False
    late: bool = False
    failed: bool = False
    succeeded: int = 0
    blind_since: int = 0


def begun(at: int) -> Job:
    """The check is watched from `at` on: the first slot after it counts."""
    return Job(settled=at)


def rescheduled(job: Job, at: int) -> Job:
    """The schedule was changed at `at`: slots of the new one count from here, what stands goes on standing."""
    return replace(job, settled=at, not_before=0, spared=0, reached=0)


def failings(job: Job) -> frozenset[Failing]:
    """Which failings stand."""
    overran = any(run.overran for run in job.runs)
    standing = (
        (Failing.MISSED, job.missed),
        (Failing.LATE, job.late),
        (Failing.FAILED, job.failed),
        (Failing.OVERRAN, overran),
    )
    return frozenset(failing for failing, stands in standing if stands)


def due(job: Job, expectation: Expectation) -> int | None:
    """When the job wants to be asked again: a slot's deadline, or the end of what a run may take."""
    if job.blind_since:
        return None
    wanted = [_overruns(run, expectation) for run in job.runs if not run.overran]
    slot = None if job.missed else _slot_after(expectation, job.settled)
    if slot is not None:
        wanted.append(_deadline(job, expectation, slot))
    return min(wanted, default=None)


def fired(job: Job, expectation: Expectation, at: int) -> Job:
    """What `due` asked for has come; `at` is its due instant, however late the caller is.

    A slot whose deadline finds a run under way is settled by it, whenever that started: how long it may take is its own
    matter. So a job that takes longer than its interval, and does not start twice, is not missed.
    """
    runs = tuple(
        replace(run, overran=True) if not run.overran and _overruns(run, expectation) <= at else run for run in job.runs
    )
    asked = replace(job, runs=runs)
    slot = None if job.missed else _slot_after(expectation, job.settled)
    if slot is None or _deadline(job, expectation, slot) > at:
        return asked
    if all(run.overran for run in runs):
        return replace(asked, missed=True)
    # All slots whose deadlines have come by now, which after a gap may be thousands, and not one a call.
    return replace(asked, settled=max(slot, at - expectation.grace))


def reported(job: Job, expectation: Expectation, signal: Signal, run: str, exit_code: int | None, at: int) -> Job:
    """The job reported at `at`. A success with an exit code other than 0 is a failure.

    A run starts once and ends once: whatever else is said of it, or said again, changes nothing. An end pairs with the
    start of its run, one without a run with the newest start.
    """
    if signal is Signal.LOG or (run and (run in job.ended or (signal is Signal.START and _found(job, run)))):
        return job
    if signal is Signal.FAIL or (exit_code and signal is not Signal.START):
        return replace(_ended(job, run), failed=True)
    # What was due in a gap is not late at its very end, before `sighted`, which finds the slot settled then.
    heard = _spared(job, expectation, job.blind_since, at) if job.blind_since else job
    return (_started if signal is Signal.START else _succeeded)(heard, expectation, run, at)


def blinded(job: Job, at: int) -> Job:
    """Nobody listens from `at` on."""
    return job if job.blind_since else replace(job, blind_since=at)


def sighted(job: Job, expectation: Expectation, at: int) -> Job:
    """Listening goes on at `at`. What was due meanwhile is due later, and the time of runs did not count.

    The open slots that had begun by then have one more interval of the schedule at most, or their grace and the length
    of the gap where that is less: a report that was lost in the gap can come again, a job that slept as we did can do
    its work.
    """
    if not job.blind_since:
        return job
    began, length = job.blind_since, at - job.blind_since
    spared = _spared(job, expectation, began, at)
    runs = tuple(
        run
        if run.overran or _overruns(run, expectation) <= began
        # A report was heard in the gap, at its very end: only so much of the gap was the run's.
        else replace(run, lost=run.lost + min(length, at - run.started))
        for run in job.runs
    )
    return replace(spared, runs=runs, blind_since=0)


def shifted(job: Job, expectation: Expectation, at: int, delta: Duration) -> Job:
    """The wall clock was set by `delta` and says `at` now.

    Slots of cron are appointments: what the clock leaps over is due later as after a gap, and what was settled, when
    the clock goes back, is not due again. A period and the time of a run are lengths, and go on as if nothing had been.
    """
    runs = tuple(replace(run, started=run.started + delta) for run in job.runs)
    moved = replace(job, runs=runs, blind_since=job.blind_since + delta if job.blind_since else 0)
    if not isinstance(expectation.schedule, Cron):
        not_before = job.not_before + delta if job.not_before else 0
        return replace(moved, settled=job.settled + delta, not_before=not_before, spared=job.spared + delta)
    if delta <= -CORRECTION:
        return replace(moved, settled=min(job.settled, at), not_before=0, spared=0, reached=0)
    before = at - delta
    reached = max(job.reached, before) if delta < 0 else job.reached
    return _spared(replace(moved, reached=reached), expectation, before, at, length=Duration(abs(delta)))


def _started(job: Job, expectation: Expectation, run: str, at: int) -> Job:
    settled, in_time = _settling(job, expectation, at)
    return replace(
        job,
        settled=settled,
        not_before=job.not_before if in_time is None else 0,
        runs=(*job.runs, Run(run, at, kept=in_time is True))[-RUNS:],
        missed=False,
        late=job.late or in_time is False,
    )


def _succeeded(job: Job, expectation: Expectation, run: str, at: int) -> Job:
    settled, in_time = _settling(job, expectation, at)
    not_before = job.not_before if in_time is None else 0
    begun = _found(job, run)
    if begun is not None and begun.kept and not begun.overran:
        in_time = True
    elif begun is not None and in_time and not isinstance(expectation.schedule, Cron):
        # A period counts from the start of this very run, which says nothing of whether that was in time.
        in_time = None
    done = _ended(job, run)
    # Runs that overran are got over, and remembered as ended: their starts, sent again, must not begin them anew.
    over = tuple(other.id for other in done.runs if other.overran and other.id)
    return replace(
        done,
        settled=settled,
        not_before=not_before,
        runs=tuple(other for other in done.runs if not other.overran),
        ended=(*done.ended, *over)[-ENDED:],
        missed=False,
        late=job.late if in_time is None else not in_time,
        failed=False,
        succeeded=at,
    )


def _ended(job: Job, run: str) -> Job:
    """The run is over: it ends nothing a second time."""
    begun = _found(job, run)
    name = run if begun is None else begun.id
    return replace(
        job,
        runs=tuple(other for other in job.runs if other is not begun),
        ended=(*job.ended, name)[-ENDED:] if name else job.ended,
    )


def _found(job: Job, run: str) -> Run | None:
    """The run of that name under way; without a name, the one that started last."""
    return next((begun for begun in reversed(job.runs) if not run or begun.id == run), None)


def _settling(job: Job, expectation: Expectation, at: int) -> tuple[int, bool | None]:
    """What is settled when the job is heard at `at`, and whether the newest slot is so in time; None without a slot.

    Slots before the newest that are still open were missed, not late: this is not their report.
    """
    slot = _slot_after(expectation, job.settled)
    if not isinstance(expectation.schedule, Cron):
        return at, slot is None or at <= _deadline(job, expectation, slot)
    by = max(at, job.reached)
    if slot is None or slot > by:
        # The report of a slot that was settled is for no other, unless the next is so near that only clocks differ.
        return (slot, True) if slot is not None and slot <= at + EARLY else (job.settled, None)
    newest = _slot_until(expectation.schedule, by)
    return by, newest is None or at <= _deadline(job, expectation, newest)


def _spared(job: Job, expectation: Expectation, began: int, ended: int, *, length: int | None = None) -> Job:
    """Nobody listened from `began` to `ended`: the newest slot that has begun since, if it is open, has some more time.

    Several are made one by that: nothing at all is missed before. A slot that begins afterwards is watched throughout.
    One that was spared before has its grace only once: or we, restarting all the time, would never find it missed.
    """
    by = max(ended, job.reached)
    schedule = expectation.schedule
    if isinstance(schedule, Cron):
        newest = _slot_until(schedule, by)
        following = None if newest is None else _slot_after(expectation, newest)
    else:
        newest = job.settled + schedule.every
        following = newest + schedule.every
    if newest is None or not job.settled < newest <= by or _deadline(job, expectation, newest) <= began:
        return job
    again = newest == job.spared
    room = (0 if again else expectation.grace) + (ended - began if length is None else length)
    if following is not None:
        room = min(room, following - newest)
    left = job.not_before + (ended - began) if again else job.not_before
    return replace(job, not_before=max(left, ended + room), spared=newest)


def _overruns(run: Run, expectation: Expectation) -> int:
    """From when on the run takes too long. Where nobody said how long it may, it has the grace, as in Healthchecks."""
    allowed = expectation.grace if expectation.max_runtime is None else expectation.max_runtime
    return run.started + run.lost + allowed


def _deadline(job: Job, expectation: Expectation, slot: int) -> int:
    return max(slot + expectation.grace, job.not_before)


def _slot_after(expectation: Expectation, after: int) -> int | None:
    schedule = expectation.schedule
    if not isinstance(schedule, Cron):
        return after + schedule.every
    slot = next_slot(schedule, Instant(after))
    return None if slot is None else slot.ns


def _slot_until(schedule: Cron, at: int) -> int | None:
    slot = previous_slot(schedule, Instant(at))
    return None if slot is None else slot.ns
