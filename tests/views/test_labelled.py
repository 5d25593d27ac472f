"""Labelled: services for which a matcher holds are those for whose labels it holds, however it is asked."""

from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.settings.matchers import matcher
from service_monitoring.testing.builders import a_service
from service_monitoring.views.board import MOST_MATCHERS
from service_monitoring.views.labelled import Labelled

TEXTS = some.text("ab\n", max_size=2)
LABELS = some.dictionaries(some.sampled_from(["team", "tier"]), TEXTS)
MATCHERS = some.builds(
    Matcher,
    some.sampled_from(["team", "tier", "service", "nobody"]),
    some.sampled_from(list(MatchOperator)),
    some.sampled_from(["", "a", "a.*", "[^a]*", "a|", "(?s).*b", "cart|mail", r"\Aa", ".+"]),
)


@given(some.lists(LABELS, max_size=5), some.lists(MATCHERS, max_size=6))
def test_a_matcher_holds_for_the_services_for_whose_labels_it_holds(
    given_labels: list[dict[str, str]], asked: list[Matcher]
) -> None:
    names = ("cart", "mail", "shop", "till", "wine")
    services = [a_service(name=name, labels=labels) for name, labels in zip(names, given_labels, strict=False)]
    labelled = Labelled(services)
    for each in asked:
        held = {name for name, labels in labelled.own.items() if each.holds(labels)}
        assert labelled.asked(each) == held
        assert labelled.holding(each) == held
        assert labelled.holding(each) == held


def test_a_pattern_is_asked_once_and_forgotten_when_as_many_others_were_asked_as_one_list_may_have() -> None:
    labelled = Labelled([a_service(name="shop", labels={"team": "one"})])
    patterns = [matcher(f"team=~o.{{{number}}}") for number in range(MOST_MATCHERS + 1)]
    assert labelled.unasked([*patterns, matcher("team=one")]) == patterns
    for each in patterns[:-1]:
        labelled.learn(each, labelled.asked(each))
    assert labelled.unasked(patterns) == patterns[-1:]
    labelled.holding(patterns[0])
    labelled.holding(patterns[-1])
    assert labelled.unasked(patterns) == patterns[1:2]


def test_services_are_counted_by_label() -> None:
    labelled = Labelled(
        [a_service(name="cart", labels={"team": "one"}), a_service(name="shop", labels={"team": "two", "tier": "1"})]
    )
    assert labelled.counts == {"team": 2, "tier": 1}
