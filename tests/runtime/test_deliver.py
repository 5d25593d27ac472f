"""Delivery in simulated time: everything committed arrives, once if the far side allows, and under one key for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from service_monitoring.domain.inputs import Delivery, Settled
from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration, seconds
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.errors import Unavailable
from service_monitoring.ports import (
    Accepted,
    Answer,
    Deadline,
    Due,
    Later,
    Lease,
    Message,
    Rejected,
    Settlement,
    Uncertain,
)
from service_monitoring.runtime.deliver import Deliverer, Terms
from service_monitoring.runtime.lanes import Channel
from service_monitoring.runtime.retry import LEAST_ATTEMPTS
from service_monitoring.testing.stores import MemoryStore
from tests.runtime.delivering import Bench, FarSide, a_notice, hangs, settled


def jobs(deliverer: Deliverer, channel: str = "ops") -> dict[str, int]:
    statistics = {lane.channel: lane for lane in deliverer.statistics()}[channel]
    return {state: number for state, number in statistics.jobs.items() if number}


async def test_a_committed_notice_is_sent_at_once_and_settled_as_delivered() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock)
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.settle()
    assert ops.keys() == [notice.key]
    assert bench.outcomes == [settled(notice, Delivery.DELIVERED)]
    row = bench.store.row(notice.key)
    assert (row.status, row.attempt, row.leased) == ("delivered", 1, False)
    assert bench.clock.tick().ns == 0
    assert jobs(deliverer) == {"done": 1}


async def test_a_notice_that_nobody_told_of_is_found_by_the_next_sweep() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock)
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.commit([notice])
        await bench.clock.advance(Duration(5 * SECOND))
    assert ops.ticks() == [5.0]


async def test_a_held_notice_is_never_sent() -> None:
    bench = Bench()
    notice = msgspec.structs.replace(a_notice(), held=Held(Withheld.UNREACHABLE, by="incident 7"))
    ops = FarSide(bench.clock)
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.advance(MINUTE)
    assert ops.sends == []


async def test_every_attempt_sends_the_same_bytes_under_the_same_key() -> None:
    bench, notice = Bench(), a_notice()
    rendered = 0

    class Changeable(FarSide):
        def render(self, notice: Notice) -> Message:
            nonlocal rendered
            rendered += 1
            return Message(notice.key, notice.thread, "", f"rendered {rendered} times")

    ops = Changeable(bench.clock, lambda number: Accepted() if number == 3 else Uncertain("reset"))
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.commit([notice])
        await bench.clock.advance(MINUTE)
    assert len({message for _, message in ops.sends}) == 1
    assert len(ops.sends) == 3
    assert bench.store.row(notice.key).attempt == 3


async def test_a_far_side_that_is_busy_is_asked_again_by_the_jittered_backoff() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock, lambda number: Accepted() if number == 5 else Later("503"))
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.settle()
        row = bench.store.row(notice.key)
        assert (row.status, row.leased, row.due_at.since(bench.clock.now())) == ("waiting", False, seconds(1.5))
        await bench.clock.advance(MINUTE)
    assert ops.ticks() == [0.0, 1.5, 4.0, 8.5, 17.0]
    assert bench.delivered() == {notice.key: ["delivered"]}


async def test_after_429_nothing_is_sent_to_the_channel_before_the_time_it_asked_for() -> None:
    bench = Bench()
    first, second = a_notice(1), a_notice(2)
    ops = FarSide(bench.clock, lambda number: Accepted() if number > 1 else Later("429", Duration(40 * SECOND)))
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([first])
        deliverer.wake([first])
        await bench.clock.advance(SECOND)
        await bench.commit([second])
        deliverer.wake([second])
        await bench.clock.advance(Duration(39 * SECOND - 1))
        assert ops.ticks() == [0.0]
        await bench.clock.advance(Duration(5 * SECOND))
    assert sorted(ops.ticks()) == [0.0, 40.0, 40.0]
    assert bench.delivered() == {first.key: ["delivered"], second.key: ["delivered"]}


async def test_a_far_side_that_asks_for_an_hour_is_asked_again_after_a_quarter() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock, lambda number: Accepted() if number > 1 else Later("503", Duration(60 * MINUTE)))
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.commit([notice])
        await bench.clock.advance(Duration(20 * MINUTE))
    assert ops.ticks() == [5.0, 5.0 + 15 * 60]


async def test_a_permanent_refusal_is_parked_after_one_attempt_and_told() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock, lambda _: Rejected("404 Not Found"))
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.advance(Duration(30 * MINUTE))
    assert len(ops.sends) == 1
    assert bench.outcomes == [settled(notice, Delivery.PARKED, "404 Not Found")]
    assert bench.store.row(notice.key).status == "parked"


async def test_a_notice_is_parked_when_it_is_a_day_old_and_was_tried_often() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock, lambda _: Later("503"))
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.commit([notice])
        await bench.clock.advance(Duration(22 * HOUR))
        assert bench.delivered() == {}
        await bench.clock.advance(Duration(2 * HOUR))
    assert bench.delivered() == {notice.key: ["parked"]}
    assert bench.outcomes[-1].detail == f"given up after {len(ops.sends)} attempts, the last: 503"


async def test_a_notice_that_waited_for_days_while_nothing_ran_is_still_tried_twenty_times() -> None:
    bench, notice = Bench(), a_notice()
    bench.clock.step(Duration(72 * HOUR))
    ops = FarSide(bench.clock, lambda _: Later("503"))
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.commit([notice])
        await bench.clock.advance(Duration(2 * HOUR))
    assert len(ops.sends) == LEAST_ATTEMPTS
    assert bench.delivered() == {notice.key: ["parked"]}


async def test_a_sink_that_never_answers_frees_its_slot_by_the_deadline() -> None:
    bench = Bench()
    stuck, other = a_notice(1), a_notice(2)

    def script(number: int) -> Answer:
        return hangs(number) if number == 1 else Accepted()

    ops = FarSide(bench.clock, script)
    deliverer = bench.deliverer(ops=Channel(ops, concurrency=1))
    async with bench.running(deliverer):
        await bench.commit([stuck, other])
        deliverer.wake([stuck, other])
        await bench.clock.advance(seconds(9.9))
        assert len(ops.sends) == 1
        await bench.clock.advance(seconds(0.6))
        assert ops.keys()[1] == other.key
        assert ops.cancelled == 1
        assert jobs(deliverer) == {"timed_out": 1, "done": 1}
        assert bench.store.row(stuck.key).status == "uncertain"
        await bench.clock.advance(MINUTE)
    assert bench.delivered() == {stuck.key: ["delivered"], other.key: ["delivered"]}


async def test_a_reset_after_everything_was_sent_is_uncertain_and_sent_again_with_the_same_key() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock, lambda number: Accepted() if number == 2 else Uncertain("reset after the body was read"))
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.settle()
        assert bench.store.row(notice.key).status == "uncertain"
        await bench.clock.advance(MINUTE)
    assert ops.keys() == [notice.key, notice.key]
    assert ops.sends[0][1] == ops.sends[1][1]


async def test_one_channel_that_hangs_delays_no_other() -> None:
    bench = Bench()
    sides = {name: FarSide(bench.clock, takes=0.01) for name in ("a", "b", "c", "d")}
    sides["stuck"] = FarSide(bench.clock, hangs)
    notices = [a_notice(number, channel=name) for number in range(500) for name in sides]
    deliverer = bench.deliverer(Terms(capacity=100), sides)
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.advance(Duration(25 * SECOND))
        healthy = {lane.channel: lane.jobs["done"] for lane in deliverer.statistics()}
    # 100 fit at once, the others come with sweeps of 100, each of which takes 0.25 s.
    assert healthy == {"a": 500, "b": 500, "c": 500, "d": 500, "stuck": 0}
    assert all(max(side.ticks()) < 20.3 for name, side in sides.items() if name != "stuck")
    assert all(number == 1 for name in "abcd" for number in Counter(sides[name].keys()).values())


async def test_a_backlog_of_a_channel_that_hangs_hides_nothing_from_the_sweep() -> None:
    bench = Bench()
    ops, stuck = FarSide(bench.clock), FarSide(bench.clock, hangs)
    last = a_notice(9999)
    await bench.commit([*(a_notice(number, channel="stuck") for number in range(1200)), last])
    async with bench.running(bench.deliverer(Terms(capacity=100), ops=ops, stuck=stuck)):
        assert ops.keys() == [last.key]


async def test_a_channel_has_as_many_sends_at_once_as_it_may() -> None:
    bench = Bench()
    ops, slow = FarSide(bench.clock, takes=1.0), FarSide(bench.clock, takes=1.0)
    notices = [a_notice(number, channel=name) for number in range(8) for name in ("ops", "slow")]
    deliverer = bench.deliverer(ops=ops, slow=Channel(slow, concurrency=2))
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.advance(Duration(10 * SECOND))
    assert (ops.most_at_once, slow.most_at_once) == (4, 2)
    assert max(ops.ticks()) == 1.0
    assert max(slow.ticks()) == 3.0


async def test_a_rate_spreads_the_sends_evenly() -> None:
    bench = Bench()
    ops = FarSide(bench.clock)
    notices = [a_notice(number) for number in range(6)]
    deliverer = bench.deliverer(ops=Channel(ops, rate=2.0))
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.advance(Duration(10 * SECOND))
    assert ops.ticks() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


async def test_a_recovery_never_overtakes_its_page() -> None:
    bench = Bench()
    page = a_notice(1, group="g", page=Page.FIRST, sequence=1)
    recovered = a_notice(2, group="g", page=Page.RECOVERED, sequence=2)
    ops = FarSide(bench.clock, lambda number: Accepted() if number > 3 else Later("503"))
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([page, recovered])
        deliverer.wake([page, recovered])
        await bench.clock.advance(MINUTE)
    assert ops.keys() == [page.key] * 4 + [recovered.key]


async def test_a_recovery_does_not_overtake_its_page_after_a_restart_either() -> None:
    bench = Bench()
    page = a_notice(1, group="g", page=Page.FIRST, sequence=1)
    recovered = a_notice(2, group="g", page=Page.RECOVERED, sequence=2)
    await bench.commit([page, recovered])
    (lease,) = await bench.store.claim([Message(page.key, page.thread, "", "page")])
    retry_at = bench.clock.now().plus(Duration(30 * SECOND))
    await bench.store.settle([Settlement(page.key, lease.token, "waiting", "503", bench.clock.now(), retry_at)])
    ops = FarSide(bench.clock)
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.clock.advance(MINUTE)
    assert ops.keys() == [page.key, recovered.key]
    assert ops.ticks()[0] == pytest.approx(30.0, abs=0.01)


async def test_killed_between_accepted_and_settled_it_is_sent_again_with_the_same_key_and_the_next_attempt() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock)
    await bench.commit([notice])

    async def killed(settled: Settled, settlement: Settlement | None) -> None:
        await asyncio.Event().wait()

    first = Deliverer(
        bench.store, bench.clock, {"ops": Channel(ops)},
        finish=killed, dice=lambda: 0.5, troubled=bench.troubles.append,
    )  # fmt: skip
    async with bench.running(first):
        assert ops.keys() == [notice.key]
        assert bench.store.row(notice.key).leased
    bench.store = bench.store.restarted()
    ops.version = "rendered by another version"
    async with bench.running(bench.deliverer(ops=ops)):
        pass
    assert ops.keys() == [notice.key, notice.key]
    assert ops.sends[0][1] == ops.sends[1][1]
    row = bench.store.row(notice.key)
    assert (row.status, row.attempt, row.token) == ("delivered", 2, 2)
    assert bench.delivered() == {notice.key: ["delivered"]}


async def test_a_settlement_that_comes_after_a_younger_claim_changes_nothing() -> None:
    bench, notice = Bench(), a_notice()
    await bench.commit([notice])
    message = Message(notice.key, notice.thread, "", "page")
    (old,) = await bench.store.claim([message])
    assert await bench.store.claim([message]) == []
    bench.store = bench.store.restarted()
    (young,) = await bench.store.claim([message])
    assert young.token > old.token
    late = Settlement(notice.key, old.token, "parked", "", bench.clock.now())
    assert await bench.store.settle([late]) == 1
    assert bench.store.row(notice.key).status == "owed"


async def test_a_sink_that_raises_is_tried_again_and_costs_nobody_else_anything() -> None:
    bench, notice = Bench(), a_notice()

    def script(number: int) -> Answer:
        if number == 1:
            raise RuntimeError("a bug in a plugin")
        return Accepted()

    ops = FarSide(bench.clock, script)
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.settle()
        assert "a bug in a plugin" in bench.store.row(notice.key).detail
        await bench.clock.advance(MINUTE)
    assert jobs(deliverer) == {"failed": 1, "done": 1}
    assert bench.delivered() == {notice.key: ["delivered"]}


async def test_a_sink_that_cannot_render_still_sends_the_builtin_text() -> None:
    bench, notice = Bench(), a_notice()

    class Broken(FarSide):
        def render(self, notice: Notice) -> Message:
            raise KeyError("runbook")

    ops = Broken(bench.clock)
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.commit([notice])
        await bench.clock.advance(MINUTE)
    ((_, message),) = ops.sends
    assert (message.key, message.body) == (notice.key, "shop.down")
    assert "KeyError" in message.degraded
    assert bench.delivered() == {notice.key: ["delivered"]}


async def test_a_notice_to_a_channel_that_is_no_more_is_parked_and_told() -> None:
    bench, notice = Bench(), a_notice(channel="pager")
    deliverer = bench.deliverer(ops=FarSide(bench.clock))
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.settle()
    assert bench.delivered() == {notice.key: ["parked"]}
    assert bench.outcomes[0].detail == "there is no channel pager"


async def test_a_reload_sends_through_the_new_sinks_and_parks_what_is_owed_to_removed_channels() -> None:
    bench = Bench()
    old, new, added = FarSide(bench.clock), FarSide(bench.clock), FarSide(bench.clock)
    deliverer = bench.deliverer(ops=old, desk=FarSide(bench.clock))
    notices = [a_notice(1), a_notice(2, channel="desk"), a_notice(3, channel="added")]
    async with bench.running(deliverer):
        deliverer.replace({"ops": Channel(new, concurrency=6), "added": Channel(added)})
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.settle()
    assert (len(old.sends), len(new.sends), len(added.sends)) == (0, 1, 1)
    assert bench.delivered()[notices[1].key] == ["parked"]


async def test_a_full_disk_loses_no_outcome_and_causes_no_second_send() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock, takes=1.0)
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.advance(seconds(0.5))
        bench.store.outage = "the disk is full"
        await bench.clock.advance(MINUTE)
        assert bench.outcomes == []
        bench.store.outage = ""
        await bench.clock.advance(SECOND)
    assert len(ops.sends) == 1
    assert bench.store.row(notice.key).status == "delivered"
    assert "an outcome of ops cannot be stored: the disk is full" in bench.troubles


async def test_nothing_is_sent_that_could_not_be_leased_before() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock)
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        bench.store.outage = "locked"
        deliverer.wake([notice])
        await bench.clock.advance(MINUTE)
        assert ops.sends == []
        bench.store.outage = ""
        await bench.clock.advance(Duration(5 * SECOND))
    assert bench.delivered() == {notice.key: ["delivered"]}


async def test_many_that_wait_are_leased_and_settled_together() -> None:
    bench = Bench()
    calls: list[int] = []

    class Counting(MemoryStore):
        async def claim(self, messages: Sequence[Message]) -> list[Lease]:
            calls.append(len(messages))
            await bench.clock.wait_until(bench.clock.tick().plus(seconds(0.01)))
            return await super().claim(messages)

    bench.store = Counting()
    sides = {name: FarSide(bench.clock) for name in "abcde"}
    notices = [a_notice(number, channel=name) for number in range(40) for name in sides]
    deliverer = bench.deliverer(None, sides)
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.advance(SECOND)
    assert len(bench.outcomes) == 200
    assert sum(calls) == 200
    assert max(calls) > 100
    assert len(calls) < 10


async def test_stopping_lets_sends_under_way_end_and_their_outcomes_be_kept() -> None:
    bench = Bench()
    sending, queued = a_notice(1), a_notice(2)
    ops = FarSide(bench.clock, takes=3.0)
    deliverer = bench.deliverer(ops=Channel(ops, concurrency=1))
    running = asyncio.create_task(deliverer.run())
    await bench.commit([sending, queued])
    await bench.clock.settle()
    deliverer.wake([sending, queued])
    await bench.clock.advance(SECOND)
    stopping = asyncio.create_task(deliverer.stop())
    await bench.clock.advance(Duration(2 * SECOND))
    assert running.done()
    await asyncio.gather(running, stopping)
    assert bench.delivered() == {sending.key: ["delivered"]}
    row = bench.store.row(queued.key)
    assert (row.status, row.leased, row.due_at) == ("waiting", False, bench.clock.now().plus(Duration(-2 * SECOND)))
    assert ops.cancelled == 0


async def test_a_send_that_outlasts_the_grace_is_interrupted_and_sent_again_at_the_next_start() -> None:
    bench, notice = Bench(), a_notice()
    ops = FarSide(bench.clock, lambda number: hangs(number) if number == 1 else Accepted())
    deliverer = bench.deliverer(ops=ops)
    await bench.commit([notice])
    running = asyncio.create_task(deliverer.run())
    await bench.clock.settle()
    running.cancel()
    await bench.clock.advance(seconds(4.9))
    assert (running.done(), ops.cancelled) == (False, 0)
    await bench.clock.advance(seconds(0.2))
    assert (running.done(), running.cancelled(), ops.cancelled) == (True, True, 1)
    assert jobs(deliverer) == {"interrupted": 1}
    assert bench.store.row(notice.key).leased
    bench.store = bench.store.restarted()
    async with bench.running(bench.deliverer(ops=ops)):
        pass
    assert ops.keys() == [notice.key, notice.key]
    assert bench.store.row(notice.key).attempt == 2


async def test_what_is_leased_but_not_sent_when_it_stops_is_given_back() -> None:
    bench, notice = Bench(), a_notice()

    class Slow(MemoryStore):
        async def claim(self, messages: Sequence[Message]) -> list[Lease]:
            leases = await super().claim(messages)
            await bench.clock.wait_until(bench.clock.tick().plus(SECOND))
            return leases

    bench.store = Slow()
    ops = FarSide(bench.clock)
    deliverer = bench.deliverer(ops=ops)
    await bench.commit([notice])
    running = asyncio.create_task(deliverer.run())
    await bench.clock.settle()
    running.cancel()
    await bench.clock.advance(Duration(2 * SECOND))
    assert running.cancelled()
    assert ops.sends == []
    assert jobs(deliverer) == {"cancelled": 1}
    assert not bench.store.row(notice.key).leased


async def test_a_second_cancellation_ends_it_at_once() -> None:
    bench, notice = Bench(), a_notice()
    deliverer = bench.deliverer(ops=FarSide(bench.clock, hangs))
    before = len(asyncio.all_tasks())
    await bench.commit([notice])
    running = asyncio.create_task(deliverer.run())
    await bench.clock.settle()
    running.cancel()
    await bench.clock.settle()
    running.cancel()
    await bench.clock.settle()
    assert running.cancelled()
    assert jobs(deliverer) == {"interrupted": 1}
    assert len(asyncio.all_tasks()) == before


async def test_a_deliverer_that_broke_down_takes_up_again_what_it_had_leased() -> None:
    bench = Bench()
    interrupted, queued = a_notice(1), a_notice(2)
    ops = FarSide(bench.clock, lambda number: hangs(number) if number == 1 else Accepted())
    deliverer = bench.deliverer(ops=Channel(ops, concurrency=1))
    await bench.commit([interrupted, queued])
    running = asyncio.create_task(deliverer.run())
    await bench.clock.settle()
    running.cancel()
    await bench.clock.settle()
    running.cancel()
    await bench.clock.settle()
    async with bench.running(deliverer):
        await bench.clock.advance(MINUTE)
    assert bench.delivered() == {interrupted.key: ["delivered"], queued.key: ["delivered"]}
    assert Counter(ops.keys()) == {interrupted.key: 2, queued.key: 1}


async def test_a_full_lane_leaves_the_rest_to_the_store() -> None:
    bench = Bench()
    ops = FarSide(bench.clock)
    notices = [a_notice(number) for number in range(30)]
    deliverer = bench.deliverer(Terms(capacity=10), {"ops": ops})
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.settle()
        assert len(ops.sends) == 10
        assert deliverer.statistics()[0].overflowed == 20
        await bench.clock.advance(Duration(10 * SECOND))
    assert sorted(ops.keys()) == sorted(notice.key for notice in notices)


async def test_a_store_that_cannot_be_read_is_read_again_at_the_next_sweep() -> None:
    bench, notice = Bench(), a_notice()
    failing = True

    class Locked(MemoryStore):
        async def due(self, limit: int, *, channel: str | None = None) -> list[Due]:
            if failing:
                raise Unavailable("locked")
            return await super().due(limit, channel=channel)

    bench.store = Locked()
    ops = FarSide(bench.clock)
    async with bench.running(bench.deliverer(ops=ops)):
        await bench.commit([notice])
        await bench.clock.advance(Duration(7 * SECOND))
        failing = False
        await bench.clock.advance(Duration(3 * SECOND))
    assert ops.ticks() == [10.0]
    assert bench.troubles == ["the outbox cannot be read: locked"] * 2


async def test_no_job_ends_without_a_name() -> None:
    """Cancel the deliverer after every turn of the loop in which something happens."""
    before = len(asyncio.all_tasks())
    for turns in range(40):
        bench, notice = Bench(), a_notice()
        ops = FarSide(bench.clock)
        deliverer = bench.deliverer(ops=ops)
        await bench.commit([notice])
        running = asyncio.create_task(deliverer.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        (lane,) = deliverer.statistics()
        assert sum(lane.jobs.values()) == bench.store.row(notice.key).attempt
        assert (lane.sending, lane.settling, lane.waiting) == (0, 0, 0)
        assert len(asyncio.all_tasks()) == before


async def test_the_deadline_that_a_sink_gets_is_ten_seconds_away() -> None:
    bench, notice = Bench(), a_notice()
    seen: list[Duration] = []

    class Looking(FarSide):
        async def send(self, message: Message, deadline: Deadline) -> Answer:
            seen.append(deadline.remaining(self.clock.tick()))
            return Accepted()

    async with bench.running(bench.deliverer(ops=Looking(bench.clock))):
        await bench.commit([notice])
        await bench.clock.advance(MINUTE)
    assert seen == [Duration(10 * SECOND)]


async def test_a_defect_in_one_loop_ends_the_run_with_its_own_error_and_the_next_run_goes_on() -> None:
    bench = Bench()
    notices = [a_notice(number) for number in range(6)]
    ops = FarSide(bench.clock, takes=1.0)
    deliverer = bench.deliverer(ops=Channel(ops, concurrency=2))
    await bench.commit(notices)
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1
        if beats == 2:
            raise ZeroDivisionError

    running = asyncio.create_task(deliverer.run(beat))
    bench.spread = 0.0
    await bench.clock.advance(seconds(0.5))
    ops.takes = 10.0
    await bench.clock.advance(seconds(9.0))
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    ops.takes = 0.0
    async with bench.running(deliverer):
        await bench.clock.advance(MINUTE)
    assert bench.delivered() == {notice.key: ["delivered"] for notice in notices}


async def test_what_waits_for_another_attempt_at_a_removed_channel_is_parked_at_once() -> None:
    bench, notice = Bench(), a_notice(channel="desk")
    desk = FarSide(bench.clock, script=lambda _: Later("come back", after=HOUR))
    deliverer = bench.deliverer(ops=FarSide(bench.clock), desk=desk)
    async with bench.running(deliverer):
        later = a_notice(2, channel="desk")
        await bench.commit([notice, later])
        deliverer.wake([notice])
        await bench.clock.advance(SECOND)
        deliverer.wake([later])  # it has its slot, and waits until the far side may be asked again
        await bench.clock.advance(SECOND)
        deliverer.replace({"ops": Channel(FarSide(bench.clock))})
        await bench.clock.settle()
        assert bench.delivered() == {notice.key: ["parked"], later.key: ["parked"]}
        assert {outcome.detail for outcome in bench.outcomes} == {"there is no channel desk"}
    assert len(desk.sends) == 1


async def test_a_wish_to_be_left_alone_outlives_a_reload_that_keeps_the_channel() -> None:
    bench, notice = Bench(), a_notice()
    first = FarSide(bench.clock, script=lambda _: Later("come back", after=MINUTE))
    second = FarSide(bench.clock)
    deliverer = bench.deliverer(ops=first)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.advance(SECOND)
        deliverer.replace({"ops": Channel(second)})
        await bench.clock.advance(Duration(30 * SECOND))
        assert second.sends == []
        await bench.clock.advance(MINUTE)
    assert second.keys() == [notice.key]


async def test_a_replaced_sink_is_in_use_until_its_last_send_has_ended() -> None:
    bench, notice = Bench(), a_notice()
    old, new = FarSide(bench.clock, takes=2.0), FarSide(bench.clock)
    deliverer = bench.deliverer(ops=old)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.advance(SECOND)
        deliverer.replace({"ops": Channel(new)})
        assert deliverer.uses(old)
        assert deliverer.uses(new)
        await bench.clock.advance(Duration(2 * SECOND))
        assert not deliverer.uses(old)
    assert bench.delivered() == {notice.key: ["delivered"]}
    assert new.sends == []


async def test_a_channel_that_comes_back_is_sent_to_again() -> None:
    bench = Bench()
    back = FarSide(bench.clock)
    deliverer = bench.deliverer(ops=FarSide(bench.clock))
    async with bench.running(deliverer):
        deliverer.replace({})
        await bench.clock.settle()
        deliverer.replace({"ops": Channel(back, concurrency=3)})
        notices = [a_notice(number) for number in range(6)]
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.settle()
    assert sorted(back.keys()) == sorted(notice.key for notice in notices)
