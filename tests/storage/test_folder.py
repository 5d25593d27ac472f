"""The data folder: its rights, its lock, and what is in it after a start."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from service_monitoring.errors import Refused, Unavailable
from service_monitoring.storage import schema
from service_monitoring.storage.folder import FACTS, LOCK, SAMPLES, Lock
from service_monitoring.storage.migrate import HEADS
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.store_laws import a_commit
from tests.storage.conftest import Open


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_folder_and_files_are_for_their_owner_only(opened: Open, folder: Path) -> None:
    was = os.umask(0)
    try:
        store = await opened(tuning=Tuning(reserve=4096))
        await store.commit(a_commit(1))
        assert rights(folder) == 0o700
        assert {path.name for path in folder.iterdir()} >= {FACTS, f"{FACTS}-wal", SAMPLES, LOCK, "reserve"}
        assert {rights(path) for path in folder.iterdir()} == {0o600}
    finally:
        os.umask(was)


async def test_an_empty_folder_is_closed_to_others_and_one_with_other_things_is_left_as_it_is(
    opened: Open, tmp_path: Path
) -> None:
    empty, other = tmp_path / "empty", tmp_path / "other"
    for folder in (empty, other):
        folder.mkdir(mode=0o755)
    (other / "notes.txt").write_text("mine")
    await opened(empty)
    await opened(other)
    assert rights(empty) == 0o700
    assert rights(other) == 0o755
    assert rights(other / FACTS) == 0o600


async def test_what_is_no_folder_is_refused(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"store\.path"):
        await opened(tmp_path / "file")


async def test_a_second_program_on_the_folder_is_refused_naming_the_first(opened: Open, folder: Path) -> None:
    await opened()
    second = subprocess.run(
        [sys.executable, "-c", OPEN, str(folder)], capture_output=True, text=True, check=False, timeout=30
    )
    assert second.returncode == 1
    assert f"in use by the process {os.getpid()}:" in second.stderr
    with pytest.raises(Unavailable, match=f"in use by the process {os.getpid()}"):
        await opened()


OPEN = """
import sys
from pathlib import Path
from service_monitoring.storage.folder import Lock
Lock(Path(sys.argv[1])).take()
print("taken", flush=True)
sys.stdin.read()
"""


async def test_the_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OPEN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        with pytest.raises(Unavailable, match=f"process {process.pid}"):
            Lock(tmp_path).take()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    lock = Lock(tmp_path)
    lock.take()
    assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
    lock.release()


async def test_a_closed_folder_can_be_opened_again_and_a_closed_store_refuses(opened: Open) -> None:
    store = await opened()
    await store.close()
    await store.close()
    with pytest.raises(Unavailable, match="closed"):
        await store.commit(a_commit(1))
    with pytest.raises(Unavailable, match="closed"):
        await store.load()
    await opened()


async def test_an_opening_that_fails_lets_go_of_the_folder(folder: Path) -> None:
    def broken(path: Path) -> None:
        raise RuntimeError("no connection today")

    with pytest.raises(RuntimeError):
        await SqliteStore.open(folder, SimulatedClock(), tuning=Tuning(reserve=0, connect=broken))  # type: ignore[arg-type]  # broken on purpose
    async with await SqliteStore.open(folder, SimulatedClock(), tuning=Tuning(reserve=0)):
        pass


@pytest.mark.parametrize(("name", "tables"), [(FACTS, schema.facts), (SAMPLES, schema.samples)])
async def test_migrations_arrive_at_the_tables_as_they_are_described(
    opened: Open, folder: Path, name: str, tables: sqlalchemy.MetaData
) -> None:
    await (await opened()).close()
    migrated = sqlalchemy.create_engine(f"sqlite:///{folder / name}")
    described = sqlalchemy.create_engine("sqlite://")
    statements = "SELECT name, sql FROM sqlite_master WHERE name <> 'alembic_version' AND sql IS NOT NULL ORDER BY name"
    with migrated.connect() as one, described.connect() as other:
        assert compare_metadata(MigrationContext.configure(one), tables) == []
        tables.create_all(other)
        text = sqlalchemy.text(statements)
        assert one.execute(text).fetchall() == other.execute(text).fetchall()
    migrated.dispose()
    described.dispose()


@pytest.mark.parametrize("name", [FACTS, SAMPLES])
def test_the_newest_migration_is_the_version_that_the_program_knows(project: Path, name: str) -> None:
    migrations = project / "src/service_monitoring/storage/migrations"
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations / Path(name).stem))
    assert ScriptDirectory.from_config(config).get_current_head() == HEADS[name]


def test_a_start_on_a_current_folder_imports_neither_sqlalchemy_nor_alembic(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from service_monitoring.storage.sqlite import SqliteStore; "
        "from service_monitoring.runtime.clock import SystemClock\n"
        "async def main():\n    async with await SqliteStore.open(Path(sys.argv[1]), SystemClock()): pass\n"
        "asyncio.run(main()); print('sqlalchemy' in sys.modules, 'alembic' in sys.modules)"
    )
    seen = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "data")], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert seen == ["True True\n", "False False\n"]
