"""The doorman: who asks, and whether what is asked was meant by that one.

Knows cookies, tokens, origins and forms. Does not know what anybody may do: routes say what they need. It is plain ASGI
in front of the application: what it sends away, nothing behind it has seen.
"""

from __future__ import annotations

import re
from functools import partial
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException
from starlette.requests import cookie_parser

from service_monitoring.access.desk import AccessDesk
from service_monitoring.access.identity import STRANGER, Identity
from service_monitoring.access.permissions import OF_ROLE, Role
from service_monitoring.errors import MonitoringError
from service_monitoring.settings import WebSettings
from service_monitoring.settings.network import is_loopback
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.arrivals import (
    Answer,
    Asgi,
    Gone,
    Receive,
    Scope,
    Send,
    bodiless,
    body_of,
    problem,
    read_again,
    respond,
)
from service_monitoring.web.doorstep import CALLER, Caller, values
from service_monitoring.web.permitting import ASKED_AGAIN, IDENTITY

MOST_SENT: Final = 256 * 1024
"""Bytes of a body."""
MOST_OF_STRANGERS: Final = 16 * 1024
"""Bytes of a body of somebody who is not known: a form with a name and a password."""
DEEPEST: Final = 32
"""Levels of objects and arrays within each other."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""What load balancers and watchdogs ask, by whatever name and way: the answer says nothing but yes or no."""
_SIGN_IN: Final = frozenset({"/login", "/login/second"})
"""Their forms are for strangers, who have no word yet; somebody may send one who signed in meanwhile elsewhere."""
_TOKEN: Final = "sm_"  # noqa: S105 - how tokens begin
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_FIELDS: Final = 1_000
_MOST_FILES: Final = 20
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


class _Refusal(Exception):
    """What is said in place of an answer from inside."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.answer: Answer = problem(status, title, detail)


class _NotMeant(_Refusal):
    """Somebody's browser sent what he did not mean to send, or so it looks: he may want to know."""

    def __init__(self, detail: str) -> None:
        super().__init__(403, "forbidden", detail)


class Doorman:
    """Lets requests in with who sent them. Holds no state.

    `csrf` is what forms carry where everybody on this machine may do everything; `access` is asked about all others.
    """

    def __init__(self, inside: Asgi, web: WebSettings, access: AccessDesk | None, *, csrf: str) -> None:
        self._inside = inside
        self._web = web
        self._access = access
        self._open = Identity("", Role.ADMIN, OF_ROLE[Role.ADMIN], "open", csrf)
        self._names = {"localhost", urlsplit(web.url).hostname or "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        caller: Caller = scope[CALLER]
        try:
            self._greet(scope, caller)
            identity = scope[IDENTITY] = await self._who(scope, caller)
            scope[ASKED_AGAIN] = partial(self._who, scope, caller)
            meant = receive if scope["method"] in _SAFE else await self._meant(scope, receive, identity, caller)
        except Gone:
            return
        except _Refusal as refusal:
            await respond(scope, send, refusal.answer)
            await self._noted(scope, refusal)
            return
        except MonitoringError as error:
            status, title, headers = status_of(error)
            named = {name.replace("-", "_"): value for name, value in headers.items()}
            await respond(scope, send, problem(status, title, str(error), **named))
            return
        if scope["method"] == "HEAD":
            scope["method"], send = "GET", bodiless(send)
        await self._inside(scope, meant, send)

    async def _noted(self, scope: Scope, refusal: _Refusal) -> None:
        """Have it written down, where somebody is known; there is no end of strangers."""
        identity: Identity = scope.get(IDENTITY, STRANGER)
        if isinstance(refusal, _NotMeant) and identity.via and self._access is not None:
            await self._access.turned_away(identity, f"{scope['method']} {scope['path']}", refusal.detail)

    def _greet(self, scope: Scope, caller: Caller) -> None:
        """Send away who came under a name that is not ours, or past the proxy."""
        if scope["path"] in _HEALTH:
            return
        if self._web.local:
            # A name of somebody else that leads to loopback makes a browser on this machine believe we are that one.
            name = _name(caller.host)
            if name not in self._names and not is_loopback(name):
                detail = "this name is not known here: ask for localhost, or write web.url in the configuration"
                raise _Refusal(421, "misdirected request", detail)
        elif not caller.encrypted and not is_loopback(caller.address):
            detail = "what is sent here could be read on its way: come by https, through the proxy"
            raise _Refusal(403, "forbidden", detail)

    async def _who(self, scope: Scope, caller: Caller) -> Identity:
        given = [value.strip().partition(" ") for value in values(scope, b"authorization", parted=False)]
        tokens = [key.strip() for kind, _, key in given if kind.lower() == "bearer" and key.strip().startswith(_TOKEN)]
        session = _cookie(scope, caller.cookie) if self._web.authentication == "accounts" else ""
        if len(tokens) > 1 or (tokens and session):
            raise _Refusal(400, "not understood", "one token, or the cookie of a session: not both")
        identity: Identity | None = None
        if tokens and self._access is not None:
            identity = await self._access.token(tokens[0], caller.client)
        elif self._web.authentication == "none":
            identity = self._open
        elif session and self._access is not None:
            identity = await self._access.session(session, caller.client)
        return STRANGER if identity is None else identity

    async def _meant(self, scope: Scope, receive: Receive, identity: Identity, caller: Caller) -> Receive:
        """What is sent, to be read once more, after it is clear that whoever is known meant to send it."""
        if identity.via != "token":
            self._from_here(scope, caller)
        most = MOST_SENT if identity.via else MOST_OF_STRANGERS
        declared = values(scope, b"content-length")
        if declared and declared[0].isdecimal() and int(declared[0][:20]) > most:
            raise _Refusal(413, "too large", f"more than {most} bytes")
        body, cut = await body_of(receive, most)
        if cut:
            raise _Refusal(413, "too large", f"more than {most} bytes")
        kind = next(iter(values(scope, b"content-type", parted=False)), "").partition(";")[0].strip().lower()
        if not kind or kind.endswith("json"):
            _shallow(body)
        fields = await _csrf_fields(scope, body) if kind in _FORMS else []
        if identity.via in {"session", "open"} and scope["path"] not in _SIGN_IN:
            given = values(scope, b"x-csrf-token", parted=False) or fields
            if len(given) != 1 or not identity.csrf or not compare_digest(given[0].encode(), identity.csrf.encode()):
                detail = "the form is too old, or not from here: open its page again and send it anew"
                raise _NotMeant(detail)
        return read_again(body, receive)

    def _from_here(self, scope: Scope, caller: Caller) -> None:
        """Send away what a page of somebody else made a browser send."""
        site, origins = values(scope, b"sec-fetch-site"), values(scope, b"origin", parted=False)
        ours = {caller.origin, _origin(self._web.url)}
        # Pages that tell nobody where they are have browsers send the origin "null", also to themselves.
        itself = {"null"} if [each.strip() for each in site] == ["same-origin"] else set()
        if any(each.strip() not in {"same-origin", "none"} for each in site) or any(
            each.strip().lower() not in ours | itself for each in origins
        ):
            raise _NotMeant("this was sent by a page of somebody else")


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _cookie(scope: Scope, name: str) -> str:
    """The cookie of a session, or nothing."""
    for given in values(scope, b"cookie", parted=False):
        if found := cookie_parser(given).get(name):
            return found
    return ""


def _shallow(body: bytes) -> None:
    """Refuse JSON that is nested too deep, before anything reads it that calls itself."""
    if b"\0" in body:
        raise _Refusal(400, "not understood", "JSON is written in UTF-8")
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEEPEST:
            raise _Refusal(400, "not understood", f"nested deeper than {DEEPEST} levels")


async def _csrf_fields(scope: Scope, body: bytes) -> list[str]:
    """The values of the field `csrf` of a form; what is no form is refused here, so that nobody behind us meets it."""
    request = Request(dict(scope), read_again(body, _nothing))
    try:
        async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=MOST_SENT) as form:
            return [each for each in form.getlist("csrf") if isinstance(each, str)]
    except (MultiPartException, FormParserError, LookupError, UnicodeError):
        raise _Refusal(400, "not understood", "this is no form") from None


async def _nothing() -> Any:
    return {"type": "http.disconnect"}
