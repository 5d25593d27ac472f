"""Chat: what the channels to chat systems share, from the words of a notice to the one request that posts them.

    class Slack(ChatSink):
        def write(self, words: Words) -> str: ...

All words are strangers' text: targets, commands and labels have a say in them. Here they lose what no screen can show;
each kind escapes what its own system would read as formatting or as a mention, and cuts at the limits that system
documents. Knows words and how to cut them. Does not know any chat system.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import NO_TEMPLATE, Answer, Deadline, Links, Message, Template, no_links
from service_monitoring.sinks.posting import NO_HEADERS, Judge, by_status
from service_monitoring.views.digests import counted, foremost, is_digest, is_over, shared, worst
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import Article, article

if TYPE_CHECKING:
    from service_monitoring.sinks.poster import Poster

JSON: Final = "application/json; charset=utf-8"
LONGEST_FACT: Final = 500
"""Characters of one fact: a far side may say much of itself."""
LONGEST_LINK: Final = 500
"""Characters of a runbook's URL."""
LONGEST_OFFER: Final = 2000
"""Characters of a link by which something may be done: it holds all that it permits."""

_ELLIPSIS: Final = "…"
_JOINER: Final = "\u2060"
_MENTION: Final = re.compile(r"(?<![0-9A-Za-z_])@(?=\w)|<(?=/?at\b)", re.IGNORECASE)
_LINK: Final = re.compile(r"https?://[!#-;=?-Z_a-z~\[\]]+\Z", re.ASCII)


class Words(Struct, frozen=True):
    """A notice in words, printable and not escaped. `title` is one line; so is the value of each fact.

    `link` is the runbook where that is a URL; where it is not, it is among the facts. `offers` are words and URLs of
    what may be done. Of several incidents, `severity` is the worst, and `page` is one of an end where nothing is left.
    """

    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()
    link: str = ""
    severity: Severity = Severity.WARNING
    page: Page = Page.FIRST
    offers: tuple[tuple[str, str], ...] = ()

    def listed(self) -> str:
        """The facts, one a line."""
        return "\n".join(f"{name}: {value}" for name, value in self.facts)


class ChatSink(ABC):
    """A `ports.Sink` that posts one text. Several sends may run at once; one that is cancelled closes its connection.

    A message that another wrote, as the built-in text is, is put into the form that this system takes.
    """

    content_type: ClassVar[str] = JSON

    def __init__(
        self,
        poster: Poster,
        to: URL,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        judge: Judge = by_status,
        template: Template = NO_TEMPLATE,
        links: Links = no_links,
    ) -> None:
        self._poster = poster
        self._template = template
        self._links = links
        self._to = to
        self._headers = headers
        self._judge = judge

    @abstractmethod
    def write(self, words: Words) -> str:
        """The body that says `words`. Pure."""

    def headers(self, words: Words, key: str) -> tuple[tuple[str, str], ...]:
        """What the headers say of it; nothing secret, and one line each. Pure."""
        return ()

    def render(self, notice: Notice) -> Message:
        """The notice in the form of this system, cut where it would be too long."""
        said = article(notice, self._template)
        words = words_of(notice, said, self._links(notice, notice.channel))
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=said.headline,
            body=self.write(words),
            content_type=self.content_type,
            headers=self.headers(words, notice.key),
            degraded=said.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One request."""
        if message.content_type != self.content_type:
            words = Words(one_line(message.subject), printable(message.body))
            message = replace(
                message,
                body=self.write(words),
                content_type=self.content_type,
                headers=self.headers(words, message.key),
            )
        return await self._poster.post(message, deadline, to=self._to, headers=self._headers, judge=self._judge)


def words_of(notice: Notice, said: Article, links: Sequence[tuple[str, str]] = ()) -> Words:
    """What a chat says of a notice. Never fails. A complete text has no facts below it."""
    link = said.runbook if is_link(said.runbook) else ""
    facts = [] if said.complete else [*_facts(foremost(notice))]
    if said.runbook and not link and not said.complete:
        facts.append(("Runbook", said.runbook))
    if said.degraded:
        facts.append(("Note", f"the text of this notice could not be made as configured ({said.degraded})"))
    return Words(
        title=one_line(said.headline),
        text=printable(said.text),
        facts=tuple((name, fitted(one_line(value), LONGEST_FACT)) for name, value in facts if value),
        link=link,
        severity=worst(notice),
        page=Page.RECOVERED if is_over(notice) else notice.page,
        offers=offered(links),
    )


def offered(links: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What may be done, as words to show and URLs that end no link in any system."""
    return tuple((one_line(word).capitalize(), url) for word, url in links if is_link(url, LONGEST_OFFER))


def printable(text: str) -> str:
    """`text` with its lines, and everything else escaped that no screen can show."""
    return "\n".join(one_line(line.replace("\t", "    ")).rstrip() for line in text.strip().splitlines())


def is_link(text: str, longest: int = LONGEST_LINK) -> bool:
    """Whether `text` is a whole URL of http or https, of characters that end no link in any chat system."""
    if len(text) > longest or not _LINK.match(text):
        return False
    try:
        return bool(URL(text).host)
    except ValueError:
        return False


def unmentioned(text: str) -> str:
    """`text` that mentions nobody: an invisible joiner after each `@` that could begin a name."""
    return _MENTION.sub(lambda found: found[0] + _JOINER, text)


def units(text: str) -> int:
    """Code units of UTF-16, as most chat systems count characters; never fewer than there are characters."""
    return len(text.encode("utf-16-le", "replace")) // 2


def size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode("utf-8", "replace"))


def fitted(text: str, limit: int, *, escape: Callable[[str], str] = str, measure: Callable[[str], int] = units) -> str:
    """`text` escaped, and cut with an ellipsis so that the escaped text measures `limit` at most.

    What is cut is the text and not its escaped form: half an escape would mean something else.
    """
    whole = escape(text)
    if measure(whole) <= limit:
        return whole
    left = limit - measure(_ELLIPSIS)
    kept = bisect_right(range(1, len(text) + 1), left, key=lambda length: measure(escape(text[:length])))
    return escape(text[:kept].rstrip()) + _ELLIPSIS


def whole(parts: Iterable[str], limit: int, *, between: str = "\n") -> str:
    """As many of `parts` as measure `limit` at most together: half a link would lead nowhere."""
    kept: list[str] = []
    for part in parts:
        if units(between.join([*kept, part])) <= limit:
            kept.append(part)
    return between.join(kept)


def _facts(notice: Notice) -> tuple[tuple[str, str], ...]:
    """What is known of the first incident, after what is true of all of them."""
    facts, evidence = notice.facts, notice.facts.evidence
    return (
        *((("Incidents", counted(notice)), ("Group", shared(notice))) if is_digest(notice) else ()),
        ("Service", facts.service),
        ("Rule", facts.rule),
        ("Severity", facts.severity.value if facts.incident else ""),
        ("State", facts.state),
        ("Series", str(facts.series) if facts.series is not None else ""),
        ("Value", "" if evidence.value is None else f"{evidence.value:.6g}"),
        ("Reason", ": ".join(part for part in (str(evidence.reason or ""), evidence.detail) if part)),
        ("Opened", _readable(facts.opened_at)),
        ("Ended", _readable(facts.ended_at)),
        ("Labels", ", ".join(f"{name}={value}" for name, value in facts.labels)),
        ("Incident", facts.incident),
    )


def _readable(instant: Instant | None) -> str:
    return "" if instant is None else f"{str(instant)[:10]} {str(instant)[11:19]} UTC"
