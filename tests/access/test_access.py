"""Names, passwords, tries and the chain of the audit trail, without a store."""

import pytest
from msgspec.structs import replace

from service_monitoring.access.accounts import fit_name
from service_monitoring.access.audit import BEGINNING, FORGOTTEN, MOST, Chain, Entry, Row, chained, shortened
from service_monitoring.access.passwords import fit, plain
from service_monitoring.access.permissions import Permission, Role
from service_monitoring.access.setup import begun, opens
from service_monitoring.access.throttle import Throttle, origin
from service_monitoring.access.tokens import fit_length, fit_scopes, is_one, written
from service_monitoring.domain.instants import DAY, MINUTE, SECOND, Duration, Instant
from service_monitoring.errors import Refused
from service_monitoring.ports import Tick

NOW = Instant.parse("2026-01-05T00:00:00Z")


@pytest.mark.parametrize(
    "password",
    [
        *("", "eleven char", "x" * 257, "aaaaaaaaaaaa", "ababababababab", "PasswordPassword", "service-monitoring"),
        *("grace.hopper", "Grace.Hopper", "a tab\tis in here", "half a character \ud800"),
    ],
    ids=["none", "short", "long", "one-letter", "two-letters", "common", "ours", "name", "NAME", "control", "half"],
)
def test_a_weak_password_is_refused_with_a_reason(password: str) -> None:
    with pytest.raises(Refused, match="password"):
        fit(password, "grace.hopper")


def test_a_password_is_the_same_from_every_keyboard() -> None:
    assert fit("se\u0301veral words", "ada") == fit("s\u00e9veral words", "ada") == plain("se\u0301veral words")
    assert fit("x" * 254 + "yz", "ada")


@pytest.mark.parametrize("name", ["", " ", "-ada", "a b", "a/b", "ä", "a" * 101, "a\n"[:1] + "\x00"])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="a name has"):
        fit_name(name)


def test_a_name_may_be_an_address() -> None:
    assert fit_name(" Ada.Lovelace+1@example.com ") == "Ada.Lovelace+1@example.com"


def test_tries_come_back_one_by_one() -> None:
    throttle = Throttle(tries=2)
    assert [throttle.ask(["a"], Tick(at * SECOND)) // SECOND for at in (0, 10, 20, 59, 60, 61, 70)] == [
        *(0, 0, 40, 1, 0, 9, 0),
    ]


def test_where_one_has_no_more_tries_none_is_counted_for_another() -> None:
    throttle = Throttle(tries=1)
    assert throttle.ask(["account a"], Tick(0)) == 0
    for _ in range(3):
        assert throttle.ask(["account a", "address x"], Tick(1)) > 0
    assert throttle.ask(["account b", "address x"], Tick(2)) == 0


def test_a_try_that_succeeded_is_given_back() -> None:
    throttle = Throttle(tries=2)
    throttle.ask(["a"], Tick(1))
    throttle.ask(["a"], Tick(2))
    throttle.forgive(["a"], Tick(2))
    assert throttle.ask(["a"], Tick(3)) == 0
    throttle.forgive(["a", "b"], Tick(1))
    throttle.forgive(["a"], Tick(3))
    assert len(throttle) == 0


def test_however_many_try_a_bounded_number_is_remembered() -> None:
    throttle = Throttle(tries=1, most=100)
    for number in range(1_000):
        throttle.ask([f"address {number}"], Tick(number))
    assert len(throttle) == 100
    assert throttle.ask(["address 999"], Tick(1_000)) > 0


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
    ids=["v4", "mapped", "v6", "scoped", "none", "other"],
)
def test_a_household_is_one_address(address: str, who: str) -> None:
    assert origin(address) == who


def test_a_token_is_known_by_its_prefix_and_digits() -> None:
    assert is_one(written("0" * 64))
    for text in ("0" * 64, written("0" * 63), written("G" * 64), written("0" * 64) + "\n", ""):
        assert not is_one(text)


def test_scopes_are_what_a_role_may_give() -> None:
    assert fit_scopes([Permission.READ, Permission.METRICS, Permission.READ], Role.VIEWER) == (
        Permission.METRICS,
        Permission.READ,
    )
    for scopes in ([], [Permission.PUBLIC], [Permission.ACCOUNT], [Permission.RESPOND]):
        with pytest.raises(Refused):
            fit_scopes(scopes, Role.VIEWER)


def test_a_token_lasts_ninety_days_unless_told_and_never_for_ever() -> None:
    assert fit_length(None) == 90 * DAY
    assert fit_length(MINUTE) == MINUTE
    for length in (0, -1, 3_661 * DAY):
        with pytest.raises(Refused):
            fit_length(Duration(length))


def test_a_setup_token_may_be_pasted_with_spaces_and_opens_nothing_where_there_is_none() -> None:
    assert opens(begun("secret", NOW), " secret\n", NOW)
    assert not opens(begun("secret", NOW), "", NOW)
    assert not opens(None, "", NOW)


def rows(number: int) -> list[Row]:
    made: list[Row] = []
    for position in range(1, number + 1):
        entry = Entry(NOW, "ada", "session x", "did", str(position), "done")
        made.append(Row(position, entry, chained(made[-1].hash if made else BEGINNING, position, entry)))
    return made


def broken(trail: list[Row]) -> str:
    chain = Chain()
    return next((said for row in trail if (said := chain.follow(row))), "") or chain.end()


def test_a_trail_that_is_whole_is_found_so() -> None:
    assert broken([]) == broken(rows(1)) == broken(rows(9)) == ""


@pytest.mark.parametrize("field", ["at", "by", "via", "what", "subject", "outcome", "detail"])
def test_every_field_of_a_row_is_under_its_hash(field: str) -> None:
    trail = rows(5)
    other = NOW.plus(SECOND) if field == "at" else "eve"
    trail[2] = replace(trail[2], entry=replace(trail[2].entry, **{field: other}))
    assert broken(trail) == "row 3 of the audit trail is not what was written"


def test_rows_that_changed_places_are_found() -> None:
    trail = rows(5)
    trail[1], trail[2] = replace(trail[2], position=2), replace(trail[1], position=3)
    assert broken(trail).startswith("row 2")


def test_a_trail_whose_beginning_is_gone_has_to_say_so_with_the_right_hash() -> None:
    trail = rows(6)
    for detail, said in ((trail[2].hash, ""), ("0" * 64, "begins with row 4")):
        entry = Entry(NOW, "", "", FORGOTTEN, "3", "done", detail)
        end = Row(7, entry, chained(trail[-1].hash, 7, entry))
        assert said in broken([*trail[3:], end])
        assert (broken([*trail[3:], end]) == "") == (said == "")
    assert "begins with row 4" in broken(trail[3:])


def test_texts_of_others_are_bounded_and_one_line() -> None:
    assert shortened("a\nb\x1b[1m\ud800") == "a b [1m "
    assert len(shortened("x" * 10_000)) == MOST + 1
