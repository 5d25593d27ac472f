"""Pasts at the command line: written as Parquet, and taken from files of others."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

ROWS = """\
when,number
2026-01-05 10:00:00,1
2026-01-05 10:01:00,2
2026-01-06 10:00:00,3
2026-01-06 10:00:00,4
2026-01-07 10:00:00,nan
"""
MAPPING = """\
- columns: {at: when, value: number}
  constants: {service: shop, check: till, metric: sales}
  timezone: UTC
"""


def test_a_history_of_others_is_taken_once_and_what_is_wrong_with_it_is_told(folder: Path, command: Command) -> None:
    (folder / "sales.csv").write_text(ROWS)
    (folder / "mapping.yaml").write_text(MAPPING)
    asked = ("history", "import", "sales.csv", "--into", "past", "--mapping", "mapping.yaml")
    said = command(*asked)
    assert (said.code, said.out) == (0, "Took 3 samples into past\n"), said.err
    assert said.err.splitlines() == [
        "left out: sales.csv:5: the series has another value at this instant already: the first one stands",
        "left out: sales.csv:6: the value is missing, or not a finite number",
    ]
    assert sorted(path.name for path in (folder / "past").iterdir()) == ["day=2026-01-05", "day=2026-01-06"]
    said = command(*asked, "--json")
    answer = json.loads(said.out)
    assert {name: answer[name] for name in ("taken", "known", "contradicting", "days")} == {
        "taken": 0, "known": 3, "contradicting": 0, "days": 0,
    }  # fmt: skip
    assert [(flaw["where"], flaw["line"], flaw["count"]) for flaw in answer["flaws"]] == [
        ("sales.csv", 5, 1), ("sales.csv", 6, 1),
    ]  # fmt: skip
    said = command("history", "import", "past", "--into", "part", "--from", "2026-01-06T00:00:00Z")
    assert (said.code, said.out, said.err) == (0, "Took 1 sample into part\n", "")


@pytest.mark.real_time("uvicorn looks around ten times a second")
def test_our_own_past_is_exported(lived_in: Path, command: Command) -> None:
    said = command("history", "export", "past", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out) == {"folder": "past", "samples": 4, "flaws": []}
    said = command("history", "export", "past")
    assert said.code == 5 and "past exists and is not empty: name a new folder" in said.err
    said = command("history", "import", "data", "--into", "again")
    assert (said.code, said.out) == (0, "Took 4 samples into again\n"), said.err


def test_what_is_no_history_is_told_in_a_sentence(configured: Path, command: Command) -> None:
    said = command("history", "import", "nothing", "--into", "past")
    assert said.code == 5 and "nothing does not exist: a history is a data folder" in said.err
    said = command("history", "export", "past")
    assert said.code == 5 and "holds no history" in said.err
    (configured / "empty.csv").write_text("service,check,metric,at,value\n")
    said = command("history", "import", "empty.csv", "--into", "past")
    assert said.code == 5 and "empty.csv holds no samples: there is nothing to write" in said.err
    assert not (configured / "past").exists()
