"""Rehearsals that people ask for in a browser: asked for, checked, kept in a line, and what came of them.

Knows the file, the data folder and its recorded past, the requests and results of the processes (`rehearsal_process`),
and how much of them is kept. Does not know how a process is run (`runtime.jobs`), nor what is decided.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.bootstrap.logs import log
from service_monitoring.bootstrap.ranges import Range
from service_monitoring.bootstrap.rehearsal_plans import Known, extent_of, planned
from service_monitoring.bootstrap.rehearsal_requests import (
    LEDGERS,
    PAGE,
    REFUSED,
    REPORT,
    REQUEST,
    RESULTS,
    Heard,
    Request,
)
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.errors import NotFound
from service_monitoring.ports import Clock, Tick
from service_monitoring.runtime.jobs import INTERRUPTED, Jobs, OneAtATime, Work, command_of, signal_name
from service_monitoring.runtime.reload import aside
from service_monitoring.settings import Settings
from service_monitoring.settings.gather import gather
from service_monitoring.views.because import instant_text
from service_monitoring.views.rehearsals import (
    MOST_WAITING,
    UNDER_WAY,
    JobDetail,
    JobRow,
    RehearsalOptions,
    RehearsalReport,
    Standing,
    Wanted,
    Written,
)
from service_monitoring.wire.codec import decode, encode

FOLDER: Final = "rehearsals"
"""In the data folder: a folder for each job. All of it is removed when the program starts, and when it ends."""
KEPT: Final = 20
"""Jobs that have ended and are kept."""
MOST_KEPT: Final = 256 * 1024**2
"""Bytes of results of all jobs; those that ended first go first."""

_MODULE: Final = "service_monitoring.bootstrap.rehearsal_process"
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")
"""All that a process gets of our own environment, which may hold secrets."""
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MOST_NAMES: Final = 200
_FRESH: Final = Duration(15 * SECOND)
"""How old the end of what is recorded may be on a form."""
_PIECE: Final = 256 * 1024
_MOST_SENTENCE: Final = 500


class _Job(Struct):
    """A job as it stands. `size` is what its results take on the disk."""

    row: JobRow
    written: tuple[Written, ...]
    yaml: str
    size: int = 0


class RehearsalJobs:
    """The port `views.rehearsals.Rehearsals`. Belongs to one loop; what blocks is done in threads.

    `run` is a loop of the program. The folder of jobs is made for the owner alone. After `stop` nothing is left of it.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        clock: Clock,
        new_id: Callable[[], str],
        *,
        environment: Mapping[str, str],
    ) -> None:
        """`settings` are those in force; the caller holds the lock of the data folder that they name."""
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._folder = settings().store.path.resolve() / FOLDER
        self._jobs: dict[str, _Job] = {}
        self._known: tuple[object, Known] | None = None
        self._looked: tuple[Tick, Range] | None = None
        self._one = OneAtATime()
        """Reading a large file takes seconds."""
        inherited = {name: environment[name] for name in _INHERITED if name in environment}
        self._line = Jobs(
            clock,
            self,
            most=MOST_WAITING,
            environment={"PATH": os.defpath} | inherited | dict.fromkeys(_THREADS, "1"),
        )
        # What a program that was killed left there.
        shutil.rmtree(self._folder, ignore_errors=True)

    # What may be asked ------------------------------------------------------------------------------------------------

    async def options(self, services: tuple[str, ...] = (), search: str = "") -> RehearsalOptions:
        """What may be rehearsed. Reads the file where it is another than the last time."""
        settings = self._settings()
        known = await self._one.do(self._look, settings)
        there, nothing = await self._extent(settings.store.path)
        found = [name for name in known.services if search.lower() in name.lower()]
        return RehearsalOptions(
            since=None if there is None else instant_text(there.since),
            until=None if there is None else instant_text(there.until),
            nothing=nothing,
            zone=settings.timezone,
            services=tuple(found[:_MOST_NAMES]),
            of_services=len(known.services),
            rules=tuple(each for name in dict.fromkeys(services) for each in known.rules(name)),
            routes=known.routes,
        )

    async def _extent(self, folder: Path) -> tuple[Range | None, str]:
        """What is recorded. To look means to check the files, which takes a while where much is: not each time."""
        now = self._clock.tick()
        if self._looked is None or now.since(self._looked[0]) >= _FRESH:
            there, nothing = await aside(extent_of, folder)
            if there is None:
                return there, nothing
            self._looked = now, there
        return self._looked[1], ""

    def _look(self, settings: Settings) -> Known:
        stamp = None if settings.origin is None else settings.origin.stamp()
        if self._known is None or self._known[0] != (settings.file, stamp):
            self._known = ((settings.file, stamp), Known(gather(settings.file)))
        return self._known[1]

    # Jobs -------------------------------------------------------------------------------------------------------------

    async def start(self, wanted: Wanted) -> JobRow:
        """Check what is wanted, and put it into the line."""
        self._line.refuse_more()
        settings = self._settings()
        plan = await self._one.do(planned, settings, wanted)
        self._line.refuse_more()
        id = self._new_id()[:16]
        folder = self._folder / id
        await aside(_ask, folder, plan.request)
        row = JobRow(
            id=id,
            state=Standing.QUEUED,
            wanted=wanted,
            since=instant_text(plan.request.since),
            until=instant_text(plan.request.until),
            asked_at=instant_text(self._clock.now()),
            began_at=None,
            ended_at=None,
            place=0,
            share=0.0,
            at=None,
            samples=0,
            sentence="",
        )
        self._jobs[id] = _Job(row, plan.written, plan.yaml)
        try:
            self._line.submit(Work(id, tuple(command_of(sys.executable, _MODULE, str(folder))), folder))
        except BaseException:
            del self._jobs[id]
            await aside(shutil.rmtree, folder, ignore_errors=True)
            raise
        return self._row(id)

    async def job(self, id: str) -> JobDetail:
        """One of them."""
        job = self._job(id)
        return JobDetail(self._row(id), job.written, job.yaml)

    async def jobs(self, *, limit: int, before: str = "") -> list[JobRow]:
        """The latest asked for first."""
        ids = list(reversed(self._jobs))
        if before:
            self._job(before)
            ids = ids[ids.index(before) + 1 :]
        return [self._row(id) for id in ids[:limit]]

    async def cancel(self, id: str) -> JobRow:
        """End it, if it has not ended."""
        if self._job(id).row.state in UNDER_WAY:
            await self._line.cancel(id)
        return self._row(id)

    def _job(self, id: str) -> _Job:
        job = self._jobs.get(id)
        if job is None:
            raise NotFound("there is no such rehearsal: the last ones alone are kept, and none of a program before")
        return job

    def _row(self, id: str) -> JobRow:
        row = self._job(id).row
        return replace(row, place=self._line.place(id)) if row.state is Standing.QUEUED else row

    # Results ----------------------------------------------------------------------------------------------------------

    async def report(self, id: str) -> RehearsalReport:
        """What came of it."""
        content = await self._content(id, REPORT)
        return msgspec.json.decode(content, type=RehearsalReport)

    async def page(self, id: str) -> bytes:
        """The whole report as a page of its own."""
        return await self._content(id, PAGE)

    async def ledger(self, id: str, side: str) -> AsyncIterator[bytes]:
        """Every decision of one side; without changes there is one side alone."""
        job = self._finished(id)
        name = LEDGERS.get(side)
        if name is None:
            raise NotFound("a ledger has the side before or after")
        if not job.written and not job.row.wanted.drafts:
            name = LEDGERS["before"]
        file = await aside((self._folder / id / name).open, "rb")

        async def pieces() -> AsyncIterator[bytes]:
            try:
                while piece := await aside(file.read, _PIECE):
                    yield piece
            finally:
                file.close()

        return pieces()

    async def _content(self, id: str, name: str) -> bytes:
        self._finished(id)
        try:
            return await aside((self._folder / id / name).read_bytes)
        except FileNotFoundError:
            raise NotFound("what came of this rehearsal is not kept any more: ask for it again") from None

    def _finished(self, id: str) -> _Job:
        job = self._job(id)
        if job.row.state is not Standing.DONE:
            raise NotFound(f"this rehearsal is {job.row.state}: nothing has come of it")
        return job

    # The loop ---------------------------------------------------------------------------------------------------------

    async def run(self, beat: Callable[[], None]) -> None:
        """Rehearse what is asked for, until cancelled or stopped."""
        await self._line.run(beat)

    async def stop(self) -> None:
        """End what runs and what waits, and leave nothing behind."""
        await self._line.stop()
        await aside(shutil.rmtree, self._folder, ignore_errors=True)

    def began(self, key: str) -> None:
        """A job runs."""
        self._change(key, state=Standing.RUNNING, began_at=instant_text(self._clock.now()))

    def said(self, key: str, line: bytes) -> None:
        """Its process said how far it is."""
        heard = decode(Heard, line)
        if key in self._jobs and self._jobs[key].row.state is Standing.RUNNING:
            self._change(key, share=heard.share, at=instant_text(heard.at), samples=heard.samples)

    async def ended(self, key: str, code: int | None, complaint: str) -> None:
        """It ended."""
        folder = self._folder / key
        state, sentence = _ended(code, complaint)
        size = 0
        if state is Standing.DONE:
            size = await aside(_kept, folder)
            report = await aside((folder / REPORT).read_bytes)
            sentence = msgspec.json.decode(report, type=_Headline).headline
        else:
            await aside(shutil.rmtree, folder, ignore_errors=True)
        self._jobs[key].size = size
        share = 1.0 if state is Standing.DONE else self._jobs[key].row.share
        self._change(key, state=state, share=share, ended_at=instant_text(self._clock.now()), sentence=sentence)
        if state is Standing.FAILED:
            log().warning("rehearsal failed", rehearsal=key, problem=complaint or sentence)
        await self._forget()

    def _change(self, key: str, **changed: object) -> None:
        job = self._jobs[key]
        job.row = replace(job.row, **changed)

    async def _forget(self) -> None:
        """Keep the last ones, and of these no more than there is room for."""
        over = [id for id, job in self._jobs.items() if job.row.state not in UNDER_WAY]
        over.sort(key=lambda id: self._jobs[id].row.ended_at or "")
        while over and (len(over) > KEPT or sum(job.size for job in self._jobs.values()) > MOST_KEPT):
            id = over.pop(0)
            del self._jobs[id]
            await aside(shutil.rmtree, self._folder / id, ignore_errors=True)


class _Headline(Struct, frozen=True):
    """All of a report that a list shows."""

    headline: str


# Files ----------------------------------------------------------------------------------------------------------------


def _ask(folder: Path, request: Request) -> None:
    """Write what the process is asked."""
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700)
    (folder / REQUEST).write_bytes(encode(request))


def _kept(folder: Path) -> int:
    """Remove whatever is no result; the bytes of those that are."""
    size = 0
    for each in folder.iterdir():
        if each.name in RESULTS:
            size += each.stat().st_size
        elif each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)
    return size


def _ended(code: int | None, complaint: str) -> tuple[Standing, str]:
    """How it ended, and a sentence where nothing came of it."""
    if code == 0:
        return Standing.DONE, ""
    if code is None and not complaint:
        return Standing.CANCELLED, "it was cancelled"
    if code is None and complaint == INTERRUPTED:
        return Standing.INTERRUPTED, complaint
    if code is None or code == REFUSED:
        return Standing.FAILED, complaint[:_MOST_SENTENCE]
    if code < 0:
        what = f"its process was ended by {signal_name(code)}, perhaps for want of memory: rehearse a shorter range"
        return Standing.FAILED, what
    return Standing.FAILED, "the program made a mistake: its log says which"
