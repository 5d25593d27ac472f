"""Mail against a real SMTP server: what its answers mean, and what arrives in the mailbox."""

from __future__ import annotations

import email
import email.policy
import re
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
import trustme
from aiosmtpd.smtp import AuthResult
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service_monitoring.domain.notices import Facts, Page
from service_monitoring.domain.samples import Reason
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.errors import Refused
from service_monitoring.ports import (
    NO_TEMPLATE,
    Accepted,
    Answer,
    Later,
    Message,
    Rejected,
    Surroundings,
    Template,
    Uncertain,
)
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks import mail
from service_monitoring.sinks.email import Email, Kind, Options
from service_monitoring.testing.sink_laws import (
    SHORT,
    Behaviour,
    FarSide,
    NetworkSinkLaws,
    a_deadline,
    a_notice,
)
from service_monitoring.views.wording import article
from service_monitoring.wire.links import Signer
from tests.sinks.servers import Served, SmtpServer, free_port

WORLD = Surroundings(SystemClock(), AddressPolicy())


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer().listening() as server:
        yield server


def a_sink(
    kind: Kind,
    port: int,
    *,
    to: Any = "desk@example.com",
    unsubscribe: Any = None,
    template: Template = NO_TEMPLATE,
    **smtp: Any,
) -> Email:
    block = {"host": "127.0.0.1", "port": port, "from": "monitoring@example.com", **smtp}
    options = Options.model_validate({"email": to, "smtp": block, "unsubscribe": unsubscribe})
    return kind.open_sink(options, surroundings=msgspec.structs.replace(WORLD, template=template))


async def answer_to(sink: Email) -> Answer:
    return await sink.send(sink.render(a_notice()), a_deadline())


def arrived(server: SmtpServer, number: int = 0) -> EmailMessage:
    mail = email.message_from_bytes(server.received[number].content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def part(server: SmtpServer, kind: str, number: int = 0) -> str:
    found = arrived(server, number).get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def body(server: SmtpServer, number: int = 0) -> str:
    return part(server, "plain", number)


class TestLaws(NetworkSinkLaws):
    @pytest.fixture
    async def far_side(self, kind: Kind, server: SmtpServer) -> FarSide:
        return Served(server, a_sink(kind, server.port), a_sink(kind, free_port()))


async def test_what_may_be_done_stands_below_the_facts_a_link_on_a_line(kind: Kind, server: SmtpServer) -> None:
    signer = Signer(b"k" * 64, "https://monitor.example.com")
    block = {"host": "127.0.0.1", "port": server.port, "from": "monitoring@example.com"}
    options = Options.model_validate({"email": "desk@example.com", "smtp": block})
    sink = kind.open_sink(options, surroundings=Surroundings(SystemClock(), AddressPolicy(), links=signer.links))
    message = sink.render(a_notice())
    assert sink.render(a_notice()) == message
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    (_, acknowledge), (_, resolve) = signer.links(a_notice(), "ops")
    assert body(server).splitlines()[-6:] == ["", "Acknowledge:", acknowledge, "", "Resolve:", resolve]


async def test_what_arrives_can_be_read_sorted_and_threaded(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    page, recovery = a_notice(page=Page.FIRST), a_notice(page=Page.RECOVERED)
    await sink.send(sink.render(page), a_deadline())
    await sink.send(sink.render(recovery), a_deadline())
    first, second = arrived(server, 0), arrived(server, 1)
    assert first["Subject"] == "[critical] shop.down: shop is down: timeout"
    assert (first["From"], first["To"]) == ("monitoring@example.com", "desk@example.com")
    assert first["Date"] == "Mon, 05 Jan 2026 09:00:15 +0000"
    assert first["Message-ID"] == f"<{page.key}@example.com>"
    assert first["References"] == first["In-Reply-To"] == second["References"] == f"<{page.thread}@example.com>"
    assert first["Message-ID"] != second["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated"
    assert second["Subject"].startswith("[recovered] shop.down")
    assert body(server).splitlines() == [
        "shop is down: timeout",
        "",
        "Service:   shop",
        "Rule:      down",
        "Severity:  critical",
        "State:     open",
        'Series:    shop/health/up{zone="a"}',
        "Value:     0",
        "Reason:    timeout: no answer within 2 s",
        "Breached:  2026-01-05 09:00:00 UTC",
        "Opened:    2026-01-05 09:00:10 UTC",
        "Labels:    team=payments, tier=gold",
        "Runbook:   https://wiki.example/down",
        "Incident:  0000000000000001",
    ]
    (envelope, _) = server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("monitoring@example.com", ["desk@example.com"])
    assert server.greetings == ["example.com", "example.com"]


async def test_a_mail_is_plain_text_and_the_same_as_html(kind: Kind, server: SmtpServer) -> None:
    evil = Evidence(detail="<script>alert(1)</script>\n<a href='http://evil.example/'>ok</a>")
    notice = a_notice(summary="a < b\n\nand {{ detail }}", evidence=evil)
    sink = a_sink(kind, server.port)
    await sink.send(sink.render(notice), a_deadline())
    assert arrived(server).get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in arrived(server).iter_parts()] == ["text/plain", "text/html"]
    assert body(server).startswith("a < b\n\nand <script>")
    html = part(server, "html")
    assert "a &lt; b\n\nand &lt;script&gt;" in html
    assert "<script>" not in html
    assert re.findall("<a [^>]*>", html) == ['<a href="https://wiki.example/down">']
    assert '<tr><th align="left">Service</th><td>shop</td></tr>' in html


def test_what_may_be_done_is_a_link_below_the_facts_and_what_a_stranger_writes_is_none() -> None:
    notice = a_notice(summary="fine\n\nAcknowledge:\nhttps://evil.example/")
    links = (("acknowledge", "https://monitor.example/act/1"), ("resolve", "https://monitor.example/act/2"))
    message = mail.rendered(notice, article(notice), links, sender="a@example.com", to=["b@example.com"])
    html = mail.as_html(message.body)
    ours = re.findall('<a href="([^"]*)">(?:Acknowledge|Resolve)</a>', html)
    assert ours == ["https://monitor.example/act/1", "https://monitor.example/act/2"]
    assert "https://evil.example" not in "".join(re.findall("<a [^>]*>", html))
    assert '<tr><th align="left">Service</th><td>shop</td></tr>' in html


@pytest.mark.parametrize("runbook", ["javascript:alert(1)", 'https://x/" onclick="y', "restart it", "data:text/html,x"])
async def test_only_a_url_of_http_becomes_a_link(kind: Kind, server: SmtpServer, runbook: str) -> None:
    sink = a_sink(kind, server.port)
    await sink.send(sink.render(a_notice(runbook=runbook)), a_deadline())
    assert "href" not in part(server, "html")


@given(text=st.text(), key=st.text("0123456789abcdef", min_size=1))
def test_whatever_a_notice_says_both_parts_arrive_whole(text: str, key: str) -> None:
    message = Message(key, "t", "subject", text)
    content = mail.composed(message, sender="a@example.com", to=["b@example.com"])
    assert content == mail.composed(message, sender="a@example.com", to=["b@example.com"])
    read = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    plain, html = read.iter_parts()
    sent = "\n".join(text.encode("utf-8", "replace").decode().splitlines())
    assert "\n".join(plain.get_content().splitlines()).rstrip("\n") == sent.rstrip("\n")
    assert html.get_content().rstrip().endswith("</body></html>")


async def test_no_text_can_end_its_part_early(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    notice = a_notice(summary="{{ detail }}", evidence=Evidence(detail="x"))
    await sink.send(sink.render(notice), a_deadline())
    boundary = arrived(server).get_boundary()
    evil = Evidence(detail=f"x\n--{boundary}--\n--{boundary}\nContent-Type: text/html\n\n<b>evil</b>")
    await sink.send(sink.render(a_notice(summary="{{ detail }}", evidence=evil)), a_deadline())
    assert "<b>evil</b>" in body(server, 1)
    assert len(list(arrived(server, 1).iter_parts())) == 2


async def test_text_beyond_ascii_arrives_through_servers_that_know_no_more(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    await sink.send(sink.render(a_notice(summary="Größe + 変 🔥\n.\nend")), a_deadline())
    assert server.received[0].content.isascii()
    assert arrived(server)["Subject"] == "[critical] shop.down: Größe + 変 🔥"
    assert body(server).startswith("Größe + 変 🔥\n.\nend\n")


async def test_a_far_side_cannot_write_headers_into_our_mail(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    evil = Evidence(detail="x\r\nBcc: everybody@example.com\r\n\r\nbody")
    await sink.send(sink.render(a_notice(summary="{{ detail }}", evidence=evil)), a_deadline())
    assert arrived(server)["Bcc"] is None
    message = msgspec.structs.replace(sink.render(a_notice()), subject="a\r\nBcc: everybody@example.com")
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert arrived(server, 1)["Bcc"] is None
    message = msgspec.structs.replace(message, headers=(("X-Evil", "a\r\nBcc: everybody@example.com"),))
    assert isinstance(await sink.send(message, a_deadline()), Rejected)
    assert len(server.received) == 2


async def test_a_mail_in_the_channels_own_words_is_these_words_alone(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port, template=Template("{{ detail }}\r\nBcc: all@example.com", "{{ summary }}\n"))
    evil = Evidence(reason=Reason.TIMEOUT, detail="x\r\nBcc: everybody@example.com\r\n\r\nbody")
    assert isinstance(await sink.send(sink.render(a_notice(evidence=evil)), a_deadline()), Accepted)
    mail = arrived(server)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "x Bcc: everybody@example.com  body Bcc: all@example.com"
    assert body(server) == "shop is down: timeout\n"


async def test_a_message_of_the_builtin_text_can_be_sent_too(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    assert isinstance(await sink.send(Message("k1", "t1", "subject", "plain text"), a_deadline()), Accepted)
    assert arrived(server)["Message-ID"] == "<k1@example.com>"
    assert arrived(server)["To"] == "desk@example.com"


async def test_a_text_that_could_not_be_made_as_configured_says_so(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    await sink.send(sink.render(a_notice(summary="{{ nope }}")), a_deadline())
    assert "could not be made as configured (summary: 'nope' is undefined)" in body(server)


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("said", "expected"),
    [("451 greylisted", Later), ("421 shutting down", Later), ("550 never", Rejected), ("554 spam", Rejected)],
)
async def test_four_hundreds_are_later_and_five_hundreds_are_never(
    kind: Kind, server: SmtpServer, command: str, said: str, expected: type[Answer]
) -> None:
    server.refuse = {command: said}
    answer = await answer_to(a_sink(kind, server.port))
    assert type(answer) is expected
    assert answer.detail == said


async def test_greylisted_it_arrives_once_when_it_comes_back_with_the_same_id(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    message = sink.render(a_notice())
    server.behaviour = Behaviour.NOT_NOW
    assert isinstance(await sink.send(message, a_deadline()), Later)
    server.behaviour = Behaviour.ACCEPT
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert [received.key for received in server.received] == [message.key]


async def test_dropped_before_the_final_answer_it_comes_again_with_the_same_id(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port)
    message = sink.render(a_notice())
    server.behaviour = Behaviour.RESET
    assert isinstance(await sink.send(message, a_deadline()), Uncertain)
    server.behaviour = Behaviour.ACCEPT
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    first, second = server.received
    assert first == second


BOTH = ["ada@example.com", "bob@example.com"]


async def test_one_message_goes_to_several_mailboxes(kind: Kind, server: SmtpServer) -> None:
    assert isinstance(await answer_to(a_sink(kind, server.port, to=BOTH)), Accepted)
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [BOTH]
    assert arrived(server)["To"] == "ada@example.com, bob@example.com"


async def test_only_the_mailbox_that_was_put_off_is_tried_again(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port, to=BOTH)
    message = sink.render(a_notice())
    server.refuse = {"RCPT bob@example.com": "451 greylisted"}
    assert await sink.send(message, a_deadline()) == Later("bob@example.com: 451 greylisted")
    assert await sink.send(message, a_deadline()) == Later("bob@example.com: 451 greylisted")
    server.refuse = {}
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["ada@example.com"], ["bob@example.com"]]
    first, second = server.received
    assert first == second


async def test_a_mailbox_that_was_refused_is_told_and_the_other_has_the_message(kind: Kind, server: SmtpServer) -> None:
    server.refuse = {"RCPT bob@example.com": "550 no such user"}
    assert await answer_to(a_sink(kind, server.port, to=BOTH)) == Rejected("bob@example.com: 550 no such user")
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["ada@example.com"]]


async def test_a_refused_mailbox_is_still_told_when_the_others_have_the_message(kind: Kind, server: SmtpServer) -> None:
    sink = a_sink(kind, server.port, to=BOTH)
    message = sink.render(a_notice())
    server.refuse = {"RCPT ada@example.com": "550 no such user", "RCPT bob@example.com": "452 too many recipients"}
    assert isinstance(await sink.send(message, a_deadline()), Later)
    server.refuse = {}
    assert await sink.send(message, a_deadline()) == Rejected("ada@example.com: 550 no such user")
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["bob@example.com"]]


async def test_dropped_before_the_final_answer_only_those_are_uncertain_who_were_to_get_it(
    kind: Kind, server: SmtpServer
) -> None:
    sink = a_sink(kind, server.port, to=BOTH)
    message = sink.render(a_notice())
    server.refuse = {"RCPT ada@example.com": "550 no such user"}
    server.behaviour = Behaviour.RESET
    answer = await sink.send(message, a_deadline())
    assert isinstance(answer, Uncertain)
    assert "550 no such user" in answer.detail
    server.refuse, server.behaviour = {}, Behaviour.ACCEPT
    assert await sink.send(message, a_deadline()) == Rejected("ada@example.com: 550 no such user")
    assert [envelope.rcpt_tos for envelope in server.envelopes] == [["bob@example.com"]] * 2


async def test_a_server_that_closes_is_asked_for_no_further_mailbox(kind: Kind, server: SmtpServer) -> None:
    server.refuse = {"RCPT ada@example.com": "421 shutting down"}
    assert isinstance(await answer_to(a_sink(kind, server.port, to=BOTH)), Later)
    assert server.envelopes == []


async def test_a_text_that_is_refused_is_refused_for_all(kind: Kind, server: SmtpServer) -> None:
    server.refuse = {"DATA": "554 spam"}
    answer = await answer_to(a_sink(kind, server.port, to=BOTH))
    assert answer == Rejected("ada@example.com: 554 spam; bob@example.com: 554 spam")


async def test_a_way_to_unsubscribe_is_offered_only_where_one_is_configured(kind: Kind, server: SmtpServer) -> None:
    await answer_to(a_sink(kind, server.port))
    assert arrived(server)["List-Unsubscribe"] is None
    page = "https://lists.example.com/out?" + "x" * 200
    await answer_to(a_sink(kind, server.port, unsubscribe={"address": "out@example.com", "page": page}))
    assert arrived(server, 1)["List-Unsubscribe"] == f"<mailto:out@example.com>, <{page}>"
    assert arrived(server, 1)["List-Unsubscribe-Post"] is None
    await answer_to(a_sink(kind, server.port, unsubscribe={"page": page, "one_click": True}))
    assert arrived(server, 2)["List-Unsubscribe"] == f"<{page}>"
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in server.received[2].content


@pytest.mark.parametrize(
    "unsubscribe",
    [
        {},
        {"address": "nobody"},
        {"address": "out@example.com", "one_click": True},
        {"page": "http://lists.example.com/", "one_click": True},
        {"page": "https://lists.example.com/>, <https://evil.example/"},
        {"page": "https://lists.example.com/\r\nBcc: everybody@example.com"},
        {"page": "https://größe.example.com/"},
        {"page": "javascript:alert(1)"},
    ],
)
def test_a_way_to_unsubscribe_that_cannot_work_is_refused(unsubscribe: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"email": "desk@example.com", "unsubscribe": unsubscribe})


async def test_a_server_that_hangs_before_it_has_the_text_is_later(kind: Kind, server: SmtpServer) -> None:
    server.behaviour = Behaviour.HANG
    sink = a_sink(kind, server.port)
    answer = await sink.send(sink.render(a_notice()), a_deadline(SHORT))
    assert answer == Later("not accepted within 0.05 s")


def _authenticator(*_: Any) -> Any:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"monitoring", b"s3cret"), handled=False)

    return check


async def test_a_password_is_never_sent_unencrypted(kind: Kind) -> None:
    async with SmtpServer().listening() as server:
        answer = await answer_to(a_sink(kind, server.port, username="monitoring", password="s3cret"))
    assert isinstance(answer, Rejected), answer
    assert "STARTTLS" in answer.detail
    assert server.received == []


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def _certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_with_a_password_it_logs_in_over_verified_encryption(
    kind: Kind, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with SmtpServer(authenticator=_authenticator(), tls=_certified(authority)).listening() as server:
        sink = a_sink(kind, server.port, username="monitoring", password="s3cret")
        assert isinstance(await answer_to(sink), Later)  # nobody vouches for the certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert isinstance(await answer_to(sink), Accepted)
        wrong = await answer_to(a_sink(kind, server.port, username="monitoring", password="wr0ng"))
    assert isinstance(wrong, Rejected)
    assert "wr0ng" not in wrong.detail
    assert len(server.received) == 1


async def test_without_a_password_whatever_encrypts_is_taken(kind: Kind, authority: trustme.CA) -> None:
    async with SmtpServer(tls=_certified(authority)).listening() as server:
        assert isinstance(await answer_to(a_sink(kind, server.port)), Accepted)
        assert isinstance(await answer_to(a_sink(kind, server.port, tls="none")), Accepted)
        assert isinstance(await answer_to(a_sink(kind, server.port, tls="starttls")), Later)


async def test_a_server_that_cannot_encrypt_is_refused_where_encryption_is_asked_for(
    kind: Kind, server: SmtpServer
) -> None:
    assert isinstance(await answer_to(a_sink(kind, server.port, tls="starttls")), Rejected)


async def test_the_server_is_that_of_the_whole_configuration_unless_a_channel_names_one(
    kind: Kind, server: SmtpServer
) -> None:
    class Block:
        host, port, sender, username, password, tls = "127.0.0.1", server.port, "a@example.com", None, None, "auto"

    world = Surroundings(SystemClock(), AddressPolicy(), {"smtp": Block()})
    sink = kind.open_sink(Options(email=("desk@example.com",)), surroundings=world)
    assert isinstance(await answer_to(sink), Accepted)
    assert arrived(server)["From"] == "a@example.com"


def test_without_any_server_a_mailbox_is_refused() -> None:
    with pytest.raises(Refused, match="write smtp"):
        Kind().open_sink(Options(email=("desk@example.com",)), surroundings=WORLD)


def test_a_block_that_cannot_work_is_refused_by_its_key() -> None:
    class Block:
        host, port, sender, username, password, tls = "h", 25, "not an address", None, None, "auto"

    world = Surroundings(SystemClock(), AddressPolicy(), {"smtp": Block()})
    with pytest.raises(Refused, match=r"smtp\.from"):
        Kind().open_sink(Options(email=("desk@example.com",)), surroundings=world)


@pytest.mark.parametrize(
    "address",
    ["", "desk", "desk@", "@example.com", "a@b\r\nRCPT TO:<c@d>", "a b@example.com", "a@exa mple.com", "<a@b.c>",
     "a@b@c", ".a@example.com", "a..b@example.com", "größe@example.com", "a@example.com, b@example.com",
     "a@example.com\n"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"email": address})


@pytest.mark.parametrize("mailboxes", [[], ["a@example.com", "a@example.com"], ["a@example.com", "b"], [5]])
def test_a_list_of_mailboxes_that_cannot_work_is_refused(mailboxes: list[object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"email": mailboxes})


@pytest.mark.parametrize(
    "smtp",
    [
        {"host": "h"},
        {"host": "", "from": "a@b.c"},
        {"host": "h\r\n", "from": "a@b.c"},
        {"host": "h", "from": "a@b.c", "port": 0},
        {"host": "h", "from": "a@b.c", "username": "u"},
        {"host": "h", "from": "a@b.c", "password": "p"},
        {"host": "h", "from": "a@b.c", "username": "u\n", "password": "p"},
        {"host": "h", "from": "a@b.c", "tls": "yes"},
    ],
)
def test_a_server_that_cannot_work_is_refused(smtp: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"email": "desk@example.com", "smtp": smtp})


def test_a_notice_to_the_owners_is_short() -> None:
    options = Options.model_validate({"email": "desk@example.com", "smtp": {"host": "h", "from": "a@b.c"}})
    sink = Kind().open_sink(options, surroundings=WORLD)
    told = msgspec.structs.replace(a_notice(page=Page.OWNER), facts=Facts(summary="ops refused a notice"))
    message = sink.render(told)
    assert (message.subject, message.body) == ("[monitor] ops refused a notice", "ops refused a notice\n")
