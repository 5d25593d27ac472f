"""service-monitoring: polls services, judges samples with time-based rules, opens incidents and tells the right person.

The names that a user of the library needs; importing the package computes nothing and loads none of them before it is
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service_monitoring.domain.configuration import Check, Configuration, Service
    from service_monitoring.domain.course import Course
    from service_monitoring.domain.inputs import Admitted, Observed, Stamp
    from service_monitoring.domain.instants import Duration, Instant
    from service_monitoring.domain.rules import Rule
    from service_monitoring.domain.samples import Measurement, Observation, Outcome, Sample, Series

_HOME = {
    "Admitted": "domain.inputs",
    "Check": "domain.configuration",
    "Configuration": "domain.configuration",
    "Course": "domain.course",
    "Duration": "domain.instants",
    "Instant": "domain.instants",
    "Measurement": "domain.samples",
    "Observation": "domain.samples",
    "Observed": "domain.inputs",
    "Outcome": "domain.samples",
    "Rule": "domain.rules",
    "Sample": "domain.samples",
    "Series": "domain.samples",
    "Service": "domain.configuration",
    "Stamp": "domain.inputs",
}

__all__ = [
    "Admitted",
    "Check",
    "Configuration",
    "Course",
    "Duration",
    "Instant",
    "Measurement",
    "Observation",
    "Observed",
    "Outcome",
    "Rule",
    "Sample",
    "Series",
    "Service",
    "Stamp",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("service-monitoring")
    if name in _HOME:
        return getattr(import_module(f"service_monitoring.{_HOME[name]}"), name)
    raise AttributeError(f"service_monitoring has no {name}")
