"""A real program with its door open, and Debian's Chromium in front of it.

Every page that a test opens is watched: a dialog, a script that failed, or anything that the page's policy forbade is a
failure, whatever else the test looks at.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_core_python
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request

from tests.faults.world import World, a_world, stop, wait_for

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SHOWN = {
    "overview-wide-light": "overview",
    "incident-wide-light": "incident",
    "service-wide-light": "service",
    "rehearsal-wide-light": "rehearsal",
    "oncall-wide-light": "oncall",
    "status-phone-light": "status-phone",
}
"""What the documentation shows, as much of it as a window holds."""
WIDE = (1280, 860)
PHONE = (390, 844)
STANDARDS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")
FEWER = """() => {
  for (const list of document.querySelectorAll("tbody, ul, ol, svg g, svg")) {
    while (list.children.length > 12) list.lastChild.remove();
  }
}"""
POLICY = """addEventListener("securitypolicyviolation", (event) => {
  console.error(`forbidden by ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});"""
PASSWORD = "correct horse battery staple"

CONFIGURATION = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
services:
  shop:
    description: The web shop
    labels: {team: payments, tier: gold}
    checks:
      health: {http: $target, every: 1s, timeout: 900ms}
    rules:
      down: {when: {check: health, metric: up, below: 1}, for: 1s, severity: critical, summary: "{{ service }} is down"}
      slow: {when: {check: health, metric: duration_seconds, aggregate: p95, over: 1m, above: 0.8}, severity: warning}
  search:
    labels: {team: discovery}
    checks:
      health: {http: $target?search, every: 1s}
people:
  ada: {timezone: Europe/Berlin, contact: [channel.hook]}
  grace: {timezone: America/New_York, contact: [channel.hook]}
channels:
  hook: {webhook: $sink}
oncall:
  primary:
    timezone: Europe/Berlin
    layers: [{people: [ada, grace], rotate: weekly, handover: Mon 09:00, starts: "2026-01-05"}]
routes:
  - group_wait: 0s
    notify: [channel.hook, oncall.primary]
maintenance:
  - {name: weekly-restart, match: {service: search}, weekly: Sun 03:00, lasts: 1h, comment: planned}
status_pages:
  public: {title: The shop's services, services: [shop, search]}
"""


class Console:
    """The program's console at `url`, as one person or none has it open."""

    def __init__(self, world: World, url: str, config: Path) -> None:
        self.world = world
        self.url = url
        self.config = config
        self._program: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program, and wait until it answers."""
        program = self._program = self.world.start(self.config)
        wait_for(lambda: self.world.answers() or program.poll() is not None, "an answer on the socket")
        assert program.poll() is None, self.world.log.read_text()[-2000:]

    def stop(self) -> None:
        """End it in order, as whoever stops a service does."""
        if self._program is not None:
            stop(self._program)
            self._program = None

    def setup_token(self) -> str:
        """What the program printed for the first to come."""
        wait_for(lambda: self._said() is not None, "the token of the first run")
        said = self._said()
        assert said is not None
        return said

    def _said(self) -> str | None:
        found = re.search(
            r"token[^0-9a-f]*([0-9a-f]{32,})", self.world.log.read_text() if self.world.log.exists() else ""
        )
        return found[1] if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def a_console(
    folder: Path, text: str = CONFIGURATION, *, before: Callable[[Console], None] = lambda console: None
) -> Iterator[Console]:
    """A program on a data folder of its own, in which `before` may leave something; ended in order afterwards."""
    port = free_port()
    with a_world(folder) as world:
        config = world.configure(text + f"\nweb: {{listen: 127.0.0.1:{port}, url: http://127.0.0.1:{port}}}\n")
        console = Console(world, f"http://127.0.0.1:{port}", config)
        before(console)
        try:
            console.start()
            yield console
        finally:
            console.stop()


class Watched:
    """A page whose every complaint is kept."""

    def __init__(self, context: BrowserContext, expected: str) -> None:
        self._expected = re.compile(expected)
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script failed: {error}"))
        self.page.on("console", self._console)
        context.add_init_script(POLICY)
        context.on("request", self._request)

    def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.scheme not in {"data", "blob"} and where.hostname != "127.0.0.1":
            self.complaints.append(f"asked of a stranger: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not self._expected.search(message.text):
            self.complaints.append(f"console: {message.text}")


@contextmanager
def a_page(
    browser: Browser, size: tuple[int, int] = WIDE, *, expected: str = "status of 4", **more: Any
) -> Iterator[Page]:
    """A page in a context of its own; at its end there must be nothing that it complained of but what is `expected`."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **more)
    watched = Watched(context, expected)
    try:
        yield watched.page
        assert watched.complaints == []
    finally:
        context.close()


def sign_up(page: Page, console: Console, name: str = "ada") -> None:
    """The first account, with the printed token."""
    page.goto(f"{console.url}/setup")
    page.get_by_label("Token").fill(console.setup_token())
    page.get_by_label("Your name here").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The password once more").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url(f"{console.url}/")


def sign_in(page: Page, console: Console, name: str, password: str = PASSWORD) -> None:
    """By the form."""
    page.goto(f"{console.url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def csrf(page: Page, console: Console, path: str) -> str:
    """What the forms of a page prove themselves with."""
    page.goto(console.url + path)
    token = page.locator('input[name="csrf"]').first.get_attribute("value")
    assert token is not None
    return token


def accessible(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds serious or critical on a page (WCAG 2.1 A and AA, or these `rules`), a line each.

    Rows of a list beyond the first few are like those: they are taken out before, and the page is not to be used after.
    """
    page.evaluate(FEWER)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate(
        "only => axe.run(document, {runOnly: only, resultTypes: ['violations']})", list(rules) or list(STANDARDS)
    )
    return [
        f"{each['id']}: {each['help']}: {', '.join(str(node['target']) for node in each['nodes'][:3])}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def picture(page: Page, name: str) -> None:
    """Keep how a page looks, where pictures are wanted: they take longer than all the rest."""
    if "PICTURES" not in os.environ:
        return
    for folder in (SCREENSHOTS, PICTURES):
        folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    if name in SHOWN:
        page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
        page.screenshot(path=PICTURES / f"{SHOWN[name]}.png")


def overflows(page: Page) -> bool:
    """Whether a page is wider than its window: somebody with a phone has to push it to and fro."""
    wider: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1")
    return wider
