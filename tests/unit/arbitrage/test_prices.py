"""Every order has a limit, and the limit has a bound."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.arbitrage.prices import exact, resting_price, taking_price
from perpdesk.arbitrage.settings import ExecutionSettings
from perpdesk.domain.books import Book, Side
from perpdesk.domain.markets import PriceGrid
from tests.unit.arbitrage.situations import LIGHTER, book, market

D = Decimal
SETTINGS = ExecutionSettings(band_bps=10.0, band_bps_max=100.0)
ETH = market(LIGHTER)


@pytest.mark.parametrize(
    ("side", "attempt", "limit"),
    [
        (Side.BUY, 0, "101.10"),
        (Side.BUY, 1, "101.20"),
        (Side.BUY, 3, "101.80"),
        (Side.BUY, 4, "102.01"),
        (Side.BUY, 10, "102.01"),
        (Side.SELL, 0, "98.91"),
        (Side.SELL, 4, "98.01"),
        (Side.SELL, 10, "98.01"),
    ],
)
def test_the_band_doubles_with_each_attempt_up_to_its_bound(side: Side, attempt: int, limit: str) -> None:
    price = taking_price(book(), ETH, side, attempt, SETTINGS)
    assert price is not None
    assert (price.limit, price.mid) == (D(limit), D(100))


@pytest.mark.parametrize("attempt", range(12))
def test_no_attempt_reaches_beyond_the_widest_band_even_after_rounding(attempt: int) -> None:
    coarse = replace(ETH, price_grid=PriceGrid(D("0.5")))
    buy = taking_price(book(), coarse, Side.BUY, attempt, SETTINGS)
    sell = taking_price(book(), coarse, Side.SELL, attempt, SETTINGS)
    assert buy is not None
    assert sell is not None
    assert buy.limit <= D("102.01")
    assert sell.limit >= D("98.01")
    assert coarse.price_grid.allows(buy.limit)
    assert coarse.price_grid.allows(sell.limit)


def unsound() -> list[Book]:
    empty, no_asks, no_bids, crossed, locked = (Book() for _ in range(5))
    no_asks.bids.replace([(99.0, 1.0)])
    no_bids.asks.replace([(101.0, 1.0)])
    for made, ask in ((crossed, 98.0), (locked, 99.0)):
        made.bids.replace([(99.0, 1.0)])
        made.asks.replace([(ask, 1.0)])
    return [empty, no_asks, no_bids, crossed, locked]


@pytest.mark.parametrize("made", unsound(), ids=["empty", "no asks", "no bids", "crossed", "locked"])
@pytest.mark.parametrize("side", Side)
def test_a_book_that_is_not_sound_gives_no_price(made: Book, side: Side) -> None:
    assert taking_price(made, ETH, side, 0, SETTINGS) is None
    assert resting_price(made, ETH, side) is None


def test_a_resting_order_joins_the_best_price_of_its_own_side() -> None:
    buy, sell = (resting_price(book(99.0, 101.0), ETH, side) for side in Side)
    assert buy is not None
    assert sell is not None
    assert (buy.limit, sell.limit) == (D(99), D(101))


def test_a_price_that_rounds_to_nothing_is_no_price() -> None:
    huge_tick = replace(ETH, price_grid=PriceGrid(D(1000)))
    assert resting_price(book(), huge_tick, Side.BUY) is None
    assert taking_price(book(), huge_tick, Side.BUY, 0, SETTINGS) is None


def test_an_exact_price_is_what_the_venue_wrote() -> None:
    assert exact(0.1) == D("0.1")
    assert exact(1e-7) == D("0.0000001")
    assert exact(0.30000000000000004) == D("0.30000000000000004")
