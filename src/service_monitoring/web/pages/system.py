"""The system: how the program itself is, in words and numbers, and what its owner may do about it.

Knows HTTP and the desk. Does not know loops or stores: it shows what the desk says of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from service_monitoring.access.permissions import Permission
from service_monitoring.errors import MonitoringError
from service_monitoring.settings.complaints import MOST_COMPLAINTS, InvalidSettings
from service_monitoring.views.desk import Desk, Reloaded
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes

MOST_CHANNELS: Final = 200

REMEDIES: Final = (
    ("configuration is refused", "Mend the file at the place that is named, and reload: the one before goes on."),
    ("nothing can be stored", "Make room on the disk of the data folder, or mend it: what is decided waits meanwhile."),
    ("network is down", "Look at this machine's own network: failures that it explains judge no service."),
    ("event loop was blocked", "See the log for where it stood: a plugin, or a machine without a free processor."),
    ("no sign of life", "It is started again by itself; when that goes on, the log says why."),
    ("is starting", "Wait a moment: checks and answers come as soon as everything is open."),
    ("is stopping", "It was told to end; start it again."),
)
"""What is said of trouble, and what helps."""
_ANY: Final = "The log of the program says more; docs/how-to/operate.md says what to look at."


def system_pages(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(described=False)

    async def shown(request: Request, status: int = 200, **said: Any) -> Response:
        how = await desk.status()
        lanes = {name: each for name, each in how.queues.items() if "channel" in each}
        return page(
            request,
            "system.html",
            status=status,
            how=how,
            troubles=[(sentence, remedy_of(sentence)) for sentence in how.trouble],
            queues={name: each for name, each in how.queues.items() if "channel" not in each},
            lanes=dict(list(lanes.items())[:MOST_CHANNELS]),
            unlisted=max(len(lanes) - MOST_CHANNELS, 0),
            **({"reloaded": None, "backed_up": "", "wrong": "", "complaints": ()} | said),
        )

    @routes.get("/system", needs=Permission.READ)
    async def system(request: Request, backed_up: Annotated[str, Query(max_length=4096)] = "") -> Response:
        return await shown(request, backed_up=backed_up)

    @routes.post("/system/reload", needs=Permission.ADMINISTER)
    async def reload(request: Request) -> Response:
        """What came of it is shown at once: it is not kept, and reloading twice changes nothing."""
        try:
            reloaded: Reloaded = await desk.reload()
        except InvalidSettings as invalid:
            wrong = "The configuration is refused, and the one before goes on."
            return await shown(request, 422, wrong=wrong, complaints=invalid.complaints[:MOST_COMPLAINTS])
        except MonitoringError as error:
            return await shown(request, status_of(error)[0], wrong=str(error))
        return await shown(request, reloaded=reloaded)

    @routes.post("/system/backup", needs=Permission.ADMINISTER)
    async def backup(request: Request, file: Annotated[str, Form(min_length=1, max_length=4096)]) -> Response:
        if not file.startswith("/"):
            return await shown(request, 422, wrong="Name the whole path of the new file: /var/backups/monitoring.tar")
        try:
            await desk.backup(file)
        except MonitoringError as error:
            return await shown(request, status_of(error)[0], wrong=str(error))
        return RedirectResponse(f"/system?{urlencode({'backed_up': file}, errors='replace')}", 303)

    return routes


def remedy_of(sentence: str) -> str:
    """What helps against a trouble."""
    return next((remedy for words, remedy in REMEDIES if words in sentence), _ANY)
