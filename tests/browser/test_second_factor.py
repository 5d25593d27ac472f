"""A second factor in a real browser: its picture is drawn under the policy of the page, and it fits a phone."""

from __future__ import annotations

from base64 import b32decode
from pathlib import Path

from playwright.sync_api import Browser, expect

from service_monitoring.access.codes import code_of
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.runtime.clock import SystemClock
from tests.browser.console import PASSWORD, PHONE, a_console, a_page, accessible, overflows, sign_up


def code(secret: str, *, later: int = 0) -> str:
    return code_of(b32decode(secret), SystemClock().now().plus(Duration(later * 30 * SECOND)))


def test_a_second_factor_is_turned_on_and_asked_for_on_a_phone(tmp_path: Path, browser: Browser) -> None:
    with a_console(tmp_path) as console, a_page(browser, PHONE) as page:
        sign_up(page, console)
        page.goto(f"{console.url}/account")
        page.get_by_role("button", name="Turn it on").click()
        expect(page.get_by_role("img", name="The secret as a QR code")).to_be_visible()
        assert (accessible(page), overflows(page)) == ([], False)
        secret = page.locator("dd code").first.inner_text()
        page.get_by_label("Code", exact=True).fill(code(secret))
        page.get_by_role("button", name="Turn it on").click()
        expect(page.get_by_role("heading", level=2)).to_contain_text("Your recovery codes")
        assert (accessible(page), overflows(page)) == ([], False)
        page.get_by_role("link", name="Your account").click()
        assert (accessible(page), overflows(page)) == ([], False)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Name", exact=True).fill("ada")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The code of your app")
        assert (accessible(page), overflows(page)) == ([], False)
        page.get_by_label("Code", exact=True).fill(code(secret, later=1))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{console.url}/")
