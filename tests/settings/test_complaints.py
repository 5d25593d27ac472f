"""Broken files and exactly what is said of them. Most stand in the two tables beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_monitoring.settings import InvalidSettings, load
from service_monitoring.settings.complaints import path_text
from tests.settings.rigs import WHOLE, complaints, read, rule

CHECK = '{http: "http://localhost/", every: 10s, timeout: 2s}'
HEALTH = "when: {check: health, metric: up, below: 1}"


FOLDER = Path(__file__).parent


def cases(name: str) -> list[tuple[str, list[str]]]:
    """What is wrong, and what is said: blocks of a table, parted by empty lines."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    blocks = [block.splitlines() for block in text.split("\n\n") if not block.startswith("#")]
    return [
        (
            "\n".join(line for line in block if not line.startswith("=> ")),
            [line.removeprefix("=> ") for line in block if line.startswith("=> ")],
        )
        for block in blocks
    ]


def changed(instructions: str) -> str:
    """The small whole file with the changes of a block."""
    lines = [line.partition(" ")[::2] for line in instructions.splitlines()]
    if lines[0][0] == "file":
        return "\n".join(rest for _, rest in lines)
    text = WHOLE.lstrip("\n")
    for verb, rest in lines:
        old, _, new = (CHECK, "", rest) if verb == "check" else rest.partition(" >>> ")
        assert verb == "append" or old in text
        text = text + rest if verb == "append" else text.replace(old, new)
    return text


RULES = cases("broken_rules.txt")
FILES = cases("broken_files.txt")


@pytest.mark.parametrize(("body", "said"), RULES, ids=range(len(RULES)))
def test_a_wrong_rule_is_told_with_place_key_problem_and_remedy(tmp_path: Path, body: str, said: list[str]) -> None:
    assert complaints(tmp_path, rule(body)) == said


@pytest.mark.parametrize(("text", "said"), FILES, ids=range(len(FILES)))
def test_a_wrong_file_is_told_with_place_key_problem_and_remedy(tmp_path: Path, text: str, said: list[str]) -> None:
    assert complaints(tmp_path, changed(text)) == said


def test_what_the_tables_vary_is_right_by_itself(tmp_path: Path) -> None:
    for text in (WHOLE, rule(HEALTH)):
        settings = read(tmp_path, text)
        assert settings.warnings == ()
        assert settings.not_yet == ()


def test_all_complaints_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    assert complaints(
        tmp_path,
        """\
        timezone: Nowhere
        services:
          shop:
            checks:
              health: {http: "http://a/", every: 2x, max_body: much}
              port: {tcp: a}
            rules:
              down: {when: {check: health, metric: up, bellow: 1}}
              slow: {when: {check: port, metric: up, below: 1, above: 2}, depends_on: [down]}
        channels: {log: {console: yes}}
        routes: [{notify: [channel.lag]}, {notfy: []}]
        """,
    ) == [
        'monitoring.yaml:1:11 timezone: "Nowhere" is not a time zone; write Europe/Berlin, America/New_York or UTC',
        'monitoring.yaml:5:42 services.shop.checks.health.every: "2x" is not a duration; write 90s, 2m, 1h30m',
        (
            'monitoring.yaml:5:56 services.shop.checks.health.max_body: "much" is not a size; '
            "write 512, 64KiB, 1MiB, 1.5GB"
        ),
        "monitoring.yaml:6:19 services.shop.checks.port.tcp: the port is missing; write HOST:PORT",
        "monitoring.yaml:8:48 services.shop.rules.down.when.bellow: nothing of this name is known here; write below",
        (
            "monitoring.yaml:9:20 services.shop.rules.slow.when: above and below do not go together; "
            "write one of above, at_least, below, at_most, outside, inside"
        ),
        'monitoring.yaml:9:80 services.shop.rules.slow.depends_on[0]: there is no service "down"; write shop.down',
        "monitoring.yaml:10:27 channels.log.console: this is none of what is possible here; write true",
        "monitoring.yaml:11:36 routes[1].notfy: nothing of this name is known here; write notify",
    ]


def test_a_circle_of_rules_is_named_step_by_step(tmp_path: Path) -> None:
    text = """\
        services:
          a:
            checks: {port: {tcp: "a:1"}}
            rules:
              x: {when: {check: port, metric: up, below: 1}, depends_on: [b.y]}
          b:
            checks: {port: {tcp: "b:1"}}
            rules:
              y: {when: {check: port, metric: up, below: 1}, depends_on: [a.z]}
          c: {}
        """
    assert complaints(tmp_path, text.replace("a.z", "a.x")) == [
        (
            "monitoring.yaml:5:67 services.a.rules.x.depends_on[0]: this is a circle: a.x -> b.y -> a.x; "
            "remove one of its steps"
        )
    ]
    assert read(tmp_path, text.replace("a.z", "c")).configuration.services[1].rules[0].depends_on == ("c",)


def test_two_rules_that_judge_the_same_are_one_too_many(tmp_path: Path) -> None:
    twice = WHOLE.lstrip("\n").replace(
        "        when: {check: health, metric: up, below: 1}\n",
        f"        {HEALTH}\n      off:\n        {HEALTH}\n        severity: critical\n",
    )
    assert complaints(tmp_path, twice) == [
        (
            "monitoring.yaml:8:7 services.shop.rules.off: this judges the same as shop.down; "
            "remove one, or change its condition or for"
        )
    ]
    read(tmp_path, twice.replace("severity: critical", "for: 1m"))
    read(tmp_path, twice.replace("severity: critical", "state: draft"))


def test_a_template_is_checked_where_somebody_knows_how(tmp_path: Path) -> None:
    text = rule(f'{HEALTH}\nsummary: "{{{{ servce }}}}"\nrunbook: plain')
    asked: list[str] = []

    def template(given: str) -> str | None:
        asked.append(given)
        return "'servce' is undefined"

    assert complaints(tmp_path, text, template=template) == [
        (
            "monitoring.yaml:8:18 services.shop.rules.slow.summary: the template cannot be used: "
            "'servce' is undefined; "
            "mend it"
        )
    ]
    assert asked == ["{{ servce }}"]
    read(tmp_path, text)


def test_a_channels_template_is_checked_at_its_place(tmp_path: Path) -> None:
    def said(text: str) -> list[str]:
        changed = WHOLE.replace("{log: {console: true}}", text)
        return complaints(tmp_path, changed, channel_template=lambda given: f"{given} is not known")

    assert said('{log: {console: true, template: {subject: plain, text: "{{ nope }}"}}}') == [
        (
            "monitoring.yaml:9:66 channels.log.template.text: the template cannot be used: "
            "{{ nope }} is not known; mend it"
        )
    ]
    assert said("{log: {console: true, template: {sbject: a}}}") == [
        "monitoring.yaml:9:44 channels.log.template.sbject: nothing of this name is known here; write subject"
    ]
    assert said("{log: {console: true, tmplate: {subject: a}}}") == [
        "monitoring.yaml:9:33 channels.log.tmplate: nothing of this name is known here; write template"
    ]
    assert said("{log: {console: true, template: short}}") == [
        "monitoring.yaml:9:43 channels.log.template: a mapping is expected here; write key: value"
    ]


def test_a_missing_file_is_a_complaint_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"cannot be read \(No such file or directory\); name a readable file"):
        load(tmp_path / "monitoring.yaml", sources={}, sinks={}, environment={})
    with pytest.raises(InvalidSettings, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path, sources={}, sinks={}, environment={})


def test_a_path_of_keys_is_written_as_people_read_it() -> None:
    assert path_text(("routes", 0, "notify", 1)) == "routes[0].notify[1]"
    assert path_text(("services", "a b", "c")) == 'services."a b".c'
    assert path_text(("a\nb",)) == '"a\\nb"'


def test_no_character_of_a_file_breaks_a_line_or_steers_a_terminal(tmp_path: Path) -> None:
    said = complaints(tmp_path, 'services: {a: {checks: {b: {"\\e[2J\\x85": 1}}}}\n"x\\u2028y": 1\ntimezone: "\\x9b"\n')
    assert [line.partition(";")[0] for line in said] == [
        "monitoring.yaml:1:28 services.a.checks.b: \\x1b[2J\\x85 is not a kind of check",
        'monitoring.yaml:2:1 "x\\u2028y": nothing of this name is known here',
        'monitoring.yaml:3:11 timezone: "\\x9b" is not a time zone',
    ]
