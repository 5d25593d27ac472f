"""The application of the API: all its areas, what they answer, and errors as problem+json."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

from service_monitoring.access.desk import AccountRow, AuditRow, NewToken, SessionRow
from service_monitoring.views.board import Overview, ServicePage, ServiceRow
from service_monitoring.views.desk import OutboxRow
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
from service_monitoring.web.api.monitor import monitor
from service_monitoring.web.api.oncall import oncall
from service_monitoring.web.api.outbox import outbox
from service_monitoring.web.api.problems import answer_errors
from service_monitoring.web.api.rehearsals import rehearsals
from service_monitoring.web.api.rules import rules
from service_monitoring.web.api.services import DESCRIBED, one_service, services
from service_monitoring.web.api.silences import silences
from service_monitoring.web.auditing import Audited
from service_monitoring.web.describing import describe
from service_monitoring.web.several import Outcome

_DESCRIBED: Final = (
    OutboxRow,
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
)
"""What routes answer, for the description."""


def api(faces: Faces) -> FastAPI:
    """The application; it holds no state and starts no task. Who asks is in the scope of each request by then."""
    app = FastAPI(title="service-monitoring", version=faces.version, docs_url=None, redoc_url=None)
    answer_errors(app)
    desk = faces.desk
    for area in (
        monitor(desk),
        incidents(desk),
        silences(desk),
        outbox(desk),
        rules(desk),
        services(desk),
        keys(desk),
    ):
        app.include_router(area.router)
    if faces.access is not None:
        app.include_router(accounts(faces.access).router)
        app.add_middleware(Audited, access=faces.access)
    if faces.board is not None:
        app.include_router(board(faces.board).router)
    if faces.live is not None:
        app.include_router(live(faces.live).router)
    if faces.service is not None:
        app.include_router(one_service(faces.service).router)
    if faces.rotas is not None:
        app.include_router(oncall(faces.rotas).router)
    if faces.rehearsals is not None:
        app.include_router(rehearsals(faces.rehearsals).router)
    describe(app, *_DESCRIBED, *DESCRIBED)
    return app
