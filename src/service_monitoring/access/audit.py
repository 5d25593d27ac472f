"""The audit trail: what somebody did, each entry chained to the one before by its hash.

Pure. Whoever changes, removes or puts in a row has to make all rows after it anew: who noted the last hash elsewhere
finds out. What was forgotten for its age left an entry that says so, with the hash of the last row that is gone.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.wire.codec import canonical

BEGINNING: Final = "0" * 64
"""What the first entry is chained to."""
FORGOTTEN: Final = "audit.forgotten"
"""What an entry says about rows that were forgotten: `subject` is the position of the last, `detail` its hash."""

MOST: Final = 500
"""Characters of a text of others in an entry."""


class Entry(Struct, frozen=True):
    """What is written down: at, by whom, how that one came in, what was done to what, and what came of it."""

    at: Instant
    by: str
    via: str
    what: str
    subject: str
    outcome: str
    detail: str = ""


class Row(Struct, frozen=True):
    """An entry in its place."""

    position: int
    entry: Entry
    hash: str


def shortened(text: str) -> str:
    """A text of others as it may stand in an entry."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return printable if len(printable) <= MOST else f"{printable[:MOST]}…"


def chained(before: str, position: int, entry: Entry) -> str:
    """The hash of an entry at its position, after the one whose hash is `before`."""
    return sha256(canonical([before, position, entry])).hexdigest()


class Chain:
    """Goes along the trail from its oldest row, and finds the first that cannot be what was written."""

    def __init__(self) -> None:
        self._position = 0
        self._hash = BEGINNING
        self._first: Row | None = None

    def follow(self, row: Row) -> str:
        """Why this row cannot come next, in a sentence; nothing where it can."""
        if self._position == 0 and row.position > 1:
            # An entry further on has to say that those before it were forgotten, and which hash this one follows.
            self._first = row
        elif row.position != self._position + 1:
            return f"the audit trail goes from row {self._position} to row {row.position}: what was between is missing"
        elif row.hash != chained(self._hash, row.position, row.entry):
            return f"row {row.position} of the audit trail is not what was written"
        self._position, self._hash = row.position, row.hash
        if self._first is not None and row.entry.what == FORGOTTEN and self._follows(row.entry):
            self._first = None
        return ""

    def end(self) -> str:
        """Why the trail cannot be whole, now that there are no more rows; nothing where it can."""
        if self._first is not None:
            return (
                f"the audit trail begins with row {self._first.position}, and nothing says that others were forgotten"
            )
        return ""

    def _follows(self, entry: Entry) -> bool:
        first = self._first
        assert first is not None
        return entry.subject == str(first.position - 1) and first.hash == chained(
            entry.detail, first.position, first.entry
        )
