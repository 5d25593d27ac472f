"""Names that a rehearsal test may use: the checks, series, rules, people, channels and rotas of its configuration.

Knows how a series and a rule are written with labels. Does not know where in which file a name stands.
"""

from __future__ import annotations

import json
import re
from typing import Final

from service_monitoring.domain.configuration import Check, judged_metrics
from service_monitoring.domain.samples import Series
from service_monitoring.rehearsal.trials import UP, Labels
from service_monitoring.settings import InvalidValue, Settings
from service_monitoring.settings.problems import shown
from service_monitoring.settings.validation import suggestion

_SELECTION: Final = r"(?:\{(?P<labels>.*)\})?"
_SERIES: Final = re.compile(
    r"(?P<check>[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.(?P<metric>[A-Za-z_:][A-Za-z0-9_:]*)" + _SELECTION,
    re.ASCII | re.DOTALL,
)
_RULE: Final = re.compile(r"(?P<rule>[^{}]*)" + _SELECTION, re.DOTALL)
_LABEL: Final = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*("(?:[^"\\]|\\.)*")\s*(?:,|$)', re.DOTALL)


class Known:
    """What a configuration has names for. Its methods raise `InvalidValue` for what it has none for."""

    def __init__(self, settings: Settings) -> None:
        services = settings.configuration.services
        self.checks: dict[str, Check] = {check.id: check for service in services for check in service.checks}
        self.rules = [rule.id for service in services for rule in service.rules]
        self.people = list(settings.people)
        self.rotas = [rota.name for rota in settings.configuration.rotas]
        # A person's own contact is a channel, too, and a page to it goes to the person.
        self.recipients = [
            *(f"person.{name}" for name in self.people),
            *(f"channel.{name}" for name in settings.channels if "." not in name),
        ]
        self._judged = {
            f"{service.name}.{check}": metrics
            for service in services
            for check, metrics in judged_metrics(service.rules).items()
        }

    def series(self, text: str) -> Series:
        """`shop.queue.queue_depth{queue="a"}`, which samples may be given of."""
        found = _SERIES.fullmatch(text)
        if found is None:
            remedy = 'write SERVICE.CHECK.METRIC, or SERVICE.CHECK.METRIC{label="value"}'
            raise InvalidValue(f"{shown(text)} is no series", remedy)
        metric, labels = found["metric"], labels_of(found["labels"])
        check = self.checks.get(found["check"])
        if check is None:
            raise InvalidValue(f"there is no check {found['check']}", suggestion(found["check"], self.checks))
        if check.expects is not None:
            raise InvalidValue(f"{check.id} has no samples: a job reports to it", f"write reports: {{{check.id}: ...}}")
        judged = self._judged.get(check.id, frozenset())
        # Every run has `up`, whether a rule looks at it or not; what is pushed has what is pushed.
        metrics = judged if check.allowance else judged | {UP}
        if metric not in metrics:
            raise InvalidValue(f"no rule judges {metric} of {check.id}", suggestion(metric, metrics))
        if metric == UP and labels and not check.allowance:
            raise InvalidValue("up has no labels: it says how a run ended", f"write {check.id}.up")
        return Series(check.service, check.name, metric, labels)

    def rule(self, text: str) -> tuple[str, Labels]:
        """`shop.backlog{queue="a"}`: a rule, and which of its series."""
        found = _RULE.fullmatch(text)
        name, labels = (text, None) if found is None else (found["rule"], found["labels"])
        if name not in self.rules:
            raise InvalidValue(f"there is no rule {shown(name)}", suggestion(name, self.rules))
        return name, labels_of(labels)


def labels_of(text: str | None) -> Labels:
    """`queue="a", side="left"`, what stands between braces; nothing is no label."""
    found: dict[str, str] = {}
    rest = text or ""
    while rest.strip():
        match = _LABEL.match(rest)
        if match is None or match[1] in found:
            raise InvalidValue(f"{shown(rest)} are no labels", 'write {queue="a", side="left"}')
        try:
            found[match[1]] = json.loads(match[2])
        except ValueError:
            raise InvalidValue(f"{shown(match[2])} is no text", 'write {queue="a"}') from None
        rest = rest[match.end() :]
    return tuple(sorted(found.items()))
