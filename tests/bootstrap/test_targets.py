"""What a check asks is shown without anything that may be secret."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from service_monitoring.bootstrap.targets import Targets, target_of
from service_monitoring.domain.instants import SECOND
from service_monitoring.settings import CheckSettings, Secret

SHOWN: dict[str, tuple[str, Any, str]] = {
    "a URL": ("http", "https://shop.example/health", "https://shop.example/health"),
    "its query": ("http", "https://shop.example/h?key=hush", "https://shop.example/h?..."),
    "its user": ("prometheus", "http://ada:hush@shop.example:9090/metrics", "http://shop.example:9090/metrics"),
    "an address": ("tcp", "db.example:5432", "db.example:5432"),
    "a program": ("command", ("/usr/bin/check", "--password", "hush"), "/usr/bin/check"),
    "nothing": ("heartbeat", "", ""),
    "a secret within": ("http", "https://shop.example/hush-hush-hush", "https://shop.example/(secret)"),
}


def a_check(kind: str, given: Any) -> CheckSettings:
    return CheckSettings("shop", "health", kind, SimpleNamespace(**{kind: given}), SECOND, SECOND, 0, SECOND)


@pytest.mark.parametrize("case", SHOWN)
def test_a_target_is_shown_without_secrets(case: str) -> None:
    kind, given, expected = SHOWN[case]
    settings = SimpleNamespace(checks=[a_check(kind, given)], secrets=[Secret("hush-hush-hush")])
    targets = Targets(lambda: cast("Any", settings))
    assert targets("shop", "health") == expected
    assert "hush" not in targets("shop", "health")
    assert targets("shop", "other") == ""


def test_a_long_target_is_cut() -> None:
    assert len(target_of(a_check("http", "https://shop.example/" + "x" * 10_000))) == 500
