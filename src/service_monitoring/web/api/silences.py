"""Silences: made, listed, ended, and tried before.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import Refused
from service_monitoring.ports import Ended
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.desk import Desk
from service_monitoring.views.maintenance import MaintenanceRow
from service_monitoring.views.silences import SilencePage, SilencePreview, SilenceRow
from service_monitoring.web.api.fields import LENGTH, Body, MatcherField, Moment, Person, actor, length
from service_monitoring.web.api.paging import USUAL, After, Limit, key_of, paged
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


class Preview(Body):
    """What might be silenced."""

    matchers: list[MatcherField] = Field(min_length=1, max_length=100, description="What all must hold")


class NewSilence(Preview, Person):
    """What is to be silenced, from when and until when, by whom and why."""

    comment: str = Field(min_length=1, max_length=4096, examples=["moving the database"], description="Why")
    begins: Moment | None = None
    ends: Moment | None = None
    lasts: Annotated[
        Duration | None,
        BeforeValidator(length),
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


class Longer(Person):
    """Who wants a silence to last longer, and by how much."""

    lasts: Annotated[Duration, BeforeValidator(length), WithJsonSchema(LENGTH)]


def silences(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(area="silences")

    @routes.get(
        "/api/v1/silences",
        needs=Permission.READ,
        summary="Silences, the latest to end first",
        responses=answers(list[SilenceRow]),
    )
    async def silences(
        request: Request,
        state: Annotated[Literal["active", "pending", "ended"] | None, Query(description="Only this state")] = None,
        limit: Limit = USUAL,
        after: After = "",
        *,
        ended: Annotated[bool, Query(description="Also those that have ended")] = False,
    ) -> Response:
        rows = await desk.silences(
            ended=Ended.SHOWN if ended else Ended.LEFT_OUT,
            page=SilencePage(state or "", limit + 1, place_of(after)),
        )
        return paged(request, rows, limit, place)

    @routes.post(
        "/api/v1/silences",
        needs=Permission.RESPOND,
        summary="Hear nothing of something for a while",
        status_code=201,
        responses=answers(SilenceRow, 201),
    )
    async def silence(request: Request, given: NewSilence) -> Response:
        wanted = Wanted(
            tuple(given.matchers), actor(request, given.by), given.comment, given.begins, given.ends, given.lasts
        )
        return json(await desk.silence(wanted), 201)

    @routes.post(
        "/api/v1/silences/preview",
        needs=Permission.READ,
        summary="Which incidents matchers match now, and did in the last week",
        responses=answers(SilencePreview),
    )
    async def preview(given: Preview) -> Response:
        return json(await desk.preview(tuple(given.matchers)))

    @routes.post(
        "/api/v1/silences/{id}/expire",
        needs=Permission.RESPOND,
        summary="End a silence now",
        responses=answers(SilenceRow),
    )
    async def expire(request: Request, id: str, person: Person) -> Response:
        return json(await desk.expire(id, actor(request, person.by)))

    @routes.post(
        "/api/v1/silences/{id}/extend",
        needs=Permission.RESPOND,
        summary="Let a silence end later: another takes its place",
        responses=answers(SilenceRow),
    )
    async def extend(request: Request, id: str, longer: Longer) -> Response:
        return json(await desk.extend(id, actor(request, longer.by), longer.lasts))

    @routes.get(
        "/api/v1/maintenance",
        needs=Permission.READ,
        summary="Planned work, with the window that is on and the next ones",
        responses=answers(list[MaintenanceRow]),
    )
    async def maintenance() -> Response:
        return json(await desk.maintenance())

    return routes


def place(row: SilenceRow) -> tuple[str, str]:
    """Where a silence stands in a list."""
    return row.ends, row.id


def place_of(after: str) -> tuple[str, str] | None:
    """The place behind a cursor, where there is one."""
    if not after:
        return None
    ends, id = key_of(after, 2)
    try:
        return str(Instant.parse(ends)), id
    except Refused as refused:
        raise InvalidValue(f"after: {refused}", "follow the Link header of the page before") from None
