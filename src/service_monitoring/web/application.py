"""The application behind the door: the API and the pages of the console, put together.

Knows which areas there are. Who asks is in the scope of each request before it comes here.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI

from service_monitoring.views.faces import Faces
from service_monitoring.web.api.application import api
from service_monitoring.web.pages.static_files import statics
from service_monitoring.web.pages.status import status_pages
from service_monitoring.web.permitting import Routes


def application(faces: Faces) -> FastAPI:
    """The API and the pages; it holds no state and starts no task."""
    app = api(faces)
    for area in _pages(faces):
        app.include_router(area.router)
    return app


def _pages(faces: Faces) -> Iterator[Routes]:
    yield statics
    if faces.status is not None:
        yield status_pages(faces.status)
