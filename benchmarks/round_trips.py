"""Round trips that n market-data requests take at concurrency c, in virtual time, beside the fewest possible."""

import random
from collections.abc import Iterator
from math import ceil

from benchmarks.rows import Row, at_most
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.clock import LoopClock
from perpdesk.market.refresh import REQUESTS_MAX, refresh
from perpdesk.sandbox.drivers.parameters import load_parameters
from perpdesk.sandbox.drivers.synthetic import SyntheticDriver
from perpdesk.sandbox.network import InMemoryNetwork
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.venues.base import Venue
from perpdesk.worlds.connect import access_of, connect
from perpdesk.worlds.sandbox import SandboxOptions, build_sandbox
from perpdesk.worlds.virtual import HTTP_URL, WS_URL, attach

BAR = 1.1
ONE_WAY_MS = 40
EPOCH_MS = 1_790_000_000_000
CASES = (("round_trips", 10, REQUESTS_MAX), ("round_trips.bounded", 25, 10))
"""(row, requests, concurrency)."""

Key = tuple[VenueName, str]


def measure() -> Iterator[Row]:
    """Round trips of virtual time; a request alone is the unit, so what a venue takes to answer is part of it."""
    for name, count, limit in CASES:
        trips = run_virtual(_trips(count, limit))
        fewest = ceil(count / limit)
        note = f"{count} books by request over two connectors, {limit} at a time, {ONE_WAY_MS} ms each way; against ceil(n/c)"
        yield at_most(name, "round trips", trips, fewest, BAR, note)


async def _trips(count: int, limit: int) -> float:
    clock = LoopClock(EPOCH_MS)
    venues = await _venues(clock)
    keys = [(name, asset) for name, venue in venues.items() for asset in venue.markets][:count]
    if len(keys) < count:
        raise AssertionError(f"round_trips: only {len(keys)} markets are listed")

    async def fetch(key: Key) -> Book:
        return await venues[key[0]].fetch_book(key[1])

    began_ms = clock.monotonic_ms()
    await fetch(keys[0])
    alone_ms = clock.monotonic_ms() - began_ms
    began_ms = clock.monotonic_ms()
    result = await refresh(fetch, keys, limit)
    if result.errors:
        raise AssertionError(f"round_trips: {result.errors}")
    return (clock.monotonic_ms() - began_ms) / alone_ms


async def _venues(clock: LoopClock) -> dict[VenueName, Venue]:
    """Connectors that know their markets, on simulated venues with first prices, over a wire of fixed latency."""
    rng = random.Random(11)
    sandbox = build_sandbox(SandboxOptions(), clock, rng)
    network = InMemoryNetwork(clock, rng, latency_ms=(ONE_WAY_MS, ONE_WAY_MS))
    attach(sandbox, network)
    SyntheticDriver(sandbox.exchanges, load_parameters(), rng, clock).open()
    access = {
        venue: access_of(accounts[0], HTTP_URL.format(venue=venue.value), WS_URL.format(venue=venue.value))
        for venue, accounts in sandbox.accounts.items()
    }
    venues = connect(access, network.http(), network.sockets(), clock, rng)
    for venue in venues.values():
        await venue.fetch_markets()
    return venues
