"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from service_monitoring.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Duration
from service_monitoring.settings import DurationField, InvalidValue, SizeField
from service_monitoring.settings.lengths import LONGEST, duration, duration_text, size


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90 * SECOND),
        ("2m", 2 * MINUTE),
        ("1h30m", HOUR + 30 * MINUTE),
        ("14d", 14 * DAY),
        ("2w", 14 * DAY),
        ("500ms", 500 * MILLISECOND),
        ("1.5s", 1500 * MILLISECOND),
        ("1m5ms", MINUTE + 5 * MILLISECOND),
        ("0.1s", 100 * MILLISECOND),
        ("3us", 3000),
        ("7ns", 7),
    ],
)
def test_durations_are_read_exactly(text: str, length: int) -> None:
    assert duration(text) == length


@pytest.mark.parametrize(
    "text",
    ["2x", "", "5", "s", "-5s", "1m1h", "5 m", "1h 30m", "1e3s", "٣s", "5M", ".5s", "5.s", "1m1m", "nan", "5s\n"],
)
def test_what_has_no_unit_or_no_order_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not a duration; write 90s, 2m, 1h30m"):
        duration(text)


def test_a_duration_is_neither_finer_than_a_nanosecond_nor_longer_than_a_century() -> None:
    with pytest.raises(InvalidValue, match="finer than a nanosecond"):
        duration("0.5ns")
    with pytest.raises(InvalidValue, match="longer than a hundred years"):
        duration("99999w")


@given(st.integers(0, LONGEST))
def test_a_duration_written_and_read_again_is_the_same(length: int) -> None:
    assert duration(duration_text(Duration(length))) == length


@pytest.mark.parametrize(
    ("text", "octets"),
    [("512", 512), ("512B", 512), ("1kB", 1000), ("64KiB", 65_536), ("1MiB", 1 << 20), ("1.5GB", 1_500_000_000)],
)
def test_sizes_are_read_exactly(text: str, octets: int) -> None:
    assert size(text) == octets


@pytest.mark.parametrize("text", ["", "MiB", "1 mib", "-1", "1Mib", "1m", "1KiBB", "0x10"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"is not a size; write 512, 64KiB, 1MiB, 1\.5GB"):
        size(text)


def test_a_size_is_a_whole_number_of_bytes() -> None:
    with pytest.raises(InvalidValue, match="not a whole number of bytes"):
        size("1.0001kB")


class Options(BaseModel):
    wait: DurationField = Duration(5 * SECOND)
    room: SizeField = 1024


def test_models_read_both_and_write_durations_as_people_do() -> None:
    options = Options.model_validate({"wait": "1h30m", "room": "1MiB"})
    assert (options.wait, options.room) == (90 * MINUTE, 1 << 20)
    assert Options().model_dump_json() == '{"wait":"5s","room":1024}'


@pytest.mark.parametrize("given_value", [5, 1.5, True, None, ["5s"]])
def test_a_bare_number_is_no_duration_because_nobody_sees_its_unit(given_value: object) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"wait": given_value})
