"""Outcomes besides success: withheld at the last moment, delayed, given up; and what a channel may spend on retries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from service_monitoring.domain.inputs import Delivery, Settled
from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND, Duration, Instant, seconds
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.ports import Accepted, Answer, Later, Rejected, Uncertain
from service_monitoring.runtime.deliver import Terms
from service_monitoring.runtime.lanes import Channel
from tests.runtime.delivering import Bench, FarSide, a_notice, hangs, settled

HUSH = Held(Withheld.FLAPPING, by="somebody")


def now_decided(bench: Bench, number: int = 1, *, channel: str = "ops") -> Notice:
    return replace(a_notice(number, channel=channel), decided_at=bench.clock.now())


def delayed(bench: Bench) -> list[Settled]:
    return [outcome for outcome in bench.outcomes if outcome.delivery is Delivery.DELAYED]


async def test_a_notice_that_is_withheld_is_not_sent_and_its_outcome_says_why() -> None:
    bench = Bench()
    notice, other = now_decided(bench, 1), now_decided(bench, 2)
    ops = FarSide(bench.clock)
    deliverer = bench.deliverer(withheld=lambda asked: HUSH if asked == notice else None, ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice, other])
        deliverer.wake([notice, other])
        await bench.clock.advance(MINUTE)
    assert ops.keys() == [other.key]
    assert bench.outcomes[0] == settled(notice, Delivery.WITHHELD, "flapping by somebody", HUSH)
    assert bench.store.row(notice.key).status == "withheld"
    assert await bench.store.due(10) == []


async def test_the_end_of_something_waits_until_nothing_holds_it_and_is_late_to_nobody() -> None:
    bench = Bench()
    silenced = True
    ops = FarSide(bench.clock)
    notice = replace(a_notice(1, page=Page.RECOVERED), decided_at=bench.clock.now())
    deliverer = bench.deliverer(withheld=lambda _: HUSH if silenced else None, ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.advance(Duration(30 * MINUTE))
        assert ops.keys() == []
        assert bench.store.row(notice.key).status == "waiting"
        silenced = False
        await bench.clock.advance(Duration(2 * MINUTE))
    assert ops.keys() == [notice.key]
    assert [each.delivery for each in bench.outcomes] == [Delivery.DELIVERED]


async def test_what_is_withheld_takes_no_slot_of_a_channel_that_hangs() -> None:
    bench = Bench()
    stuck, hushed = now_decided(bench, 1), now_decided(bench, 2)
    deliverer = bench.deliverer(
        withheld=lambda asked: HUSH if asked == hushed else None,
        ops=Channel(FarSide(bench.clock, hangs), concurrency=1),
    )
    async with bench.running(deliverer):
        await bench.commit([stuck, hushed])
        deliverer.wake([stuck, hushed])
        await bench.clock.settle()
        assert bench.delivered() == {hushed.key: ["withheld"]}


async def test_what_was_leased_and_waits_for_a_slot_is_asked_about_again_before_it_is_sent() -> None:
    bench = Bench()
    first, second = now_decided(bench, 1), now_decided(bench, 2)
    silent: list[Held] = []
    ops = FarSide(bench.clock, takes=1.0)
    deliverer = bench.deliverer(withheld=lambda _: silent[0] if silent else None, ops=Channel(ops, concurrency=1))
    async with bench.running(deliverer):
        await bench.commit([first, second])
        deliverer.wake([first, second])
        await bench.clock.advance(seconds(0.5))
        assert bench.store.row(second.key).leased
        silent.append(HUSH)
        await bench.clock.advance(MINUTE)
    assert ops.keys() == [first.key]
    assert bench.delivered() == {first.key: ["delivered"], second.key: ["withheld"]}


async def test_a_retry_is_withheld_and_says_that_the_first_attempt_may_have_arrived() -> None:
    bench = Bench()
    notice = now_decided(bench)
    ops = FarSide(bench.clock, lambda _: Uncertain("reset"))
    deliverer = bench.deliverer(withheld=lambda _: HUSH if ops.sends else None, ops=ops)
    async with bench.running(deliverer):
        await bench.commit([notice])
        await bench.clock.advance(MINUTE)
    assert len(ops.sends) == 1
    assert (bench.outcomes[-1].delivery, bench.outcomes[-1].uncertain) == (Delivery.WITHHELD, True)


async def test_a_question_that_fails_withholds_nothing() -> None:
    bench = Bench()
    notice = now_decided(bench)

    def broken(_: Notice) -> Held | None:
        raise LookupError("a defect")

    async with bench.running(bench.deliverer(withheld=broken, ops=FarSide(bench.clock))):
        await bench.commit([notice])
        await bench.clock.advance(MINUTE)
    assert bench.delivered() == {notice.key: ["delivered"]}
    assert "LookupError: a defect" in bench.troubles[0]


async def test_nothing_is_sent_after_a_silence_was_committed_in_a_thousand_races() -> None:
    """The silence is committed after any number of turns of the loop and any time, while sends wait, go and fail."""
    races = [await race(random.Random(seed)) for seed in range(1000)]
    assert sum(number == 0 for number in races) > 20
    assert sum(number > 0 for number in races) > 20


async def race(dice: random.Random) -> int:
    """One race; how many sends were made before the silence."""
    bench = Bench(spread=dice.random())
    committed: list[int] = []

    def script(_: int) -> Answer:
        answers: list[Answer] = [Accepted(), Later("503"), Uncertain("reset")]
        return dice.choice(answers)

    ops = FarSide(bench.clock, script, takes=dice.choice([0.0, 0.3, 1.0]))
    notices = [now_decided(bench, number) for number in range(dice.randrange(1, 6))]
    deliverer = bench.deliverer(
        withheld=lambda _: HUSH if committed else None,
        ops=Channel(ops, concurrency=dice.choice([1, 2, 4]), rate=dice.choice([None, 2.0])),
    )
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        if dice.randrange(2):
            await bench.clock.advance(Duration(dice.randrange(4000) * MILLISECOND))
        for _ in range(dice.randrange(25)):
            await asyncio.sleep(0)
        committed.append(len(ops.sends))
        await bench.clock.advance(MINUTE)
    assert len(ops.sends) == committed[0]
    assert set(bench.delivered()) == {notice.key for notice in notices}
    assert len(set(ops.keys())) <= len(notices)
    return committed[0]


async def test_half_an_hour_of_503_costs_twenty_attempts_at_most_and_the_page_arrives_when_it_is_over() -> None:
    for seed in range(20):
        dice = random.Random(seed)
        bench = Bench(dice=dice.random)
        notice = now_decided(bench)
        over = Instant(bench.clock.now().ns + 30 * MINUTE)

        def script(_: int, bench: Bench = bench, over: Instant = over) -> Answer:
            return Later("503") if bench.clock.now() < over else Accepted()

        ops = FarSide(bench.clock, script)
        deliverer = bench.deliverer(ops=ops)
        async with bench.running(deliverer):
            await bench.commit([notice])
            deliverer.wake([notice])
            await bench.clock.advance(Duration(30 * MINUTE - 1))
            assert len(ops.sends) <= 20
            assert bench.delivered() == {}
            await bench.clock.advance(Duration(5 * MINUTE))
        assert bench.delivered() == {notice.key: ["delivered"]}


@pytest.mark.parametrize("script", [lambda _: Later("503"), lambda _: Uncertain("reset"), hangs])
async def test_a_notice_that_does_not_arrive_is_reported_once_after_five_minutes(
    script: Callable[[int], Answer],
) -> None:
    bench = Bench()
    await bench.clock.advance(Duration(17 * SECOND))
    notice = now_decided(bench)
    deliverer = bench.deliverer(ops=FarSide(bench.clock, script))
    async with bench.running(deliverer):
        await bench.clock.advance(Duration(3 * SECOND))
        await bench.commit([notice])
        deliverer.wake([notice])
        await bench.clock.advance(Duration(5 * MINUTE - 3 * SECOND - 5 * SECOND))
        assert bench.outcomes == []
        await bench.clock.advance(Duration(10 * SECOND))
        assert [(each.notice, each.channel) for each in bench.outcomes] == [(notice.key, "ops")]
        assert delayed(bench) == bench.outcomes
        await bench.clock.advance(Duration(60 * MINUTE))
        assert len(bench.outcomes) == 1


async def test_that_a_notice_is_late_is_reported_once_whatever_restarts() -> None:
    bench = Bench()
    notice = now_decided(bench)
    ops = FarSide(bench.clock, lambda _: Later("503"))
    await bench.commit([notice])
    for _ in range(4):
        async with bench.running(bench.deliverer(ops=ops)):
            await bench.clock.advance(Duration(4 * MINUTE))
        bench.store = bench.store.restarted()
    assert [each.detail for each in bench.outcomes] == ["503"]


async def test_a_report_that_cannot_be_stored_is_made_again() -> None:
    bench = Bench()
    notice = now_decided(bench)
    async with bench.running(bench.deliverer(ops=FarSide(bench.clock, hangs))):
        await bench.commit([notice])
        await bench.clock.advance(Duration(4 * MINUTE))
        bench.store.outage = "the disk is full"
        await bench.clock.advance(Duration(2 * MINUTE))
        bench.store.outage = ""
        await bench.clock.advance(Duration(10 * SECOND))
    assert len(delayed(bench)) == 1


async def test_parked_after_an_attempt_without_an_answer_says_that_it_may_have_arrived() -> None:
    for restarts in (False, True):
        bench = Bench()
        notice = now_decided(bench)
        ops = FarSide(bench.clock, lambda number: Uncertain("reset") if number == 1 else Rejected("410 Gone"))
        await bench.commit([notice])
        async with bench.running(bench.deliverer(ops=ops)):
            if not restarts:
                await bench.clock.advance(MINUTE)
        bench.store = bench.store.restarted()
        async with bench.running(bench.deliverer(ops=ops)):
            await bench.clock.advance(MINUTE)
        (outcome,) = bench.outcomes
        assert (outcome.delivery, outcome.uncertain) == (Delivery.PARKED, True)


async def test_a_channel_that_refuses_is_in_trouble_until_it_takes_something() -> None:
    bench = Bench()
    ops = FarSide(bench.clock, lambda number: Rejected("404 Not Found") if number == 1 else Accepted())
    deliverer = bench.deliverer(ops=ops)

    def trouble() -> str:
        return deliverer.statistics()[0].trouble

    async with bench.running(deliverer):
        assert trouble() == ""
        for number, expected in ((1, "404 Not Found"), (2, "")):
            notice = now_decided(bench, number)
            await bench.commit([notice])
            deliverer.wake([notice])
            await bench.clock.settle()
            assert trouble() == expected


async def test_a_channel_that_fails_is_not_asked_more_than_its_budget_of_retries_allows() -> None:
    bench = Bench()
    over: list[bool] = []
    ops = FarSide(bench.clock, lambda _: Accepted() if over else Later("503"))
    notices = [now_decided(bench, number) for number in range(200)]
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.advance(Duration(30 * MINUTE))
        # A reserve of ten, a tenth of the first attempts, ten a minute.
        assert 200 + 250 < len(ops.sends) <= 200 + 10 + 20 + 300
        over.append(True)
        await bench.clock.advance(Duration(6 * MINUTE))
    assert bench.delivered() == {notice.key: ["delivered"] for notice in notices}


async def test_a_new_page_does_not_wait_behind_retries_that_the_budget_holds_back() -> None:
    bench = Bench()
    ops = FarSide(bench.clock, lambda _: Later("503"))
    notices = [now_decided(bench, number) for number in range(200)]
    deliverer = bench.deliverer(ops=ops)
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.advance(Duration(10 * MINUTE))
        ops.script = lambda _: Accepted()
        page = now_decided(bench, 999)
        await bench.commit([page])
        deliverer.wake([page])
        await bench.clock.settle()
        assert bench.delivered()[page.key] == ["delivered"]


async def test_what_the_budget_holds_back_for_a_channel_that_is_removed_is_parked_at_once() -> None:
    bench = Bench()
    notices = [now_decided(bench, number) for number in range(100)]
    deliverer = bench.deliverer(Terms(), ops=FarSide(bench.clock, lambda _: Later("503")))
    async with bench.running(deliverer):
        await bench.commit(notices)
        deliverer.wake(notices)
        await bench.clock.advance(Duration(10 * MINUTE))
        deliverer.replace({})
        await bench.clock.settle()
        assert bench.delivered() == {notice.key: ["parked"] for notice in notices}
