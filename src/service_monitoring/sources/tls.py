"""The kind `tls`: a verified handshake, and how long the certificates last.

Knows handshakes and certificates; names, addresses and their policy are `connecting`. OpenSSL judges the chain, the
name and the strength of keys and signatures. Dates are judged here, by the clock that was handed in: OpenSSL would
read the machine's own, and stop at an expired certificate before anybody saw how long ago that was.

A certificate that is refused is looked at once more without verifying, on a connection of its own, because people want
to know the days that are left of it all the same. Nothing is sent on either connection but the handshake.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field

from service_monitoring.domain.instants import SECOND, Duration, Instant, in_seconds
from service_monitoring.domain.samples import Observation, Reason
from service_monitoring.errors import Refused
from service_monitoring.ports import Deadline, Surroundings
from service_monitoring.settings import DurationField
from service_monitoring.settings.lengths import duration_text
from service_monitoring.sources.connecting import (
    Address,
    Endpoint,
    EndpointField,
    Names,
    connected,
    located,
    system_names,
)
from service_monitoring.sources.phases import Failed, Phases, observed

SECOND_LOOK: Final = 0.9
"""The share of the time left that a second look may take: its failure must not turn a verdict into a timeout."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, which the module ssl has no name for."""

_HOSTNAME: Final = frozenset({62, 63, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_MISMATCH, _IP_ADDRESS_MISMATCH."""

_WEAK: Final = frozenset({66, 67, 68})
"""X509_V_ERR_EE_KEY_TOO_SMALL, _CA_KEY_TOO_SMALL, _CA_MD_TOO_WEAK."""

_WEAK_HANDSHAKES: Final = frozenset({
    "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "TLSV1_ALERT_INSUFFICIENT_SECURITY", "DH_KEY_TOO_SMALL",
    "EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL", "WRONG_SIGNATURE_TYPE", "WRONG_CIPHER_RETURNED",
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
})  # fmt: skip


class Options(BaseModel):
    """Keys of a check of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tls: EndpointField = Field(description="host:port, or [address]:port for IPv6")
    server_name: str | None = Field(None, min_length=1, max_length=253, description="the name asked for and verified")
    verify: bool = Field(True, description="whether chain, name, strength and dates must be good")
    ca: Path | None = Field(None, description="a PEM file of the authorities trusted instead of the system's")
    valid_for: DurationField = Field(Duration(0), description="how long the certificates must last at least")


@dataclass(frozen=True, slots=True)
class Dates:
    """From when until when a certificate is valid, and whose it is."""

    subject: str
    begins: Instant
    ends: Instant


class TlsSource:
    """Shakes hands and looks at the certificates. For one loop, one attempt at a time; keeps nothing open."""

    def __init__(
        self,
        options: Options,
        *,
        surroundings: Surroundings,
        names: Names,
        contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    ) -> None:
        self._options = options
        self._endpoint = Endpoint.parse(options.tls)
        self._server_name = options.server_name or self._endpoint.host
        self._surroundings = surroundings
        self._names = names
        self._first, self._second = contexts

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt, under the laws of `ports.Source`."""
        return await observed(self._surroundings.clock, deadline, self._attempt)

    async def _attempt(self, phases: Phases) -> str:
        addresses = await located(self._endpoint, phases, self._names, self._surroundings.network)
        with phases.phase("connect_seconds", f"connecting to {self._endpoint}"):
            opened = await connected(addresses, self._endpoint.port)
        try:
            with opened, phases.phase("tls_seconds", f"shaking hands with {self._endpoint}"):
                chain = await self._shaken(opened, self._first)
        except Failed as failed:
            if failed.reason is not Reason.TLS:
                await self._look_again(addresses, phases)
            raise
        phases.complete()
        now = self._surroundings.clock.now()
        self._measure(chain, phases, now)
        self._judge(chain, now)
        return f"{chain[0].subject} lasts until {chain[0].ends}"

    async def _shaken(self, opened: socket.socket, context: ssl.SSLContext) -> list[Dates]:
        try:
            tls = await shaken(opened, context, self._server_name)
        except ssl.SSLCertVerificationError as error:
            raise Failed(_reason(error), f"{self._endpoint}: {error.verify_message}") from error
        except ssl.SSLError as error:
            weak = error.reason in _WEAK_HANDSHAKES
            why = (error.reason or str(error)).replace("_", " ").lower()
            raise Failed(
                Reason.TLS_WEAK if weak else Reason.TLS, f"{self._endpoint} cannot shake hands: {why}"
            ) from error
        except ConnectionError as error:
            raise Failed(Reason.TLS, f"{self._endpoint} broke the handshake off") from error
        try:
            return [_dates(each) for each in _certificates(tls, context)]
        except ValueError as error:
            raise Failed(Reason.TLS, f"{self._endpoint} has a certificate that cannot be read: {error}") from error

    async def _look_again(self, addresses: Iterable[Address], phases: Phases) -> None:
        """Measure what is left of a refused certificate; the refusal stands, however this ends."""
        try:
            async with asyncio.timeout(phases.remaining * SECOND_LOOK):
                with await connected(addresses, self._endpoint.port) as opened:
                    chain = await self._shaken(opened, self._second)
        except (Failed, OSError):
            return
        self._measure(chain, phases, self._surroundings.clock.now())

    def _measure(self, chain: Sequence[Dates], phases: Phases, now: Instant) -> None:
        phases.measure("certificate_expires_in_seconds", in_seconds(chain[0].ends.since(now)))
        phases.measure("chain_expires_in_seconds", in_seconds(min(each.ends for each in chain).since(now)))

    def _judge(self, chain: Sequence[Dates], now: Instant) -> None:
        soonest = min(chain, key=lambda each: each.ends)
        if self._options.verify:
            if soonest.ends <= now:
                raise Failed(Reason.TLS_EXPIRED, f"the certificate of {soonest.subject} expired at {soonest.ends}")
            latest = max(chain, key=lambda each: each.begins)
            if latest.begins > now:
                why = f"the certificate of {latest.subject} is valid only from {latest.begins} on"
                raise Failed(Reason.TLS_UNTRUSTED, why)
        if self._options.valid_for and soonest.ends.since(now) < self._options.valid_for:
            required = duration_text(self._options.valid_for)
            why = f"the certificate of {soonest.subject} lasts until {soonest.ends}, which is less than {required}"
            raise Failed(Reason.TLS_EXPIRED, why)


async def shaken(opened: socket.socket, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
    """Shake hands on a connected socket. Its errors are those of the module ssl, and `ConnectionError`.

    A transport of asyncio would say goodbye for half a minute after a cancellation; here nothing outlives the socket.
    """
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await loop.sock_sendall(opened, outgoing.read())
        except ssl.SSLError:
            # The alert tells the far side why; whether it arrives is of no matter here.
            with suppress(OSError):
                opened.send(outgoing.read())
            raise
        else:
            await loop.sock_sendall(opened, outgoing.read())
            return tls
        received = await loop.sock_recv(opened, 16_384)
        if received:
            incoming.write(received)
        else:
            incoming.write_eof()


def _reason(error: ssl.SSLCertVerificationError) -> Reason:
    if error.verify_code in _HOSTNAME:
        return Reason.TLS_HOSTNAME
    return Reason.TLS_WEAK if error.verify_code in _WEAK else Reason.TLS_UNTRUSTED


def _certificates(tls: ssl.SSLObject, context: ssl.SSLContext) -> list[bytes]:
    """The chain in DER, leaf first: as it was verified, or as it was sent where nothing is verified."""
    verified = context.verify_mode is ssl.CERT_REQUIRED
    method = "get_verified_chain" if verified else "get_unverified_chain"
    # Public from Python 3.13 on; before, the same methods are there one layer down.
    found = getattr(tls, method, None) or getattr(tls._sslobj, method)  # type: ignore[attr-defined]
    return [each if isinstance(each, bytes) else ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in found()]


@lru_cache(maxsize=1024)  # from one look to the next they are mostly the same bytes
def _dates(certificate: bytes) -> Dates:
    read = x509.load_der_x509_certificate(certificate)
    subject = read.subject.rfc4514_string() or f"serial number {read.serial_number}"
    return Dates(subject, _instant(read.not_valid_before_utc), _instant(read.not_valid_after_utc))


def _instant(moment: datetime) -> Instant:
    return Instant((moment - _EPOCH) // timedelta(seconds=1) * SECOND)


def verifying(ca: Path | None) -> ssl.SSLContext:
    """Trusts the authorities of `ca`, or the system's; strength as OpenSSL's level 2 (112 bits) on every system.

    Blocks while it reads them. `Refused` where the file is none of certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=2")
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    if ca is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise Refused(f"ca: {ca} holds no certificates that can be read ({error}); name a PEM file") from error
    return context


def trusting() -> ssl.SSLContext:
    """Verifies nothing, and also speaks with what is weak."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


class Kind:
    """Checks of certificates. Its sources share names and trust: the authorities of one file are read once."""

    name = "tls"
    options: type[Any] = Options

    def __init__(self, names: Names | None = None) -> None:
        self._names = names
        self._trusting = trusting()
        self._verifying: dict[tuple[object, ...], ssl.SSLContext] = {}

    def open_source(self, options: Options, *, surroundings: Surroundings) -> TlsSource:
        """A source for one check. Blocks while it reads a file of authorities; `Refused` where it holds none.

        A file that changed is read again by the sources opened from then on, that is with the next reload.
        """
        first = self._trusting
        if options.verify:
            key: tuple[object, ...] = (options.ca, _stamp(options.ca))
            if key not in self._verifying:
                self._verifying[key] = verifying(options.ca)
            first = self._verifying[key]
        self._names = self._names or system_names()
        return TlsSource(options, surroundings=surroundings, names=self._names, contexts=(first, self._trusting))

    async def close(self) -> None:
        """Forget the authorities; nothing is open."""
        self._verifying.clear()


def _stamp(ca: Path | None) -> object:
    if ca is None:
        return None
    try:
        return ca.stat().st_mtime_ns
    except OSError as error:
        raise Refused(f"ca: {ca} cannot be read ({error.strerror}); name a PEM file") from error
