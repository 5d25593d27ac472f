"""Memory: what has been decided and kept so far in one rehearsed span, for those who look at it or explain it.

Knows decisions, inputs and what the course gave out to be kept. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Changes, Decision, Ruling
from service_monitoring.domain.events import IncidentMoved, IncidentNoted, SeriesFlapped, SilenceMoved
from service_monitoring.domain.groups import Group, Member
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Acted, Admitted, Delivery, GapBegan, GapEnded, Settled
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.views.on_record import Gap, OnRecord, Outcome, Revision, Sent


class Memory:
    """Everything that came of one rehearsed span, and what of it is new since the last look. For one thread."""

    def __init__(self, starts: Instant, configuration: Configuration) -> None:
        self.at = starts
        self._revision = Revision(starts, configuration)
        self._decisions: list[Decision] = []
        self._looked = 0
        self._acts: list[Admitted] = []
        self._gaps: list[Gap] = []
        self._groups: dict[str, Group] = {}
        self._members: dict[tuple[str, str], Member] = {}

    def remember(self, admitted: Admitted, ruling: Ruling) -> None:
        """A step was made."""
        self.at = admitted.stamp.at
        self._decisions += [decision for _, decision in ruling.decisions]
        match admitted.input:
            case Acted():
                self._acts.append(admitted)
            case GapBegan(cause=cause):
                self._gaps.append(Gap(self.at, None, str(cause)))
            case GapEnded():
                self._gaps[-1] = Gap(self._gaps[-1].began, self.at, self._gaps[-1].cause)
            case _:
                pass

    def keep(self, changes: Changes | None) -> None:
        """What the course gave out."""
        if changes is not None:
            self._groups |= {group.id: group for group in changes.told.groups}
            self._members |= {(member.group, member.incident): member for member in changes.told.members}

    def looked(self) -> None:
        """Somebody has looked: what comes from now on is new."""
        self._looked = len(self._decisions)

    def notices(self) -> list[Notice]:
        """Those since the last look, owed or held, in order."""
        return [each for each in self._decisions[self._looked :] if isinstance(each, Notice)]

    def moved(self) -> list[Incident]:
        """How incidents were after each move since the last look."""
        return [each.incident for each in self._decisions[self._looked :] if isinstance(each, IncidentMoved)]

    def incidents(self, rule: str) -> list[Incident]:
        """The incidents of a rule, or of all, as they are, over or not, in the order of their beginning."""
        moves = (each.incident for each in self._decisions if isinstance(each, IncidentMoved))
        found = {each.id: each for each in moves if rule in {"", f"{each.service}.{each.rule}"}}
        return list(found.values())

    def on_record(self, incident: Incident) -> OnRecord:
        """What is known about an incident. Whatever was owed has arrived at once: nothing is sent here."""
        moves = tuple(each for each in self._decisions if isinstance(each, IncidentMoved))
        events = (each for each in self._decisions if isinstance(each, IncidentMoved | IncidentNoted | SeriesFlapped))
        groups = {key[0] for key in self._members if key[1] == incident.id}
        notices = [each for each in self._decisions if isinstance(each, Notice) and incident.id in _about(each)]
        return OnRecord(
            incident=incident,
            events=tuple(each for each in events if _concerns(each, incident)),
            moves=moves,
            acts=tuple(
                each for each in self._acts if isinstance(each.input, Acted) and each.input.incident == incident.id
            ),
            groups=tuple(self._groups[id] for id in groups if id in self._groups),
            members=tuple(member for (group, _), member in self._members.items() if group in groups),
            sent=tuple(Sent(each, "owed" if each.held is None else "held") for each in notices),
            outcomes=tuple(_arrived(notices)),
            silences=tuple(each for each in self._decisions if isinstance(each, SilenceMoved)),
            revisions=(self._revision,),
            gaps=tuple(self._gaps),
        )


def _about(notice: Notice) -> set[str]:
    return {notice.facts.incident, *(facts.incident for facts in notice.others), *notice.news}


def _concerns(event: IncidentMoved | IncidentNoted | SeriesFlapped, incident: Incident) -> bool:
    match event:
        case IncidentMoved():
            return event.incident.id == incident.id
        case IncidentNoted():
            return event.incident == incident.id
        case SeriesFlapped():
            return (event.service, event.rule, event.series) == (incident.service, incident.rule, incident.series)


def _arrived(notices: Iterable[Notice]) -> Iterable[Outcome]:
    for each in notices:
        if each.held is None:
            settled = Settled(each.key, Delivery.DELIVERED, each.channel, each.page, recipient=each.recipient)
            yield Outcome(each.decided_at, settled)
