"""The desk of access: who is let in, who they are here, and what is written down of what they do.

Knows the shapes in which such questions are asked and answered. Does not know HTTP, cookies, hashes or a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import Permission, Role
from service_monitoring.domain.instants import Duration


class Client(Struct, frozen=True):
    """Where a request came from, as far as that can be known: an address, and what the program there calls itself."""

    address: str
    agent: str = ""


class Opened(Struct, frozen=True):
    """A session that has begun. `secret` is what its cookie holds: known here this once, and stored nowhere."""

    secret: str
    identity: Identity


class HalfOpened(Struct, frozen=True):
    """No session yet: the password was right, and a code is owed within five minutes. `secret` opens nothing else."""

    secret: str


class Second(Struct, frozen=True):
    """Whether an account has a second factor, and how many recovery codes are left of it."""

    on: bool
    codes: int = 0


class SecondOffer(Struct, frozen=True):
    """A secret for an app, as an address and as people type it: shown this once."""

    uri: str
    secret: str


class AccountRow(Struct, frozen=True):
    """An account as lists show it. `outside` names the identity provider that answers for it, or nothing.

    `second` says whether a code is asked for besides the password.
    """

    name: str
    role: Role
    disabled: bool
    made_at: str
    changed_at: str
    outside: str = ""
    second: bool = False


class SessionRow(Struct, frozen=True):
    """A session as its owner sees it. `handle` names it and opens nothing; `current` is the one that asks."""

    handle: str
    account: str
    made_at: str
    seen_at: str
    address: str
    agent: str
    current: bool = False


class TokenRow(Struct, frozen=True):
    """A token of the API without what opens it. `handle` names it; `used_at` is right to some minutes."""

    handle: str
    name: str
    account: str
    scopes: tuple[Permission, ...]
    made_at: str
    expires_at: str | None
    used_at: str | None


class NewToken(Struct, frozen=True):
    """A token that was made: `secret` is shown this once, and stored nowhere."""

    secret: str
    row: TokenRow


class AuditRow(Struct, frozen=True):
    """What somebody did, or tried. `hash` chains it to the one before."""

    position: int
    at: str
    by: str
    via: str
    what: str
    subject: str
    outcome: str
    detail: str
    hash: str


class AccessDesk(Protocol):
    """Who is let in.

    `sign_in` and `set_up` are `Unauthenticated` in one sentence that does not say what was wrong, and take as long
    for a name that there is not; `TooMuch` when too many tried. Whatever changes accounts writes it down itself.
    """

    async def setup_needed(self) -> bool:
        """Whether there is no account yet, so that the token of the first run is asked for."""
        ...

    async def set_up(self, token: str, name: str, password: str, client: Client) -> Opened:
        """Make the first account, an admin's, with the token that was printed."""
        ...

    async def sign_in(self, name: str, password: str, client: Client) -> Opened | HalfOpened:
        """Begin a session, or where the account has a second factor, ask for a code."""
        ...

    async def confirm(self, secret: str, code: str, client: Client) -> Opened:
        """Begin the session for which a code was owed: six digits, or a recovery code, each good once.

        `Unauthenticated` for a code that is not right or was used, `Expired` where nothing is owed any more.
        """
        ...

    async def admit(self, subject: str, name: str, role: Role | None, client: Client) -> Opened:
        """Begin a session of somebody for whom an identity provider answers, and who has this role from now on.

        Without a role he is `Unauthenticated`, and his sessions end. `Refused` where the name is somebody else's.
        """
        ...

    async def session(self, secret: str, client: Client) -> Identity | None:
        """Whose session that is; None where it has ended, or never was."""
        ...

    async def token(self, secret: str, client: Client) -> Identity | None:
        """Whose token that is; None where it opens nothing."""
        ...

    async def sign_out(self, secret: str) -> None:
        """End a session."""
        ...

    async def change_password(self, who: Identity, old: str, new: str, client: Client) -> Opened:
        """Another password for oneself: all sessions end, and a new one begins. `Refused` for a weak one."""
        ...

    async def second(self, who: Identity) -> Second:
        """What one's own second factor is like."""
        ...

    async def begin_second(self, who: Identity) -> SecondOffer:
        """A secret for one's own app, for half an hour. `Refused` where there is a second factor already."""
        ...

    async def complete_second(self, who: Identity, code: str) -> tuple[str, ...]:
        """Ask for codes from now on; recovery codes, shown this once. All other sessions end.

        `Refused` for a code that is not right, `Expired` where no secret waits.
        """
        ...

    async def end_second(self, who: Identity, password: str, client: Client) -> None:
        """Ask for codes no more; `Refused` where the password is another one."""
        ...

    async def remove_second(self, who: Identity, name: str) -> AccountRow:
        """Take the second factor away from somebody else: the sessions end. `Refused` where there is none."""
        ...

    async def accounts(self) -> list[AccountRow]:
        """By name."""
        ...

    async def create_account(self, who: Identity, name: str, role: Role, password: str) -> AccountRow:
        """Make an account; `Refused` where the name is taken, or the password weak."""
        ...

    async def change_account(
        self,
        who: Identity,
        name: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> AccountRow:
        """Change an account: its sessions end. `Refused` where no admin would be left; `NotFound`."""
        ...

    async def remove_account(self, who: Identity, name: str) -> None:
        """Remove an account with its sessions and tokens; `Refused` where no admin would be left; `NotFound`."""
        ...

    async def sessions(self, who: Identity, account: str) -> list[SessionRow]:
        """Of one account, the latest seen first."""
        ...

    async def end_session(self, who: Identity, handle: str) -> None:
        """End one of one's own sessions, or as an admin any; `NotFound`."""
        ...

    async def tokens(self, who: Identity) -> list[TokenRow]:
        """One's own, or all for an admin."""
        ...

    async def create_token(
        self, who: Identity, name: str, scopes: Sequence[Permission], lasts: Duration | None, *, account: str = ""
    ) -> NewToken:
        """A token for oneself, never for more than one may do; 90 days where nobody says how long.

        Whoever came over the owner's socket is nobody, and says for which account.
        """
        ...

    async def revoke_token(self, who: Identity, handle: str) -> None:
        """Revoke one of one's own tokens, or as an admin any; `NotFound`."""
        ...

    async def audit(self, *, before: int | None, limit: int) -> list[AuditRow]:
        """What was done, the latest first; `before` is the position of the last one of the page before."""
        ...

    async def verify_audit(self) -> str:
        """Why the trail cannot be what was written, in a sentence; nothing where its chain holds."""
        ...

    async def note(self, who: Identity, what: str, subject: str, outcome: str, detail: str = "") -> None:
        """Write down what somebody did, or tried."""
        ...
