"""Every page in light and dark, wide and on a phone: readable by all, quick, light, and looking as it should.

The pictures are kept in build/screenshots; some of them are in the documentation.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import weeks
from tests.browser.console import (
    PHONE,
    WIDE,
    Console,
    a_console,
    a_page,
    accessible,
    overflows,
    picture,
    sign_up,
)

FIRST_PAINT_MS = 1_000
HEAVIEST_BYTES = 300 * 1024
COLOURS = ("color-contrast",)
PLACES = ("scrollable-region-focusable", "meta-viewport")
STRANGERS = {
    "login": "/login",
    "status": "/status/shop",
    "status-history": "/status/shop/history",
    "status-not-found": "/status/nothing",
}
PAGES = {
    "overview": "/",
    "services": "/services",
    "services-none": "/services?q=nothing",
    "service": "/services/checkout?range=6h",
    "service-down": "/services/recommendations?range=1d",
    "rule": "/services/checkout/rules/slow",
    "check": "/services/checkout/checks/api",
    "budgets": "/services/shop/budgets",
    "incidents": "/incidents",
    "incidents-ended": "/incidents?state=ended",
    "incident": "$incident",
    "silences": "/silences",
    "silence-new": "/silences/new?matcher=service%3Dcheckout&for=2h&comment=a+release",
    "oncall": "/oncall",
    "outbox": "/outbox",
    "notice": "$notice",
    "rehearsals": "/rehearsals?service=checkout",
    "rehearsal": "$rehearsal",
    "system": "/system",
    "account": "/account",
    "accounts": "/accounts",
    "tokens": "/tokens",
    "audit": "/audit",
    "not-found": "/services/nothing",
}


class Shop:
    """The seeded program, who is signed in, and the addresses of what has no fixed one."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.state = console.world.folder / "signed-in.json"
        self.addresses: dict[str, str] = {}

    def address(self, path: str) -> str:
        return self.console.url + self.addresses.get(path, path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Shop]:
    """Five weeks of history, one account, one rehearsal."""
    with a_console(tmp_path_factory.mktemp("shop"), weeks.CONFIGURATION, before=fill) as console:
        shop = Shop(console)
        with a_page(browser) as page:
            page.goto(f"{console.url}/setup")
            assert accessible(page) == []
            picture(page, "setup-wide-light")
            sign_up(page, console)
            page.context.storage_state(path=shop.state)
            shop.addresses["$rehearsal"] = rehearsed(page, console)
        incidents = console.world.ask("/api/v1/incidents?service=checkout")
        shop.addresses["$incident"] = f"/incidents/{incidents[0]['id']}"
        shop.addresses["$notice"] = f"/outbox/{console.world.ask('/api/v1/outbox?text=checkout')[0]['key']}"
        yield shop


def fill(console: Console) -> None:
    """In a process of its own: this thread has Playwright's loop."""
    subprocess.run([sys.executable, "-m", weeks.__name__, console.config, console.world.data], check=True)


def rehearsed(page: Page, console: Console) -> str:
    """Where the report is of what would be with a longer patience."""
    page.goto(f"{console.url}/rehearsals?service=checkout")
    page.locator('[name="set:checkout.slow.for"]').fill("1h")
    page.get_by_role("button", name="Rehearse").click()
    expect(page.get_by_role("link", name="Whole report")).to_be_visible(timeout=60_000)
    return page.url.removeprefix(console.url)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("who", ["admin", "stranger"])
def test_every_page_is_for_everybody(shop: Shop, browser: Browser, size: tuple[int, int], who: str) -> None:
    pages = PAGES if who == "admin" else STRANGERS
    wrong, told = [], []
    with a_page(browser, size, storage_state=shop.state if who == "admin" else None) as page:
        for name, path in pages.items():
            page.emulate_media(color_scheme="light")
            answer = page.goto(shop.address(path))
            assert answer is not None
            wrong += [f"{name}: answered {answer.status}"] * (answer.status != (404 if "not-found" in name else 200))
            paint, weight = page.evaluate(MEASURED)
            told.append(f"{name} {paint:.0f} ms {weight / 1024:.0f} KiB")
            wrong += [f"{name}: painted after {paint:.0f} ms"] * (paint > FIRST_PAINT_MS)
            wrong += [f"{name}: {weight} bytes"] * (weight > HEAVIEST_BYTES)
            wrong += [f"{name}: wider than its window"] * overflows(page)
            form = "wide" if size == WIDE else "phone"
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                picture(page, f"{name}-{form}-{scheme}")
            # What is dark differs in colours alone, and what is narrow in places.
            if size == WIDE:
                wrong += [f"{name} dark: {each}" for each in accessible(page, COLOURS)]
                page.emulate_media(color_scheme="light")
            wrong += [f"{name} light: {each}" for each in accessible(page, () if size == WIDE else PLACES)]
    print("\n".join(told))
    assert wrong == []


def test_a_rehearsal_shows_which_pages_would_not_have_come(shop: Shop, browser: Browser) -> None:
    with a_page(browser, storage_state=shop.state) as page:
        page.goto(shop.address("$rehearsal"))
        rows = page.locator("#pages ~ table tbody tr", has=page.locator(".what.vanishes"))
        assert rows.count() > 0
        assert all("checkout.slow" in row for row in rows.all_inner_texts())
        assert page.locator(".drawing .mark.lost").count() > 0
        # The incident that would not have been is that of which it tells.
        rows.first.get_by_role("link").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("checkout.slow")


def test_a_rehearsal_is_called_off(shop: Shop, browser: Browser) -> None:
    console = shop.console
    with a_page(browser, storage_state=shop.state) as page:
        page.goto(f"{console.url}/rehearsals?service=search")
        page.get_by_label("all of it").check()
        page.get_by_role("button", name="Rehearse").click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("main .row .state").first).to_have_text("cancelled")


MEASURED = """async () => {
  const painted = new Promise((told) => {
    const watcher = new PerformanceObserver((list) => {
      for (const each of list.getEntriesByName("first-contentful-paint")) told(each.startTime);
    });
    watcher.observe({type: "paint", buffered: true});
  });
  const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  return [await painted, entries.reduce((sum, each) => sum + each.decodedBodySize, 0)];
}"""
