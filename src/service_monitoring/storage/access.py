"""Access in `facts.db`: accounts with their second factors, sessions, tokens and the audit trail; statements alone.

What opens anything is never here, only hashes and what is sealed. Knows tables; knows no clock, and does not decide who
is let in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from service_monitoring.access import sessions
from service_monitoring.access.accounts import Account
from service_monitoring.access.audit import BEGINNING, FORGOTTEN, Entry, Row, chained
from service_monitoring.access.permissions import Permission, Role
from service_monitoring.access.second import RecoveryCode, SecondFactor
from service_monitoring.access.sessions import Session
from service_monitoring.access.tokens import Token
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.storage import answers
from service_monitoring.storage.retention import PIECE

TOKENS_SHOWN: Final = Duration(30 * DAY)
"""How long a token is listed after it has expired."""
_OVERDUE: Final = Duration(7 * DAY)
"""By how much the oldest row of the audit trail is too old before any is forgotten: that is written down each time."""

_AUDIT: Final = "position, at, by, via, what, subject, outcome, detail, hash"


class Change(Struct, frozen=True):
    """What changes together: an account put or removed, sessions and tokens begun and ended, and the entry about it.

    Sessions and tokens are ended by their hashes. `loosened` is an account that has no second factor and no recovery
    codes any more; `codes` are new ones, `used` is one that was used.
    """

    entry: Entry | None
    put: Account | None = None
    removed: str = ""
    begun: Session | None = None
    made: Token | None = None
    ended: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    second: SecondFactor | None = None
    codes: tuple[RecoveryCode, ...] = ()
    used: RecoveryCode | None = None
    loosened: str = ""


class People(Struct, frozen=True):
    """Who may be let in, and with what."""

    accounts: list[Account]
    sessions: list[Session]
    tokens: list[Token]
    seconds: list[SecondFactor]
    codes: list[RecoveryCode]


class Write:
    """Write a change, whole."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def run(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        change = self._change
        connection.executemany("DELETE FROM sessions WHERE hash = ?", [(each,) for each in change.ended])
        connection.executemany("DELETE FROM tokens WHERE hash = ?", [(each,) for each in change.revoked])
        if change.removed:
            connection.execute("DELETE FROM accounts WHERE name = ?", (change.removed,))
        if gone := change.removed or change.loosened:
            connection.execute("DELETE FROM second_factors WHERE account = ?", (gone,))
            connection.execute("DELETE FROM recovery WHERE account = ?", (gone,))
        if change.put is not None:
            _put(connection, change.put)
        if change.begun is not None:
            _begin(connection, change.begun)
        if change.made is not None:
            _make(connection, change.made)
        if change.second is not None:
            _ask(connection, change.second)
        _recover(connection, change.codes if change.used is None else (*change.codes, change.used))
        if change.entry is not None:
            append(connection, change.entry)


class Everything:
    """Read all accounts with what is theirs, after all that is being written."""

    def run(self, connection: sqlite3.Connection) -> People:
        """Those that are over are among them."""
        return everything(connection)


class Seen:
    """Write when sessions were seen and tokens were used last, by their hashes. What is gone stays gone."""

    def __init__(self, sessions: Mapping[str, Instant], tokens: Mapping[str, Instant]) -> None:
        self._sessions = sessions
        self._tokens = tokens

    def run(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        connection.executemany(
            "UPDATE sessions SET seen_at = ? WHERE hash = ?", [(at.ns, each) for each, at in self._sessions.items()]
        )
        connection.executemany(
            "UPDATE tokens SET used_at = ? WHERE hash = ?", [(at.ns, each) for each, at in self._tokens.items()]
        )


class PruneSessions:
    """Forget the sessions that are over, tokens that expired long ago, and answers that nobody asks for again."""

    def __init__(self, at: Instant) -> None:
        self._at = at

    def run(self, connection: sqlite3.Connection) -> int:
        """How many sessions are gone."""
        idle, begun = self._at.ns - sessions.IDLE, self._at.ns - sessions.ABSOLUTE
        gone = connection.execute("DELETE FROM sessions WHERE seen_at <= ? OR made_at <= ?", (idle, begun)).rowcount
        connection.execute("DELETE FROM tokens WHERE expires_at <= ?", (self._at.ns - TOKENS_SHOWN,))
        connection.execute("DELETE FROM answers WHERE made_at <= ?", (self._at.ns - answers.KEPT,))
        return gone


class PruneAudit:
    """Forget a piece of the oldest entries of the audit trail, and write down that, and after which hash it goes on."""

    def __init__(self, before: Instant, at: Instant) -> None:
        self._before = before
        self._at = at

    def run(self, connection: sqlite3.Connection) -> int:
        """How many entries are gone."""
        rows = connection.execute(
            "SELECT position, at, hash FROM audit WHERE position > 0 ORDER BY position LIMIT ?", (PIECE,)
        ).fetchall()
        if not rows or rows[0][1] >= self._before.ns - _OVERDUE:
            return 0
        gone = 0
        for _, at, _ in rows:
            if at >= self._before.ns:
                break
            gone += 1
        last, _, digest = rows[gone - 1]
        append(connection, Entry(self._at, "", "", FORGOTTEN, str(last), "done", digest))
        connection.execute("DELETE FROM audit WHERE position <= ?", (last,))
        return gone


def append(connection: sqlite3.Connection, entry: Entry) -> None:
    """Put an entry at the end of the trail."""
    row = connection.execute(
        "SELECT position, hash FROM audit WHERE position = (SELECT max(position) FROM audit)"
    ).fetchone()
    last, before = row if row is not None else (0, BEGINNING)
    position = last + 1
    connection.execute(
        f"INSERT INTO audit ({_AUDIT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(position, entry.at.ns, entry.by, entry.via, entry.what, entry.subject, entry.outcome, entry.detail),
            chained(before, position, entry),
        ),
    )


def everything(connection: sqlite3.Connection) -> People:
    """All accounts, sessions, tokens and second factors, those included that are over."""
    accounts = [
        Account(name, Role(role), password, Instant(made), Instant(changed), bool(disabled), subject)
        for name, role, password, disabled, made, changed, subject in connection.execute(
            "SELECT name, role, password, disabled, made_at, changed_at, subject FROM accounts ORDER BY name"
        )
    ]
    begun = [
        Session(digest, account, handle, Instant(made), Instant(seen), address, agent)
        for digest, account, handle, made, seen, address, agent in connection.execute(
            "SELECT hash, account, handle, made_at, seen_at, address, agent FROM sessions"
        )
    ]
    tokens = [
        Token(
            *(digest, handle, name, account, tuple(Permission(scope) for scope in scopes.split()), Instant(made)),
            None if expires is None else Instant(expires),
            None if used is None else Instant(used),
        )
        for digest, handle, name, account, scopes, made, expires, used in connection.execute(
            "SELECT hash, handle, name, account, scopes, made_at, expires_at, used_at FROM tokens"
        )
    ]
    seconds = [
        SecondFactor(account, sealed, step, Instant(made))
        for account, sealed, step, made in connection.execute(
            "SELECT account, sealed, step, made_at FROM second_factors"
        )
    ]
    codes = [
        RecoveryCode(digest, account, Instant(made), None if used is None else Instant(used))
        for digest, account, made, used in connection.execute("SELECT hash, account, made_at, used_at FROM recovery")
    ]
    return People(accounts, begun, tokens, seconds, codes)


def latest(connection: sqlite3.Connection, before: int | None, limit: int) -> list[Row]:
    """Entries of the trail, the latest first; before a position, where one is given."""
    rows = connection.execute(
        f"SELECT {_AUDIT} FROM audit WHERE position < ? ORDER BY position DESC LIMIT ?",
        (before if before is not None else 1 << 62, limit),
    )
    return [_row(*row) for row in rows]


def trail(connection: sqlite3.Connection, after: int, limit: int) -> list[Row]:
    """Entries of the trail after a position, the oldest first."""
    rows = connection.execute(
        f"SELECT {_AUDIT} FROM audit WHERE position > ? ORDER BY position LIMIT ?", (after, limit)
    )
    return [_row(*row) for row in rows]


def _row(position: int, at: int, *said: str) -> Row:
    by, via, what, subject, outcome, detail, digest = said
    return Row(position, Entry(Instant(at), by, via, what, subject, outcome, detail), digest)


def _put(connection: sqlite3.Connection, account: Account) -> None:
    connection.execute(
        "INSERT INTO accounts (name, role, password, disabled, made_at, changed_at, subject) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET role = excluded.role, "
        "password = excluded.password, disabled = excluded.disabled, changed_at = excluded.changed_at, "
        "subject = excluded.subject",
        (
            *(account.name, account.role.value, account.password, int(account.disabled)),
            *(account.made_at.ns, account.changed_at.ns, account.subject),
        ),
    )


def _begin(connection: sqlite3.Connection, session: Session) -> None:
    connection.execute(
        "INSERT INTO sessions (hash, account, handle, made_at, seen_at, address, agent) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(session.hash, session.account, session.handle, session.made_at.ns, session.seen_at.ns),
            *(session.address, session.agent),
        ),
    )


def _make(connection: sqlite3.Connection, token: Token) -> None:
    connection.execute(
        "INSERT INTO tokens (hash, handle, name, account, scopes, made_at, expires_at, used_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(token.hash, token.handle, token.name, token.account, " ".join(token.scopes), token.made_at.ns),
            *(None if at is None else at.ns for at in (token.expires_at, token.used_at)),
        ),
    )


def _ask(connection: sqlite3.Connection, second: SecondFactor) -> None:
    connection.execute(
        "INSERT INTO second_factors (account, sealed, step, made_at) VALUES (?, ?, ?, ?) ON CONFLICT (account) "
        "DO UPDATE SET sealed = excluded.sealed, step = excluded.step, made_at = excluded.made_at",
        (second.account, second.sealed, second.step, second.made_at.ns),
    )


def _recover(connection: sqlite3.Connection, codes: Iterable[RecoveryCode]) -> None:
    connection.executemany(
        "INSERT INTO recovery (hash, account, made_at, used_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (hash) DO UPDATE SET used_at = excluded.used_at",
        [
            (each.hash, each.account, each.made_at.ns, None if each.used_at is None else each.used_at.ns)
            for each in codes
        ],
    )
