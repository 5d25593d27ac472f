"""A local HTTP target for benchmarks, in a process of its own on a core of its own.

Knows nginx (Debian's nginx-light) and, where that is missing, a small asyncio server that answers the same bytes. Does
not know who measures what against it: `with serving(core=1) as target: ... target.urls("/health")`.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOSTS: Final = tuple(f"127.0.0.{last}" for last in range(1, 9))
"""Several addresses, so that tens of thousands of connections a second do not run out of ports in TIME_WAIT."""

BODY: Final = b'{"status":"ok","version":"1.4.2","checks":{"database":"ok","queue":"ok"}}'

_NGINX: Final = """
daemon off; master_process off; worker_processes 1; error_log stderr crit; pid {folder}/nginx.pid;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off; keepalive_timeout 10s; server_tokens off; default_type application/json;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ {listens} location / {{ return 200 '{body}'; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A target that is up. `made_by` names the program, for the table's heading."""

    port: int
    made_by: str
    process: int

    def urls(self, path: str = "/health") -> tuple[str, ...]:
        """One URL for each address it listens on: the same answer everywhere."""
        return tuple(f"http://{host}:{self.port}{path}" for host in HOSTS)


def pinned(core: int) -> tuple[str, ...]:
    """What comes before a command that is to run on `core` alone."""
    return ("taskset", "-c", str(core))


@contextmanager
def serving(*, core: int) -> Iterator[Target]:
    """Start the target on `core`, wait until it answers, stop it afterwards. Blocks."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    with tempfile.TemporaryDirectory(prefix="target-") as folder:
        port = _free_port()
        if nginx is None:
            made_by, command = "asyncio server", [sys.executable, __file__, str(port)]
        else:
            made_by = "nginx"
            listens = " ".join(f"listen {host}:{port} backlog=8192;" for host in HOSTS)
            configuration = Path(folder, "nginx.conf")
            configuration.write_text(_NGINX.format(folder=folder, listens=listens, body=BODY.decode()))
            command = [nginx, "-p", folder, "-c", str(configuration)]
        process = subprocess.Popen([*pinned(core), *command])
        try:
            _wait_until_up(process, port)
            yield Target(port, made_by, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"the target ended with {process.returncode} before it answered")
        try:
            socket.create_connection((HOSTS[-1], port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("the target did not come up within four seconds")


class _Answering(asyncio.Protocol):
    """Answers every request that arrives in one piece."""

    _ANSWER = (
        b"HTTP/1.1 200 OK\r\nServer: target\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%s" % (len(BODY), BODY)
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(self._ANSWER)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, HOSTS, port, backlog=8192)
    loop.add_signal_handler(signal.SIGTERM, server.close)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
