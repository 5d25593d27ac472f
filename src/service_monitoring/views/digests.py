"""Digests: how a notice about several incidents is summed up, whatever the channel.

Knows which of them comes first, how bad it is, how many there are and what they share. Does not know templates, nor how
any channel shows it. What is made here of labels and names is strangers' text, and not escaped.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.incidents import FINAL, State
from service_monitoring.domain.notices import Facts, Notice, Page
from service_monitoring.domain.rules import Severity

LONGEST_PART: Final = 100
"""Characters of a name, label or series in a line about several incidents."""

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
_ENDS: Final = frozenset({Page.RECOVERED, Page.CLOSED, Page.STEADY})
_NEWS: Final = {Page.FIRST: "new", Page.RELEASED: "new", Page.ESCALATED: "new", Page.RAISED: "raised"}
# Whose value says by itself what it is; others are shown with their name.
_PLAIN: Final = frozenset({"service", "rule", "check"})


def is_digest(notice: Notice) -> bool:
    """Whether it is about more than one incident."""
    return bool(notice.others) or notice.open + notice.over > 1


def is_over(notice: Notice) -> bool:
    """Whether it leaves nothing open that its recipient should hear of."""
    return notice.page in _ENDS or (notice.over > 0 and notice.open == 0)


def foremost(notice: Notice) -> Notice:
    """The same notice in the order in which people should read it.

    First what is open and nobody's yet, then what somebody has taken on, then what is over; in each what is news before
    what is known, and the worst before the rest.
    """
    if not notice.others:
        return notice
    news = frozenset(notice.news)
    first, *others = sorted(
        (notice.facts, *notice.others),
        key=lambda facts: (_standing(facts), facts.incident not in news, -_RANK[facts.severity]),
    )
    return replace(notice, facts=first, others=tuple(others))


def apart(notice: Notice) -> tuple[Notice, ...]:
    """The same told of each incident by itself, for a far side that keeps them apart; what is over comes first.

    A new incident of a series whose last has just ended is the one that such a far side should remember.
    """
    if not is_digest(notice):
        return (notice,)
    written = sorted((notice.facts, *notice.others), key=_standing, reverse=True)
    return tuple(_alone(notice, facts) for facts in written)


def worst(notice: Notice) -> Severity:
    """The highest severity among what is open and nobody's yet; where nothing is, among what comes next to that."""
    written = (notice.facts, *notice.others)
    first = min(map(_standing, written))
    return max((facts.severity for facts in written if _standing(facts) == first), key=_RANK.__getitem__)


def counted(notice: Notice) -> str:
    """How many are open, how many of these are news, and how many are over: `4 open, 1 new, 2 over`."""
    fresh = len(notice.news) - notice.over
    kind = _NEWS.get(notice.page)
    return ", ".join(
        [
            *([f"{notice.open} open"] if notice.open else []),
            *([f"{fresh} {kind}"] if kind and 0 < fresh < notice.open else []),
            *([f"{notice.over} over"] if notice.over else []),
        ]
    )


def shared(notice: Notice) -> str:
    """The labels that all of its incidents have: `shop, team=payments`."""
    return ", ".join(
        shortened(value if name in _PLAIN else f"{name}={value}") for name, value in notice.labels if value
    )


def line_about(facts: Facts) -> str:
    """An incident in one line: its state, whose it is, its series, and since when."""
    subject = ".".join(shortened(name) for name in (facts.service, facts.rule) if name)
    series = shortened(str(facts.series)) if facts.series is not None else ""
    over = facts.state in FINAL
    moment = facts.ended_at if over else facts.opened_at
    since = "" if moment is None else f"{'since' if not over else 'at'} {str(moment)[:10]} {str(moment)[11:19]} UTC"
    said = ", ".join(part for part in (subject, series, since) if part)
    return f"{facts.state} ({facts.severity.value}): {said}"


def left_out(notice: Notice, written: int) -> str:
    """How many more there are than the first so many: `and 3 more open, 1 more over`; nothing where there are none."""
    shown = (notice.facts, *notice.others)[:written]
    over = sum(1 for facts in shown if facts.state in FINAL)
    more = ((notice.open - (len(shown) - over), "open"), (notice.over - over, "over"))
    parts = [f"{count} more {what}" for count, what in more if count > 0]
    return f"and {', '.join(parts)}" if parts else ""


def shortened(text: str) -> str:
    """`text`, with an ellipsis where it is longer than a part of a line may be."""
    return text if len(text) <= LONGEST_PART else f"{text[: LONGEST_PART - 1]}…"


def _alone(notice: Notice, facts: Facts) -> Notice:
    page, over = notice.page, facts.state in FINAL
    if over:
        page = Page.CLOSED if facts.state == State.CLOSED else Page.RECOVERED
    return replace(notice, facts=facts, others=(), page=page, open=int(not over), over=int(over), news=())


def _standing(facts: Facts) -> int:
    if facts.state in FINAL:
        return 2
    return 1 if facts.state == State.ACKNOWLEDGED else 0
