"""Reporting to a monitor, from a job: one request, tried again for a while, and then given up with a sentence.

Knows HTTP and the words of a report. Loads nothing but the standard library: a job that runs every minute should not
wait for us. A key stands in no sentence.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import ssl
import sys
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from service_monitoring.errors import NotFound, Refused, Unavailable

MOST_BYTES: Final = 10 * 1024
"""What a monitor keeps of what is sent along."""
SERVER: Final = "http://127.0.0.1:8080"

_WAITS: Final = (0.5, 1.0, 2.0)
"""Seconds between attempts; after the last one it is given up."""
_LONGEST_WAIT: Final = 10.0
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)", re.ASCII)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_BEGAN: Final = 19
"""The place of `starttime` in `/proc/self/stat`, counted from behind the name of the program (proc(5): field 22)."""
_RUN: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


class Target(NamedTuple):
    """Where reports of one check go. `path` holds the key."""

    scheme: str
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        """Without the key."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def target(given: str, server: str = SERVER) -> Target:
    """A URL as it was given, or that of a key at a server; `Refused` when it is neither."""
    text = given if "://" in given else f"{server.rstrip('/')}/ping/{quote(given, safe='')}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/"):
        raise Refused("this is not where reports go: give a key, or a URL as http://127.0.0.1:8080/ping/KEY")
    return Target(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


def seconds(text: str) -> float:
    """`5s`, `500ms`, `1m`; `Refused` when it is something else, or nothing."""
    match = _DURATION.fullmatch(text)
    length = float(match[1]) * _UNITS[match[2]] if match is not None else 0.0
    if length <= 0:
        raise Refused(f"{text!r} is not a duration: write 5s or 500ms")
    return length


def checked_run(run: str) -> str:
    """The id of a run; `Refused` when it cannot be one."""
    if run and _RUN.fullmatch(run) is None:
        raise Refused(f"{run!r} is not the id of a run: letters, digits and - make one, 64 of them at most")
    return run


def this_run() -> str:
    """An id of this very process, which no other on any machine has: derived, not thrown."""
    parts = [socket.gethostname(), str(os.getpid()), _read("/proc/sys/kernel/random/boot_id")]
    # When it began, in ticks since the machine did. The name before it may hold anything; behind it there are numbers.
    parts += _read("/proc/self/stat").rpartition(")")[2].split()[_BEGAN : _BEGAN + 1]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def along(file: Path | None) -> bytes:
    """What is sent along, one byte more of it than is kept, so that the monitor says that it cut; `Refused`."""
    if file is None:
        return b""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{file} cannot be read ({error.strerror})") from error


def send(
    to: Target, word: str = "", *, run: str = "", body: bytes = b"", timeout: float = 5.0, attempts: int = 4
) -> str:
    """Report, and give back what the monitor said. Blocks, at most `attempts` times `timeout` and the waits between.

    `NotFound` or `Refused` when asking again is of no use, `Unavailable` when it was given up.
    """
    path = to.path + (f"/{word}" if word else "") + (f"?rid={run}" if run else "")
    trouble, wait = "", 0.0
    for attempt in range(attempts):
        if wait:
            Event().wait(wait)
        wait = _WAITS[min(attempt, len(_WAITS) - 1)]
        try:
            status, after, said = _request(to, path, body, timeout)
        except (OSError, http.client.HTTPException) as error:
            trouble = str(error) or type(error).__name__
            continue
        if 200 <= status < 300:
            return said
        if status == 404:
            raise NotFound(f"{to} knows no such key")
        if status not in {408, 425, 429} and status < 500:
            raise Refused(f"{to} refused the report ({status})")
        trouble, wait = f"it answered {status}", min(_LONGEST_WAIT, max(after, wait))
    raise Unavailable(f"{to} did not take the report ({trouble}); given up after {attempts} attempts")


def _request(to: Target, path: str, body: bytes, timeout: float) -> tuple[int, float, str]:
    if to.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            to.host, to.port, timeout=timeout, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(to.host, to.port, timeout=timeout)
    try:
        connection.request("POST", path, body=body, headers={"Content-Type": "text/plain", "Connection": "close"})
        answer = connection.getresponse()
        said = answer.read(1_000).decode(errors="replace").strip()
        after = answer.getheader("Retry-After") or ""
        return answer.status, float(after) if after.isascii() and after.isdigit() else 0.0, said
    finally:
        connection.close()
