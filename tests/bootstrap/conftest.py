"""A desk of access with nobody, and one with three people."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bootstrap.houses import House


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "data")
    await house.open()
    yield house
    await house.store.close()


@pytest.fixture(scope="session")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three people in it: hashing their passwords takes longer than most tests."""
    folder = tmp_path_factory.mktemp("peopled") / "data"

    async def make() -> None:
        house = House(folder)
        await house.open()
        await house.people()
        await house.store.close()

    asyncio.run(make())
    return folder


@pytest.fixture
async def house(peopled: Path, tmp_path: Path) -> AsyncIterator[House]:
    """Its secrets go on after those that the people were made with."""
    house = House(tmp_path / "data", first_secret=1_000)
    shutil.copytree(peopled, house.folder)
    await house.open()
    yield house
    await house.store.close()
