"""Differences: who gains and who loses which pages when another configuration is in force.

Knows the figures of two rehearsals of one range. Does not know how they were made, nor how a difference is shown. Pages
are the same where the same recipient is told of the same trouble (`same`) in the same way, so that a page that comes
later is moved, not lost. Only what was decided after both are warm is compared.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import Instant, in_seconds
from service_monitoring.domain.rules import Lifecycle, Rule
from service_monitoring.domain.schedules import Span
from service_monitoring.errors import Refused
from service_monitoring.rehearsal.figures import NIGHT, Episode, Figures, Paged, figures_of
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.same import Seen, Trouble, troubles

_NEAREST: Final = 3
_Key = tuple[str, ...]


class Totals(Struct, frozen=True):
    """What one side comes to."""

    pages: int
    at_night: int
    incidents: int


class Renamed(Struct, frozen=True):
    """A rule that says the same under another name."""

    before: str
    after: str


class PageMoved(Struct, frozen=True):
    """A page that comes `by_seconds` later, or earlier where that is negative."""

    recipient: str
    rule: str
    page: str
    before: Instant
    after: Instant
    by_seconds: float


class TroubleMoved(Struct, frozen=True):
    """An incident that only one side has, or that lasts longer or shorter. A side may have it in several pieces.

    `what` is gained, lost, longer or shorter; seconds are those that it is open.
    """

    what: str
    rule: str
    series: str
    began: Instant
    before: tuple[str, ...]
    after: tuple[str, ...]
    before_seconds: float
    after_seconds: float


class Balance(Struct, frozen=True):
    """Of a recipient or of a rule: `after` is `before` and what was gained, without what was lost."""

    name: str
    before: int
    after: int
    gained: int
    lost: int
    earlier: int
    later: int
    at_night_before: int
    at_night_after: int


class Difference(Struct, frozen=True):
    """What changes from one configuration to another, over [warm, until). `names` are what the two are called."""

    names: tuple[str, str]
    since: Instant
    until: Instant
    warm: Instant
    before: Totals
    after: Totals
    renamed: tuple[Renamed, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    same: int
    gained: tuple[Paged, ...]
    lost: tuple[Paged, ...]
    moved: tuple[PageMoved, ...]
    incidents: tuple[TroubleMoved, ...]
    recipients: tuple[Balance, ...]
    rules: tuple[Balance, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nobody would notice, and nothing would open or end at another time."""
        return not (
            self.gained or self.lost or self.moved or self.incidents or self.renamed or self.removed or self.added
        )


def difference_of(
    before: Rehearsed, after: Rehearsed, *, names: tuple[str, str] = ("before", "after"), night: Span = NIGHT
) -> Difference:
    """What changes; `Refused` where the two are not of the same range."""
    if (before.since, before.until) != (after.since, after.until):
        raise Refused(
            f"a rehearsal of {before.since} to {before.until} and one of {after.since} to {after.until} "
            "cannot be compared: rehearse the same range twice"
        )
    renamed, removed, added = _rules_changed(before.configuration, after.configuration)
    warm = max(before.warm, after.warm)
    now = {each.before: each.after for each in renamed}
    old = _Side(figures_of(before, night=night), warm, now)
    new = _Side(figures_of(after, night=night), warm, {})
    found = troubles((old.seen, new.seen))
    pairs = _paired(old.pages, new.pages, _places(found))
    kept, met = {one for one, _ in pairs}, {other for _, other in pairs}
    lost = [page for number, page in enumerate(old.pages) if number not in kept]
    gained = [page for number, page in enumerate(new.pages) if number not in met]
    both = [(old.pages[one], new.pages[other]) for one, other in pairs]
    moved = [_moved(one, other) for one, other in both if one.at != other.at]
    moved.sort(key=lambda move: (min(move.before, move.after), move.recipient, move.rule))
    pages = (old.pages, new.pages)
    # One page of several incidents may be about another of them first.
    others = [(one, other) for one, other in both if one.rule != other.rule]
    led_otherwise = ([*gained, *(other for _, other in others)], [*lost, *(one for one, _ in others)])
    return Difference(
        names=names,
        since=before.since,
        until=before.until,
        warm=warm,
        before=old.totals,
        after=new.totals,
        renamed=renamed,
        removed=removed,
        added=added,
        same=len(pairs) - len(moved),
        gained=tuple(gained),
        lost=tuple(lost),
        moved=tuple(moved),
        incidents=tuple(_troubles_moved(found, warm)),
        recipients=_balances(pages, (gained, lost), moved, attrgetter("recipient")),
        rules=_balances(pages, led_otherwise, moved, attrgetter("rule")),
    )


class _Side:
    """One rehearsal, from where both are warm, with its rules by the names that they have now."""

    def __init__(self, figures: Figures, warm: Instant, now: Mapping[str, str]) -> None:
        self.pages = [
            replace(page, rule=now.get(page.rule, page.rule), in_warm_up=False)
            for page in figures.every_page
            if page.at >= warm
        ]
        self.seen = [seen_of(episode, figures.until, now) for episode in figures.incidents]
        self.totals = Totals(
            pages=len(self.pages),
            at_night=sum(page.at_night for page in self.pages),
            incidents=sum(not each.draft and each.opened_at >= warm for each in self.seen),
        )


def seen_of(episode: Episode, until: Instant, now: Mapping[str, str] | None = None) -> Seen:
    """An incident to be compared; one that is still open ends with its rehearsal."""
    return Seen(
        id=episode.id,
        rule=(now or {}).get(episode.rule, episode.rule),
        series=episode.series,
        breached_at=episode.breached_at,
        opened_at=episode.opened_at,
        ended=episode.ended_at or until,
        labels=episode.labels,
        draft=episode.draft,
        in_warm_up=episode.in_warm_up,
    )


def _rules_changed(
    before: Configuration, after: Configuration
) -> tuple[tuple[Renamed, ...], tuple[str, ...], tuple[str, ...]]:
    """Rules with another name, those that are gone, and new ones."""
    old, new = _rules_of(before), _rules_of(after)
    gone = {name: rule for name, rule in old.items() if name not in new}
    come = {name: rule for name, rule in new.items() if name not in old}
    renamed = []
    for name, rule in sorted(gone.items()):
        same = (other for other in sorted(come) if _says_the_same(rule, come[other]))
        if (other := next(same, None)) is not None:
            del come[other]
            renamed.append(Renamed(name, other))
    known = {each.before for each in renamed}
    return tuple(renamed), tuple(sorted(gone.keys() - known)), tuple(sorted(come))


def _rules_of(configuration: Configuration) -> dict[str, Rule]:
    every = (rule for service in configuration.services for rule in service.rules)
    return {rule.id: rule for rule in every if rule.state is not Lifecycle.RETIRED}


def _says_the_same(one: Rule, other: Rule) -> bool:
    return one.service == other.service and one.signature == other.signature


def _places(found: Iterable[Trouble]) -> dict[str, str]:
    """Of which trouble each incident is, by its id."""
    return {each.id: str(number) for number, one in enumerate(found) for seen in one.seen for each in seen}


def _paired(old: Sequence[Paged], new: Sequence[Paged], places: Mapping[str, str]) -> list[tuple[int, int]]:
    """Which page before is which page after, by their numbers; each is in one pair at most.

    The nearest in time go first: of the same kind, then any two that say that something is wrong. Nothing here depends
    on which side is called before.
    """
    pairs: list[tuple[int, int]] = []
    left = (dict(enumerate(old)), dict(enumerate(new)))
    for key in (_exactly, _kindly, _roughly):
        while candidates := _candidates(left, key, places):
            for one, other in sorted(candidates, key=lambda pair: _nearness(old[pair[0]], new[pair[1]])):
                if one in left[0] and other in left[1]:
                    del left[0][one], left[1][other]
                    pairs.append((one, other))
    return sorted(pairs)


def _candidates(
    left: tuple[Mapping[int, Paged], Mapping[int, Paged]],
    key: Callable[[Paged, str], _Key],
    places: Mapping[str, str],
) -> set[tuple[int, int]]:
    """Pages that may be the same, each with the nearest few on either side: all with all would be too many to sort."""
    ahead, behind = (_keyed(pages, key, places) for pages in left)
    found: set[tuple[int, int]] = set()
    for said in ahead.keys() & behind.keys():
        found.update(_neighbours(ahead[said], behind[said], *left))
        found.update((one, other) for other, one in _neighbours(behind[said], ahead[said], left[1], left[0]))
    return found


def _neighbours(
    ones: Sequence[int], others: Sequence[int], pages: Mapping[int, Paged], beside: Mapping[int, Paged]
) -> Iterator[tuple[int, int]]:
    """Numbers are in the order of time, as pages are."""
    times = [beside[other].at for other in others]
    for one in ones:
        place = bisect_left(times, pages[one].at)
        for other in others[max(0, place - _NEAREST) : place + _NEAREST]:
            yield one, other


def _keyed(
    pages: Mapping[int, Paged], key: Callable[[Paged, str], _Key], places: Mapping[str, str]
) -> dict[_Key, list[int]]:
    found: dict[_Key, list[int]] = {}
    for number, page in pages.items():
        # What is about no incident, as that a series flaps, is the same at the same instant alone.
        about = {places.get(id, id) for id in page.incidents} or {f"{page.rule} {page.at}"}
        for place in sorted(about):
            found.setdefault((page.recipient, place, *key(page, place)), []).append(number)
    return found


def _exactly(page: Paged, place: str) -> _Key:
    return (page.kind, str(page.at))


def _kindly(page: Paged, place: str) -> _Key:
    return (page.kind,)


def _roughly(page: Paged, place: str) -> _Key:
    return ("over" if page.kind == "resolved" else "wrong",)


def _nearness(one: Paged, other: Paged) -> tuple[object, ...]:
    ids = sorted((one.incidents, other.incidents))
    return abs(one.at.since(other.at)), min(one.at, other.at), max(one.at, other.at), *ids


def _moved(one: Paged, other: Paged) -> PageMoved:
    return PageMoved(one.recipient, other.rule, other.page, one.at, other.at, in_seconds(other.at.since(one.at)))


def _troubles_moved(found: Iterable[Trouble], warm: Instant) -> Iterator[TroubleMoved]:
    for trouble in found:
        before, after = ([each for each in seen if each.opened_at >= warm] for seen in trouble.seen)
        if len(before) + len(after) < sum(map(len, trouble.seen)) or not (before or after):
            # It began in the warm-up of a side, which does not count.
            continue
        lasted = [sum((in_seconds(each.ended.since(each.opened_at)) for each in seen), 0.0) for seen in (before, after)]
        if before and after and lasted[0] == lasted[1]:
            continue
        what = "longer" if lasted[1] > lasted[0] else "shorter"
        yield TroubleMoved(
            what="lost" if not after else "gained" if not before else what,
            rule=trouble.rule,
            series=trouble.series,
            began=trouble.began,
            before=tuple(each.id for each in before),
            after=tuple(each.id for each in after),
            before_seconds=lasted[0],
            after_seconds=lasted[1],
        )


def _balances(
    pages: tuple[Sequence[Paged], Sequence[Paged]],
    changes: tuple[Sequence[Paged], Sequence[Paged]],
    moved: Sequence[PageMoved],
    name: Callable[[Paged | PageMoved], str],
) -> tuple[Balance, ...]:
    """What each comes to, who gains or loses most first. Pages are before and after, changes gained and lost."""
    before, after = (Counter(map(name, side)) for side in pages)
    nights = [Counter(name(page) for page in side if page.at_night) for side in pages]
    gained, lost = (Counter(map(name, change)) for change in changes)
    earlier, later = (
        Counter(name(move) for move in moved if (move.by_seconds > 0) == is_later) for is_later in (False, True)
    )
    rows = [
        Balance(
            name=each,
            before=before[each],
            after=after[each],
            gained=gained[each],
            lost=lost[each],
            earlier=earlier[each],
            later=later[each],
            at_night_before=nights[0][each],
            at_night_after=nights[1][each],
        )
        for each in before.keys() | after.keys()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.gained - row.lost, row.name)))
