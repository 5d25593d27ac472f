"""The first file loads as it is, and watches what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service_monitoring import plugins
from service_monitoring.errors import Refused
from service_monitoring.settings import InvalidValue, Settings, initial, load

URLS = [
    "https://www.example.com/health?a={}&b=1",
    "http://127.0.0.1:8080/",
    "http://localhost:9/",
    "tcp://db.internal:5432",
    "tls://[::1]:443",
    "tls://10.0.0.5:8443/",
    "https://example.com",
    "http://example.com:81",
    "tcp://7:1",
]


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "monitoring.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, sources=plugins.kinds(plugins.SOURCES), sinks=plugins.kinds(plugins.SINKS), environment={})


def test_the_first_file_loads_without_a_doubt(tmp_path: Path) -> None:
    made = loaded(tmp_path, initial(URLS))
    assert made.warnings == ()
    assert made.not_yet == ()
    assert [(check.id, check.kind) for check in made.checks] == [
        ("example-com.page", "http"),
        ("127-0-0-1.page", "http"),
        ("localhost.page", "http"),
        ("db-internal.port", "tcp"),
        ("host-1.certificate", "tls"),
        ("10-0-0-5.certificate", "tls"),
        ("example-com-http.page", "http"),
        ("example-com-81.page", "http"),
        ("host-7.port", "tcp"),
    ]
    assert made.checks[0].options.http == URLS[0]
    assert [str(network) for network in made.network.allowed] == ["10.0.0.5/32", "::1/128", "127.0.0.0/8"]


def test_without_urls_there_is_an_example_to_change(tmp_path: Path) -> None:
    assert [check.id for check in loaded(tmp_path, initial([])).checks] == ["example-com.page"]


@pytest.mark.parametrize(
    "url",
    [
        "example.com", "ftp://a/", "tcp://a", "tcp://a:0x1", "tls://a:1/path", "http://", "http://a b/", "http://u:p@a/",
        "http://[::1", "http://a:99999/", "http://a/\nservices: {}", "tcp://a:1\x00", 'http://a"b/', "",
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_refused_with_what_can(url: str) -> None:
    with pytest.raises(InvalidValue, match="is not a URL that can be watched; write https"):
        initial([url])


@settings(max_examples=20)
@given(st.lists(st.text(max_size=30), max_size=3), st.sampled_from(["http://", "https://", "tcp://", "tls://", ""]))
def test_any_text_is_refused_or_loads(tmp_path_factory: pytest.TempPathFactory, texts: list[str], scheme: str) -> None:
    try:
        text = initial([scheme + each for each in texts])
    except InvalidValue:
        return
    try:
        loaded(tmp_path_factory.mktemp("initial"), text)
    except Refused as error:
        # What a kind says of its own target is the kind's; everything around it must be right.
        said = str(error).splitlines()
    else:
        said = []
    assert all(line.partition(": ")[0].endswith((".http", ".tcp", ".tls")) for line in said)
