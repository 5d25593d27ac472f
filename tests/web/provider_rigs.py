"""An identity provider on this machine: it signs what a test has it say, and says it over HTTP."""

import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from service_monitoring.access.permissions import Role
from service_monitoring.settings import OidcSettings, Place, Secret
from service_monitoring.web.id_tokens import _Registry

CLIENT = "monitor"
SECRET = "the secret & of the client"  # what is sent is encoded
BACK = "https://monitor.example.com/login/oidc/callback"

RSA = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})
CURVE = ECKey.generate_key("P-256", {"kid": "curve"})
EDWARDS = OKPKey.generate_key("Ed25519", {"kid": "edwards"})


class Signing(_Registry):
    """Signs with whatever algorithm a test wants."""

    def get_alg(self, name: str) -> Any:
        return JWSRegistry.algorithms[name]


class Outside:
    """The provider. What it says of everybody is in `said`; what is in `wrong` replaces a claim, or removes it."""

    def __init__(self) -> None:
        self.issuer = ""
        self.calls_itself: str | None = None
        self.said: dict[str, Any] = {
            "sub": "u-1",
            "email": "ada@example.com",
            "email_verified": True,
            "groups": ["sre", "staff"],
        }
        self.wrong: dict[str, Any] = {}
        self.alg, self.key, self.kid = "RS256", RSA, "first"
        self.published: list[Key] = [RSA, CURVE, EDWARDS]
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.metadata: dict[str, Any] = {}
        self.broken = self.moved = False
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": self.alg, "kid": self.kid}
        return jwt.encode(header, claims, self.key, [self.alg], Signing())

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Outside"]:
        app = web.Application(middlewares=[self._noted])
        app.router.add_get("/realm/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/realm/authorize", self._authorize)
        app.router.add_get("/realm/keys", self._keys)
        app.router.add_post("/realm/token", self._token)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}/realm"
        try:
            yield self
        finally:
            await runner.cleanup()

    def settings(self) -> OidcSettings:
        roles = (
            (Role.ADMIN, frozenset({"heads"})),
            (Role.RESPONDER, frozenset({"sre"})),
            (Role.VIEWER, frozenset({"staff"})),
        )
        return OidcSettings(
            self.issuer,
            CLIENT,
            Secret(SECRET),
            "Example SSO",
            ("openid", "email"),
            "email",
            "groups",
            roles,
            Place("monitoring.yaml"),
        )

    def count(self, path: str) -> int:
        return self.asked.count(f"/realm/{path}")

    @web.middleware
    async def _noted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.broken:
            raise web.HTTPServiceUnavailable
        if self.moved:
            raise web.HTTPFound("https://elsewhere.example/")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _discovery(self, request: web.Request) -> web.Response:
        places = {
            "issuer": self.calls_itself or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return web.json_response(places | self.metadata)

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert (asked["client_id"], asked["redirect_uri"], asked["response_type"]) == (CLIENT, BACK, "code")
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        raise web.HTTPSeeOther(f"{BACK}?code={code}&state={asked['state']}")

    async def _keys(self, request: web.Request) -> web.Response:
        strange = {"kty": "AKP", "kid": "of tomorrow"}
        return web.json_response({"keys": [strange, *(key.as_dict(private=False) for key in self.published)]})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        login = base64.b64encode(b"monitor:the+secret+%26+of+the+client").decode()
        if "client_secret" in form:
            assert (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        elif request.headers["Authorization"] != f"Basic {login}":
            return web.json_response({"error": "invalid_client"}, status=401)
        asked = self._codes.pop(str(form["code"]), None)
        challenge = base64.urlsafe_b64encode(sha256(str(form["code_verifier"]).encode()).digest()).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge or form["redirect_uri"] != BACK:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {name: said for name, said in (claims | self.said | self.wrong).items() if said is not None}
        return web.json_response({"access_token": "unused", "token_type": "Bearer", "id_token": self.sign(claims)})
