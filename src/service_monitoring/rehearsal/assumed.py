"""Assumed acknowledgements: somebody takes an incident on, so long after it paged somebody.

Nobody knows what people would have done in a night that was otherwise; this says what is assumed of them, and nothing
else is. Knows notices and acts. Knows no driver: one that hears of every decision and takes what is due does the rest.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Decision
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted, Stamp
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.settings.lengths import duration_text

PAGES: Final = frozenset({Page.FIRST, Page.RELEASED, Page.RAISED, Page.REPEATED, Page.ESCALATED})
"""What makes a person act; that something flaps, or is over, does not."""


class Assumption(Struct, frozen=True):
    """An incident is acknowledged `after` the first notice that pages a person, by `by`."""

    after: Duration
    by: str = "somebody"


class Assumed:
    """What is assumed, and due. Synchronous; for one rehearsal.

    Where the configuration has no people, a notice to a channel counts as one to a person. An incident that was raised
    or whose acknowledgement expired pages again, and is acknowledged again.
    """

    def __init__(self, assumption: Assumption, configuration: Configuration) -> None:
        self._assumption = assumption
        self._configuration = configuration
        self._to = "person." if configuration.people else ""
        self._waiting: deque[tuple[Instant, str]] = deque()
        self._known: set[str] = set()

    def anew(self) -> Assumed:
        """The same, before anything was heard."""
        return Assumed(self._assumption, self._configuration)

    @property
    def after(self) -> Duration:
        """How long after a notice nothing can become due because of it."""
        return self._assumption.after

    @property
    def limit(self) -> str:
        """What a reader must know of it."""
        whom = "a person" if self._to else "anybody"
        after = duration_text(self._assumption.after)
        return (
            f"it is assumed that {self._assumption.by} acknowledges each incident {after} after the first notice of it "
            f"to {whom}, once more where it pages again"
        )

    def hear(self, stamp: Stamp, decision: Decision) -> None:
        """A decision was made. They come in order, so what is due because of them does, too."""
        if not isinstance(decision, Notice) or decision.held is not None or decision.page not in PAGES:
            return
        if not decision.recipient.startswith(self._to):
            return
        due = stamp.at.plus(self._assumption.after)
        for facts in (decision.facts, *decision.others):
            if facts.state == State.OPEN and facts.incident not in self._known:
                self._known.add(facts.incident)
                self._waiting.append((due, facts.incident))

    def due(self) -> Instant | None:
        """When the next one acknowledges something."""
        return self._waiting[0][0] if self._waiting else None

    def take(self) -> Acted:
        """The act that is due next. A course that refuses it knows better: the incident is over, or taken on."""
        _, incident = self._waiting.popleft()
        self._known.discard(incident)
        return Acted(incident, Act.ACKNOWLEDGE, self._assumption.by)

    def shift(self, at: Instant, delta: Duration) -> None:
        """The clock was set by `delta`, to `at`: what is due is due at another instant, and never before that."""
        self._waiting = deque((Instant(max(at.ns + 1, due.ns + delta)), incident) for due, incident in self._waiting)
