"""The alarm: the owners hear of trouble with the store by a way that needs no store."""

import asyncio

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.ports import Accepted, Answer, Deadline, Later, Message, Rejected
from service_monitoring.runtime.alarm import Alarm
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.testing.clock import SimulatedClock


class Mailbox:
    """A sink that keeps what it is sent, or never answers."""

    def __init__(self, clock: SimulatedClock, hangs: str = "") -> None:
        self.clock = clock
        self.hangs = hangs
        self.got: list[Message] = []

    def render(self, notice: Notice) -> Message:
        assert notice.page is Page.OWNER
        return Message(key=notice.key, thread=notice.thread, subject=notice.facts.summary, body=notice.facts.summary)

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        if self.hangs:
            await self.clock.wait_until(deadline.tick)
        self.got.append(message)
        return Accepted()


async def test_every_owner_hears_and_one_that_hangs_keeps_no_other_from_it() -> None:
    clock = SimulatedClock()
    first, second, stranger = Mailbox(clock, hangs="yes"), Mailbox(clock), Mailbox(clock)
    alarm = Alarm({"first": first, "second": second, "stranger": stranger}, ["first", "second"], clock)
    ringing = asyncio.ensure_future(alarm.run(lambda: None))
    alarm.ring("nothing can be stored: the disk is full")
    await clock.advance(SECOND)
    assert [message.body for message in second.got] == ["nothing can be stored: the disk is full"]
    assert stranger.got == []
    await clock.advance(Duration(10 * SECOND))
    assert len(first.got) == 1
    ringing.cancel()
    await asyncio.gather(ringing, return_exceptions=True)


async def test_the_same_trouble_on_another_day_has_another_key() -> None:
    clock = SimulatedClock()
    owner = Mailbox(clock)
    alarm = Alarm({"owner": owner}, ["owner"], clock)
    ringing = asyncio.ensure_future(alarm.run(lambda: None))
    for _ in range(2):
        alarm.ring("the disk is full")
        await clock.advance(Duration(60 * SECOND))
    assert len({message.key for message in owner.got}) == 2
    ringing.cancel()
    await asyncio.gather(ringing, return_exceptions=True)


async def test_last_words_reach_whom_they_can_and_wait_no_longer_than_they_may() -> None:
    clock = SimulatedClock()
    first, second = Mailbox(clock, hangs="yes"), Mailbox(clock)
    alarm = Alarm({"first": first, "second": second}, ["first", "second"], clock)
    speaking = asyncio.ensure_future(alarm.last_words("the disk failed", deadline_after(clock, SECOND)))
    await clock.advance(SECOND)
    assert speaking.done()
    await speaking
    assert [message.body for message in second.got] == ["the disk failed"]


async def test_replaced_owners_hear_of_what_rings_from_then_on_and_a_send_under_way_ends() -> None:
    clock = SimulatedClock()
    slow, after = Mailbox(clock, hangs="until its deadline"), Mailbox(clock)
    alarm = Alarm({"owner": slow}, ["owner"], clock)
    ringing = asyncio.ensure_future(alarm.run(lambda: None))
    alarm.ring("the disk is full")
    await clock.advance(SECOND)
    alarm.replace({"owner": after}, ["owner"])
    assert alarm.uses(slow)
    assert alarm.uses(after)
    await clock.advance(Duration(10 * SECOND))
    assert not alarm.uses(slow)
    alarm.ring("the disk is full again")
    await clock.advance(SECOND)
    assert (len(slow.got), [message.body for message in after.got]) == (1, ["the disk is full again"])
    ringing.cancel()
    await asyncio.gather(ringing, return_exceptions=True)


class Far(Mailbox):
    """A sink that answers as told, one answer an attempt, and then accepts."""

    def __init__(self, clock: SimulatedClock, *answers: Answer | Exception) -> None:
        super().__init__(clock)
        self.answers = list(answers)
        self.notices: list[Notice] = []

    def render(self, notice: Notice) -> Message:
        self.notices.append(notice)
        return Message(key=notice.key, thread=notice.thread, subject="", body=notice.facts.summary)

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        await super().send(message, deadline)
        answer = self.answers.pop(0) if self.answers else Accepted()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_trouble_is_told_once_and_once_more_when_it_stays_over() -> None:
    clock = SimulatedClock()
    owner = Far(clock)
    alarm = Alarm({"owner": owner}, ["owner"], clock)
    ringing = asyncio.ensure_future(alarm.run(lambda: None))
    for _ in range(20):
        alarm.trouble("store", "nothing can be stored: the disk is full")
        await clock.advance(Duration(3 * SECOND))
        alarm.over("store")
        await clock.advance(Duration(3 * SECOND))
    assert [message.body for message in owner.got] == ["nothing can be stored: the disk is full"]
    await clock.advance(Duration(30 * SECOND))
    assert [message.body for message in owner.got[1:]] == [
        "this is over after 117 s: nothing can be stored: the disk is full"
    ]
    trouble, over = owner.notices
    assert (trouble.thread, trouble.page, over.page) == (over.thread, Page.OWNER, Page.RECOVERED)
    assert trouble.key != over.key
    await clock.advance(Duration(600 * SECOND))
    alarm.trouble("store", "nothing can be stored: the disk is full")
    await clock.advance(SECOND)
    assert (len(owner.got), owner.notices[2].thread == trouble.thread) == (3, False)
    ringing.cancel()
    await asyncio.gather(ringing, return_exceptions=True)


async def test_what_does_not_arrive_is_tried_again_with_the_same_key_and_then_somebody_hears_of_it() -> None:
    clock = SimulatedClock()
    missed: list[str] = []
    recovering = Far(clock, Later("503"), RuntimeError("out of order"))
    deaf = Far(clock, *[Later("503")] * 9)
    refusing = Far(clock, Rejected("404"))
    sinks = {"recovering": recovering, "deaf": deaf, "refusing": refusing}
    alarm = Alarm(sinks, list(sinks), clock, missed=missed.append)
    ringing = asyncio.ensure_future(alarm.run(lambda: None))
    alarm.trouble("store", "the disk is full")
    await clock.advance(Duration(60 * SECOND))
    assert [len(each.got) for each in (recovering, deaf, refusing)] == [3, 3, 1]
    assert len({message.key for message in recovering.got}) == 1
    assert missed == [
        "refusing was not told that the disk is full: 404",
        "deaf was not told that the disk is full: 503",
    ]
    assert not ringing.done()
    ringing.cancel()
    await asyncio.gather(ringing, return_exceptions=True)
