"""The story: a shop is well, slows down, fails and recovers, and every step of what must follow is looked for.

Knows the script and what must be seen of it, in the store and at the far side of the webhook. Nothing is assumed to
have happened: an act goes on until its steps are there, and a step that does not come in time fails the demonstration.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final

from msgspec import Struct
from rich.console import Console

from service_monitoring import bootstrap
from service_monitoring.bootstrap.logs import configure_logs
from service_monitoring.cli import BAD_ANSWER
from service_monitoring.cli.demo.narrate import Narrator
from service_monitoring.cli.demo.receiver import Receiver
from service_monitoring.cli.demo.shop import Act, Shop
from service_monitoring.domain.events import Event, IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Admitted, Delivery, Observed, Settled, Stamp
from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.samples import Outcome
from service_monitoring.errors import Unavailable
from service_monitoring.ports import Clock, Tick
from service_monitoring.settings import Redactor

_PATIENCE: Final = Duration(30 * SECOND)
"""How long one act may take before the steps that are missing are named."""
_GLANCE: Final = Duration(200 * MILLISECOND)
_LIKED: Final = 8080
"""The port at which people may look, unless somebody else has it."""


class Seen(Struct):
    """What has become known so far. Mutable: it belongs to the one task that reads the store."""

    polls: int = 0
    opened: set[str] = set()
    ended: set[str] = set()
    held: set[str] = set()
    owed: set[str] = set()
    delivered: set[str] = set()
    told: set[tuple[str, str]] = set()


class Step(Struct, frozen=True):
    """Something that must become true during an act."""

    text: str
    holds: Callable[[Seen], bool]


class Scene(Struct, frozen=True):
    """An act of the shop and what must follow from it."""

    act: Act
    text: str
    steps: tuple[Step, ...]


_RULES: Final = ("down", "slow", "backlog", "database_down")

SCRIPT: Final = (
    Scene(
        Act.WELL,
        "the shop is well",
        (Step("polls arrive and are ok", lambda seen: seen.polls >= 3),),
    ),
    Scene(
        Act.SLOW,
        "the shop answers slowly",
        (
            Step("shop.slow opens", lambda seen: "slow" in seen.opened),
            Step("the webhook is told of it", lambda seen: ("slow", Page.FIRST) in seen.told),
        ),
    ),
    Scene(
        Act.DOWN,
        "the shop answers 503, its database refuses connections, orders pile up",
        (
            Step("shop.down opens", lambda seen: "down" in seen.opened),
            Step("the webhook is told of it", lambda seen: ("down", Page.FIRST) in seen.told),
            Step("shop.database_down opens", lambda seen: "database_down" in seen.opened),
            Step("shop.backlog opens and is held back: its cause is known", lambda seen: "backlog" in seen.held),
        ),
    ),
    Scene(
        Act.WELL,
        "somebody mends the shop",
        (
            Step("every incident is over", lambda seen: seen.opened == seen.ended == set(_RULES)),
            Step("the webhook hears that the shop is back", lambda seen: ("down", Page.RECOVERED) in seen.told),
            Step("nobody hears the end of what nobody was told", lambda seen: not _told_of(seen, "backlog")),
            Step("every notice owed was accepted, under its own key", lambda seen: seen.owed == seen.delivered),
        ),
    ),
)


def tell(*, once: bool, data: Path | None) -> int:
    """Run the demonstration; blocks until it ended. The exit code: 0 when every step happened, or after Ctrl-C."""
    console = Console(highlight=False)
    configure_logs("warning", Redactor(()))  # that it listens is in the first lines
    with _folder(data) as folder:
        return asyncio.run(_perform(console, folder, once=once))


async def _perform(console: Console, folder: Path, *, once: bool) -> int:
    clock = bootstrap.the_clock()
    narrator = Narrator(console, clock.now())

    def heard(key: str, body: dict[str, Any]) -> None:
        narrator.received(clock.now(), key, str(body.get("summary", "")))

    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(Shop(clock).open())
        receiver = await stack.enter_async_context(Receiver(heard).open())
        # Nobody looks at a story that is told once: it listens nowhere, and needs no port.
        listen = "none" if once else f"127.0.0.1:{_free_port()}"
        config = _configuration(folder, shop, receiver, listen)
        console.print(f"The shop listens on 127.0.0.1:{shop.http_port}; its monitor runs {config}", soft_wrap=True)
        if not once:
            look = f"Look at it meanwhile: http://{listen}/, and as the public: http://{listen}/status/public"
            console.print(look, soft_wrap=True)
        console.print()
        program = await stack.enter_async_context(bootstrap.opened(bootstrap.load(config), clock))
        running = asyncio.create_task(program.run())
        performing = asyncio.create_task(_Performance(program, shop, receiver, narrator, clock).perform())
        await asyncio.wait({running, performing}, return_when=asyncio.FIRST_COMPLETED)
        if performing.done() and not once and performing.result() == ():
            console.print("\nThe story is over; the shop stays well and is watched until Ctrl-C.")
            await running
        program.stop()
        await running
        missing = await _end(performing)
    return _conclusion(console, missing)


async def _end(performing: asyncio.Task[tuple[str, ...]]) -> tuple[str, ...] | None:
    if performing.done():
        return performing.result()
    performing.cancel()
    await asyncio.gather(performing, return_exceptions=True)
    return None


def _conclusion(console: Console, missing: tuple[str, ...] | None) -> int:
    if missing is None:
        console.print("\nEnded before the story was over.")
        return 0
    for step in missing:
        console.print(f"This did not happen in time: {step}", style="bold red")
    if not missing:
        console.print("\nEvery step happened.", style="bold green")
    return BAD_ANSWER if missing else 0


class _Performance:
    """Plays the script while it reads what the monitor made of it."""

    def __init__(
        self, program: bootstrap.Program, shop: Shop, receiver: Receiver, narrator: Narrator, clock: Clock
    ) -> None:
        self._store = program.store
        self._shop = shop
        self._receiver = receiver
        self._narrator = narrator
        self._clock = clock
        self._seen = Seen()
        self._position = 0
        self._polled: dict[str, Stamp] = {}

    async def perform(self) -> tuple[str, ...]:
        """Every scene in turn; the steps that did not come, or none."""
        for scene in SCRIPT:
            self._narrator.scene(self._clock.now(), scene.text)
            await self._shop.perform(scene.act)
            late = self._clock.tick().plus(_PATIENCE)
            while missing := [step.text for step in scene.steps if not step.holds(self._seen)]:
                if late < self._clock.tick():
                    return tuple(missing)
                await self._glance()
        return ()

    async def _glance(self) -> None:
        await self._clock.wait_until(self._next())
        for admitted in await self._store.newest():
            what = admitted.input
            if isinstance(what, Observed) and self._polled.get(what.check) != admitted.stamp:
                self._polled[what.check] = admitted.stamp
                self._seen.polls += what.observation.outcome is Outcome.OK
                if what.check == "health":
                    self._narrator.poll(admitted.stamp.at, what)
        for recorded in await self._store.journal(after=self._position):
            self._position = recorded.position
            if isinstance(recorded.record, Admitted | IncidentMoved | Notice):
                self._narrator.fact(recorded.record)
                self._note(recorded.record)
        self._seen.told = {(body["rule"], body["page"]) for _, body in self._receiver.received}

    def _note(self, record: Admitted | Event | Notice) -> None:
        seen = self._seen
        match record:
            case IncidentMoved(_, _, incident) if incident.state is State.OPEN:
                seen.opened.add(incident.rule)
            case IncidentMoved(_, _, incident) if incident.state is State.RESOLVED:
                seen.ended.add(incident.rule)
            case Notice() if record.held is not None:
                seen.held.add(record.facts.rule)
            case Notice():
                seen.owed.add(record.key)
            case Admitted(_, Settled() as settled) if settled.delivery is Delivery.DELIVERED:
                seen.delivered.add(settled.notice)

    def _next(self) -> Tick:
        return self._clock.tick().plus(_GLANCE)


def _told_of(seen: Seen, rule: str) -> bool:
    return any(told == rule for told, _ in seen.told)


def _free_port() -> int:
    """A port of loopback that nobody has now: the one that people know, where it is free."""
    for port in (_LIKED, 0):
        with socket.socket() as tried:
            # As whoever serves there will: what is left of connections that have ended is in nobody's way.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(tried.getsockname()[1])
    raise Unavailable("there is no free port on 127.0.0.1")


def _configuration(folder: Path, shop: Shop, receiver: Receiver, listen: str) -> Path:
    template = Template((resources.files(__package__) / "monitoring.yaml").read_text(encoding="utf-8"))
    config = folder / "monitoring.yaml"
    config.write_text(
        template.substitute(
            data=folder / "data",
            http_port=shop.http_port,
            database_port=shop.database_port,
            hook_port=receiver.port,
            listen=listen,
        ),
        encoding="utf-8",
    )
    return config


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """The folder given, made if need be, or a temporary one."""
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        yield data.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="monitor-") as made:
        yield Path(made)
