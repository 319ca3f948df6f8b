"""A pair's books: fills move quantities, reports never undo what is final."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.domain.books import Side
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import OrderReport, OrderStatus
from perpdesk.domain.pairs import Leg, OrderRecord, OrderState, Purpose
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0, Scene, liquidation, pair

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT


def report(record: OrderRecord, status: OrderStatus, filled: str = "0", reason: str = "") -> OrderReport:
    intent = record.intent
    return OrderReport(intent.client_id, intent.venue, intent.asset, status, D(filled), None, reason)


def test_only_fills_move_quantities() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    ledger = scene.ledger
    ledger.take_report(report(record, OrderStatus.FILLED, "1"))
    assert ledger.held(LONG) == 0
    ledger.add_fill(scene.fill(record, "1"))
    assert (ledger.held(LONG), ledger.imbalance, ledger.is_flat) == (D(1), D(1), False)


def test_a_fill_counts_once_however_often_it_is_told() -> None:
    scene = Scene()
    fill = scene.fill(scene.order(LONG, Purpose.ENTRY, "1"), "0.4")
    ledger = scene.ledger
    assert not ledger.add_fill(fill)
    assert not ledger.add_fill(replace(fill, at_ms=T0 + 9))
    assert ledger.held(LONG) == D("0.4")


def test_the_same_trade_id_of_the_other_venue_is_another_fill() -> None:
    scene = Scene()
    ours = scene.fill(scene.order(LONG, Purpose.ENTRY, "1"), "1")
    other = scene.fill(scene.order(SHORT, Purpose.HEDGE, "1"), "1")
    scene.fills = [ours, replace(other, trade_id=ours.trade_id)]
    assert scene.ledger.imbalance == 0
    assert not scene.ledger.is_flat


def test_a_payment_counts_once() -> None:
    ledger = Scene().ledger
    payment = FundingPayment(LIGHTER, "ETH", "h1", D("0.5"), None, T0)
    assert ledger.add_payment(payment)
    assert not ledger.add_payment(payment)
    assert ledger.add_payment(replace(payment, venue=HYPERLIQUID))
    assert ledger.pnl({}).funding_usd == D(1)


def test_closing_fills_reduce_their_leg() -> None:
    scene = Scene().open_both()
    scene.order(LONG, Purpose.CLOSE, "1", filled="0.25")
    assert (scene.ledger.held(LONG), scene.ledger.held(SHORT)) == (D("0.75"), D(1))
    assert scene.ledger.imbalance == D("-0.25")


def test_a_liquidation_reduces_the_leg_it_hit() -> None:
    scene = Scene().open_both()
    scene.fills.append(liquidation(HYPERLIQUID, Side.BUY, "1"))
    assert (scene.ledger.held(LONG), scene.ledger.held(SHORT)) == (D(1), D(0))


def test_a_report_never_takes_a_final_order_back() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.FINAL)
    ledger = scene.ledger
    ledger.take_report(report(record, OrderStatus.RESTING))
    assert ledger.orders[record.intent.client_id].state is OrderState.FINAL


def test_a_smaller_filled_amount_never_replaces_a_larger_one() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, filled="0.6")
    ledger = scene.ledger
    ledger.take_report(report(record, OrderStatus.RESTING, "0.2"))
    assert ledger.orders[record.intent.client_id].filled_reported == D("0.6")


def test_a_final_order_whose_fills_are_missing_is_still_live() -> None:
    """A venue may say CANCELED and let the fills follow: until they are here the leg stays bound."""
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    ledger = scene.ledger
    ledger.take_report(report(record, OrderStatus.CANCELED, "0.7", "ioc"))
    changed = ledger.orders[record.intent.client_id]
    assert ledger.is_missing_fills(changed)
    assert ledger.live_order(LONG) == changed
    ledger.add_fill(scene.fill(record, "0.7"))
    assert not ledger.is_missing_fills(changed)


@pytest.mark.parametrize("state", [OrderState.JOURNALLED, OrderState.ACCEPTED, OrderState.UNKNOWN])
def test_an_order_that_is_not_final_binds_its_leg(state: OrderState) -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", state)
    assert scene.ledger.live_order(LONG) == record
    assert scene.ledger.live_order(SHORT) is None


def test_a_report_of_filled_without_a_size_means_all_of_it() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    changed = scene.ledger.take_report(report(record, OrderStatus.FILLED))
    assert changed is not None
    assert changed.filled_reported == D(1)


def test_a_report_that_changes_nothing_is_no_change_to_write() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    assert scene.ledger.take_report(report(record, OrderStatus.RESTING)) is None


def test_a_report_of_a_stranger_changes_nothing() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    stranger = replace(report(record, OrderStatus.FILLED, "1"), client_id=123)
    assert scene.ledger.take_report(stranger) is None


def test_two_orders_never_share_a_number() -> None:
    scene = Scene().open_both()
    ledger = scene.ledger
    assert [ledger.take_order_number() for _ in range(3)] == [3, 4, 5]


def test_attempts_count_by_purpose_and_leg() -> None:
    scene = Scene().open_both()
    scene.order(LONG, Purpose.TRIM, "1")
    scene.order(LONG, Purpose.CLOSE, "1", at=70)
    ledger = scene.ledger
    assert ledger.attempts(LONG, Purpose.TRIM, Purpose.CLOSE) == 2
    assert ledger.attempts(SHORT, Purpose.TRIM, Purpose.CLOSE) == 0
    assert ledger.last_order_at_ms(LONG) == T0 + 70


def test_a_fill_without_an_order_of_ours_is_its_own_yardstick() -> None:
    scene = Scene().open_both()
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "1"))
    assert scene.ledger.priced_fills()[-1].slippage_usd == 0


# Naked time


def entry_and_hedge(entry_at: int, hedge_at: int) -> Scene:
    scene = Scene()
    first = scene.order(LONG, Purpose.ENTRY, "1")
    scene.fill(first, "1", at=entry_at)
    second = scene.order(SHORT, Purpose.HEDGE, "1")
    scene.fill(second, "1", at=hedge_at)
    return scene


def test_naked_time_runs_from_the_first_fill_to_the_one_that_balances() -> None:
    naked = entry_and_hedge(100, 350).ledger.naked(T0 + 10_000)
    assert (naked.ms, naked.ms_max, naked.stretches_ms, naked.since_ms) == (250, 250, (250,), None)
    assert naked.usd_ms == D(100) * 250


def test_a_stretch_that_goes_on_is_counted_up_to_now() -> None:
    scene = Scene()
    scene.fill(scene.order(LONG, Purpose.ENTRY, "1"), "1", at=100)
    naked = scene.ledger.naked(T0 + 600)
    assert (naked.ms, naked.ms_max, naked.since_ms) == (500, 500, T0 + 100)
    assert naked.usd_ms == D(100) * 500


def test_several_stretches_are_told_apart() -> None:
    scene = entry_and_hedge(100, 300)
    close = scene.order(LONG, Purpose.CLOSE, "1")
    scene.fill(close, "1", at=1_000)
    scene.fill(scene.order(SHORT, Purpose.CLOSE, "1"), "1", at=1_050)
    naked = scene.ledger.naked(T0 + 2_000)
    assert (naked.ms, naked.ms_max, naked.stretches_ms) == (250, 200, (200, 50))


def test_fills_of_one_millisecond_leave_no_naked_time_in_whatever_order_they_came() -> None:
    scene = entry_and_hedge(100, 100)
    for fills in (scene.fills, scene.fills[::-1]):
        scene.fills = list(fills)
        naked = scene.ledger.naked(T0 + 5_000)
        assert (naked.ms, naked.ms_max, naked.since_ms, naked.usd_ms) == (0, 0, None, 0)


def test_a_gap_within_the_tolerance_is_not_naked() -> None:
    scene = Scene().open_both()
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "0.005", at=100))
    assert scene.ledger.naked(T0 + 5_000).ms == 0


def test_fills_that_arrive_late_are_counted_when_the_venue_made_them() -> None:
    scene = entry_and_hedge(100, 5_000)
    scene.fills.reverse()
    assert scene.ledger.naked(T0 + 9_000).ms == 4_900


def test_a_pair_without_fills_was_never_naked() -> None:
    naked = Scene(pair()).ledger.naked(T0 + 1_000)
    assert (naked.ms, naked.ms_max, naked.stretches_ms, naked.since_ms, naked.usd_ms) == (0, 0, (), None, 0)


def test_the_money_of_a_pair_is_that_of_its_fills_and_payments() -> None:
    scene = Scene()
    scene.fill(scene.order(LONG, Purpose.ENTRY, "1"), "1", price="101", fee="0.02")
    scene.fill(scene.order(LONG, Purpose.CLOSE, "1"), "1", price="104", fee="0.03")
    ledger = scene.ledger
    ledger.add_payment(FundingPayment(LIGHTER, "ETH", "h", D("-0.10"), None, T0))
    parts = ledger.pnl({})
    assert (parts.price_usd, parts.slippage_usd) == (D(0), D(3))
    assert (parts.fees_usd, parts.funding_usd, parts.total_usd) == (D("-0.05"), D("-0.10"), D("2.85"))


# Shortfalls


def test_only_orders_that_did_not_fill_whole_are_shortfalls() -> None:
    scene = Scene()
    scene.order(SHORT, Purpose.HEDGE, "1", filled="1")
    scene.order(SHORT, Purpose.HEDGE, "1", filled="0.4")
    scene.order(SHORT, Purpose.HEDGE, "1")
    scene.order(SHORT, Purpose.TRIM, "1")
    scene.order(LONG, Purpose.HEDGE, "1")
    ledger = scene.ledger
    assert ledger.shortfalls(SHORT, Purpose.HEDGE) == 2
    assert ledger.shortfalls(SHORT, Purpose.TRIM, Purpose.HEDGE) == 3
    assert ledger.attempts(SHORT, Purpose.HEDGE) == 3


def test_a_fill_that_completes_an_order_takes_its_shortfall_back() -> None:
    scene = Scene()
    record = scene.order(SHORT, Purpose.HEDGE, "1", filled="0.4")
    ledger = scene.ledger
    assert ledger.shortfalls(SHORT, Purpose.HEDGE) == 1
    ledger.add_fill(scene.fill(record, "0.6"))
    assert ledger.shortfalls(SHORT, Purpose.HEDGE) == 0


# Since when the legs differ, by our clock


def unequal_scene(fill_at: int, order_at: int = 0) -> Scene:
    scene = Scene()
    scene.fill(scene.order(LONG, Purpose.ENTRY, "1", at=order_at), "1", at=fill_at)
    return scene


@pytest.mark.parametrize(
    ("fill_at", "since"),
    [
        (700, 700),  # within the life of its order: believed
        (-10_000, 500),  # before its order existed: the order's own start stands in
        (3_000, 1_000),  # ahead as far as clocks differ: it happened just now
        (3_001, 500),  # further ahead: says nothing, so the order's own start stands in
    ],
)
def test_a_fill_time_is_believed_as_far_as_our_own_clock_allows(fill_at: int, since: int) -> None:
    ledger = unequal_scene(fill_at, order_at=500).ledger
    assert ledger.unequal_since_ms(T0 + 1_000) == T0 + since


def test_legs_that_agree_differ_since_never() -> None:
    assert Scene().ledger.unequal_since_ms(T0) is None
    assert Scene().open_both().ledger.unequal_since_ms(T0 + 1_000) is None


def test_a_gap_within_the_tolerance_has_no_beginning() -> None:
    scene = Scene().open_both()
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "0.005", at=100))
    assert scene.ledger.unequal_since_ms(T0 + 1_000) is None


def test_the_beginning_is_that_of_the_present_gap() -> None:
    scene = entry_and_hedge(100, 300)
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "0.5", at=900))
    assert scene.ledger.unequal_since_ms(T0 + 1_000) == T0 + 900


def test_a_gap_that_only_grows_keeps_its_beginning() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1")
    scene.fill(record, "0.5", at=100)
    scene.fill(record, "0.5", at=800)
    assert scene.ledger.unequal_since_ms(T0 + 1_000) == T0 + 100


# Ends that are confirmed or taken back


def test_a_reported_end_short_of_the_size_binds_the_leg_until_it_is_confirmed() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    ledger = scene.ledger
    ended = ledger.take_report(report(record, OrderStatus.CANCELED))
    assert ended is not None
    assert ended.state is OrderState.ENDED
    assert ledger.live_order(LONG) == ended
    confirmed = ledger.confirm_end(record.intent.client_id)
    assert confirmed is not None
    assert confirmed.state is OrderState.FINAL
    assert ledger.live_order(LONG) is None
    assert ledger.confirm_end(record.intent.client_id) is None


def test_an_end_with_fills_missing_is_not_confirmed() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    ledger = scene.ledger
    ledger.take_report(report(record, OrderStatus.CANCELED, "0.7"))
    assert ledger.confirm_end(record.intent.client_id) is None
    ledger.add_fill(scene.fill(record, "0.7"))
    assert ledger.confirm_end(record.intent.client_id) is not None


@pytest.mark.parametrize("state", [state for state in OrderState if state is not OrderState.ENDED])
def test_only_an_order_thought_ended_is_confirmed_or_taken_back(state: OrderState) -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", state)
    ledger = scene.ledger
    assert ledger.confirm_end(record.intent.client_id) is None
    assert ledger.take_back_end(record.intent.client_id) is None
    assert ledger.orders[record.intent.client_id] == record


def test_a_report_of_resting_alone_does_not_take_an_end_back() -> None:
    """Reports may arrive in the wrong order; only the answer to a question does."""
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ENDED)
    ledger = scene.ledger
    assert ledger.take_report(report(record, OrderStatus.RESTING)) is None
    taken_back = ledger.take_back_end(record.intent.client_id)
    assert taken_back is not None
    assert taken_back.state is OrderState.ACCEPTED


def test_an_order_whose_fills_are_complete_is_final_whatever_was_reported() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ENDED)
    ledger = scene.ledger
    assert ledger.end_filled_order(record.intent.client_id) is None
    ledger.add_fill(scene.fill(record, "1"))
    changed = ledger.end_filled_order(record.intent.client_id)
    assert changed is not None
    assert (changed.state, changed.filled_reported) == (OrderState.FINAL, D(1))
    assert ledger.end_filled_order(record.intent.client_id) is None
