"""Silences and planned work on the command line.

Knows the desk's questions, their routes and how answers look. Does not know how anything is silenced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from service_monitoring import bootstrap
from service_monitoring.cli import Form, More, show
from service_monitoring.cli.asking import EmptyError, ask, load, say
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.errors import NotFound, Refused, Unavailable
from service_monitoring.settings.lengths import duration, duration_text

if TYPE_CHECKING:
    from rich.text import Text

    from service_monitoring.domain.matchers import Matcher
    from service_monitoring.domain.silences import Wanted
    from service_monitoring.views.desk import Desk

MOST: Final = 1_000
"""Silences of a list, spelt here because the views are not loaded where a running program answers; a test compares."""
_MOST_WINDOWS: Final = 1_000


class Said(NamedTuple):
    """A silence as it was typed; what was not is empty."""

    matchers: list[str]
    by: str
    comment: str
    begins: str
    ends: str
    lasts: str


def add(said: Said, config: Path, form: Form, *, dry_run: bool) -> None:
    """Make a silence, or show what it would match."""
    from service_monitoring.domain.silences import made

    wanted = _wanted(said)
    now = bootstrap.the_clock().now()
    made(wanted, now)  # what cannot be is refused here, also where nothing is to be made
    if dry_run:
        preview(said.matchers, config, form)
        return
    if not said.comment.strip():
        raise Refused("a silence without a word about why helps nobody: write --comment TEXT")
    body: dict[str, Any] = {"matchers": said.matchers, "by": said.by, "comment": said.comment}
    if wanted.begins is not None:
        body["begins"] = str(wanted.begins)
    if wanted.ends is not None:
        body["ends"] = str(wanted.ends)
    if wanted.lasts is not None:
        body["lasts"] = duration_text(wanted.lasts)
    try:
        row = ask(config, "POST", "/api/v1/silences", lambda desk: desk.silence(wanted), body=body)
    except EmptyError:
        raise Unavailable(f"no program has run with {config} yet: nobody is told of anything") from None
    ends = f"until {show.moment(row['ends'], now)}"
    say(form, row, f"Silenced {' '.join(row['matchers'])} by {row['author']} {ends}: {row['id']}")


def list_silences(config: Path, form: Form, *, ended: More) -> None:
    """Silences, the latest to end first."""
    query = {"ended": "true"} if ended is More.SHOWN else {}

    def directly(desk: Desk) -> Any:
        from service_monitoring.ports import Ended

        return desk.silences(ended=Ended(ended.value))

    rows: list[dict[str, Any]]
    try:
        rows = ask(
            config,
            "GET",
            "/api/v1/silences",
            directly,
            query=query,
            most=MOST,
        )
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        _show_silences(rows, bootstrap.the_clock().now())


def expire(id: str, by: str, config: Path, form: Form) -> None:
    """End a silence."""
    route = f"/api/v1/silences/{quote(id, safe='')}/expire"
    try:
        if not id:
            raise EmptyError
        row = ask(config, "POST", route, lambda desk: desk.expire(id, by), body={"by": by})
    except EmptyError:
        raise NotFound(f"there is no silence {id!r}: `service-monitoring silence list` names them") from None
    say(form, row, f"Ended {row['id']} ({' '.join(row['matchers'])}) by {by}")


def preview(texts: Sequence[str], config: Path, form: Form) -> None:
    """Which incidents matchers match."""
    matchers = _matchers(texts)
    answer: Mapping[str, Any]
    try:
        answer = ask(
            config,
            "POST",
            "/api/v1/silences/preview",
            lambda desk: desk.preview(matchers),
            body={"matchers": list(texts)},
        )
    except EmptyError:
        raise NotFound(f"no program has run with {config} yet: there are no incidents") from None
    if form is Form.JSON:
        show.as_json(answer)
        return
    from service_monitoring.cli import tables

    now = bootstrap.the_clock().now()
    show.line(f"{' '.join(answer['matchers'])} matches {show.amount(len(answer['now']), 'open incident')}.")
    if answer["now"]:
        tables.incidents(answer["now"], now)
    over = [row for row in answer["lately"] if row["resolved_at"]]
    show.line(f"In the last week it matched {show.amount(len(over), 'incident')} that ended.")
    if over:
        tables.incidents(over, now)


def list_maintenance(over: str, config: Path, form: Form) -> None:
    """The windows of planned work, from now on."""
    import msgspec
    from rich.padding import Padding
    from rich.text import Text

    from service_monitoring.cli import tables
    from service_monitoring.views.silences import window_rows

    length = duration(over)
    if length <= 0:
        raise Refused(f"a range of {over} is none: write --over 4w")
    now = bootstrap.the_clock().now()
    rows = window_rows(load(config).configuration.maintenances, now, now.plus(length), _MOST_WINDOWS)
    if form is Form.JSON:
        show.as_json(msgspec.to_builtins(rows))
        return
    if not rows:
        show.line(f"No maintenance within {over}.")
    for row in rows:
        tables.lines(
            Text.assemble(tables.word(row.name, "bold"), "  ", tables.word(" ".join(row.matchers) or "everything", "")),
            *(Padding(each, (0, 0, 0, 2)) for each in _about(row.begins, row.ends, row.comment, now)),
        )
        if row.lasts_after_failure is not None:
            lasts = show.roughly(Duration(round(row.lasts_after_failure * 1e9)))
            tables.lines(Padding(Text(f"begins at the first failure, and lasts {lasts}"), (0, 0, 0, 2)))


def _wanted(said: Said) -> Wanted:
    """A silence as it was typed. `InvalidValue` and `Refused` name what cannot be read."""
    from service_monitoring.domain.silences import Wanted

    return Wanted(
        matchers=_matchers(said.matchers),
        author=said.by,
        comment=said.comment,
        begins=Instant.parse(said.begins) if said.begins else None,
        ends=Instant.parse(said.ends) if said.ends else None,
        lasts=duration(said.lasts) if said.lasts else None,
    )


def _matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    from service_monitoring.settings.matchers import matcher

    return tuple(matcher(text) for text in texts)


def _show_silences(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from service_monitoring.cli import tables

    if not rows:
        show.line("No silences.")
    for row in rows:
        said = f"{row['comment']} ({row['author']})"
        if row["expired_by"]:
            said += f", ended by {row['expired_by']}"
        tables.lines(
            Text.assemble(tables.word(row["id"], ""), "  ", tables.word(row["state"], "bold"), "  ")
            + tables.word(" ".join(row["matchers"]), ""),
            *(Padding(each, (0, 0, 0, 2)) for each in _about(row["begins"], row["ends"], said, now)),
        )


def _about(begins: str, ends: str, said: str, now: Instant) -> list[Text]:
    """When it is, and what is said of it."""
    from rich.text import Text

    from service_monitoring.cli import tables

    lines = [Text(f"from {show.moment(begins, now)}"), Text(f"until {show.moment(ends, now)}")]
    return [*lines, tables.word(said, "")] if said else lines
