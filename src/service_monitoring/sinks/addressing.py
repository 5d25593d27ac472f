"""URLs and headers as options of channels: what may be written, checked when the configuration is read.

Knows what a URL and a header may be made of. Does not resolve, connect or ask the address policy: that is asked of the
very address that a connection is made to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator
from yarl import URL

from service_monitoring.settings import InvalidValue, Secret

_NUMERIC: Final = re.compile(r"(?:\A|\.)(?:\d+|0[xX][0-9a-fA-F]*)\.?\Z|:")
# Characters: parts of a URL that are shorter are words, and striking those out would make an answer unreadable.
_LONG: Final = 16
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_OURS: Final = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "idempotency-key", "te", "transfer-encoding"}
)


def checked_url(text: str) -> str:
    """`text`, where it is a URL of http or https with a host; `InvalidValue`, which never quotes it, otherwise."""
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and url.port is not None and _is_host(url.host or "")
    except ValueError:
        usable = False
    if not usable or re.search(r"[\x00-\x20\x7f]", text):
        raise InvalidValue("this is not a URL of http or https", "write https://host/path")
    return text


def checked_header_value(text: str) -> str:
    """`text`, where one header can carry it; `InvalidValue`, which never quotes it, otherwise."""
    if not _VALUE.match(text):
        raise InvalidValue("the value holds characters that a header cannot", "write one line of text")
    return text


def secrets_of(url: Secret, *more: Secret | None) -> tuple[Secret, ...]:
    """A secret URL with its long parts, as an answer may quote them alone; and `more` secrets, where there are any."""
    parsed = URL(url.reveal())
    parts = [*parsed.raw_parts, *parsed.parts, *parsed.query.values()]
    long = [Secret(part) for part in dict.fromkeys(parts) if len(part) >= _LONG]
    return (url, *long, *(secret for secret in more if secret is not None))


def secrets_in(headers: Mapping[str, Secret]) -> tuple[Secret, ...]:
    """The values of secret headers with their long words: an answer may quote a token without its `Bearer`."""
    words = [word for value in headers.values() for word in value.reveal().split()]
    return (*headers.values(), *(Secret(word) for word in dict.fromkeys(words) if len(word) >= _LONG))


def _checked_secret_url(secret: Secret) -> Secret:
    checked_url(secret.reveal())
    return secret


def _is_host(host: str) -> bool:
    """A name or an address in its usual form: 127.1 and 2130706433 are names to some and addresses to others."""
    if not _NUMERIC.search(host):
        return bool(host)
    try:
        return ip_address(host.partition("%")[0]) is not None
    except ValueError:
        return False


def _checked_headers(headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    for name, value in headers.items():
        if not _TOKEN.match(name):
            raise InvalidValue(f"{name!r} is not the name of a header", "use letters, digits and -")
        if name.lower() in _OURS:
            raise InvalidValue(f"{name} is set by this program", "leave it out")
        if not _VALUE.match(value.reveal()):
            raise InvalidValue(f"the value of {name} holds characters that a header cannot", "write one line of text")
    return headers


SecretUrl = Annotated[Secret, AfterValidator(_checked_secret_url)]
"""A URL that is a secret: with most chat systems, who has it may post."""

PlainUrl = Annotated[str, AfterValidator(checked_url)]
"""A URL that anybody may see: the base of an interface, its credentials elsewhere."""

Headers = Annotated[Mapping[str, Secret], AfterValidator(_checked_headers)]
"""Headers that go along, their values secret."""
