"""The intake: what jobs and programs may tell us under a key, and the shapes in which they are answered.

Knows reports and pushed samples. Does not know HTTP, where keys are kept, or what is decided of what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from service_monitoring.domain.inputs import PushedSample, Signal, Taken
from service_monitoring.domain.instants import SECOND, Duration, Instant

MOST_BYTES: Final = 10 * 1024
"""Of what comes with a report; the rest is cut."""


class Sender(Struct, frozen=True):
    """Who a key belongs to: a check. `key` is its hash, for counting."""

    service: str
    check: str
    key: str
    allowance: Duration = Duration(0)


class Report(Struct, frozen=True):
    """What a job says, and what it sent along. `cut` says that it sent more than is kept."""

    signal: Signal
    run: str = ""
    exit_code: int | None = None
    content: bytes = b""
    cut: bool = False


class Refusal(Struct, frozen=True):
    """Why a sample is not even looked at."""

    detail: str


class Result(Struct, frozen=True):
    """What became of one sample, in words."""

    status: Literal["judged", "late", "duplicate", "conflict", "future", "refused"]
    detail: str = ""

    @property
    def taken(self) -> bool:
        """Whether we have it now, or had it before."""
        return self.status not in {"future", "refused"}


class Intake(Protocol):
    """The way in.

    `pinging` and `pushing` say whose a key is: `NotFound` when it opens nothing, `TooMuch` when it, or all together,
    came too often. `report` and `push` return when what they brought is kept; `Unavailable` when that cannot be now:
    the same may be sent again.
    """

    def now(self) -> Instant:
        """The instant of a sample that was sent without one."""
        ...

    async def pinging(self, key: str) -> Sender:
        """The sender of reports that has this key."""
        ...

    async def pushing(self, key: str) -> Sender:
        """The sender of samples that has this key."""
        ...

    async def report(self, sender: Sender, report: Report) -> None:
        """Take a report."""
        ...

    async def push(self, sender: Sender, samples: Sequence[PushedSample]) -> Sequence[Taken]:
        """Take samples that came together; what became of each, in their order."""
        ...


def result(taken: Taken, allowance: Duration) -> Result:
    """What became of a sample, as its sender reads it."""
    seconds = f"{allowance / SECOND:g} s"
    match taken:
        case Taken.JUDGED:
            return Result("judged")
        case Taken.LATE:
            return Result("late", f"older than the {seconds} that it may be late: it is kept, and decides nothing")
        case Taken.DUPLICATE:
            return Result("duplicate", "the series has this value at this instant already")
        case Taken.CONFLICT:
            return Result("conflict", "the series has another value at this instant, which stands")
        case Taken.FUTURE:
            return Result("future", f"more than {seconds} ahead of our clock: it is not kept")
        case Taken.UNKNOWN:
            return Result("refused", "the check is not watched any more")


class PingRow(Struct, frozen=True):
    """One report in a list. `body` is text as far as it is any; `cut` says that more was sent than was kept."""

    at: str
    signal: str
    run: str
    exit_code: int | None
    body: str
    cut: bool


class KeyRow(Struct, frozen=True):
    """One key in a list; `id` is the beginning of its hash."""

    id: str
    check: str
    purpose: str
    made_at: str
    expires_at: str | None


class NewKey(Struct, frozen=True):
    """A key that was made: shown this once. `former_until` is when the ones before it close, where there were any."""

    check: str
    purpose: str
    key: str
    former_until: str | None = None


def as_text(content: bytes) -> str:
    """What a job sent, as text: what is no text is shown as such."""
    return content.decode(errors="backslashreplace")
