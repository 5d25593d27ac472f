"""The application behind the door: the API and the pages of the console, put together.

Knows which areas there are. Who asks is in the scope of each request before it comes here.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI

from service_monitoring.views.faces import Faces
from service_monitoring.web.api.application import SESSION, api
from service_monitoring.web.pages.access import access_pages
from service_monitoring.web.pages.account import account_pages
from service_monitoring.web.pages.accounts import accounts_pages
from service_monitoring.web.pages.board import board_pages
from service_monitoring.web.pages.incidents import incident_pages
from service_monitoring.web.pages.oncall import oncall_pages
from service_monitoring.web.pages.outbox import outbox_pages
from service_monitoring.web.pages.provider import provider_pages
from service_monitoring.web.pages.rehearsals import rehearsal_pages
from service_monitoring.web.pages.second import second_pages
from service_monitoring.web.pages.service import service_pages
from service_monitoring.web.pages.silences import silence_pages
from service_monitoring.web.pages.static_files import statics
from service_monitoring.web.pages.status import status_pages
from service_monitoring.web.pages.system import system_pages
from service_monitoring.web.permitting import Routes


def application(faces: Faces, *, cookie: str = SESSION) -> FastAPI:
    """The API and the pages; it holds no state and starts no task. `cookie` is how that of a session is called."""
    app = api(faces, cookie=cookie)
    for area in _pages(faces):
        app.include_router(area.router)
    return app


def _pages(faces: Faces) -> Iterator[Routes]:
    yield statics
    if faces.access is not None:
        yield access_pages(faces.access, "" if faces.provider is None else faces.provider.name)
        yield account_pages(faces.access)
        yield second_pages(faces.access)
        yield accounts_pages(faces.access)
        if faces.provider is not None:
            yield provider_pages(faces.provider, faces.access)
    if faces.board is not None:
        yield board_pages(faces.board)
    if faces.service is not None:
        yield service_pages(faces, faces.service)
    yield incident_pages(faces)
    yield silence_pages(faces)
    yield outbox_pages(faces.desk)
    yield system_pages(faces.desk)
    if faces.rotas is not None:
        yield oncall_pages(faces.rotas)
    if faces.rehearsals is not None:
        yield rehearsal_pages(faces.rehearsals)
    if faces.status is not None:
        yield status_pages(faces.status)
