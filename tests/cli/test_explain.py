"""`incidents explain` on real files: over the socket of a program, and on the store where none runs."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")


def the_id(command: Command) -> str:
    rows = json.loads(command("incidents", "list", "--state", "open", "--json").out)
    return next(str(row["id"]) for row in rows if row["rule"] == "down")


def test_an_explanation_for_programs_has_the_promised_shape(lived_in: Path, command: Command) -> None:
    said = command("incidents", "explain", the_id(command)[:8], "--json")
    assert said.code == 0, said.err
    answer = json.loads(said.out)
    assert list(answer) == [
        "incident",
        "service",
        "rule",
        "series",
        "state",
        "at",
        "person",
        "recipients",
        "lines",
        "ahead",
    ]
    assert [each["kind"] for each in answer["lines"]] == [
        "breached",
        "opened",
        "route",
        "joined",
        "flush",
        "step",
        "notice",
    ]
    line = "at kind what because people notice state held by group step incidents"
    assert list(answer["lines"][0]) == line.split()
    assert list(answer["recipients"][0]) == ["recipient", "told", "state", "at", "because"]


def test_an_explanation_for_people_ends_every_line_in_an_instant(lived_in: Path, command: Command) -> None:
    said = command("incidents", "explain", the_id(command))
    assert said.code == 0, said.err
    assert max(map(len, said.out.splitlines())) <= 80
    text = " ".join(said.out.split())
    assert "shop.down opened, because the rule has no `for`" in text
    assert "the channel log: not told (owed), because it has not been sent yet" in text
    assert re.search(r"routes\[0\] matches, because it matches everything: \d{4}-\d\d-\d\d [\d:]+\+0[12]:00, ", text)


def test_an_instant_before_it_began_knows_nothing_of_it(lived_in: Path, command: Command) -> None:
    said = command("incidents", "explain", the_id(command), "--at", "2020-01-01T00:00:00Z", "--json")
    answer = json.loads(said.out)
    assert (answer["state"], answer["lines"], answer["at"]) == ("not begun", [], "2020-01-01T00:00:00.000000000Z")


def test_an_instant_that_is_none_is_refused(lived_in: Path, command: Command) -> None:
    said = command("incidents", "explain", the_id(command), "--at", "yesterday")
    assert said.code == 5 and "yesterday" in said.err


def test_an_unknown_person_is_named_with_those_there_are(lived_in: Path, command: Command) -> None:
    said = command("incidents", "explain", the_id(command), "--person", "eve")
    assert said.code == 5 and "there is no person eve: there are none" in said.err


def test_an_unknown_incident_is_not_explained(lived_in: Path, command: Command) -> None:
    said = command("incidents", "explain", "0" * 16)
    assert said.code == 5 and "there is no incident" in said.err
