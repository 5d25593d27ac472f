"""What is on record about an incident, gathered from the decisions of a course as a store would."""

from collections.abc import Iterable, Mapping

from service_monitoring.domain.course import Course, Decision, Ruling
from service_monitoring.domain.events import IncidentMoved, IncidentNoted, SeriesFlapped, SilenceMoved
from service_monitoring.domain.inputs import Acted, Admitted, Configured, GapBegan, GapEnded, Input, Settled, Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.testing.builders import Trial, instant
from service_monitoring.views.explain import explain
from service_monitoring.views.explanation import Explanation
from service_monitoring.views.on_record import Attempted, Gap, OnRecord, Outcome, Revision, Sent


class RecordedTrial(Trial):
    """A trial whose incidents can be explained."""

    inputs: list[Admitted]

    def explain(self, at: str, rule: str = "slow", *, person: str = "") -> Explanation:
        """The explanation of the last incident of a rule, by an instant."""
        ids = [each.id for each in self.incidents(rule)]
        record = on_record(self.course, self.inputs, self.decisions, ids[-1])
        return explain(record, instant(at), person=person)

    def _step(self, at: str, what: Input) -> Ruling:
        if not hasattr(self, "inputs"):
            self.inputs = []
        self.inputs.append(Admitted(Stamp(self._epoch, self._at(at)), what))
        return super()._step(at, what)


def on_record(
    course: Course,
    inputs: Iterable[Admitted],
    decided: Iterable[tuple[Stamp, Decision]],
    incident: str,
    attempts: Mapping[str, tuple[Attempted, ...]] | None = None,
) -> OnRecord:
    """Everything about one incident. What has not been taken from the course yet stays in it."""
    changes = course._dispatch  # what is kept of notices, without taking it from whoever stores it
    every, admitted = [each for _, each in decided], list(inputs)
    moves = tuple(each for each in every if isinstance(each, IncidentMoved))
    mine = [each for each in moves if each.incident.id == incident]
    last = mine[-1].incident
    members = list(changes._moved.values())
    groups = {each.group for each in members if each.incident == incident}
    subject = (last.service, last.rule, last.series)
    flaps = {each.id for each in changes._flapped.values() if each.subject == subject}
    notices = [each for each in every if isinstance(each, Notice)]
    sent = [each for each in notices if each.group in flaps or (each.group in groups and tells_of(each, incident))]
    keys = {each.key for each in sent}
    sent += [each for each in notices if each.page is Page.OWNER and each.group.removeprefix("delayed ") in keys]
    gaps = [each for each in admitted if isinstance(each.input, GapBegan | GapEnded)]
    return OnRecord(
        incident=last,
        events=tuple(
            each
            for each in every
            if (isinstance(each, IncidentMoved) and each.incident.id == incident)
            or (isinstance(each, IncidentNoted) and each.incident == incident)
            or (isinstance(each, SeriesFlapped) and (each.service, each.rule, each.series) == subject)
        ),
        moves=moves,
        acts=tuple(each for each in admitted if isinstance(each.input, Acted) and each.input.incident == incident),
        groups=tuple(each for each in changes._changed.values() if each.id in groups),
        members=tuple(each for each in members if each.group in groups),
        sent=tuple(Sent(each, attempts=(attempts or {}).get(each.key, ())) for each in sent),
        outcomes=tuple(
            Outcome(each.stamp.at, each.input)
            for each in admitted
            if isinstance(each.input, Settled) and each.input.notice in keys
        ),
        silences=tuple(each for each in every if isinstance(each, SilenceMoved)),
        revisions=tuple(
            Revision(each.stamp.at, each.input.configuration) for each in admitted if isinstance(each.input, Configured)
        ),
        gaps=tuple(_gap(gaps, place) for place, each in enumerate(gaps) if isinstance(each.input, GapBegan)),
    )


def tells_of(notice: Notice, incident: str) -> bool:
    """Whether a notice is about an incident, first or among others."""
    return incident in notice.news or incident in {each.incident for each in (notice.facts, *notice.others)}


def _gap(gaps: list[Admitted], place: int) -> Gap:
    began = gaps[place]
    assert isinstance(began.input, GapBegan)
    ended: Instant | None = gaps[place + 1].stamp.at if place + 1 < len(gaps) else None
    return Gap(began.stamp.at, ended, str(began.input.cause))
