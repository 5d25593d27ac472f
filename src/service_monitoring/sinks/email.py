"""The kind `email`: a notice as a message, handed to one SMTP server.

Knows SMTP and what its answers mean for a notice. A message is the same bytes in every attempt: its date is that of the
decision, its `Message-ID` comes from the notice's key, and the thread's key makes all messages of one incident a thread
in the reader's mailbox. The server is the operator's own and named once, so the policy for the addresses of probes and
webhooks does not apply to it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Annotated, Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPHeloError,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from service_monitoring.domain.instants import SECOND, Instant, in_seconds
from service_monitoring.domain.notices import Facts, Notice
from service_monitoring.errors import Refused
from service_monitoring.ports import (
    Accepted,
    Answer,
    Deadline,
    Later,
    Message,
    Rejected,
    Surroundings,
    Uncertain,
)
from service_monitoring.settings import InvalidValue, Redactor, Secret
from service_monitoring.sinks.names import BlockingNames
from service_monitoring.views.wording import Article, article, one_line

_ADDRESS: Final = re.compile(r"[!#-'*+/-9=?A-Z^_`a-z{-~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_LONGEST_SUBJECT: Final = 200
# Keys are long words: folded at 78 columns they would be encoded, and no reader would find the thread again.
_WIRE: Final = SMTP_POLICY.clone(max_line_length=998, cte_type="7bit")
_FAREWELL: Final = 1.0


def _checked_address(given: str) -> str:
    local = given.partition("@")[0]
    if not _ADDRESS.match(given) or ".." in given or local.startswith(".") or local.endswith("."):
        raise InvalidValue(f"{given!r} is not an address of mail", "write name@example.com")
    return given


Mailbox = Annotated[str, AfterValidator(_checked_address)]


class Server(BaseModel):
    """The `smtp` block: which server takes the messages.

    `tls: auto` encrypts where the server offers it, and insists on it (with a certificate that can be verified) where
    there is a password to protect.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_.:-]+$")
    port: int = Field(25, ge=1, le=65535)
    sender: Mailbox = Field(alias="from")
    username: str | None = Field(None, pattern=r"^[^\x00-\x1f\x7f]+$")
    password: Secret | None = None
    tls: Literal["auto", "starttls", "implicit", "none"] = "auto"

    @model_validator(mode="after")
    def _whole(self) -> Server:
        if (self.username is None) is not (self.password is None):
            raise InvalidValue("username and password go together", "give both, or neither")
        return self


class Options(BaseModel):
    """Keys of a channel of this kind. `smtp` stands in for the block of that name of the whole configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    email: Mailbox = Field(description="the address that notices are sent to")
    smtp: Server | None = None


class Kind:
    """Opens sinks. Belongs to one loop."""

    name = "email"
    options = Options

    def __init__(self) -> None:
        self._names: BlockingNames | None = None

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Email:
        """A sink for one mailbox; opens no connection yet. `Refused` where no server is known."""
        server = options.smtp or _shared(surroundings)
        if server is None:
            raise Refused(f"mail to {options.email} needs a server: write smtp: {{host: ..., from: ...}}")
        if self._names is None:
            self._names = BlockingNames()
        return Email(options.email, server, self._names, surroundings)

    async def close(self) -> None:
        """Let the threads end that resolve names. Connections are closed by the sends that opened them."""
        if self._names is not None:
            self._names.close()
        self._names = None


def _shared(surroundings: Surroundings) -> Server | None:
    """The `smtp` block of the whole configuration; `Refused` where it cannot work."""
    block = surroundings.shared.get("smtp")
    if block is None or isinstance(block, Server):
        return block
    try:
        return Server.model_validate(block, from_attributes=True, by_name=True)
    except ValidationError as error:
        raise Refused(
            "; ".join(f"smtp.{_place(problem['loc'])}: {problem['msg']}" for problem in error.errors())
        ) from None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join("from" if step == "sender" else str(step) for step in location)


@dataclass(slots=True)
class _Attempt:
    sent: bool = False


class Email:
    """A `ports.Sink` for one mailbox: a connection for each message.

    Several sends may run at once; one that is cancelled drops its connection.
    """

    def __init__(self, mailbox: str, server: Server, names: BlockingNames, surroundings: Surroundings) -> None:
        self._mailbox = mailbox
        self._template = surroundings.template
        self._server = server
        self._names = names
        self._clock = surroundings.clock
        self._links = surroundings.links
        self._domain = server.sender.partition("@")[2]
        self._redact = Redactor(() if server.password is None else (server.password,))

    def render(self, notice: Notice) -> Message:
        """Plain text: the summary, then the facts, one a line; or the text of the channel's template alone.

        Below it stands what may be done about the notice.
        """
        said = article(notice, self._template)
        thread = f"<{notice.thread}@{self._domain}>"
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=one_line(said.headline)[:_LONGEST_SUBJECT],
            body=(f"{said.text}\n" if said.complete else _text(notice.facts, said))
            + _offers(self._links(notice, notice.channel)),
            headers=(
                ("From", self._server.sender),
                ("To", self._mailbox),
                ("Date", format_datetime(_moment(notice.decided_at))),
                ("Message-ID", f"<{notice.key}@{self._domain}>"),
                ("In-Reply-To", thread),
                ("References", thread),
                ("Auto-Submitted", "auto-generated"),
            ),
            degraded=said.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One conversation: 4xx is later, 5xx never, and silence after the last dot is uncertain."""
        attempt = _Attempt()
        remaining = in_seconds(deadline.remaining(self._clock.tick()))
        try:
            async with asyncio.timeout(remaining):
                return await self._conversation(self._bytes(message), attempt)
        except SMTPResponseException as error:
            return self._refused(error, attempt)
        except (TimeoutError, SMTPTimeoutError):
            return _unanswered(attempt, f"{'no answer' if attempt.sent else 'not accepted'} within {remaining:.3g} s")
        except (SMTPServerDisconnected, OSError) as error:
            return _unanswered(attempt, self._told(error))
        except (SMTPException, ValueError) as error:
            # What the server cannot do (encrypt, log in), or what cannot be written in a message.
            return Uncertain(self._told(error)) if attempt.sent else Rejected(self._told(error))

    async def _conversation(self, content: bytes, attempt: _Attempt) -> Answer:
        server = self._server
        # Without a password `auto` takes whatever encrypts: a listener who can forge can also strip STARTTLS.
        trusting = server.tls == "auto" and server.password is None
        context = None if server.tls == "none" else await self._names.run(lambda: _context(trusting=trusting))
        connection = await self._connected()
        # From here on the library owns the connection: what follows does not wait before it has taken it over.
        client = SMTP(
            hostname=server.host,
            sock=connection,
            local_hostname=self._domain,
            timeout=None,
            use_tls=server.tls == "implicit",
            start_tls=False,
            tls_context=context,
        )
        try:
            await client.connect()
            await self._secured(client)
            await client.mail(server.sender)
            await client.rcpt(self._mailbox)
            attempt.sent = True
            accepted = await client.data(content)
            await _farewell(client)
        finally:
            # Closing alone would wait for the other side to take what is still to be written.
            transport = client.transport
            client.close()
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        return Accepted(one_line(f"{accepted.code} {accepted.message}")[:300])

    async def _secured(self, client: SMTP) -> None:
        """Encrypt and log in, as far as configured. Not left to the library's `connect`, which then closes politely."""
        server = self._server
        if server.tls == "starttls" or (server.tls == "auto" and server.password is not None):
            await client.starttls()
        elif server.tls == "auto":
            with suppress(SMTPHeloError):  # a server that knows HELO alone is greeted so by the next command
                await client.ehlo()
            if client.supports_extension("starttls"):
                await client.starttls()
        if server.username is not None and server.password is not None:
            await client.login(server.username, server.password.reveal())

    async def _connected(self) -> socket.socket:
        """A connection to the first address that takes one; each gets an equal share of a short time."""
        loop = asyncio.get_running_loop()
        addresses = await self._names.addresses(self._server.host, self._server.port)
        problems = []
        for number, address in enumerate(addresses, start=1):
            connection = socket.socket(address.family, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                async with asyncio.timeout(None if number == len(addresses) else 4.0 / len(addresses)):
                    await loop.sock_connect(connection, address.sockaddr)
            except OSError as error:  # a timeout is one of them
                connection.close()
                problems.append(f"{address.host}: {error.strerror or 'no answer'}")
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise OSError(f"cannot connect to {self._server.host} port {self._server.port} ({', '.join(problems)})")

    def _bytes(self, message: Message) -> bytes:
        """The message on the wire. Its policy refuses line breaks in headers, whoever wrote them."""
        mail = EmailMessage(policy=_WIRE)
        headers = dict(message.headers)
        headers.setdefault("From", self._server.sender)
        headers.setdefault("To", self._mailbox)
        headers.setdefault("Message-ID", f"<{message.key}@{self._domain}>")
        for name, value in headers.items():
            mail[name] = Address(addr_spec=value) if name in {"From", "To"} else value
        mail["Subject"] = one_line(message.subject)
        mail.set_content(message.body.encode("utf-8", "replace").decode())
        return mail.as_bytes()

    def _refused(self, error: SMTPResponseException, attempt: _Attempt) -> Answer:
        said = one_line(self._redact(f"{error.code} {error.message}"))[:300]
        if 400 <= error.code < 500:
            return Later(said)
        if 500 <= error.code < 600:
            return Rejected(said)
        return _unanswered(attempt, said)

    def _told(self, error: Exception) -> str:
        cause = error.__cause__ or error  # the library wraps what the socket said
        return one_line(self._redact(f"{type(cause).__name__}: {cause}"))[:300]


def _unanswered(attempt: _Attempt, said: str) -> Answer:
    return Uncertain(said) if attempt.sent else Later(said)


def _context(*, trusting: bool) -> ssl.SSLContext:
    """Reads the certificates that this machine trusts, which blocks."""
    context = ssl.create_default_context()
    if trusting:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _farewell(client: SMTP) -> None:
    """Say goodbye, briefly: the message is accepted whatever happens to the QUIT."""
    try:
        async with asyncio.timeout(_FAREWELL):
            await client.quit()
    except (SMTPException, OSError):
        pass


def _text(facts: Facts, words: Article) -> str:
    evidence = facts.evidence
    why = ": ".join(part for part in (str(evidence.reason or ""), evidence.detail[:2000]) if part)
    lines = [
        ("Service", facts.service),
        ("Rule", facts.rule),
        ("Severity", facts.severity.value if facts.incident else ""),
        ("State", facts.state),
        ("Series", str(facts.series) if facts.series is not None else ""),
        ("Value", "" if evidence.value is None else f"{evidence.value:.6g}"),
        ("Reason", why),
        ("Breached", _readable(facts.breached_at)),
        ("Opened", _readable(facts.opened_at)),
        ("Ended", _readable(facts.ended_at)),
        ("Labels", ", ".join(f"{name}={value}" for name, value in facts.labels)),
        ("Runbook", words.runbook),
        ("Incident", facts.incident),
        (
            "Note",
            f"the text of this notice could not be made as configured ({words.degraded})" if words.degraded else "",
        ),
    ]
    said = "\n".join(f"{name + ':':<10} {one_line(value)}" for name, value in lines if value)
    return f"{words.text}\n\n{said}\n" if said else f"{words.text}\n"


def _offers(links: Sequence[tuple[str, str]]) -> str:
    """Links for whoever reads the message, each on a line of its own: some programs break others."""
    return "".join(f"\n{what.capitalize()}:\n{url}\n" for what, url in links)


def _moment(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant.ns // SECOND, UTC)


def _readable(instant: Instant | None) -> str:
    return "" if instant is None else f"{_moment(instant):%Y-%m-%d %H:%M:%S} UTC"
