"""What the commands do: ask the running program, or the store where none runs (`asking`).

Knows the desk's questions and their routes. Does not know how an answer looks (`show`, `tables`), and decides nothing.
What one command alone needs is imported by it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import service_monitoring
from service_monitoring import bootstrap
from service_monitoring.cli import BAD_ANSWER, DONE, Form, More, client, show
from service_monitoring.cli.asking import EmptyError, ask, identified, incident_rows, load, rule_named, say, socket
from service_monitoring.domain.instants import Duration
from service_monitoring.errors import NotFound, Refused, Unavailable
from service_monitoring.settings import Complaint, InvalidSettings, data_folder
from service_monitoring.settings.lengths import duration, duration_text
from service_monitoring.views.texts import one_line

if TYPE_CHECKING:
    from rich.text import Text

    from service_monitoring.domain.samples import Observation
    from service_monitoring.settings import Settings
    from service_monitoring.views.desk import Desk

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
    import asyncio

    import msgspec

    from service_monitoring.domain.samples import Outcome

    settings = load(config)
    observation = asyncio.run(bootstrap.probe_once(settings, name))
    if form is Form.JSON:
        show.as_json({"check": name} | msgspec.to_builtins(observation))
    else:
        _show_run(name, observation)
    return DONE if observation.outcome is Outcome.OK else BAD_ANSWER


def _show_run(name: str, observation: Observation) -> None:
    from rich.text import Text

    from service_monitoring.cli import tables

    said: list[str | Text] = [tables.word(name, "bold"), ": ", tables.word(observation.outcome)]
    if observation.reason is not None:
        said += [f" ({observation.reason})"]
    if observation.detail:
        said += [", ", tables.word(observation.detail)]
    tables.lines(Text.assemble(*said))
    values = {measured.metric: measured.value for measured in observation.measurements if not measured.labels}
    phases = [(title, values[metric]) for metric, title in _PHASES.items() if metric in values]
    if phases:
        tables.lines(tables.bars(phases, max(value for _, value in phases)))
    rest = [
        (_named(measured.metric, measured.labels), f"{measured.value:g}")
        for measured in observation.measurements
        if measured.metric not in _PHASES or measured.labels
    ]
    if rest:
        tables.lines(tables.facts_table(rest))
    if len(observation.attempts) > 1:
        tables.lines(
            tables.facts_table(
                (f"attempt {number}", tables.word(f"{one.outcome} {one.detail}".strip()))
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
        from service_monitoring.cli import tables

        tables.status(answer, bootstrap.the_clock().now())
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
        answer = client.ask(socket(config), "POST", "/api/v1/reload")
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
    from service_monitoring.storage import archive

    folder = load(config).store.path
    manifest = archive.restore(file, folder)
    made = str(manifest.made_at)
    answer = {"folder": str(folder), "made_at": made, "files": [each.name for each in manifest.files]}
    say(form, answer, f"Restored into {folder} the backup of {show.moment(made, bootstrap.the_clock().now())}")


def list_incidents(
    config: Path, form: Form, *, states: Sequence[str], service: str | None, limit: int, drafts: More
) -> None:
    """Incidents, newest first."""
    rows = incident_rows(config, states=states, service=service, limit=limit, drafts=drafts)
    if form is Form.JSON:
        show.as_json(rows)
    else:
        from service_monitoring.cli import tables

        tables.incidents(rows, bootstrap.the_clock().now())


def show_incident(id: str, config: Path, form: Form) -> None:
    """One incident with its transitions and notices."""
    whole = identified(config, id)
    detail = ask(config, "GET", f"/api/v1/incidents/{quote(whole, safe='')}", lambda desk: desk.incident(whole))
    if form is Form.JSON:
        show.as_json(detail)
    else:
        from service_monitoring.cli import tables

        tables.incident(detail, bootstrap.the_clock().now())


def acknowledge(id: str, by: str, comment: str, lasts: str, config: Path, form: Form) -> None:
    """Take an incident on, for as long as `lasts` says, if it says anything."""
    length = _lasting("an acknowledgement", lasts) if lasts else None
    more = {} if length is None else {"expires_after": duration_text(length)}
    row = _act(config, "acknowledge", id, by, comment, lasts=length, **more)
    say(form, row, f"Acknowledged {_named_row(row)} by {by}{_until(row)}")


def snooze(id: str, by: str, comment: str, lasts: str, config: Path, form: Form) -> None:
    """Hear nothing more of an incident, for as long as `lasts` says."""
    length = _lasting("a snooze", lasts)
    row = _act(config, "snooze", id, by, comment, lasts=length, **{"for": duration_text(length)})
    say(form, row, f"Snoozed {_named_row(row)} by {by}{_until(row)}")


def resolve(id: str, by: str, comment: str, config: Path, form: Form) -> None:
    """End an incident."""
    row = _act(config, "resolve", id, by, comment)
    say(form, row, f"Resolved {_named_row(row)} by {by}")


def assign(id: str, to: str, by: str, comment: str, config: Path, form: Form) -> None:
    """Say who is to take care of an incident."""
    row = _act(config, "assign", id, by, comment, to=to)
    say(form, row, f"Assigned {_named_row(row)} to {row['assigned_to']}")


def note(id: str, text: str, by: str, config: Path, form: Form) -> None:
    """Keep a text with an incident."""
    row = _act(config, "note", id, by, text)
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


def _act(
    config: Path, act: str, id: str, by: str, comment: str, *, lasts: Duration | None = None, to: str = "", **more: str
) -> dict[str, Any]:
    """Have it done; `more` is what the route takes besides who says so."""
    whole = identified(config, id)
    written = "text" if act == "note" else "comment"

    def directly(desk: Desk) -> Awaitable[Any]:
        from service_monitoring.domain.inputs import Act, Acted

        return desk.act(Acted(whole, Act(act), by, comment, lasts, to=to))

    row: dict[str, Any] = ask(
        config,
        "POST",
        f"/api/v1/incidents/{quote(whole, safe='')}/{act}",
        directly,
        body={"by": by, written: comment} | ({"to": to} if to else {}) | more,
    )
    return row


def retire(name: str, by: str, reason: str, config: Path, form: Form) -> None:
    """Retire a rule, named `service.rule`."""
    service, rule = rule_named(name)

    def directly(desk: Desk) -> Awaitable[Any]:
        from service_monitoring.domain.inputs import Retired

        return desk.retire(Retired(service, rule, reason, by))

    try:
        ask(
            config,
            "POST",
            f"/api/v1/rules/{quote(service, safe='')}/{quote(rule, safe='')}/retire",
            directly,
            body={"by": by, "reason": reason},
        )
    except EmptyError:
        raise NotFound(f"no program has run with {config} yet: remove the rule from the file") from None
    say(form, {"service": service, "rule": rule, "by": by, "reason": reason}, f"Retired {name} for ever")
