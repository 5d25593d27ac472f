"""Opening: the API and what arrives by itself, once their libraries are there.

They take as long to import as all the rest of the program, so a start does not wait for them: they come in a thread
while the first checks run. Knows that alone; importing this module imports none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Lock
from typing import Final

from service_monitoring.settings import WebSettings
from service_monitoring.views.faces import Faces
from service_monitoring.web.door import Door
from service_monitoring.web.encrypting import Encryption

_ONE_AT_A_TIME: Final = Lock()
"""Applications are made one after the other, their modules too: FastAPI quietens warnings whenever a route is made,
which two threads cannot at once."""


async def open_api(faces: Faces, *, path: Path, beat: Callable[[], None]) -> None:
    """Serve the whole API at `path` until cancelled. Cancelled while it imports, nothing was opened."""

    def prepared() -> Callable[[], Awaitable[None]]:
        with _ONE_AT_A_TIME:
            from service_monitoring.web.api.application import api  # noqa: PLC0415 - as the module says
            from service_monitoring.web.arrivals import Arrivals  # noqa: PLC0415 - as the module says
            from service_monitoring.web.entering import AsOwner  # noqa: PLC0415 - as the module says
            from service_monitoring.web.serve import serve  # noqa: PLC0415 - as the module says

            made = api(faces)
            made.openapi()  # it takes a while: nobody should wait for it
            inside = AsOwner(made)
        app = inside if faces.intake is None else Arrivals(faces.intake, inside)
        return lambda: serve(app, path, beat)

    await (await asyncio.to_thread(prepared))()


async def open_door(
    door: Door,
    faces: Faces,
    web: WebSettings,
    *,
    csrf: str,
    beat: Callable[[], None],
    encryption: Encryption | None = None,
) -> None:
    """Serve everything at a TCP address until cancelled: what arrives by itself, links of notices, API and pages.

    `csrf` is a secret of this process, for forms of those who sign in nowhere.
    """

    def prepared() -> Callable[[], Awaitable[None]]:
        with _ONE_AT_A_TIME:
            from service_monitoring.web.application import application  # noqa: PLC0415 - as the module says
            from service_monitoring.web.composing import behind_door  # noqa: PLC0415 - as the module says
            from service_monitoring.web.doorstep import cookie_of  # noqa: PLC0415 - as the module says
            from service_monitoring.web.serve import serve_door  # noqa: PLC0415 - as the module says

            if faces.provider is not None:
                from service_monitoring.web import id_tokens  # noqa: F401, PLC0415 - before somebody waits for it

            inside = application(faces, cookie=cookie_of(web))
            inside.openapi()  # it takes a while: nobody should wait for it
            app = behind_door(inside, faces, web, csrf=csrf)
        return lambda: serve_door(app, door, beat, encryption=encryption, proxies=web.behind_proxy)

    await (await asyncio.to_thread(prepared))()
