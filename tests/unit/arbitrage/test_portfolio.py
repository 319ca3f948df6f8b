"""Fills and payments find their pair, however late they come, and the store holds what memory holds."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.domain.books import Side
from perpdesk.domain.pairs import Leg, OrderState, PairState, Purpose
from perpdesk.store.ids import client_id
from tests.unit.arbitrage.histories import fill_of, opened, ordered, paid, round_trip
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0, liquidation
from tests.unit.arbitrage.stores import Desktop

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT


async def test_a_fill_goes_to_the_pair_its_client_id_names(desk: Desktop) -> None:
    first, second = await opened(desk), await opened(desk)
    record = await ordered(desk, second, LONG, Purpose.ENTRY)
    await desk.portfolio.take_fills([fill_of(record, "0.4")])
    assert (first.held(LONG), second.held(LONG)) == (D(0), D("0.4"))
    assert await desk.journal.load_fills(second.pair.pair_id) == [fill_of(record, "0.4")]


async def test_a_repeated_fill_is_taken_once_in_memory_and_on_disk(desk: Desktop) -> None:
    ledger = await opened(desk)
    fill = fill_of(await ordered(desk, ledger, LONG, Purpose.ENTRY), "0.4")
    await desk.portfolio.take_fills([fill, fill])
    await desk.portfolio.take_fills([fill])
    assert ledger.held(LONG) == D("0.4")
    assert len(await desk.journal.load_fills(ledger.pair.pair_id)) == 1


async def test_a_liquidation_goes_to_the_pair_that_holds_the_asset_on_that_venue(desk: Desktop) -> None:
    ledger = await opened(desk)
    await desk.portfolio.take_fills([fill_of(await ordered(desk, ledger, LONG, Purpose.ENTRY))])
    await desk.portfolio.take_fills([liquidation(LIGHTER, Side.SELL, "1", at=50)])
    assert ledger.is_flat
    assert not desk.portfolio.unexplained


async def test_a_liquidation_long_before_the_pair_is_not_its_own(desk: Desktop) -> None:
    ledger = await opened(desk)
    await desk.portfolio.take_fills([liquidation(LIGHTER, Side.SELL, "1", at=-5_000)])
    assert ledger.is_flat
    assert len(desk.portfolio.unexplained) == 1


@pytest.mark.parametrize("foreign", [client_id(8, 1, 1), client_id(7, 999, 1), 5], ids=["salt", "pair", "small"])
async def test_a_fill_of_an_order_that_is_not_ours_is_kept_as_unexplained(desk: Desktop, foreign: int) -> None:
    ledger = await opened(desk)
    fill = replace(fill_of(await ordered(desk, ledger, LONG, Purpose.ENTRY)), client_id=foreign, trade_id="foreign")
    await desk.portfolio.take_fills([fill])
    await desk.portfolio.take_fills([fill])
    assert ledger.held(LONG) == 0
    assert len(desk.portfolio.unexplained) == 1
    assert await desk.journal.load_fills_since(0) == [(fill, None)]


async def test_an_order_whose_fills_are_complete_is_final_at_once(desk: Desktop) -> None:
    ledger = await opened(desk)
    record = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    await desk.portfolio.take_fills([fill_of(record, "0.6", trade="a"), fill_of(record, "0.4", trade="b")])
    kept = await desk.journal.load_order(record.intent.client_id)
    assert kept is not None
    assert kept.state is ledger.orders[record.intent.client_id].state is OrderState.FINAL
    assert ledger.live_order(LONG) is None


async def test_a_late_fill_opens_an_ended_pair_again(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    await desk.portfolio.take_fills([fill_of(late, "0.2", trade="late", at=5_000)])
    assert ledger.pair.state is PairState.CLOSING
    assert ledger.pair.closed_at_ms is None
    assert desk.portfolio.open == [ledger]
    stored = await desk.journal.load_pair(ledger.pair.pair_id)
    assert stored == ledger.pair


async def test_a_late_fill_of_a_pair_of_an_earlier_process_loads_and_opens_it(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    after = desk.restarted()
    after.clock.advance_ms(3_600_000)  # long past the time in which ended pairs are still loaded
    await after.portfolio.load()
    assert after.portfolio.ledgers == {}
    await after.portfolio.take_fills([fill_of(late, "0.2", trade="late", at=5_000)])
    (again,) = after.portfolio.open
    assert (again.pair.pair_id, again.held(LONG)) == (ledger.pair.pair_id, D("0.2"))


async def test_a_restart_finds_the_same_books(desk: Desktop) -> None:
    ledger = await opened(desk)
    record = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    await desk.portfolio.take_fills([fill_of(record, "0.4")])
    await desk.portfolio.take_payments([paid(at=50)])
    after = desk.restarted()
    await after.portfolio.load()
    (again,) = after.portfolio.open
    assert again.pair == ledger.pair
    assert again.orders == ledger.orders
    assert again.fills == ledger.fills
    assert again.payments == ledger.payments
    assert again.tolerance == ledger.tolerance


async def test_a_payment_goes_to_the_pair_that_held_the_position(desk: Desktop) -> None:
    ledger = await opened(desk)
    await desk.portfolio.take_payments([paid(), paid(), paid(HYPERLIQUID, usd="-0.2")])
    assert ledger.pnl({}).funding_usd == D("0.3")
    assert len(await desk.journal.load_payments(ledger.pair.pair_id)) == 2


async def test_a_payment_of_another_asset_or_time_is_not_booked(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    await desk.portfolio.take_payments([replace(paid(), asset="BTC"), paid(at=-5_000), paid(at=60_000)])
    assert ledger.payments == ()


async def test_a_payment_that_comes_after_the_end_is_accounted_again(desk: Desktop) -> None:
    ledger = await round_trip(desk)
    before = ledger.pair
    assert before.funding_usd == 0
    await desk.portfolio.take_payments([paid(at=500)])
    assert ledger.pair == replace(before, funding_usd=D("0.5"))
    assert await desk.journal.load_pair(before.pair_id) == ledger.pair


async def test_accounting_writes_four_parts_and_the_naked_time(desk: Desktop) -> None:
    ledger = await opened(desk)
    entry = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    hedge = await ordered(desk, ledger, SHORT, Purpose.HEDGE)
    closes = [await ordered(desk, ledger, leg, Purpose.CLOSE) for leg in (LONG, SHORT)]
    fills = [
        fill_of(entry, at=100, price="101"),
        fill_of(hedge, at=350, price="100"),
        fill_of(closes[0], at=900, price="102"),
        fill_of(closes[1], at=900, price="100"),
    ]
    await desk.portfolio.take_fills(fills)
    await desk.portfolio.account_for(ledger, state=PairState.CLOSED, closed_at_ms=T0 + 1_000)
    closed = ledger.pair
    assert (closed.price_usd, closed.slippage_usd, closed.fees_usd, closed.funding_usd) == (
        D(0),
        D(1),
        D("-0.04"),
        D(0),
    )
    assert (closed.naked_ms, closed.naked_ms_max, closed.size_closed) == (250, 250, D(1))


async def test_what_the_venues_should_hold_is_what_fills_say(desk: Desktop) -> None:
    ledger = await opened(desk)
    await desk.portfolio.take_fills([fill_of(await ordered(desk, ledger, LONG, Purpose.ENTRY), "0.7")])
    await desk.portfolio.take_fills([fill_of(await ordered(desk, ledger, SHORT, Purpose.HEDGE), "0.6")])
    assert desk.portfolio.expected_positions(LIGHTER) == {"ETH": D("0.7")}
    assert desk.portfolio.expected_positions(HYPERLIQUID) == {"ETH": D("-0.6")}


async def test_history_matters_since_the_oldest_open_pair_of_a_venue(desk: Desktop) -> None:
    assert desk.portfolio.since_ms(LIGHTER) is None
    await opened(desk, decided_at_ms=T0 + 50)
    await opened(desk, decided_at_ms=T0 + 20)
    assert desk.portfolio.since_ms(LIGHTER) == T0 + 20


async def test_a_change_that_could_not_be_written_did_not_happen(desk: Desktop) -> None:
    ledger = await opened(desk)
    desk.store.failures_left = 1
    with pytest.raises(Exception, match="disk is full"):
        await desk.portfolio.change(ledger, state=PairState.CLOSING)
    assert ledger.pair.state is PairState.OPENING
