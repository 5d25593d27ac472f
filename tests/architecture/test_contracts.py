"""The design as tests: who may import whom, who reads time, who waits.

Each test is a sentence of the design and takes the source tree that it judges, so that `test_leaks_turn_red` can hand
it a copy with a leak. Knows module names and syntax trees; must not import the program it judges.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "service_monitoring"
CLOCK = "runtime/clock.py"
SIMULATED_CLOCK = "testing/clock.py"

_TIME = re.compile(r"time\.(?!struct_time$|strptime$)\w+")
_CALENDAR = re.compile(r"(datetime|whenever)\.(\w+\.)?(now|today|utcnow|now_in_system_tz|today_in_system_tz)")
_SPAWNS = re.compile(
    r"asyncio\.(sleep|create_task|loop\.create_task|ensure_future|TaskGroup|(\w+\.)?run_coroutine_threadsafe)"
)
_TIMEOUTS = re.compile(r"asyncio\.(timeout|timeout_at|wait_for)")
_DICE = re.compile(r"(random|secrets|uuid|numpy\.random|os\.urandom)(\.\w+)*")
# A database's clock is a clock. clock_timestamp() is not named here: leases are judged by it, on purpose.
_SQL_CLOCK = re.compile(r"\bCURRENT_(TIMESTAMP|TIME|DATE)\b|\bnow\s*\(|'now'|\blocaltimestamp\b", re.IGNORECASE)
_SQL_FUNCTIONS = re.compile(
    r"sqlalchemy\.(\w+\.)*func\.(now|current_timestamp|current_time|current_date|localtimestamp)"
)
_SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:\s*no cover)\b(.*)")
_CODES = re.compile(r"\[[\w, -]*\]|[A-Z]+\d+")


@pytest.fixture
def source(project: Path) -> Path:
    return project / "src"


def contract(name: str, source: Path) -> None:
    """Check one import-linter contract of pyproject.toml against the package under `source`."""
    environment = os.environ | {"PYTHONPATH": str(source)}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache", "--contract", name]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Module(NamedTuple):
    """What the checks look at in a module; without the syntax tree, of which there would be hundreds."""

    mentions: tuple[tuple[int, str], ...]
    texts: tuple[tuple[int, str], ...]
    """Its strings that are no documentation."""
    silent: bool
    """Whether it has something in it, and does not say what."""


@cache
def looked_at(text: str, name: str) -> Module:
    """A module, looked at once: a copy with a leak differs from the sources in one of them."""
    tree = ast.parse(text, filename=name)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = tuple(
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    )
    return Module(tuple(mentions(tree)), texts, bool(tree.body) and ast.get_docstring(tree) is None)


def modules(source: Path, *rooms: str) -> Iterator[tuple[str, Module]]:
    """The modules of some rooms, or of all: path within the package, and what there is in them."""
    package = source / PACKAGE
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not rooms or name.split("/")[0].removesuffix(".py") in rooms:
            yield name, looked_at(path.read_text(encoding="utf-8"), name)


def mentions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every dotted name in the tree, written out as imported: `from datetime import datetime as d; d.now` is
    `datetime.datetime.now`. A method of the running loop appears as `asyncio.loop.<method>`.
    """
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    names[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            case ast.ImportFrom(module=str(module), names=aliases):
                names |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in aliases}
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in aliases)
            case _:
                pass
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and (dotted := _dotted(node, names)):
            yield node.lineno, dotted


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    match node:
        case ast.Name(id=name):
            return names.get(name) or ("asyncio.loop" if name == "loop" else None)
        case ast.Attribute(value=value, attr=attribute):
            if attribute in {"loop", "_loop"}:
                return "asyncio.loop"
            owner = _dotted(value, names)
            return f"{owner}.{attribute}" if owner else None
        case ast.Call(func=function):
            called = _dotted(function, names)
            return "asyncio.loop" if called in {"asyncio.get_running_loop", "asyncio.get_event_loop"} else None
        case _:
            return None


def no(leaks: list[str]) -> None:
    """Fail with all of them, one a line."""
    assert not leaks, "\n".join(["", *leaks])


def found(those: Iterator[tuple[str, Module]], pattern: re.Pattern[str], *, owners: tuple[str, ...]) -> list[str]:
    """Where a dotted name of this pattern is mentioned by somebody who does not own it."""
    return [
        f"{name}:{line}: {dotted}"
        for name, module in those
        if not name.startswith(owners)
        for line, dotted in module.mentions
        if pattern.fullmatch(dotted)
    ]


def time_reads(those: Iterator[tuple[str, Module]], *, owners: tuple[str, ...]) -> list[str]:
    """Every reading of a clock of this machine."""
    pattern = re.compile(f"{_TIME.pattern}|{_CALENDAR.pattern}|asyncio\\.loop\\.time")
    return found(those, pattern, owners=owners)


def test_rooms_import_only_downwards(source: Path) -> None:
    contract("layers", source)


def test_the_domain_imports_no_clock_and_no_loop(source: Path) -> None:
    contract("domain", source)


def test_only_the_clock_imports_time(source: Path) -> None:
    contract("clock", source)


def test_calendars_are_known_to_the_calendar_alone(source: Path) -> None:
    contract("calendar", source)


def test_asyncio_is_unknown_outside_the_waiting_rooms(source: Path) -> None:
    contract("waiting", source)


def test_a_rehearsal_cannot_reach_the_outside(source: Path) -> None:
    contract("outside", source)


def test_a_rehearsal_reaches_no_clock_thread_or_dice(source: Path) -> None:
    contract("rehearsal", source)


def test_only_checks_and_channels_start_programs(source: Path) -> None:
    contract("processes", source)


def test_only_storage_speaks_sql(source: Path) -> None:
    contract("storage", source)


def test_nobody_but_the_clock_reads_time(source: Path) -> None:
    # libcurl asks for a timer, which is set on the loop by the loop's own time; nothing is decided by it.
    no(time_reads(modules(source), owners=(CLOCK, "sources/curl.py")))


def test_views_and_storage_read_no_clock(source: Path) -> None:
    leaks = time_reads(modules(source, "views", "storage"), owners=())
    leaks += found(modules(source, "views", "storage"), _SQL_FUNCTIONS, owners=())
    leaks += [
        f"{name}:{line}: {text}"
        for name, module in modules(source, "views", "storage")
        for line, text in module.texts
        if _SQL_CLOCK.search(text)
    ]
    no(leaks)


def test_only_the_runtime_sleeps_or_spawns(source: Path) -> None:
    # The kits of `testing` are tests themselves; the demonstration plays a world of its own beside the program; who
    # serves ends the handshakes that have not ended when it does.
    no(found(modules(source), _SPAWNS, owners=("runtime/", "testing/", "cli/demo/", "web/serve.py")))


def test_only_who_is_given_a_deadline_times_out(source: Path) -> None:
    # The laws of Source and Sink ask them to end by their deadline and to say what it cut short; and a program that is
    # ended gets a moment to end politely. Whoever signs in is not kept waiting by the provider of his account.
    owners = ("runtime/", "sources/", "sinks/", "brokers/", "processes.py", "web/oidc.py")
    no(found(modules(source), _TIMEOUTS, owners=owners))


def test_nobody_rolls_dice(source: Path) -> None:
    # Retries are spread by dice that the composition root hands to the deliverer, which hands their number on; keys are
    # made where it wires parts, and handed in.
    no(found(modules(source), _DICE, owners=("bootstrap/program.py", "bootstrap/wiring.py")))


def test_every_suppression_gives_its_reason(source: Path) -> None:
    # The reason stands behind the code of the rule, or in a comment above the lines that it excuses.
    bare = []
    for path in sorted([*source.rglob("*.py"), *Path(__file__).parents[1].rglob("*.py")]):
        explained = path == Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if suppression := _SUPPRESSION.search(line):
                if not explained and not re.search(r"\w{3}", _CODES.sub("", suppression[1])):
                    bare.append(f"{path}:{number}: {line.strip()}")
            elif path != Path(__file__):
                explained = line.lstrip().startswith("# ")
    no(bare)


def test_every_module_says_what_it_knows(source: Path) -> None:
    no([name for name, module in modules(source) if module.silent])
