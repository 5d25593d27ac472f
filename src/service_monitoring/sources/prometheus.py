"""The kind `prometheus`: chosen metrics of a page in the format of Prometheus or OpenMetrics.

Knows which metrics a check wants and what to say of a page. How a page is fetched is `http`, how one is read
`exposition`.

A metric that is missing does not make the run fail: the target answered. The detail names it, and a rule about its
absence, or about its silence (`no_data`), is how one hears of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, Final, Literal

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field

from service_monitoring.domain.instants import in_seconds
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.ports import Deadline, Surroundings
from service_monitoring.settings import Secret, SizeField
from service_monitoring.sources import http
from service_monitoring.sources.connecting import Names
from service_monitoring.sources.exchange import place
from service_monitoring.sources.expectations import Expect
from service_monitoring.sources.exposition import Page, read
from service_monitoring.sources.phases import Failed, sentence

OWN: Final = frozenset({
    "up", "duration_seconds", "dns_seconds", "connect_seconds", "tls_seconds", "first_byte_seconds", "status_code",
    "body_bytes", "redirects", "certificate_expires_in_seconds",
})  # fmt: skip
"""Metrics that this kind measures itself."""

HEAVY: Final = 128 * 1024
"""Bytes of a page above which it is read in a thread: the loop has other checks to serve."""

ACCEPTED: Final = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5, text/plain;q=0.3"

_Metric = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=200)]


class Options(BaseModel):
    """Keys of a check of this kind; most mean what they mean to `http`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prometheus: http.UrlField = Field(description="the URL of the page of metrics")
    metrics: tuple[_Metric, ...] = Field(
        min_length=1, max_length=500, description="the metrics taken, by the names that the page shows"
    )
    headers: http.HeadersField = Field(default_factory=dict)
    auth: http.Authentication | None = None
    redirects: Annotated[int, Field(ge=0, le=10)] | Literal["refuse"] = Field(
        5, description="how many redirects are followed; refuse: none may come"
    )
    max_body: SizeField = Field(4 * 1024 * 1024, ge=1, le=http.LARGEST_BODY, description="a larger page is a failure")
    user_agent: str = Field("service-monitoring", pattern=r"^[\x20-\x7e]+$")
    tls: http.Tls = http.Tls()
    address_family: Literal["any", "ipv4", "ipv6"] = "any"

    def fetching(self) -> http.HttpOptions:
        """The same, as a check of HTTP has it."""
        headers: Mapping[str, Secret] = self.headers
        if "accept" not in {name.lower() for name in headers}:
            headers = {**headers, "Accept": Secret(ACCEPTED)}
        return http.HttpOptions(
            http=self.prometheus,
            headers=headers,
            auth=self.auth,
            redirects=self.redirects,
            max_body=self.max_body,
            user_agent=self.user_agent,
            tls=self.tls,
            address_family=self.address_family,
            expect=Expect(status=200),
        )


class _Kept:
    """The body of the last answer that was as expected; an expectation that is always met."""

    body = b""

    def __call__(self, body: bytes) -> str | None:
        self.body = body
        return None


class PrometheusSource:
    """Fetches a page and takes what was chosen. For one loop, one attempt at a time; keeps nothing open in between."""

    def __init__(
        self, options: Options, *, surroundings: Surroundings, fetching: http.Kind, readers: ThreadPoolExecutor
    ) -> None:
        self._clock = surroundings.clock
        self._place = place(options.prometheus)
        self._readers = readers
        self._kept = _Kept()
        self._read = partial(read, metrics=dict.fromkeys(options.metrics), taken=OWN)
        asked = options.fetching()
        expectations = dataclasses.replace(asked.expect.compiled(), body=self._kept)
        self._page = fetching.open_source(asked, surroundings=surroundings, expectations=expectations)

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt, under the laws of `ports.Source`."""
        fetched = await self._page.probe(deadline)
        if fetched.outcome is not Outcome.OK:
            return fetched
        body, self._kept.body = self._kept.body, b""
        try:
            page = await self._taken(body, deadline)
        except Failed as failed:
            return replace(
                fetched,
                outcome=Outcome.FAILED,
                reason=failed.reason,
                detail=sentence(f"{self._place}: {failed.detail}"),
            )
        except Exception as error:  # noqa: BLE001 - a source never raises: what is left is a fault of our own, and said so
            return Observation(Outcome.UNKNOWN, Reason.INTERNAL_ERROR, sentence(f"{type(error).__name__}: {error}"))
        return replace(fetched, detail=sentence(_told(page)), measurements=(*fetched.measurements, *page.measurements))

    async def _taken(self, body: bytes, deadline: Deadline) -> Page:
        if len(body) <= HEAVY:
            return self._read(body)
        reading = asyncio.get_running_loop().run_in_executor(self._readers, self._read, body)
        try:
            async with asyncio.timeout(in_seconds(deadline.remaining(self._clock.tick()))):
                return await reading
        except TimeoutError:
            raise Failed(Reason.TIMEOUT, "the time was up while reading the page") from None


def _told(page: Page) -> str:
    """What people should know of a page that was read."""
    told = [f"{len(page.measurements)} samples"]
    if page.missing:
        told.append(f"missing: {', '.join(page.missing)}")
    if page.not_finite:
        told.append(f"left out: {page.not_finite} that are not finite")
    if page.repeated:
        told.append(f"left out: {page.repeated} of a series that the page shows twice")
    return "; ".join(told)


class Kind:
    """Checks of metrics. Its sources share an engine and the names, as those of `http` do, and one thread that reads.

    For one loop: the one that runs when the first source is opened.
    """

    name = "prometheus"
    options: type[Any] = Options

    def __init__(self, names: Names | None = None) -> None:
        self._fetching = http.Kind(names)
        self._readers: ThreadPoolExecutor | None = None

    def open_source(self, options: Options, *, surroundings: Surroundings) -> PrometheusSource:
        """A source for one check, inside the running loop. `Refused` where a file of TLS is missing."""
        if self._readers is None:
            self._readers = ThreadPoolExecutor(1, thread_name_prefix="reading-metrics")
        return PrometheusSource(options, surroundings=surroundings, fetching=self._fetching, readers=self._readers)

    async def close(self) -> None:
        """Break off what is running, as `unknown(shutdown)`; within half a second. May be called twice."""
        if self._readers is not None:
            self._readers.shutdown(wait=False, cancel_futures=True)
            self._readers = None
        await self._fetching.close()
