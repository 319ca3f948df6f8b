"""Fixtures of the desk's tests."""

import pytest

from tests.unit.arbitrage.stores import Desktop


@pytest.fixture
async def desk() -> Desktop:
    """A portfolio over an empty store that a run has begun on."""
    made = Desktop()
    await made.journal.begin_run("simulation", 1, 1)
    return made
