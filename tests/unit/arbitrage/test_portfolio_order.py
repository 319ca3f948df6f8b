"""The portfolio changes one thing at a time, and nothing is in memory that is not on disk."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

import pytest
from sqlalchemy.engine import Connection

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.orders import Fill
from perpdesk.domain.pairs import Leg, PairState, Purpose
from perpdesk.store.failures import StoreUnavailable
from perpdesk.store.ids import client_id
from tests.unit.arbitrage.histories import fill_of, opened, ordered, paid, round_trip
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0
from tests.unit.arbitrage.stores import Desktop
from tests.unit.arbitrage.venues import let_run

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT
T = TypeVar("T")


def foreign_fill(venue: VenueName, asset: str = "ETH", number: int | None = None, trade: str = "1") -> Fill:
    return Fill(venue, asset, trade, number, Side.BUY, D(1), D(100), D(0), False, T0)


# One change at a time


async def test_a_fill_that_lands_while_the_end_is_written_opens_the_pair_again(desk: Desktop) -> None:
    ledger = await opened(desk, state=PairState.CLOSING)
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    desk.store.gate.clear()
    end = desk.portfolio.account_for(ledger, state=PairState.CLOSED, closed_at_ms=desk.clock.wall_ms())
    closing = asyncio.create_task(end)
    await let_run()
    taking = asyncio.create_task(desk.portfolio.take_fills([fill_of(late, "0.5")]))
    await let_run()
    desk.store.gate.set()
    await asyncio.gather(closing, taking)
    assert ledger.held(LONG) == D("0.5")
    assert ledger.pair.state is PairState.CLOSING
    assert await desk.journal.load_pair(1) == ledger.pair


async def test_accounting_a_late_payment_does_not_undo_a_reopening(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    desk.store.gate.clear()
    fill = fill_of(late, "0.2", trade="late", at=5_000)
    taking = asyncio.create_task(desk.portfolio.take_fills([fill]))
    await let_run()
    paying = asyncio.create_task(desk.portfolio.take_payments([paid(at=500)]))
    await let_run()
    desk.store.gate.set()
    await asyncio.gather(taking, paying)
    assert ledger.held(LONG) == D("0.2")
    assert ledger.pair.state is PairState.CLOSING
    assert len(ledger.payments) == 1


async def test_accounting_again_does_not_undo_a_reopening(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    desk.store.gate.clear()
    fill = fill_of(late, "0.2", trade="late", at=5_000)
    taking = asyncio.create_task(desk.portfolio.take_fills([fill]))
    await let_run()
    accounting = asyncio.create_task(desk.portfolio.account_for(ledger))
    await let_run()
    desk.store.gate.set()
    await taking
    assert not await accounting
    assert ledger.pair.state is PairState.CLOSING


async def test_a_change_whose_state_has_passed_meanwhile_is_not_made(desk: Desktop) -> None:
    ledger = await opened(desk, state=PairState.CLOSING)
    writes = desk.store.writes
    opening = frozenset({PairState.OPENING})
    assert not await desk.portfolio.change(ledger, only_from=opening, state=PairState.OPEN)
    assert ledger.pair.state is PairState.CLOSING
    assert desk.store.writes == writes


async def test_two_late_fills_of_a_pair_that_is_not_loaded_share_one_ledger(desk: Desktop) -> None:
    """Each would load the pair by itself, and the one that came second would forget the fill of the first."""
    ledger = await round_trip(desk)
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY, "3")
    after = desk.restarted()
    read = desk.store.read

    async def read_slowly(work: Callable[[Connection], T]) -> T:
        value = await read(work)
        await asyncio.sleep(0)
        return value

    desk.store.read = read_slowly  # type: ignore[method-assign]
    await asyncio.gather(
        after.portfolio.take_fills([fill_of(late, "0.2", trade="x", at=5_000)]),
        after.portfolio.take_fills([fill_of(late, "0.3", trade="y", at=5_000)]),
    )
    assert after.portfolio.ledgers[1].held(LONG) == D("0.5")


# Disk first


async def test_a_fill_whose_write_failed_is_written_when_it_is_told_again(desk: Desktop) -> None:
    ledger = await opened(desk)
    record = await ordered(desk, ledger, LONG, Purpose.ENTRY, "2")
    desk.store.failures_left = 1
    with pytest.raises(StoreUnavailable):
        await desk.portfolio.take_fills([fill_of(record)])
    assert ledger.held(LONG) == 0
    await desk.portfolio.take_fills([fill_of(record)])
    assert ledger.held(LONG) == 1
    assert len(await desk.journal.load_fills(1)) == 1


async def test_a_payment_whose_write_failed_is_written_when_it_is_told_again(desk: Desktop) -> None:
    ledger = await opened(desk)
    desk.store.failures_left = 1
    with pytest.raises(StoreUnavailable):
        await desk.portfolio.take_payments([paid()])
    assert ledger.payments == ()
    await desk.portfolio.take_payments([paid()])
    assert len(ledger.payments) == len(await desk.journal.load_payments(1)) == 1


async def test_a_late_fill_opens_its_pair_again_even_when_that_write_failed_at_first(desk: Desktop) -> None:
    """The fill is known by then, and a fill that is known moves nothing: the reopening has to be owed."""
    ledger = await round_trip(desk)
    fill = fill_of(await ordered(desk, ledger, LONG, Purpose.ENTRY), "0.2", trade="late", at=5_000)
    desk.store.failures_after = 1
    desk.store.failures_left = 1
    with pytest.raises(StoreUnavailable):
        await desk.portfolio.take_fills([fill])
    assert ledger.pair.state is PairState.CLOSED
    await desk.portfolio.take_fills([fill])
    assert ledger.pair.state is PairState.CLOSING
    assert ledger.held(LONG) == D("0.2")
    assert await desk.journal.load_pair(1) == ledger.pair


async def test_a_late_payment_is_accounted_even_when_that_write_failed_at_first(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    desk.store.failures_after = 1
    desk.store.failures_left = 1
    with pytest.raises(StoreUnavailable):
        await desk.portfolio.take_payments([paid(at=500)])
    await desk.portfolio.take_payments([paid(at=500)])
    assert ledger.pair.funding_usd == D("0.5")
    assert await desk.journal.load_pair(1) == ledger.pair


# Whose fill, whose payment


async def test_a_fill_with_our_number_on_a_venue_without_a_leg_is_unexplained(desk: Desktop) -> None:
    ledger = await opened(desk)
    await desk.portfolio.take_fills([foreign_fill(VenueName.EXTENDED, number=client_id(7, 1, 1))])
    assert ledger.is_flat
    assert len(desk.portfolio.unexplained) == 1


async def test_a_fill_with_our_number_in_another_asset_does_not_move_the_pair(desk: Desktop) -> None:
    ledger = await opened(desk)
    await desk.portfolio.take_fills([foreign_fill(LIGHTER, "BTC", number=client_id(7, 1, 1))])
    assert ledger.is_flat
    assert len(desk.portfolio.unexplained) == 1


async def test_equal_trade_ids_of_two_venues_are_two_unexplained_fills(desk: Desktop) -> None:
    await desk.portfolio.take_fills([foreign_fill(LIGHTER), foreign_fill(HYPERLIQUID)])
    assert len(desk.portfolio.unexplained) == 2


async def test_equal_trade_ids_of_two_assets_are_two_fills(desk: Desktop) -> None:
    """Venues count trades per market; the store tells them apart by asset too."""
    await desk.portfolio.take_fills([foreign_fill(LIGHTER, "ETH"), foreign_fill(LIGHTER, "BTC")])
    assert len(desk.portfolio.unexplained) == 2
    assert len(await desk.journal.load_fills_since(0)) == 2


async def test_equal_payment_ids_of_two_assets_are_two_payments(desk: Desktop) -> None:
    ether = await opened(desk)
    bitcoin = await opened(desk, asset="BTC")
    await desk.portfolio.take_payments([paid(), replace(paid(), asset="BTC")])
    assert (len(ether.payments), len(bitcoin.payments)) == (1, 1)


async def test_a_payment_of_no_pair_is_kept_once(desk: Desktop) -> None:
    await desk.portfolio.take_payments([paid()])
    await desk.portfolio.take_payments([paid()])
    assert await desk.journal.load_payments_since(0) == [(paid(), None)]


async def test_funding_stamped_by_a_clock_that_runs_ahead_is_booked(desk: Desktop) -> None:
    """The pair ended at T0 + 1000 by our clock; the venue's ran half a second ahead."""
    ledger = await round_trip(desk)
    await desk.portfolio.take_payments([paid(at=1_500)])
    assert ledger.payments == (paid(at=1_500),)


# Pairs that ended just now


async def test_a_restart_loads_the_pairs_that_ended_just_now(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    after = desk.restarted()
    after.clock.advance_ms(900_000)
    await after.portfolio.load()
    assert [again.pair for again in after.portfolio.ended] == [ledger.pair]
    assert after.portfolio.is_watching
    assert after.portfolio.since_ms(LIGHTER) == T0


async def test_history_stops_mattering_a_quarter_of_an_hour_after_the_end(desk: Desktop) -> None:
    await round_trip(desk)
    desk.clock.advance_ms(900_000)
    assert desk.portfolio.since_ms(LIGHTER) == T0
    desk.clock.advance_ms(1)
    assert desk.portfolio.since_ms(LIGHTER) is None
    assert not desk.portfolio.is_watching
