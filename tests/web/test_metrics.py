"""/metrics over the real application: names, bounded labels, both formats, and what promtool says of it."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as parsed

from service_monitoring.access.identity import STRANGER
from service_monitoring.access.permissions import Role
from service_monitoring.bootstrap import load, opened
from service_monitoring.bootstrap.metering import BOUNDS, histogram
from service_monitoring.domain.instants import MILLISECOND, SECOND
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.lateness import Lateness
from service_monitoring.views.faces import Faces
from service_monitoring.views.measures import MOST_CHANNELS, OTHER, among_channels
from tests.web.faced import somebody, visiting

pytestmark = pytest.mark.real_time("a server looks after its connections ten times a second")


@asynccontextmanager
async def program(folder: Path, services: int) -> AsyncIterator[Faces]:
    """A program on its folder that has not begun to run."""
    folder.mkdir()
    written = "".join(
        f"  svc-{number}: {{checks: {{beat-{number}: {{heartbeat: {{period: 5m, grace: 1m}}}}}}}}\n"
        for number in range(services)
    )
    (folder / "monitoring.yaml").write_text(f"services:\n{written}web: {{listen: none}}\n")
    async with opened(load(folder / "monitoring.yaml"), SystemClock()) as made:
        yield made.faces


async def scraped(faces: Faces, accept: str = "") -> str:
    async with visiting(faces, somebody(Role.VIEWER)) as client:
        async with client.get("/api/v1/status"), client.get("/api/v1/outbox/nothing"):
            pass
        async with client.get("/metrics", headers={"Accept": accept}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()


def series(text: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {(each.name, tuple(sorted(each.labels.items()))) for family in parsed(text) for each in family.samples}


async def test_the_number_of_series_is_the_same_with_ten_thousand_services_and_no_label_names_one(
    tmp_path: Path,
) -> None:
    async with program(tmp_path / "one", 1) as faces:
        few = series(await scraped(faces))
    async with program(tmp_path / "many", 10_000) as faces:
        text = await scraped(faces)
    many = series(text)
    assert few == many
    assert "svc-" not in text
    assert "beat-" not in text


async def test_promtool_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "the package prometheus brings promtool"
    async with program(tmp_path / "one", 1) as faces:
        text = await scraped(faces)
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_figures_are_what_the_program_counted(tmp_path: Path) -> None:
    async with program(tmp_path / "one", 1) as faces:
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {
            (each.name, tuple(sorted(each.labels.items()))): each.value
            for family in parsed(await scraped(faces))
            for each in family.samples
        }
    assert found["service_monitoring_build_info", (("version", faces.version),)] == 1
    requests = "service_monitoring_http_requests_total"
    assert found[requests, (("route", "/api/v1/status"), ("status", "2xx"))] == 1
    assert found[requests, (("route", "/api/v1/outbox/{key}"), ("status", "4xx"))] == 1
    assert found["service_monitoring_queue_capacity", (("queue", "inbox"),)] == 10_000
    assert found["service_monitoring_check_runs_total", (("outcome", "ok"),)] == 0
    assert found["service_monitoring_store_size_bytes", (("file", "facts"),)] > 0
    assert found["service_monitoring_check_lateness_seconds_bucket", (("le", "+Inf"),)] == 0


async def test_open_metrics_are_answered_to_whoever_accepts_them(tmp_path: Path) -> None:
    async with program(tmp_path / "one", 1) as faces:
        text = await scraped(faces, "application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    assert {family.name for family in open_metrics(text)}  # type: ignore[no-untyped-call] # it comes without types >= {"service_monitoring_check_runs"}


async def test_who_may_not_see_figures_is_turned_away(tmp_path: Path) -> None:
    async with (
        program(tmp_path / "one", 1) as faces,
        visiting(faces, STRANGER) as client,
        client.get("/metrics") as answer,
    ):
        assert answer.status == 401


def test_lateness_is_counted_in_few_buckets_each_of_which_holds_those_before_it() -> None:
    lateness = Lateness()
    late = (-5, 0, 900_000, 4 * MILLISECOND, 30 * MILLISECOND, 30 * MILLISECOND, 2 * SECOND)
    for each in late:
        lateness.record(each)
    made = histogram(lateness)
    assert dict(made.buckets) == dict(zip(BOUNDS, (3, 3, 4, 4, 4, 6, 6, 6, 6, 6), strict=True))
    assert (made.count, made.total) == (7, (900_000 + 64 * MILLISECOND + 2 * SECOND) / SECOND)


def test_beyond_the_busiest_channels_all_are_counted_together() -> None:
    counts: dict[Any, int] = {("delivered", f"c{number:03}"): 1_000 - number for number in range(500)}
    counts |= {("parked", f"c{number:03}"): 1 for number in range(500)}
    found = among_channels(counts, 1)
    assert len({channel for _, channel in found}) == MOST_CHANNELS + 1
    assert sum(found.values()) == sum(counts.values())
    assert found["parked", OTHER] == 500 - MOST_CHANNELS
