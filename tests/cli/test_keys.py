"""Keys and reports on the command line: over the socket of a program, and on the store where none runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")


def answered(command: Command, *arguments: str) -> Any:
    said = command(*arguments, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_a_key_is_shown_once_and_never_again(lived_in: Path, command: Command) -> None:
    made = command("keys", "create", "shop.backup")
    assert made.code == 0
    assert re.fullmatch(r"[0-9a-f]{32}\n", made.out)
    assert "shown this once" in made.err
    listed = command("keys", "list")
    assert "shop.backup" in listed.out and made.out.strip() not in listed.out
    (row,) = answered(command, "keys", "list")
    assert (row["check"], row["purpose"], row["expires_at"]) == ("shop.backup", "ping", None)
    again = command("keys", "create", "shop.backup")
    assert again.code == 5 and "keys rotate shop.backup" in again.err


def test_a_rotated_key_is_another_and_the_one_before_opens_for_the_overlap_only(
    lived_in: Path, command: Command
) -> None:
    first = answered(command, "keys", "create", "shop.backup")["key"]
    second = answered(command, "keys", "rotate", "shop.backup")
    assert second["key"] != first
    assert len(answered(command, "keys", "list")) == 1
    third = answered(command, "keys", "rotate", "shop.backup", "--overlap", "1h")
    rows = answered(command, "keys", "list")
    assert [row["expires_at"] for row in rows] == [third["former_until"], None]
    refused = command("keys", "rotate", "shop.backup", "--overlap", "500ms")
    assert refused.code == 5 and "number of seconds" in refused.err


def test_a_revoked_key_is_gone(lived_in: Path, command: Command) -> None:
    answered(command, "keys", "create", "shop.backup")
    assert answered(command, "keys", "revoke", "shop.backup") == {"check": "shop.backup", "revoked": 1}
    assert command("keys", "list").out == "No keys.\n"
    assert command("keys", "revoke", "shop.backup").code == 5


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("shop.health", "is polled and needs no key; those that report by themselves are: shop.backup"),
        ("shop.nothing", "there is no check shop.nothing; those that report by themselves are: shop.backup"),
    ],
)
def test_only_what_reports_by_itself_has_a_key(lived_in: Path, command: Command, check: str, said: str) -> None:
    refused = command("keys", "create", check)
    assert refused.code == 5 and said in refused.err


def test_a_check_without_reports_says_so(lived_in: Path, command: Command) -> None:
    assert command("pings", "shop.backup").out == "No reports.\n"
    assert command("pings", "shop.nothing").code == 5


def test_keys_may_be_made_before_the_first_start(configured: Path, command: Command) -> None:
    assert command("keys", "list").out == "No keys.\n"
    assert not (configured / "data").exists()
    made = answered(command, "keys", "create", "shop.backup")
    assert [row["check"] for row in answered(command, "keys", "list")] == [made["check"]]
