"""The desk's own limits on new pairs: margin, halts, pauses."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.arbitrage.gates import Opportunity
from perpdesk.arbitrage.guard import Guard
from perpdesk.arbitrage.openings import Openings
from perpdesk.arbitrage.reconcile import Reconciler
from perpdesk.arbitrage.settings import DeskSettings, EntrySettings
from perpdesk.domain.pairs import Leg, PairState, Purpose
from perpdesk.venues.base import BookChanged
from tests.unit.arbitrage.histories import fill_of, ordered, round_trip
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0, book, market, pair
from tests.unit.arbitrage.stores import Desktop
from tests.unit.arbitrage.venues import two_venues

D = Decimal


def opportunity(asset: str = "ETH") -> Opportunity:
    """Good and deep: only the desk's own limits are in the way."""
    return Opportunity(asset, LIGHTER, HYPERLIQUID, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1e9, 1.0, 1.0)


async def openings_on(desk: Desktop, settings: DeskSettings | None = None) -> tuple[Openings, Guard]:
    """Openings with 1000 USD free on each venue, just read, and fresh books of ETH and BTC."""
    venues, portfolio, guard = two_venues(), desk.portfolio, Guard(desk.clock)
    for asset in ("ETH", "BTC"):
        desk.view.list_markets([market(venue, asset=asset) for venue in venues])
    quote(desk)
    reconciler = Reconciler(venues, desk.clock, portfolio.since_ms, portfolio.take_fills, portfolio.take_payments)  # type: ignore[arg-type]
    for venue in venues:
        await reconciler.sync_account(venue)
    return Openings(portfolio, reconciler, desk.view, guard, desk.clock, settings or DeskSettings()), guard


def quote(desk: Desktop) -> None:
    for asset in ("ETH", "BTC"):
        for venue in (LIGHTER, HYPERLIQUID):
            desk.view.on_event(BookChanged(venue, asset, book(99.99, 100.01, 1e6)))


def reasons(openings: Openings, asset: str = "ETH") -> list[str]:
    return [check.name for check in openings.refused[asset]]


async def test_a_good_opportunity_becomes_a_pair(desk: Desktop) -> None:
    openings, _ = await openings_on(desk)
    made = openings.decide(opportunity(), 1)
    assert made is not None
    assert (made.state, made.long_venue, made.short_venue) == (PairState.OPENING, LIGHTER, HYPERLIQUID)
    assert made.notional_usd <= D(500)


async def test_two_openings_of_one_scan_share_one_free_margin(desk: Desktop) -> None:
    settings = DeskSettings(entry=EntrySettings(notional_usd_max=D(10**6), pairs_max=5))
    openings, _ = await openings_on(desk, settings)
    margin_usd = D(0)
    for asset in ("ETH", "BTC"):
        made = openings.decide(opportunity(asset), 1)
        if made is not None:
            await desk.portfolio.add(made)
            margin_usd += made.notional_usd / settings.entry.leverage
    assert 0 < margin_usd <= D(1_000) * D("0.5")


@pytest.mark.parametrize(("age_ms", "is_opened"), [(60_000, True), (60_001, False)])
async def test_a_margin_that_four_reads_missed_is_unknown(desk: Desktop, age_ms: int, is_opened: bool) -> None:
    openings, _ = await openings_on(desk)
    desk.clock.advance_ms(age_ms)
    quote(desk)
    assert (openings.decide(opportunity(), 1) is not None) is is_opened


async def test_a_halt_is_the_reason_against_every_opening(desk: Desktop) -> None:
    openings, guard = await openings_on(desk)
    guard.halt("store", "the disk is full")
    assert openings.decide(opportunity(), 1) is None
    assert reasons(openings) == ["entries allowed (the disk is full)"]
    guard.clear("store")
    assert openings.decide(opportunity(), 1) is not None


async def test_an_asset_has_one_pair_at_a_time(desk: Desktop) -> None:
    openings, _ = await openings_on(desk)
    await desk.portfolio.add(pair(state=PairState.OPEN))
    assert openings.decide(opportunity(), 1) is None
    assert reasons(openings) == ["no ETH pair open"]
    assert openings.decide(opportunity("BTC"), 1) is not None


async def test_the_cooldown_of_an_asset_survives_a_restart(desk: Desktop) -> None:
    await round_trip(desk)  # it ended at T0 + 1000
    after = desk.restarted()
    after.clock.advance_ms(desk.clock.wall_ms() - T0)
    await after.portfolio.load()
    openings, _ = await openings_on(after)
    assert openings.decide(opportunity(), 1) is None
    assert reasons(openings) == ["since the last one"]
    assert openings.decide(opportunity("BTC"), 1) is not None
    after.clock.advance_ms(60_000)
    quote(after)
    assert openings.decide(opportunity(), 1) is not None


async def test_nothing_new_is_begun_while_another_pairs_legs_stay_unequal(desk: Desktop) -> None:
    openings, _ = await openings_on(desk)
    naked = await desk.portfolio.add(pair(asset="BTC"))
    record = await ordered(desk, naked, Leg.LONG, Purpose.ENTRY, "1")
    await desk.portfolio.take_fills([replace(fill_of(record, "1"), asset="BTC")])
    assert openings.decide(opportunity(), 1) is not None, "a hedge on its way is no reason to stop"
    desk.clock.advance_ms(2 * DeskSettings().execution.naked_ms_max)
    quote(desk)
    assert openings.decide(opportunity(), 1) is None
    assert "legs unequal for" in reasons(openings)
