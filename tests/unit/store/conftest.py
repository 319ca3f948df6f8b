"""SQLite databases for the suites: a file on a thread, a file inline, and one in memory, inline."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from perpdesk.store.engine import make_engine
from perpdesk.store.migrations import upgrade
from tests.unit.store.fixtures import Database, journal, store

SUITES = ("journal_suite", "store_suite", "group_commit_suite", "schema_suite")
pytest.register_assert_rewrite(*(f"tests.unit.store.{name}" for name in SUITES))

__all__ = ["journal", "store"]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every table and no row, which the others are copied from."""
    path = tmp_path_factory.mktemp("store") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["file-thread", "file-inline", "memory-inline"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> AsyncIterator[Database]:
    place, mode = request.param.split("-")
    if place == "memory":
        made = Database("sqlite:///:memory:", mode, make_engine("sqlite:///:memory:"))
    else:
        shutil.copy(migrated_file, tmp_path / "desk.db")
        made = Database(f"sqlite:///{tmp_path / 'desk.db'}", mode)
    yield made
    await made.close()
