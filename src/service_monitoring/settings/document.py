"""Documents: one YAML file as plain values that still know where they stood.

Knows YAML 1.2's core rules and what is refused for safety: duplicate keys, tags, merge keys, many aliases, deep
nesting, large files. Does not know what any key means. PyYAML's C parser reads; what a scalar is, is decided here,
because PyYAML reads `no`, `on` and `22:00` by the rules of YAML 1.1.

Files are read in one of two ways. Nearly all are plain: their values follow from the parser's events (`_plain_values`).
Where anything is unusual, or somebody asks where a value stood, the tree of nodes is composed, which knows every place;
for a large file that takes as long again and ten times the memory.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from yaml import (
    MappingEndEvent,
    MappingNode,
    MappingStartEvent,
    Node,
    ScalarEvent,
    ScalarNode,
    SequenceEndEvent,
    SequenceNode,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # what the stubs call private is what is fast
from yaml.error import MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

from service_monitoring.settings.complaints import Complaint, InvalidSettings, KeyPath, Place, path_text

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a file."""
DEEPEST: Final = 32
"""Levels of nesting."""
MOST_ALIASES: Final = 10
"""Aliases in one file: enough for convenience, too few for a bomb."""

_OPENING: Final = ("stream", "document")
"""What opens before the first value."""
_PLAIN: Final = "plain"
_QUOTED: Final = "quoted"
_STRING_TAG: Final = "tag:yaml.org,2002:str"
_COLLECTION: Final = "collection"

_WORDS: Final[Mapping[str, object]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
} | {
    sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
}  # fmt: skip
_NUMERIC_START: Final = frozenset("+-.0123456789")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+\Z")
_BASED: Final = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_NUMBER: Final = re.compile(r"(?:0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)\Z")
_LONGEST_NUMBER: Final = 64


class _TooDeep(Exception):
    """Composing went below the deepest level; `line` and `column` count from 0."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column


class _Composer(CParser):
    """Composes nodes and notes only whether a scalar was plain or quoted; counts levels on the way down."""

    def __init__(self, content: bytes) -> None:
        CParser.__init__(self, content)
        self._depth = 0
        self._parent: Node | None = None

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _QUOTED
        if self._depth > DEEPEST:
            mark = self._parent.start_mark if self._parent is not None else None
            raise _TooDeep(mark.line if mark else 0, mark.column if mark else 0)
        return _COLLECTION

    def descend_resolver(self, parent: Node | None, index: object) -> None:
        self._depth += 1
        self._parent = parent

    def ascend_resolver(self) -> None:
        self._depth -= 1


class Document:
    """One file: `data` is the tree of plain values, `place` says where any of them stands. For one thread.

    The first `place` composes the file's nodes, unless they are given.
    """

    def __init__(
        self, file: str, data: object, content: bytes, root: Node | None = None, complaints: Sequence[Complaint] = ()
    ) -> None:
        self.file = file
        self.data = data
        self.complaints = tuple(complaints)
        self._content = content
        self._composed = root
        self._indexed: dict[int, dict[str | int, tuple[Node, Node]]] = {}

    @classmethod
    def read(cls, path: Path, *, name: str, saw: Callable[[Path, bytes], None] | None = None) -> Document:
        """Read `path`, called `name` in complaints. Blocks. `InvalidSettings` where the file is not usable YAML.

        `saw` hears of the content before anything is made of it.
        """
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise _unusable(Place(name), f"the file cannot be read ({why})", "name a readable file") from None
        if saw is not None:
            saw(path, content)
        return cls.parse(content, name=name)

    @classmethod
    def parse(cls, content: bytes, *, name: str) -> Document:
        """Read YAML from memory. What is wrong with its tree, as duplicate keys, is left in `complaints`."""
        if len(content) > LARGEST:
            raise _unusable(Place(name), f"the file is larger than {LARGEST >> 20} MiB", "split it with include")
        with uncollected():
            values = _plain_values(content)
            if values is not None:
                return cls(name, values, content)
            root = _composed(content, name)
            if root is None:
                return cls(name, {}, content)
            walk = _Walk(name)
            return cls(name, walk.value(root), content, root, walk.complaints)

    @property
    def _root(self) -> Node | None:
        if self._composed is None and self._content:
            with uncollected():
                self._composed = _composed(self._content, self.file)
        return self._composed

    def place(self, path: KeyPath) -> Place:
        """Where the value at `path` stands; steps that do not exist are left out, so the nearest holder answers."""
        node = self._root
        for step in path:
            found = self._child(node, step)
            if found is None:
                break
            node = found[1]
        return self._at(node)

    def place_of_key(self, path: KeyPath) -> Place:
        """Where the key at the end of `path` stands; an item of a list has none, its value answers."""
        node = self._root
        for step in path[:-1]:
            found = self._child(node, step)
            node = found[1] if found is not None else None
        found = self._child(node, path[-1]) if path else None
        return self._at(found[0]) if found is not None else self.place(path)

    def written(self, path: KeyPath) -> str | None:
        """The scalar at `path` as it is written, `0x20` for 32, say; None where none stands."""
        node = self._root
        for step in path:
            found = self._child(node, step)
            if found is None:
                return None
            node = found[1]
        return node.value if isinstance(node, ScalarNode) else None

    def part(self, key: str) -> Document:
        """What stands under a key of the file, as a document whose places are those of the file."""
        found = self._child(self._root, key)
        data = self.data.get(key) if isinstance(self.data, dict) else None
        return Document(self.file, data, self._content, None if found is None else found[1])

    def exact(self, path: KeyPath) -> KeyPath:
        """`path` without the steps that the document does not have: what a validator adds for branches of a union."""
        node = self._root
        steps: list[str | int] = []
        for step in path:
            found = self._child(node, step)
            if found is not None:
                steps.append(step)
                node = found[1]
        return tuple(steps)

    def _child(self, node: Node | None, step: str | int) -> tuple[Node, Node] | None:
        """Key and value under `step`; in a list the value stands for both."""
        if isinstance(node, MappingNode):
            index = self._indexed.get(id(node))
            if index is None:
                index = self._indexed[id(node)] = {}
                for key, value in node.value:
                    if isinstance(key, ScalarNode):
                        index.setdefault(key.value, (key, value))
            return index.get(step)
        if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
            return node.value[step], node.value[step]
        return None

    def _at(self, node: Node | None) -> Place:
        if node is None:
            return Place(self.file, 1, 1)
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the garbage collector: a large file makes millions of nodes without a cycle, and looking at them again and
    again takes three times as long as making them.
    """
    held = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if held:
            gc.enable()


def _composed(content: bytes, name: str) -> Node | None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(Place(name, line, 1), "the file is not UTF-8 text", "save it as UTF-8") from None
    try:
        return _Composer(content).get_single_node()
    except _TooDeep as deep:
        place = Place(name, deep.line + 1, deep.column + 1)
        raise _unusable(place, f"nested deeper than {DEEPEST} levels", "write it flatter") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise _unusable(place, f"this is not YAML: {problem}", "check indentation, colons and quotes") from None
    except ReaderError as error:
        raise _unusable(Place(name), f"this is not YAML: {error.reason}", "remove the character") from None
    except YAMLError as error:
        raise _unusable(Place(name), f"this is not YAML: {error}", "check the file") from None


def _plain_values(content: bytes) -> dict[str, object] | list[object] | None:  # noqa: C901, PLR0912, PLR0915 - one loop: see below
    """The values of a file in which nothing is unusual: one document, no anchors and tags, words as keys, each once.

    None for any other, be it wrong or not: `_Walk` reads it, and says what is wrong. On a file of ten thousand services
    this takes half of the time of composing and walking, so everything is in one loop.
    """
    made: dict[str, object] | list[object] | None = None
    above: list[tuple[dict[str, object] | list[object], str | None]] = []
    key: str | None = None
    names: dict[str, str] = {}
    plain: dict[str, object] = {}
    try:
        content.decode()
        following = CParser(content).get_event
        for _ in _OPENING:
            following()
        while True:
            event: Any = following()
            kind = type(event)
            value: object
            if kind is ScalarEvent:
                if event.tag is not None or event.anchor is not None:
                    return None
                text = event.value
                if key is None and type(made) is dict:
                    if text in made or text == "<<":
                        return None
                    key = names.setdefault(text, text)
                    continue
                if not event.implicit[0]:
                    value = text
                elif text in plain:
                    value = plain[text]
                elif len(text) > _LONGEST_NUMBER and _NUMBER.match(text):
                    return None
                else:
                    value = plain[text] = _plain_value(text)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                unusual = event.tag is not None or event.anchor is not None or len(above) >= DEEPEST - 1
                if unusual or (key is None and type(made) is dict):
                    return None
                if made is not None:
                    above.append((made, key))
                made, key = ({} if kind is MappingStartEvent else []), None
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                if not above:
                    break
                value = made
                made, key = above.pop()
            else:
                return None
            if key is not None:
                made[key] = value  # type: ignore[index, call-overload]  # with a key it is a mapping
                key = None
            elif made is None:
                return None
            else:
                made.append(value)  # type: ignore[union-attr]  # without one it is a list
        # The end of the document, and of the file: what follows is another document.
        following()
        return made if type(following()) is StreamEndEvent else None
    except (YAMLError, ValueError):
        return None


def _unusable(place: Place, problem: str, remedy: str) -> InvalidSettings:
    return InvalidSettings([Complaint(place, "", problem, remedy)])


class _Walk:
    """Turns nodes into values once each: aliases share, so nothing is ever expanded."""

    def __init__(self, file: str) -> None:
        self.complaints: list[Complaint] = []
        self._file = file
        self._path: list[str | int] = []
        self._plain: dict[str, object] = {}
        self._seen: dict[Hashable, object] = {}
        self._open: set[Hashable] = set()
        self._aliases = 0

    def value(self, node: Node, step: str | int | None = None) -> Any:
        """The value of `node`, which stands under `step` of the collection being read."""
        if isinstance(node, ScalarNode):
            return self._scalar(node, step)
        if step is not None:
            self._path.append(step)
        made = self._collection(node)
        if step is not None:
            self._path.pop()
        return made

    def _collection(self, node: Node) -> object:
        identity = id(node)
        if identity in self._seen or identity in self._open:
            self._alias(node, inside=identity in self._open)
            return self._seen.get(identity)
        if node.tag != _COLLECTION:
            self._complain(node, None, "tags are not used here", f"remove {_tag_text(node.tag)}")
        self._open.add(identity)
        made: object
        if isinstance(node, MappingNode):
            made = self._mapping(node)
        else:
            made = [self.value(item, index) for index, item in enumerate(node.value)]
        self._open.discard(identity)
        self._seen[identity] = made
        return made

    def _mapping(self, node: MappingNode) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, value in node.value:
            name = key.value
            if not isinstance(key, ScalarNode):
                self._complain(key, None, "a key must be a word, not a list or mapping", "write name: value")
            elif name == "<<" and key.tag == _PLAIN:
                remedy = "write the keys out, or set them under defaults"
                self._complain(key, name, "merge keys are not part of YAML 1.2", remedy)
            elif name in made:
                first = next(earlier for earlier, _ in node.value if earlier.value == name)
                line = first.start_mark.line + 1
                self._complain(key, name, f"the key stands here twice, first in line {line}", "remove one")
            else:
                made[name] = self.value(value, name)
        return made

    def _scalar(self, node: ScalarNode, step: str | int | None) -> object:
        text: str = node.value
        if node.tag == _QUOTED:
            return text
        if node.tag != _PLAIN:
            if node.tag != _STRING_TAG:
                self._complain(node, step, "tags are not used here", f"remove {_tag_text(node.tag)}")
            return text
        try:
            return self._plain[text]
        except KeyError:
            if len(text) > _LONGEST_NUMBER and _NUMBER.match(text):
                self._complain(node, step, "this number is too long", "put it in quotes if it is text")
                return text
            made = self._plain[text] = _plain_value(text)
            return made

    def _alias(self, node: Node, *, inside: bool) -> None:
        if inside:
            self._complain(node, None, "this alias leads back into itself", "write the values out")
        self._aliases += 1
        if self._aliases > MOST_ALIASES:
            self._complain(node, None, f"more than {MOST_ALIASES} aliases in one file", "write the values out")
            raise InvalidSettings(self.complaints)

    def _complain(self, node: Node, step: str | int | None, problem: str, remedy: str) -> None:
        place = Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)
        path = tuple(self._path) if step is None else (*self._path, step)
        self.complaints.append(Complaint(place, path_text(path), problem, remedy))


def _plain_value(text: str) -> object:
    """What a scalar without quotes is, by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START or not _NUMBER.match(text):
        return text
    if _INTEGER.match(text):
        return int(text)
    return int(text, 0) if _BASED.match(text) else float(text)


def _tag_text(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
