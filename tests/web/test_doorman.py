"""The door: who is let in, what is believed of a request, and what every answer carries."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest

from service_monitoring.access.desk import Client
from service_monitoring.access.permissions import Permission
from service_monitoring.settings import WebSettings
from service_monitoring.web.addresses import farthest
from service_monitoring.web.doorman import DEEPEST, MOST_OF_STRANGERS, MOST_SENT
from service_monitoring.web.doorstep import POLICY
from service_monitoring.web.pages.leading import local_path
from service_monitoring.web.pages.rendering import static_url
from tests.web.conftest import Inside
from tests.web.door_rigs import LOCAL, PAGE, Browser, at_the_door
from tests.web.lodge import PASSWORD

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")


@pytest.fixture
async def browser(inside: Inside) -> AsyncIterator[Browser]:
    async with at_the_door(inside) as browser:
        yield browser


async def a_token(browser: Browser, *scopes: Permission) -> str:
    who = browser.lodge.opened("ada", Client("127.0.0.1")).identity
    return (await browser.lodge.create_token(who, "script", scopes, None)).secret


# What every answer carries --------------------------------------------------------------------------------------------

GUARDED = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.mark.parametrize(
    ("method", "path", "status", "kept"),
    [
        ("GET", "/login", 200, "no-store"),
        ("GET", "/api/v1/status", 401, "no-store"),
        ("GET", "/nothing", 404, "no-store"),
        ("GET", "/healthz", 200, "no-store"),
        ("POST", "/login", 401, "no-store"),
        ("GET", "/openapi.json", 200, "no-store"),
        ("GET", "/ping/0123456789abcdef0123456789abcdef", 404, "no-store"),
        ("POST", "/api/v1/samples", 401, "no-store"),
        ("GET", static_url("console.css"), 200, "public, max-age=31536000, immutable"),
    ],
)
async def test_every_answer_carries_its_headers(
    browser: Browser, method: str, path: str, status: int, kept: str
) -> None:
    said = await browser.ask(method, path)
    headers = {name.lower(): value for name, value in said.headers.items()}
    assert said.status == status
    assert {name: headers.get(name) for name in GUARDED} == GUARDED
    assert headers["cache-control"] == kept
    assert not {"server", "set-cookie", "strict-transport-security"} & headers.keys()


async def test_pages_of_errors_and_of_those_who_signed_in_carry_them_too(browser: Browser) -> None:
    await browser.sign_in()
    for path, status in (("/account", 200), ("/accounts", 200), ("/nothing", 404), ("/audit?before=x", 422)):
        said = await browser.page(path)
        headers = {name.lower(): value for name, value in said.headers.items()}
        assert (said.status, headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert {name: headers.get(name) for name in GUARDED} == GUARDED
        assert headers["cache-control"] == "no-store"
        assert "<script>" not in said.text and "style=" not in said.text


async def test_head_is_a_get_without_its_body(browser: Browser) -> None:
    got, headed = await browser.ask("GET", "/login"), await browser.ask("HEAD", "/login")
    assert (headed.status, headed.text) == (200, "")
    assert headed.headers["Content-Length"] == got.headers["Content-Length"]
    assert (await browser.ask("HEAD", "/nothing", headers=PAGE)).status == 404


# Strangers ------------------------------------------------------------------------------------------------------------


async def test_a_stranger_is_led_to_where_he_signs_in_and_back(browser: Browser) -> None:
    said = await browser.page("/account?said=password")
    assert (said.status, said.location) == (303, "/login?next=/account%3Fsaid%3Dpassword")
    page = await browser.page(said.location)
    assert 'name="next" value="/account?said=password"' in page.text
    said = await browser.form("/login", name="vera", password=PASSWORD, next="/account?said=password")
    assert (said.status, said.location) == (303, "/account?said=password")


async def test_a_program_that_nobody_knows_is_told_so_in_its_own_way(browser: Browser) -> None:
    said = await browser.ask("GET", "/api/v1/status", headers=PAGE)
    assert (said.status, said.headers["Content-Type"]) == (401, "application/problem+json")
    assert said.headers["WWW-Authenticate"] == "Bearer"


async def test_whoever_may_not_is_told_so_on_a_page(browser: Browser) -> None:
    await browser.sign_in("vera")
    said = await browser.page("/accounts")
    assert said.status == 403 and "<h1>Forbidden</h1>" in said.text
    assert (await browser.ask("POST", "/api/v1/reload", headers={"X-CSRF-Token": await browser.csrf()})).status == 403


ELSEWHERE = [
    "//evil.example.com", "///evil.example.com", "/\\evil.example.com", "\\/evil.example.com", "evil.example.com",
    "https://evil.example.com", "https:evil.example.com", "javascript:alert(1)", "data:text/html,x", "", " /account",
    "/\t/evil", "/\n/evil.example.com", "/a\r\nLocation: https://evil", "/a b", "/\x00", "/\u00e4", "/a\\b", "@a.org",
    "/login", "/login?next=/login", "/logout", "/setup", "/api/v1/status", "/act/abc", "/ping/abc", "/" + "a" * 2_000,
]  # fmt: skip


@pytest.mark.parametrize("given", ELSEWHERE, ids=range(len(ELSEWHERE)))
async def test_nobody_is_led_elsewhere_after_signing_in(given: str) -> None:
    assert local_path(given) == "/"


@pytest.mark.parametrize("given", ["/", "/account", "/incidents?state=open&q=a%20b", "/services/shop", "/a//b", "/#x"])
async def test_paths_of_ours_are_gone_on_to(given: str) -> None:
    assert local_path(given) == given


# The session ----------------------------------------------------------------------------------------------------------


async def test_the_cookie_of_a_session_is_out_of_reach_of_scripts_and_others(browser: Browser) -> None:
    await browser.sign_in()
    parts = [each.strip().lower() for each in browser.set_cookie.split(";")]
    assert parts[0].startswith("session=secret-")
    assert set(parts[1:]) == {"httponly", "max-age=604800", "path=/", "samesite=lax"}


async def test_with_an_encrypted_address_the_cookie_belongs_to_this_host_alone(inside: Inside) -> None:
    web = WebSettings("127.0.0.1", 0, url="https://monitor.example.com")
    async with at_the_door(inside, web) as browser:
        await browser.form("/login", name="ada", password=PASSWORD)
        parts = [each.strip().lower() for each in browser.set_cookie.split(";")]
        assert parts[0].startswith("__host-session=secret-")
        assert set(parts[1:]) == {"httponly", "max-age=604800", "path=/", "samesite=lax", "secure"}
        assert (await browser.page("/account")).status == 200
        plain = {"Cookie": f"session={browser.cookies['__Host-session']}"}
        assert (await browser.ask("GET", "/api/v1/status", headers=plain)).status == 401


async def test_each_sign_in_is_another_session_and_ends_the_one_before(browser: Browser) -> None:
    await browser.sign_in()
    before = dict(browser.cookies)
    await browser.sign_in()
    assert browser.cookies != before
    old = {"Cookie": f"session={before['session']}"}
    assert (await browser.ask("GET", "/api/v1/status", headers=old)).status == 401
    assert (await browser.ask("GET", "/api/v1/status")).status == 200


async def test_signing_out_ends_the_session_here_and_in_the_browser(browser: Browser) -> None:
    await browser.sign_in()
    before = dict(browser.cookies)
    said = await browser.form("/logout", csrf=await browser.csrf())
    assert (said.status, said.location, browser.cookies) == (303, "/login", {})
    old = {"Cookie": f"session={before['session']}"}
    assert (await browser.ask("GET", "/api/v1/status", headers=old)).status == 401


async def test_after_a_change_of_password_the_old_cookie_opens_nothing(browser: Browser) -> None:
    await browser.sign_in()
    before = dict(browser.cookies)
    said = await browser.form(
        "/account/password",
        csrf=await browser.csrf(),
        old=PASSWORD,
        password="another horse battery",
        again="another horse battery",
    )
    assert (said.status, said.location) == (303, "/account?said=password")
    old = {"Cookie": f"session={before['session']}"}
    assert (await browser.ask("GET", "/api/v1/status", headers=old)).status == 401
    assert (await browser.ask("GET", "/api/v1/status")).status == 200, "a session of its own has begun"


# Forms of others ------------------------------------------------------------------------------------------------------

FROM_ELSEWHERE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin, cross-site"},
    {"Origin": "https://evil.example.com"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    {"Sec-Fetch-Site": "none", "Origin": "null"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example.com"},
]


@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=lambda headers: "+".join(headers.values()))
async def test_what_a_page_of_others_makes_a_browser_send_changes_nothing(
    browser: Browser, headers: dict[str, str]
) -> None:
    await browser.sign_in()
    csrf = await browser.csrf()
    said = await browser.ask("POST", "/logout", data={"csrf": csrf}, headers=headers)
    assert said.status == 403
    said = await browser.ask("POST", "/api/v1/reload", headers={**headers, "X-CSRF-Token": csrf})
    assert said.status == 403
    browser.cookies = {}
    said = await browser.ask("POST", "/login", data={"name": "ada", "password": PASSWORD}, headers=headers)
    assert (said.status, browser.cookies) == (403, {}), "nor does it sign anybody in"


async def test_a_form_of_ours_is_taken_however_the_browser_says_so(browser: Browser) -> None:
    ways: list[dict[str, str]] = [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": browser.url},
        {"Sec-Fetch-Site": "same-origin", "Origin": browser.url.upper()},
    ]
    for headers in ways:
        await browser.sign_in()
        said = await browser.ask("POST", "/logout", data={"csrf": await browser.csrf()}, headers=headers)
        assert said.status == 303, headers


@pytest.mark.parametrize("given", [None, "", "csrf-9", "CSRF-1", "csrf-1 ", "\u20ac"], ids=ascii)
async def test_without_the_word_of_its_session_a_form_changes_nothing(browser: Browser, given: str | None) -> None:
    await browser.sign_in()
    fields = {} if given is None else {"csrf": given}
    said = await browser.form("/logout", **fields)
    assert said.status == 403 and "open its page again" in said.text
    assert (await browser.ask("POST", "/api/v1/keys", json={"check": "shop.backup"})).status == 403
    assert (await browser.ask("DELETE", "/api/v1/keys/shop.backup")).status == 403
    assert (await browser.page("/account")).status == 200


async def test_the_word_of_another_session_or_said_twice_does_not_count(browser: Browser) -> None:
    await browser.sign_in("vera")
    hers = await browser.csrf()
    browser.cookies = {}
    await browser.sign_in()
    assert (await browser.form("/logout", csrf=hers)).status == 403
    mine = await browser.csrf()
    twice = f"csrf={mine}&csrf={mine}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await browser.ask("POST", "/logout", data=twice, headers=form)).status == 403
    assert (await browser.ask("POST", f"/logout?csrf={mine}")).status == 403


async def test_what_a_known_one_was_refused_at_the_door_is_written_down_and_of_strangers_nothing(
    browser: Browser,
) -> None:
    await browser.form("/login", name="ada", password=PASSWORD, headers={"Origin": "https://evil.example"})
    assert browser.lodge.trail == []
    await browser.sign_in()
    await browser.form("/logout", csrf="of another")
    await browser.form("/logout", csrf=await browser.csrf(), headers={"Origin": "https://evil.example"})
    assert [(row.by, row.what, row.outcome) for row in browser.lodge.trail] == [("ada", "POST /logout", "refused")] * 2
    assert ["not from here" in row.detail for row in browser.lodge.trail] == [True, False]


async def test_the_word_may_stand_in_a_field_of_either_sort_of_form_or_in_a_header(browser: Browser) -> None:
    await browser.sign_in()
    csrf = await browser.csrf()
    parts = aiohttp.FormData({"csrf": csrf, "name": "a", "scope": "read", "days": "7"}, default_to_multipart=True)
    said = await browser.ask("POST", "/account/tokens", data=parts, headers=PAGE)
    assert said.status == 200 and "sm_" in said.text, "what came before it was read is read again"
    said = await browser.ask(
        "POST", "/api/v1/keys", json={"check": "shop.backup"}, headers={"X-CSRF-Token": csrf, "Origin": browser.url}
    )
    assert said.status == 201


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n+\xff\r\n--x--'
NO_FORMS: list[tuple[str, bytes]] = [
    ("multipart/form-data", b"csrf=1"),
    ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"),
    ("multipart/form-data; boundary=x; charset=nonsense", PART),
    ("multipart/form-data; boundary=x; charset=utf-7", PART),
    ("application/x-www-form-urlencoded", b"%ff=%ff&csrf=%00&&&=&;"),
    ("application/x-www-form-urlencoded", b"&" * 10_000),
    ("application/x-www-form-urlencoded; charset=nonsense", b"a=b"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), NO_FORMS, ids=range(len(NO_FORMS)))
@pytest.mark.parametrize("path", ["/login", "/setup", "/account/tokens"])
async def test_what_is_no_form_is_refused_and_is_no_mistake_of_ours(
    browser: Browser, path: str, kind: str, body: bytes
) -> None:
    assert (await browser.ask("POST", path, data=body, headers={"Content-Type": kind})).status < 500
    await browser.sign_in()
    headers = {"Content-Type": kind, "X-CSRF-Token": await browser.csrf()}
    assert (await browser.ask("POST", path, data=body, headers=headers)).status < 500


# Tokens ---------------------------------------------------------------------------------------------------------------


async def test_a_token_opens_what_it_is_good_for_and_needs_no_word(browser: Browser) -> None:
    token = await a_token(browser, Permission.READ)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await browser.ask("GET", "/api/v1/status", headers=headers)).status == 200
    assert (await browser.ask("POST", "/api/v1/keys", json={"check": "shop.backup"}, headers=headers)).status == 403
    token = await a_token(browser, Permission.ADMINISTER)
    headers = {"Authorization": f"bearer  {token}", "Sec-Fetch-Site": "cross-site"}
    assert (await browser.ask("POST", "/api/v1/keys", json={"check": "shop.backup"}, headers=headers)).status == 201


async def test_a_token_is_taken_from_its_header_alone(browser: Browser) -> None:
    token = await a_token(browser, Permission.READ)
    for query in (f"token={token}", f"access_token={token}", f"authorization=Bearer+{token}"):
        assert (await browser.ask("GET", f"/api/v1/status?{query}")).status == 401
    for cookie in (f"session={token}", f"token={token}", f"__Host-session={token}", f"authorization=Bearer {token}"):
        assert (await browser.ask("GET", "/api/v1/status", headers={"Cookie": cookie})).status == 401
    for header in (f"Basic {token}", token, f"Bearer {token}x", "Bearer sm_", "Bearer"):
        assert (await browser.ask("GET", "/api/v1/status", headers={"Authorization": header})).status == 401


async def test_a_session_and_a_token_together_are_refused(browser: Browser) -> None:
    token = await a_token(browser, Permission.READ)
    await browser.sign_in()
    headers = {"Authorization": f"Bearer {token}"}
    said = await browser.ask("GET", "/api/v1/status", headers=headers)
    assert said.status == 400 and "not both" in said.text


# Names ----------------------------------------------------------------------------------------------------------------

REBOUND = ["evil.example.com", "evil.example.com:8080", "127.0.0.1.evil.example.com", "localhost.evil.example.com",
           "169.254.169.254", "0.0.0.0", "[2001:db8::1]:80", "128.0.0.1", "127.0.0.1@evil.example.com", ""]  # fmt: skip


@pytest.mark.parametrize("host", REBOUND, ids=ascii)
@pytest.mark.parametrize("authentication", ["accounts", "none"])
async def test_a_name_of_others_that_leads_here_opens_nothing(inside: Inside, authentication: Any, host: str) -> None:
    async with at_the_door(inside, WebSettings("127.0.0.1", 0, authentication=authentication)) as browser:
        for path in ("/api/v1/status", "/login", "/"):
            assert (await browser.ask("GET", path, headers={"Host": host})).status == 421
        assert (await browser.ask("GET", "/healthz", headers={"Host": host})).status == 200


async def test_names_of_this_machine_and_that_of_its_url_are_known(inside: Inside) -> None:
    web = WebSettings("127.0.0.1", 0, url="https://Monitor.example.com/sub", authentication="accounts")
    async with at_the_door(inside, web) as browser:
        for host in (
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.1.2.3:1",
            "[::1]:8080",
            "monitor.example.com:443",
        ):
            assert (await browser.ask("GET", "/login", headers={"Host": host})).status == 200, host


async def test_where_nobody_signs_in_whoever_is_on_this_machine_may_do_everything_but_by_pages_of_others(
    inside: Inside,
) -> None:
    async with at_the_door(inside, WebSettings("127.0.0.1", 0, authentication="none")) as browser:
        assert (await browser.ask("GET", "/api/v1/status")).status == 200
        assert (await browser.page("/login")).location == "/"
        assert (await browser.page("/account")).status == 404
        key = {"check": "shop.backup"}
        assert (await browser.ask("POST", "/api/v1/keys", json=key)).status == 403
        word = {"X-CSRF-Token": "of the process"}
        said = await browser.ask("POST", "/api/v1/keys", json=key, headers={**word, "Sec-Fetch-Site": "cross-site"})
        assert said.status == 403
        assert (await browser.ask("POST", "/api/v1/keys", json=key, headers=word)).status == 201
        token = await a_token(browser, Permission.READ)
        headers = {"Authorization": f"Bearer {token}"}
        assert (await browser.ask("POST", "/api/v1/keys", json=key, headers=headers)).status == 403


# Proxies --------------------------------------------------------------------------------------------------------------

PROXIES = tuple(ip_network(text) for text in ("10.0.0.0/8", "127.0.0.1", "fd00::/8"))


@pytest.mark.parametrize(
    ("said", "farthest_known"),
    [
        ([], "10.0.0.1"),
        (["203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1", "203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1", " 203.0.113.7 ", "10.1.1.1"], "203.0.113.7"),
        (["10.3.3.3", "10.2.2.2"], "10.3.3.3"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1", "unknown", "10.1.1.1"], "10.1.1.1"),
        (["nonsense"], "10.0.0.1"),
        (["1.1.1.1", ""], "10.0.0.1"),
    ],
    ids=repr,
)
def test_for_whom_a_proxy_asks_is_believed_as_far_as_proxies_of_ours_say_so(
    said: list[str], farthest_known: str
) -> None:
    assert farthest("10.0.0.1", said, PROXIES) == farthest_known


async def test_what_a_proxy_of_ours_says_is_believed(inside: Inside) -> None:
    web = WebSettings("0.0.0.0", 0, behind_proxy=PROXIES)
    async with at_the_door(inside, web) as browser:
        through = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "Host": "monitor.example.com"}
        said = await browser.form(
            "/login", name="ada", password=PASSWORD, headers={**through, "Origin": "https://monitor.example.com"}
        )
        assert said.status == 303 and "Secure" in browser.set_cookie
        assert said.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert [client.address for client in browser.lodge.seen.values()] == ["203.0.113.7"]


async def test_what_somebody_else_says_of_himself_is_not_believed(inside: Inside) -> None:
    async with at_the_door(inside, LOCAL) as browser:
        claims = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.7"}
        said = await browser.form("/login", name="ada", password=PASSWORD, headers=claims)
        assert said.status == 303 and "Secure" not in browser.set_cookie
        assert "Strict-Transport-Security" not in said.headers
        assert [client.address for client in browser.lodge.seen.values()] == ["127.0.0.1"]


# Limits ---------------------------------------------------------------------------------------------------------------


async def chunked(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024 + 1):
        yield b"x" * 1024


async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(browser: Browser) -> None:
    assert (await browser.ask("POST", "/login", data=b"x" * (MOST_OF_STRANGERS + 1))).status == 413
    assert (await browser.ask("POST", "/login", data=chunked(MOST_OF_STRANGERS))).status == 413
    headers = {"Authorization": f"Bearer {await a_token(browser, Permission.ADMINISTER)}"}
    path = "/api/v1/keys"
    assert (await browser.ask("POST", path, data=b" " * MOST_SENT, headers=headers)).status == 422
    assert (await browser.ask("POST", path, data=b"x" * (MOST_SENT + 1), headers=headers)).status == 413
    assert (await browser.ask("POST", path, data=chunked(MOST_SENT), headers=headers)).status == 413


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


TOO_DEEP: list[bytes] = [
    nested(DEEPEST + 1),
    nested(100_000),
    b"[" * 200_000,
    b'{"a":' * 40_000,
    b'["\\"]",' + nested(DEEPEST),
    b'["\\\\",' + nested(DEEPEST),
    '["\u2200"'.encode("utf-16") + nested(40),
]


@pytest.mark.parametrize("body", TOO_DEEP, ids=range(len(TOO_DEEP)))
async def test_json_that_is_nested_too_deep_is_refused_before_anybody_reads_it(browser: Browser, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {await a_token(browser, Permission.ADMINISTER)}"}
    for kind in ("application/json", "application/merge-patch+json"):
        said = await browser.ask("POST", "/api/v1/keys", data=body, headers={**headers, "Content-Type": kind})
        assert said.status == 400, said.text


@pytest.mark.parametrize("body", [nested(DEEPEST), b'["' + b"[" * 1000 + b'"]', b'"\\', b'["' + b'\\"' * 60_000])
async def test_what_only_looks_deep_is_read(browser: Browser, body: bytes) -> None:
    headers = {
        "Authorization": f"Bearer {await a_token(browser, Permission.ADMINISTER)}",
        "Content-Type": "application/json",
    }
    assert (await browser.ask("POST", "/api/v1/keys", data=body, headers=headers)).status == 422


async def test_an_endless_body_is_not_waited_for(browser: Browser) -> None:
    gone_on = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal gone_on
        while True:
            yield b"x" * 65_536
            gone_on += 1

    # The answer may come while it is still being sent.
    with suppress(aiohttp.ClientOSError):
        assert (await browser.ask("POST", "/login", data=endless())).status == 413
    assert gone_on < 1_000


# What nobody finds ----------------------------------------------------------------------------------------------------


async def test_nothing_that_opens_anything_is_in_an_address_or_a_log(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        said = await browser.sign_in()
        locations = [said.location]
        csrf = await browser.csrf()
        made = await browser.form("/account/tokens", csrf=csrf, name="script", scope="read", days="7")
        locations.append(made.location)
        said = await browser.form(
            "/account/password",
            csrf=csrf,
            old=PASSWORD,
            password="another horse battery",
            again="another horse battery",
        )
        locations.append(said.location)
        locations.append((await browser.form("/login", name="ada", password="wrong")).location)
    opened = [*browser.lodge.open, *browser.lodge.given, *browser.cookies.values(), PASSWORD, "another horse", csrf]
    for secret in opened:
        assert secret not in caplog.text and not any(secret in location for location in locations)


async def test_sessions_that_are_asked_for_at_once_do_not_mix(browser: Browser) -> None:
    cookies = {}
    for name in ("ada", "rita", "vera"):
        browser.cookies = {}
        await browser.sign_in(name)
        cookies[name] = browser.cookies["session"]
    browser.cookies = {}

    async def seen(name: str) -> bool:
        said = await browser.ask("GET", "/account", headers={**PAGE, "Cookie": f"session={cookies[name]}"})
        return f"<h1>{name}</h1>" in said.text

    assert all(await asyncio.gather(*(seen(name) for name in [*cookies] * 10)))
