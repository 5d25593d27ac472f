"""The real Alertmanager: streams become its configuration and its alerts, what it tells is received and noted.

All streams run at once in one process, each below a route of its own, on the real clock and from a whole minute on,
because Alertmanager's muted times know minutes only.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.domain.alertmanager.generator import APART
from tests.domain.alertmanager.streams import (
    Event,
    Matcher,
    Notification,
    Recorded,
    Route,
    Status,
    Stream,
    labels_of,
)
from tests.sinks.servers import free_port

PROGRAM = shutil.which("prometheus-alertmanager")
MINUTE = 60_000
STARTING = 10
"""Seconds that Alertmanager may take until it is ready; the streams begin at the first whole minute after."""

FAR = timedelta(hours=1)
"""Alerts end by themselves unless told again; none lives so long."""


class Run:
    """One run of the program: `late` is by how much, in milliseconds, an alert at most came too late."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams
        self.late = 0
        now = time.time()
        self.begins = (int(now + STARTING) // 60 + 1) * 60
        self._begins = asyncio.get_running_loop().time() + self.begins - now
        self._told: dict[str, list[Notification]] = defaultdict(list)
        self._fires_since: dict[tuple[str, str], datetime] = {}

    async def record(self, folder: Path) -> list[Recorded]:
        """What was told of each stream; the folder is for configuration, storage and log of the program."""
        async with self._listening() as hook, self._running(folder, hook) as alerts:
            await self._post_all(alerts)
            await self._until(max(stream.ends for stream in self.streams))
        return [Recorded(stream, self._told_of(stream)) for stream in self.streams]

    def _told_of(self, stream: Stream) -> tuple[Notification, ...]:
        told = [each for each in self._told[stream.name] if each.ms < stream.ends]
        return tuple(sorted(told, key=lambda each: (each.ms, each.receiver, each.group, sorted(each.alerts))))

    async def _post_all(self, alerts: str) -> None:
        at: dict[int, list[tuple[Stream, Event]]] = defaultdict(list)
        for stream in self.streams:
            for event in stream.events:
                at[event.ms].append((stream, event))
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            for ms, happening in sorted(at.items()):
                await self._until(ms)
                posted = [self._posted(stream, event) for stream, event in happening]
                async with session.post(alerts, json=posted):
                    self.late = max(self.late, self._now() - ms)

    def _posted(self, stream: Stream, event: Event) -> dict[str, Any]:
        now = datetime.now(UTC)
        if event.status is Status.FIRING:
            heard_late = timedelta(milliseconds=event.ms - event.since) if event.since is not None else timedelta()
            self._fires_since[stream.name, event.name] = now - heard_late
        labels = {**stream.alerts[event.name], "alertname": event.name, "stream": stream.name}
        ends = now + FAR if event.status is Status.FIRING else now
        since = self._fires_since[stream.name, event.name]
        return {"labels": labels, "startsAt": since.isoformat(), "endsAt": ends.isoformat()}

    def _now(self) -> int:
        return round((asyncio.get_running_loop().time() - self._begins) * 1_000)

    async def _until(self, ms: int) -> None:
        while self._now() < ms:
            await asyncio.sleep((ms - self._now()) / 1_000)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[str]:
        """A server that notes what it is told, and when."""

        async def note(request: web.Request) -> web.Response:
            now = self._now()
            told = await request.json()
            stream, _, receiver = told["receiver"].partition("/")
            group = labels_of({label: value for label, value in told["groupLabels"].items() if label != "stream"})
            alerts = frozenset((each["labels"]["alertname"], Status(each["status"])) for each in told["alerts"])
            self._told[stream].append(Notification(now, receiver, group, alerts))
            return web.Response()

        application = web.Application()
        application.router.add_post("/", note)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def _running(self, folder: Path, hook: str) -> AsyncIterator[str]:
        """The program; yields the address that takes alerts."""
        assert PROGRAM is not None
        port = free_port()
        written = folder / "alertmanager.yml"
        written.write_text(json.dumps(configuration(self.streams, hook, self.begins)), encoding="utf-8")
        arguments = [
            f"--config.file={written}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        with (
            (folder / "alertmanager.log").open("wb") as log,
            subprocess.Popen([PROGRAM, *arguments], stderr=log) as run,
        ):
            try:
                await self._ready(f"http://127.0.0.1:{port}/-/ready", run)
                yield f"http://127.0.0.1:{port}/api/v2/alerts"
            finally:
                run.terminate()

    async def _ready(self, address: str, run: subprocess.Popen[bytes]) -> None:
        async with aiohttp.ClientSession() as session:
            while self._now() < 0:
                assert run.poll() is None, "Alertmanager ended: see its log"
                try:
                    async with session.get(address) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
        raise TimeoutError("Alertmanager was not ready when the streams had to begin")


def configuration(streams: list[Stream], hook: str, begins: int) -> dict[str, Any]:
    """Alertmanager's, for streams that begin at that second since 1970."""
    spans = {span for stream in streams for node in stream.route.nodes() for span in node.mutes}
    receivers: dict[str, bool] = {"nobody": False}
    for stream in streams:
        for node in stream.route.nodes():
            resolved = receivers.setdefault(f"{stream.name}/{node.receiver}", node.send_resolved)
            assert resolved is node.send_resolved, "whether resolutions are told is the receiver's"
    return {
        "route": {"receiver": "nobody", "routes": [_route(stream.name, stream.route) for stream in streams]},
        "receivers": [
            {"name": name, "webhook_configs": [{"url": hook, "send_resolved": resolved}] if "/" in name else []}
            for name, resolved in receivers.items()
        ],
        "inhibit_rules": [
            {
                "source_matchers": [f'stream="{stream.name}"', *_matchers(inhibition.source)],
                "target_matchers": [f'stream="{stream.name}"', *_matchers(inhibition.target)],
                "equal": list(inhibition.equal),
            }
            for stream in streams
            for inhibition in stream.inhibitions
        ],
        "time_intervals": [
            {"name": _name(span), "time_intervals": [{"times": _times(span, begins)}]} for span in sorted(spans)
        ],
    }


def _route(stream: str, route: Route, *, top: bool = True) -> dict[str, Any]:
    return {
        "receiver": f"{stream}/{route.receiver}",
        "matchers": [f'stream="{stream}"'] if top else _matchers(route.matchers),
        "group_by": list(route.group_by),
        "group_wait": f"{route.group_wait}ms",
        "group_interval": f"{route.group_interval}ms",
        "repeat_interval": f"{route.repeat_interval}ms",
        "continue": route.continues,
        "mute_time_intervals": [_name(span) for span in route.mutes],
        "routes": [_route(stream, child, top=False) for child in route.routes],
    }


def _matchers(matchers: tuple[Matcher, ...]) -> list[str]:
    return [f'{matcher.label}{matcher.operator}"{matcher.value}"' for matcher in matchers]


def _name(span: tuple[int, int]) -> str:
    return f"from {span[0]} until {span[1]}"


def _times(span: tuple[int, int], begins: int) -> list[dict[str, str]]:
    """Minutes of the day in UTC, which is Alertmanager's zone; midnight cuts a span in two."""
    day = 24 * 60
    first = (begins // 60 + span[0] // MINUTE) % day
    last = first + (span[1] - span[0]) // MINUTE
    halves = [(first, min(last, day)), (0, last - day)]
    return [{"start_time": _clock(start), "end_time": _clock(end)} for start, end in halves if start < end]


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def too_late(run: Run) -> bool:
    """Whether the machine was so busy that an alert may have come on the wrong side of a flush."""
    return run.late >= APART // 2
