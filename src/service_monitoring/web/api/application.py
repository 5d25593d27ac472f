"""The application of the API: all its areas, what they answer, and errors as problem+json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastapi import FastAPI

from service_monitoring.access.desk import AccountRow, AuditRow, NewToken, SessionRow
from service_monitoring.views.board import Overview, ServicePage, ServiceRow
from service_monitoring.views.desk import NoticeDetail, OutboxRow
from service_monitoring.views.explanation import Explanation
from service_monitoring.views.faces import Faces
from service_monitoring.views.figures import BudgetRow, UptimeRow
from service_monitoring.views.maintenance import MaintenanceRow
from service_monitoring.views.rehearsals import JobDetail, RehearsalOptions, RehearsalReport
from service_monitoring.views.rules import RuleDetail
from service_monitoring.views.silences import SilencePreview, SilenceRow
from service_monitoring.web.api.accounts import accounts
from service_monitoring.web.api.board import board
from service_monitoring.web.api.incidents import incidents
from service_monitoring.web.api.keys import keys
from service_monitoring.web.api.live import live
from service_monitoring.web.api.metrics import metrics
from service_monitoring.web.api.monitor import monitor
from service_monitoring.web.api.oncall import oncall
from service_monitoring.web.api.outbox import outbox
from service_monitoring.web.api.problems import answer_errors
from service_monitoring.web.api.rehearsals import rehearsals
from service_monitoring.web.api.rules import rules
from service_monitoring.web.api.services import DESCRIBED, one_service, services
from service_monitoring.web.api.silences import silences
from service_monitoring.web.auditing import Audited
from service_monitoring.web.counting import Counted
from service_monitoring.web.describing import describe
from service_monitoring.web.permitting import Routes
from service_monitoring.web.several import Outcome
from service_monitoring.web.traced import Traced

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
    AccountRow,
    SessionRow,
    NewToken,
    AuditRow,
    MaintenanceRow,
    Outcome,
    RehearsalOptions,
    JobDetail,
    RehearsalReport,
    *DESCRIBED,
)
"""What routes answer, for the description."""


def api(faces: Faces) -> FastAPI:
    """The application; it holds no state and starts no task. Who asks is in the scope of each request by then."""
    app = FastAPI(title="service-monitoring", version=faces.version, docs_url=None, redoc_url=None)
    answer_errors(app)
    for area in _areas(faces):
        app.include_router(area.router)
    if faces.access is not None:
        app.add_middleware(Audited, access=faces.access)
    if faces.requests is not None:
        app.add_middleware(Counted, counts=faces.requests)
    if faces.tracing is not None:
        app.add_middleware(Traced, tracing=faces.tracing)
    describe(app, *_DESCRIBED)
    return app


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
