"""The store on SQLite: what every database must do, and what only a file can suffer."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from perpdesk.domain.clock import ManualClock
from perpdesk.store import Store, StoreError, StoreOutdated, StoreUnavailable
from perpdesk.store.engine import make_engine
from tests.unit.store.store_suite import *  # noqa: F403
from tests.unit.store.works import Gate, add, keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


def open_store(path: Path, mode: str = "thread", engine: Engine | None = None) -> Store:
    return Store.open(f"sqlite:///{path}", mode=mode, clock=ManualClock(50), engine=engine, retry_delays_ms=(0, 0))


def impatient_engine(path: Path) -> Engine:
    """An engine that does not itself wait for a lock."""
    engine = make_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA busy_timeout=0"))
    return engine


# Modes ----------------------------------------------------------------------------------------------------------------


def test_inline_work_runs_without_a_loop_a_thread_or_an_await() -> None:
    threads = threading.active_count()
    store = Store.open("sqlite:///:memory:", mode="inline", clock=ManualClock())
    for work, expected in ((add("a"), "a"), (keys, ["a"])):
        with pytest.raises(StopIteration) as finished:
            store.run(work).send(None)
        assert finished.value.value == expected
    assert threading.active_count() == threads


async def test_successive_stores_on_one_engine_share_a_database_in_memory() -> None:
    engine = make_engine("sqlite:///:memory:")
    killed = Store.open("sqlite:///:memory:", mode="inline", clock=ManualClock(), engine=engine)
    await killed.run(add("a"))
    restarted = Store.open("sqlite:///:memory:", mode="inline", clock=ManualClock(), engine=engine)
    await restarted.close()
    again = Store.open("sqlite:///:memory:", mode="inline", clock=ManualClock(), engine=engine)
    assert await again.read(keys) == ["a"]


async def test_collecting_a_killed_store_does_not_disturb_its_successor() -> None:
    engine = make_engine("sqlite:///:memory:")
    killed = Store.open("sqlite:///:memory:", mode="inline", clock=ManualClock(), engine=engine)
    await killed.run(add("a"))
    successor = Store.open("sqlite:///:memory:", mode="inline", clock=ManualClock(), engine=engine)

    def work(connection: Connection) -> None:
        nonlocal killed
        add("b")(connection)
        del killed

    await successor.run(work)
    assert await successor.read(keys) == ["a", "b"]


async def test_a_database_in_memory_works_with_a_writer_thread() -> None:
    store = Store.open("sqlite:///:memory:", mode="thread", clock=ManualClock())
    assert await store.run(add("a")) == "a"
    assert await store.read(keys) == ["a"]
    await store.close()


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    store = open_store(tmp_path / "var" / "deep" / "desk.db")
    assert await store.run(add("a")) == "a"
    await store.close()


# Durability -----------------------------------------------------------------------------------------------------------


async def test_a_commit_is_synchronous_and_in_the_write_ahead_log(path: Path) -> None:
    store = open_store(path)
    for pragma, value in (("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1)):
        assert await store.run(lambda c, p=pragma: c.exec_driver_sql(f"PRAGMA {p}").scalar()) == value
    await store.close()


_WRITE_AND_DIE = """
import asyncio, os, signal, sys
from perpdesk.domain.clock import SystemClock
from perpdesk.store import Store
from perpdesk.store.trail import add_meta

async def main():
    store = Store.open(sys.argv[1], mode="thread", clock=SystemClock())
    for n in range(10):
        await store.run(lambda c: add_meta(c, str(n), "x"))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.fixture
def killed_writer(path: Path) -> int:
    """Exit code of a process that was killed right after its tenth commit."""
    command = [sys.executable, "-c", _WRITE_AND_DIE, f"sqlite:///{path}"]
    return subprocess.run(command, check=False, timeout=60).returncode


async def test_what_run_returned_survives_the_death_of_the_process(path: Path, killed_writer: int) -> None:
    assert killed_writer == -signal.SIGKILL
    store = open_store(path)
    assert await store.read(keys) == [str(n) for n in range(10)]
    await store.close()


# Failures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["thread", "inline"])
async def test_a_lock_that_stays_makes_the_store_unavailable(path: Path, mode: str) -> None:
    store = open_store(path, mode, impatient_engine(path))
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process keeps it locked"):
            await store.run(add("a"))
        assert not store.is_healthy
        assert store.unhealthy_since_ms == 50
        assert not await store.probe()
        other.execute("ROLLBACK")
    assert await store.run(add("a")) == "a"
    assert store.is_healthy
    other.close()
    await store.close()


async def test_a_lock_that_passes_is_waited_out(path: Path) -> None:
    engine = impatient_engine(path)
    store = open_store(path, "thread", engine)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    reconnects: list[None] = []

    def release(*_: object) -> None:
        reconnects.append(None)
        other.execute("ROLLBACK")

    event.listen(engine, "connect", release)  # the second try begins with a new connection
    assert await store.run(add("a")) == "a"
    assert len(reconnects) == 1
    other.close()
    await store.close()


@pytest.mark.parametrize("mode", ["thread", "inline"])
async def test_a_full_disk_makes_the_store_unavailable_and_loses_nothing_silently(path: Path, mode: str) -> None:
    engine = make_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA max_page_count=60"))
    store = open_store(path, mode, engine)
    await store.run(add("small"))
    with pytest.raises(StoreUnavailable, match="the disk is full; free some space"):
        await store.run(add("large", "x" * 1_000_000))
    assert not store.is_healthy
    assert await store.read(keys) == ["small"]
    assert await store.run(add("small again")) == "small again"
    await store.close()


async def test_everyone_in_a_failed_group_is_told(path: Path) -> None:
    engine = make_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA max_page_count=60"))
    store = open_store(path, "thread", engine)
    gate = Gate(store)
    await gate.until_busy()
    queued = asyncio.gather(
        *(store.run(add(key, "x" * size)) for key, size in (("a", 1), ("b", 1_000_000), ("c", 1))),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    gate.open()
    assert [type(error) for error in await queued] == [StoreUnavailable] * 3
    assert await store.read(keys) == []
    await store.close()


@pytest.mark.parametrize("mode", ["thread", "inline"])
async def test_a_read_only_file_makes_the_store_unavailable(path: Path, mode: str) -> None:
    await open_store(path).close()
    read_only = Path(f"file:{path}")
    store = Store.open(f"sqlite:///{read_only}?mode=ro&uri=true", mode=mode, clock=ManualClock())
    with pytest.raises(StoreUnavailable, match="can only be read; make the file"):
        await store.run(add("a"))
    assert await store.read(keys) == []
    await store.close()


@pytest.mark.skipif(os.name != "posix", reason="needs a folder that refuses files")
def test_a_place_that_can_not_hold_a_store_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "desk.db").mkdir()
    with pytest.raises(StoreUnavailable, match="can not be used: it can not be opened"):
        open_store(tmp_path / "desk.db")


def test_a_file_that_is_no_database_is_told_plainly(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(StoreUnavailable, match="restore the store from a backup"):
        open_store(path)


async def test_a_store_of_another_version_is_refused(path: Path) -> None:
    store = open_store(path)
    await store.run(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = 'zzzz'").rowcount)
    await store.close()
    with pytest.raises(StoreOutdated, match=r"revision zzzz, not .*; run: perpdesk db upgrade"):
        open_store(path)


def test_an_address_that_is_none_is_told_without_repeating_it() -> None:
    with pytest.raises(StoreError, match="use sqlite:///PATH") as told:
        Store.open("postgres:secret@host", mode="inline", clock=ManualClock())
    assert "secret" not in str(told.value)


def test_a_database_we_do_not_know_is_refused() -> None:
    with pytest.raises(StoreError, match="can not be kept in mysql"):
        Store.open("mysql://user:secret@host/desk", mode="inline", clock=ManualClock())


def test_an_unreachable_server_is_told_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"PostgreSQL database desk on 127\.0\.0\.1 can not be used") as told:
        Store.open("postgresql://me:secret@127.0.0.1:1/desk", mode="inline", clock=ManualClock())
    assert "secret" not in str(told.value)
