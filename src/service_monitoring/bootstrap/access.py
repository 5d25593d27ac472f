"""The desk of access of this installation: accounts, sessions, tokens and the audit trail over the embedded store.

Owns the accounts and what is theirs in memory, and their being up to date: nobody else writes them while this program
has the folder. What opens anything is known here while it is made and while it is looked for, and never stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec.structs import replace

from service_monitoring.access import passwords, second, sessions, setup, tokens
from service_monitoring.access.accounts import Account, fit_name, same, still_led
from service_monitoring.access.audit import Chain, Entry, Row, shortened
from service_monitoring.access.desk import (
    AccountRow,
    AuditRow,
    Client,
    HalfOpened,
    NewToken,
    Opened,
    Second,
    SecondOffer,
    SessionRow,
    TokenRow,
)
from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import OF_ROLE, Permission, Role, of_scopes
from service_monitoring.access.second import RecoveryCode, SecondFactor
from service_monitoring.access.sessions import Session
from service_monitoring.access.throttle import Throttle, origin
from service_monitoring.access.tokens import Token
from service_monitoring.bootstrap.hashing import Hashing
from service_monitoring.bootstrap.logs import log
from service_monitoring.bootstrap.second import KEY, Seconds
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.errors import Expired, Forbidden, NotFound, Refused, TooMuch, Unauthenticated, Unavailable
from service_monitoring.ports import Clock, Tick
from service_monitoring.storage.access import Change
from service_monitoring.storage.sqlite import SqliteStore

_NOT_LET_IN = "this name and this password let nobody in here"
_TOO_LATE = "that took too long: sign in anew"
_NO_SETUP = "this token opens nothing: a program without accounts prints a new one when it starts"


class StoreAccess:
    """`access.desk.AccessDesk` over a store. Belongs to its loop; `session` and `token` hardly ever wait.

    Cancelled, what was under way is kept whole or not at all; what is in memory is read again before it is used.
    """

    def __init__(
        self, store: SqliteStore, clock: Clock, make: Callable[[], str], hashing: Hashing | None = None
    ) -> None:
        """`make` gives 256 random bits as hexadecimal digits."""
        self._store = store
        self._clock = clock
        self._make = make
        self._hashing = hashing or Hashing(make)
        self._throttle = Throttle()
        self._digits = Throttle(tries=second.TRIES, within=second.WITHIN)
        self._half = Seconds(lambda: store.secret(KEY, make), make)
        self._changing = asyncio.Lock()
        self._stale = False
        self._setup: setup.Setup | None = None
        self._accounts: dict[str, Account] = {}
        self._sessions: dict[str, Session] = {}
        self._tokens: dict[str, Token] = {}
        self._seconds: dict[str, SecondFactor] = {}
        self._codes: dict[str, RecoveryCode] = {}

    async def load(self) -> StoreAccess:
        """Read what is stored."""
        people = await self._store.people()
        self._accounts = {same(each.name): each for each in people.accounts}
        self._sessions = {each.hash: each for each in people.sessions}
        self._tokens = {each.hash: each for each in people.tokens}
        self._seconds = {same(each.account): each for each in people.seconds}
        self._codes = {each.hash: each for each in people.codes}
        self._stale = False
        return self

    # The first run ----------------------------------------------------------------------------------------------------

    def begin_setup(self) -> str:
        """The token with which the first account is made, from now on the only one; nothing where there is one."""
        if self._accounts:
            return ""
        secret = self._make()
        self._setup = setup.begun(secret, self._clock.now())
        return secret

    async def setup_needed(self) -> bool:
        """Whether there is no account yet."""
        await self._fresh()
        return not self._accounts

    async def set_up(self, token: str, name: str, password: str, client: Client) -> Opened:
        """Make the first account."""
        await self._fresh()
        tried = self._try([f"address {origin(client.address)}"])
        if self._accounts or not setup.opens(self._setup, token, self._clock.now()):
            raise Unauthenticated(_NO_SETUP)
        name, chosen = fit_name(name), passwords.fit(password, name)
        encoded = await self._hashing.hash(chosen)
        async with self._changing:
            if self._accounts:
                raise Unauthenticated(_NO_SETUP)
            now = self._clock.now()
            account = Account(name, Role.ADMIN, encoded, now, now)
            opened, session = self._begun(account, client, now)
            entry = _entry(now, opened.identity, "setup", name, detail=_from(client))
            await self._write(Change(entry, put=account, begun=session))
            self._setup = None
        self._succeeded(tried)
        return opened

    # Coming in --------------------------------------------------------------------------------------------------------

    async def sign_in(self, name: str, password: str, client: Client) -> Opened | HalfOpened:
        """Begin a session, or ask for a code."""
        await self._fresh()
        tried = self._try([f"account {same(name.strip())[:100]}", f"address {origin(client.address)}"])
        account = self._accounts.get(same(name.strip()))
        encoded = await self._hashing.verify(
            "" if account is None else account.password, passwords.plain(password[:1024])
        )
        async with self._changing:
            if (
                account is None
                or encoded is None
                or account.disabled
                or self._accounts.get(same(name.strip())) != account
            ):
                # Of a name that there is not nothing is written down: people type passwords there, too.
                known = "" if account is None else account.name
                await self._refused("session.begin", known, client)
                raise Unauthenticated(_NOT_LET_IN)
            renewed = replace(account, password=encoded) if encoded != account.password else None
            factor = self._seconds.get(same(account.name))
            if factor is None:
                opened: Opened | HalfOpened = await self._begin(renewed or account, client, put=renewed)
            else:
                now = self._clock.now()
                entry = Entry(now, "", "", "session.half", account.name, "done", _from(client))
                await self._write(Change(entry, put=renewed))
                opened = HalfOpened(self._half.let_half_in(renewed or account, factor, now))
        self._succeeded(tried)
        return opened

    async def confirm(self, secret: str, code: str, client: Client) -> Opened:
        """Begin the session for which a code was owed."""
        await self._fresh()
        half = self._half.half_in(secret, self._clock.now())
        if half is None:
            raise Expired(_TOO_LATE)
        digits = second.six_digits(code)
        tried = self._try([f"code {same(half.account)}", f"address {origin(client.address)}"])
        # Nobody guesses a recovery code: whoever has one is let in, however often others tried their luck.
        counted = self._try_digits(half.account) if digits else None
        await self._half.ready()
        async with self._changing:
            now = self._clock.now()
            account, factor = self._accounts.get(same(half.account)), self._seconds.get(same(half.account))
            if (
                account is None
                or factor is None
                or account.disabled
                or self._half.half_in(secret, now) is None
                or (account.password, factor.sealed) != (half.password, half.sealed)
            ):
                raise Expired(_TOO_LATE)
            change = self._proved(factor, code, digits, now)
            if change is None:
                await self._refused("session.confirm", account.name, client)
                raise Unauthenticated("this code is not right, or was used already")
            self._half.let_go(secret)
            opened = await self._begin(account, client, put=None, proved=change)
        self._succeeded(tried)
        if counted is not None:
            self._digits.forgive(*counted)
        return opened

    async def admit(self, subject: str, name: str, role: Role | None, client: Client) -> Opened:
        """Begin a session of somebody for whom an identity provider answers."""
        await self._fresh()
        async with self._changing:
            now = self._clock.now()
            account = next((each for each in self._accounts.values() if each.subject == subject != ""), None)
            put: Account | None = None
            if role is None:
                await self._without_role(account, client)
                raise Unauthenticated("the identity provider gives this account no role here")
            if account is None:
                if not subject:
                    raise Unauthenticated(_NOT_LET_IN)
                if same(fit_name(name)) in self._accounts:
                    raise Refused(f"there is an account {name.strip()} already, and it is somebody else's")
                account = put = Account(fit_name(name), role, "", now, now, subject=subject)
            elif role is not account.role:
                account = put = replace(account, role=role, changed_at=now)
            if account.disabled:
                await self._refused("session.begin", account.name, client)
                raise Unauthenticated(_NOT_LET_IN)
            return await self._begin(account, client, put=put)

    async def session(self, secret: str, client: Client) -> Identity | None:
        """Whose session that is."""
        await self._fresh()
        found = self._sessions.get(sessions.digest(secret))
        now = self._clock.now()
        if found is None or not sessions.alive(found, now):
            return None
        account = self._accounts.get(same(found.account))
        if account is None or account.disabled:
            return None
        if now.since(found.seen_at) >= sessions.NOTED:
            self._sessions[found.hash] = replace(found, seen_at=now)
            with suppress(Unavailable):  # a full disk keeps nobody from looking
                await self._store.seen(sessions={found.hash: now})
        return _session_identity(account, found.handle, secret)

    async def token(self, secret: str, client: Client) -> Identity | None:
        """Whose token that is."""
        await self._fresh()
        found = self._tokens.get(sessions.digest(secret)) if tokens.is_one(secret) else None
        now = self._clock.now()
        if found is None or not tokens.alive(found, now):
            return None
        account = self._accounts.get(same(found.account))
        if account is None or account.disabled:
            return None
        if found.used_at is None or now.since(found.used_at) >= sessions.NOTED:
            self._tokens[found.hash] = replace(found, used_at=now)
            with suppress(Unavailable):  # likewise
                await self._store.seen(tokens={found.hash: now})
        allowed = of_scopes(found.scopes, account.role)
        return Identity(account.name, account.role, allowed, "token", handle=found.handle)

    async def sign_out(self, secret: str) -> None:
        """End a session; one that is none has ended."""
        await self._fresh()
        async with self._changing:
            found = self._sessions.get(sessions.digest(secret))
            account = None if found is None else self._accounts.get(same(found.account))
            if found is None or account is None:
                return
            who = _session_identity(account, found.handle, secret)
            entry = _entry(self._clock.now(), who, "session.end", account.name)
            await self._write(Change(entry, ended=(found.hash,)))

    async def change_password(self, who: Identity, old: str, new: str, client: Client) -> Opened:
        """Another password for oneself."""
        account = await self._account(who.name)
        if account.subject:
            raise Refused("an identity provider answers for this account: change the password there")
        tried = self._try([f"account {same(account.name)}", f"address {origin(client.address)}"])
        if await self._hashing.verify(account.password, passwords.plain(old[:1024])) is None:
            await self._refused("password.change", account.name, client)
            raise Refused("the old password is another one")
        chosen = passwords.fit(new, account.name)
        if chosen == passwords.plain(old):
            raise Refused("the new password is the old one")
        encoded = await self._hashing.hash(chosen)
        async with self._changing:
            if self._accounts.get(same(account.name)) != account:
                raise Refused("the account was changed meanwhile: look again")
            changed = replace(account, password=encoded, changed_at=self._clock.now())
            opened = await self._begin(
                changed, client, put=changed, what="password.change", ended=self._sessions_of(account.name)
            )
        self._succeeded(tried)
        return opened

    # Second factors ---------------------------------------------------------------------------------------------------

    async def second(self, who: Identity) -> Second:
        """What one's own second factor is like."""
        account = await self._account(who.name)
        return Second(same(account.name) in self._seconds, self._left(account.name))

    async def begin_second(self, who: Identity) -> SecondOffer:
        """A secret for one's own app."""
        account = await self._account(who.name)
        if account.subject:
            raise Refused("an identity provider answers for this account: what is asked for is decided there")
        if same(account.name) in self._seconds:
            raise Refused("this account has a second factor already: turn it off first")
        await self._half.ready()
        return SecondOffer(*self._half.offer(account.name, self._clock.now()))

    async def complete_second(self, who: Identity, code: str) -> tuple[str, ...]:
        """Ask for codes from now on."""
        await self._half.ready()
        async with self._changing:
            account, now = await self._account(who.name), self._clock.now()
            if not self._half.offered(account.name, now) or same(account.name) in self._seconds:
                raise Expired("no secret waits for a code: begin anew")
            factor = self._half.taken(account.name, code, now)
            if factor is None:
                raise Refused("this code is not right: look whether the clock of the device is")
            codes = self._half.recovery(account.name, now)
            entry = _entry(now, who, "second.create", account.name)
            others = tuple(
                each.hash
                for each in self._sessions.values()
                if each.account == account.name and each.handle != who.handle
            )
            await self._write(
                Change(entry, loosened=account.name, second=factor, codes=tuple(codes.values()), ended=others)
            )
            self._half.forget(account.name)
        return tuple(codes)

    async def end_second(self, who: Identity, password: str, client: Client) -> None:
        """Ask for codes no more."""
        account = await self._account(who.name)
        tried = self._try([f"account {same(account.name)}", f"address {origin(client.address)}"])
        if await self._hashing.verify(account.password, passwords.plain(password[:1024])) is None:
            await self._refused("second.remove", account.name, client)
            raise Refused("the password is another one")
        async with self._changing:
            if self._accounts.get(same(account.name)) != account or same(account.name) not in self._seconds:
                raise Refused("the account was changed meanwhile: look again")
            entry = _entry(self._clock.now(), who, "second.remove", account.name)
            await self._write(Change(entry, loosened=account.name))
        self._succeeded(tried)

    async def remove_second(self, who: Identity, name: str) -> AccountRow:
        """Take the second factor away from somebody else."""
        _administers(who)
        async with self._changing:
            account = await self._account(name)
            if same(account.name) == same(who.name):
                raise Refused("one's own second factor is turned off on the page of the account, with the password")
            if same(account.name) not in self._seconds:
                raise Refused(f"{account.name} has no second factor")
            entry = _entry(self._clock.now(), who, "second.remove", account.name)
            await self._write(Change(entry, loosened=account.name, ended=self._sessions_of(account.name)))
        return self._row(account)

    # Accounts ---------------------------------------------------------------------------------------------------------

    async def accounts(self) -> list[AccountRow]:
        """By name."""
        await self._fresh()
        return [self._row(self._accounts[name]) for name in sorted(self._accounts)]

    async def create_account(self, who: Identity, name: str, role: Role, password: str) -> AccountRow:
        """Make an account."""
        await self._fresh()
        _administers(who)
        name, chosen = fit_name(name), passwords.fit(password, name.strip())
        encoded = await self._hashing.hash(chosen)
        async with self._changing:
            if same(name) in self._accounts:
                raise Refused(f"there is an account {self._accounts[same(name)].name} already")
            now = self._clock.now()
            account = Account(name, role, encoded, now, now)
            await self._write(Change(_entry(now, who, "account.create", name, detail=f"role {role}"), put=account))
        return self._row(account)

    async def change_account(
        self,
        who: Identity,
        name: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> AccountRow:
        """Change an account."""
        account = await self._account(name)
        _administers(who)
        encoded = None
        if password is not None:
            if account.subject:
                raise Refused("an identity provider answers for this account: it has no password here")
            encoded = await self._hashing.hash(passwords.fit(password, account.name))
        async with self._changing:
            account = await self._account(name)
            now = self._clock.now()
            changed = replace(
                account,
                role=account.role if role is None else role,
                disabled=account.disabled if disabled is None else disabled,
                password=account.password if encoded is None else encoded,
            )
            if changed == account:
                return self._row(account)
            changed = replace(changed, changed_at=now)
            if account.leads:
                still_led((self._accounts | {same(name): changed}).values())
            entry = _entry(now, who, "account.change", account.name, detail=_difference(account, changed))
            await self._write(Change(entry, put=changed, ended=self._sessions_of(account.name)))
        return self._row(changed)

    async def remove_account(self, who: Identity, name: str) -> None:
        """Remove an account with its sessions and tokens."""
        _administers(who)
        async with self._changing:
            account = await self._account(name)
            if account.leads:
                still_led(each for each in self._accounts.values() if each is not account)
            entry = _entry(self._clock.now(), who, "account.remove", account.name)
            revoked = tuple(each.hash for each in self._tokens.values() if each.account == account.name)
            await self._write(
                Change(entry, removed=account.name, ended=self._sessions_of(account.name), revoked=revoked)
            )

    # Sessions and tokens ----------------------------------------------------------------------------------------------

    async def sessions(self, who: Identity, account: str) -> list[SessionRow]:
        """Of one account."""
        await self._fresh()
        if not who.may(Permission.ADMINISTER) and same(account) != same(who.name):
            raise Forbidden("the sessions of others are shown to admins")
        now = self._clock.now()
        found = [
            each
            for each in self._sessions.values()
            if same(each.account) == same(account) and sessions.alive(each, now)
        ]
        found.sort(key=lambda each: (each.seen_at, each.made_at), reverse=True)
        return [_session_row(each, who) for each in found]

    async def end_session(self, who: Identity, handle: str) -> None:
        """End a session by its handle."""
        await self._fresh()
        async with self._changing:
            found = next((each for each in self._sessions.values() if each.handle == handle), None)
            if found is None or not _answers_for(who, found.account):
                raise NotFound("there is no such session: it may have ended")
            entry = _entry(self._clock.now(), who, "session.end", found.account, detail=handle)
            await self._write(Change(entry, ended=(found.hash,)))

    async def tokens(self, who: Identity) -> list[TokenRow]:
        """By account and name."""
        await self._fresh()
        mine = [each for each in self._tokens.values() if _answers_for(who, each.account)]
        return [_token_row(each) for each in sorted(mine, key=lambda each: (each.account, each.name, each.made_at))]

    async def create_token(
        self, who: Identity, name: str, scopes: Sequence[Permission], lasts: Duration | None, *, account: str = ""
    ) -> NewToken:
        """A token."""
        if account and same(account) != same(who.name) and who.via != "socket":
            raise Forbidden("a token is made by whose it is, or over the socket of the data folder")
        if not account and not who.name:
            raise Refused("a token belongs to an account: say to which")
        async with self._changing:
            owner = await self._account(account or who.name)
            name, given, length = tokens.fit_name(name), tokens.fit_scopes(scopes, owner.role), tokens.fit_length(lasts)
            mine = [each for each in self._tokens.values() if each.account == owner.name]
            if any(each.name == name for each in mine):
                raise Refused(f"{owner.name} has a token {name} already: revoke it first, or choose another name")
            if len(mine) >= tokens.MOST:
                raise Refused(f"{owner.name} has {tokens.MOST} tokens, and nobody needs more: revoke some")
            secret, now = tokens.written(self._make()), self._clock.now()
            digest = sessions.digest(secret)
            token = Token(digest, sessions.handle(digest), name, owner.name, given, now, now.plus(length))
            entry = _entry(now, who, "token.create", owner.name, detail=f"{token.handle} {name}: {', '.join(given)}")
            await self._write(Change(entry, made=token))
        return NewToken(secret, _token_row(token))

    async def revoke_token(self, who: Identity, handle: str) -> None:
        """Revoke a token by its handle."""
        await self._fresh()
        async with self._changing:
            found = next((each for each in self._tokens.values() if each.handle == handle), None)
            if found is None or not _answers_for(who, found.account):
                raise NotFound("there is no such token: it may have been revoked")
            entry = _entry(self._clock.now(), who, "token.revoke", found.account, detail=f"{handle} {found.name}")
            await self._write(Change(entry, revoked=(found.hash,)))

    # The audit trail --------------------------------------------------------------------------------------------------

    async def audit(self, *, before: int | None, limit: int) -> list[AuditRow]:
        """The latest first."""
        return [_audit_row(row) for row in await self._store.audit(before=before, limit=limit)]

    async def verify_audit(self) -> str:
        """Why the trail cannot be what was written."""
        chain, last = Chain(), 0
        while page := await self._store.trail(after=last):
            for row in page:
                if broken := chain.follow(row):
                    return broken
            last = page[-1].position
        return chain.end()

    async def note(self, who: Identity, what: str, subject: str, outcome: str, detail: str = "") -> None:
        """Write down what somebody did. What cannot be stored is said in the log: the act itself is over by now."""
        entry = _entry(self._clock.now(), who, shortened(what), shortened(subject), outcome, shortened(detail))
        try:
            await self._store.change_access(Change(entry))
        except Unavailable as error:
            log().warning("not in the audit trail", by=entry.by, what=entry.what, problem=str(error))

    # ------------------------------------------------------------------------------------------------------------------

    async def _fresh(self) -> None:
        if self._stale:
            await self.load()

    async def _write(self, change: Change) -> None:
        """Store it, then do the same in memory. What ends has ended for everybody before it is stored."""
        self._end(change)
        try:
            await self._store.change_access(change)
        except BaseException:
            # Cancelled, it may be stored nevertheless; refused, what has ended here goes on.
            self._stale = True
            raise
        self._end(change)  # once more: it may have been read again meanwhile
        if change.removed:
            self._accounts.pop(same(change.removed), None)
        if gone := change.removed or change.loosened:
            self._seconds.pop(same(gone), None)
            self._codes = {digest: each for digest, each in self._codes.items() if each.account != gone}
        if change.put is not None:
            self._accounts[same(change.put.name)] = change.put
        if change.begun is not None:
            self._sessions[change.begun.hash] = change.begun
        if change.made is not None:
            self._tokens[change.made.hash] = change.made
        if change.second is not None:
            self._seconds[same(change.second.account)] = change.second
        self._codes |= {each.hash: each for each in (*change.codes, change.used) if each is not None}

    def _end(self, change: Change) -> None:
        for digest in change.ended:
            self._sessions.pop(digest, None)
        for digest in change.revoked:
            self._tokens.pop(digest, None)

    async def _account(self, name: str) -> Account:
        await self._fresh()
        found = self._accounts.get(same(name))
        if found is None:
            raise NotFound(f"there is no account {name}" if name else "this needs an account")
        return found

    def _begun(self, account: Account, client: Client, now: Instant) -> tuple[Opened, Session]:
        secret = self._make()
        digest = sessions.digest(secret)
        address, agent = shortened(client.address)[:100], shortened(client.agent)[:200]
        session = Session(digest, account.name, sessions.handle(digest), now, now, address, agent)
        return Opened(secret, _session_identity(account, session.handle, secret)), session

    async def _begin(
        self,
        account: Account,
        client: Client,
        *,
        put: Account | None,
        what: str = "session.begin",
        ended: tuple[str, ...] = (),
        proved: SecondFactor | RecoveryCode | None = None,
    ) -> Opened:
        now = self._clock.now()
        opened, session = self._begun(account, client, now)
        gone = ended or self._over(account.name, now)
        said, factor, code = _from(client), None, None
        if isinstance(proved, SecondFactor):
            said, factor = f"{said} with a code".strip(), proved
        elif proved is not None:
            said, code = f"{said} with a recovery code, {self._left(account.name) - 1} left".strip(), proved
        entry = _entry(now, opened.identity, what, account.name, detail=said)
        await self._write(Change(entry, put=put, begun=session, ended=gone, second=factor, used=code))
        return opened

    async def _without_role(self, account: Account | None, client: Client) -> None:
        """Write down that somebody has nothing to do here any more; where he is known, his sessions have ended."""
        ended = () if account is None else self._sessions_of(account.name)
        if account is None or not ended:
            await self._refused("session.begin", "" if account is None else account.name, client)
            return
        entry = Entry(self._clock.now(), "", "", "session.begin", account.name, "refused", _from(client))
        await self._write(Change(entry, ended=ended))

    def _proved(self, factor: SecondFactor, code: str, digits: str, now: Instant) -> SecondFactor | RecoveryCode | None:
        """What is to be stored where the code is right, so that it is not a second time."""
        if digits:
            step = self._half.proved(factor, digits, now)
            return None if step is None else replace(factor, step=step)
        found = self._codes.get(second.recovery_digest(code))
        if found is None or same(found.account) != same(factor.account) or found.used_at is not None:
            return None
        return replace(found, used_at=now)

    def _left(self, account: str) -> int:
        return sum(each.account == account and each.used_at is None for each in self._codes.values())

    def _row(self, account: Account) -> AccountRow:
        return AccountRow(
            account.name,
            account.role,
            account.disabled,
            str(account.made_at),
            str(account.changed_at),
            account.subject,
            second=same(account.name) in self._seconds,
        )

    def _over(self, account: str, now: Instant) -> tuple[str, ...]:
        """The sessions of an account that are over, and those that make room for one more."""
        mine = sorted(
            (each for each in self._sessions.values() if each.account == account), key=lambda each: each.seen_at
        )
        many = len(mine) - sessions.MOST + 1
        return tuple(each.hash for place, each in enumerate(mine) if place < many or not sessions.alive(each, now))

    def _sessions_of(self, account: str) -> tuple[str, ...]:
        return tuple(each.hash for each in self._sessions.values() if each.account == account)

    def _try(self, names: list[str]) -> tuple[list[str], Tick]:
        at = self._clock.tick()
        if wait := self._throttle.ask(names, at):
            raise TooMuch("too many tries: wait a minute, then try again", -(-wait // SECOND))
        return names, at

    def _succeeded(self, tried: tuple[list[str], Tick]) -> None:
        self._throttle.forgive(*tried)

    def _try_digits(self, account: str) -> tuple[list[str], Tick]:
        names, at = [same(account)], self._clock.tick()
        if wait := self._digits.ask(names, at):
            minutes = -(-wait // MINUTE)
            raise TooMuch(
                f"too many codes were tried: wait {minutes} minutes, or use a recovery code", -(-wait // SECOND)
            )
        return names, at

    async def _refused(self, what: str, subject: str, client: Client) -> None:
        """Write down that somebody was not let in; the throttle bounds how often."""
        with suppress(Unavailable):
            await self._store.change_access(
                Change(Entry(self._clock.now(), "", "", what, subject, "refused", _from(client)))
            )


def _administers(who: Identity) -> None:
    if not who.may(Permission.ADMINISTER):
        raise Forbidden("accounts are changed by admins")


def _answers_for(who: Identity, account: str) -> bool:
    return who.may(Permission.ADMINISTER) or same(account) == same(who.name)


def _session_identity(account: Account, handle: str, secret: str) -> Identity:
    return Identity(
        account.name, account.role, OF_ROLE[account.role], "session", csrf=sessions.csrf(secret), handle=handle
    )


def _from(client: Client) -> str:
    return f"from {shortened(client.address)[:100]}" if client.address else ""


def _entry(at: Instant, who: Identity, what: str, subject: str, outcome: str = "done", detail: str = "") -> Entry:
    return Entry(at, shortened(who.name), f"{who.via} {who.handle}".strip(), what, subject, outcome, shortened(detail))


def _difference(before: Account, after: Account) -> str:
    said = []
    if after.role is not before.role:
        said.append(f"role {after.role}")
    if after.disabled is not before.disabled:
        said.append("disabled" if after.disabled else "enabled")
    if after.password != before.password:
        said.append("password")
    return ", ".join(said)


def _session_row(session: Session, who: Identity) -> SessionRow:
    return SessionRow(
        session.handle,
        session.account,
        str(session.made_at),
        str(session.seen_at),
        session.address,
        session.agent,
        current=who.via == "session" and session.handle == who.handle,
    )


def _token_row(token: Token) -> TokenRow:
    return TokenRow(
        token.handle,
        token.name,
        token.account,
        token.scopes,
        str(token.made_at),
        None if token.expires_at is None else str(token.expires_at),
        None if token.used_at is None else str(token.used_at),
    )


def _audit_row(row: Row) -> AuditRow:
    entry = row.entry
    return AuditRow(
        row.position,
        str(entry.at),
        *(entry.by, entry.via, entry.what, entry.subject, entry.outcome, entry.detail, row.hash),
    )
