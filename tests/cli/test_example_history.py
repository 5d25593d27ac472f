"""The example to rehearse: made from a seed, valid, and with everything in it that the docs say of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service_monitoring import bootstrap
from service_monitoring.cli.demo import example_history
from service_monitoring.domain.instants import MINUTE
from service_monitoring.domain.stretches import Portion
from service_monitoring.rehearsal.judging import read_incidents
from tests.cli.conftest import Command


@pytest.fixture
def shop(folder: Path, command: Command) -> Path:
    said = command("history", "example", "shop")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "Wrote monitoring.yaml, incidents.yaml and history (120544 samples) into shop",
        "Next: cd shop; service-monitoring rehearse monitoring.yaml --history history",
    ]
    return folder / "shop"


def rehearsed(command: Command, *arguments: str) -> dict[str, Any]:
    said = command("rehearse", "shop/monitoring.yaml", "--history", "shop/history", *arguments, "--json")
    assert said.code == 0, said.err
    answer: dict[str, Any] = json.loads(said.out)
    return answer


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everybody_has_the_same_bytes_and_another_seed_gives_others(shop: Path, command: Command) -> None:
    assert command("history", "example", "again").code == 0
    assert contents(shop) == contents(shop.parent / "again")
    assert command("history", "example", "other", "--seed", "2").code == 0
    files, others = contents(shop), contents(shop.parent / "other")
    assert {name for name in files if files[name] != others[name]} == {name for name in files if "history/" in name}


def test_its_configuration_is_valid_and_its_troubles_are_noted(shop: Path) -> None:
    assert bootstrap.load(shop / "monitoring.yaml").warnings == ()
    noted = read_incidents((shop / "incidents.yaml").read_text(), "incidents.yaml")
    assert [incident.id for incident in noted] == ["outage", "slow-release", "slow-database", "stuck-worker"]


def test_it_pages_two_people_holds_back_what_it_should_and_misses_nothing(shop: Path, command: Command) -> None:
    answer = rehearsed(command, "--incidents", "shop/incidents.yaml")
    rehearsal, judgement = answer["rehearsal"], answer["judgement"]
    assert {row["recipient"] for row in rehearsal["recipients"]} == {"person.ann", "person.bob"}
    assert {row["reason"] for row in rehearsal["held"]} == {"flapping", "quiet_hours", "unreachable"}
    assert rehearsal["of_drafts"] > 0 and rehearsal["at_night"] > 10
    assert (judgement["caught"], judgement["missed"]) == (4, 0)
    assert [limit.partition(":")[0] for limit in rehearsal["limits"]] == ["samples alone are known here"]


def test_a_higher_limit_wakes_fewer_until_it_misses_something(shop: Path, command: Command) -> None:
    swept = rehearsed(command, "--incidents", "shop/incidents.yaml", "--sweep", "shop.slow.above=0.4,0.6,0.8")["sweep"]
    nights = [point["at_night"] for point in swept["points"]]
    assert nights == sorted(nights, reverse=True) and nights[0] > 3 * nights[1]
    assert [point["missed"] for point in swept["points"]] == [0, 0, 1]


def columns(portions: list[Portion]) -> list[tuple[str, bytes, bytes]]:
    return [
        (str(stretch.series), stretch.instants.tobytes(), stretch.values.tobytes())
        for portion in portions
        for stretch in portion.stretches
    ]


def test_a_longer_one_begins_like_a_shorter_one_and_its_troubles_come_again() -> None:
    short, long = (list(example_history.portions(days, 7)) for days in (14, 20))
    assert columns(long[:14]) == columns(short)
    noted = read_incidents(example_history.noted(20), "incidents.yaml")
    assert [incident.id for incident in noted] == [
        "outage", "slow-release", "slow-database", "stuck-worker", "outage-2",
    ]  # fmt: skip
    assert read_incidents(example_history.noted(1), "incidents.yaml") == ()


def test_there_is_an_hour_of_which_nothing_was_recorded() -> None:
    instants = np.concatenate(
        [stretch.instants for portion in example_history.portions(14, 1) for stretch in portion.stretches]
    )
    begin = example_history.SINCE.ns + example_history.HOLE.begin * MINUTE
    end = example_history.SINCE.ns + example_history.HOLE.end * MINUTE
    assert not ((instants >= begin) & (instants < end)).any()
    assert (instants == end).any()


def test_a_folder_that_is_not_empty_is_left_alone(shop: Path, command: Command) -> None:
    said = command("history", "example", "shop", "--json")
    assert said.code == 5 and "shop exists and is not empty: name a new folder" in said.err
    (shop.parent / "empty").mkdir()
    said = command("history", "example", "empty", "--days", "2", "--json")
    assert json.loads(said.out) == {"folder": "empty", "samples": 17_280, "days": 2}
