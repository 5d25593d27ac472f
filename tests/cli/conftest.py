"""A folder with a configuration, a store in which something has happened, and a program that may have it open."""

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service_monitoring import bootstrap
from service_monitoring.application import Monitor
from service_monitoring.bootstrap import StoreDesk
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.bootstrap.wiring import new_key, new_secret
from service_monitoring.cli import main
from service_monitoring.domain.inputs import Configured, Observed
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.web.serve import serve
from tests.data_folders import with_tables
from tests.web.served import for_the_owner

FILE = """\
store: {path: data}
services:
  shop:
    checks:
      health: {tcp: "127.0.0.1:1", every: 10s, timeout: 1s}
      stock: {tcp: "127.0.0.1:2", every: 10s, timeout: 1s}
      backup: {heartbeat: {period: 1h}}
    rules:
      down:
        when: {check: health, metric: up, below: 1}
        severity: critical
        summary: "{{ service }} is down: {{ reason }}"
      empty:
        when: {check: stock, metric: up, below: 1}
        severity: warning
channels:
  log: {console: true}
routes:
  - {notify: [channel.log], group_by: ["..."], group_wait: 0s, group_interval: 0s}
network: {allow: [127.0.0.0/8]}
web: {listen: none}
"""
FAILED = Observation(Outcome.FAILED, Reason.CONNECT, "connection refused")
OK = Observation(Outcome.OK)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process, with real streams."""

    def run(*arguments: str) -> Said:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["service-monitoring", *arguments])
            patch.setattr(sys, "stdout", sys.stdout)
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = capfd.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Said(code, out, err)

    return run


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder: its path is short enough for a socket; there is no colour and no wide screen."""
    for name in ("COLUMNS", "FORCE_COLOR", "SERVICE_MONITORING_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as made:
        monkeypatch.chdir(made)
        yield Path(made)
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def configured(folder: Path) -> Path:
    """The folder with a configuration in it, and nothing stored."""
    (folder / "monitoring.yaml").write_text(FILE)
    return folder


class House:
    """A store in use: runs of checks are seen, and a desk answers."""

    def __init__(self, store: SqliteStore, monitor: Monitor) -> None:
        self.clock = SystemClock()
        self.cycle = Cycle(monitor, self.clock, capacity=100, owed=lambda owed: None, troubled=lambda sentence: None)
        vitals: dict[str, Any] = {"trouble": ()}
        self.keyring = Keyring(store, self.clock, new_key)
        self.access = StoreAccess(store, self.clock, new_secret)
        self.desk = StoreDesk(
            store,
            course=lambda: self.cycle.course,
            ask=self.cycle.ask,
            vitals=lambda: vitals,
            keyring=self.keyring,
        )

    async def see(self, observation: Observation, check: str = "health") -> None:
        await self.cycle.ask(Observed("shop", check, observation, self.clock.now()))


async def happen(house: House) -> None:
    """One incident that is over, and two that are open."""
    for observation in (FAILED, OK, FAILED):
        await house.see(observation)
    await house.see(FAILED, "stock")


async def inhabit(folder: Path, meanwhile: Callable[[House], Any]) -> None:
    settings = bootstrap.load(folder / "monitoring.yaml")
    async with await SqliteStore.open(with_tables(settings.store.path), SystemClock()) as store:
        house = House(store, await Monitor.resume(store))
        await house.keyring.load()
        await house.access.load()
        await house.cycle.start(Configured(settings.configuration))
        running = asyncio.create_task(house.cycle.run(lambda: None))
        await meanwhile(house)
        await house.cycle.stop()
        await running


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """A program with the folder open, in a thread with a loop of its own."""
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def live(house: House) -> None:
        await happen(house)
        loop = asyncio.get_running_loop()
        serving = asyncio.create_task(
            serve(for_the_owner(house.desk, access=house.access), folder / "data" / "control.sock", ready.set)
        )
        stop.append(lambda: loop.call_soon_threadsafe(serving.cancel))
        with suppress(asyncio.CancelledError):
            await serving

    thread = threading.Thread(target=lambda: asyncio.run(inhabit(folder, live)))
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        for each in stop:
            each()
        thread.join(20)


@pytest.fixture(params=["nobody", "a program"])
def lived_in(request: pytest.FixtureRequest, configured: Path) -> Iterator[Path]:
    """A folder with incidents in it, that nobody has open, or that a program has."""
    if request.param == "nobody":
        asyncio.run(inhabit(configured, happen))
        yield configured
        return
    with running(configured):
        yield configured
