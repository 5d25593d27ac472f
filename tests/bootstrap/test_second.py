"""A second factor is asked for after the password; its codes are good once, and nothing on the disk makes any."""

import asyncio
import re
import stat
from base64 import b32decode
from collections.abc import Sequence
from pathlib import Path

import pytest

from service_monitoring.access.codes import code_of
from service_monitoring.access.desk import Client, HalfOpened, Opened
from service_monitoring.access.identity import OWNER, Identity
from service_monitoring.access.permissions import Permission, Role
from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration
from service_monitoring.errors import Expired, Forbidden, NotFound, Refused, TooMuch, Unauthenticated
from service_monitoring.storage.archive import restore
from tests.bootstrap.houses import HERE, OTHER, PASSWORD, House

STEP = Duration(30 * SECOND)


class App:
    """What shows somebody codes."""

    def __init__(self, house: House, secret: str) -> None:
        self.house = house
        self.typed = secret
        self.secret = b32decode(secret)

    def code(self, steps: int = 0) -> str:
        return code_of(self.secret, self.house.clock.now().plus(Duration(steps * STEP)))

    def wrong(self) -> str:
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in map(self.code, (-1, 0, 1)))


async def turned_on(house: House, who: Identity) -> tuple[App, Sequence[str]]:
    """Somebody turns it on, and waits until another code is shown."""
    app = App(house, (await house.desk.begin_second(who)).secret)
    codes = await house.desk.complete_second(who, app.code())
    await house.clock.advance(STEP)
    return app, codes


async def half_in(house: House, name: str = "rob", password: str = PASSWORD) -> str:
    half = await house.desk.sign_in(name, password, HERE)
    assert isinstance(half, HalfOpened)
    return half.secret


async def said(house: House) -> list[tuple[str, str, str, str, str]]:
    rows = await house.desk.audit(before=None, limit=100)
    return [(row.by, row.what, row.subject, row.outcome, row.detail) for row in rows]


async def test_a_code_is_asked_for_once_the_first_one_was_right(house: House) -> None:
    rob = await house.enter("rob")
    offer = await house.desk.begin_second(rob.identity)
    assert offer.uri.startswith("otpauth://totp/service-monitoring:rob?") and offer.secret in offer.uri
    await house.enter("rob")  # what was only shown is asked of nobody
    app = App(house, offer.secret)
    with pytest.raises(Refused, match="this code is not right"):
        await house.desk.complete_second(rob.identity, app.wrong())
    assert not (await house.desk.second(rob.identity)).on
    codes = await house.desk.complete_second(rob.identity, app.code())
    assert len(set(codes)) == 10 and all(re.fullmatch(r"(\d{5}-){4}\d{5}", code) for code in codes)
    assert [(row.name, row.second) for row in await house.desk.accounts()] == [
        ("ada", False),
        ("rob", True),
        ("vic", False),
    ]
    secret = await half_in(house)
    await house.clock.advance(STEP)
    opened = await house.desk.confirm(secret, app.code(), HERE)
    assert opened.identity.name == "rob" and await house.lets_in(opened)
    with pytest.raises(Expired):
        await house.desk.confirm(secret, app.code(1), HERE)


async def test_the_first_code_is_good_for_nothing_else(house: House) -> None:
    rob = (await house.enter("rob")).identity
    app = App(house, (await house.desk.begin_second(rob)).secret)
    await house.desk.complete_second(rob, app.code())
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(await half_in(house), app.code(), HERE)


async def test_turning_it_on_ends_the_other_sessions(house: House) -> None:
    first, second, others = await house.enter("rob"), await house.enter("rob"), await house.enter()
    await turned_on(house, second.identity)
    assert [await house.lets_in(each) for each in (first, second, others)] == [False, True, True]


async def test_what_was_shown_is_good_for_half_an_hour_and_the_newest_alone(house: House) -> None:
    rob = (await house.enter("rob")).identity
    with pytest.raises(Expired):
        await house.desk.complete_second(rob, "123456")
    older = App(house, (await house.desk.begin_second(rob)).secret)
    app = App(house, (await house.desk.begin_second(rob)).secret)
    with pytest.raises(Refused):
        await house.desk.complete_second(rob, older.code())
    await house.clock.advance(Duration(30 * MINUTE))
    with pytest.raises(Expired):
        await house.desk.complete_second(rob, app.code())


async def test_a_code_is_good_once_also_after_a_restart(house: House) -> None:
    app, _ = await turned_on(house, (await house.enter("rob")).identity)
    code = app.code()
    await house.desk.confirm(await half_in(house), code, HERE)
    with pytest.raises(Unauthenticated, match="not right, or was used already"):
        await house.desk.confirm(await half_in(house), code, HERE)
    await house.restart()
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(await half_in(house), code, HERE)
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(await half_in(house), app.code(-1), HERE)
    await house.desk.confirm(await half_in(house), app.code(1), HERE)


async def test_of_two_who_send_one_code_at_once_one_is_let_in(house: House) -> None:
    app, _ = await turned_on(house, (await house.enter("rob")).identity)
    halves = [await half_in(house) for _ in range(2)]
    came = await asyncio.gather(
        *(house.desk.confirm(half, app.code(), HERE) for half in halves), return_exceptions=True
    )
    assert {type(each) for each in came} == {Opened, Unauthenticated}


@pytest.mark.parametrize(("steps", "fits"), [(-2, False), (-1, True), (1, True), (2, False)], ids=str)
async def test_a_clock_that_is_one_step_off_is_taken(house: House, steps: int, fits: bool) -> None:
    app, _ = await turned_on(house, (await house.enter("rob")).identity)
    await house.clock.advance(Duration(5 * STEP))
    half = await half_in(house)
    if fits:
        await house.desk.confirm(half, app.code(steps), HERE)
    else:
        with pytest.raises(Unauthenticated):
            await house.desk.confirm(half, app.code(steps), HERE)


async def test_a_recovery_code_is_good_once_and_for_its_account_alone(house: House) -> None:
    rob, vic = (await house.enter("rob")).identity, (await house.enter("vic")).identity
    _, codes = await turned_on(house, rob)
    _, others = await turned_on(house, vic)
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(await half_in(house), others[0], HERE)
    await house.desk.confirm(await half_in(house), codes[3].replace("-", " "), HERE)
    assert (await house.desk.second(rob)).codes == 9
    await house.restart()
    assert (await house.desk.second(rob)).codes == 9
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(await half_in(house), codes[3], HERE)
    assert ("rob", "session.begin", "rob", "done", "from 192.0.2.1 with a recovery code, 9 left") in await said(house)


async def test_who_owes_a_code_has_five_minutes_and_no_session(house: House) -> None:
    app, _ = await turned_on(house, (await house.enter("rob")).identity)
    half = await half_in(house)
    assert await house.desk.session(half, HERE) is None
    assert await house.desk.token(half, HERE) is None
    await house.clock.advance(Duration(5 * MINUTE))
    with pytest.raises(Expired, match="sign in anew"):
        await house.desk.confirm(half, app.code(), HERE)
    half = await half_in(house)
    await house.restart()
    with pytest.raises(Expired):
        await house.desk.confirm(half, app.code(), HERE)


@pytest.mark.parametrize("what", ["password", "disabled", "removed", "factor"])
async def test_who_owes_a_code_owes_it_to_the_account_as_it_was(house: House, what: str) -> None:
    rob = (await house.enter("rob")).identity
    app, _ = await turned_on(house, rob)
    half = await half_in(house)
    match what:
        case "password":
            await house.desk.change_account(OWNER, "rob", password=OTHER)
        case "disabled":
            await house.desk.change_account(OWNER, "rob", disabled=True)
        case "removed":
            await house.desk.remove_account(OWNER, "rob")
        case _:
            await house.desk.end_second(rob, PASSWORD, HERE)
    with pytest.raises(Expired):
        await house.desk.confirm(half, app.code(), HERE)


async def test_ten_at_most_are_half_way_in_of_one_account(house: House) -> None:
    app, _ = await turned_on(house, (await house.enter("rob")).identity)
    halves = [await half_in(house) for _ in range(11)]
    with pytest.raises(Expired):
        await house.desk.confirm(halves[0], app.code(), HERE)
    await house.desk.confirm(halves[1], app.code(), HERE)


async def test_five_codes_a_minute_are_tried_of_an_account_wherever_they_come_from(house: House) -> None:
    app, _ = await turned_on(house, (await house.enter("rob")).identity)
    half = await half_in(house)
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await house.desk.confirm(half, app.wrong(), Client(f"192.0.2.{number}"))
    with pytest.raises(TooMuch) as refusal:
        await house.desk.confirm(half, app.code(), Client("192.0.2.99"))
    assert refusal.value.seconds == 60
    await house.clock.advance(MINUTE)
    await house.desk.confirm(half, app.code(), HERE)


async def test_twenty_codes_an_hour_are_tried_and_recovery_codes_besides(house: House) -> None:
    app, codes = await turned_on(house, (await house.enter("rob")).identity)
    for _ in range(4):
        half = await half_in(house)
        for number in range(5):
            with pytest.raises(Unauthenticated):
                await house.desk.confirm(half, app.wrong(), Client(f"192.0.2.{number}"))
        await house.clock.advance(MINUTE)
    with pytest.raises(TooMuch, match="wait 56 minutes, or use a recovery code"):
        await house.desk.confirm(await half_in(house), app.code(), HERE)
    await house.desk.confirm(await half_in(house), codes[0], HERE)
    await house.clock.advance(HOUR)
    await house.desk.confirm(await half_in(house), app.code(), HERE)


async def test_whoever_is_let_in_is_not_counted(house: House) -> None:
    app, _ = await turned_on(house, (await house.enter("rob")).identity)
    for _ in range(21):
        await house.desk.confirm(await half_in(house), app.code(), HERE)
        await house.clock.advance(STEP)


async def test_another_password_keeps_the_second_factor(house: House) -> None:
    rob = (await house.enter("rob")).identity
    app, _ = await turned_on(house, rob)
    await house.desk.change_password(rob, PASSWORD, OTHER, HERE)
    half = await half_in(house, password=OTHER)
    await house.desk.confirm(half, app.code(), HERE)
    await house.desk.change_account(OWNER, "rob", password=PASSWORD)
    await half_in(house)


async def test_turning_it_off_takes_the_password(house: House) -> None:
    rob = (await house.enter("rob")).identity
    _, codes = await turned_on(house, rob)
    with pytest.raises(Refused, match="turn it off first"):
        await house.desk.begin_second(rob)
    with pytest.raises(Refused, match="the password is another one"):
        await house.desk.end_second(rob, OTHER, HERE)
    await house.desk.end_second(rob, PASSWORD, HERE)
    assert not (await house.desk.second(rob)).on
    await house.enter("rob")
    await house.restart()
    await house.enter("rob")
    await turned_on(house, rob)
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(await half_in(house), codes[0], HERE)


async def test_an_admin_takes_it_away_from_others_and_that_is_written_down(house: House) -> None:
    ada, rob = (await house.enter()).identity, await house.enter("rob")
    await turned_on(house, rob.identity)
    await turned_on(house, ada)
    with pytest.raises(Forbidden):
        await house.desk.remove_second(rob.identity, "ada")
    with pytest.raises(Refused, match="with the password"):
        await house.desk.remove_second(ada, "ada")
    with pytest.raises(Refused, match="vic has no second factor"):
        await house.desk.remove_second(ada, "vic")
    with pytest.raises(NotFound):
        await house.desk.remove_second(ada, "nobody")
    assert not (await house.desk.remove_second(ada, "rob")).second
    assert not await house.lets_in(rob)
    assert (await said(house))[0] == ("ada", "second.remove", "rob", "done", "")
    await house.enter("rob")
    await house.desk.remove_second(OWNER, "ada")
    await house.enter()


async def test_a_removed_account_leaves_no_factor_to_whoever_gets_its_name(house: House) -> None:
    await turned_on(house, (await house.enter("rob")).identity)
    await house.desk.remove_account(OWNER, "rob")
    await house.desk.create_account(OWNER, "rob", Role.VIEWER, PASSWORD)
    await house.enter("rob")
    people = await house.store.people()
    assert (people.seconds, people.codes) == ([], [])


async def test_tokens_and_identity_providers_are_asked_for_no_code(house: House) -> None:
    rob = (await house.enter("rob")).identity
    await turned_on(house, rob)
    token = await house.desk.create_token(rob, "ci", [Permission.READ], None)
    assert await house.desk.token(token.secret, HERE) is not None
    out = await house.desk.admit("issuer/1", "olga", Role.VIEWER, HERE)
    with pytest.raises(Refused, match="an identity provider answers"):
        await house.desk.begin_second(out.identity)


async def test_nothing_on_the_disk_makes_codes_without_the_key_beside_it(house: House, tmp_path: Path) -> None:
    app, codes = await turned_on(house, (await house.enter("rob")).identity)
    half = await half_in(house)
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(half, app.wrong(), HERE)
    await house.store.backup(tmp_path / "copy.backup")
    key = house.folder / "second.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    restore(tmp_path / "copy.backup", tmp_path / "restored")
    restored = b"".join(path.read_bytes() for path in (tmp_path / "restored").iterdir())
    for kept in (house.bytes(), restored):
        assert b"second_factors" in kept
        for secret in (app.secret, app.typed.encode(), app.secret.hex().encode(), half.encode()):
            assert secret not in kept
        for code in codes:
            assert code.encode() not in kept and code.replace("-", "").encode() not in kept
    assert key.read_bytes() not in restored


async def test_with_another_key_recovery_codes_still_help(house: House) -> None:
    app, codes = await turned_on(house, (await house.enter("rob")).identity)
    (house.folder / "second.key").unlink()
    await house.restart()
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(await half_in(house), app.code(), HERE)
    opened = await house.desk.confirm(await half_in(house), codes[0], HERE)
    await house.desk.end_second(opened.identity, PASSWORD, HERE)
    app, _ = await turned_on(house, opened.identity)
    await house.desk.confirm(await half_in(house), app.code(), HERE)


async def test_the_trail_says_who_was_half_way_in_and_never_a_code(house: House) -> None:
    app, codes = await turned_on(house, (await house.enter("rob")).identity)
    half = await half_in(house)
    wrong = app.wrong()
    with pytest.raises(Unauthenticated):
        await house.desk.confirm(half, wrong, HERE)
    code = app.code()
    await house.desk.confirm(half, code, HERE)
    trail = await said(house)
    assert [row[1:] for row in trail[:4]] == [
        ("session.begin", "rob", "done", "from 192.0.2.1 with a code"),
        ("session.confirm", "rob", "refused", "from 192.0.2.1"),
        ("session.half", "rob", "done", "from 192.0.2.1"),
        ("second.create", "rob", "done", ""),
    ]
    assert not any(each in str(trail) for each in (code, wrong, half, app.typed, *codes))
    assert await house.desk.verify_audit() == ""
