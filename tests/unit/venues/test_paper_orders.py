"""Orders of a dry run: what is refused, what fills against the live book, and what does not."""

from decimal import Decimal

import pytest
from tests.unit.venues.paper_fakes import FEES, VENUE, PaperTable, market

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.markets import PriceGrid
from perpdesk.domain.orders import OrderIntent, OrderStatus, TimeInForce
from perpdesk.venues.base import (
    BookChanged,
    Filled,
    InsufficientMargin,
    NotSent,
    OrderChanged,
    OrderRejected,
    PostOnlyWouldCross,
    RequestRefused,
)

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
IOC, FOK, GTC, POST_ONLY = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC, TimeInForce.POST_ONLY


async def table() -> PaperTable:
    """A book of 2 at 100 and 3 at 101 to sell, 2 at 99 and 3 at 98 to buy."""
    opened = await PaperTable().open()
    opened.book([(99.0, 2.0), (98.0, 3.0)], [(100.0, 2.0), (101.0, 3.0)])
    return opened


async def long(size: str = "1") -> PaperTable:
    """The same, holding `size` bought at 100, its liquidity back."""
    opened = await table()
    await opened.send(opened.intent(BUY, size, "100"))
    opened.book([(99.0, 2.0), (98.0, 3.0)], [(100.0, 2.5), (101.0, 3.0)])
    return opened


# Taking ---------------------------------------------------------------------------------------------------------------


async def test_a_taker_sweeps_levels_each_at_its_own_price() -> None:
    t = await table()
    report = await t.send(t.intent(BUY, "3", "101"))
    assert [(fill.size, fill.price) for fill in t.fills] == [(D(2), D(100)), (D(1), D(101))]
    assert report.status is OrderStatus.FILLED
    assert report.average_price == D(301) / 3


async def test_nothing_happens_before_the_order_delay_is_over() -> None:
    t = await table()
    order = t.intent(BUY, "1", "100")
    await t.venue.place(order)
    t.clock.advance_ms(199)
    assert t.fills == []
    assert (await t.report(order)).status is OrderStatus.RESTING
    t.clock.advance_ms(1)
    assert len(t.fills) == 1


async def test_an_order_meets_the_book_as_it_is_on_arrival() -> None:
    t = await table()
    order = t.intent(BUY, "1", "101")
    await t.venue.place(order)
    t.book([(100.0, 1.0)], [(101.0, 5.0)])
    t.clock.advance_ms(200)
    assert [fill.price for fill in t.fills] == [D(101)]


async def test_an_ioc_ends_cancelled_with_what_its_limit_allowed() -> None:
    t = await table()
    report = await t.send(t.intent(SELL, "4", "99"))
    assert (report.status, report.filled_size, report.reason) == (OrderStatus.CANCELED, D(2), "ioc_not_filled")


async def test_two_orders_do_not_take_the_same_size_twice() -> None:
    t = await table()
    first = await t.send(t.intent(BUY, "1.5", "100"))
    second = await t.send(t.intent(BUY, "1.5", "100"))
    assert (first.filled_size, second.filled_size) == (D("1.5"), D("0.5"))


async def test_taken_size_stays_taken_while_the_level_repeats_unchanged() -> None:
    t = await table()
    await t.send(t.intent(BUY, "2", "100"))
    t.book([(99.0, 7.0)], [(100.0, 2.0)])
    assert (await t.send(t.intent(BUY, "1", "100"))).filled_size == 0


async def test_taken_size_survives_a_lost_book() -> None:
    t = await table()
    await t.send(t.intent(BUY, "2", "100"))
    t.lose()
    t.book([(99.0, 2.0)], [(100.0, 2.0)])
    assert (await t.send(t.intent(BUY, "1", "100"))).filled_size == 0


async def test_a_level_that_changed_can_be_taken_anew() -> None:
    t = await table()
    await t.send(t.intent(BUY, "2", "100"))
    t.book([(99.0, 2.0)], [(100.0, 2.2)])
    assert (await t.send(t.intent(BUY, "1", "100"))).filled_size == 1


async def test_fill_or_kill_takes_all_or_nothing() -> None:
    t = await table()
    killed = await t.send(t.intent(BUY, "5.01", "101", FOK))
    filled = await t.send(t.intent(BUY, "5", "101", FOK))
    assert (killed.status, killed.filled_size) == (OrderStatus.CANCELED, D(0))
    assert (filled.status, filled.filled_size) == (OrderStatus.FILLED, D(5))


@pytest.mark.parametrize("time_in_force", [IOC, FOK])
async def test_a_lost_book_fills_nothing(time_in_force: TimeInForce) -> None:
    t = await table()
    t.lose()
    report = await t.send(t.intent(BUY, "1", "100", time_in_force))
    assert (report.status, report.filled_size) == (OrderStatus.CANCELED, D(0))
    assert report.reason == "no live book to fill against"


async def test_a_book_without_news_for_too_long_fills_nothing() -> None:
    t = await table()
    t.clock.advance_ms(30_000)
    report = await t.send(t.intent(BUY, "1", "100"))
    assert (report.status, report.filled_size) == (OrderStatus.CANCELED, D(0))


async def test_a_book_by_request_stands_in_for_a_lost_one() -> None:
    t = await table()
    t.lose()
    t.inner.books["ETH"] = t.book([(99.0, 1.0)], [(100.0, 1.0)])
    t.lose()
    await t.venue.fetch_book("ETH")
    assert (await t.send(t.intent(BUY, "1", "100"))).filled_size == 1


async def test_prices_between_the_grid_fill_at_the_worse_allowed_one() -> None:
    t = await table()
    t.book([(98.96, 1.0)], [(100.04, 1.0)])
    await t.send(t.intent(BUY, "0.5", "100.1"))
    await t.send(t.intent(SELL, "0.5", "98.9"))
    assert [fill.price for fill in t.fills] == [D("100.1"), D("98.9")]


async def test_a_price_outside_the_limit_by_less_than_a_tick_does_not_fill() -> None:
    t = await table()
    t.book([(99.0, 1.0)], [(100.04, 1.0)])
    assert (await t.send(t.intent(BUY, "0.5", "100"))).filled_size == 0


async def test_float_noise_of_a_multiplier_costs_no_lot_and_no_tick() -> None:
    pepe = market("PEPE", price_grid=PriceGrid(D("0.000000001")), lot=D(1000), size_min=D(1000), notional_min_usd=D(1))
    t = await PaperTable(pepe).open()
    t.book([(0.01234 / 1000, 57_000.0)], [(0.012345 / 1000, 0.57 * 1e5)], "PEPE")
    await t.send(t.intent(BUY, "57000", "0.00002", asset="PEPE", client_id=77))
    assert [(fill.size, fill.price) for fill in t.fills] == [(D(57_000), D("0.000012345"))]


async def test_takers_and_makers_pay_their_own_rate() -> None:
    t = await table()
    await t.send(t.intent(BUY, "1", "100"))
    await t.send(t.intent(BUY, "1", "99", GTC))
    t.book([(97.0, 1.0)], [(98.0, 4.0)])
    taker, maker = t.fills
    assert (taker.fee_usd, taker.is_maker) == (100 * FEES.taker, False)
    assert (maker.fee_usd, maker.is_maker) == (99 * FEES.maker, True)


# Resting --------------------------------------------------------------------------------------------------------------


async def test_a_good_till_cancelled_order_takes_what_it_can_and_rests_with_the_rest() -> None:
    t = await table()
    report = await t.send(t.intent(BUY, "3", "100", GTC))
    assert (report.status, report.filled_size) == (OrderStatus.RESTING, D(2))
    assert await t.venue.fetch_open_orders() == (report,)


async def test_a_resting_order_does_not_fill_when_its_price_is_only_touched() -> None:
    t = await table()
    await t.send(t.intent(BUY, "1", "99", POST_ONLY))
    t.book([(98.0, 1.0)], [(99.0, 50.0)])
    assert t.fills == []


async def test_a_resting_order_fills_at_its_limit_for_at_most_what_is_shown_beyond_it() -> None:
    t = await table()
    order = t.intent(BUY, "2", "99", POST_ONLY)
    await t.send(order)
    t.book([(97.0, 1.0)], [(98.5, 0.75), (99.0, 50.0)])
    assert [(fill.size, fill.price) for fill in t.fills] == [(D("0.75"), D(99))]
    assert (await t.report(order)).status is OrderStatus.RESTING


async def test_resting_orders_share_what_is_shown_best_price_first() -> None:
    t = await table()
    worse, better = t.intent(BUY, "1", "98.5", GTC), t.intent(BUY, "1", "98.6", GTC)
    await t.send(worse)
    await t.send(better)
    t.book([(97.0, 1.0)], [(98.0, 1.2)])
    assert (await t.report(better)).filled_size == D(1)
    assert (await t.report(worse)).filled_size == D("0.2")


async def test_a_lost_book_fills_no_resting_order() -> None:
    t = await table()
    await t.send(t.intent(SELL, "1", "100", POST_ONLY))
    t.lose()
    assert t.fills == []


async def test_a_post_only_order_that_would_take_is_refused_at_once() -> None:
    t = await table()
    with pytest.raises(PostOnlyWouldCross):
        await t.venue.place(t.intent(BUY, "1", "100", POST_ONLY))


async def test_a_post_only_order_that_would_take_on_arrival_is_rejected_then() -> None:
    t = await table()
    order = t.intent(BUY, "1", "99.5", POST_ONLY)
    await t.venue.place(order)
    t.book([(98.0, 1.0)], [(99.5, 1.0)])
    t.clock.advance_ms(200)
    report = await t.report(order)
    assert (report.status, report.reason) == (OrderStatus.REJECTED, "post_only_would_cross")
    assert t.fills == []


# Cancelling -----------------------------------------------------------------------------------------------------------


async def test_a_cancel_acts_after_its_delay_and_the_order_may_fill_until_then() -> None:
    t = await table()
    order = t.intent(BUY, "1", "99", GTC)
    await t.send(order)
    await t.venue.cancel("ETH", order.client_id)
    t.clock.advance_ms(99)
    t.book([(97.0, 1.0)], [(98.0, 0.4)])
    t.clock.advance_ms(1)
    report = await t.report(order)
    assert (report.status, report.filled_size) == (OrderStatus.CANCELED, D("0.4"))


async def test_a_cancel_never_overtakes_its_order() -> None:
    t = await table()
    order = t.intent(BUY, "3", "100", GTC)
    await t.venue.place(order)
    await t.venue.cancel("ETH", order.client_id)
    t.clock.advance_ms(150)
    assert (await t.report(order)).status is OrderStatus.RESTING
    t.clock.advance_ms(50)
    report = await t.report(order)
    assert (report.status, report.filled_size) == (OrderStatus.CANCELED, D(2))


async def test_a_cancel_of_what_does_not_rest_is_refused() -> None:
    t = await table()
    order = t.intent(BUY, "1", "100")
    await t.send(order)
    with pytest.raises(RequestRefused):
        await t.venue.cancel("ETH", order.client_id)
    with pytest.raises(RequestRefused):
        await t.venue.cancel("ETH", 999)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "price", "code"),
    [
        ("1", "100.05", "tick"),
        ("1.001", "100", "lot"),
        ("0.04", "500", "minimum"),
        ("0.05", "100", "minimum"),
    ],
)
async def test_orders_off_the_grid_or_below_the_minimums_are_refused(size: str, price: str, code: str) -> None:
    t = await table()
    with pytest.raises(OrderRejected) as refused:
        await t.venue.place(t.intent(BUY, size, price))
    assert refused.value.code == code


async def test_an_order_for_another_venue_or_an_unlisted_asset_is_refused() -> None:
    t = await table()
    foreign = OrderIntent(5, VenueName.HYPERLIQUID, "ETH", BUY, D(1), D(100), IOC, False, t.clock.wall_ms() + 1)
    with pytest.raises(OrderRejected, match="wrong_venue"):
        await t.venue.place(foreign)
    with pytest.raises(OrderRejected, match="unknown_market"):
        await t.venue.place(t.intent(BUY, "1", "100", asset="NONE"))


async def test_a_client_id_is_taken_only_once() -> None:
    t = await table()
    await t.send(t.intent(BUY, "1", "100", client_id=9))
    with pytest.raises(OrderRejected, match="duplicate_client_id"):
        await t.venue.place(t.intent(BUY, "1", "100", client_id=9))


async def test_an_order_that_expires_under_way_is_rejected() -> None:
    t = await table()
    order = t.intent(BUY, "1", "100", ttl_ms=150)
    report = await t.send(order)
    assert (report.status, report.reason) == (OrderStatus.REJECTED, "expired")


async def test_an_expired_order_is_refused_at_once() -> None:
    t = await table()
    with pytest.raises(OrderRejected, match="expired"):
        await t.venue.place(t.intent(BUY, "1", "100", ttl_ms=-1))


async def test_margin_counts_orders_that_are_still_open() -> None:
    t = await table()
    await t.send(t.intent(BUY, "900", "50", GTC))  # 900 x 99.5 / 10 = 8,955 of 10,000 USD
    await t.venue.place(t.intent(BUY, "100", "50", GTC))
    with pytest.raises(InsufficientMargin):
        await t.venue.place(t.intent(BUY, "10", "50", GTC))


async def test_orders_that_shrink_exposure_need_no_margin() -> None:
    t = await PaperTable().open()
    t.book([(99.0, 5000.0)], [(100.0, 1000.0)])
    await t.send(t.intent(BUY, "1000", "100"))  # the taker fee leaves less than the margin of what is held
    with pytest.raises(InsufficientMargin):
        await t.venue.place(t.intent(BUY, "1", "100"))
    assert (await t.send(t.intent(SELL, "1000", "99"))).status is OrderStatus.FILLED


async def test_a_market_that_is_closed_takes_only_orders_that_reduce() -> None:
    t = await long()
    t.inner._markets["ETH"] = market(is_tradable=False)
    with pytest.raises(OrderRejected, match="not_tradable"):
        await t.venue.place(t.intent(BUY, "1", "100"))
    assert (await t.send(t.intent(SELL, "1", "99", reduces=True))).status is OrderStatus.FILLED


# Reduce-only ----------------------------------------------------------------------------------------------------------


async def test_reduce_only_without_a_position_is_refused() -> None:
    t = await table()
    with pytest.raises(OrderRejected, match="reduce_only"):
        await t.venue.place(t.intent(SELL, "1", "99", reduces=True))


async def test_reduce_only_in_the_direction_of_the_position_is_refused() -> None:
    t = await long()
    with pytest.raises(OrderRejected, match="reduce_only"):
        await t.venue.place(t.intent(BUY, "1", "100", reduces=True))


async def test_reduce_only_stops_at_flat() -> None:
    t = await long("1")
    report = await t.send(t.intent(SELL, "2", "98", reduces=True))
    assert (report.status, report.filled_size, report.reason) == (OrderStatus.CANCELED, D(1), "reduce_only")
    assert (await t.venue.fetch_account()).positions == {}


async def test_two_reduce_only_orders_on_their_way_close_once() -> None:
    t = await long("1")
    first, second = (t.intent(SELL, "1", "98", reduces=True) for _ in range(2))
    await t.venue.place(first)
    await t.venue.place(second)
    t.clock.advance_ms(200)
    assert (await t.report(first)).filled_size == 1
    assert (await t.report(second)).filled_size == 0


async def test_a_resting_reduce_only_order_ends_with_its_position() -> None:
    t = await long("1")
    resting = t.intent(SELL, "1", "105", GTC, reduces=True)
    await t.send(resting)
    await t.send(t.intent(SELL, "1", "99"))
    assert (await t.report(resting)).status is OrderStatus.CANCELED


async def test_a_whole_position_below_the_minimums_has_a_way_out() -> None:
    t = await long("0.10")
    await t.send(t.intent(SELL, "0.10", "200", GTC, reduces=True))
    await t.send(t.intent(BUY, "0.10", "100"))
    t.inner._markets["ETH"] = market(size_min=D(5))
    assert (await t.send(t.intent(SELL, "0.20", "99", reduces=True))).status is OrderStatus.FILLED


# Telling --------------------------------------------------------------------------------------------------------------


async def test_fills_and_the_end_of_an_order_are_told_after_the_book_that_caused_them() -> None:
    t = await table()
    await t.send(t.intent(BUY, "1", "99", POST_ONLY))
    t.events.clear()
    t.book([(97.0, 1.0)], [(98.0, 4.0)])
    assert [type(event) for event in t.events] == [BookChanged, Filled, OrderChanged]
    assert t.reports[-1].status is OrderStatus.FILLED


async def test_every_trade_id_is_its_own() -> None:
    t = await table()
    for _ in range(3):
        await t.send(t.intent(BUY, "1", "101"))
        t.book([(99.0, 2.0)], [(100.0, 0.5 + len(t.fills)), (101.0, 9.0 + len(t.fills))])
    ids = [fill.trade_id for fill in t.fills]
    assert len(ids) == len(set(ids)) >= 3


async def test_settling_says_what_is_known_and_none_for_an_order_never_taken() -> None:
    t = await table()
    order = t.intent(BUY, "1", "100")
    await t.send(order)
    assert await t.venue.settle(order) == await t.report(order)
    assert await t.venue.settle(t.intent(BUY, "1", "100")) is None


async def test_orders_and_cancels_count_as_requests() -> None:
    t = await table()
    order = t.intent(BUY, "1", "99", GTC)
    await t.send(order)
    await t.venue.cancel("ETH", order.client_id)
    assert t.venue.counters.requests == t.inner.counters.requests + 2


async def test_a_listener_that_raises_leaves_the_account_whole() -> None:
    t = await table()

    def listener(event: object) -> None:
        raise RuntimeError("bad listener")

    t.paper._listener = listener
    await t.send(t.intent(BUY, "3", "101"))
    assert (await t.venue.fetch_account()).positions["ETH"].size == 3
    assert t.venue.counters.errors > 0


async def test_after_stop_nothing_acts_and_nothing_can_be_placed() -> None:
    t = await table()
    order = t.intent(BUY, "1", "100")
    await t.venue.place(order)
    await t.venue.stop()
    await t.venue.stop()
    t.clock.advance_ms(10_000)
    assert t.fills == []
    assert t.inner.is_stopped
    with pytest.raises(NotSent):
        await t.venue.place(order)


async def test_the_dry_run_names_the_venue_it_stands_for() -> None:
    t = await table()
    assert t.venue.name == VENUE
    assert t.venue.markets is t.inner.markets
    assert await t.venue.fetch_server_time_ms() == 42
