"""Backup and restore: whole, checked, replacing nothing. And what retention forgets and keeps."""

import asyncio
import json
import stat
import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from service_monitoring.domain.incidents import Cause, Incident, Move, move
from service_monitoring.domain.inputs import Stamp
from service_monitoring.errors import Refused, Unusable
from service_monitoring.ports import Settlement
from service_monitoring.storage.archive import restore
from service_monitoring.storage.folder import FACTS, SAMPLES
from service_monitoring.storage.retention import Pruned
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.clock import START as NOW
from service_monitoring.testing.store_laws import (
    START,
    a_commit,
    a_message,
    a_notice,
    a_push,
    a_stamp,
    a_told,
    an_incident,
    an_observation,
)
from service_monitoring.wire.ledger import ledger
from tests.storage.conftest import Open
from tests.storage.test_reading import of
from tests.wire.test_journal import CONFIGURATION


async def test_a_backup_restores_to_the_same_facts_samples_and_ledger(
    store: SqliteStore, opened: Open, tmp_path: Path
) -> None:
    notice = a_notice(an_incident())
    await store.commit(replace(of(1, notice), configuration=CONFIGURATION, versions=(("shop", 0),)))
    await store.record([an_observation(1), an_observation(2)])
    target = tmp_path / "backup.zip"
    manifest = await store.backup(target)
    assert manifest.made_at == NOW
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert restore(target, tmp_path / "again") == manifest
    again = await opened(tmp_path / "again")
    assert await again.load() == await store.load()
    assert await again.beyond(Stamp(0, START)) == await store.beyond(Stamp(0, START)) != []
    assert await again.due(9) == await store.due(9) != []
    assert ledger([one async for one in again.decisions()]) == ledger([one async for one in store.decisions()]) != b""
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "again").iterdir()} == {0o600}


async def test_a_backup_made_while_the_program_writes_is_one_moment_of_it(
    store: SqliteStore, opened: Open, tmp_path: Path
) -> None:
    done = asyncio.Event()

    async def write() -> int:
        number = 0
        while not done.is_set():
            number += 1
            incident = an_incident(number)
            commit = a_commit(number, versions=[("shop", number - 1)], notices=[a_notice(incident)])
            await store.record([an_observation(number)])
            await store.commit(replace(commit, incidents=(incident,)))
        return number

    writing = asyncio.ensure_future(write())
    await store.backup(tmp_path / "backup.zip")
    done.set()
    assert await writing > 1
    restore(tmp_path / "backup.zip", tmp_path / "again")
    again = await opened(tmp_path / "again")
    stored = await again.load()
    count = stored.versions.get("shop", 0)
    assert (len(stored.incidents), len(await again.due(100_000))) == (count, count)
    assert stored.progress is None or stored.progress.judged == a_stamp(count)
    assert len(await again.beyond(Stamp(0, START))) >= count


async def test_a_backup_replaces_nothing(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "backup.zip"
    target.write_text("precious")
    with pytest.raises(Refused, match="exists"):
        await store.backup(target)
    assert target.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == ["backup.zip"]


async def test_restore_refuses_a_folder_with_something_in_it(store: SqliteStore, tmp_path: Path) -> None:
    await store.backup(tmp_path / "backup.zip")
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match="not empty"):
        restore(tmp_path / "backup.zip", full)
    assert [path.name for path in full.iterdir()] == ["notes.txt"]


def repacked(source: Path, target: Path, name: str, content: bytes) -> None:
    """The same archive with one file changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, content if entry == name else old.read(entry))


async def test_a_damaged_or_newer_backup_is_refused_and_leaves_nothing(store: SqliteStore, tmp_path: Path) -> None:
    source, target, again = tmp_path / "backup.zip", tmp_path / "other.zip", tmp_path / "again"
    await store.backup(source)
    with zipfile.ZipFile(source) as archive:
        facts, manifest = archive.read(FACTS), json.loads(archive.read("manifest.json"))
    repacked(source, target, SAMPLES, facts)
    with pytest.raises(Unusable, match=r"samples\.db is not what was packed"):
        restore(target, again)
    assert list(again.iterdir()) == []
    repacked(source, target, "manifest.json", json.dumps({**manifest, "format": 9}).encode())
    with pytest.raises(Unusable, match="has the form 9"):
        restore(target, again)
    manifest["files"][0]["schema"] = "9999"
    repacked(source, target, "manifest.json", json.dumps(manifest).encode())
    with pytest.raises(Unusable, match="schema is 9999"):
        restore(target, again)
    manifest["files"][0]["name"] = "../facts.db"
    repacked(source, target, "manifest.json", json.dumps(manifest).encode())
    with pytest.raises(Refused, match="unknown file"):
        restore(target, again)
    target.write_text("no archive")
    with pytest.raises(Refused, match="not a backup"):
        restore(target, again)
    with pytest.raises(Refused, match="cannot be restored"):
        restore(tmp_path / "nothing.zip", again)
    assert list(again.iterdir()) == []


def resolved(incident: Incident, second: int) -> Incident:
    begun = move(incident, Move.OPEN, at=a_stamp(second).at, cause=Cause.TIMER)
    return move(begun, Move.RESOLVE, at=a_stamp(second + 1).at, cause=Cause.SAMPLE)


async def test_what_is_old_is_forgotten_but_never_what_is_open_or_owed(store: SqliteStore) -> None:
    ended, alive, owing = resolved(an_incident(1), 2), an_incident(4), resolved(an_incident(6), 7)
    notices = [a_notice(ended, second=2), a_notice(alive, second=5), a_notice(owing, second=8)]
    for place, (incident, notice) in enumerate(zip((ended, alive, owing), notices, strict=True)):
        told = a_told(incident, ended=incident is not alive)
        await store.commit(replace(of(place * 3, notice), incidents=(incident,), told=told))
    leases = await store.claim([a_message(notice) for notice in notices[:2]])
    await store.settle([Settlement(one.key, one.token, "delivered", "", a_stamp(9).at) for one in leases])
    await store.commit(a_commit(100))
    before = a_stamp(50).at
    assert await store.prune(facts=before, samples=before) == Pruned(records=1, incidents=1, notices=1)
    assert {one.id for one in await store.incidents()} == {alive.id, owing.id}
    assert [due.notice for due in await store.due(9)] == [notices[2]]
    assert [one.record for one in await store.journal(limit=9)][:-1] == notices[1:]
    assert len((await store.incident(alive.id)).notices) == 1

    (lease,) = await store.claim([a_message(notices[2])])
    await store.settle([Settlement(lease.key, lease.token, "delivered", "", a_stamp(20).at)])
    assert await store.prune(facts=before, samples=before) == Pruned(records=1, incidents=1, notices=1)
    assert await store.prune(facts=before, samples=before) == Pruned()


async def test_positions_never_begin_anew(store: SqliteStore, opened: Open) -> None:
    for second in range(3):
        await store.commit(a_commit(second))
    last = (await store.journal())[-1].position
    await store.prune(facts=a_stamp(99).at, samples=a_stamp(99).at)
    await store.close()
    again = await opened()
    await again.commit(a_commit(5))
    assert (await again.journal())[-1].position == last + 1


async def test_a_configuration_is_kept_while_something_names_it(store: SqliteStore) -> None:
    older = replace(CONFIGURATION, owners=("older",))
    for second, configuration in enumerate((older, CONFIGURATION)):
        await store.commit(replace(a_commit(second), configuration=configuration))
    await store.commit(a_commit(9))
    await store.prune(facts=a_stamp(5).at, samples=a_stamp(5).at)
    kept = await store._facts_readers.read(lambda one: one.execute("SELECT count(*) FROM configurations").fetchone())
    assert kept == (1,)
    assert (await store.load()).configuration == CONFIGURATION


async def test_old_observations_are_forgotten_in_every_epoch(store: SqliteStore) -> None:
    await store.record([an_observation(second) for second in range(2_500)])
    await store.record([an_observation(second, epoch=1) for second in range(2_000, 3_000)])
    gone = await store.prune(facts=START, samples=a_stamp(2_450).at)
    assert gone.observations == 2_450 + 450
    left = await store.beyond(Stamp(-1, START))
    assert left == [
        *(an_observation(second) for second in range(2_450, 2_500)),
        *(an_observation(second, epoch=1) for second in range(2_450, 3_000)),
    ]
    rows = await store._samples_readers.read(lambda one: one.execute("SELECT count(*) FROM samples").fetchone())
    assert rows == (2 * len(left),)


async def test_what_was_pushed_is_forgotten_with_the_observations(store: SqliteStore) -> None:
    await store.record([an_observation(1), a_push(2, 1.0, 2.0), a_push(3, 1.0), an_observation(4)])
    gone = await store.prune(facts=START, samples=a_stamp(3).at)
    assert gone.observations == 2
    assert await store.beyond(Stamp(-1, START)) == [a_push(3, 1.0), an_observation(4)]
    rows = await store._samples_readers.read(lambda one: one.execute("SELECT count(*) FROM pushed").fetchone())
    assert rows == (1,)
