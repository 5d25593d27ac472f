"""Prometheus' remote write, as bytes: how the servers of our peers are given a history, by the million and quickly.

Only what a column of one series needs: protobuf's WriteRequest 1.0 and the framing of snappy, which is not asked to
compress. See https://prometheus.io/docs/specs/prw/remote_write_spec/ and google/snappy's format_description.txt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from service_monitoring.domain.windows import FloatColumn, InstantColumn

HEADERS: Final = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}

_SAMPLE: Final = np.dtype([("head", "V3"), ("value", "<f8"), ("tag", "u1"), ("at", "u1", 6)])
"""Field 2 of a series, 16 bytes long: the value, field 1, and milliseconds of this century, field 2, in six bytes."""


def request(series: Iterable[tuple[Mapping[str, str], FloatColumn]], instants: InstantColumn) -> bytes:
    """The body that brings these values of series, told by their labels, at the same instants (ns) each."""
    samples = np.empty(len(instants), dtype=_SAMPLE)
    samples["head"], samples["tag"] = np.void(b"\x12\x10\x09"), 0x10
    digits = (instants // 1_000_000)[:, None] >> 7 * np.arange(6) & 0x7F
    digits[:, :5] |= 0x80
    samples["at"] = digits
    parts = []
    for labels, values in series:
        samples["value"] = values
        named = (_field(1, name.encode()) + _field(2, value.encode()) for name, value in labels.items())
        parts.append(_field(1, b"".join([*(_field(1, label) for label in named), samples.tobytes()])))
    return _framed(b"".join(parts))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _framed(content: bytes) -> bytes:
    """One literal, whose length is in four bytes."""
    return _varint(len(content)) + b"\xfc" + (len(content) - 1).to_bytes(4, "little") + content
