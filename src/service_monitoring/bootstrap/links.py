"""The links of this installation: read with the key of the data folder, and done at the desk like any other act.

Knows the signer, the desk and how many may come. Does not decide what an act does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from service_monitoring.bootstrap.intake import PATIENCE, Gate
from service_monitoring.bootstrap.wiring import new_secret
from service_monitoring.domain.incidents import FINAL, MOVES, Move, State
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.errors import Expired, NotFound, Refused, Unavailable
from service_monitoring.ports import Clock
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.settings import Settings
from service_monitoring.storage.folder import kept_secret
from service_monitoring.views.desk import Desk
from service_monitoring.views.incidents import IncidentRow
from service_monitoring.views.links import Offer
from service_monitoring.views.texts import one_line
from service_monitoring.wire.links import Permission, Signer

KEY: Final = "links.key"
"""The file of the data folder that holds the key."""
LONGEST_NAME: Final = 100
_MOVES: Final = {Act.ACKNOWLEDGE: Move.ACKNOWLEDGE, Act.RESOLVE: Move.RESOLVE}


def signer_of(settings: Settings) -> Signer | None:
    """Who writes links, where it is known at which URL people reach this program. The folder must be ours by now."""
    if settings.web is None or not settings.web.url:
        return None
    return Signer(the_key(settings.store.path), settings.web.url)


def the_key(folder: Path) -> bytes:
    """The key of a data folder, made when it is needed first."""
    return kept_secret(folder / KEY, new_secret)


class StoreLinks:
    """`views.links.LinkDesk` over a desk. Belongs to its loop; cancelled, what was admitted is kept nevertheless."""

    def __init__(self, signer: Signer, desk: Desk, clock: Clock, gate: Gate | None = None) -> None:
        self._signer = signer
        self._desk = desk
        self._clock = clock
        self._gate = gate or Gate(clock)

    async def look(self, token: str) -> Offer:
        """What a link offers."""
        return await self._offered(await self._permission(token))

    async def use(self, token: str, by: str) -> IncidentRow:
        """Do what a link permits."""
        permission = await self._permission(token)
        offer = await self._offered(permission)
        if offer.refusal:
            raise Refused(offer.refusal)
        name = one_line(by.encode(errors="replace").decode()).strip()[:LONGEST_NAME]
        link = f"the link sent to {permission.channel}"
        acted = Acted(permission.incident, permission.act, f"{name} ({link})" if name else link)
        try:
            async with within(self._clock, deadline_after(self._clock, PATIENCE)):
                return await self._desk.act(acted)
        except TimeoutError:
            raise Unavailable("it cannot be stored now: try again in a moment") from None

    async def _permission(self, token: str) -> Permission:
        permission = self._signer.read(token)
        await self._gate.admit(None if permission is None else permission.channel)
        if permission is None or permission.act not in _MOVES:
            raise NotFound("this link opens nothing")
        if self._clock.now() >= permission.expires_at:
            raise Expired("this link has expired: take that of a newer notice")
        return permission

    async def _offered(self, permission: Permission) -> Offer:
        row = (await self._desk.incident(permission.incident)).incident
        return Offer(permission.act.value, row, _refusal(permission.act, row))


def _refusal(act: Act, row: IncidentRow) -> str:
    state = State(row.state)
    if (state, _MOVES[act]) in MOVES:
        return ""
    if state in FINAL:
        return f"this incident is over: it was {state} at {row.resolved_at}"
    return f"this incident is {state} already"
