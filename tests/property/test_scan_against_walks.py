"""The scan's arrays say what walking the books level by level says, whatever the books look like."""

from math import inf, isclose, isnan, nan

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perpdesk.arbitrage.scan import LEVELS, ScanGrid, ScanResult, scan
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book, Level, Side

ASSETS = ("AAA", "BBB", "CCC")
VENUES = (VenueName.HYPERLIQUID, VenueName.LIGHTER)
NOTIONAL_USD, HOLD_HOURS, DEPTH_BPS = 500.0, 48.0, 20.0

Market = tuple[list[Level], list[Level]]


@st.composite
def sides(draw: st.DrawFn, mid: float, sign: int) -> list[Level]:
    """Up to a few more levels than a scan looks at; often too thin for the notional, sometimes none."""
    steps = draw(st.lists(st.floats(1e-4, 8e-4), max_size=LEVELS + 3))
    levels, price = [], mid
    for step in steps:
        price *= 1 + sign * step
        levels.append((price, draw(st.floats(1.0, 300.0)) / price))
    return levels


@st.composite
def markets(draw: st.DrawFn) -> Market | None:
    """The two sides of a book, None for no book at all."""
    if draw(st.integers(0, 9)) == 0:
        return None
    mid = draw(st.sampled_from((0.00001, 1.0, 2_500.0, 110_000.0)))
    return draw(sides(mid, -1)), draw(sides(mid, 1))


def book_of(market: Market | None) -> Book | None:
    if market is None:
        return None
    book = Book()
    book.replace(*market, at_ms=0)
    return book


def walked_impact(market: Market | None, side: Side) -> float:
    """Average distance from the mid in basis points, by walking; NaN where a scan can not know."""
    if market is None or not market[0] or not market[1]:
        return nan
    mid = (market[0][0][0] + market[1][0][0]) / 2
    book = Book()
    book.replace(market[0][:LEVELS], market[1][:LEVELS], 0)
    sweep = book.side(side).sweep(NOTIONAL_USD / mid)
    if sweep is None or sweep.size < NOTIONAL_USD / mid * (1 - 1e-9):
        return nan
    return side.sign * (sweep.average_price / mid - 1) * 10_000


def walked_depth(market: Market | None) -> float:
    if market is None or not market[0] or not market[1]:
        return 0.0
    mid = (market[0][0][0] + market[1][0][0]) / 2
    return min(
        sum(price * size for price, size in side[:LEVELS] if abs(price / mid - 1) * 10_000 <= DEPTH_BPS)
        for side in market
    )


def same(ours: float, walked: float) -> bool:
    return (isnan(ours) and isnan(walked)) or ours == walked or isclose(ours, walked, rel_tol=1e-6, abs_tol=1e-5)


def scanned(cells: list[list[Market | None]], rates: list[list[float]], fees: list[float]) -> ScanResult:
    grid = ScanGrid.empty(ASSETS, VENUES)
    for row, of_asset in enumerate(cells):
        for column, market in enumerate(of_asset):
            grid.put_book(row, column, book_of(market))
    grid.rates[:] = rates
    grid.taker_fees[:] = fees
    return scan(grid, NOTIONAL_USD, HOLD_HOURS, DEPTH_BPS)


cells = st.lists(st.lists(markets(), min_size=2, max_size=2), min_size=3, max_size=3)
rates = st.lists(st.lists(st.floats(-1e-3, 1e-3), min_size=2, max_size=2), min_size=3, max_size=3)


@given(cells=cells, rates=rates)
@settings(max_examples=150, deadline=None)
def test_edges_and_depth_are_those_of_walking_the_books(
    cells: list[list[Market | None]], rates: list[list[float]]
) -> None:
    fees = [0.00045, 0.0001]
    result = scanned(cells, rates, fees)
    for row, of_asset in enumerate(cells):
        for long, short in ((0, 1), (1, 0)):
            fee = sum(fees) * 10_000
            entry = walked_impact(of_asset[long], Side.BUY) + walked_impact(of_asset[short], Side.SELL) + fee
            leave = walked_impact(of_asset[long], Side.SELL) + walked_impact(of_asset[short], Side.BUY) + fee
            carry = (rates[row][short] - rates[row][long]) * 10_000
            cost = entry + leave + np.maximum(-result.basis_bps[row, long, short], 0)
            assert same(result.entry_cost_bps[row, long, short], entry)
            assert same(result.exit_cost_bps[row, long, short], leave)
            assert same(result.carry_bps_per_hour[row, long, short], carry)
            assert same(result.net_bps_per_hour[row, long, short], carry - cost / HOLD_HOURS)
            if carry <= 0:
                assert result.break_even_hours[row, long, short] == inf
        for column, market in enumerate(of_asset):
            assert same(result.depth_usd[row, column], walked_depth(market))


@given(cells=cells)
@settings(max_examples=50, deadline=None)
def test_a_part_of_the_grid_gives_the_same_edges_as_the_whole(cells: list[list[Market | None]]) -> None:
    whole = scanned(cells, [[1e-5, 9e-5]] * 3, [0.0, 0.0])
    grid = ScanGrid.empty(ASSETS, VENUES)
    for row, of_asset in enumerate(cells):
        for column, market in enumerate(of_asset):
            grid.put_book(row, column, book_of(market))
    grid.rates[:], grid.taker_fees[:] = [1e-5, 9e-5], 0.0
    part = scan(grid.rows([2, 0]), NOTIONAL_USD, HOLD_HOURS, DEPTH_BPS)
    for at, row in enumerate((2, 0)):
        np.testing.assert_array_equal(part.net_bps_per_hour[at], whole.net_bps_per_hour[row])
        np.testing.assert_array_equal(part.depth_usd[at], whole.depth_usd[row])


@given(before=markets(), after=markets())
@settings(max_examples=100, deadline=None)
def test_a_cell_forgets_the_book_it_held_before(before: Market | None, after: Market | None) -> None:
    used, fresh = ScanGrid.empty(("AAA",), VENUES), ScanGrid.empty(("AAA",), VENUES)
    used.put_book(0, 0, book_of(before))
    for grid in (used, fresh):
        grid.put_book(0, 0, book_of(after))
    for name in ("prices", "sizes_before", "usd_before"):
        np.testing.assert_array_equal(getattr(used, name), getattr(fresh, name))
