"""ID tokens: whether one was signed by the provider, for us, for this sign-in, and not too long ago.

Knows JSON Web Tokens through `joserfc`, which the extra `oidc` brings; it is imported with this module, and takes a
while. Does not know how a token came here. Takes the instant at which it is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, GuestProtocol, Key, OKPKey, RSAKey, import_key
from joserfc.jws import JWSAlgModel, JWSRegistry

from service_monitoring.domain.instants import SECOND, Instant
from service_monitoring.errors import Unauthenticated

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Those with a key that only the provider has. None is none of them, and what we know, too, signs nothing."""

LEEWAY: Final = 60
"""Seconds by which clocks may differ."""

_KINDS: Final = {"RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}
_SHORTEST_RSA: Final = 2_048
_LONGEST_SUBJECT: Final = 255


class UnknownKey(Exception):
    """No key that is known has signed it: there may be a newer one."""


class _Registry(JWSRegistry):
    """Our algorithms and no others, without a word about the name `EdDSA`, which providers use for Ed25519."""

    max_header_length = 8_192

    def __init__(self) -> None:
        # What else a header says is of no consequence; what it calls critical is looked at.
        super().__init__(algorithms=ALGORITHMS, strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


def keys_of(written: Iterable[object]) -> tuple[Key, ...]:
    """The keys of a key set that can have signed anything; others are left out."""
    found: list[Key] = []
    for each in written:
        if not isinstance(each, dict) or each.get("kty") not in {"RSA", "EC", "OKP"} or each.get("use", "sig") != "sig":
            continue
        try:
            key = import_key(each)
            native = key.public_key
        except (JoseError, ValueError, TypeError):
            continue
        if not isinstance(native, RSAPublicKey) or native.key_size >= _SHORTEST_RSA:
            found.append(key)
    return tuple(found)


def judged(
    token: str, keys: Sequence[Key], *, issuer: str, client_id: str, nonce: str, at: Instant
) -> Mapping[str, Any]:
    """The claims of a token that is good; `Unauthenticated` says why it is not, `UnknownKey` that keys may be old."""

    def signer(of: GuestProtocol) -> Key:
        header = of.headers()
        if header.get("alg") not in ALGORITHMS:
            raise UnsupportedAlgorithmError("its algorithm is not allowed")
        suitable = [each for each in keys if isinstance(each, _KINDS[header["alg"]])]
        kid = header.get("kid")
        if kid is not None:
            suitable = [each for each in suitable if each.get("kid") == kid]
        if len(suitable) != 1:
            raise UnknownKey
        return suitable[0]

    claims = jwt.JWTClaimsRegistry(
        now=at.ns // SECOND,
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        found = jwt.decode(token, signer, ALGORITHMS, _Registry()).claims
        claims.validate(found)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise Unauthenticated(f"its ID token is not good: {error}") from None
    if found.get("nonce") != nonce:
        raise Unauthenticated("its ID token is of another sign-in")
    audience = found["aud"]
    if found.get("azp", client_id) != client_id or (audience not in (client_id, [client_id]) and "azp" not in found):
        raise Unauthenticated("its ID token is for somebody else")
    if len(found["sub"]) > _LONGEST_SUBJECT or not found["sub"].isascii() or not found["sub"].isprintable():
        raise Unauthenticated("its ID token names nobody")
    return found
