"""What faces and rehearsals read back: lists, stories, the journal, and the past in its order."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from service_monitoring.domain.course import Progress
from service_monitoring.domain.events import Event, IncidentMoved
from service_monitoring.domain.incidents import Cause, Incident, Move, State, move
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Pinged,
    Signal,
    Stamp,
    Taken,
)
from service_monitoring.domain.notices import Notice
from service_monitoring.errors import NotFound, Refused, Unavailable
from service_monitoring.ports import Commit, Settlement, Tick
from service_monitoring.storage.history.own import History
from service_monitoring.storage.readers import Readers
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.store_laws import (
    a_commit,
    a_message,
    a_notice,
    a_push,
    a_stamp,
    an_incident,
    an_observation,
)
from service_monitoring.wire.configuration import revision
from service_monitoring.wire.journal import Opaque
from service_monitoring.wire.ledger import ledger
from tests.wire.test_journal import CONFIGURATION


def of(second: int, *records: Input | Event | Notice, epoch: int = 0) -> Commit:
    """A round of one instant."""
    stamp = a_stamp(second, epoch=epoch)
    entries = tuple(
        (stamp, record if isinstance(record, Event | Notice) else Admitted(stamp, record)) for record in records
    )
    notices = tuple(record for record in records if isinstance(record, Notice))
    moved = tuple(record.incident for record in records if isinstance(record, IncidentMoved))
    return Commit(progress=Progress(stamp), records=entries, notices=notices, incidents=moved)


def opened(incident: Incident, second: int) -> Incident:
    return move(incident, Move.OPEN, at=a_stamp(second).at, cause=Cause.TIMER)


async def some_incidents(store: SqliteStore) -> list[Incident]:
    """Six, the newest first; every other one is open, and every third belongs to the bank."""
    made = [an_incident(second, service="bank" if second % 3 == 0 else "shop") for second in range(6)]
    made = [opened(one, place + 10) if place % 2 else one for place, one in enumerate(made)]
    await store.commit(replace(a_commit(1), incidents=tuple(made)))
    return made[::-1]


async def test_incidents_come_newest_first_and_page_by_page(store: SqliteStore) -> None:
    made = await some_incidents(store)
    assert await store.incidents() == made
    assert await store.incidents(limit=2) == made[:2]
    assert await store.incidents(limit=2, after=made[1].id) == made[2:4]
    assert await store.incidents(after=made[-1].id) == []


async def test_incidents_can_be_chosen_by_state_and_service(store: SqliteStore) -> None:
    made = await some_incidents(store)
    assert await store.incidents(states=[State.OPEN]) == [one for one in made if one.state is State.OPEN]
    assert await store.incidents(states=[State.OPEN, State.PENDING]) == made
    assert await store.incidents(service="bank") == [one for one in made if one.service == "bank"]
    assert await store.incidents(states=[State.RESOLVED]) == []


async def test_an_incident_tells_its_whole_story(store: SqliteStore) -> None:
    pending = an_incident()
    moves = [IncidentMoved(a_stamp(1).at, a_stamp(1).at, pending)]
    moves.append(IncidentMoved(a_stamp(2).at, a_stamp(2).at, opened(pending, 2)))
    notice = a_notice(moves[1].incident, second=2)
    act = Acted(pending.id, Act.ACKNOWLEDGE, "ada", "mine")
    await store.commit(of(1, moves[0], IncidentMoved(a_stamp(1).at, a_stamp(1).at, an_incident(7))))
    await store.commit(of(2, moves[1], notice))
    await store.commit(of(3, act))
    (lease,) = await store.claim([a_message(notice)])
    again = a_stamp(9).at
    await store.settle([Settlement(lease.key, lease.token, "uncertain", "no answer", a_stamp(4).at, again)])
    await store.settle([Settlement(lease.key, lease.token + 7, "delivered", "late", a_stamp(5).at)])
    story = await store.incident(pending.id)
    assert story.incident == moves[1].incident
    assert story.events == tuple(moves)
    assert story.acts == (Admitted(a_stamp(3), act),)
    (posted,) = story.notices
    assert posted.notice == notice
    assert (posted.state, posted.attempt, posted.due_at, posted.message) == ("uncertain", 1, again, a_message(notice))
    assert [(one.outcome, one.detail) for one in posted.attempts] == [
        ("uncertain", "no answer"),
        ("void delivered", "late"),
    ]


async def test_the_beginning_of_an_id_names_an_incident_unless_several_begin_so(store: SqliteStore) -> None:
    one, other = replace(an_incident(), id="abc1"), replace(an_incident(), id="abd2")
    await store.commit(replace(a_commit(1), incidents=(one, other)))
    assert (await store.incident("abc")).incident == one
    with pytest.raises(Refused, match="several incidents begin with 'ab'"):
        await store.incident("ab")
    for wrong in ("abc12", "abcg", "", "%"):
        with pytest.raises(NotFound):
            await store.incident(wrong)


async def test_the_journal_is_read_on_by_position(store: SqliteStore) -> None:
    for second in range(5):
        await store.commit(a_commit(second))
    first = await store.journal(limit=2)
    rest = await store.journal(after=first[-1].position)
    assert [one.stamp for one in [*first, *rest]] == [a_stamp(second) for second in range(5)]
    assert await store.journal(after=rest[-1].position) == []


async def test_a_configuration_is_kept_once_and_found_from_the_journal(store: SqliteStore) -> None:
    configured = Configured(CONFIGURATION)
    await store.commit(replace(of(1, configured), configuration=CONFIGURATION))
    await store.commit(replace(of(2, configured), configuration=CONFIGURATION))
    assert [one.record for one in await store.journal()] == [
        Admitted(a_stamp(1), configured),
        Admitted(a_stamp(2), configured),
    ]
    kept = await store._facts_readers.read(
        lambda connection: connection.execute("SELECT revision FROM configurations").fetchall()
    )
    assert kept == [(revision(CONFIGURATION),)]


async def test_what_a_newer_version_journalled_is_carried_along(store: SqliteStore) -> None:
    await store.commit(a_commit(1))
    store._opened.facts.execute("UPDATE journal SET kind = 'invented', version = 99, body = CAST('{}' AS BLOB)")
    (recorded,) = await store.journal()
    assert recorded.record == Opaque("invented", 99, b"{}")
    assert [each async for each in store.inputs()] == []
    assert [each async for each in store.decisions()] == []


async def test_the_past_is_read_in_the_order_in_which_it_was_decided(store: SqliteStore) -> None:
    mark, gap, end = Marked(MarkKind.ALIVE), GapBegan(GapCause.RESTART), GapEnded()
    act = Acted("0123", Act.RESOLVE, "ada")
    observed = [an_observation(1), an_observation(2), an_observation(5), an_observation(1, epoch=1)]
    await store.record(observed)
    await store.commit(of(2, mark))
    await store.commit(of(2, gap))
    await store.commit(of(5, end))
    await store.commit(of(5, act))
    await store.commit(of(0, mark, epoch=1))
    wanted = [
        observed[0],
        observed[1],
        Admitted(a_stamp(2), mark),
        Admitted(a_stamp(2), gap),
        Admitted(a_stamp(5), act),
        observed[2],
        Admitted(a_stamp(5), end),
        Admitted(a_stamp(0, epoch=1), mark),
        observed[3],
    ]
    assert [each async for each in store.inputs()] == wanted


async def test_reports_and_pushes_have_their_places_in_the_past(store: SqliteStore) -> None:
    report = Pinged("shop", "backup", Signal.START, "run-1")
    measured = [an_observation(1), a_push(2, 1.0, 2.0), an_observation(4), a_push(5, 3.0)]
    marks = {a_stamp(2): (Taken.LATE, Taken.JUDGED), a_stamp(5): (Taken.DUPLICATE,)}
    await store.record(measured, marks=marks)
    await store.commit(of(3, report))
    wanted = [*measured[:2], Admitted(a_stamp(3), report), *measured[2:]]
    assert [each async for each in store.inputs()] == wanted


async def test_a_long_past_is_read_to_its_end_and_beside_the_program_that_makes_it(store: SqliteStore) -> None:
    observed = [an_observation(second) for second in range(4_500)]
    await store.record(observed)
    for second in range(3):
        await store.commit(of(second, Marked(MarkKind.ALIVE)))
    with History(store._folder) as history:
        seen = list(history.inputs())
    assert [each for each in seen if isinstance(each.input, Marked)] == [
        Admitted(a_stamp(second), Marked(MarkKind.ALIVE)) for second in range(3)
    ]
    assert [each for each in seen if not isinstance(each.input, Marked)] == observed
    assert await store.beyond(Stamp(-1, a_stamp(0).at)) == observed


async def test_decisions_give_the_ledger(store: SqliteStore) -> None:
    incident = an_incident()
    decided: list[Event | Notice] = [
        IncidentMoved(a_stamp(1).at, a_stamp(1).at, incident),
        IncidentMoved(a_stamp(2).at, a_stamp(2).at, opened(incident, 2)),
        a_notice(incident, second=2),
    ]
    await store.commit(of(1, decided[0], Marked(MarkKind.ALIVE)))
    await store.commit(of(2, *decided[1:]))
    read = [decision async for decision in store.decisions()]
    assert read == decided
    assert ledger(read) == ledger(decided)


async def test_a_folder_without_history_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no history"):
        History(tmp_path)


async def test_the_newest_observation_of_each_check(store: SqliteStore) -> None:
    old, new = an_observation(9), an_observation(1, epoch=1)
    other = an_observation(3, service="bank", check="tcp")
    await store.record([other, old, new])
    assert await store.newest() == [other, new]


async def test_the_outbox_is_counted_by_state_and_files_have_sizes(store: SqliteStore) -> None:
    notices = [a_notice(an_incident(), ordinal=number) for number in range(1, 5)]
    await store.commit(a_commit(1, notices=notices))
    leases = await store.claim([a_message(notice) for notice in notices[:2]])
    await store.settle([Settlement(leases[0].key, leases[0].token, "delivered", "", a_stamp(2).at)])
    assert await store.outbox() == {"delivered": 1, "owed": 2, "sending": 1}
    assert store.sizes().facts > 0
    assert store.sizes().samples > 0


class _Running(SimulatedClock):
    """A clock that gains a second at every look."""

    def tick(self) -> Tick:
        self._tick += 1_000_000_000
        return super().tick()


async def test_a_read_that_takes_too_long_is_given_up_and_the_next_one_works(store: SqliteStore) -> None:
    readers = Readers(store._folder / "facts.db", _Running(), instructions=1_000)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(Unavailable, match="took too long"):
        await readers.read(lambda connection: connection.execute(endless).fetchone())
    assert await readers.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    await asyncio.to_thread(readers.close)


async def test_a_reader_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(Unavailable, match="readonly"):
        await store._facts_readers.read(lambda connection: connection.execute("DELETE FROM policies"))
