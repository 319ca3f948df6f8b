"""INSERT in both databases' words: leaving known rows alone, and telling the number a new row was given."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult

Insert = sqlite.Insert | postgresql.Insert


def insert_unless_known(table: Table) -> Mapping[str, Insert]:
    """The statement by dialect name; rowcount and RETURNING then only count what was new."""
    return {
        "sqlite": sqlite.insert(table).on_conflict_do_nothing(index_elements=table.primary_key.columns),
        "postgresql": postgresql.insert(table).on_conflict_do_nothing(index_elements=table.primary_key.columns),
    }


def new_key(result: CursorResult[Any]) -> int:
    """The number the database gave to the one row just inserted."""
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])
