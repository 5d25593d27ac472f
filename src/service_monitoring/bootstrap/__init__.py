"""The composition root: the only room that knows concrete classes, and which of them this installation uses.

Knows everything and decides nothing: it wires. Importing it loads nothing: a command pays for the names that it asks
for, so that `validate` knows no store and `init` no poller.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service_monitoring.bootstrap.desk import StoreDesk
    from service_monitoring.bootstrap.loading import initial, load, schema
    from service_monitoring.bootstrap.machine import socket_in, the_clock
    from service_monitoring.bootstrap.program import Program, open_access, open_desk, opened, probe_once
    from service_monitoring.bootstrap.telling import preview, send_test
    from service_monitoring.bootstrap.trials import trial_files, trials_in

_HOME = {
    "Program": "program",
    "StoreDesk": "desk",
    "initial": "loading",
    "load": "loading",
    "open_access": "program",
    "open_desk": "program",
    "opened": "program",
    "probe_once": "program",
    "preview": "telling",
    "schema": "loading",
    "send_test": "telling",
    "socket_in": "machine",
    "the_clock": "machine",
    "trial_files": "trials",
    "trials_in": "trials",
}

__all__ = [
    "Program",
    "StoreDesk",
    "initial",
    "load",
    "open_access",
    "open_desk",
    "opened",
    "preview",
    "probe_once",
    "schema",
    "send_test",
    "socket_in",
    "the_clock",
    "trial_files",
    "trials_in",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"service_monitoring.bootstrap.{_HOME[name]}"), name)
    raise AttributeError(f"service_monitoring.bootstrap has no {name}")
