"""Signing in with an identity provider, from the button to the session: a real provider, a real desk of access."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import pytest

from service_monitoring.access.desk import Client
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import Role
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.wiring import new_secret
from service_monitoring.domain.instants import MINUTE, Duration, Instant
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy, WebSettings
from service_monitoring.web.fetching import Fetcher
from service_monitoring.web.oidc import Oidc
from tests.web.conftest import Inside
from tests.web.door_rigs import Browser, Said, at_the_door
from tests.web.provider_rigs import BACK, Outside

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

HERE = WebSettings("127.0.0.1", 0, url="https://monitor.example.com")
HELD = "__Host-signing-in"
SESSION = "__Host-session"
PASSWORD = "correct horse battery"


class Late(SystemClock):
    """The machine's clock, and how much later it is for us."""

    later = Duration(0)

    def now(self) -> Instant:
        return super().now().plus(self.later)


@dataclass
class Scene:
    """A provider, us, and a browser between them."""

    outside: Outside
    browser: Browser
    access: StoreAccess
    clock: Late
    troubles: list[str] = field(default_factory=list)

    async def there(self, onwards: str = "/") -> str:
        """Press the button; where the provider leads the browser back to."""
        said = await self.browser.page(f"/login/oidc?next={onwards}")
        assert said.status == 303, said.text
        async with (
            aiohttp.ClientSession() as http,
            http.get(said.location, allow_redirects=False) as answer,
        ):
            assert answer.status == 303
            parts = urlsplit(answer.headers["Location"])
        assert answer.headers["Location"].startswith(f"{BACK}?")
        return f"{parts.path}?{parts.query}"

    async def sign_in(self, onwards: str = "/") -> Said:
        return await self.browser.page(await self.there(onwards))

    async def refused(self, status: int = 401) -> str:
        """The sentence with which nobody was let in."""
        said = await self.sign_in()
        assert said.status == status, said.text
        assert SESSION not in self.browser.cookies and HELD not in self.browser.cookies
        return said.text.partition('role="alert">')[2].partition("<")[0]


@pytest.fixture
async def scene(inside: Inside) -> AsyncIterator[Scene]:
    clock, troubles = Late(), list[str]()
    access = await StoreAccess(inside.store, clock, new_secret).load()
    fetcher = Fetcher(lambda: AddressPolicy.allowing(["127.0.0.0/8"]), clock)
    async with Outside().open() as outside:
        provider = Oidc(
            outside.settings(), HERE.url, fetch=fetcher.fetch, clock=clock, make=new_secret, troubled=troubles.append
        )
        async with at_the_door(inside, HERE, access=access, provider=provider) as browser:
            yield Scene(outside, browser, access, clock, troubles)
    await fetcher.close()


# The way through ------------------------------------------------------------------------------------------------------


async def test_whoever_the_provider_vouches_for_is_let_in_with_the_highest_role_of_his_groups(scene: Scene) -> None:
    await scene.access.create_account(OWNER, "root", Role.ADMIN, PASSWORD)
    login = (await scene.browser.page("/login?next=/account")).text
    assert '<a class="button" href="/login/oidc?next=/account">Sign in with Example SSO</a>' in login
    assert 'name="password"' in login
    said = await scene.sign_in("/account")
    assert (said.status, said.location) == (303, "/account")
    account = (await scene.access.accounts())[0]
    assert (account.name, account.role) == ("ada@example.com", Role.RESPONDER)
    assert account.outside == f"{scene.outside.issuer} u-1"
    assert "ada@example.com" in (await scene.browser.page("/account")).text
    assert HELD not in scene.browser.cookies


async def test_what_the_browser_keeps_meanwhile_is_short_lived_and_its_own(scene: Scene) -> None:
    await scene.browser.page("/login/oidc")
    said = scene.browser.set_cookie.lower()
    assert said.startswith("__host-signing-in=")
    for each in ("httponly", "secure", "samesite=lax", "path=/", "max-age=600"):
        assert each in said


async def test_where_the_provider_is_is_asked_once_an_hour(scene: Scene) -> None:
    for _ in range(3):
        assert (await scene.sign_in()).status == 303
        scene.browser.cookies.clear()
    assert (scene.outside.count(".well-known/openid-configuration"), scene.outside.count("keys")) == (1, 1)


@pytest.mark.parametrize(
    "onwards",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/login"],
    ids=["url", "host", "slash", "form"],
)
async def test_nobody_is_led_elsewhere_after_signing_in_there(scene: Scene, onwards: str) -> None:
    assert (await scene.sign_in(onwards)).location == "/"


async def test_each_sign_in_is_another_session_and_ends_the_one_before(scene: Scene) -> None:
    await scene.sign_in()
    before = scene.browser.cookies[SESSION]
    back = await second_window(scene)
    assert (await scene.browser.page(back)).status == 303
    assert scene.browser.cookies[SESSION] != before
    assert await scene.access.session(before, Client("")) is None


async def second_window(scene: Scene) -> str:
    """Press the button in a window that has no session, and come back in one that has."""
    session = scene.browser.cookies.pop(SESSION)
    back = await scene.there()
    scene.browser.cookies[SESSION] = session
    return back


# What is not what was asked for ---------------------------------------------------------------------------------------


async def test_another_state_or_none_opens_nothing(scene: Scene) -> None:
    back = await scene.there()
    held = scene.browser.cookies[HELD]
    state = back.partition("state=")[2]
    other, none, bare = back.replace(state, "0" * 64), back.replace(state, ""), back.partition("&")[0]
    for path in (other, none, bare, f"{back}&state={state}"):
        scene.browser.cookies[HELD] = held
        said = await scene.browser.page(path)
        assert said.status == 409 and "begin it anew" in said.text, path
    assert scene.outside.count("token") == 0


async def test_what_one_browser_began_another_cannot_end(scene: Scene) -> None:
    back = await scene.there()
    del scene.browser.cookies[HELD]
    assert (await scene.browser.page(back)).status == 409
    await scene.there()  # it has a sign-in of its own
    assert (await scene.browser.page(back)).status == 409
    assert scene.outside.count("token") == 0


async def test_what_the_browser_kept_cannot_be_changed(scene: Scene) -> None:
    back = await scene.there()
    secret, began, _ = scene.browser.cookies[HELD].split(".")
    elsewhere = base64.urlsafe_b64encode(b"//evil.example").decode()
    scene.browser.cookies[HELD] = f"{secret}.{began}.{elsewhere}"
    assert (await scene.browser.page(back)).status == 409


async def test_after_ten_minutes_a_sign_in_is_begun_anew(scene: Scene) -> None:
    back = await scene.there()
    scene.clock.later = Duration(10 * MINUTE)
    assert (await scene.browser.page(back)).status == 409


async def test_what_came_back_is_good_once(scene: Scene) -> None:
    back = await scene.there()
    held = scene.browser.cookies[HELD]
    assert (await scene.browser.page(back)).status == 303
    scene.browser.cookies = {HELD: held}
    said = await scene.browser.page(back)
    assert said.status == 401 and SESSION not in scene.browser.cookies


async def test_whoever_the_provider_does_not_let_in_is_told_so(scene: Scene) -> None:
    state = (await scene.there()).partition("state=")[2]
    said = await scene.browser.page(f"/login/oidc/callback?error=access_denied&state={state}")
    assert said.status == 401 and "Example SSO did not let you in" in said.text
    assert scene.troubles == ["it answers: access_denied"]


async def test_an_answer_of_another_provider_is_not_taken(scene: Scene) -> None:
    back = await scene.there()
    assert (await scene.browser.page(f"{back}&iss=https://evil.example")).status == 401
    assert scene.outside.count("token") == 0


# The provider ---------------------------------------------------------------------------------------------------------


async def test_a_provider_that_is_down_is_a_sentence_and_passwords_stay(scene: Scene) -> None:
    await scene.access.create_account(OWNER, "root", Role.ADMIN, PASSWORD)
    back = await scene.there()
    scene.outside.broken = True
    said = await scene.browser.page(back)
    assert said.status == 503 and "Example SSO cannot be asked now" in said.text and 'name="password"' in said.text
    scene.browser.cookies.clear()
    assert (await scene.browser.form("/login", name="root", password=PASSWORD)).status == 303


# Who may come ---------------------------------------------------------------------------------------------------------


async def test_whoever_is_in_no_group_is_not_let_in_and_no_account_is_made(scene: Scene) -> None:
    scene.outside.said["groups"] = ["guests"]
    assert "no role here" in await scene.refused()
    assert await scene.access.accounts() == []


async def test_a_role_follows_the_groups_at_each_sign_in_and_without_any_the_sessions_end(scene: Scene) -> None:
    await scene.sign_in()
    here = scene.browser.cookies.pop(SESSION)
    scene.outside.said["groups"] = "heads"
    await scene.sign_in()
    assert (await scene.access.accounts())[0].role is Role.ADMIN
    scene.browser.cookies.clear()
    scene.outside.said["groups"] = []
    assert "no role here" in await scene.refused()
    assert await scene.access.session(here, Client("")) is None


async def test_an_account_that_is_disabled_here_stays_out(scene: Scene) -> None:
    await scene.access.create_account(OWNER, "root", Role.ADMIN, PASSWORD)
    await scene.sign_in()
    await scene.access.change_account(OWNER, "ada@example.com", disabled=True)
    scene.browser.cookies.clear()
    await scene.refused()


async def test_an_account_with_a_password_is_never_taken_over(scene: Scene) -> None:
    await scene.access.create_account(OWNER, "Ada@example.com", Role.ADMIN, PASSWORD)
    assert "somebody else" in await scene.refused(409)
    assert [(each.role, each.outside) for each in await scene.access.accounts()] == [(Role.ADMIN, "")]


async def test_another_person_of_the_same_name_gets_no_account_of_another(scene: Scene) -> None:
    await scene.sign_in()
    scene.browser.cookies.clear()
    scene.outside.said["sub"] = "u-2"
    assert "somebody else" in await scene.refused(409)


async def test_tries_are_counted_for_each_address(scene: Scene) -> None:
    scene.outside.wrong = {"nonce": None}
    statuses = [(await scene.sign_in()).status for _ in range(21)]
    assert statuses == [401] * 20 + [429]
