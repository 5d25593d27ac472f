"""A provider: an identity provider outside, which is asked who somebody is, and how it is asked.

Knows the shapes of question and answer. Does not know OpenID Connect, HTTP or cookies, nor who is let in: that is the
desk's to say.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from service_monitoring.access.desk import Client
from service_monitoring.access.permissions import Role


class Begun(Struct, frozen=True):
    """A sign-in that has begun. The browser goes to `url`, and brings `kept`, which is a secret of its own, back."""

    url: str
    kept: str


class Answered(Struct, frozen=True):
    """What came back: where the provider led the browser, with this."""

    state: str
    code: str = ""
    error: str = ""
    issuer: str = ""


class Vouched(Struct, frozen=True):
    """Who somebody is by the word of a provider. `subject` is his for ever, `name` is what we would call him.

    Without a `role` the provider knows him, and he has nothing to do here. He goes on to `onwards`.
    """

    subject: str
    name: str
    role: Role | None
    onwards: str


class Provider(Protocol):
    """Who somebody is. `name` is what people call it.

    Both are `Unavailable` where it does not answer in time, and `TooMuch` where too many ask.
    """

    name: str

    async def begin(self, onwards: str) -> Begun:
        """Begin a sign-in that goes on to a path of ours."""
        ...

    async def finish(self, kept: str, answered: Answered, client: Client) -> Vouched:
        """Who it is. `Unauthenticated` in one sentence where what came back is not what was asked for."""
        ...
