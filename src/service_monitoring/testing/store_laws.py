"""The laws of `ports.Store` as tests: subclass `StoreLaws` and give it the fixtures `store` and `restart`.

    class TestMyStore(StoreLaws):
        @pytest.fixture
        async def store(self) -> AsyncIterator[Store]: ...

        @pytest.fixture
        def restart(self) -> Restart: ...

`restart` ends the program that holds a store and gives the store that the next program sees. Knows values and the
port; knows no store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import pytest
from msgspec.structs import replace

from service_monitoring.domain import heartbeats
from service_monitoring.domain.configuration import Check, Configuration, Route, Service, Step
from service_monitoring.domain.course import Progress
from service_monitoring.domain.dispatch import Flap, Told
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.groups import Group, Member, Word
from service_monitoring.domain.holds import Hold, StoredHold
from service_monitoring.domain.incidents import Cause, Incident, Move, begin, move
from service_monitoring.domain.inputs import (
    Admitted,
    Marked,
    MarkKind,
    Observed,
    Pushed,
    PushedSample,
    Stamp,
    Taken,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Facts, Held, Notice, Page, Withheld, notice_key, thread_key
from service_monitoring.domain.recollections import recollect
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Attempt, Measurement, Observation, Outcome, Reason, Sample, Series
from service_monitoring.domain.silences import Silence, StoredSilence
from service_monitoring.domain.verdicts import Code, Evidence
from service_monitoring.errors import Conflict
from service_monitoring.ports import Asked, Commit, Message, Recalled, Settlement, Store, Stored

START = Instant.parse("2026-01-05T00:00:00.000000001Z")
SERIES = Series("shop", "health", "up")
A_SILENCE = Silence(
    "0123456789abcdef",
    (Matcher("service", MatchOperator.EQUALS, "shop"), Matcher("rule", MatchOperator.MATCHES_NOT, 'a"b.*')),
    START,
    START.plus(Duration(3_600 * SECOND)),
    "ada",
    "deploy",
)

Restart = Callable[[Store], Awaitable[Store]]


def a_stamp(second: int, *, epoch: int = 0) -> Stamp:
    """A stamp so many seconds after the start."""
    return Stamp(epoch, START.plus(Duration(second * SECOND)))


def an_observation(
    second: int,
    *,
    epoch: int = 0,
    service: str = "shop",
    check: str = "health",
    outcome: Outcome = Outcome.OK,
    reason: Reason | None = None,
    measurements: Sequence[Measurement] = (Measurement("duration_seconds", 0.1 + 0.2),),
) -> Admitted:
    """One run of a check, admitted half a second after it began."""
    stamp = a_stamp(second, epoch=epoch)
    attempts = (Attempt(outcome, reason, "it says so", Duration(1_234_567)),)
    observation = Observation(outcome, reason, "" if reason is None else "it says so", tuple(measurements), attempts)
    return Admitted(stamp, Observed(service, check, observation, stamp.at.plus(Duration(-SECOND // 2))))


def a_push(
    second: int,
    *values: float,
    epoch: int = 0,
    service: str = "shop",
    check: str = "orders",
    metric: str = "orders_per_minute",
) -> Admitted:
    """Samples that came together; each was measured a second after the one before, the last three seconds ago."""
    stamp = a_stamp(second, epoch=epoch)
    given = values or (0.1 + 0.2,)
    samples = [
        PushedSample(a_stamp(second - 3 - place).at, metric, value, (("shop", "ä"),))
        for place, value in enumerate(reversed(given))
    ]
    return Admitted(stamp, Pushed(service, check, tuple(reversed(samples))))


def of_push(push: Admitted, *places: int) -> Admitted:
    """The same push with the samples at these places alone."""
    assert isinstance(push.input, Pushed)
    samples = tuple(push.input.samples[place] for place in places)
    return Admitted(push.stamp, replace(push.input, samples=samples))


def an_incident(second: int = 0, *, service: str = "shop") -> Incident:
    """A pending incident of a service's rule `down`."""
    series = replace(SERIES, service=service)
    evidence = Evidence(0.0, Sample(a_stamp(second).at, series, 0.0), Reason.STATUS, "503 instead of 200")
    return begin(
        service,
        "down",
        series,
        severity=Severity.CRITICAL,
        at=a_stamp(second).at,
        cause=Cause.SAMPLE,
        evidence=evidence,
        previous="",
    )


def a_told(incident: Incident, *, ended: bool = False) -> Told:
    """A group of one incident, of which the channel `web` was told, and a series that flaps."""
    route = Route("all", steps=(Step(("channel.web",)),))
    group = Group("group", route, (("service", "shop"),), incident.breached_at, None, sequence=1, ended=ended)
    words = () if ended else (Word("channel.web", Severity.CRITICAL, 1),)
    member = Member("group", 1, Facts(incident=incident.id, state=str(incident.state)), words, gone=ended)
    return Told((group,), (member,), (Flap("flap", ("shop", "down", SERIES), ("channel.web",), 1, ended),))


def a_notice(incident: Incident, *, ordinal: int = 1, channel: str = "web", second: int = 0) -> Notice:
    """A first page of an incident."""
    return Notice(
        key=notice_key(incident.id, f"channel.{channel}", channel, Page.FIRST, ordinal),
        thread=thread_key(incident.id, f"channel.{channel}", channel),
        group=incident.id,
        sequence=ordinal,
        channel=channel,
        page=Page.FIRST,
        decided_at=a_stamp(second).at,
        facts=Facts(
            summary="{{ service }} is down",
            incident=incident.id,
            service=incident.service,
            rule=incident.rule,
            series=incident.series,
            severity=incident.severity,
            state=str(incident.state),
            evidence=incident.evidence,
        ),
    )


def a_message(notice: Notice, body: str = "shop is down") -> Message:
    """What a sink made of a notice."""
    return Message(notice.key, notice.thread, "shop", body)


def a_commit(
    second: int = 0,
    *,
    versions: Sequence[tuple[str, int]] = (),
    notices: Sequence[Notice] = (),
    settlements: Sequence[Settlement] = (),
) -> Commit:
    """A round that came as far as `second`, with a mark and what is given."""
    stamp = a_stamp(second)
    return Commit(
        progress=Progress(stamp),
        records=((stamp, Admitted(stamp, Marked(MarkKind.ALIVE))), *((stamp, notice) for notice in notices)),
        versions=tuple(versions),
        notices=tuple(notices),
        settlements=tuple(settlements),
    )


async def _turns(count: int) -> None:
    """Let the loop run so many times."""
    for _ in range(count):
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn


def _saying(observations: Sequence[Admitted]) -> Recalled:
    return Recalled(tuple(recollect(observations)))


def _told(
    recalled: Recalled, metrics: Collection[str] = ()
) -> dict[tuple[int, str, tuple[tuple[str, str], ...]], list[tuple[int, float]]]:
    """What a policy makes of an answer: all samples of what is judged, the first at the newest instant of the rest."""
    told = {}
    for one in recalled.recollections:
        for column in one.columns:
            samples = list(zip(column.instants, column.values, strict=True))
            newest = next(sample for sample in samples if sample[0] == column.instants[-1])
            judged = column.metric in {"up", *metrics}
            told[one.epoch, column.metric, column.labels] = samples if judged else [newest]
    return told


class StoreLaws:
    """What every store keeps, ours or a stranger's."""

    async def test_a_new_store_holds_nothing(self, store: Store) -> None:
        stored = await store.load()
        assert stored == Stored()
        assert await store.due(10) == []

    async def test_what_was_committed_is_loaded(self, store: Store) -> None:
        incident = an_incident()
        check = Check("shop", "health", "http", Duration(5 * SECOND), Duration(2 * SECOND), Duration(12 * SECOND))
        commit = replace(
            a_commit(3, versions=[("shop", 0)]),
            progress=Progress(a_stamp(3), ((1, Duration(-SECOND)),), (("shop", "old"),)),
            records=((a_stamp(3), IncidentMoved(a_stamp(3).at, a_stamp(3).at, incident)),),
            holds=(StoredHold("shop", "down", SERIES, Hold(at=7, code=Code.BREACHED, accrued=5), incident.id),),
            jobs=(StoredJob("shop", "backup", heartbeats.begun(7)),),
            silences=(StoredSilence(A_SILENCE),),
            incidents=(incident,),
            told=a_told(incident),
            configuration=Configuration((Service("shop", (("team", "payments"),), checks=(check,)),), owners=("mail",)),
        )
        await store.commit(commit)
        stored = await store.load()
        assert stored.progress == commit.progress
        assert stored.configuration == commit.configuration
        assert stored.versions == {"shop": 1}
        assert stored.holds == commit.holds
        assert stored.jobs == commit.jobs
        assert stored.silences == commit.silences
        assert stored.incidents == commit.incidents
        assert stored.told == commit.told

    async def test_what_was_committed_outlives_the_program(self, store: Store, restart: Restart) -> None:
        incident = an_incident()
        commit = replace(a_commit(3, versions=[("shop", 0)], notices=[a_notice(incident)]), incidents=(incident,))
        await store.commit(commit)
        await store.record([an_observation(4)])
        before = await store.load()
        after = await restart(store)
        assert await after.load() == before
        assert await after.beyond(a_stamp(3)) == [an_observation(4)]
        assert [due.notice for due in await after.due(10)] == [a_notice(incident)]

    async def test_a_silence_that_is_over_is_loaded_no_more(self, store: Store) -> None:
        other = replace(A_SILENCE, id="f" * 16)
        kept = tuple(StoredSilence(silence) for silence in (A_SILENCE, other))
        await store.commit(replace(a_commit(1), silences=kept))
        assert (await store.load()).silences == kept
        ended = StoredSilence(replace(A_SILENCE, expired_by="grace", ends=a_stamp(2).at))
        await store.commit(replace(a_commit(2), silences=(ended,)))
        assert (await store.load()).silences == (ended, kept[1])
        await store.commit(replace(a_commit(3), silences=(replace(ended, over=True),)))
        assert (await store.load()).silences == (kept[1],)

    async def test_a_later_commit_replaces_state_and_forgets_what_it_names(self, store: Store) -> None:
        first = an_incident()
        opened = move(first, Move.OPEN, at=a_stamp(1).at, cause=Cause.TIMER)
        hold = StoredHold("shop", "down", SERIES, Hold(at=7))
        other = replace(hold, series=Series("shop", "health", "up", (("zone", 'a"b'),)))
        await store.commit(replace(a_commit(1, versions=[("shop", 0)]), holds=(hold, other), incidents=(first,)))
        later = replace(a_commit(2, versions=[("shop", 1)]), incidents=(opened,))
        held = replace(hold, hold=Hold(at=8))
        await store.commit(replace(later, holds=(held,), forgotten=(("shop", "down", other.series),)))
        stored = await store.load()
        assert stored.incidents == (opened,)
        assert stored.holds == (held,)
        assert stored.versions == {"shop": 2}

    async def test_what_has_ended_is_no_longer_loaded(self, store: Store) -> None:
        dropped = move(an_incident(), Move.DROP, at=a_stamp(1).at, cause=Cause.SAMPLE)
        await store.commit(replace(a_commit(1), incidents=(dropped,), told=a_told(dropped, ended=True)))
        stored = await store.load()
        assert not stored.incidents
        assert stored.told == Told()

    async def test_a_stale_version_is_a_conflict_and_changes_nothing(self, store: Store) -> None:
        await store.commit(a_commit(1, versions=[("shop", 0)]))
        before = await store.load()
        stale = replace(
            a_commit(2, versions=[("bank", 0), ("shop", 0)], notices=[a_notice(an_incident())]),
            holds=(StoredHold("shop", "down", SERIES, Hold(at=7)),),
            incidents=(an_incident(),),
        )
        with pytest.raises(Conflict):
            await store.commit(stale)
        assert await store.load() == before
        assert await store.due(10) == []

    async def test_of_two_commits_on_one_version_one_wins(self, store: Store) -> None:
        both = [store.commit(a_commit(second, versions=[("shop", 0), (f"s{second}", 0)])) for second in (1, 2)]
        results = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
        stored = await store.load()
        assert stored.versions["shop"] == 1
        assert len(stored.versions) == 2

    async def test_concurrent_commits_are_all_stored(self, store: Store) -> None:
        incidents = [an_incident(service=f"s{number}") for number in range(50)]
        await asyncio.gather(
            *(
                store.commit(
                    replace(
                        a_commit(number, versions=[(one.service, 0)], notices=[a_notice(one, second=number)]),
                        incidents=(one,),
                    )
                )
                for number, one in enumerate(incidents)
            )
        )
        stored = await store.load()
        assert {one.id for one in stored.incidents} == {one.id for one in incidents}
        assert stored.versions == {one.service: 1 for one in incidents}
        assert len(await store.due(100)) == 50

    async def test_a_cancelled_commit_has_happened_whole_or_not_at_all(self, store: Store) -> None:
        incident = an_incident()
        commit = replace(a_commit(1, versions=[("shop", 0)], notices=[a_notice(incident)]), incidents=(incident,))
        for turns in range(4):
            task = asyncio.ensure_future(store.commit(commit))
            await _turns(turns)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.commit(a_commit(2, versions=[("other", 0)]))
        stored = await store.load()
        assert (stored.versions.get("shop", 0), len(stored.incidents), len(await store.due(9))) in {
            (0, 0, 0),
            (1, 1, 1),
        }

    async def test_recorded_observations_come_back_exactly_and_in_order(self, store: Store) -> None:
        labelled = Measurement("requests", 1e-300, (("code", "200"), ("path", "/ä")))
        observations = [
            an_observation(1, measurements=[Measurement("z", 1.0), Measurement("a", 0.1), labelled, labelled]),
            an_observation(2, outcome=Outcome.FAILED, reason=Reason.STATUS),
            an_observation(3, outcome=Outcome.UNKNOWN, reason=Reason.OVERLOAD, measurements=[]),
            an_observation(4, service="bank", check="tcp"),
            an_observation(2, epoch=1),
        ]
        await store.record(observations[:2])
        await store.record(observations[2:])
        assert await store.beyond(Stamp(0, START)) == observations
        assert await store.beyond(a_stamp(2)) == observations[2:]
        assert await store.beyond(a_stamp(9, epoch=1)) == []

    async def test_recording_again_changes_nothing(self, store: Store) -> None:
        await store.record([an_observation(1), an_observation(3)])
        longer = an_observation(3, outcome=Outcome.FAILED, measurements=[Measurement("a", 1.0), Measurement("b", 2.0)])
        await store.record([an_observation(1), an_observation(2), longer, an_observation(2)])
        assert await store.beyond(Stamp(0, START)) == [an_observation(second) for second in (1, 2, 3)]

    async def test_pushed_samples_come_back_exactly_and_in_order_among_observations(self, store: Store) -> None:
        recorded = [
            a_push(1, 1.0, 2.0, 1e-300),
            an_observation(2),
            a_push(3, -0.0, check="visits", metric="up"),
            a_push(2, 5.0, epoch=1),
        ]
        await store.record(recorded[:2])
        await store.record(recorded[2:])
        assert await store.beyond(Stamp(0, START)) == recorded
        assert await store.beyond(a_stamp(2)) == recorded[2:]

    async def test_recording_a_push_again_changes_nothing(self, store: Store) -> None:
        await store.record([a_push(1, 1.0), a_push(3, 3.0)], marks={a_stamp(1): (Taken.LATE,)})
        await store.record([a_push(1, 7.0, 8.0), a_push(2, 2.0), a_push(3), an_observation(3), a_push(2)])
        assert await store.beyond(Stamp(0, START)) == [a_push(1, 1.0), a_push(2, 2.0), a_push(3, 3.0)]
        assert await store.pushed("shop", "orders", until=a_stamp(9), since=START, least=9) == [
            a_push(2, 2.0),
            a_push(3, 3.0),
        ]

    async def test_what_nobody_could_have_measured_is_not_kept(self, store: Store) -> None:
        marks = {
            a_stamp(1): (Taken.JUDGED, Taken.FUTURE, Taken.LATE, Taken.UNKNOWN),
            a_stamp(2): (Taken.FUTURE, Taken.UNKNOWN),
        }
        whole = a_push(1, 1.0, 2.0, 3.0, 4.0)
        await store.record([whole, a_push(2, 1.0, 2.0), an_observation(3)], marks=marks)
        assert await store.beyond(Stamp(0, START)) == [of_push(whole, 0, 2), an_observation(3)]

    async def test_only_what_is_judged_is_looked_back_at(self, store: Store) -> None:
        first, last = a_push(1, 1.0), a_push(2, 2.0, 3.0, 4.0, 5.0)
        again = [a_push(second, 1.0) for second in range(3, 8)]
        marks: dict[Stamp, tuple[Taken, ...]] = {push.stamp: (Taken.DUPLICATE,) for push in again}
        marks[last.stamp] = (Taken.LATE, Taken.JUDGED, Taken.DUPLICATE, Taken.CONFLICT)
        await store.record([first, last, *again], marks=marks)
        back = await store.pushed("shop", "orders", until=a_stamp(9), since=a_stamp(8).at, least=2)
        assert back == [first, of_push(last, 1)]
        assert await store.beyond(a_stamp(2)) == again

    async def test_pushed_gives_what_came_since_and_at_least_so_many(self, store: Store) -> None:
        mine = [a_push(second) for second in range(1, 10)]
        await store.record([*mine, a_push(10, check="visits"), an_observation(11)])
        since = a_stamp(5).at

        async def tail(until: int, least: int) -> list[Admitted]:
            return await store.pushed("shop", "orders", until=a_stamp(until), since=since, least=least)

        assert await tail(8, 0) == mine[5:8]
        assert await tail(8, 6) == mine[2:8]
        assert await tail(8, 60) == mine[:8]
        assert await tail(5, 0) == []

    async def test_what_was_pushed_outlives_the_program(self, store: Store, restart: Restart) -> None:
        await store.record([a_push(1, 1.0, 2.0)], marks={a_stamp(1): (Taken.JUDGED, Taken.LATE)})
        after = await restart(store)
        assert await after.beyond(Stamp(0, START)) == [a_push(1, 1.0, 2.0)]
        await after.record([a_push(1, 3.0), a_push(2, 3.0)])
        assert await after.pushed("shop", "orders", until=a_stamp(9), since=START, least=9) == [
            of_push(a_push(1, 1.0, 2.0), 0),
            a_push(2, 3.0),
        ]

    async def test_recall_gives_what_came_since_and_at_least_so_many_runs(self, store: Store) -> None:
        mine = [an_observation(second) for second in range(1, 10)]
        await store.record([*mine, an_observation(10, check="other")])
        since = a_stamp(5).at

        async def recalled(until: int, least: int) -> Recalled:
            (answer,) = await store.recall([Asked("shop", "health", since, least)], until=a_stamp(until))
            return answer

        assert _told(await recalled(8, 0)) == _told(_saying(mine[5:8]))
        assert _told(await recalled(8, 2)) == _told(_saying(mine[5:8]))
        assert _told(await recalled(8, 6)) == _told(_saying(mine[2:8]))
        assert _told(await recalled(8, 60)) == _told(_saying(mine[:8]))
        assert _told(await recalled(5, 1)) == _told(_saying(mine[4:5]))
        assert (await recalled(5, 0)).recollections == ()
        assert [(await recalled(8, least)).everything for least in (0, 8, 9)] == [False, False, True]

    async def test_recall_answers_each_question_in_its_place(self, store: Store) -> None:
        await store.record([an_observation(second, check=f"c{second}") for second in range(1, 4)])
        names = ["c3", "nothing", "c1", "c3"]
        asked = [Asked("shop", name, START, 1) for name in names]
        answers = await store.recall(asked, until=a_stamp(9))
        assert [[one.check for one in answer.recollections] for answer in answers] == [["c3"], [], ["c1"], ["c3"]]
        assert answers[1] == Recalled()
        assert await store.recall([], until=a_stamp(9)) == []

    async def test_recall_reaches_back_into_an_earlier_epoch(self, store: Store) -> None:
        mine = [an_observation(1), an_observation(2), an_observation(5, epoch=1), an_observation(6, epoch=1)]
        await store.record(mine)
        for since, least in ((5, 3), (1, 0)):
            asked = Asked("shop", "health", a_stamp(since).at, least)
            (answer,) = await store.recall([asked], until=a_stamp(9, epoch=1))
            assert [one.epoch for one in answer.recollections] == [0, 1]
            assert _told(answer) == _told(_saying(mine[1:]))

    async def test_recall_gives_all_samples_of_what_is_asked_for_and_the_newest_of_the_rest(self, store: Store) -> None:
        labelled = [Measurement("requests", float(code), (("code", f"{code}"),)) for code in (200, 500, 200)]
        mine = [
            an_observation(1, measurements=[Measurement("first_byte_seconds", 0.1), Measurement("asked", 1.0)]),
            an_observation(2, measurements=[Measurement("asked", 2.0), *labelled]),
            an_observation(3, outcome=Outcome.FAILED, reason=Reason.STATUS, measurements=[Measurement("asked", 3.0)]),
            an_observation(4, outcome=Outcome.FAILED, reason=Reason.CONNECT, measurements=[]),
        ]
        await store.record(mine)
        for metrics in ({"asked"}, {"requests"}, {"asked", "requests"}, set[str]()):
            asked = Asked("shop", "health", START, 1, frozenset(metrics))
            (answer,) = await store.recall([asked], until=a_stamp(9))
            assert _told(answer, metrics) == _told(_saying(mine), metrics)
            assert [(one.reason, one.detail) for one in answer.recollections] == [(Reason.CONNECT, "it says so")]

    async def test_recall_says_nothing_of_runs_that_were_our_own_fault(self, store: Store) -> None:
        unknown = [an_observation(second, outcome=Outcome.UNKNOWN, reason=Reason.OVERLOAD) for second in (1, 3)]
        alone = an_observation(4, check="other", outcome=Outcome.UNKNOWN, reason=Reason.OVERLOAD)
        await store.record([unknown[0], an_observation(2), unknown[1], alone])
        asked = [Asked("shop", name, START, 3, frozenset({"duration_seconds"})) for name in ("health", "other")]
        mine, other = await store.recall(asked, until=a_stamp(9))
        assert _told(mine, {"duration_seconds"}) == _told(_saying([an_observation(2)]), {"duration_seconds"})
        assert [(one.reason, one.detail) for one in mine.recollections] == [(None, "")]
        assert other.recollections == ()
        # They are runs nevertheless.
        assert not mine.everything
        assert other.everything

    async def test_recall_of_many_checks_is_the_same_as_of_each(self, store: Store) -> None:
        many = 700
        await store.record([an_observation(second, check=f"c{second % many}") for second in range(3 * many)])
        asked = [Asked("shop", f"c{place}", a_stamp(many).at, 1 + place % 4) for place in range(many)]
        until = a_stamp(5 * many)
        assert await store.recall(asked, until=until) == [(await store.recall([one], until=until))[0] for one in asked]

    async def test_due_lists_the_longest_due_first_and_never_what_is_held(self, store: Store) -> None:
        incident = an_incident()
        notices = [a_notice(incident, ordinal=number, second=10 - number) for number in range(1, 5)]
        held = replace(notices[0], held=Held(Withheld.UNREACHABLE, "another"))
        elsewhere = replace(notices[1], channel="mail")
        await store.commit(a_commit(1, notices=[held, elsewhere, *notices[2:]]))
        assert [due.notice for due in await store.due(10)] == [notices[3], notices[2], elsewhere]
        assert [due.notice for due in await store.due(1)] == [notices[3]]
        assert [due.notice for due in await store.due(10, channel="mail")] == [elsewhere]
        first = (await store.due(1))[0]
        assert (first.attempt, first.due_at, first.message) == (0, notices[3].decided_at, None)

    async def test_a_notice_is_owed_once_under_its_key(self, store: Store) -> None:
        notice = a_notice(an_incident())
        await store.commit(a_commit(1, notices=[notice]))
        (lease,) = await store.claim([a_message(notice)])
        await store.settle([Settlement(lease.key, lease.token, "delivered", "", a_stamp(2).at)])
        await store.commit(a_commit(2, notices=[notice]))
        assert await store.due(10) == []

    async def test_a_lease_is_given_to_one_claimer(self, store: Store) -> None:
        notices = [a_notice(an_incident(), ordinal=number) for number in range(1, 6)]
        await store.commit(a_commit(1, notices=notices))
        messages = [a_message(notice) for notice in notices]
        claims = await asyncio.gather(*(store.claim(messages) for _ in range(4)))
        leases = [lease for claim in claims for lease in claim]
        assert sorted(lease.key for lease in leases) == sorted(notice.key for notice in notices)
        assert {lease.attempt for lease in leases} == {1}
        assert await store.due(10) == []
        assert await store.claim([Message("unknown", "", "", "")]) == []

    async def test_a_later_claim_has_a_higher_token_and_the_first_message(self, store: Store) -> None:
        notice = a_notice(an_incident())
        await store.commit(a_commit(1, notices=[notice]))
        (first,) = await store.claim([a_message(notice, "first")])
        again = a_stamp(60).at
        assert await store.settle([Settlement(first.key, first.token, "waiting", "503", a_stamp(2).at, again)]) == 0
        (due,) = await store.due(10)
        assert (due.attempt, due.due_at, due.message) == (1, again, a_message(notice, "first"))
        (second,) = await store.claim([a_message(notice, "second")])
        assert second.token > first.token
        assert second.attempt == 2
        assert second.message == a_message(notice, "first")

    async def test_a_settlement_under_an_older_token_changes_nothing(self, store: Store) -> None:
        notice = a_notice(an_incident())
        await store.commit(a_commit(1, notices=[notice]))
        (first,) = await store.claim([a_message(notice)])
        await store.settle([Settlement(first.key, first.token, "waiting", "", a_stamp(2).at, a_stamp(3).at)])
        (second,) = await store.claim([a_message(notice)])
        late = Settlement(first.key, first.token, "delivered", "", a_stamp(4).at)
        assert await store.settle([late, Settlement("unknown", 1, "delivered", "", a_stamp(4).at)]) == 2
        await store.commit(a_commit(4, settlements=[late]))
        assert await store.due(10) == []
        assert (
            await store.settle([Settlement(second.key, second.token, "waiting", "", a_stamp(5).at, a_stamp(6).at)]) == 0
        )
        assert len(await store.due(10)) == 1

    async def test_what_is_settled_is_never_claimed_again(self, store: Store) -> None:
        notices = [a_notice(an_incident(), ordinal=number) for number in (1, 2)]
        await store.commit(a_commit(1, notices=notices))
        delivered, parked = await store.claim([a_message(notice) for notice in notices])
        await store.settle([Settlement(delivered.key, delivered.token, "delivered", "", a_stamp(2).at)])
        await store.commit(
            a_commit(2, settlements=[Settlement(parked.key, parked.token, "parked", "gone", a_stamp(2).at)])
        )
        assert await store.due(10) == []
        assert await store.claim([a_message(notice) for notice in notices]) == []

    async def test_leases_of_a_program_that_is_gone_are_void(self, store: Store, restart: Restart) -> None:
        notice = a_notice(an_incident())
        await store.commit(a_commit(1, notices=[notice]))
        (old,) = await store.claim([a_message(notice)])
        after = await restart(store)
        await after.load()
        (due,) = await after.due(10)
        assert (due.attempt, due.message) == (1, a_message(notice))
        (new,) = await after.claim([a_message(notice, "another")])
        assert new.token > old.token
        assert await after.settle([Settlement(old.key, old.token, "delivered", "", a_stamp(2).at)]) == 1
