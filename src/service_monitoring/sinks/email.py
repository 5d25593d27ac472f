"""The kind `email`: a notice as a message, handed to one SMTP server.

Knows SMTP and what its answers mean for a notice; `mail` knows how a message is written. A server answers for each
mailbox: one that took the message or refused it for good is not asked again when the others are. Who that is, is
remembered here and not in the store: after a start a mailbox may get the message again, with the same `Message-ID`.
The server is the operator's own and named once, so the policy for the addresses of probes and webhooks does not apply.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)
from msgspec.structs import replace
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from service_monitoring.domain.instants import in_seconds
from service_monitoring.domain.notices import Notice
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
from service_monitoring.sinks import mail
from service_monitoring.sinks.addressing import checked_url
from service_monitoring.sinks.names import BlockingNames
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import article

_ADDRESS: Final = re.compile(r"[!#-'*+/-9=?A-Z^_`a-z{-~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_MOST_MAILBOXES: Final = 50
_REMEMBERED: Final = 1000
_FAREWELL: Final = 1.0
_CLOSING: Final = 421


def _checked_address(given: str) -> str:
    local = given.partition("@")[0]
    if not _ADDRESS.match(given) or ".." in given or local.startswith(".") or local.endswith("."):
        raise InvalidValue(f"{given!r} is not an address of mail", "write name@example.com")
    return given


Mailbox = Annotated[str, AfterValidator(_checked_address)]


def _several(given: object) -> object:
    return (given,) if isinstance(given, str) else given


def _once_each(mailboxes: tuple[str, ...]) -> tuple[str, ...]:
    for mailbox in mailboxes:
        if mailboxes.count(mailbox) > 1:
            raise InvalidValue(f"{mailbox} is there twice", "name each mailbox once")
    return mailboxes


Mailboxes = Annotated[
    tuple[Mailbox, ...],
    BeforeValidator(_several),
    AfterValidator(_once_each),
    Field(min_length=1, max_length=_MOST_MAILBOXES),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST_MAILBOXES},
            ]
        }
    ),
]


def _checked_page(given: str) -> str:
    if not given.isascii() or any(character in given for character in "<>,") or len(given) > 500:
        raise InvalidValue("this URL cannot stand in a header", "write https://host/path, in ASCII, without < > and ,")
    return checked_url(given)


class Unsubscribe(BaseModel):
    """The `unsubscribe` block: `List-Unsubscribe` (RFC 2369), and with `one_click` its POST (RFC 8058).

    Who answers the mail or the request is yours to run: here it is only named. One click needs a page of https, and
    readers act on it only where your server signs both headers with DKIM.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Mailbox | None = Field(None, description="a mail to it unsubscribes")
    page: Annotated[str, AfterValidator(_checked_page)] | None = Field(None, description="a page to unsubscribe on")
    one_click: bool = Field(False, description="true: the page also unsubscribes by a POST without a question")

    @model_validator(mode="after")
    def _whole(self) -> Unsubscribe:
        if self.address is None and self.page is None:
            raise InvalidValue("unsubscribe names nothing", "write address: or page:, or leave it out")
        if self.one_click and not (self.page or "").lower().startswith("https://"):
            raise InvalidValue("one_click needs a page of https", "write page: https://host/path, or leave it out")
        return self

    def headers(self) -> tuple[tuple[str, str], ...]:
        """As they go along with every message."""
        ways = [f"<mailto:{self.address}>"] if self.address is not None else []
        ways += [f"<{self.page}>"] if self.page is not None else []
        listed = (("List-Unsubscribe", ", ".join(ways)),)
        return (*listed, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")) if self.one_click else listed


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

    email: Mailboxes = Field(description="the address that notices are sent to, or a list of them")
    smtp: Server | None = None
    unsubscribe: Unsubscribe | None = None


class Kind:
    """Opens sinks. Belongs to one loop."""

    name = "email"
    options = Options

    def __init__(self) -> None:
        self._names: BlockingNames | None = None

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Email:
        """A sink for its mailboxes; opens no connection yet. `Refused` where no server is known."""
        server = options.smtp or _shared(surroundings)
        if server is None:
            raise Refused(f"mail to {', '.join(options.email)} needs a server: write smtp: {{host: ..., from: ...}}")
        if self._names is None:
            self._names = BlockingNames()
        return Email(options, server, self._names, surroundings)

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
    """Who is asked, what each mailbox was answered, and how far the rest came."""

    mailboxes: Sequence[str]
    answers: dict[str, Answer] = field(default_factory=dict)
    sent: bool = False

    @property
    def unanswered(self) -> list[str]:
        return [mailbox for mailbox in self.mailboxes if mailbox not in self.answers]


class Email:
    """A `ports.Sink` for one or several mailboxes: a connection for each attempt.

    Several sends may run at once; one that is cancelled drops its connection.
    """

    def __init__(self, options: Options, server: Server, names: BlockingNames, surroundings: Surroundings) -> None:
        self._template = surroundings.template
        self._mailboxes = options.email
        self._unsubscribe = options.unsubscribe.headers() if options.unsubscribe is not None else ()
        self._server = server
        self._names = names
        self._clock = surroundings.clock
        self._links = surroundings.links
        self._domain = server.sender.partition("@")[2]
        self._redact = Redactor(() if server.password is None else (server.password,))
        self._settled: OrderedDict[str, dict[str, Answer]] = OrderedDict()

    def render(self, notice: Notice) -> Message:
        """Plain text: the summary, the facts, one a line, and what may be done; or the text of the channel's template.

        The mail shows it as HTML, too.
        """
        links = self._links(notice, notice.channel)
        words = article(notice, self._template)
        message = mail.rendered(notice, words, links, sender=self._server.sender, to=self._mailboxes)
        return replace(message, headers=(*message.headers, *self._unsubscribe))

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One conversation: 4xx is later, 5xx never, and silence after the last dot is uncertain.

        Mailboxes that were answered for good in an earlier attempt are left out of this one.
        """
        settled = self._settled.get(message.key, {})
        attempt = _Attempt([mailbox for mailbox in self._mailboxes if mailbox not in settled])
        said = await self._attempted(message, attempt, in_seconds(deadline.remaining(self._clock.tick())))
        answers = settled | dict.fromkeys(attempt.unanswered, said) | attempt.answers
        self._remember(message.key, answers)
        return _together(answers)

    async def _attempted(self, message: Message, attempt: _Attempt, remaining: float) -> Answer:
        """What is true of all mailboxes that the server did not answer for one by one."""
        try:
            async with asyncio.timeout(remaining):
                content = mail.composed(message, sender=self._server.sender, to=self._mailboxes)
                return await self._conversation(content, attempt)
        except SMTPResponseException as error:
            return self._refused(error, sent=attempt.sent)
        except (TimeoutError, SMTPTimeoutError):
            what = "no answer" if attempt.sent else "not accepted"
            return _unanswered(f"{what} within {remaining:.3g} s", sent=attempt.sent)
        except (SMTPServerDisconnected, OSError) as error:
            return _unanswered(self._told(error), sent=attempt.sent)
        except (SMTPException, ValueError) as error:
            # What the server cannot do (encrypt, log in), or what cannot be written in a message.
            return Uncertain(self._told(error)) if attempt.sent else Rejected(self._told(error))

    def _remember(self, key: str, answers: Mapping[str, Answer]) -> None:
        self._settled.pop(key, None)
        final: dict[str, Answer] = {
            mailbox: answer for mailbox, answer in answers.items() if isinstance(answer, Accepted | Rejected)
        }
        if final and len(final) < len(answers):
            self._settled[key] = final
            if len(self._settled) > _REMEMBERED:
                self._settled.popitem(last=False)

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
            return await self._handed_over(client, content, attempt)
        finally:
            # Closing alone would wait for the other side to take what is still to be written.
            transport = client.transport
            client.close()
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()

    async def _handed_over(self, client: SMTP, content: bytes, attempt: _Attempt) -> Answer:
        await client.mail(self._server.sender)
        for mailbox in attempt.mailboxes:
            try:
                await client.rcpt(mailbox)
            except SMTPRecipientRefused as error:
                if error.code == _CLOSING:
                    raise
                attempt.answers[mailbox] = self._refused(error, sent=False)
        answer: Answer = Accepted()
        if attempt.unanswered:
            attempt.sent = True
            accepted = await client.data(content)
            answer = Accepted(one_line(f"{accepted.code} {accepted.message}")[:300])
            # What follows cannot take it back, not even the deadline.
            attempt.answers |= dict.fromkeys(attempt.unanswered, answer)
        await _farewell(client)
        return answer

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

    def _refused(self, error: SMTPResponseException, *, sent: bool) -> Answer:
        said = one_line(self._redact(f"{error.code} {error.message}"))[:300]
        if 400 <= error.code < 500:
            return Later(said)
        if 500 <= error.code < 600:
            return Rejected(said)
        return _unanswered(said, sent=sent)

    def _told(self, error: Exception) -> str:
        cause = error.__cause__ or error  # the library wraps what the socket said
        return one_line(self._redact(f"{type(cause).__name__}: {cause}"))[:300]


def _unanswered(said: str, *, sent: bool) -> Answer:
    return Uncertain(said) if sent else Later(said)


def _together(answers: Mapping[str, Answer]) -> Answer:
    """One answer for all mailboxes: as long as one may still get it, it goes on; then the worst is told."""
    if len(answers) == 1:
        return next(iter(answers.values()))
    for kind in (Uncertain, Later, Rejected):
        if any(isinstance(answer, kind) for answer in answers.values()):
            missing = (
                f"{mailbox}: {each.detail}" for mailbox, each in answers.items() if not isinstance(each, Accepted)
            )
            return kind("; ".join(missing)[:300])
    return next(iter(answers.values()))


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
