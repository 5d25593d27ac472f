"""The real program while its store cannot be written: a full disk (row 24), another's lock (25), a failed disk (27)."""

import errno
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from service_monitoring.cli import UNUSABLE
from service_monitoring.storage.folder import FACTS, RESERVE, SAMPLES
from tests.faults.disks import a_lock_holder, a_small_disk, held, integrity, let_go
from tests.faults.reckoning import CONFIGURATION, reckon
from tests.faults.world import World, a_world, kill, stop, wait_for

ROOM: Final = 12 * 1024 * 1024


class Ballast:
    """Takes what room there is on a disk, and gives it back."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "ballast"

    def fill(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC  # noqa: PT017 - any other would end the test, too

    def free(self) -> None:
        self._path.unlink()


@pytest.fixture
def small_world(tmp_path: Path) -> Iterator[World]:
    with a_small_disk(tmp_path / "disk", ROOM) as disk, a_world(tmp_path, disk / "data") as world:
        yield world


def moves(world: World, rule: str = "down") -> list[str]:
    """The states of the incidents of a rule, oldest first."""
    listed: list[dict[str, Any]] = world.ask("/api/v1/incidents")
    return [row["state"] for row in reversed(listed) if row["rule"] == rule and row["state"] != "dropped"]


def alarms(world: World) -> list[str]:
    """What came past the store."""
    return [message.body["summary"] for message in world.accepted if message.body["state"] == "trouble"]


def fill_up(world: World, seconds: float) -> str:
    """A disk that is full for `seconds` while the target fails, recovers and fails; figures of what came of it."""
    ballast = Ballast(world.data.parent)
    process = world.start(world.configure(CONFIGURATION))
    try:
        wait_for(lambda: world.polls > 2 and world.answers(), "polls, and an open door")
        reserve = world.data / RESERVE
        assert reserve.stat().st_size == 1024 * 1024
        ballast.fill()
        wait_for(lambda: alarms(world) != [], "the owners' alarm, past the store")
        assert "the disk is full" in alarms(world)[0]
        assert not reserve.exists()

        # The room that was kept in reserve takes what must be told now.
        wait_for(lambda: world.trouble() == [], "writing into the reserve")
        world.target_status = 503
        wait_for(lambda: "open" in moves(world), "an incident in the reserve")
        wait_for(lambda: any(message.body["page"] == "first" for message in world.accepted), "its page")

        # Then that is full, too: what happens now is decided, and waits.
        while not world.trouble():
            ballast.fill()
            time.sleep(0.02)
        ended = time.monotonic() + seconds
        world.target_status = 200
        polls = world.polls
        wait_for(lambda: world.polls > polls + 8, "polls on a full disk")
        world.target_status = 503
        polls = world.polls
        wait_for(lambda: world.polls > polls + 8, "polls on a full disk")
        while time.monotonic() < ended:
            ballast.fill()
            assert moves(world) == ["open"], "reads go on"
            time.sleep(0.2)
        assert moves(world) == ["open"]
        assert world.trouble() != []

        ballast.free()
        freed = time.monotonic()
        wait_for(lambda: world.trouble() == [], "writing to resume", 10)
        wait_for(lambda: moves(world) == ["resolved", "open"], "what happened meanwhile", 10)
        resumed = time.monotonic() - freed
        wait_for(reserve.exists, "the reserve to be taken back", 10)
        loops = world.ask("/api/v1/status")["loops"]
        assert {name: loop["restarts"] for name, loop in loops.items() if loop["restarts"]} == {}
        world.target_status = 200
        wait_for(world.settled, "the end of every notice")
        assert stop(process) == 0
    except BaseException:
        kill(process)
        raise
    assert [integrity(world.data / name) for name in (FACTS, SAMPLES)] == ["ok", "ok"]
    return f"full for {seconds:g} s: written again {resumed:.2f} s after there was room; {reckon(world, repeats=0)}"


def test_the_program_on_a_full_disk_tells_its_owners_loses_nothing_and_resumes(small_world: World) -> None:
    print(fill_up(small_world, seconds=3))


@pytest.mark.drill
@pytest.mark.timeout(180)
def test_a_disk_that_is_full_for_longer_than_a_loop_may_be_silent_loses_nothing(small_world: World) -> None:
    print(fill_up(small_world, seconds=75))


@pytest.mark.drill
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", [10, 22])
def test_a_lock_held_by_another_delays_what_is_told_and_nothing_else(tmp_path: Path, seconds: int) -> None:
    with a_world(tmp_path) as world:
        process = world.start(world.configure(CONFIGURATION))
        try:
            wait_for(lambda: world.polls > 2 and world.answers(), "polls, and an open door")
            with a_lock_holder(world.data / FACTS) as holder:
                held(holder)
                began = time.monotonic()
                polls = world.polls
                world.target_status = 503
                longest = 0
                while time.monotonic() < began + seconds:
                    status = world.ask("/api/v1/status")
                    inbox = status["queues"]["inbox"]
                    longest = max(longest, inbox["length"])
                    assert inbox["peak"] <= inbox["capacity"]
                    time.sleep(0.1)
                polled = world.polls - polls
                assert moves(world) == []
                let_go(holder)
                freed = time.monotonic()
                wait_for(lambda: moves(world) == ["open"], "the incident")
                opened = time.monotonic() - freed
                wait_for(lambda: any(message.body["page"] == "first" for message in world.accepted), "its page")
                told = time.monotonic() - freed
            assert polled >= 0.9 * 5 * seconds, "every 200 ms, lock or no lock"
            assert told <= 1.3, "a second after the lock, and what a busy machine takes"
            loops = world.ask("/api/v1/status")["loops"]
            assert {name: loop["restarts"] for name, loop in loops.items() if loop["restarts"]} == {}
            world.target_status = 200
            wait_for(world.settled, "the end of every notice")
            assert stop(process) == 0
        except BaseException:
            kill(process)
            raise
        print(
            f"locked for {seconds} s: {polled} polls meanwhile, at most {longest} waiting, "
            f"kept {opened:.2f} s and told {told:.2f} s after it ended; {reckon(world, repeats=0)}"
        )


@pytest.mark.parametrize(
    ("sink", "within"),
    [
        ("answers", 5.0),
        ("hangs", 5.0),
        # On a machine that does nothing else: a second, and up to 200 ms until the next write.
        pytest.param("answers", 1.2, marks=pytest.mark.drill),
        pytest.param("hangs", 1.2, marks=pytest.mark.drill),
    ],
)
def test_a_disk_that_fails_ends_the_program_within_a_second_with_a_sentence(
    tmp_path: Path, sink: str, within: float
) -> None:
    with a_world(tmp_path) as world:
        config = world.configure(CONFIGURATION)
        process = world.start(config, output=subprocess.PIPE)
        try:
            wait_for(lambda: world.polls > 2 and world.answers(), "polls, and an open door")
            world.sink_delay = 2.0 if sink == "hangs" else 0.0
            world.target_status = 503
            wait_for(lambda: len(world.accepted) == 2, "pages")
            world.target_status = 200
            # From here on every write to a file is an input/output error, by the kernel itself.
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (1, 1))
            failed = time.monotonic()
            printed, _ = process.communicate(timeout=20)
            lasted = time.monotonic() - failed
        except BaseException:
            kill(process)
            raise
        sentence = printed.decode().splitlines()[-1]
        assert process.returncode == UNUSABLE
        assert re.fullmatch(
            rf"service-monitoring: {world.data}/(facts|samples)\.db: the disk failed \(.+\); "
            r"start again on a sound disk, or restore the newest backup .+",
            sentence,
        )
        assert lasted < within
        wait_for(lambda: alarms(world) != [], "the owners' alarm")
        assert alarms(world) == [f"the monitor has stopped: {sentence.removeprefix('service-monitoring: ')}"]
        assert len(world.accepted) == 3, "nothing was told that was not stored"

        world.sink_delay = 0.0
        restarted = world.start(config)
        wait_for(world.settled, "the end of every notice")
        assert stop(restarted) == 0
        assert [integrity(world.data / name) for name in (FACTS, SAMPLES)] == ["ok", "ok"]
        # What was under way when the disk failed may be sent once more.
        print(f"ended {lasted:.2f} s after the disk failed, with {process.returncode}; {reckon(world, repeats=2)}")
