"""Who is let in, who is not any more, and what of that is written down."""

import asyncio
import sqlite3
from hashlib import sha256

import pytest
from argon2 import PasswordHasher

from service_monitoring.access import hashes
from service_monitoring.access.desk import Client, Opened
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import Permission, Role
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration
from service_monitoring.errors import Forbidden, NotFound, Refused, TooMuch, Unauthenticated, Unavailable
from tests.bootstrap.houses import HERE, OTHER, PASSWORD, House


async def test_the_first_account_is_made_with_the_token_that_was_printed_and_with_it_once(bare: House) -> None:
    assert await bare.desk.setup_needed()
    token = bare.desk.begin_setup()
    with pytest.raises(Unauthenticated):
        await bare.desk.set_up("another", "ada", PASSWORD, HERE)
    with pytest.raises(Refused, match="12 characters"):
        await bare.desk.set_up(token, "ada", "short", HERE)
    opened = await bare.desk.set_up(token, "ada", PASSWORD, HERE)
    assert (opened.identity.name, opened.identity.role) == ("ada", Role.ADMIN)
    assert await bare.lets_in(opened)
    assert not await bare.desk.setup_needed()
    with pytest.raises(Unauthenticated):
        await bare.desk.set_up(token, "eve", PASSWORD, HERE)
    assert bare.desk.begin_setup() == ""


async def test_the_setup_token_is_good_for_half_an_hour(bare: House) -> None:
    token = bare.desk.begin_setup()
    await bare.clock.advance(Duration(30 * MINUTE))
    with pytest.raises(Unauthenticated):
        await bare.desk.set_up(token, "ada", PASSWORD, HERE)
    newer = bare.desk.begin_setup()
    with pytest.raises(Unauthenticated):
        await bare.desk.set_up(token, "ada", PASSWORD, HERE)
    assert (await bare.desk.set_up(newer, "ada", PASSWORD, HERE)).identity.name == "ada"


async def test_of_two_who_set_up_at_once_one_is_let_in(bare: House) -> None:
    token = bare.desk.begin_setup()
    came = await asyncio.gather(
        *(bare.desk.set_up(token, name, PASSWORD, HERE) for name in ("ada", "eve")), return_exceptions=True
    )
    assert {type(each) for each in came} == {Opened, Unauthenticated}
    assert len(await bare.desk.accounts()) == 1


async def test_a_session_is_of_whoever_signed_in(house: House) -> None:
    opened = await house.enter("ROB ")
    identity = await house.desk.session(opened.secret, HERE)
    assert identity == opened.identity
    assert (identity.name, identity.role, identity.via) == ("rob", Role.RESPONDER, "session")
    assert identity.may(Permission.RESPOND) and not identity.may(Permission.ADMINISTER)
    assert identity.csrf and identity.csrf not in (opened.secret, identity.handle)
    assert await house.desk.session("0" * 64, HERE) is None
    assert await house.desk.session(identity.handle, HERE) is None


@pytest.mark.parametrize("name", ["ada", "nobody", "", "a password typed here", "gone"])
async def test_who_is_not_let_in_is_told_the_same_after_the_same_work(house: House, name: str) -> None:
    await house.desk.create_account(OWNER, "gone", Role.VIEWER, PASSWORD)
    await house.desk.change_account(OWNER, "gone", disabled=True)
    before = house.hashing.verified
    with pytest.raises(Unauthenticated) as refusal:
        await house.enter(name, PASSWORD if name == "gone" else OTHER)
    assert str(refusal.value) == "this name and this password let nobody in here"
    assert house.hashing.verified == before + 1


def test_the_hash_of_nobody_costs_what_ours_cost_and_is_the_password_of_nobody() -> None:
    assert not hashes.outdated(hashes.NOBODYS)
    assert not hashes.verified("", "nobody has this password")
    assert not hashes.verified("no hash", PASSWORD)
    assert hashes.NOBODYS.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_what_was_typed_for_a_name_that_there_is_not_is_written_nowhere(house: House) -> None:
    with pytest.raises(Unauthenticated):
        await house.enter("my-secret-password-in-the-wrong-field", "x")
    assert b"my-secret-password" not in house.bytes()
    (row,) = await house.desk.audit(before=None, limit=1)
    assert (row.what, row.subject, row.outcome, row.detail) == ("session.begin", "", "refused", "from 192.0.2.1")


async def test_five_tries_a_minute_for_an_account_wherever_they_come_from(house: House) -> None:
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await house.enter("ada", OTHER, Client(f"192.0.2.{number}"))
    work = house.hashing.verified
    with pytest.raises(TooMuch) as refusal:
        await house.enter("ada", PASSWORD, Client("192.0.2.99"))
    assert house.hashing.verified == work
    assert refusal.value.seconds == 60
    await house.enter("rob", client=Client("192.0.2.99"))
    await house.clock.advance(MINUTE)
    await house.enter("ada")


async def test_five_tries_a_minute_from_an_address_whatever_they_are_about(house: House) -> None:
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await house.enter(f"nobody-{number}", OTHER)
    with pytest.raises(TooMuch):
        await house.enter("ada")
    await house.enter("ada", client=Client("192.0.2.2"))


async def test_whoever_gets_in_is_not_counted(house: House) -> None:
    for _ in range(8):
        await house.enter()


async def test_a_session_ends_when_idle_and_after_a_week_in_any_case(house: House) -> None:
    idle, busy = await house.enter(), await house.enter()
    for hours in range(0, 7 * 24, 11):
        assert await house.lets_in(busy), hours
        await house.clock.advance(Duration(11 * HOUR))
    assert not await house.lets_in(idle)
    assert not await house.lets_in(busy)


async def test_sessions_that_are_over_are_forgotten(house: House) -> None:
    await house.enter()
    assert len((await house.store.people()).sessions) == 1
    await house.clock.advance(Duration(12 * HOUR))
    at = house.clock.now()
    assert (await house.store.prune(facts=at.plus(Duration(-DAY)), samples=at)).sessions == 1
    assert (await house.store.people()).sessions == []


async def test_a_restart_keeps_sessions_and_tokens(house: House) -> None:
    opened = await house.enter()
    token = await house.desk.create_token(opened.identity, "ci", [Permission.READ], None)
    await house.restart()
    assert await house.desk.session(opened.secret, HERE) == opened.identity
    identity = await house.desk.token(token.secret, HERE)
    assert identity is not None and identity.name == "ada"


async def test_being_seen_is_stored_once_a_minute_and_not_with_each_request(house: House) -> None:
    opened = await house.enter()
    writes = house.store.health().facts.operations
    for _ in range(50):
        await house.lets_in(opened)
    assert house.store.health().facts.operations == writes
    await house.clock.advance(MINUTE)
    for _ in range(50):
        await house.lets_in(opened)
    assert house.store.health().facts.operations == writes + 1
    (row,) = await house.desk.sessions(opened.identity, "ada")
    assert row.seen_at == str(house.clock.now()) and row.current


async def test_signing_out_ends_that_session_and_no_other(house: House) -> None:
    one, other = await house.enter(), await house.enter()
    await house.desk.sign_out(one.secret)
    await house.desk.sign_out(one.secret)
    assert not await house.lets_in(one)
    assert await house.lets_in(other)


async def test_another_password_ends_every_session_and_begins_a_new_one(house: House) -> None:
    first, second, others = await house.enter(), await house.enter(), await house.enter("rob")
    with pytest.raises(Refused, match="another one"):
        await house.desk.change_password(first.identity, OTHER, OTHER, HERE)
    with pytest.raises(Refused, match="first that anybody would try"):
        await house.desk.change_password(first.identity, PASSWORD, "passwordpassword", HERE)
    newer = await house.desk.change_password(first.identity, PASSWORD, OTHER, HERE)
    assert [await house.lets_in(each) for each in (first, second, others, newer)] == [False, False, True, True]
    await house.restart()
    assert [await house.lets_in(each) for each in (first, second, others, newer)] == [False, False, True, True]
    with pytest.raises(Unauthenticated):
        await house.enter()
    await house.enter(password=OTHER)


@pytest.mark.parametrize(
    "change", [{"role": Role.VIEWER}, {"disabled": True}, {"password": OTHER}], ids=["role", "disabled", "password"]
)
async def test_changing_an_account_ends_its_sessions(house: House, change: dict[str, object]) -> None:
    rob, ada = await house.enter("rob"), await house.enter()
    await house.desk.change_account(ada.identity, "rob", **change)  # type: ignore[arg-type]  # one of its arguments
    assert not await house.lets_in(rob)
    assert await house.lets_in(ada)


async def test_a_disabled_account_is_not_let_in_by_any_way(house: House) -> None:
    opened = await house.enter("rob")
    token = await house.desk.create_token(opened.identity, "ci", [Permission.READ], None)
    await house.desk.change_account(OWNER, "rob", disabled=True)
    assert await house.desk.token(token.secret, HERE) is None
    with pytest.raises(Unauthenticated):
        await house.enter("rob")
    await house.desk.change_account(OWNER, "rob", disabled=False)
    assert await house.desk.token(token.secret, HERE) is not None
    assert not await house.lets_in(opened)


async def test_removing_an_account_ends_its_sessions_and_tokens(house: House) -> None:
    opened = await house.enter("rob")
    token = await house.desk.create_token(opened.identity, "ci", [Permission.READ], None)
    await house.desk.remove_account(OWNER, "Rob")
    assert not await house.lets_in(opened)
    assert await house.desk.token(token.secret, HERE) is None
    await house.desk.create_account(OWNER, "rob", Role.VIEWER, PASSWORD)
    assert await house.desk.token(token.secret, HERE) is None
    with pytest.raises(NotFound):
        await house.desk.remove_account(OWNER, "nobody")


async def test_an_admin_is_always_left(house: House) -> None:
    for change in ({"role": Role.VIEWER}, {"disabled": True}):
        with pytest.raises(Refused, match="no admin would be left"):
            await house.desk.change_account(OWNER, "ada", **change)
    with pytest.raises(Refused, match="no admin would be left"):
        await house.desk.remove_account(OWNER, "ada")
    await house.desk.change_account(OWNER, "vic", role=Role.ADMIN)
    await house.desk.remove_account(OWNER, "ada")
    await house.restart()
    assert [(each.name, each.role) for each in await house.desk.accounts()] == [
        ("rob", Role.RESPONDER),
        ("vic", Role.ADMIN),
    ]


async def test_names_that_differ_in_capitals_are_one_name(house: House) -> None:
    with pytest.raises(Refused, match="there is an account ada already"):
        await house.desk.create_account(OWNER, "ADA", Role.VIEWER, PASSWORD)


async def test_what_changes_accounts_is_for_admins(house: House) -> None:
    rob = (await house.enter("rob")).identity
    with pytest.raises(Forbidden):
        await house.desk.create_account(rob, "eve", Role.ADMIN, PASSWORD)
    with pytest.raises(Forbidden):
        await house.desk.change_account(rob, "rob", role=Role.ADMIN)
    with pytest.raises(Forbidden):
        await house.desk.remove_account(rob, "ada")
    with pytest.raises(Forbidden):
        await house.desk.sessions(rob, "ada")


async def test_one_ends_ones_own_sessions_and_an_admin_any(house: House) -> None:
    ada, rob, vic = [await house.enter(name) for name in ("ada", "rob", "vic")]
    with pytest.raises(NotFound):
        await house.desk.end_session(vic.identity, rob.identity.handle)
    await house.desk.end_session(vic.identity, vic.identity.handle)
    await house.desk.end_session(ada.identity, rob.identity.handle)
    assert [await house.lets_in(each) for each in (ada, rob, vic)] == [True, False, False]


async def test_a_token_is_good_for_its_scopes_and_never_for_more_than_its_account(house: House) -> None:
    rob = (await house.enter("rob")).identity
    with pytest.raises(Refused, match="never good for more"):
        await house.desk.create_token(rob, "ci", [Permission.ADMINISTER], None)
    made = await house.desk.create_token(rob, "ci", [Permission.RESPOND], None)
    identity = await house.desk.token(made.secret, HERE)
    assert identity is not None
    assert (identity.name, identity.via, identity.handle) == ("rob", "token", made.row.handle)
    assert identity.may(Permission.RESPOND) and identity.may(Permission.READ)
    assert not identity.may(Permission.ACCOUNT) and not identity.may(Permission.METRICS)
    await house.desk.change_account(OWNER, "rob", role=Role.VIEWER)
    identity = await house.desk.token(made.secret, HERE)
    assert identity is not None and not identity.may(Permission.RESPOND)


async def test_a_token_opens_nothing_once_it_expired_or_was_revoked(house: House) -> None:
    rob = (await house.enter("rob")).identity
    short = await house.desk.create_token(rob, "short", [Permission.READ], HOUR)
    long = await house.desk.create_token(rob, "long", [Permission.READ], None)
    await house.clock.advance(HOUR)
    assert await house.desk.token(short.secret, HERE) is None
    assert await house.desk.token(long.secret, HERE) is not None
    await house.clock.advance(Duration(90 * DAY - HOUR - SECOND))
    assert await house.desk.token(long.secret, HERE) is not None
    with pytest.raises(NotFound):
        await house.desk.revoke_token((await house.enter("vic")).identity, long.row.handle)
    await house.desk.revoke_token(rob, long.row.handle)
    assert await house.desk.token(long.secret, HERE) is None
    assert await house.desk.token(long.row.handle, HERE) is None


async def test_whoever_owns_the_socket_says_for_whom_a_token_is(house: House) -> None:
    with pytest.raises(Refused, match="belongs to an account"):
        await house.desk.create_token(OWNER, "ci", [Permission.READ], None)
    made = await house.desk.create_token(OWNER, "ci", [Permission.READ], None, account="vic")
    assert made.row.account == "vic"
    with pytest.raises(Forbidden):
        await house.desk.create_token((await house.enter()).identity, "x", [Permission.READ], None, account="vic")
    assert [row.account for row in await house.desk.tokens(OWNER)] == ["vic"]
    assert await house.desk.tokens((await house.enter("rob")).identity) == []


async def test_nothing_on_the_disk_opens_anything(house: House) -> None:
    opened = await house.enter()
    token = await house.desk.create_token(opened.identity, "ci", [Permission.READ], None)
    await house.desk.change_account(OWNER, "rob", password=OTHER)
    kept = house.bytes()
    assert sha256(token.secret.encode()).hexdigest().encode() in kept
    for secret in (token.secret, token.secret[3:], opened.secret, opened.identity.csrf, PASSWORD, OTHER):
        assert secret.encode() not in kept


async def test_a_password_is_hashed_anew_when_it_was_hashed_with_other_parameters(house: House) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    with sqlite3.connect(house.folder / "facts.db") as connection:
        connection.execute("UPDATE accounts SET password = ? WHERE name = 'ada'", (weak,))
    await house.restart()
    assert await house.lets_in(await house.enter())
    (kept,) = [account.password for account in (await house.store.people()).accounts if account.name == "ada"]
    assert kept != weak and not hashes.outdated(kept)


async def test_an_identity_provider_answers_for_its_accounts(house: House) -> None:
    with pytest.raises(Unauthenticated):
        await house.desk.admit("issuer|1", "oda", None, HERE)
    with pytest.raises(Refused, match="somebody else's"):
        await house.desk.admit("issuer|1", "ada", Role.ADMIN, HERE)
    opened = await house.desk.admit("issuer|1", "oda", Role.VIEWER, HERE)
    assert opened.identity.name == "oda"
    assert (await house.desk.admit("issuer|1", "renamed", Role.RESPONDER, HERE)).identity.role is Role.RESPONDER
    with pytest.raises(Unauthenticated, match="no role"):
        await house.desk.admit("issuer|1", "renamed", None, HERE)
    assert not await house.lets_in(opened)
    with pytest.raises(Unauthenticated):
        await house.enter("oda", "")
    with pytest.raises(Refused, match="identity provider"):
        await house.desk.change_password(opened.identity, "", PASSWORD, HERE)
    await house.desk.change_account(OWNER, "oda", disabled=True)
    with pytest.raises(Unauthenticated):
        await house.desk.admit("issuer|1", "oda", Role.ADMIN, HERE)


async def test_every_change_of_accounts_is_written_down_with_who_did_it(house: House) -> None:
    ada = (await house.enter()).identity
    await house.desk.change_account(ada, "vic", role=Role.RESPONDER)
    token = await house.desk.create_token(ada, "ci", [Permission.READ], None)
    await house.desk.revoke_token(ada, token.row.handle)
    await house.desk.remove_account(ada, "vic")
    await house.desk.note(ada, "POST /api/v1/reload", "", "done", "200")
    rows = (await house.desk.audit(before=None, limit=6))[::-1]
    assert [(row.by, row.what, row.subject, row.outcome) for row in rows] == [
        ("ada", "session.begin", "ada", "done"),
        ("ada", "account.change", "vic", "done"),
        ("ada", "token.create", "ada", "done"),
        ("ada", "token.revoke", "ada", "done"),
        ("ada", "account.remove", "vic", "done"),
        ("ada", "POST /api/v1/reload", "", "done"),
    ]
    assert {row.via for row in rows} == {f"session {ada.handle}"}
    assert rows[1].detail == "role responder"
    assert [row.position for row in await house.desk.audit(before=3, limit=10)] == [2, 1]
    assert await house.desk.verify_audit() == ""


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE audit SET by = 'eve' WHERE position = 2", "row 2 of the audit trail is not what was written"),
        ("UPDATE audit SET at = at + 1 WHERE position = 2", "row 2 of the audit trail is not what was written"),
        ("DELETE FROM audit WHERE position = 2", "from row 1 to row 3"),
        ("DELETE FROM audit WHERE position < 3", "begins with row 3"),
        ("UPDATE audit SET hash = 'x' WHERE position = 1", "row 1 of"),
    ],
    ids=["changed", "moved", "removed", "beheaded", "another-hash"],
)
async def test_a_row_of_the_trail_that_was_tampered_with_is_found(house: House, statement: str, complaint: str) -> None:
    assert await house.desk.verify_audit() == ""
    with sqlite3.connect(house.folder / "facts.db") as connection:
        connection.execute(statement)
    assert complaint in await house.desk.verify_audit()


async def test_what_is_forgotten_of_the_trail_leaves_one_that_can_be_verified(house: House) -> None:
    await house.clock.advance(Duration(8 * DAY))
    ada = (await house.enter()).identity
    now = house.clock.now()
    assert (await house.store.prune(facts=now.plus(Duration(-7 * DAY)), samples=now)).entries == 0
    assert (await house.store.prune(facts=now.plus(Duration(-HOUR)), samples=now)).entries == 3
    await house.desk.note(ada, "POST /somewhere", "", "done")
    assert [row.what for row in await house.desk.audit(before=None, limit=9)] == [
        "POST /somewhere",
        "audit.forgotten",
        "session.begin",
    ]
    assert await house.desk.verify_audit() == ""
    with sqlite3.connect(house.folder / "facts.db") as connection:
        connection.execute("DELETE FROM audit WHERE position = (SELECT min(position) FROM audit)")
    assert "begins with row 5" in await house.desk.verify_audit()


async def test_what_could_not_be_stored_has_not_happened(house: House) -> None:
    opened = await house.enter("rob")
    await house.store.close()
    with pytest.raises(Unavailable):
        await house.desk.change_account(OWNER, "rob", disabled=True)
    await house.open()
    assert await house.lets_in(opened)


async def test_who_is_cancelled_half_way_leaves_nothing_that_differs_from_what_is_stored(house: House) -> None:
    opened = await house.enter("rob")
    work = asyncio.ensure_future(house.desk.change_account(OWNER, "rob", role=Role.VIEWER))
    while await house.desk.session(opened.secret, HERE) is not None:
        await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    identity = await house.desk.session(opened.secret, HERE)
    stored = {account.name: account.role for account in (await house.store.people()).accounts}
    assert {row.name: row.role for row in await house.desk.accounts()} == stored
    assert (identity is None) == (stored["rob"] is Role.VIEWER)


async def test_more_than_enough_who_sign_in_at_once_are_told_to_come_again(house: House) -> None:
    came = await asyncio.gather(
        *(house.enter("nobody" + str(number), client=Client(f"198.51.100.{number}")) for number in range(40)),
        return_exceptions=True,
    )
    kinds = [type(each) for each in came]
    assert kinds.count(TooMuch) == 8
    assert kinds.count(Unauthenticated) == 32
