"""What the benchmarks measure with: histories made from a seed, and the bytes that bring them to a server."""

import struct
from collections.abc import Iterator

import numpy as np

from bench import latencies, remote_write
from bench.latencies import LIMIT, SINCE, Size
from service_monitoring.domain.instants import DAY


def test_equal_seeds_make_equal_histories_and_others_do_not() -> None:
    assert np.array_equal(latencies.values(7, 3, 5), latencies.values(7, 3, 5))
    assert not np.array_equal(latencies.values(7, 3, 5), latencies.values(8, 3, 5))
    assert not np.array_equal(latencies.values(7, 3, 5), latencies.values(7, 4, 5))


def test_a_long_history_begins_like_a_short_one() -> None:
    short, long = (list(latencies.days(7, Size(3, days))) for days in (1, 2))
    (_, at, made), (_, same_at, same_made) = short[0], long[0]
    assert np.array_equal(at, same_at) and np.array_equal(made, same_made)
    assert long[1][1][0] - long[0][1][-1] == latencies.EVERY


def test_a_history_has_incidents_spikes_and_is_quiet_otherwise() -> None:
    breached = latencies.values(7, 0, 200) > LIMIT
    assert 0 < breached.mean() < 0.01
    assert 20 < breached.any(axis=1).sum() < 180


def test_portions_hold_each_day_of_each_series() -> None:
    first, second = latencies.portions(7, Size(3, 2))
    assert second.until.ns == SINCE + 2 * DAY
    assert [str(each.series) for each in first.stretches] == [
        f"service000{number}/health/duration_seconds" for number in range(3)
    ]
    for stretch, values in zip(second.stretches, latencies.values(7, 1, 3), strict=True):
        assert np.array_equal(stretch.instants, latencies.instants(1))
        assert np.array_equal(stretch.values, values)


def test_a_server_is_sent_every_label_instant_and_value() -> None:
    instants = latencies.instants(0)[:3]
    columns = [np.array([0.25, 1.5, 3.0]), np.array([1.0, 2.0, -0.125])]
    body = remote_write.request([({"a": "x" * 200}, columns[0]), ({"a": "y", "b": "z"}, columns[1])], instants)
    series = [field for _, field in fields(unframed(body))]
    labels = [[text(label) for number, label in fields(each) if number == 1] for each in series]
    samples = [[sample(field) for number, field in fields(each) if number == 2] for each in series]
    assert labels == [[("a", "x" * 200)], [("a", "y"), ("b", "z")]]
    assert samples == [[(value, SINCE // 10**6 + 15_000 * n) for n, value in enumerate(c.tolist())] for c in columns]


def unframed(body: bytes) -> bytes:
    """The one literal of a block of snappy."""
    length, begin = varint(body, 0)
    assert body[begin] == 0xFC
    assert int.from_bytes(body[begin + 1 : begin + 5], "little") + 1 == length == len(body) - begin - 5
    return body[begin + 5 :]


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The numbers and contents of fields that have a length."""
    place = 0
    while place < len(message):
        assert message[place] & 7 == 2
        length, begin = varint(message, place + 1)
        yield message[place] >> 3, message[begin : begin + length]
        place = begin + length


def text(label: bytes) -> tuple[str, ...]:
    return tuple(content.decode() for _, content in fields(label))


def sample(message: bytes) -> tuple[float, int]:
    assert message[0] == 0x09 and message[9] == 0x10
    at, end = varint(message, 10)
    assert end == len(message)
    return struct.unpack("<d", message[1:9])[0], at


def varint(message: bytes, place: int) -> tuple[int, int]:
    """A number and the place after it."""
    number = shift = 0
    while True:
        digit = message[place]
        number |= (digit & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if digit < 0x80:
            return number, place
