"""Secrets: values that no log, error, event or screen may show.

Knows how a secret is written (plain, from an environment variable, from a file), and every form in which its text may
turn up elsewhere, so that it can be struck out by value. Does not know who uses a secret for what.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote, quote_plus

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from service_monitoring.settings.problems import InvalidValue

STRUCK: Final = "(secret)"
"""What stands where a secret was."""

LARGEST_FILE: Final = 64 * 1024
"""Bytes of a secret's file: a key or a token, not a disk image named by mistake."""

SHORTEST_STRUCK: Final = 4
"""Characters. Shorter texts guard nothing, and striking them out would make every other text unreadable."""

STAND_IN: Final = "https://unread.invalid/unread"
"""What stands in for a secret that nobody reads: a URL and a header's value, so that most kinds take it."""

_REMEDY: Final = "write the text, {env: NAME} or {file: PATH}"


class Secret:
    """A text that is shown to nobody who does not ask with `reveal`. Immutable; equal by value; not to be pickled.

    As the type of a field of an option model it reads `text`, `{env: NAME}` and `{file: PATH}`, the latter two where
    the settings are loaded from a file.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself: for the header, the login or the signature, and nowhere else."""
        return self.__text

    def __repr__(self) -> str:
        return STRUCK

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return STRUCK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _secret_field, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: STRUCK)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "description": "A secret: its text, {env: NAME} or {file: PATH}.",
            "anyOf": [{"type": "string"}, _reference_schema("env"), _reference_schema("file")],
        }


class Secrets(Enum):
    """Whether secrets that a file refers to are read. `UNREAD` ones are never asked for: something stands in."""

    READ = "read"
    UNREAD = "unread"


class SecretReader:
    """Reads secrets where they are written; remembers each, so that all can be struck out later.

    Reading a file blocks. Not to be shared between threads.
    """

    def __init__(
        self,
        *,
        folder: Path,
        environment: Mapping[str, str],
        saw: Callable[[Path, bytes | None], None] = lambda path, content: None,
        secrets: Secrets = Secrets.READ,
    ) -> None:
        """`saw` hears of each file that is named, with its content where it has one."""
        self._secrets = secrets
        self._folder = folder
        self._saw = saw
        self._environment = environment
        self._found: dict[Secret, None] = {}

    @property
    def found(self) -> tuple[Secret, ...]:
        """Every secret that was read, in the order of reading."""
        return tuple(self._found)

    @property
    def stands_in(self) -> bool:
        """Whether nothing is read, so that what a kind says of such a secret says nothing."""
        return self._secrets is Secrets.UNREAD

    def read(self, given: object) -> Secret:
        """The secret that `given` stands for; `InvalidValue`, which never quotes a secret, where there is none."""
        if self.stands_in and is_reference(given):
            return Secret(STAND_IN)
        match given:
            case Secret():
                secret = given
            case str():
                secret = Secret(given)
            case {"env": str(name), **others} if not others:
                secret = self._of_environment(name)
            case {"file": str(path), **others} if not others:
                secret = Secret(_file_text(self._folder / path, self._saw))
            case _:
                raise InvalidValue("a secret is expected here", f"{_REMEDY}; put digits in quotes")
        if secret.reveal():
            self._found[secret] = None
        return secret

    def _of_environment(self, name: str) -> Secret:
        text = self._environment.get(name)
        if text is None:
            raise InvalidValue(f"the environment has no variable {name}", f"set {name} before starting")
        if not text:
            raise InvalidValue(f"the environment variable {name} is empty", f"set {name} before starting")
        return Secret(text)


class Redactor:
    """Strikes out secrets by value in any text: plain, quoted, url-encoded and in base64, alone or within more.

    Immutable once made; may be called from any thread; never blocks.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms = {form for secret in secrets for form in _forms(secret.reveal())}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(_expression, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """`text` with `(secret)` in place of every secret."""
        return text if self._pattern is None else self._pattern.sub(STRUCK, text)


def is_reference(given: object) -> bool:
    """Whether this is how a file refers to a secret that stands elsewhere."""
    match given:
        case {"env": str(), **others} | {"file": str(), **others}:
            return not others
        case _:
            return False


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """`text` with every occurrence of every secret struck out; keep a `Redactor` where there are many texts."""
    return Redactor(secrets)(text)


def _secret_field(given: object, info: ValidationInfo) -> Secret:
    reader = info.context.get("secrets") if isinstance(info.context, Mapping) else None
    if isinstance(reader, SecretReader):
        return reader.read(given)
    if isinstance(given, Secret):
        return given
    if isinstance(given, str):
        return Secret(given)
    raise InvalidValue("a secret is expected here", "give its text: only a configuration file may refer to one")


def _file_text(path: Path, saw: Callable[[Path, bytes | None], None]) -> str:
    saw(path, None)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "the path is not usable"
        raise InvalidValue(f"the secret's file {path} cannot be read ({why})", "name a readable file") from None
    saw(path, content)
    if len(content) > LARGEST_FILE:
        raise InvalidValue(f"the secret's file {path} is larger than 64 KiB", "name the file of the secret")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InvalidValue(f"the secret's file {path} is not UTF-8 text", "name a file of text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise InvalidValue(f"the secret's file {path} is empty", "write the secret into it")
    return text


def _forms(text: str) -> Iterator[str]:
    """Every way in which `text` may turn up: those of base64 for each alignment within longer content."""
    if len(text) < SHORTEST_STRUCK:
        return
    yield text
    escapes: tuple[Callable[[str], str], ...] = (
        quote,
        quote_plus,
        lambda plain: quote(plain, safe=""),
        lambda plain: json.dumps(plain)[1:-1],
        lambda plain: json.dumps(plain, ensure_ascii=False)[1:-1],
        lambda plain: repr(plain)[1:-1],
    )
    for escape in escapes:
        yield escape(text)
    content = text.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(content).decode()
        yield whole
        yield whole.rstrip("=")
        for shift in (0, 1, 2):
            # Only characters whose six bits are all the secret's own are the same whatever stands around it.
            first = -(-shift * 8 // 6)
            last = (shift + len(content)) * 8 // 6
            inner = encode(bytes(shift) + content).decode()[first:last]
            if len(inner) >= 8:
                yield inner


def _expression(form: str) -> str:
    """A form as a regular expression: the digits of url-encoding may be small or capital letters."""
    return re.sub("%([0-9A-Fa-f]{2})", r"(?i:%\1)", re.escape(form))


def _reference_schema(key: str) -> dict[str, Any]:
    return {"type": "object", "properties": {key: {"type": "string"}}, "required": [key], "additionalProperties": False}
