"""Holding keeps the legs equal; closing takes both away together, and only ever reduces."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.arbitrage.close import decide_closing
from perpdesk.arbitrage.enter import decide_opening
from perpdesk.arbitrage.hold import decide_holding
from perpdesk.arbitrage.legs import set_right
from perpdesk.arbitrage.steps import (
    AskOrder,
    Become,
    CancelOrder,
    PlaceOrder,
    RefreshBook,
    SettleOrder,
    Situation,
    Step,
)
from perpdesk.domain.books import Side
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderState, PairState, Purpose
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0, Scene, book, liquidation, market, pair

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT


def closing(**changes: object) -> Scene:
    return Scene(pair(state=PairState.CLOSING, closing_at_ms=1_000_000, **changes)).open_both()


# Holding


def test_legs_that_agree_are_held() -> None:
    assert decide_holding(Scene().open_both().situation()) == []


@pytest.mark.parametrize(("venue", "side", "larger"), [(LIGHTER, Side.SELL, SHORT), (HYPERLIQUID, Side.BUY, LONG)])
def test_a_liquidation_of_one_leg_is_taken_back_on_the_other(venue: object, side: Side, larger: Leg) -> None:
    scene = Scene().open_both()
    scene.fills.append(liquidation(venue, side, "0.4"))  # type: ignore[arg-type]
    (step,) = decide_holding(scene.situation())
    assert isinstance(step, PlaceOrder)
    assert (step.leg, step.purpose, step.size, step.is_reduce_only) == (larger, Purpose.TRIM, D("0.4"), True)


def test_dust_between_the_legs_is_held() -> None:
    scene = Scene().open_both()
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "0.005"))
    assert decide_holding(scene.situation()) == []


def test_a_pair_whose_legs_are_gone_is_closed() -> None:
    scene = Scene().open_both()
    scene.fills += [liquidation(LIGHTER, Side.SELL, "1", 1), liquidation(HYPERLIQUID, Side.BUY, "1", 2)]
    assert decide_holding(scene.situation()) == [Become(PairState.CLOSING, "legs gone")]


def test_a_live_order_of_an_open_pair_is_tended_before_anything_is_trimmed() -> None:
    scene = Scene().open_both()
    record = scene.order(SHORT, Purpose.TRIM, "0.1", OrderState.UNKNOWN)
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "0.4"))
    assert decide_holding(scene.situation()) == [SettleOrder(SHORT, record)]


def test_a_stale_book_is_read_before_a_trim() -> None:
    scene = Scene().open_both()
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "0.4"))
    scene.books[SHORT] = None
    assert decide_holding(scene.situation()) == [RefreshBook(SHORT)]


# Closing


def test_both_legs_leave_together_reduce_only_and_within_the_band() -> None:
    assert decide_closing(closing().situation()) == [
        PlaceOrder(LONG, Purpose.CLOSE, Side.SELL, D(1), D("98.91"), D(100), TimeInForce.IOC, True),
        PlaceOrder(SHORT, Purpose.CLOSE, Side.BUY, D(1), D("101.10"), D(100), TimeInForce.IOC, True),
    ]


@pytest.mark.parametrize("blind", Leg)
def test_a_stale_book_holds_the_other_leg_back(blind: Leg) -> None:
    scene = closing()
    scene.books[blind] = None
    assert decide_closing(scene.situation()) == [RefreshBook(blind)]


def test_two_stale_books_are_both_read() -> None:
    scene = closing()
    scene.books = dict.fromkeys(Leg)
    assert decide_closing(scene.situation()) == [RefreshBook(LONG), RefreshBook(SHORT)]


def test_a_leg_that_pauses_holds_the_other_one_back() -> None:
    scene = closing()
    scene.order(LONG, Purpose.CLOSE, "1", at=900)
    assert decide_closing(scene.situation(at=1_000)) == []
    assert len(decide_closing(scene.situation(at=1_400))) == 2


def test_a_leg_that_lags_is_reduced_alone() -> None:
    scene = closing()
    scene.order(LONG, Purpose.CLOSE, "1", filled="1")
    (step,) = decide_closing(scene.situation())
    assert isinstance(step, PlaceOrder)
    assert (step.leg, step.size, step.is_reduce_only) == (SHORT, D(1), True)


def test_a_leg_that_lags_is_reduced_even_while_the_other_book_is_stale() -> None:
    scene = closing()
    scene.order(LONG, Purpose.CLOSE, "1", filled="0.5")
    scene.books[LONG] = None
    steps = decide_closing(scene.situation(at=60_000))
    assert RefreshBook(LONG) in steps
    assert any(isinstance(step, PlaceOrder) and step.leg is SHORT for step in steps)


def test_every_closing_order_is_reduce_only_and_never_above_what_is_held() -> None:
    for filled in ("0.01", "0.4", "0.99"):
        scene = closing()
        scene.order(LONG, Purpose.CLOSE, "1", filled=filled)
        for step in decide_closing(scene.situation(at=60_000)):
            assert isinstance(step, PlaceOrder)
            assert step.is_reduce_only
            assert step.size <= scene.ledger.held(step.leg)


def test_a_resting_entry_is_cancelled_before_anything_is_closed() -> None:
    scene = Scene(pair(state=PairState.CLOSING, entry_style=EntryStyle.MAKER))
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY)
    assert decide_closing(scene.situation(at=100)) == [CancelOrder(LONG, record)]


def test_a_cancel_that_was_asked_for_is_followed_up_not_repeated() -> None:
    scene = Scene(pair(state=PairState.CLOSING, entry_style=EntryStyle.MAKER))
    record = scene.order(
        LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY, cancel_requested_at_ms=1_000_050
    )
    assert decide_closing(scene.situation(at=100)) == []
    assert decide_closing(scene.situation(at=1_500)) == [AskOrder(LONG, record)]


def test_an_unknown_close_freezes_only_its_own_leg() -> None:
    scene = closing()
    record = scene.order(LONG, Purpose.CLOSE, "1", OrderState.UNKNOWN)
    settle, close = decide_closing(scene.situation())
    assert settle == SettleOrder(LONG, record)
    assert isinstance(close, PlaceOrder)
    assert close.leg is SHORT


def test_a_flat_pair_is_closed_and_one_with_a_live_order_is_not() -> None:
    scene = Scene(pair(state=PairState.CLOSING))
    assert decide_closing(scene.situation()) == [Become(PairState.CLOSED)]
    assert decide_closing(scene.situation(busy=[LONG])) == []
    record = scene.order(SHORT, Purpose.HEDGE, "1", OrderState.JOURNALLED)
    assert decide_closing(scene.situation()) == [SettleOrder(SHORT, record)]


def test_fills_the_venue_reported_and_did_not_show_keep_a_flat_pair_from_ending() -> None:
    scene = Scene(pair(state=PairState.CLOSING))
    scene.orders.append(replace(scene.order(LONG, Purpose.ENTRY, "1"), filled_reported=D("0.2")))
    del scene.orders[0]
    assert decide_closing(scene.situation(at=100)) == []
    assert isinstance(decide_closing(scene.situation(at=10_000))[0], AskOrder)


def test_a_close_never_reaches_beyond_its_widest_band() -> None:
    scene = closing()
    for attempt in range(30):
        scene.order(LONG, Purpose.CLOSE, "1", at=attempt)
        scene.order(SHORT, Purpose.CLOSE, "1", at=attempt)
    long, short = decide_closing(scene.situation(at=60_000))
    assert isinstance(long, PlaceOrder)
    assert isinstance(short, PlaceOrder)
    assert long.limit_price == D("98.01")  # 100 bps below the bid of 99
    assert short.limit_price == D("102.01")


def test_a_crossed_book_gives_no_closing_price() -> None:
    scene = closing()
    crossed = book()
    crossed.bids.replace([(102.0, 1.0)])
    scene.books[LONG] = crossed
    assert decide_closing(scene.situation()) == [RefreshBook(LONG)]


def test_a_rest_below_one_lot_is_not_ordered() -> None:
    coarse = {leg: market(venue, lot=D("0.1")) for leg, venue in ((LONG, LIGHTER), (SHORT, HYPERLIQUID))}
    scene = Scene(pair(state=PairState.CLOSING), markets=coarse, tolerance=D("0.05")).open_both("0.05")
    assert not [step for step in decide_closing(scene.situation()) if isinstance(step, PlaceOrder)]


def test_a_cancel_that_went_unheard_is_sent_again() -> None:
    scene = Scene(pair(entry_style=EntryStyle.MAKER, state=PairState.CLOSING))
    record = scene.order(
        LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY, cancel_requested_at_ms=T0
    )
    scene.reported[record.intent.client_id] = T0 + 1_400
    assert decide_closing(scene.situation(at=1_499)) == []
    assert decide_closing(scene.situation(at=1_500)) == [CancelOrder(LONG, record)]


# Legs that were turned round


def turned_round() -> Scene:
    """A flat pair whose long leg a liquidation sold once more: it is short half a unit now."""
    scene = closing()
    scene.order(LONG, Purpose.CLOSE, "1", filled="1")
    scene.order(SHORT, Purpose.CLOSE, "1", filled="1")
    scene.fills.append(liquidation(LIGHTER, Side.SELL, "0.5", at=10))
    assert scene.ledger.held(LONG) == D("-0.5")
    return scene


@pytest.mark.parametrize(
    ("decide", "purpose"),
    [(decide_opening, Purpose.TRIM), (decide_holding, Purpose.TRIM), (decide_closing, Purpose.CLOSE)],
    ids=["opening", "holding", "closing"],
)
def test_a_leg_that_was_turned_round_is_bought_back_reduce_only(
    decide: Callable[[Situation], list[Step]], purpose: Purpose
) -> None:
    (step,) = decide(turned_round().situation(at=60_000))
    assert isinstance(step, PlaceOrder)
    assert (step.leg, step.purpose, step.side, step.size) == (LONG, purpose, Side.BUY, D("0.5"))
    assert step.is_reduce_only


def test_both_legs_are_set_right_at_once() -> None:
    scene = turned_round()
    scene.fills.append(liquidation(HYPERLIQUID, Side.BUY, "0.2", at=20))
    long, short = set_right(scene.situation(at=60_000))
    assert isinstance(long, PlaceOrder)
    assert isinstance(short, PlaceOrder)
    assert (long.side, long.size, short.side, short.size) == (Side.BUY, D("0.5"), Side.SELL, D("0.2"))


def test_legs_that_point_the_right_way_need_no_setting_right() -> None:
    assert set_right(Scene().situation()) == []
    assert set_right(Scene().open_both().situation()) == []


def test_a_turned_leg_with_a_request_under_way_is_left_alone() -> None:
    assert set_right(turned_round().situation(at=60_000, busy=[LONG])) == []


def test_a_turned_leg_is_not_bought_back_beside_an_order_of_unknown_outcome() -> None:
    scene = turned_round()
    record = scene.order(LONG, Purpose.CLOSE, "1", OrderState.UNKNOWN)
    assert set_right(scene.situation(at=60_000)) == [SettleOrder(LONG, record)]
