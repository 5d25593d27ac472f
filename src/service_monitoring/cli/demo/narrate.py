"""The narration: each new fact of the journal, and each poll, as a line for a person.

Knows facts and a terminal. Does not know the script, nor whether what it tells was expected.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from service_monitoring.domain.events import Event, IncidentMoved, IncidentNoted, RuleMoved, SeriesFlapped, SilenceMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Admitted, Delivery, Observed, Settled
from service_monitoring.domain.instants import Instant, in_seconds
from service_monitoring.domain.matchers import matcher_text
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.samples import Outcome

_STYLE = {
    State.PENDING: "yellow",
    State.OPEN: "bold red",
    State.ACKNOWLEDGED: "magenta",
    State.RESOLVED: "bold green",
    State.DROPPED: "dim",
    State.CLOSED: "dim",
}
_TITLES = {
    "first": "opened",
    "released": "still open",
    "recovered": "recovered",
    "closed": "closed",
    "raised": "is worse",
    "flapping": "changes its state too often",
    "steady": "is steady again",
    "owner": "trouble",
}


class Narrator:
    """Writes lines to a terminal; what it is given is already a fact."""

    def __init__(self, console: Console, began: Instant) -> None:
        self._console = console
        self._began = began

    def scene(self, at: Instant, text: str) -> None:
        """What the script does now."""
        self._line(at, "script", Text(text, style="bold cyan"))

    def poll(self, at: Instant, what: Observed) -> None:
        """One observation."""
        seen = what.observation
        took = next((m.value for m in seen.measurements if m.metric == "duration_seconds"), None)
        text = Text(f"{what.service}.{what.check} ")
        text.append(seen.outcome, style="green" if seen.outcome is Outcome.OK else "red")
        if took is not None:
            text.append(f" in {took * 1000:.0f} ms")
        if seen.detail and seen.outcome is not Outcome.OK:
            text.append(f": {seen.detail}", style="dim")
        self._line(at, "poll", text)

    def fact(self, record: Admitted | Event | Notice) -> None:
        """One record of the journal, if it is worth a line."""
        match record:
            case IncidentMoved(_, decided_at, incident):
                text = Text(f"{incident.service}.{incident.rule} is ")
                text.append(incident.state, style=_STYLE[incident.state])
                if incident.evidence.value is not None and incident.state is not State.DROPPED:
                    text.append(f": {incident.series.metric} {incident.evidence.value:.3g}")
                if incident.evidence.reason is not None:
                    text.append(f" ({incident.evidence.reason})", style="dim")
                self._line(decided_at, "incident", text)
            case SeriesFlapped():
                what = "changes its state too often" if record.flapping else "is steady again"
                self._line(
                    record.decided_at, "incident", Text(f"{record.service}.{record.rule} {what}", style="yellow")
                )
            case SilenceMoved():
                matchers = " ".join(matcher_text(each) for each in record.silence.matchers)
                self._line(record.decided_at, "silence", Text(f"{matchers}: {record.move}", style="yellow"))
            case Notice() if record.held is not None:
                name = f"{record.facts.service}.{record.facts.rule}"
                self._line(
                    record.decided_at,
                    "notice",
                    Text(f"{name}: {record.channel} is not told, {record.held.reason} for now", style="yellow"),
                )
            case Notice():
                what = _TITLES[record.page]
                name = f"{record.facts.service}.{record.facts.rule}"
                self._line(record.decided_at, "notice", Text(f"{name} {what}: {record.channel} is owed a notice"))
            case Admitted(stamp, Settled() as settled) if settled.delivery is Delivery.DELIVERED:
                self._line(stamp.at, "outbox", Text(f"{settled.channel} accepted notice {settled.notice[:8]}"))
            case Admitted() | IncidentNoted() | RuleMoved():
                pass

    def received(self, at: Instant, key: str, summary: str) -> None:
        """The far side of a webhook."""
        self._line(at, "webhook", Text(f"received {key[:8]}: {summary}", style="bold"))

    def _line(self, at: Instant, who: str, text: Text) -> None:
        passed = max(0.0, in_seconds(at.since(self._began)))
        head = Text(f"{passed:6.1f} s  {who:<9}", style="dim")
        self._console.print(head + text, soft_wrap=True)
