"""The API does what its description says: the whole program behind its door, asked by what the description allows.

What the description allows, and what it does not, is made up by Schemathesis: statuses, media types and shapes of the
answers must be described, and nothing may make the program fail.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from service_monitoring.access.desk import Client, Opened
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import SCOPES, Role
from service_monitoring.bootstrap import load, opened
from service_monitoring.runtime.clock import SystemClock

pytestmark = pytest.mark.real_time("a program runs, with servers that look after their connections")

FILE = """\
services:
  shop:
    labels: {team: pay}
    checks:
      beat: {heartbeat: {period: 5m, grace: 1m}}
      orders: {push: {}}
    rules:
      many:
        when: {check: orders, metric: orders, above: 100}
        for: 5m
people:
  ada: {contact: [channel.hook]}
oncall:
  first: {timezone: UTC, layers: [{people: [ada], rotate: weekly, handover: Mon 09:00, starts: "2026-01-05"}]}
channels:
  hook: {webhook: "http://127.0.0.1:9/"}
maintenance:
  - {name: tidy, match: {service: shop}, weekly: Sun 03:00, lasts: 1h, comment: planned}
web: {listen: "127.0.0.1:0", authentication: accounts}
"""
PASSWORD = "correct horse battery"
KNOWN = {"path.service": "shop", "path.rule": "many", "path.rota": "first", "query.service": "shop"}
"""What there is: of names that are made up, there is nothing."""


@asynccontextmanager
async def the_program(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """A whole program; its URL, and a token that is good for everything that tokens are good for."""
    file = folder / "monitoring.yaml"
    file.write_text(FILE)
    async with opened(load(file), SystemClock()) as program:
        access = program.faces.access
        assert access is not None
        await access.create_account(OWNER, "ada", Role.ADMIN, PASSWORD)
        opening = await access.sign_in("ada", PASSWORD, Client("127.0.0.1"))
        assert isinstance(opening, Opened)
        secret = (await access.create_token(opening.identity, "contract", SCOPES, None)).secret
        running = asyncio.create_task(program.run())
        try:
            while not (listens := (await program.desk.status()).listens) and not running.done():
                await asyncio.sleep(0.02)
            yield f"http://{listens}", secret
        finally:
            program.stop()
            with suppress(asyncio.CancelledError):
                await running


def asked(url: str, token: str, folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Ask everything; what was wrong, a text each."""
    schema = schemathesis.openapi.from_url(
        f"{url}/openapi.json",
        config=SchemathesisConfig.from_dict({"headers": {"Authorization": f"Bearer {token}"}, **config}),
    ).exclude(path="/api/v1/events")  # it has no end

    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        # Backups are written where it is asked for: here, in this folder alone.
        if case.path == "/api/v1/backup" and isinstance(case.body, dict) and isinstance(case.body.get("file"), str):
            name = case.body["file"].encode(errors="replace").hex()[:40]
            case.body = {**case.body, "file": str(folder / f"{name}.tar")}

    schemathesis.hook(before_call)
    try:
        return list(_wrong(schema))
    finally:
        schemathesis.hooks.unregister(before_call)


def _wrong(schema: Any) -> Iterator[str]:
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for check in chain.from_iterable(event.recorder.checks.values()):
                if (found := check.failure_info) is not None:
                    said = f"{found.failure.title}: {found.failure.message}"
                    yield f"{event.recorder.label}: {said}\n{found.code_sample}"
        elif isinstance(event, events.NonFatalError):
            yield f"{event.label}: {event.value}"
        elif isinstance(event, events.FatalError):
            yield str(event.exception)


def settings(examples: int, *, phases: bool) -> dict[str, Any]:
    return {
        "generation": {"max-examples": examples, "deterministic": True, "database": "none", "no-shrink": True},
        "phases": {"coverage": {"enabled": phases}, "stateful": {"enabled": phases}},
        "parameters": KNOWN,
        # What a length of time or a matcher looks like is said in words there: not each text is one.
        "checks": {"positive_data_acceptance": {"enabled": False}},
        "continue-on-failure": True,
        "request-timeout": 30.0,
    }


@pytest.fixture(autouse=True)
def imported() -> None:
    """Before there are threads: Python 3.11 cannot compile in two at once while assertions are rewritten."""
    import_module("schemathesis.specs.openapi.schemas")


async def test_whatever_is_asked_is_answered_as_the_description_says(tmp_path: Path) -> None:
    async with the_program(tmp_path) as (url, token):
        wrong = await asyncio.to_thread(asked, url, token, tmp_path, settings(1, phases=False))
    assert not wrong, "\n".join(wrong)


@pytest.mark.oracle
@pytest.mark.timeout(1_800)
async def test_whatever_is_asked_at_length_is_answered_as_the_description_says(tmp_path: Path) -> None:
    async with the_program(tmp_path) as (url, token):
        wrong = await asyncio.to_thread(asked, url, token, tmp_path, settings(30, phases=True))
    assert not wrong, "\n".join(wrong)
