"""The locks hold what pyproject.toml asks for, by hash and without the address of any registry.

Knows the lock files, of which each holds all of the one before; does not resolve anything: `make lock` does.
"""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ["uv.txt", "runtime.txt", "apprise.txt", "development.txt"]


def pins(lock: Path) -> dict[str, set[str]]:
    """The versions of each package: several where they depend on the version of Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.+!]+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_hash_for_everything_and_no_address(lock: str, project: Path) -> None:
    text = (project / "requirements" / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert [line for line in text.splitlines() if line.startswith("-")] == []
    for pinned in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in pinned


def test_what_is_asked_for_is_locked(project: Path) -> None:
    asked = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, apprise, development = (pins(project / "requirements" / lock) for lock in LOCKS[1:])
    wanted = [
        (asked["project"]["dependencies"], runtime),
        (asked["project"]["optional-dependencies"]["apprise"], apprise),
        (asked["dependency-groups"]["development"], development),
    ]
    for requirements, locked in wanted:
        for requirement in map(Requirement, requirements):
            versions = locked.get(canonicalize_name(requirement.name), set())
            assert versions, f"{requirement} is not locked: make lock"
            assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: make lock"


def test_testing_tests_the_versions_that_run(project: Path) -> None:
    runtime, apprise, development = (pins(project / "requirements" / lock) for lock in LOCKS[1:])
    assert runtime.items() <= apprise.items() <= development.items()


def test_every_extra_has_its_lock(project: Path) -> None:
    asked = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert {f"{extra}.txt" for extra in asked["project"]["optional-dependencies"]} <= set(LOCKS)
