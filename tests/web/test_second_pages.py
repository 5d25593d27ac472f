"""Signing in with a second factor, over the whole application: turned on, asked for, recovered, turned off."""

import re
from base64 import b32decode
from collections.abc import AsyncIterator
from html import unescape
from ipaddress import ip_network

import pytest

from service_monitoring.access.codes import code_of
from service_monitoring.access.desk import Client, Opened
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import Role
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.wiring import new_secret
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.settings import WebSettings
from service_monitoring.web.pages.second import drawn
from tests.web.conftest import Inside
from tests.web.door_rigs import PAGE, Browser, Said, at_the_door
from tests.web.lodge import PASSWORD

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")


class Person:
    """Rita, a responder, with a browser and an app for codes."""

    def __init__(self, inside: Inside, access: StoreAccess, browser: Browser) -> None:
        self.inside = inside
        self.access = access
        self.browser = browser
        self.secret = b""

    def code(self, steps: int = 0) -> str:
        """What the app shows; after one that was used just now, the next one is taken as well."""
        return code_of(self.secret, self.inside.clock.now().plus(Duration(steps * 30 * SECOND)))

    def wrong(self) -> str:
        near = {self.code(steps) for steps in range(-2, 3)}
        return next(code for code in map("{:06d}".format, range(9)) if code not in near)

    async def turn_on(self) -> tuple[Said, list[str]]:
        csrf = await self.browser.csrf()
        shown = await self.browser.form("/account/second", csrf=csrf)
        assert shown.status == 200
        found = re.search("secret=([A-Z2-7]{32})&", unescape(shown.text))
        assert found is not None
        self.secret = b32decode(found[1])
        said = await self.browser.form("/account/second/confirm", csrf=csrf, code=self.code())
        assert said.status == 200, said.text
        return shown, re.findall(r"\d{5}(?:-\d{5}){4}", said.text)

    async def leave(self) -> None:
        self.browser.cookies = {}

    async def half_in(self, **more: str) -> Said:
        said = await self.browser.form("/login", name="rita", password=PASSWORD, **more)
        assert said.status == 303 and said.location.startswith("/login/second?next=")
        assert list(self.browser.cookies) == ["session-half"]
        return said


@pytest.fixture
async def rita(inside: Inside) -> AsyncIterator[Person]:
    access = await StoreAccess(inside.store, inside.clock, new_secret).load()
    for name, role in (("ada", Role.ADMIN), ("rita", Role.RESPONDER)):
        await access.create_account(OWNER, name, role, PASSWORD)
    web = WebSettings("127.0.0.1", 0)
    async with at_the_door(inside, web, lodge=access) as browser:  # type: ignore[arg-type]  # another desk of access
        await browser.sign_in("rita")
        yield Person(inside, access, browser)


async def test_a_second_factor_is_turned_on_asked_for_and_turned_off(rita: Person) -> None:
    browser = rita.browser
    assert "Turn it on" in (await browser.page("/account")).text
    shown, codes = await rita.turn_on()
    assert "<svg" in shown.text and "style=" not in shown.text
    assert "otpauth://totp/service-monitoring:rita?" in shown.text
    assert shown.headers["Cache-Control"] == "no-store" and len(codes) == 10
    page = await browser.page("/account")
    assert "Recovery codes left: 10" in page.text and codes[0] not in page.text
    await rita.leave()
    assert (await rita.half_in(next="/incidents?state=open")).location == "/login/second?next=/incidents%3Fstate%3Dopen"
    cookie = browser.set_cookie.lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "max-age=300" in cookie
    page = await browser.page("/login/second?next=/incidents")
    assert 'autocomplete="one-time-code"' in page.text and 'inputmode="numeric"' in page.text
    said = await browser.form("/login/second", code=rita.wrong(), next="/incidents?state=open")
    assert said.status == 401 and "This code is not right, or was used already." in said.text
    said = await browser.form("/login/second", code=f" {rita.code(1)} ", next="/incidents?state=open")
    assert (said.status, said.location) == (303, "/incidents?state=open"), said.text
    assert list(browser.cookies) == ["session"]
    assert (await browser.page("/login/second")).location == "/"
    csrf = await browser.csrf()
    said = await browser.form("/account/second/end", csrf=csrf, password="some other password")
    assert said.status == 409 and "The password is another one." in said.text
    said = await browser.form("/account/second/end", csrf=csrf, password=PASSWORD)
    assert said.location == "/account?said=second"
    await rita.leave()
    await browser.sign_in("rita")


async def test_a_code_that_was_used_is_refused_and_a_recovery_code_is_good_once(rita: Person) -> None:
    _, codes = await rita.turn_on()
    for code in (rita.code(1), codes[0]):
        await rita.leave()
        await rita.half_in()
        assert (await rita.browser.form("/login/second", code=code, next="/")).status == 303
        await rita.leave()
        await rita.half_in()
        assert (await rita.browser.form("/login/second", code=code, next="/")).status == 401
    await rita.browser.form("/login/second", code=codes[1], next="//elsewhere.example")
    assert "Recovery codes left: 8" in (await rita.browser.page("/account")).text


async def test_who_owes_a_code_may_do_nothing_else(rita: Person) -> None:
    await rita.turn_on()
    await rita.leave()
    await rita.half_in()
    (half,) = rita.browser.cookies.values()
    for cookie in (f"session-half={half}", f"session={half}", f"session={half}; session-half={half}"):
        for path in ("/account", "/incidents"):
            said = await rita.browser.ask("GET", path, headers=PAGE | {"Cookie": cookie})
            assert said.location.startswith("/login?next=")
        assert (await rita.browser.ask("GET", "/api/v1/account", headers={"Cookie": cookie})).status == 401
    bearer = {"Authorization": f"Bearer {half}", "Cookie": ""}
    assert (await rita.browser.ask("GET", "/api/v1/account", headers=bearer)).status == 401
    said = await rita.browser.form("/account/second/end", password=PASSWORD)
    assert said.status in {303, 401} and said.location.startswith("/login")


async def test_without_a_cookie_or_too_late_one_begins_anew(rita: Person) -> None:
    await rita.turn_on()
    await rita.leave()
    assert (await rita.browser.page("/login/second")).location == "/login"
    rita.browser.cookies = {"session-half": "0" * 64}
    said = await rita.browser.form("/login/second", code=rita.code(), next="/incidents")
    assert said.status == 401 and 'href="/login?next=/incidents"' in said.text and rita.browser.cookies == {}


async def test_the_sixth_code_of_a_minute_is_not_looked_at(rita: Person) -> None:
    await rita.turn_on()
    await rita.leave()
    await rita.half_in()
    for _ in range(5):
        assert (await rita.browser.form("/login/second", code=rita.wrong())).status == 401
    said = await rita.browser.form("/login/second", code=rita.code())
    assert said.status == 429 and 0 < int(said.headers["Retry-After"]) <= 60


async def test_a_page_of_somebody_else_confirms_nothing(rita: Person) -> None:
    await rita.turn_on()
    await rita.leave()
    await rita.half_in()
    said = await rita.browser.form("/login/second", code=rita.code(), headers={"Sec-Fetch-Site": "cross-site"})
    assert said.status == 403


async def test_a_wrong_first_code_may_be_followed_by_the_right_one_without_the_secret_again(rita: Person) -> None:
    csrf = await rita.browser.csrf()
    said = await rita.browser.form("/account/second/confirm", csrf=csrf, code="123456")
    assert said.status == 409 and "No secret waits for a code: begin anew." in said.text
    await rita.browser.form("/account/second", csrf=csrf)
    said = await rita.browser.form("/account/second/confirm", csrf=csrf, code="no code")
    assert said.status == 409 and "This code is not right" in said.text and "otpauth" not in said.text
    assert 'action="/account/second/confirm"' in said.text
    await rita.turn_on()
    said = await rita.browser.form("/account/second", csrf=csrf)
    assert said.status == 409 and "turn it off first" in said.text


async def test_an_admin_takes_it_away_on_the_page_of_accounts(rita: Person) -> None:
    await rita.turn_on()
    old = dict(rita.browser.cookies)
    await rita.leave()
    await rita.browser.sign_in()
    page = await rita.browser.page("/accounts")
    assert "rita (with a second factor)" in page.text and "Take away the second factor of ada" not in page.text
    csrf = await rita.browser.csrf()
    said = await rita.browser.form("/accounts/rita", csrf=csrf, act="second")
    assert said.location == "/accounts?said=loosened"
    said = await rita.browser.form("/accounts/rita", csrf=csrf, act="second")
    assert said.status == 409 and "Rita has no second factor." in said.text
    rita.browser.cookies = old
    assert (await rita.browser.page("/account")).location.startswith("/login")
    await rita.leave()
    await rita.browser.sign_in("rita")


async def test_behind_a_proxy_with_tls_the_cookie_is_bound_to_this_host(inside: Inside) -> None:
    access = await StoreAccess(inside.store, inside.clock, new_secret).load()
    await access.create_account(OWNER, "rita", Role.RESPONDER, PASSWORD)
    opened = await access.sign_in("rita", PASSWORD, Client(""))
    assert isinstance(opened, Opened)
    secret = b32decode((await access.begin_second(opened.identity)).secret)
    await access.complete_second(opened.identity, code_of(secret, inside.clock.now()))
    web = WebSettings("0.0.0.0", 0, behind_proxy=(ip_network("127.0.0.0/8"),))
    async with at_the_door(inside, web, lodge=access) as browser:  # type: ignore[arg-type]  # another desk of access
        proxied = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        said = await browser.form("/login", name="rita", password=PASSWORD, headers=proxied)
        assert (said.status, list(browser.cookies)) == (303, ["__Host-session-half"])
        assert "secure" in browser.set_cookie.lower() and "Path=/" in browser.set_cookie
        code = code_of(secret, inside.clock.now().plus(Duration(30 * SECOND)))
        said = await browser.form("/login/second", code=code, headers=proxied)
        assert (said.status, list(browser.cookies)) == (303, ["__Host-session"])


def test_a_qr_code_is_drawn_with_attributes_alone() -> None:
    picture = str(drawn("otpauth://totp/a:b?secret=<script>"))
    assert re.fullmatch(
        r'<svg viewBox="0 0 \d+ \d+"><path fill="#fff" d="[^"]+"/><path stroke="#000" d="[^"]+"/></svg>\n?', picture
    )
