"""The laws of `ports.Source` as tests: subclass one of the classes and give it the fixture `target`.

    class TestMySource(NetworkSourceLaws):
        @pytest.fixture
        async def target(self) -> AsyncIterator[Target]: ...

`SourceLaws` holds for every source, `NetworkSourceLaws` adds what is asked of one that connects to an address. Knows
values and the port; knows no source. Time is the machine's here, because targets are real ones on this machine.
"""

from __future__ import annotations

import asyncio
import math
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.ports import Deadline, Source, SourceKind, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deadlines import deadline_after

AMPLE: Final = Duration(10 * SECOND)
SHORT: Final = Duration(50 * MILLISECOND)
LATENESS: Final = Duration(500 * MILLISECOND)
"""What a source may need beyond its deadline."""

_OURS: Final = frozenset({Reason.SHUTDOWN, Reason.OVERLOAD, Reason.SELF_OFFLINE, Reason.INTERNAL_ERROR})
_PAUSE: Final = Duration(5 * MILLISECOND)


@dataclass(frozen=True, slots=True)
class Target:
    """Options of one kind for real targets on this machine.

    `good` ends `ok`; `hanging` neither ends nor fails by itself; each of `failing` ends `failed` for its own reason.
    """

    kind: SourceKind
    good: Any
    hanging: Any
    failing: Mapping[Reason, Any] = field(default_factory=dict)


class _Everybody:
    """Permits every address: the targets are on this machine."""

    def refusal(self, address: IPv4Address | IPv6Address) -> str | None:
        return None


class _Nobody:
    """Refuses every address, and says so."""

    def refusal(self, address: IPv4Address | IPv6Address) -> str | None:
        return f"{address} is refused by this test"


class _Broken:
    """Breaks a law of its own: what follows is no fault of a target."""

    def refusal(self, address: IPv4Address | IPv6Address) -> str | None:
        raise RuntimeError("this policy breaks on purpose")


def opened(target: Target, options: Any, network: Any = None) -> Source:
    """A source for `options`, with the machine's clock."""
    return target.kind.open_source(options, surroundings=Surroundings(SystemClock(), network or _Everybody()))


def a_deadline(budget: Duration = AMPLE) -> Deadline:
    """A deadline by the machine's clock."""
    return deadline_after(SystemClock(), budget)


async def a_pause() -> None:
    """Some turns of the loop, and a little real time."""
    clock = SystemClock()
    await clock.wait_until(clock.tick().plus(_PAUSE))


def _open() -> set[tuple[int, int]]:
    """The sockets and pipes of this process."""
    found = set()
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):
            status = os.fstat(int(entry.name))
            if stat.S_ISSOCK(status.st_mode) or stat.S_ISFIFO(status.st_mode):
                found.add((status.st_dev, status.st_ino))
    return found


def _processes() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


class SourceLaws:
    """What every source keeps."""

    async def test_a_good_target_is_ok_and_measured(self, target: Target) -> None:
        observation = await opened(target, target.good).probe(a_deadline())
        assert (observation.outcome, observation.reason) == (Outcome.OK, None), observation.detail
        assert "duration_seconds" in {each.metric for each in observation.measurements}
        self._is_well_formed(observation)

    async def test_it_never_raises_for_what_the_target_does(self, target: Target) -> None:
        for reason, options in target.failing.items():
            observation = await opened(target, options).probe(a_deadline())
            assert (observation.outcome, observation.reason) == (Outcome.FAILED, reason), observation.detail
            assert reason not in _OURS
            assert observation.detail
            self._is_well_formed(observation)

    async def test_a_run_that_the_deadline_ends_is_failed_by_timeout_and_has_no_duration(self, target: Target) -> None:
        observation = await opened(target, target.hanging).probe(a_deadline(SHORT))
        assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        assert "duration_seconds" not in {each.metric for each in observation.measurements}
        self._is_well_formed(observation)

    async def test_it_ends_by_the_deadline_plus_500_ms(self, target: Target) -> None:
        deadline = a_deadline(SHORT)
        await opened(target, target.hanging).probe(deadline)
        assert SystemClock().tick() <= deadline.tick.plus(LATENESS)

    async def test_a_deadline_that_has_passed_ends_it_at_once(self, target: Target) -> None:
        deadline = a_deadline(Duration(0))
        observation = await opened(target, target.hanging).probe(deadline)
        assert observation.reason is Reason.TIMEOUT
        assert SystemClock().tick() <= deadline.tick.plus(LATENESS)

    async def test_cancelled_it_leaves_no_socket_process_or_task(self, target: Target) -> None:
        source = opened(target, target.hanging)
        await source.probe(a_deadline(SHORT))  # what a kind keeps for all its sources is there from now on
        await self._settled()
        files, processes, tasks = _open(), _processes(), asyncio.all_tasks()
        attempt = asyncio.ensure_future(source.probe(a_deadline()))
        for _ in range(6):
            await a_pause()
        assert not attempt.done(), "the hanging target ended by itself"
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        for _ in range(200):
            if not (_open() - files or _processes() - processes or asyncio.all_tasks() - tasks):
                break
            await a_pause()
        assert _open() - files == set()
        assert _processes() - processes == set()
        assert asyncio.all_tasks() - tasks == set()

    async def test_it_never_blocks_the_loop(self, target: Target) -> None:
        attempt = asyncio.ensure_future(opened(target, target.hanging).probe(a_deadline(SHORT)))
        turns = 0
        while not attempt.done():
            await asyncio.wait([attempt], timeout=0.001)
            turns += 1
        assert turns >= 5

    async def test_one_run_follows_another_on_the_same_source(self, target: Target) -> None:
        source = opened(target, target.good)
        seen = [await source.probe(a_deadline()) for _ in range(3)]
        assert [each.outcome for each in seen] == [Outcome.OK] * 3
        assert len({frozenset(each.metric for each in run.measurements) for run in seen}) == 1

    async def test_a_run_that_timed_out_does_not_spoil_the_next_of_another_source(self, target: Target) -> None:
        hanging, good = opened(target, target.hanging), opened(target, target.good)
        await hanging.probe(a_deadline(SHORT))
        assert (await good.probe(a_deadline())).outcome is Outcome.OK

    async def test_sources_of_one_kind_run_beside_each_other(self, target: Target) -> None:
        stuck = asyncio.ensure_future(opened(target, target.hanging).probe(a_deadline(LATENESS)))
        good = await asyncio.gather(*(opened(target, target.good).probe(a_deadline()) for _ in range(8)))
        assert {each.outcome for each in good} == {Outcome.OK}
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)

    async def test_closing_twice_is_the_same_as_closing_once(self, target: Target) -> None:
        await opened(target, target.good).probe(a_deadline())
        await target.kind.close()
        await target.kind.close()

    @staticmethod
    def _is_well_formed(observation: Observation) -> None:
        """One line of detail; every number finite; no series twice, and `up` left to whoever derives it."""
        assert observation.detail.isprintable()
        assert all(math.isfinite(each.value) for each in observation.measurements)
        series = [(each.metric, each.labels) for each in observation.measurements]
        assert len(series) == len(set(series))
        assert "up" not in {metric for metric, _ in series}

    @staticmethod
    async def _settled() -> None:
        for _ in range(10):
            await a_pause()


class NetworkSourceLaws(SourceLaws):
    """What a source keeps that connects to an address."""

    async def test_an_address_that_the_policy_refuses_is_not_connected_to(self, target: Target) -> None:
        observation = await opened(target, target.good, _Nobody()).probe(a_deadline())
        assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BLOCKED_ADDRESS)
        assert "is refused by this test" in observation.detail
        assert "connect_seconds" not in {each.metric for each in observation.measurements}

    async def test_an_error_of_our_own_is_unknown(self, target: Target) -> None:
        observation = await opened(target, target.good, _Broken()).probe(a_deadline())
        assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)
        assert observation.measurements == ()
