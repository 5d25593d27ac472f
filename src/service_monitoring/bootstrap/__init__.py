"""The composition root: the only room that knows concrete classes, and which of them this installation uses.

Knows everything and decides nothing: it wires.
"""

from __future__ import annotations

from service_monitoring.bootstrap.desk import StoreDesk
from service_monitoring.bootstrap.program import Program, open_desk, opened, probe_once
from service_monitoring.bootstrap.wiring import initial, load, schema, socket_path, the_clock

__all__ = [
    "Program",
    "StoreDesk",
    "initial",
    "load",
    "open_desk",
    "opened",
    "probe_once",
    "schema",
    "socket_path",
    "the_clock",
]
