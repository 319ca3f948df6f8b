"""SQLite databases for the suites: a file on a thread, a file inline, and one in memory, inline."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from perpdesk.store.engine import make_engine
from tests.unit.store.fixtures import Database, journal, store

SUITES = ("journal_suite", "store_suite", "group_commit_suite", "schema_suite")
pytest.register_assert_rewrite(*(f"tests.unit.store.{name}" for name in SUITES))

__all__ = ["journal", "store"]


@pytest.fixture(params=["file-thread", "file-inline", "memory-inline"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    place, mode = request.param.split("-")
    if place == "memory":
        made = Database("sqlite:///:memory:", mode, make_engine("sqlite:///:memory:"))
    else:
        made = Database(f"sqlite:///{tmp_path / 'desk.db'}", mode)
    yield made
    await made.close()
