"""The doctor: what is wrong with the machine, the data folder, the file or the running program, and what to do.

Knows in which order to look and how findings are printed. Looks without changing anything: no file is made, no lock
kept, nobody told. Blocks.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.text import Text

from service_monitoring import bootstrap
from service_monitoring.cli import BAD_ANSWER, DONE, Form, show, tables
from service_monitoring.cli.doctor import configuration, folder, machine, program
from service_monitoring.cli.doctor.findings import Finding, Level
from service_monitoring.views.texts import one_line


def examine(config: Path, form: Form, *, reach: bool) -> int:
    """Look at everything and print what was found; the exit code says whether anything is wrong."""
    found = findings(config, reach=reach)
    if form is Form.JSON:
        show.as_json(msgspec.to_builtins(found))
    else:
        _print(found)
    return BAD_ANSWER if any(finding.level is Level.WRONG for finding in found) else DONE


def findings(config: Path, *, reach: bool) -> list[Finding]:
    """Everything that was found, in the order of looking."""
    clock = bootstrap.the_clock()
    read = configuration.read(config)
    checks = len(read.settings.checks) if read.settings is not None else 0
    listens = read.settings is not None and read.settings.web is not None
    connections = machine.CONNECTIONS if listens else 0
    found = [*machine.look(clock, checks=checks, connections=connections), *read.findings]
    if read.settings is None:
        return found
    found += configuration.look(read.settings)
    if reach:
        found += configuration.reach(read.settings)
    found += folder.look(read.settings.store.path)
    return found + program.look(read.settings.store.path, bootstrap.socket_in(read.settings.store.path), clock)


def _print(found: list[Finding]) -> None:
    for finding in found:
        tables.lines(
            tables.facts_table([(tables.word(finding.level), Text(f"{finding.topic}: {one_line(finding.what)}"))])
        )
        more = [("why it matters", finding.why), ("what to do", finding.remedy)]
        if finding.level is not Level.FINE:
            tables.lines(tables.facts_table([("", tables.word(f"{name}: {text}", "")) for name, text in more if text]))
    numbers = {level: sum(finding.level is level for finding in found) for level in Level}
    show.line(f"{numbers[Level.WRONG]} wrong, {numbers[Level.DOUBTFUL]} doubtful, {numbers[Level.FINE]} fine")
