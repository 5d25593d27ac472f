"""The first file: a commented configuration for the URLs that somebody named, which loads as it is.

Knows how a URL becomes a check and which rules suit it. Does not write files, and reaches nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from service_monitoring.settings.network import AddressPolicy
from service_monitoring.settings.problems import InvalidValue, shown

_REMEDY: Final = "write https://example.com, tcp://example.com:5432 or tls://example.com:443"
_HEAD: Final = """\
# What service-monitoring watches, and whom it tells. Check it with: service-monitoring validate
# Editors complete and check it with the schema that this writes: service-monitoring schema > schema.json
timezone: UTC                        # the zone of calendars; everything stored is UTC

store:
  path: ./data                       # relative to this file

"""
_NETWORK: Final = """\
network:
  allow: [{networks}]  # checks and webhooks refuse addresses that are not public unless listed here

"""
_TAIL: Final = """\
channels:
  log: {console: true}               # prints notices; others: {webhook: URL}, {email: ADDRESS} with smtp below
# smtp: {host: mail.example.com, port: 587, from: monitoring@example.com}

routes:
  # - match: {severity: critical}    # the first route that matches is taken
  #   notify: [channel.hook]
  - notify: [channel.log]            # everything else

self: {notify: [channel.log]}        # what concerns the monitor itself

# Where the console, the API and status pages are. The first start prints how the first account is made.
# web:
#   listen: 127.0.0.1:8080           # as it is where this is left out; for others: docs/how-to/put-it-on-the-network.md
#   url: https://monitor.example.com # where people reach it, perhaps through a proxy: notices link to it
#   authentication: accounts         # or none, on loopback alone: whoever is on this machine may do everything

# What anybody may see, at /status/public: nothing but what is listed here.
# status_pages:
#   public:
#     title: How our services are
#     services: [{service}]
"""


@dataclass(frozen=True, slots=True)
class _Target:
    """One URL: the kind of its check, what the check's key says, and its host."""

    kind: str
    target: str
    host: str
    port: int | None


def initial(urls: Sequence[str]) -> str:
    """The text of a first configuration for `urls`: http, https, tcp://host:port and tls://host:port.

    `InvalidValue` for any other; without URLs there is one example to change. Reaches nothing.
    """
    targets = [_target(url) for url in urls] or [_target("https://example.com/")]
    networks = sorted({network for target in targets for network in _networks(target.host)})
    parts = [_HEAD]
    if networks:
        parts.append(_NETWORK.format(networks=", ".join(networks)))
    parts.append("services:\n")
    taken: set[str] = set()
    names = [_named(target, taken) for target in targets]
    services = [_service(name, target) for name, target in zip(names, targets, strict=True)]
    return "".join((*parts, *services, _TAIL.replace("{service}", names[0])))


def _target(url: str) -> _Target:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, SplitResult("", "", "", "", "")
    proper = host is not None and re.fullmatch(r"[A-Za-z0-9._:%-]+", host, re.ASCII) and url.isprintable()
    if proper and host is not None and " " not in url and parts.username is None:
        if parts.scheme in {"http", "https"}:
            return _Target("http", url, host, port)
        if parts.scheme in {"tcp", "tls"} and port is not None and parts.path in {"", "/"}:
            shown_host = f"[{host}]" if ":" in host else host
            return _Target(parts.scheme, f"{shown_host}:{port}", host, port)
    raise InvalidValue(f"{shown(url)} is not a URL that can be watched", _REMEDY)


def _networks(host: str) -> Iterable[str]:
    """What must be allowed so that the check may reach its target at all; names are left to the user."""
    if host == "localhost":
        return ("127.0.0.0/8", '"::1"')
    try:
        address = ip_address(host)
    except ValueError:
        return ()
    if AddressPolicy().refusal(address) is None:
        return ()
    if address.is_loopback and address.version == 4:
        return ("127.0.0.0/8",)
    return (json.dumps(str(address)),)


def _named(target: _Target, taken: set[str]) -> str:
    """A name for the service that nobody has yet, from the host; the first label says most."""
    try:
        ip_address(target.host)
        stem = target.host
    except ValueError:
        stem = target.host.removeprefix("www.")
    stem = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:60].rstrip("-") or "service"
    if stem.isdigit():
        stem = f"host-{stem}"
    for candidate in (
        stem,
        f"{stem}-{target.port or target.kind}",
        *(f"{stem}-{number}" for number in range(2, 10**6)),
    ):
        if candidate not in taken:
            taken.add(candidate)
            return candidate
    raise AssertionError("there are not so many URLs")


def _service(name: str, target: _Target) -> str:
    check = {"http": "page", "tcp": "port", "tls": "certificate"}[target.kind]
    lines = [
        f"  {name}:",
        "    checks:",
        f"      {check}:",
        f"        {target.kind}: {json.dumps(target.target)}",
        f"        every: {'5m' if target.kind == 'tls' else '30s'}",
        "        timeout: 10s",
        "        retries: 1                   # one more try before it counts as failed",
    ]
    if target.kind == "http":
        lines.append("        # expect: {status: 200, body: {contains: TEXT}}")
    lines += [
        "    rules:",
        "      down:",
        f"        when: {{check: {check}, metric: up, below: 1}}",
        "        for: 1m                      # how long it must last before anybody is told",
        "        severity: critical",
        '        summary: "{{ service }} is down: {{ reason }}"',
    ]
    if target.kind == "http":
        lines += [
            "      slow:",
            "        when: {check: page, metric: duration_seconds, aggregate: p95, over: 5m, above: 2s}",
            "        for: 5m",
            "        recover: {below: 1s, for: 2m}",
            "        severity: warning",
            '        summary: "{{ service }} answers in {{ value }} s"',
        ]
    if target.kind == "tls" or target.target.startswith("https:"):
        lines += [
            "      certificate:",
            f"        when: {{check: {check}, metric: certificate_expires_in_seconds, below: 14d}}",
            "        severity: warning",
            '        summary: "the certificate of {{ service }} ends soon"',
        ]
    return "\n".join(lines) + "\n\n"
