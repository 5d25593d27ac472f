"""Listeners to live changes of a running program: memory each, how soon they hear, and how late checks begin meanwhile.

    listen(program, 500)

The listeners are in a process of their own, a hundred at each address of loopback, as the door has it. Some stop
reading at once. Also that process: `python -m bench.listeners PORT TOKEN LISTENERS STALLED`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bench.inhabited import Running

MOST_EACH: Final = 256 * 1024
"""Bytes of memory of a listener."""
SOONEST: Final = 1.0
"""Seconds in which each must have heard."""
_OF_ADDRESS: Final = 100
_STALLED: Final = 50
_WATCHED: Final = 30.0
"""Seconds for which lateness is looked at, without and with listeners."""
_CHANGES: Final = 20


class Listeners:
    """A process with listeners: it is asked by a line, and answers with one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, word: str) -> Any:
        """`ready`: how many are in; `heard`: when each heard of a silence since that was asked last."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def listen(program: Running, count: int) -> bool:
    """Measure; whether the bars hold."""
    idle = lateness(program)
    print(f"\n  checks begin late, nobody listens         p50 {idle[0]:6.2f}  p99 {idle[1]:6.2f} ms")
    before = program.memory()
    with _listeners(program, count, 0) as listeners:
        ready = listeners.ask("ready")
        time.sleep(2)
        each = (program.memory() - before) / count
        late = lateness(program)
        print(f"  checks begin late, {ready} of {count} listen      p50 {late[0]:6.2f}  p99 {late[1]:6.2f} ms")
        heard = _change(program, listeners)
    late_by = sorted(seconds for seconds in heard if seconds is not None)
    within = sum(seconds <= SOONEST for seconds in late_by)
    print(f"  memory of the program for each            {each / 1024:8.0f} KiB  {_verdict(each <= MOST_EACH)}")
    whole = len(late_by) == len(heard) == _CHANGES * ready
    print(
        f"  {_CHANGES} changes, {len(late_by)} deliveries       p50 {late_by[len(late_by) // 2]:6.3f}  "
        f"worst {late_by[-1]:6.3f} s, {within} within {SOONEST:g} s  {_verdict(whole and within == len(late_by))}",
        flush=True,
    )
    return _stalled(program) and each <= MOST_EACH and ready == count


def _stalled(program: Running) -> bool:
    """Some stop reading, while there are many changes."""
    time.sleep(5)  # those before are gone
    before = program.memory()
    with _listeners(program, 1, _STALLED) as listeners:
        listeners.ask("ready")
        heard = _change(program, listeners)
        each = (program.memory() - before) / _STALLED
    told = sum(seconds is not None for seconds in heard)
    print(
        f"  {_STALLED} that stop reading, for each            {each / 1024:8.0f} KiB  {_verdict(each <= MOST_EACH)}; "
        f"one beside them heard of {told} of {_CHANGES} changes"
    )
    return each <= MOST_EACH


def _change(program: Running, listeners: Listeners) -> list[float | None]:
    """Make silences, and look how long each listener took to hear of each."""
    listeners.ask("heard")
    found: list[float | None] = []
    for number in range(_CHANGES):
        wanted = {"matchers": [f"service=nothing-{number}"], "by": "ann", "comment": "a bench", "lasts": "1h"}
        kind = {"Content-Type": "application/json"} | program.bearer
        began = time.monotonic()
        status, _, body = program.ask("POST", "/api/v1/silences", json.dumps(wanted), kind)
        assert status == 201, body[:300]
        time.sleep(1.5)
        found += [None if at is None else at - began for at in listeners.ask("heard")]
    return found


def lateness(program: Running) -> tuple[float, float]:
    """How late checks begin, in milliseconds at p50 and p99, by the program's own figures over a while."""
    before = _buckets(program)
    time.sleep(_WATCHED)
    after = _buckets(program)
    counts = [(bound, count - before[bound]) for bound, count in after.items()]
    return _quantile(counts, 0.5), _quantile(counts, 0.99)


def _buckets(program: Running) -> dict[float, float]:
    lines = program.get("/metrics").decode().splitlines()
    found = [line.split('le="')[1].split('"} ') for line in lines if "check_lateness_seconds_bucket" in line]
    return {float(bound): float(count) for bound, count in found}


def _quantile(counts: list[tuple[float, float]], share: float) -> float:
    """As `histogram_quantile` has it, in milliseconds."""
    rank = share * counts[-1][1]
    below, seen = 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            upper = below if bound == float("inf") else bound
            return 1000 * (below + (upper - below) * (rank - seen) / max(count - seen, 1))
        below, seen = bound, count
    return float("inf")


def _verdict(held: bool) -> str:
    return "held" if held else "MISSED"


@contextmanager
def _listeners(program: Running, count: int, stalled: int) -> Iterator[Listeners]:
    command = [sys.executable, "-m", "bench.listeners", str(program.port), program.token, str(count), str(stalled)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Listeners(process)
        finally:
            process.kill()


class _Listening(asyncio.Protocol):
    """One that listens, and keeps when it heard of silences."""

    def __init__(self, port: int, token: str) -> None:
        asked = [
            "GET /api/v1/events?topics=silences HTTP/1.1",
            f"Host: localhost:{port}",
            f"Authorization: Bearer {token}",
        ]
        self._asked = "\r\n".join([*asked, "", ""]).encode()
        self.greeted = asyncio.Event()
        self.heard: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        if b"event: hello" in data:
            self.greeted.set()
        if b"data: silences" in data and self.heard is None:
            self.heard = time.monotonic()


async def _serve(port: int, token: str, count: int, stalled: int) -> None:
    loop = asyncio.get_running_loop()
    listening = []
    for number in range(count + stalled):
        connection = socket.socket()
        connection.bind((f"127.0.0.{10 + number // _OF_ADDRESS}", 0))
        if number >= count:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        transport, each = await loop.create_connection(lambda: _Listening(port, token), sock=connection)
        if number >= count:
            transport.pause_reading()
        else:
            listening.append(each)
            await asyncio.wait_for(each.greeted.wait(), 20)
    while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if word == "ready":
            print(len(listening), flush=True)
        else:
            print(json.dumps([each.heard for each in listening]), flush=True)
            for each in listening:
                each.heard = None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The listeners alone.")
    parser.add_argument("port", type=int)
    parser.add_argument("token")
    parser.add_argument("count", type=int)
    parser.add_argument("stalled", type=int)
    given = parser.parse_args()
    asyncio.run(_serve(given.port, given.token, given.count, given.stalled))
