"""Codes of six digits by time (RFC 6238: SHA-1, 30 seconds), and the seal of the secrets that they are made of.

Pure: takes keys, random bytes and instants. Its library takes long to import: whoever has a loop does it in a thread.
"""

from __future__ import annotations

import hmac
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotText
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from service_monitoring.domain.instants import SECOND, Duration, Instant

STEP: Final = Duration(30 * SECOND)
DRIFT: Final = 1
"""Steps by which the clock of who asks may be before or behind ours."""
SECRET: Final = 20
"""Bytes of a secret: as many as SHA-1 has."""
NONCE: Final = 12
ISSUER: Final = "service-monitoring"

_DIGITS: Final = 6
_SECONDS: Final = STEP // SECOND
_PURPOSE: Final = b"service-monitoring second factor 1"


def matching(secret: bytes, code: str, at: Instant, after: int) -> int | None:
    """The step of time whose code this is, where it is later than the step `after`, whose code was used already."""
    here = at.ns // STEP
    codes = _totp(secret)
    found = [
        step
        for step in range(max(here - DRIFT, after + 1), here + DRIFT + 1)
        if hmac.compare_digest(codes.generate(step * _SECONDS), code.encode(errors="replace"))
    ]
    # The latest one: what comes after must be later than anything that this code could have been of.
    return found[-1] if found else None


def code_of(secret: bytes, at: Instant) -> str:
    """The code of an instant, as an app shows it."""
    return _totp(secret).generate(at.ns // STEP * _SECONDS).decode()


def typed(secret: bytes) -> str:
    """The secret as people type it into an app."""
    return b32encode(secret).decode()


def uri(secret: bytes, account: str) -> str:
    """What an app reads out of a picture."""
    return _totp(secret).get_provisioning_uri(account, ISSUER)


def sealed(key: bytes, nonce: bytes, secret: bytes, account: str) -> str:
    """A secret that can be opened with this key for this account alone; which key that is stands in front."""
    content = AESGCM(_derived(key)).encrypt(nonce, secret, account.encode())
    return f"{_name(key)}.{urlsafe_b64encode(nonce + content).decode()}"


def opened(key: bytes, text: str, account: str) -> bytes | None:
    """The secret in a seal; None where another key or another account belongs to it, or it was altered."""
    name, _, content = text.partition(".")
    if name != _name(key):
        return None
    try:
        whole = urlsafe_b64decode(content)
        return AESGCM(_derived(key)).decrypt(whole[:NONCE], whole[NONCE:], account.encode())
    except (InvalidTag, NotText, ValueError):
        return None


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, _DIGITS, SHA1(), _SECONDS)  # noqa: S303 - the one that all apps know, and RFC 6238 with them


def _derived(key: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(key)


def _name(key: bytes) -> str:
    """What a key is called: it says nothing of the key."""
    return sha256(_PURPOSE + b" name" + key).hexdigest()[:8]
