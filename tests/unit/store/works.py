"""Pieces of work that the store's tests commit, and a gate that holds the writer up."""

import asyncio
import threading
from collections.abc import Callable

from sqlalchemy import event, select
from sqlalchemy.engine import Connection

from perpdesk.store import Store
from perpdesk.store.tables import meta


def add(key: str, value: str = "x") -> Callable[[Connection], str]:
    """Work that writes one row and returns its key."""

    def work(connection: Connection) -> str:
        connection.execute(meta.insert(), {"key": key, "value": value})
        return key

    return work


def keys(connection: Connection) -> list[str]:
    return list(connection.execute(select(meta.c.key).order_by(meta.c.key)).scalars())


def commits_of(store: Store) -> list[None]:
    """Grows by one with each commit."""
    seen: list[None] = []
    event.listen(store.engine, "commit", lambda _connection: seen.append(None))
    return seen


class Gate:
    """Work that keeps the writer busy until it is opened."""

    def __init__(self, store: Store) -> None:
        self._started, self._opened = threading.Event(), threading.Event()
        self.passed = asyncio.ensure_future(store.run(self._wait))

    def _wait(self, _connection: Connection) -> None:
        self._started.set()
        self._opened.wait()

    async def until_busy(self) -> None:
        await asyncio.to_thread(self._started.wait)

    def open(self) -> None:
        self._opened.set()
