"""A desk of access with nobody, and one with three people."""

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


@pytest.fixture
async def house(bare: House) -> House:
    await bare.people()
    return bare
