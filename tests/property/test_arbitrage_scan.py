"""The vectorised scan against the same sums in plain Python, on random books with holes."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpdesk.arbitrage.scan import LEVELS, ScanGrid, scan
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book, Side

VENUES = tuple(VenueName)
HOLD_HOURS, DEPTH_BPS = 48.0, 20.0


@dataclass(frozen=True)
class Cell:
    """What one venue shows of one asset; None is unknown."""

    book: Book | None
    rate: float | None


def make_book(mid: float, steps: list[int], sizes: list[float], is_bid_missing: bool) -> Book:
    """Levels at 1 bps steps from the mid; `steps` are distances, best first."""
    book = Book()
    asks = [(mid * (1 + step / 10_000), size) for step, size in zip(steps, sizes, strict=True)]
    bids = (
        [] if is_bid_missing else [(mid * (1 - step / 10_000), size) for step, size in zip(steps, sizes, strict=True)]
    )
    book.replace(bids, asks, 0)
    return book


@st.composite
def books(draw: st.DrawFn) -> Book:
    count = draw(st.integers(1, LEVELS + 3))
    steps = sorted(draw(st.sets(st.integers(1, 60), min_size=count, max_size=count)))
    sizes = draw(st.lists(st.floats(0.01, 20.0), min_size=count, max_size=count))
    return make_book(draw(st.floats(90.0, 110.0)), steps, sizes, draw(st.integers(0, 9)) == 0)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    return Cell(draw(st.none() | books()), draw(st.none() | st.floats(-0.01, 0.01)))


FEES = st.lists(st.none() | st.floats(-0.0002, 0.001), min_size=3, max_size=3)
GRIDS = st.lists(st.lists(cells(), min_size=3, max_size=3), min_size=1, max_size=3)


def grid_of(rows: list[list[Cell]], fees: list[float | None]) -> ScanGrid:
    grid = ScanGrid.empty(tuple(f"A{at}" for at in range(len(rows))), VENUES)
    for at, row in enumerate(rows):
        for venue_at, cell in enumerate(row):
            grid.put_book(at, venue_at, cell.book)
            grid.rates[at, venue_at] = math.nan if cell.rate is None else cell.rate
    grid.taker_fees[:] = [math.nan if fee is None else fee for fee in fees]
    return grid


def impact(cell: Cell, taker: Side, notional_usd: float) -> float | None:
    """Average distance from the mid in bps when `notional_usd` is taken from the first LEVELS levels."""
    if cell.book is None or cell.book.mid is None:
        return None
    mid = cell.book.mid
    left, paid, taken_all = notional_usd / mid, 0.0, 0.0
    for price, size in cell.book.side(taker).top(LEVELS):
        taken = min(left, size)
        paid, left, taken_all = paid + taken * price, left - taken, taken_all + taken
    if left > 1e-9 * notional_usd / mid:
        return None
    return (paid / taken_all / mid - 1) * taker.sign * 10_000


def expected(
    long: Cell, short: Cell, fees: tuple[float | None, float | None], notional_usd: float
) -> dict[str, float | None]:
    """The same edges, said plainly."""
    ways = [impact(long, Side.BUY, notional_usd), impact(short, Side.SELL, notional_usd)]
    back = [impact(long, Side.SELL, notional_usd), impact(short, Side.BUY, notional_usd)]
    pair_fees = None if None in fees else sum(fee for fee in fees if fee is not None) * 10_000
    carry = None if long.rate is None or short.rate is None else (short.rate - long.rate) * 10_000
    entry = total(*ways, pair_fees)
    leave = total(*back, pair_fees)
    basis = None
    if long.book and short.book and long.book.mid and short.book.mid:
        basis = (short.book.mid / long.book.mid - 1) * 10_000
    cost = total(entry, leave, None if basis is None else max(-basis, 0.0))
    net = None if cost is None or carry is None else carry - cost / HOLD_HOURS
    return {"carry": carry, "entry": entry, "leave": leave, "basis": basis, "net": net, "cost": cost}


def total(*parts: float | None) -> float | None:
    return None if None in parts else sum(part for part in parts if part is not None)


def same(seen: float, wanted: float | None) -> bool:
    return math.isnan(seen) if wanted is None else seen == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=150)
@given(rows=GRIDS, fees=FEES, notional_usd=st.floats(1.0, 5_000.0))
def test_the_scan_is_the_plain_sum_for_every_pair_of_venues(
    rows: list[list[Cell]], fees: list[float | None], notional_usd: float
) -> None:
    result = scan(grid_of(rows, fees), notional_usd, HOLD_HOURS, DEPTH_BPS)
    for at, row in enumerate(rows):
        for long_at, long in enumerate(row):
            for short_at, short in enumerate(row):
                if long_at == short_at:
                    continue
                cell, wanted = (
                    (at, long_at, short_at),
                    expected(long, short, (fees[long_at], fees[short_at]), notional_usd),
                )
                assert same(result.carry_bps_per_hour[cell], wanted["carry"])
                assert same(result.entry_cost_bps[cell], wanted["entry"])
                assert same(result.exit_cost_bps[cell], wanted["leave"])
                assert same(result.basis_bps[cell], wanted["basis"])
                assert same(result.net_bps_per_hour[cell], wanted["net"])
                carry, cost = wanted["carry"], wanted["cost"]
                if carry is not None and carry > 1e-9:
                    assert same(result.break_even_hours[cell], None if cost is None else cost / carry)


@settings(deadline=None, max_examples=100)
@given(rows=GRIDS)
def test_depth_is_the_thinner_side_near_the_mid(rows: list[list[Cell]]) -> None:
    result = scan(grid_of(rows, [0.0, 0.0, 0.0]), 100.0, HOLD_HOURS, DEPTH_BPS)
    for at, row in enumerate(rows):
        for venue_at, cell in enumerate(row):
            if cell.book is None or cell.book.mid is None:
                assert not result.depth_usd[at, venue_at] > 0
                continue
            mid = cell.book.mid
            near = [
                sum(
                    price * size
                    for price, size in ladder.top(LEVELS)
                    if abs(price / mid - 1) * 10_000 <= DEPTH_BPS + 1e-9
                )
                for ladder in (cell.book.bids, cell.book.asks)
            ]
            # A level exactly at the edge may fall either way; levels here sit on whole basis points of another mid.
            assert result.depth_usd[at, venue_at] <= min(near) * (1 + 1e-9) + 1e-9
            assert result.spread_bps[at, venue_at] == pytest.approx(cell.book.spread_bps)


@settings(deadline=None, max_examples=100)
@given(rows=GRIDS, fees=FEES, data=st.data())
def test_a_part_of_the_grid_scans_as_it_does_in_the_whole(
    rows: list[list[Cell]], fees: list[float | None], data: st.DataObject
) -> None:
    """What lets a tick re-evaluate only the assets it touched."""
    at = data.draw(st.integers(0, len(rows) - 1))
    whole = scan(grid_of(rows, fees), 500.0, HOLD_HOURS, DEPTH_BPS)
    alone = scan(grid_of([rows[at]], fees), 500.0, HOLD_HOURS, DEPTH_BPS)
    for name in ("net_bps_per_hour", "entry_cost_bps", "break_even_hours", "depth_usd", "spread_bps"):
        np.testing.assert_array_equal(getattr(whole, name)[at], getattr(alone, name)[0])


@settings(deadline=None, max_examples=100)
@given(first=books(), second=books(), other=books())
def test_a_cell_that_is_filled_again_forgets_the_levels_of_the_book_before(
    first: Book, second: Book, other: Book
) -> None:
    used, fresh = (ScanGrid.empty(("A",), VENUES) for _ in range(2))
    used.put_book(0, 0, first)
    for grid in (used, fresh):
        grid.put_book(0, 0, second)
        grid.put_book(0, 1, other)
        grid.taker_fees[:], grid.rates[0] = 0.0, (0.0, 0.001, 0.0)
    after, never = (scan(grid, 500.0, HOLD_HOURS, DEPTH_BPS) for grid in (used, fresh))
    for name in ("entry_cost_bps", "exit_cost_bps", "depth_usd", "spread_bps"):
        np.testing.assert_array_equal(getattr(after, name), getattr(never, name))
    used.put_book(0, 0, None)
    emptied = scan(used, 500.0, HOLD_HOURS, DEPTH_BPS)
    assert np.isnan(emptied.net_bps_per_hour[0, 0]).all()
    assert np.isnan(emptied.net_bps_per_hour[0, :, 0]).all()
