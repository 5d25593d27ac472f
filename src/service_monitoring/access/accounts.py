"""Accounts: who may sign in, under which name, and which accounts there must be.

Knows names, roles and what may not be done to the last admin. Does not know passwords, nor where accounts are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from service_monitoring.access.permissions import Role
from service_monitoring.domain.instants import Instant
from service_monitoring.errors import Refused

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}", re.ASCII)


class Account(Struct, frozen=True):
    """An account. `password` is a hash with its parameters, or nothing where an identity provider answers for it.

    `subject` is what that provider calls it. Whoever is `disabled` is not let in, by whatever way.
    """

    name: str
    role: Role
    password: str
    made_at: Instant
    changed_at: Instant
    disabled: bool = False
    subject: str = ""

    @property
    def leads(self) -> bool:
        """Whether it may do everything, and is let in."""
        return self.role is Role.ADMIN and not self.disabled


def same(name: str) -> str:
    """What two names have in common that are told apart by nobody: `Ada` and `ada` are one account."""
    return name.lower()


def fit_name(name: str) -> str:
    """A name that an account may have, without the spaces around it; `Refused`."""
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise Refused(
            "a name has letters, digits and . _ @ + -, begins with a letter or digit, and is not longer than 100"
        )
    return name


def still_led(accounts: Iterable[Account]) -> None:
    """`Refused` where nobody of these may do everything: nobody could let anybody in again."""
    if not any(account.leads for account in accounts):
        raise Refused("no admin would be left: make another one first")
