"""How a store with a writer thread groups commits. Run on SQLite by `test_group_commit.py`, on PostgreSQL by `tests/services`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from perpdesk.store import Store, StoreUnavailable
from perpdesk.store.writer import BATCH_MAX
from tests.unit.store.fixtures import Database
from tests.unit.store.works import Gate, add, commits_of, keys


async def test_works_queued_during_a_commit_are_committed_together_in_order(store: Store) -> None:
    order: list[str] = []

    def noting(key: str) -> Callable[[Connection], str]:
        def work(connection: Connection) -> str:
            order.append(key)
            return add(key)(connection)

        return work

    gate = Gate(store)
    await gate.until_busy()
    commits = commits_of(store)
    queued = asyncio.gather(*(store.run(noting(str(n))) for n in range(20)))
    await asyncio.sleep(0)
    gate.open()
    assert await queued == [str(n) for n in range(20)]
    assert order == [str(n) for n in range(20)]
    await gate.passed
    assert len(commits) == 2  # the gate's own and one for all twenty


async def test_a_failing_work_neither_undoes_nor_stops_its_neighbours(store: Store) -> None:
    await store.run(add("taken"))
    gate = Gate(store)
    await gate.until_busy()
    queued = asyncio.gather(*(store.run(add(key)) for key in ("a", "taken", "b")), return_exceptions=True)
    await asyncio.sleep(0)
    gate.open()
    first, failed, last = await queued
    assert (first, last) == ("a", "b")
    assert isinstance(failed, IntegrityError)
    assert await store.read(keys) == ["a", "b", "taken"]


async def test_a_transaction_holds_a_bounded_number_of_works(store: Store) -> None:
    gate = Gate(store)
    await gate.until_busy()
    commits = commits_of(store)
    queued = asyncio.gather(*(store.run(add(str(n))) for n in range(BATCH_MAX + 1)))
    await asyncio.sleep(0)
    gate.open()
    await queued
    await gate.passed
    assert len(commits) == 3  # the gate's, a full one, and the one left over


async def test_closing_writes_what_is_still_queued(store: Store, database: Database) -> None:
    gate = Gate(store)
    await gate.until_busy()
    queued = asyncio.gather(*(store.run(add(str(n))) for n in range(5)))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0)
    gate.open()
    await closing
    assert await queued == ["0", "1", "2", "3", "4"]
    assert await database.open().read(keys) == ["0", "1", "2", "3", "4"]


async def test_a_cancelled_caller_does_not_lose_its_write(store: Store) -> None:
    gate = Gate(store)
    await gate.until_busy()
    impatient = asyncio.ensure_future(store.run(add("kept")))
    await asyncio.sleep(0)
    impatient.cancel()
    with suppress(asyncio.CancelledError):
        await impatient
    gate.open()
    await gate.passed
    await store.run(add("next"))
    assert await store.read(keys) == ["kept", "next"]


async def test_reading_does_not_wait_for_the_writer(store: Store) -> None:
    gate = Gate(store)
    await gate.until_busy()
    assert await store.read(keys) == []
    gate.open()
    await gate.passed


async def test_writing_in_a_read_is_refused_instead_of_lost(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="can only be read"):
        await store.read(add("lost"))


async def test_work_that_ends_its_thread_is_an_error_and_the_writer_goes_on(store: Store) -> None:
    def work(_connection: Connection) -> None:
        raise SystemExit("stop")

    with pytest.raises(SystemExit):
        await store.run(work)
    assert await store.run(add("a")) == "a"
