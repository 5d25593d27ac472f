"""Whatever is sent that means nothing: refused in words, by whom it may be said, and never a failure of ours."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from service_monitoring.access.identity import STRANGER
from service_monitoring.access.permissions import Role
from service_monitoring.views.faces import Faces
from tests.web.conftest import Inside
from tests.web.door_rigs import at_the_door
from tests.web.faced import somebody, visiting
from tests.web.served import for_the_owner

pytestmark = pytest.mark.real_time("a server looks after its connections ten times a second")

JSON = "application/json"
PATH = "/api/v1/silences"


@pytest.fixture
async def http(inside: Inside) -> AsyncIterator[aiohttp.ClientSession]:
    """As over the socket: no door has looked at what is sent."""
    async with visiting(Faces("1", inside.desk)) as client:
        yield client


def a_body(**changed: str) -> bytes:
    fields = {"matchers": '["service=shop"]', "by": '"ada"', "comment": '"x"', "lasts": '"2h"'} | changed
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


NONSENSE = {
    "nothing": (b"", JSON),
    "no JSON": (b"{", JSON),
    "no UTF-8": (b'{"by": "\xff"}', JSON),
    "nested a million deep": (b"[" * 1_000_000, JSON),
    "a million objects deep": (b'{"a":' * 1_000_000, JSON),
    "a number of 10,000 digits": (a_body(lasts="9" * 10_000), JSON),
    "a length beyond all floats": (a_body(lasts="1e999"), JSON),
    "a length that is no number": (a_body(lasts="NaN"), JSON),
    "a negative length": (a_body(lasts="-1"), JSON),
    "a truth for a length": (a_body(lasts="true"), JSON),
    "half a character": (a_body(comment='"\\ud800"'), JSON),
    "half a character as a name": (a_body(**{"\\ud800": "1"}), JSON),
    "half a character in a matcher": (a_body(matchers='["service=\\ud800"]'), JSON),
    "a field that there is not": (a_body(coment='"y"'), JSON),
    "a thousand fields that there are not": (a_body(**{f"f{n}": "1" for n in range(1000)}), JSON),
    "a list": (b"[]", JSON),
    "a text": (b'"x"', JSON),
    "an array for a text": (a_body(comment="[]"), JSON),
    "a comment without end": (a_body(comment=f'"{"x" * 200_000}"'), JSON),
    "a form": (b"by=ada&comment=x", "application/x-www-form-urlencoded"),
    "a text that looks like it": (a_body(), "text/plain"),
    "of no type": (a_body(), ""),
    "of a type that is none": (a_body(), ";;;\x01"),
    "XML": (b"<a/>", "application/xml"),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_what_means_nothing_is_refused_in_words(http: aiohttp.ClientSession, name: str) -> None:
    body, kind = NONSENSE[name]
    headers = {"Content-Type": kind} if kind.isprintable() else {"Content-Type": "x"}
    async with http.post(PATH, data=BytesIO(body), headers=headers) as response:
        said = await response.json(content_type="application/problem+json")
    assert response.status in {400, 413, 422} and response.status == said["status"]
    assert 0 < len(said["detail"]) < 2_000


async def test_a_null_in_a_text_is_kept_as_it_is_or_refused(http: aiohttp.ClientSession) -> None:
    async with http.post(PATH, data=a_body(comment='"a\\u0000b"'), headers={"Content-Type": JSON}) as response:
        assert response.status in {201, 422}
    async with http.get("/api/v1/incidents?text=a%00b") as response:
        assert (response.status, await response.json()) == (200, [])
    async with http.get("/api/v1/incidents/%00/explain") as response:
        assert response.status == 404


@pytest.mark.parametrize("name", ["no JSON", "nested a million deep", "a field that there is not", "a form"])
async def test_who_may_not_hears_nothing_of_what_was_sent(inside: Inside, name: str) -> None:
    body, kind = NONSENSE[name]
    for who, status in ((STRANGER, 401), (somebody(Role.VIEWER), 403)):
        async with (
            visiting(Faces("1", inside.desk), who) as client,
            client.post(PATH, data=BytesIO(body), headers={"Content-Type": kind}) as response,
        ):
            assert response.status == status


async def test_a_stranger_at_the_door_hears_that_he_is_one_and_not_what_is_wrong(inside: Inside) -> None:
    async with at_the_door(inside) as browser:
        said = await browser.ask("POST", PATH, data=b"{", headers={"Content-Type": JSON})
        assert said.status == 401
        for path in ("/openapi.json", "/healthz", "/login"):
            got, head = await browser.ask("GET", path), await browser.ask("HEAD", path)
            assert (head.status, head.text) == (200, "")
            assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert (await browser.ask("HEAD", "/api/v1/status")).status == 401


async def test_over_the_socket_head_is_answered_as_get_is(inside: Inside) -> None:
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    app = for_the_owner(inside.desk)
    for path, status in (("/api/v1/status", 200), ("/api/v1/incidents", 200), ("/api/v1/reload", 405), ("/x", 404)):
        told.clear()
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "HEAD", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
            "client": None, "server": None,
        }  # fmt: skip
        await app(scope, receive, send)
        assert told[0]["status"] == status
        assert b"".join(each.get("body", b"") for each in told[1:]) == b""
