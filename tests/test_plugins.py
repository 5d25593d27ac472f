"""Kinds are found by their entry points, imported when named, and what is wrong with one is a sentence."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from service_monitoring.errors import Refused
from service_monitoring.plugins import SINKS, SOURCES, Kinds, kinds


class Good:
    name = "good"
    options = dict

    async def close(self) -> None:
        """Nothing is open."""


class Bare:
    name = "bare"


class Explosive:
    def __init__(self) -> None:
        raise RuntimeError("no such library")


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{value}" if ":" not in value else value, "group")


def test_the_kinds_of_this_installation_are_found() -> None:
    assert {"http", "tcp", "tls", "dns", "command", "prometheus"} <= set(kinds(SOURCES))
    assert {"webhook", "email", "console"} <= set(kinds(SINKS))
    for group in (SOURCES, SINKS):
        found = kinds(group)
        assert all(found[name].name == name and name in found[name].options.model_fields for name in found)


def test_a_kind_is_made_once() -> None:
    found = Kinds([entry("good", "Good")])
    assert found["good"] is found["good"]
    assert found["good"].name == "good"


def test_looking_for_kinds_imports_none_of_them() -> None:
    program = (
        "import sys; from service_monitoring.plugins import *; from service_monitoring import plugins;"
        "found = plugins.kinds(plugins.SOURCES); assert 'http' in found and len(found) > 3;"
        "sys.exit(any(name.startswith('service_monitoring.sources') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("no.such.package:Kind", "ModuleNotFoundError: No module named 'no'"),
        ("Missing", "has no attribute 'Missing'"),
        ("Explosive", "RuntimeError: no such library"),
        ("Bare", "has no options: see ports.Kind"),
        ("Good", "calls itself good: its names must agree"),
    ],
)
def test_a_kind_that_cannot_be_used_is_refused_with_its_cause_and_hurts_no_other(value: str, sentence: str) -> None:
    found = Kinds([entry("bad", value), entry("good", "Good")])
    assert "bad" in found
    with pytest.raises(Refused, match=r"the kind bad of .*") as raised:
        found["bad"]
    assert sentence in str(raised.value)
    assert found["good"].name == "good"


def test_a_name_offered_twice_is_refused_and_an_installation_that_repeats_itself_is_not() -> None:
    twice = Kinds([entry("good", "Good"), entry("good", "Bare")])
    with pytest.raises(Refused, match=r"the kind good is offered by .*Bare and .*Good"):
        twice["good"]
    assert Kinds([entry("good", "Good")] * 2)["good"].name == "good"


def test_an_unknown_name_is_not_there() -> None:
    assert "nothing" not in Kinds([])
    with pytest.raises(KeyError):
        Kinds([])["nothing"]
