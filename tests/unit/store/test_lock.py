"""One desk per store, proven between real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perpdesk.domain.clock import ManualClock
from perpdesk.store import DeskLock, StoreBusy, StoreUnavailable

NOON_MS = 1_763_812_800_000
"""2025-11-22 12:00:00 UTC."""

_HOLD = f"""
import sys
from perpdesk.domain.clock import ManualClock
from perpdesk.store import DeskLock
lock = DeskLock(sys.argv[1], ManualClock({NOON_MS}))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
lock.release()
"""

Hold = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'desk.db'}"


@pytest.fixture
def hold(url: str) -> Iterator[Hold]:
    """Starts another process that holds the store until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_desk_is_told_who_holds_the_store_and_since_when(url: str, hold: Hold) -> None:
    process = hold()
    lock = DeskLock(url, ManualClock())
    expected = rf"held by pid {process.pid} since 2025-11-22T12:00:00Z; stop it first or use another store"
    with pytest.raises(StoreBusy, match=expected):
        lock.acquire()
    assert not lock.is_held()
    holder = lock.holder()
    assert holder is not None
    assert (holder.pid, holder.since_ms) == (process.pid, NOON_MS)


def test_a_desk_that_ends_frees_the_store(url: str, hold: Hold) -> None:
    hold().communicate("")
    with DeskLock(url, ManualClock()) as lock:
        assert lock.is_held()


def test_a_killed_desk_holds_nobody_up(url: str, hold: Hold) -> None:
    process = hold()
    process.send_signal(signal.SIGKILL)
    process.wait()
    lock = DeskLock(url, ManualClock())
    assert lock.holder() is None
    lock.acquire()
    holder = lock.holder()
    assert holder is not None
    assert holder.pid == os.getpid()
    lock.release()


def test_two_locks_of_one_process_exclude_each_other(url: str) -> None:
    with DeskLock(url, ManualClock()), pytest.raises(StoreBusy, match=f"pid {os.getpid()} "):
        DeskLock(url, ManualClock()).acquire()
    with DeskLock(url, ManualClock()):
        pass


def test_a_lock_is_not_taken_twice(url: str) -> None:
    with DeskLock(url, ManualClock()) as lock, pytest.raises(StoreBusy):
        lock.acquire()


def test_releasing_a_lock_that_is_not_held_is_harmless(url: str) -> None:
    lock = DeskLock(url, ManualClock())
    lock.release()
    with lock:
        pass
    lock.release()
    assert not lock.is_held()


def test_a_holder_that_can_not_be_read_is_still_a_holder(url: str, tmp_path: Path, hold: Hold) -> None:
    hold()
    (tmp_path / "desk.db.lock.json").write_text("{broken")
    with pytest.raises(StoreBusy, match="held by another desk; stop it first"):
        DeskLock(url, ManualClock()).acquire()


def test_a_folder_that_can_not_take_the_lock_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="make its folder writable"):
        DeskLock(f"sqlite:///{tmp_path / 'file' / 'desk.db'}", ManualClock()).acquire()


def test_a_store_in_memory_needs_no_lock() -> None:
    with DeskLock("sqlite:///:memory:", ManualClock()) as first, DeskLock("sqlite:///:memory:", ManualClock()):
        assert first.is_held()
        assert first.holder() is None
