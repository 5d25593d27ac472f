"""Encrypting: the certificate that a TCP address shows, read anew when its files change.

Knows certificates, keys and TLS. Does not know who connects. Whoever renews a certificate need not tell the program:
its files are looked at now and then, and connections that begin afterwards see the new one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from service_monitoring.errors import Refused


class Encryption:
    """TLS 1.2 or newer with a certificate and its key; `Refused` at the start where they cannot be used.

    A renewed certificate that cannot be used is told once to `troubled`; the one before stays. Nothing, once it can.
    """

    def __init__(
        self, certificate: Path, key: Path, *, troubled: Callable[[str], None] = lambda sentence: None
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._troubled = troubled
        self._trouble = ""
        self._seen = self._look()
        self.context = self._read()

    def renew(self) -> None:
        """Read the files again where they look different from before."""
        look = self._look()
        if look == self._seen:
            return
        self._seen = look
        try:
            # Tried aside first: a context that took a certificate and refuses its key is of no use to anybody.
            self._read()
            self.context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        except (Refused, OSError) as error:
            self._say(f"the certificate was not renewed: {error}")
        else:
            self._say("")

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        for path in (self._certificate, self._key):
            try:
                path.read_bytes()
            except OSError as error:
                raise Refused(f"{path} cannot be read ({error.strerror})") from None
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or "no PEM, or the key has a passphrase"
            raise Refused(f"{self._certificate} and {self._key} are no certificate with its key ({reason})") from None
        return context

    def _look(self) -> tuple[object, ...]:
        """How both files look; a file that is missing for a moment looks like nothing."""
        looks: list[object] = []
        for path in (self._certificate, self._key):
            try:
                seen = path.stat()
            except OSError:
                looks.append(None)
            else:
                looks.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
        return tuple(looks)

    def _say(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self._troubled(sentence)


def _no_passphrase() -> str:
    """Asked where a key has one: without this, OpenSSL would ask at the terminal."""
    return ""
