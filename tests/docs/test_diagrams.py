"""The diagrams of the docs are generated from the tables of moves: `python -m tests.docs.test_diagrams` writes them."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "design.md"
TABLES = ("domain.incidents", "domain.rules")


def diagram(module: str) -> str:
    """The table of moves as a Mermaid state diagram; a state that nothing leads to is a beginning."""
    moves = importlib.import_module(f"service_monitoring.{module}").MOVES
    states = dict.fromkeys([*(before for before, _ in moves), *moves.values()])
    reached = {after for (before, _), after in moves.items() if after is not before}
    first = [state for state in states if state not in reached]
    final = [state for state in states if state not in {before for before, _ in moves}]
    lines = [f"    [*] --> {state}" for state in first]
    lines += [f"    {before} --> {after}: {move}" for (before, move), after in moves.items()]
    lines += [f"    {state} --> [*]" for state in final]
    return "stateDiagram-v2\n" + "\n".join(lines) + "\n"


def block(module: str) -> re.Pattern[str]:
    """Where the page has it."""
    return re.compile(rf"(<!-- moves of {re.escape(module)} -->\n```mermaid\n)(.*?)(```)", re.DOTALL)


@pytest.mark.parametrize("module", TABLES)
def test_the_diagram_is_that_of_the_table(module: str) -> None:
    found = block(module).search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[2] == diagram(module)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    for each in TABLES:
        before, after = block(each).search(text), diagram(each)
        assert before is not None
        text = text[: before.start(2)] + after + text[before.end(2) :]
    PAGE.write_text(text, encoding="utf-8")
