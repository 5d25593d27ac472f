"""Ports: what the runtime asks of clocks, sources, sinks and stores, with the laws that each of them keeps.

Knows values of the domain and, from `ticks`, those of monotonic time; knows no adapter and no library behind one. Every
law has a test named after it in the conformance kits of `service_monitoring.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Final, Protocol

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Progress
from service_monitoring.domain.dispatch import Told
from service_monitoring.domain.events import Event
from service_monitoring.domain.holds import StoredHold
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Admitted, Pinged, Stamp, Taken
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.recollections import Recollection
from service_monitoring.domain.samples import Observation, Series
from service_monitoring.domain.silences import StoredSilence
from service_monitoring.domain.stretches import Portion
from service_monitoring.ticks import Clock as Clock  # noqa: PLC0414 - it belongs to the ports, too
from service_monitoring.ticks import Deadline as Deadline  # noqa: PLC0414 - it belongs to the ports, too
from service_monitoring.ticks import Tick as Tick  # noqa: PLC0414 - it belongs to the ports, too


class Source(Protocol):
    """Probes one target.

    Laws: `probe` returns an observation and never raises for what the target does; an error of our own is
    `unknown(internal_error)`; it ends by the deadline plus 500 ms; a run that the deadline ends is `failed(timeout)`;
    cancelled, it leaves no socket, process or task; it never blocks the loop; it is called for one run at a time.
    """

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt."""
        ...


class Message(Struct, frozen=True):
    """A notice as one channel will send it: rendered once, stored, the same bytes in every attempt.

    `headers` hold nothing secret: a sink adds credentials when it sends.
    """

    key: str
    thread: str
    subject: str
    body: str
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    degraded: str = ""
    """Why the built-in plain text stands in for the template, or nothing."""


class Accepted(Struct, frozen=True, tag=True):
    """The far side has it."""

    detail: str = ""


class Later(Struct, frozen=True, tag=True):
    """The far side said not now, or was not reached: it does not have it. `after` is its own wish, if it had one."""

    detail: str
    after: Duration | None = None


class Rejected(Struct, frozen=True, tag=True):
    """The far side will never take this: do not ask again."""

    detail: str


class Uncertain(Struct, frozen=True, tag=True):
    """The far side may have it: everything was sent, no answer came back."""

    detail: str


Answer = Accepted | Later | Rejected | Uncertain


class Sink(Protocol):
    """Delivers notices to one channel.

    Laws: `render` is pure and gives the same bytes for the same notice; `send` classifies every answer of the far side
    and never raises for it; it ends by the deadline plus 500 ms; two sends of one message carry the same key and the
    same body; cancelled, it leaves no socket; several sends may run at once on one loop.
    """

    def render(self, notice: Notice) -> Message:
        """The text of a notice; a template that fails yields the built-in text, with `degraded` saying why."""
        ...

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One attempt."""
        ...


class AddressPolicy(Protocol):
    """Which addresses probes and sinks may connect to.

    Laws: `refusal` is pure, never blocks and never resolves; whoever connects asks it for the very address that a
    socket is about to be connected to (after resolving, at every redirect, for literals too), so that no name server
    can change its answer in between.
    """

    def refusal(self, address: IPv4Address | IPv6Address) -> str | None:
        """One sentence that says why nobody may connect to `address`, or None when one may."""
        ...


class Links(Protocol):
    """Writes links with which whoever reads a notice may act on its incident.

    Laws: pure, and the same bytes for the same notice and channel; each link is good for one act on one incident, until
    an instant that depends on the notice alone; a notice about several incidents has none; looking at one changes
    nothing. Who holds a link may use it: it goes where the notice goes, and nowhere else.
    """

    def __call__(self, notice: Notice, channel: str, /) -> tuple[tuple[str, str], ...]:
        """Words, as `acknowledge`, and URLs, in the order in which they are shown; none where nothing is to be done."""
        ...


def no_links(notice: Notice, channel: str, /) -> tuple[tuple[str, str], ...]:
    """Where nobody knows at which URL people reach this program."""
    return ()


class Template(Struct, frozen=True):
    """What a channel says in its own words: templates of a subject and of a text; an empty one says nothing."""

    subject: str = ""
    text: str = ""


NO_TEMPLATE: Final = Template()


class Spanned(Protocol):
    """A span that is open: what is learnt in it may be added. No secret, and nothing that may hold one."""

    def set_attribute(self, key: str, value: str | int) -> None:
        """Add something to it."""
        ...

    def update_name(self, name: str) -> None:
        """Name it otherwise."""
        ...


class Tracing(Protocol):
    """Where spans go. Whoever works without traces has none of this: it is chosen when he is made.

    A span ends with its block, however that ends; spans within it are its children. Nothing here waits or raises.
    """

    def span(self, name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[Spanned]:
        """A span around a piece of work of ours."""
        ...

    def served(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Spanned]:
        """A span around a request of somebody else, who may have named his own in `headers`."""
        ...

    def onward(self) -> Mapping[str, str]:
        """Headers by which somebody who is asked goes on with this trace."""
        ...


Onward = Callable[[], Mapping[str, str]]


class Surroundings(Struct, frozen=True):
    """What a source or sink is given besides its own options: everything it may know of the world around it.

    `template` is that of the channel which a sink is opened for.
    """

    clock: Clock
    network: AddressPolicy
    shared: Mapping[str, Any] = {}
    """Blocks of the configuration that belong to no single check or channel, by their key: `smtp`."""
    links: Links = no_links
    """For sinks: what may be done about a notice."""
    template: Template = NO_TEMPLATE
    onward: Onward | None = None
    """Headers by which whoever is asked goes on with our trace; None where nobody outside is to know of it."""


class Kind(Protocol):
    """What a plugin of the groups `service_monitoring.sources` and `service_monitoring.sinks` registers, per kind.

    `options` is a pydantic model of the keys that a check or channel of this kind takes besides the common ones; its
    field named like the kind holds the target, and one of the type `Path` gets a path that starts at the file that
    names it. `open_source` or `open_sink` is called inside the running loop. A kind of check may have a method
    `metrics(options)` that names all metrics of such a check: rules on others are refused.
    """

    name: str
    options: type[Any]

    async def close(self) -> None:
        """Let go of what the opened ones share."""
        ...


class SourceKind(Kind, Protocol):
    """A kind of check."""

    def open_source(self, options: Any, *, surroundings: Surroundings) -> Source:
        """A source for one check; `options` is an instance of the kind's model. Opens no connection yet.

        Options that cannot work are `Refused` here at the latest, in one sentence.
        """
        ...


class SinkKind(Kind, Protocol):
    """A kind of channel."""

    def open_sink(self, options: Any, *, surroundings: Surroundings) -> Sink:
        """A sink for one channel; `options` is an instance of the kind's model. Opens no connection yet.

        Options that cannot work are `Refused` here at the latest, in one sentence.
        """
        ...


class Drafts(Enum):
    """Whether a list has incidents of drafts, which are judged in shadow and told to nobody."""

    LEFT_OUT = "left out"
    SHOWN = "shown"


class Ended(Enum):
    """Whether a list has silences that have ended."""

    LEFT_OUT = "left out"
    SHOWN = "shown"


class Lease(Struct, frozen=True):
    """The right to send one notice once: `token` is refused when a younger claim exists."""

    key: str
    token: int
    attempt: int
    message: Message


class Due(Struct, frozen=True):
    """A notice of the outbox that waits: to be sent first, or again at `due_at`.

    `uncertain`: an attempt ended without an answer, or with the program; it may have arrived. `reported`: an outcome
    of it was admitted before.
    """

    notice: Notice
    attempt: int
    due_at: Instant
    message: Message | None
    uncertain: bool = False
    reported: bool = False


class Stored(Struct, frozen=True):
    """Everything that decisions go on from after a start; the windows come from `recall`."""

    progress: Progress | None = None
    configuration: Configuration | None = None
    versions: dict[str, int] = {}
    holds: tuple[StoredHold, ...] = ()
    incidents: tuple[Incident, ...] = ()
    jobs: tuple[StoredJob, ...] = ()
    told: Told = Told()
    silences: tuple[StoredSilence, ...] = ()


class Asked(Struct, frozen=True):
    """How far decisions on a check look back: its runs after `since`, and at least the last `least`.

    Of the series of `metrics`, and of `up`, every sample counts; of any other the newest alone, which may be all that
    an answer has of it.
    """

    service: str
    check: str
    since: Instant
    least: int
    metrics: frozenset[str] = frozenset()


class Recalled(Struct, frozen=True):
    """What a check said: a recollection for each epoch in which it said something, oldest first.

    `everything` says that fewer than `least` runs are stored, so that looking further back finds nothing.
    """

    recollections: tuple[Recollection, ...] = ()
    everything: bool = True


class Settlement(Struct, frozen=True):
    """The end of one lease. Without `retry_at` it is final. It is ignored, and counted, when its token is old."""

    key: str
    token: int
    status: str
    detail: str
    at: Instant
    retry_at: Instant | None = None


NO_MARKS: Final[Mapping[Stamp, Sequence[Taken]]] = MappingProxyType({})
"""Nothing was pushed, or all of it is judged."""


class Enclosed(Struct, frozen=True):
    """What came with a report: kept with it, and decides nothing. `cut` says that more came than was kept."""

    content: bytes = b""
    cut: bool = False


class Ping(Struct, frozen=True):
    """A report as it was taken, with its stamp and what came with it."""

    stamp: Stamp
    report: Pinged
    enclosed: Enclosed = Enclosed()


class Commit(Struct, frozen=True):
    """Everything that one round of decisions changed, to be stored in one transaction or not at all.

    `records` are inputs (observations and pushes excepted: those are in the sample file) and decisions in the order in
    which they happened; the report of each of `pings` is among them. `versions` are the versions that were loaded:
    another one in the store is a `Conflict`. `requeued` are keys of parked notices that are owed again, with no attempt
    counted; what is not parked stays as it is.
    """

    progress: Progress
    records: tuple[tuple[Stamp, Admitted | Event | Notice], ...] = ()
    versions: tuple[tuple[str, int], ...] = ()
    holds: tuple[StoredHold, ...] = ()
    forgotten: tuple[tuple[str, str, Series], ...] = ()
    incidents: tuple[Incident, ...] = ()
    jobs: tuple[StoredJob, ...] = ()
    told: Told = Told()
    silences: tuple[StoredSilence, ...] = ()
    notices: tuple[Notice, ...] = ()
    settlements: tuple[Settlement, ...] = ()
    configuration: Configuration | None = None
    pings: tuple[Ping, ...] = ()
    requeued: tuple[str, ...] = ()


class Store(Protocol):
    """Keeps facts, state, samples and the outbox.

    Laws: `commit` is atomic and durable when it returns, and refuses a stale version with `Conflict` having changed
    nothing; `record` is atomic per call and idempotent by stamp, and what was pushed is durable when it returns; reads
    see only what was committed; a lease is given to one claimer, with a token higher than any before; a settlement
    under an older token changes nothing; a full disk or a lock held by another is `Unavailable` and leaves the store as
    it was. Calls may run concurrently from one loop and never block it; a cancelled call has either happened whole or
    not at all.
    """

    async def load(self) -> Stored:
        """What was committed last; leases of a program that is gone are void."""
        ...

    async def record(
        self, observations: Sequence[Admitted], *, marks: Mapping[Stamp, Sequence[Taken]] = NO_MARKS
    ) -> None:
        """Append observations and pushes with their samples to the sample file.

        `marks` say what became of each sample of a push, by the push's stamp; without them all of it was judged. What
        is in the future or of nobody's check is not kept, and a push of which nothing is kept leaves no trace.
        """
        ...

    async def commit(self, commit: Commit) -> None:
        """Store a round of decisions, all of it or nothing."""
        ...

    async def beyond(self, stamp: Stamp) -> list[Admitted]:
        """The recorded observations and pushes after `stamp`, in order: what a crash left unjudged."""
        ...

    async def recall(self, asked: Sequence[Asked], *, until: Stamp) -> list[Recalled]:
        """What checks said up to `until`, an answer to each question, in their order; made for hundreds at once."""
        ...

    async def pushed(self, service: str, check: str, *, until: Stamp, since: Instant, least: int) -> list[Admitted]:
        """What was pushed to a check up to `until`, oldest first: after `since`, and at least the last `least`.

        Only the samples that are judged; a push without any is not counted.
        """
        ...

    async def due(self, limit: int, *, channel: str | None = None) -> list[Due]:
        """Notices that nobody holds a lease on, the longest due first; those of one `channel` only, where it is given.

        Held and settled ones are never among them; those whose `due_at` is yet to come are. A lease of a process that
        has ended is no lease.
        """
        ...

    async def claim(self, messages: Sequence[Message]) -> list[Lease]:
        """Take leases; a message stored by an earlier attempt is given back in place of the new one.

        Keys that are settled, or leased to another, are left out.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """Store ends of leases that no decision follows from; the number that an older token made void."""
        ...


class Flaw(Struct, frozen=True):
    """Rows of a history that could not be taken: `count` of them, the first at `line` of `where` (0: no lines there).

    `why` is one sentence for people.
    """

    where: str
    line: int
    why: str
    count: int = 1


class SampleHistory(Protocol):
    """Samples that somebody recorded, as columns; what nobody recorded is a gap, never healthy.

    Laws: `portions` come in time order, and together hold each sample in [since, until) once; the samples of a series
    are strictly increasing; of several at one instant the first in the history stands, and the others are flaws. Equal
    history, equal portions but for where they end: no decision may depend on that. Memory does not grow with the
    length of history. Blocks; for one thread at a time.
    """

    def extent(self) -> tuple[Instant, Instant] | None:
        """The instants of the first and of the last sample; None where there is none."""
        ...

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        """All samples in [since, until), in time order; the last portion ends at `until`."""
        ...

    def flaws(self) -> Sequence[Flaw]:
        """What could not be taken of what was read so far; nothing is dropped that is not named here."""
        ...


class RecordedHistory(Protocol):
    """What one program took in, in the order of its decisions: measurements, people's acts, revisions, marks, outcomes.

    Blocks; for one thread at a time.
    """

    def extent(self) -> tuple[Stamp, Stamp] | None:
        """The stamp of the first input, and how far decisions had come; None where nothing came in."""
        ...

    def inputs(self) -> Iterator[Admitted]:
        """Everything that came in, by (epoch, instant, order)."""
        ...
