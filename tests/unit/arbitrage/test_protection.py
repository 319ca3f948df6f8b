"""What must go on when something else fails: cancels, other events, other pairs' money."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.arbitrage.enter import decide_opening
from perpdesk.arbitrage.guard import Guard
from perpdesk.arbitrage.openings import Openings
from perpdesk.arbitrage.reconcile import Reconciler
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.arbitrage.steps import CancelOrder, PlaceOrder, SettleOrder
from perpdesk.domain.books import Side
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport, OrderStatus, TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderState, PairState, Purpose
from perpdesk.store.failures import StoreUnavailable
from perpdesk.venues.base import Filled
from tests.unit.arbitrage.histories import fill_of, ordered, round_trip
from tests.unit.arbitrage.situations import LIGHTER, T0, Scene, pair
from tests.unit.arbitrage.stores import Desktop
from tests.unit.arbitrage.venues import started, two_venues

LONG, SHORT = Leg.LONG, Leg.SHORT


@pytest.fixture
async def desktop() -> Desktop:
    desktop = Desktop()
    await desktop.journal.begin_run("simulation", 1, 1)
    return desktop


async def test_a_cancel_leaves_even_when_the_store_takes_no_writes(desktop: Desktop) -> None:
    desk, venues = await started(desktop)
    ledger = await desk.portfolio.add(pair())
    record = await ordered(desktop, ledger, LONG, Purpose.ENTRY)
    desktop.store.failures_left = 9
    with pytest.raises(StoreUnavailable):
        await desk.executor.cancel(ledger, CancelOrder(LONG, record))
    assert venues[LIGHTER].count("cancel") == 1


async def test_an_event_that_can_not_be_taken_does_not_block_those_behind_it(desktop: Desktop) -> None:
    desk, _ = await started(desktop)
    ledger = await desk.portfolio.add(pair())
    record = await ordered(desktop, ledger, LONG, Purpose.ENTRY)
    impossible = Fill(LIGHTER, "ETH", "z", 2**100, Side.BUY, Decimal(1), Decimal(100), Decimal(0), False, T0)
    desk._on_event(Filled(impossible))
    desk._on_event(Filled(fill_of(record, "0.5")))
    await desk.step()
    assert ledger.held(LONG) == Decimal("0.5")
    assert desk.guard.reasons


def test_a_hedge_venue_whose_clock_runs_ahead_invents_no_nakedness() -> None:
    """Sorted by the venues' times these fills never balance; as they came, they always did."""
    scene = Scene(pair(entry_style=EntryStyle.MAKER))
    entry = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY)
    for number in range(8):
        scene.fill(entry, "0.1", at=number * 900)
        hedge = scene.order(SHORT, Purpose.HEDGE, "0.1", at=number * 900 + 10)
        scene.fill(hedge, "0.1", at=number * 900 + 2_020)
    scene.fill(entry, "0.2", at=7_300)
    scene.reported[entry.intent.client_id] = T0 + 7_310
    steps = decide_opening(scene.situation(at=7_310))
    assert any(isinstance(step, PlaceOrder) and step.purpose is Purpose.HEDGE for step in steps)


async def test_a_strangers_fill_does_not_become_a_later_pairs_own(desktop: Desktop) -> None:
    stranger = Fill(LIGHTER, "ETH", "m", None, Side.SELL, Decimal("0.5"), Decimal(100), Decimal(0), False, T0 - 500)
    await desktop.portfolio.take_fills([stranger])
    ledger = await desktop.portfolio.add(pair())
    await desktop.portfolio.take_fills([stranger])
    assert ledger.is_flat


async def test_the_margin_of_a_pair_still_opening_is_kept_back_after_the_next_balance_read(desktop: Desktop) -> None:
    venues, portfolio = two_venues(), desktop.portfolio
    reconciler = Reconciler(venues, desktop.clock, portfolio.since_ms, portfolio.take_fills, portfolio.take_payments)
    await portfolio.add(pair(asset="BTC", notional_usd=Decimal(1_500), entry_style=EntryStyle.MAKER))
    desktop.clock.advance_ms(1_000)
    account = await reconciler.sync_account(LIGHTER)
    openings = Openings(portfolio, reconciler, desktop.view, Guard(desktop.clock), desktop.clock, DeskSettings())
    available = openings._available(LIGHTER)
    assert available is not None
    assert available < account.available_usd


async def test_an_order_that_shows_while_it_is_settled_is_not_written_off(desktop: Desktop) -> None:
    desk, venues = await started(desktop)
    ledger = await desk.portfolio.add(pair())
    record = replace(await ordered(desktop, ledger, LONG, Purpose.ENTRY), state=OrderState.UNKNOWN)
    client_id = record.intent.client_id
    ledger.orders[client_id] = record

    async def settle(order: OrderIntent) -> OrderReport | None:
        ledger.take_report(OrderReport(client_id, LIGHTER, "ETH", OrderStatus.RESTING, Decimal(0), None))
        return None

    venues[LIGHTER].settle = settle  # type: ignore[method-assign]
    await desk.executor.settle(ledger, SettleOrder(LONG, record))
    assert ledger.live_order(LONG) is not None


async def test_a_pair_that_is_open_again_has_no_final_figures(desktop: Desktop) -> None:
    ledger = await round_trip(desktop)
    late = await ordered(desktop, ledger, LONG, Purpose.ENTRY)
    await desktop.portfolio.take_fills([fill_of(late, "0.2", trade="late", at=5_000)])
    assert ledger.pair.state is PairState.CLOSING
    assert ledger.pair.price_usd is None
