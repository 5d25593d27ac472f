"""Every claim of docs/claims.md names the tests that prove it: `| claim | `tests/path.py::test_name` |`.

Knows the table and the names of tests; whether a test proves the claim is for people to judge.
"""

import ast
import re
from functools import cache
from pathlib import Path

_PROOF = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)(?:\[[^`]*\])?`")


def claims(project: Path) -> list[tuple[str, str]]:
    """The rows of the table: claim and proof."""
    text = (project / "docs" / "claims.md").read_text(encoding="utf-8")
    rows = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [(row[0].strip(), row[-1].strip()) for row in rows[2:]]


@cache
def names_of(path: Path) -> set[str]:
    """The tests of a file: `test_name` and `TestClass::test_name`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                methods = [part for part in body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
                names |= {name, *(f"{name}::{method.name}" for method in methods)}
            case ast.Assign(targets=[ast.Name(id=name)]):  # Hypothesis: TestMachine = Machine.TestCase
                names.add(name)
            case _:
                pass
    return {name for name in names if name.lower().startswith("test")}


def test_every_claim_names_a_proof(project: Path) -> None:
    table = claims(project)
    assert table
    assert [claim for claim, proof in table if not _PROOF.search(proof)] == []


def test_every_proof_is_a_test_that_exists(project: Path) -> None:
    missing = []
    for _, proof in claims(project):
        for path, test in _PROOF.findall(proof):
            if not (project / path).exists() or test not in names_of(project / path):
                missing.append(f"{path}::{test}")
    assert missing == []


def test_no_claim_stands_twice(project: Path) -> None:
    table = [claim for claim, _ in claims(project)]
    assert sorted(set(table)) == sorted(table)
