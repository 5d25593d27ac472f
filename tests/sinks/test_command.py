"""The channel `command` with real programs: what each end of one means, and what a program gets to know."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from pydantic import ValidationError

from service_monitoring import processes
from service_monitoring.domain.notices import Page
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Answer, Later, Message, Rejected, Sink, Surroundings, Template, Uncertain
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks.command import VARIABLES, CommandSink, Kind, Options
from service_monitoring.sinks.content import FIELDS
from service_monitoring.testing.sink_laws import (
    SHORT,
    Behaviour,
    FarSide,
    NetworkSinkLaws,
    Received,
    a_deadline,
    a_digest,
    a_notice,
)

WORLD = Surroundings(SystemClock(), AddressPolicy())
_markers = count(os.getpid() * 1000)

# Keeps what it reads as a file that is there whole or not at all, and then ends as the file `behaviour` says.
PROGRAM = """
case $(cat "$1/behaviour") in
    hang) exec sleep "$2" ;;
esac
cat > "$1/$$.part" && mv "$1/$$.part" "$1/$NOTICE_KEY.$$"
case $(cat "$1/behaviour") in
    not_now) echo try again; exit 75 ;;
    never) echo no such pager; exit 1 ;;
    reset) kill -9 $$ ;;
esac
"""


def living(marker: str) -> int:
    """How many processes have this argument and are not dead yet."""
    found = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found += marker in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return found


async def gone(marker: str) -> bool:
    for _ in range(100):
        if not living(marker):
            return True
        await asyncio.sleep(0.01)
    return False


class Programs:
    """The far side is a program on this machine, and what it received lies in a folder."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder = folder
        self.marker = f"1000000.{next(_markers)}"
        command = ("sh", "-c", PROGRAM, "program", str(folder), self.marker)
        self.sink: Sink = kind.open_sink(Options(command=command), surroundings=WORLD)
        self.unreachable: Sink = kind.open_sink(Options(command=("sh", "-c", "exit 75")), surroundings=WORLD)
        self.behave(Behaviour.ACCEPT)

    @property
    def received(self) -> list[Received]:
        files = sorted(self.folder.glob("*.[0-9]*"), key=lambda path: path.stat().st_mtime_ns)
        return [Received(path.name.partition(".")[0], path.read_bytes()) for path in files if path.suffix != ".part"]

    @received.setter
    def received(self, received: list[Received]) -> None:
        raise NotImplementedError

    def behave(self, behaviour: Behaviour) -> None:
        (self.folder / "behaviour").write_text(behaviour.value)

    def connections(self) -> int:
        return living(self.marker)


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


class TestLaws(NetworkSinkLaws):
    @pytest.fixture
    async def far_side(self, kind: Kind, tmp_path: Path) -> FarSide:
        return Programs(tmp_path, kind)


def a_sink(kind: Kind, *command: str, **options: Any) -> CommandSink:
    return kind.open_sink(Options.model_validate({"command": command, **options}), surroundings=WORLD)


def a_shell(kind: Kind, script: str, **options: Any) -> CommandSink:
    return a_sink(kind, "sh", "-c", script, **options)


async def answer_to(sink: CommandSink) -> Answer:
    return await sink.send(sink.render(a_notice()), a_deadline())


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", Accepted("exit code 0")),
        ("echo sent as 42; exit 0", Accepted("exit code 0: sent as 42")),
        ("echo the modem is busy >&2; exit 75", Later("exit code 75: the modem is busy")),
        *((f"exit {code}", Rejected(f"exit code {code}")) for code in (1, 2, 64, 74, 76, 77, 126, 127, 255)),
        ("kill -SEGV $$", Uncertain("it was killed by SIGSEGV")),
        ("kill -40 $$", Uncertain("it was killed by signal 40")),
    ],
)
async def test_every_end_of_a_program_has_its_meaning(kind: Kind, script: str, expected: Answer) -> None:
    assert await answer_to(a_shell(kind, script)) == expected


async def test_a_program_reads_the_notice_and_is_told_its_keys(kind: Kind, tmp_path: Path) -> None:
    sink = a_shell(kind, "cat > object; env > variables", directory=tmp_path)
    notice = a_notice(page=Page.RECOVERED)
    assert isinstance(await sink.send(sink.render(notice), a_deadline()), Accepted)
    given = json.loads((tmp_path / "object").read_text())
    assert set(given) == set(FIELDS)
    assert (given["key"], given["page"], given["summary"]) == (notice.key, "recovered", "shop is down: timeout")
    variables = dict(line.split("=", 1) for line in (tmp_path / "variables").read_text().splitlines())
    assert {name: variables[name] for name in VARIABLES} == {
        "NOTICE_KEY": notice.key,
        "NOTICE_THREAD": notice.thread,
        "NOTICE_SUBJECT": "[recovered] shop.down: shop is down: timeout",
        "NOTICE_PAGE": "recovered",
        "NOTICE_SEVERITY": "critical",
    }


async def test_the_environment_is_clean_but_for_what_is_listed(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPS_TOKEN", "hidden")
    options = {"environment": {"STAGE": "test"}, "secret_environment": {"KEY": "of ours"}, "directory": tmp_path}
    assert isinstance(await answer_to(a_shell(kind, "env | cut -d= -f1 > names", **options)), Accepted)
    names = set((tmp_path / "names").read_text().split())
    assert names - {"PWD", "SHLVL", "_", "OLDPWD", "LANG", "LC_ALL"} == {"PATH", "STAGE", "KEY", *VARIABLES}


@pytest.mark.parametrize(
    "evil", ["$(touch owned)", "`touch owned`", "; touch owned", "' ; touch owned; '", "\x00\n\x1b[2J", "() { :;}; :"]
)
async def test_a_far_side_cannot_write_commands_variables_or_lines_into_a_program(
    kind: Kind, tmp_path: Path, evil: str
) -> None:
    sink = a_shell(kind, 'cat > object; printf %s "$NOTICE_SUBJECT" > subject', directory=tmp_path)
    message = sink.render(a_notice(summary="{{ detail }}", evidence=Evidence(detail=evil)))
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert {path.name for path in tmp_path.iterdir()} == {"object", "subject"}
    assert json.loads((tmp_path / "object").read_text())["detail"] == evil
    assert (tmp_path / "subject").read_text().isprintable()


async def test_arguments_are_not_read_by_a_shell(kind: Kind) -> None:
    answer = await answer_to(a_sink(kind, "printf", "%s/", "$HOME", "; exit 2", "`id`", "two words", "*"))
    assert answer == Accepted("exit code 0: $HOME/; exit 2/`id`/two words/*/")


async def test_a_program_is_told_what_may_be_done_in_the_words_of_the_channel(kind: Kind) -> None:
    offers = (("acknowledge", "https://monitor.example/act/abc"),)
    template = Template("{{ page }}", "{{ open }} of {{ group.service }}")
    world = Surroundings(SystemClock(), AddressPolicy(), links=lambda notice, channel: offers, template=template)
    sink = kind.open_sink(Options(command=("cat",)), surroundings=world)
    message = sink.render(a_digest("resolved", "open", "open", page=Page.UPDATED))
    told = json.loads(message.body)
    assert set(told) == set(FIELDS)
    assert (told["headline"], told["summary"], told["links"]) == ("updated", "2 of shop", dict(offers))
    assert (told["rule"], [other["state"] for other in told["others"]]) == ("slow", ["open", "resolved"])
    assert dict(message.headers)["NOTICE_SEVERITY"] == "warning"


async def test_a_program_may_leave_the_notice_unread(kind: Kind) -> None:
    sink = a_sink(kind, "true")
    message = msgspec.structs.replace(sink.render(a_notice()), body="x" * 1_000_000)
    assert isinstance(await sink.send(message, a_deadline()), Accepted)


async def test_a_long_notice_arrives_whole(kind: Kind, tmp_path: Path) -> None:
    sink = a_shell(kind, "cat > object", directory=tmp_path)
    message = msgspec.structs.replace(sink.render(a_notice()), body="x" * 1_000_000, subject="y" * 1_000_000)
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert (tmp_path / "object").stat().st_size == 1_000_000


async def test_a_message_of_the_builtin_text_can_be_sent_too(kind: Kind) -> None:
    sink = a_shell(kind, 'echo "$NOTICE_KEY: $(cat)"')
    answer = await sink.send(Message("k1", "t", "subject", "plain text"), a_deadline())
    assert answer == Accepted("exit code 0: k1: plain text")


async def test_one_that_hangs_and_forks_is_ended_with_all_it_started_and_may_have_told_somebody(kind: Kind) -> None:
    marker = f"1000000.{next(_markers)}"
    sink = a_shell(kind, f"trap '' TERM; sleep {marker} & setsid sleep {marker} & while :; do sleep {marker}; done")
    answer = await sink.send(sink.render(a_notice()), a_deadline(SHORT))
    assert answer == Uncertain("sh was ended: it took longer than 0.05 s")
    assert await gone(marker)


async def test_one_that_exits_takes_what_it_left_running_along(kind: Kind) -> None:
    marker = f"1000000.{next(_markers)}"
    assert await answer_to(a_shell(kind, f"sleep {marker} & echo sent")) == Accepted("exit code 0: sent")
    assert await gone(marker)


async def test_one_that_prints_without_end_is_stopped(kind: Kind) -> None:
    assert await answer_to(a_sink(kind, "yes")) == Uncertain("yes prints without end; it was stopped")


async def test_much_output_is_cut(kind: Kind) -> None:
    answer = await answer_to(a_shell(kind, f"head -c {2 * processes.KEPT} /dev/zero | tr '\\0' x; exit 1"))
    assert isinstance(answer, Rejected)
    assert len(answer.detail) == 300


async def test_what_it_prints_is_told_in_one_line_without_our_secrets(kind: Kind) -> None:
    script = r'printf "bad token %s\r\n\033[2Jnext line" "$TOKEN"; exit 1'
    answer = await answer_to(a_shell(kind, script, secret_environment={"TOKEN": "s3cret"}))
    assert answer == Rejected("exit code 1: bad token (secret)\\r \\x1b[2Jnext line")


async def test_a_message_and_options_show_no_secret(kind: Kind) -> None:
    options = Options.model_validate({"command": ["true"], "secret_environment": {"TOKEN": "s3cret"}})
    message = kind.open_sink(options, surroundings=WORLD).render(a_notice())
    assert "s3cret" not in f"{options!r} {options.model_dump_json()} {message!r}"


@pytest.mark.parametrize("program", ["/nowhere/page", "no-such-program", "/", "{folder}/not-executable"])
async def test_a_program_that_is_missing_or_none_is_refused_at_once(kind: Kind, tmp_path: Path, program: str) -> None:
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    answer = await answer_to(a_sink(kind, program.format(folder=tmp_path)))
    assert isinstance(answer, Rejected)
    assert "cannot be started" in answer.detail


@contextmanager
def no_files_left() -> Iterator[None]:
    """This process may open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_machine_without_room_is_asked_again_later(kind: Kind) -> None:
    sink = a_sink(kind, "true")
    assert isinstance(await answer_to(sink), Accepted)
    with no_files_left():
        answer = await answer_to(sink)
    assert isinstance(answer, Later), answer


async def test_programs_gain_no_privileges_unless_that_is_allowed(kind: Kind) -> None:
    look = ("awk", "/NoNewPrivs/ {print $2}", "/proc/self/status")
    assert await answer_to(a_sink(kind, *look)) == Accepted("exit code 0: 1")
    assert await answer_to(a_sink(kind, *look, new_privileges="allow")) == Accepted("exit code 0: 0")


async def test_one_that_hangs_delays_no_other(kind: Kind) -> None:
    marker = f"1000000.{next(_markers)}"
    hanging = [asyncio.ensure_future(answer_to(a_sink(kind, "sleep", marker))) for _ in range(6)]
    while living(marker) < 6:
        await asyncio.sleep(0.005)
    assert isinstance(await answer_to(a_sink(kind, "true")), Accepted)
    for each in hanging:
        each.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert await gone(marker)


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": "notify-send hello"},
        {"command": []},
        {"command": ["echo", "a\0b"]},
        {"command": ["true"], "environment": {"A B": "1"}},
        {"command": ["true"], "new_privileges": "some"},
        {"command": ["true"], "shell": True},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)
