"""The codec: any value of the domain <-> JSON, by its type.

Instants are RFC 3339 with nine digits, durations integers of nanoseconds, enumerations their value, floats the
shortest text that reads back the same. Knows no kind of record, no version (`journal`) and no table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from service_monitoring.domain.instants import Instant
from service_monitoring.errors import MonitoringError, Refused, Unusable

T = TypeVar("T")


# One event names an instant several times.
@lru_cache(maxsize=4_096)
def _text(nanoseconds: int) -> str:
    return str(Instant(nanoseconds))


@lru_cache(maxsize=4_096)
def _second_read(text: str) -> int:
    return Instant.parse(f"{text}Z").ns


def _read(text: str) -> Instant:
    """The same as `Instant.parse`, sooner where it is as `_text` writes it; a test compares the two."""
    second, dot, fraction = text[:-1].partition(".")
    if dot and len(fraction) == 9 and fraction.isascii() and fraction.isdecimal() and text.endswith("Z"):
        return Instant(_second_read(second) + int(fraction))
    return Instant.parse(text)


def _plain(value: Any) -> str:
    if isinstance(value, Instant):
        return _text(value.ns)
    raise NotImplementedError(f"no form on the wire for {type(value).__name__}")


def _value(wanted: type[Any], plain: Any) -> Instant:
    if wanted is Instant:
        return _read(plain)
    raise NotImplementedError(f"no form on the wire for {wanted.__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_CANONICAL = msgspec.json.Encoder(enc_hook=_plain, order="sorted")


def encode(value: object) -> bytes:
    """JSON in the order of the fields. A text that is no Unicode (a lone surrogate) is `Refused`."""
    return _encoded(_ENCODER, value)


def canonical(value: object) -> bytes:
    """JSON with sorted keys: equal values give equal bytes, in every run and on every machine."""
    return _encoded(_CANONICAL, value)


def decode(wanted: type[T], body: bytes | str) -> T:
    """The value of type `wanted` that `body` holds; `Unusable` when it holds none.

    `wanted` may be a union of tagged structs, which type checkers do not count as a type.
    """
    try:
        value: T = _decoder(cast("Any", wanted)).decode(body)
    except (msgspec.DecodeError, MonitoringError) as error:
        shown = body[:80]
        raise Unusable(f"a stored {getattr(wanted, '__name__', wanted)} cannot be read ({error}): {shown!r}") from error
    return value


def _encoded(encoder: msgspec.json.Encoder, value: object) -> bytes:
    try:
        return encoder.encode(value)
    except UnicodeEncodeError as error:
        raise Refused(f"a text that is to be stored is not Unicode: {error}") from error


@lru_cache(maxsize=64)
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted, dec_hook=_value)
