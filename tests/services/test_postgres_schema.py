"""The schema suite on PostgreSQL."""

from tests.unit.store.schema_suite import *  # noqa: F403
