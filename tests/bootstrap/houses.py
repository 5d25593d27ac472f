"""A store with its desk of access, that may be closed and opened again in simulated time."""

from collections.abc import Callable
from hashlib import sha256
from itertools import count
from pathlib import Path

from service_monitoring.access.desk import Client, Opened
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import Role
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.hashing import Hashing
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.clock import SimulatedClock
from tests.data_folders import with_tables

HERE = Client("192.0.2.1", "a browser")
PASSWORD = "several words together"
OTHER = "other words than those"


def secrets(first: int) -> Callable[[], str]:
    """Secrets that differ, and that nobody has to guess."""
    numbers = count(first)
    return lambda: sha256(f"secret {next(numbers)}".encode()).hexdigest()


class House:
    """A store that may be closed and opened again, with its desk."""

    def __init__(self, folder: Path, first_secret: int = 0) -> None:
        self.folder = folder
        self.clock = SimulatedClock()
        self.make = secrets(first_secret)
        self.hashing = Hashing(self.make)

    async def open(self) -> None:
        self.store = await SqliteStore.open(with_tables(self.folder), self.clock, tuning=Tuning(reserve=0))
        self.desk = await StoreAccess(self.store, self.clock, self.make, self.hashing).load()

    async def restart(self) -> None:
        await self.store.close()
        await self.open()

    async def people(self) -> None:
        """An admin, a responder and a viewer."""
        for name, role in (("ada", Role.ADMIN), ("rob", Role.RESPONDER), ("vic", Role.VIEWER)):
            await self.desk.create_account(OWNER, name, role, PASSWORD)

    async def enter(self, name: str = "ada", password: str = PASSWORD, client: Client = HERE) -> Opened:
        opened = await self.desk.sign_in(name, password, client)
        assert isinstance(opened, Opened)
        return opened

    async def lets_in(self, opened: Opened) -> bool:
        return await self.desk.session(opened.secret, HERE) is not None

    def bytes(self) -> bytes:
        """All that is on the disk."""
        return b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())
