"""Asking: the running program over its socket, and the store itself where none runs.

Knows how a question comes to one or the other. Does not know which questions there are. A command that a running
program answers is to be as quick as an interpreter can be: what only the store needs is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service_monitoring import bootstrap
from service_monitoring.cli import Form, More, client, show
from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration
from service_monitoring.errors import InUse, NotFound, Refused
from service_monitoring.settings import data_folder

if TYPE_CHECKING:
    from service_monitoring.settings import Settings

PATIENCE: Final = Duration(10 * SECOND)
"""How long a command waits for a store that somebody has open who does not listen."""
_PAUSE: Final = Duration(50 * MILLISECOND)
_WHOLE: Final = 16
"""Characters of an incident's id."""


class EmptyError(Exception):
    """No program runs and none ever did: the data folder is not made by asking about it."""


def ask(  # noqa: PLR0913 - what is asked, and by name what few questions need besides
    config: Path,
    method: str,
    route: str,
    directly: Callable[[Any], Awaitable[Any]],
    *,
    query: dict[str, Any] | None = None,
    body: Any = None,
    made: bool = False,
    access: bool = False,
    most: int | None = None,
) -> Any:
    """The answer of the running program, or that of the store where none runs, in JSON's types.

    A running program is found, and answers, also while its file is not valid: somebody must be able to acknowledge,
    and to ask what is wrong. `EmptyError` when nothing was ever stored, unless the data folder is to be `made` then.
    `directly` is handed the desk, or that of access where it is `access` that is asked for; what it needs of the domain
    it imports then. Of a list that comes in pages, the first `most` rows.
    """

    def running() -> Any:
        if most is not None:
            return client.walk(socket(config), route, query or {}, most)
        return client.ask(socket(config), method, route, query=query, body=body)

    with suppress(client.NotRunning):
        return running()
    settings = load(config)
    # Only now, as a command that a running program answers is to be quick.
    import asyncio

    from service_monitoring.storage.folder import FACTS

    if not made and not (settings.store.path / FACTS).exists():
        raise EmptyError
    opened = bootstrap.open_access if access else bootstrap.open_desk
    return asyncio.run(_answered(opened, settings, directly, running))


def socket(config: Path) -> Path:
    """Where a program with this file listens."""
    exists(config)
    return bootstrap.socket_in(data_folder(config))


async def _answered(
    opened: Callable[[Settings], AbstractAsyncContextManager[Any]],
    settings: Settings,
    directly: Callable[[Any], Awaitable[Any]],
    running: Callable[[], Any],
) -> Any:
    """From the store, or from who has it open: a program that starts listens soon, a command gives it back soon."""
    import msgspec

    clock = bootstrap.the_clock()
    last = clock.tick().plus(PATIENCE)
    while True:
        try:
            async with opened(settings) as desk:
                return msgspec.to_builtins(await directly(desk))
        except InUse:
            if last <= clock.tick():
                raise
        await clock.wait_until(clock.tick().plus(_PAUSE))
        with suppress(client.NotRunning):
            return running()


def incident_rows(
    config: Path, *, states: Sequence[str], service: str | None, limit: int, drafts: More
) -> list[dict[str, Any]]:
    """Incidents, the newest first."""
    query: dict[str, Any] = {"state": list(states)}
    if drafts is More.SHOWN:
        query["drafts"] = "true"
    if service is not None:
        query["service"] = service

    def directly(desk: Any) -> Awaitable[Any]:
        from service_monitoring.domain.incidents import State
        from service_monitoring.ports import Drafts

        wanted = [State(state) for state in states]
        return desk.incidents(states=wanted, service=service, limit=limit, drafts=Drafts(drafts.value))  # type: ignore[no-any-return]  # a desk

    try:
        rows: list[dict[str, Any]] = ask(
            config,
            "GET",
            "/api/v1/incidents",
            directly,
            query=query,
            most=limit,
        )
    except EmptyError:
        return []
    return rows


def identified(config: Path, beginning: str) -> str:
    """The whole id that begins like this, among the newest thousand; a whole one is taken as it is."""
    if len(beginning) >= _WHOLE:
        from service_monitoring.storage.folder import FACTS

        exists(config)
        ids = [beginning] if (data_folder(config) / FACTS).exists() else []
    else:
        rows = incident_rows(config, states=[], service=None, limit=1000, drafts=More.SHOWN)
        ids = [row["id"] for row in rows if beginning and row["id"].startswith(beginning)]
    if not ids:
        raise NotFound(f"there is no incident {beginning!r}: `service-monitoring incidents list` names them")
    if len(ids) > 1:
        raise Refused(f"{len(ids)} incidents begin with {beginning!r}: give more of the id")
    return ids[0]


def load(config: Path) -> Settings:
    """The settings of a file; `NotFound` where there is none."""
    exists(config)
    return bootstrap.load(config)


def exists(config: Path) -> None:
    """`NotFound` where there is no such file."""
    if not config.exists():
        raise NotFound(
            f"there is no {config}: write one with `service-monitoring init URL`, or name yours with --config"
        )


def rule_named(name: str) -> tuple[str, str]:
    """Service and rule of `service.rule`."""
    service, _, rule = name.partition(".")
    if not service or not rule:
        raise Refused(f"{name!r} is not the name of a rule: write service.rule")
    return service, rule


def say(form: Form, answer: Any, sentence: str) -> None:
    """An answer for programs, or a sentence for people."""
    if form is Form.JSON:
        show.as_json(answer)
    else:
        show.line(sentence)
