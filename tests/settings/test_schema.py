"""The schema for editors knows every key of the example and of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service_monitoring import plugins
from service_monitoring.settings import schema
from tests.settings.rigs import SINKS, SOURCES

EXAMPLE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "examples" / "monitoring.yaml").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return schema(plugins.kinds(plugins.SOURCES), plugins.kinds(plugins.SINKS))


def inner(form: Any) -> Iterator[dict[str, Any]]:
    if isinstance(form, dict):
        yield form
        for value in form.values():
            yield from inner(value)
    elif isinstance(form, list):
        for value in form:
            yield from inner(value)


def resolved(form: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in form:
        form = whole["$defs"][form["$ref"].removeprefix("#/$defs/").replace("%20", " ")]
    return form


def test_it_is_json_and_every_reference_leads_somewhere(whole: dict[str, Any]) -> None:
    assert json.loads(json.dumps(whole)) == whole
    references = [form["$ref"] for form in inner(whole) if isinstance(form.get("$ref"), str)]
    assert len(references) > 50
    assert not [each for each in references if resolved({"$ref": each}, whole) is None]


def alternatives(form: dict[str, Any], whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    form = resolved(form, whole)
    parts = [part for part in (*form.get("oneOf", ()), *form.get("anyOf", ())) if set(part) != {"required"}]
    for part in parts:
        yield from alternatives(part, whole)
    if not parts:
        yield form


def unknown(value: Any, form: dict[str, Any], whole: dict[str, Any], path: str = "") -> list[str]:
    """The keys of `value` that no alternative of `form` knows."""
    fitting = list(alternatives(form, whole))
    if isinstance(value, dict):
        fitting = [
            each
            for each in fitting
            if ("properties" in each or "additionalProperties" in each) and set(each.get("required", ())) <= set(value)
        ]
        best: list[str] = [path]
        for each in fitting:
            found: list[str] = []
            for key, item in value.items():
                inside = each.get("properties", {}).get(key, each.get("additionalProperties"))
                where = f"{path}.{key}"
                found += unknown(item, inside, whole, where) if isinstance(inside, dict) else [where]
            if not found:
                return []
            best = found
        return best
    if isinstance(value, list):
        items = [each["items"] for each in fitting if "items" in each]
        return [key for item in value for key in unknown(item, {"anyOf": items}, whole, f"{path}[]")]
    return []


def test_every_key_of_the_example_is_known(whole: dict[str, Any]) -> None:
    assert unknown(EXAMPLE, whole, whole) == []
    slip = json.loads(json.dumps(EXAMPLE))
    slip["services"]["shop"]["checks"]["health"]["expect"]["stats"] = 200
    assert unknown(slip, whole, whole)


def test_mappings_refuse_unknown_keys_and_say_what_they_are(whole: dict[str, Any]) -> None:
    assert whole["additionalProperties"] is False
    assert whole["properties"]["services"]["description"]
    assert whole["$defs"]["RuleShape"]["additionalProperties"] is False
    assert "A template" in whole["$defs"]["RuleShape"]["properties"]["summary"]["description"]


def test_checks_of_each_kind_have_the_common_keys_and_later_kinds_say_so() -> None:
    forms = schema(SOURCES, SINKS)["$defs"]
    assert {"http", "max_body", "every", "timeout", "retries", "stale_after"} <= set(forms["check http"]["properties"])
    assert set(forms["check push"]["properties"]) == {"push", "forget_after"}
    assert "Not in this version" in forms["check icmp"]["description"]
    assert "Not in this version" not in forms["check heartbeat"]["description"]
    assert len(forms["channel"]["oneOf"]) == len(SINKS)
    assert all("template" in forms[f"channel {name}"]["properties"] for name in SINKS)
    assert "http" not in forms["defaults"]["properties"]["http"].get("required", [])
