"""Whatever a file holds: it loads, or it is refused as a whole with complaints."""

from __future__ import annotations

import string
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_monitoring.settings import InvalidSettings, load
from service_monitoring.settings.shapes import FileShape
from tests.settings.rigs import SINKS, SOURCES, WHOLE

EXAMPLE = (Path(__file__).parents[2] / "examples" / "monitoring.yaml").read_text(encoding="utf-8")
WORDS = sorted({word.strip("{}[]\"',:") for word in EXAMPLE.split() if not word.startswith("#")} - {""})

scalars = st.one_of(
    st.sampled_from([*WORDS, *FileShape.model_fields]),
    st.text(string.printable, max_size=8),
    st.integers(-5, 10**20),
    st.floats(),
    st.booleans(),
    st.none(),
)
trees: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)
sections = st.sampled_from([field.alias or name for name, field in FileShape.model_fields.items()])


def attempt(text: str | bytes) -> None:
    """Load `text`; anything but settings or `InvalidSettings` with at least one line fails the test."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "monitoring.yaml"
        path.write_bytes(text.encode(errors="replace") if isinstance(text, str) else text)
        try:
            load(path, sources=SOURCES, sinks=SINKS, environment={"HOME": "/root"})
        except InvalidSettings as error:
            lines, complaints = str(error).splitlines(), error.complaints
        else:
            return
    assert complaints
    assert len(lines) == len(complaints) or len(complaints) > 200


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(sections, trees, max_size=4))
def test_random_trees_are_settings_or_complaints(tree: dict[str, Any]) -> None:
    attempt(yaml.safe_dump(tree))


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_random_bytes_are_settings_or_complaints(content: str | bytes) -> None:
    attempt(content)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_good_file_with_one_word_changed_is_settings_or_complaints(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([EXAMPLE, WHOLE]))
    words = text.split(" ")
    position = data.draw(st.integers(0, len(words) - 1))
    words[position] = str(data.draw(scalars))
    attempt(" ".join(words))


def _holders(tree: Any) -> list[Any]:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    found = [tree] if isinstance(tree, (dict, list)) and tree else []
    return [*found, *(holder for item in inner for holder in _holders(item))]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_example_with_one_value_replaced_is_settings_or_complaints(data: st.DataObject) -> None:
    tree = yaml.safe_load(EXAMPLE)
    holders = _holders(tree)
    holder = holders[data.draw(st.integers(0, len(holders) - 1))]
    key = data.draw(st.sampled_from([*holder] if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(trees)
    attempt(yaml.safe_dump(tree, sort_keys=False))
