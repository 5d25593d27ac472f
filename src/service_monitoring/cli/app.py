"""The commands and their options. Each imports what it needs when it runs, so that `--help` is quick.

Knows words that people type. Does not know how anything is done: `commands`, `demo` and `doctor` do it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="service-monitoring",
    help="Polls services, judges samples with time-based rules, opens incidents and tells the right person.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
incidents_app = typer.Typer(help="List, show, acknowledge and resolve incidents.", no_args_is_help=True)
rules_app = typer.Typer(help="Retire rules.", no_args_is_help=True)
app.add_typer(incidents_app, name="incidents")
app.add_typer(rules_app, name="rules")

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="SERVICE_MONITORING_CONFIG", help="The configuration file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
By = Annotated[str, typer.Option("--by", envvar="USER", help="Who does it.")]
_FILE = Path("monitoring.yaml")


@app.command()
def init(
    urls: Annotated[list[str], typer.Argument(help="What to watch: http(s)://…, tcp://host:port, tls://host:port")],
    config: Config = _FILE,
) -> None:
    """Write a commented configuration for the URLs given; an existing file is left alone."""
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
    once: Annotated[bool, typer.Option("--once", help="End after the story; exit 0 only if all of it happened.")] = False,
    data: Annotated[Path | None, typer.Option(help="Keep the data in this folder; a temporary one otherwise.")] = None,
) -> None:
    """Watch a small service of our own degrade, fail and recover, on this machine, within a minute."""
    from service_monitoring.cli.demo import story

    raise typer.Exit(story.tell(once=once, data=data))


@app.command()
def validate(config: Config = _FILE, json: Json = False) -> None:
    """Check a configuration: every complaint with file, line, key and remedy."""
    from service_monitoring.cli import commands

    raise typer.Exit(commands.validate(config, json))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from service_monitoring.cli import commands

    commands.schema()


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="service.check")], config: Config = _FILE, json: Json = False
) -> None:
    """Run one check once, now, and show its phases; nothing is stored and nobody is told."""
    from service_monitoring.cli import commands

    raise typer.Exit(commands.check(name, config, json))


@app.command()
def status(
    config: Config = _FILE,
    json: Json = False,
    verify: Annotated[bool, typer.Option("--check", help="Exit 1 unless the program runs without trouble.")] = False,
) -> None:
    """Show how the program itself is."""
    from service_monitoring.cli import commands

    raise typer.Exit(commands.status(config, json, verify))


@app.command()
def doctor(config: Config = _FILE, json: Json = False) -> None:
    """Say what is wrong with this machine, the data folder or the configuration, and what to do about it."""
    from service_monitoring.cli import doctor

    raise typer.Exit(doctor.examine(config, json))


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="A new file.")], config: Config = _FILE) -> None:
    """Write a backup of everything stored; the program may be running."""
    from service_monitoring.cli import commands

    commands.backup(file, config)


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A backup.")], config: Config = _FILE) -> None:
    """Put a backup into the data folder, which must be empty."""
    from service_monitoring.cli import commands

    commands.restore(file, config)


@incidents_app.command("list")
def incidents_list(
    config: Config = _FILE,
    json: Json = False,
    state: Annotated[list[str] | None, typer.Option(help="Only these states; may be given again.")] = None,
    service: Annotated[str | None, typer.Option(help="Only this service.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 200,
) -> None:
    """List incidents, newest first."""
    from service_monitoring.cli import commands

    commands.list_incidents(config, json, state or [], service, limit)


@incidents_app.command("show")
def incidents_show(id: str, config: Config = _FILE, json: Json = False) -> None:
    """Show one incident with its transitions and notices."""
    from service_monitoring.cli import commands

    commands.show_incident(id, config, json)


@incidents_app.command("ack")
def incidents_ack(id: str, by: By, comment: str = "", config: Config = _FILE) -> None:
    """Acknowledge an incident: somebody is on it."""
    from service_monitoring.cli import commands

    commands.act("acknowledge", id, by, comment, config)


@incidents_app.command("resolve")
def incidents_resolve(id: str, by: By, comment: str = "", config: Config = _FILE) -> None:
    """End an incident; while it is still breached, no new one begins before one healthy verdict."""
    from service_monitoring.cli import commands

    commands.act("resolve", id, by, comment, config)


@rules_app.command("retire")
def rules_retire(
    name: Annotated[str, typer.Argument(help="service.rule")],
    by: By,
    reason: Annotated[str, typer.Option(help="Why.")],
    config: Config = _FILE,
) -> None:
    """Retire a rule for ever; its open incidents close."""
    from service_monitoring.cli import commands

    commands.retire(name, by, reason, config)
