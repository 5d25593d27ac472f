"""What a valid file becomes: the whole example, and each part by itself."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from service_monitoring import plugins
from service_monitoring.domain.baselines import Deviation, Direction, Forecast
from service_monitoring.domain.budgets import FAST, Budget, Burn
from service_monitoring.domain.comparisons import Comparison, Operator
from service_monitoring.domain.configuration import ALLOWANCE, Person, Route, Step
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.rules import Lifecycle, NoData, NoDataMode, Recovery, Rule, Severity, Worse
from service_monitoring.domain.schedules import (
    ActiveHours,
    Cron,
    Expectation,
    Failing,
    Monthly,
    Period,
    Recurrence,
    Span,
    Weekly,
)
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    AnyStrategy,
    Change,
    Function,
    Heartbeat,
    LastOf,
    Threshold,
)
from service_monitoring.ports import Template
from service_monitoring.settings import InvalidSettings, Secret, Settings, load
from service_monitoring.testing.builders import span
from tests.settings.rigs import SINKS, SOURCES, WHOLE, complaints, read, rule

EXAMPLE = Path(__file__).parents[2] / "examples" / "monitoring.yaml"


@pytest.fixture
def example(tmp_path: Path) -> Settings:
    path = tmp_path / "monitoring.yaml"
    path.write_bytes(EXAMPLE.read_bytes())
    kinds = plugins.kinds(plugins.SOURCES), plugins.kinds(plugins.SINKS)
    return load(path, sources=kinds[0], sinks=kinds[1], environment={"OPS_TOKEN": "canary-token"})


def one_rule(folder: Path, body: str) -> Rule:
    [service] = read(folder, rule(body)).configuration.services
    [found] = service.rules
    return found


def test_the_example_becomes_what_it_says(example: Settings, tmp_path: Path) -> None:
    assert example.timezone == "Europe/Berlin"
    assert example.folder == tmp_path
    assert example.store.path == tmp_path / "data"
    assert (example.store.history_keep, example.store.facts_keep) == (90 * DAY, 400 * DAY)
    assert example.network.allowed == (ip_network("127.0.0.0/8"),)
    assert [(check.id, check.kind, check.every, check.timeout, check.retries) for check in example.checks] == [
        ("shop.health", "http", 5 * SECOND, 2 * SECOND, 1),
        ("shop.queue", "prometheus", 15 * SECOND, 10 * SECOND, 0),
        ("shop.database", "tcp", 10 * SECOND, 10 * SECOND, 0),
        ("shop.certificate", "tls", HOUR, 10 * SECOND, 0),
    ]
    assert example.checks[0].stale_after == 12.5 * SECOND
    assert example.checks[0].options.user_agent == "service-monitoring"
    assert [(channel.name, channel.kind) for channel in example.channels.values()] == [
        ("ops", "webhook"),
        ("desk", "email"),
        ("log", "console"),
        ("responder_a.email", "email"),
        ("responder_b.email", "email"),
    ]
    assert example.channels["ops"].options.headers["Authorization"].reveal() == "canary-token"
    assert example.smtp is not None
    assert (example.smtp.host, example.smtp.port, example.smtp.sender) == (
        "127.0.0.1",
        1025,
        "monitoring@example.com",
    )
    assert example.web is not None
    assert (example.web.host, example.web.port) == ("127.0.0.1", 8080)
    assert example.web.place == f"{tmp_path}/monitoring.yaml:130:7 web.listen"


def test_the_example_is_judged_by_the_rules_that_this_version_knows(example: Settings) -> None:
    [shop] = example.configuration.services
    assert shop.labels == (("team", "payments"), ("tier", "gold"))
    assert [(found.name, found.check, found.strategy) for found in shop.rules] == [
        ("down", "health", Threshold(Comparison(Operator.BELOW, 1))),
        (
            "slow",
            "health",
            Aggregate(
                Comparison(Operator.ABOVE, 0.8), function=Function.PERCENTILE, over=Duration(5 * MINUTE), percentile=95
            ),
        ),
        ("backlog", "queue", LastOf(3, 3, Comparison(Operator.AT_LEAST, 100))),
        (
            "filling",
            "queue",
            Forecast(
                level=1000,
                within=Duration(30 * MINUTE),
                fit=Duration(10 * MINUTE),
                stands_for=Duration(75 * SECOND // 2),
            ),
        ),
        ("silent", "queue", Absence(Duration(2 * MINUTE))),
        (
            "few_orders",
            "orders",
            Deviation(
                Comparison(Operator.OUTSIDE, -4, 4),
                baseline=Duration(7 * DAY),
                season=DAY,
                stands_for=Duration(15 * MINUTE),
            ),
        ),
        (
            "budget",
            "health",
            Budget(objective=0.999, window=Duration(30 * DAY), burns=FAST, stands_for=Duration(25 * SECOND // 2)),
        ),
        ("certificate", "certificate", Threshold(Comparison(Operator.BELOW, 14 * 86_400))),
        ("database_down", "database", Threshold(Comparison(Operator.BELOW, 1))),
        ("backup_missing", "backup", Heartbeat((Failing.FAILED, Failing.LATE, Failing.MISSED, Failing.OVERRAN))),
    ]
    rules = {found.name: found for found in shop.rules}
    assert rules["filling"].state is Lifecycle.DRAFT
    worse = Worse(Severity.CRITICAL, Comparison(Operator.ABOVE, 1.5), Duration(5 * MINUTE))
    assert rules["slow"].worse == (worse,)
    hours = ActiveHours("Europe/Berlin", (0, 1, 2, 3, 4, 5), (Span(7 * 60, 22 * 60),))
    assert rules["few_orders"].active == hours
    assert shop.rules[1].recovery == Recovery(Comparison(Operator.BELOW, 0.5), MINUTE)
    assert shop.rules[2].depends_on == ("shop.down",)


def test_the_example_says_who_hears_of_what_and_when(example: Settings) -> None:
    everything = Route("routes[2]", steps=(Step(("channel.log",)),))
    matchers = (
        Matcher("severity", MatchOperator.EQUALS, "warning"),
        Matcher("team", MatchOperator.MATCHES, "pay.*"),
    )
    assert example.configuration.routes == (
        Route(
            "routes[0]",
            (Matcher("severity", MatchOperator.EQUALS, "critical"),),
            ("service",),
            span("5s"),
            span("1m"),
            span("1h"),
            (Step(("channel.ops", "oncall.primary")), Step(("person.responder_b",), span("15m"))),
        ),
        replace(everything, path="routes[1]", matchers=matchers, group_by=("service",)),
        everything,
    )
    ada, bob = example.configuration.people
    assert (ada.contacts, bob.contacts) == (("responder_a.email", "ops"), ("responder_b.email",))
    assert ada.quiet is not None
    assert (ada.quiet.hours.zone, ada.quiet.excepted) == ("America/New_York", (Severity.CRITICAL,))
    [inhibition] = example.configuration.inhibitions
    assert inhibition.same == ("service",)
    assert example.configuration.owners == ("desk",)
    assert example.warnings == ()


def test_what_the_example_asks_for_in_vain_is_said_once_each(example: Settings, tmp_path: Path) -> None:
    said = [str(each).removeprefix(f"{tmp_path}/monitoring.yaml:") for each in example.not_yet]
    assert said == Path(__file__).with_name("example_not_yet.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("condition", "strategy"),
    [
        ("above: 1", Threshold(Comparison(Operator.ABOVE, 1))),
        ("at_least: 500ms", Threshold(Comparison(Operator.AT_LEAST, 0.5))),
        ("at_most: 10MiB", Threshold(Comparison(Operator.AT_MOST, 10 << 20))),
        ("outside: [1, 2]", Threshold(Comparison(Operator.OUTSIDE, 1, 2))),
        ("inside: [1s, 1m]", Threshold(Comparison(Operator.INSIDE, 1, 60))),
        ("last: 5, need: any, above: 1", LastOf(5, 1, Comparison(Operator.ABOVE, 1))),
        ("last: 5, need: 3, above: 1", LastOf(5, 3, Comparison(Operator.ABOVE, 1))),
        ("last: 5, above: 1", LastOf(5, 5, Comparison(Operator.ABOVE, 1))),
        (
            "aggregate: rate, over: 1m, above: 1",
            Aggregate(Comparison(Operator.ABOVE, 1), function=Function.RATE, over=MINUTE),
        ),
        (
            "aggregate: p99.9, over: 1m, above: 1",
            Aggregate(Comparison(Operator.ABOVE, 1), function=Function.PERCENTILE, over=MINUTE, percentile=99.9),
        ),
        ("change_over: 3 samples, below: -1", Change(Comparison(Operator.BELOW, -1), samples=3)),
        ("change_over: 10m, below: -1", Change(Comparison(Operator.BELOW, -1), over=Duration(10 * MINUTE))),
        ("absent_for: 2m", Absence(Duration(2 * MINUTE))),
        (
            "deviates: {sigmas: 3, baseline: 1d, direction: below}",
            Deviation(Comparison(Operator.BELOW, -3), baseline=DAY, stands_for=Duration(25 * SECOND)),
        ),
        (
            "crosses: 10, within: 1h, fit: 2h, direction: down",
            Forecast(
                level=10,
                within=HOUR,
                fit=Duration(2 * HOUR),
                stands_for=Duration(25 * SECOND),
                direction=Direction.DOWN,
            ),
        ),
        (
            "objective: 99.5, window: 7d, burn: {rate: 3, long: 1h, short: 5m}",
            Budget(
                objective=0.995,
                window=Duration(7 * DAY),
                burns=(Burn(3, HOUR, Duration(5 * MINUTE)),),
                stands_for=Duration(25 * SECOND),
            ),
        ),
    ],
)
def test_conditions_become_strategies(tmp_path: Path, condition: str, strategy: AnyStrategy) -> None:
    found = one_rule(tmp_path, f"when: {{check: health, metric: up, {condition}}}")
    assert found.strategy == strategy


def test_the_modifiers_of_a_rule_reach_the_domain(tmp_path: Path) -> None:
    found = one_rule(
        tmp_path,
        """
        when: {check: health, metric: requests, labels: {path: /pay, code: "500"}, above: 1}
        for: 90s
        recover: {for: 1m}
        no_data: {breach_after: 5m}
        labels: {team: b, area: a}
        severity: critical
        summary: "{{ service }}"
        runbook: https://example.com
        state: draft
        """,
    )
    assert found == Rule(
        service="shop",
        name="slow",
        check="health",
        metric="requests",
        strategy=Threshold(Comparison(Operator.ABOVE, 1)),
        severity=Severity.CRITICAL,
        holds_for=Duration(90 * SECOND),
        recovery=Recovery(None, MINUTE),
        no_data=NoData(NoDataMode.BREACH_AFTER, Duration(5 * MINUTE)),
        selects=(Matcher("code", MatchOperator.EQUALS, "500"), Matcher("path", MatchOperator.EQUALS, "/pay")),
        labels=(("area", "a"), ("team", "b")),
        summary="{{ service }}",
        runbook="https://example.com",
        state=Lifecycle.DRAFT,
    )


def test_the_outward_heartbeat_is_a_url_that_is_a_secret(tmp_path: Path) -> None:
    plain = WHOLE.replace("self: {notify: [channel.log]}", "self: {notify: [channel.log], HEARTBEAT}")
    settings = read(tmp_path, plain.replace("HEARTBEAT", "heartbeat: {env: URL}"), environment={"URL": "http://a/key"})
    assert settings.not_yet == ()
    assert settings.heartbeat is not None
    assert (settings.heartbeat.check.kind, settings.heartbeat.every) == ("http", MINUTE)
    assert settings.heartbeat.check.options.http == settings.heartbeat.url.reveal() == "http://a/key"
    assert "key" not in repr(settings)
    often = read(tmp_path, plain.replace("HEARTBEAT", "heartbeat: http://a/key, heartbeat_every: 30s"))
    assert often.heartbeat is not None
    assert often.heartbeat.every == 30 * SECOND
    assert read(tmp_path, WHOLE).heartbeat is None
    said = complaints(tmp_path, plain.replace("HEARTBEAT", "heartbeat: http://a/key, heartbeat_every: 1ms"))
    assert said == ["monitoring.yaml:11:73 self.heartbeat_every: nobody outside wants it that often; write 60s"]


def test_canaries_are_urls_or_addresses(tmp_path: Path) -> None:
    plain = WHOLE.replace("self: {notify: [channel.log]}", "self: {notify: [channel.log], canaries: CANARIES}")
    text = plain.replace("CANARIES", '["https://example.com/", "192.0.2.1:443"]')
    assert [(canary.name, canary.kind) for canary in read(tmp_path, text).canaries] == [
        ("https://example.com/", "http"),
        ("192.0.2.1:443", "tcp"),
    ]
    said = complaints(tmp_path, plain.replace("CANARIES", "[nowhere]"))
    assert any("self.canaries[0]" in line for line in said)


def test_defaults_of_a_kind_stand_behind_the_keys_of_its_checks(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        defaults: {http: {every: 20s, timeout: 5s, retries: 2, max_body: 2KiB}, tcp: {every: 9s}}
        services:
          shop:
            checks:
              one: {http: "http://a/"}
              two: {http: "http://a/", every: 1m, max_body: 1}
              three: {tcp: "a:1", retries: 2}
        """,
    )
    seen = [(check.every, check.timeout, check.retries) for check in settings.checks]
    assert seen == [(20 * SECOND, 5 * SECOND, 2), (MINUTE, 5 * SECOND, 2), (9 * SECOND, 3 * SECOND, 2)]
    assert [check.options.max_body for check in settings.checks[:2]] == [2048, 1]


def test_a_mistake_in_defaults_is_told_once_and_where_it_stands(tmp_path: Path) -> None:
    text = WHOLE.lstrip() + "defaults: {http: {max_body: much}}"
    assert complaints(tmp_path, text) == [
        'monitoring.yaml:11:29 defaults.http.max_body: "much" is not a size; write 512, 64KiB, 1MiB, 1.5GB'
    ]


def test_an_option_may_be_called_like_another_kind(tmp_path: Path) -> None:
    settings = read(tmp_path, 'services: {a: {checks: {b: {http: "http://a/", tls: {verify: false}}}}}')
    assert settings.checks[0].kind == "http"
    assert settings.checks[0].options.tls.verify is False


def test_included_files_are_joined_name_by_name(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "a.yaml").write_text("services: {a: {}}\nmaintenance: []\n", encoding="utf-8")
    (tmp_path / "services" / "b.yaml").write_text(
        "services: {b: {}}\nchannels: {log: {console: true}}\n", encoding="utf-8"
    )
    settings = read(tmp_path, "include: [services/*.yaml]\nservices: {c: {}}\nroutes: [{notify: [channel.log]}]\n")
    assert [service.name for service in settings.configuration.services] == ["c", "a", "b"]
    assert list(settings.channels) == ["log"]
    assert [path.name for path in settings.files] == ["monitoring.yaml", "a.yaml", "b.yaml"]


def test_a_name_in_two_files_is_told_with_both_places(tmp_path: Path) -> None:
    text = "include: [more.yaml, other.yaml]\nservices:\n  shop: {}\n"
    said = complaints(tmp_path, text, more="services:\n\n  shop: {}\n", other="routes: []\nservises: {}\n")
    assert [line.replace(str(tmp_path) + "/", "") for line in said] == [
        "more.yaml:3:3 services.shop: the name stands in two files, first at monitoring.yaml:3:3; remove one",
        "other.yaml:1:1 routes: this is only possible in the main file; move it to monitoring.yaml",
        "other.yaml:2:1 servises: nothing of this name is known here; write services",
    ]


def test_a_mistake_in_an_included_file_is_told_with_its_place_there(tmp_path: Path) -> None:
    more = """
        services:
          shop:
            checks:
              a: {http: "http://a/", every: 2x}
        maintenance: [{name: a b, match: {}}]
    """
    said = complaints(
        tmp_path, "include: [more.yaml]\nmaintenance: [{name: x, match: {}, weekly: Sun 03:00, lasts: 1h}]", more=more
    )
    assert said[0] == 'more.yaml:5:37 services.shop.checks.a.every: "2x" is not a duration; write 90s, 2m, 1h30m'
    assert said[1].startswith('more.yaml:6:22 maintenance[1].name: "a b" is not a name')


def test_every_file_that_is_not_yaml_is_told(tmp_path: Path) -> None:
    said = complaints(tmp_path, "include: [a.yaml, b.yaml, c.yaml]", a="[", b="{")
    assert [line.partition(":")[0] for line in said] == ["monitoring.yaml", "a.yaml", "b.yaml"]
    assert 'include[2]: no file is called "c.yaml"' in said[0]


def test_a_channel_may_have_words_of_its_own_wherever_it_is_written(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        WHOLE.replace("{log: {console: true}}", '{log: {console: true, template: {subject: "{{ page }}"}}}')
        + 'people: {ann: {contact: [{webhook: "http://a/", template: {text: hi}}]}, bob: {contact: [channel.log]}}\n',
    )
    assert settings.channels["log"].template == Template(subject="{{ page }}")
    assert settings.channels["ann.webhook"].template == Template(text="hi")
    assert settings.contacts == {"ann": "ann.webhook", "bob": "log"}


def test_a_person_is_told_through_their_first_contact(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        people:
          ann: {contact: [{webhook: "http://a/"}, channel.log]}
          bob: {contact: [channel.log]}
        channels: {log: {console: true}}
        routes:
          - {match: {service: shop}, notify: [person.ann, person.bob, channel.log]}
          - notify: [person.bob]
        """,
    )
    assert [[step.recipients for step in route.steps] for route in settings.configuration.routes] == [
        [("person.ann", "person.bob", "channel.log")],
        [("person.bob",)],
    ]
    assert settings.configuration.people == (Person("ann", ("ann.webhook", "log")), Person("bob", ("log",)))
    assert settings.channels["ann.webhook"].options.webhook == "http://a/"


def test_a_narrower_route_is_like_the_one_around_it_where_it_says_nothing_else(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        channels: {a: {console: true}, b: {console: true}, c: {console: true}}
        routes:
          - match: {team: x}
            group_by: [service]
            group_wait: 5s
            send_resolved: false
            notify: [channel.a]
            routes:
              - {match: {severity: critical}, notify: [channel.b], continue: true}
              - {match: {severity: info}, group_wait: 1m}
          - notify: [channel.c]
        """,
    )
    team = Matcher("team", MatchOperator.EQUALS, "x")
    critical = Matcher("severity", MatchOperator.EQUALS, "critical")
    info = Matcher("severity", MatchOperator.EQUALS, "info")
    outer = Route("routes[0]", (team,), ("service",), span("5s"), steps=(Step(("channel.a",)),), resolved=False)
    assert settings.configuration.routes == (
        replace(
            outer,
            routes=(
                replace(
                    outer, path="routes[0].routes[0]", matchers=(critical,), steps=(Step(("channel.b",)),), proceed=True
                ),
                replace(outer, path="routes[0].routes[1]", matchers=(info,), wait=span("1m")),
            ),
        ),
        Route("routes[1]", steps=(Step(("channel.c",)),)),
    )


def test_the_steps_of_an_escalation_are_in_order(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        channels: {a: {console: true}, b: {console: true}}
        routes:
          - escalate:
              - {after: 5m, notify: [channel.b]}
          - escalate:
              - {after: 0s, notify: [channel.a]}
              - {after: 5m, notify: [channel.b]}
        """,
    )
    first, second = Step(("channel.a",)), Step(("channel.b",), span("5m"))
    assert [route.steps for route in settings.configuration.routes] == [(second,), (first, second)]
    assert not settings.not_yet


def test_the_owners_do_not_depend_on_who_is_on_call(tmp_path: Path) -> None:
    text = WHOLE + "people: {ann: {contact: [channel.log]}}\noncall: {first: {layers: [{people: [ann]}]}}\n"
    text = re.sub(r"self: .*", "self: {notify: [oncall.first]}", text)
    [said] = complaints(tmp_path, text)
    assert "self.notify: the monitor's own troubles must not depend on who is on call" in said


def test_rules_on_checks_that_yield_nothing_yet_are_left_out_and_said(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        services:
          shop:
            checks: {echo: {icmp: localhost, every: 5s}, port: {tcp: "a:1"}}
            rules:
              lost: {when: {check: echo, metric: up, below: 1}}
              down: {when: {check: port, metric: up, below: 1}, depends_on: [shop.lost, shop]}
        """,
    )
    [shop] = settings.configuration.services
    assert [check.name for check in shop.checks] == ["port"]
    assert [(found.name, found.depends_on) for found in shop.rules] == [("down", ("shop",))]
    assert [each.path for each in settings.not_yet] == [
        "services.shop.checks.echo",
        "services.shop.rules.lost.when",
        "services.shop.rules.down.depends_on[0]",
    ]


def test_checks_that_report_by_themselves_are_watched_and_not_polled(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        timezone: Europe/Berlin
        services:
          shop:
            checks:
              port: {tcp: "a:1", every: 10s, timeout: 1s}
              backup: {heartbeat: {cron: "30 2 * * *", grace: 20m, max_runtime: 2h}}
              tidy: {heartbeat: {period: 1h, timezone: UTC}, forget_after: 2d}
              orders: {push: {}}
              visits: {push: {stale_after: 15m}, forget_after: 48h}
            rules:
              few: {when: {check: orders, metric: orders_per_minute, below: 1}}
              silent: {when: {check: visits, metric: visits, absent_for: 1s}}
        """,
    )
    [shop] = settings.configuration.services
    assert [check.name for check in settings.checks] == ["port"]
    assert [check.name for check in shop.checks] == ["port", "backup", "tidy", "orders", "visits"]
    _, backup, tidy, orders, visits = shop.checks
    assert (backup.kind, backup.expects) == (
        "heartbeat",
        Expectation(Cron("30 2 * * *", "Europe/Berlin"), Duration(20 * MINUTE), Duration(2 * HOUR)),
    )
    assert tidy.expects == Expectation(Period(HOUR), MINUTE, None)
    assert (backup.forget_after, tidy.forget_after, visits.forget_after) == (DAY, 2 * DAY, 2 * DAY)
    assert (orders.kind, orders.allowance, orders.stale_after) == ("push", ALLOWANCE, 5 * MINUTE)
    assert (visits.stale_after, shop.checks[0].allowance) == (15 * MINUTE, 0)
    assert [found.name for found in shop.rules] == ["few", "silent"]
    assert settings.not_yet == ()
    assert [each.path for each in settings.warnings if each.path.startswith("services")] == []


def test_a_rule_on_samples_of_a_job_that_only_reports_is_refused(tmp_path: Path) -> None:
    text = """
        services:
          shop:
            checks: {backup: {heartbeat: {period: 1h}}, orders: {push: {}}}
            rules:
              up: {when: {check: backup, metric: up, below: 1}}
              missed: {when: {check: orders, heartbeat: [missed]}}
    """
    assert complaints(tmp_path, text) == [
        (
            "monitoring.yaml:6:18 services.shop.rules.up.when: the check backup yields no samples: a job only reports; "
            "write heartbeat: [missed, late, failed, overran]"
        ),
        (
            "monitoring.yaml:7:49 services.shop.rules.missed.when.heartbeat: the check orders has no schedule that "
            "could be missed; name a check of the kind heartbeat"
        ),
    ]


def test_a_series_is_forgotten_after_a_day_unless_its_check_says_otherwise(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE.replace("every: 10s", "forget_after: 1w, every: 10s"))
    assert [check.forget_after for check in settings.configuration.services[0].checks] == [7 * DAY]
    settings = read(tmp_path, WHOLE + "defaults: {http: {forget_after: 2d}, push: {forget_after: 3d}}\n")
    assert [check.forget_after for check in settings.configuration.services[0].checks] == [2 * DAY]
    assert [check.forget_after for check in read(tmp_path, WHOLE).configuration.services[0].checks] == [DAY]


def test_mail_goes_through_the_server_of_the_file_unless_a_channel_has_its_own(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        smtp: {host: mail, from: a@b.c}
        channels:
          one: {email: x@y.z}
          two: {email: x@y.z, smtp: {host: other}}
        """,
    )
    assert settings.channels["one"].options.smtp == {"host": "mail", "from": "a@b.c"}
    assert settings.channels["two"].options.smtp == {"host": "other"}


def test_what_can_never_hold_for_long_is_doubted(tmp_path: Path) -> None:
    settings = read(tmp_path, rule("when: {check: health, metric: up, absent_for: 10s}"))
    assert [each.path for each in settings.warnings] == ["services.shop.rules.slow.when.absent_for"]
    settings = read(tmp_path, rule("when: {check: health, metric: up, aggregate: avg, over: 9s, below: 1}"))
    assert [each.path for each in settings.warnings] == ["services.shop.rules.slow.when.over"]


SECRETS = """
services:
  shop:
    checks:
      health: {{http: "http://localhost/", headers: {{A: canary-plain, B: {{env: TOKEN}}, C: {{file: token}}}}}}
channels: {{log: {{console: true}}, hook: {{webhook: "http://a/", headers: {{A: canary-hook}}}}}}
smtp: {{host: h, from: a@b.c, username: u, password: canary-mail}}
store: {{url: "postgresql://u:canary-base@h/db"}}
routes: [{{notify: [channel.{channel}]}}]
self: {{notify: [channel.log], heartbeat: "https://canary-url"}}
timezone: {zone}
"""


def test_no_secret_shows_in_settings_nor_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-file\n", encoding="utf-8")
    settings = read(tmp_path, SECRETS.format(channel="hook", zone="UTC"), environment={"TOKEN": "canary-environment"})
    assert {secret.reveal() for secret in settings.secrets} >= {
        "canary-plain",
        "canary-environment",
        "canary-file",
        "canary-hook",
        "canary-mail",
    }
    shown = [repr(settings), str(settings.channels), repr(settings.checks[0].options), repr(settings.smtp)]
    shown += [msgspec.json.encode(settings.configuration).decode(), *map(str, settings.not_yet)]
    assert not [text for text in shown if "canary" in text]
    assert settings.checks[0].options.headers["C"] == Secret("canary-file")


def test_no_complaint_shows_a_secret_even_where_it_stands_in_the_wrong_place(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-file\n", encoding="utf-8")
    text = (
        SECRETS.format(channel="canary-hook", zone="canary-environment")
        + "canary-plain: 1\nnetwork: {allow: [canary-mail]}\n"
    )
    said = complaints(tmp_path, text, environment={"TOKEN": "canary-environment"})
    assert len(said) == 4
    assert not [line for line in said if "canary" in line]
    assert 'timezone: "(secret)" is not a time zone' in "\n".join(said)


def test_a_value_of_the_wrong_sort_is_not_quoted_for_it_may_be_a_secret(tmp_path: Path) -> None:
    text = WHOLE + "smtp: canary\nstore: {history: canary}\nself2: canary\n"
    text = text.replace("timeout: 2s", "timeout: 2s, retries: canary, headers: canary")
    assert not [line for line in complaints(tmp_path, text) if "canary" in line]


def test_long_lists_of_complaints_are_cut_when_printed(tmp_path: Path) -> None:
    text = "services:\n" + "".join(f"  s{index}: {{x: 1}}\n" for index in range(300))
    with pytest.raises(InvalidSettings) as raised:
        read(tmp_path, text)
    assert len(raised.value.complaints) == 300
    assert str(raised.value).splitlines()[-1] == "... and 100 more"


def test_kinds_that_nobody_names_are_never_imported(tmp_path: Path) -> None:
    class Guarded(dict[str, object]):
        def __getitem__(self, name: str) -> object:
            assert name in {"http", "console"}
            return super().__getitem__(name)

    path = tmp_path / "monitoring.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    load(path, sources=Guarded(SOURCES), sinks=Guarded(SINKS), environment={})  # type: ignore[arg-type]  # on purpose


def test_a_relative_path_starts_at_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "monitoring.yaml").write_text(f"""
{WHOLE}
include: [more/*.yaml]
defaults: {{http: {{tls: {{ca: default.pem}}}}}}
""")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "more.yaml").write_text("""
services:
  more:
    checks:
      own: {http: "https://localhost/", tls: {ca: own.pem, key: /etc/key.pem}, every: 10s}
      inherited: {http: "https://localhost/", every: 10s}
      certificate: {tls: "localhost:443", ca: own.pem, every: 10s}
      script: {command: [./script, own.pem], directory: here, every: 10s}
""")
    kinds = plugins.kinds(plugins.SOURCES), plugins.kinds(plugins.SINKS)
    settings = load(tmp_path / "monitoring.yaml", sources=kinds[0], sinks=kinds[1], environment={})
    options = {check.name: check.options for check in settings.checks if check.service == "more"}
    assert (options["own"].tls.ca, options["own"].tls.key) == (tmp_path / "more/own.pem", Path("/etc/key.pem"))
    assert options["inherited"].tls.ca == tmp_path / "default.pem"
    assert options["certificate"].ca == tmp_path / "more/own.pem"
    assert (options["script"].command, options["script"].directory) == (("./script", "own.pem"), tmp_path / "more/here")


def test_planned_work_is_read_with_every_moment_in_its_zone(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        timezone: America/New_York
        maintenance:
          - {name: move, match: {service: shop}, comment: x,
             once: {from: "2026-12-24", until: "2026-12-24T12:00+01:00"}}
          - {name: restart, match: {team: a}, weekly: sunday 03:00, lasts: 1h, timezone: Europe/Berlin}
          - {name: invoices, match: {}, monthly: last 23:30, lasts: 90m}
          - {name: patches, match: {}, cron: 0 3 * * sun, lasts: 2h}
          - {name: upgrade, match: {}, rrule: FREQ=WEEKLY;INTERVAL=2, starts: "2026-01-04T04:00", lasts: 1h}
          - {name: kernel, match: {}, monthly: 1 03:00, lasts: 20m, flexible: true, within: 4h}
          - {name: disk, match: {}, once: {from: "2026-01-01", until: "2026-01-02"}, lasts: 1h, flexible: true}
        """,
    )
    new_year = Instant.parse("2026-01-01T00:00:00-05:00")
    shop, team = (
        Matcher(*each) for each in (("service", MatchOperator.EQUALS, "shop"), ("team", MatchOperator.EQUALS, "a"))
    )
    christmas = Once(Instant.parse("2026-12-24T00:00:00-05:00"), Instant.parse("2026-12-24T12:00:00+01:00"))
    home, starts = "America/New_York", Instant.parse("2026-01-04T04:00:00Z").ns // 10**9
    assert settings.configuration.maintenances == (
        Maintenance("move", (shop,), christmas, comment="x"),
        Maintenance("restart", (team,), Weekly("Europe/Berlin", 6, 180), HOUR),
        Maintenance("invoices", (), Monthly(home, 0, 23 * 60 + 30), Duration(90 * MINUTE)),
        Maintenance("patches", (), Cron("0 3 * * sun", home), Duration(2 * HOUR)),
        Maintenance("upgrade", (), Recurrence(home, "FREQ=WEEKLY;INTERVAL=2", starts), HOUR),
        Maintenance("kernel", (), Monthly(home, 1, 180), Duration(4 * HOUR), after_failure=Duration(20 * MINUTE)),
        Maintenance("disk", (), Once(new_year, new_year.plus(DAY)), after_failure=HOUR),
    )
    assert settings.not_yet == ()
