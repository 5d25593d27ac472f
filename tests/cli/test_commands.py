"""Every command on real files: over the socket of a program, and on the store where none runs."""

import asyncio
import json
import re
import socket
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service_monitoring import bootstrap
from service_monitoring.bootstrap.desk import StoreDesk
from service_monitoring.cli import asking, show, show_figures, tables
from service_monitoring.cli.app import StateName
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.instants import DAY, HOUR, Duration, Instant
from service_monitoring.errors import InUse, Refused
from service_monitoring.settings import Settings
from service_monitoring.storage.folder import Lock
from tests.cli.conftest import FILE, Command, happen, inhabit, running
from tests.data_folders import with_tables

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")


def listed(command: Command, *arguments: str) -> list[dict[str, Any]]:
    said = command("incidents", "list", "--json", *arguments)
    assert said.code == 0, said.err
    rows: list[dict[str, Any]] = json.loads(said.out)
    return rows


# Incidents ------------------------------------------------------------------------------------------------------


def test_incidents_are_listed_newest_first_with_the_promised_keys(lived_in: Path, command: Command) -> None:
    rows = listed(command)
    assert [(row["rule"], row["state"]) for row in rows] == [("empty", "open"), ("down", "open"), ("down", "resolved")]
    keys = "id service rule series severity state opened_at acknowledged_at resolved_at summary"
    keys += " acknowledged_until draft assigned_to acknowledged_by"
    assert list(rows[0]) == keys.split()
    assert rows[1]["summary"] == "shop is down: connect"


def test_a_list_is_narrowed_by_state_service_and_number(lived_in: Path, command: Command) -> None:
    assert len(listed(command, "--state", "open")) == 2
    assert len(listed(command, "--state", "open", "--state", "resolved")) == 3
    assert listed(command, "--service", "nothing") == []
    assert len(listed(command, "--limit", "1")) == 1


def test_a_list_for_people_fits_80_columns_and_says_when_in_local_time(lived_in: Path, command: Command) -> None:
    said = command("incidents", "list")
    lines = said.out.splitlines()
    assert lines[0].split() == ["ID", "STATE", "SEVERITY", "RULE"]
    assert re.search(r"open since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0[12]:00, (now|\d+ s ago)", said.out)
    assert "shop is down: connect" in said.out
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in said.out


def test_an_incident_is_shown_with_what_happened_and_who_was_told(lived_in: Path, command: Command) -> None:
    newest = next(row for row in listed(command) if row["rule"] == "down")
    said = command("incidents", "show", newest["id"][:6])
    assert said.code == 0
    for words in (
        "Incident " + newest["id"],
        "shop.down",
        "open, critical",
        "connection refused",
        "log",
        "first: owed",
    ):
        assert words in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    detail = json.loads(command("incidents", "show", newest["id"], "--json").out)
    assert detail["incident"] == newest
    assert [each["state"] for each in detail["transitions"]] == ["pending", "open"]


def test_an_incident_is_acknowledged_and_resolved_by_name(lived_in: Path, command: Command) -> None:
    id = next(row["id"] for row in listed(command) if row["rule"] == "empty")
    said = command("incidents", "ack", id[:8], "--comment", "on it")
    assert (said.code, said.out) == (0, f"Acknowledged {id} (shop.empty) by ada\n")
    assert next(row["state"] for row in listed(command) if row["id"] == id) == "acknowledged"
    said = command("incidents", "resolve", id, "--by", "grace", "--json")
    assert (said.code, json.loads(said.out)["state"]) == (0, "resolved")
    said = command("incidents", "ack", id)
    assert (said.code, said.out) == (5, "")
    assert said.err.startswith("service-monitoring: ") and id in said.err


def test_an_acknowledgement_ends_when_it_was_said(lived_in: Path, command: Command) -> None:
    id = next(row["id"] for row in listed(command) if row["rule"] == "empty")
    said = command("incidents", "ack", id, "--for", "2h")
    assert said.code == 0, said.err
    assert re.fullmatch(rf"Acknowledged {id} \(shop\.empty\) by ada until [-0-9: ]+\+0[12]:00, in \d+ \w+\n", said.out)
    row = next(row for row in listed(command) if row["id"] == id)
    lasts = Instant.parse(row["acknowledged_until"]).since(Instant.parse(row["acknowledged_at"]))
    assert lasts == 2 * HOUR
    for words in ("list", "show"):
        said = command("incidents", words, *([id] if words == "show" else []))
        assert "until " in said.out and max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize("lasts", ["soon", "0", "-1h"])
def test_an_acknowledgement_that_cannot_last_is_refused(lived_in: Path, command: Command, lasts: str) -> None:
    said = command("incidents", "ack", "abcdef", "--for", lasts)
    assert (said.code, said.out) == (5, "") and "Traceback" not in said.err


def test_an_incident_is_snoozed_assigned_and_noted_upon(lived_in: Path, command: Command) -> None:
    id = next(row["id"] for row in listed(command) if row["rule"] == "empty")
    said = command("incidents", "snooze", id[:8], "--for", "2h", "--comment", "after lunch")
    assert re.fullmatch(rf"Snoozed {id} \(shop\.empty\) by ada until [-0-9: ]+\+0[12]:00, in \d+ \w+\n", said.out)
    said = command("incidents", "assign", id[:8], "--to", "grace")
    assert (said.code, said.out) == (0, f"Assigned {id} (shop.empty) to grace\n")
    said = command("incidents", "note", id[:8], "it was\nthe index", "--by", "grace")
    assert (said.code, said.out) == (0, f"Noted on {id} (shop.empty) by grace\n")
    assert "assigned to grace" in command("incidents", "list").out
    shown = command("incidents", "show", id).out
    for words in ("assigned to   grace", "snoozed", "by ada, ", "after lunch", "by grace, it was the index"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_note_is_kept_with_an_incident_that_is_over(lived_in: Path, command: Command) -> None:
    id = next(row["id"] for row in listed(command) if row["state"] == "resolved")
    assert command("incidents", "note", id, "the disk was full", "--json").code == 0
    last = json.loads(command("incidents", "show", id, "--json").out)["transitions"][-1]
    assert (last["what"], last["by"], last["comment"], last["state"]) == (
        "note",
        "ada",
        "the disk was full",
        "resolved",
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("snooze", "abcdef"), 2),
        (("snooze", "abcdef", "--for", "0"), 5),
        (("snooze", "abcdef", "--for", "soon"), 5),
        (("assign", "abcdef"), 2),
        (("note", "abcdef"), 2),
        (("note", "abcdef", "looking"), 5),
    ],
)
def test_an_act_that_cannot_be_is_refused(
    lived_in: Path, command: Command, arguments: tuple[str, ...], code: int
) -> None:
    said = command("incidents", *arguments)
    assert (said.code, said.out) == (code, "") and "Traceback" not in said.err


def test_an_assignment_to_nobody_and_an_empty_note_are_refused(lived_in: Path, command: Command) -> None:
    id = next(row["id"] for row in listed(command) if row["rule"] == "empty")
    for arguments in (("assign", id, "--to", ""), ("note", id, "")):
        said = command("incidents", *arguments)
        assert (said.code, said.out) == (5, "") and said.err.startswith("service-monitoring: ")


async def test_a_desk_without_a_program_takes_one_act_after_the_other(configured: Path) -> None:
    await inhabit(configured, happen)
    async with bootstrap.open_desk(bootstrap.load(configured / "monitoring.yaml")) as desk:
        open_ones = await desk.incidents(states=[State.OPEN], service=None, limit=10)
        assert len(open_ones) == 2
        for one in open_ones:
            acknowledged = await desk.act(Acted(one.id, Act.ACKNOWLEDGE, "ada"))
            assert acknowledged.state == State.ACKNOWLEDGED
            with pytest.raises(Refused):
                await desk.act(Acted(one.id, Act.ACKNOWLEDGE, "ada"))
        assert (await desk.act(Acted(open_ones[0].id, Act.RESOLVE, "ada"))).state == State.RESOLVED


@pytest.mark.parametrize("act", ["show", "ack", "resolve"])
def test_an_id_must_name_one_incident(lived_in: Path, command: Command, act: str) -> None:
    for id in ("zz", "0" * 16, ""):
        said = command("incidents", act, id)
        assert said.code == 5 and "there is no incident" in said.err, id


def test_a_beginning_that_names_several_is_refused(lived_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Path("monitoring.yaml")
    monkeypatch.setattr(asking, "incident_rows", lambda *_, **__: [{"id": "ab01"}, {"id": "ab02"}, {"id": "ac03"}])
    assert asking.identified(config, "ac") == "ac03"
    with pytest.raises(Refused, match="2 incidents begin"):
        asking.identified(config, "ab")


def test_a_retired_rule_closes_its_incident(lived_in: Path, command: Command) -> None:
    said = command("rules", "retire", "shop.empty", "--reason", "too loud")
    assert (said.code, said.out) == (0, "Retired shop.empty for ever\n")
    assert [row["state"] for row in listed(command) if row["rule"] == "empty"] == ["closed"]
    assert command("rules", "retire", "shop.nothing", "--reason", "x").code == 5
    assert command("rules", "retire", "nothing", "--reason", "x").code == 5


def test_rules_are_listed_with_what_they_say(lived_in: Path, command: Command) -> None:
    rows = json.loads(command("rules", "list", "--json").out)
    assert [(row["rule"], row["state"], row["verdicts"]) for row in rows] == [
        ("down", "active", {"breached": 1, "healthy": 0, "unknown": 0}),
        ("empty", "active", {"breached": 1, "healthy": 0, "unknown": 0}),
    ]
    said = command("rules", "list")
    assert said.out.splitlines()[0].split() == ["RULE", "STATE", "SEVERITY", "SAYS"]
    assert re.search(r"shop\.down +active +critical +1 breached", said.out)
    assert command("rules", "list", "--service", "nothing").out == "No rules.\n"


def test_a_rule_is_shown_with_what_it_says_why_and_what_comes_next(lived_in: Path, command: Command) -> None:
    said = command("rules", "show", "shop.down")
    assert said.code == 0, said.err
    for words in (
        "Rule shop.down",
        "active, critical",
        "threshold of shop.health.up",
        "shop/health/up",
        "breached, since",
        "0, connect, connection refused",
        "turns unknown",
        "open",
    ):
        assert words in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    detail = json.loads(command("rules", "show", "shop.down", "--json").out)
    assert detail["rule"]["incidents"] == 1
    assert command("rules", "show", "shop.nothing").code == 5
    assert command("rules", "show", "nothing").code == 5


def test_an_uptime_says_what_share_of_a_range_was_what(lived_in: Path, command: Command) -> None:
    (row,) = json.loads(command("uptime", "--json").out)
    parts = ("up", "down", "degraded", "maintenance", "unknown")
    assert row["service"] == "shop" and sum(row[part]["share"] for part in parts) == pytest.approx(1.0)
    assert Instant.parse(row["to"]).since(Instant.parse(row["from"])) == 30 * DAY
    said = command("uptime", "shop", "--over", "1h")
    lines = said.out.splitlines()
    assert re.match(r"from \d{4}-\d\d-\d\dT[0-9:]+Z to \d{4}-\d\d-\d\dT[0-9:]+Z, in per cent$", lines[0])
    assert lines[2].split() == ["SERVICE", "UP", "DOWN", "DEGRADED", "MAINTENANCE", "UNKNOWN"]
    assert re.match(r"shop +\S+ +\S+ +\S+ +0\.000 +\d\d\.\d{3}$", lines[3])
    assert max(map(len, lines)) <= 80
    (year,) = json.loads(
        command("uptime", "--from", "2020-01-01T00:00:00Z", "--to", "2021-01-01T00:00:00Z", "--json").out
    )
    assert year["unknown"] == {"seconds": 366 * 86_400.0, "share": 1.0}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nothing",), 5),
        (("--over", "soon"), 5),
        (("--over", "0"), 5),
        (("--from", "yesterday"), 5),
        (("--from", "2021-01-01T00:00:00Z", "--to", "2020-01-01T00:00:00Z"), 5),
        (("--from", "2021-01-01T00:00:00Z", "--over", "1d"), 2),
    ],
)
def test_a_range_that_is_none_is_refused(
    lived_in: Path, command: Command, arguments: tuple[str, ...], code: int
) -> None:
    said = command("uptime", *arguments)
    assert (said.code, said.out) == (code, "") and "Traceback" not in said.err


def test_a_share_is_never_rounded_to_all_or_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def part(share: float) -> dict[str, float]:
        return {"seconds": share * 1e7, "share": share}

    row: dict[str, Any] = {"service": "shop", "from": "2026-01-05T12:00:00Z", "to": "2026-02-05T12:00:00Z"}
    row |= {"up": part(0.9999999), "down": part(1e-7), "degraded": part(0), "maintenance": part(0), "unknown": part(0)}
    show_figures.uptime([row])
    assert capfd.readouterr().out.splitlines()[3].split() == ["shop", "99.999", "<0.001", "0.000", "0.000", "0.000"]


def test_budgets_say_what_is_left_and_how_fast_it_goes(configured: Path, command: Command) -> None:
    budget = """\
      budget:
        when: {check: health, metric: up, objective: 99.5, window: 7d, burn: fast}
        severity: critical
"""
    (configured / "monitoring.yaml").write_text(FILE.replace("      empty:\n", budget + "      empty:\n"))
    asyncio.run(inhabit(configured, happen))
    said = command("budgets", "shop")
    assert said.code == 0, said.err
    for words in (
        "shop.budget: -13233.3 % left, of the little that was observed",
        "99.5 % over 1w",
        "66.67 %, 2 of 3 samples",
        "unknown over 1h, unknown over 6h, unknown over 3d",
        "0.0 % of the window",
    ):
        assert words in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    (row,) = json.loads(command("budgets", "--json").out)
    assert (row["rule"], row["samples"], row["failed"]) == ("budget", 3, 2)
    assert command("budgets", "nothing").code == 5


def test_a_service_without_budgets_says_so(lived_in: Path, command: Command) -> None:
    assert command("budgets").out == "No error budgets.\n"


def test_status_says_whether_the_program_runs(lived_in: Path, command: Command) -> None:
    answer = json.loads(command("status", "--json").out)
    assert answer["incidents"]["open"] == 2
    said = command("status")
    assert said.code == 0 and ("running" if answer["running"] else "not running") in said.out
    assert "1 service, 3 checks, 2 rules" in said.out and max(map(len, said.out.splitlines())) <= 80
    assert command("status", "--check").code == (0 if answer["running"] else 1)


def test_a_backup_is_restored_into_a_new_folder(lived_in: Path, command: Command) -> None:
    said = command("backup", "copy.zip")
    assert (said.code, said.out) == (0, f"Wrote {(lived_in / 'copy.zip').resolve()}\n")
    assert command("backup", "copy.zip").code == 5
    assert command("restore", "copy.zip").code == 5  # the folder is not empty
    (lived_in / "elsewhere.yaml").write_text(FILE.replace("path: data", "path: elsewhere"))
    before = listed(command)
    said = command("restore", "copy.zip", "--config", "elsewhere.yaml")
    assert said.code == 0 and "elsewhere" in said.out, said.err
    assert listed(command, "--config", "elsewhere.yaml") == before


# Where nothing is -----------------------------------------------------------------------------------------------


def test_asking_about_a_store_that_is_not_there_makes_none(configured: Path, command: Command) -> None:
    assert listed(command) == []
    assert command("incidents", "list").out == "No incidents.\n"
    status = json.loads(command("status", "--json").out)
    assert (status["running"], status["checks"], status["judged_until"]) == (False, 3, "")
    assert command("status").code == 0
    assert command("incidents", "show", "ab").code == 5
    assert command("rules", "list").out == "No rules.\n"
    assert command("rules", "show", "shop.down").code == 5
    assert command("uptime").out == "Nothing is known of any service yet.\n"
    assert command("uptime", "shop").code == 5
    assert command("budgets").out == "No error budgets.\n"
    assert command("backup", "copy.zip").code == 5
    assert command("rules", "retire", "shop.down", "--reason", "x").code == 5
    assert not (configured / "data").exists()


@pytest.mark.parametrize(
    "arguments",
    [("validate",), ("status",), ("incidents", "list"), ("check", "shop.health"), ("backup", "x"), ("restore", "x")],
)
def test_without_a_configuration_a_command_says_how_to_get_one(
    folder: Path, command: Command, arguments: tuple[str, ...]
) -> None:
    said = command(*arguments)
    assert (said.code, said.out) == (5, "")
    assert "service-monitoring init URL" in said.err
    assert list(folder.iterdir()) == []


# The file -------------------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_is_valid_and_never_another(folder: Path, command: Command) -> None:
    said = command("init", "http://127.0.0.1:8000/health")
    assert said.code == 0 and "monitoring.yaml" in said.out, said.err
    assert command("validate").code == 0
    text = (folder / "monitoring.yaml").read_text()
    said = command("init", "http://127.0.0.1:9000/")
    assert said.code == 5 and "left alone" in said.err
    assert (folder / "monitoring.yaml").read_text() == text
    assert command("init", "http://127.0.0.1:9000/", "--config", "nowhere/file.yaml").code == 5


@pytest.mark.parametrize("url", ["shop", "gopher://shop/", "http://", "tcp://shop"])
def test_init_refuses_what_it_cannot_watch(folder: Path, command: Command, url: str) -> None:
    said = command("init", url)
    assert said.code == 5 and "Traceback" not in said.err
    assert list(folder.iterdir()) == []


def test_validate_sums_up_what_would_run(configured: Path, command: Command) -> None:
    said = command("validate")
    assert (said.code, said.out) == (0, "monitoring.yaml is valid: 1 service, 3 checks, 2 rules, 1 channel\n")
    answer = json.loads(command("validate", "--json").out)
    assert (answer["valid"], answer["checks"], answer["complaints"]) == (True, 3, [])


def test_validate_says_once_each_what_this_version_does_not_do(configured: Path, command: Command) -> None:
    (configured / "monitoring.yaml").write_text(FILE + "timezone: Europe/Berlin\nmaintenance: []\npeople: {ada: {}}\n")
    answer = json.loads(command("validate", "--json").out)
    assert answer["valid"], answer
    said = command("validate")
    lines = [line for line in said.err.splitlines() if line.startswith("not yet: ")]
    assert len(lines) == len(set(lines)) == len(answer["not_yet"])


def test_validate_complains_one_line_each_with_place_key_and_remedy(configured: Path, command: Command) -> None:
    (configured / "monitoring.yaml").write_text(
        FILE.replace("severity: critical", "severity: bad").replace("1s", "1 x")
    )
    said = command("validate")
    assert (said.code, said.out) == (1, "")
    lines = said.err.splitlines()
    assert len(lines) >= 3
    assert all(re.match(r"\S*monitoring\.yaml:\d+:\d+ services\.shop\.", line) for line in lines), lines
    answer = command("validate", "--json")
    assert answer.code == 1
    complaints = json.loads(answer.out)["complaints"]
    assert len(complaints) == len(lines)
    assert all(each["line"] > 0 and each["path"] and each["problem"] and each["remedy"] for each in complaints)


def test_other_commands_refuse_an_invalid_file(configured: Path, command: Command) -> None:
    (configured / "monitoring.yaml").write_text("services: [\n")
    said = command("incidents", "list")
    assert said.code == 5 and "monitoring.yaml:" in said.err and "Traceback" not in said.err


def test_the_schema_is_json(folder: Path, command: Command) -> None:
    said = command("schema")
    assert said.code == 0 and "services" in json.loads(said.out)["properties"]


# A run of a check -----------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_check_shows_the_phases_of_a_run_that_is_ok(configured: Path, command: Command, listener: int) -> None:
    (configured / "monitoring.yaml").write_text(FILE.replace("127.0.0.1:1", f"127.0.0.1:{listener}"))
    said = command("check", "shop.health")
    assert said.code == 0, said.out + said.err
    assert said.out.startswith("shop.health: ok") and "connect" in said.out and "ms" in said.out and "#" in said.out
    answer = json.loads(command("check", "shop.health", "--json").out)
    assert (answer["check"], answer["outcome"]) == ("shop.health", "ok")
    assert not (configured / "data").exists()


def test_check_exits_1_and_says_why_when_it_fails(configured: Path, command: Command) -> None:
    said = command("check", "shop.health")
    assert said.code == 1 and said.out.startswith("shop.health: failed (connect)")
    assert max(map(len, said.out.splitlines())) <= 80
    assert json.loads(command("check", "shop.health", "--json").out)["reason"] == "connect"


def test_check_names_the_checks_there_are(configured: Path, command: Command) -> None:
    said = command("check", "shop.helth")
    assert said.code == 5 and "shop.health" in said.err


# The socket -----------------------------------------------------------------------------------------------------


def test_a_folder_in_use_whose_program_does_not_answer_is_unavailable(
    configured: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", Duration(0))
    with running(configured):
        (configured / "data" / "control.sock").rename(configured / "data" / "moved")
        said = command("incidents", "list")
        (configured / "data" / "moved").rename(configured / "data" / "control.sock")
    assert said.code == 4 and "in use" in said.err


def test_a_store_that_another_command_has_open_is_waited_for(
    configured: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, opened = Lock(with_tables(configured / "data")), bootstrap.open_desk
    lock.take()
    refused: list[str] = []

    @asynccontextmanager
    async def held(settings: Settings) -> AsyncIterator[StoreDesk]:
        try:
            async with opened(settings) as desk:
                yield desk
        except InUse as error:
            refused.append(str(error))
            lock.release()
            raise

    monkeypatch.setattr(bootstrap, "open_desk", held)
    assert command("incidents", "list").code == 0
    assert len(refused) == 1


def test_something_else_on_the_socket_is_no_answer(configured: Path, command: Command) -> None:
    (configured / "data").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(configured / "data" / "control.sock"))
        server.listen()

        def hang_up() -> None:
            server.settimeout(10)
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        said = command("status")
        thread.join()
    assert said.code == 4 and "does not answer" in said.err


def test_only_the_owner_can_speak_to_the_program(configured: Path) -> None:
    with running(configured):
        assert stat.S_IMODE((configured / "data" / "control.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE((configured / "data").stat().st_mode) == 0o700


# Words ----------------------------------------------------------------------------------------------------------


def test_the_states_that_people_type_are_those_of_the_domain() -> None:
    assert [name.value for name in StateName] == [state.value for state in State]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (1, "1 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3600, "1 h ago"),
        (90000, "1 d ago"),
        (-5, "in 5 s"),
    ],
)
def test_a_distance_is_told_in_its_largest_unit(seconds: int, said: str) -> None:
    now = Instant.parse("2026-01-05T12:00:00Z")
    assert show.distance(Instant(now.ns - seconds * 10**9), now) == said


def test_a_text_from_outside_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    row = {
        "id": "0123456789abcdef",
        "service": "shop",
        "rule": "down",
        "series": "shop/health/up",
        "severity": "critical",
        "state": "open",
        "opened_at": "2026-01-05T12:00:00Z",
        "resolved_at": None,
        "acknowledged_until": None,
        "draft": False,
        "assigned_to": "",
        "summary": "\x1b[2Jgone \x9b31m [bold]bold[/bold] :boom:",
    }
    tables.incidents([row], Instant.parse("2026-01-05T12:00:00Z"))
    out = capfd.readouterr().out
    assert "\x1b" not in out and "\x9b" not in out
    assert "[bold]bold[/bold] :boom:" in out


def test_the_outbox_is_listed_and_only_what_is_parked_is_sent_once_more(lived_in: Path, command: Command) -> None:
    rows = json.loads(command("outbox", "list", "--json").out)
    assert {row["state"] for row in rows} == {"owed"}
    key = rows[0]["key"]
    assert key[:16] in command("outbox", "list").out
    assert command("outbox", "list", "--state", "parked").out == "No notices.\n"
    refused = command("outbox", "requeue", key[:12])
    assert refused.code == 5 and "only a parked one" in refused.err
    assert "there is no notice 'abc'" in command("outbox", "requeue", "abc").err
