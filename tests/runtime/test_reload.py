"""Reloading in simulated time: files that come to rest, people who ask, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND, Duration
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.runtime.reload import Reloads
from service_monitoring.runtime.supervise import SILENT
from service_monitoring.testing.clock import SimulatedClock

STEP = Duration(100 * MILLISECOND)


class File:
    """A file, how often it was read, and what comes of reading it."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.text = self.read = "first"
        self.touched = 0
        self.readings: list[tuple[float, str]] = []
        self.at_once = self.most_at_once = 0
        self.takes = Duration(0)
        self.trouble: Exception | None = None
        self.beats: list[int] = []
        self.reloads = Reloads(self.clock, stamp=self.stamp, differs=self.differs, reload=self.reload)

    def write(self, text: str) -> None:
        self.text = text
        self.touched += 1

    async def stamp(self) -> object:
        return self.touched, len(self.text)

    async def differs(self) -> bool:
        return self.text != self.read

    async def reload(self) -> str:
        text = self.text
        self.readings.append((self.clock.tick().ns / 1e9, text))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.clock.wait_until(self.clock.tick().plus(self.takes))
            if self.trouble is not None:
                if isinstance(self.trouble, Refused):
                    self.read = text
                raise self.trouble
        finally:
            self.at_once -= 1
        self.read = text
        return text

    def texts(self) -> list[str]:
        return [text for _, text in self.readings]

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.reloads.run(lambda: self.beats.append(self.clock.tick().ns)))
        await self.clock.advance(Duration(2 * SECOND))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def file() -> File:
    return File()


async def test_a_file_that_says_something_else_is_read_within_two_seconds(file: File) -> None:
    async with file.watched():
        assert file.readings == []
        file.write("second")
        await file.clock.advance(Duration(2 * SECOND))
        assert file.texts() == ["second"]


async def test_a_file_that_was_only_touched_or_written_again_is_not_reloaded(file: File) -> None:
    async with file.watched():
        file.write("first")
        await file.clock.advance(MINUTE)
        assert file.readings == []


async def test_a_file_that_changed_before_anybody_looked_is_found_by_its_content(file: File) -> None:
    file.write("second")
    async with file.watched():
        assert file.texts() == ["second"]


async def test_an_editor_that_is_half_way_through_is_waited_for(file: File) -> None:
    async with file.watched():
        for number in range(20):
            file.write(f"half of it {number}")
            await file.clock.advance(STEP)
        assert file.readings == []
        file.write("all of it")
        await file.clock.advance(SECOND)
        assert file.texts() == ["all of it"]


async def test_who_asks_waits_neither_for_a_look_nor_for_rest(file: File) -> None:
    async with file.watched():
        file.write("half of it")
        asked = asyncio.create_task(file.reloads.ask())
        await file.clock.settle()
        assert await asked == "half of it"
        file.reloads.ask_soon()
        await file.clock.settle()
        assert file.texts() == ["half of it", "half of it"]


async def test_two_reloads_at_once_are_one_after_the_other(file: File) -> None:
    file.takes = Duration(3 * SECOND)
    async with file.watched():
        first = asyncio.create_task(file.reloads.ask())
        await file.clock.advance(STEP)
        file.write("second")
        others = [asyncio.create_task(file.reloads.ask()) for _ in range(2)]
        await file.clock.advance(Duration(7 * SECOND))
        assert await first == "first"
        assert [await other for other in others] == ["second", "second"]
        assert (file.most_at_once, file.texts()) == (1, ["first", "second"])


async def test_a_refused_file_is_read_again_when_it_changes_and_not_before(file: File) -> None:
    async with file.watched():
        file.trouble = Refused("line 3 is wrong")
        file.write("broken")
        await file.clock.advance(MINUTE)
        assert file.texts() == ["broken"]
        with pytest.raises(Refused, match="line 3"):
            await asyncio.gather(file.reloads.ask(), file.clock.advance(SECOND))
        file.trouble = None
        file.write("mended")
        await file.clock.advance(Duration(2 * SECOND))
        assert file.texts()[-1] == "mended"


async def test_what_could_not_be_kept_is_tried_again_by_itself(file: File) -> None:
    async with file.watched():
        file.trouble = Unavailable("ask again")
        file.write("second")
        await file.clock.advance(Duration(5 * SECOND))
        assert 2 <= len(file.readings) <= 5
        file.trouble = None
        await file.clock.advance(Duration(2 * SECOND))
        assert file.read == "second"


async def test_who_asks_during_the_end_is_refused_with_a_sentence(file: File) -> None:
    file.takes = SECOND
    async with file.watched():
        first, second = asyncio.create_task(file.reloads.ask()), None
        await file.clock.advance(STEP)
        second = asyncio.create_task(file.reloads.ask())
        await file.clock.settle()
        await file.reloads.stop()
        with pytest.raises(Unavailable, match="the program is stopping"):
            await second
        with pytest.raises(Unavailable, match="the program is stopping"):
            await file.reloads.ask()
        file.reloads.ask_soon()
        await file.clock.advance(MINUTE)
        assert await first == "first", "what was under way ends"
        assert len(file.readings) == 1


async def test_a_cut_reload_leaves_nobody_waiting(file: File) -> None:
    file.takes = MINUTE
    async with file.watched():
        asked = asyncio.create_task(file.reloads.ask())
        await file.clock.advance(STEP)
    with pytest.raises(Unavailable, match="the program is stopping"):
        await asked
    assert file.at_once == 0


async def test_a_reload_that_takes_long_is_no_loop_that_is_stuck_and_keeps_nobody_for_ever(file: File) -> None:
    file.takes = Duration(10 * MINUTE)
    async with file.watched():
        asked = asyncio.create_task(file.reloads.ask())
        await file.clock.advance(Duration(9 * MINUTE))
        with pytest.raises(Unavailable, match="takes its time"):
            await asked
        assert max(later - earlier for earlier, later in zip(file.beats, file.beats[1:], strict=False)) < SILENT
        await file.clock.advance(Duration(2 * MINUTE))
        assert file.at_once == 0


async def test_who_leaves_does_not_cancel_what_he_asked_for(file: File) -> None:
    file.takes = SECOND
    async with file.watched():
        asked = asyncio.create_task(file.reloads.ask())
        await file.clock.advance(STEP)
        asked.cancel()
        file.write("second")
        await file.clock.advance(Duration(3 * SECOND))
        assert file.texts() == ["first", "second"]


async def test_a_defect_is_answered_and_ends_the_loop_which_goes_on_when_run_again(file: File) -> None:
    file.trouble = ZeroDivisionError("a mistake")
    running = asyncio.create_task(file.reloads.run(lambda: None))
    with pytest.raises(ZeroDivisionError):
        await asyncio.gather(file.reloads.ask(), file.clock.advance(SECOND))
    with pytest.raises(ZeroDivisionError):
        await running
    file.trouble = None
    async with file.watched():
        said, _ = await asyncio.gather(file.reloads.ask(), file.clock.advance(SECOND))
        assert said == "first"
