"""Accounts, tokens and the audit trail on the command line: with a program, and on the store where none runs."""

import asyncio
import io
import json
import re
import sqlite3
import sys
from base64 import b32decode
from pathlib import Path
from typing import Any

import pytest

from service_monitoring import bootstrap
from service_monitoring.access.codes import code_of
from service_monitoring.access.desk import Client, Opened
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import SCOPES, Role
from service_monitoring.cli.app import RoleName, ScopeName
from service_monitoring.errors import Unauthenticated
from service_monitoring.runtime.clock import SystemClock
from tests.cli.conftest import Command, running

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

PASSWORD = "several words together"
HERE = Client("192.0.2.1")


def answered(command: Command, *arguments: str) -> Any:
    said = command(*arguments, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.fixture
def ada(lived_in: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one account, an admin's."""
    typed(monkeypatch, f"{PASSWORD}\n")
    row = answered(command, "users", "add", "ada", "--role", "admin", "--password-stdin")
    assert (row["name"], row["role"], row["disabled"]) == ("ada", "admin", False)
    return lived_in


def test_an_account_is_made_listed_changed_and_removed(
    ada: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, f"{PASSWORD}\n")
    assert command("users", "add", "rob", "--password-stdin").out == "rob may sign in, as viewer\n"
    assert command("users", "role", "rob", "responder").code == 0
    assert command("users", "disable", "rob").out == "rob is not let in any more\n"
    assert [(row["name"], row["role"], row["disabled"]) for row in answered(command, "users", "list")] == [
        ("ada", "admin", False),
        ("rob", "responder", True),
    ]
    listed = command("users", "list").out
    assert re.search(r"^rob +responder +no$", listed, re.MULTILINE), listed
    assert command("users", "enable", "rob").code == 0
    assert command("users", "remove", "rob").out == "rob is gone, with all sessions and tokens\n"
    assert [row["name"] for row in answered(command, "users", "list")] == ["ada"]


def test_what_cannot_be_is_refused_in_a_sentence(ada: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "short\n")
    weak = command("users", "add", "rob", "--password-stdin")
    assert weak.code == 5 and "at least 12 characters" in weak.err
    assert command("users", "remove", "ada").code == 5
    gone = command("users", "role", "nobody", "admin")
    assert gone.code == 5 and "there is no account nobody" in gone.err
    typed(monkeypatch, "")
    unseen = command("users", "password", "ada")
    assert unseen.code == 5 and "--password-stdin" in unseen.err


def test_a_token_is_shown_once_and_listed_without_what_opens_anything(ada: Path, command: Command) -> None:
    made = command("tokens", "create", "ci", "--for", "ada", "--scope", "read", "--scope", "metrics", "--lasts", "30d")
    assert re.fullmatch(r"sm_[0-9a-f]{64}\n", made.out), made.err
    assert "shown this once" in made.err
    listed = command("tokens", "list").out
    assert "ada  ci" in listed and "metrics, read; used never" in listed and made.out.strip() not in listed
    (row,) = answered(command, "tokens", "list")
    assert command("tokens", "revoke", row["handle"]).code == 0
    assert command("tokens", "list").out == "No tokens.\n"
    assert command("tokens", "revoke", row["handle"]).code == 5


def test_the_trail_says_what_was_done_and_is_found_whole(ada: Path, command: Command) -> None:
    answered(command, "tokens", "create", "ci", "--for", "ada", "--scope", "read")
    rows = answered(command, "audit", "list")
    assert [(row["what"], row["subject"], row["via"], row["outcome"]) for row in rows] == [
        ("token.create", "ada", "socket", "done"),
        ("account.create", "ada", "socket", "done"),
    ]
    assert [row["what"] for row in answered(command, "audit", "list", "--before", "2")] == ["account.create"]
    assert "the owner of the socket  account.create ada" in command("audit", "list").out
    assert command("audit", "verify").out == "The audit trail is whole\n"


def test_a_trail_that_was_tampered_with_is_told_with_the_row(ada: Path, command: Command) -> None:
    with sqlite3.connect(ada / "data" / "facts.db") as connection:
        connection.execute("UPDATE audit SET subject = 'eve'")
    found = command("audit", "verify")
    assert (found.code, found.out) == (1, "row 1 of the audit trail is not what was written\n")


def test_where_nothing_was_ever_stored_commands_say_so_and_make_nothing(configured: Path, command: Command) -> None:
    assert command("users", "list").out == "No accounts.\n"
    assert command("tokens", "list").out == "No tokens.\n"
    assert command("audit", "list").out == "Nothing was done.\n"
    assert command("audit", "verify").code == 0
    assert command("users", "role", "ada", "admin").code == 5
    assert command("users", "remove", "ada").code == 5
    assert command("tokens", "create", "ci", "--for", "ada", "--scope", "read").code == 5
    assert not (configured / "data").exists()


def test_an_account_made_before_the_first_start_may_sign_in(
    configured: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, f"{PASSWORD}\r\n")
    assert command("users", "add", "ada", "--role", "admin", "--password-stdin").code == 0
    settings = bootstrap.load(configured / "monitoring.yaml")

    async def sign_in() -> Role | None:
        async with bootstrap.open_access(settings) as desk:
            with pytest.raises(Unauthenticated):
                await desk.sign_in("ada", f"{PASSWORD}\r", HERE)
            opened = await desk.sign_in("ada", PASSWORD, HERE)
            assert isinstance(opened, Opened)
            return opened.identity.role

    assert asyncio.run(sign_in()) is Role.ADMIN


def test_a_second_factor_is_told_and_taken_away(configured: Path, command: Command) -> None:
    settings = bootstrap.load(configured / "monitoring.yaml")

    async def turn_on() -> None:
        async with bootstrap.open_access(settings) as desk:
            await desk.create_account(OWNER, "ada", Role.ADMIN, PASSWORD)
            opened = await desk.sign_in("ada", PASSWORD, HERE)
            assert isinstance(opened, Opened)
            secret = b32decode((await desk.begin_second(opened.identity)).secret)
            await desk.complete_second(opened.identity, code_of(secret, SystemClock().now()))

    asyncio.run(turn_on())
    assert re.search(r"^ada +admin +by password and code$", command("users", "list").out, re.MULTILINE)
    assert command("users", "second-factor", "Ada").out == "ada is asked for a code besides the password\n"
    with running(configured):
        row = answered(command, "users", "second-factor", "ada", "--remove")
        assert (row["name"], row["second"]) == ("ada", False)
    assert command("users", "second-factor", "ada").out == "ada has no second factor\n"
    again = command("users", "second-factor", "ada", "--remove")
    assert again.code == 5 and "ada has no second factor" in again.err
    assert command("users", "second-factor", "nobody").code == 5
    assert command("users", "second-factor", "nobody", "--remove").code == 5
    (newest, *_) = answered(command, "audit", "list")
    assert (newest["what"], newest["subject"], newest["via"]) == ("second.remove", "ada", "socket")


def test_what_others_do_over_the_socket_is_in_the_trail_by_its_route(configured: Path, command: Command) -> None:
    with running(configured):
        assert command("keys", "create", "shop.backup").code == 0
        assert command("keys", "revoke", "shop.backup").code == 0
        assert command("keys", "revoke", "shop.backup").code == 5
        rows = answered(command, "audit", "list")
    assert [(row["what"], row["subject"], row["outcome"], row["detail"]) for row in rows] == [
        ("DELETE /api/v1/keys/{check}", "check=shop.backup", "refused", "404"),
        ("DELETE /api/v1/keys/{check}", "check=shop.backup", "done", "200"),
        ("POST /api/v1/keys", "", "done", "201"),
    ]


def test_the_roles_and_scopes_of_the_command_line_are_those_there_are() -> None:
    assert [each.value for each in RoleName] == [each.value for each in Role]
    assert [each.value for each in ScopeName] == [each.value for each in SCOPES]
