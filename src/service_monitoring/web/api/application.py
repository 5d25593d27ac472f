"""The application of the API: all its areas, what they answer, and errors as problem+json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastapi import FastAPI, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.views.board import Overview, ServicePage, ServiceRow
from service_monitoring.views.desk import IncidentDetail, NoticeDetail, OutboxRow
from service_monitoring.views.explanation import Explanation
from service_monitoring.views.faces import Faces
from service_monitoring.views.figures import BudgetRow, UptimeRow
from service_monitoring.views.incidents import IncidentRow
from service_monitoring.views.maintenance import MaintenanceRow
from service_monitoring.views.rehearsals import JobDetail, RehearsalOptions, RehearsalReport
from service_monitoring.views.rules import RuleDetail
from service_monitoring.views.silences import SilencePreview, SilenceRow
from service_monitoring.web.api.accounts import ACCESS_SHAPES, accounts
from service_monitoring.web.api.board import board
from service_monitoring.web.api.incidents import incidents
from service_monitoring.web.api.keys import KEY_SHAPES, keys
from service_monitoring.web.api.live import live
from service_monitoring.web.api.metrics import metrics
from service_monitoring.web.api.monitor import MONITOR_SHAPES, monitor
from service_monitoring.web.api.oncall import oncall
from service_monitoring.web.api.outbox import outbox
from service_monitoring.web.api.problems import answer_errors, json
from service_monitoring.web.api.rehearsals import rehearsals
from service_monitoring.web.api.rules import rules
from service_monitoring.web.api.services import SERVICE_SHAPES, one_service, services
from service_monitoring.web.api.silences import silences
from service_monitoring.web.auditing import Audited
from service_monitoring.web.counting import Counted
from service_monitoring.web.describing import ABOUT, AREAS, TITLE, VERSION, describe
from service_monitoring.web.permitting import Permitted, Routes
from service_monitoring.web.repeating import Repeated
from service_monitoring.web.several import Outcome
from service_monitoring.web.traced import Traced

SESSION: Final = "session"
"""How the cookie of a session is called, unless it is said otherwise."""

_DESCRIBED: Final = (
    OutboxRow,
    NoticeDetail,
    RuleDetail,
    UptimeRow,
    BudgetRow,
    SilenceRow,
    SilencePreview,
    Explanation,
    ServicePage,
    ServiceRow,
    Overview,
    MaintenanceRow,
    Outcome,
    RehearsalOptions,
    JobDetail,
    RehearsalReport,
    IncidentRow,
    IncidentDetail,
    *ACCESS_SHAPES,
    *KEY_SHAPES,
    *MONITOR_SHAPES,
    *SERVICE_SHAPES,
)
"""What routes answer, for the description."""


def api(faces: Faces, *, cookie: str = SESSION) -> FastAPI:
    """The application; it holds no state and starts no task. Who asks is in the scope of each request by then."""
    tags = [{"name": name, "description": said} for name, said in AREAS.items()]
    app = FastAPI(title=TITLE, version=VERSION, description=ABOUT, openapi_url=None, openapi_tags=tags)
    # What is put in past `Routes` names no permission, and opens for nobody.
    app.router.route_class = Permitted
    answer_errors(app)
    for area in (_description(app), *_areas(faces)):
        app.include_router(area.router)
    if faces.answers is not None:
        app.add_middleware(Repeated, answers=faces.answers)
    if faces.access is not None:
        app.add_middleware(Audited, access=faces.access)
    if faces.requests is not None:
        app.add_middleware(Counted, counts=faces.requests)
    if faces.tracing is not None:
        app.add_middleware(Traced, tracing=faces.tracing)
    describe(app, *_DESCRIBED, cookie=cookie)
    return app


def _description(app: FastAPI) -> Routes:
    """The description itself, written once. Who opens a door lets it be made before."""
    routes, written = Routes(described=False), list[Response]()

    # Whatever it says is in every copy of the program, and nothing of this installation is: it is for everybody.
    # There is no page that shows it: such pages are scripts of others.
    @routes.get("/openapi.json", needs=Permission.PUBLIC)
    async def description() -> Response:
        if not written:
            written.append(json(app.openapi()))
        return written[0]

    return routes


def _areas(faces: Faces) -> Iterator[Routes]:
    desk = faces.desk
    yield from (monitor(desk), incidents(desk), silences(desk), outbox(desk), rules(desk), services(desk), keys(desk))
    if faces.access is not None:
        yield accounts(faces.access)
    if faces.board is not None:
        yield board(faces.board)
    if faces.live is not None:
        yield live(faces.live)
    if faces.service is not None:
        yield one_service(faces.service)
    if faces.rotas is not None:
        yield oncall(faces.rotas)
    if faces.rehearsals is not None:
        yield rehearsals(faces.rehearsals)
    if faces.meter is not None:
        yield metrics(faces.meter)
