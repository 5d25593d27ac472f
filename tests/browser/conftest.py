"""Chromium for the journeys: Debian's, driven by Playwright."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright


# Playwright runs an event loop in this thread: it must be over before tests of other folders run loops of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ended with this folder: while Playwright is there its loop runs, and no test could run one of its own."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield started
        started.close()
