"""Labelled: which services have which labels, and for which of them a matcher holds, by one configuration.

Knows labels and matchers. Does not know how a service is, nor who asks. Another configuration is another one of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache, partial
from itertools import chain
from typing import Final

from service_monitoring.domain.configuration import Service
from service_monitoring.domain.matchers import Matcher, MatchOperator, Values
from service_monitoring.views.board import MOST_MATCHERS

_LABELS: Final = 8
"""Labels of which it is kept which services have which value."""
_PATTERNS: Final = frozenset({MatchOperator.MATCHES, MatchOperator.MATCHES_NOT})


class Labelled:
    """The labels of services. What is `asked` may be asked in a thread; the rest is for one loop."""

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self.own: Mapping[str, Mapping[str, str]] = {
            each.name: {**dict(each.labels), "service": each.name} for each in services
        }
        """The labels of each service by its name, which is one of them."""
        self._known: dict[Matcher, frozenset[str]] = {}
        self._by_value = lru_cache(maxsize=_LABELS)(partial(_by_value, self.own))

    @cached_property
    def counts(self) -> Counter[str]:
        """How many services have each label besides their names."""
        return Counter(label for labels in self.own.values() for label in labels if label != "service")

    def unasked(self, matchers: Iterable[Matcher]) -> list[Matcher]:
        """Those with a pattern of which nothing is known: they take a while."""
        return [each for each in matchers if each.operator in _PATTERNS and each not in self._known]

    def asked(self, matcher: Matcher) -> frozenset[str]:
        """The services for which a matcher holds."""
        values, services = self._by_value(matcher.label)
        return frozenset(chain.from_iterable(services[value] for value in matcher.among(values)))

    def learn(self, matcher: Matcher, services: frozenset[str]) -> None:
        """Keep for which services a matcher holds: lists are asked for again and again."""
        self._known.pop(matcher, None)
        if len(self._known) >= MOST_MATCHERS:
            del self._known[next(iter(self._known))]
        self._known[matcher] = services

    def holding(self, matcher: Matcher) -> frozenset[str]:
        """The services for which a matcher holds, as it is known, or asked now."""
        services = self._known.get(matcher)
        if services is None:
            services = self.asked(matcher)
        self.learn(matcher, services)
        return services


def _by_value(own: Mapping[str, Mapping[str, str]], label: str) -> tuple[Values, Mapping[str, list[str]]]:
    """The values of a label, and which services have each; those without it have the empty text."""
    services: dict[str, list[str]] = {}
    for name, labels in own.items():
        services.setdefault(labels.get(label, ""), []).append(name)
    return Values(services), services
