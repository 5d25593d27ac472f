"""What people do with the console, from the first minute on, against the real program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.console import Console, a_console, a_page, sign_up
from tests.faults.world import wait_for


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with a_console(tmp_path_factory.mktemp("console")) as opened:
        yield opened


@pytest.fixture
def well(console: Console) -> Iterator[None]:
    """The shop answers, before and after, and no incident of it is open."""
    yield
    console.world.target_status = 200
    wait_for(lambda: not incidents(console), "the end of all incidents")


def incidents(console: Console) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = console.world.ask("/api/v1/incidents?state=open&state=acknowledged")
    return found


def fail(console: Console) -> dict[str, Any]:
    """Let the shop fail; its incident once it is open."""
    console.world.target_status = 503
    wait_for(lambda: bool(incidents(console)), "an incident")
    return incidents(console)[0]


def test_from_the_first_start_to_the_first_incident_acknowledged(
    console: Console, browser: Browser, well: None
) -> None:
    with a_page(browser) as page:
        page.goto(console.url)
        assert page.url.startswith(f"{console.url}/setup")
        sign_up(page, console)
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        fail(console)
        # Nobody reloads: what happened comes by itself.
        page.get_by_role("link", name="shop is down").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("shop")
        page.get_by_label("Comment").first.fill("on it")
        page.get_by_role("button", name="Acknowledge").first.click()
        expect(page.locator(".state-acknowledged").first).to_be_visible()
        acknowledged = incidents(console)[0]
        assert acknowledged["state"] == "acknowledged"
        page.context.storage_state(path=console.world.folder / "signed-in.json")
    # Under whose name it was done is that of whoever signed in, not one that a form named.
    detail = console.world.ask(f"/api/v1/incidents/{acknowledged['id']}")
    assert [each["by"] for each in detail["transitions"] if each["state"] == "acknowledged"] == ["ada"]
