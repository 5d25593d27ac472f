"""Keys are kept as hashes and die when they should; what came with a report is kept with it, once."""

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from service_monitoring.domain.inputs import Admitted, Pinged, Signal
from service_monitoring.domain.instants import Instant
from service_monitoring.errors import Conflict, Refused
from service_monitoring.ports import Commit, Enclosed, Ping
from service_monitoring.storage.keys import Key, Purpose
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.store_laws import START, a_commit, a_stamp
from tests.storage.conftest import Open


def a_key(text: str = "first", *, check: str = "backup", second: int = 1) -> Key:
    digest = sha256(text.encode()).hexdigest()
    return Key(digest, "shop", check, Purpose.PING, a_stamp(second).at)


def reported(
    second: int,
    signal: Signal = Signal.SUCCESS,
    *,
    run: str = "",
    content: bytes = b"",
    versions: Sequence[tuple[str, int]] = (),
) -> Commit:
    stamp = a_stamp(second)
    report = Pinged("shop", "backup", signal, run, 3 if signal is Signal.FAIL else None)
    return replace(
        a_commit(second, versions=versions),
        records=((stamp, Admitted(stamp, report)),),
        pings=(Ping(stamp, report, Enclosed(content, cut=len(content) > 3)),),
    )


async def test_a_key_is_kept_until_it_is_replaced(store: SqliteStore) -> None:
    first, other, second = a_key(), a_key("other", check="tidy"), a_key("second", second=10)
    await store.replace_keys(first, until=first.made_at)
    await store.replace_keys(other, until=other.made_at)
    assert await store.keys() == [first, other]
    await store.replace_keys(second, until=second.made_at, had=[first.hash])
    assert await store.keys() == [second, other]


async def test_a_replaced_key_opens_until_its_overlap_is_over_and_no_longer_for_being_replaced_again(
    store: SqliteStore,
) -> None:
    first, second, third = a_key(), a_key("second", second=10), a_key("third", second=20)
    await store.replace_keys(first, until=first.made_at)
    await store.replace_keys(second, until=a_stamp(100).at, had=[first.hash])
    assert [key.expires_at for key in await store.keys()] == [a_stamp(100).at, None]
    await store.replace_keys(third, until=a_stamp(500).at, had=[first.hash, second.hash])
    assert [key.expires_at for key in await store.keys()] == [a_stamp(100).at, a_stamp(500).at, None]


async def test_of_two_who_replace_a_key_one_is_refused(store: SqliteStore) -> None:
    await store.replace_keys(a_key(), until=START)
    with pytest.raises(Refused, match="changed meanwhile"):
        await store.replace_keys(a_key("second"), until=START)
    assert await store.keys() == [a_key()]


async def test_a_revoked_key_is_gone(store: SqliteStore) -> None:
    await store.replace_keys(a_key(), until=START)
    assert await store.revoke_keys("shop", "backup") == 1
    assert await store.revoke_keys("shop", "backup") == 0
    assert await store.keys() == []


async def test_what_came_with_a_report_is_kept_with_it(store: SqliteStore, opened: Open) -> None:
    await store.commit(reported(1, Signal.START, run="a"))
    await store.commit(reported(2, Signal.FAIL, run="a", content=b"\xff\x00 no space"))
    await store.close()
    store = await opened()
    first, second = await store.pings("shop", "backup")
    assert first == Ping(
        a_stamp(2), Pinged("shop", "backup", Signal.FAIL, "a", 3), Enclosed(b"\xff\x00 no space", cut=True)
    )
    assert second == Ping(a_stamp(1), Pinged("shop", "backup", Signal.START, "a"), Enclosed())
    assert await store.pings("shop", "backup", limit=1) == [first]
    assert await store.pings("shop", "tidy") == []


async def test_the_same_report_of_the_same_run_is_kept_once(store: SqliteStore) -> None:
    log = [(Signal.START, b""), (Signal.LOG, b"one"), (Signal.LOG, b"two"), (Signal.SUCCESS, b"")]
    for round_ in range(3):
        for place, (signal, content) in enumerate(log, 1):
            await store.commit(reported(10 * round_ + place, signal, run="a", content=content))
    kept = [(ping.stamp, ping.report.signal, ping.enclosed.content) for ping in await store.pings("shop", "backup")]
    assert kept == [(a_stamp(place), *each) for place, each in reversed(list(enumerate(log, 1)))]
    await store.commit(reported(40))
    await store.commit(reported(41))
    assert len(await store.pings("shop", "backup")) == 6


async def test_a_report_that_is_not_committed_leaves_nothing_of_what_came_with_it(store: SqliteStore) -> None:
    with pytest.raises(Conflict):
        await store.commit(reported(1, content=b"abc", versions=[("shop", 7)]))
    assert await store.pings("shop", "backup") == []


async def test_reports_are_forgotten_with_the_facts(store: SqliteStore) -> None:
    for second in (1, 2, 3):
        await store.commit(reported(second))
    assert (await store.prune(facts=a_stamp(3).at, samples=START)).pings == 2
    assert [ping.stamp for ping in await store.pings("shop", "backup")] == [a_stamp(3)]


async def test_an_old_folder_gets_the_new_tables_and_keeps_what_it_has(opened: Open, folder: Path) -> None:
    store = await opened()
    await store.commit(a_commit(1))
    await store.close()
    for name, tables in (
        (
            "facts.db",
            (
                "keys",
                "pings",
                "jobs",
                "members",
                "flaps",
                "silences",
                "accounts",
                "sessions",
                "tokens",
                "audit",
                "answers",
                "second_factors",
                "recovery",
            ),
        ),
        ("samples.db", ("pushes", "pushed")),
    ):
        connection = sqlite3.connect(folder / name)
        for table in tables:
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX IF EXISTS observations_not_ok")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
        connection.close()
    store = await opened()
    assert [path.name for path in store.migration_backups] == [
        "facts-before-migration-from-0001.db",
        "samples-before-migration-from-0001.db",
    ]
    assert len(await store.journal()) == 1
    await store.replace_keys(a_key(), until=Instant(0))
    await store.commit(reported(2))
    assert len(await store.pings("shop", "backup")) == 1
