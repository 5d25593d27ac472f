"""What is wrong with a job that reports, rule by rule. `test_heartbeats_counted` compares the whole with an oracle."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain import heartbeats
from service_monitoring.domain.heartbeats import CORRECTION, ENDED, RUNS, Job, begun, due, failings
from service_monitoring.domain.inputs import Signal
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.schedules import Cron, Expectation, Failing, Period

MISSED, LATE, FAILED, OVERRAN = Failing.MISSED, Failing.LATE, Failing.FAILED, Failing.OVERRAN

NIGHTLY = Expectation(Cron("30 2 * * *", "UTC"), Duration(20 * MINUTE), Duration(2 * HOUR))
HOURLY = Expectation(Cron("0 * * * *", "UTC"), Duration(10 * MINUTE), Duration(3 * HOUR))
ANYHOW = Expectation(Period(HOUR), Duration(10 * MINUTE), Duration(3 * HOUR))
SHORT = Expectation(Cron("0 * * * *", "UTC"), Duration(10 * MINUTE))


def on(text: str) -> int:
    """`05 02:30` or `05 02:30:10` in January 2026."""
    day, _, clock = text.partition(" ")
    return Instant.parse(f"2026-01-{day}T{clock:0<5}{'' if len(clock) > 5 else ':00'}Z").ns


@dataclass
class Watched:
    """A job under a clock: what is due is fired before anything else happens, as a driver would."""

    expectation: Expectation
    job: Job
    history: list[tuple[int, frozenset[Failing]]]

    @classmethod
    def since(cls, expectation: Expectation, at: int) -> Watched:
        return cls(expectation, begun(at), [])

    def until(self, at: int, *, with_it: bool = True) -> Watched:
        """Fire everything due before `at`, and at it unless a report comes at that very instant."""
        while (wanted := due(self.job, self.expectation)) is not None and wanted < at + with_it:
            before = failings(self.job)
            self.job = heartbeats.fired(self.job, self.expectation, wanted)
            if failings(self.job) != before:
                self.history.append((wanted, failings(self.job)))
        return self

    def says(self, signal: Signal, at: int, run: str = "", exit_code: int | None = None) -> Watched:
        self.until(at, with_it=False)
        self.job = heartbeats.reported(self.job, self.expectation, signal, run, exit_code, at)
        return self

    def succeeds(self, at: int, run: str = "") -> Watched:
        return self.says(Signal.SUCCESS, at, run)

    def starts(self, at: int, run: str = "") -> Watched:
        return self.says(Signal.START, at, run)

    def fails(self, at: int, run: str = "") -> Watched:
        return self.says(Signal.FAIL, at, run)

    def unwatched(self, began: int, ended: int) -> Watched:
        self.until(began)
        self.job = heartbeats.blinded(self.job, began)
        assert due(self.job, self.expectation) is None
        self.job = heartbeats.sighted(self.job, self.expectation, ended)
        return self

    def set_by(self, delta: int, at: int) -> Watched:
        """The clock said `at` and is set by `delta`."""
        self.until(at)
        self.job = heartbeats.shifted(self.job, self.expectation, at + delta, Duration(delta))
        return self

    def at(self, at: int) -> frozenset[Failing]:
        return failings(self.until(at).job)


def test_the_first_slot_after_activation_counts() -> None:
    job = Watched.since(NIGHTLY, on("05 02:30"))
    assert due(job.job, NIGHTLY) == on("06 02:50")
    assert due(begun(on("05 02:30") - 1), NIGHTLY) == on("05 02:50")


def test_a_slot_is_missed_from_its_deadline_on() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00"))
    assert job.at(on("06 02:50") - 1) == set()
    assert job.at(on("06 02:50")) == {MISSED}


def test_a_report_exactly_at_the_deadline_is_in_time() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 02:50"))
    assert failings(job.until(on("06 12:00")).job) == set()


def test_a_missed_slot_ends_with_the_next_success_which_is_late() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 03:00"))
    assert failings(job.job) == {LATE}


def test_late_ends_with_the_next_success_in_time() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 03:00"))
    assert job.at(on("07 02:30")) == {LATE}
    assert failings(job.succeeds(on("07 02:40")).job) == set()


def test_a_success_of_no_slot_does_not_end_late() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 03:00")).succeeds(on("06 15:00"))
    assert failings(job.job) == {LATE}


def test_a_run_out_of_turn_does_not_stand_in_for_the_next_slot() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("05 15:00"))
    assert job.at(on("06 02:50")) == {MISSED}


def test_after_slots_that_were_missed_the_report_of_the_newest_is_not_late() -> None:
    job = Watched.since(HOURLY, on("05 09:30"))
    assert job.at(on("05 12:00")) == {MISSED}
    assert failings(job.succeeds(on("05 12:05")).job) == set()


def test_a_job_whose_clock_is_a_little_ahead_is_in_time() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 02:29:57"))
    assert job.at(on("06 12:00")) == set()
    assert job.at(on("07 02:50")) == {MISSED}


def test_a_report_that_settles_its_own_slot_does_not_settle_the_next_as_well() -> None:
    minutely = Expectation(Cron("* * * * *", "UTC"), Duration(58 * SECOND))
    job = Watched.since(minutely, on("05 12:00:30")).succeeds(on("05 12:01:57"))
    assert due(job.job, minutely) == on("05 12:02:58")


def test_a_period_counts_from_the_last_success() -> None:
    job = Watched.since(ANYHOW, on("05 12:00")).succeeds(on("05 12:40"))
    assert job.at(on("05 13:50") - 1) == set()
    assert job.at(on("05 13:50")) == {MISSED}
    assert failings(job.succeeds(on("05 14:00")).job) == {LATE}
    assert failings(job.succeeds(on("05 15:10")).job) == set()


def test_a_start_settles_a_slot_and_the_run_has_its_own_time() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a")
    assert job.at(on("06 04:31") - 1) == set()
    assert job.at(on("06 04:31")) == {OVERRAN}


def test_a_run_that_began_in_time_ends_in_time() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 03:00"))
    job.starts(on("07 02:31"), "a").succeeds(on("07 04:20"), "a")
    assert failings(job.job) == set()


def test_a_late_start_ends_missed_and_late_stands_beyond_its_success() -> None:
    for expectation in (NIGHTLY, ANYHOW):
        job = Watched.since(expectation, on("05 12:00"))
        assert job.at(on("06 03:00")) == {MISSED}
        assert failings(job.starts(on("06 03:00"), "a").job) == {LATE}
        assert failings(job.succeeds(on("06 03:30"), "a").job) == {LATE}


def test_a_success_exactly_when_the_time_of_a_run_is_over_is_in_time() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a").succeeds(on("06 04:31"), "a")
    assert failings(job.job) == set()


@pytest.mark.parametrize("end", [Signal.SUCCESS, Signal.FAIL])
def test_overran_ends_with_the_run(end: Signal) -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a").says(end, on("06 05:00"), "a")
    assert OVERRAN not in failings(job.job)


def test_overran_ends_with_a_later_success_of_another_run() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a").succeeds(on("07 02:31"), "b")
    assert failings(job.job) == set()
    assert job.job.runs == ()


def test_a_success_of_another_run_ends_no_run_that_has_time_left() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).starts(on("05 10:00"), "a").succeeds(on("05 11:00"), "b")
    assert job.succeeds(on("05 12:00"), "c").at(on("05 13:00")) == {OVERRAN}


def test_without_a_limit_a_run_has_the_grace() -> None:
    job = Watched.since(SHORT, on("05 09:30")).starts(on("05 10:02"))
    assert job.at(on("05 10:12") - 1) == set()
    assert job.at(on("05 10:12")) == {OVERRAN}


def test_a_run_that_outlasts_its_interval_settles_the_slots_meanwhile() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).starts(on("05 10:00"), "a")
    assert job.at(on("05 12:30")) == set()
    assert failings(job.succeeds(on("05 12:40"), "a").job) == set()
    assert job.at(on("05 13:10")) == {MISSED}


def test_a_run_that_overran_settles_no_slot() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).starts(on("05 10:00"), "a")
    assert job.at(on("05 13:00")) == {OVERRAN}
    assert job.at(on("05 13:10")) == {OVERRAN, MISSED}


def test_a_failure_stands_until_the_next_success() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a").fails(on("06 02:40"), "a")
    assert job.at(on("07 02:30")) == {FAILED}
    assert failings(job.succeeds(on("07 02:35"), "b").job) == set()


def test_an_exit_code_other_than_zero_is_a_failure() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).says(Signal.SUCCESS, on("06 02:31"), exit_code=3)
    assert failings(job.job) == {FAILED}
    assert failings(job.says(Signal.SUCCESS, on("06 02:32"), exit_code=0).job) == set()


def test_a_failure_settles_no_slot() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).fails(on("06 02:31"))
    assert job.at(on("06 02:50")) == {FAILED, MISSED}


def test_a_log_changes_nothing() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00"))
    before = job.job
    assert job.says(Signal.LOG, on("06 02:31"), "a").job == before


def test_an_end_without_a_run_is_that_of_the_newest_start() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).starts(on("05 10:00")).starts(on("05 11:00")).fails(on("05 11:30"))
    assert [run.started for run in job.job.runs] == [on("05 10:00")]


def test_a_run_that_ended_neither_ends_nor_starts_again() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a").fails(on("06 02:40"), "a")
    before = job.job
    for signal in Signal:
        assert job.says(signal, on("06 02:45"), "a").job == before


def test_a_success_that_overtakes_its_start_is_the_end_of_the_run() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 02:31"), "a").starts(on("06 02:32"), "a")
    assert job.job.runs == ()
    assert job.at(on("06 12:00")) == set()


REPORTS = st.lists(
    st.tuples(
        st.integers(0, 600), st.sampled_from([Signal.START, Signal.SUCCESS, Signal.FAIL]), st.sampled_from("abcdef")
    ),
    max_size=30,
)


@given(REPORTS)
def test_a_log_of_reports_delivered_three_times_leaves_the_state_of_one_delivery(
    reports: list[tuple[int, Signal, str]],
) -> None:
    log = sorted(reports, key=lambda report: report[0])
    once = Watched.since(HOURLY, on("05 09:30"))
    thrice = Watched.since(HOURLY, on("05 09:30"))
    for minute, signal, run in log:
        once.says(signal, on("05 10:00") + minute * MINUTE, run)
        for _ in range(3):
            thrice.says(signal, on("05 10:00") + minute * MINUTE, run)
    end = on("05 21:00")
    once.until(end)
    thrice.until(end)
    for _ in range(2):
        for _, signal, run in log:
            thrice.says(signal, end, run)
    assert thrice.job == once.job


def test_more_runs_than_anybody_follows_forget_the_oldest() -> None:
    job = Watched.since(HOURLY, on("05 09:30"))
    for number in range(RUNS + 10):
        job.starts(on("05 10:00"), f"run-{number}")
    assert [job.job.runs[0].id, len(job.job.runs)] == ["run-10", RUNS]
    for number in range(ENDED + 10):
        job.succeeds(on("05 10:01"), f"run-{number}")
    assert [job.job.ended[0], len(job.job.ended)] == ["run-10", ENDED]


def test_thousands_of_missed_slots_are_one_failing_and_one_timer() -> None:
    minutely = Expectation(Cron("* * * * *", "UTC"), Duration(30 * SECOND), Duration(30 * SECOND))
    job = Watched.since(minutely, on("01 12:00"))
    assert job.at(on("29 12:00")) == {MISSED}
    assert len(job.history) == 1
    job.starts(on("29 12:00"), "a").unwatched(on("29 12:00"), on("30 12:00"))
    assert failings(job.job) == set()
    assert job.at(on("30 12:02")) == {OVERRAN, MISSED}


@pytest.mark.parametrize("expectation", [NIGHTLY, HOURLY, ANYHOW, SHORT])
def test_eight_hours_of_sleep_open_nothing_by_themselves(expectation: Expectation) -> None:
    job = Watched.since(expectation, on("05 19:00"))
    if expectation is not NIGHTLY:
        job.succeeds(on("05 20:00")).succeeds(on("05 21:00"))
    job.unwatched(on("05 21:05"), on("06 05:05"))
    assert job.at(on("06 06:05") - 1) == set()
    assert failings(job.succeeds(on("06 06:05") - 1).job) == set()


def test_slots_in_a_gap_are_one_and_have_an_interval_after_it() -> None:
    job = Watched.since(HOURLY, on("05 10:30")).unwatched(on("05 11:05"), on("05 18:50"))
    assert job.at(on("05 19:50") - 1) == set()
    assert job.at(on("05 19:50")) == {MISSED}


def test_a_slot_after_a_gap_is_watched_throughout_and_has_its_grace() -> None:
    job = Watched.since(NIGHTLY, on("05 02:30")).unwatched(on("05 18:00"), on("06 02:29"))
    assert job.at(on("06 02:50")) == {MISSED}


@pytest.mark.parametrize("expectation", [HOURLY, SHORT, ANYHOW])
def test_a_restart_around_a_slot_of_a_dead_job_only_delays_that_it_is_missed(expectation: Expectation) -> None:
    slot = on("05 11:00")
    for off in range(-30, 11 * 60):
        job = Watched.since(expectation, on("05 10:00")).unwatched(slot + off * SECOND, slot + (off + 10) * SECOND)
        job.until(slot + 30 * MINUTE)
        assert failings(job.job) == {MISSED}, off
        (missed,) = (at for at, _ in job.history)
        assert slot + 10 * MINUTE <= missed <= slot + (off + 10) * SECOND + 10 * MINUTE + 10 * SECOND + 30 * SECOND, off


def test_a_monitor_that_restarts_all_the_time_still_finds_a_dead_job_missed() -> None:
    for expectation in (HOURLY, ANYHOW):
        job = Watched.since(expectation, on("05 10:00"))
        for number in range(60):
            began = on("05 11:00") + number * MINUTE
            job.unwatched(began, began + 10 * SECOND)
        assert job.history[0][1] == {MISSED}
        assert job.history[0][0] < on("05 11:15")


@given(
    st.sampled_from([HOURLY, SHORT]),
    st.lists(st.tuples(st.integers(0, 720), st.integers(1, 300)), max_size=6),
    st.lists(st.integers(0, 10), min_size=14, max_size=14),
)
def test_a_job_that_was_heard_in_time_is_never_missed_however_gaps_lie(
    expectation: Expectation, gaps: list[tuple[int, int]], delays: list[int]
) -> None:
    """Every report is heard: where it fell into a gap, it is repeated at its end."""
    job = Watched.since(expectation, on("05 09:30"))
    slots = [on("05 10:00") + number * HOUR for number in range(14)]
    reports = [slot + delay * MINUTE for slot, delay in zip(slots, delays, strict=True)]
    free = on("05 09:30")
    for begin, length in sorted(gaps):
        began, ended = on("05 10:00") + begin * MINUTE, on("05 10:00") + (begin + length) * MINUTE
        if began <= free:
            continue
        while reports and reports[0] <= began:
            assert failings(job.succeeds(reports.pop(0)).job) == set()
        job.unwatched(began, ended)
        swallowed = [report for report in reports if report <= ended]
        reports = [report for report in reports if report > ended]
        if swallowed:
            job.succeeds(ended)
        free = ended
        assert failings(job.job) == set()
    for report in reports:
        assert failings(job.succeeds(report).job) == set()
    assert job.history == []


def test_a_report_at_the_very_end_of_a_gap_is_not_late() -> None:
    job = Watched.since(HOURLY, on("05 10:30"))
    job.job = heartbeats.blinded(job.job, on("05 10:59"))
    job.job = heartbeats.reported(job.job, HOURLY, Signal.SUCCESS, "a", None, on("05 11:40"))
    job.job = heartbeats.sighted(job.job, HOURLY, on("05 11:40"))
    assert job.at(on("05 12:10") - 1) == set()
    assert job.at(on("05 12:10")) == {MISSED}


def test_the_time_of_a_run_does_not_count_in_a_gap() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a").unwatched(on("06 03:00"), on("06 11:00"))
    assert job.at(on("06 12:31") - 1) == set()
    assert job.at(on("06 12:31")) == {OVERRAN}


def test_what_was_due_as_the_gap_began_was_decided() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).unwatched(on("05 10:10"), on("05 10:20"))
    assert failings(job.job) == {MISSED}


def test_what_stands_stands_after_a_gap() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).fails(on("05 10:01"))
    assert job.at(on("05 10:15")) == {FAILED, MISSED}
    assert failings(job.unwatched(on("05 10:20"), on("05 20:20")).job) == {FAILED, MISSED}


@given(
    st.sampled_from([HOURLY, SHORT, ANYHOW]),
    st.integers(1, 9 * 60),
    st.sampled_from([-120, -60, 60, 120, 600, 24 * 60]),
)
def test_a_punctual_job_fails_nothing_when_the_clock_is_set(expectation: Expectation, minute: int, delta: int) -> None:
    """The job goes on as before, which after a step of whole hours is a minute after each slot still."""
    job, ahead, stepped = Watched.since(expectation, on("05 09:30")), 0, on("05 10:00") + minute * MINUTE
    for number in range(14):
        report = on("05 10:01") + number * HOUR
        if ahead == 0 and stepped < report:
            job.set_by(ahead := delta * MINUTE, stepped)
        job.succeeds(report + ahead)
        assert failings(job.job) == set()
    assert job.history == []


@pytest.mark.parametrize("delta", [-HOUR, HOUR])
def test_a_job_that_dies_is_missed_although_the_clock_is_set(delta: int) -> None:
    for expectation in (HOURLY, ANYHOW):
        job = Watched.since(expectation, on("05 09:30")).succeeds(on("05 10:01")).set_by(delta, on("05 10:30"))
        assert job.at(on("05 10:30") + delta + 2 * HOUR + 10 * MINUTE) == {MISSED}


def test_what_was_settled_is_not_due_again_when_the_clock_goes_back() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).succeeds(on("05 10:01")).set_by(-HOUR, on("05 10:30"))
    assert job.at(on("05 11:10") - 1) == set()
    assert job.at(on("05 11:10")) == {MISSED}


def test_a_slot_that_had_begun_is_settled_by_its_report_although_the_clock_went_back() -> None:
    job = Watched.since(HOURLY, on("05 09:30")).set_by(-HOUR, on("05 10:05")).succeeds(on("05 09:06"))
    assert job.at(on("05 11:10") - 1) == set()
    assert job.at(on("05 11:10")) == {MISSED}


def test_a_clock_that_was_years_ahead_does_not_stop_the_watch() -> None:
    years = 3000 * DAY
    job = Watched.since(HOURLY, on("05 09:30") + years).succeeds(on("05 10:01") + years)
    assert years > CORRECTION
    job.set_by(-years, on("05 10:30") + years)
    assert job.at(on("05 11:10") - 1) == set()
    assert job.at(on("05 11:10")) == {MISSED}


def test_a_run_and_a_period_are_lengths_whatever_the_clock_is_set_to() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).starts(on("06 02:31"), "a").set_by(HOUR, on("06 03:00"))
    assert job.at(on("06 05:31") - 1) == set()
    assert job.at(on("06 05:31")) == {OVERRAN}
    period = Watched.since(ANYHOW, on("05 12:00")).set_by(-20 * MINUTE, on("05 12:30"))
    assert period.at(on("05 12:50")) == {MISSED}


def test_a_changed_schedule_asks_for_no_slot_of_the_past() -> None:
    job = Watched.since(NIGHTLY, on("05 12:00")).succeeds(on("06 02:31"))
    eleven = Expectation(Cron("0 11 * * *", "UTC"), Duration(20 * MINUTE))
    job.job = heartbeats.rescheduled(job.job, on("06 12:00"))
    assert due(job.job, eleven) == on("07 11:20")


@given(REPORTS)
def test_the_state_comes_back_from_its_bytes(reports: list[tuple[int, Signal, str]]) -> None:
    job = Watched.since(HOURLY, on("05 09:30"))
    for minute, signal, run in sorted(reports, key=lambda report: report[0]):
        job.says(signal, on("05 10:00") + minute * MINUTE, run)
        assert msgspec.json.decode(msgspec.json.encode(job.job), type=Job) == job.job
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(job.job), type=Job) == job.job
