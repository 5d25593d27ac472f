"""Queues: what is offered is accounted for, whatever is full, cancelled or closed; and only values get in."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import pytest
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Struct

from service_monitoring.domain.inputs import Marked, MarkKind, Observed
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Observation, Outcome
from service_monitoring.runtime.queue import Closed, Offer, Queue, WhenFull

Pair = tuple[int, int]
OUTCOME = {WhenFull.WAIT: Offer.REFUSED, WhenFull.REFUSE: Offer.REFUSED, WhenFull.COALESCE: Offer.REFUSED}


class QueueAgainstAModel(RuleBasedStateMachine):
    """Offers, takes and a close in any order, with every policy: order and counts are the model's."""

    @initialize(when_full=some.sampled_from(WhenFull), capacity=some.integers(1, 4))
    def build(self, when_full: WhenFull, capacity: int) -> None:
        key = (lambda pair: pair[0]) if when_full is WhenFull.COALESCE else None
        self.queue: Queue[Pair] = Queue("model", capacity=capacity, when_full=when_full, key=key)
        self.when_full, self.capacity, self.closed = when_full, capacity, False
        self.model: OrderedDict[object, Pair] = OrderedDict()
        self.number = 0
        self.counted = dict.fromkeys(Offer, 0)
        self.taken = 0

    @rule(key=some.integers(0, 5))
    def offer(self, key: int) -> None:
        self.number += 1
        item = (key, self.number)
        place: object = key if self.when_full is WhenFull.COALESCE else item
        if self.closed:
            expected = Offer.REFUSED
        elif place in self.model:
            expected = Offer.COALESCED
        elif len(self.model) == self.capacity:
            expected = OUTCOME.get(self.when_full, Offer.DROPPED_OLDEST)
        else:
            expected = Offer.ACCEPTED
        assert self.queue.offer(item) is expected
        self.counted[expected] += 1
        if expected is Offer.DROPPED_OLDEST:
            self.model.popitem(last=False)
        if expected is not Offer.REFUSED:
            self.model[place] = item

    @rule(limit=some.integers(1, 3))
    def take(self, limit: int) -> None:
        expected = [self.model.popitem(last=False)[1] for _ in range(min(limit, len(self.model)))]
        assert self.queue.take_now(limit) == expected
        self.taken += len(expected)

    @rule()
    def close(self) -> None:
        self.queue.close()
        self.closed = True

    @invariant()
    def everything_offered_is_accounted_for(self) -> None:
        if not hasattr(self, "queue"):
            return
        seen = self.queue.statistics()
        assert seen.offered == seen.taken + seen.dropped + seen.refused + seen.coalesced + seen.length
        assert seen.offered == seen.accepted + seen.refused == sum(self.counted.values())
        assert seen.refused == self.counted[Offer.REFUSED]
        assert seen.dropped == self.counted[Offer.DROPPED_OLDEST]
        assert seen.coalesced == self.counted[Offer.COALESCED]
        assert (seen.taken, seen.length) == (self.taken, len(self.model))
        assert seen.length <= seen.peak <= seen.capacity


TestQueueAgainstAModel = QueueAgainstAModel.TestCase


def a_queue(when_full: WhenFull = WhenFull.WAIT, *, capacity: int = 2) -> Queue[object]:
    return Queue("inbox", capacity=capacity, when_full=when_full)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Aggregate:
    """Something with a state of its own."""


class LooseStruct(Struct):
    value: int = 0


@dataclass
class LooseData:
    value: int = 0


@dataclass(frozen=True)
class FirmData:
    value: int = 0


class Colour(Enum):
    RED = 1


LIVE: list[object] = [
    Aggregate(),
    LooseStruct(),
    LooseData(),
    [],
    {},
    set(),
    bytearray(),
    (1, [2]),
    object(),
    Aggregate,
]
FROZEN: list[object] = [
    "text",
    1,
    1.5,
    b"bytes",
    None,
    True,
    FirmData(),
    Colour.RED,
    Instant(1),
    Marked(MarkKind.ALIVE),
    Observed("shop", "health", Observation(Outcome.OK), Instant(0)),
    ("key", (1, FirmData()), frozenset({Colour.RED})),
]


def _kind(payload: object) -> str:
    return type(payload).__name__


@pytest.mark.parametrize("payload", LIVE, ids=_kind)
async def test_a_queue_refuses_a_live_aggregate(payload: object) -> None:
    queue = a_queue()
    with pytest.raises(TypeError, match="live object"):
        queue.offer(payload)
    with pytest.raises(TypeError, match="live object"):
        await queue.put(payload)
    assert queue.statistics().offered == 0


@pytest.mark.parametrize("payload", FROZEN, ids=_kind)
async def test_a_queue_carries_frozen_values(payload: object) -> None:
    queue = a_queue()
    assert queue.offer(payload) is Offer.ACCEPTED
    assert await queue.take() == payload


def test_a_value_of_an_unknown_class_is_refused_until_it_is_known_to_be_frozen() -> None:
    with pytest.raises(TypeError, match="Fraction"):
        a_queue().offer(Fraction(1, 2))


async def test_a_full_queue_makes_its_producers_wait_in_order() -> None:
    queue = a_queue(capacity=1)
    producers = [asyncio.create_task(queue.put(number)) for number in range(4)]
    await settle()
    assert (len(queue), queue.statistics().waiting) == (1, 3)
    taken = []
    for _ in range(4):
        taken.append(await queue.take())
        await settle()
    assert taken == [0, 1, 2, 3]
    assert [await producer for producer in producers] == [Offer.ACCEPTED] * 4


async def test_a_cancelled_producer_has_put_nothing_and_passes_its_turn_on() -> None:
    queue = a_queue(capacity=1)
    queue.offer("first")
    cancelled, patient = (asyncio.create_task(queue.put(name)) for name in ("cancelled", "patient"))
    await settle()
    assert queue.take_now() == ["first"]  # wakes the one that is cancelled now
    cancelled.cancel()
    await settle()
    assert patient.done()
    assert queue.take_now(9) == ["patient"]
    assert queue.statistics().offered == 2


async def test_a_cancelled_consumer_has_taken_nothing_and_passes_its_turn_on() -> None:
    queue = a_queue()
    cancelled, patient = (asyncio.create_task(queue.take()) for _ in range(2))
    await settle()
    queue.offer("item")
    cancelled.cancel()
    assert await patient == "item"
    assert queue.statistics().taken == 1


async def test_a_closed_queue_gives_what_it_has_and_then_says_so() -> None:
    queue = a_queue(capacity=1)
    queue.offer("last")
    producer = asyncio.create_task(queue.put("too late"))
    await settle()
    queue.close()
    assert await producer is Offer.REFUSED
    assert await queue.take_many(5) == ["last"]
    with pytest.raises(Closed):
        await queue.take()


async def test_closing_wakes_every_waiting_consumer() -> None:
    queue = a_queue()
    consumers = [asyncio.create_task(queue.take()) for _ in range(3)]
    await settle()
    queue.close()
    assert all(isinstance(end, Closed) for end in await asyncio.gather(*consumers, return_exceptions=True))


async def test_a_newer_item_takes_the_place_of_a_waiting_one_with_its_key() -> None:
    queue: Queue[Pair] = Queue("ticks", capacity=2, when_full=WhenFull.COALESCE, key=lambda pair: pair[0])
    assert [queue.offer(pair) for pair in [(1, 1), (2, 1), (1, 2), (3, 1)]] == [
        Offer.ACCEPTED,
        Offer.ACCEPTED,
        Offer.COALESCED,
        Offer.REFUSED,
    ]
    assert queue.take_now(9) == [(1, 2), (2, 1)]


@pytest.mark.parametrize("when_full", [WhenFull.WAIT, WhenFull.COALESCE])
def test_a_key_goes_with_coalescing_alone(when_full: WhenFull) -> None:
    key = None if when_full is WhenFull.COALESCE else hash
    with pytest.raises(ValueError, match="coalescing"):
        Queue[int]("odd", capacity=1, when_full=when_full, key=key)


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        a_queue(capacity=0)
