"""The API does what its description says: the whole program behind its door, asked by what the description allows.

What is asked is made up in asking.py: statuses, media types and shapes of the answers must be described, and nothing
may make the program fail.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import STDOUT

import pytest
from anyio import run_process

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


async def asked(url: str, token: str, folder: Path, examples: int, *phases: str) -> None:
    """Ask everything, from a process of its own: Schemathesis imports as it goes, and assertions are rewritten here."""
    program = Path(__file__).with_name("asking.py")
    command = [sys.executable, str(program), url, token, str(folder), str(examples), *phases]
    done = await run_process(command, check=False, stderr=STDOUT)
    assert done.returncode == 0, done.stdout.decode()


async def test_whatever_is_asked_is_answered_as_the_description_says(tmp_path: Path) -> None:
    async with the_program(tmp_path) as (url, token):
        await asked(url, token, tmp_path, 1)


@pytest.mark.oracle
@pytest.mark.timeout(1_800)
async def test_whatever_is_asked_at_length_is_answered_as_the_description_says(tmp_path: Path) -> None:
    async with the_program(tmp_path) as (url, token):
        await asked(url, token, tmp_path, 30, "coverage", "stateful")
