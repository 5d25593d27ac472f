"""Series, samples and observations: what a poll yields, as values.

Knows what may be said about a run of a check and which samples follow from it. Does not know how a probe is made,
when, or what a rule thinks of it.
"""

from __future__ import annotations

import math
from enum import StrEnum

from msgspec import Struct

from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.errors import Refused


class Series(Struct, frozen=True, order=True, cache_hash=True):
    """What a sample is a sample of. `labels` are sorted by name; reserved names are refused at the edge."""

    service: str
    check: str
    metric: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """`service/check/metric{label="value"}`: the key that people and the ledger see."""
        if not self.labels:
            return f"{self.service}/{self.check}/{self.metric}"
        inner = ",".join(f'{name}="{_quoted(value)}"' for name, value in self.labels)
        return f"{self.service}/{self.check}/{self.metric}{{{inner}}}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Sample(Struct, frozen=True, order=True):
    """A finite float of one series at one instant."""

    at: Instant
    series: Series
    value: float


class Outcome(StrEnum):
    """How one run of a check ended. `UNKNOWN` is our own fault and judges no service."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a run was not `ok`: a closed set, so that people can filter and count by it."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TLS_EXPIRED = "tls_expired"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_HOSTNAME = "tls_hostname"
    TLS_WEAK = "tls_weak"
    TIMEOUT = "timeout"
    STATUS = "status"
    BODY = "body"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    BLOCKED_ADDRESS = "blocked_address"
    EXIT_CODE = "exit_code"
    RECORD = "record"
    # Our own fault; these go with `unknown` only.
    SHUTDOWN = "shutdown"
    OVERLOAD = "overload"
    SELF_OFFLINE = "self_offline"
    INTERNAL_ERROR = "internal_error"


class Measurement(Struct, frozen=True):
    """One number that a run measured. Units are in the name: `duration_seconds`, `body_bytes`, `status_code`.

    NaN and infinity are `Refused` by name: there is no such measurement, so none can raise an alert.
    """

    metric: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise Refused(f"{self.metric} is {self.value}, which is not a finite number")


class Attempt(Struct, frozen=True):
    """One try within a run: every try is kept, also those that a retry made good."""

    outcome: Outcome
    reason: Reason | None
    detail: str
    lasted: Duration


class Observation(Struct, frozen=True):
    """The outcome of one run of a check.

    `measurements` hold what was completed only: a refused connection has no `connect_seconds`, a wrong status has all
    its phases. `up` is not among them: `samples_of` derives it from the outcome. `detail` is one sentence for people.
    """

    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    measurements: tuple[Measurement, ...] = ()
    attempts: tuple[Attempt, ...] = ()


def samples_of(service: str, check: str, observation: Observation, at: Instant) -> tuple[Sample, ...]:
    """The samples that a run yields at its admission stamp: `up`, then what was measured; none when `unknown`."""
    if observation.outcome is Outcome.UNKNOWN:
        return ()
    up = 1.0 if observation.outcome is Outcome.OK else 0.0
    return (
        Sample(at, Series(service, check, "up"), up),
        *(
            Sample(at, Series(service, check, measured.metric, measured.labels), measured.value)
            for measured in observation.measurements
        ),
    )
