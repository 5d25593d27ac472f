"""The machine: Python, libcurl, file descriptors, clocks and time zone data.

Each look takes what it judges as an argument, so that a test can hand in another machine.
"""

from __future__ import annotations

import ctypes
import re
import resource
import sys
from importlib import metadata
from typing import Final

from service_monitoring.cli.doctor.findings import Finding, doubtful, fine, wrong
from service_monitoring.domain.instants import DAY, SECOND, Duration, Instant
from service_monitoring.ports import Clock, Tick

OLDEST_PYTHON: Final = (3, 11)
SPARE_DESCRIPTORS: Final = 128
"""For the store, the socket, logs and deliveries."""
PER_CHECK: Final = 2
CONNECTIONS: Final = 2_000
"""What the address of the console takes at once; beyond its descriptors nobody gets in, and checks get none either."""

_BUILT: Final = Instant.parse("2026-01-01T00:00:00Z")
_ZONES_AGE: Final = Duration(540 * DAY)
_TIME_ERROR: Final = 5
_PROTOCOLS: Final = frozenset({"http", "https"})
_FEATURES: Final = {"AsynchDNS": 1 << 7, "SSL": 1 << 2, "IPv6": 1 << 0}
"""Of libcurl's `curl_version_info`."""


def look(clock: Clock, *, checks: int, connections: int = 0) -> list[Finding]:
    """Everything about the machine. `connections` are those that others may open to us."""
    return [
        python(sys.version_info[:3]),
        libcurl(),
        descriptors(resource.getrlimit(resource.RLIMIT_NOFILE), checks, connections),
        wall_clock(clock.now()),
        synchronised(_time_state()),
        boot_clock(sys.platform, clock.tick(), clock.awake()),
        zones(_zones_version(), clock.now()),
    ]


def python(version: tuple[int, int, int] | tuple[int, ...]) -> Finding:
    """Whether this Python is new enough."""
    said = ".".join(map(str, version))
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return fine("python", said)
    return wrong("python", f"{said} is too old", "the program needs Python 3.11", "install Python 3.11 or newer")


def libcurl() -> Finding:
    """Whether probes over HTTP can work."""
    try:
        import pycurl
    except ImportError as error:
        why = "http and prometheus checks are made with it"
        return wrong("libcurl", f"it cannot be loaded ({error})", why, "install the pycurl wheel: pip install pycurl")
    version = pycurl.version_info()
    return curl_build(version[1], version[4], frozenset(version[8]))


def curl_build(version: str, features: int, protocols: frozenset[str]) -> Finding:
    """Whether libcurl was built with what probes need."""
    lacking = [name for name, bit in _FEATURES.items() if not features & bit]
    lacking += sorted(_PROTOCOLS - protocols)
    if lacking:
        why = "without AsynchDNS a slow name server stops every check; without the others some checks cannot run"
        remedy = "install the pycurl wheel, which brings its own: pip install --force-reinstall pycurl"
        return wrong("libcurl", f"{version} was built without {', '.join(lacking)}", why, remedy)
    return fine("libcurl", version)


def descriptors(limits: tuple[int, int], checks: int, connections: int = 0) -> Finding:
    """Whether all checks could run at once, and beside them everybody be connected."""
    soft, hard = limits
    needed, wanted = SPARE_DESCRIPTORS + PER_CHECK * checks, SPARE_DESCRIPTORS + PER_CHECK * checks + connections
    if soft in {resource.RLIM_INFINITY, -1} or soft >= wanted:
        return fine("file descriptors", f"{'unlimited' if soft < 0 else soft} for {checks} checks")
    raised = f"ulimit -n {wanted}" if hard < 0 or hard >= wanted else f"LimitNOFILE={wanted} in the unit, or as root"
    if soft >= needed:
        return doubtful(
            "file descriptors",
            f"{soft}, enough for {checks} checks, and {connections} connections may need {wanted}",
            "with many open pages of the console nobody else is let in, and checks end as unknown",
            f"start it after: {raised}",
        )
    return wrong(
        "file descriptors",
        f"{soft}, and {checks} checks may need {needed}",
        "a check that gets none ends as unknown, and tells nothing about its service",
        f"start it after: {raised}",
    )


def wall_clock(now: Instant) -> Finding:
    """Whether the clock can be right at all."""
    if now < _BUILT:
        why = "certificates, schedules and silences go by it"
        return wrong("clock", f"it shows {now}, before this program was written", why, "set it: timedatectl set-ntp on")
    return fine("clock", str(now))


def synchronised(state: int | None) -> Finding:
    """Whether the kernel says that somebody keeps the clock right; None where it cannot be asked."""
    why = "a clock that drifts ends silences early and orders what people did wrongly"
    if state is None:
        return doubtful("ntp", "whether the clock is synchronised cannot be told here", why, "look: timedatectl")
    if state == _TIME_ERROR:
        return doubtful("ntp", "the clock is not synchronised", why, "switch it on: timedatectl set-ntp on")
    return fine("ntp", "the clock is synchronised")


def boot_clock(platform: str, tick: Tick, awake: Tick) -> Finding:
    """Whether a suspend of the machine can be told from a step of its clock."""
    if platform != "linux":
        why = "a suspend shows as a step of the wall clock"
        return doubtful("suspend", "this system has no CLOCK_BOOTTIME", why, "nothing: it is recorded as a step")
    asleep = awake.since(tick) // SECOND
    return fine("suspend", f"this machine was suspended for {asleep} s since it started")


def zones(version: str | None, now: Instant) -> Finding:
    """Whether the data of time zones is young enough to know the rules in force."""
    why = "times are computed by rules that governments change every year"
    remedy = "upgrade it: pip install --upgrade tzdata"
    if version is None:
        return wrong("time zones", "the package tzdata is missing", why, remedy)
    named = re.match(r"(\d{4})\.", version)
    if named is None:
        return doubtful("time zones", f"the age of tzdata {version} cannot be told", why, remedy)
    if now.since(Instant.parse(f"{named[1]}-01-01T00:00:00Z")) > _ZONES_AGE:
        return doubtful("time zones", f"tzdata {version} is old", why, remedy)
    return fine("time zones", f"tzdata {version}")


def _zones_version() -> str | None:
    try:
        return metadata.version("tzdata")
    except metadata.PackageNotFoundError:
        return None


def _time_state() -> int | None:
    """What `adjtimex` says when asked to change nothing; -1 and systems without it are None."""
    try:
        ask = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    # Longer than any platform's struct timex; its first field, what to change, is zero.
    state = int(ask(ctypes.create_string_buffer(1024)))
    return state if state >= 0 else None
