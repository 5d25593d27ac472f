"""Because: why somebody was not told, and what a notice was, in plain words of the field.

Knows reasons, pages and lengths of time. Does not know where facts come from: what a reason names is looked up by its
`Past` (`on_record`).
"""

from __future__ import annotations

from typing import Final

from service_monitoring.domain import oncall
from service_monitoring.domain.incidents import Cause, Incident
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.matchers import matcher_text
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.domain.routing import OWNERS
from service_monitoring.domain.silences import Silence
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.views.on_record import Past, names, sort_of

_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"))

PAGES: Final = {
    Page.FIRST: "it is open, and this was not told before",
    Page.RELEASED: "what held it back is over",
    Page.RECOVERED: "it is over, and that it was open had been told",
    Page.CLOSED: "it was closed, and that it was open had been told",
    Page.RAISED: "its severity rose",
    Page.UPDATED: "some of the incidents in the group are over",
    Page.REPEATED: "it is still open, and `repeat_interval` has passed",
    Page.ESCALATED: "the escalation went on",
    Page.FLAPPING: "the series changes its state too often",
    Page.STEADY: "the series is steady again",
    Page.OWNER: "a notice did not arrive as it should",
}

_HELD: Final = {
    Withheld.MAINTENANCE: "maintenance {by} is on{until}",
    Withheld.INHIBITED: "{by} is open and inhibits it",
    Withheld.UNREACHABLE: "its parent {by} is open, so that it is unreachable",
    Withheld.RECHECKING: "its parents are asked again first: {by}",
    Withheld.FLAPPING: "{by} is flapping, which is told once",
    Withheld.QUIET_HOURS: "{by} has quiet hours{until}",
    Withheld.MUTED: "{by} tells nobody in these hours{until}",
}

NAMES_AN_INCIDENT: Final = frozenset({Withheld.INHIBITED, Withheld.UNREACHABLE})
"""Reasons that say by the id of an incident what holds something back."""

_CAUSES: Final = {
    Cause.SAMPLE: "a sample said so",
    Cause.TIMER: "the time for it had passed",
    Cause.PERSON: "a person did it",
    Cause.NO_DATA: "no data came",
    Cause.EXPIRED: "the acknowledgement had expired",
    Cause.RETIRED: "its rule was retired",
    Cause.REMOVED: "its rule was removed from the configuration",
    Cause.SUPERSEDED: "its rule was changed",
    Cause.VANISHED: "its series was gone",
}


def instant_text(at: Instant) -> str:
    """An instant in a sentence: RFC 3339 without a fraction that says nothing."""
    return str(at).replace(".000000000", "")


def length_text(length: Duration) -> str:
    """A length of time in a sentence: `1h30m`."""
    parts, left = [], int(length)
    for unit, name in _UNITS:
        number, left = divmod(left, unit)
        if number:
            parts.append(f"{number}{name}")
    if left or not parts:
        parts.append(f"{left / 1e6:g}ms" if left else "0s")
    return "".join(parts)


def cause_text(incident: Incident) -> str:
    """What brought a move about, with what it rests on."""
    return "; ".join(part for part in (_CAUSES[incident.cause], evidence_text(incident.evidence)) if part)


def evidence_text(evidence: Evidence) -> str:
    """What a verdict rests on; empty where nothing is known."""
    said = "" if evidence.value is None else f"the value was {evidence.value:g}"
    failed = ", ".join(part for part in (str(evidence.reason or ""), evidence.detail) if part)
    return "; ".join(part for part in (said, f"the run said {failed}" if failed else "") if part)


def held_text(held: Held, past: Past, *, route: str = "") -> str:
    """Why somebody was not told. A reason that has no sentence here is said as it is written."""
    end = past.end_of(held, route)
    until = "" if end is None else f" until {instant_text(end)}"
    if held.reason is Withheld.SILENCED:
        return f"{silence_text(past.silence(held.by), held.by)}{until}"
    by = named(past, held.by) if held.reason in NAMES_AN_INCIDENT else held.by
    return held_sentence(Held(held.reason, by), until)


def held_sentence(held: Held, until: str = "") -> str:
    """Why somebody was not told, where `by` is already a name that people know; `until` as ` until INSTANT`."""
    if held.reason is Withheld.SILENCED:
        return f"{held.by}{until}"
    if held.reason is Withheld.ACKNOWLEDGED:
        return f"{held.by} acknowledged it{until or ' until it is over'}"
    by = names((held.by,)) if held.reason is Withheld.QUIET_HOURS else held.by
    sentence = _HELD.get(held.reason)
    return f"{held.reason} by {held.by}" if sentence is None else sentence.format(by=by, until=until)


def named(past: Past, id: str) -> str:
    """An incident by its rule and id."""
    other = past.other(id)
    return id if other is None else f"{other.service}.{other.rule} ({id})"


def silence_text(silence: Silence | None, id: str) -> str:
    """A silence by who made it, why and for what; of one that is not known its id."""
    if silence is None:
        return f"silence {id} holds"
    comment = f" ({silence.comment})" if silence.comment else ""
    what = ", ".join(matcher_text(each) for each in silence.matchers)
    return f"silence {id} of {silence.author}{comment} holds for {what}"


def through(channel: str, recipient: str) -> str:
    """Through what somebody is told; a channel is told through itself."""
    sort, name = sort_of(recipient)
    return f" through {channel}" if channel and (sort != "channel" or name != channel) else ""


def whom(then: Past, recipient: str) -> str:
    """Who a recipient led to: of a rota who was on call, and until when."""
    rota = then.rota(recipient)
    if rota is None:
        return f"it names {names((recipient,))}"
    people = oncall.who(rota, then.at)
    change = oncall.next_change(rota, then.at)
    until = "" if change is None else f" until {instant_text(change)}"
    who = f"{people[0]} was" if people else "nobody was"
    return f"{who} on call in {rota.name}{until}"


def to_whom(notice: Notice) -> str:
    """The recipient of a notice, in a sentence."""
    return "the owners of the monitor" if notice.recipient == OWNERS else names((notice.recipient,))
