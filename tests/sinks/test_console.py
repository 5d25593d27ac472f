"""The console prints one line a notice, harmless to any terminal, and never waits for whoever reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from pydantic import ValidationError

from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Later, Rejected, Sink, Surroundings, Template
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks.console import LONGEST_LINE, Console, Kind, Options, to_standard_output
from service_monitoring.testing.sink_laws import Behaviour, FarSide, Received, SinkLaws, a_deadline, a_notice

WORLD = Surroundings(SystemClock(), AddressPolicy())


class Paper:
    """Takes lines. The key of a notice is not printed: the test looks it up by the notice's text."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.keys: dict[str, str] = {}
        self.sink: Sink = Keyed(self)
        self.unreachable: Sink = self.sink

    def write(self, line: str) -> None:
        self.received.append(Received(self.keys[line], line.encode()))

    def behave(self, behaviour: Behaviour) -> None:
        assert behaviour is Behaviour.ACCEPT

    def connections(self) -> int:
        return 0


class Keyed(Console):
    """Notes whose line it prints."""

    def __init__(self, paper: Paper) -> None:
        super().__init__(paper.write)
        self._paper = paper

    async def send(self, message, deadline):  # type: ignore[no-untyped-def] # as the port says
        self._paper.keys[f"{message.body}\n"] = message.key
        return await super().send(message, deadline)


class TestLaws(SinkLaws):
    @pytest.fixture
    async def far_side(self) -> FarSide:
        return Paper()


def printed(lines: list[str]) -> Console:
    return Kind(lines.append).open_sink(Options(console=True), surroundings=WORLD)


async def test_a_notice_is_one_line_with_its_instant_and_runbook() -> None:
    lines: list[str] = []
    sink = printed(lines)
    assert await sink.send(sink.render(a_notice()), a_deadline()) == Accepted()
    assert lines == ["2026-01-05T09:00:15Z [critical] shop.down: shop is down: timeout - https://wiki.example/down\n"]


async def test_a_line_is_in_the_channels_own_words_where_it_has_any() -> None:
    lines: list[str] = []
    world = msgspec.structs.replace(WORLD, template=Template("{{ service }}", "{{ summary }}\n{{ rule }}"))
    sink = Kind(lines.append).open_sink(Options(console=True), surroundings=world)
    assert await sink.send(sink.render(a_notice()), a_deadline()) == Accepted()
    assert lines == ["2026-01-05T09:00:15Z shop - shop is down: timeout down\n"]


async def test_nothing_that_a_far_side_says_can_move_the_cursor_or_begin_a_line() -> None:
    lines: list[str] = []
    sink = printed(lines)
    evil = Evidence(detail="\x1b]0;title\x07\x1b[2J\r\nroot logged in\u202e\x9b31m")
    await sink.send(sink.render(a_notice(summary="down: {{ detail }}", evidence=evil)), a_deadline())
    (line,) = lines
    assert line.rstrip("\n").isprintable()
    assert line.count("\n") == 1


async def test_a_long_line_is_cut_to_what_a_pipe_takes_at_once() -> None:
    lines: list[str] = []
    sink = printed(lines)
    await sink.send(sink.render(a_notice(summary="é" * 8000)), a_deadline())
    assert LONGEST_LINE - 2 <= len(lines[0].encode()) <= LONGEST_LINE + 1


@contextmanager
def standard_output(into: int) -> Iterator[None]:
    """`into` in the place of standard output."""
    saved = os.dup(1)
    os.dup2(into, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def piped() -> Iterator[int]:
    """A pipe in the place of standard output: the end to read from."""
    reading, writing = os.pipe()
    with standard_output(writing):
        os.close(writing)
        yield reading
    with suppress(OSError):
        os.close(reading)


async def test_by_default_it_prints_on_standard_output() -> None:
    with piped() as reading:
        sink = Kind().open_sink(Options(console=True), surroundings=WORLD)
        answer = await sink.send(sink.render(a_notice()), a_deadline())
        line = os.read(reading, 4096)
    assert isinstance(answer, Accepted)
    assert line.endswith(b"https://wiki.example/down\n")


async def test_a_pipe_that_nobody_reads_is_later_and_does_not_stop_the_program() -> None:
    sink = Console(to_standard_output)
    message = sink.render(a_notice())
    with piped() as reading:
        answers = [await sink.send(message, a_deadline()) for _ in range(1000)]
        os.read(reading, 65536)
        afterwards = await sink.send(message, a_deadline())
    assert isinstance(answers[0], Accepted)
    assert isinstance(answers[-1], Later)
    assert isinstance(afterwards, Accepted)


async def test_an_output_that_is_closed_is_never() -> None:
    sink = Console(to_standard_output)
    with piped() as reading:
        os.close(reading)
        answer = await sink.send(sink.render(a_notice()), a_deadline())
    assert isinstance(answer, Rejected)


async def test_a_file_is_an_output_too(tmp_path: Path) -> None:
    sink = Console(to_standard_output)
    with (tmp_path / "log").open("wb") as file, standard_output(file.fileno()):
        answer = await sink.send(sink.render(a_notice()), a_deadline())
    assert isinstance(answer, Accepted)
    assert (tmp_path / "log").read_text().count("\n") == 1


@pytest.mark.parametrize("options", [{"console": False}, {"console": "yes"}, {}, {"console": True, "colour": True}])
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(options)
