"""One attempt at a notice: how a sink is asked for a message, and sent it under a deadline.

Knows that a stranger's sink may fail at either, or never come back. Does not know who attempts, nor what follows from
an answer.
"""

from __future__ import annotations

from typing import Final

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Answer, Clock, Deadline, Message, Sink, Uncertain
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.runtime.lanes import JobState
from service_monitoring.views import wording

BUDGET: Final = Duration(10 * SECOND)
"""What one attempt may take."""
LATENESS: Final = Duration(400 * MILLISECOND)
"""What a sink gets on top of it to end by itself before it is cut off."""


def message_of(sink: Sink, notice: Notice) -> Message:
    """The notice as the sink renders it; a sink that fails at that yields to the built-in text."""
    try:
        return sink.render(notice)
    except Exception as error:  # noqa: BLE001 - a stranger's sink may fail, a notice may not
        return builtin(notice, degraded=f"rendering failed: {type(error).__name__}: {error}")


def builtin(notice: Notice, *, degraded: str) -> Message:
    """The text that needs nobody's help."""
    words = wording.Wording(wording.minimal(notice.facts))
    return Message(
        key=notice.key,
        thread=notice.thread,
        subject=wording.headline(notice, words),
        body=words.summary,
        degraded=degraded,
    )


async def attempt(
    sink: Sink, message: Message, clock: Clock, *, budget: Duration = BUDGET, lateness: Duration = LATENESS
) -> tuple[Answer, JobState]:
    """Send once; what the far side said, and how the attempt ended for this program. Raises only when cancelled."""
    deadline = deadline_after(clock, budget)
    answer: Answer
    try:
        async with within(clock, Deadline(deadline.tick.plus(lateness))):
            answer = await sink.send(message, deadline)
        if not isinstance(answer, Answer):
            raise TypeError(f"{answer!r} is no answer")
    except TimeoutError:
        return Uncertain(f"no answer within {budget / SECOND:g} s"), JobState.TIMED_OUT
    except Exception as error:  # noqa: BLE001 - whatever a stranger's sink raises, the notice is tried again
        return Uncertain(f"the sink failed: {type(error).__name__}: {error}"), JobState.FAILED
    return answer, JobState.TIMED_OUT if deadline.tick <= clock.tick() else JobState.DONE
