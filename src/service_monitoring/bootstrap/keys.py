"""Keys: made, found, replaced and revoked.

Owns the set of keys in memory, and its being up to date: nobody else writes keys while this program has the folder. A
key itself is known here while it is made and while it is looked for, and never stored.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from service_monitoring.domain.configuration import Check, Configuration
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Clock
from service_monitoring.storage.keys import Key, Purpose
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.intake import KeyRow, NewKey

_ID: Final = 8


class Keyring:
    """All keys of a store. Belongs to its loop; `find` never waits."""

    def __init__(self, store: SqliteStore, clock: Clock, make: Callable[[], str]) -> None:
        """`make` gives a text of 128 random bits that may stand in a URL."""
        self._store = store
        self._clock = clock
        self._make = make
        self._keys: Mapping[str, Key] = {}

    async def load(self) -> Keyring:
        """Read what is stored."""
        self._keys = {key.hash: key for key in await self._store.keys()}
        return self

    def find(self, text: str, purpose: Purpose) -> Key | None:
        """The key of this text, if it opens something of this purpose now.

        What is looked up is a hash: how long that takes tells nothing of any key.
        """
        digest = sha256(text.encode(errors="replace")).hexdigest()
        key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(key.hash, digest) or key.purpose is not purpose:
            return None
        return key if _opens(key, self._clock.now()) else None

    def rows(self) -> list[KeyRow]:
        """The keys that open something now, by check."""
        now = self._clock.now()
        return [
            KeyRow(
                key.hash[:_ID],
                f"{key.service}.{key.check}",
                key.purpose,
                str(key.made_at),
                None if key.expires_at is None else str(key.expires_at),
            )
            for key in self._keys.values()
            if _opens(key, now)
        ]

    async def create(self, name: str, configuration: Configuration) -> NewKey:
        """The first key of a check; `Refused` when it has one."""
        check = _check(name, configuration)
        if self._of(check):
            raise Refused(f"{name} has a key: `service-monitoring keys rotate {name}` makes another in its place")
        return await self._replace(check, self._clock.now(), None)

    async def rotate(self, name: str, configuration: Configuration, overlap: Duration) -> NewKey:
        """Another key for a check; those before it open nothing any more once `overlap` has passed."""
        check = _check(name, configuration)
        if not self._of(check):
            raise NotFound(f"{name} has no key: `service-monitoring keys create {name}` makes one")
        until = self._clock.now().plus(overlap)
        return await self._replace(check, until, str(until))

    async def revoke(self, name: str) -> int:
        """Forget all keys of a check, which may be gone itself; how many there were, at least one."""
        service, _, check = name.partition(".")
        count = await self._store.revoke_keys(service, check)
        await self.load()
        if not count:
            raise NotFound(f"{name} has no key: `service-monitoring keys list` names those there are")
        return count

    def _of(self, check: Check) -> list[Key]:
        """Also those that have expired: they are in the way of nothing, and go when another is made."""
        now = self._clock.now()
        mine = [key for key in self._keys.values() if (key.service, key.check) == (check.service, check.name)]
        return [key for key in mine if _opens(key, now)]

    async def _replace(self, check: Check, until: Instant, former_until: str | None) -> NewKey:
        text = self._make()
        purpose = Purpose.PING if check.expects is not None else Purpose.PUSH
        digest = sha256(text.encode()).hexdigest()
        key = Key(digest, check.service, check.name, purpose, self._clock.now())
        had = [each.hash for each in self._keys.values() if (each.service, each.check) == (check.service, check.name)]
        await self._store.replace_keys(key, until=until, had=had)
        await self.load()
        return NewKey(check.id, purpose, text, former_until)


def _opens(key: Key, now: Instant) -> bool:
    return key.expires_at is None or now < key.expires_at


def _check(name: str, configuration: Configuration) -> Check:
    every = [check for service in configuration.services for check in service.checks]
    found = next((check for check in every if check.id == name), None)
    arriving = ", ".join(check.id for check in every if reports_by_itself(check)) or "none"
    if found is None:
        raise NotFound(f"there is no check {name}; those that report by themselves are: {arriving}")
    if not reports_by_itself(found):
        raise Refused(f"the check {name} is polled and needs no key; those that report by themselves are: {arriving}")
    return found


def reports_by_itself(check: Check) -> bool:
    """Whether what a check says arrives under a key."""
    return check.expects is not None or check.allowance > 0
