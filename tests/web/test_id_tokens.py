"""What a provider says, judged: which ID tokens are taken, whose keys, and what of a provider itself is believed."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from service_monitoring.access.desk import Client
from service_monitoring.access.permissions import Role
from service_monitoring.access.provider import Answered, Begun, Vouched
from service_monitoring.bootstrap.wiring import new_secret
from service_monitoring.errors import Unauthenticated, Unavailable
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.web.fetching import Fetcher
from service_monitoring.web.oidc import Oidc
from tests.web.provider_rigs import CLIENT, CURVE, EDWARDS, OTHER, RSA, Outside


@dataclass
class Scene:
    """A provider and what asks it, without a browser."""

    outside: Outside
    fetcher: Fetcher
    troubles: list[str]
    provider: Oidc

    async def there(self) -> tuple[Begun, Answered]:
        begun = await self.provider.begin("/")
        async with aiohttp.ClientSession() as http, http.get(begun.url, allow_redirects=False) as answer:
            said = parse_qs(urlsplit(answer.headers["Location"]).query)
        return begun, Answered(said["state"][0], said["code"][0])

    async def vouched(self) -> Vouched:
        begun, answered = await self.there()
        return await self.provider.finish(begun.kept, answered, Client("192.0.2.1"))

    async def refused(self) -> str:
        with pytest.raises(Unauthenticated, match="what Example SSO says cannot be taken"):
            await self.vouched()
        (trouble,) = self.troubles
        self.troubles.clear()
        return trouble


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    fetcher = Fetcher(lambda: AddressPolicy.allowing(["127.0.0.0/8"]), SystemClock())
    async with Outside().open() as outside:
        troubles: list[str] = []
        provider = Oidc(
            outside.settings(),
            "https://monitor.example.com",
            fetch=fetcher.fetch,
            clock=SystemClock(),
            make=new_secret,
            troubled=troubles.append,
        )
        yield Scene(outside, fetcher, troubles, provider)
    await fetcher.close()


# ID tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alg", "key", "kid"),
    [("RS256", RSA, "first"), ("ES256", CURVE, "curve"), ("EdDSA", EDWARDS, "edwards")],
    ids=["RS256", "ES256", "EdDSA"],
)
async def test_three_algorithms_are_taken(scene: Scene, alg: str, key: Any, kid: str) -> None:
    scene.outside.alg, scene.outside.key, scene.outside.kid = alg, key, kid
    assert (await scene.vouched()).name == "ada@example.com"


async def test_a_provider_that_takes_the_secret_in_the_form_alone_is_given_it_there(scene: Scene) -> None:
    scene.outside.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await scene.vouched()).name == "ada@example.com"


now = int(time.time())
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("nonce of another", {"nonce": "of another sign-in"}),
    ("no nonce", {"nonce": None}),
    ("issuer", {"iss": "https://evil.example"}),
    ("no issuer", {"iss": None}),
    ("audience", {"aud": "another"}),
    ("audience among others without azp", {"aud": [CLIENT, "another"]}),
    ("azp", {"aud": [CLIENT, "another"], "azp": "another"}),
    ("no audience", {"aud": None}),
    ("expired", {"exp": now - 120}),
    ("never expires", {"exp": None}),
    ("not yet", {"nbf": now + 600}),
    ("of the future", {"iat": now + 600}),
    ("not issued", {"iat": None}),
    ("no subject", {"sub": None}),
    ("long subject", {"sub": "x" * 256}),
    ("unverified", {"email_verified": False}),
    ("no name", {"email": None}),
]


@pytest.mark.parametrize("claims", [claims for _, claims in WRONG], ids=[name for name, _ in WRONG])
async def test_an_id_token_with_a_claim_that_is_wrong_lets_nobody_in(scene: Scene, claims: dict[str, Any]) -> None:
    scene.outside.wrong = claims
    await scene.refused()


async def test_clocks_may_differ_by_a_minute(scene: Scene) -> None:
    scene.outside.wrong = {"exp": int(time.time()) - 50, "iat": int(time.time()) + 50}
    assert (await scene.vouched()).role is Role.RESPONDER


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none", "kid": "first"}, claims)
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts), ""])


async def test_an_id_token_that_nobody_signed_lets_nobody_in(scene: Scene) -> None:
    scene.outside.sign = unsigned
    assert "not allowed" in await scene.refused()


def signed_with_what_everybody_knows(claims: dict[str, Any]) -> str:
    head, _, rest = unsigned(claims).partition(".")
    head = base64.urlsafe_b64encode(b'{"alg": "HS256", "kid": "first"}').decode().rstrip("=")
    content = f"{head}.{rest.rstrip('.')}"
    signature = hmac.new(RSA.as_pem(private=False), content.encode(), sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


async def test_an_id_token_signed_with_what_everybody_knows_lets_nobody_in(scene: Scene) -> None:
    """The public key as the secret of HS256: whoever takes the algorithm from the header falls for it."""
    scene.outside.sign = signed_with_what_everybody_knows
    assert "not allowed" in await scene.refused()


async def test_an_id_token_signed_with_a_key_of_another_lets_nobody_in(scene: Scene) -> None:
    scene.outside.key = OTHER  # and it says that it is the first
    assert "not good" in await scene.refused()
    scene.outside.key, scene.outside.alg = CURVE, "ES256"  # type: ignore[assignment]  # of another sort, under its name
    await scene.refused()


async def test_a_key_that_is_not_known_is_asked_for_once_more(scene: Scene) -> None:
    await scene.provider.begin("/")
    scene.outside.key, scene.outside.kid = OTHER, "second"
    scene.outside.published = [OTHER]
    assert (await scene.vouched()).role is Role.RESPONDER
    assert scene.outside.count("keys") == 2


async def test_a_key_that_the_provider_does_not_publish_is_asked_for_no_further(scene: Scene) -> None:
    scene.outside.key, scene.outside.kid = OTHER, "second"
    assert "does not publish" in await scene.refused()
    assert scene.outside.count("keys") == 2


# The provider ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"issuer": "https://evil.example"}, "it calls itself"),
        ({"token_endpoint": "ftp://127.0.0.1/token"}, "it does not say where"),
        ({"jwks_uri": None}, "it does not say where"),
        ({"jwks_uri": "http://10.0.0.1/keys"}, "list it under network.allow"),
        ({"more": "x" * 300_000}, "has more than"),
    ],
    ids=["issuer", "scheme", "missing", "address", "large"],
)
async def test_a_provider_that_is_not_as_it_should_be_is_not_gone_to(
    scene: Scene, metadata: dict[str, Any], said: str
) -> None:
    scene.outside.metadata = metadata
    with pytest.raises(Unavailable, match="Example SSO cannot be asked now"):
        await scene.provider.begin("/")
    assert said in scene.troubles[0]


async def test_a_provider_that_leads_elsewhere_is_not_followed(scene: Scene) -> None:
    scene.outside.moved = True
    with pytest.raises(Unavailable):
        await scene.provider.begin("/")
    assert "answers 302" in scene.troubles[0]
