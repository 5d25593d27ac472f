"""OpenID Connect: signing in with an account of an identity provider (authorization code flow with PKCE).

Knows the protocol, and speaks it through a `Fetch`. Does not know sessions, cookies or pages. Nothing is kept of a
sign-in that has begun: the browser brings back what it was given, and state, nonce and verifier follow from that and a
key of this process. So a sign-in ends with the process that began it, and is begun anew with one click.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Final, Protocol
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
from msgspec import Struct

from service_monitoring.access.desk import Client
from service_monitoring.access.permissions import Role
from service_monitoring.access.provider import Answered, Begun, Vouched
from service_monitoring.access.throttle import Throttle, origin
from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.errors import Conflict, TooMuch, Unauthenticated, Unavailable
from service_monitoring.ports import Clock, Deadline, Tick
from service_monitoring.settings import OidcSettings
from service_monitoring.web.fetching import Fetched
from service_monitoring.web.pages.leading import local_path

LASTS: Final = Duration(10 * MINUTE)
"""How long somebody may take to sign in over there."""
PATIENCE: Final = Duration(10 * SECOND)
"""What a provider has for everything that one request of a browser needs of it."""
KNOWN: Final = Duration(HOUR)
"""How long it is remembered where the provider is, and which keys it has."""

_DISCOVERY: Final = "/.well-known/openid-configuration"
_TRIES: Final = 20
"""Answers of a minute that are looked at, from one address."""
_AT_ONCE: Final = 16
_LONGEST: Final = 4_096
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_ANEW: Final = "this sign-in is too old, or was begun elsewhere: begin it anew"


class Fetch(Protocol):
    """Fetches one answer from outside; `Unavailable` where none came."""

    async def __call__(
        self, url: str, deadline: Deadline, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] = ...
    ) -> Fetched:
        """One request."""
        ...


class _Place(Struct, frozen=True):
    """Where things are at the provider, and its keys, as they were at a tick."""

    at: Tick
    authorization: str
    token: str
    keys_at: str
    keys: tuple[Any, ...]
    by_post: bool
    names_itself: bool


class Oidc:
    """`access.provider.Provider` over OpenID Connect. Belongs to one loop."""

    def __init__(
        self,
        chosen: OidcSettings,
        url: str,
        *,
        fetch: Fetch,
        clock: Clock,
        make: Callable[[], str],
        troubled: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """`url` is where people reach us, `make` gives 256 random bits; `troubled` hears why somebody was not let in.

        What it hears holds no secret, and may be logged.
        """
        self.name = chosen.name
        self._chosen = chosen
        self._back = f"{url}/login/oidc/callback"
        self._fetch = fetch
        self._clock = clock
        self._make = make
        self._key = bytes.fromhex(make())
        self._troubled = troubled
        self._looking = asyncio.Lock()
        self._place: _Place | None = None
        self._throttle = Throttle(tries=_TRIES)
        self._under_way = 0

    async def begin(self, onwards: str) -> Begun:
        """Where the browser goes, and what it brings back."""
        async with self._patiently() as deadline:
            place = await self._placed(deadline)
        onwards = base64.urlsafe_b64encode(local_path(onwards).encode()).decode()
        kept = f"{self._make()}.{self._clock.now().ns // SECOND}.{onwards}"
        challenge = base64.urlsafe_b64encode(sha256(self._derived("verifier", kept).encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._chosen.client_id,
            "redirect_uri": self._back,
            "scope": " ".join(self._chosen.scopes),
            "state": self._derived("state", kept),
            "nonce": self._derived("nonce", kept),
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        joined = "&" if urlsplit(place.authorization).query else "?"
        return Begun(f"{place.authorization}{joined}{urlencode(asked)}", kept)

    async def finish(self, kept: str, answered: Answered, client: Client) -> Vouched:
        """Who it is."""
        onwards = self._onwards(kept, answered.state, self._clock.now())
        if answered.error or not answered.code or len(answered.code) > _LONGEST:
            self._troubled(f"it answers: {_plain(answered.error) or 'nothing'}")
            raise Unauthenticated(f"{self.name} did not let you in")
        if wait := self._throttle.ask([f"address {origin(client.address)}"], self._clock.tick()):
            raise TooMuch("too many tries: wait a minute, then try again", -(-wait // SECOND))
        async with self._patiently() as deadline:
            try:
                claims = await self._claims(kept, answered, deadline)
                return self._vouched(claims, onwards)
            except Unauthenticated as error:
                self._troubled(str(error))
                raise Unauthenticated(f"what {self.name} says cannot be taken: {error}") from None

    async def _claims(self, kept: str, answered: Answered, deadline: Deadline) -> Mapping[str, Any]:
        from service_monitoring.web.id_tokens import (  # noqa: PLC0415 - its library takes a while
            UnknownKey,
            judged,
        )

        place = await self._placed(deadline)
        if answered.issuer != self._chosen.issuer and (answered.issuer or place.names_itself):
            raise Unauthenticated("another provider has answered")
        token = await self._token(place, answered.code, self._derived("verifier", kept), deadline)
        for again in (False, True):
            if again:
                place = await self._placed(deadline, than=place)
            try:
                return judged(
                    token,
                    place.keys,
                    issuer=self._chosen.issuer,
                    client_id=self._chosen.client_id,
                    nonce=self._derived("nonce", kept),
                    at=self._clock.now(),
                )
            except UnknownKey:
                continue
        raise Unauthenticated("its ID token was signed with a key that it does not publish")

    async def _token(self, place: _Place, code: str, verifier: str, deadline: Deadline) -> str:
        """The ID token that there is for a code."""
        chosen, secret = self._chosen, self._chosen.client_secret.reveal()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": verifier,
        }
        headers = {}
        if place.by_post:
            form |= {"client_id": chosen.client_id, "client_secret": secret}
        else:
            login = f"{quote_plus(chosen.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        fetched = await self._fetch(place.token, deadline, form=form, headers=headers)
        said = _object(fetched.body)
        if fetched.status in {400, 401, 403} and said.get("error") != "invalid_client":
            raise Unauthenticated(f"it refuses the code ({_plain(said.get('error'))})")
        token = said.get("id_token")
        if fetched.status != 200 or not isinstance(token, str):
            raise Unavailable(f"no ID token came ({fetched.status} {_plain(said.get('error'))})".replace(" )", ")"))
        return token

    def _vouched(self, claims: Mapping[str, Any], onwards: str) -> Vouched:
        chosen = self._chosen
        name = claims.get(chosen.account)
        if not isinstance(name, str) or not name:
            raise Unauthenticated(f"it does not say {chosen.account}, which names the account here")
        if chosen.account == "email" and claims.get("email_verified", True) not in {True, "true"}:
            raise Unauthenticated("it has not verified the address that names the account here")
        return Vouched(f"{chosen.issuer} {claims['sub']}", name, self._role(claims.get(chosen.claim)), onwards)

    def _role(self, said: object) -> Role | None:
        groups = {said} if isinstance(said, str) else {each for each in _list(said) if isinstance(each, str)}
        return next((role for role, among in self._chosen.roles if groups & among), None)

    # Where the provider is --------------------------------------------------------------------------------------------

    async def _placed(self, deadline: Deadline, *, than: _Place | None = None) -> _Place:
        """Where things are; newer `than` what is known to be too old."""
        async with self._looking:
            now, known = self._clock.tick(), self._place
            if known is None or known is than or now.since(known.at) >= KNOWN:
                known = self._place = await self._discovered(now, deadline)
            return known

    async def _discovered(self, at: Tick, deadline: Deadline) -> _Place:
        from service_monitoring.web.id_tokens import keys_of  # noqa: PLC0415 - its library takes a while

        issuer = self._chosen.issuer
        said = await self._asked(issuer.rstrip("/") + _DISCOVERY, deadline)
        if said.get("issuer") != issuer:
            raise Unavailable(f"it calls itself {_plain(said.get('issuer'))}, and the configuration {issuer}")
        places = [said.get(name) for name in _ENDPOINTS]
        authorization, token, keys_at = (_place(each, issuer) for each in places)
        ways = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        keys = keys_of(_list((await self._asked(keys_at, deadline)).get("keys")))
        return _Place(
            at,
            authorization,
            token,
            keys_at,
            keys,
            by_post="client_secret_basic" not in _list(ways),
            names_itself=said.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _asked(self, url: str, deadline: Deadline) -> Mapping[str, Any]:
        fetched = await self._fetch(url, deadline)
        if fetched.status != 200:
            raise Unavailable(f"{url} answers {fetched.status}")
        return _object(fetched.body)

    @asynccontextmanager
    async def _patiently(self) -> AsyncIterator[Deadline]:
        """Wait for the provider, but not for long, and not in a crowd."""
        if self._under_way >= _AT_ONCE:
            raise TooMuch("too many sign in at once: try again", 1)
        self._under_way += 1
        try:
            yield Deadline(self._clock.tick().plus(PATIENCE))
        except TooMuch:
            raise
        except Unavailable as error:
            self._troubled(str(error))
            sentence = f"{self.name} cannot be asked now: try again, or sign in with a password"
            raise Unavailable(sentence) from None
        finally:
            self._under_way -= 1

    # What the browser keeps -------------------------------------------------------------------------------------------

    def _derived(self, what: str, kept: str) -> str:
        """What follows from that which the browser keeps; it follows from nothing that goes to the provider."""
        return hmac.new(self._key, f"{what} {kept}".encode(), sha256).hexdigest()

    def _onwards(self, kept: str, state: str, now: Instant) -> str:
        """Where this one goes on to, whose browser has begun this sign-in; `Conflict` where it has not."""
        if not kept.isascii() or not hmac.compare_digest(self._derived("state", kept), _plain(state)):
            raise Conflict(_ANEW)
        # Whatever has a state was written here.
        _, began, onwards = kept.split(".")
        if now.since(Instant(int(began) * SECOND)) >= LASTS:
            raise Conflict(_ANEW)
        return local_path(base64.urlsafe_b64decode(onwards).decode())


def _place(said: object, issuer: str) -> str:
    """A place of a provider. What is not encrypted is one only where the provider itself is not, on this machine."""
    text = said if isinstance(said, str) and len(said) <= _LONGEST and said.isascii() and said.isprintable() else ""
    try:
        parts = urlsplit(text)
        plain = parts.hostname and not parts.fragment and "@" not in parts.netloc
        good = plain and parts.scheme in {"https", urlsplit(issuer).scheme}
    except ValueError:
        good = False
    if not good:
        raise Unavailable("it does not say where things are in addresses that can be used")
    return text


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _list(said: object) -> list[Any]:
    return said if isinstance(said, list) else []


def _plain(said: object) -> str:
    """A short text of others, as it may be compared and logged."""
    return said[:200] if isinstance(said, str) and said.isascii() and said.isprintable() else ""
