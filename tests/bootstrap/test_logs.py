"""What a person has to read at a start is easy to find, and is an event where nobody looks."""

import json
import os
import sys

import pytest

from service_monitoring.bootstrap.logs import announce, configure_logs
from service_monitoring.settings import Redactor


def test_on_a_terminal_it_stands_alone_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        announce("no account yet: open http://127.0.0.1:8080/setup")
        assert os.read(ours, 1_000).decode().split("\r\n") == [
            "",
            "No account yet: open http://127.0.0.1:8080/setup",
            "",
            "",
        ]


def test_elsewhere_it_is_one_event_like_others(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning", Redactor(()))
    announce("no account yet: open http://127.0.0.1:8080/setup")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "no account yet: open http://127.0.0.1:8080/setup"
