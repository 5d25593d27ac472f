"""Silences: made, listed, ended, and tried before.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.silences import Wanted
from service_monitoring.ports import Ended
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.desk import Desk
from service_monitoring.views.silences import SilencePreview, SilenceRow
from service_monitoring.web.api.fields import MatcherField, Moment, Person, actor, length
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


class Preview(BaseModel):
    """What might be silenced."""

    matchers: list[MatcherField] = Field(min_length=1, max_length=100, description="What all must hold")


class NewSilence(Preview, Person):
    """What is to be silenced, from when and until when, by whom and why."""

    comment: str = Field(min_length=1, max_length=4096, description="Why")
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


def silences(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes()

    @routes.get(
        "/api/v1/silences",
        needs=Permission.READ,
        summary="Silences, the latest to end first",
        responses=answers(list[SilenceRow]),
    )
    async def silences(*, ended: Annotated[bool, Query(description="Also those that have ended")] = False) -> Response:
        return json(await desk.silences(ended=Ended.SHOWN if ended else Ended.LEFT_OUT))

    @routes.post(
        "/api/v1/silences", needs=Permission.RESPOND, summary="Hear nothing of something for a while", status_code=201
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

    return routes
