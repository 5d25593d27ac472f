"""No read and no piece of retention goes through a whole table: their cost stays flat while history grows."""

import re
import sqlite3
from pathlib import Path

from msgspec.structs import replace

from service_monitoring.access.accounts import Account
from service_monitoring.access.audit import Entry
from service_monitoring.access.permissions import Role
from service_monitoring.access.second import RecoveryCode, SecondFactor
from service_monitoring.access.sessions import Session
from service_monitoring.access.tokens import Token
from service_monitoring.domain.configuration import Check, Service
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Stamp
from service_monitoring.domain.instants import MINUTE, Duration
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.schedules import Expectation, Period
from service_monitoring.domain.silences import StoredSilence
from service_monitoring.ports import Asked, Drafts, Settlement
from service_monitoring.storage.access import Change
from service_monitoring.storage.files import connect
from service_monitoring.storage.history.own import History
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.builders import a_rule
from service_monitoring.testing.store_laws import (
    A_SILENCE,
    START,
    a_commit,
    a_message,
    a_notice,
    a_push,
    a_stamp,
    an_incident,
    an_observation,
)
from service_monitoring.views.incidents import Narrow
from service_monitoring.views.silences import SilencePage
from tests.storage.conftest import Open

# Small or partial by nature: what is alive, what is waiting, one row, one page in order.
WHOLE = re.compile(
    r"SCAN (wanted|near|\d+ CONSTANT ROWS|CONSTANT ROW|\(subquery.*|progress|policies|holds|jobs|configurations|checks"
    r"|series|accounts|sessions|tokens|second_factors|recovery"
    r"|silences USING INDEX silences_(alive|ends)"
    r"|(groups|members|flaps) USING (COVERING )?INDEX (groups|members|flaps)_alive"
    r"|incidents USING (COVERING )?INDEX incidents_(alive|newest)|notices USING INDEX notices_(due|sending))$"
)


def whole_tables(path: Path, statements: set[str]) -> dict[str, list[str]]:
    """The statements that go through a whole table, each with what its plan says of it."""
    connection = sqlite3.connect(path)
    found: dict[str, list[str]] = {}
    for statement in statements:
        if not re.match(r"SELECT|UPDATE|DELETE|WITH|INSERT", statement):
            continue
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        bad = [step for step in plan if (step.startswith("SCAN ") and not WHOLE.match(step)) or "AUTOMATIC" in step]
        if bad:
            found[statement] = bad
    connection.close()
    return found


async def exercise(store: SqliteStore) -> None:
    """Everything that reads, and retention."""
    incident, kept = an_incident(), StoredSilence(A_SILENCE)
    notice = a_notice(incident)
    await store.commit(
        replace(a_commit(1, versions=[("shop", 0)], notices=[notice]), incidents=(incident,), silences=(kept,))
    )
    await store.record([an_observation(1), an_observation(1, epoch=1), a_push(2), a_push(2, epoch=1)])
    (lease,) = await store.claim([a_message(notice)])
    await store.settle([Settlement(lease.key, lease.token, "delivered", "", START)])
    await store.load()
    await store.beyond(Stamp(0, START))
    await store.pushed("shop", "orders", until=a_stamp(9, epoch=1), since=START, least=3)
    for least in (0, 3):
        await store.recall([Asked("shop", "health", START, least)], until=a_stamp(9, epoch=1))
    await store.due(10)
    await store.due(10, channel="web")
    await store.incidents(states=[State.OPEN, State.PENDING])
    await store.incidents(service="shop", after=incident.id)
    await store.incident(incident.id)
    await store.on_record(incident.id)
    await store.journal()
    await store.newest()
    await store.listed(states=[State.ACKNOWLEDGED], drafts=Drafts.LEFT_OUT)
    await store.held_back([incident.id])
    await store.lately(START, limit=10)
    narrow = Narrow("slow", (Severity.WARNING,), "shop", START, START, START)
    await store.listed(after=incident.id, drafts=Drafts.LEFT_OUT, narrow=narrow)
    await store.silences(SilencePage("active", 10, (str(START), "a")), START)
    await store.silence(A_SILENCE.id)
    checks = (
        Check("shop", "health", "http", MINUTE, MINUTE, MINUTE),
        Check("shop", "orders", "push", MINUTE, MINUTE, MINUTE, allowance=MINUTE),
        Check("shop", "backup", "heartbeat", MINUTE, MINUTE, MINUTE, expects=Expectation(Period(MINUTE), MINUTE)),
    )
    await store.known(Service("shop", checks=checks), START, a_stamp(9).at)
    shifts = {0: Duration(0), 1: Duration(0)}
    for check, metric in (("health", "up"), ("health", "duration_seconds"), ("orders", "orders_per_minute")):
        rule = a_rule(check=check, metric=metric)
        await store.columns(rule, since=START, until=a_stamp(9, epoch=1), shifts=shifts, pushed=check == "orders")
    await access(store)
    await store.commit(a_commit(20))
    await store.prune(facts=a_stamp(9).at, samples=a_stamp(9).at)


async def access(store: SqliteStore) -> None:
    """Everything that is asked and written about who is let in."""
    at = a_stamp(1).at
    account = Account("ada", Role.ADMIN, "", at, at)
    session, token = Session("a", "ada", "a", at, at, "", ""), Token("b", "b", "ci", "ada", (), at)
    second, code = SecondFactor("ada", "sealed", 1, at), RecoveryCode("c", "ada", at)
    await store.change_access(Change(Entry(at, "", "", "made", "", "done"), put=account, begun=session, made=token))
    await store.change_access(Change(None, second=second, codes=(code,)))
    await store.change_access(Change(None, used=replace(code, used_at=at)))
    await store.change_access(Change(None, loosened="ada"))
    await store.seen(sessions={"a": at}, tokens={"b": at})
    await store.people()
    await store.audit(before=None, limit=10)
    await store.audit(before=2, limit=10)
    await store.trail()
    await store.change_access(Change(None, removed="ada", ended=("a",), revoked=("b",)))


async def test_no_read_and_no_retention_goes_through_a_whole_table(opened: Open, folder: Path) -> None:
    statements: dict[str, set[str]] = {"facts.db": set(), "samples.db": set()}

    def traced(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(statements[path.name].add)
        return connection

    store = await opened(tuning=Tuning(reserve=0, connect=traced))
    for readers in (store._facts_readers, store._samples_readers):
        for connection in readers._connections:
            connection.set_trace_callback(statements[readers._path.name].add)
    await exercise(store)
    with History(folder) as history:
        history._facts.set_trace_callback(statements["facts.db"].add)
        history._samples.set_trace_callback(statements["samples.db"].add)
        assert [*history.inputs(), *history.decisions()] != []
    assert len(statements["facts.db"]) > 20
    assert len(statements["samples.db"]) > 10
    assert whole_tables(folder / "facts.db", statements["facts.db"]) == {}
    assert whole_tables(folder / "samples.db", statements["samples.db"]) == {}


async def test_recalling_reads_the_samples_of_the_checks_asked_for_only(folder: Path, opened: Open) -> None:
    store = await opened()
    await store.record([an_observation(1)])
    statements: list[str] = []
    for connection in store._samples_readers._connections:
        connection.set_trace_callback(statements.append)
    await store.recall([Asked("shop", "health", START, 1)], until=a_stamp(9))
    connection = sqlite3.connect(folder / "samples.db")
    plans = [
        [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        for statement in statements
        if "JOIN samples" in statement
    ]
    connection.close()
    older, newest = [[step for step in plan if step.startswith("SEARCH")] for plan in plans]
    assert older[0].startswith("SEARCH o USING COVERING INDEX observations_check (check_id=? AND epoch=?")
    assert older[1:] == newest == ["SEARCH s USING PRIMARY KEY (epoch=? AND at=?)"]
