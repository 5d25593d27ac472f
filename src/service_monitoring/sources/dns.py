"""The kind `dns`: what a name server answers to one question.

Knows records and how they are compared; how a question travels is `resolving`. The name servers of this machine are
asked as any program here would ask them; one that a check names itself is a target like any other, and the address
policy has to permit it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
from dns.rdtypes.ANY.TXT import TXT
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from service_monitoring.domain.samples import Observation, Reason
from service_monitoring.ports import Deadline, Surroundings
from service_monitoring.settings import InvalidValue
from service_monitoring.sources.connecting import Endpoint, permitted
from service_monitoring.sources.phases import Failed, Phases, observed
from service_monitoring.sources.resolving import Server, SystemNames, answered, answers_at_all, question_for

PORT: Final = 53

Key = bytes | dns.rdata.Rdata
"""What a value is compared by."""

Record = Literal["A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "SRV", "CAA", "PTR"]


def _expectation(given: object) -> object:
    return {"all": given} if isinstance(given, list | tuple) else given


def _resolver(given: object) -> object:
    if isinstance(given, str):
        Endpoint.parse(given, port=PORT)
    return given


class Expectation(BaseModel):
    """Which values must be among the answers. A plain list means `all`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    all: tuple[str, ...] = Field((), description="each of these must be among the answers; others may be")
    any: tuple[str, ...] = Field((), description="one of these must be among the answers")
    only: tuple[str, ...] = Field((), description="the answers must be exactly these, in any order")

    @model_validator(mode="after")
    def _one_of_them(self) -> Expectation:
        if sum(map(bool, (self.all, self.any, self.only))) != 1:
            raise InvalidValue("what is expected is one list of values", "write one of all, any and only")
        return self


class Options(BaseModel):
    """Keys of a check of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dns: str = Field(min_length=1, max_length=253, description="the name asked for; an address where record is PTR")
    record: Record = Field("A", description="the type of record")
    resolver: Annotated[str | None, BeforeValidator(_resolver)] = Field(
        None, description="the name server to ask, as host or host:port; this machine's own otherwise"
    )
    expect: Annotated[Expectation | None, BeforeValidator(_expectation)] = Field(
        None, description="values that must be answered"
    )

    @model_validator(mode="after")
    def _readable(self) -> Options:
        _asked(self.dns, self.record)
        if self.expect is not None:
            for value in (*self.expect.all, *self.expect.any, *self.expect.only):
                _value(value, self.record)
        return self


class DnsSource:
    """Asks one question. For one loop, one attempt at a time; keeps nothing open between attempts."""

    def __init__(self, options: Options, *, surroundings: Surroundings, names: SystemNames) -> None:
        self._options = options
        self._name = _asked(options.dns, options.record)
        self._resolver = None if options.resolver is None else Endpoint.parse(options.resolver, port=PORT)
        self._surroundings = surroundings
        self._names = names

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt, under the laws of `ports.Source`."""
        return await observed(self._surroundings.clock, deadline, self._attempt)

    async def _attempt(self, phases: Phases) -> str:
        servers = await self._servers(phases)
        question = question_for(self._name, dns.rdatatype.from_text(self._options.record))
        with phases.phase("dns_seconds", f"waiting for an answer from {' or '.join(map(_shown, servers))}"):
            (answer,) = await answered([question], servers)
        phases.complete()
        asked = f"{self._options.record} of {self._options.dns}"
        if not answers_at_all(answer):
            raise Failed(Reason.DNS, f"the name server answers {dns.rcode.to_text(answer.rcode())} to {asked}")
        try:
            chain = answer.resolve_chaining()
        except dns.exception.DNSException as error:
            raise Failed(Reason.PROTOCOL, f"the answer to {asked} leads nowhere: {error}") from error
        records = list(chain.answer or ())
        phases.measure("answers", len(records))
        if answer.rcode() == dns.rcode.NXDOMAIN:
            raise Failed(Reason.DNS, f"{self._options.dns} does not exist (NXDOMAIN)")
        if not records:
            raise Failed(Reason.DNS, f"{self._options.dns} exists, but has no {self._options.record} record")
        phases.measure("ttl_seconds", chain.minimum_ttl)
        listed = ", ".join(sorted(map(str, records)))
        self._judge({_key(each) for each in records}, listed)
        return listed

    async def _servers(self, phases: Phases) -> tuple[Server, ...]:
        if self._resolver is None:
            return self._names.servers()
        phases.doing = f"resolving the name server {self._resolver}"
        address = self._resolver.address
        found = (address,) if address is not None else await self._names.addresses(self._resolver.host)
        return tuple((each, self._resolver.port) for each in permitted(found, self._surroundings.network))

    def _judge(self, answers: set[Key], listed: str) -> None:
        expected = self._options.expect
        if expected is None:
            return
        missing = [value for value in expected.all if _value(value, self._options.record) not in answers]
        if missing:
            raise Failed(Reason.RECORD, f"{', '.join(missing)} is missing from the answer: {listed}")
        if expected.any and answers.isdisjoint(self._keys(expected.any)):
            raise Failed(Reason.RECORD, f"none of {', '.join(expected.any)} is in the answer: {listed}")
        if expected.only and answers != self._keys(expected.only):
            raise Failed(Reason.RECORD, f"the answer is not just {', '.join(expected.only)}: {listed}")

    def _keys(self, values: Iterable[str]) -> set[Key]:
        return {_value(value, self._options.record) for value in values}


def _shown(server: Server) -> str:
    return str(Endpoint(str(server[0]), server[1]))


def _asked(name: str, record: str) -> dns.name.Name:
    """The full name to ask for: that of an address, for PTR."""
    try:
        if record == "PTR" and Endpoint(name, PORT).address is not None:
            return dns.reversename.from_address(name)
        return dns.name.from_text(name)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise InvalidValue(
            f'"{name}" is not a name that can be asked for ({error})', "write shop.example.com"
        ) from None


def _key(record: dns.rdata.Rdata) -> Key:
    """What makes two values the same: not case, final dots, or how a long text is cut into strings."""
    return b"".join(record.strings) if isinstance(record, TXT) else record


def _value(text: str, record: str) -> Key:
    """One expected value; `InvalidValue` where it is none of that type of record."""
    if record == "TXT" and not text.startswith('"'):
        return text.encode()
    kind = dns.rdatatype.from_text(record)
    try:
        return _key(dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=dns.name.root, relativize=False))
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        remedy = (
            "write it with its preference, as 10 mail.example.com" if record == "MX" else "write it as dig shows it"
        )
        raise InvalidValue(f'"{text}" is not a value of {record} ({error})', remedy) from None


class Kind:
    """Checks of names. Its sources share the names of this machine, and nothing that is open."""

    name = "dns"
    options: type[Any] = Options

    def __init__(self, names: SystemNames | None = None) -> None:
        self._names = names or SystemNames()

    def open_source(self, options: Options, *, surroundings: Surroundings) -> DnsSource:
        """A source for one check; never blocks."""
        return DnsSource(options, surroundings=surroundings, names=self._names)

    async def close(self) -> None:
        """Nothing is shared that would have to be let go of."""
