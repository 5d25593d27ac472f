"""Repeating: an act that comes again with the key of its sender is answered again, and not done again.

Knows the header `Idempotency-Key` and ASGI. Stands between the permission of a route and what it permits, so that
nobody is answered what he may not have any more. What was refused for who asks, or failed, may be sent again.
"""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from service_monitoring.access.identity import STRANGER, Identity
from service_monitoring.errors import Unavailable
from service_monitoring.views.answers import LONGEST_KEY, Answered, Answers, Asked
from service_monitoring.web.arrivals import (
    Answer,
    Asgi,
    Gone,
    Receive,
    Scope,
    Send,
    body_of,
    problem,
    read_again,
    respond,
)
from service_monitoring.web.permitting import BETWEEN, IDENTITY, NOTED, UNKEPT

MOST_KEPT: Final = 256 * 1024
"""Bytes of an answer, and of what is asked with a key."""

_METHODS: Final = frozenset({"POST", "PUT", "DELETE"})
_API: Final = "/api/v1/"
_HEADER: Final = b"idempotency-key"
_KEY: Final = re.compile(rb"[!-~]{1,%d}" % LONGEST_KEY)
_KEPT: Final = frozenset({b"content-type", b"link", b"location"})
_UNDONE: Final = frozenset({401, 403, 413, 429})
"""What is answered where nothing was done, and what may be otherwise the next time."""


class Repeated:
    """Answers again what was done. Holds no state."""

    def __init__(self, app: Asgi, answers: Answers) -> None:
        self._inside = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["method"] in _METHODS and scope["path"].startswith(_API):
            scope[BETWEEN] = self._permitted
        await self._inside(scope, receive, send)

    async def _permitted(self, route: Asgi, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that is permitted."""
        keys = [value for name, value in scope["headers"] if name == _HEADER]
        if not keys:
            await route(scope, receive, send)
            return
        if len(keys) > 1 or _KEY.fullmatch(keys[0]) is None:
            detail = f"Idempotency-Key is one text of 1 to {LONGEST_KEY} visible ASCII characters"
            await respond(scope, send, problem(400, "not understood", detail))
            return
        try:
            body, cut = await body_of(receive, MOST_KEPT)
        except Gone:
            return
        if cut:
            await respond(scope, send, problem(413, "too large", f"more than {MOST_KEPT} bytes"))
            return
        name, request = _name(scope, keys[0]), _digest(scope, body)
        asked = await self._answers.begin(name, request)
        if asked is None:
            await self._do(route, scope, read_again(body, receive), send, name)
        else:
            # What was done is written down already.
            scope[NOTED] = True
            await respond(scope, send, _once_more(asked, request))

    async def _do(self, route: Asgi, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        """Do it, and keep the answer before anybody sees it: whoever has seen it may rely on that."""
        told: list[Any] = []

        async def held(message: Any) -> None:
            told.append(message)

        try:
            await route(scope, receive, held)
        except Exception:
            await self._answers.forget(name)
            raise
        answer = _answer(told, secret=scope[UNKEPT])
        # What cannot be kept was done all the same: sent again, it is said that nobody knows.
        with suppress(Unavailable):
            if answer.status >= 500 or answer.status in _UNDONE:
                await self._answers.forget(name)
            else:
                await self._answers.end(name, answer)
        for message in told:
            await send(message)


def _name(scope: Scope, key: bytes) -> str:
    """What a key goes by: it is its sender's, and is good for one method and path."""
    who: Identity = scope.get(IDENTITY, STRANGER)
    parts = (who.name.encode(), who.via.encode() if not who.name else b"", scope["method"].encode(), _path(scope), key)
    return sha256(b"\0".join(parts)).hexdigest()


def _digest(scope: Scope, body: bytes) -> str:
    """What tells one request from another. Of what may hold a password, nothing is kept, nor what it could be from."""
    return sha256(scope["query_string"] + b"\0" + (b"" if scope[UNKEPT] else body)).hexdigest()


def _path(scope: Scope) -> bytes:
    return str(scope["path"]).encode(errors="replace")


def _answer(told: list[Any], *, secret: bool) -> Answered:
    """An answer as it is kept."""
    body = b"".join(each.get("body", b"") for each in told[1:])
    status: int = told[0]["status"]
    if secret or len(body) > MOST_KEPT:
        return Answered(status, whole=False)
    headers = tuple((name.decode(), value.decode("latin-1")) for name, value in told[0]["headers"] if name in _KEPT)
    return Answered(status, headers, body)


def _once_more(asked: Asked, request: str) -> Answer:
    if asked.request != request:
        return problem(422, "not understood", "something else was sent with this Idempotency-Key: take another one")
    answer = asked.answer
    if answer is None:
        detail = "what was sent first with this Idempotency-Key goes on, or was cut short: look whether it was done"
        return problem(409, "conflict", detail)
    if not answer.whole:
        detail = f"this was answered with {answer.status} before, and what was answered is not kept: look what is there"
        return problem(409, "conflict", detail, Idempotent_Replayed="true")
    kind = dict(answer.headers).get("content-type", "")
    kept = tuple(each for each in answer.headers if each[0] != "content-type")
    return Answer(answer.status, answer.body, kind, (*kept, ("idempotent-replayed", "true")))
