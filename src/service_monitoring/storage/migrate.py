"""Brings a file to the schema of this program: one transaction a migration, and a copy of the file made before.

Called while the folder's lock is held. SQLAlchemy and Alembic are imported only when there is something to do: they
cost a start more than everything else.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from service_monitoring.errors import Unusable
from service_monitoring.storage.failures import translated
from service_monitoring.storage.files import connect

HEADS: Final = {"facts.db": "0007", "samples.db": "0003"}
"""The version of each file's schema that this program reads and writes; a test compares it with the migrations."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def refuse_newer(path: Path, version: str | None) -> None:
    """`Unusable` when a newer program wrote the file."""
    if version is not None and version > HEADS[path.name]:
        raise Unusable(
            f"{path} was written by a newer version of this program: its schema is {version}, this program knows "
            f"{HEADS[path.name]}; start the newer version. Nothing was changed"
        )


def migrate(path: Path, version: str | None, *, further: Path | None = None) -> Path | None:
    """Make or upgrade the schema of `path`, now at `version`; the copy that was made before, if there was any.

    `further` is one more folder of migrations. Killed half-way, the file is as it was before the migration that was
    running, and the next call goes on from there.
    """
    if version == HEADS[path.name] and further is None:
        return None
    try:
        copy = None if version is None else _copy(path, version)
        _upgrade(path, further)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return copy


def _copy(path: Path, version: str) -> Path:
    copy = path.with_name(f"{path.stem}-before-migration-from-{version}.db")
    aside = copy.with_suffix(".partial")
    aside.unlink(missing_ok=True)
    source, target = connect(path), connect(aside)
    try:
        aside.chmod(0o600)
        source.backup(target)
    finally:
        source.close()
        target.close()
    aside.rename(copy)
    return copy


def _upgrade(path: Path, further: Path | None) -> None:
    # Here and not above: see the module's text.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy import create_engine, event  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    engine = create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)
    # The driver begins no transaction before a change of the schema; we do, so that a killed one leaves nothing.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    folders = [_MIGRATIONS / path.stem, *([further] if further else [])]
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, folders)))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
