"""Whether a database has the tables this program needs. Alembic, slow to load, is only loaded when they must be made."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import inspect
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import text

from perpdesk.store.engine import describe, is_in_memory, only_reads
from perpdesk.store.failures import StoreOutdated, StoreUnavailable, ailment_of
from perpdesk.store.tables import metadata

T = TypeVar("T")

SCHEMA_REVISION = "0001"
"""Newest revision in `migrations/versions`; what `store.tables` describes."""


def ensure_schema(engine: Engine) -> None:
    """Make the tables of a new store; leave one at the right revision alone.

    Raises:
        StoreOutdated: It has tables of another revision.
        StoreUnavailable: It can not be opened.
    """
    if is_in_memory(engine.url):
        in_transaction(engine, metadata.create_all)  # ends with the process, so it needs no revision
        return
    found = in_transaction(engine, stored_revision, is_read=True)
    if found is None:
        from perpdesk.store.migrations import upgrade_engine

        upgrade_engine(engine)
    elif found != SCHEMA_REVISION:
        store = describe(engine.url)
        raise StoreOutdated(f"{store} is at revision {found}, not {SCHEMA_REVISION}; run: perpdesk db upgrade")


def stored_revision(connection: Connection) -> str | None:
    """Revision of the tables, None when there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def in_transaction(engine: Engine, work: Callable[[Connection], T], is_read: bool = False) -> T:
    """Run `work` in one transaction on a connection of its own, once; StoreUnavailable when the database fails."""
    try:
        with engine.connect() as connection, (only_reads(connection) if is_read else connection).begin():
            return work(connection)
    except (SQLAlchemyError, OSError, engine.dialect.loaded_dbapi.Error) as error:
        if (ailment := ailment_of(error)) is None:
            raise
        raise StoreUnavailable(f"{describe(engine.url)} can not be used: {ailment.value}") from error
