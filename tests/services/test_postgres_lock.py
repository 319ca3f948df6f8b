"""One desk per PostgreSQL database, proven between real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from perpdesk.domain.clock import ManualClock
from perpdesk.store import DeskLock, StoreBusy, StoreUnavailable
from perpdesk.store.engine import make_engine

NOON_MS = 1_763_812_800_000
"""2025-11-22 12:00:00 UTC."""

_HOLD = f"""
import os, sys
from perpdesk.domain.clock import ManualClock
from perpdesk.store import DeskLock
lock = DeskLock(os.environ["STORE_URL"], ManualClock({NOON_MS}))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""

Hold = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def hold(database_url: str) -> Iterator[Hold]:
    """Starts another process that holds the store until it is killed."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD],
            env={**os.environ, "STORE_URL": database_url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end_every_session(url: str) -> None:
    engine = make_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    engine.dispose()


def test_a_second_desk_is_told_who_holds_the_store_and_since_when(database_url: str, hold: Hold) -> None:
    process = hold()
    lock = DeskLock(database_url, ManualClock())
    with pytest.raises(StoreBusy, match=rf"held by pid {process.pid} since 2025-11-22T12:00:00Z; stop it first"):
        lock.acquire()
    assert not lock.is_held()
    holder = lock.holder()
    assert holder is not None
    assert holder.pid == process.pid


def test_a_killed_desk_holds_nobody_up(database_url: str, hold: Hold) -> None:
    process = hold()
    process.send_signal(signal.SIGKILL)
    process.wait()
    end_every_session(database_url)  # what the server does by itself a moment later
    with DeskLock(database_url, ManualClock()) as lock:
        assert lock.is_held()
        holder = lock.holder()
        assert holder is not None
        assert holder.pid == os.getpid()


def test_a_released_lock_can_be_taken_again(database_url: str) -> None:
    lock = DeskLock(database_url, ManualClock())
    for _ in range(2):
        with lock:
            assert lock.is_held()
        assert not lock.is_held()
    assert lock.holder() is None


def test_two_databases_do_not_exclude_each_other(database_url: str, new_url: str) -> None:
    with DeskLock(database_url, ManualClock()) as one, DeskLock(new_url, ManualClock()) as other:
        assert one.is_held()
        assert other.is_held()


def test_a_lock_lost_with_its_connection_is_noticed(database_url: str) -> None:
    lock = DeskLock(database_url, ManualClock())
    lock.acquire()
    end_every_session(database_url)
    assert not lock.is_held()
    lock.release()
    with lock:
        assert lock.is_held()


def test_a_server_that_does_not_answer_is_told_plainly() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        DeskLock("postgresql://me:secret@127.0.0.1:1/desk", ManualClock()).acquire()
