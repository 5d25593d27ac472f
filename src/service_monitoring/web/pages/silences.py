"""The pages of silences and planned work: what holds, what will, and a silence tried before it is made.

Knows the desk and its own templates. Does not know what a silence holds back.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from msgspec import Struct

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.matchers import Matcher, MatchOperator, matcher_text
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import MonitoringError, NotFound
from service_monitoring.ports import Ended
from service_monitoring.settings.matchers import matcher
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.desk import Desk
from service_monitoring.views.faces import Faces
from service_monitoring.views.silences import SilencePage, SilencePreview, SilenceRow
from service_monitoring.web.api.paging import USUAL, cut
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.api.silences import place, place_of
from service_monitoring.web.pages.forms import Form, asked, form_of, sentence, who
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes

TABS: Final = {"current": "Active and planned", "active": "Active", "pending": "Planned", "ended": "Ended"}
"""By the word of the address: what it is called."""

SAID: Final = {"silenced": "Silenced.", "ended": "The silence has ended.", "extended": "The silence ends later."}

_MOST_MATCHERS: Final = 100
_LONGEST_MATCHER: Final = 1_000
_MOST_SHOWN: Final = 50
"""Incidents that a preview names; it counts all."""


class Draft(Struct, frozen=True):
    """A silence as it is being written: every field as text."""

    matchers: tuple[str, ...] = ()
    lasts: str = "2h"
    begins: str = ""
    ends: str = ""
    comment: str = ""


def silence_pages(faces: Faces) -> Routes:
    """Its routes."""
    routes = Routes(described=False)
    _making(routes, faces.desk)
    _ending(routes, faces.desk)
    return routes


def _making(routes: Routes, desk: Desk) -> None:
    @routes.get("/silences", needs=Permission.READ)
    async def silences(request: Request) -> Response:
        return await _listed(request, desk)

    @routes.get("/silences/new", needs=Permission.READ)
    async def new(request: Request) -> Response:
        try:
            draft = _draft(asked(request))
            if incident := request.query_params.get("incident", ""):
                draft = Draft(await _about(desk, incident), draft.lasts, draft.begins, draft.ends, draft.comment)
        except NotFound:
            raise
        except MonitoringError as error:
            return await _drafted(
                request, desk, Draft(), status=status_of(error)[0], wrong=sentence(error), tried=False
            )
        return await _drafted(request, desk, draft, tried=True)

    @routes.post("/silences", needs=Permission.RESPOND)
    async def silence(request: Request) -> Response:
        draft = Draft()
        try:
            form = await form_of(request)
            draft = _draft(form)
            wanted = _wanted(draft, who(request, form))
            if not draft.comment:
                raise InvalidValue("a silence without a word about why helps nobody", "write a comment")
            await desk.silence(wanted)
        except MonitoringError as error:
            return await _drafted(request, desk, draft, status=status_of(error)[0], wrong=sentence(error))
        return RedirectResponse("/silences?said=silenced", 303)


def _ending(routes: Routes, desk: Desk) -> None:
    @routes.post("/silences/{id}/expire", needs=Permission.RESPOND)
    async def expire(request: Request, id: str) -> Response:
        try:
            await desk.expire(id, who(request, await form_of(request)))
        except NotFound:
            raise
        except MonitoringError as error:
            return await _listed(request, desk, status=status_of(error)[0], wrong=sentence(error))
        return RedirectResponse("/silences?said=ended", 303)

    @routes.post("/silences/{id}/extend", needs=Permission.RESPOND)
    async def extend(request: Request, id: str) -> Response:
        try:
            form = await form_of(request)
            lasts = form.length("for")
            if lasts is None:
                raise InvalidValue("nobody says how much later it is to end", "write 1h")
            await desk.extend(id, who(request, form), lasts)
        except NotFound:
            raise
        except MonitoringError as error:
            return await _listed(request, desk, status=status_of(error)[0], wrong=sentence(error))
        return RedirectResponse("/silences?said=extended", 303)


async def _listed(request: Request, desk: Desk, *, status: int = 200, wrong: str = "") -> Response:
    """The list of silences, and planned work."""
    rows: list[SilenceRow] = []
    state = request.query_params.get("state", "current")
    try:
        if state not in TABS:
            state = "current"
            raise InvalidValue("there is no such list of silences", f"choose one of {', '.join(TABS)}")
        after = place_of(asked(request).text("after"))
        rows = await desk.silences(ended=Ended.SHOWN, page=SilencePage(state, USUAL + 1, after))
    except MonitoringError as error:
        status, wrong = status_of(error)[0], wrong or sentence(error)
    shown, further = cut(rows, USUAL, place)
    return page(
        request,
        "silences.html",
        status=status,
        rows=shown,
        chosen=state,
        title=TABS[state],
        tabs=[(word, title, f"/silences?state={word}") for word, title in TABS.items()],
        further_at=f"/silences?state={state}&after={further}" if further else "",
        maintenance=await desk.maintenance(),
        said=SAID.get(request.query_params.get("said", ""), ""),
        wrong=wrong,
    )


async def _drafted(
    request: Request, desk: Desk, draft: Draft, *, status: int = 200, wrong: str = "", tried: bool
) -> Response:
    """A silence that is being written, with what it matches where that is `tried`."""
    preview: SilencePreview | None = None
    if draft.matchers:
        try:
            preview = await desk.preview(_wanted(draft, "").matchers)
        except MonitoringError as error:
            status, wrong = status_of(error)[0], wrong or sentence(error)
    over = [] if preview is None else [row for row in preview.lately if row.resolved_at is not None]
    return page(
        request,
        "silence_new.html",
        status=status,
        draft=draft,
        preview=preview,
        over=over,
        most=_MOST_SHOWN,
        wrong=wrong,
    )


def _draft(form: Form) -> Draft:
    """What is written so far; `InvalidValue` for what is too long to be kept in a form."""
    matchers = form.texts("matcher")
    if len(matchers) > _MOST_MATCHERS or any(len(each) > _LONGEST_MATCHER for each in matchers):
        raise InvalidValue(
            "these are too many matchers, or one is too long",
            f"write at most {_MOST_MATCHERS} of at most {_LONGEST_MATCHER} characters",
        )
    lasts, ends = form.text("for", 64), form.text("until", 64)
    return Draft(tuple(matchers), lasts or ("" if ends else "2h"), form.text("from", 64), ends, form.text("comment"))


def _wanted(draft: Draft, by: str) -> Wanted:
    """The silence that is meant; `InvalidValue` names what cannot be read."""
    form = Form({"for": [draft.lasts], "from": [draft.begins], "until": [draft.ends]})
    lasts, ends = form.length("for"), form.instant("until")
    if not draft.matchers:
        raise InvalidValue("nothing says what is to be silenced", "write service=shop")
    if (lasts is None) == (ends is None):
        raise InvalidValue("a silence has an end, or a length", "fill in one of them")
    matchers = tuple(matcher(text) for text in draft.matchers)
    return Wanted(matchers, by, draft.comment, form.instant("from"), ends, lasts)


async def _about(desk: Desk, incident: str) -> tuple[str, ...]:
    """The matchers that silence what an incident is about."""
    row = (await desk.incident(incident)).incident
    labels = (("service", row.service), ("rule", row.rule))
    return tuple(matcher_text(Matcher(label, MatchOperator.EQUALS, value)) for label, value in labels)
