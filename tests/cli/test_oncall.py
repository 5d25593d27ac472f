"""`oncall` on real files: who is on call, what is doubtful, and calendar files out and in."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import icalendar
import pytest
import yaml

from service_monitoring import bootstrap
from service_monitoring.domain.instants import DAY, HOUR, Duration, Instant
from service_monitoring.domain.oncall import who, whole_shifts
from tests.cli.conftest import FILE, Command

ROTAS = """\
timezone: Europe/Berlin
people: {ann: {contact: [channel.log]}, bob: {contact: [channel.log]}, cay: {contact: [channel.log]}}
oncall:
  primary:
    layers: [{people: [ann, bob], rotate: weekly, handover: Mon 09:00}]
    overrides: [{person: cay, from: "2026-12-24T09:00", until: "2026-12-27T09:00"}]
  days:
    layers: [{people: [cay], restrictions: [{weekdays: mon-fri, times: "09:00-17:00"}]}]
"""


@pytest.fixture
def rotas(folder: Path) -> Path:
    (folder / "monitoring.yaml").write_text(FILE + ROTAS)
    return folder


def events_of(text: str) -> list[Any]:
    return list(icalendar.Calendar.from_ical(text).walk("VEVENT"))


def answer(command: Command, *arguments: str, code: int = 0) -> Any:
    said = command("oncall", *arguments, "--json")
    assert said.code == code, said.err
    return json.loads(said.out)


def test_who_is_on_call_is_said_for_every_rota_or_one(rotas: Path, command: Command) -> None:
    rows = answer(command, "at", "2026-12-25T03:00:00Z")
    assert [(row["rota"], row["people"], row["layer"]) for row in rows] == [
        ("primary", ["cay"], None),
        ("days", [], None),
    ]
    assert list(rows[0]) == ["rota", "at", "people", "layer", "until"]
    assert rows[0]["until"] == "2026-12-27T08:00:00.000000000Z"
    assert [row["rota"] for row in answer(command, "now", "--rota", "days")] == ["days"]
    said = command("oncall", "at", "2026-12-25T03:00:00Z")
    assert [line.split()[:3] for line in said.out.splitlines()] == [
        ["primary", "cay", "until"],
        ["days", "nobody", "until"],
    ]
    assert max(map(len, said.out.splitlines())) <= 80


def test_what_the_command_says_is_what_the_rota_says(rotas: Path, command: Command) -> None:
    primary, _ = bootstrap.load(rotas / "monitoring.yaml").configuration.rotas
    for day in range(0, 400, 49):
        asked = Instant.parse("2026-01-05T07:59:59Z").plus(Duration(day * DAY))
        [row] = answer(command, "at", str(asked), "--rota", "primary")
        assert tuple(row["people"]) == who(primary, asked)


def test_the_next_shifts_follow_each_other_with_gaps_as_nobody(rotas: Path, command: Command) -> None:
    rows = answer(command, "next", "2w", "--rota", "days")
    assert {row["person"] for row in rows} == {"cay", None}
    assert all(before["until"] == after["from"] for before, after in pairwise(rows))
    whole = Instant.parse(rows[-1]["until"]).since(Instant.parse(rows[0]["from"]))
    assert whole == 14 * DAY
    said = command("oncall", "next", "2w")
    assert said.out.startswith("primary\n") and "  nobody" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_lint_is_bad_where_nobody_is_on_call_and_good_where_somebody_always_is(rotas: Path, command: Command) -> None:
    [days] = answer(command, "lint", "--rota", "days", code=1)
    assert len(days["gaps"]) > 250
    assert days["loads"][0]["person"] == "cay" and days["loads"][0]["weekend_seconds"] == 0
    [primary] = answer(command, "lint", "--over", "8w", "--rota", "primary")
    assert (primary["gaps"], primary["overlaps"], primary["twice"]) == ([], [], [])
    said = command("oncall", "lint")
    assert said.code == 1
    assert "which --json has" in said.out and "PERSON" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_lint_tells_overrides_at_once_people_in_vain_and_unfair_load(folder: Path, command: Command) -> None:
    now = bootstrap.the_clock().now()
    begin, end = (str(now.plus(Duration(days * DAY)))[:19] + "Z" for days in (1, 40))
    text = ROTAS.partition("oncall:")[0] + (
        "oncall: {primary: {layers: [{people: [ann, ann, bob, cay]}], overrides: ["
        f'{{person: bob, from: "{begin}", until: "{end}"}}, {{person: cay, from: "{begin}", until: "{end}"}}]}}}}\n'
    )
    (folder / "monitoring.yaml").write_text(FILE + text)
    [row] = answer(command, "lint", code=1)
    assert [(each["person"], each["hidden"]) for each in row["overlaps"]] == [("cay", "bob")]
    assert [(each["person"], each["layer"]) for each in row["twice"]] == [("ann", 0)]
    assert "ann" in {each["person"] for each in row["unfair"]}
    said = command("oncall", "lint")
    for words in ("overrides of cay and bob", "ann follows themselves in layers[0]", "the mean is"):
        assert words in said.out


def test_validate_warns_of_times_without_anybody_and_the_file_is_valid(rotas: Path, command: Command) -> None:
    said = command("validate")
    assert said.code == 0
    warned = [line for line in said.err.splitlines() if "nobody is on call" in line]
    assert len(warned) == 1 and warned[0].startswith("warning: oncall.days: nobody is on call 26")


def test_a_calendar_file_has_one_event_a_shift_that_keeps_its_name(rotas: Path, command: Command) -> None:
    said = command("oncall", "export", "primary", "--weeks", "6")
    assert said.code == 0, said.err
    events = events_of(said.out)
    rota = bootstrap.load(rotas / "monitoring.yaml").configuration.rotas[0]
    now = bootstrap.the_clock().now()
    expected = list(whole_shifts(rota, now, now.plus(Duration(42 * DAY))))
    assert [(str(event["SUMMARY"]), event["DTSTART"].dt.timestamp()) for event in events] == [
        (f"{shift.person} (primary)", shift.begin.ns / 1e9) for shift in expected
    ]
    names = [str(event["UID"]) for event in events]
    assert len(set(names)) == len(names)
    longer = events_of(command("oncall", "export", "primary", "--weeks", "8").out)
    assert [str(event["UID"]) for event in longer][: len(names)] == names


def test_what_was_exported_comes_back_as_overrides_that_say_the_same(rotas: Path, command: Command) -> None:
    (rotas / "shifts.ics").write_bytes(command("oncall", "export", "primary").out.encode())
    said = command("oncall", "import", "shifts.ics", "--rota", "primary")
    assert (said.code, said.err) == (0, "")
    found = yaml.safe_load(said.out)["overrides"]
    text = ROTAS.replace(
        'overrides: [{person: cay, from: "2026-12-24T09:00", until: "2026-12-27T09:00"}]',
        "overrides: " + json.dumps(found),
    )
    (rotas / "other.yaml").write_text(FILE + text.replace("[ann, bob]", "[cay]"))
    before, after = (bootstrap.load(rotas / name).configuration.rotas[0] for name in ("monitoring.yaml", "other.yaml"))
    now = bootstrap.the_clock().now()
    for hour in range(0, 24 * 80, 5):
        at = now.plus(Duration(hour * HOUR))
        assert who(before, at) == who(after, at)


EVENTS = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:somebody else
BEGIN:VEVENT
UID:1
SUMMARY:On Call - Ann
DTSTART;TZID=America/New_York:20260702T090000
DURATION:PT90M
END:VEVENT
BEGIN:VEVENT
UID:2
SUMMARY:bob
DTSTART;VALUE=DATE:20260701
END:VEVENT
BEGIN:VEVENT
UID:3
SUMMARY:Carol
DTSTART:20260703T090000Z
DTEND:20260703T100000Z
END:VEVENT
BEGIN:VEVENT
UID:4
SUMMARY:ann and bob
DTSTART:20260703T090000Z
DTEND:20260703T100000Z
END:VEVENT
BEGIN:VEVENT
UID:5
SUMMARY:cay
DTSTART:20260703T090000
DTEND:20260703T100000
RRULE:FREQ=DAILY
END:VEVENT
BEGIN:VEVENT
UID:6
SUMMARY:cay
DTSTART:20260704T090000
DTEND:20260704T100000
STATUS:CANCELLED
END:VEVENT
BEGIN:VEVENT
UID:7
SUMMARY:cay in the dark
DTSTART;TZID=Nowhere/Land:20260705T090000
DTEND:rubbish
END:VEVENT
BEGIN:VEVENT
UID:8
SUMMARY:cay
DTSTART:20260706T100000
DTEND:20260706T090000
END:VEVENT
BEGIN:VEVENT
UID:9
SUMMARY:cay
DTSTART:20260329T023000
DTEND:20260329T050000
END:VEVENT
END:VCALENDAR
"""


def test_events_of_others_become_overrides_and_who_is_unknown_is_said(rotas: Path, command: Command) -> None:
    (rotas / "theirs.ics").write_text(EVENTS)
    said = command("oncall", "import", "theirs.ics")
    assert said.code == 1
    assert yaml.safe_load(said.out)["overrides"] == [
        {"person": "cay", "from": "2026-03-29T03:00:00+02:00", "until": "2026-03-29T05:00:00+02:00"},
        {"person": "bob", "from": "2026-07-01T00:00:00+02:00", "until": "2026-07-02T00:00:00+02:00"},
        {"person": "ann", "from": "2026-07-02T15:00:00+02:00", "until": "2026-07-02T16:30:00+02:00"},
    ]
    for words in (
        '"Carol" from 2026-07-03T11:00:00+02:00 until 2026-07-03T12:00:00+02:00 names none',
        '"ann and bob" from',
        '"cay": it repeats',
        '"cay in the dark": its times cannot be read',
        '"cay": it ends before it begins',
    ):
        assert f"left out: {words}" in said.err
    assert len(said.err.splitlines()) == 5


@pytest.mark.parametrize("content", [b"garbage", b"\xff\xfe\x00", b"END:VCALENDAR"])
def test_what_is_no_calendar_file_is_refused(rotas: Path, command: Command, content: bytes) -> None:
    (rotas / "bad.ics").write_bytes(content)
    said = command("oncall", "import", "bad.ics")
    assert said.code == 5 and "this is no calendar file" in said.err


def test_a_file_without_events_holds_no_override(rotas: Path, command: Command) -> None:
    (rotas / "empty.ics").write_bytes(b"")
    said = command("oncall", "import", "empty.ics")
    assert (said.code, said.out) == (0, "overrides: []\n")
    assert command("oncall", "import", "nothing.ics").code == 5


@pytest.mark.parametrize("arguments", [("export", "primary"), ("import", "monitoring.yaml")])
def test_without_the_library_a_sentence_says_what_brings_it(
    rotas: Path, command: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "icalendar", None)
    said = command("oncall", *arguments)
    assert said.code == 5
    assert said.err.endswith("need the library icalendar: pip install 'service-monitoring[calendar]'\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("now", "--rota", "secondary"), 5, "there is no rota secondary: "),
        (("export", "secondary"), 5, "there is no rota secondary: "),
        (("at", "tomorrow"), 5, "is not an instant"),
        (("next", "soon"), 5, "is not a duration"),
        (("next", "0"), 5, "0 is not a time to look ahead"),
        (("lint", "--over", "5000w"), 5, "5000w is not a time to look ahead"),
        (("export", "primary", "--weeks", "0"), 2, "--weeks"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    rotas: Path, command: Command, arguments: tuple[str, ...], code: int, words: str
) -> None:
    said = command("oncall", *arguments)
    assert said.code == code
    assert words in said.err and "Traceback" not in said.err


def test_a_file_without_rotas_says_so(configured: Path, command: Command) -> None:
    for words in ("now", "next", "lint"):
        said = command("oncall", words)
        assert (said.code, said.out) == (0, "No rotas.\n")
    assert "the file has none" in command("oncall", "export", "primary").err
