"""Engines as the store needs them: durable SQLite, or PostgreSQL through pg8000. Addresses are never shown with a password."""

import logging
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from perpdesk.store.failures import StoreError

SQLITE_BUSY_MS = 1_000
"""How long SQLite itself waits for another process's lock before we hear of it."""
POSTGRES_TIMEOUT_S = 15
"""Longest silence of a PostgreSQL server before its connection counts as lost."""

_READ = "perpdesk_read"
_POSTGRES_NAMES = ("postgresql", "postgres", "postgresql+pg8000")


def make_engine(url: str) -> Engine:
    """Build the engine for `url`; no connection is made yet.

    SQLite runs in WAL mode with synchronous=FULL, so a returned commit survives a power cut, and checks foreign keys. A missing
    parent folder is made. StoreError for an address that is not SQLite's or PostgreSQL's, or when pg8000 is not installed.
    """
    address = parse_url(url)
    return _sqlite_engine(address) if address.get_backend_name() == "sqlite" else _postgres_engine(address)


def parse_url(url: str) -> URL:
    """The address in parts, with our driver; StoreError, which never repeats the address, when it is not usable."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(
            "the store address is not one; use sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None
    if address.drivername == "sqlite":
        return address
    if address.drivername in _POSTGRES_NAMES:
        return address.set(drivername="postgresql+pg8000")
    raise StoreError(f"a store can not be kept in {address.drivername}; use sqlite:///PATH or postgresql://...")


def is_in_memory(address: URL) -> bool:
    """A SQLite database that ends with its engine."""
    return address.get_backend_name() == "sqlite" and (
        address.database in (None, "", ":memory:") or address.query.get("mode") == "memory"
    )


def sqlite_path(address: URL) -> Path | None:
    """File of a SQLite store, None in memory and for PostgreSQL."""
    if address.get_backend_name() != "sqlite" or is_in_memory(address):
        return None
    return Path(str(address.database).removeprefix("file:"))


def describe(address: URL) -> str:
    """How a message names the store; without user or password."""
    if is_in_memory(address):
        return "the store in memory"
    if (path := sqlite_path(address)) is not None:
        return f"the store {path}"
    return f"the store in PostgreSQL database {address.database} on {address.host or 'localhost'}"


def only_reads(connection: Connection) -> Connection:
    """Take a connection out of its pool and make it begin without the write lock; writing through it is an error."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(postgresql_readonly=True)
    if not is_in_memory(connection.engine.url):
        connection.detach()
        connection.connection.cursor().execute("PRAGMA query_only=ON")
    return connection.execution_options(**{_READ: True})


def _sqlite_engine(address: URL) -> Engine:
    options: dict[str, Any] = {}
    if is_in_memory(address):
        # One shared connection is the database. Resetting it when an abandoned Store is collected would undo a living one's work.
        options = {"poolclass": StaticPool, "pool_reset_on_return": None}
    elif (path := sqlite_path(address)) is not None and address.query.get("mode") != "ro":
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, hide_parameters=True, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the module's own would come late and as DEFERRED
    connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    # A writer that begins DEFERRED can fail in the middle when another process wrote meanwhile; IMMEDIATE waits at the door.
    is_read = connection.get_execution_options().get(_READ, False)
    connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")


def _postgres_engine(address: URL) -> Engine:
    if find_spec("pg8000") is None:
        raise StoreError("PostgreSQL needs the pg8000 package; install perpdesk[postgres]")
    arguments: dict[str, Any] = {"timeout": POSTGRES_TIMEOUT_S, "application_name": "perpdesk"}
    mode = address.query.get("sslmode")
    if mode is not None:
        arguments["ssl_context"] = _ssl_context(str(mode))
        address = address.difference_update_query(["sslmode"])
    engine = create_engine(address, hide_parameters=True, connect_args=arguments)
    # A dead connection that can not even be closed is no error of its own; the store says what the loss means.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    engine.dialect.use_insertmanyvalues_wo_returning = True  # pg8000 sends one message per row otherwise
    return engine


def _ssl_context(mode: str) -> ssl.SSLContext | bool | None:
    """libpq's word as pg8000 takes it; `prefer` is pg8000's default."""
    known = {"disable": False, "prefer": None, "require": True}
    if mode == "verify-full":
        return ssl.create_default_context()
    if mode not in known:
        raise StoreError(f"sslmode {mode!r} is not known; use disable, prefer, require or verify-full")
    return known[mode]
