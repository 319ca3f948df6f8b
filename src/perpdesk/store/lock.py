"""Keeps a second desk away from a store: two desks on one account would hedge each other's legs."""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import msgspec
import structlog
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import text

from perpdesk.domain.clock import Clock
from perpdesk.store.engine import describe, make_engine, parse_url, sqlite_path
from perpdesk.store.failures import StoreBusy, StoreUnavailable, ailment_of
from perpdesk.store.schema import ensure_schema, in_transaction
from perpdesk.store.trail import get_meta, set_meta

log = structlog.get_logger(__name__)

_DESK_LOCK = 0x7065_7270_6465
"""PostgreSQL advisory lock of the desk; advisory locks are per database."""
_META = "desk"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a store.

    Attributes:
        host: Name of its machine. since_ms: When it took the lock, Unix milliseconds.
    """

    pid: int
    host: str
    since_ms: int

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        place = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"pid {self.pid}{place} since {since}"


class DeskLock:
    """The right to be the one desk on a store; ends with the process at the latest.

    Beside a SQLite file lies `FILE.lock`, locked through the operating system, and `FILE.lock.json`, which names the holder. The
    first alone decides: files left by a killed desk hold nobody up. In PostgreSQL it is an advisory lock of a connection of its
    own, with the holder's name in `meta`. A store in memory needs no lock and gets none.

    Args:
        store_url: As for `Store.open`.
        clock: Stamps since when the lock is held.
    """

    def __init__(self, store_url: str, clock: Clock) -> None:
        address = parse_url(store_url)
        self._clock = clock
        self._description = describe(address)
        self._means: _FileMeans | _PostgresMeans | None = None
        if address.get_backend_name() == "postgresql":
            self._means = _PostgresMeans(store_url, address)
        elif (path := sqlite_path(address)) is not None:
            self._means = _FileMeans(path)

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises:
            StoreBusy: Another desk holds it; the message names that desk.
            StoreUnavailable: The store, or the folder of the lock, can not be used.
        """
        me = Holder(os.getpid(), socket.gethostname(), self._clock.wall_ms())
        if self._means is None or self._means.take(me):
            return
        holder = self._means.holder()
        named = "another desk" if holder is None else str(holder)
        raise StoreBusy(f"{self._description} is held by {named}; stop it first or use another store")

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._means is not None:
            self._means.give_back()

    def is_held(self) -> bool:
        """Whether this object still has the lock. PostgreSQL drops it with a lost connection; stop new entries then."""
        return self._means is None or self._means.is_held()

    def holder(self) -> Holder | None:
        """Who holds the lock now, None when nobody does or it can not be told. Takes it for a moment to find out."""
        if self._means is None:
            return None
        if not self._means.is_held() and self._means.take(None):
            self._means.give_back()
            return None
        return self._means.holder()

    def __enter__(self) -> "DeskLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class _FileMeans:
    """An operating system lock beside a SQLite file."""

    def __init__(self, path: Path) -> None:
        self._lock_path = Path(f"{path}.lock")
        self._sidecar = Path(f"{path}.lock.json")
        self._lock = FileLock(self._lock_path, timeout=0)

    def take(self, me: Holder | None) -> bool:
        if self._lock.is_locked:
            return False
        try:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            if me is not None:
                self._name(me)
        except Timeout:
            if not self._lock_path.exists():  # nobody holds what can not even be made
                raise StoreUnavailable(
                    f"the lock {self._lock_path} can not be made; choose a folder that can be written"
                ) from None
            return False
        except OSError as error:
            self._lock.release()
            raise StoreUnavailable(
                f"the lock {self._lock_path} can not be written; make its folder writable: {error.strerror}"
            ) from error
        return True

    def _name(self, me: Holder) -> None:
        draft = self._sidecar.with_name(f"{self._sidecar.name}.{me.pid}")
        draft.write_bytes(msgspec.json.encode(me))
        draft.replace(self._sidecar)  # a reader sees the old name or the new one, never half of it

    def give_back(self) -> None:
        if self._lock.is_locked:
            self._sidecar.unlink(missing_ok=True)
            self._lock.release()

    def is_held(self) -> bool:
        return self._lock.is_locked

    def holder(self) -> Holder | None:
        try:
            return msgspec.json.decode(self._sidecar.read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError):
            return None


class _PostgresMeans:
    """A session's advisory lock, and the holder's name in `meta`."""

    def __init__(self, url: str, address: URL) -> None:
        self._url = url
        self._description = describe(address)
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    def take(self, me: Holder | None) -> bool:
        if self._connection is not None:
            return False
        engine = self._engine or make_engine(self._url)
        self._engine = engine
        ensure_schema(engine)
        try:
            connection = engine.connect()
            taken = bool(connection.execute(_TRY_LOCK, {"key": _DESK_LOCK}).scalar())
            if taken and me is not None:
                set_meta(connection, _META, msgspec.json.encode(me).decode())
            connection.commit()
        except SQLAlchemyError as error:
            self.give_back()
            ailment = ailment_of(error)
            if ailment is None:
                raise
            raise StoreUnavailable(f"{self._description} can not be used: {ailment.value}") from error
        if taken:
            self._connection = connection
        else:
            connection.close()
        return taken

    def give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()  # ends the session, and the lock with it, instead of pooling both
                connection.close()
            except SQLAlchemyError as error:
                log.warning("desk_lock_not_closed", error=type(error).__name__)
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def is_held(self) -> bool:
        if self._connection is None:
            return False
        try:
            found = self._connection.execute(_OWN_LOCK, {"low": _DESK_LOCK & 0xFFFF_FFFF, "high": _DESK_LOCK >> 32})
            is_held = found.scalar() is not None
            self._connection.commit()
        except SQLAlchemyError:
            return False
        return is_held

    def holder(self) -> Holder | None:
        engine = self._engine or make_engine(self._url)
        try:
            told = in_transaction(engine, lambda c: get_meta(c, _META), is_read=True)
            return None if told is None else msgspec.json.decode(told, type=Holder)
        except msgspec.DecodeError:
            return None
        finally:
            if self._engine is None:
                engine.dispose()


_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_OWN_LOCK = text(
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
    " AND classid::bigint = :high AND objid::bigint = :low"
)
