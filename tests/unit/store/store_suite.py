"""What every database must do for `Store`. Run on SQLite by `test_writer.py`, on PostgreSQL by `tests/services`."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from perpdesk.store import Store, StoreUnavailable
from perpdesk.store.tables import meta
from tests.unit.store.fixtures import Database
from tests.unit.store.works import add, keys


async def test_work_returns_its_result_once_it_is_committed(store: Store, database: Database) -> None:
    assert await store.run(add("a")) == "a"
    assert await database.open().read(keys) == ["a"]


async def test_what_was_committed_is_there_after_closing_and_reopening(database: Database) -> None:
    store = database.open()
    await store.run(add("a"))
    await store.close()
    assert await database.open().read(keys) == ["a"]


async def test_work_that_raises_leaves_nothing_behind(store: Store) -> None:
    def work(connection: Connection) -> None:
        add("half")(connection)
        raise LookupError("changed its mind")

    with pytest.raises(LookupError, match="changed its mind"):
        await store.run(work)
    assert await store.read(keys) == []
    assert store.is_healthy


async def test_a_broken_constraint_is_the_callers_error_not_the_stores(store: Store) -> None:
    await store.run(add("a"))
    with pytest.raises(IntegrityError):
        await store.run(add("a", "again"))
    await store.run(add("b"))
    assert await store.read(keys) == ["a", "b"]
    assert store.is_healthy


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable, match="is closed"):
        await store.run(add("late"))


async def test_closing_twice_is_harmless(store: Store) -> None:
    await store.run(add("a"))
    await store.close()
    await store.close()


async def test_a_probe_writes_and_can_be_repeated(store: Store) -> None:
    assert await store.probe()
    assert await store.probe()
    assert await store.read(lambda c: c.execute(select(func.count()).select_from(meta)).scalar()) == 1
