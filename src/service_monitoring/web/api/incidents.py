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
from service_monitoring.ports import Drafts
from service_monitoring.views.desk import Desk
from service_monitoring.views.explanation import Explanation
from service_monitoring.web.api.fields import ByPerson, Moment, Person, actor, length
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


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


class Note(Person):
    """Who notes something on an incident, and what."""

    text: str = Field(min_length=1, max_length=4096)


def incidents(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes()

    @routes.get("/api/v1/incidents", needs=Permission.READ, summary="Incidents, newest first")
    async def incidents(
        state: Annotated[list[State] | None, Query(description="Only these states")] = None,
        service: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        *,
        drafts: Annotated[bool, Query(description="Also those of drafts, which nobody is told of")] = False,
    ) -> Response:
        shown = Drafts.SHOWN if drafts else Drafts.LEFT_OUT
        return json(await desk.incidents(states=state or (), service=service, limit=limit, drafts=shown))

    @routes.get(
        "/api/v1/incidents/{id}", needs=Permission.READ, summary="One incident with its transitions and notices"
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

    @routes.post("/api/v1/incidents/{id}/acknowledge", needs=Permission.RESPOND, summary="Take an incident on")
    async def acknowledge(request: Request, id: str, given: Acknowledgement) -> Response:
        return json(
            await desk.act(Acted(id, Act.ACKNOWLEDGE, actor(request, given.by), given.comment, given.expires_after))
        )

    @routes.post("/api/v1/incidents/{id}/resolve", needs=Permission.RESPOND, summary="End an incident")
    async def resolve(request: Request, id: str, person: ByPerson) -> Response:
        return json(await desk.act(Acted(id, Act.RESOLVE, actor(request, person.by), person.comment)))

    @routes.post(
        "/api/v1/incidents/{id}/snooze",
        needs=Permission.RESPOND,
        summary="Hear nothing more of an incident for a while",
    )
    async def snooze(request: Request, id: str, given: Snooze) -> Response:
        return json(await desk.act(Acted(id, Act.SNOOZE, actor(request, given.by), given.comment, given.lasts)))

    @routes.post(
        "/api/v1/incidents/{id}/assign", needs=Permission.RESPOND, summary="Say who is to take care of an incident"
    )
    async def assign(request: Request, id: str, given: Assignment) -> Response:
        return json(await desk.act(Acted(id, Act.ASSIGN, actor(request, given.by), given.comment, to=given.to)))

    @routes.post(
        "/api/v1/incidents/{id}/note", needs=Permission.RESPOND, summary="Keep a text with an incident, over or not"
    )
    async def note(request: Request, id: str, given: Note) -> Response:
        return json(await desk.act(Acted(id, Act.NOTE, actor(request, given.by), given.text)))

    return routes
