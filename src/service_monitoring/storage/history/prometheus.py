"""Histories of a Prometheus server, asked over its HTTP API: samples as they were scraped, or what queries say.

A selector is asked for with a range, which gives every sample at its own instant, and nothing where nothing was
scraped: a hole is a hole. A query is asked for its value every so often, in windows below the server's limit of points.
Knows the API and its answers. Blocks; for one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import msgspec
import numpy as np

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion
from service_monitoring.errors import MonitoringError, Refused, Unavailable
from service_monitoring.ports import Flaw
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.columns import Flaws, Piece, Place, Rows, Span
from service_monitoring.storage.history.fields import RESERVED
from service_monitoring.storage.history.mapping import SeriesEntry

AUTHORIZATION: Final = "SERVICE_MONITORING_HISTORY_AUTHORIZATION"
"""The environment variable whose text goes as the header Authorization, as `Bearer ...`."""

POINTS: Final = 11_000
"""The most points of a series in one answer to a range query."""
_MILLISECOND: Final = SECOND // 1_000
_AIM: Final = 200_000
"""Samples in an answer: a window that brings more is followed by a shorter one."""
_LONGEST: Final = 32 * DAY
_YEARS: Final = 10 * 365
_TIMEOUT: Final = 120


class _Found(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    resultType: str = ""  # noqa: N815 - the API's own name
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


class PrometheusHistory:
    """Samples of a server, under the laws of `ports.SampleHistory`. `close` has nothing to do."""

    def __init__(self, url: str, entries: Sequence[SeriesEntry]) -> None:
        self._url = url.rstrip("/")
        parts = urlsplit(url)
        self._shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
        self._entries = entries
        self._window = HOUR
        self._flaws = Flaws()

    def extent(self) -> tuple[Instant, Instant] | None:
        """The instants of the first and of the last sample of the last ten years."""
        now = self._now()
        begin = now - _YEARS * DAY
        days = sorted({at for entry in self._entries for at in self._days(entry, begin, now)})
        if not days:
            return None
        first = self._instants(Span(days[0] - DAY, days[0] + 1))
        last = self._instants(Span(days[-1] - DAY, days[-1] + 1))
        return Instant(first[0]), Instant(last[1])

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        """All samples in [since, until), in time order."""
        self._flaws = Flaws()
        begin = since.ns
        while begin < until.ns:
            end = min(until.ns, begin + self._window)
            found, count = self._read(Span(begin, end), self._flaws)
            yield columns.portion(found, end, self._flaws)
            if count > _AIM:
                self._window = Duration(max(MINUTE, self._window // 2))
            elif count < _AIM // 4:
                self._window = Duration(min(_LONGEST, self._window * 2))
            begin = end

    def flaws(self) -> tuple[Flaw, ...]:
        """What could not be taken, since `portions` was last called. There are no lines."""
        return self._flaws.all()

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, span: Span, flaws: Flaws) -> tuple[list[Piece], int]:
        pieces: list[Piece] = []
        count = 0
        for number, entry in enumerate(self._entries):
            for found in self._asked(entry, span):
                count += len(found.values)
                pieces += self._pieces(number, entry, found, span, flaws)
        return pieces, count

    def _asked(self, entry: SeriesEntry, span: Span) -> Iterator[_Found]:
        """What a server has of an entry in a window, perhaps a little more."""
        if entry.series is not None:
            first, last = _milliseconds(span.since), _milliseconds(span.until - 1)
            query = f"{entry.series}[{last - first + 1}ms]"
            yield from self._series("query", {"query": query, "time": _text(last * _MILLISECOND)})
            return
        every = entry.every
        at = -(-span.since // every) * every
        while at < span.until:
            end = min(span.until - 1, at + (POINTS - 1) * every)
            asked = {"query": entry.query or "", "start": _text(at), "end": _text(end), "step": f"{every / SECOND:.3f}"}
            yield from self._series("query_range", asked)
            at = at + POINTS * every

    def _pieces(self, number: int, entry: SeriesEntry, found: _Found, span: Span, flaws: Flaws) -> list[Piece]:
        where = f"{self._shown} {entry.series or entry.query}"
        instants = np.array([round(at * 1_000) * _MILLISECOND for at, _ in found.values], dtype=np.int64)
        values = np.array([float(text) for _, text in found.values], dtype=np.float64) * entry.scale
        zero = np.zeros(min(1, len(instants)), dtype=np.int64)
        place = Place(where, (number,), np.zeros(len(instants), dtype=np.int64))
        rows = Rows(instants, values, zero, zero, [_series(entry, found.metric)], place)
        return columns.pieces(rows, span, flaws)

    def _days(self, entry: SeriesEntry, begin: int, end: int) -> list[int]:
        """Ends of days in which an entry has any sample; they count from `begin`."""
        query = f"present_over_time({entry.series}[1d])" if entry.series is not None else f"({entry.query})[1d:1h]"
        if entry.series is None:
            query = f"present_over_time({query})"
        asked = {"query": f"group({query})", "start": _text(begin), "end": _text(end), "step": "86400"}
        return [round(at) * SECOND for found in self._series("query_range", asked) for at, _ in found.values]

    def _instants(self, span: Span) -> tuple[int, int]:
        found, _ = self._read(span, Flaws())
        if not found:
            return span.since, span.until
        return min(int(each.instants[0]) for each in found), max(int(each.instants[-1]) for each in found)

    def _now(self) -> int:
        """The server's own time: it is asked what it has, so its clock says up to when."""
        at, _ = msgspec.json.decode(self._ask("query", {"query": "time()"}).result, type=tuple[float, str])
        return round(at) * SECOND

    def _series(self, route: str, asked: dict[str, str]) -> list[_Found]:
        answer = self._ask(route, asked)
        if answer.resultType != "matrix":
            raise Refused(
                f"{self._shown}: {asked['query']} is no series over time, but a {answer.resultType}; mend the mapping"
            )
        return msgspec.json.decode(answer.result, type=list[_Found])

    def _ask(self, route: str, asked: dict[str, str]) -> _Data:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "service-monitoring"}
        if authorization := os.environ.get(AUTHORIZATION):
            headers["Authorization"] = authorization
        request = Request(f"{self._url}/api/v1/{route}", urlencode(asked).encode(), headers)  # noqa: S310 - http(s) only: see `opening`
        try:
            with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - likewise
                body = response.read()
        except HTTPError as error:
            raise self._refusal(error) from error
        except (URLError, OSError) as error:
            why = getattr(error, "reason", error)
            raise Unavailable(
                f"{self._shown} does not answer ({why}); see that the server runs and is reachable"
            ) from error
        return self._decoded(body)

    def _decoded(self, body: bytes) -> _Data:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError as error:
            raise Refused(
                f"{self._shown} is no Prometheus server ({error}); give the URL that ends before /api/v1"
            ) from error
        if answer.status != "success" or answer.data is None:
            raise Refused(f"{self._shown} refused: {answer.error}; mend the mapping")
        return answer.data

    def _refusal(self, error: HTTPError) -> MonitoringError:
        if error.code in {401, 403}:
            return Refused(
                f"{self._shown} refuses us ({error.code}); put the header's text, as Bearer TOKEN, into {AUTHORIZATION}"
            )
        said = error.read(4_096).decode(errors="replace")
        try:
            said = msgspec.json.decode(said, type=_Answer).error
        except msgspec.DecodeError:
            said = error.reason
        if error.code in {400, 404, 422}:
            return Refused(
                f"{self._shown} refused ({error.code}): {said}; mend the mapping, or the URL, which ends before /api/v1"
            )
        return Unavailable(f"{self._shown} answered {error.code} ({said}); try again later")


def _series(entry: SeriesEntry, labels: dict[str, str]) -> Series:
    """The series of ours; of labels, those that the entry names, or all but the metric's name."""
    kept = {name: text for name, text in labels.items() if entry.labels is None or name in entry.labels}
    kept.pop("__name__", None)
    named = {f"exported_{name}" if name in RESERVED else name: text for name, text in kept.items() if text}
    return Series(entry.service, entry.check, entry.metric, tuple(sorted(named.items())))


def _milliseconds(at: int) -> int:
    return at // _MILLISECOND


def _text(at: int) -> str:
    """Seconds as the API reads them, to the millisecond."""
    return f"{at // SECOND}.{at % SECOND // _MILLISECOND:03}"
