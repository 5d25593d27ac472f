"""Data folders with their tables in them: made once in a process and copied, for making them is what takes long.

A copy holds what opening a store makes of an empty folder. Knows the files and their migrations. Who tests how a folder
is made, upgraded or refused must not use it.
"""

import tempfile
from functools import cache
from pathlib import Path

from service_monitoring.storage.folder import make, make_file
from service_monitoring.storage.migrate import HEADS, migrate


def with_tables(folder: Path) -> Path:
    """The folder, which a store opens as its own; files that are there already stay as they are."""
    make(folder)
    for name, content in _made().items():
        path = folder / name
        if not path.exists():
            make_file(path)
            path.write_bytes(content)
    return folder


@cache
def _made() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="sm-") as folder:
        paths = [Path(folder) / name for name in HEADS]
        for path in paths:
            make_file(path)
            migrate(path, None)
        return {path.name: path.read_bytes() for path in paths}
