"""Accounts on the command line: made, listed, changed and removed.

Knows the desk's questions and their routes. A password comes from the terminal or from the input, never as an argument:
arguments of programs are shown to everybody on the machine.
"""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from service_monitoring.access.accounts import same
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import Role
from service_monitoring.cli import Form, Typed, show
from service_monitoring.cli.asking import EmptyError, ask, say
from service_monitoring.errors import NotFound, Refused

_MOST_READ = 4_096
"""Characters of the input: a password is shorter, and what is not is told so."""


class Removing(Enum):
    """Whether something is to be taken away, or only looked at."""

    YES = "yes"
    NO = "no"


def add(name: str, role: str, typed: Typed, config: Path, form: Form) -> None:
    """Make an account; the data folder is made for it where there is none yet."""
    password = _password(typed)
    row = ask(
        config,
        "POST",
        "/api/v1/accounts",
        lambda desk: desk.create_account(OWNER, name, Role(role), password),
        body={"name": name, "role": role, "password": password},
        made=True,
        access=True,
    )
    say(form, row, f"{row['name']} may sign in, as {row['role']}")


def list_users(config: Path, form: Form) -> None:
    """All accounts, by name."""
    rows: list[dict[str, Any]]
    try:
        rows = ask(config, "GET", "/api/v1/accounts", lambda desk: desk.accounts(), access=True)
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        from service_monitoring.cli import show_access

        show_access.accounts(rows)


def role(name: str, role: str, config: Path, form: Form) -> None:
    """Give an account another role."""
    row = _change(name, {"role": role}, config)
    say(form, row, f"{row['name']} is {row['role']} now; whoever was signed in under that name is not any more")


def password(name: str, typed: Typed, config: Path, form: Form) -> None:
    """Give an account another password."""
    row = _change(name, {"password": _password(typed)}, config)
    say(form, row, f"{row['name']} has another password; whoever was signed in under that name is not any more")


def disable(name: str, config: Path, form: Form) -> None:
    """Let an account in no more; its tokens open nothing meanwhile."""
    row = _change(name, {"disabled": True}, config)
    say(form, row, f"{row['name']} is not let in any more")


def enable(name: str, config: Path, form: Form) -> None:
    """Let an account in again."""
    row = _change(name, {"disabled": False}, config)
    say(form, row, f"{row['name']} is let in again")


def remove(name: str, config: Path, form: Form) -> None:
    """Remove an account with its sessions and tokens."""
    try:
        ask(
            config,
            "DELETE",
            f"/api/v1/accounts/{quote(name, safe='')}",
            lambda desk: desk.remove_account(OWNER, name),
            access=True,
        )
    except EmptyError:
        raise _nobody(name) from None
    say(form, {"name": name, "removed": True}, f"{name} is gone, with all sessions and tokens")


def second_factor(name: str, removing: Removing, config: Path, form: Form) -> None:
    """Say whether an account has a second factor, or take it away: for somebody who lost the app and all codes."""
    try:
        if removing is Removing.YES:
            row: dict[str, Any] = ask(
                config,
                "DELETE",
                f"/api/v1/accounts/{quote(name, safe='')}/second",
                lambda desk: desk.remove_second(OWNER, name),
                access=True,
            )
            said = "has no second factor any more; whoever was signed in under that name is not any more"
        else:
            rows = ask(config, "GET", "/api/v1/accounts", lambda desk: desk.accounts(), access=True)
            row = next(each for each in rows if same(each["name"]) == same(name))
            said = "is asked for a code besides the password" if row["second"] else "has no second factor"
    except (EmptyError, StopIteration):
        raise _nobody(name) from None
    say(form, row, f"{row['name']} {said}")


def _change(name: str, change: dict[str, Any], config: Path) -> dict[str, Any]:
    given = {key: Role(value) if key == "role" else value for key, value in change.items()}
    try:
        row: dict[str, Any] = ask(
            config,
            "PUT",
            f"/api/v1/accounts/{quote(name, safe='')}",
            lambda desk: desk.change_account(OWNER, name, **given),
            body=change,
            access=True,
        )
    except EmptyError:
        raise _nobody(name) from None
    return row


def _nobody(name: str) -> NotFound:
    return NotFound(f"there is no account {name}: `service-monitoring users add {name}` makes one")


def _password(typed: Typed) -> str:
    """What was typed, without the end of its line."""
    if typed is Typed.INPUT:
        return sys.stdin.readline(_MOST_READ).removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to type a password at: write --password-stdin, and give it as input")
    import typer

    said: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return said
