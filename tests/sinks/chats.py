"""The chat systems as tests see them: for each kind a channel that posts to a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from service_monitoring.ports import Answer, Message, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks import discord, ntfy, slack, teams, telegram
from service_monitoring.sinks.chat import ChatSink
from service_monitoring.sinks.posting import PostingKind
from service_monitoring.testing.sink_laws import a_deadline, a_notice

LOCAL = AddressPolicy.allowing(["127.0.0.0/8"])
SECRET = "T0PSECRETT0PSECRETT0PSECRET"
OFFERS = (("acknowledge", "https://monitor.example/act/abc-_.def?a=b"), ("resolve", "https://monitor.example/act/ghi"))
"""What may be done about a notice, as words and URLs."""


class Chat(Struct, frozen=True):
    """A kind, and the keys of a channel of it by the root of a server; `SECRET` is what none may tell."""

    name: str
    kind: Callable[[], Any]
    keys: Callable[[str], dict[str, object]]

    def sink(self, kind: PostingKind, root: str, *, network: AddressPolicy = LOCAL, **more: object) -> ChatSink:
        world = Surroundings(SystemClock(), network)
        return self.sink_in(world, kind, root, **more)

    def sink_in(self, world: Surroundings, kind: PostingKind, root: str, **more: object) -> ChatSink:
        options = kind.options.model_validate(self.keys(root) | more)  # type: ignore[attr-defined] # of each kind
        opened: ChatSink = kind.open_sink(options, surroundings=world)  # type: ignore[attr-defined] # of each kind
        return opened


SLACK = Chat("slack", slack.Kind, lambda root: {"slack": f"{root}/services/T00/B00/{SECRET}"})
TEAMS = Chat("teams", teams.Kind, lambda root: {"teams": f"{root}/workflows/1/triggers?sp=%2Fa%2Frun&sig={SECRET}"})
DISCORD = Chat("discord", discord.Kind, lambda root: {"discord": f"{root}/api/webhooks/1/{SECRET}"})
TELEGRAM = Chat(
    "telegram", telegram.Kind, lambda root: {"telegram": "-100123", "token": f"123456:{SECRET}", "api": root}
)
NTFY = Chat("ntfy", ntfy.Kind, lambda root: {"ntfy": f"{root}/{SECRET}", "token": f"tk_{SECRET}"})
CHATS = (SLACK, TEAMS, DISCORD, TELEGRAM, NTFY)


async def answer_to(sink: ChatSink) -> Answer:
    return await sink.send(sink.render(a_notice()), a_deadline())


def http(status: int, body: str = "", **headers: str) -> bytes:
    """An answer as a server writes it."""
    content = body.encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def content_of(message: Message) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(message.body)
    return content
