"""`rehearse` on a real data folder: what it prints, writes and refuses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from service_monitoring.application import Monitor
from service_monitoring.bootstrap import rehearsing
from service_monitoring.bootstrap.loading import configuration_of
from service_monitoring.bootstrap.ranges import Range
from service_monitoring.bootstrap.rehearsing import Past, Variant
from service_monitoring.domain.incidents import identity
from service_monitoring.domain.inputs import Act, Acted, Admitted, Configured, Marked, MarkKind, Observed, Stamp
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Series
from service_monitoring.domain.stretches import Portion, Stretch
from service_monitoring.errors import Unavailable
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.history import writing
from service_monitoring.storage.history.own import History
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.wire.ledger import ledger
from tests.cli.conftest import Command
from tests.cli.makers import dies, number_of_decisions
from tests.data_folders import with_tables

PROGRAM = Path(sys.executable).with_name("service-monitoring")
START = Instant.parse("2026-01-05T00:00:00Z")
EVERY = 10
FILE = """\
timezone: Europe/Berlin
store: {path: data}
services:
  shop:
    checks:
      page: {http: "http://127.0.0.1:1/", every: 10s, timeout: 1s}
    rules:
      slow:
        when: {check: page, metric: duration_seconds, above: 0.8}
        for: 20s
      slower:
        when: {check: page, metric: duration_seconds, above: 1.5}
        state: draft
channels:
  log: {console: true}
  hook: {webhook: "http://127.0.0.1:1/", headers: {Authorization: {env: NOT_THERE_AT_ALL}}}
people:
  ada: {contact: [channel.hook]}
routes:
  - {notify: [person.ada], group_by: ["..."], group_wait: 0s, group_interval: 0s}
network: {allow: [127.0.0.0/8]}
web: {listen: none}
self: {notify: [channel.log]}
"""
SLOW_FROM, SLOW_TO = 60, 120
"""Runs that are slow: 1 s, and 2 s in the middle."""
RUNS = 360


def seconds_of(run: int) -> float:
    """How long the page took."""
    if not SLOW_FROM <= run < SLOW_TO:
        return 0.5 if run % 20 else 0.9
    return 2.0 if 80 <= run < 90 else 1.0


def happened(folder: Path) -> Iterator[Admitted]:
    """An hour of runs, with an acknowledgement by ada five minutes after the incident opened."""
    yield Admitted(Stamp(0, START), Configured(configuration_of(folder / "monitoring.yaml")))
    incident = identity("shop", "slow", Series("shop", "page", "duration_seconds"), at(SLOW_FROM))
    for run in range(1, RUNS):
        if run == SLOW_FROM + 32:
            yield Admitted(Stamp(0, at(run).plus(Duration(-SECOND))), Acted(incident, Act.ACKNOWLEDGE, "ada"))
        observation = Observation(Outcome.OK, measurements=(Measurement("duration_seconds", seconds_of(run)),))
        yield Admitted(Stamp(0, at(run)), Observed("shop", "page", observation, at(run)))
    yield Admitted(Stamp(0, at(RUNS)), Marked(MarkKind.STOPPED))


def at(run: int) -> Instant:
    return START.plus(Duration(run * EVERY * SECOND))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration, and a store in which the hour was lived."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "monitoring.yaml").write_text(FILE)

    async def live() -> None:
        async with await SqliteStore.open(with_tables(folder / "data"), SystemClock()) as store:
            monitor = await Monitor.resume(store)
            await monitor.keep(monitor.judge(list(happened(folder))))

    asyncio.run(live())
    return folder


@pytest.fixture
def there(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(recorded)
    monkeypatch.setenv("COLUMNS", "80")
    return recorded


def decided(folder: Path) -> bytes:
    with History(folder / "data") as history:
        return ledger(history.decisions())


def test_what_was_recorded_decides_the_same_again_with_and_without_its_configuration(
    there: Path, command: Command, tmp_path: Path
) -> None:
    for number, arguments in enumerate([("--history", "data"), ("monitoring.yaml",)]):
        file = tmp_path / f"{number}.jsonl"
        said = command("rehearse", *arguments, "--ledger", str(file))
        assert said.code == 0, said.err
        assert file.read_bytes() == decided(there)
        assert len(file.read_bytes().splitlines()) > 4
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_a_rehearsal_prints_one_screen_and_the_same_document_each_time(there: Path, command: Command) -> None:
    said = command("rehearse", "monitoring.yaml")
    assert said.code == 0, said.err
    assert "2 pages" in said.out and max(map(len, said.out.splitlines())) <= 80
    assert said.err == ""
    once = command("rehearse", "monitoring.yaml", "--json")
    assert once.out == command("rehearse", "monitoring.yaml", "--json").out
    document = json.loads(once.out)
    assert document["rehearsal"]["pages"] == 2 and document["rehearsal"]["unmatched"] == []
    assert list(document) == ["rehearsal", "difference", "sweep", "judgement", "disturbed"]


def test_against_another_configuration_it_says_who_gains_and_who_loses_pages(
    there: Path, command: Command, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.replace("above: 0.8", "above: 1.2"))
    said = command("rehearse", "monitoring.yaml", "--against", str(other), "--json", "--jobs", "1")
    assert said.code == 0, said.err
    difference = json.loads(said.out)["difference"]
    assert difference["names"] == ["monitoring.yaml", str(other)]
    assert [each["name"] for each in difference["recipients"]] == ["person.ada"]


@pytest.mark.timeout(120)
@pytest.mark.real_time("processes of their own take their time to start")
def test_a_sweep_is_the_same_in_one_process_and_in_several(there: Path, command: Command) -> None:
    arguments = ("rehearse", "monitoring.yaml", "--sweep", "shop.slow.above=0.8:1:0.1", "--json", "--jobs")
    one, two = command(*arguments, "1"), command(*arguments, "2")
    assert one.code == 0, one.err
    assert two.code == 0, two.err
    assert one.out == two.out
    points = json.loads(one.out)["sweep"]["points"]
    assert [each["values"] for each in points] == [["0.8"], ["0.9"], ["1"]]
    assert points[0]["incidents"] == points[1]["incidents"] == 1
    assert [each["current"] for each in points] == [True, False, False]


def test_drafts_page_where_they_are_included(there: Path, command: Command) -> None:
    without = json.loads(command("rehearse", "monitoring.yaml", "--json").out)["rehearsal"]
    included = json.loads(command("rehearse", "monitoring.yaml", "--include-drafts", "--json").out)["rehearsal"]
    assert included["pages"] > without["pages"]
    assert [each["rule"] for each in included["incidents"]] == ["shop.slow", "shop.slower"]


def test_what_is_assumed_of_people_is_said(there: Path, command: Command) -> None:
    said = command("rehearse", "monitoring.yaml", "--assume", "ack=1m:by=night shift", "--json")
    assert said.code == 0, said.err
    figures = json.loads(said.out)["rehearsal"]
    assert figures["incidents"][0]["acknowledged_by"] == "night shift"
    assert any("it is assumed that night shift acknowledges" in limit for limit in figures["limits"])
    assert [each["by"] for each in figures["unmatched"]] == ["ada"]


def test_a_range_is_told_in_local_dates_in_instants_or_back_from_the_end(there: Path, command: Command) -> None:
    def span(*arguments: str) -> tuple[str, str]:
        said = command("rehearse", "monitoring.yaml", "--json", *arguments)
        assert said.code == 0, said.err
        figures = json.loads(said.out)["rehearsal"]
        return figures["since"], figures["until"]

    assert span() == (str(START), str(at(RUNS).plus(Duration(SECOND))))
    assert span("--from", "2026-01-05", "--to", "2026-01-05T01:30") == (
        "2026-01-04T23:00:00.000000000Z",
        "2026-01-05T00:30:00.000000000Z",
    )
    assert span("--from", "2026-01-05T00:10:00Z")[0] == "2026-01-05T00:10:00.000000000Z"
    assert span("--from", "-30m")[0] == str(at(RUNS - 180).plus(Duration(SECOND)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing is named to rehearse: give a configuration, or --history FOLDER of a monitor, or both"),
        (["none.yaml"], "there is no none.yaml: name a configuration"),
        (["monitoring.yaml", "--history", "nowhere"], "nowhere does not exist: a history is a data folder"),
        (["--history", "data", "--sweep", "shop.slow.above=1"], "--sweep needs a configuration"),
        (["--history", "data", "--include-drafts"], "--include-drafts needs a configuration"),
        (["monitoring.yaml", "--from", "-1m", "--to", "-2m"], "--to -2m is not after --from -1m: nothing lies between"),
        (["monitoring.yaml", "--from", "2027-01-01", "--to", "2027-01-02"], "the history reaches from 2026-01-05"),
        (["monitoring.yaml", "--from", "yesterday"], "yesterday is not a date or a local time: write 2026-12-24"),
        (["monitoring.yaml", "--assume", "ack"], "--assume ack says nothing that can be assumed: write ack=10m"),
        (["monitoring.yaml", "--assume", "ack=1m:me"], "write ack=10m, or ack=10m:by=NAME"),
        (["monitoring.yaml", "--assume", "ack=soon"], '"soon" is not a duration'),
        (["monitoring.yaml", "--incidents", "none.csv"], "none.csv cannot be read (No such file or directory)"),
        (
            ["monitoring.yaml", "--ledger", "no/such/place"],
            "no/such/place cannot be written (there is no folder no/such",
        ),
        (
            ["monitoring.yaml", "--ledger", "monitoring.yaml/ledger"],
            "(there is no folder monitoring.yaml): name another",
        ),
        (["monitoring.yaml", "--report", "data"], "data cannot be written (it is a folder): name a file in it"),
        (
            ["monitoring.yaml", "--sweep", "shop.slow.below=1"],
            "monitoring.yaml:8:7 --sweep shop.slow.below: shop.slow has above: 0.8, for: 20s and no below",
        ),
    ],
)
def test_whatever_is_wrong_is_one_sentence(there: Path, command: Command, arguments: list[str], said: str) -> None:
    answer = command("rehearse", *arguments)
    assert answer.code == 5 and said in answer.err, answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_file_that_is_wrong_is_complained_of_as_ever(there: Path, command: Command, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(FILE.replace("above: 0.8", "abov: 0.8"))
    answer = command("rehearse", str(wrong), "--history", "data")
    assert answer.code == 5 and "wrong.yaml:9:55 services.shop.rules.slow.when.abov: nothing of this name" in answer.err


def test_a_history_of_other_checks_is_refused_with_their_names(there: Path, command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.replace("page", "front"))
    answer = command("rehearse", str(other), "--history", "data")
    assert answer.code == 5 and "it is of shop.page; give the services and checks" in answer.err


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """The same samples as somebody else would have kept them: a table without people."""
    rows = (f"shop,page,duration_seconds,{at(run)},{seconds_of(run)}" for run in range(1, RUNS))
    file = tmp_path / "samples.csv"
    file.write_text("\n".join(["service,check,metric,at,value", *rows]) + "\n")
    return file


def test_samples_of_others_open_the_incidents_that_a_recording_opens(
    there: Path, command: Command, foreign: Path
) -> None:
    ours = json.loads(command("rehearse", "monitoring.yaml", "--json").out)["rehearsal"]
    said = command("rehearse", "monitoring.yaml", "--history", str(foreign), "--assume", "ack=5m", "--json")
    assert said.code == 0, said.err
    theirs = json.loads(said.out)["rehearsal"]
    assert theirs["samples"] == RUNS - 1
    opened = [(each["id"], each["opened_at"], each["ended_at"]) for each in theirs["incidents"]]
    assert opened == [(each["id"], each["opened_at"], each["ended_at"]) for each in ours["incidents"]]
    assert [each["acknowledged_by"] for each in theirs["incidents"] if not each["draft"]] == ["somebody"]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """The same samples as a folder of Parquet, in portions of ten minutes."""
    runs = np.arange(1, RUNS)
    instants, values = START.ns + runs * EVERY * SECOND, np.array([seconds_of(int(run)) for run in runs])
    series = Series("shop", "page", "duration_seconds")
    portions = [
        Portion(Instant(int(instants[part][-1]) + 1), (Stretch(series, instants[part], values[part]),))
        for part in (slice(begin, begin + 60) for begin in range(0, len(runs), 60))
    ]
    writing.export(portions, tmp_path / "samples")
    return tmp_path / "samples"


@pytest.mark.timeout(180)
@pytest.mark.real_time("processes of their own take their time to start")
def test_samples_of_others_give_one_ledger_and_one_document_in_one_process_and_in_several(
    there: Path, command: Command, parquet: Path, foreign: Path, tmp_path: Path
) -> None:
    found: dict[tuple[bytes, str], list[str]] = {}
    sweep = ("--sweep", "shop.slow.above=0.8:1.6:0.4", "--assume", "ack=5m")
    for jobs, salt in (("1", "0"), ("2", "1"), ("2", "77")):
        file = tmp_path / f"{jobs}-{salt}.jsonl"
        arguments = ["rehearse", "monitoring.yaml", "--history", str(parquet), "--jobs", jobs, "--ledger", str(file)]
        done = subprocess.run(
            [PROGRAM, *arguments, *sweep, "--json"],
            env=os.environ | {"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.setdefault((file.read_bytes(), done.stdout), []).append(f"{jobs} jobs, salt {salt}")
    ((decided, document),) = found
    assert len(json.loads(document)["sweep"]["points"]) == 3
    assert len(decided.splitlines()) > 4
    # Without a sweep it is this process alone that reads and decides, and CSV says the same.
    for number, history in enumerate((parquet, foreign)):
        file = tmp_path / f"{number}.jsonl"
        said = command(
            "rehearse", "monitoring.yaml", "--history", str(history), *sweep[2:], "--jobs", "2", "--ledger", str(file)
        )
        assert said.code == 0, said.err
        assert file.read_bytes() == decided


def test_samples_of_others_need_a_configuration(command: Command, there: Path, foreign: Path) -> None:
    said = command("rehearse", "--history", str(foreign))
    assert said.code == 5 and "name the configuration to rehearse" in said.err


def test_samples_of_others_that_are_of_no_configured_check_are_refused_with_their_names(
    command: Command, there: Path, foreign: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.replace("page", "front"))
    said = command("rehearse", str(other), "--history", str(foreign))
    assert said.code == 5, said.out
    assert "they are of shop.page; give the configuration these names, or say in a mapping" in said.err


def test_a_page_is_written_that_names_the_configuration(there: Path, command: Command, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert command("rehearse", "monitoring.yaml", "--report", str(page)).code == 0
    assert "monitoring.yaml" in page.read_text()


def test_secrets_that_are_not_there_are_not_missed(there: Path, command: Command) -> None:
    assert "NOT_THERE_AT_ALL" not in os.environ
    assert command("rehearse", "monitoring.yaml").code == 0


# Faults of time -------------------------------------------------------------------------------------------------------

DOWN = "monitor-down=5m@2026-01-05T00:10:00Z"
"""While the page becomes slow."""


def test_an_injected_gap_is_shown_beside_the_undisturbed_rehearsal_and_the_ledger_is_the_disturbed_one(
    there: Path, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "ledger.jsonl"
    arguments = ("rehearse", "--history", "data", "--inject", DOWN, "--jobs", "1")
    said = command(*arguments, "--json", "--ledger", str(file))
    assert said.code == 0, said.err
    document = json.loads(said.out)
    undisturbed = json.loads(command("rehearse", "--history", "data", "--json").out)
    assert document["rehearsal"] == undisturbed["rehearsal"] and document["difference"] is None
    disturbed = document["disturbed"]
    assert disturbed["injected"] == [DOWN]
    lines = disturbed["lines"]
    assert lines["before"] == len(decided(there).splitlines()) and lines["after"] == len(file.read_bytes().splitlines())
    assert lines["only_before"] > 0
    assert [each["rule"] for each in disturbed["difference"]["moved"]] == ["shop.slow"]
    assert any(f"--inject {DOWN}" in each for each in disturbed["limits"])
    shown = command(*arguments)
    assert f"Disturbed: {DOWN}" in shown.out
    assert f"{lines['only_before']} of {lines['before']} lines of the ledger gone" in shown.out
    assert "1 at another time" in shown.out


def test_a_restart_of_a_recorded_day_changes_no_page(there: Path, command: Command) -> None:
    # Between two runs of the check, so that none is lost.
    said = command("rehearse", "--history", "data", "--inject", "restart@2026-01-05T00:30:02Z", "--json", "--jobs", "1")
    assert said.code == 0, said.err
    difference = json.loads(said.out)["disturbed"]["difference"]
    assert difference["same"] == 2 and not difference["gained"] + difference["lost"] + difference["moved"]


@pytest.mark.real_time("processes of their own take their time to start")
def test_another_configuration_and_a_fault_of_time_are_shown_side_by_side_from_any_number_of_processes(
    there: Path, command: Command, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.replace("above: 0.8", "above: 1.2"))
    page = tmp_path / "page.html"
    arguments = ("rehearse", "monitoring.yaml", "--against", str(other), "--inject", DOWN, "--inject", "late=20%")
    one = command(*arguments, "--json", "--jobs", "1", "--report", str(page))
    assert one.code == 0, one.err
    assert one.out == command(*arguments, "--json", "--jobs", "3").out
    document = json.loads(one.out)
    assert document["difference"]["names"] == ["monitoring.yaml", str(other)]
    assert document["disturbed"]["injected"] == [DOWN, "late=20%"]
    shown = page.read_text()
    assert 'id="difference"' in shown and 'id="disturbed"' in shown and "lines of the ledger" in shown


def test_samples_of_others_are_disturbed_as_a_recording_is(there: Path, command: Command, foreign: Path) -> None:
    arguments = ("--inject", DOWN, "--inject", "suspend=1m@2026-01-05T00:40:00Z", "--json", "--jobs", "1")
    ours = json.loads(command("rehearse", "monitoring.yaml", *arguments).out)["disturbed"]["difference"]
    said = command("rehearse", "monitoring.yaml", "--history", str(foreign), *arguments)
    assert said.code == 0, said.err
    theirs = json.loads(said.out)["disturbed"]["difference"]
    assert theirs["incidents"] == ours["incidents"] != []
    first = [each for each in theirs["moved"] if each["page"] == "first"]
    assert first == [each for each in ours["moved"] if each["page"] == "first"] != []


def test_quiet_hours_are_those_of_a_night_in_which_clocks_change(there: Path, command: Command, tmp_path: Path) -> None:
    configuration, history = tmp_path / "quiet.yaml", tmp_path / "nights.csv"
    quiet = "ada: {contact: [channel.hook], quiet_hours: {times: '02:00-03:00'}}"
    configuration.write_text(FILE.replace("ada: {contact: [channel.hook]}", quiet).replace("10s", "10m"))
    begin = Instant.parse("2026-01-10T00:00:00Z")
    every = Duration(600 * SECOND)
    values = [1.0 if number % 144 in {1, 2, 7, 8} else 0.5 for number in range(3 * 144)]
    rows = [
        f"shop,page,duration_seconds,{begin.plus(Duration(number * every))},{value}"
        for number, value in enumerate(values)
    ]
    history.write_text("\n".join(["service,check,metric,at,value", *rows]) + "\n")
    arguments = ("rehearse", str(configuration), "--history", str(history), "--json", "--jobs", "1")
    spring = command(*arguments, "--inject", "dst=spring")
    assert spring.code == 0, spring.err
    document = json.loads(spring.out)
    # It is slow at 01:10 and at 02:10 of each night; in that one and after it, at 02:10 and at 03:10 of summer time.
    held = [each["at"][:16] for each in document["rehearsal"]["every_held"] if each["page"] == "first"]
    assert held == ["2026-01-10T01:10", "2026-01-11T01:10", "2026-01-12T01:10"]
    changes = document["disturbed"]["difference"]
    first = [[each["at"][:16] for each in changes[what] if each["page"] == "first"] for what in ("gained", "lost")]
    assert first == [["2026-01-11T01:10", "2026-01-12T01:10"], ["2026-01-12T00:10"]]
    assert document["disturbed"]["limits"][-1].startswith("the clocks change at 2026-01-11T01:00:00")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("sleep=1m", "--inject sleep=1m says nothing that can be injected"),
        ("suspend=1h@2026-01-05T00:30:00Z", "is not within what is rehearsed"),
        ("restart@2026-01-06", "name an instant in it, or rehearse a longer range"),
        ("late=5", "is no share of the samples: write late=5%"),
        ("dst", "no such instant is in this range: rehearse a longer one"),
    ],
)
def test_a_fault_that_cannot_be_injected_is_one_sentence(there: Path, command: Command, fault: str, said: str) -> None:
    answer = command("rehearse", "monitoring.yaml", "--inject", fault, "--jobs", "1")
    assert answer.code == 5 and said in answer.err, answer.err
    assert len(answer.err.splitlines()) == 1


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.real_time("processes of their own take their time to start")
def test_a_process_that_dies_ends_all_with_a_sentence(there: Path) -> None:
    variants = [Variant(None, number_of_decisions), Variant(None, dies), Variant(None, number_of_decisions)]
    with pytest.raises(Unavailable, match="a process that rehearsed died, perhaps for want of memory"):
        rehearsing.rehearse(Past("data"), Range(START, at(RUNS)), variants, jobs=2)


@pytest.mark.timeout(120)
@pytest.mark.real_time("processes of their own take their time to start")
def test_results_come_in_the_order_of_the_variants_with_progress_of_each(there: Path) -> None:
    limits = ("0.95", "0.4", "3")
    files = [there / f"{limit}.yaml" for limit in limits]
    for file, limit in zip(files, limits, strict=True):
        file.write_text(FILE.replace("above: 0.8", f"above: {limit}"))
    variants = [Variant(configuration_of(file), number_of_decisions) for file in files]
    span = Range(START, at(RUNS))
    heard: dict[int, Instant] = {}
    several = rehearsing.rehearse(
        Past("data"), span, variants, jobs=3, heard=lambda number, at, samples: heard.update({number: at})
    )
    assert set(heard.values()) == {at(RUNS)} and len(heard) == 3
    assert several == rehearsing.rehearse(Past("data"), span, variants, jobs=1)
    assert len(set(several)) == 3


INTERRUPTED = """
    import os, signal, sys, threading
    from pathlib import Path
    from service_monitoring.bootstrap import rehearsing
    from service_monitoring.bootstrap.ranges import Range
    from service_monitoring.bootstrap.rehearsing import Past, Variant
    from service_monitoring.domain.instants import Instant
    from multiprocessing import active_children
    from tests.cli.makers import waits_for_ever

    if __name__ == "__main__":
        begun = Path(sys.argv[1])
        def interrupt():
            while len(list(begun.iterdir())) < 2:
                threading.Event().wait(0.02)
            os.kill(os.getpid(), int(sys.argv[2]))
        threading.Thread(target=interrupt, daemon=True).start()
        variants = [Variant(None, waits_for_ever), Variant(None, waits_for_ever)]
        try:
            rehearsing.rehearse(Past("data"), Range(Instant(0), Instant(10**18 * 2)), variants, jobs=2)
        except KeyboardInterrupt:
            for child in active_children():
                child.join()
            print("interrupted", len(active_children()))
"""


@pytest.mark.timeout(120)
@pytest.mark.real_time("processes of their own take their time to start")
def test_an_interrupt_ends_all_of_them(there: Path, tmp_path: Path) -> None:
    said, begun = interrupted(tmp_path, signal.SIGINT)
    assert said.stdout == "interrupted 0\n", said.stderr
    assert "Traceback" not in said.stderr
    for process in begun.iterdir():
        assert not Path("/proc", process.name).exists()


@pytest.mark.timeout(120)
@pytest.mark.real_time("processes of their own take their time to start, and to see that nobody waits for them")
def test_a_parent_that_is_killed_leaves_none_of_them(there: Path, tmp_path: Path) -> None:
    said, begun = interrupted(tmp_path, signal.SIGKILL)
    assert said.returncode == -signal.SIGKILL
    for process in begun.iterdir():
        while is_alive(Path("/proc", process.name)):
            threading.Event().wait(0.02)


def is_alive(process: Path) -> bool:
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def interrupted(tmp_path: Path, how: signal.Signals) -> tuple[subprocess.CompletedProcess[str], Path]:
    """What a program says that gets a signal while two processes rehearse for it, and where they left their numbers."""
    begun = tmp_path / "begun"
    begun.mkdir()
    script = tmp_path / "script.py"
    script.write_text(dedent(INTERRUPTED))
    root = Path(__file__).parent.parent.parent
    said = subprocess.run(
        [sys.executable, str(script), str(begun), str(int(how))],
        env={**os.environ, "PYTHONPATH": str(root), "BEGUN": str(begun)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return said, begun
