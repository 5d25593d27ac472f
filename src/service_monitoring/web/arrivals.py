"""What arrives by itself: reports of jobs and pushed samples, answered when they are kept.

Knows paths, methods, bodies and their limits. Does not know where keys are kept, nor what is decided. It is plain ASGI
in front of everything else: what is sent away costs little, and a key stands in no error and in no log.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from service_monitoring.domain.inputs import PushedSample, Signal
from service_monitoring.errors import Conflict, NotFound, Refused, TooMuch, Unavailable
from service_monitoring.views.intake import MOST_BYTES, Intake, Refusal, Report, Result, result
from service_monitoring.web import samples

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_PUSHED: Final = 256 * 1024
"""Bytes of a push."""

_RUN: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_CODE: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_SIGNALS: Final = {"": Signal.SUCCESS, "start": Signal.START, "fail": Signal.FAIL, "log": Signal.LOG}
_AGAIN: Final = "5"
_PING_METHODS: Final = ("GET", "HEAD", "POST")


class Gone(Exception):
    """The sender left before it had sent everything."""


class Answer(msgspec.Struct, frozen=True):
    """An answer in full."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def problem(status: int, title: str, detail: str, **headers: str) -> Answer:
    """An error as problem+json; names of headers are written with `_` for `-`."""
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail})
    named = tuple((name.replace("_", "-").lower(), value) for name, value in headers.items())
    return Answer(status, body, "application/problem+json", named)


NOTHING_HERE: Final = problem(404, "not found", "there is nothing here")
"""The one answer to every path that is none and to every key that opens nothing."""


class Arrivals:
    """Serves `/ping/...` and `/api/v1/samples`, and hands everything else on. Holds no state."""

    def __init__(self, intake: Intake, otherwise: Asgi) -> None:
        self._intake = intake
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not (path.startswith("/ping/") or path == "/api/v1/samples"):
            await self._otherwise(scope, receive, send)
            return
        try:
            answer = await (self._ping(scope, receive) if path.startswith("/ping/") else self._push(scope, receive))
        except Gone:
            return
        except NotFound:
            answer = NOTHING_HERE
        except TooMuch as error:
            answer = problem(429, "too many requests", str(error), Retry_After=str(error.seconds))
        except Unavailable as error:
            answer = problem(503, "unavailable", str(error), Retry_After=_AGAIN)
        except (Refused, Conflict) as error:
            answer = problem(409, "refused", str(error))
        except Exception:
            await respond(scope, send, problem(500, "error", "the program made a mistake: its log says which"))
            raise
        await respond(scope, send, answer)

    async def _ping(self, scope: Scope, receive: Receive) -> Answer:
        _, _, key, *rest = scope["path"].split("/")
        told = _told(rest)
        if told is None:
            return NOTHING_HERE
        sender = await self._intake.pinging(key)
        if scope["method"] not in _PING_METHODS:
            return problem(405, "method not allowed", "a ping is a GET, HEAD or POST", Allow=", ".join(_PING_METHODS))
        run = _run(scope)
        if run is None:
            return problem(400, "not understood", "rid is one text of letters, digits and -, 64 of them at most")
        content, cut = await body_of(receive, MOST_BYTES)
        signal, code = told
        await self._intake.report(sender, Report(signal, run, code, content, cut))
        said = f"ok; only the first {MOST_BYTES} bytes of the body are kept\n" if cut else "ok\n"
        return Answer(200, said.encode(), "text/plain; charset=utf-8")

    async def _push(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return problem(405, "method not allowed", "samples are sent by POST", Allow="POST")
        key = _bearer(scope)
        if key is None:
            return problem(
                401, "not authorised", "a key is missing: send Authorization: Bearer KEY", WWW_Authenticate="Bearer"
            )
        sender = await self._intake.pushing(key)
        content, cut = await body_of(receive, MOST_PUSHED)
        if cut:
            return problem(413, "too large", f"more than {MOST_PUSHED} bytes: send fewer samples at once")
        try:
            read = samples.read(content, self._intake.now())
        except Refused as refused:
            return problem(400, "not understood", str(refused))
        good = [each for each in read if isinstance(each, PushedSample)]
        taken = iter(await self._intake.push(sender, good) if good else ())
        results = [
            Result("refused", each.detail) if isinstance(each, Refusal) else result(next(taken), sender.allowance)
            for each in read
        ]
        status = 200 if any(each.taken for each in results) else 422
        return Answer(status, msgspec.json.encode({"results": results}))


async def respond(scope: Scope, send: Send, answer: Answer) -> None:
    """Send an answer; to HEAD, all of it but the body."""
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        *((name.encode(), value.encode()) for name, value in answer.headers),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def _told(rest: list[str]) -> tuple[Signal, int | None] | None:
    """What the path says after the key, or None."""
    if len(rest) > 1:
        return None
    word = rest[0] if rest else ""
    if rest and word in _SIGNALS and word:
        return _SIGNALS[word], None
    if not rest:
        return Signal.SUCCESS, None
    if _CODE.fullmatch(word) is None or int(word) > 255:
        return None
    return (Signal.FAIL if int(word) else Signal.SUCCESS), int(word)


def _run(scope: Scope) -> str | None:
    """The run's id, or nothing; None where it is none."""
    try:
        given = parse_qs(scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return None
    named = given.get("rid", [])
    if not named:
        return ""
    return named[0] if len(named) == 1 and _RUN.fullmatch(named[0]) else None


def _bearer(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    kind, _, key = given[0].decode("latin-1").partition(" ") if len(given) == 1 else ("", "", "")
    return key.strip() if kind.lower() == "bearer" and key.strip() else None


async def body_of(receive: Receive, most: int) -> tuple[bytes, bool]:
    """What was sent, up to `most` bytes, and whether there was more: that is not waited for."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > most or not message.get("more_body", False):
            return b"".join(parts)[:most], size > most


def read_again(body: bytes, after: Receive) -> Receive:
    """What was read, to be read once more."""
    parts = [body]

    async def receive() -> MutableMapping[str, Any]:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return await after()

    return receive


def bodiless(send: Send) -> Send:
    """Sends the headers of an answer, and nothing else of it."""

    async def headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    return headers
