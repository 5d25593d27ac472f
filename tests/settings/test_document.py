"""YAML as it is read, and what is refused for safety."""

from __future__ import annotations

import gc
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from service_monitoring.settings import InvalidSettings
from service_monitoring.settings.document import DEEPEST, MOST_ALIASES, Document, _composed, _plain_values, _Walk
from tests.drawing import drawn


def parse(text: str | bytes) -> Document:
    return Document.parse(text.encode() if isinstance(text, str) else text, name="f.yaml")


def refusal(text: str | bytes) -> str:
    with pytest.raises(InvalidSettings) as raised:
        parse(text)
    return str(raised.value)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("22:00", "22:00"),
        ("1:30", "1:30"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("2026-01-05", "2026-01-05"),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("~", None),
        ("null", None),
        ("", None),
        ("true", True),
        ("FALSE", False),
        ("True", True),
        ("tRUE", "tRUE"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("''", ""),
        ("!!str 12", "12"),
        ("=", "="),
        ("1e", "1e"),
        ("0x", "0x"),
        ("-", None),
        (".", "."),
        ("+", "+"),
        ("nan", "nan"),
        ("Infinity", "Infinity"),
    ],
)
def test_scalars_are_what_yaml_1_2_says(scalar: str, value: object) -> None:
    data: Any = parse(f"key: {scalar}" if scalar != "-" else "key:").data
    assert data == {"key": value}
    assert type(data["key"]) is type(value)


def test_not_a_number_is_a_number() -> None:
    data: Any = parse("key: .nan").data
    assert math.isnan(data["key"])


def test_keys_are_always_texts() -> None:
    assert parse("{1: a, true: b, ~: c, 1.5: d}").data == {"1": "a", "true": "b", "~": "c", "1.5": "d"}


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert parse("").data == {}
    assert parse("# only words\n").data == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1 a: the key stands here twice, first in line 1; remove one"),
        ("a:\n  - {b: 1, b: 2}", "f.yaml:2:12 a[0].b: the key stands here twice, first in line 2; remove one"),
        (
            "x: &x {a: 1}\ny:\n  <<: *x",
            "f.yaml:3:3 y.<<: merge keys are not part of YAML 1.2; write the keys out, or set them under defaults",
        ),
        ("a: !!int 3", "f.yaml:1:4 a: tags are not used here; remove !!int"),
        ("a: !thing {b: 1}", "f.yaml:1:4 a: tags are not used here; remove !thing"),
        (
            "a: !!python/object/apply:os.system [x]",
            "f.yaml:1:4 a: tags are not used here; remove !!python/object/apply:os.system",
        ),
        ("a: &x [*x]", "f.yaml:1:4 a[0]: this alias leads back into itself; write the values out"),
        ("? [a, b]\n: c", "f.yaml:1:3: a key must be a word, not a list or mapping; write name: value"),
        ("a: " + "9" * 100, "f.yaml:1:4 a: this number is too long; put it in quotes if it is text"),
    ],
)
def test_what_is_doubtful_in_the_tree_is_a_complaint_and_the_rest_is_read(text: str, complaint: str) -> None:
    assert [str(each) for each in parse(text).complaints] == [complaint]


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("a: [b", "f.yaml:2:1: this is not YAML: while parsing a flow sequence"),
        ("a: b: c", "f.yaml:1:5: this is not YAML: mapping values are not allowed"),
        ("a:\n\t- b", "f.yaml:2:1: this is not YAML: while scanning"),
        ("a: *b", "f.yaml:1:4: this is not YAML: found undefined alias"),
        ("--- 1\n--- 2", "f.yaml:2:1: this is not YAML: expected a single document"),
        (b"a: \xff", "f.yaml:1:1: the file is not UTF-8 text; save it as UTF-8"),
        (b"a: b\nc: \xc3\x28", "f.yaml:2:1: the file is not UTF-8 text; save it as UTF-8"),
        ("a: \x01", "f.yaml: this is not YAML: control characters are not allowed"),
        ("%YAML 9.9\n---\na: 1", "f.yaml:1:1: this is not YAML: found incompatible YAML document"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_place(text: str | bytes, beginning: str) -> None:
    assert refusal(text).startswith(beginning)


def test_nesting_ends_at_its_limit() -> None:
    def nested(levels: int) -> str:
        return "[" * levels + "]" * levels

    assert parse(nested(DEEPEST)).data
    assert "nested deeper than 32 levels" in refusal(nested(DEEPEST + 1))
    assert "nested deeper than 32 levels" in refusal("[" * 200_000)
    assert "nested deeper than 32 levels" in refusal("- " * 200_000)


def test_a_bomb_of_aliases_is_refused_before_it_expands() -> None:
    bomb = ['a: &a ["x", "x", "x", "x", "x", "x", "x", "x", "x"]']
    for before, name in zip("abcdefghijklmn", "bcdefghijklmno", strict=True):
        bomb.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    before_it = len(gc.get_objects())
    assert refusal("\n".join(bomb)).endswith(f"more than {MOST_ALIASES} aliases in one file; write the values out")
    assert len(gc.get_objects()) - before_it < 10_000


def test_a_few_aliases_are_a_convenience() -> None:
    assert parse("a: &a [1]\nb: *a\nc: *a").data == {"a": [1], "b": [1], "c": [1]}
    many = "a: &a [1]\n" + "".join(f"b{index}: *a\n" for index in range(MOST_ALIASES))
    assert parse(many).complaints == ()
    assert "more than 10 aliases" in refusal(many + "last: *a")


def test_a_file_that_is_too_large_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service_monitoring.settings.document.LARGEST", 1 << 20)
    assert parse(b"#" * (1 << 20)).data == {}
    assert refusal(b"#" * ((1 << 20) + 1)) == "f.yaml: the file is larger than 1 MiB; split it with include"


def test_places_of_values_and_keys_count_from_one() -> None:
    document = parse("a:\n  b:\n  - c: 1\n    ü: x\n")
    assert str(document.place(("a", "b", 0, "c"))) == "f.yaml:3:8"
    assert str(document.place_of_key(("a", "b", 0, "c"))) == "f.yaml:3:5"
    assert str(document.place(("a", "b", 0, "ü"))) == "f.yaml:4:8"
    assert str(document.place(("a", "nowhere", "c"))) == "f.yaml:2:3"
    assert str(document.place(())) == "f.yaml:1:1"


def test_the_collector_of_garbage_goes_on_afterwards() -> None:
    assert gc.isenabled()
    parse("a: 1")
    refusal("[")
    assert gc.isenabled()


_PARTS = some.sampled_from(
    [
        *("a", "b: 1", "a: b", "- a", "-", "a:", "b: {a: 1, b: [x, y]}", "  a: 0x1F", "  - 1.5", "    b: no", "{}"),
        *("'a': 'b'", '"b": "1"', "a: |", "  text", "a: >-", "? a", ": b", "<<: {a: 1}", "'<<': 1", "a: &x 1", "[]"),
        *("a: !!str 1", "! a", "---", "...", "# word", "a: 1 # word", "%YAML 1.2", "? [a]", "1: 2", "~: ~", "a: \t"),
        *("a: " + "1" * 65, "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1), "[" * DEEPEST + "]" * DEEPEST, "}", "b: *x"),
        *("b: .nan", "b: -.inf", "b: 2026-01-05", "\x07", "b: \u00e4", "b: {a: , b}", "- [a: 1, b]", "b: ''", "''"),
    ]
)


@settings(max_examples=drawn(20))
@given(some.lists(_PARTS, max_size=6).map("\n".join) | some.text(max_size=30))
def test_a_plain_file_has_the_values_that_its_nodes_have(text: str) -> None:
    content = text.encode("utf-8", "replace")
    quick = _plain_values(content)
    if quick is not None:
        root = _composed(content, "f.yaml")
        assert root is not None
        walk = _Walk("f.yaml")
        assert repr(quick) == repr(walk.value(root))
        assert walk.complaints == []


@pytest.mark.parametrize("text", ["a: 1\nb: [x, {y: z}]\n", "- 1\n- no\n", "{a: {b: {c: []}}}", "'a': |\n  text\n"])
def test_what_is_plain_is_read_without_nodes(text: str) -> None:
    assert _plain_values(text.encode()) == parse(text).data


def test_nodes_are_composed_when_somebody_asks_for_a_place() -> None:
    document = parse("a: 1\nb:\n  c: [x, y]\n")
    assert document._composed is None
    assert str(document.place(("b", "c", 1))) == "f.yaml:3:10"
    assert document._composed is not None
