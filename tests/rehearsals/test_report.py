"""The document of a rehearsal, and what its reference says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from msgspec import Struct

from service_monitoring.domain.schedules import Span
from service_monitoring.rehearsal.difference import difference_of
from service_monitoring.rehearsal.figures import figures_of
from service_monitoring.rehearsal.report import Report, as_json, report_of
from tests.rehearsals.made_weeks import a_week

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "rehearsal.md"


def structs(kind: object) -> Iterator[type[Struct]]:
    """A struct, and all that its fields lead to."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from structs(hint)
    for argument in get_args(kind):
        yield from structs(argument)


@pytest.mark.parametrize("kind", sorted(set(structs(Report)) - {Span}, key=str))
def test_the_reference_names_every_field_of_the_document(kind: type[Struct]) -> None:
    document = REFERENCE.read_text(encoding="utf-8").partition("## The JSON document")[2]
    named = set(re.findall(r"`([a-z_0-9]+)`", document))
    assert set(kind.__struct_encode_fields__) <= named, kind.__name__


def test_the_document_has_five_parts_and_null_for_what_was_not_asked() -> None:
    week = a_week(days=2)
    document = json.loads(as_json(report_of(figures_of(week), difference=difference_of(week, week))))
    assert list(document) == ["rehearsal", "difference", "sweep", "judgement", "disturbed"]
    assert document["sweep"] is None
    assert document["difference"]["gained"] == []
    assert document["rehearsal"]["since"] == "2026-01-05T00:00:00.000000000Z"
    assert isinstance(document["rehearsal"]["incidents"][0]["lasted_seconds"], float)
