"""Order books: best levels, sweeps, and what is refused."""

import math

import pytest

from perpdesk.domain.books import Book, BookCorrupt, Ladder, Side


def book(bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> Book:
    made = Book()
    made.replace(bids, asks, at_ms=1)
    return made


def test_best_levels_come_first_on_both_sides() -> None:
    made = book([(99.0, 1.0), (100.0, 2.0)], [(103.0, 1.0), (102.0, 3.0)])
    assert made.bids.top(5) == [(100.0, 2.0), (99.0, 1.0)]
    assert made.asks.top(1) == [(102.0, 3.0)]
    assert made.mid == 101.0
    assert made.spread_bps == pytest.approx(2 / 101 * 10_000)


@pytest.mark.parametrize(("bid", "ask"), [(100.0, 100.0), (101.0, 100.0)])
def test_a_crossed_snapshot_is_corrupt(bid: float, ask: float) -> None:
    with pytest.raises(BookCorrupt, match="crossed"):
        book([(bid, 1.0)], [(ask, 1.0)])


def test_a_delta_that_crosses_is_corrupt() -> None:
    made = book([(99.0, 1.0)], [(101.0, 1.0)])
    with pytest.raises(BookCorrupt):
        made.apply([(101.0, 1.0)], [], at_ms=2)


def test_a_delta_may_cross_on_its_way_to_a_sound_book() -> None:
    """Both sides move up in one message: only the result has to be uncrossed."""
    made = book([(99.0, 1.0)], [(101.0, 1.0)])
    made.apply([(99.0, 0.0), (102.0, 1.0)], [(101.0, 0.0), (103.0, 1.0)], at_ms=2)
    assert (made.bids.best, made.asks.best, made.changed_at_ms) == ((102.0, 1.0), (103.0, 1.0), 2)


def test_a_level_is_absolute_and_zero_removes_it() -> None:
    made = book([(99.0, 1.0)], [(101.0, 1.0)])
    made.apply([(99.0, 5.0), (98.0, 0.0)], [(101.0, 0.0)], at_ms=2)
    assert made.bids.best == (99.0, 5.0)
    assert made.asks.best is None
    assert made.mid is None
    assert made.spread_bps is None


def test_a_sweep_walks_levels_until_it_is_filled() -> None:
    made = book([(99.0, 1.0)], [(101.0, 1.0), (102.0, 1.0), (110.0, 1.0)])
    sweep = made.side(Side.BUY).sweep(1.5)
    assert sweep is not None
    assert (sweep.size, sweep.worst_price) == (1.5, 102.0)
    assert sweep.average_price == pytest.approx((101 + 102 * 0.5) / 1.5)


def test_a_thin_book_fills_what_it_has_and_has_no_impact_for_more() -> None:
    made = book([(99.0, 1.0)], [(101.0, 1.0)])
    sweep = made.side(Side.SELL).sweep(3.0)
    assert sweep is not None
    assert (sweep.size, sweep.average_price) == (1.0, 99.0)
    assert made.impact_bps(Side.SELL, 3.0) is None
    assert made.impact_bps(Side.SELL, 1.0) == pytest.approx(100.0)


@pytest.mark.parametrize("size", [0.0, -1.0])
def test_nothing_is_swept_for_no_size(size: float) -> None:
    assert book([(99.0, 1.0)], [(101.0, 1.0)]).side(Side.BUY).sweep(size) is None


def test_an_empty_side_gives_no_price_at_all() -> None:
    made = book([(99.0, 1.0)], [])
    assert made.side(Side.BUY).sweep(1.0) is None
    assert made.impact_bps(Side.BUY, 1.0) is None
    assert made.impact_bps(Side.SELL, 1.0) is None


def test_depth_counts_only_levels_up_to_the_limit() -> None:
    made = book([(99.0, 1.0), (98.0, 2.0), (90.0, 100.0)], [(101.0, 1.0), (102.0, 2.0)])
    assert made.bids.depth_usd(98.0) == pytest.approx(99 + 196)
    assert made.asks.depth_usd(101.5) == pytest.approx(101)
    assert made.asks.depth_usd(50.0) == 0.0


def test_a_buy_takes_asks_and_a_sell_takes_bids() -> None:
    made = book([(99.0, 1.0)], [(101.0, 1.0)])
    assert made.side(Side.BUY) is made.asks
    assert made.side(Side.SELL) is made.bids
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert Side.BUY.opposite is Side.SELL


def test_a_long_ladder_stays_sorted_when_levels_come_in_any_order() -> None:
    ladder = Ladder(-1)
    for price in (3.0, 1.0, 2.0, 5.0, 4.0):
        ladder.set(price, price)
    ladder.set(3.0, 0.0)
    assert [price for price, _ in ladder.top(10)] == [5.0, 4.0, 2.0, 1.0]
    assert len(ladder) == 4
    assert not math.isnan(ladder.top(1)[0][1])
