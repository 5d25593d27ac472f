"""The intake of this installation: keys from the store, limits of the runtime, and the cycle that keeps what came.

Knows the store's keys and the cycle. Does not decide what follows from what came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, Protocol

from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.domain.configuration import Check
from service_monitoring.domain.course import Course, Ruling
from service_monitoring.domain.inputs import Input, Pinged, Pushed, PushedSample, Taken
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.errors import NotFound, TooMuch, Unavailable
from service_monitoring.ports import Clock, Enclosed
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.runtime.limits import Limits
from service_monitoring.storage.keys import Key, Purpose
from service_monitoring.views.intake import Report, Sender

PATIENCE: Final = Duration(5 * SECOND)
"""How long a sender waits for what it sent to be kept, before it is told to send it again."""
_SLOWED: Final = SECOND
"""How long one who comes too often waits for being told so: answering at once would let him come more often still."""
_MOST_SLOWED: Final = 200
_PARTS: Final = 64


class Ask(Protocol):
    """Admits an input and returns when it is kept."""

    async def __call__(self, what: Input, enclosed: Enclosed | None = None) -> Ruling:
        """What was decided of it."""
        ...


class Gate:
    """Lets in who does not come too often, and makes the others wait before it tells them. Belongs to one loop."""

    def __init__(self, clock: Clock, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        self._slowed = 0
        self._sent_away = 0

    async def admit(self, sender: str | None) -> None:
        """One more of a sender, or of a stranger; `TooMuch` when there were too many."""
        now = self._clock.tick()
        wait = self.limits.stranger(now) if sender is None else self.limits.known(sender, now)
        if wait is not None:
            await self._send_away(wait)

    async def _send_away(self, wait: Duration) -> NoReturn:
        if self._slowed < _MOST_SLOWED:
            self._slowed += 1
            self._sent_away += 1
            # Those who came together are not answered together: all of them at once would hold up others.
            spread = Duration(self._sent_away % _PARTS * (_SLOWED // _PARTS))
            try:
                await self._clock.wait_until(self._clock.tick().plus(_SLOWED).plus(spread))
            finally:
                self._slowed -= 1
        raise TooMuch("too much came at once: send less often", max(1, math.ceil(wait / SECOND)))


class StoreIntake:
    """`views.intake.Intake` over a cycle. Belongs to its loop; cancelled, what was admitted is kept nevertheless."""

    def __init__(
        self,
        keyring: Keyring,
        clock: Clock,
        *,
        course: Callable[[], Course],
        ask: Ask,
        limits: Limits | None = None,
    ) -> None:
        self._keyring = keyring
        self._clock = clock
        self._course = course
        self._ask = ask
        self._gate = Gate(clock, limits)

    def now(self) -> Instant:
        """By the machine's clock."""
        return self._clock.now()

    async def pinging(self, key: str) -> Sender:
        """The heartbeat that has this key."""
        return await self._sender(key, Purpose.PING)

    async def pushing(self, key: str) -> Sender:
        """The check that takes samples under this key."""
        return await self._sender(key, Purpose.PUSH)

    async def report(self, sender: Sender, report: Report) -> None:
        """Take a report."""
        told = Pinged(sender.service, sender.check, report.signal, report.run, report.exit_code)
        await self._kept(told, Enclosed(report.content, report.cut))

    async def push(self, sender: Sender, samples: Sequence[PushedSample]) -> Sequence[Taken]:
        """Take samples."""
        return (await self._kept(Pushed(sender.service, sender.check, tuple(samples)), None)).taken

    async def _kept(self, what: Input, enclosed: Enclosed | None) -> Ruling:
        try:
            async with within(self._clock, deadline_after(self._clock, PATIENCE)):
                return await self._ask(what, enclosed)
        except TimeoutError:
            raise Unavailable("what was sent cannot be stored now: send it again") from None

    async def _sender(self, text: str, purpose: Purpose) -> Sender:
        key = self._keyring.find(text, purpose)
        check = None if key is None else self._check(key)
        await self._gate.admit(None if key is None else key.hash)
        if key is None or check is None:
            raise NotFound("there is nothing here")
        return Sender(key.service, key.check, key.hash, check.allowance)

    def _check(self, key: Key) -> Check | None:
        """The check that a key belongs to, if it is still one that takes what the key is for."""
        for service in self._course().configuration.services:
            if service.name == key.service:
                for check in service.checks:
                    fits = check.expects is not None if key.purpose is Purpose.PING else check.allowance > 0
                    if check.name == key.check and fits:
                        return check
        return None
