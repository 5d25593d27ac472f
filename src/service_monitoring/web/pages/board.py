"""The overview and the list of services.

Knows HTML and the desk of the board.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Query, Request, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.uptime import Condition
from service_monitoring.errors import Refused
from service_monitoring.settings.matchers import matcher
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.board import MOST_MATCHERS, WORST_FIRST, BoardDesk, ServicePage, Sort, Wanted
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes

_NOTHING: Final = ServicePage((), 0, "")


def board_pages(desk: BoardDesk) -> Routes:
    """Its routes."""
    routes = Routes(described=False)

    @routes.get("/", needs=Permission.READ)
    async def overview(request: Request) -> Response:
        return page(request, "overview.html", overview=await desk.overview(), conditions=WORST_FIRST)

    @routes.get("/services", needs=Permission.READ)
    async def services(
        request: Request,
        q: Annotated[str, Query(max_length=200)] = "",
        condition: Annotated[list[str] | None, Query(max_length=20)] = None,
        label: Annotated[list[str] | None, Query(max_length=MOST_MATCHERS)] = None,
        sort: Annotated[str, Query(max_length=20)] = Sort.CONDITION,
        after: Annotated[str, Query(max_length=300)] = "",
    ) -> Response:
        labels = [each.strip()[:1000] for each in label or () if each.strip()]
        chosen = tuple(each for each in WORST_FIRST if each in (condition or ()))
        order = Sort.NAME if sort == Sort.NAME else Sort.CONDITION
        found, wrong = _NOTHING, ""
        try:
            found = await desk.services(Wanted(q.strip(), chosen, _matchers(labels), order, after))
        except (Refused, InvalidValue) as refused:
            wrong = str(refused)
        return page(
            request,
            "services.html",
            status=422 if wrong else 200,
            found=found,
            wrong=wrong,
            q=q,
            chosen=chosen,
            labels=labels,
            sort=order,
            names=await desk.labels(),
            conditions=WORST_FIRST,
            further=_further(q, chosen, labels, order, found.further),
            begun=bool(after),
        )

    return routes


def _matchers(labels: Iterable[str]) -> tuple[Matcher, ...]:
    return tuple(matcher(each) for each in labels)


def _further(q: str, chosen: Iterable[Condition], labels: Iterable[str], sort: Sort, after: str) -> str:
    """The address of the next page; nothing on the last one."""
    if not after:
        return ""
    given = [("q", q)] if q else []
    given += [("condition", str(each)) for each in chosen]
    given += [("label", each) for each in labels]
    given += [("sort", str(sort))] if sort is not Sort.CONDITION else []
    return "/services?" + urlencode([*given, ("after", after)])
