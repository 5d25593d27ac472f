"""What is live: topics of changes, and the port by which somebody hears of them.

A change is no more than a topic: `incidents`, `service:NAME`. Whoever hears of one asks anew for what it shows.
Does not know what stands behind a topic, nor how a listener is told.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

INCIDENTS: Final = "incidents"
SILENCES: Final = "silences"
OUTBOX: Final = "outbox"
BOARD: Final = "board"
"""Something that the list of services shows is another: a condition, an outcome, an open incident."""

GENERAL: Final = (INCIDENTS, SILENCES, OUTBOX, BOARD)
"""What one hears of who names no topic."""

LONGEST_TOPIC: Final = 220
MOST_TOPICS: Final = 64
"""Topics that one listener may name."""

HEARTBEAT: Final = b": still here\nevent: beat\ndata: 1\n\n"
"""What is told four times a minute, so that either side notices when the other is gone."""


def of_service(name: str) -> str:
    """The topic of one service: whatever its own page shows, each observation of its checks included."""
    return f"service:{name}"


class Listener(Protocol):
    """Somebody who hears of changes, as bytes of `text/event-stream`.

    What it has not taken yet is bounded. Each topic waits for it once, however often it changed; where that is too
    much, one `reset` stands for all of it. Whoever takes nothing for fifteen seconds is let go.
    """

    async def take(self) -> bytes:
        """What is new, once there is anything; nothing once it is over."""
        ...

    def close(self) -> None:
        """It listens no more. May be called twice."""
        ...


class Live(Protocol):
    """What is live. For one loop."""

    def listen(self, topics: Collection[str], seen: str = "") -> Listener:
        """Listen for these topics, or for the general ones. `seen` is the id of the last event that somebody has.

        What came after that is told first, or `reset` where nobody knows. `Unavailable` where too many listen.
        """
        ...
