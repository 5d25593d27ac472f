"""Instants on the wire are written and read as `Instant` does it itself, though sooner."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service_monitoring.domain.instants import SECOND, Instant
from service_monitoring.errors import MonitoringError
from service_monitoring.wire.codec import decode, encode

FARTHEST = 9_000_000_000 * SECOND


@given(st.integers(-FARTHEST, FARTHEST))
@example(0)
@example(-1)
@example(SECOND)
def test_an_instant_is_written_as_its_text_and_read_back(nanoseconds: int) -> None:
    instant = Instant(nanoseconds)
    written = encode(instant)
    assert json.loads(written) == str(instant)
    assert decode(Instant, written) == instant


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-03-29T02:30:00Z", id="no fraction"),
        pytest.param("2026-03-29T02:30:00.5Z", id="one digit"),
        pytest.param("2026-03-29T02:30:00.123456789+02:00", id="another zone"),
        pytest.param("2026-03-29T02:30:00.123456789z", id="a small letter"),
        pytest.param("2026-03-29T02:30:60.000000000Z", id="a leap second"),
        pytest.param("2026-02-30T02:30:00.000000000Z", id="no such day"),
        pytest.param("9999-01-01T00:00:00.000000000Z", id="too far away"),
        pytest.param("2026-03-29T02:30:00.12345678\u0663Z", id="digits of another script"),
        pytest.param("2026-03-29T02:30:00.1234_6789Z", id="an underscore"),
        pytest.param("2026-03-29T02:30:00.+12345678Z", id="a sign"),
        pytest.param("", id="nothing"),
    ],
)
def test_whatever_else_is_written_is_read_or_refused_as_by_instant_itself(text: str) -> None:
    try:
        expected = Instant.parse(text)
    except MonitoringError:
        with pytest.raises(MonitoringError):
            decode(Instant, json.dumps(text).encode())
    else:
        assert decode(Instant, json.dumps(text).encode()) == expected
