"""Group commits on SQLite."""

import pytest

from tests.unit.store.group_commit_suite import *  # noqa: F403

pytestmark = pytest.mark.parametrize("database", ["file-thread"], indirect=True)
