"""The real supervisor lives through a day in simulated time; what it recorded is rehearsed, to the same ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from service_monitoring.bootstrap import program
from service_monitoring.domain.course import Decision
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Delivery,
    GapBegan,
    GapCause,
    GapEnded,
    Marked,
    Observed,
    Pinged,
    Pushed,
    Settled,
    Signal,
    Silenced,
    Stepped,
)
from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.notices import Notice, Page, Withheld
from service_monitoring.storage.history.own import History
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.wire.ledger import ledger
from tests.rehearsals.leaping import Work, leap
from tests.rehearsals.loop import rehearse
from tests.rehearsals.staging import Stage, staged
from tests.rehearsals.supervised import Day

FILE = """\
timezone: Europe/Berlin
store: {path: data}
services:
  shop:
    labels: {team: payments}
    checks:
      page: {staged: shop, every: 1m, timeout: 5s}
      basket: {staged: basket, every: 90s, timeout: 5s}
    rules:
      down: {when: {check: page, metric: up, below: 1}, for: 2m, severity: critical}
      slow:
        when: {check: page, metric: seconds, above: 3}
        for: 3m
        recover: {below: 1, for: 2m}
        worse: {critical: {above: 4.2, for: 4m}}
        severity: warning
      often: {when: {check: basket, metric: seconds, last: 3, need: 2, above: 3}, severity: warning}
      mean: {when: {check: basket, metric: seconds, aggregate: avg, over: 10m, above: 2}, severity: warning}
      stuck: {when: {check: basket, metric: up, below: 1}, severity: warning, no_data: resolve}
      silent: {when: {check: page, metric: seconds, absent_for: 10m}, severity: warning}
      drafted: {when: {check: page, metric: seconds, above: 2}, state: draft, severity: warning}
  desk:
    checks:
      page: {staged: desk, every: 2m, timeout: 5s}
    rules:
      down: {when: {check: page, metric: up, below: 1}, severity: critical, depends_on: [shop.down]}
  jobs:
    checks:
      backup: {heartbeat: {period: 2h, grace: 5m, max_runtime: 30m}}
      orders: {push: {stale_after: 40m}}
    rules:
      backup: {when: {check: backup, heartbeat: [missed, late, failed, overran]}, severity: critical}
      few: {when: {check: orders, metric: orders, below: 2}, severity: warning}
channels:
  ops: {played: moody}
  phone: {played: picky}
  desk: {played: steady}
people:
  ada:
    timezone: America/New_York
    contact: [channel.phone, channel.ops]
    quiet_hours: {times: "22:00-07:00", except: [critical]}
  bo:
    timezone: Europe/Berlin
    contact: [channel.ops, channel.desk]
oncall:
  primary:
    layers:
      - {people: [ada, bo], rotate: 12h, handover: "09:00", starts: "2026-01-04T09:00"}
routes:
  - match: {severity: critical}
    group_by: [service]
    group_wait: 5s
    group_interval: 1m
    repeat_interval: 1h
    repeat: 2
    escalate:
      - {after: 0s, notify: [channel.ops, oncall.primary]}
      - {after: 10m, notify: [person.bo]}
  - match: {team: payments}
    group_by: [service]
    group_wait: 30s
    group_interval: 5m
    repeat_interval: 2h
    notify: [oncall.primary]
  - {notify: [channel.desk, person.ada], group_by: ["..."], group_wait: 0s, group_interval: 0s}
inhibit:
  - {when: {rule: down}, mutes: {rule: often}, same: [service]}
maintenance:
  - {name: nightly, match: {service: desk}, cron: "0 4 * * *", lasts: 1h}
self: {notify: [channel.desk]}
web: {listen: none}
"""


async def live(day: Day) -> None:
    """A day with all that may happen: people, reports, a reload, a stop, a crash and a clock that is set."""
    async with day.program():
        await hours(day, 6)
        await day.silence(2 * HOUR, service="shop", severity="warning")
        await hours(day, 3)
        await day.reload("above: 3}\n        for: 3m", "above: 2}\n        for: 1m")
        await hours(day, 2)
    await day.wait(7 * MINUTE)
    async with day.program():
        await hours(day, 4)
        day.clock.step(Duration(-HOUR))
        await hours(day, 2)
        await day.crash()
    await day.wait(90 * SECOND)
    async with day.program():
        day.clock.suspend(Duration(20 * MINUTE))
        await hours(day, 7)


async def hours(day: Day, count: int) -> None:
    """Each has people who act, a job that reports mostly, and samples that are pushed."""
    for hour in range(count):
        await day.wait(8 * MINUTE)
        await day.act(Act.ACKNOWLEDGE, lasts=25 * MINUTE)
        await day.report(Signal.START, f"{hour}")
        await day.wait(12 * MINUTE)
        await day.act(Act.SNOOZE, lasts=15 * MINUTE, which=1)
        await day.push(3.0, 1.0 if hour % 2 else 4.0)
        await day.wait(20 * MINUTE)
        await day.report(Signal.FAIL if hour % 4 == 3 else Signal.SUCCESS, f"{hour}")
        await day.act(Act.ASSIGN, which=2)
        await day.act(Act.NOTE, which=1)
        await day.wait(20 * MINUTE)
        if hour % 3 == 2:
            await day.act(Act.RESOLVE, which=3)


def recorded(folder: Path) -> tuple[list[Admitted], list[Decision]]:
    with History(folder) as history:
        return list(history.inputs()), list(history.decisions())


PLAN = (
    ("desk", 3.2, 3.6, "down"),  # in its maintenance
    ("shop", 13.0, 13.6, "down"),
    ("desk", 13.1, 13.6, "down"),  # which cannot be reached then
    ("basket", 13.2, 13.6, "slow"),  # which the shop mutes
    ("desk", 17.0, 17.3, "down"),
)


def lived(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Admitted], list[Decision]]:
    """The recording of a day: what came in, and what was decided."""
    file = folder / "monitoring.yaml"
    file.write_text(FILE)

    async def main(clock: SimulatedClock, work: Work) -> None:
        await live(Day(file, clock, work))

    monkeypatch.setattr(program, "SystemRandom", lambda: Random(seed))
    with staged(Stage(seed, PLAN), folder / "installed", monkeypatch):
        leap(main)
    return recorded(folder / "data")


@pytest.mark.timeout(300)
def test_a_supervised_day_is_rehearsed_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, decided = lived(1, tmp_path, monkeypatch)
    again = rehearse(inputs, inputs[-1].stamp)
    assert ledger(again) == ledger(decided)
    assert again == decided
    assert_eventful(inputs, decided)


def assert_eventful(inputs: list[Admitted], decided: list[Decision]) -> None:
    """Two ledgers that hold nothing are equal, too."""
    came = [each.input for each in inputs]
    assert {type(each) for each in came} == {
        Observed, Pinged, Pushed, Acted, Silenced, Configured, GapBegan, GapEnded, Stepped, Marked, Settled,
    }  # fmt: skip
    assert {each.cause for each in came if isinstance(each, GapBegan)} == {GapCause.RESTART, GapCause.SUSPEND}
    assert {each.act for each in came if isinstance(each, Acted)} == set(Act)
    assert {each.delivery for each in came if isinstance(each, Settled)} == set(Delivery)
    notices = [each for each in decided if isinstance(each, Notice)]
    owed = Counter(notice.page for notice in notices if notice.held is None)
    held = Counter(notice.held.reason for notice in notices if notice.held is not None)
    assert set(owed) >= {
        Page.FIRST, Page.UPDATED, Page.REPEATED, Page.ESCALATED, Page.RECOVERED, Page.RELEASED, Page.OWNER,
    }  # fmt: skip
    assert set(held) >= {
        Withheld.SILENCED, Withheld.MAINTENANCE, Withheld.INHIBITED, Withheld.UNREACHABLE, Withheld.FLAPPING,
        Withheld.ACKNOWLEDGED, Withheld.QUIET_HOURS,
    }  # fmt: skip
    # What the first contact of somebody was not told through, the next one was.
    given_up = {(each.recipient, each.sequence) for each in came if isinstance(each, Settled) and _failed(each)}
    contacts = Counter((notice.recipient, notice.channel) for notice in notices if notice.held is None)
    assert any(recipient == "person.ada" for recipient, _ in given_up)
    assert contacts["person.ada", "phone"] and contacts["person.ada", "ops"]


def _failed(settled: Settled) -> bool:
    return settled.delivery in {Delivery.PARKED, Delivery.DELAYED}


@pytest.mark.oracle
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2, 8))
def test_other_supervised_days_are_rehearsed_to_the_byte(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, decided = lived(seed, tmp_path, monkeypatch)
    assert ledger(rehearse(inputs, inputs[-1].stamp)) == ledger(decided)
    assert len(decided) > 300
