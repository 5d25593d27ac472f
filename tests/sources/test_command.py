"""How the kind `command` runs programs, reads what they say, and ends them with all that they started."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from service_monitoring import processes
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.sources import perfdata
from service_monitoring.sources.command import Kind, Options
from tests.sources.rigs import cancelled, no_files_left, nothing_left, probed, surroundings, values


async def run(*command: str, within: float = 5.0, **options: Any) -> Observation:
    kind = Kind()
    source = kind.open_source(Options(command=command, **options), surroundings=surroundings())
    try:
        async with nothing_left():
            return await probed(source, within)
    finally:
        await kind.close()


async def shell(script: str, *, within: float = 5.0, **options: Any) -> Observation:
    return await run("sh", "-c", script, within=within, **options)


_markers = count(os.getpid() * 1000)


def a_marker() -> str:
    """How long a process sleeps that nobody else sleeps: days, and what tells it from those of other runs."""
    return f"1000000.{next(_markers)}"


def living(marker: str) -> list[psutil.Process]:
    """Processes with this argument that are not dead yet: whoever adopts the dead reaps them when it likes."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if marker in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


async def gone(marker: str) -> bool:
    """Whether none of them lives: the kernel needs a moment to carry a signal out."""
    for _ in range(100):
        if not living(marker):
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("code", "outcome", "detail"),
    [
        (0, Outcome.OK, "DISK fine"),
        (1, Outcome.FAILED, "exit code 1 (warning): DISK fine"),
        (2, Outcome.FAILED, "exit code 2 (critical): DISK fine"),
        (3, Outcome.FAILED, "exit code 3 (the plugin could not tell): DISK fine"),
        (77, Outcome.FAILED, "exit code 77: DISK fine"),
    ],
)
async def test_the_exit_code_decides_and_is_measured(code: int, outcome: Outcome, detail: str) -> None:
    observation = await shell(f"echo DISK fine; echo and more; exit {code}")
    assert (observation.outcome, observation.detail) == (outcome, detail)
    assert observation.reason is (Reason.EXIT_CODE if code else None)
    assert set(values(observation)) == {"duration_seconds", "exit_code"}
    assert values(observation)["exit_code"] == code


async def test_a_signal_counts_as_a_shell_counts_it() -> None:
    observation = await shell("kill -SEGV $$")
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.EXIT_CODE)
    assert values(observation)["exit_code"] == 139
    assert "SIGSEGV" in observation.detail


async def test_a_signal_without_a_name_counts_by_its_number() -> None:
    observation = await shell("kill -40 $$")
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.EXIT_CODE)
    assert values(observation)["exit_code"] == 168
    assert "signal 40" in observation.detail


async def test_arguments_reach_the_program_as_they_are() -> None:
    observation = await run("printf", "%s/", "$HOME", "; exit 2", "`id`", "two words", "*")
    assert observation.detail == "$HOME/; exit 2/`id`/two words/*/"


async def test_numbers_behind_the_bar_become_measurements() -> None:
    observation = await shell("echo 'OK - 2 users|users=2;5;10;0 time=12ms; /var=4MB'; exit 1")
    assert observation.detail == "exit code 1 (warning): OK - 2 users"
    assert values(observation) == {
        "exit_code": 1,
        "duration_seconds": values(observation)["duration_seconds"],
        "users": 2,
        "time_seconds": 0.012,
        "var_bytes": 4 * 2**20,
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("time=0.5s a=3ms b=7us", {"time_seconds": 0.5, "a_seconds": 0.003, "b_seconds": 7e-6}),
        ("'Disk C: used'=42%;80;90", {"disk_c_used_percent": 42}),
        ("'it''s'=1", {"it_s": 1}),
        ("size=3B a=2KB b=1MB c=1GB d=1KiB", {
            "size_bytes": 3, "a_bytes": 2048, "b_bytes": 2**20, "c_bytes": 2**30, "d_bytes": 1024,
        }),
        ("packets=17c size_bytes=1B", {"packets_total": 17, "size_bytes": 1}),
        ("/=5GB 9lives=9", {"value_bytes": 5 * 2**30, "_9lives": 9}),
        ("load1=0,72;5,0;10,0", {"load1": 0.72}),
        ("up=1 duration=3s exit_code=2", {"plugin_up": 1, "plugin_duration_seconds": 3, "plugin_exit_code": 2}),
        ("a-b=1 a_b=2", {"a_b": 1}),
        ("x=U y=NaN z=inf w=1e999 v=1xyz ok=1", {"ok": 1}),
        ("nothing here = at all; ='; |", {}),
        ("a=1;@10:20;~:30;0;100 b=-1.5e3", {"a": 1, "b": -1500}),
    ],
)  # fmt: skip
def test_performance_data_is_read_as_its_guidelines_say(data: str, expected: dict[str, float]) -> None:
    found = perfdata.measurements(data, taken={"up", "duration_seconds", "exit_code"})
    assert {each.metric: each.value for each in found} == pytest.approx(expected)


def test_performance_data_may_go_on_after_the_first_line() -> None:
    assert perfdata.split("OK|a=1\nlong text\nmore|b=2\nc=3\n") == ("OK", "a=1 b=2\nc=3\n")
    assert perfdata.split("OK") == ("OK", " ")


def test_no_output_yields_more_numbers_than_anybody_wants() -> None:
    data = " ".join(f"n{number}=1" for number in range(5000))
    assert len(list(perfdata.measurements(data, taken=()))) == perfdata.MOST


@pytest.mark.timeout(5)
@pytest.mark.parametrize("piece", ["a", "'", "=", "' ", "'' ", "a=", "1", "a=1", " '"])
def test_no_output_takes_long_to_read(piece: str) -> None:
    output = "|" + piece * (processes.KEPT // len(piece))
    _, data = perfdata.split(output)
    assert len(list(perfdata.measurements(data, taken=()))) <= 1


async def test_complaints_are_shown_where_nothing_else_is_said() -> None:
    observation = await shell("echo cannot read the disk >&2; exit 2")
    assert observation.detail == "exit code 2 (critical): cannot read the disk"


async def test_the_environment_is_clean_but_for_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_TOKEN", "hidden")
    monkeypatch.setenv("LANG", "C.UTF-8")
    observation = await run("env", environment={"STAGE": "test"}, secret_environment={"KEY": "of ours"})
    assert observation.outcome is Outcome.OK
    everything = await shell(
        "env | cut -d= -f1 | sort | tr '\\n' ' '", environment={"B": "1"}, secret_environment={"A": "2"}
    )
    assert set(everything.detail.split()) - {"PWD", "SHLVL", "_", "OLDPWD"} == {"A", "B", "LANG", "PATH"} | (
        {"LC_ALL"} & set(os.environ)
    )


async def test_it_runs_where_it_was_told_to_with_nothing_to_read(tmp_path: Path) -> None:
    observation = await shell('pwd; test -z "$(cat)" || exit 2', directory=tmp_path)
    assert (observation.outcome, observation.detail) == (Outcome.OK, str(tmp_path))


async def test_programs_gain_no_privileges_unless_that_is_allowed() -> None:
    look = "awk '/NoNewPrivs/ {print $2}' /proc/self/status"
    assert (await shell(look)).detail == "1"
    assert (await shell(look, new_privileges="allow")).detail == "0"


async def test_programs_have_limits() -> None:
    observation = await shell("sleep 0.02; echo $(ulimit -c) $(ulimit -t)", within=5)
    assert observation.detail in {"0 7", "0 6"}


async def test_a_program_that_is_missing_is_our_own_fault() -> None:
    observation = await run("/nowhere/check_disk")
    assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)
    assert "/nowhere/check_disk" in observation.detail


async def test_running_out_of_files_is_our_own_fault() -> None:
    kind = Kind()
    source = kind.open_source(Options(command=("true",)), surroundings=surroundings())
    assert (await probed(source)).outcome is Outcome.OK
    async with nothing_left():
        with no_files_left():
            observation = await probed(source)
    await kind.close()
    assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)


async def test_a_plugin_that_hangs_and_forks_is_killed_with_all_it_started() -> None:
    marker = a_marker()
    async with asyncio.timeout(0.3 + 2):
        observation = await shell(f"sleep {marker} & sleep {marker} & yes > /dev/null", within=0.3)
        assert await gone(marker)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert observation.measurements == ()


async def test_a_plugin_that_prints_without_end_is_killed_with_all_it_started() -> None:
    marker = a_marker()
    async with asyncio.timeout(2):
        observation = await shell(f"sleep {marker} & yes", within=30)
        assert await gone(marker)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TOO_LARGE)


async def test_a_plugin_that_exits_takes_what_it_left_running_along() -> None:
    marker = a_marker()
    observation = await shell(f"sleep {marker} & echo done")
    assert (observation.outcome, observation.detail) == (Outcome.OK, "done")
    assert await gone(marker)


async def test_a_plugin_that_ignores_the_polite_signal_is_killed() -> None:
    marker = a_marker()
    observation = await shell(f"trap '' TERM; while :; do sleep {marker}; done", within=0.05)
    assert observation.reason is Reason.TIMEOUT
    assert await gone(marker)


async def test_a_plugin_gets_the_polite_signal_first(tmp_path: Path) -> None:
    script = f"trap 'echo tidied > {tmp_path}/note; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    observation = await shell(script, within=0.2)
    assert observation.reason is Reason.TIMEOUT
    assert (tmp_path / "note").read_text() == "tidied\n"


async def test_a_child_that_left_for_a_session_of_its_own_is_found() -> None:
    marker = a_marker()
    observation = await shell(f"setsid sleep {marker} & wait", within=0.1)
    assert observation.reason is Reason.TIMEOUT
    assert await gone(marker)


async def test_a_cancelled_attempt_leaves_no_process() -> None:
    marker = a_marker()
    kind = Kind()
    source = kind.open_source(
        Options(command=("sh", "-c", f"sleep {marker} & sleep {marker}")), surroundings=surroundings()
    )

    async def started() -> None:
        while len(living(marker)) < 2:
            await asyncio.sleep(0.005)

    async with nothing_left():
        await cancelled(source, after=started)
        assert await gone(marker)
    await kind.close()


async def test_a_start_that_is_cancelled_leaves_no_process() -> None:
    marker = a_marker()
    kind = Kind()
    source = kind.open_source(Options(command=("sleep", marker)), surroundings=surroundings())
    async with nothing_left():
        for turns in range(6):

            async def some_turns(turns: int = turns) -> None:
                for _ in range(turns):
                    await asyncio.sleep(0)

            await cancelled(source, after=some_turns)
        assert await gone(marker)
    await kind.close()


async def test_an_attempt_that_is_cancelled_twice_leaves_no_process() -> None:
    marker = a_marker()
    kind = Kind()
    stubborn = ("sh", "-c", f"trap '' TERM; echo; while :; do sleep {marker}; done")
    source = kind.open_source(Options(command=stubborn), surroundings=surroundings())
    async with nothing_left():
        attempt = asyncio.create_task(probed(source, 30))
        while not living(marker):
            await asyncio.sleep(0.005)
        for _ in range(3):
            attempt.cancel()
            await asyncio.sleep(0.01)
        with suppress(asyncio.CancelledError):
            await attempt
        assert await gone(marker)
    await kind.close()


async def test_much_output_is_cut_and_not_a_reason_to_hang() -> None:
    script = f"print('x' * {2 * processes.KEPT}, '|late=1'); raise SystemExit(1)"
    observation = await run(sys.executable, "-c", script)
    assert (observation.reason, values(observation)["exit_code"]) == (Reason.EXIT_CODE, 1)
    assert len(observation.detail) <= 300
    assert "late" not in values(observation)


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": "check_disk -w 20%"},
        {"command": []},
        {"command": ["echo", "a\0b"]},
        {"command": ["true"], "environment": {"A B": "1"}},
        {"command": ["true"], "new_privileges": "some"},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)
