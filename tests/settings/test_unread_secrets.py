"""Settings for those who decide and reach nobody: no secret is looked for, and everything else is as strict as ever."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from service_monitoring.bootstrap.loading import sink_kinds, source_kinds
from service_monitoring.settings import InvalidSettings, Settings, load
from service_monitoring.settings.secrets import Secrets

FILE = """\
services:
  shop:
    checks:
      health: {http: "http://127.0.0.1/health", every: 5s, auth: {basic: {username: me, password: {env: NO_SUCH}}}}
      queue: {prometheus: "http://127.0.0.1/m", every: 15s, metrics: [depth], headers: {X: {file: no/such}}}
    rules:
      deep: {when: {check: queue, metric: depth, above: 10}, severity: critical}
people: {ada: {contact: [channel.chat, {email: ada@example.com}]}}
channels:
  chat: {slack: {env: NO_SUCH}}
  hook: {webhook: "http://127.0.0.1/", headers: {Authorization: {env: NO_SUCH}}}
  phone: {telegram: "12", token: {file: no/such}}
smtp: {host: 127.0.0.1, from: m@example.com, username: me, password: {env: NO_SUCH}}
routes: [{notify: [person.ada, channel.hook, channel.phone]}]
self: {notify: [channel.chat], heartbeat: {env: NO_SUCH}}
"""


def judged(folder: Path, text: str) -> Settings:
    path = folder / "monitoring.yaml"
    path.write_text(dedent(text))
    return load(path, sources=source_kinds(), sinks=sink_kinds(), environment={}, secrets=Secrets.UNREAD)


def test_a_secret_that_is_elsewhere_is_not_looked_for(tmp_path: Path) -> None:
    settings = judged(tmp_path, FILE)
    [service] = settings.configuration.services
    assert [rule.id for rule in service.rules] == ["shop.deep"]
    assert [person.contacts for person in settings.configuration.people] == [("chat", "ada.email")]
    assert set(settings.channels) == {"chat", "hook", "phone", "ada.email"}


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("{slack: {env: NO_SUCH}}", "{slack: {enw: NO_SUCH}}", "a secret is expected here"),
        ("every: 15s, metrics", "evry: 15s, metrics", "nothing of this name is known here"),
        ("host: 127.0.0.1, from", "hots: 127.0.0.1, from", "nothing of this name is known here"),
        ('webhook: "http://127.0.0.1/"', 'webhook: "127.0.0.1"', "channels.hook.webhook"),
    ],
)
def test_everything_else_is_as_strict_as_ever(tmp_path: Path, right: str, wrong: str, problem: str) -> None:
    with pytest.raises(InvalidSettings, match=problem):
        judged(tmp_path, FILE.replace(right, wrong))
