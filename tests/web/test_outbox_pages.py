"""The outbox in the console: by state and channel, page by page, the text of a notice, and parked ones sent again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace
from yarl import URL

from service_monitoring.access.permissions import Role
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Message, Settlement
from service_monitoring.testing.store_laws import a_commit, a_message, a_notice, a_stamp, an_incident
from service_monitoring.views.faces import Faces
from tests.web.desks import Told, told
from tests.web.faced import somebody, visiting

pytestmark = pytest.mark.real_time("a server looks after its connections ten times a second")

ADMIN, VIEWER = somebody(Role.ADMIN), somebody(Role.VIEWER)
EVIL = "<script>alert(1)</script> https://monitor.example.com/act/QUJD.c2VhbA and more"


async def settled(house: Told, notice: Notice, status: str, body: str = EVIL) -> None:
    message: Message = replace(a_message(notice, "first"), body=body, subject="<b>down</b>")
    (lease,) = await house.store.claim([message])
    retry = a_stamp(9).at if status in {"uncertain", "waiting"} else None
    await house.store.settle([Settlement(lease.key, lease.token, status, f"<i>{status}</i>", a_stamp(2).at, retry)])


@asynccontextmanager
async def kept(folder: Path, number: int) -> AsyncIterator[tuple[Told, list[Notice]]]:
    notices = [a_notice(an_incident(), ordinal=each) for each in range(1, number + 1)]
    async with told(folder, Configuration()) as house:
        await house.store.commit(a_commit(1, notices=notices))
        yield house, notices


async def text_of(client: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with client.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


async def test_notices_are_listed_by_state_and_what_they_say_is_text(tmp_path: Path) -> None:
    async with kept(tmp_path / "data", 3) as (house, (parked, unsure, owed)):
        await settled(house, parked, "parked")
        await settled(house, unsure, "uncertain")
        async with visiting(Faces("1", house.desk), VIEWER) as client:
            everything = await text_of(client, "/outbox")
            only_parked = await text_of(client, "/outbox?state=parked")
            uncertain = await text_of(client, "/outbox?state=uncertain")
            waiting = await text_of(client, "/outbox?state=waiting")
            one = await text_of(client, f"/outbox/{parked.key[:20]}")
            await text_of(client, "/outbox?state=sideways", 422)
            await text_of(client, "/outbox/ffff", 404)
            assert owed.channel in await text_of(client, f"/outbox?channel={owed.channel}")
            assert "There is no such notice." in await text_of(client, "/outbox?channel=elsewhere")
            assert "There is no such notice." in await text_of(client, "/outbox?text=nowhere-written")
    assert all(each.key in everything for each in (parked, unsure, owed))
    assert parked.key in only_parked and unsure.key not in only_parked
    assert "it may have arrived" in uncertain
    assert owed.key in waiting and unsure.key not in waiting
    assert "&lt;script&gt;" in one and "<script>alert" not in one
    assert "&lt;i&gt;parked&lt;/i&gt;" in one
    assert "/act/..." in one and "QUJD" not in one  # a viewer must not act with the link of another
    assert "Send once more" not in one
    assert 'name="key"' not in only_parked


async def test_pages_follow_one_another_by_position_and_the_api_says_where_the_next_begins(tmp_path: Path) -> None:
    async with kept(tmp_path / "data", 150) as (house, notices), visiting(Faces("1", house.desk), VIEWER) as client:
        first = await text_of(client, "/outbox")
        further = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        second = await text_of(client, further)
        await text_of(client, "/outbox?after=bm9uc2Vuc2U", 422)
        seen: list[str] = []
        path = "/api/v1/outbox?limit=70"
        while path:
            async with client.get(path) as answer:
                rows = await answer.json()
                seen += [row["key"] for row in rows]
                path = str(URL(answer.links["next"]["url"]).relative()) if "next" in answer.links else ""
    keys = [each.key for each in reversed(notices)]
    assert seen == keys
    assert all(key in first for key in keys[:100]) and all(key not in first for key in keys[100:])
    assert all(key in second for key in keys[100:]) and 'rel="next"' not in second
    assert len(first.encode()) < 300_000


async def test_parked_notices_are_sent_once_more_one_by_one_and_several_at_once(tmp_path: Path) -> None:
    async with kept(tmp_path / "data", 3) as (house, notices):
        for each in notices:
            await settled(house, each, "parked")
        keys = [each.key for each in notices]
        async with visiting(Faces("1", house.desk), ADMIN) as client:
            assert "Send the chosen ones once more" in await text_of(client, "/outbox?state=parked")
            assert "Send once more" in await text_of(client, f"/outbox/{keys[0]}")
            async with client.post(f"/outbox/{keys[0]}/requeue", data={"comment": "renewed"}) as answer:
                assert "It is sent once more" in await answer.text()
                assert answer.history[0].status == 303
            several = [("key", key) for key in keys]
            async with client.post("/outbox/requeue", data=[*several, ("state", "parked")]) as answer:
                said = await answer.text()
        assert "2 notices are sent once more" in said
        assert "1 notice was not parked any more" in said
        assert {row.state for row in await house.desk.outbox(states=[], limit=9)} == {"owed"}


async def test_whoever_may_not_administer_sends_nothing_again(tmp_path: Path) -> None:
    async with kept(tmp_path / "data", 1) as (house, (notice,)):
        await settled(house, notice, "parked")
        async with visiting(Faces("1", house.desk), somebody(Role.RESPONDER)) as client:
            for path in (f"/outbox/{notice.key}/requeue", "/outbox/requeue"):
                async with client.post(path, data={"key": notice.key}) as answer:
                    assert answer.status == 403
        assert [row.state for row in await house.desk.outbox(states=[], limit=9)] == ["parked"]
