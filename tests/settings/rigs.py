"""Stand-ins for kinds, and a short way from a text to settings or to what is wrong with it.

Must not know any real kind: what the settings promise holds for strangers' kinds, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from service_monitoring.domain.instants import Duration
from service_monitoring.settings import (
    DurationField,
    InvalidSettings,
    InvalidValue,
    Secret,
    Settings,
    SizeField,
    load,
)

FORBID = ConfigDict(extra="forbid", frozen=True)


class Tls(BaseModel):
    model_config = FORBID
    verify: bool = True


class Http(BaseModel):
    model_config = FORBID
    http: str
    headers: dict[str, Secret] = {}
    max_body: SizeField = 1024
    pause: DurationField = Duration(0)
    tls: Tls = Tls()
    redirects: int | Literal["refuse"] = 5
    method: Literal["GET", "POST"] = "GET"

    @model_validator(mode="after")
    def _whole(self) -> Http:
        if self.method == "POST" and self.max_body == 0:
            raise InvalidValue("a POST with nothing to read is of no use", "write max_body: 1KiB")
        return self


def _port(given: str) -> str:
    if ":" not in given:
        raise InvalidValue("the port is missing", "write HOST:PORT")
    return given


class Tcp(BaseModel):
    model_config = FORBID
    tcp: Annotated[str, AfterValidator(_port)]


class TlsCheck(BaseModel):
    model_config = FORBID
    tls: str


class Prometheus(BaseModel):
    model_config = FORBID
    prometheus: str
    metrics: list[str] = []


class Webhook(BaseModel):
    model_config = FORBID
    webhook: str
    headers: dict[str, Secret] = {}


class Server(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    host: str
    port: int = 25
    username: str | None = None
    password: Secret | None = None
    tls: str = "auto"
    sender: str


class Mail(BaseModel):
    model_config = FORBID
    email: str
    smtp: dict[str, Any] | None = None


class Console(BaseModel):
    model_config = FORBID
    console: Literal[True]


class StandIn:
    """A kind with a model and nothing else."""

    def __init__(self, name: str, options: type[BaseModel]) -> None:
        self.name = name
        self.options: type[Any] = options

    async def close(self) -> None:
        """Nothing is open."""


class Telling(StandIn):
    """A kind that says which metrics its checks yield."""

    def metrics(self, options: Prometheus) -> frozenset[str]:
        return frozenset(options.metrics)


SOURCES = {
    kind.name: kind
    for kind in (
        StandIn("http", Http),
        StandIn("tcp", Tcp),
        StandIn("tls", TlsCheck),
        Telling("prometheus", Prometheus),
    )
}
SINKS = {kind.name: kind for kind in (StandIn("webhook", Webhook), StandIn("email", Mail), StandIn("console", Console))}

Reader = Callable[..., Settings]

WHOLE = """
services:
  shop:
    checks:
      health: {http: "http://localhost/", every: 10s, timeout: 2s}
    rules:
      down:
        when: {check: health, metric: up, below: 1}
channels: {log: {console: true}}
routes: [{notify: [channel.log]}]
self: {notify: [channel.log]}
"""
"""A small configuration without a complaint, a warning or anything that is not done yet."""


def read(
    folder: Path,
    text: str,
    *,
    environment: Mapping[str, str] | None = None,
    template: Callable[[str], str | None] | None = None,
    channel_template: Callable[[str], str | None] | None = None,
    **files: str,
) -> Settings:
    """Load `text` as monitoring.yaml, beside `files` by name without .yaml."""
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(dedent(content), encoding="utf-8")
    path = folder / "monitoring.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return load(
        path,
        sources=SOURCES,
        sinks=SINKS,
        environment=environment or {},
        template=template,
        channel_template=channel_template,
    )


def complaints(folder: Path, text: str, **given: Any) -> list[str]:
    """What is wrong with `text`, one line each, with names of files relative to `folder`."""
    with pytest.raises(InvalidSettings) as raised:
        read(folder, text, **given)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


def rule(body: str) -> str:
    """A configuration whose one rule is `body`; the rule begins in line 7, its keys in column 9."""
    lines = [f"        {line}" for line in dedent(body).strip("\n").splitlines()]
    head = WHOLE.strip("\n").splitlines()
    return "\n".join([*head[:5], "      slow:", *lines, *head[-3:], ""])
