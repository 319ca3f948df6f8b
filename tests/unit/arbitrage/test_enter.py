"""Opening: the first leg, then exactly what it filled, or back to flat."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.arbitrage.enter import decide_opening
from perpdesk.arbitrage.settings import EntrySettings
from perpdesk.arbitrage.steps import AskOrder, Become, CancelOrder, PlaceOrder, RefreshBook, SettleOrder, Step
from perpdesk.domain.books import Side
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderRecord, OrderState, PairState, Purpose
from tests.unit.arbitrage.situations import SETTINGS, T0, VENUE, Scene, book, market, pair

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT


def only(steps: list[Step]) -> Step:
    assert len(steps) == 1, steps
    return steps[0]


def test_a_fresh_pair_takes_its_first_leg_within_the_band() -> None:
    step = only(decide_opening(Scene().situation()))
    assert step == PlaceOrder(LONG, Purpose.ENTRY, Side.BUY, D(1), D("101.10"), D(100), TimeInForce.IOC, False)


def test_a_pair_whose_first_leg_is_short_sells_first() -> None:
    step = only(decide_opening(Scene(pair(first_leg=SHORT)).situation()))
    assert step == PlaceOrder(SHORT, Purpose.ENTRY, Side.SELL, D(1), D("98.91"), D(100), TimeInForce.IOC, False)


def test_a_maker_rests_at_the_touch_of_its_own_side() -> None:
    step = only(decide_opening(Scene(pair(entry_style=EntryStyle.MAKER)).situation()))
    assert step == PlaceOrder(LONG, Purpose.ENTRY, Side.BUY, D(1), D("99.00"), D(100), TimeInForce.POST_ONLY, False)


def test_an_entry_that_comes_too_late_is_given_up() -> None:
    assert isinstance(only(decide_opening(Scene().situation(at=5_000))), PlaceOrder)
    assert decide_opening(Scene().situation(at=5_001)) == [Become(PairState.CLOSING, "entry came too late")]


def test_a_stale_book_is_read_before_the_entry() -> None:
    scene = Scene()
    scene.books[LONG] = None
    assert decide_opening(scene.situation()) == [RefreshBook(LONG)]


def test_a_one_sided_book_gives_no_price_and_is_read_again() -> None:
    scene = Scene()
    half = book()
    half.asks.replace([])
    scene.books[LONG] = half
    assert decide_opening(scene.situation()) == [RefreshBook(LONG)]


def test_an_entry_that_filled_nothing_ends_the_pair() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1")
    assert decide_opening(scene.situation()) == [Become(PairState.CLOSING, "entry not filled")]


def test_legs_that_agree_are_an_open_pair() -> None:
    assert decide_opening(Scene().open_both().situation()) == [Become(PairState.OPEN)]


def test_legs_that_agree_on_a_part_are_an_open_pair_too() -> None:
    assert decide_opening(Scene().open_both("0.4").situation()) == [Become(PairState.OPEN)]


def test_what_the_first_leg_filled_is_hedged_and_nothing_more() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="0.37")
    step = only(decide_opening(scene.situation()))
    assert step == PlaceOrder(SHORT, Purpose.HEDGE, Side.SELL, D("0.37"), D("98.91"), D(100), TimeInForce.IOC, False)


def test_a_partial_fill_of_a_resting_maker_is_hedged_at_once() -> None:
    scene = Scene(pair(entry_style=EntryStyle.MAKER))
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY)
    scene.fill(record, "0.3", at=200)
    step = only(decide_opening(scene.situation(at=300)))
    assert isinstance(step, PlaceOrder)
    assert (step.leg, step.purpose, step.size) == (SHORT, Purpose.HEDGE, D("0.3"))


def test_a_resting_maker_without_fills_is_left_alone_until_its_wait_is_over() -> None:
    scene = Scene(pair(entry_style=EntryStyle.MAKER))
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY)
    scene.reported[record.intent.client_id] = scene.situation(at=7_000).now_ms
    assert decide_opening(scene.situation(at=7_999)) == []
    assert decide_opening(scene.situation(at=8_000)) == [CancelOrder(LONG, record)]


def test_a_cancel_that_goes_unheard_is_repeated_after_one_silence() -> None:
    """Cancelling twice harms nobody; an order that keeps filling because the first request was lost does."""
    scene = Scene(pair(entry_style=EntryStyle.MAKER))
    record = scene.order(
        LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY, cancel_requested_at_ms=T0 + 8_000
    )
    scene.reported[record.intent.client_id] = T0 + 9_000
    assert decide_opening(scene.situation(at=8_000 + 1_499)) == []
    assert decide_opening(scene.situation(at=8_000 + 1_500)) == [CancelOrder(LONG, record)]


def test_a_silent_order_is_asked_for() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    assert decide_opening(scene.situation(at=1_499)) == []
    assert decide_opening(scene.situation(at=1_500)) == [AskOrder(LONG, record)]


def test_news_of_an_order_postpones_the_question() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED)
    scene.reported[record.intent.client_id] = scene.situation(at=1_000).now_ms
    assert decide_opening(scene.situation(at=2_499)) == []


@pytest.mark.parametrize("state", [OrderState.JOURNALLED, OrderState.UNKNOWN])
def test_an_order_of_unknown_outcome_is_settled_and_nothing_else_is_placed(state: OrderState) -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", state)
    assert decide_opening(scene.situation()) == [SettleOrder(LONG, record)]


def test_an_unknown_entry_freezes_its_own_leg_while_known_fills_are_hedged() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.UNKNOWN)
    scene.fill(record, "0.5", at=100)
    settle, hedge = decide_opening(scene.situation())
    assert settle == SettleOrder(LONG, record)
    assert isinstance(hedge, PlaceOrder)
    assert (hedge.leg, hedge.size) == (SHORT, D("0.5"))


def test_an_unknown_hedge_freezes_the_second_leg_however_naked_the_pair_is() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    record = scene.order(SHORT, Purpose.HEDGE, "1", OrderState.UNKNOWN)
    assert decide_opening(scene.situation(at=60_000)) == [SettleOrder(SHORT, record)]


def test_a_request_under_way_is_never_joined_by_another_on_its_leg() -> None:
    scene = Scene()
    assert decide_opening(scene.situation(busy=[LONG])) == []
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    assert decide_opening(scene.situation(busy=[SHORT])) == []


def test_fills_that_the_venue_reported_but_did_not_show_yet_keep_the_leg_bound() -> None:
    scene = Scene()
    scene.orders.append(replace(scene.order(LONG, Purpose.ENTRY, "1"), filled_reported=D("0.5")))
    del scene.orders[0]
    assert decide_opening(scene.situation(at=100)) == []
    assert decide_opening(scene.situation(at=1_500)) == [AskOrder(LONG, scene.orders[0])]


def test_a_hedge_the_venue_would_refuse_as_too_small_waits_while_the_first_leg_still_fills() -> None:
    scene = Scene(pair(entry_style=EntryStyle.MAKER))
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY)
    scene.fill(record, "0.05")  # 5 USD, below the least order of 10
    assert decide_opening(scene.situation(at=500)) == []


def test_a_hedge_the_venue_would_refuse_as_too_small_is_trimmed_once_the_first_leg_is_final() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="0.05")
    step = only(decide_opening(scene.situation(at=500)))
    assert step == PlaceOrder(LONG, Purpose.TRIM, Side.SELL, D("0.05"), D("98.91"), D(100), TimeInForce.IOC, True)


def test_a_hedge_is_tried_again_after_its_pause_with_a_wider_band() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    scene.order(SHORT, Purpose.HEDGE, "1", at=100)
    assert decide_opening(scene.situation(at=599)) == []
    step = only(decide_opening(scene.situation(at=600)))
    assert isinstance(step, PlaceOrder)
    assert (step.purpose, step.size, step.limit_price) == (Purpose.HEDGE, D(1), D("98.81"))  # 20 bps below the bid


def test_the_pause_doubles_with_each_hedge() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    scene.order(SHORT, Purpose.HEDGE, "1", at=100)
    scene.order(SHORT, Purpose.HEDGE, "1", at=600)
    assert decide_opening(scene.situation(at=1_599)) == []
    assert isinstance(only(decide_opening(scene.situation(at=1_600))), PlaceOrder)


def test_only_what_earlier_hedges_left_is_hedged_next() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    scene.order(SHORT, Purpose.HEDGE, "1", filled="0.6")
    step = only(decide_opening(scene.situation()))
    assert isinstance(step, PlaceOrder)
    assert (step.purpose, step.size) == (Purpose.HEDGE, D("0.4"))


def test_when_all_hedges_failed_the_first_leg_is_taken_back() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    for at in (100, 600, 1_600):
        scene.order(SHORT, Purpose.HEDGE, "1", at=at)
    step = only(decide_opening(scene.situation(at=1_700)))
    assert step == PlaceOrder(LONG, Purpose.TRIM, Side.SELL, D(1), D("98.91"), D(100), TimeInForce.IOC, True)


def test_a_pair_naked_for_too_long_is_trimmed_even_with_hedges_left() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    assert getattr(only(decide_opening(scene.situation(at=5_000))), "purpose", None) is Purpose.HEDGE
    assert getattr(only(decide_opening(scene.situation(at=5_001))), "purpose", None) is Purpose.TRIM


def test_nothing_is_traded_against_a_first_leg_that_may_still_fill() -> None:
    scene = Scene(pair(entry_style=EntryStyle.MAKER))
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY)
    scene.fill(record, "0.5")
    scene.reported[record.intent.client_id] = scene.situation(at=6_000).now_ms
    assert not [step for step in decide_opening(scene.situation(at=6_000)) if isinstance(step, PlaceOrder)]


def test_a_second_leg_that_holds_too_much_is_trimmed_itself() -> None:
    """A late fill of a hedge that was taken for dead."""
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="0.5")
    scene.order(SHORT, Purpose.HEDGE, "1", filled="0.8")
    step = only(decide_opening(scene.situation()))
    assert isinstance(step, PlaceOrder)
    assert (step.leg, step.purpose, step.side, step.size, step.is_reduce_only) == (
        SHORT,
        Purpose.TRIM,
        Side.BUY,
        D("0.3"),
        True,
    )


def test_after_everything_was_trimmed_the_pair_ends() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="0.05")
    scene.order(LONG, Purpose.TRIM, "0.05", filled="0.05")
    assert decide_opening(scene.situation()) == [Become(PairState.CLOSING, "entry not filled")]


def test_dust_below_the_common_step_counts_as_balanced() -> None:
    """Half a lot of the coarser venue can not be traded away; it must not keep the pair from opening."""
    fine = {LONG: market(VENUE[LONG], lot=D("0.001")), SHORT: market(VENUE[SHORT], lot=D("0.01"))}
    scene = Scene(markets=fine)
    scene.order(LONG, Purpose.ENTRY, "1", filled="0.504")
    scene.order(SHORT, Purpose.HEDGE, "0.50", filled="0.50")
    assert decide_opening(scene.situation()) == [Become(PairState.OPEN)]


def test_dust_above_the_tolerance_but_below_the_hedge_lot_is_trimmed_on_the_finer_leg() -> None:
    fine = {LONG: market(VENUE[LONG], lot=D("0.001")), SHORT: market(VENUE[SHORT], lot=D("0.01"))}
    scene = Scene(markets=fine)
    scene.order(LONG, Purpose.ENTRY, "1", filled="0.507")
    scene.order(SHORT, Purpose.HEDGE, "0.50", filled="0.50")
    step = only(decide_opening(scene.situation()))
    assert isinstance(step, PlaceOrder)
    assert (step.leg, step.purpose, step.size) == (LONG, Purpose.TRIM, D("0.007"))


def test_a_stale_hedge_book_is_read_at_once() -> None:
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    scene.books[SHORT] = None
    assert decide_opening(scene.situation()) == [RefreshBook(SHORT)]


def test_no_opening_step_is_reduce_only_and_every_trim_is() -> None:
    assert SETTINGS.execution.hedge_attempts_max == 3
    scene = Scene()
    scene.order(LONG, Purpose.ENTRY, "1", filled="1")
    for at, attempts in ((500, 0), (9_000, 1)):
        if attempts:
            scene.order(SHORT, Purpose.HEDGE, "1", at=600)
        for step in decide_opening(scene.situation(at=at)):
            if isinstance(step, PlaceOrder):
                assert step.is_reduce_only == (step.purpose is Purpose.TRIM)


def test_a_reported_end_short_of_the_size_is_confirmed_before_anything_is_built_on_it() -> None:
    scene = Scene()
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ENDED)
    scene.reported[record.intent.client_id] = scene.situation(at=500).now_ms
    assert decide_opening(scene.situation(at=1_499)) == []
    assert decide_opening(scene.situation(at=1_500)) == [AskOrder(LONG, record)]


# Makers that fill in parts, and how long they may be naked


def resting_maker(maker_wait_ms: int = 8_000) -> tuple[Scene, OrderRecord]:
    """A maker entry of 1 that rests on the long leg."""
    entry = EntrySettings(maker_wait_ms=maker_wait_ms)
    scene = Scene(pair(entry_style=EntryStyle.MAKER), settings=SETTINGS.model_copy(update={"entry": entry}))
    record = scene.order(LONG, Purpose.ENTRY, "1", OrderState.ACCEPTED, tif=TimeInForce.POST_ONLY)
    return scene, record


def test_a_maker_that_could_not_be_hedged_is_withdrawn_before_its_wait_is_over() -> None:
    scene, record = resting_maker(maker_wait_ms=600_000)
    scene.fill(record, "0.5")
    for at in (100, 600, 1_600):
        scene.order(SHORT, Purpose.HEDGE, "0.5", at=at)
    scene.reported[record.intent.client_id] = T0 + 2_000
    assert decide_opening(scene.situation(at=2_000)) == [CancelOrder(LONG, record)]


@pytest.mark.parametrize("state", [OrderState.UNKNOWN, OrderState.JOURNALLED, OrderState.ACCEPTED])
def test_a_maker_is_withdrawn_while_its_hedge_stays_without_an_answer(state: OrderState) -> None:
    """The hedge's venue may be down for minutes: what is naked must not grow meanwhile."""
    scene, record = resting_maker(maker_wait_ms=600_000)
    scene.fill(record, "0.5")
    hedge = scene.order(SHORT, Purpose.HEDGE, "0.5", state, at=100)
    for order in (record, hedge):
        scene.reported[order.intent.client_id] = T0 + 6_000
    assert CancelOrder(LONG, record) not in decide_opening(scene.situation(at=5_000))
    assert CancelOrder(LONG, record) in decide_opening(scene.situation(at=6_000))


def test_a_partial_fill_does_not_wait_for_a_pause_that_no_failed_hedge_earned() -> None:
    scene, record = resting_maker()
    scene.fill(record, "0.2", at=0)
    scene.order(SHORT, Purpose.HEDGE, "0.2", at=10, filled="0.2")
    scene.fill(record, "0.2", at=100)
    step = only(decide_opening(scene.situation(at=110)))
    assert isinstance(step, PlaceOrder)
    assert (step.purpose, step.size) == (Purpose.HEDGE, D("0.2"))


@pytest.mark.parametrize("at", [2_000, 4_000, 6_500])
def test_the_fourth_partial_fill_is_hedged_like_the_first(at: int) -> None:
    """Hedges that filled whole are no failures: they use up no attempts."""
    scene, record = resting_maker()
    for number in range(3):
        scene.fill(record, "0.2", at=number * 500)
        scene.order(SHORT, Purpose.HEDGE, "0.2", at=number * 500, filled="0.2")
    scene.fill(record, "0.2", at=1_900)
    scene.reported[record.intent.client_id] = T0 + at
    step = only(decide_opening(scene.situation(at=at)))
    assert isinstance(step, PlaceOrder)
    assert (step.purpose, step.size) == (Purpose.HEDGE, D("0.2"))


# Clocks that differ


def test_a_venue_clock_that_runs_behind_does_not_forbid_every_hedge() -> None:
    """The fill seems ten seconds old on arrival, but its order was written down only now."""
    scene = Scene()
    scene.fill(scene.order(LONG, Purpose.ENTRY, "1"), "1", at=-10_000)
    step = only(decide_opening(scene.situation(at=100)))
    assert isinstance(step, PlaceOrder)
    assert step.purpose is Purpose.HEDGE


def test_a_venue_clock_an_hour_ahead_does_not_switch_the_limit_off() -> None:
    execution = SETTINGS.execution.model_copy(update={"hedge_attempts_max": 1_000})
    scene = Scene(settings=SETTINGS.model_copy(update={"execution": execution}))
    scene.fill(scene.order(LONG, Purpose.ENTRY, "1"), "1", at=3_600_000)
    step = only(decide_opening(scene.situation(at=600_000)))
    assert isinstance(step, PlaceOrder)
    assert step.purpose is Purpose.TRIM
