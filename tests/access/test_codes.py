"""Codes by time, their drift, and the seal of what they are made of."""

import pytest

from service_monitoring.access.codes import code_of, matching, opened, sealed, typed, uri
from service_monitoring.access.second import recovery_code, recovery_digest, six_digits
from service_monitoring.domain.instants import SECOND, Instant

SECRET = b"12345678901234567890"
KEY, OTHER = b"k" * 64, b"o" * 64
NONCE = b"n" * 12


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000 // 3, "643405"),
    ],
    ids=str,
)
def test_codes_are_those_of_rfc_6238(second: int, code: str) -> None:
    at = Instant(second * SECOND)
    if second < 6_000_000_000:
        assert code_of(SECRET, at) == code
    assert matching(SECRET, code_of(SECRET, at), at, 0) == second // 30


@pytest.mark.parametrize(("steps", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)], ids=str)
def test_a_clock_may_be_one_step_before_or_behind_ours(steps: int, fits: bool) -> None:
    theirs = 1_111_111_109 + 30 * steps
    found = matching(SECRET, code_of(SECRET, Instant(theirs * SECOND)), Instant(1_111_111_109 * SECOND), 0)
    assert found == (theirs // 30 if fits else None)


def test_a_code_of_the_last_step_or_of_an_earlier_one_is_none() -> None:
    at = Instant(1_111_111_109 * SECOND)
    here = at.ns // (30 * SECOND)
    before, now, after = (code_of(SECRET, Instant((here + step) * 30 * SECOND)) for step in (-1, 0, 1))
    assert [matching(SECRET, code, at, here) for code in (before, now, after)] == [None, None, here + 1]


@pytest.mark.parametrize("code", ["", "28708", "2870822", "\uff12" * 6, "abcdef", "-87082", "\ud800"], ids=ascii)
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert six_digits(code) == ""
    assert matching(SECRET, code, Instant(59 * SECOND), 0) is None


def test_spaces_that_apps_show_are_left_out() -> None:
    assert six_digits(" 287 082\n") == "287082"


def test_a_seal_is_opened_with_its_key_for_its_account_alone() -> None:
    text = sealed(KEY, NONCE, SECRET, "ada")
    assert opened(KEY, text, "ada") == SECRET
    assert opened(OTHER, text, "ada") is None
    assert opened(KEY, text, "eve") is None
    name, _, content = text.partition(".")
    for altered in (f"{name}.A{content[1:]}", f"{name}.", f"{name}.äöü", f"00000000.{content}", "", name):
        assert opened(KEY, altered, "ada") is None
    assert sealed(OTHER, NONCE, SECRET, "ada").partition(".")[0] != name


def test_what_apps_read_says_how_codes_are_made() -> None:
    assert uri(SECRET, "ada@example.org") == (
        "otpauth://totp/service-monitoring:ada%40example.org?digits=6&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        "&algorithm=SHA1&issuer=service-monitoring&period=30"
    )
    assert typed(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def test_a_recovery_code_has_eighty_bits_and_is_known_however_it_is_written() -> None:
    code = recovery_code("ff00" * 16)
    assert code == "12042-21828-09861-89444-54400"
    assert recovery_code("0" * 64) == "00000-00000-00000-00000-00000"
    assert recovery_code("f" * 64) == "12089-25819-61462-91747-06175"
    assert recovery_digest(f" {code.replace('-', ' ')} ") == recovery_digest(code.replace("-", ""))
    assert recovery_digest("\ud800") != recovery_digest(code)
