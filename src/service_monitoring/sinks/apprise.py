"""The kind `apprise`: a notice through the library Apprise, which speaks to many services that we do not.

The library is an extra and imported when the first such channel is read from a configuration. It blocks, so each
channel has a few threads of its own: one that hangs delays no other channel. It says yes or no and not why, nor whether
a notice may have arrived: no is `Later`, whatever it means. A thread cannot be ended: what the deadline cuts short goes
on until the library's own timeouts (`cto`, `rto` in the URL, 4 s each). The address policy does not reach it either:
where it connects is the operator's to write.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final
from weakref import WeakSet

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service_monitoring.domain.instants import in_seconds
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Accepted, Answer, Deadline, Later, Message, Surroundings, Uncertain
from service_monitoring.settings import InvalidValue, Redactor, Secret
from service_monitoring.sinks.chat import offered
from service_monitoring.sinks.paging import Standing, standing
from service_monitoring.views.digests import foremost, worst
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import article

THREADS: Final = 4
"""Notices of one channel that may be under way at once."""

INSTALL: Final = "pip install 'service-monitoring[apprise]'"

_TYPE: Final = "Type"
_TYPES: Final = {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}
# Characters: shorter parts of a URL are words, and striking those out would make a complaint unreadable.
_LONG: Final = 8


class _Complaints(logging.Handler):
    """What the library says while it sends, kept for whoever sends in the same thread, and logged nowhere."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._of_thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        said: list[str] | None = getattr(self._of_thread, "said", None)
        if said is not None:
            said.append(record.getMessage())

    @contextmanager
    def heard(self) -> Iterator[list[str]]:
        """What is said inside, in this thread."""
        said: list[str] = []
        self._of_thread.said = said
        try:
            yield said
        finally:
            self._of_thread.said = None


_COMPLAINTS: Final = _Complaints()


@cache
def _library() -> Any:
    """The library, kept from logging by itself: what it complains of may name credentials. Blocks at the first call."""
    library = importlib.import_module("apprise")
    logger = logging.getLogger("apprise")
    logger.addHandler(_COMPLAINTS)
    logger.propagate = False
    return library


def _service(url: Secret) -> Any:
    """The service that a URL names, or None. One for each notice, as they are not made to be shared by threads."""
    library = _library()
    asset = library.AppriseAsset(async_mode=False, storage_mode="memory")
    return library.Apprise.instantiate(url.reveal(), asset=asset)


def _checked(url: Secret) -> Secret:
    try:
        service = _service(url)
    except ImportError as error:
        raise InvalidValue(f"Apprise is not installed ({one_line(str(error))[:100]})", INSTALL) from None
    if service is None:
        raise InvalidValue("this is not a URL that Apprise knows", "write scheme://..., as its documentation has it")
    return url


class Options(BaseModel):
    """Keys of a channel of this kind. The URL is a secret: it holds the credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    apprise: Annotated[Secret, AfterValidator(_checked)] = Field(description="the URL of one service, for Apprise")


class Kind:
    """Opens sinks with threads of their own. Belongs to one loop."""

    name = "apprise"
    options: type[Any] = Options

    def __init__(self) -> None:
        self._threads: WeakSet[ThreadPoolExecutor] = WeakSet()

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> AppriseSink:
        """A sink for one service; opens no connection yet."""
        threads = ThreadPoolExecutor(THREADS, "apprise")
        self._threads.add(threads)
        return AppriseSink(options.apprise, threads, surroundings)

    async def close(self) -> None:
        """Begin nothing more; threads that are under way end by themselves."""
        for threads in tuple(self._threads):
            threads.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class _Attempt:
    begun: bool = False


class AppriseSink:
    """A `ports.Sink` by a library that blocks. Several sends may run at once, as many as there are threads."""

    def __init__(self, url: Secret, threads: ThreadPoolExecutor, surroundings: Surroundings) -> None:
        self._url = url
        self._threads = threads
        self._clock = surroundings.clock
        self._template = surroundings.template
        self._links = surroundings.links
        parts = [Secret(part) for part in re.split(r"[/:@?&=]+", url.reveal()) if len(part) >= _LONG]
        self._redact = Redactor((url, *parts))

    def render(self, notice: Notice) -> Message:
        """Plain text: the library cuts and formats it as its service likes."""
        words = article(notice, self._template)
        below = [words.runbook] if words.runbook and not words.complete else []
        first = foremost(notice).facts.incident
        if first and not words.complete:
            below.append(f"Incident {first}")
        below += [f"{word}: {url}" for word, url in offered(self._links(notice, notice.channel))]
        if words.degraded:
            below.append(f"The text of this notice could not be made as configured ({words.degraded}).")
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=one_line(words.headline),
            body="\n\n".join(part for part in (words.text, "\n".join(below)) if part),
            headers=((_TYPE, _type(notice)),),
            degraded=words.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One call of the library: yes has it, no is later, and no answer in time is uncertain."""
        attempt = _Attempt()
        remaining = in_seconds(deadline.remaining(self._clock.tick()))
        try:
            async with asyncio.timeout(remaining):
                calling = self._threads.submit(self._call, message, attempt)
                return await asyncio.wrap_future(calling)
        except TimeoutError:
            if attempt.begun:
                return Uncertain(f"no answer within {remaining:.3g} s")
            return Later(f"not begun within {remaining:.3g} s: all threads are busy")
        except Exception as error:  # noqa: BLE001 - whatever a service of the library raises, it did not say yes
            return Later(self._told(f"{type(error).__name__}: {error}"))

    def _call(self, message: Message, attempt: _Attempt) -> Answer:
        attempt.begun = True
        with _COMPLAINTS.heard() as said:
            service = _service(self._url)
            told = service is not None and service.notify(
                title=one_line(message.subject),
                body=message.body.encode("utf-8", "replace").decode(),
                notify_type=dict(message.headers).get(_TYPE, "failure"),
            )
        return Accepted() if told else Later(self._told("; ".join(said) or "the library says no"))

    def _told(self, text: str) -> str:
        return one_line(self._redact(text))[:300]


def _type(notice: Notice) -> str:
    if notice.page is Page.OWNER:
        return "warning"
    return "success" if standing(notice) is Standing.OVER else _TYPES[worst(notice)]
