"""What every test lives under: async tests just work, time is simulated, nobody outside is spoken to, CI skips nothing.

`async def test_...` needs no mark: anyio's plugin runs it (anyio_mode = auto), on asyncio. Hypothesis has three
profiles: `quick`, with CI=true `ci`, and for `make laws` `long`. Must not know any room of the program: builders are in
`service_monitoring.testing`.
"""

import asyncio
import gc
import ipaddress
import os
import sys
import time
from asyncio.base_events import BaseEventLoop
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

IN_CI = os.environ.get("CI") == "true"
LONGEST_SLEEP = 0.05
# Here programs run on the real clock; everywhere else a test that must wait says why: @pytest.mark.real_time("...").
ON_REAL_TIME = {"browser", "docs", "faults", "journeys"}
"""Folders whose tests run one at a time: in each something comes at its time."""
PATIENT = "tests/journeys/test_example.py"
GROUPS = ["patience", "faults", "journeys", "docs", "browser"]
"""What is begun first, because it takes longest; `patience` is for tests that wait for minutes and compute nothing."""

hypothesis.settings.register_profile("quick", max_examples=30, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=30, deadline=None, print_blob=True)
hypothesis.settings.register_profile("long", max_examples=500, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "quick"))


@pytest.fixture(autouse=True)
def logs_are_as_before() -> Iterator[None]:
    """Whoever configures logs writes to where this test is captured, which is closed when the next one logs."""
    yield
    if "structlog" in sys.modules:
        sys.modules["structlog"].reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The loop of the async tests: the one that the program runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def unit_tests_do_not_sleep(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse real sleeps above 50 ms. Loops of simulated time override `time()` and may sleep as long as they like."""
    if any(part in ON_REAL_TIME for part in request.path.parts) or request.node.get_closest_marker("real_time"):
        return
    sleep, sleep_in_loop = time.sleep, asyncio.sleep

    def short_sleep(seconds: float, /) -> None:
        _refuse(seconds)
        sleep(seconds)

    async def short_sleep_in_loop(delay: float, result: Any = None) -> Any:
        if type(asyncio.get_running_loop()).time is BaseEventLoop.time:
            _refuse(delay)
        return await sleep_in_loop(delay, result)

    monkeypatch.setattr(time, "sleep", short_sleep)
    monkeypatch.setattr(asyncio, "sleep", short_sleep_in_loop)


def _refuse(seconds: float) -> None:
    if seconds > LONGEST_SLEEP:
        pytest.fail(
            f"a unit test slept {seconds} s on the real clock: simulate time, or mark it real_time with the reason"
        )


class _Loopback:
    """Keeps the suite on this machine: Python may connect nowhere else. Drills bring networks of their own."""

    def __init__(self) -> None:
        self.enforced = True

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect" and self.enforced and isinstance(args[1], tuple):
            try:
                address = ipaddress.ip_address(str(args[1][0]).partition("%")[0])
            except ValueError:
                return  # a name: it is resolved first, and the address comes by here again
            if not (address.is_loopback or address.is_unspecified):
                raise PermissionError(f"tests speak to this machine only, not to {address}")


_LOOPBACK = _Loopback()
sys.addaudithook(_LOOPBACK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let fault drills leave the loopback: the networks they make are on this machine, too."""
    _LOOPBACK.enforced = "faults" not in item.path.parts
    return (yield)


_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what was skipped. An expected failure (xfail) did run."""
    if report.skipped and not hasattr(report, "wasxfail") and "recorded_data" not in report.keywords:
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note modules that were skipped whole."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: what a new machine lacks, .ci/packages or the locks must bring.

    Recorded data of others, which no package brings, is the exception.
    """
    if IN_CI and _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what CI does not accept."""
    if IN_CI and _skipped:
        terminalreporter.section("skipped, which CI does not accept")
        for name in _skipped:
            terminalreporter.line(name)


def pytest_sessionstart() -> None:
    """What is imported and collected now stays until the end: to look for garbage in it is in vain."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage, and nothing else is looked through for it."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A real-time mark states its reason. Groups come first: one that is begun last is waited for by everybody."""
    for item in items:
        mark = item.get_closest_marker("real_time")
        if mark is not None and not mark.args:
            raise pytest.UsageError(f"{item.nodeid}: real_time needs its reason")
    items.sort(key=lambda item: GROUPS.index(_group(item.nodeid)) if _group(item.nodeid) else len(GROUPS))


def _group(nodeid: str) -> str:
    """The group of a test, or nothing."""
    if nodeid.startswith(PATIENT):
        return "patience"
    return next((part for part in Path(nodeid.partition("::")[0]).parts if part in ON_REAL_TIME), "")


class InGroups(LoadScopeScheduling):  # type: ignore[misc]  # xdist comes without types
    """Gives each worker a test at a time, and of a group one after the other to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InGroups:
    """Which worker runs what."""
    return InGroups(config, log)


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout's root."""
    return Path(__file__).parents[1]
