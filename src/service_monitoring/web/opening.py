"""Opening: the API and what arrives by itself, once their libraries are there.

They take as long to import as all the rest of the program, so a start does not wait for them: they come in a thread
while the first checks run. Knows that alone; importing this module imports none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from service_monitoring.views.faces import Faces
from service_monitoring.web.door import Door


async def open_api(faces: Faces, *, path: Path, beat: Callable[[], None]) -> None:
    """Serve the whole API at `path` until cancelled. Cancelled while it imports, nothing was opened."""

    def prepared() -> Callable[[], Awaitable[None]]:
        from service_monitoring.web.api.application import api  # noqa: PLC0415 - as the module says
        from service_monitoring.web.arrivals import Arrivals  # noqa: PLC0415 - as the module says
        from service_monitoring.web.entering import AsOwner  # noqa: PLC0415 - as the module says
        from service_monitoring.web.serve import serve  # noqa: PLC0415 - as the module says

        inside = AsOwner(api(faces))
        app = inside if faces.intake is None else Arrivals(faces.intake, inside)
        return lambda: serve(app, path, beat)

    await (await asyncio.to_thread(prepared))()


async def open_door(door: Door, faces: Faces, *, beat: Callable[[], None]) -> None:
    """Serve at a TCP address what strangers may ask until cancelled.

    Until somebody can be asked who he is, they may report, use links of notices, ask whether we live, and nothing else.
    """

    def prepared() -> Callable[[], Awaitable[None]]:
        from service_monitoring.web.acts import Acts  # noqa: PLC0415 - as the module says
        from service_monitoring.web.arrivals import Arrivals, Public  # noqa: PLC0415 - as the module says
        from service_monitoring.web.serve import serve_door  # noqa: PLC0415 - as the module says

        public = Public(faces.desk)
        arrivals = public if faces.intake is None else Arrivals(faces.intake, public)
        app = arrivals if faces.links is None else Acts(faces.links, arrivals)
        return lambda: serve_door(app, door, beat)

    await (await asyncio.to_thread(prepared))()
