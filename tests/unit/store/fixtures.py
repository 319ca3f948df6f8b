"""Opening one and the same database again and again, as a restarted desk does."""

from dataclasses import dataclass, field
from random import Random

import pytest
from sqlalchemy.engine import Engine

from perpdesk.domain.clock import ManualClock
from perpdesk.store import Journal, Store
from perpdesk.store.writer import StoreMode

NOW_MS = 1_700_000_000_000


@dataclass
class Database:
    """A database of one test, and the stores it opened on it.

    Attributes:
        engine: Shared by every store where the database lives in memory, None elsewhere.
    """

    url: str
    mode: StoreMode
    engine: Engine | None = None
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_MS))
    retry_delays_ms: tuple[int, ...] = (0, 0, 0)
    opened: list[Store] = field(default_factory=list)

    def open(self, mode: StoreMode | None = None) -> Store:
        store = Store.open(
            self.url, mode=mode or self.mode, clock=self.clock, engine=self.engine, retry_delays_ms=self.retry_delays_ms
        )
        self.opened.append(store)
        return store

    def journal(self, seed: int = 7) -> Journal:
        """A journal over a store of its own."""
        return Journal(self.open(), self.clock, Random(seed))

    async def close(self) -> None:
        for store in self.opened:
            await store.close()
        if self.engine is not None:
            self.engine.dispose()


@pytest.fixture
async def journal(database: Database) -> Journal:
    """A journal whose run has begun with id 1."""
    journal = database.journal()
    await journal.begin_run("sandbox", seed=1, pid=123)
    return journal


@pytest.fixture
async def store(database: Database) -> Store:
    return database.open()
