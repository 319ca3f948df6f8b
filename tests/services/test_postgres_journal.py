"""The journal suite on PostgreSQL."""

import pytest

from tests.unit.store.journal_suite import *  # noqa: F403

pytestmark = pytest.mark.parametrize("database", ["thread"], indirect=True)
