"""The feed: what changed is told once to each who listens, within a second, and what waits for anybody is bounded."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, Instant
from service_monitoring.errors import Unavailable
from service_monitoring.runtime import feed as feeds
from service_monitoring.runtime.feed import MOST_WAITING, Feed
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.views.live import HEARTBEAT, Listener


class Told:
    """A feed that runs in simulated time."""

    def __init__(self, most: int = 10) -> None:
        self.clock = SimulatedClock()
        self.by_time: list[str] = []
        self.feed = Feed(self.clock, look=self.look, most=most)

    async def look(self, at: Instant) -> Iterable[str]:
        found, self.by_time = self.by_time, []
        return found

    async def pass_(self, milliseconds: int) -> None:
        await self.clock.advance(Duration(milliseconds * MILLISECOND))


@asynccontextmanager
async def telling(most: int = 10) -> AsyncIterator[Told]:
    told = Told(most)
    running = asyncio.get_running_loop().create_task(told.feed.run(lambda: None))
    await told.pass_(0)
    try:
        yield told
    finally:
        await told.feed.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def said(taken: bytes) -> list[str]:
    """The topics of a piece of the stream, and the names of other events."""
    found = []
    for event in taken.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if fields:
            found.append(fields["data"] if "event" not in fields else f"({fields['event']})")
    return found


async def heard(listener: Listener) -> list[str]:
    return said(await listener.take())


async def test_what_changed_is_told_within_a_quarter_of_a_second_and_once_however_often_it_changed() -> None:
    async with telling() as it:
        listener = it.feed.listen(())
        assert await heard(listener) == ["(hello)"]
        for _ in range(100):
            it.feed.publish(["incidents"])
        it.feed.publish(["board"])
        await it.pass_(250)
        assert await heard(listener) == ["incidents", "board"]


async def test_what_time_alone_changed_is_told_as_well() -> None:
    async with telling() as it:
        listener = it.feed.listen(())
        await listener.take()
        it.by_time = ["board"]
        await it.pass_(250)
        assert await heard(listener) == ["board"]


async def test_each_hears_what_it_named_and_who_names_nothing_hears_of_no_single_service() -> None:
    async with telling() as it:
        everybody, one = it.feed.listen(()), it.feed.listen(("service:shop", "silences"))
        await everybody.take()
        await one.take()
        it.feed.publish(["incidents", "service:shop", "service:cart", "silences"])
        await it.pass_(250)
        assert await heard(everybody) == ["incidents", "silences"]
        assert await heard(one) == ["service:shop", "silences"]


async def test_all_who_listen_share_the_bytes_of_a_change() -> None:
    async with telling() as it:
        listeners = [it.feed.listen(()) for _ in range(5)]
        it.feed.publish(["incidents"])
        await it.pass_(250)
        frames = {id(listener._waiting["incidents"]) for listener in listeners}
        assert len(frames) == 1


async def test_a_listener_that_takes_nothing_holds_a_bounded_number_of_bytes_and_is_let_go() -> None:
    async with telling() as it:
        topics = [f"service:{number:06}{'x' * 190}" for number in range(60)]
        # The listener of the worst case: it names as much as it may.
        listener = it.feed.listen(topics)
        most = 0
        for _ in range(59):
            it.feed.publish([f"{topic}" for topic in topics])
            await it.pass_(250)
            most = max(most, listener.waiting)
        assert 0 < most <= MOST_WAITING
        assert it.feed.statistics().listeners == 1
        await it.pass_(1_000)
        it.feed.publish(topics)
        await it.pass_(500)
        assert await listener.take() == b""
        assert (it.feed.statistics().listeners, it.feed.statistics().dropped) == (0, 1)


async def test_what_is_too_much_for_a_listener_becomes_one_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MOST_WAITING", 300)
    async with telling() as it:
        topics = [f"service:{number:03}" for number in range(20)]
        listener = it.feed.listen(topics)
        it.feed.publish(topics)
        await it.pass_(250)
        assert listener.waiting <= 300
        assert (await heard(listener))[0] == "(reset)"
        it.feed.publish(topics[:1])
        await it.pass_(250)
        assert await heard(listener) == topics[:1]


async def test_who_was_away_hears_what_it_missed_and_resets_where_that_is_unknown() -> None:
    async with telling() as it:
        listener = it.feed.listen(())
        await listener.take()
        it.feed.publish(["incidents"])
        await it.pass_(250)
        last = (await listener.take()).decode().split("id: ")[-1].split("\n")[0]
        listener.close()
        it.feed.publish(["silences", "service:shop"])
        await it.pass_(250)
        it.feed.publish(["silences"])
        await it.pass_(250)
        assert await heard(it.feed.listen((), seen=last)) == ["(hello)", "silences"]
        assert await heard(it.feed.listen((), seen="other-1")) == ["(reset)"]
        assert await heard(it.feed.listen((), seen=f"{last.partition('-')[0]}-99")) == ["(reset)"]
        assert await heard(it.feed.listen(())) == ["(hello)"]


async def test_nobody_hears_of_what_is_longer_ago_than_is_remembered() -> None:
    async with telling() as it:
        listener = it.feed.listen(())
        first = (await listener.take()).decode().split("id: ")[1].split("\n")[0]
        listener.close()
        for _ in range(10):
            it.feed.publish([f"service:{number}" for number in range(60)])
            await it.pass_(250)
        assert await heard(it.feed.listen((), seen=first)) == ["(reset)"]


async def test_a_sign_of_life_comes_each_fifteen_seconds() -> None:
    async with telling() as it:
        listener = it.feed.listen(())
        await listener.take()
        await it.pass_(15_250)
        assert await listener.take() == HEARTBEAT


async def test_there_is_an_end_to_how_many_may_listen() -> None:
    async with telling(most=2) as it:
        first = it.feed.listen(())
        it.feed.listen(())
        with pytest.raises(Unavailable, match="listen already"):
            it.feed.listen(())
        first.close()
        first.close()
        it.feed.listen(())
        assert it.feed.statistics().refused == 1


async def test_when_the_program_stops_every_listener_is_at_its_end() -> None:
    async with telling() as it:
        listener = it.feed.listen(())
        await listener.take()
        taking = asyncio.get_running_loop().create_task(listener.take())
        await it.pass_(0)
        await it.feed.stop()
        assert await taking == b""


async def test_with_many_listeners_rounds_are_further_apart_and_never_a_second() -> None:
    async with telling(most=1_000) as it:
        assert it.feed.pace() == 250 * MILLISECOND
        for _ in range(1_000):
            it.feed.listen(("board",))
        assert 250 * MILLISECOND < it.feed.pace() < SECOND
        it.feed.publish(["board"])
        await it.pass_(1_250)
        assert it.feed.statistics().told == 1_000
