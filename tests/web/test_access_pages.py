"""Pages to come and go: the first account, signing in, one's own account, those of others, tokens and the trail."""

from collections.abc import AsyncIterator

import pytest

from service_monitoring.access.permissions import Role
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.wiring import new_secret
from service_monitoring.settings import WebSettings
from tests.web.conftest import Inside
from tests.web.door_rigs import Browser, at_the_door
from tests.web.lodge import PASSWORD, SETUP, Lodge

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

NEW = "another horse battery"


@pytest.fixture
async def browser(inside: Inside) -> AsyncIterator[Browser]:
    async with at_the_door(inside) as browser:
        yield browser


async def test_the_first_account_is_made_with_the_token_of_the_first_start(inside: Inside) -> None:
    async with at_the_door(inside, lodge=Lodge()) as browser:
        assert (await browser.page("/login")).location == "/setup"
        page = await browser.page("/setup")
        assert page.status == 200 and 'autocomplete="new-password"' in page.text and SETUP not in page.text
        wrong = {"token": "guess", "name": "ada", "password": PASSWORD, "again": PASSWORD}
        said = await browser.form("/setup", **wrong)
        assert said.status == 401 and "that of the first start" in said.text and 'value="ada"' in said.text
        said = await browser.form("/setup", **wrong | {"token": SETUP, "again": "something else"})
        assert said.status == 422 and "not the same" in said.text
        said = await browser.form("/setup", **wrong | {"token": SETUP, "password": "short", "again": "short"})
        assert said.status == 409 and "12 characters" in said.text and PASSWORD not in said.text
        said = await browser.form("/setup", **wrong | {"token": f" {SETUP} "})
        assert (said.status, said.location) == (303, "/")
        assert (await browser.page("/accounts")).status == 200
        assert (await browser.page("/setup")).location == "/login"
        assert (await browser.form("/setup", **wrong | {"token": SETUP, "csrf": await browser.csrf()})).status == 401


async def test_a_wrong_password_shows_the_form_again_and_says_no_more_than_that(browser: Browser) -> None:
    page = await browser.page("/login")
    assert 'autocomplete="username"' in page.text and 'autocomplete="current-password"' in page.text
    said = await browser.form("/login", name="<ada>", password="wrong", next="/incidents")
    assert (said.status, browser.cookies) == (401, {})
    assert "Name or password is not right." in said.text and "WWW-Authenticate" not in said.headers
    assert 'value="&lt;ada&gt;"' in said.text and 'value="/incidents"' in said.text and 'wrong"' in said.text
    for _ in range(5):
        said = await browser.form("/login", name="ada", password="wrong")
    assert (said.status, said.headers["Retry-After"]) == (429, "60")


async def test_one_sees_and_ends_ones_own_sessions(browser: Browser) -> None:
    await browser.sign_in()
    before = dict(browser.cookies)
    browser.cookies = {}
    await browser.sign_in()
    page = await browser.page("/account")
    assert page.text.count('/end"') == 1 and "This one" in page.text
    said = await browser.form("/account/sessions/session-1/end", csrf=await browser.csrf())
    assert (said.status, said.location) == (303, "/account?said=session")
    old = {"Cookie": f"session={before['session']}"}
    assert (await browser.ask("GET", "/api/v1/status", headers=old)).status == 401
    assert (await browser.form("/account/sessions/nobody/end", csrf=await browser.csrf())).status == 404


async def test_a_token_is_shown_once_and_may_be_revoked(browser: Browser) -> None:
    await browser.sign_in("rita")
    csrf = await browser.csrf()
    said = await browser.form("/account/tokens", csrf=csrf, name="script", scope="respond", days="7")
    (secret,) = browser.lodge.given
    assert said.status == 200 and secret in said.text and said.headers["Cache-Control"] == "no-store"
    page = await browser.page("/account")
    assert secret not in page.text and "script" in page.text
    said = await browser.form("/account/tokens", csrf=csrf, name="script")
    assert said.status == 422 and "something that it is good for" in said.text
    said = await browser.form("/account/tokens", csrf=csrf, name="script", scope="everything", days="-1")
    assert said.status == 422
    row = browser.lodge.given[secret]
    said = await browser.form(f"/account/tokens/{row.handle}/revoke", csrf=csrf)
    assert (said.status, said.location) == (303, "/account?said=token")
    assert browser.lodge.given == {}


async def test_a_password_that_cannot_be_is_told_on_the_page(browser: Browser) -> None:
    await browser.sign_in()
    csrf = await browser.csrf()
    for old, new, again, status, sentence in (
        ("wrong", NEW, NEW, 422, "The present password is not right."),
        (PASSWORD, NEW, NEW + "x", 422, "The two passwords are not the same."),
        (PASSWORD, "short", "short", 409, "A password has 12 characters or more."),
    ):
        said = await browser.form("/account/password", csrf=csrf, old=old, password=new, again=again)
        assert said.status == status and sentence in said.text


async def test_admins_make_change_and_remove_accounts(browser: Browser) -> None:
    await browser.sign_in()
    csrf = await browser.csrf("/accounts")
    rows = browser.lodge.rows

    async def told(path: str, **fields: str) -> str:
        said = await browser.form(path, csrf=csrf, **fields)
        assert said.status == 303, said.text
        return said.location

    assert await told("/accounts", name="carl", role="responder", password=PASSWORD) == "/accounts?said=created"
    assert (await browser.page("/accounts?said=created")).text.count("The account was made.") == 1
    assert await told("/accounts/carl", act="role", role="viewer") == "/accounts?said=changed"
    await told("/accounts/carl", act="disable")
    assert (rows["carl"].role, rows["carl"].disabled) == (Role.VIEWER, True)
    await told("/accounts/carl", act="enable")
    await told("/accounts/carl", act="password", password=NEW)
    assert (rows["carl"].disabled, browser.lodge.passwords["carl"]) == (False, NEW)
    assert await told("/accounts/carl", act="remove") == "/accounts?said=removed"
    assert "carl" not in rows


async def test_what_admins_may_not_do_is_told_on_the_page(browser: Browser) -> None:
    await browser.sign_in()
    csrf = await browser.csrf("/accounts")
    for path, fields, status, sentence in (
        ("/accounts", {"name": "ada", "password": PASSWORD}, 409, "There is an account ada already."),
        ("/accounts/ada", {"act": "remove"}, 409, "No admin would be left."),
        ("/accounts/ada", {"act": "role", "role": "nonsense"}, 409, "No admin would be left."),
        ("/accounts/nobody", {"act": "disable"}, 404, "There is no account nobody."),
        ("/accounts/ada", {"act": "dance"}, 422, "Nothing was asked for."),
        ("/accounts/ada", {}, 422, "Nothing was asked for."),
    ):
        said = await browser.form(path, csrf=csrf, **fields)
        assert said.status == status and sentence in said.text
    assert (await browser.page("/accounts?said=<b>")).text.count("<b>") == 0


async def test_admins_see_all_tokens_and_others_none_of_this(browser: Browser) -> None:
    await browser.sign_in("rita")
    await browser.form("/account/tokens", csrf=await browser.csrf(), name="hers", scope="read", days="7")
    for path in ("/accounts", "/tokens", "/audit"):
        assert (await browser.page(path)).status == 403
    browser.cookies = {}
    await browser.sign_in()
    page = await browser.page("/tokens")
    assert page.status == 200 and "hers" in page.text and "rita" in page.text
    assert "hers" not in (await browser.page("/account")).text
    (row,) = browser.lodge.given.values()
    said = await browser.form(f"/tokens/{row.handle}/revoke", csrf=await browser.csrf())
    assert (said.location, browser.lodge.given) == ("/tokens?said=revoked", {})


async def test_the_audit_trail_is_shown_by_the_page_and_checked_when_asked(browser: Browser) -> None:
    await browser.sign_in()
    who = next(iter(browser.lodge.open.values()))
    for number in range(150):
        await browser.lodge.note(who, "act", f"<i>{number}</i>", "done", "x" * 5_000)
    page = await browser.page("/audit")
    assert (
        "&lt;i&gt;149&lt;" in page.text
        and "&lt;i&gt;49&lt;" not in page.text
        and 'href="/audit?before=51"' in page.text
    )
    assert len(page.text) < 150_000
    page = await browser.page("/audit?before=51")
    assert "&lt;i&gt;49&lt;" in page.text and "Further" not in page.text
    assert "Every entry is as it was written." in (await browser.page("/audit?check=1")).text
    browser.lodge.broken = "Entry 7 was changed."
    assert "Entry 7 was changed." in (await browser.page("/audit?check=1")).text
    for bad in ("before=-1", "before=x", f"before={2**63}"):
        assert (await browser.page(f"/audit?{bad}")).status == 422


async def test_over_the_store_the_whole_way_is_gone_once(inside: Inside) -> None:
    access = await StoreAccess(inside.store, inside.clock, new_secret).load()
    token = access.begin_setup()
    web = WebSettings("127.0.0.1", 0)
    async with at_the_door(inside, web, lodge=access) as browser:  # type: ignore[arg-type]  # another desk of access
        said = await browser.form("/setup", token=token, name="ada", password=PASSWORD, again=PASSWORD)
        assert (said.status, said.location) == (303, "/"), said.text
        before = dict(browser.cookies)
        csrf = await browser.csrf()
        said = await browser.form("/account/password", csrf=csrf, old=PASSWORD, password=NEW, again=NEW)
        assert said.status == 303, said.text
        old = {"Cookie": f"session={before['session']}"}
        assert (await browser.ask("GET", "/api/v1/status", headers=old)).status == 401
        assert (await browser.form("/account/password", csrf=csrf, old=NEW, password=NEW, again=NEW)).status == 403
        csrf = await browser.csrf()
        made = await browser.form("/account/tokens", csrf=csrf, name="script", scope="administer", days="7")
        secret = made.text.split("<pre>")[1].split("</pre>")[0]
        headers = {"Authorization": f"Bearer {secret}", "Cookie": ""}
        assert (await browser.ask("GET", "/api/v1/status", headers=headers)).status == 200
        said = await browser.form("/accounts", csrf=csrf, name="vera", role="viewer", password=PASSWORD)
        assert said.status == 303, said.text
        for path in ("/accounts", "/tokens", "/audit", "/audit?check=1", "/account"):
            page = await browser.page(path)
            assert page.status == 200 and secret not in page.text and NEW not in page.text
        assert (await browser.form("/logout", csrf=csrf)).location == "/login"
        said = await browser.form("/login", name="vera", password="wrong wrong wrong")
        assert said.status == 401 and browser.cookies == {}
