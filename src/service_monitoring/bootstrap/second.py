"""Second factors beside the desk of access: their key, secrets that were shown, and who still owes a code.

Knows the key of the data folder, and imports the library of codes in a thread when it is needed first. Stores nothing:
what it makes, the desk puts into the store. Whoever is half-way in when the program ends begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from service_monitoring.access import second, sessions
from service_monitoring.access.accounts import Account, same
from service_monitoring.access.second import HalfOpen, RecoveryCode, SecondFactor
from service_monitoring.bootstrap.logs import log
from service_monitoring.domain.instants import Instant

KEY: Final = "second.key"
"""The file of the data folder that holds the key. It is in no backup."""


class _Offered(Struct, frozen=True):
    """A secret that was shown, until its first code comes."""

    secret: bytes
    until: Instant


class Seconds:
    """Belongs to one loop; waits for the key alone, and for that only once."""

    def __init__(self, key: Callable[[], Awaitable[bytes]], make: Callable[[], str]) -> None:
        """`make` gives 256 random bits as hexadecimal digits."""
        self._read = key
        self._make = make
        self._key = b""
        self._half: dict[str, HalfOpen] = {}
        self._offered: dict[str, _Offered] = {}

    async def ready(self) -> None:
        """Have the key, and the library; before anything below that is about codes."""
        if not self._key:
            await asyncio.to_thread(_library)
            self._key = await self._read()

    # Half-way in ------------------------------------------------------------------------------------------------------

    def let_half_in(self, account: Account, factor: SecondFactor, now: Instant) -> str:
        """The secret with which a code may follow."""
        self._half = {digest: each for digest, each in self._half.items() if now < each.expires_at}
        mine = [digest for digest, each in self._half.items() if each.account == account.name]
        for digest in mine[: max(0, len(mine) - second.MOST_HALF_OPEN + 1)]:
            del self._half[digest]
        secret = self._make()
        self._half[sessions.digest(secret)] = HalfOpen(
            account.name, account.password, factor.sealed, now.plus(second.HALF_OPEN)
        )
        return secret

    def half_in(self, secret: str, now: Instant) -> HalfOpen | None:
        """Who holds that secret; None where it is over, or never was."""
        found = self._half.get(sessions.digest(secret))
        return found if found is not None and now < found.expires_at else None

    def let_go(self, secret: str) -> None:
        """It opens nothing any more."""
        self._half.pop(sessions.digest(secret), None)

    # Making one -------------------------------------------------------------------------------------------------------

    def offer(self, account: str, now: Instant) -> tuple[str, str]:
        """A new secret for an account: as an address for apps, and as it is typed. The one before is forgotten."""
        from service_monitoring.access.codes import SECRET, typed, uri  # noqa: PLC0415 - as the module says

        secret = bytes.fromhex(self._make())[:SECRET]
        self._offered[same(account)] = _Offered(secret, now.plus(second.OFFERED))
        return uri(secret, account), typed(secret)

    def offered(self, account: str, now: Instant) -> bool:
        """Whether a secret waits for its first code."""
        found = self._offered.get(same(account))
        return found is not None and now < found.until

    def taken(self, account: str, code: str, now: Instant) -> SecondFactor | None:
        """The factor, where this is a code of the secret that was offered; that one is then forgotten here."""
        from service_monitoring.access.codes import NONCE, matching, sealed  # noqa: PLC0415 - likewise

        offered = self._offered[same(account)]
        step = matching(offered.secret, second.six_digits(code), now, 0)
        if step is None:
            return None
        nonce = bytes.fromhex(self._make())[:NONCE]
        return SecondFactor(account, sealed(self._key, nonce, offered.secret, same(account)), step, now)

    def forget(self, account: str) -> None:
        """Forget what was offered."""
        self._offered.pop(same(account), None)

    def recovery(self, account: str, now: Instant) -> dict[str, RecoveryCode]:
        """New recovery codes, as they are shown this once, each with what is kept of it."""
        codes = [second.recovery_code(self._make()) for _ in range(second.RECOVERY_CODES)]
        return {code: RecoveryCode(second.recovery_digest(code), account, now) for code in codes}

    # Comparing --------------------------------------------------------------------------------------------------------

    def proved(self, factor: SecondFactor, code: str, now: Instant) -> int | None:
        """The step of time whose code this is, where it was not used yet, nor a later one."""
        from service_monitoring.access.codes import matching, opened  # noqa: PLC0415 - likewise

        secret = opened(self._key, factor.sealed, same(factor.account))
        if secret is None:
            log().warning(
                "a second factor was sealed with another key than that of the data folder: only recovery codes help",
                account=factor.account,
                file=KEY,
            )
            return None
        return matching(secret, code, now, factor.step)


def _library() -> None:
    from service_monitoring.access import codes  # noqa: F401, PLC0415 - in a thread, so that the loop does not wait
