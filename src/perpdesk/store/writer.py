"""The one way into the database: work handed to `Store.run` is committed, in order, by one writer."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import structlog
from sqlalchemy.engine import Connection, Engine

from perpdesk.domain.clock import Clock
from perpdesk.store.engine import describe, is_in_memory, make_engine
from perpdesk.store.failures import StoreUnavailable
from perpdesk.store.schema import ensure_schema
from perpdesk.store.tables import meta
from perpdesk.store.transactions import RETRY_DELAYS_MS, Outcome, Transactor, Work

log = structlog.get_logger(__name__)

T = TypeVar("T")

QUEUE_MAX = 10_000
"""Pieces of work that may wait for the writer; callers beyond it wait for room."""
BATCH_MAX = 256
"""Pieces of work committed together; bounds how long the first of them waits."""

StoreMode = Literal["thread", "inline"]


class Store:
    """A database with one writer. Use it from one event loop; open it with `Store.open`.

    In thread mode a writer thread commits what is queued: everything that arrives while it is committing goes into the next
    transaction together, each in a savepoint of its own. Reads have a second thread and connection and do not wait for writes.
    In inline mode work runs at once in the calling coroutine, which never awaits: for virtual time.
    """

    def __init__(
        self,
        engine: Engine,
        mode: StoreMode,
        clock: Clock,
        retry_delays_ms: Sequence[int] = RETRY_DELAYS_MS,
        owns_engine: bool = False,
    ) -> None:
        self.engine = engine
        self.mode = mode
        self._clock = clock
        self._owns_engine = owns_engine
        self._unhealthy_since_ms: int | None = None
        self._is_closed = False
        self._room = asyncio.Semaphore(QUEUE_MAX)
        self._inline: Transactor | None = None
        self._writer: _WorkerThread | None = None
        self._reader: _WorkerThread | None = None
        if mode == "inline":
            # Waiting would stop virtual time for good: the caller decides when to try again.
            self._inline = Transactor(engine, pause=lambda _ms: None, delays_ms=())
            return
        self._writer = _WorkerThread(engine, "store-writer", retry_delays_ms, BATCH_MAX)
        if not is_in_memory(engine.url):
            self._reader = _WorkerThread(engine, "store-reader", retry_delays_ms, 1, is_read=True)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        mode: StoreMode,
        clock: Clock,
        engine: Engine | None = None,
        retry_delays_ms: Sequence[int] = RETRY_DELAYS_MS,
    ) -> "Store":
        """Open the store at `url`, making its tables when it is new; blocks for some milliseconds.

        Args:
            engine: Use this engine (from `make_engine`) instead of one of our own, and leave it open at the end: a restarted
                desk in a simulation finds its committed data in the same in-memory database.
            retry_delays_ms: Waits between tries in thread mode; inline mode never repeats.

        Raises:
            StoreError: The address is not usable.
            StoreOutdated: The tables are of another version of this program.
            StoreUnavailable: The database can not be opened.
        """
        used = engine if engine is not None else make_engine(url)
        ensure_schema(used)
        return cls(used, mode, clock, retry_delays_ms, owns_engine=engine is None)

    @property
    def description(self) -> str:
        """The store's name for messages, without user or password."""
        return describe(self.engine.url)

    @property
    def is_healthy(self) -> bool:
        """Whether the last transaction found a working database; `probe` asks again."""
        return self._unhealthy_since_ms is None

    @property
    def unhealthy_since_ms(self) -> int | None:
        """When the store became unavailable, Unix milliseconds; None while it works."""
        return self._unhealthy_since_ms

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Commit `work` and return its result once it is durable.

        `work` gets a connection inside a transaction. It may run more than once, and on another thread, so it must touch nothing
        but the database. What it raises is raised here, and nothing of it is written. A cancelled caller leaves its work
        queued: it is still written.

        Raises:
            StoreUnavailable: Nothing was written; the database failed, or the store is closed.
        """
        value: T = self._value_of(await self._submit(self._writer, work))
        return value

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a query; what was committed before is seen. Raises as `run` does."""
        value: T = self._value_of(await self._submit(self._reader or self._writer, work))
        return value

    async def probe(self) -> bool:
        """Write a byte to learn whether the database works again; never raises for a failing one."""
        try:
            await self.run(partial(_write_probe, str(self._clock.wall_ms())))
        except StoreUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Commit what is queued and end; work submitted later raises StoreUnavailable. Harmless when repeated."""
        self._is_closed = True
        if self._inline is not None:
            self._inline.close()
        for worker in (self._writer, self._reader):
            if worker is not None:
                await worker.close()
        if self._owns_engine:
            self.engine.dispose()

    async def _submit(self, worker: "_WorkerThread | None", work: Work) -> Outcome:
        if self._is_closed:
            return self._closed()
        if worker is None:
            assert self._inline is not None
            return _execute(self._inline, [work])[0]
        await self._room.acquire()
        job = _Job(work, asyncio.get_running_loop(), self._room)
        if not worker.put(job):
            self._room.release()
            return self._closed()
        return await job.future

    def _closed(self) -> Outcome:
        return Outcome(error=StoreUnavailable(f"{self.description} is closed; open it again"))

    def _value_of(self, outcome: Outcome) -> Any:
        if isinstance(outcome.error, StoreUnavailable):
            if self._unhealthy_since_ms is None and not self._is_closed:
                self._unhealthy_since_ms = self._clock.wall_ms()
                log.error("store_unavailable", reason=str(outcome.error))
        elif self._unhealthy_since_ms is not None:
            log.info("store_available", after_ms=self._clock.wall_ms() - self._unhealthy_since_ms)
            self._unhealthy_since_ms = None
        if outcome.error is not None:
            raise outcome.error
        return outcome.value


class _Job:
    """A piece of work on its way to a worker and its outcome on the way back."""

    __slots__ = ("future", "loop", "room", "work")

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop, room: asyncio.Semaphore) -> None:
        self.work = work
        self.loop = loop
        self.room = room
        self.future: asyncio.Future[Outcome] = loop.create_future()

    def deliver(self, outcome: Outcome) -> None:
        """Runs on the event loop."""
        self.room.release()
        if not self.future.done():
            self.future.set_result(outcome)


class _WorkerThread:
    """A thread with a queue before a transactor of its own. Daemonic, so that a crash does not hang; `close` drains."""

    def __init__(
        self, engine: Engine, name: str, delays_ms: Sequence[int], batch_max: int, is_read: bool = False
    ) -> None:
        self._queue: deque[_Job] = deque()
        self._condition = threading.Condition()
        self._is_closing = False
        self._batch_max = batch_max
        self._transactor = Transactor(engine, pause=_pause, delays_ms=delays_ms, is_read=is_read)
        self._on_end: list[Callable[[], object]] = []
        self._is_ended = False
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def put(self, job: _Job) -> bool:
        """Queue a job; False once the queue takes no more."""
        with self._condition:
            if self._is_closing or self._is_ended:
                return False
            self._queue.append(job)
            self._condition.notify()
        return True

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        with self._condition:
            self._is_closing = True
            if self._is_ended:
                return
            self._on_end.append(partial(loop.call_soon_threadsafe, _finish, ended))
            self._condition.notify()
        await ended

    def _live(self) -> None:
        try:
            while batch := self._next_batch():
                _deliver(batch, _execute(self._transactor, [job.work for job in batch]))
            self._transactor.close()
        finally:
            with self._condition:
                self._is_ended = True
                for call in self._on_end:
                    _call_loop(call)

    def _next_batch(self) -> list[_Job]:
        """Wait for work; empty when the queue is drained and the store closes."""
        with self._condition:
            while not self._queue and not self._is_closing:
                self._condition.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_max))]


def _execute(transactor: Transactor, works: list[Work]) -> list[Outcome]:
    """Like `Transactor.execute`, with its failure as everyone's outcome: a writer outlives every error."""
    try:
        return transactor.execute(works)
    except BaseException as error:
        if not isinstance(error, StoreUnavailable):
            log.exception("store_transaction_failed")
        return [Outcome(error=error)] * len(works)


def _deliver(batch: list[_Job], outcomes: list[Outcome]) -> None:
    for job, outcome in zip(batch, outcomes, strict=True):
        _call_loop(partial(job.loop.call_soon_threadsafe, job.deliver, outcome))


def _call_loop(call: Callable[[], object]) -> None:
    try:
        call()
    except RuntimeError:
        log.warning("store_caller_gone")  # its event loop is closed; the work itself is committed


def _finish(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


def _pause(duration_ms: int) -> None:
    threading.Event().wait(duration_ms / 1000)


def _write_probe(at_ms: str, connection: Connection) -> None:
    connection.execute(meta.delete().where(meta.c.key == "probed_at_ms"))
    connection.execute(meta.insert().values(key="probed_at_ms", value=at_ms))
