"""Incidents: lists, one of them with all that happened, who was told, and what people do to them.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Drafts
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.desk import Desk, IncidentDetail
from service_monitoring.views.explanation import Explanation
from service_monitoring.views.incidents import IncidentRow, Narrow
from service_monitoring.web.api.fields import LENGTH, ByPerson, Moment, Person, actor, length
from service_monitoring.web.api.paging import USUAL, After, Limit, key_of, paged
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes
from service_monitoring.web.several import MOST_AT_ONCE, Outcome, each_of


class Acknowledgement(ByPerson):
    """Who takes an incident on, and for how long, if not until it is over."""

    expires_after: Annotated[
        Duration | None,
        BeforeValidator(length),
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
        BeforeValidator(length),
        WithJsonSchema(LENGTH),
    ]


class SeveralAtOnce(ByPerson):
    """Who does the same to several incidents; an act takes of the rest what it takes of one incident."""

    ids: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(min_length=1, max_length=MOST_AT_ONCE)
    expires_after: Annotated[Duration | None, BeforeValidator(length), WithJsonSchema(LENGTH)] = None
    lasts: Annotated[Duration | None, Field(alias="for"), BeforeValidator(length), WithJsonSchema(LENGTH)] = None
    to: str = Field(default="", max_length=200)


class Assignment(ByPerson):
    """Who assigns an incident, and to whom."""

    to: str = Field(min_length=1, max_length=200, examples=["grace"], description="Who is to take care of it")


class Note(Person):
    """Who notes something on an incident, and what."""

    text: str = Field(min_length=1, max_length=4096, examples=["the disk of db1 is full"])


def incidents(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(area="incidents")

    @routes.get(
        "/api/v1/incidents",
        needs=Permission.READ,
        summary="Incidents, newest first",
        responses=answers(list[IncidentRow]),
    )
    async def incidents(  # noqa: PLR0913 - one argument a filter
        request: Request,
        *,
        state: Annotated[list[State] | None, Query(description="Only these states")] = None,
        service: Annotated[str | None, Query(max_length=200)] = None,
        rule: Annotated[str, Query(max_length=200)] = "",
        severity: Annotated[list[Severity] | None, Query(description="Only these severities")] = None,
        text: Annotated[str, Query(max_length=200, description="Part of service, rule, series or id")] = "",
        began: Annotated[Moment | None, Query(alias="from", description="Breached first at that instant, or later")] = (
            None
        ),
        ended: Annotated[Moment | None, Query(alias="to", description="Breached first before that instant")] = None,
        limit: Limit = USUAL,
        after: After = "",
        drafts: Annotated[bool, Query(description="Also those of drafts, which nobody is told of")] = False,
    ) -> Response:
        rows = await desk.incidents(
            states=state or (),
            service=service,
            limit=limit + 1,
            drafts=Drafts.SHOWN if drafts else Drafts.LEFT_OUT,
            narrow=Narrow(rule, tuple(severity or ()), text, began, ended),
            after=key_of(after, 1)[0] if after else "",
        )
        return paged(request, rows, limit, lambda row: (row.id,))

    # Before those of one incident: its name would be taken for an id.
    @routes.post(
        "/api/v1/incidents/bulk/{act}",
        needs=Permission.RESPOND,
        summary="Do the same to several incidents, each with its own outcome",
        responses=answers(list[Outcome]),
    )
    async def several(request: Request, act: Act, given: SeveralAtOnce) -> Response:
        by = actor(request, given.by)
        lasts = {Act.ACKNOWLEDGE: given.expires_after, Act.SNOOZE: given.lasts}.get(act)
        if act is Act.SNOOZE and lasts is None:
            raise InvalidValue("body.for: a snooze has a length", "write 2h, or a number of seconds")
        if act is Act.ASSIGN and not given.to:
            raise InvalidValue("body.to: nobody is named who is to take care of them", "give a name")
        if act is Act.NOTE and not given.comment:
            raise InvalidValue("body.comment: there is nothing to note", "give a text")
        to = given.to if act is Act.ASSIGN else ""
        acts = (Acted(id, act, by, given.comment, lasts, to) for id in dict.fromkeys(given.ids))
        return json(await each_of(desk, acts))

    @routes.get(
        "/api/v1/incidents/{id}",
        needs=Permission.READ,
        summary="One incident with its transitions and notices",
        responses=answers(IncidentDetail),
    )
    async def incident(id: str) -> Response:
        return json(await desk.incident(id))

    @routes.get(
        "/api/v1/incidents/{id}/explain",
        needs=Permission.READ,
        summary="Who was told of an incident by an instant, who was not, and why",
        responses=answers(Explanation),
    )
    async def explain(
        id: str,
        at: Annotated[Moment | None, Query(description="By when; by now, where left out")] = None,
        person: Annotated[str, Query(max_length=200, description="Only what concerns this person")] = "",
    ) -> Response:
        return json(await desk.explain(id, at, person))

    @routes.post(
        "/api/v1/incidents/{id}/acknowledge",
        needs=Permission.RESPOND,
        summary="Take an incident on",
        responses=answers(IncidentRow),
    )
    async def acknowledge(request: Request, id: str, given: Acknowledgement) -> Response:
        return json(
            await desk.act(Acted(id, Act.ACKNOWLEDGE, actor(request, given.by), given.comment, given.expires_after))
        )

    @routes.post(
        "/api/v1/incidents/{id}/resolve",
        needs=Permission.RESPOND,
        summary="End an incident",
        responses=answers(IncidentRow),
    )
    async def resolve(request: Request, id: str, person: ByPerson) -> Response:
        return json(await desk.act(Acted(id, Act.RESOLVE, actor(request, person.by), person.comment)))

    @routes.post(
        "/api/v1/incidents/{id}/snooze",
        needs=Permission.RESPOND,
        summary="Hear nothing more of an incident for a while",
        responses=answers(IncidentRow),
    )
    async def snooze(request: Request, id: str, given: Snooze) -> Response:
        return json(await desk.act(Acted(id, Act.SNOOZE, actor(request, given.by), given.comment, given.lasts)))

    @routes.post(
        "/api/v1/incidents/{id}/assign",
        needs=Permission.RESPOND,
        summary="Say who is to take care of an incident",
        responses=answers(IncidentRow),
    )
    async def assign(request: Request, id: str, given: Assignment) -> Response:
        return json(await desk.act(Acted(id, Act.ASSIGN, actor(request, given.by), given.comment, to=given.to)))

    @routes.post(
        "/api/v1/incidents/{id}/note",
        needs=Permission.RESPOND,
        summary="Keep a text with an incident, over or not",
        responses=answers(IncidentRow),
    )
    async def note(request: Request, id: str, given: Note) -> Response:
        return json(await desk.act(Acted(id, Act.NOTE, actor(request, given.by), given.text)))

    return routes
