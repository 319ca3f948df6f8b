"""Reading many things by request, a bounded number at a time."""

import asyncio

import pytest

from perpdesk.domain.clock import LoopClock
from perpdesk.market.refresh import refresh
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.venues.base import NotSent

ROUND_TRIP_MS = 80


class SlowVenue:
    """Answers each request after a round trip of virtual time, and counts how many were under way together."""

    def __init__(self) -> None:
        self.clock = LoopClock(0)
        self.asked: list[int] = []
        self.under_way = 0
        self.under_way_most = 0

    async def fetch(self, key: int) -> str:
        self.asked.append(key)
        self.under_way += 1
        self.under_way_most = max(self.under_way_most, self.under_way)
        try:
            await self.clock.sleep_ms(ROUND_TRIP_MS)
        finally:
            self.under_way -= 1
        if key < 0:
            raise NotSent(f"no route for {key}")
        return f"value {key}"


@pytest.mark.parametrize(
    ("count", "limit", "round_trips"), [(0, 5, 0), (1, 20, 1), (10, 20, 1), (20, 20, 1), (21, 20, 2), (7, 1, 7)]
)
def test_requests_take_as_many_round_trips_as_the_bound_makes_necessary(
    count: int, limit: int, round_trips: int
) -> None:
    venue = SlowVenue()

    async def run() -> int:
        await refresh(venue.fetch, range(count), limit)
        return venue.clock.monotonic_ms()

    assert run_virtual(run()) == round_trips * ROUND_TRIP_MS
    assert venue.under_way_most == min(count, limit)


def test_values_come_back_by_key_in_the_order_of_the_keys() -> None:
    result = run_virtual(refresh(SlowVenue().fetch, [3, 1, 2], 2))
    assert list(result.found.items()) == [(3, "value 3"), (1, "value 1"), (2, "value 2")]
    assert result.errors == {}


def test_a_venue_error_belongs_to_its_key_alone() -> None:
    result = run_virtual(refresh(SlowVenue().fetch, [1, -2, 3], 1))
    assert list(result.found) == [1, 3]
    assert isinstance(result.errors[-2], NotSent)


def test_a_repeated_key_is_fetched_once() -> None:
    venue = SlowVenue()
    run_virtual(refresh(venue.fetch, [1, 2, 1, 1]))
    assert venue.asked == [1, 2]


def test_what_is_not_a_venue_error_ends_everything_and_is_raised() -> None:
    venue = SlowVenue()

    async def fetch(key: int) -> str:
        if key == 2:
            raise KeyError("a bug")
        return await venue.fetch(key)

    async def run() -> None:
        with pytest.raises(KeyError, match="a bug"):
            await refresh(fetch, range(10), 3)

    run_virtual(run())
    assert venue.asked == [0, 1]
    assert venue.under_way == 0


def test_cancelling_the_refresh_cancels_what_is_under_way() -> None:
    venue = SlowVenue()

    async def run() -> None:
        task = asyncio.create_task(refresh(venue.fetch, range(10), 4))
        await venue.clock.sleep_ms(ROUND_TRIP_MS // 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(run())
    assert venue.asked == [0, 1, 2, 3]
    assert venue.under_way == 0


@pytest.mark.parametrize("limit", [0, -1])
def test_a_bound_below_one_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="at least one request"):
        run_virtual(refresh(SlowVenue().fetch, [1], limit))
