"""Group commits on PostgreSQL."""

import pytest

from tests.unit.store.group_commit_suite import *  # noqa: F403

pytestmark = pytest.mark.parametrize("database", ["thread"], indirect=True)
