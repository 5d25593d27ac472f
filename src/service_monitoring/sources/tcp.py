"""The kind `tcp`: a connection to a port, and optionally a text to send and what must come back.

Knows bytes on a connection; names, addresses and their policy are `connecting`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Annotated, Any, Final

import re2
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from service_monitoring.domain.samples import Observation, Reason
from service_monitoring.ports import Deadline, Surroundings
from service_monitoring.settings import InvalidValue, SizeField
from service_monitoring.sources.connecting import Endpoint, EndpointField, Names, connected, located, system_names
from service_monitoring.sources.phases import Failed, Phases, observed

LARGEST_READ: Final = 16 * 1024
"""Bytes looked at, at most: every chunk that arrives is searched together with those before it."""


Expected = Callable[[bytes], bool]
"""Whether what must come back is among the bytes received."""


def compiled(pattern: str) -> Expected:
    """A search by RE2, which no input can make slow; `InvalidValue` for a pattern that it does not know."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        expression = re2.compile(pattern.encode(), options)
    except re2.error as error:
        why = b" ".join(error.args).decode(errors="replace")
        raise InvalidValue(f'"{pattern}" is not a pattern of RE2 ({why})', "write one without look-around") from None
    return lambda received: expression.search(received) is not None


def _pattern(given: object) -> object:
    if isinstance(given, str):
        compiled(given)
    return given


class Expectation(BaseModel):
    """What must come back: a text, or a pattern (RE2) that is found in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contains: str | None = Field(None, min_length=1, max_length=1024)
    regex: Annotated[str | None, BeforeValidator(_pattern)] = Field(None, min_length=1, max_length=1024)

    @model_validator(mode="after")
    def _one_of_both(self) -> Expectation:
        if (self.contains is None) == (self.regex is None):
            raise InvalidValue(
                "what is expected is a text or a pattern", "write expect: TEXT or expect: {regex: PATTERN}"
            )
        return self

    def __str__(self) -> str:
        return f"the text {self.contains!r}" if self.contains is not None else f"the pattern {self.regex!r}"

    def search(self) -> Expected:
        """The search for it."""
        if self.regex is not None:
            return compiled(self.regex)
        text = (self.contains or "").encode()
        return lambda received: text in received


def _expectation(given: object) -> object:
    return {"contains": given} if isinstance(given, str) else given


class Options(BaseModel):
    """Keys of a check of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tcp: EndpointField = Field(description="host:port, or [address]:port for IPv6")
    send: str | None = Field(None, min_length=1, max_length=65_536, description="a text sent once connected")
    expect: Annotated[Expectation | None, BeforeValidator(_expectation)] = Field(
        None, description="a text, or {regex: PATTERN}, to be found in the first bytes of the answer"
    )
    read_at_most: SizeField = Field(4096, ge=1, le=LARGEST_READ, description="how many first bytes are looked at")


class TcpSource:
    """Connects, sends and reads. For one loop, one attempt at a time; keeps nothing open between attempts."""

    def __init__(self, options: Options, *, surroundings: Surroundings, names: Names) -> None:
        self._endpoint = Endpoint.parse(options.tcp)
        self._send = (options.send or "").encode()
        self._expected = options.expect
        self._found = options.expect.search() if options.expect is not None else None
        self._cap = options.read_at_most
        self._surroundings = surroundings
        self._names = names

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt, under the laws of `ports.Source`."""
        return await observed(self._surroundings.clock, deadline, self._attempt)

    async def _attempt(self, phases: Phases) -> str:
        addresses = await located(self._endpoint, phases, self._names, self._surroundings.network)
        with phases.phase("connect_seconds", f"connecting to {self._endpoint}"):
            opened = await connected(addresses, self._endpoint.port)
        received = b""
        with opened:
            try:
                phases.doing = f"sending to {self._endpoint}"
                await asyncio.get_running_loop().sock_sendall(opened, self._send)
                if self._found is not None:
                    received = await self._received(opened, phases, self._found)
            except (ConnectionError, EOFError) as error:
                raise Failed(Reason.PROTOCOL, f"{self._endpoint} broke the connection off ({error})") from error
        phases.complete()
        if self._found is not None and not self._found(received):
            beginning = repr(received[:60].decode(errors="replace"))
            raise Failed(Reason.BODY, f"{self._expected} is not in the answer, which begins with {beginning}")
        return ""

    async def _received(self, opened: socket.socket, phases: Phases, found: Expected) -> bytes:
        """Read until what is expected was found, the far side closed, or enough was read."""
        loop = asyncio.get_running_loop()
        with phases.phase("first_byte_seconds", f"waiting for the first byte of {self._endpoint}"):
            received = await loop.sock_recv(opened, self._cap)
            if not received:
                raise EOFError("it closed without an answer")
        phases.doing = f"waiting for {self._expected} from {self._endpoint}"
        while not found(received) and len(received) < self._cap:
            more = await loop.sock_recv(opened, self._cap - len(received))
            if not more:
                break
            received += more
        return received


class Kind:
    """Checks of connections. Its sources share the names of this machine, and nothing that is open."""

    name = "tcp"
    options: type[Any] = Options

    def __init__(self, names: Names | None = None) -> None:
        self._names = names

    def open_source(self, options: Options, *, surroundings: Surroundings) -> TcpSource:
        """A source for one check; blocks at most while the first one imports the resolver."""
        self._names = self._names or system_names()
        return TcpSource(options, surroundings=surroundings, names=self._names)

    async def close(self) -> None:
        """Nothing is shared that would have to be let go of."""
