"""The laws of `ports.Sink` as tests: subclass one of the classes and give it the fixture `far_side`.

    class TestMySink(NetworkSinkLaws):
        @pytest.fixture
        async def far_side(self) -> AsyncIterator[FarSide]: ...

`SinkLaws` holds for every sink, `NetworkSinkLaws` adds what is asked of one that speaks to a server. Knows values and
the port; knows no sink. Time is the machine's here, because the far side is a real server on this machine.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final, Protocol

import msgspec
import pytest
from msgspec import Struct

from service_monitoring.domain.incidents import FINAL
from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, Instant
from service_monitoring.domain.notices import Facts, Notice, Page, notice_key, thread_key
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Reason, Series
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Deadline, Later, Rejected, Sink, Uncertain
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deadlines import deadline_after, within

AMPLE: Final = Duration(10 * SECOND)
SHORT: Final = Duration(50 * MILLISECOND)
LATENESS: Final = Duration(500 * MILLISECOND)
"""What a sink may need beyond its deadline."""


class Behaviour(StrEnum):
    """What the far side does with what it is sent, until told otherwise.

    `RESET` reads everything and then drops the connection without a word; `HANG` takes connections and never answers.
    """

    ACCEPT = "accept"
    NOT_NOW = "not_now"
    NEVER = "never"
    RESET = "reset"
    HANG = "hang"


class Received(Struct, frozen=True):
    """What arrived whole: the key as the far side sees it, and every byte that a second attempt must repeat."""

    key: str
    content: bytes


class FarSide(Protocol):
    """A real server on this machine with a sink that sends to it. `unreachable` is one that sends to nobody."""

    sink: Sink
    unreachable: Sink
    received: list[Received]

    def behave(self, behaviour: Behaviour) -> None:
        """From now on."""
        ...

    def connections(self) -> int:
        """How many connections are open."""
        ...


def a_notice(
    number: int = 1, *, page: Page = Page.FIRST, summary: str = "{{ service }} is down: {{ reason }}", **facts: object
) -> Notice:
    """A page of an incident of its own. `facts` are fields of `Facts`."""
    group = f"group {number}"
    known = Facts(
        summary=summary,
        runbook="https://wiki.example/{{ rule }}",
        incident=f"{number:016x}",
        service="shop",
        rule="down",
        series=Series("shop", "health", "up", (("zone", "a"),)),
        severity=Severity.CRITICAL,
        state="open",
        labels=(("team", "payments"), ("tier", "gold")),
        breached_at=Instant.parse("2026-01-05T09:00:00.123456789Z"),
        opened_at=Instant.parse("2026-01-05T09:00:10.123456789Z"),
        cause="timer",
        evidence=Evidence(value=0.0, reason=Reason.TIMEOUT, detail="no answer within 2 s"),
    )
    return Notice(
        key=notice_key(group, "channel.ops", "ops", page, 1),
        thread=thread_key(group, "channel.ops", "ops"),
        group=group,
        sequence=1,
        recipient="channel.ops",
        channel="ops",
        page=page,
        decided_at=Instant.parse("2026-01-05T09:00:15Z"),
        facts=msgspec.structs.replace(known, **facts),
    )


def a_digest(*states: str, page: Page = Page.FIRST, **fields: object) -> Notice:
    """A notice about an incident in each of the states; the first is critical, the others are warnings.

    `fields` are fields of `Notice`.
    """
    about = [
        a_notice(
            number,
            rule="slow" if number > 1 else "down",
            severity=Severity.WARNING if number > 1 else Severity.CRITICAL,
            series=Series("shop", "health", "seconds" if number > 1 else "up", (("zone", "abcdefghij"[number % 10]),)),
            state=state,
            ended_at=Instant.parse("2026-01-05T09:00:14Z") if state in FINAL else None,
        ).facts
        for number, state in enumerate(states, start=1)
    ]
    over = sum(1 for facts in about if facts.state in FINAL)
    notice = msgspec.structs.replace(
        a_notice(page=page),
        facts=about[0],
        others=tuple(about[1:]),
        open=len(about) - over,
        over=over,
        labels=(("service", "shop"), ("team", "payments")),
    )
    return msgspec.structs.replace(notice, **fields)


def a_deadline(budget: Duration = AMPLE) -> Deadline:
    """A deadline by the machine's clock."""
    return deadline_after(SystemClock(), budget)


class SinkLaws:
    """What every sink keeps. All are coroutines, so that the fixture may be one."""

    @pytest.mark.parametrize("page", list(Page))
    async def test_a_notice_renders_to_the_same_bytes_each_time(self, far_side: FarSide, page: Page) -> None:
        notice = a_notice(page=page)
        message = far_side.sink.render(notice)
        assert message == far_side.sink.render(notice)
        assert (message.key, message.thread) == (notice.key, notice.thread)
        assert message.body
        assert message.degraded == ""

    @pytest.mark.parametrize("summary", ["{{ nobody_knows }}", "{% if %}", "{{ 1 / 0 }}"])
    async def test_a_template_that_fails_yields_the_builtin_text_and_the_reason(
        self, far_side: FarSide, summary: str
    ) -> None:
        message = far_side.sink.render(a_notice(summary=summary))
        assert "shop.down" in message.body
        assert message.degraded != ""

    async def test_a_notice_to_the_owners_of_the_monitor_renders(self, far_side: FarSide) -> None:
        told = msgspec.structs.replace(a_notice(page=Page.OWNER), facts=Facts(summary="channel ops refused {{ it }}"))
        assert "channel ops refused {{ it }}" in far_side.sink.render(told).body

    async def test_what_is_accepted_has_arrived(self, far_side: FarSide) -> None:
        message = far_side.sink.render(a_notice())
        assert isinstance(await far_side.sink.send(message, a_deadline()), Accepted)
        assert [received.key for received in far_side.received] == [message.key]

    async def test_a_notice_about_several_incidents_says_how_many_and_arrives(self, far_side: FarSide) -> None:
        message = far_side.sink.render(a_digest("open", "open", "acknowledged"))
        assert message == far_side.sink.render(a_digest("open", "open", "acknowledged"))
        assert "[critical] 3 open, shop, team=payments: " in message.subject
        assert isinstance(await far_side.sink.send(message, a_deadline()), Accepted)
        assert [received.key for received in far_side.received] == [message.key]

    async def test_two_sends_of_one_message_carry_the_same_key_and_the_same_bytes(self, far_side: FarSide) -> None:
        message = far_side.sink.render(a_notice())
        await far_side.sink.send(message, a_deadline())
        await far_side.sink.send(message, a_deadline())
        first, second = far_side.received
        assert first == second

    async def test_several_sends_may_run_at_once(self, far_side: FarSide) -> None:
        messages = [far_side.sink.render(a_notice(number)) for number in range(8)]
        answers = await asyncio.gather(*(far_side.sink.send(message, a_deadline()) for message in messages))
        assert all(isinstance(answer, Accepted) for answer in answers)
        assert {received.key for received in far_side.received} == {message.key for message in messages}

    async def test_a_notice_full_of_strange_characters_arrives(self, far_side: FarSide) -> None:
        strange = "\x00\x1b[2J\r\nBcc: everybody@example.com\r\n\r\n.\r\n\u202e\ud800 \U0001f525"
        message = far_side.sink.render(a_notice(summary="{{ detail }}", evidence=Evidence(detail=strange)))
        assert isinstance(await far_side.sink.send(message, a_deadline()), Accepted)
        assert len(far_side.received) == 1


class NetworkSinkLaws(SinkLaws):
    """What a sink keeps that speaks to a server."""

    async def test_not_now_is_later(self, far_side: FarSide) -> None:
        far_side.behave(Behaviour.NOT_NOW)
        assert isinstance(await self._sent(far_side), Later)

    async def test_never_is_rejected(self, far_side: FarSide) -> None:
        far_side.behave(Behaviour.NEVER)
        assert isinstance(await self._sent(far_side), Rejected)

    async def test_a_reset_after_everything_was_sent_is_uncertain(self, far_side: FarSide) -> None:
        far_side.behave(Behaviour.RESET)
        answer = await self._sent(far_side)
        assert isinstance(answer, Uncertain), answer
        assert len(far_side.received) == 1

    async def test_a_far_side_that_is_not_there_is_later(self, far_side: FarSide) -> None:
        message = far_side.unreachable.render(a_notice())
        assert isinstance(await far_side.unreachable.send(message, a_deadline()), Later)

    async def test_a_send_ends_by_its_deadline(self, far_side: FarSide) -> None:
        far_side.behave(Behaviour.HANG)
        clock, deadline = SystemClock(), a_deadline(SHORT)
        answer = await far_side.sink.send(far_side.sink.render(a_notice()), deadline)
        assert isinstance(answer, Later | Uncertain)
        assert clock.tick() <= deadline.tick.plus(LATENESS)

    async def test_a_deadline_that_has_passed_ends_it_at_once(self, far_side: FarSide) -> None:
        far_side.behave(Behaviour.HANG)
        answer = await far_side.sink.send(far_side.sink.render(a_notice()), a_deadline(Duration(0)))
        assert isinstance(answer, Later | Uncertain)

    async def test_a_send_that_was_cut_off_leaves_no_connection(self, far_side: FarSide) -> None:
        far_side.behave(Behaviour.HANG)
        clock = SystemClock()
        with pytest.raises(TimeoutError):
            async with within(clock, a_deadline(SHORT)):
                await far_side.sink.send(far_side.sink.render(a_notice()), a_deadline())
        for _ in range(100):
            if not far_side.connections():
                return
            await clock.wait_until(clock.tick().plus(Duration(10 * MILLISECOND)))
        raise AssertionError(f"{far_side.connections()} connections are still open")

    async def test_one_that_hangs_does_not_keep_another_from_arriving(self, far_side: FarSide) -> None:
        far_side.behave(Behaviour.HANG)
        stuck = asyncio.gather(*(self._sent(far_side, a_deadline(SHORT)) for _ in range(8)))
        await asyncio.gather(stuck)
        far_side.behave(Behaviour.ACCEPT)
        assert isinstance(await self._sent(far_side), Accepted)

    @staticmethod
    async def _sent(far_side: FarSide, deadline: Deadline | None = None) -> object:
        return await far_side.sink.send(far_side.sink.render(a_notice()), deadline or a_deadline())
