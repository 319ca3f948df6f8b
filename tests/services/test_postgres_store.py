"""The store suite on PostgreSQL."""

from tests.unit.store.store_suite import *  # noqa: F403
