"""The order of a reload: what is refused changes nothing, what did not change is kept, nothing told is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from service_monitoring import bootstrap
from service_monitoring.application import Monitor
from service_monitoring.bootstrap.loading import sink_kinds
from service_monitoring.bootstrap.reload import TROUBLE, Reloader, Users, _lasting, channels
from service_monitoring.bootstrap.wiring import checks_of, opening
from service_monitoring.domain.inputs import Admitted, Configured, Input, Observed
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.samples import Measurement, Observation, Outcome
from service_monitoring.errors import Unavailable
from service_monitoring.runtime.alarm import Alarm
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.deliver import Deliverer
from service_monitoring.runtime.poll import Poller
from service_monitoring.runtime.pulse import Pulse
from service_monitoring.settings import InvalidSettings
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.stores import MemoryStore

FILE = """\
store: {path: data, facts: {keep: 30d}}
services:
  shop:
    checks:
      health: {tcp: "192.0.2.1:1", every: 10s, timeout: 1s}
      page: {http: "https://shop.example.com", every: 10s, timeout: 1s}
    rules:
      slow: {when: {check: health, metric: connect_seconds, above: 1}}
channels:
  log: {console: true}
  hook: {webhook: "https://hooks.example.com/one"}
routes: [{notify: [channel.hook], group_by: ["..."], group_wait: 0s, group_interval: 0s}]
self: {notify: [channel.log]}
web: {listen: none}
"""


class Rig:
    """Everything that a reload changes, in simulated time. Nothing is polled and nothing sent."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock = SimulatedClock()
        self.store = MemoryStore()
        self.troubles: list[tuple[str, str]] = []
        self.ending = False
        self.owed: list[Sequence[Notice]] = []
        self.lanes: list[set[str]] = []

    async def open(self) -> None:
        self.cycle = Cycle(
            await Monitor.resume(self.store),
            self.clock,
            capacity=100,
            owed=self.owed.append,
            troubled=lambda sentence: None,
        )
        opened = opening(bootstrap.load(self.file), self.clock)
        self.deliverer = Deliverer(
            self.store,
            self.clock,
            channels(opened),
            finish=self.cycle.submit,
            dice=lambda: 0.5,
            troubled=lambda sentence: None,
        )
        self.alarm = Alarm(opened.sinks, opened.chosen.configuration.owners, self.clock)
        self.pulse = Pulse(opened.heartbeat, self.clock, ailing=str, changed=lambda what, sentence: None)
        self.poller = Poller(checks_of(opened.chosen), opened.sources, self.clock, self.cycle.submit)
        self.reloader = Reloader(
            opened,
            self.clock,
            load=lambda: bootstrap.load(self.file),
            decided=lambda: self.cycle.course.configuration,
            ask=self.ask,
            users=Users(self.poller, self.deliverer, self.alarm, self.pulse),
            troubled=lambda kind, sentence: self.troubles.append((kind, sentence)),
            ending=lambda: self.ending,
        )
        await self.cycle.start(Configured(opened.chosen.configuration))
        self.running = asyncio.create_task(self.cycle.run(lambda: None))

    async def ask(self, what: Input) -> object:
        """Notes which channels there are when a revision is asked for."""
        self.lanes.append({lane.channel for lane in self.deliverer.statistics()})
        return await self.cycle.ask(what)

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.reloader.close()

    def change(self, *pairs: tuple[str, str]) -> None:
        text = self.file.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    async def reload(self) -> tuple[str, ...]:
        return (await self.reloader.reload()).changed

    def inputs(self) -> list[object]:
        records = [record for commit in self.store.commits for _, record in commit.records]
        return [record.input for record in records if isinstance(record, Admitted)]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    (tmp_path / "monitoring.yaml").write_text(FILE)
    rig = Rig(tmp_path / "monitoring.yaml")
    await rig.open()
    yield rig
    await rig.close()


async def test_a_reload_of_equal_content_does_nothing(rig: Rig) -> None:
    before = rig.reloader.settings, len(rig.inputs())
    rig.change(("store:", "# a word about the store\nstore:"))
    assert await rig.reload() == ()
    assert len(rig.inputs()) == before[1]
    assert rig.reloader.settings.configuration == before[0].configuration


async def test_only_what_changed_is_opened_again(rig: Rig) -> None:
    before = rig.reloader.opened
    rig.change(("192.0.2.1:1", "192.0.2.2:1"), ("hooks.example.com/one", "hooks.example.com/two"))
    assert await rig.reload() == ("channels", "checks")
    after = rig.reloader.opened
    assert after.sources["shop.page"] is before.sources["shop.page"]
    assert after.sources["shop.health"] is not before.sources["shop.health"]
    assert after.sinks["log"] is before.sinks["log"]
    assert after.sinks["hook"] is not before.sinks["hook"]
    assert not rig.deliverer.uses(before.sinks["hook"])


async def test_what_everything_was_handed_opens_everything_again(rig: Rig) -> None:
    before = rig.reloader.opened
    rig.change(("web: {", "network: {allow: [127.0.0.0/8]}\nweb: {"))
    await rig.reload()
    assert rig.reloader.opened.sources["shop.page"] is not before.sources["shop.page"]
    assert rig.reloader.opened.sinks["hook"] is not before.sinks["hook"]


async def test_a_certificate_file_that_was_replaced_is_read_again(rig: Rig) -> None:
    authorities = rig.file.parent / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authorities)
    rig.change(("page: {http:", 'port: {tls: "shop.example.com:443", ca: ca.pem}\n      page: {http:'))
    await rig.reload()
    before = rig.reloader.opened
    assert await rig.reload() == ()
    trustme.CA().cert_pem.write_to_path(authorities)
    assert await rig.reload() == ("checks",)
    assert rig.reloader.opened.sources["shop.port"] is not before.sources["shop.port"]
    assert rig.reloader.opened.sources["shop.page"] is before.sources["shop.page"]


async def test_a_revision_is_journalled_before_anything_else_changes(rig: Rig) -> None:
    more = 'name: {dns: shop.example.com}\n      health: {tcp: "192.0.2.2:1"'
    rig.change(("above: 1", "above: 2"), ('health: {tcp: "192.0.2.1:1"', more))
    rig.store.outage = "the disk is full"
    reloading = asyncio.create_task(rig.reload())
    while not rig.lanes:
        await asyncio.sleep(0.01)
    await rig.clock.advance(Duration(10 * SECOND))
    assert rig.poller.statistics().checks == 2
    assert not reloading.done()
    rig.store.outage = ""
    await rig.clock.advance(Duration(2 * SECOND))
    assert await reloading == ("rules", "checks")
    assert rig.poller.statistics().checks == 3
    assert len([what for what in rig.inputs() if isinstance(what, Configured)]) == 2


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("above: 1", "abve: 1", "services.shop.rules.slow.when"),
        (
            "page: {http:",
            "page: {tls: shop.example.com:443, ca: none.pem}\n      was: {http:",
            "services.shop.checks.page",
        ),
    ],
    ids=["by the loader", "by a kind"],
)
async def test_what_is_refused_changes_nothing_and_is_over_once_it_is_mended(
    rig: Rig, old: str, new: str, path: str
) -> None:
    before = rig.reloader.opened, len(rig.inputs()), rig.poller.statistics().checks
    rig.change((old, new), ("hooks.example.com/one", "hooks.example.com/two"))
    with pytest.raises(InvalidSettings) as refused:
        await rig.reload()
    assert any(each.path.startswith(path) for each in refused.value.complaints)
    assert (rig.reloader.opened, len(rig.inputs()), rig.poller.statistics().checks) == before
    ((kind, sentence),) = rig.troubles
    assert kind == TROUBLE
    assert "the one before goes on" in sentence
    assert not await rig.reloader.differs(), "it is not read again before it changes"
    rig.file.write_text(FILE)
    assert await rig.reloader.differs()
    assert await rig.reload() == ()
    assert rig.troubles[-1] == (TROUBLE, "")


async def test_what_a_revision_tells_at_once_goes_to_a_channel_that_is_new(rig: Rig) -> None:
    measured = Observation(Outcome.OK, measurements=(Measurement("connect_seconds", 1.5),))
    await rig.cycle.ask(Observed("shop", "health", measured, rig.clock.now()))
    rig.change(
        ("above: 1", "above: 2"),
        ("channels:", "channels:\n  new: {console: true}"),
        ("[channel.hook]", "[channel.new]"),
    )
    await rig.reload()
    assert rig.lanes == [{"log", "hook", "new"}]
    (told,) = rig.owed[-1]
    assert (told.channel, told.page) == ("hook", Page.CLOSED)


async def test_a_reload_that_could_not_be_kept_leaves_all_as_it_was_and_the_next_completes_it(rig: Rig) -> None:
    rig.change(("above: 1", "above: 2"), ("log: {console: true}", "log: {console: true}\n  new: {console: true}"))
    before = rig.reloader.opened
    await rig.cycle.stop()
    with pytest.raises(Unavailable):
        await rig.reload()
    assert rig.reloader.opened is before
    assert await rig.reloader.differs(), "it is tried again"
    assert rig.troubles == []


async def test_a_reload_that_was_cut_short_after_its_commit_is_completed_by_the_next(rig: Rig) -> None:
    rig.change(("above: 1", "above: 2"), ("192.0.2.1:1", "192.0.2.2:1"))
    await rig.cycle.ask(Configured(bootstrap.load(rig.file).configuration))
    asked = len(rig.lanes)
    assert await rig.reload() == ("checks",)
    assert len(rig.lanes) == asked, "what is in force already is not decided twice"


async def test_during_the_end_a_reload_is_refused_with_a_sentence(rig: Rig) -> None:
    rig.ending = True
    rig.change(("above: 1", "above: 2"))
    with pytest.raises(Unavailable, match="the program is stopping"):
        await rig.reload()


async def test_a_kind_is_closed_once_nothing_uses_it(rig: Rig) -> None:
    kind: Any = sink_kinds()["webhook"]
    rig.change(('  hook: {webhook: "https://hooks.example.com/one"}\n', ""), ("[channel.hook]", "[channel.log]"))
    await rig.reload()
    assert kind._session is not None
    await rig.reloader.stamp()
    assert kind._session is None


async def test_retention_takes_effect_and_what_needs_a_restart_is_named(rig: Rig) -> None:
    before = rig.reloader.settings
    rig.change(
        ("path: data, facts: {keep: 30d}", "path: other, facts: {keep: 7d}"), ("listen: none", "listen: 127.0.0.1:0")
    )
    result = await rig.reloader.reload()
    assert result.changed == ("retention",)
    assert [sentence.partition(":")[0] for sentence in result.restart] == ["store.path", "web.listen"]
    assert rig.reloader.settings.store.facts_keep == 7 * 86_400 * SECOND
    assert (rig.reloader.settings.store.path, rig.reloader.settings.web) == (before.store.path, None)
    assert (await rig.reloader.reload()).restart == result.restart, "as long as it is so"


async def test_links_begin_with_another_url_after_a_restart_only(tmp_path: Path) -> None:
    before = bootstrap.load(written(tmp_path, 'web: {url: "https://one.example.com/"}'))
    assert before.web is not None and before.web.url == "https://one.example.com"
    kept, restart = _lasting(before, bootstrap.load(written(tmp_path, 'web: {url: "https://two.example.com"}')))
    assert kept.web == before.web
    assert restart == (
        "web.url: https://two.example.com is used after a restart; until then it is https://one.example.com",
    )
    assert _lasting(before, bootstrap.load(written(tmp_path, "web: {}")))[1] == (
        "web.url: none is used after a restart; until then it is https://one.example.com",
    )


async def test_who_may_come_in_changes_after_a_restart_only(tmp_path: Path) -> None:
    before = bootstrap.load(written(tmp_path, "web: {listen: 127.0.0.1:0}"))
    loaded = bootstrap.load(written(tmp_path, "web: {listen: 127.0.0.1:0, authentication: none}"))
    kept, restart = _lasting(before, loaded)
    assert kept.web == before.web
    assert restart == ("web: authentication, tls, behind_proxy and oidc change with a restart; until then all stays",)


def written(folder: Path, web: str) -> Path:
    file = folder / "monitoring.yaml"
    file.write_text(FILE.replace("web: {listen: none}", web))
    return file
