"""Links say what they permit, the same in every attempt, and nobody without the key can write or change one."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.domain.inputs import Act
from service_monitoring.domain.instants import DAY, SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.testing.sink_laws import a_digest, a_notice
from service_monitoring.views.digests import apart
from service_monitoring.wire.links import LONGEST, Permission, Signer

KEY = b"0123456789abcdef" * 4
SIGNER = Signer(KEY, "https://monitor.example.com/watch")
UNTIL = Instant.parse("2026-01-12T09:00:15Z")
PERMISSION = Permission("0123456789abcdef", Act.ACKNOWLEDGE, "ops", UNTIL)
TOKEN = SIGNER.token(PERMISSION)

permissions = st.builds(
    Permission,
    incident=st.text("0123456789abcdef", min_size=1, max_size=16),
    act=st.sampled_from(Act),
    channel=st.text(st.characters(codec="utf-8"), max_size=30),
    expires_at=st.integers(0, 2**61).map(Instant),
)


def test_a_notice_has_a_link_for_each_thing_that_may_be_done() -> None:
    notice = a_notice()
    links = SIGNER.links(notice, "ops")
    assert [word for word, _ in links] == ["acknowledge", "resolve"]
    for (word, url), act in zip(links, (Act.ACKNOWLEDGE, Act.RESOLVE), strict=True):
        assert url.startswith("https://monitor.example.com/watch/act/") and word == act
        permitted = SIGNER.read(url.rpartition("/")[2])
        assert permitted == Permission(notice.facts.incident, act, "ops", notice.decided_at.plus(Duration(7 * DAY)))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"state": "acknowledged"}, ["resolve"]),
        ({"state": "resolved"}, []),
        ({"state": "closed"}, []),
        ({"state": "flapping", "incident": ""}, []),
        ({"state": "parked", "incident": ""}, []),
        ({"incident": ""}, []),
    ],
)
def test_what_cannot_be_done_has_no_link(facts: dict[str, str], words: list[str]) -> None:
    notice = a_notice(page=Page.RELEASED)
    notice = replace(notice, facts=replace(notice.facts, **facts))
    assert [word for word, _ in SIGNER.links(notice, "ops")] == words


@pytest.mark.parametrize(
    "notice",
    [
        a_digest("open", "open"),
        a_digest("open", "resolved", page=Page.UPDATED),
        a_digest("open", open=2),
        a_digest("open", over=1, page=Page.UPDATED),
    ],
)
def test_a_notice_about_several_incidents_has_no_link(notice: Notice) -> None:
    assert SIGNER.links(notice, "ops") == ()


def test_each_incident_of_several_has_its_links_where_it_is_told_by_itself() -> None:
    open_, taken = reversed(apart(a_digest("open", "acknowledged")))
    assert [word for word, _ in SIGNER.links(open_, "ops")] == ["acknowledge", "resolve"]
    [(word, url)] = SIGNER.links(taken, "ops")
    permitted = SIGNER.read(url.rpartition("/")[2])
    assert word == "resolve" and permitted is not None
    assert permitted.incident == a_notice(2).facts.incident


def test_the_links_of_a_notice_are_the_same_bytes_every_time_and_others_for_every_channel() -> None:
    again = Signer(KEY, "https://monitor.example.com/watch")
    assert SIGNER.links(a_notice(), "ops") == again.links(a_notice(), "ops")
    urls = [url for channel in ("ops", "desk") for _, url in SIGNER.links(a_notice(), channel)]
    urls += [url for _, url in SIGNER.links(a_notice(2), "ops")]
    later = replace(a_notice(), decided_at=a_notice().decided_at.plus(SECOND))
    urls += [url for _, url in SIGNER.links(later, "ops")]
    assert len(set(urls)) == 8


@given(permissions)
def test_a_token_comes_back_as_it_was(permission: Permission) -> None:
    token = SIGNER.token(permission)
    assert SIGNER.read(token) == permission
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(permissions, st.data())
def test_a_token_that_was_changed_anywhere_permits_nothing(permission: Permission, data: st.DataObject) -> None:
    token = SIGNER.token(permission)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != token[place]))
    assert SIGNER.read(token[:place] + other + token[place + 1 :]) is None
    assert SIGNER.read(token[:place]) is None
    assert SIGNER.read(token + other) is None


@given(st.text(max_size=2_000))
def test_what_is_no_token_permits_nothing_and_is_no_error(text: str) -> None:
    assert SIGNER.read(text) is None


@pytest.mark.parametrize("text", ["", ".", "..", "a.", ".a", "\udc80.\udc80", "é.é", TOKEN * 20, "A" * LONGEST + TOKEN])
def test_what_is_far_from_a_token_permits_nothing(text: str) -> None:
    assert SIGNER.read(text) is None


def test_each_part_of_what_is_permitted_is_under_the_seal() -> None:
    """The content of one token with the seal of another permits nothing."""
    others = [
        replace(PERMISSION, incident="fedcba9876543210"),
        replace(PERMISSION, act=Act.RESOLVE),
        replace(PERMISSION, channel="desk"),
        replace(PERMISSION, expires_at=UNTIL.plus(SECOND)),
    ]
    seal = TOKEN.rpartition(".")[2]
    for other in others:
        content, _, mine = SIGNER.token(other).rpartition(".")
        assert mine != seal
        assert SIGNER.read(f"{content}.{seal}") is None


def test_a_token_of_another_key_and_a_seal_for_another_purpose_permit_nothing() -> None:
    assert Signer(KEY[::-1], "").read(TOKEN) is None
    content = TOKEN.rpartition(".")[0]
    bare = urlsafe_b64encode(hmac.digest(KEY, content.encode(), sha256)).rstrip(b"=").decode()
    assert SIGNER.read(f"{content}.{bare}") is None


def test_a_token_that_permits_what_only_a_newer_version_knows_permits_nothing_here() -> None:
    class Newer(Signer):
        def forge(self, content: bytes) -> str:
            text = urlsafe_b64encode(content).rstrip(b"=").decode()
            return f"{text}.{self._seal(text)}"

    content = urlsafe_b64decode(TOKEN.rpartition(".")[0] + "==")
    newer = Newer(KEY, "")
    assert newer.forge(content) == TOKEN
    assert SIGNER.read(newer.forge(content.replace(b"acknowledge", b"invented"))) is None
    assert SIGNER.read(newer.forge(b"nothing of this kind")) is None
