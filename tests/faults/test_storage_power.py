"""Power loss (row 26) and a failing device (row 27) under the writer of facts."""

import random
import sqlite3
from pathlib import Path
from typing import cast

import pytest

from service_monitoring.errors import Unusable
from service_monitoring.storage.files import Synchronous, prepare_writer
from service_monitoring.storage.folder import FACTS, SAMPLES
from service_monitoring.storage.migrate import migrate
from service_monitoring.storage.rounds import Round, Rounds
from service_monitoring.storage.samples import Record, Recording
from service_monitoring.storage.writer import Writer
from service_monitoring.testing.store_laws import a_commit, a_notice, a_push, an_incident, an_observation
from tests.faults.disks import Connection, Disk

COMMITS = 12


def open_writer(folder: Path, disk: Disk, synchronous: Synchronous) -> tuple[Writer, Rounds]:
    path = folder / FACTS
    migrate(path, None)
    disk.holds(path)
    connection = cast("sqlite3.Connection", Connection(path, disk))
    prepare_writer(connection, synchronous=synchronous)
    connection.execute("PRAGMA wal_autocheckpoint=20")  # so that the log is carried to the file several times
    rounds = Rounds(connection)
    return Writer(path, connection, rounds), rounds


async def powerless(folder: Path, synchronous: Synchronous) -> list[tuple[int, int, str]]:
    """For each sync: how many commits were acknowledged before, how many are found, and what the check of it says."""
    folder.mkdir()
    disk = Disk(f"{folder.name}-{synchronous}")
    writer, rounds = open_writer(folder, disk, synchronous)
    for number in range(COMMITS):
        commit = a_commit(number, versions=[("shop", number)], notices=[a_notice(an_incident(), ordinal=number + 1)])
        await writer.write(Round(commit, rounds))
        disk.acknowledged = number + 1
    moments = [*disk.moments, disk.moment()]
    await writer.close()
    found: list[tuple[int, int, str]] = []
    for index, moment in enumerate(moments):
        for dice in (None, random.Random(index), random.Random(-index - 1)):
            woken = folder / f"{index}-{len(found)}"
            moment.wake(woken, dice)
            connection = sqlite3.connect(woken / FACTS)
            (count,) = connection.execute("SELECT count(*) FROM notices JOIN journal USING (position)").fetchone()
            (check,) = connection.execute("PRAGMA integrity_check").fetchone()
            connection.close()
            found.append((moment.acknowledged, count, check))
    return found


async def test_a_power_loss_takes_no_notice_that_was_acknowledged(tmp_path: Path) -> None:
    found = await powerless(tmp_path / "data", "FULL")
    assert len(found) > 3 * COMMITS
    assert {acknowledged for acknowledged, _, _ in found} == set(range(COMMITS + 1))
    assert [entry for entry in found if entry[1] < entry[0]] == []
    assert {check for _, _, check in found} == {"ok"}


async def test_without_full_synchronisation_a_power_loss_would_take_some(tmp_path: Path) -> None:
    found = await powerless(tmp_path / "data", "NORMAL")
    assert any(count < acknowledged for acknowledged, count, _ in found)
    assert {check for _, _, check in found} == {"ok"}


async def test_a_power_loss_takes_nothing_that_was_pushed_although_samples_are_not_synced_one_by_one(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path, disk = folder / SAMPLES, Disk("pushed")
    migrate(path, None)
    disk.holds(path)
    connection = cast("sqlite3.Connection", Connection(path, disk))
    prepare_writer(connection, synchronous="NORMAL")
    recording = Recording(connection)
    writer = Writer(path, connection, recording)
    moments = []
    for number in range(1, COMMITS):
        await writer.write(Record([an_observation(2 * number)], recording))
        await writer.write(Record([a_push(2 * number + 1, 1.0, 2.0)], recording))
        moments.append((number, disk.moment()))
    await writer.close()
    for number, moment in moments:
        woken = folder / str(number)
        moment.wake(woken, None)
        found = sqlite3.connect(woken / SAMPLES)
        assert found.execute("SELECT count(*) FROM pushed").fetchone() == (2 * number,)
        found.close()


async def test_after_a_failed_sync_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    disk = Disk("failing")
    writer, rounds = open_writer(folder, disk, "FULL")
    await writer.write(Round(a_commit(1, versions=[("shop", 0)]), rounds))
    disk.failing = True
    with pytest.raises(Unusable, match="the disk failed"):
        await writer.write(Round(a_commit(2, versions=[("shop", 1)]), rounds))
    disk.failing = False
    for version in (1, 2):
        with pytest.raises(Unusable, match="the disk failed"):
            await writer.write(Round(a_commit(3, versions=[("shop", version)]), rounds))
    await writer.close()
