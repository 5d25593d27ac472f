"""From commit to accepted: five webhooks, then the same with one that never answers, as ratios of the same run.

The far side is a process of its own that answers 204 on four or five ports and nothing on the other. Notices are
committed at 500 a second, one for each channel in turn; the latency of each runs from the end of its commit to the end
of its send. Then a backlog is delivered as fast as it goes.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.course import Progress
from service_monitoring.domain.inputs import Settled
from service_monitoring.domain.notices import Notice, notice_key, thread_key
from service_monitoring.ports import Answer, Commit, Deadline, Message, Settlement, Sink, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deliver import Deliverer
from service_monitoring.runtime.lanes import Channel
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks.webhook import Kind, Options
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.sink_laws import a_notice
from service_monitoring.testing.store_laws import a_stamp

CHANNELS: Final = ("a", "b", "c", "d", "e")
RATE: Final = 500
EACH: Final = 500

FAR_SIDE: Final = """
import asyncio, sys

async def serve(reader, writer, silent):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = next(int(line[15:]) for line in head.split(b"\\r\\n") if line[:15].lower() == b"content-length:")
            await reader.readexactly(length)
            if silent:
                await asyncio.Event().wait()
            writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    except (OSError, asyncio.IncompleteReadError):
        writer.close()

async def main():
    for place in range(6):
        server = await asyncio.start_server(lambda r, w, silent=place == 5: serve(r, w, silent), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Timed:
    """A sink that notes when each of its sends ended."""

    def __init__(self, sink: Sink, ended: dict[str, float]) -> None:
        self._sink = sink
        self._ended = ended

    def render(self, notice: Notice) -> Message:
        return self._sink.render(notice)

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        answer = await self._sink.send(message, deadline)
        self._ended[message.key] = time.perf_counter()
        return answer


def notices(number: int) -> list[Notice]:
    """One for each channel, decided now."""
    decided_at = SystemClock().now()
    return [
        replace(
            a_notice(number),
            key=notice_key(f"{number}", f"channel.{channel}", channel, a_notice().page, 1),
            thread=thread_key(f"{number}", f"channel.{channel}", channel),
            group=f"{number}",
            channel=channel,
            decided_at=decided_at,
        )
        for channel in CHANNELS
    ]


class Run:
    """A fresh store, and a deliverer to these ports."""

    def __init__(self, store: SqliteStore, kind: Kind, ports: dict[str, int]) -> None:
        self.ended: dict[str, float] = {}
        self.committed: dict[str, tuple[str, float]] = {}
        self._store = store
        self._numbers = count(1)
        world = Surroundings(SystemClock(), AddressPolicy.allowing(["127.0.0.0/8"]))

        def sink(port: int) -> Timed:
            options = Options.model_validate({"webhook": f"http://127.0.0.1:{port}/hook"})
            return Timed(kind.open_sink(options, surroundings=world), self.ended)

        self.deliverer = Deliverer(
            store,
            SystemClock(),
            {name: Channel(sink(port)) for name, port in ports.items()},
            finish=self._finish,
            dice=lambda: 0.5,
            troubled=print,
        )

    async def _finish(self, settled: Settled, settlement: Settlement | None) -> None:
        if settlement is None:
            return  # that a notice is late
        await self._store.commit(Commit(Progress(a_stamp(next(self._numbers))), settlements=(settlement,)))

    async def commit(self, batch: list[Notice]) -> None:
        """Commit, note when, and wake."""
        await self._store.commit(Commit(Progress(a_stamp(next(self._numbers))), notices=tuple(batch)))
        now = time.perf_counter()
        self.committed.update((notice.key, (notice.channel, now)) for notice in batch)
        self.deliverer.wake(batch)

    async def arrived(self, channels: int) -> None:
        """Wait for everything that is owed to the healthy channels."""
        while len(self.ended) < EACH * channels:
            await asyncio.sleep(0.005)

    def latencies(self) -> list[float]:
        """Seconds from committed to accepted, of what was accepted."""
        return [self.ended[key] - at for key, (_, at) in self.committed.items() if key in self.ended]


async def steadily(run: Run, channels: int) -> float:
    """p99 at 500 notices a second."""
    began = time.perf_counter()
    for number in range(EACH):
        await asyncio.sleep(max(0.0, began + number * len(CHANNELS) / RATE - time.perf_counter()))
        await run.commit(notices(number))
    await run.arrived(channels)
    return statistics.quantiles(run.latencies(), n=100)[98]


async def at_once(run: Run, channels: int) -> float:
    """Notices a second from a backlog, the deliverer told of all of it."""
    everything: dict[int, list[Notice]] = defaultdict(list)
    for number in range(EACH):
        everything[number // 100] += notices(number)
    began = time.perf_counter()
    for batch in everything.values():
        await run.commit(batch)
    await run.arrived(channels)
    return EACH * channels / (time.perf_counter() - began)


async def measured(how: Callable[[Run, int], object], ports: dict[str, int], channels: int) -> float:
    """One run in a folder of its own, on the disk of this checkout."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".outbox-") as folder:
        kind = Kind()
        async with await SqliteStore.open(Path(folder), SystemClock()) as store:
            run = Run(store, kind, ports)
            delivering = asyncio.create_task(run.deliverer.run())
            await asyncio.sleep(0.05)
            result = await how(run, channels)  # type: ignore[misc] # both are coroutine functions
            delivering.cancel()
            await asyncio.sleep(0.05)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
        await kind.close()
    return float(result)


async def compare(ports: list[int]) -> None:
    """Measure alternately, print medians with their ratios."""
    healthy = dict(zip(CHANNELS, ports[:5], strict=True))
    hanging = {**healthy, "e": ports[5]}
    steady: dict[str, list[float]] = defaultdict(list)
    for _ in range(3):
        steady["healthy"].append(await measured(steadily, healthy, 5))
        steady["hanging"].append(await measured(steadily, hanging, 4))
    alone, beside = (statistics.median(steady[name]) for name in ("healthy", "hanging"))
    print(f"{RATE} notices/s, p99 from committed to accepted")
    print(f"  five healthy channels              {alone * 1000:8.1f} ms")
    print(f"  four healthy beside one that hangs {beside * 1000:8.1f} ms   ratio {beside / alone:.2f}")
    rate = statistics.median([await measured(at_once, healthy, 5) for _ in range(3)])
    print(f"backlog of {EACH * 5} to five healthy      {rate:8.0f} notices/s   ratio to {RATE}/s {rate / RATE:.2f}")


@contextmanager
def far_sides() -> Iterator[list[int]]:
    """The ports of five servers that answer, and of one that never does."""
    command = [sys.executable, "-c", FAR_SIDE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as far_side:
        assert far_side.stdout is not None
        try:
            yield [int(far_side.stdout.readline()) for _ in range(6)]
        finally:
            far_side.terminate()


def main() -> None:
    """Run it."""
    with far_sides() as ports:
        asyncio.run(compare(ports))


if __name__ == "__main__":
    main()
