"""Jobs that report: what the monitor hears, and that a job never notices whether anybody listens."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service_monitoring.cli.reporting import seconds, target, this_run
from service_monitoring.errors import Refused

pytestmark = [pytest.mark.real_time("jobs are real processes, and attempts wait"), pytest.mark.timeout(120)]

PROGRAM = [sys.executable, "-m", "service_monitoring"]


class Monitor:
    """Hears reports; `answers` are the statuses of the next ones, 200 when there are none left."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = monitor.answers.pop(0) if monitor.answers else 200
                if status == 200:
                    monitor.heard.append((self.path, body))
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *args: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/ping/s3cretkey"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    made = Monitor()
    yield made
    with suppress(OSError):
        made.close()


def started(url: str, *command: str, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PROGRAM, "wrap", "--url", url, *options, "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wrapped(url: str, *command: str, options: tuple[str, ...] = ()) -> tuple[int, bytes, bytes]:
    process = started(url, *command, options=options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def words(monitor: Monitor) -> list[str]:
    return [path.partition("?")[0].removeprefix("/ping/s3cretkey") for path, _ in monitor.heard]


def wait_for(condition: object, seconds: float = 30) -> None:
    late = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]  # a function
        assert time.monotonic() < late
        time.sleep(0.02)


def test_a_job_is_reported_with_its_code_its_output_and_one_id(monitor: Monitor) -> None:
    code, out, err = wrapped(monitor.url, "sh", "-c", "echo well; echo badly >&2; exit 3")
    assert (code, out, err) == (3, b"well\n", b"badly\n")
    assert words(monitor) == ["/start", "/3"]
    runs = {path.partition("?rid=")[2] for path, _ in monitor.heard}
    assert len(runs) == 1 and len(runs.pop()) == 32
    assert sorted(monitor.heard[1][1].splitlines()) == [b"badly", b"well"]


def test_the_end_of_a_long_output_is_sent_and_all_of_it_passes_through(monitor: Monitor) -> None:
    script = "import sys; [print(number) for number in range(100_000)]"
    code, out, _ = wrapped(monitor.url, sys.executable, "-c", script, options=("--run", "mine-1"))
    assert code == 0
    assert out.split() == [str(number).encode() for number in range(100_000)]
    path, body = monitor.heard[-1]
    assert path == "/ping/s3cretkey/0?rid=mine-1"
    assert len(body) == 10 * 1024 and out.endswith(body)


def test_output_passes_through_while_the_job_runs(monitor: Monitor) -> None:
    process = started(monitor.url, "sh", "-c", "echo first; read line <&3 3<&0; sleep 30")
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    wait_for(lambda: monitor.heard)
    assert words(monitor) == ["/start"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM or process.returncode >= 0
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_job_and_its_answer_is_ours(monitor: Monitor, number: signal.Signals) -> None:
    script = (
        "import signal, sys; signal.signal(int(sys.argv[1]), lambda *_: sys.exit(42)); "
        "print('ready', flush=True); signal.pause()"
    )
    process = started(monitor.url, sys.executable, "-c", script, str(int(number)))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait(30) == 42
    process.communicate()
    assert words(monitor) == ["/start", "/42"]


def test_a_job_that_a_signal_ends_is_reported_as_a_shell_would(monitor: Monitor) -> None:
    code, _, _ = wrapped(monitor.url, "sh", "-c", "kill -9 $$")
    assert code == 137
    assert words(monitor) == ["/start", "/137"]


def test_a_command_that_cannot_be_run_has_the_code_of_a_shell(monitor: Monitor, tmp_path: Path) -> None:
    assert wrapped(monitor.url, str(tmp_path / "nothing"))[0] == 127
    (tmp_path / "text").write_text("no program")
    assert wrapped(monitor.url, str(tmp_path / "text"))[0] == 126
    assert words(monitor) == ["/127", "/126"]


def test_a_job_does_not_notice_that_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/ping/s3cretkey"
    code, out, err = wrapped(url, "sh", "-c", "echo done; exit 5")
    assert (code, out) == (5, b"done\n")
    assert b"not reported: http://127.0.0.1:" in err and b"Traceback" not in err
    assert b"s3cretkey" not in err


def test_a_job_is_not_held_up_by_a_monitor_that_never_answers(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/ping/s3cretkey"
        done = tmp_path / "done"
        process = started(url, "touch", str(done), options=("--timeout", "200ms"))
        wait_for(done.exists, 10)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count(b"not reported") == 2


def test_a_monitor_that_goes_away_midway_breaks_no_job(monitor: Monitor, tmp_path: Path) -> None:
    go_on = tmp_path / "go"
    script = f"echo began; while [ ! -e {go_on} ]; do sleep 0.05; done; echo ended; exit 6"
    process = started(monitor.url, "sh", "-c", script)
    wait_for(lambda: monitor.heard)
    monitor.close()
    go_on.touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (6, b"began\nended\n")
    assert err.count(b"not reported") == 1
    assert words(monitor) == ["/start"]


def test_a_report_is_sent_again_while_the_monitor_cannot_take_it(monitor: Monitor) -> None:
    monitor.answers = [503, 200, 500, 429, 200]
    code, _, err = wrapped(monitor.url, "true")
    assert (code, err) == (0, b"")
    assert words(monitor) == ["/start", "/0"]


def test_what_a_job_leaves_running_does_not_hold_its_end_up(monitor: Monitor) -> None:
    code, out, _ = wrapped(monitor.url, "sh", "-c", "sleep 300 & echo $!; exit 2")
    os.kill(int(out), signal.SIGKILL)
    assert code == 2
    assert words(monitor) == ["/start", "/2"]


def test_a_job_whose_reader_has_seen_enough_is_told_as_it_would_be_alone(monitor: Monitor) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(PROGRAM)} wrap --url {monitor.url} -- yes | head -1"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"y\n"
    wait_for(lambda: len(monitor.heard) == 2)
    assert words(monitor) == ["/start", f"/{128 + signal.SIGPIPE}"]


def test_a_ping_says_what_became_of_it(monitor: Monitor, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"b" * 20_000)
    server = monitor.url.partition("/ping/")[0]

    def ping(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*PROGRAM, "ping", *arguments], capture_output=True, timeout=60, check=False)

    assert ping(monitor.url, "--start", "--run", "a").returncode == 0
    assert (
        ping("s3cretkey", "--server", server, "--exit-code", "7", "--body-file", str(tmp_path / "body")).returncode == 0
    )
    assert [(path, len(body)) for path, body in monitor.heard] == [
        ("/ping/s3cretkey/start?rid=a", 0),
        ("/ping/s3cretkey/7", 10 * 1024 + 1),
    ]
    monitor.answers = [404]
    unknown = ping(monitor.url)
    assert unknown.returncode == 5 and b"knows no such key" in unknown.stderr
    assert b"s3cretkey" not in unknown.stderr


def test_each_process_has_a_run_of_its_own() -> None:
    assert this_run() == this_run()
    script = "from service_monitoring.cli.reporting import this_run; print(this_run())"
    others = {subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(others) == 2


def test_where_reports_go_is_a_key_or_a_url() -> None:
    assert target("k", "http://a:1/").path == "/ping/k"
    assert str(target("https://monitor.example.com/ping/k/")) == "https://monitor.example.com"
    for bad in ("ftp://a/ping/k", "http://", "http://a:b/ping/k", "http://a/"):
        with pytest.raises(Refused):
            target(bad)
    assert (seconds("5s"), seconds("250ms"), seconds("1m")) == (5, 0.25, 60)
    for bad in ("5", "0s", "soon", "-1s"):
        with pytest.raises(Refused):
            seconds(bad)


def test_wrapping_loads_nothing_heavy() -> None:
    script = (
        "import sys; import service_monitoring.cli.app, service_monitoring.cli.reporting, "
        "service_monitoring.cli.wrapping; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("service_monitoring.")}
    assert ours <= {
        *("service_monitoring.cli", "service_monitoring.cli.app", "service_monitoring.cli.reporting"),
        *("service_monitoring.cli.wrapping", "service_monitoring.errors"),
    }
    assert not {"asyncio", "msgspec", "pydantic", "numpy", "rich.table"} & set(loaded)
