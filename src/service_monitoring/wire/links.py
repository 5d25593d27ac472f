"""Links: what a notice lets its reader do <-> a text that only the holder of a key can have written.

A link holds all that it permits: one act on one incident, for the channel that it was sent to, up to an instant.
Nothing is stored for it, and the same notice gives the same bytes in every attempt. A notice about several incidents
offers none: a word beside it would not say which one it acts on, nobody should take on unseen what is only counted, and
a link that acted on a whole group would act on what joins it after it was sent. Knows the form of links and their
seal; knows no clock, no incident, and not what follows from a link.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from msgspec import Struct

from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.errors import Unusable
from service_monitoring.wire.codec import decode, encode

LIFE: Final = Duration(7 * DAY)
"""From the decision to tell, so that it is the same in every attempt."""
LONGEST: Final = 1_024
"""Characters of a token; what is longer is none of ours."""

_OFFERED: Final = {State.OPEN.value: (Act.ACKNOWLEDGE, Act.RESOLVE), State.ACKNOWLEDGED.value: (Act.RESOLVE,)}
_PURPOSE: Final = b"service-monitoring link 1\n"


class Permission(Struct, frozen=True, array_like=True):
    """What a link permits, to whoever holds it, before `expires_at`."""

    incident: str
    act: Act
    channel: str
    expires_at: Instant


class Signer:
    """Writes links and reads their tokens, with one key. Immutable; never blocks."""

    def __init__(self, key: bytes, url: str) -> None:
        """`url` is where people reach this program, without a slash at its end."""
        self._key = key
        self._url = url

    def links(self, notice: Notice, channel: str) -> tuple[tuple[str, str], ...]:
        """Words and URLs of what may be done about the one incident of a notice. `ports.Links`."""
        facts = notice.facts
        alone = not notice.others and notice.open + notice.over <= 1
        acts = _OFFERED.get(facts.state, ()) if facts.incident and alone else ()
        until = notice.decided_at.plus(LIFE)
        return tuple(
            (act.value, f"{self._url}/act/{self.token(Permission(facts.incident, act, channel, until))}")
            for act in acts
        )

    def token(self, permission: Permission) -> str:
        """What stands in a link."""
        content = _text(encode(permission))
        return f"{content}.{self._seal(content)}"

    def read(self, token: str) -> Permission | None:
        """What a token permits, or permitted once; None for whatever was not written with this key.

        Everything that is no token goes the same way as one that was altered: the seal is made, and compared.
        """
        content, _, seal = token[:LONGEST].rpartition(".")
        if not hmac.compare_digest(seal.encode(errors="replace"), self._seal(content).encode()):
            return None
        try:
            return decode(Permission, urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        except Unusable:
            return None  # sealed by a version that permits other things

    def _seal(self, content: str) -> str:
        return _text(hmac.digest(self._key, _PURPOSE + content.encode(errors="replace"), sha256))


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
