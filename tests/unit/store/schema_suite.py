"""What migrations must leave behind. Run on SQLite by `test_schema.py`, on PostgreSQL by `tests/services`."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from perpdesk.store.engine import make_engine
from perpdesk.store.migrations import current_revision, head_revision, upgrade
from perpdesk.store.tables import metadata


def test_a_new_store_has_no_revision(new_url: str) -> None:
    assert current_revision(new_url) is None


def test_upgrading_reaches_the_head_and_may_be_repeated(new_url: str) -> None:
    upgrade(new_url)
    assert current_revision(new_url) == head_revision()
    upgrade(new_url)
    assert current_revision(new_url) == head_revision()


def test_migrations_make_just_the_tables_the_program_knows(new_url: str) -> None:
    upgrade(new_url)
    engine = make_engine(new_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        names = {name for table in metadata.tables for name in _names(connection, table)}
    engine.dispose()
    assert names == _expected_names()


def _names(connection: object, table: str) -> set[str | None]:
    found = inspect(connection)
    keys = (*found.get_foreign_keys(table), *found.get_indexes(table))
    return {key["name"] for key in keys}


def _expected_names() -> set[str | None]:
    """Names of foreign keys and indexes, which later revisions need in order to change them."""
    names: set[str | None] = set()
    for table in metadata.tables.values():
        names |= {index.name for index in table.indexes}
        names |= {f"fk_{table.name}_{next(iter(key.columns)).name}" for key in table.foreign_key_constraints}
    return names
