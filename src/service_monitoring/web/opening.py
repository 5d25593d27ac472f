"""Opening: the API, once its libraries are there.

They take as long to import as all the rest of the program, so a start does not wait for them: they come in a thread
while the first checks run. Knows that alone; importing this module imports none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from service_monitoring.views.desk import Desk


async def open_api(desk: Desk, *, version: str, path: Path, beat: Callable[[], None]) -> None:
    """Serve the API at `path` until cancelled; see `serve.serve`. Cancelled while it imports, nothing was opened."""
    serving = await asyncio.to_thread(_prepared, desk, version)
    await serving(path, beat)


def _prepared(desk: Desk, version: str) -> Callable[[Path, Callable[[], None]], Awaitable[None]]:
    """What serves the API of a desk. Blocks on the imports."""
    from service_monitoring.web.api import api  # noqa: PLC0415 - as the module says
    from service_monitoring.web.serve import serve  # noqa: PLC0415 - as the module says

    app = api(desk, version=version)
    return lambda path, beat: serve(app, path, beat)
