"""Silences and planned work at the command line: over the socket of a program, and on the store where none runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from service_monitoring.domain.instants import HOUR, Instant
from tests.cli.conftest import FILE, Command

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")


def listed(command: Command, *arguments: str) -> list[dict[str, Any]]:
    said = command("silence", "list", "--json", *arguments)
    assert said.code == 0, said.err
    rows: list[dict[str, Any]] = json.loads(said.out)
    return rows


def test_a_silence_is_added_listed_and_ended_by_name(lived_in: Path, command: Command) -> None:
    said = command(
        "silence", "add", "service=shop", 'rule=~"em.*"', "--for", "1h", "--comment", "deploy", "--by", "eve"
    )
    assert said.code == 0, said.err
    (row,) = listed(command)
    assert said.out.startswith(f"Silenced {' '.join(row['matchers'])} by eve until ") and row["id"] in said.out
    assert (row["state"], row["author"], row["comment"]) == ("active", "eve", "deploy")
    assert Instant.parse(row["ends"]).since(Instant.parse(row["begins"])) == HOUR
    said = command("silence", "list")
    assert "deploy (eve)" in said.out and "until " in said.out and max(map(len, said.out.splitlines())) <= 80
    said = command("silence", "expire", row["id"][:8])
    assert (said.code, said.out.startswith(f"Ended {row['id']}")) == (0, True)
    assert listed(command) == []
    (ended,) = listed(command, "--ended")
    assert (ended["state"], ended["expired_by"]) == ("ended", "ada")
    said = command("silence", "list", "--ended")
    assert "ended by ada" in said.out
    said = command("silence", "expire", row["id"])
    assert said.code == 5 and "ended at" in said.err


def test_a_silence_may_begin_later_and_end_at_an_instant(lived_in: Path, command: Command) -> None:
    times = ("--from", "2100-01-01T00:00:00Z", "--until", "2100-01-02T00:00:00+01:00")
    said = command("silence", "add", "service=shop", *times, "--comment", "far away", "--json")
    assert said.code == 0, said.err
    row = json.loads(said.out)
    assert (row["state"], row["ends"]) == ("pending", "2100-01-01T23:00:00.000000000Z")


def test_a_preview_shows_what_would_be_silenced_and_a_dry_run_does_the_same(lived_in: Path, command: Command) -> None:
    said = command("silence", "preview", "rule=down")
    assert said.code == 0, said.err
    assert said.out.startswith('rule="down" matches 1 open incident.')
    assert "In the last week it matched 1 incident that ended." in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    dry = command("silence", "add", "rule=down", "--for", "1h", "--comment", "-", "--dry-run", "--json")
    answer = json.loads(dry.out)
    assert [row["state"] for row in answer["now"]] == ["open"]
    assert [row["state"] for row in answer["lately"]] == ["open", "resolved"]
    assert listed(command, "--ended") == []


def test_what_can_be_no_silence_is_told(lived_in: Path, command: Command) -> None:
    for arguments, code, why in (
        (["shop", "--for", "1h"], 5, "is not a matcher"),
        (["rule=~(", "--for", "1h"], 5, "not a pattern"),
        (["rule!=down", "--for", "1h"], 5, "silence everything"),
        (["rule=down", "--for", "soon"], 5, "is not a duration"),
        (["rule=down", "--for", "0"], 5, "ended before it begins"),
        (["rule=down", "--until", "tomorrow"], 5, "is not an instant"),
        (["rule=down", "--until", "2020-01-01T00:00:00Z"], 5, "ended before it begins"),
        (["rule=down"], 2, "--for and --until"),
        (["rule=down", "--for", "1h", "--until", "2100-01-01T00:00:00Z"], 2, "--for and --until"),
        (["--for", "1h"], 2, "MATCHER"),
    ):
        said = command("silence", "add", *arguments, "--comment", "-")
        assert (said.code, said.out) == (code, ""), arguments
        assert why in said.err and "Traceback" not in said.err, arguments
    assert listed(command, "--ended") == []


def test_a_silence_needs_a_word_about_why(lived_in: Path, command: Command) -> None:
    said = command("silence", "add", "rule=down", "--for", "1h", "--comment", " ")
    assert said.code == 5 and "--comment" in said.err


@pytest.mark.parametrize("id", ["", "zz", "0" * 16])
def test_an_id_must_name_a_silence(lived_in: Path, command: Command, id: str) -> None:
    said = command("silence", "expire", id)
    assert said.code == 5 and "there is no silence" in said.err


def test_nothing_is_silenced_where_no_program_ever_ran(configured: Path, command: Command) -> None:
    assert command("silence", "list").out == "No silences.\n"
    assert listed(command) == []
    assert command("silence", "add", "rule=down", "--for", "1h", "--comment", "-").code == 4
    assert command("silence", "preview", "rule=down").code == 5
    assert command("silence", "expire", "0123").code == 5
    assert not (configured / "data").exists()


def test_planned_work_is_listed_as_windows_in_order(configured: Path, command: Command) -> None:
    (configured / "monitoring.yaml").write_text(
        FILE
        + "maintenance:\n"
        + "  - {name: restart, match: {service: shop}, weekly: Sun 03:00, lasts: 1h, comment: planned}\n"
        + "  - {name: patches, match: {}, cron: 0 4 * * *, lasts: 20m, flexible: true, within: 2h}\n"
    )
    said = command("maintenance", "list", "--over", "2w", "--json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    assert list(rows[0]) == ["name", "matchers", "begins", "ends", "comment", "lasts_after_failure"]
    assert [row["begins"] for row in rows] == sorted(row["begins"] for row in rows)
    named = [row["name"] for row in rows]
    assert named.count("restart") in {2, 3} and named.count("patches") in {14, 15}
    assert {row["lasts_after_failure"] for row in rows} == {None, 1200.0}
    said = command("maintenance", "list", "--over", "1w")
    assert "restart" in said.out and "begins at the first failure, and lasts 20 min" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    for over in ("0", "soon"):
        assert command("maintenance", "list", "--over", over).code == 5


def test_without_planned_work_the_list_says_so(configured: Path, command: Command) -> None:
    assert command("maintenance", "list").out == "No maintenance within 4w.\n"
