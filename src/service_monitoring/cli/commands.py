"""What the commands do: ask the running program over its socket, and the store itself where none runs.

Knows the desk's questions and their routes. Does not know how an answer looks (`show`), and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec.structs import replace
from rich.text import Text

import service_monitoring
from service_monitoring import bootstrap
from service_monitoring.cli import BAD_ANSWER, DONE, Form, client, show
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted, Retired
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.samples import Observation, Outcome
from service_monitoring.errors import NotFound, Refused, Unavailable
from service_monitoring.ports import Drafts
from service_monitoring.settings import Complaint, InvalidSettings, Settings, data_folder
from service_monitoring.settings.quantities import duration, duration_text
from service_monitoring.storage import archive
from service_monitoring.storage.folder import FACTS
from service_monitoring.views.desk import Desk
from service_monitoring.views.wording import one_line

_WHOLE: Final = 16
"""Characters of an incident's id."""

_PHASES: Final = {
    "dns_seconds": "dns",
    "connect_seconds": "connect",
    "tls_seconds": "tls",
    "first_byte_seconds": "first byte",
    "duration_seconds": "whole run",
}


def init(urls: list[str], config: Path) -> None:
    """Write a first configuration; an existing file is left alone. `Refused` then, and for what is no URL."""
    text = bootstrap.initial(urls)
    try:
        with config.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(f"{config} exists and is left alone: name another file with --config") from None
    except OSError as error:
        raise Refused(f"{config} cannot be written ({error.strerror}): name another file with --config") from None
    show.line(f"Wrote {config}. Next: service-monitoring validate, then service-monitoring run")


def validate(config: Path, form: Form) -> int:
    """Every complaint on stderr, or a summary of what would run."""
    try:
        settings = load(config)
    except InvalidSettings as invalid:
        if form is Form.JSON:
            show.as_json({"valid": False, "complaints": [each.plain() for each in invalid.complaints]})
        else:
            # Already one line each, and their texts are quoted where they were found.
            for line in str(invalid).splitlines():
                show.warn(line)
        return BAD_ANSWER
    from service_monitoring.cli import oncall

    missing, warnings = (list(dict.fromkeys(map(str, said))) for said in (settings.not_yet, settings.warnings))
    # What only a clock can tell; the file itself is as valid as ever.
    warnings += oncall.gaps_ahead(settings)
    configuration = settings.configuration
    numbers = {
        "service": len(configuration.services),
        "check": sum(len(service.checks) for service in configuration.services),
        "rule": sum(len(service.rules) for service in configuration.services),
        "channel": len(settings.channels),
    }
    if form is Form.JSON:
        show.as_json(
            {"valid": True, "complaints": [], "warnings": warnings, "not_yet": missing}
            | {f"{name}s": number for name, number in numbers.items()}
        )
        return DONE
    for warning in warnings:
        show.warn(f"warning: {warning}")
    for feature in missing:
        show.warn(f"not yet: {feature}")
    show.line(f"{config} is valid: {', '.join(show.amount(number, name) for name, number in numbers.items())}")
    return DONE


def schema() -> None:
    """The JSON Schema of the configuration."""
    show.as_json(bootstrap.schema())


def check(name: str, config: Path, form: Form) -> int:
    """Run one check once, in this process."""
    settings = load(config)
    observation = asyncio.run(bootstrap.probe_once(settings, name))
    if form is Form.JSON:
        show.as_json({"check": name} | msgspec.to_builtins(observation))
    else:
        _show_run(name, observation)
    return DONE if observation.outcome is Outcome.OK else BAD_ANSWER


def _show_run(name: str, observation: Observation) -> None:
    said: list[str | Text] = [show.word(name, "bold"), ": ", show.word(observation.outcome)]
    if observation.reason is not None:
        said += [f" ({observation.reason})"]
    if observation.detail:
        said += [", ", show.word(observation.detail)]
    show.lines(Text.assemble(*said))
    values = {measured.metric: measured.value for measured in observation.measurements if not measured.labels}
    phases = [(title, values[metric]) for metric, title in _PHASES.items() if metric in values]
    if phases:
        show.lines(show.bars(phases, max(value for _, value in phases)))
    rest = [
        (_named(measured.metric, measured.labels), f"{measured.value:g}")
        for measured in observation.measurements
        if measured.metric not in _PHASES or measured.labels
    ]
    if rest:
        show.lines(show.facts_table(rest))
    if len(observation.attempts) > 1:
        show.lines(
            show.facts_table(
                (f"attempt {number}", show.word(f"{one.outcome} {one.detail}".strip()))
                for number, one in enumerate(observation.attempts, start=1)
            )
        )


def _named(metric: str, labels: tuple[tuple[str, str], ...]) -> str:
    return one_line(metric + (f"{{{','.join(f'{name}={value}' for name, value in labels)}}}" if labels else ""))


def status(config: Path, form: Form, *, verify: bool) -> int:
    """How the program is; with `verify` the exit code says whether it runs without trouble."""
    answer: Mapping[str, Any]
    try:
        answer = ask(config, "GET", "/api/v1/status", lambda desk: desk.status())
    except EmptyError:
        answer = _nothing_stored(load(config))
    if form is Form.JSON:
        show.as_json(answer)
    else:
        show.status(answer, bootstrap.the_clock().now())
    return BAD_ANSWER if verify and (not answer["running"] or answer["trouble"]) else DONE


def _nothing_stored(settings: Settings) -> dict[str, Any]:
    services = settings.configuration.services
    return {
        "version": service_monitoring.__version__,
        "running": False,
        "services": len(services),
        "checks": sum(len(service.checks) for service in services),
        "rules": sum(len(service.rules) for service in services),
        "incidents": {},
        "outbox": {},
        "judged_until": "",
        "trouble": [],
        "loops": {},
        "queues": {},
        "polling": {},
        "sizes": {},
        "listens": "",
        "heartbeat": {},
    }


def reload(config: Path, form: Form) -> int:
    """Have the running program read the file again; complaints on stderr, one a line, as from `validate`."""
    try:
        answer = client.ask(_socket(config), "POST", "/api/v1/reload")
    except client.NotRunning as nobody:
        raise Unavailable(f"{nobody}: the file is read when one starts") from None
    except client.Complained as refused:
        if form is Form.JSON:
            show.as_json({"valid": False, "complaints": refused.complaints})
        else:
            for each in refused.complaints:
                show.warn(str(Complaint.of_plain(each)))
            show.warn("nothing has changed: the program goes on with the configuration before")
        return BAD_ANSWER
    if form is Form.JSON:
        show.as_json({"valid": True, "complaints": []} | answer)
        return DONE
    for sentence in answer["restart"]:
        show.warn(f"a restart is needed: {sentence}")
    for sentence in answer["remarks"]:
        show.warn(f"warning: {sentence}")
    show.line(f"Reloaded {answer['file']}: {', '.join(answer['changed']) or 'nothing'} changed")
    return DONE


def backup(file: Path, config: Path, form: Form) -> None:
    """Write a backup to a new file."""
    target = str(file.absolute())

    async def directly(desk: Desk) -> dict[str, str]:
        return {"file": await desk.backup(target)}

    try:
        answer = ask(config, "POST", "/api/v1/backup", directly, body={"file": target})
    except EmptyError:
        raise NotFound(f"nothing is stored in {data_folder(config)} yet: there is nothing to back up") from None
    say(form, answer, f"Wrote {answer['file']}")


def restore(file: Path, config: Path, form: Form) -> None:
    """Unpack a backup into the data folder, which must be new or empty."""
    folder = load(config).store.path
    manifest = archive.restore(file, folder)
    made = str(manifest.made_at)
    answer = {"folder": str(folder), "made_at": made, "files": [each.name for each in manifest.files]}
    say(form, answer, f"Restored into {folder} the backup of {show.moment(made, bootstrap.the_clock().now())}")


def list_incidents(
    config: Path, form: Form, *, states: list[State], service: str | None, limit: int, drafts: Drafts
) -> None:
    """Incidents, newest first."""
    rows = _rows(config, states=states, service=service, limit=limit, drafts=drafts)
    if form is Form.JSON:
        show.as_json(rows)
    else:
        show.incidents(rows, bootstrap.the_clock().now())


def show_incident(id: str, config: Path, form: Form) -> None:
    """One incident with its transitions and notices."""
    whole = identified(config, id)
    detail = ask(config, "GET", f"/api/v1/incidents/{quote(whole, safe='')}", lambda desk: desk.incident(whole))
    if form is Form.JSON:
        show.as_json(detail)
    else:
        show.incident(detail, bootstrap.the_clock().now())


def acknowledge(id: str, by: str, comment: str, lasts: str, config: Path, form: Form) -> None:
    """Take an incident on, for as long as `lasts` says, if it says anything."""
    length = _lasting("an acknowledgement", lasts) if lasts else None
    more = {} if length is None else {"expires_after": duration_text(length)}
    row = _act(Acted(id, Act.ACKNOWLEDGE, by, comment, length), config, **more)
    say(form, row, f"Acknowledged {_named_row(row)} by {by}{_until(row)}")


def snooze(id: str, by: str, comment: str, lasts: str, config: Path, form: Form) -> None:
    """Hear nothing more of an incident, for as long as `lasts` says."""
    length = _lasting("a snooze", lasts)
    row = _act(Acted(id, Act.SNOOZE, by, comment, length), config, **{"for": duration_text(length)})
    say(form, row, f"Snoozed {_named_row(row)} by {by}{_until(row)}")


def resolve(id: str, by: str, comment: str, config: Path, form: Form) -> None:
    """End an incident."""
    row = _act(Acted(id, Act.RESOLVE, by, comment), config)
    say(form, row, f"Resolved {_named_row(row)} by {by}")


def assign(id: str, to: str, by: str, comment: str, config: Path, form: Form) -> None:
    """Say who is to take care of an incident."""
    row = _act(Acted(id, Act.ASSIGN, by, comment, to=to), config, to=to)
    say(form, row, f"Assigned {_named_row(row)} to {row['assigned_to']}")


def note(id: str, text: str, by: str, config: Path, form: Form) -> None:
    """Keep a text with an incident."""
    row = _act(Acted(id, Act.NOTE, by, text), config)
    say(form, row, f"Noted on {_named_row(row)} by {by}")


def _lasting(what: str, lasts: str) -> Duration:
    length = duration(lasts)
    if length <= 0:
        raise Refused(f"{what} for {lasts} has ended before it began: write --for 2h")
    return length


def _named_row(row: Mapping[str, Any]) -> str:
    return f"{row['id']} ({row['service']}.{row['rule']})"


def _until(row: Mapping[str, Any]) -> str:
    until = row["acknowledged_until"]
    return f" until {show.moment(until, bootstrap.the_clock().now())}" if until else ""


def _act(act: Acted, config: Path, **more: str) -> dict[str, Any]:
    """Have it done; `more` is what the route takes besides who says so."""
    whole = identified(config, act.incident)
    written = "text" if act.act is Act.NOTE else "comment"
    row: dict[str, Any] = ask(
        config,
        "POST",
        f"/api/v1/incidents/{quote(whole, safe='')}/{act.act}",
        lambda desk: desk.act(replace(act, incident=whole)),
        body={"by": act.by, written: act.comment, **more},
    )
    return row


def retire(name: str, by: str, reason: str, config: Path, form: Form) -> None:
    """Retire a rule, named `service.rule`."""
    service, rule = rule_named(name)
    try:
        ask(
            config,
            "POST",
            f"/api/v1/rules/{quote(service, safe='')}/{quote(rule, safe='')}/retire",
            lambda desk: desk.retire(Retired(service, rule, reason, by)),
            body={"by": by, "reason": reason},
        )
    except EmptyError:
        raise NotFound(f"no program has run with {config} yet: remove the rule from the file") from None
    say(form, {"service": service, "rule": rule, "by": by, "reason": reason}, f"Retired {name} for ever")


def rule_named(name: str) -> tuple[str, str]:
    """Service and rule of `service.rule`."""
    service, _, rule = name.partition(".")
    if not service or not rule:
        raise Refused(f"{name!r} is not the name of a rule: write service.rule")
    return service, rule


class EmptyError(Exception):
    """No program runs and none ever did: the data folder is not made by asking about it."""


def ask(  # noqa: PLR0913 - what is asked, and by name what few questions need besides
    config: Path,
    method: str,
    route: str,
    directly: Callable[[Any], Awaitable[Any]],
    *,
    query: dict[str, Any] | None = None,
    body: Any = None,
    made: bool = False,
    access: bool = False,
    most: int | None = None,
) -> Any:
    """The answer of the running program, or that of the store where none runs, in JSON's types.

    A running program is found, and answers, also while its file is not valid: somebody must be able to acknowledge,
    and to ask what is wrong. `EmptyError` when nothing was ever stored, unless the data folder is to be `made` then.
    `directly` is handed the desk, or that of access where it is `access` that is asked for. Of a list that comes in
    pages, the first `most` rows.
    """
    with suppress(client.NotRunning):
        if most is not None:
            return client.walk(_socket(config), route, query or {}, most)
        return client.ask(_socket(config), method, route, query=query, body=body)
    settings = load(config)
    if not made and not (settings.store.path / FACTS).exists():
        raise EmptyError
    return asyncio.run(_answered(bootstrap.open_access if access else bootstrap.open_desk, settings, directly))


def _socket(config: Path) -> Path:
    """Where a program with this file listens."""
    _exists(config)
    return bootstrap.socket_in(data_folder(config))


async def _answered(
    opened: Callable[[Settings], AbstractAsyncContextManager[Any]],
    settings: Settings,
    directly: Callable[[Any], Awaitable[Any]],
) -> Any:
    async with opened(settings) as desk:
        return msgspec.to_builtins(await directly(desk))


def _rows(
    config: Path, *, states: list[State], service: str | None, limit: int, drafts: Drafts
) -> list[dict[str, Any]]:
    query: dict[str, Any] = {"state": [str(state) for state in states]}
    if drafts is Drafts.SHOWN:
        query["drafts"] = "true"
    if service is not None:
        query["service"] = service
    try:
        rows: list[dict[str, Any]] = ask(
            config,
            "GET",
            "/api/v1/incidents",
            lambda desk: desk.incidents(states=states, service=service, limit=limit, drafts=drafts),
            query=query,
            most=limit,
        )
    except EmptyError:
        return []
    return rows


def identified(config: Path, beginning: str) -> str:
    """The whole id that begins like this, among the newest thousand; a whole one is taken as it is."""
    if len(beginning) >= _WHOLE:
        _exists(config)
        ids = [beginning] if (data_folder(config) / FACTS).exists() else []
    else:
        rows = _rows(config, states=[], service=None, limit=1000, drafts=Drafts.SHOWN)
        ids = [row["id"] for row in rows if beginning and row["id"].startswith(beginning)]
    if not ids:
        raise NotFound(f"there is no incident {beginning!r}: `service-monitoring incidents list` names them")
    if len(ids) > 1:
        raise Refused(f"{len(ids)} incidents begin with {beginning!r}: give more of the id")
    return ids[0]


def load(config: Path) -> Settings:
    """The settings of a file; `NotFound` where there is none."""
    _exists(config)
    return bootstrap.load(config)


def _exists(config: Path) -> None:
    if not config.exists():
        raise NotFound(
            f"there is no {config}: write one with `service-monitoring init URL`, or name yours with --config"
        )


def say(form: Form, answer: Any, sentence: str) -> None:
    """An answer for programs, or a sentence for people."""
    if form is Form.JSON:
        show.as_json(answer)
    else:
        show.line(sentence)
