"""Backup and restore: both files of a data folder in one archive, made while the program runs.

The facts are copied first: the samples then hold everything that those facts judged. An archive is written aside,
synced and renamed, so that a name that exists is a whole backup.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.errors import MonitoringError, Refused, Unavailable, Unusable
from service_monitoring.storage.failures import translated
from service_monitoring.storage.files import connect, connect_reader, look
from service_monitoring.storage.folder import FACTS, SAMPLES
from service_monitoring.storage.migrate import refuse_newer
from service_monitoring.wire.codec import canonical, decode

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_BLOCK: Final = 1024 * 1024


class File(Struct, frozen=True):
    """One file of a backup."""

    name: str
    schema: str
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a backup holds."""

    format: int
    made_at: Instant
    files: tuple[File, ...]


def backup(folder: Path, target: Path, *, made_at: Instant) -> Manifest:
    """Write a backup of `folder` to `target`, for its owner only. Blocks; may run beside writers.

    `Refused` when the target exists, `Unavailable` when it cannot be written.
    """
    if target.exists():
        raise Refused(f"{target} exists: a backup replaces nothing, name another file")
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=f".{target.name}-") as aside:
            part = Path(aside)
            files = [_copied(folder / name, part / name) for name in (FACTS, SAMPLES)]
            manifest = Manifest(FORMAT, made_at, tuple(files))
            packed = part / "packed"
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.writestr(_MANIFEST, canonical(manifest))
                for file in files:
                    archive.write(part / file.name, file.name)
            packed.chmod(0o600)
            _sync(packed)
            packed.rename(target)
            _sync(target.absolute().parent)
    except OSError as error:
        raise Unavailable(f"the backup {target} cannot be written ({error.strerror})") from error
    return manifest


def restore(source: Path, folder: Path) -> Manifest:
    """Unpack a backup into `folder`, which must be new or empty. Blocks.

    `Refused` when it is not, or when `source` is no backup; `Unusable` when the backup is damaged or newer than this
    program. Nothing is left behind then.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is not empty: restore replaces nothing, name a new folder")
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = decode(Manifest, archive.read(_MANIFEST))
            if manifest.format > FORMAT:
                raise Unusable(f"{source} has the form {manifest.format}, this program knows {FORMAT}: use a newer one")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            made: list[Path] = []
            try:
                for file in manifest.files:
                    made.append(_unpacked(archive, file, folder))  # noqa: PERF401  what was made is removed on failure
                for path in made:
                    path.rename(path.with_suffix(".db"))
            except BaseException:
                for path in made:
                    path.unlink(missing_ok=True)
                raise
            _sync(folder)
    except (zipfile.BadZipFile, KeyError) as error:
        raise Refused(f"{source} is not a backup of this program ({error})") from error
    except OSError as error:
        raise Refused(f"{source} cannot be restored ({error.strerror or error})") from error
    return manifest


def _copied(path: Path, copy: Path) -> File:
    try:
        source, target = connect_reader(path), connect(copy)
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
        finally:
            source.close()
            target.close()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return File(path.name, look(copy) or "", copy.stat().st_size, _digest(copy))


def _unpacked(archive: zipfile.ZipFile, file: File, folder: Path) -> Path:
    """The file under a name of its own; checked, and of a schema that this program can read."""
    if file.name not in {FACTS, SAMPLES}:
        raise Refused(f"the backup holds the unknown file {file.name!r}")
    path = folder / file.name
    part = path.with_suffix(".partial")
    try:
        with (
            archive.open(file.name) as packed,
            os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out,
        ):
            while block := packed.read(_BLOCK):
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if _digest(part) != file.sha256:
            raise Unusable(f"the backup is damaged: {file.name} is not what was packed; take an older one")
        look(part)
        refuse_newer(path, file.schema or None)
    except (MonitoringError, OSError, zipfile.BadZipFile):
        part.unlink(missing_ok=True)
        raise
    return part


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
