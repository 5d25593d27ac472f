"""The doorstep: from where a request comes, and what every answer carries, whoever asks and whatever answers.

Knows addresses, proxies and headers. Does not know who asks, nor what is behind the door.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import Request
from msgspec import Struct

from service_monitoring.access.desk import Client
from service_monitoring.settings import WebSettings
from service_monitoring.web.addresses import among, farthest
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send

CALLER: Final = "service_monitoring.caller"
"""Where the scope of a request has from where it comes."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_YEAR: Final = 31_536_000
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""What an answer carries unless it says something else."""
_ENCRYPTED: Final = (b"strict-transport-security", f"max-age={_YEAR}".encode())

_LONGEST_AGENT: Final = 200


class Caller(Struct, frozen=True):
    """From where a request comes. `host` is what it asks for, as it was written: name, and perhaps a port.

    `encrypted` says whether nobody could read it on its way, `through` whether a proxy of ours handed it on, `cookie`
    how the cookie of a session is called here.
    """

    address: str
    agent: str
    host: str
    encrypted: bool
    through: bool
    cookie: str

    @property
    def origin(self) -> str:
        """The origin that pages of ours have, as the one who asks sees it."""
        return f"{'https' if self.encrypted else 'http'}://{self.host}".lower()

    @property
    def client(self) -> Client:
        """For the desk of access."""
        return Client(self.address, self.agent)


def caller_of(request: Request) -> Caller:
    """From where a request comes."""
    found: Caller = request.scope[CALLER]
    return found


class Doorstep:
    """Says from where each request comes, and lets no answer out without its headers. Holds no state."""

    def __init__(self, inside: Asgi, web: WebSettings) -> None:
        self._inside = inside
        self._web = web
        self._cookie = cookie_of(web)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        caller = scope[CALLER] = self._caller(scope)
        scope["client"] = (caller.address, 0)
        scope["scheme"] = "https" if caller.encrypted else "http"

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _guarded(message.get("headers", ()), encrypted=caller.encrypted)
            await send(message)

        await self._inside(scope, receive, guarded)

    def _caller(self, scope: Scope) -> Caller:
        peer = scope.get("client")
        address = str(peer[0]) if peer else ""
        encrypted, hops = scope.get("scheme") == "https", values(scope, b"x-forwarded-for")
        said = [each.strip().lower() for each in values(scope, b"x-forwarded-proto")]
        # On this machine, who says nothing of others may be somebody himself.
        through = among(address, self._web.behind_proxy) and bool(hops or said or not self._web.local)
        if through:
            address = farthest(address, hops, self._web.behind_proxy)
            # A proxy that says nothing was named as one that ends TLS.
            encrypted = not said or said[-1] == "https"
        agent, host = values(scope, b"user-agent", parted=False), values(scope, b"host", parted=False)
        return Caller(
            address,
            agent[0][:_LONGEST_AGENT] if agent else "",
            host[0].strip() if len(host) == 1 else "",
            encrypted,
            through,
            self._cookie,
        )


def cookie_of(web: WebSettings) -> str:
    """How the cookie of a session is called; browsers bind the longer name to this host and to encryption."""
    return "__Host-session" if web.encrypted else "session"


def values(scope: Scope, name: bytes, *, parted: bool = True) -> list[str]:
    """The values of a header, in order; `parted` at commas."""
    given = [value.decode("latin-1") for found, value in scope["headers"] if found == name]
    return [part for value in given for part in value.split(",")] if parted else given


def _guarded(given: Iterable[tuple[bytes, bytes]], *, encrypted: bool) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower(), value) for name, value in given]
    there = dict(headers)
    if there.get(b"cache-control", b"").startswith(b"public"):
        # What others may keep must not let anybody in.
        headers = [each for each in headers if each[0] != b"set-cookie"]
    headers += [each for each in _HEADERS if each[0] not in there]
    return [*headers, _ENCRYPTED] if encrypted else headers
