"""Whatever strangers, targets and colleagues write is shown as text: nothing runs, nothing is fetched, nothing breaks.

Every text of a person, a target or a file is one of the payloads; names, which have letters and digits alone, are not.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import APIRequestContext, Browser, Page

from service_monitoring.cli.client import ask
from tests.browser.console import PHONE, Console, a_console, a_page, csrf, overflows, sign_up
from tests.faults.world import PROGRAM, serve_here, wait_for

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "picture": '"><img src=x onerror=alert(1)>',
    "scheme": "javascript:alert(1)",
    "template": "{{7*7}}${7*7}<%=7*7%>",
    "field": "</textarea></title></pre><script>alert(2)</script>",
    "svg": "<svg/onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "mathml": "<math><mtext><table><mglyph><style><img src onerror=alert(1)></style></mglyph></table></mtext></math>",
    "style": "</style><div style=\"background:url('http://198.51.100.7/x')\">url(http://198.51.100.7/y)",
    "rtl": "abc\u202egnp.exe\u2066\u2069",
    "attribute": "' autofocus onfocus=alert(1) x='",
    "comment": "--><!--><script>alert(3)</script>",
    "newlines": "one\r\nSet-Cookie: stolen=1\r\n\r\n<script>alert(4)</script>",
}
ALL = " ".join(PAYLOADS.values())
LINE = ALL.replace("\r", " ").replace("\n", " ")
ONE_LINE = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>"
NUL = "a\x00b<script>alert(5)</script>"
LONG = ("<b>" + "W" * 61) * 160


def configuration(target: str) -> str:
    """JSON is YAML, and says exactly what is in a string."""
    text = {
        "store": {"path": "$data"},
        "network": {"allow": ["127.0.0.0/8"]},
        "services": {
            "shop": {
                "description": LINE + LONG,
                "labels": {"team": ONE_LINE, "tier": PAYLOADS["picture"], "where": PAYLOADS["rtl"]},
                "checks": {
                    "health": {"http": f"{target}/{quote(ONE_LINE)}?q={quote(ALL)}", "every": "1s"},
                    "orders": {"push": {"stale_after": "1h"}},
                    "backup": {"heartbeat": {"period": "1h"}},
                },
                "rules": {
                    "down": {
                        "when": {"check": "health", "metric": "up", "below": 1},
                        "severity": "critical",
                        "summary": LINE.replace("{{7*7}}", "") + "{{ reason }} {{ service }}",
                    },
                    "many": {"when": {"check": "orders", "metric": "orders", "above": 1}, "severity": "warning"},
                },
            }
        },
        "people": {"ada": {"timezone": "Europe/Berlin", "contact": ["channel.hook"]}},
        "channels": {"hook": {"webhook": "$sink"}},
        "oncall": {
            "primary": {
                "timezone": "Europe/Berlin",
                "layers": [{"people": ["ada"], "rotate": "weekly", "handover": "Mon 09:00", "starts": "2026-01-05"}],
            }
        },
        "routes": [{"group_wait": "0s", "notify": ["channel.hook", "oncall.primary"]}],
        "maintenance": [
            {"name": "work", "match": {"rule": "none"}, "weekly": "Sun 03:00", "lasts": "167h", "comment": LINE}
        ],
        "status_pages": {
            "public": {
                "title": ONE_LINE,
                "description": PAYLOADS["mathml"][:100],
                "groups": [{"name": PAYLOADS["svg"], "services": ["shop"]}],
                "rename": {"shop": PAYLOADS["picture"]},
            }
        },
    }
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in text.items())


def answer(handler: BaseHTTPRequestHandler) -> None:
    """A target that hates who asks it."""
    body = (ALL + LONG).encode()
    handler.send_response(503, ONE_LINE)
    handler.send_header("Content-Type", "text/html; charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Location", "javascript:alert(1)")
    handler.send_header("Server", ONE_LINE)
    handler.send_header("X-Frame-Options", PAYLOADS["picture"])
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    target = serve_here(answer)
    url = f"http://127.0.0.1:{target.server_address[1]}"
    with a_console(tmp_path_factory.mktemp("hostile"), configuration(url)) as opened:
        yield opened
    target.shutdown()
    target.server_close()


@pytest.fixture(scope="module")
def signed_in(console: Console, browser: Browser) -> Path:
    """Everything that can be written is written: by a job, by who pushes samples, by a person, by a browser."""
    kept = console.world.folder / "ada.json"
    with a_page(browser, user_agent=ONE_LINE) as page:
        sign_up(page, console)
        wait_for(lambda: bool(console.world.ask("/api/v1/incidents?state=open")), "an incident")
        report(page.request, console)
        wait_for(lambda: len(console.world.ask("/api/v1/incidents?state=open")) > 1, "an incident of what was pushed")
        write(console)
        token = csrf(page, console, "/account")
        form: dict[str, str | float | bool] = {"csrf": token, "name": ONE_LINE, "days": "30", "scope": "read"}
        page.request.post(f"{console.url}/account/tokens", form=form, headers={"origin": console.url})
        page.context.storage_state(path=kept)
    return kept


def report(request: APIRequestContext, console: Console) -> None:
    """What comes in with a key."""
    key = made_key(console, "shop.backup")
    for end in ("", "/fail", "/log"):
        request.post(f"{console.url}/ping/{key}{end}", data=f"{ALL}{NUL}{LONG}", headers={"user-agent": ONE_LINE})
    labels = {name: text for name, text in PAYLOADS.items() if "\r" not in text}
    samples = [
        {"metric": "orders", "value": 7, "labels": labels},
        {"metric": "orders", "value": 8, "labels": {"a": LINE}},
    ]
    answered = request.post(
        f"{console.url}/api/v1/samples",
        data=json.dumps({"samples": samples}),
        headers={"authorization": f"Bearer {made_key(console, 'shop.orders')}", "content-type": "application/json"},
    )
    assert answered.ok, answered.text()


def made_key(console: Console, check: str) -> str:
    command = [str(PROGRAM), "keys", "create", check, "--config", str(console.config)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]


def write(console: Console) -> None:
    """What people write: over the socket, where a name is whatever somebody says."""
    socket = console.world.data / "control.sock"
    for each in console.world.ask("/api/v1/incidents?state=open"):
        at = f"/api/v1/incidents/{each['id']}"
        ask(socket, "POST", f"{at}/acknowledge", body={"by": ONE_LINE, "comment": ALL})
        ask(socket, "POST", f"{at}/note", body={"by": PAYLOADS["rtl"], "text": ALL + LONG[:3000]})
        ask(socket, "POST", f"{at}/assign", body={"by": ONE_LINE, "comment": PAYLOADS["field"], "to": PAYLOADS["svg"]})
    matchers = [f"team={json.dumps(PAYLOADS['script'])}"]
    ask(socket, "POST", "/api/v1/silences", body={"matchers": matchers, "by": ONE_LINE, "comment": ALL, "lasts": "2h"})


WIDER = """[...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest("svg, pre, .scroll, nav"))
  .slice(0, 3).map((each) => each.outerHTML.slice(0, 200))"""
QUERIES = (
    "/services?q={}&condition={}&label=team={}&sort={}&after={}",
    "/services/{}",
    "/services/shop?check={}&metric={}&labels={}&range={}&from={}",
    "/services/shop/rules/{}",
    "/services/shop/checks/{}?before={}",
    "/incidents?state={}&q={}&service={}&rule={}&severity={}&from={}&to={}",
    "/incidents/{}",
    "/silences?state={}&said={}",
    "/silences/new?matcher={}&for={}&until={}&comment={}",
    "/oncall?rota={}&month={}&zone={}",
    "/outbox?state={}&channel={}&text={}",
    "/outbox/{}",
    "/rehearsals?service={}&search={}&range={}&began={}&set:{}={}",
    "/rehearsals/{}",
    "/audit?before={}",
    "/status/{}",
    "/status/public/history?month={}",
    "/login?next={}&name={}",
    "/{}",
)


@pytest.mark.timeout(300)
def test_nothing_that_is_written_anywhere_runs(console: Console, browser: Browser, signed_in: Path) -> None:
    """Every page that a link leads to, with all that is folded open, hovered over and, where it is ours, clicked."""
    with a_page(browser, storage_state=signed_in) as page:
        waiting = [
            "/",
            "/status/public",
            "/status/public/history",
            "/accounts",
            "/tokens",
            "/audit",
            "/silences/new?matcher=service%3Dshop",
        ]
        seen: dict[str, int] = {}
        while waiting:
            path = waiting.pop()
            page.goto(console.url + path)
            disturb(page)
            for link in page.eval_on_selector_all("a[href]", "links => links.map((link) => link.href)"):
                assert link.startswith(console.url + "/"), f"{path} leads to {link}"
                parts = urlsplit(link)
                kind = re.sub(r"[0-9a-f]{16,}", "ID", parts.path)
                if seen.setdefault(kind, 0) < 2 and not re.search(r"\.(json|rss|svg|jsonl)$|/report$", parts.path):
                    seen[kind] += 1
                    waiting.append(link.removeprefix(console.url))
        assert len(seen) > 15, seen
        print(f"{sum(seen.values())} pages of {len(seen)} kinds")


@pytest.mark.timeout(300)
def test_nothing_that_is_in_an_address_runs(console: Console, browser: Browser, signed_in: Path) -> None:
    with a_page(browser, PHONE, storage_state=signed_in, expected="status of [45]") as page:
        for number, query in enumerate(QUERIES):
            payloads = [*list(PAYLOADS.values())[number % 3 :: 3], NUL.replace("\x00", "%00")]
            for payload in payloads:
                page.goto(console.url + query.replace("{}", quote(payload, safe="%")))
                assert "49" not in page.title()
                assert page.locator("main script, main img[src=x], main iframe").count() == 0
            assert not overflows(page), f"{query}: {page.evaluate(WIDER)}"


def disturb(page: Page) -> None:
    """What somebody does who looks at everything."""
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate(
        """for (const each of document.querySelectorAll("main *")) {
          for (const name of ["mouseover", "mousemove", "focus", "pointerenter"]) each.dispatchEvent(new Event(name));
        }"""
    )
    # Elements and handlers that no page of ours has.
    foreign = page.evaluate(
        """[...document.querySelectorAll("main script, iframe, object, embed, math, [onerror], [onload], [onfocus]")]
          .map((each) => each.outerHTML.slice(0, 100))"""
    )
    assert foreign == []
    assert not overflows(page), f"{page.url}: {page.evaluate(WIDER)}"
