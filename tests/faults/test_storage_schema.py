"""Files that this program must not touch: damaged (row 28), newer (row 30); and older ones (row 31)."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from service_monitoring.errors import Unusable
from service_monitoring.storage.files import look
from service_monitoring.storage.folder import FACTS, LOCK, SAMPLES
from service_monitoring.storage.migrate import HEADS, migrate
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.store_laws import a_commit, a_notice, an_incident, an_observation

NO_RESERVE = Tuning(reserve=0)


async def a_folder(folder: Path) -> Path:
    """A data folder with facts and samples, closed."""
    async with await SqliteStore.open(folder, SimulatedClock(), tuning=NO_RESERVE) as store:
        for number in range(40):
            await store.commit(a_commit(number, notices=[a_notice(an_incident(number))]))
        await store.record([an_observation(second) for second in range(400)])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK}


@pytest.mark.parametrize("name", [FACTS, SAMPLES])
async def test_a_schema_newer_than_the_program_is_refused_naming_both_versions(tmp_path: Path, name: str) -> None:
    folder = await a_folder(tmp_path / "data")
    connection = sqlite3.connect(folder / name)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = contents(folder)
    with pytest.raises(Unusable, match=rf"{name}.*newer version.*schema is 9999.*knows {HEADS[name]}"):
        await SqliteStore.open(folder, SimulatedClock())
    assert contents(folder) == before


NEWER_AND_KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("UPDATE alembic_version SET version_num = '9999'")
connection.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_newer_schema_with_a_log_beside_it_is_refused_without_a_write(tmp_path: Path) -> None:
    folder = await a_folder(tmp_path / "data")
    # What a newer program that was killed leaves: its last commits are in the log alone.
    killed = subprocess.run([sys.executable, "-c", NEWER_AND_KILLED, str(folder / FACTS)], check=False)
    assert killed.returncode == -signal.SIGKILL
    before = {name: content for name, content in contents(folder).items() if not name.endswith("-shm")}
    assert before[f"{FACTS}-wal"]
    with pytest.raises(Unusable, match="schema is 9999"):
        await SqliteStore.open(folder, SimulatedClock())
    assert {name: content for name, content in contents(folder).items() if not name.endswith("-shm")} == before


@pytest.mark.parametrize("name", [FACTS, SAMPLES])
async def test_a_damaged_page_is_found_at_the_start_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    folder = await a_folder(tmp_path / "data")
    content = bytearray((folder / name).read_bytes())
    for page in range(2, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    (folder / name).write_bytes(content)
    before = contents(folder)
    with pytest.raises(Unusable, match=rf"{name}.*damaged.*service-monitoring restore"):
        await SqliteStore.open(folder, SimulatedClock())
    assert contents(folder) == before


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / FACTS).write_text("a shopping list, and long enough to be looked at\n" * 100)
    before = contents(folder)
    with pytest.raises(Unusable, match="damaged"):
        await SqliteStore.open(folder, SimulatedClock())
    assert contents(folder) == before


NEXT = """
import os, signal
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "$HEAD"


def upgrade():
    statements = [
        lambda: op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True)),
        lambda: op.add_column("incidents", sa.Column("note", sa.Text)),
        lambda: op.execute("UPDATE incidents SET note = 'none'"),
        lambda: op.create_index("notes_id", "notes", ["id"]),
    ]
    for number, statement in enumerate(statements):
        if os.environ.get("KILLED_AT") == str(number):
            os.kill(os.getpid(), signal.SIGKILL)
        statement()
""".replace("$HEAD", HEADS[FACTS])


MIGRATION = """
import sys
from pathlib import Path
from service_monitoring.storage.migrate import migrate
migrate(Path(sys.argv[1]), sys.argv[3], further=Path(sys.argv[2]))
"""


def schema(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("statement", range(4))
async def test_a_migration_killed_at_any_statement_goes_on_from_where_it_was(tmp_path: Path, statement: int) -> None:
    folder = await a_folder(tmp_path / "data")
    further = tmp_path / "further"
    further.mkdir()
    (further / "notes.py").write_text(NEXT)
    path = folder / FACTS
    before = schema(path)
    killed = subprocess.run(
        [sys.executable, "-c", MIGRATION, str(path), str(further), HEADS[FACTS]],
        env={**os.environ, "KILLED_AT": str(statement)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert schema(path) == before
    assert look(path) == HEADS[FACTS]

    copy = migrate(path, HEADS[FACTS], further=further)
    assert copy is not None
    assert copy.name == f"facts-before-migration-from-{HEADS[FACTS]}.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert look(copy) == HEADS[FACTS]
    assert schema(copy) == before
    assert look(path) == "9000"
    assert {"notes", "notes_id"} < {name for name, _ in schema(path)}


async def test_the_copy_before_a_migration_holds_what_only_the_log_held(tmp_path: Path) -> None:
    folder = await a_folder(tmp_path / "data")
    further = tmp_path / "further"
    further.mkdir()
    (further / "notes.py").write_text(NEXT)
    connection = sqlite3.connect(folder / FACTS)
    connection.execute("UPDATE progress SET revision = 'in the log'")
    connection.commit()
    copy = migrate(folder / FACTS, HEADS[FACTS], further=further)
    connection.close()
    assert copy is not None
    assert sqlite3.connect(copy).execute("SELECT revision FROM progress").fetchone() == ("in the log",)
