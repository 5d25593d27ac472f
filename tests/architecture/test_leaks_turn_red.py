"""The checks of test_contracts can fail: each leak is planted in a copy of the sources and must turn its test red.

So can tests of what the program does: each defect on the way to a person is planted in a copy, and the one test that
guards against it is run over that copy. Knows which test guards what; must never touch the real sources.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import test_contracts as checks

Check = Callable[[Path], None]

LEAKS: list[tuple[str, str, str, Check, str]] = [
    # what leaks, where, the leak, the test that must notice, what it must name
    (
        "the runtime starts a program",
        "runtime/leak.py",
        "from service_monitoring import processes",
        checks.test_only_checks_and_channels_start_programs,
        "service_monitoring.runtime.leak",
    ),
    (
        "the domain reads a clock",
        "domain/incidents.py",
        "import time",
        checks.test_the_domain_imports_no_clock_and_no_loop,
        "service_monitoring.domain.incidents -> time",
    ),
    (
        "the domain waits",
        "domain/agenda.py",
        "def wait() -> None:\n    import asyncio",
        checks.test_the_domain_imports_no_clock_and_no_loop,
        "service_monitoring.domain.agenda -> asyncio",
    ),
    (
        "the domain reaches a clock through another room",
        "errors.py",
        "import logging",
        checks.test_the_domain_imports_no_clock_and_no_loop,
        "service_monitoring.errors -> logging",
    ),
    (
        "a date is taken from the machine in the domain",
        "domain/incidents.py",
        "from datetime import UTC, datetime as d\nNOW = d.now(UTC)",
        checks.test_nobody_but_the_clock_reads_time,
        "domain/incidents.py:.*datetime.datetime.now",
    ),
    (
        "a notice is decided by the clock of the machine",
        "domain/dispatch.py",
        "import datetime\nLATE = datetime.datetime.now(datetime.UTC).hour",
        checks.test_nobody_but_the_clock_reads_time,
        "domain/dispatch.py:.*datetime.datetime.now",
    ),
    (
        "a clock is handed on without being called",
        "application.py",
        "from time import monotonic as read",
        checks.test_nobody_but_the_clock_reads_time,
        "application.py:.*time.monotonic",
    ),
    (
        "a second owner of time in the runtime",
        "runtime/leak.py",
        "import asyncio\nasync def now() -> float:\n    return asyncio.get_running_loop().time()",
        checks.test_nobody_but_the_clock_reads_time,
        "runtime/leak.py:.*asyncio.loop.time",
    ),
    (
        "time is imported beside the clock",
        "runtime/leak.py",
        "import time",
        checks.test_only_the_clock_imports_time,
        "service_monitoring.runtime.leak -> time",
    ),
    (
        "a view reads a clock",
        "views/leak.py",
        "import datetime\nage = datetime.datetime.now(datetime.UTC)",
        checks.test_views_and_storage_read_no_clock,
        "views/leak.py:.*datetime.datetime.now",
    ),
    (
        "storage reads a clock",
        "storage/leak.py",
        "import time\nstamp = time.time_ns()",
        checks.test_views_and_storage_read_no_clock,
        "storage/leak.py:.*time.time_ns",
    ),
    (
        "the database is asked what time it is",
        "storage/leak.py",
        "SWEEP = 'delete from notices where expires_at < CURRENT_TIMESTAMP'",
        checks.test_views_and_storage_read_no_clock,
        "storage/leak.py:.*CURRENT_TIMESTAMP",
    ),
    (
        "a column stamps itself",
        "storage/leak.py",
        "import sqlalchemy as sa\ndefault = sa.func.now()",
        checks.test_views_and_storage_read_no_clock,
        "storage/leak.py:.*sqlalchemy.func.now",
    ),
    (
        "a decision knows its caller",
        "domain/policy.py",
        "import service_monitoring.ports",
        checks.test_rooms_import_only_downwards,
        "service_monitoring.domain.policy -> service_monitoring.ports",
    ),
    (
        "siblings know each other",
        "sinks/leak.py",
        "import service_monitoring.runtime.clock",
        checks.test_rooms_import_only_downwards,
        "service_monitoring.sinks.leak -> service_monitoring.runtime.clock",
    ),
    (
        "a room that the design does not have",
        "helpers/__init__.py",
        "",
        checks.test_rooms_import_only_downwards,
        "service_monitoring.helpers",
    ),
    (
        "a use case knows the loop",
        "application.py",
        "import asyncio",
        checks.test_asyncio_is_unknown_outside_the_waiting_rooms,
        "service_monitoring.application -> asyncio",
    ),
    (
        "a rehearsal opens a socket",
        "rehearsal/leak.py",
        "import socket",
        checks.test_a_rehearsal_cannot_reach_the_outside,
        "service_monitoring.rehearsal.leak -> socket",
    ),
    (
        "a rehearsal starts a thread",
        "rehearsal/leak.py",
        "import threading",
        checks.test_a_rehearsal_reaches_no_clock_thread_or_dice,
        "service_monitoring.rehearsal.leak -> threading",
    ),
    (
        "a rehearsal reaches dice through a port",
        "ports.py",
        "import random",
        checks.test_a_rehearsal_reaches_no_clock_thread_or_dice,
        "service_monitoring.ports -> random",
    ),
    (
        "a second calendar",
        "settings/leak.py",
        "import zoneinfo",
        checks.test_calendars_are_known_to_the_calendar_alone,
        "service_monitoring.settings.leak -> zoneinfo",
    ),
    (
        "a use case speaks SQL",
        "application.py",
        "import sqlalchemy",
        checks.test_only_storage_speaks_sql,
        "service_monitoring.application -> sqlalchemy",
    ),
    (
        "a sink naps between attempts",
        "sinks/leak.py",
        "import asyncio\nasync def nap() -> None:\n    await asyncio.sleep(1)",
        checks.test_only_the_runtime_sleeps_or_spawns,
        "sinks/leak.py:.*asyncio.sleep",
    ),
    (
        "a store starts a task that nobody owns",
        "storage/leak.py",
        "from asyncio import create_task",
        checks.test_only_the_runtime_sleeps_or_spawns,
        "storage/leak.py:.*asyncio.create_task",
    ),
    (
        "a store has a patience of its own",
        "storage/leak.py",
        "from asyncio import timeout",
        checks.test_only_who_is_given_a_deadline_times_out,
        "storage/leak.py:.*asyncio.timeout",
    ),
    (
        "a notice's key is rolled",
        "domain/notices.py",
        "from uuid import uuid4",
        checks.test_nobody_rolls_dice,
        "domain/notices.py:.*uuid.uuid4",
    ),
    (
        "a suppression without a reason",
        "domain/notices.py",
        "x = 1  # no" + "qa: E741",
        checks.test_every_suppression_gives_its_reason,
        "domain/notices.py",
    ),
    (
        "a module that does not say what it knows",
        "views/leak.py",
        "x = 1",
        checks.test_every_module_says_what_it_knows,
        "views/leak.py",
    ),
]


@pytest.mark.parametrize(("where", "leak", "check", "named"), [row[1:] for row in LEAKS], ids=[row[0] for row in LEAKS])
def test_a_leak_turns_its_check_red(
    where: str, leak: str, check: Check, named: str, project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "src"
    shutil.copytree(project / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    plant(copy / checks.PACKAGE / where, leak)
    with pytest.raises(AssertionError, match=named):
        check(copy)


def plant(path: Path, leak: str) -> None:
    """Add lines to a module; a module or room that does not exist yet comes with them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "__init__.py").touch()
    with path.open("a", encoding="utf-8") as module:
        module.write(f"\n{leak}\n")


def test_every_check_has_a_leak_that_it_notices() -> None:
    guarded = {row[3].__name__ for row in LEAKS}
    assert guarded == {name for name in vars(checks) if name.startswith("test_")}


DECIDED = "tests/domain/test_groups.py::test_a_digest_writes_out_so_many_and_counts_all"
ASKED_AGAIN = (
    "tests/runtime/test_deliver_outcomes.py"
    "::test_what_was_leased_and_waits_for_a_slot_is_asked_about_again_before_it_is_sent"
)
WITHHELD = (
    "tests/runtime/test_pulse.py::test_it_is_withheld_while_something_is_wrong_and_goes_on_at_once_when_that_is_over"
)
SILENCED = (
    "tests/faults/test_program_silence.py"
    "::test_a_page_that_waits_for_its_next_attempt_is_not_sent_after_a_silence_was_made"
)

SHOWN = "tests/runtime/test_cycle.py::test_nothing_is_shown_before_it_is_kept"
COLUMNS = "tests/rehearsals/test_columns.py::"

DEFECTS: list[tuple[str, str, str, str, str]] = [
    # what goes wrong, where, what is there now, what is there instead, the test that must notice
    (
        "a digest forgets the incidents beyond its cap",
        "domain/flushes.py",
        "news=tuple(news)",
        "news=tuple(news[: self._group.route.listed])",
        DECIDED,
    ),
    (
        "a digest does not count the incidents beyond its cap",
        "domain/flushes.py",
        "open=len(about) - ended",
        "open=1 + len(listed) - ended",
        DECIDED,
    ),
    (
        "nobody asks before a send whether a notice is withheld",
        "runtime/deliver.py",
        "if (held := self._held(job.notice)) is not None:",
        "if (held := None) is not None:",
        ASKED_AGAIN,
    ),
    (
        "the program has no answer to whether a notice is withheld",
        "bootstrap/program.py",
        "withheld=lambda notice: self._cycle.course.withheld(notice, clock.now()),",
        "",
        SILENCED,
    ),
    (
        "the heartbeat goes on while something is wrong",
        "runtime/pulse.py",
        "if not reason:",
        "if True:",
        WITHHELD,
    ),
    (
        "what is decided is shown before it is committed",
        "runtime/cycle.py",
        "            await self._keeping(judged)\n",
        (
            "            if self._follower is not None:\n                self._follower.kept(judged)\n"
            "            await self._keeping(judged)\n"
        ),
        SHOWN,
    ),
    (
        "a column that is known ahead hides a silence",
        "domain/scores.py",
        "end = self._silences[index] if index < len(self._silences) else len(self.instants)",
        "end = len(self.instants)",
        COLUMNS + "test_what_is_compared_is_not_empty",
    ),
    (
        "a parent's next run is passed over because it says nothing new",
        "domain/policy.py",
        "attended = line.series.check in self._attended and",
        "attended = False and",
        COLUMNS + "test_a_child_is_told_at_its_parents_next_run_although_that_says_nothing_new",
    ),
]


@pytest.mark.parametrize(
    ("where", "now", "instead", "test"), [row[1:] for row in DEFECTS], ids=[row[0] for row in DEFECTS]
)
def test_a_planted_defect_turns_its_test_red(
    where: str, now: str, instead: str, test: str, project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "src"
    shutil.copytree(project / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    module = copy / checks.PACKAGE / where
    source = module.read_text(encoding="utf-8")
    assert source.count(now) == 1, f"{where} has changed: plant the defect anew"
    module.write_text(source.replace(now, instead), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    # Red by itself, not for want of a test or of a program that can be imported.
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "ERROR" not in done.stdout, done.stdout
