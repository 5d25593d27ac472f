"""Real series rehearsed as a user would: a mapping, a rota, noted incidents; figures are what a direct count gives.

CloudWatch series of the Numenta Anomaly Benchmark, read in place by the real command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from bench.nab import FOLDER, read
from service_monitoring.bootstrap import rehearsing
from service_monitoring.bootstrap.loading import rehearsable
from service_monitoring.bootstrap.ranges import Range
from service_monitoring.bootstrap.rehearsing import Past, Variant
from service_monitoring.domain.course import Decision
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import FINAL
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.rehearsal.judging import TrueIncident, read_incidents
from tests.cli.conftest import Command

pytestmark = [
    pytest.mark.recorded_data("the Numenta Anomaly Benchmark's CloudWatch series"),
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there are no recorded series in {FOLDER}"),
]

MAPPING: Final = """\
- file: "*_cpu_utilization_*.csv"
  columns: {at: timestamp}
  constants: {service: "{file}", check: cloudwatch, metric: cpu}
  timezone: UTC
- file: "*"
  columns: {at: timestamp}
  constants: {service: "{file}", check: cloudwatch, metric: amount}
  timezone: UTC
"""
HEAD: Final = """\
timezone: Europe/Berlin
store: {path: data}
people:
  ada: {timezone: America/New_York, contact: [channel.hook], quiet_hours: {times: "22:00-07:00", except: [critical]}}
  bo: {timezone: Europe/Berlin, contact: [channel.hook]}
channels:
  hook: {webhook: "http://127.0.0.1:1/"}
network: {allow: [127.0.0.0/8]}
oncall:
  primary:
    timezone: Europe/Berlin
    layers:
      - {people: [ada, bo], rotate: weekly, handover: Mon 09:00, starts: "2013-09-30"}
routes:
  - match: {severity: critical}
    group_by: [service]
    escalate:
      - {after: 0s, notify: [oncall.primary]}
      - {after: 30m, notify: [person.bo]}
  - group_by: [service]
    notify: [oncall.primary]
web: {listen: none}
self: {notify: [channel.hook]}
services:
"""
SERVICE: Final = """\
  {name}:
    checks:
      cloudwatch: {{push: {{stale_after: 15m}}}}
    rules:
      high:
        when: {{check: cloudwatch, metric: {metric}, above: {high}}}
        recover: {{for: 1h}}
        no_data: resolve
        severity: critical
      unusual:
        when: {{check: cloudwatch, metric: {metric}, deviates: {{sigmas: 8, baseline: 2d}}}}
        for: 30m
        recover: {{for: 2h}}
        no_data: resolve
        flapping: off
"""
FILLING: Final = """\
      filling:
        when: {{check: cloudwatch, metric: {metric}, crosses: {high}, within: 30m, fit: 2h}}
        for: 30m
        recover: {{for: 2h}}
        no_data: resolve
        flapping: off
"""
WEEKS: Final = ("--from", "2014-02-14", "--to", "2014-03-01")
DAYS: Final = ("--from", "2014-02-14", "--to", "2014-02-19")
FOREVER: Final = Instant.parse("2100-01-01T00:00:00Z")
UNSEEN: Final = "unseen,2014-02-20T00:00:00Z,2014-02-20T06:00:00Z,grok_asg_anomaly"
"""After the last sample of its machine: nothing can catch it."""
SWEPT: Final = "rds_cpu_utilization_e47b3b"


class Said(NamedTuple):
    """What the command answered."""

    document: dict[str, Any]
    ledger: bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration, mapping and noted incidents, as somebody would write them who has seen the first half."""
    made = tmp_path_factory.mktemp("nab")
    (made / "mapping.yaml").write_text(MAPPING)
    services, noted = [], ["id,start,end,service", UNSEEN]
    for each in read():
        name, high = each.name.removesuffix(".csv"), float(each.usual.max())
        metric = "cpu" if "_cpu_" in name else "amount"
        text = SERVICE + (FILLING if metric == "cpu" else "")
        services.append(text.format(name=name, metric=metric, high=high))
        noted += (f"{name}-{number},{Instant(a)},{Instant(b)},{name}" for number, (a, b) in enumerate(each.windows))
    (made / "monitoring.yaml").write_text(HEAD + "".join(services))
    (made / "incidents.csv").write_text("\n".join(noted) + "\n")
    return made


def rehearse(folder: Path, command: Command, *arguments: str) -> Said:
    file = folder / "ledger.jsonl"
    said = command("rehearse", str(folder / "monitoring.yaml"), *arguments, "--ledger", str(file), "--json")
    assert said.code == 0, said.err
    return Said(json.loads(said.out), file.read_bytes())


def in_place(folder: Path, *more: str) -> tuple[str, ...]:
    return ("--history", str(FOLDER), "--mapping", str(folder / "mapping.yaml"), *more)


class Counted:
    """Incidents by service and id, and who was told of which, from the decisions themselves."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self.lasted: dict[tuple[str, str], tuple[Instant, Instant]] = {}
        self.told: list[tuple[Instant, set[str]]] = []
        for each in decisions:
            if isinstance(each, IncidentMoved) and (opened := each.incident.opened_at) is not None:
                incident = each.incident
                ended = incident.changed_at if incident.state in FINAL else FOREVER
                self.lasted[incident.service, incident.id] = (opened, ended)
            elif isinstance(each, Notice) and each.held is None:
                told = {facts.incident for facts in (each.facts, *each.others) if facts.incident}
                self.told += [(each.decided_at, told)] if told else []


def overlap(noted: TrueIncident, service: str, lasted: tuple[Instant, Instant]) -> bool:
    return noted.labels["service"] == service and lasted[0] <= noted.end and lasted[1] > noted.start


@pytest.mark.timeout(120)
def test_what_is_caught_missed_and_told_for_nothing_is_what_the_decisions_say(folder: Path, command: Command) -> None:
    asked = in_place(folder, *WEEKS, "--incidents", str(folder / "incidents.csv"))
    document = rehearse(folder, command, *asked).document
    figures, judgement = document["rehearsal"], document["judgement"]
    since, until, warm = (Instant.parse(figures[each]) for each in ("since", "until", "warm"))
    variant = Variant(rehearsable(folder / "monitoring.yaml").configuration, rehearsing.whole)
    [made] = rehearsing.rehearse(Past(str(FOLDER), folder / "mapping.yaml"), Range(since, until), [variant])
    counted = Counted(made.decisions)
    truth = read_incidents((folder / "incidents.csv").read_text(), "incidents.csv")
    judged = [each for each in truth if warm <= each.start < until]

    caught = {
        noted.id
        for noted in judged
        if any(overlap(noted, service, lasted) for (service, _), lasted in counted.lasted.items())
    }
    assert {each["id"] for each in judgement["incidents"] if each["caught"]} == caught
    assert (judgement["caught"], judgement["missed"]) == (len(caught), len(judged) - len(caught))
    assert 0 < len(caught) < len(judged)

    in_vain = {
        id
        for (service, id), lasted in counted.lasted.items()
        if lasted[0] >= warm and not any(overlap(noted, service, lasted) for noted in truth)
    }
    vain = [told for at, told in counted.told if at >= warm and told <= in_vain]
    assert judgement["for_nothing"] == len(vain) > 0
    assert sum(row["for_nothing"] for row in judgement["recipients"]) == len(vain)
    assert {row["recipient"] for row in figures["recipients"]} == {"person.ada", "person.bo"}
    assert figures["held_in_quiet_hours"] > 0


@pytest.mark.timeout(120)
def test_an_imported_history_decides_the_same_as_the_files_it_was_taken_from(
    folder: Path, command: Command, tmp_path: Path
) -> None:
    mapping = str(folder / "mapping.yaml")
    taken = command("history", "import", str(FOLDER), "--into", str(tmp_path / "parquet"), "--mapping", mapping)
    assert taken.code == 0, taken.err
    before = rehearse(folder, command, *in_place(folder), *DAYS)
    after = rehearse(folder, command, "--history", str(tmp_path / "parquet"), *DAYS)
    assert before.ledger == after.ledger
    assert before.document["rehearsal"]["limits"] == after.document["rehearsal"]["limits"]


@pytest.mark.timeout(120)
@pytest.mark.real_time("processes of their own take their time to start")
def test_a_higher_threshold_never_pages_more_where_nothing_recovers_in_one_process_or_in_two(
    command: Command, tmp_path: Path
) -> None:
    """One incident that never ends: the higher the limit, the later it begins, and the fewer are its repeats."""
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    rule = "high: {when: {check: cloudwatch, metric: cpu, above: 20}, recover: {below: 0}, flapping: off}"
    service = SERVICE.partition("    rules:")[0].format(name=SWEPT)
    (tmp_path / "monitoring.yaml").write_text(f"{HEAD}{service}    rules:\n      {rule}\n")
    asked = ("--history", str(FOLDER / f"{SWEPT}.csv"), "--mapping", str(tmp_path / "mapping.yaml"))
    values = next(each.values for each in read() if each.name == f"{SWEPT}.csv")
    records = [float(each) for each in np.unique(np.maximum.accumulate(values))[-4:]]
    swept = f"{SWEPT}.high.above={','.join(map(str, records))}"
    one, two = (rehearse(tmp_path, command, *asked, "--sweep", swept, "--jobs", jobs) for jobs in "12")
    assert one == two
    points = one.document["sweep"]["points"]
    pages = [point["pages"] for point in points]
    assert pages == sorted(pages, reverse=True)
    assert len(set(pages)) > 1
    assert pages[-1] == 0
    assert [point["incidents"] for point in points] == [1] * (len(pages) - pages.count(0)) + [0] * pages.count(0)
