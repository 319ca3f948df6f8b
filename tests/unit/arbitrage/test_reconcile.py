"""What is read from the venues again, from when on, and what a read proves."""

import asyncio
from decimal import Decimal

import pytest

from perpdesk.arbitrage.reconcile import OVERLAP_MS, Reconciler
from perpdesk.domain.pairs import Leg
from perpdesk.venues.base import NotSent, PrivateFeedLost, PrivateFeedRestored
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0, pair
from tests.unit.arbitrage.stores import Desktop
from tests.unit.arbitrage.venues import Venues, let_run, started, two_venues

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT


def reconciler_of(desk: Desktop) -> tuple[Reconciler, Venues]:
    venues, portfolio = two_venues(), desk.portfolio
    made = Reconciler(venues, desk.clock, portfolio.since_ms, portfolio.take_fills, portfolio.take_payments)  # type: ignore[arg-type]
    return made, venues


async def test_without_a_pair_nothing_is_asked_for_and_nothing_is_needed(desk: Desktop) -> None:
    reconciler, venues = reconciler_of(desk)
    await reconciler.sync_fills(LIGHTER)
    await reconciler.sync_payments(LIGHTER)
    assert venues[LIGHTER].asked == []
    assert not reconciler.books[LIGHTER].needs_fills


async def test_the_first_read_reaches_before_the_pair_and_the_next_before_the_last_read(desk: Desktop) -> None:
    reconciler, venues = reconciler_of(desk)
    await desk.portfolio.add(pair())
    await reconciler.sync_fills(LIGHTER)
    desk.clock.advance_ms(500_000)
    await reconciler.sync_fills(LIGHTER)
    desk.clock.advance_ms(1_000)
    await reconciler.sync_fills(LIGHTER)
    starts = [T0 - OVERLAP_MS, T0 - OVERLAP_MS, T0 + 500_000 - OVERLAP_MS]
    assert venues[LIGHTER].asked == [("fills", at_ms) for at_ms in starts]


async def test_a_read_that_failed_is_needed_again(desk: Desktop) -> None:
    reconciler, venues = reconciler_of(desk)
    await desk.portfolio.add(pair())

    async def fail() -> None:
        raise NotSent("no route")

    venues[LIGHTER].on_fetch_fills = fail
    with pytest.raises(NotSent):
        await reconciler.sync_fills(LIGHTER)
    assert reconciler.books[LIGHTER].needs_fills
    assert reconciler.books[LIGHTER].fills_until_ms is None


async def test_a_read_that_began_before_a_cut_does_not_cover_it(desk: Desktop) -> None:
    """The answer may have been made before the stream broke: what happened in the break is still unread."""
    engine, venues = await started(desk)
    await engine.portfolio.add(pair())
    gate = asyncio.Event()
    venues[LIGHTER].on_fetch_fills = gate.wait
    reading = asyncio.create_task(engine.reconciler.sync_fills(LIGHTER))
    await let_run()
    engine._on_event(PrivateFeedLost(LIGHTER, "cut"))
    engine._on_event(PrivateFeedRestored(LIGHTER))
    await engine._drain()
    gate.set()
    await reading
    assert engine.reconciler.books[LIGHTER].needs_fills


async def test_positions_are_compared_in_both_directions(desk: Desktop) -> None:
    reconciler, venues = reconciler_of(desk)
    assert reconciler.compare_positions(LIGHTER, {"ETH": D(1)}) == {}  # nothing was read yet
    venues[LIGHTER].positions = {"ETH": D("0.4"), "BTC": D(2)}
    await reconciler.sync_account(LIGHTER)
    drift = reconciler.compare_positions(LIGHTER, {"ETH": D(1), "SOL": D(-3)})
    assert drift == {"ETH": D("-0.6"), "BTC": D(2), "SOL": D(3)}
    assert reconciler.books[HYPERLIQUID].account is None
