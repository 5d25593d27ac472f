"""Rehearsal tests on the command line: each file's tests are played, and what is not as expected is said.

Starts no clock, opens no socket, runs no thread. Does not know what a test may say (`rehearsal.trial_files`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from service_monitoring import bootstrap
from service_monitoring.cli import BAD_ANSWER, DONE, USAGE, Form, show
from service_monitoring.domain.instants import in_seconds
from service_monitoring.errors import Refused
from service_monitoring.rehearsal.shortfalls import Shortfall, Tried, tried
from service_monitoring.settings import InvalidSettings
from service_monitoring.settings.lengths import duration_text


def play(files: Sequence[Path], form: Form, junit: Path | None) -> int:
    """Play the tests of all files. 1 where something did not come as expected, 2 where a file is not understood."""
    played: list[tuple[Path, list[Tried]]] = []
    broken: list[tuple[Path, InvalidSettings]] = []
    for file in bootstrap.trial_files(files):
        try:
            trials = bootstrap.trials_in(file)
        except InvalidSettings as invalid:
            broken.append((file, invalid))
            if form is Form.HUMAN:
                for line in str(invalid).splitlines():
                    show.warn(line)
            continue
        played.append((file, []))
        for trial in trials:
            outcome = tried(trial)
            played[-1][1].append(outcome)
            if form is Form.HUMAN:
                _tell(file, outcome)
    every = [outcome for _, outcomes in played for outcome in outcomes]
    failed = sum(not outcome.held for outcome in every)
    if junit is not None:
        _write(junit, played, broken)
    if form is Form.JSON:
        complaints = [each.plain() for _, invalid in broken for each in invalid.complaints]
        show.as_json(
            {"tests": [_plain(file, each) for file, all_ in played for each in all_], "complaints": complaints}
        )
    else:
        said = f"{show.amount(len(every), 'test')}, {failed} failed"
        show.line(said + (f"; {show.amount(len(broken), 'file')} not understood" if broken else ""))
    return USAGE if broken else BAD_ANSWER if failed else DONE


def _tell(file: Path, outcome: Tried) -> None:
    sign = "passed" if outcome.held else "failed"
    show.line(f"{sign}  {file}: {outcome.trial.name} ({duration_text(outcome.lasted)} simulated)")
    for line in outcome.lines():
        show.line(f"  {line}")


def _plain(file: Path, outcome: Tried) -> dict[str, Any]:
    return {
        "file": str(file),
        "line": outcome.trial.place.line,
        "name": outcome.trial.name,
        "passed": outcome.held,
        "simulated_seconds": in_seconds(outcome.lasted),
        "shortfalls": [_plain_shortfall(each) for each in outcome.shortfalls],
    }


def _plain_shortfall(each: Shortfall) -> dict[str, Any]:
    return {
        "line": each.place.line,
        "column": each.place.column,
        "at_seconds": in_seconds(each.at),
        "what": each.what,
        "missing": each.missing,
        "unexpected": each.unexpected,
        "why": list(each.why),
    }


def _write(
    junit: Path, played: Iterable[tuple[Path, list[Tried]]], broken: Iterable[tuple[Path, InvalidSettings]]
) -> None:
    """JUnit's XML, as far as all who read it agree: suites, cases, failures and errors."""
    root = ET.Element("testsuites")
    for file, outcomes in played:
        failures = sum(not outcome.held for outcome in outcomes)
        suite = _suite(root, file, tests=len(outcomes), failures=failures, errors=0)
        for outcome in outcomes:
            case = ET.SubElement(suite, "testcase", classname=str(file), name=_printable(outcome.trial.name), time="0")
            if not outcome.held:
                _add(case, "failure", outcome.lines())
    for file, invalid in broken:
        suite = _suite(root, file, tests=1, failures=0, errors=1)
        case = ET.SubElement(suite, "testcase", classname=str(file), name="the file", time="0")
        _add(case, "error", str(invalid).splitlines())
    try:
        ET.ElementTree(root).write(junit, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise Refused(f"{junit} cannot be written ({error.strerror}): name another file with --junit") from None


def _suite(root: ET.Element, file: Path, **counts: int) -> ET.Element:
    return ET.SubElement(root, "testsuite", {"name": str(file)} | {name: str(each) for name, each in counts.items()})


def _add(case: ET.Element, sort: str, lines: Sequence[str]) -> None:
    printable = [_printable(line) for line in lines]
    ET.SubElement(case, sort, message=printable[0]).text = "\n".join(printable)


def _printable(text: str) -> str:
    """XML has no place for most control characters, not even escaped."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
