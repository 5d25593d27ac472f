"""The data folder: whose it is, who can read it, what it lies on, and whether its files are whole.

Reads only. Whether a program has it open is asked by trying its lock for an instant, shared, so that two doctors do
not trouble each other.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

import psutil

from service_monitoring.cli.doctor.findings import Finding, doubtful, fine, wrong
from service_monitoring.errors import MonitoringError
from service_monitoring.storage.files import CHECKED_BYTES
from service_monitoring.storage.files import look as look_into
from service_monitoring.storage.folder import FACTS, LOCK, SAMPLES
from service_monitoring.storage.migrate import HEADS, refuse_newer

LITTLE: Final = 1024**3
TOO_LITTLE: Final = 100 * 1024**2
LITTLE_INODES: Final = 1_000

_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"}
)
_PASSING: Final = frozenset({"tmpfs", "ramfs", "overlay"})


def look(folder: Path) -> list[Finding]:
    """Everything about the folder; one that is not there yet is judged by where it would be made."""
    if not folder.exists():
        return [_absent(folder), *_space(_nearest(folder))]
    if not folder.is_dir():
        why = "everything is stored in it"
        return [wrong("data folder", f"{folder} is not a folder", why, "name another one at store.path")]
    found = [access(folder, folder.stat(), os.geteuid()), *_space(folder)]
    found += [integrity(folder / name) for name in (FACTS, SAMPLES) if (folder / name).exists()]
    return found


def access(folder: Path, status: os.stat_result, user: int) -> Finding:
    """Whether the folder is ours, closed to others and writable."""
    if status.st_uid != user:
        why = "the program refuses a folder that it cannot close to others"
        remedy = f"run as the user {status.st_uid}, or: chown -R {user} {folder}"
        return wrong("data folder", f"{folder} belongs to the user {status.st_uid}, not to {user}", why, remedy)
    if stat.S_IMODE(status.st_mode) & 0o077:
        why = "whoever can read it learns addresses and texts, and can speak to the program"
        return wrong("data folder", f"{folder} is open to others", why, f"chmod 700 {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return wrong("data folder", f"{folder} is not writable", "nothing can be stored", f"chmod 700 {folder}")
    return fine("data folder", f"{folder}, for its owner only")


def _absent(folder: Path) -> Finding:
    above = _nearest(folder)
    if os.access(above, os.W_OK | os.X_OK):
        return fine("data folder", f"{folder} will be made by the first run")
    why = "the first run makes it there"
    return wrong("data folder", f"{folder} cannot be made: {above} is not writable", why, "name another at store.path")


def _nearest(folder: Path) -> Path:
    return next(above for above in folder.absolute().parents if above.is_dir())


def _space(folder: Path) -> list[Finding]:
    space = os.statvfs(folder)
    return [
        free(space.f_bavail * space.f_frsize, space.f_favail if space.f_files else None),
        file_system(folder, _type_of(folder)),
    ]


def free(room: int, inodes: int | None) -> Finding:
    """Whether there is room; `inodes` is None where the file system has no fixed number."""
    why = "on a full disk nothing is decided before there is room again"
    said = f"{room // 1024**2} MiB free"
    if inodes is not None and inodes < LITTLE_INODES:
        return wrong("disk", f"only {inodes} files can still be made", why, "remove small files")
    if room < TOO_LITTLE:
        return wrong("disk", said, why, "make room, or keep less: store.history.keep")
    if room < LITTLE:
        return doubtful("disk", said, why, "make room, or keep less: store.history.keep")
    return fine("disk", said)


def file_system(folder: Path, kind: str) -> Finding:
    """Whether the file system is one that keeps what it was given; empty where that cannot be told."""
    if kind in _REMOTE:
        why = "locks and memory shared between processes do not work there: the store would be damaged"
        return wrong("file system", f"{folder} lies on {kind}", why, "name a folder on a local disk at store.path")
    if kind in _PASSING:
        why = "what is stored there is gone with the container or at the next start of the machine"
        return doubtful("file system", f"{folder} lies on {kind}", why, "name a folder on a disk at store.path")
    return fine("file system", kind or "of an unknown kind")


def _type_of(folder: Path) -> str:
    resolved = folder.resolve()
    within = [each for each in psutil.disk_partitions(all=True) if resolved.is_relative_to(each.mountpoint)]
    return max(within, key=lambda each: len(each.mountpoint)).fstype if within else ""


def integrity(path: Path) -> Finding:
    """Whether a file of the store is whole and of a schema that this program reads."""
    try:
        version = look_into(path)
        refuse_newer(path, version)
    except MonitoringError as error:
        return wrong(path.name, str(error), "the program will not start with it", "do as this says")
    if version is not None and version < HEADS[path.name]:
        return fine(
            path.name, f"schema {version}; the next start migrates it to {HEADS[path.name]}, with a copy before"
        )
    checked = "whole" if path.stat().st_size <= CHECKED_BYTES else "too large to be looked through here"
    return fine(path.name, f"{checked}, schema {version or 'not made yet'}")


def holder(folder: Path) -> str | None:
    """The process that has the folder open (`unknown` where it left no number), or None."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return None
