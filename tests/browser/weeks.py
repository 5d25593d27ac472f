"""Five weeks of a web shop in a store, as a program leaves them that ran all the time: what pages look like in earnest.

Knows what went wrong in those weeks and who did something about it. All of it comes in as real inputs, at made-up times
that end now; what is decided of it is the program's own doing.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from service_monitoring import bootstrap
from service_monitoring.application import Monitor
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Marked,
    MarkKind,
    Observed,
    Silenced,
    Stamp,
)
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.domain.silences import Wanted
from service_monitoring.ports import Message, Settlement, Tick
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.sqlite import SqliteStore

WEEKS: Final = 5
EVERY: Final = 30 * MINUTE
LATELY: Final = 7 * HOUR
"""Before now; in it the checks run every minute, so that charts of hours are not empty."""

CONFIGURATION: Final = """
timezone: Europe/Berlin
store: {path: $data}
network: {allow: [127.0.0.0/8]}
defaults:
  http: {every: 30m, timeout: 2s}
services:
  shop:
    description: The web shop, as customers see it
    labels: {team: storefront, tier: gold}
    checks:
      page: {http: $target}
    rules:
      down:
        when: {check: page, metric: up, below: 1}
        for: 2m
        severity: critical
        summary: "{{ service }} is down: {{ reason }}"
      slow:
        when: {check: page, metric: duration_seconds, above: 500ms}
        for: 10m
        severity: warning
        summary: "{{ service }} answers in {{ value | round(2) }} s"
      available: {when: {check: page, metric: up, objective: 99.5, window: 30d, burn: slow}, severity: warning}
  checkout:
    description: Baskets, orders and payments
    labels: {team: payments, tier: gold}
    checks:
      api: {http: $target?checkout}
    rules:
      down:
        when: {check: api, metric: up, below: 1}
        for: 2m
        severity: critical
        summary: "Nobody can pay: {{ reason }}"
      slow:
        when: {check: api, metric: duration_seconds, above: 500ms}
        for: 20m
        severity: critical
        summary: "{{ service }} answers in {{ value | round(2) }} s"
  search:
    description: Finds products by words and by pictures
    labels: {team: discovery, tier: silver}
    checks:
      query: {http: $target?search}
    rules:
      down:
        when: {check: query, metric: up, below: 1}
        for: 2m
        severity: critical
        summary: "{{ service }} is down: {{ reason }}"
      slow:
        when: {check: query, metric: duration_seconds, above: 500ms}
        for: 10m
        severity: warning
        summary: "{{ service }} answers in {{ value | round(2) }} s"
  recommendations:
    labels: {team: discovery, tier: bronze}
    checks:
      model: {http: "http://127.0.0.1:9/model"}
    rules:
      down:
        when: {check: model, metric: up, below: 1}
        for: 2m
        severity: warning
        summary: "{{ service }} is down: {{ reason }}"
  images:
    labels: {team: storefront, tier: silver}
    checks:
      thumbnails: {http: $target?images}
    rules:
      slow:
        when: {check: thumbnails, metric: duration_seconds, above: 700ms}
        for: 10m
        severity: info
        summary: "Pictures take {{ value | round(2) }} s"
  warehouse-stock-synchronisation-of-the-northern-region:
    description: Tells the shop what lies in the warehouses
    labels: {team: logistics, tier: bronze}
    checks:
      feed: {http: "http://127.0.0.1:9/feed"}
    rules:
      down:
        when: {check: feed, metric: up, below: 1}
        for: 20m
        severity: critical
        summary: "Stock is not up to date: {{ reason }}"
  mail:
    labels: {team: payments, tier: silver}
    checks:
      relay: {http: $target?mail}
people:
  ada: {timezone: Europe/Berlin, contact: [channel.pager]}
  grace: {timezone: America/New_York, contact: [channel.pager]}
  linus: {timezone: Europe/Helsinki, contact: [channel.pager]}
channels:
  pager: {webhook: $sink}
  desk: {webhook: $sink}
oncall:
  primary:
    timezone: Europe/Berlin
    layers: [{people: [ada, grace, linus], rotate: weekly, handover: Mon 09:00, starts: "2026-01-05"}]
  weekends:
    timezone: Europe/Berlin
    layers:
      - people: [linus, ada]
        rotate: daily
        handover: "09:00"
        restrictions: [{weekdays: [sat, sun], times: "09:00-21:00"}]
routes:
  - {match: {severity: critical}, group_by: [service], notify: [oncall.primary, channel.desk]}
  - {notify: [channel.desk], group_by: [service]}
maintenance:
  - {name: search-index, match: {service: search}, weekly: Sun 03:00, lasts: 2h, comment: the index is built anew}
  - {name: database-upgrade, match: {team: payments}, weekly: Wed 02:00, lasts: 1h, comment: a new release}
status_pages:
  shop:
    title: Example shop
    description: How the services of the shop are, and were
    groups:
      - {name: Shopping, services: [shop, checkout, search]}
      - {name: Behind it, services: [images, recommendations, mail]}
    rename:
      {shop: Web shop, checkout: Paying, search: Search, images: Pictures, recommendations: Recommendations, mail: Mail}
    show: {history_days: 30}
self: {notify: [channel.desk]}
"""

# Service, hours before now at which it began and ended, and what it was like.
TROUBLE: Final = (
    ("shop", 31 * 24 + 5, 31 * 24 + 4, "down"),
    ("search", 27 * 24 + 9, 27 * 24 + 2, "slow"),
    ("checkout", 22 * 24 + 11, 22 * 24 + 10, "down"),
    ("images", 19 * 24 + 7, 18 * 24 + 20, "slow"),
    ("shop", 15 * 24 + 3, 15 * 24 + 1, "slow"),
    ("recommendations", 12 * 24 + 8, 12 * 24 + 3, "down"),
    ("checkout", 9 * 24 + 6.5, 9 * 24 + 5, "slow"),
    ("search", 6 * 24 + 14, 6 * 24 + 13, "down"),
    ("shop", 4 * 24 + 10, 4 * 24 + 9.2, "down"),
    ("checkout", 2 * 24 + 2, 2 * 24 + 1.4, "slow"),
    ("shop", 21.0, 20.4, "slow"),
    ("search", 9.0, 8.2, "down"),
    ("checkout", 5.0, 4.2, "slow"),
    ("recommendations", 2.6, 0, "down"),
    ("warehouse-stock-synchronisation-of-the-northern-region", 1.2, 0, "down"),
)
USUAL: Final = {"shop": 0.14, "checkout": 0.21, "search": 0.09, "images": 0.26, "recommendations": 0.06, "mail": 0.03}


class _Then:
    """The clock of a store that is filled: it says what it was set to."""

    def __init__(self, at: Instant) -> None:
        self.at = at

    def now(self) -> Instant:
        return self.at

    def tick(self) -> Tick:
        return Tick(self.at.ns)

    awake = tick

    async def wait_until(self, tick: Tick) -> None:
        """Nothing waits here."""


def _like(service: str, before: int) -> str:
    """What a service was like, so many nanoseconds before now."""
    hours = before / HOUR
    return next((what for name, begun, over, what in TROUBLE if name == service and over < hours <= begun), "well")


def _observation(service: str, before: int, day: int, dice: Random) -> Observation:
    what = _like(service, before)
    if what == "down":
        if dice.random() < 0.3:
            return Observation(Outcome.FAILED, Reason.TIMEOUT, "no answer within 2 s")
        return Observation(Outcome.FAILED, Reason.CONNECT, "connection refused by 10.20.4.17 port 443")
    busy = 1 + 0.5 * math.sin(2 * math.pi * (day - 8 * HOUR) / DAY)
    seconds = USUAL.get(service, 0.05) * busy * (0.8 + 0.4 * dice.random()) + (0.7 if what == "slow" else 0)
    if dice.random() < 0.004:
        seconds += 0.1 * dice.random()
    shares = {"dns_seconds": 0.03, "connect_seconds": 0.1, "tls_seconds": 0.2, "first_byte_seconds": 0.6}
    phases = [Measurement(name, seconds * share) for name, share in shares.items()]
    return Observation(
        Outcome.OK, measurements=(Measurement("duration_seconds", seconds), Measurement("status_code", 200.0), *phases)
    )


def _instants(now: Instant) -> Iterator[Instant]:
    at, lately = now.ns - WEEKS * 7 * DAY, now.ns - LATELY
    while at < now.ns - MINUTE:
        yield Instant(at)
        at += EVERY if at < lately else MINUTE


async def fill(config: Path, data: Path) -> None:
    """Decide and keep the weeks up to now."""
    configuration = bootstrap.load(config).configuration
    now, dice = SystemClock().now(), Random("weeks")
    clock = _Then(Instant(now.ns - WEEKS * 7 * DAY - SECOND))
    checks = [check for service in configuration.services for check in service.checks]
    taken: set[str] = set()
    async with await SqliteStore.open(data, clock) as store:
        monitor = await Monitor.resume(store, expected=configuration)
        await monitor.keep(monitor.judge([Admitted(Stamp(0, clock.at), Configured(configuration))]))
        batch: list[Admitted] = []
        for number, at in enumerate(_instants(now)):
            clock.at = at
            trouble = False
            for place, check in enumerate(checks):
                then = at.plus(Duration(place * SECOND))
                observation = _observation(check.service, now.ns - at.ns, at.ns % DAY, dice)
                trouble |= _like(check.service, now.ns - at.ns) != "well"
                batch.append(Admitted(Stamp(0, then), Observed(check.service, check.name, observation, then)))
            if trouble or number % 16 == 15:
                await _decide(store, monitor, batch, clock)
                batch = _taken_on(monitor, batch[-1].stamp, taken)
        silence = Wanted(
            (Matcher("service", MatchOperator.EQUALS, "images"),),
            author="grace",
            comment="the new thumbnails are slow: known",
            lasts=Duration(6 * HOUR),
        )
        last = Stamp(0, Instant(now.ns - SECOND))
        await _decide(
            store, monitor, [*batch, Admitted(last, Silenced(silence)), Admitted(last, Marked(MarkKind.STOPPED))], clock
        )


async def _decide(store: SqliteStore, monitor: Monitor, batch: list[Admitted], clock: _Then) -> None:
    """Keep a round, and deliver what it owes as soon as it is owed."""
    judged = monitor.judge(batch)
    await monitor.keep(judged)
    for notice in judged.owed:
        clock.at = notice.decided_at.plus(Duration(SECOND))
        leases = await store.claim([_message(notice)])
        ends = [Settlement(each.key, each.token, "delivered", "202 Accepted", clock.at) for each in leases]
        await store.settle(ends)


def _message(notice: Notice) -> Message:
    return Message(
        notice.key, notice.thread, str(notice.page), f"{notice.facts.service}.{notice.facts.rule}: {notice.page}"
    )


def _taken_on(monitor: Monitor, stamp: Stamp, taken: set[str]) -> list[Admitted]:
    """Most of what is open for the first time is taken on a minute later."""
    acts = []
    for each in monitor.course.incidents():
        if each.state is State.OPEN and each.id not in taken:
            taken.add(each.id)
            if each.service != "warehouse-stock-synchronisation-of-the-northern-region":
                who, said = (
                    ("ada", "on it"),
                    ("grace", "looks like the release of this morning; rolling back"),
                    ("linus", ""),
                )[len(taken) % 3]
                at = Stamp(0, stamp.at.plus(Duration(45 * SECOND)))
                acts.append(Admitted(at, Acted(each.id, Act.ACKNOWLEDGE, who, said)))
    return acts


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), Path(sys.argv[2])))
