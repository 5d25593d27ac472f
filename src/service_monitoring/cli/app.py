"""The commands and their options. Each imports what it needs when it runs, so that `--help` is quick.

Knows words that people type. Does not know how anything is done: `commands`, `demo` and `doctor` do it.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service_monitoring.cli import Form, More, Typed

app = typer.Typer(
    name="service-monitoring",
    rich_markup_mode=None,  # plain help: with rich it takes three times as long to say the same
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
incidents_app = typer.Typer(
    help="List and show incidents, and act on them.", no_args_is_help=True, rich_markup_mode=None
)
rules_app = typer.Typer(
    help="List rules, show how they stand, and retire them.", no_args_is_help=True, rich_markup_mode=None
)
keys_app = typer.Typer(
    help="Make, list, replace and revoke the keys of checks that report.", no_args_is_help=True, rich_markup_mode=None
)
oncall_app = typer.Typer(
    help="Say who is on call, who will be, and what is doubtful about rotas.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
notify_app = typer.Typer(
    help="Try channels: send a test, or show what would be sent.", no_args_is_help=True, rich_markup_mode=None
)
outbox_app = typer.Typer(
    help="List notices and what became of them, and send parked ones again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(incidents_app, name="incidents")
app.add_typer(outbox_app, name="outbox")
app.add_typer(rules_app, name="rules")
silence_app = typer.Typer(
    help="Hear nothing of something for a while: add, list, end and preview silences.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
history_app = typer.Typer(
    help="Write what was measured as Parquet, take the history of others, or make one up to try things on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
maintenance_app = typer.Typer(help="List planned work.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(history_app, name="history")
app.add_typer(keys_app, name="keys")
app.add_typer(oncall_app, name="oncall")
app.add_typer(notify_app, name="notify")
app.add_typer(silence_app, name="silence")
app.add_typer(maintenance_app, name="maintenance")
users_app = typer.Typer(
    help="Say who may sign in, and as what.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
tokens_app = typer.Typer(
    help="Make, list and revoke the tokens that programs send.", no_args_is_help=True, rich_markup_mode=None
)
audit_app = typer.Typer(help="Show what was done and by whom.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(users_app, name="users")
app.add_typer(tokens_app, name="tokens")
app.add_typer(audit_app, name="audit")

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="SERVICE_MONITORING_CONFIG", help="The configuration file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
By = Annotated[str, typer.Option("--by", envvar="USER", help="Who does it.")]
Comment = Annotated[str, typer.Option(help="A word about it.")]
Id = Annotated[str, typer.Argument(help="The incident's id, or an unambiguous beginning of it.")]
Check = Annotated[str, typer.Argument(help="service.check")]
Matchers = Annotated[
    list[str],
    typer.Argument(metavar="MATCHER...", help="What all must hold: service=shop, rule!=slow, 'team=~\"pay.*\"'."),
]
RuleName = Annotated[str, typer.Argument(help="service.rule")]
Recipient = Annotated[str, typer.Argument(help="A channel's name, or person.NAME.")]
Server = Annotated[
    str,
    typer.Option(envvar="SERVICE_MONITORING_SERVER", help="Where the monitor listens, for a key."),
]
UserName = Annotated[str, typer.Argument(metavar="NAME", help="The name of the account.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the input, not from the terminal.")
]
OneRota = Annotated[str, typer.Option("--rota", help="Only this rota.")]
Run = Annotated[str, typer.Option("--run", help="The run's id: letters, digits and -.")]
From = Annotated[str, typer.Option("--from", help="RFC 3339; otherwise the first sample.")]
To = Annotated[str, typer.Option("--to", help="RFC 3339; otherwise the last sample.")]
Timeout = Annotated[str, typer.Option(help="How long one attempt may take.")]
_FILE = Path("monitoring.yaml")
_SERVER = "http://127.0.0.1:8080"


class StateName(StrEnum):
    """The states of an incident, spelt here because the domain is not loaded for a `--help`; a test compares them."""

    PENDING = "pending"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    DROPPED = "dropped"
    RESOLVED = "resolved"
    CLOSED = "closed"


class NoticeState(StrEnum):
    """What may become of a notice, as the outbox names it."""

    OWED = "owed"
    HELD = "held"
    SENDING = "sending"
    WAITING = "waiting"
    UNCERTAIN = "uncertain"
    DELIVERED = "delivered"
    PARKED = "parked"
    WITHHELD = "withheld"


class RoleName(StrEnum):
    """What a person may be here."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


class ScopeName(StrEnum):
    """What a token may be good for."""

    METRICS = "metrics"
    READ = "read"
    RESPOND = "respond"
    ADMINISTER = "administer"


def _form(*, json: bool) -> Form:
    return Form.JSON if json else Form.HUMAN


def _typed(*, stdin: bool) -> Typed:
    return Typed.INPUT if stdin else Typed.TERMINAL


def _version(asked: bool) -> None:  # noqa: FBT001  the signature that typer calls
    if asked:
        from importlib.metadata import version

        typer.echo(f"service-monitoring {version('service-monitoring')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Polls services, judges samples with time-based rules, opens incidents and tells the right person."""


@app.command()
def init(
    urls: Annotated[list[str], typer.Argument(help="What to watch: http(s)://…, tcp://host:port, tls://host:port")],
    config: Config = _FILE,
) -> None:
    """Write a commented configuration for the URLs given. An existing file is left alone."""
    from service_monitoring.cli import commands

    commands.init(urls, config)


@app.command()
def run(
    config: Config = _FILE,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the monitor until Ctrl-C or SIGTERM."""
    from service_monitoring.cli import running

    running.run(config, log_level)


@app.command()
def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End after the story; exit 0 only if all of it happened.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Keep the data in this folder; a temporary one otherwise.")] = None,
) -> None:
    """Watch a small service of our own degrade, fail and recover. All on this machine, within a minute."""
    from service_monitoring.cli.demo import story

    raise typer.Exit(story.tell(once=once, data=data))


@app.command()
def validate(config: Config = _FILE, *, json: Json = False) -> None:
    """Check a configuration. Every complaint names file, line, key and remedy."""
    from service_monitoring.cli import commands

    raise typer.Exit(commands.validate(config, _form(json=json)))


@app.command("test")
def rehearsal_tests(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of rehearsal tests, or folders with some that are called *.rehearsal.yaml."),
    ],
    *,
    json: Json = False,
    junit: Annotated[Path | None, typer.Option(help="Also write what came of them to this file, as JUnit XML.")] = None,
) -> None:
    """Try a configuration on samples of your own, in simulated time: who is told what, and who is not.

    Exit code 0: all came as expected; 1: something did not; 2: a file is not understood.

    \b
    Examples:
      test .
      test examples/monitoring.rehearsal.yaml --junit results.xml
    """  # noqa: D301 - the backspace itself keeps the lines below as they are
    from service_monitoring.cli import trials

    raise typer.Exit(trials.play(files, _form(json=json), junit))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from service_monitoring.cli import commands

    commands.schema()


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="service.check")], config: Config = _FILE, *, json: Json = False
) -> None:
    """Run one check once, now, and show its phases. Nothing is stored and nobody is told."""
    from service_monitoring.cli import commands

    raise typer.Exit(commands.check(name, config, _form(json=json)))


@app.command()
def status(
    config: Config = _FILE,
    *,
    json: Json = False,
    verify: Annotated[bool, typer.Option("--check", help="Exit 1 unless the program runs without trouble.")] = False,
) -> None:
    """Show how the program itself is."""
    from service_monitoring.cli import commands

    raise typer.Exit(commands.status(config, _form(json=json), verify=verify))


@app.command()
def reload(config: Config = _FILE, *, json: Json = False) -> None:
    """Have the running program read its file again. Exit 1 when it is refused: nothing has changed then."""
    from service_monitoring.cli import commands

    raise typer.Exit(commands.reload(config, _form(json=json)))


@app.command()
def doctor(
    config: Config = _FILE,
    *,
    json: Json = False,
    reach: Annotated[bool, typer.Option("--reach", help="Also connect to where channels deliver to.")] = False,
) -> None:
    """Say what is wrong here, and what to do about it. Looks at machine, data folder and configuration."""
    from service_monitoring.cli.doctor import examine

    raise typer.Exit(examine(config, _form(json=json), reach=reach))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file.")], config: Config = _FILE, *, json: Json = False
) -> None:
    """Write a backup of everything stored. The program may be running."""
    from service_monitoring.cli import commands

    commands.backup(file, config, _form(json=json))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")], config: Config = _FILE, *, json: Json = False
) -> None:
    """Put a backup into the data folder, which must be empty."""
    from service_monitoring.cli import commands

    commands.restore(file, config, _form(json=json))


@app.command()
def rehearse(  # noqa: PLR0913 - one argument an option, all by name
    *,
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="In force throughout; the recorded revisions without it.")
    ] = None,
    history: Annotated[
        str, typer.Option(help="A data folder, files of others, or a server's URL; the data folder of CONFIG without.")
    ] = "",
    mapping: Annotated[Path | None, typer.Option(help="The file that says what columns of others are.")] = None,
    began: Annotated[
        str, typer.Option("--from", help="Its begin: 2026-01-05, 2026-01-05T12:00:00Z, or -7d before the end.")
    ] = "",
    ended: Annotated[str, typer.Option("--to", help="Its end, which is not part of it.")] = "",
    against: Annotated[Path | None, typer.Option(help="Another configuration: who gains and loses pages.")] = None,
    sweep: Annotated[
        list[str] | None, typer.Option(help="Try values: shop.slow.above=0.4:1.2:0.1, or =0.4,0.8; may be given again.")
    ] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option(
            help="Faults of time: suspend=22m@2026-01-06T03:00, monitor-down=40m@..., restart@..., late=5%, dst; "
            "may be given again."
        ),
    ] = None,
    assume: Annotated[str, typer.Option(help="What people do: ack=10m, or ack=10m:by=NAME.")] = "",
    incidents: Annotated[Path | None, typer.Option(help="What really went wrong, as CSV or YAML.")] = None,
    night: Annotated[str, typer.Option(help="When people sleep.")] = "22:00-07:00",
    report: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Write every decision to this file, a line each.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="How many cores are used, at most; 0: all.")] = 0,
    include_drafts: Annotated[bool, typer.Option("--include-drafts", help="As if every draft were active.")] = False,
    json: Json = False,
) -> None:
    """Decide again, in simulated time, what was recorded: who would have been paged, when, and why. Sends nothing.

    \b
    Examples:
      rehearse monitoring.yaml --from -7d
      rehearse --history data --ledger decisions.jsonl
      rehearse new.yaml --history data --against old.yaml --report page.html
      rehearse monitoring.yaml --sweep shop.slow.above=0.4:1.2:0.1
      rehearse monitoring.yaml --history samples.csv --mapping mapping.yaml
    """  # noqa: D301 - the backspace itself keeps the lines below as they are
    from service_monitoring.cli import rehearse as rehearsal

    asked = rehearsal.Asked(
        config=config,
        history=history,
        mapping=mapping,
        began=began,
        ended=ended,
        against=against,
        sweeps=tuple(sweep or ()),
        drafts=include_drafts,
        injects=tuple(inject or ()),
        assume=assume,
        incidents=incidents,
        night=night,
        report=report,
        ledger=ledger,
        jobs=jobs,
    )
    rehearsal.rehearse(asked, _form(json=json))


@app.command()
def uptime(
    service: Annotated[str, typer.Argument(help="Only this service.")] = "",
    config: Config = _FILE,
    began: Annotated[str, typer.Option("--from", help="Its begin: 2026-01-05T12:00:00Z.")] = "",
    ended: Annotated[str, typer.Option("--to", help="Its end, which is not part of it; now without it.")] = "",
    over: Annotated[str, typer.Option(help="How long it is, in place of --from: 30d without both.")] = "",
    *,
    json: Json = False,
) -> None:
    """Show which share of a range services were up, down, degraded, in maintenance, or nobody knows."""
    if began and over:
        raise typer.BadParameter("--from and --over both say when the range begins: give one of them")
    from service_monitoring.cli import questions

    questions.uptime(service, questions.Asked(began, ended, over), config, _form(json=json))


@app.command()
def budgets(
    service: Annotated[str, typer.Argument(help="Only this service.")] = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Show what is left of error budgets, and how fast they are spent."""
    from service_monitoring.cli import questions

    questions.budgets(service, config, _form(json=json))


@incidents_app.command("list")
def incidents_list(
    config: Config = _FILE,
    *,
    json: Json = False,
    state: Annotated[list[StateName] | None, typer.Option(help="Only these states; may be given again.")] = None,
    service: Annotated[str | None, typer.Option(help="Only this service.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 200,
    drafts: Annotated[bool, typer.Option("--drafts", help="Also those of drafts, which nobody is told of.")] = False,
) -> None:
    """List incidents, newest first."""
    from service_monitoring.cli import commands

    states = [name.value for name in state or []]
    shown = More.SHOWN if drafts else More.LEFT_OUT
    commands.list_incidents(config, _form(json=json), states=states, service=service, limit=limit, drafts=shown)


@incidents_app.command("show")
def incidents_show(id: Id, config: Config = _FILE, *, json: Json = False) -> None:
    """Show one incident with its transitions and notices."""
    from service_monitoring.cli import commands

    commands.show_incident(id, config, _form(json=json))


@incidents_app.command("explain")
def incidents_explain(
    id: Id,
    at: Annotated[str, typer.Option("--at", help="By when: 2026-01-05T12:00:00Z. Without it, by now.")] = "",
    person: Annotated[str, typer.Option("--person", help="Only what concerns this person.")] = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Say who was told of an incident, who was not, and why."""
    from service_monitoring.cli import questions

    questions.explain(id, at, person, config, _form(json=json))


@incidents_app.command("ack")
def incidents_ack(
    id: Id,
    by: By,
    comment: Comment = "",
    lasts: Annotated[str, typer.Option("--for", help="For how long: 2h. Without it, until the incident ends.")] = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Acknowledge an incident: somebody is on it."""
    from service_monitoring.cli import commands

    commands.acknowledge(id, by, comment, lasts, config, _form(json=json))


@incidents_app.command("resolve")
def incidents_resolve(id: Id, by: By, comment: Comment = "", config: Config = _FILE, *, json: Json = False) -> None:
    """End an incident. While it is still breached, no new one begins before one healthy verdict."""
    from service_monitoring.cli import commands

    commands.resolve(id, by, comment, config, _form(json=json))


@incidents_app.command("snooze")
def incidents_snooze(
    id: Id,
    lasts: Annotated[str, typer.Option("--for", help="For how long: 2h.")],
    by: By,
    comment: Comment = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Hear nothing more of an incident for a while; when that is over, it is open again."""
    from service_monitoring.cli import commands

    commands.snooze(id, by, comment, lasts, config, _form(json=json))


@incidents_app.command("assign")
def incidents_assign(
    id: Id,
    to: Annotated[str, typer.Option("--to", help="Who is to take care of it.")],
    by: By,
    comment: Comment = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Say who is to take care of an incident. Its state stays."""
    from service_monitoring.cli import commands

    commands.assign(id, to, by, comment, config, _form(json=json))


@incidents_app.command("note")
def incidents_note(
    id: Id,
    text: Annotated[str, typer.Argument(help="What is to be kept.")],
    by: By,
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Keep a text with an incident, over or not. Its state stays."""
    from service_monitoring.cli import commands

    commands.note(id, text, by, config, _form(json=json))


@rules_app.command("list")
def rules_list(
    config: Config = _FILE,
    *,
    json: Json = False,
    service: Annotated[str | None, typer.Option(help="Only this service.")] = None,
) -> None:
    """List rules with what they say."""
    from service_monitoring.cli import questions

    questions.list_rules(service, config, _form(json=json))


@rules_app.command("show")
def rules_show(name: RuleName, config: Config = _FILE, *, json: Json = False) -> None:
    """Show how a rule stands on each series, what is counted, what comes next, and why."""
    from service_monitoring.cli import questions

    questions.show_rule(name, config, _form(json=json))


@rules_app.command("retire")
def rules_retire(
    name: RuleName,
    by: By,
    reason: Annotated[str, typer.Option(help="Why.")],
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Retire a rule for ever. Its open incidents close."""
    from service_monitoring.cli import commands

    commands.retire(name, by, reason, config, _form(json=json))


@notify_app.command("test")
def notify_test(recipient: Recipient, config: Config = _FILE, *, json: Json = False) -> None:
    """Send one notice that says that it is a test. Exit 0 only when the far side took it."""
    from service_monitoring.cli import telling

    raise typer.Exit(telling.test(recipient, config, _form(json=json)))


@notify_app.command("preview")
def notify_preview(
    recipient: Recipient,
    incident: Annotated[
        str, typer.Option(help="The id of a stored incident, or its beginning; a made-up one without.")
    ] = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Show what a channel would send: subject, body and content type. Nothing is sent."""
    from service_monitoring.cli import telling

    telling.preview(recipient, incident, config, _form(json=json))


@silence_app.command("add")
def silence_add(  # noqa: PLR0913 - one argument an option
    matchers: Matchers,
    by: By,
    comment: Annotated[str, typer.Option(help="Why.")],
    lasts: Annotated[str, typer.Option("--for", help="For how long: 2h.")] = "",
    ends: Annotated[str, typer.Option("--until", help="Its end, in place of --for: 2026-01-05T12:00:00Z.")] = "",
    begins: Annotated[str, typer.Option("--from", help="Its begin; now without it.")] = "",
    config: Config = _FILE,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would silence.")] = False,
    json: Json = False,
) -> None:
    """Tell nobody of what has these labels, for a while."""
    if bool(lasts) == bool(ends):
        raise typer.BadParameter("--for and --until both say when the silence ends: give one of them")
    from service_monitoring.cli import silences

    said = silences.Said(matchers, by, comment, begins, ends, lasts)
    silences.add(said, config, _form(json=json), dry_run=dry_run)


@silence_app.command("list")
def silence_list(
    config: Config = _FILE,
    *,
    json: Json = False,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
) -> None:
    """List silences, the latest to end first."""
    from service_monitoring.cli import silences

    silences.list_silences(config, _form(json=json), ended=More.SHOWN if ended else More.LEFT_OUT)


@silence_app.command("expire")
def silence_expire(
    id: Annotated[str, typer.Argument(help="The silence's id, or an unambiguous beginning of it.")],
    by: By,
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """End a silence now."""
    from service_monitoring.cli import silences

    silences.expire(id, by, config, _form(json=json))


@silence_app.command("preview")
def silence_preview(matchers: Matchers, config: Config = _FILE, *, json: Json = False) -> None:
    """Show which incidents matchers match now, and did in the last week. Nothing is silenced."""
    from service_monitoring.cli import silences

    silences.preview(matchers, config, _form(json=json))


@maintenance_app.command("list")
def maintenance_list(
    config: Config = _FILE,
    over: Annotated[str, typer.Option(help="How far to look ahead.")] = "4w",
    *,
    json: Json = False,
) -> None:
    """List the windows of planned work that the file names, from now on."""
    from service_monitoring.cli import silences

    silences.list_maintenance(over, config, _form(json=json))


@keys_app.command("create")
def keys_create(check: Check, config: Config = _FILE, *, json: Json = False) -> None:
    """Make the key of a check: it is shown this once."""
    from service_monitoring.cli import keys

    keys.create(check, config, _form(json=json))


@keys_app.command("list")
def keys_list(config: Config = _FILE, *, json: Json = False) -> None:
    """List keys, without what opens anything."""
    from service_monitoring.cli import keys

    keys.list_keys(config, _form(json=json))


@keys_app.command("rotate")
def keys_rotate(
    check: Check,
    overlap: Annotated[str, typer.Option(help="How long the key before still opens: 1h.")] = "0",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Make another key for a check; the one before opens nothing any more, at once or after the overlap."""
    from service_monitoring.cli import keys

    keys.rotate(check, overlap, config, _form(json=json))


@keys_app.command("revoke")
def keys_revoke(check: Check, config: Config = _FILE, *, json: Json = False) -> None:
    """Forget all keys of a check."""
    from service_monitoring.cli import keys

    keys.revoke(check, config, _form(json=json))


@users_app.command("add")
def users_add(
    name: UserName,
    role: Annotated[RoleName, typer.Option(help="What this one may do.")] = RoleName.VIEWER,
    config: Config = _FILE,
    *,
    password_stdin: PasswordStdin = False,
    json: Json = False,
) -> None:
    """Make an account. Its password is asked for."""
    from service_monitoring.cli import users

    users.add(name, role.value, _typed(stdin=password_stdin), config, _form(json=json))


@users_app.command("list")
def users_list(config: Config = _FILE, *, json: Json = False) -> None:
    """List accounts."""
    from service_monitoring.cli import users

    users.list_users(config, _form(json=json))


@users_app.command("role")
def users_role(
    name: UserName,
    role: Annotated[RoleName, typer.Argument(help="What this one may do.")],
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Give an account another role; its sessions end."""
    from service_monitoring.cli import users

    users.role(name, role.value, config, _form(json=json))


@users_app.command("password")
def users_password(
    name: UserName, config: Config = _FILE, *, password_stdin: PasswordStdin = False, json: Json = False
) -> None:
    """Give an account another password, which is asked for; its sessions end."""
    from service_monitoring.cli import users

    users.password(name, _typed(stdin=password_stdin), config, _form(json=json))


@users_app.command("disable")
def users_disable(name: UserName, config: Config = _FILE, *, json: Json = False) -> None:
    """Let an account in no more; its sessions end, and its tokens open nothing meanwhile."""
    from service_monitoring.cli import users

    users.disable(name, config, _form(json=json))


@users_app.command("enable")
def users_enable(name: UserName, config: Config = _FILE, *, json: Json = False) -> None:
    """Let an account in again."""
    from service_monitoring.cli import users

    users.enable(name, config, _form(json=json))


@users_app.command("remove")
def users_remove(name: UserName, config: Config = _FILE, *, json: Json = False) -> None:
    """Remove an account with its sessions and tokens."""
    from service_monitoring.cli import users

    users.remove(name, config, _form(json=json))


@users_app.command("second-factor")
def users_second_factor(
    name: UserName,
    config: Config = _FILE,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away; the sessions end.")] = False,
    json: Json = False,
) -> None:
    """Say whether an account has a second factor, or take it away."""
    from service_monitoring.cli import users

    users.second_factor(name, users.Removing.YES if remove else users.Removing.NO, config, _form(json=json))


@tokens_app.command("create")
def tokens_create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    account: Annotated[str, typer.Option("--for", help="The account whose it is.")],
    scope: Annotated[list[ScopeName], typer.Option(help="What it is good for; may be given again.")],
    lasts: Annotated[str, typer.Option(help="How long it is good.")] = "90d",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Make a token: it is shown this once."""
    from service_monitoring.cli import tokens

    tokens.create(name, account, [each.value for each in scope], lasts, config, _form(json=json))


@tokens_app.command("list")
def tokens_list(config: Config = _FILE, *, json: Json = False) -> None:
    """List tokens, without what opens anything."""
    from service_monitoring.cli import tokens

    tokens.list_tokens(config, _form(json=json))


@tokens_app.command("revoke")
def tokens_revoke(
    handle: Annotated[str, typer.Argument(help="What `tokens list` begins its line with.")],
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Let a token open nothing any more."""
    from service_monitoring.cli import tokens

    tokens.revoke(handle, config, _form(json=json))


@audit_app.command("list")
def audit_list(
    config: Config = _FILE,
    *,
    json: Json = False,
    before: Annotated[int | None, typer.Option(min=1, help="Only what was done before this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
) -> None:
    """List what was done and by whom, the latest first."""
    from service_monitoring.cli import tokens

    tokens.list_audit(before, limit, config, _form(json=json))


@audit_app.command("verify")
def audit_verify(config: Config = _FILE, *, json: Json = False) -> None:
    """Find out whether the audit trail can be what was written. Exit 1 where it cannot, with the first row."""
    from service_monitoring.cli import tokens

    raise typer.Exit(tokens.verify_audit(config, _form(json=json)))


@outbox_app.command("list")
def outbox_list(
    config: Config = _FILE,
    *,
    json: Json = False,
    state: Annotated[list[NoticeState] | None, typer.Option(help="Only these states; may be given again.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 200,
) -> None:
    """List notices and what became of them, the latest first."""
    from service_monitoring.cli import outbox

    outbox.list_outbox(config, _form(json=json), states=[name.value for name in state or []], limit=limit)


@outbox_app.command("requeue")
def outbox_requeue(
    key: Annotated[str, typer.Argument(help="The notice's key, or an unambiguous beginning of it.")],
    by: By,
    comment: Comment = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Send a parked notice once more, under the same key."""
    from service_monitoring.cli import outbox

    outbox.requeue(key, by, comment, config, _form(json=json))


@oncall_app.command("now")
def oncall_now(rota: OneRota = "", config: Config = _FILE, *, json: Json = False) -> None:
    """Show who is on call, and until when."""
    from service_monitoring.cli import oncall

    oncall.at("", rota, config, _form(json=json))


@oncall_app.command("at")
def oncall_at(
    instant: Annotated[str, typer.Argument(help="2026-01-05T12:00:00Z")],
    rota: OneRota = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Show who is on call at an instant."""
    from service_monitoring.cli import oncall

    oncall.at(instant, rota, config, _form(json=json))


@oncall_app.command("next")
def oncall_next(
    over: Annotated[str, typer.Argument(help="For how long: 4w.")] = "4w",
    rota: OneRota = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """List the shifts from now on, and when there is nobody."""
    from service_monitoring.cli import oncall

    oncall.upcoming(over, rota, config, _form(json=json))


@oncall_app.command("lint")
def oncall_lint(
    over: Annotated[str, typer.Option(help="How far to look ahead: 52w.")] = "365d",
    rota: OneRota = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Say when nobody is on call, who is named in vain, and who carries more than others."""
    from service_monitoring.cli import oncall

    raise typer.Exit(oncall.lint(over, rota, config, _form(json=json)))


@oncall_app.command("export")
def oncall_export(
    name: Annotated[str, typer.Argument(help="The rota.")],
    weeks: Annotated[int, typer.Option(min=1, max=520, help="How far to look ahead.")] = 12,
    config: Config = _FILE,
) -> None:
    """Print the shifts of a rota as a calendar file (iCalendar)."""
    from service_monitoring.cli import oncall

    oncall.export(name, weeks, config)


@oncall_app.command("import")
def oncall_import(
    file: Annotated[Path, typer.Argument(help="A calendar file (iCalendar).")],
    rota: Annotated[str, typer.Option("--rota", help="The rota whose zone the times have that name none.")] = "",
    config: Config = _FILE,
) -> None:
    """Print the overrides that a calendar file holds, to put into the configuration."""
    from service_monitoring.cli import oncall

    raise typer.Exit(oncall.import_(file, rota, config))


@history_app.command(name="export")
def export_history(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    since: From = "",
    until: To = "",
    config: Config = _FILE,
    *,
    json: Json = False,
) -> None:
    """Write what was measured as Parquet, a folder a day. The program may be running."""
    from service_monitoring.cli import histories

    histories.export(folder, since, until, config, _form(json=json))


@history_app.command(name="import")
def import_history(
    source: Annotated[str, typer.Argument(help="Parquet, CSV, a folder of either, or a Prometheus server's URL.")],
    into: Annotated[Path, typer.Option("--into", help="A folder of Parquet, new or of an earlier import.")],
    mapping: Annotated[Path | None, typer.Option("--mapping", help="Which series of theirs are which of ours.")] = None,
    since: From = "",
    until: To = "",
    *,
    json: Json = False,
) -> None:
    """Take the history of others into a folder of Parquet. What is there already stays, and is not taken twice."""
    from service_monitoring.cli import histories

    histories.import_(source, into, mapping, since, until, _form(json=json))


@history_app.command(name="example")
def example_history(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is.")] = 14,
    seed: Annotated[int, typer.Option(min=0, help="Another one is another history of the same kind.")] = 1,
    *,
    json: Json = False,
) -> None:
    """Write a small shop to rehearse: its configuration, what it measured, and what really went wrong."""
    from service_monitoring.cli import histories

    histories.example(folder, days, seed, _form(json=json))


@app.command()
def pings(
    check: Check,
    config: Config = _FILE,
    *,
    json: Json = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
) -> None:
    """List what was reported to a check, newest first."""
    from service_monitoring.cli import keys

    keys.list_pings(check, limit, config, _form(json=json))


@app.command()
def ping(  # noqa: PLR0913 - one argument an option
    target: Annotated[str, typer.Argument(help="A key, or the URL of a ping.")],
    server: Server = _SERVER,
    run: Run = "",
    timeout: Timeout = "5s",
    *,
    start: Annotated[bool, typer.Option("--start", help="The job begins.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="The job failed.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Only keep what is sent along.")] = False,
    exit_code: Annotated[int | None, typer.Option(min=0, max=255, help="How the job ended; 0 is success.")] = None,
    body_file: Annotated[Path | None, typer.Option(help="Send this file along, 10 KiB of it; - is the input.")] = None,
) -> None:
    """Report that a job ran, or how it fares."""
    words = [word for word, given in (("start", start), ("fail", fail), ("log", log)) if given]
    words += [] if exit_code is None else [str(exit_code)]
    if len(words) > 1:
        raise typer.BadParameter("one of --start, --fail, --log and --exit-code says how it fares")
    from service_monitoring.cli import reporting

    to, run = reporting.target(target, server), reporting.checked_run(run)
    length = reporting.seconds(timeout)
    typer.echo(reporting.send(to, "".join(words), run=run, body=reporting.along(body_file), timeout=length))


@app.command(context_settings={"allow_interspersed_args": False})
def wrap(
    command: Annotated[list[str], typer.Argument(help="-- and the command with its arguments.")],
    url: Annotated[str, typer.Option(help="The URL of a ping.")] = "",
    key: Annotated[str, typer.Option(envvar="SERVICE_MONITORING_KEY", help="A key, in place of a URL.")] = "",
    server: Server = _SERVER,
    run: Run = "",
    timeout: Timeout = "5s",
) -> None:
    """Run a command and report its beginning and its end; its output and exit code are its own."""
    if bool(url) == bool(key):
        raise typer.BadParameter("give --url or --key, and one of them")
    from service_monitoring.cli import reporting, wrapping

    to = reporting.target(url or key, server)
    named = reporting.checked_run(run) or reporting.this_run()
    raise typer.Exit(wrapping.wrap(command, to, run=named, timeout=reporting.seconds(timeout)))
