"""HTTP checks on one core, a new connection each: our source against aiohttp, bare libcurl and blackbox_exporter.

    python -m bench.poller [--seconds 3] [--rounds 3]

Each contestant runs in a process of its own on core 0, the target (`bench.target`) on core 1. Two figures each:
`flat out`, with 128 probes always under way, and the CPU of one probe, which noise of the machine hardly changes.
`at 1,000/s` is open loop: probes begin when they are due, whether or not earlier ones have ended, and their latency
counts from then. Only ratios of one run mean anything.

What is compared is the probe alone: for us with phases, the address policy and two expectations (status and a part of
the body). What follows a probe (samples, rules, commit) is another benchmark's business.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.target import Target, pinned, serving

CORE: Final = 0
OTHER_CORE: Final = 1
UNDER_WAY: Final = 128
RATE: Final = 1_000

Probe = Callable[[str], Awaitable[None]]
"""One probe of one URL; raises where it does not succeed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one contestant did in one round. `p99` is in seconds, in open loop, and None where that was not measured."""

    probes: float
    cpu: float
    p99: float | None


# Contestants within asyncio


@contextlib.asynccontextmanager
async def _ours(urls: Sequence[str]):  # type: ignore[no-untyped-def]  # a contestant, found by name
    from service_monitoring.domain.instants import SECOND, Duration
    from service_monitoring.domain.samples import Outcome
    from service_monitoring.ports import Deadline, Surroundings
    from service_monitoring.runtime.clock import SystemClock
    from service_monitoring.settings import AddressPolicy
    from service_monitoring.sources.http import HttpOptions, Kind

    clock, kind = SystemClock(), Kind()
    surroundings = Surroundings(clock, AddressPolicy.allowing(["127.0.0.0/8"]))
    expect = {"status": 200, "body": {"contains": '"status":"ok"'}}
    # A source is asked for one run at a time, so there are as many of each URL as can be under way.
    idle = {
        url: [
            kind.open_source(HttpOptions.model_validate({"http": url, "expect": expect}), surroundings=surroundings)
            for _ in range(UNDER_WAY * 4)
        ]
        for url in urls
    }

    async def probe(url: str) -> None:
        source = idle[url].pop()
        observation = await source.probe(Deadline(clock.tick().plus(Duration(30 * SECOND))))
        idle[url].append(source)
        if observation.outcome is not Outcome.OK:
            raise RuntimeError(observation.detail)

    try:
        yield probe
    finally:
        await kind.close()


@contextlib.asynccontextmanager
async def _aiohttp(urls: Sequence[str]):  # type: ignore[no-untyped-def]
    import aiohttp

    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        async def probe(url: str) -> None:
            async with session.get(url) as answer:
                body = await answer.read()
                if answer.status != 200 or b'"status":"ok"' not in body:
                    raise RuntimeError(f"{url} answered {answer.status}")

        yield probe


async def _flat_out(probe: Probe, urls: Sequence[str], seconds: float) -> tuple[int, float, float]:
    """Probes done, time and CPU with `UNDER_WAY` always under way."""
    turn = itertools.cycle(urls)
    done = 0

    async def keep_going(until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await probe(next(turn))
            done += 1

    await asyncio.gather(*(keep_going(time.perf_counter() + 0.3) for _ in range(UNDER_WAY)))  # warm
    done, cpu, began = 0, time.process_time(), time.perf_counter()
    await asyncio.gather(*(keep_going(began + seconds) for _ in range(UNDER_WAY)))
    return done, time.perf_counter() - began, time.process_time() - cpu


async def _open_loop(probe: Probe, urls: Sequence[str], seconds: float) -> float:
    """The 99th percentile of the time from due to done at `RATE` probes a second."""
    turn = itertools.cycle(urls)
    latencies: list[float] = []

    async def one(due: float) -> None:
        await probe(next(turn))
        latencies.append(time.perf_counter() - due)

    began = time.perf_counter()
    running = set()
    for number in range(int(RATE * seconds)):
        due = began + number / RATE
        while (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(max(ahead, 0.001))
        task = asyncio.ensure_future(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return statistics.quantiles(latencies, n=100)[98]


async def _measure(name: str, urls: Sequence[str], seconds: float) -> Result:
    async with {"ours": _ours, "aiohttp": _aiohttp}[name](urls) as probe:
        gc.collect()
        gc.freeze()
        done, took, cpu = await _flat_out(probe, urls, seconds)
        p99 = await _open_loop(probe, urls, seconds)
    return Result(done / took, cpu / done, p99)


# Contestants without


def _bare(urls: Sequence[str], seconds: float) -> Result:
    """The multi interface of libcurl in a loop of its own: no asyncio, no phases, no policy, no expectation."""
    import pycurl

    multi, turn = pycurl.CurlMulti(), itertools.cycle(urls)

    def begin(handle: pycurl.Curl) -> None:
        handle.reset()
        for option, value in (
            (pycurl.URL, next(turn)), (pycurl.FRESH_CONNECT, 1), (pycurl.FORBID_REUSE, 1), (pycurl.NOSIGNAL, 1),
            (pycurl.TIMEOUT_MS, 30_000), (pycurl.PROXY, ""), (pycurl.WRITEFUNCTION, len),
        ):  # fmt: skip
            handle.setopt(option, value)
        multi.add_handle(handle)

    for _ in range(UNDER_WAY):
        begin(pycurl.Curl())
    done, cpu, began = 0, time.process_time(), time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        multi.perform()
        waiting = 1
        while waiting:
            waiting, succeeded, failed = multi.info_read()
            if failed:
                raise RuntimeError(failed[0][2])
            done += len(succeeded)
            for handle in succeeded:
                multi.remove_handle(handle)
                begin(handle)
        multi.select(1.0)
    return Result(done / took, (time.process_time() - cpu) / done, None)


_MODULES: Final = "modules: {http_2xx: {prober: http, timeout: 30s, http: {preferred_ip_protocol: ip4}}}\n"


def blackbox_program() -> str | None:
    """Where blackbox_exporter is, if that and what asks it to probe are both installed."""
    program = shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")
    return program if shutil.which("wrk") else None


def blackbox_flat_out(program: str, target: Target, seconds: float) -> Result:
    """blackbox_exporter on our core; wrk, with the target on the other, asks it to probe."""
    with tempfile.TemporaryDirectory(prefix="blackbox-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        configuration = Path(folder, "blackbox.yml")
        configuration.write_text(_MODULES)
        process = subprocess.Popen(
            [
                *pinned(CORE),
                program,
                f"--config.file={configuration}",
                f"--web.listen-address={address}",
                "--log.level=error",
            ],
            env={**os.environ, "GOMAXPROCS": "1"},
            stderr=subprocess.DEVNULL,
        )
        try:
            watched = psutil.Process(process.pid)
            # The same address of the target each time: wrk asks for one URL only.
            asked = f"http://{address}/probe?module=http_2xx&target={target.urls()[0]}"
            _wrk(asked, 0.5)
            before = sum(watched.cpu_times()[:2])
            rate, took = _wrk(asked, seconds)
            cpu = sum(watched.cpu_times()[:2]) - before
        finally:
            process.terminate()
            process.wait(10)
    return Result(rate, cpu / (rate * took), None)


def _wrk(url: str, seconds: float) -> tuple[float, float]:
    """Requests a second, and for how many seconds."""
    command = [*pinned(OTHER_CORE), "wrk", "-t1", "-c64", f"-d{max(1, round(seconds))}s", url]
    for _ in range(20):
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        lines = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in printed.splitlines() if ":" in line}
        if "Non-2xx or 3xx responses" in lines:
            raise RuntimeError(f"blackbox_exporter answers with errors: {printed}")
        if "Requests/sec" in lines and float(lines["Requests/sec"]) > 0:
            return float(lines["Requests/sec"]), max(1.0, float(round(seconds)))
        time.sleep(0.1)
    raise RuntimeError("blackbox_exporter did not come up")


# The run


def _in_process(name: str, urls: Sequence[str], seconds: float) -> Result:
    command = [
        *pinned(CORE),
        sys.executable,
        "-m",
        "bench.poller",
        "--contestant",
        name,
        "--seconds",
        str(seconds),
        *urls,
    ]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Result(**json.loads(printed))


def _round(target: Target, seconds: float, blackbox: str | None) -> Iterator[tuple[str, Result]]:
    for name in ("ours", "aiohttp", "bare pycurl multi"):
        yield name, _in_process(name, target.urls(), seconds)
    if blackbox is not None:
        yield "blackbox_exporter", blackbox_flat_out(blackbox, target, seconds)


def main() -> None:
    """Measure and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--contestant", help=argparse.SUPPRESS)
    arguments.add_argument("urls", nargs="*", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.contestant == "bare pycurl multi":
        _print(_bare(given.urls, given.seconds))
    elif given.contestant is not None:
        _print(asyncio.run(_measure(given.contestant, given.urls, given.seconds)))
    else:
        _table(given.rounds, given.seconds)


def _print(result: Result) -> None:
    print(json.dumps({"probes": result.probes, "cpu": result.cpu, "p99": result.p99}))


def _table(rounds: int, seconds: float) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        print("one core only: the target would measure itself; not run")
        return
    blackbox = blackbox_program()
    if blackbox is None:
        print("blackbox_exporter: skipped (apt-get install prometheus-blackbox-exporter wrk)")
    seen: dict[str, list[Result]] = {}
    with serving(core=OTHER_CORE) as target:
        print(f"target: {target.made_by}; {rounds} rounds of {seconds} s each, medians")
        for _ in range(rounds):
            for name, result in _round(target, seconds, blackbox):
                seen.setdefault(name, []).append(result)
    rows = {
        name: Result(
            statistics.median(each.probes for each in results),
            statistics.median(each.cpu for each in results),
            statistics.median(each.p99 for each in results if each.p99 is not None) if results[0].p99 else None,
        )
        for name, results in seen.items()
    }
    anchors = [name for name in ("blackbox_exporter", "aiohttp", "bare pycurl multi") if name in rows]
    print(f"{'':20}{'probes/s':>10}{'CPU ms':>9}{'p99 ms':>9}" + "".join(f"{'x ' + name:>22}" for name in anchors))
    print("ratios: of probes a second, and of CPU (the anchor's by the row's, so that more is better in both)")
    for name, row in rows.items():
        p99 = "-" if row.p99 is None else f"{row.p99 * 1000:.1f}"
        ratios = "".join(
            f"{f'{row.probes / rows[anchor].probes:.2f} / {rows[anchor].cpu / row.cpu:.2f}':>22}" for anchor in anchors
        )
        print(f"{name:20}{row.probes:>10,.0f}{row.cpu * 1000:>9.3f}{p99:>9}{ratios}")


if __name__ == "__main__":
    main()
