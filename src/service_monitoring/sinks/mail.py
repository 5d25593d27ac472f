"""Mail: a notice as a text for people, and a message as the bytes of a mail.

The bytes are the same in every attempt: the date is that of the decision, `Message-ID` and thread come from the keys,
and what separates the parts is derived from what they hold. Readers that show HTML get the same text as a table, made
from the plain one, so that the two cannot tell different stories. Knows MIME. Does not know who takes mail.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from html import escape
from typing import Final

from service_monitoring.domain.instants import SECOND, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Message
from service_monitoring.views.digests import foremost
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import Article

_LONGEST_SUBJECT: Final = 200
_NAMES: Final = (
    "Service", "Rule", "Severity", "State", "Series", "Value", "Reason", "Breached", "Opened", "Ended", "Labels",
    "Runbook", "Incident", "Note",
)  # fmt: skip
_ROW: Final = re.compile(rf"({'|'.join(_NAMES)}): +(.+)")
_LINK: Final = re.compile(r"https?://[^\s<>\"']+\Z")
# Keys are long words: folded at 78 columns they would be encoded, and no reader would find the thread again.
_WIRE: Final = SMTP_POLICY.clone(max_line_length=998, cte_type="7bit")


def rendered(
    notice: Notice, words: Article, links: Sequence[tuple[str, str]] = (), *, sender: str, to: Sequence[str]
) -> Message:
    """The message of a notice: the text, the facts, one a line, unless a template says all, and what may be done."""
    notice = foremost(notice)
    domain = sender.partition("@")[2]
    thread = f"<{notice.thread}@{domain}>"
    return Message(
        key=notice.key,
        thread=notice.thread,
        subject=one_line(words.headline)[:_LONGEST_SUBJECT],
        body=(f"{words.text}\n" if words.complete else text(notice, words)) + _offers(links),
        headers=(
            ("From", sender),
            ("To", ", ".join(to)),
            ("Date", format_datetime(_moment(notice.decided_at))),
            ("Message-ID", f"<{notice.key}@{domain}>"),
            ("In-Reply-To", thread),
            ("References", thread),
            ("Auto-Submitted", "auto-generated"),
        ),
        degraded=words.degraded,
    )


def composed(message: Message, *, sender: str, to: Sequence[str]) -> bytes:
    """The mail on the wire. Its policy refuses line breaks in headers, whoever wrote them."""
    mail = EmailMessage(policy=_WIRE)
    headers = dict(message.headers)
    headers.setdefault("From", sender)
    headers.setdefault("To", ", ".join(to))
    headers.setdefault("Message-ID", f"<{message.key}@{sender.partition('@')[2]}>")
    for name, value in headers.items():
        if name in {"From", "To"}:
            mail[name] = [Address(addr_spec=each) for each in value.split(", ")]
        else:
            mail[name] = value
    mail["Subject"] = one_line(message.subject)
    plain = message.body.encode("utf-8", "replace").decode()
    mail.set_content(plain)
    mail.add_alternative(as_html(plain), subtype="html")
    # Nobody can write a text that holds what is derived from it, so no part ends before its end.
    mail.set_boundary(hashlib.sha256(f"{message.key}\n{plain}".encode()).hexdigest()[:40])
    return mail.as_bytes()


def as_html(plain: str) -> str:
    """The same text as HTML: paragraphs, the facts as a table, and links. Only ours and a runbook become links."""
    blocks = plain.rstrip().split("\n\n")
    facts = next((place for place in reversed(range(1, len(blocks))) if _rows(blocks[place])), None)
    if facts is None:
        return _page(_paragraph(plain.rstrip()))
    rows = "".join(
        f'<tr><th align="left">{name}</th><td>{_cell(name, said)}</td></tr>\n' for name, said in _rows(blocks[facts])
    )
    offers = "".join(_offer(block) for block in blocks[facts + 1 :])
    return _page(_paragraph("\n\n".join(blocks[:facts])), f'<table cellpadding="4">\n{rows}</table>', offers)


def _rows(block: str) -> list[tuple[str, str]]:
    """Names and values where every line is a fact; nothing otherwise."""
    rows = [_ROW.fullmatch(line) for line in block.splitlines()]
    return [(row[1], row[2]) for row in rows if row is not None] if all(rows) else []


def _offer(block: str) -> str:
    what, _, url = block.strip().partition(":\n")
    if _LINK.match(url):
        return f'<p><a href="{escape(url)}">{escape(what)}</a></p>\n'
    return _paragraph(block.strip())


def _paragraph(said: str) -> str:
    return f'<p style="white-space: pre-wrap">{escape(said)}</p>\n'


def _page(*parts: str) -> str:
    return "<!DOCTYPE html>\n<html><body>\n" + "\n".join(part.rstrip() for part in parts if part) + "\n</body></html>\n"


def _cell(name: str, value: str) -> str:
    if name == "Runbook" and _LINK.match(value):
        return f'<a href="{escape(value)}">{escape(value)}</a>'
    return escape(value)


def text(notice: Notice, words: Article) -> str:
    """What the notice says, then what it is about."""
    facts = notice.facts
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
