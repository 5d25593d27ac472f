"""The glossary and the code use the same words: `- **word** — meaning (`module.path:Name`)`, one line a word.

Knows the words of the design; a word counts as soon as the domain has a module of its name.
"""

import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest

WORDS = (
    "check", "deadline", "escalation", "event", "incident", "inhibition", "instant", "ledger", "maintenance",
    "monitoring policy", "notice", "observation", "outbox", "rehearsal", "rota", "route", "rule", "sample", "series",
    "silence", "sink", "strategy", "tick", "timeout", "verdict", "view", "window",
)  # fmt: skip
# Modules whose words are others: where routes and rotas live.
MODULES_OF = {"monitoring policy": "policy", "route": "routing", "rota": "oncall"}

_LINE = re.compile(r"- \*\*(?P<word>[^*]+)\*\* — (?P<meaning>.+) \(`(?P<module>[\w.]+)(?::(?P<name>[\w.]+))?`\)")


class Entry(NamedTuple):
    """One line of the glossary."""

    word: str
    module: str
    name: str | None


@pytest.fixture
def glossary(project: Path) -> list[Entry]:
    text = (project / "docs" / "glossary.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    unread = [line for line in lines if not _LINE.fullmatch(line)]
    assert unread == []
    return [Entry(entry["word"], entry["module"], entry["name"]) for entry in map(_LINE.fullmatch, lines) if entry]


def test_every_word_stands_for_something_in_the_code(glossary: list[Entry]) -> None:
    for word, module, name in glossary:
        path = module if module.startswith("service_monitoring") else f"service_monitoring.{module}"
        found: object = importlib.import_module(path)
        for part in (name or "").split(".") if name else ():
            found = getattr(found, part, None)
        assert found is not None, f"{word}: {module} has no {name}"


def test_one_word_has_one_line(glossary: list[Entry]) -> None:
    words = [entry.word for entry in glossary]
    assert sorted(set(words)) == sorted(words)


def test_every_module_of_the_domain_has_its_word(project: Path, glossary: list[Entry]) -> None:
    modules = {path.stem for path in (project / "src/service_monitoring/domain").glob("*.py")} - {"__init__"}
    told = {module.split("domain.")[1].split(".")[0] for _, module, _ in glossary if "domain." in module}
    assert sorted(modules - told) == []


def test_every_word_of_the_design_with_a_module_is_explained(project: Path, glossary: list[Entry]) -> None:
    modules = {path.stem for path in (project / "src/service_monitoring/domain").glob("*.py")}
    words = {entry.word for entry in glossary}
    for word in WORDS:
        spellings = {MODULES_OF.get(word, word), f"{word}s", re.sub("y$", "ies", word)}
        assert word in words or not (spellings & modules), f"{word} has a module and no line"
