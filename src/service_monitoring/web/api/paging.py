"""Paging: long lists in pages, each of which begins after the last row of the one before.

Knows cursors, how many rows a page has, and the `Link` header of RFC 8288. A page begins at a key and not at a number:
rows that come meanwhile shift nothing. Does not know which rows there are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import Query, Request, Response

from service_monitoring.settings.problems import InvalidValue
from service_monitoring.web.api.problems import json

USUAL: Final = 100
MOST: Final = 200
"""Rows of a page."""

_LONGEST: Final = 500

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many there are on a page")]
After = Annotated[
    str, Query(max_length=_LONGEST, description="Where the page begins: taken from the Link header of the one before")
]

Row = TypeVar("Row")


def cursor(*key: str) -> str:
    """The key of a row as text for an address; what it is made of may change, and is nobody's business."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def key_of(after: str, parts: int) -> tuple[str, ...]:
    """The key behind a cursor, of so many parts; `InvalidValue` for what no page has given out."""
    try:
        padded = after[:_LONGEST].encode("ascii") + b"=" * (-len(after) % 4)
        key = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[str, ...])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        key = ()
    if len(key) != parts:
        raise InvalidValue("after: no page begins there", "follow the Link header of the page before")
    return key


def paged(request: Request, rows: Sequence[Row], limit: int, key: Callable[[Row], tuple[str, ...]]) -> Response:
    """A page as an array; `rows` are those of it, and one more where there is a next page."""
    page, further = cut(rows, limit, key)
    answer = json(page)
    if further:
        answer.headers["Link"] = f'<{address(request, after=further)}>; rel="next"'
    return answer


def cut(rows: Sequence[Row], limit: int, key: Callable[[Row], tuple[str, ...]]) -> tuple[Sequence[Row], str]:
    """The rows of one page, and the cursor of the next: empty where this is the last."""
    page = rows[:limit]
    return page, cursor(*key(page[-1])) if len(rows) > limit else ""


def address(request: Request, **changed: Any) -> str:
    """The path and query that were asked for, with some of it changed."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in changed]
    query = urlencode([*kept, *((name, value) for name, value in changed.items() if value)], errors="replace")
    return f"{request.url.path}?{query}" if query else request.url.path
