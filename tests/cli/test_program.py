"""The program as its users start it: quick help, exit codes, pipes and words that are not understood."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service_monitoring.cli import BAD_ANSWER, DONE, REFUSED, UNAVAILABLE, UNUSABLE, USAGE, silences
from service_monitoring.views.silences import EVERY_SILENCE
from tests.cli.conftest import FILE, Command, running

PROGRAM = [sys.executable, "-m", "service_monitoring"]
HEAVY = {"numpy", "fastapi", "sqlalchemy", "pydantic", "aiohttp", "pycurl", "uvicorn", "alembic", "jinja2", "yaml"}
COMMANDS = [
    *("init", "run", "demo", "validate", "schema", "check", "status", "doctor", "backup", "restore"),
    *("pings", "ping", "wrap"),
]
EVERY_HELP = [
    *[(each,) for each in COMMANDS],
    *[("incidents", each) for each in ("list", "show", "ack", "snooze", "resolve", "assign", "note")],
    ("rules", "retire"),
    *[("notify", each) for each in ("test", "preview")],
    *[("keys", each) for each in ("create", "list", "rotate", "revoke")],
    *[("users", each) for each in ("add", "list", "role", "password", "disable", "enable", "remove")],
    *[("tokens", each) for each in ("create", "list", "revoke")],
    *[("audit", each) for each in ("list", "verify")],
]


def program(
    *arguments: str, folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    names = {"PATH": os.environ["PATH"], "USER": "ada", "HOME": str(folder)} | (environment or {})
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=folder, env=names, capture_output=True, text=True, timeout=50, check=False
    )


def after(folder: Path, commands: list[tuple[str, ...]], names: dict[str, str]) -> tuple[str, str, set[str]]:
    """What these commands print and complain of, which end well in one process, and the modules loaded by then."""
    script = f"""
import json, sys
from service_monitoring.cli import main
for words in {commands!r}:
    sys.argv = ["service-monitoring", *words]
    out = sys.stdout
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, (words, end.code)
    sys.stdout = out
sys.stderr.write("\\n" + json.dumps(sorted(sys.modules)))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=names, capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 0, ended.stderr
    complaints, _, loaded = ended.stderr.rpartition("\n")
    return ended.stdout, complaints, set(json.loads(loaded))


def helped(folder: Path, commands: list[tuple[str, ...]]) -> set[str]:
    """The modules that are loaded after the help of these commands."""
    printed, complaints, loaded = after(folder, [(*words, "--help") for words in commands], {"COLUMNS": "80"})
    assert not complaints
    assert printed.count("Usage:") == len(commands)
    assert max(map(len, printed.splitlines())) <= 80
    return loaded


def ours(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.startswith("service_monitoring.")}


def test_help_loads_nothing_heavy(folder: Path) -> None:
    loaded = helped(folder, [()])
    assert loaded & HEAVY == set()
    assert ours(loaded) == {"service_monitoring.cli", "service_monitoring.cli.app", "service_monitoring.errors"}


def test_the_help_of_a_command_loads_none_of_what_the_command_needs(folder: Path) -> None:
    loaded = helped(folder, EVERY_HELP)
    # typer itself reads the options of a command with pydantic.
    assert loaded & HEAVY == {"pydantic"}
    assert ours(loaded) == {"service_monitoring.cli", "service_monitoring.cli.app", "service_monitoring.errors"}


def loaded_by(folder: Path, *commands: tuple[str, ...]) -> set[str]:
    """The modules that are loaded after these commands."""
    names = {"PATH": os.environ["PATH"], "USER": "ada", "HOME": str(folder)}
    return after(folder, list(commands), names)[2]


@pytest.mark.real_time("uvicorn looks around ten times a second")
def test_a_command_that_a_running_program_answers_loads_nothing_of_the_program(folder: Path) -> None:
    configured(folder)
    lists = [(each, "list", "--json") for each in ("incidents", "silence", "outbox", "keys", "users", "tokens")]
    with running(folder):
        loaded = loaded_by(folder, *lists)
    # typer itself reads lists of options with pydantic, and the file says where the data folder is.
    assert loaded & (HEAVY | {"asyncio", "rich"}) - {"pydantic", "yaml"} == set()
    rooms = {name.split(".")[1] for name in ours(loaded)}
    assert rooms & {"storage", "web", "sinks", "sources", "plugins", "application", "rehearsal", "wire"} == set()


def test_a_valid_file_is_found_to_be_so_without_what_a_channel_sends_with(folder: Path) -> None:
    hook = '  hook: {webhook: "https://hooks.example.com/services/a"}\n'
    (folder / "monitoring.yaml").write_text(FILE.replace("channels:\n", "channels:\n" + hook))
    loaded = loaded_by(folder, ("validate",))
    assert "service_monitoring.sinks.webhook" in loaded
    assert loaded & {"aiohttp", "fastapi", "uvicorn", "sqlalchemy", "alembic", "rich"} == set()


def test_a_rehearsal_of_a_foreign_past_loads_no_more_than_it_steps_through(folder: Path) -> None:
    hook = '  hook: {webhook: "https://hooks.example.com/services/a"}\n'
    plain = FILE.replace('        summary: "{{ service }} is down: {{ reason }}"\n', "")
    (folder / "monitoring.yaml").write_text(plain.replace("channels:\n", "channels:\n" + hook))
    rows = [f"2026-01-05T12:0{minute}:00Z,shop,health,up,1" for minute in range(5)]
    (folder / "past.csv").write_text("\n".join(["at,service,check,metric,value", *rows]) + "\n")
    rehearse = ("rehearse", "monitoring.yaml", "--history", "past.csv", "--ledger", "ledger.jsonl", "--json")
    loaded = loaded_by(folder, rehearse)
    assert "service_monitoring.domain.course" in loaded
    libraries = {"aiohttp", "fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "jinja2", "rich"}
    assert loaded & (libraries | {"multiprocessing", "http.client", "urllib.request"}) == set()
    assert not any(name.startswith(("service_monitoring.web", "service_monitoring.runtime")) for name in loaded)


def test_a_list_of_silences_has_as_many_as_the_views_give_at_once() -> None:
    assert EVERY_SILENCE.limit == silences.MOST


def nothing(folder: Path) -> None:
    """An empty folder."""


def configured(folder: Path) -> None:
    (folder / "monitoring.yaml").write_text(FILE)


def complained(folder: Path) -> None:
    (folder / "monitoring.yaml").write_text("services: {shop: {chekcs: {}}}\n")


def damaged(folder: Path) -> None:
    configured(folder)
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "facts.db").write_bytes(b"this is no database" * 1000)


EXIT_CODES = [
    (nothing, ("--version",), DONE),
    (nothing, ("incidents", "--help"), DONE),
    (nothing, ("schema",), DONE),
    (nothing, ("init", "http://127.0.0.1:1/"), DONE),
    (configured, ("validate",), DONE),
    (configured, ("incidents", "list"), DONE),
    (complained, ("validate",), BAD_ANSWER),
    (configured, ("check", "shop.health"), BAD_ANSWER),
    (configured, ("status", "--check"), BAD_ANSWER),
    (nothing, ("doctor",), BAD_ANSWER),
    (nothing, ("frobnicate",), USAGE),
    (nothing, ("incidents", "frobnicate"), USAGE),
    (nothing, ("validate", "--frobnicate"), USAGE),
    (configured, ("incidents", "list", "--limit", "0"), USAGE),
    (configured, ("incidents", "list", "--state", "asleep"), USAGE),
    (configured, ("rules", "retire", "shop.down"), USAGE),
    (nothing, ("init",), USAGE),
    (damaged, ("incidents", "list"), UNUSABLE),
    (configured, ("reload",), UNAVAILABLE),
    (complained, ("reload",), UNAVAILABLE),
    (nothing, ("reload",), REFUSED),
    (configured, ("keys", "list"), DONE),
    (configured, ("keys", "create", "shop.backup"), DONE),
    (configured, ("pings", "shop.backup"), DONE),
    (configured, ("keys", "create", "shop.health"), REFUSED),
    (configured, ("keys", "rotate", "shop.backup"), REFUSED),
    (configured, ("keys", "revoke", "shop.backup"), REFUSED),
    (nothing, ("ping", "key", "--start", "--fail"), USAGE),
    (nothing, ("ping", "key", "--exit-code", "256"), USAGE),
    (nothing, ("ping", "key", "--run", "a_b"), REFUSED),
    (nothing, ("ping", "ftp://127.0.0.1/ping/key"), REFUSED),
    (nothing, ("wrap", "--", "true"), USAGE),
    (nothing, ("wrap", "--key", "a", "--url", "http://127.0.0.1/b", "--", "true"), USAGE),
    (configured, ("incidents", "show", "abc"), REFUSED),
    (configured, ("notify", "test", "log"), DONE),
    (configured, ("notify", "preview", "log"), DONE),
    (configured, ("notify", "test", "nobody"), REFUSED),
    (configured, ("notify", "preview", "log", "--incident", "abc"), REFUSED),
    (configured, ("restore", "nothing.zip"), REFUSED),
]


@pytest.mark.parametrize(
    ("prepare", "arguments", "code"), EXIT_CODES, ids=lambda each: each if isinstance(each, int) else None
)
def test_the_exit_code_says_how_it_ended(
    folder: Path, command: Command, prepare: Callable[[Path], None], arguments: tuple[str, ...], code: int
) -> None:
    prepare(folder)
    ended = command(*arguments)
    assert ended.code == code, ended.out + ended.err
    assert "Traceback" not in ended.err
    if code not in {DONE, BAD_ANSWER}:
        assert ended.out == "" and ended.err


@pytest.mark.parametrize(("prepare", "code"), [(nothing, REFUSED), (complained, REFUSED), (damaged, UNUSABLE)])
def test_a_run_that_cannot_begin_says_why_in_its_exit_code(
    folder: Path, prepare: Callable[[Path], None], code: int
) -> None:
    prepare(folder)
    ended = program("run", folder=folder)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.real_time("uvicorn looks around ten times a second")
def test_a_second_program_on_the_folder_is_refused_naming_the_first(folder: Path) -> None:
    configured(folder)
    with running(folder):
        ended = program("run", folder=folder)
    assert ended.returncode == UNAVAILABLE
    assert str(os.getpid()) in ended.stderr and "Traceback" not in ended.stderr


def test_an_act_needs_somebody_who_does_it(folder: Path) -> None:
    configured(folder)
    ended = program("incidents", "ack", "abc", folder=folder, environment={"USER": ""})
    assert ended.returncode == USAGE and "--by" in ended.stderr


@pytest.mark.parametrize("arguments", [("schema",), ("--help",)])
def test_a_reader_that_has_seen_enough_is_no_fault(folder: Path, arguments: tuple[str, ...]) -> None:
    configured(folder)
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*PROGRAM, *arguments], cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writing)
        os.close(reading)  # before anything is written
        _, err = process.communicate(timeout=50)
    assert (process.returncode, err) == (0, "")


def test_a_full_device_under_the_output_is_said(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*PROGRAM, "schema"], cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=50, check=False
        )
    assert ended.returncode == UNAVAILABLE
    assert ended.stderr.startswith("service-monitoring: ") and "Traceback" not in ended.stderr


def test_output_is_plain_in_a_pipe_and_coloured_when_wanted(folder: Path) -> None:
    configured(folder)
    assert "\x1b" not in program("doctor", folder=folder).stdout
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "\x1b[" in program("status", folder=folder, environment=forced).stdout
    assert "\x1b[33m" not in program("status", folder=folder, environment=forced | {"NO_COLOR": "1"}).stdout


def test_an_output_that_is_not_utf_8_is_no_fault(folder: Path) -> None:
    (folder / "monitoring.yaml").write_text(FILE.replace("shop:", "shöp:"), encoding="utf-8")
    ended = program(
        "validate", folder=folder, environment={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    )
    assert ended.returncode == BAD_ANSWER and "Traceback" not in ended.stderr
