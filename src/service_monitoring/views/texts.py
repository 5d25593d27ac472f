"""Texts: what strangers wrote, made fit to be shown: on one line, encodable, short enough.

Knows characters and bytes. Does not know what a text is about, nor where it is shown.
"""

from __future__ import annotations

from typing import Final

LARGEST_TEXT: Final = 32 * 1024
"""Bytes of UTF-8 that a rendered text has at most."""
CUT: Final = "... (cut)"
"""What ends a text that was longer."""


def one_line(text: str) -> str:
    """`text` with everything that is not printable escaped: safe for a terminal, a header or a log line."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text.replace("\n", " ")
    )


def plain_number(number: float) -> str:
    """A number for people: six digits are enough of one that has a fraction."""
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.6g}" if 1e-4 <= abs(number) < 1e6 else repr(number)


def encodable(text: str) -> str:
    """`text` without lone surrogates, as undecodable output of a command has them: they cannot be sent as UTF-8."""
    return text.encode("utf-8", "replace").decode()


def capped(text: str, largest: int = LARGEST_TEXT) -> str:
    """`text`, cut between two characters where it has more than `largest` bytes."""
    content = text.encode()
    if len(content) <= largest:
        return text
    return content[: largest - len(CUT)].decode(errors="ignore") + CUT
