"""The routes of `/api/v1`: HTTP in, the desk's answers out, errors as problem+json.

Knows HTTP and the desk. Does not know who may come in (the socket's owner alone, so far), nor what stands behind the
desk.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator
from starlette.exceptions import HTTPException

from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted, Requeued, Retired
from service_monitoring.domain.instants import SECOND, Duration, Instant, seconds
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import Conflict, MonitoringError, NotFound, Refused, Unavailable
from service_monitoring.ports import Drafts, Ended
from service_monitoring.settings.complaints import MOST_COMPLAINTS, InvalidSettings
from service_monitoring.settings.matchers import matcher
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.settings.quantities import LONGEST, duration
from service_monitoring.views.desk import Desk, OutboxRow
from service_monitoring.views.explanation import Explanation
from service_monitoring.views.figures import BudgetRow, UptimeRow
from service_monitoring.views.rules import RuleDetail, RuleRow
from service_monitoring.views.silences import SilencePreview, SilenceRow
from service_monitoring.web.describing import answers, describe

_STATUS: Final[tuple[tuple[type[MonitoringError], int, str], ...]] = (
    (NotFound, 404, "not found"),
    (Refused, 409, "refused"),
    (Conflict, 409, "conflict"),
    (Unavailable, 503, "unavailable"),
    (MonitoringError, 500, "error"),
)


_LATER: Final = {"Retry-After": "5"}
_LONGEST_MATCHER: Final = 1_000
_MATCHER_REMEDY: Final = """write service=shop, or team=~"pay.*\""""


class ByPerson(BaseModel):
    """Who acts on an incident, and a word about it."""

    by: str = Field(min_length=1, max_length=200, description="Who acts")
    comment: str = Field(default="", max_length=4096)


def _length(given: object) -> Duration | None:
    """A length of time as text, or as a number of seconds."""
    if given is None:
        return None
    if isinstance(given, str):
        length = duration(given)
    elif isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= LONGEST / SECOND:
        length = seconds(given)
    else:
        raise InvalidValue("this is no length of time", "write 2h, or a number of seconds")
    if length <= 0:
        raise InvalidValue("no time is left before it begins", "write 2h, or a number of seconds")
    return length


def _moment(given: object) -> Instant:
    """An instant of the query."""
    try:
        return Instant.parse(str(given)[:64])
    except Refused as refused:
        raise InvalidValue(str(refused)) from None


Moment = Annotated[
    Instant,
    PlainValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-05T12:00:00Z"]}),
]
"""An instant as RFC 3339 with an offset."""


class Acknowledgement(ByPerson):
    """Who takes an incident on, and for how long, if not until it is over."""

    expires_after: Annotated[
        Duration | None,
        BeforeValidator(_length),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}, {"type": "null"}],
                "description": "How long it lasts: 2h, 90s, 1h30m, or a number of seconds. Without it, to the end.",
            }
        ),
    ] = None


class Snooze(ByPerson):
    """Who wants to hear nothing more of an incident, and for how long."""

    lasts: Annotated[
        Duration,
        Field(alias="for"),
        BeforeValidator(_length),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}],
                "description": "How long: 2h, 90s, 1h30m, or a number of seconds.",
            }
        ),
    ]


class Assignment(ByPerson):
    """Who assigns an incident, and to whom."""

    to: str = Field(min_length=1, max_length=200, description="Who is to take care of it")


class Note(BaseModel):
    """Who notes something on an incident, and what."""

    by: str = Field(min_length=1, max_length=200, description="Who writes")
    text: str = Field(min_length=1, max_length=4096)


def _matcher(given: object) -> Matcher:
    """A matcher as people write it."""
    if not isinstance(given, str) or len(given) > _LONGEST_MATCHER:
        raise InvalidValue("a matcher is expected here", _MATCHER_REMEDY)
    return matcher(given)


MatcherField = Annotated[
    Matcher,
    PlainValidator(_matcher),
    WithJsonSchema({"type": "string", "maxLength": _LONGEST_MATCHER, "examples": ["service=shop", 'team=~"pay.*"']}),
]
"""A matcher as text."""


class Preview(BaseModel):
    """What might be silenced."""

    matchers: list[MatcherField] = Field(min_length=1, max_length=100, description="What all must hold")


class NewSilence(Preview):
    """What is to be silenced, from when and until when, by whom and why."""

    by: str = Field(min_length=1, max_length=200, description="Who acts")
    comment: str = Field(min_length=1, max_length=4096, description="Why")
    begins: Moment | None = None
    ends: Moment | None = None
    lasts: Annotated[
        Duration | None,
        BeforeValidator(_length),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}, {"type": "null"}],
                "description": "How long, in place of its end: 2h, 90s, 1h30m, or a number of seconds.",
            }
        ),
    ] = None

    @model_validator(mode="after")
    def _one_end(self) -> NewSilence:
        if (self.ends is None) == (self.lasts is None):
            raise InvalidValue("a silence has an end, or a length", "give ends or lasts, and one of them")
        return self


class Person(BaseModel):
    """Who acts."""

    by: str = Field(min_length=1, max_length=200, description="Who acts")


class Retirement(BaseModel):
    """Who retires a rule, and why."""

    by: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=4096)


class BackupTarget(BaseModel):
    """Where a backup goes: a path on the machine of the program, which must not exist yet."""

    file: str = Field(min_length=1, max_length=4096)


class NamedCheck(BaseModel):
    """A check, as `service.check`."""

    check: str = Field(min_length=3, max_length=201)


class Rotation(BaseModel):
    """How long the keys before it still open."""

    overlap_seconds: int = Field(default=0, ge=0, le=31 * 86_400)


def api(desk: Desk, *, version: str) -> FastAPI:
    """The application; it holds no state and starts no task."""
    app = FastAPI(title="service-monitoring", version=version, docs_url=None, redoc_url=None)
    _answer_errors(app)
    _ask_and_tell(app, desk)
    _act_on_incidents(app, desk)
    _keep_silences(app, desk)
    _show_outbox(app, desk)
    _show_rules(app, desk)
    _show_figures(app, desk)
    describe(app, OutboxRow, RuleDetail, UptimeRow, BudgetRow, SilenceRow, SilencePreview, Explanation)
    _keep_keys(app, desk)
    return app


def _answer_errors(app: FastAPI) -> None:
    """Answer each error with a problem of its own kind."""

    @app.exception_handler(MonitoringError)
    async def answer_trouble(request: Request, error: Exception) -> Response:
        kind, status, title = next(row for row in _STATUS if isinstance(error, row[0]))
        return _problem(status, title, str(error), _LATER if kind is Unavailable else None)

    @app.exception_handler(InvalidSettings)
    async def answer_complaints(request: Request, error: InvalidSettings) -> Response:
        complaints = [each.plain() for each in error.complaints[:MOST_COMPLAINTS]]
        detail = f"the configuration is refused: {error.complaints[0]}"
        return _problem(422, "invalid configuration", detail, complaints=complaints)

    @app.exception_handler(HTTPException)
    async def answer_no_route(request: Request, error: HTTPException) -> Response:
        # Neither the path, which may hold a key, nor anything else that was sent: errors are logged by others, too.
        title = HTTPStatus(error.status_code).phrase.lower()
        detail = "there is nothing here" if error.status_code == 404 else f"{title}: /openapi.json has what is possible"
        return _problem(error.status_code, title, detail, error.headers)

    @app.exception_handler(Exception)
    async def answer_defect(request: Request, error: Exception) -> Response:
        # Its text may hold anything; it goes to the log, where the framework raises it again.
        return _problem(500, "error", "the program made a mistake: its log says which")

    @app.exception_handler(RequestValidationError)
    async def answer_nonsense(request: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        return _problem(422, "not understood", said)


def _ask_and_tell(app: FastAPI, desk: Desk) -> None:
    @app.get("/healthz", summary="Whether the program answers")
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz", summary="Whether it does its work; 503 names each reason why not")
    async def readyz() -> Response:
        reasons = (await desk.status()).trouble
        if reasons:
            return _problem(503, "not ready", "; ".join(reasons), _LATER, reasons=reasons)
        return Response("ready\n", media_type="text/plain")

    @app.get("/api/v1/status", summary="How the program itself is")
    async def status() -> Response:
        return _json(await desk.status())

    @app.get("/api/v1/incidents", summary="Incidents, newest first")
    async def incidents(
        state: Annotated[list[State] | None, Query(description="Only these states")] = None,
        service: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        *,
        drafts: Annotated[bool, Query(description="Also those of drafts, which nobody is told of")] = False,
    ) -> Response:
        shown = Drafts.SHOWN if drafts else Drafts.LEFT_OUT
        return _json(await desk.incidents(states=state or (), service=service, limit=limit, drafts=shown))

    @app.get("/api/v1/incidents/{id}", summary="One incident with its transitions and notices")
    async def incident(id: str) -> Response:
        return _json(await desk.incident(id))

    @app.get(
        "/api/v1/incidents/{id}/explain",
        summary="Who was told of an incident by an instant, who was not, and why",
        responses=answers(Explanation),
    )
    async def explain(
        id: str,
        at: Annotated[Moment | None, Query(description="By when; by now, where left out")] = None,
        person: Annotated[str, Query(max_length=200, description="Only what concerns this person")] = "",
    ) -> Response:
        return _json(await desk.explain(id, at, person))

    @app.post("/api/v1/rules/{service}/{rule}/retire", summary="Retire a rule for ever", status_code=204)
    async def retire(service: str, rule: str, retirement: Retirement) -> Response:
        await desk.retire(Retired(service, rule, retirement.reason, retirement.by))
        return Response(status_code=204)

    @app.post("/api/v1/reload", summary="Read the configuration again; 422 names each complaint")
    async def reload() -> Response:
        return _json(await desk.reload())

    @app.post("/api/v1/backup", summary="Write a backup to a new file")
    async def backup(target: BackupTarget) -> Response:
        return _json({"file": await desk.backup(target.file)})

    @app.get("/api/v1/checks/{check}/pings", summary="The newest reports to a check, newest first")
    async def pings(check: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        return _json(await desk.pings(check, limit=limit))


def _act_on_incidents(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/v1/incidents/{id}/acknowledge", summary="Take an incident on")
    async def acknowledge(id: str, given: Acknowledgement) -> Response:
        return _json(await desk.act(Acted(id, Act.ACKNOWLEDGE, given.by, given.comment, given.expires_after)))

    @app.post("/api/v1/incidents/{id}/resolve", summary="End an incident")
    async def resolve(id: str, person: ByPerson) -> Response:
        return _json(await desk.act(Acted(id, Act.RESOLVE, person.by, person.comment)))

    @app.post("/api/v1/incidents/{id}/snooze", summary="Hear nothing more of an incident for a while")
    async def snooze(id: str, given: Snooze) -> Response:
        return _json(await desk.act(Acted(id, Act.SNOOZE, given.by, given.comment, given.lasts)))

    @app.post("/api/v1/incidents/{id}/assign", summary="Say who is to take care of an incident")
    async def assign(id: str, given: Assignment) -> Response:
        return _json(await desk.act(Acted(id, Act.ASSIGN, given.by, given.comment, to=given.to)))

    @app.post("/api/v1/incidents/{id}/note", summary="Keep a text with an incident, over or not")
    async def note(id: str, given: Note) -> Response:
        return _json(await desk.act(Acted(id, Act.NOTE, given.by, given.text)))


def _keep_silences(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/v1/silences", summary="Silences, the latest to end first", responses=answers(list[SilenceRow]))
    async def silences(*, ended: Annotated[bool, Query(description="Also those that have ended")] = False) -> Response:
        return _json(await desk.silences(ended=Ended.SHOWN if ended else Ended.LEFT_OUT))

    @app.post("/api/v1/silences", summary="Hear nothing of something for a while", status_code=201)
    async def silence(given: NewSilence) -> Response:
        wanted = Wanted(tuple(given.matchers), given.by, given.comment, given.begins, given.ends, given.lasts)
        return _json(await desk.silence(wanted), 201)

    @app.post(
        "/api/v1/silences/preview",
        summary="Which incidents matchers match now, and did in the last week",
        responses=answers(SilencePreview),
    )
    async def preview(given: Preview) -> Response:
        return _json(await desk.preview(tuple(given.matchers)))

    @app.post("/api/v1/silences/{id}/expire", summary="End a silence now", responses=answers(SilenceRow))
    async def expire(id: str, person: Person) -> Response:
        return _json(await desk.expire(id, person.by))


def _show_outbox(app: FastAPI, desk: Desk) -> None:
    @app.get(
        "/api/v1/outbox",
        summary="Notices and what became of them, the latest decided first",
        responses=answers(list[OutboxRow]),
    )
    async def outbox(
        state: Annotated[list[str] | None, Query(description="Only these states: parked, waiting, ...")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        return _json(await desk.outbox(states=state or (), limit=limit))

    @app.post(
        "/api/v1/outbox/{key}/requeue",
        summary="Have a parked notice sent once more, under the same key",
        responses=answers(OutboxRow),
    )
    async def requeue(key: str, person: ByPerson) -> Response:
        return _json(await desk.requeue(Requeued(key, person.by, person.comment)))


def _show_rules(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/v1/rules", summary="All rules, and what they say", responses=answers(list[RuleRow]))
    async def rules() -> Response:
        return _json(await desk.rules())

    @app.get("/api/v1/rules/{service}/{rule}", summary="How a rule stands, and why", responses=answers(RuleDetail))
    async def rule(service: str, rule: str) -> Response:
        return _json(await desk.rule(service, rule))


def _show_figures(app: FastAPI, desk: Desk) -> None:
    @app.get(
        "/api/v1/services/{service}/uptime",
        summary="Which share of a range a service was up, down, degraded, in maintenance, or nobody knows",
        responses=answers(UptimeRow),
    )
    async def uptime(
        service: str,
        began: Annotated[
            Moment | None, Query(alias="from", description="30 days before the end where left out")
        ] = None,
        ended: Annotated[
            Moment | None, Query(alias="to", description="Not part of the range; now, where left out")
        ] = None,
    ) -> Response:
        return _json(await desk.uptime(service, began, ended))

    @app.get(
        "/api/v1/services/{service}/budgets",
        summary="What is left of the error budgets of a service",
        responses=answers(list[BudgetRow]),
    )
    async def budgets(service: str) -> Response:
        return _json(await desk.budgets(service))


def _keep_keys(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/v1/keys", summary="The keys of checks that report by themselves")
    async def keys() -> Response:
        return _json(await desk.keys())

    @app.post("/api/v1/keys", summary="Make the key of a check: it is shown this once", status_code=201)
    async def create_key(named: NamedCheck) -> Response:
        return _json(await desk.create_key(named.check), 201)

    @app.post("/api/v1/keys/{check}/rotate", summary="Make another key in place of those that a check has")
    async def rotate_key(check: str, rotation: Rotation) -> Response:
        return _json(await desk.rotate_key(check, Duration(rotation.overlap_seconds * SECOND)))

    @app.delete("/api/v1/keys/{check}", summary="Forget all keys of a check")
    async def revoke_key(check: str) -> Response:
        return _json({"check": check, "revoked": await desk.revoke_key(check)})


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail, **more})
    return Response(body, status, headers, media_type="application/problem+json")
