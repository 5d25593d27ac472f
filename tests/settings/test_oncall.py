"""Rotas in the file: what they become, what is filled in, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_monitoring.domain.instants import DAY, HOUR, Duration, Instant
from service_monitoring.domain.oncall import next_change, who
from service_monitoring.domain.rotas import DAILY, WEEKLY, Handover, Layer, Override, Rota, Swap
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.wire import configuration as configurations
from tests.settings.rigs import WHOLE, complaints, read

PEOPLE = "people: {ann: {contact: [channel.log]}, bob: {contact: [channel.log]}}\n"


def berlin(text: str) -> Instant:
    return Instant.parse(f"{text}:00+01:00")


def rota(folder: Path, body: str) -> Rota:
    settings = read(folder, f"{WHOLE}{PEOPLE}oncall: {{primary: {{timezone: Europe/Berlin, {body}}}}}\n")
    assert settings.people == ("ann", "bob")
    [found] = settings.configuration.rotas
    return found


def layer(folder: Path, body: str) -> Layer:
    [found] = rota(folder, f"layers: [{{people: [ann, bob], {body}}}]").layers
    return found


def said(folder: Path, body: str) -> list[str]:
    text = f"{WHOLE}{PEOPLE}oncall: {{primary: {{{body}}}}}\n"
    found = complaints(folder, text)
    assert {line.partition(":")[2].partition(":")[0] for line in found} == {str(text.count("\n"))}, found
    return [line.partition(" oncall.primary.")[2] for line in found]


def test_a_rota_becomes_what_it_says(tmp_path: Path) -> None:
    found = rota(
        tmp_path,
        """layers: [
            {people: [ann, bob], rotate: weekly, handover: Mon 09:00, starts: "2026-01-05"},
            {people: [bob], rotate: daily, restrictions: [{weekdays: mon-fri, times: "09:00-17:00"}, {weekdays: sat}]}],
          overrides: [{person: bob, from: "2026-12-24T09:00", until: "2026-12-27T09:00:00+01:00"}],
          swaps: [{person: ann, with: bob, from: "2026-02-02", until: "2026-02-16"}]""",
    )
    assert found == Rota(
        "primary",
        "Europe/Berlin",
        (
            Layer(("ann", "bob"), WEEKLY, Handover(9 * 60, 0), berlin("2026-01-05T00:00")),
            Layer(
                ("bob",),
                DAILY,
                Handover(0),
                None,
                (
                    ActiveHours("Europe/Berlin", (0, 1, 2, 3, 4), (Span(9 * 60, 17 * 60),)),
                    ActiveHours("Europe/Berlin", (5,)),
                ),
            ),
        ),
        (Override("bob", berlin("2026-12-24T09:00"), berlin("2026-12-27T09:00")),),
        (Swap("ann", "bob", berlin("2026-02-02T00:00"), berlin("2026-02-16T00:00")),),
    )


def test_a_rota_is_part_of_the_revision_and_comes_back_from_the_journal(tmp_path: Path) -> None:
    text = f"{WHOLE}{PEOPLE}oncall: {{primary: {{layers: [{{people: [ann, bob], starts: '2026-01-05'}}]}}}}\n"
    settings = read(tmp_path, text)
    assert configurations.read(configurations.body(settings.configuration)) == settings.configuration
    other = read(tmp_path, text.replace("[ann, bob]", "[bob, ann]"))
    assert configurations.revision(other.configuration) != configurations.revision(settings.configuration)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("rotate: weekly", Handover(0, 0)),
        ("rotate: weekly, handover: 09:30", Handover(570, 0)),
        ("rotate: weekly, handover: Friday 17:00", Handover(1020, 4)),
        ('starts: "2026-01-07T18:00"', Handover(1080, 2)),
        ('starts: "2026-01-07T23:00:00Z"', Handover(0, 3)),
        ('starts: "2026-01-07", handover: 09:00', Handover(540, 2)),
        ("rotate: daily", Handover(0)),
        ('rotate: daily, starts: "2026-01-07T08:00"', Handover(480)),
        ('rotate: 12h, starts: "2026-01-07T08:00"', Handover(480)),
        ('rotate: 2w, handover: Tue 10:00, starts: "2026-01-07"', Handover(600, 1)),
    ],
)
def test_a_handover_that_is_left_out_is_that_of_the_start_or_midnight(
    tmp_path: Path, written: str, meant: Handover
) -> None:
    assert layer(tmp_path, written).handover == meant


def test_a_date_as_start_leaves_the_first_day_to_its_handover(tmp_path: Path) -> None:
    found = rota(tmp_path, 'layers: [{people: [ann, bob], handover: Mon 09:00, starts: "2026-01-05"}]')
    begin = berlin("2026-01-05T09:00")
    assert who(found, begin) == ("ann",)
    assert who(found, begin.plus(Duration(-1))) == ()
    assert next_change(found, begin) == begin.plus(WEEKLY)


def test_the_zone_of_a_rota_is_that_of_the_file_where_it_has_none(tmp_path: Path) -> None:
    text = f"timezone: America/New_York\n{WHOLE}{PEOPLE}oncall: {{a: {{layers: [{{people: [ann]}}]}}}}\n"
    assert read(tmp_path, text).configuration.rotas[0].zone == "America/New_York"


def test_turns_have_any_length_from_an_hour_on(tmp_path: Path) -> None:
    assert layer(tmp_path, 'rotate: 12h, starts: "2026-01-05"').turn == 12 * HOUR
    assert layer(tmp_path, 'rotate: 2w, starts: "2026-01-05"').turn == 14 * DAY
    assert layer(tmp_path, "rotate: 7d").turn == WEEKLY


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("layers: [{people: [ann, bib]}]", 'layers[0].people[1]: there is no person "bib"; write bob'),
        ("layers: [{people: [ann], rotate: 0}]", "layers[0].rotate: nobody has a turn of no length; write weekly"),
        (
            'layers: [{people: [ann], rotate: 30m, starts: "2026-01-05"}]',
            "layers[0].rotate: 30m is no turn for a person; write 1h, or longer",
        ),
        (
            "layers: [{people: [ann], rotate: 12h}]",
            'layers[0].rotate: nothing says from when turns of 12h are counted; add starts: "2026-01-05" to the layer',
        ),
        (
            "layers: [{people: [ann], rotate: daily, handover: Mon 09:00}]",
            'layers[0].handover: turns of a day are handed over every day; write "09:00"',
        ),
        (
            "layers: [{people: [ann], restrictions: [{}]}]",
            "layers[0].restrictions[0]: this restricts nothing; add weekdays or times, or remove it",
        ),
        (
            'layers: [{people: [ann], starts: "0001-01-01"}]',
            'layers[0].starts: "0001-01-01" is too far away; write 2026-12-24T09:00',
        ),
        (
            'layers: [{people: [ann]}], overrides: [{person: ann, from: "2026-01-02", until: "2026-01-02"}]',
            "overrides[0].until: this is not after its beginning; write a later moment",
        ),
        (
            'layers: [{people: [ann]}], overrides: [{person: x, from: "2026-01-02", until: "2026-01-03"}]',
            'overrides[0].person: there is no person "x"; known here: ann, bob',
        ),
        (
            'layers: [{people: [ann]}], swaps: [{person: ann, with: ann, from: "2026-01-02", until: "2026-01-03"}]',
            "swaps[0].with: nobody swaps with themselves; name somebody else",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_place_and_a_remedy(tmp_path: Path, body: str, complaint: str) -> None:
    assert said(tmp_path, body)[0] == complaint


def test_moments_with_and_without_an_offset_are_compared_as_instants(tmp_path: Path) -> None:
    span = 'from: "2026-01-02T09:00", until: "2026-01-02T08:00:00Z"'
    body = f"timezone: Europe/Berlin, layers: [{{people: [ann]}}], overrides: [{{person: ann, {span}}}]"
    assert said(tmp_path, body) == ["overrides[0].until: this is not after its beginning; write a later moment"]


def test_a_layer_needs_people_and_a_rota_layers(tmp_path: Path) -> None:
    for body in ("layers: []", "layers: [{people: []}]"):
        [complaint] = said(tmp_path, body)
        assert complaint.startswith("layers"), complaint
