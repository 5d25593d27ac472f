"""A desk of access that keeps everything in memory: real rules, no hashes, no store."""

from collections.abc import Sequence
from itertools import count

from msgspec.structs import replace

from service_monitoring.access.desk import (
    AccountRow,
    AuditRow,
    Client,
    NewToken,
    Opened,
    Second,
    SecondOffer,
    SessionRow,
    TokenRow,
)
from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import OF_ROLE, Permission, Role, of_scopes
from service_monitoring.domain.instants import Duration
from service_monitoring.errors import Expired, NotFound, Refused, TooMuch, Unauthenticated

AT = "2026-01-05T12:00:00Z"
SETUP = "the-token-of-the-first-start"
PASSWORD = "correct horse battery"


class Lodge:
    """Who is let in, and who was."""

    def __init__(self) -> None:
        self.rows: dict[str, AccountRow] = {}
        self.passwords: dict[str, str] = {}
        self.open: dict[str, Identity] = {}
        self.seen: dict[str, Client] = {}
        self.given: dict[str, TokenRow] = {}
        self.trail: list[AuditRow] = []
        self.broken = ""
        self.tries = 0
        self._number = count(1)

    def opened(self, name: str, client: Client) -> Opened:
        number = next(self._number)
        role = self.rows[name].role
        identity = Identity(name, role, OF_ROLE[role], "session", f"csrf-{number}", f"session-{number}")
        secret = f"secret-{number}"
        self.open[secret], self.seen[secret] = identity, client
        return Opened(secret, identity)

    def account(self, name: str, role: Role, password: str = PASSWORD) -> AccountRow:
        if name in self.rows:
            raise Refused(f"there is an account {name} already")
        if len(password) < 12:
            raise Refused("a password has 12 characters or more")
        self.rows[name] = AccountRow(name, role, disabled=False, made_at=AT, changed_at=AT)
        self.passwords[name] = password
        return self.rows[name]

    async def setup_needed(self) -> bool:
        return not self.rows

    async def set_up(self, token: str, name: str, password: str, client: Client) -> Opened:
        if self.rows or token != SETUP:
            raise Unauthenticated("the token is not, or no longer, that of the first start")
        self.account(name, Role.ADMIN, password)
        return self.opened(name, client)

    async def sign_in(self, name: str, password: str, client: Client) -> Opened:
        self.tries += 1
        if self.tries > 5:
            raise TooMuch("too many tried", 60)
        if self.passwords.get(name) != password or self.rows[name].disabled:
            raise Unauthenticated("name or password is not right")
        self.tries = 0
        return self.opened(name, client)

    async def admit(self, subject: str, name: str, role: Role | None, client: Client) -> Opened:
        if name not in self.rows:
            self.account(name, role or Role.VIEWER)
        return self.opened(name, client)

    async def session(self, secret: str, client: Client) -> Identity | None:
        return self.open.get(secret)

    async def token(self, secret: str, client: Client) -> Identity | None:
        row = self.given.get(secret)
        if row is None:
            return None
        role = self.rows[row.account].role
        return Identity(row.account, role, of_scopes(row.scopes, role), "token", handle=row.handle)

    async def sign_out(self, secret: str) -> None:
        self.open.pop(secret, None)

    def end(self, name: str) -> None:
        self.open = {secret: who for secret, who in self.open.items() if who.name != name}

    async def change_password(self, who: Identity, old: str, new: str, client: Client) -> Opened:
        if self.passwords[who.name] != old:
            raise Unauthenticated("the present password is not right")
        if len(new) < 12:
            raise Refused("a password has 12 characters or more")
        self.passwords[who.name] = new
        self.end(who.name)
        return self.opened(who.name, client)

    async def confirm(self, secret: str, code: str, client: Client) -> Opened:
        raise Expired("nobody owes a code here")

    async def second(self, who: Identity) -> Second:
        return Second(on=False)

    async def begin_second(self, who: Identity) -> SecondOffer:
        raise Refused("there are no second factors here")

    async def complete_second(self, who: Identity, code: str) -> tuple[str, ...]:
        raise Expired("no secret waits")

    async def end_second(self, who: Identity, password: str, client: Client) -> None:
        raise Refused("there is none")

    async def remove_second(self, who: Identity, name: str) -> AccountRow:
        raise Refused("there is none")

    async def accounts(self) -> list[AccountRow]:
        return [self.rows[name] for name in sorted(self.rows)]

    async def create_account(self, who: Identity, name: str, role: Role, password: str) -> AccountRow:
        return self.account(name, role, password)

    def _admins_without(self, name: str) -> int:
        return sum(row.role is Role.ADMIN and not row.disabled for row in self.rows.values() if row.name != name)

    async def change_account(
        self,
        who: Identity,
        name: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> AccountRow:
        row = self.rows.get(name)
        if row is None:
            raise NotFound(f"there is no account {name}")
        if row.role is Role.ADMIN and (disabled or role not in {None, Role.ADMIN}) and not self._admins_without(name):
            raise Refused("no admin would be left")
        if password is not None:
            self.passwords[name] = password
        self.rows[name] = replace(row, role=role or row.role, disabled=row.disabled if disabled is None else disabled)
        self.end(name)
        return self.rows[name]

    async def remove_account(self, who: Identity, name: str) -> None:
        if name not in self.rows:
            raise NotFound(f"there is no account {name}")
        if not self._admins_without(name):
            raise Refused("no admin would be left")
        del self.rows[name], self.passwords[name]
        self.end(name)

    async def sessions(self, who: Identity, account: str) -> list[SessionRow]:
        return [
            SessionRow(
                each.handle,
                account,
                AT,
                AT,
                self.seen[secret].address,
                self.seen[secret].agent,
                current=each.handle == who.handle,
            )
            for secret, each in self.open.items()
            if each.name == account
        ]

    async def end_session(self, who: Identity, handle: str) -> None:
        found = [secret for secret, each in self.open.items() if each.handle == handle and each.name == who.name]
        if not found:
            raise NotFound("there is no such session")
        del self.open[found[0]]

    async def tokens(self, who: Identity) -> list[TokenRow]:
        return [row for row in self.given.values() if row.account == who.name or who.may(Permission.ADMINISTER)]

    async def create_token(
        self, who: Identity, name: str, scopes: Sequence[Permission], lasts: Duration | None, *, account: str = ""
    ) -> NewToken:
        number = next(self._number)
        row = TokenRow(f"token-{number}", name, account or who.name, tuple(scopes), AT, "2026-04-05T12:00:00Z", None)
        secret = f"sm_{number:064x}"
        self.given[secret] = row
        return NewToken(secret, row)

    async def revoke_token(self, who: Identity, handle: str) -> None:
        found = [secret for secret, row in self.given.items() if row.handle == handle]
        if not found:
            raise NotFound("there is no such token")
        del self.given[found[0]]

    async def audit(self, *, before: int | None, limit: int) -> list[AuditRow]:
        rows = [row for row in reversed(self.trail) if before is None or row.position < before]
        return rows[:limit]

    async def verify_audit(self) -> str:
        return self.broken

    async def turned_away(self, who: Identity, what: str, detail: str) -> None:
        await self.note(who, what, "", "refused", detail)

    async def note(self, who: Identity, what: str, subject: str, outcome: str, detail: str = "") -> None:
        self.trail.append(
            AuditRow(len(self.trail) + 1, AT, who.name, who.via, what, subject, outcome, detail, "0" * 64)
        )
