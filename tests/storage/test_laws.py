"""Both of our stores keep the laws of `ports.Store`."""

import pytest

from service_monitoring.ports import Store
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.store_laws import Restart, StoreLaws
from service_monitoring.testing.stores import MemoryStore
from tests.storage.conftest import Open


class TestSqliteStore(StoreLaws):
    @pytest.fixture
    def restart(self, opened: Open) -> Restart:
        async def restarted(store: Store) -> Store:
            assert isinstance(store, SqliteStore)
            await store.close()
            return await opened()

        return restarted


class TestMemoryStore(StoreLaws):
    @pytest.fixture
    async def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def restart(self) -> Restart:
        async def restarted(store: Store) -> Store:
            assert isinstance(store, MemoryStore)
            return store.restarted()

        return restarted
