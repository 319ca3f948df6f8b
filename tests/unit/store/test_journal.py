"""The journal on SQLite."""

from tests.unit.store.journal_suite import *  # noqa: F403
