"""From books and funding rates to net edges, all assets at once.

One notional is tried on every ordered pair of venues: long where funding is cheaper, short where it is dearer. Costs are what
the visible books would really charge at that size: taker fees, half spread and depth impact of both legs, on the way in and
on the way out. A favourable price difference between the venues earns nothing here; an adverse one is a cost.
"""

from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import numpy as np
from numpy.typing import NDArray

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book

Floats = NDArray[np.float64]

LEVELS = 20
"""Levels of each side that a scan looks at; what lies deeper counts as not there."""

BID, ASK = 0, 1
_OUTWARDS_BPS = np.array([-10_000.0, 10_000.0])[:, None, None]
"""Away from the mid, by side: the first axis."""


@dataclass(slots=True)
class ScanGrid:
    """Books, rates and fees of many assets as arrays; NaN is unknown.

    A side is kept as running totals, so that taking any amount from it is one search instead of a walk. The last axis has
    LEVELS + 1 slots: the slot after the last level has no price and holds the totals of them all.

    Attributes:
        assets, venues: Names along the axes.
        prices: float64 [side (0 bid, 1 ask), venue, asset, slot]; best first.
        sizes_before, usd_before: Same shape; size and notional of the levels that are better than the slot's.
        rates: float64 [asset, venue], fraction per hour. taker_fees: float64 [venue], fraction of notional.
    """

    assets: tuple[str, ...]
    venues: tuple[VenueName, ...]
    prices: Floats
    sizes_before: Floats
    usd_before: Floats
    rates: Floats
    taker_fees: Floats

    @classmethod
    def empty(cls, assets: tuple[str, ...], venues: tuple[VenueName, ...]) -> "ScanGrid":
        shape = (2, len(venues), len(assets), LEVELS + 1)
        return cls(
            assets,
            venues,
            np.full(shape, np.nan),
            np.zeros(shape),
            np.zeros(shape),
            np.full((len(assets), len(venues)), np.nan),
            np.full(len(venues), np.nan),
        )

    def put_book(self, asset_at: int, venue_at: int, book: Book | None) -> None:
        """Copy the top of `book` in; None empties the cell."""
        for side, ladder in ((BID, book and book.bids), (ASK, book and book.asks)):
            at = (side, venue_at, asset_at)
            prices, sizes = ladder.top_columns(LEVELS) if ladder else ([], [])
            count = len(prices)
            self.prices[at][:count], self.prices[at][count:] = prices, np.nan
            self.sizes_before[at][1 : count + 1] = list(accumulate(sizes))
            self.usd_before[at][1 : count + 1] = list(accumulate(map(mul, prices, sizes)))
            for totals in (self.sizes_before[at], self.usd_before[at]):
                totals[count + 1 :] = totals[count]

    def rows(self, at: list[int]) -> "ScanGrid":
        """The part that holds these assets only; a copy."""
        return ScanGrid(
            tuple(self.assets[row] for row in at),
            self.venues,
            self.prices.take(at, axis=2),
            self.sizes_before.take(at, axis=2),
            self.usd_before.take(at, axis=2),
            self.rates[at],
            self.taker_fees,
        )


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Edges of every (asset, long venue, short venue); float64 [asset, long, short] unless said otherwise, NaN unknown.

    Attributes:
        carry_bps_per_hour: Funding the pair earns.
        entry_cost_bps, exit_cost_bps: Fees, spread and impact of both legs, of one leg's notional.
        basis_bps: Short venue's mid above the long venue's; negative is adverse.
        net_bps_per_hour: Carry less all costs spread over the holding time.
        break_even_hours: Hours of carry that repay the costs; infinite when carry is not positive.
        depth_usd: [asset, venue] thinner side inside the counted range.
        spread_bps: [asset, venue]. mids: [asset, venue] USD.
    """

    carry_bps_per_hour: Floats
    entry_cost_bps: Floats
    exit_cost_bps: Floats
    basis_bps: Floats
    net_bps_per_hour: Floats
    break_even_hours: Floats
    depth_usd: Floats
    spread_bps: Floats
    mids: Floats


def scan(grid: ScanGrid, notional_usd: float, hold_hours: float, depth_bps: float) -> ScanResult:
    """Evaluate every ordered venue pair of every asset at `notional_usd` per leg.

    Inside, assets are the last axis: numpy is quick along long axes, and there are many assets but few venues.
    """
    bids, asks = grid.prices[..., 0].copy()
    mids = (bids + asks) / 2
    sell, buy = _impact_bps(grid, mids, notional_usd)
    fees = grid.taker_fees * 10_000
    pair_fees = (fees[:, None] + fees[None, :])[..., None]
    entry = buy[:, None] + sell[None, :] + pair_fees
    leave = sell[:, None] + buy[None, :] + pair_fees
    basis = (mids[None, :] / mids[:, None] - 1) * 10_000
    rates = (grid.rates * 10_000).T.copy()
    carry = rates[None, :] - rates[:, None]
    cost = entry + leave + np.maximum(-basis, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        break_even = np.where(carry > 0, cost / carry, np.inf)
    return ScanResult(
        _by_asset(carry),
        _by_asset(entry),
        _by_asset(leave),
        _by_asset(basis),
        _by_asset(carry - cost / hold_hours),
        _by_asset(break_even),
        _depth_usd(grid, mids, depth_bps).T,
        ((asks - bids) / mids * 10_000).T,
        mids.T,
    )


def _by_asset(edges: Floats) -> Floats:
    """[long, short, asset] seen as [asset, long, short]."""
    return edges.transpose(2, 0, 1)


def _impact_bps(grid: ScanGrid, mids: Floats, notional_usd: float) -> Floats:
    """[side, venue, asset]: average distance from the mid when `notional_usd` is taken; NaN when the book is too thin.

    Args:
        mids: [venue, asset].
    """
    size = notional_usd / mids
    # The first slot with enough before it is one past the level that completes the fill; without any, argmax says 0, and
    # the slot before 0 is one without a price.
    last = _flat((grid.sizes_before >= size[..., None] * (1 - 1e-9)).argmax(axis=-1) - 1)
    left = size - grid.sizes_before.take(last)
    paid = grid.usd_before.take(last) + left * grid.prices.take(last)
    return np.asarray((paid / notional_usd - 1) * _OUTWARDS_BPS)


def _depth_usd(grid: ScanGrid, mids: Floats, depth_bps: float) -> Floats:
    """[venue, asset]: notional within `depth_bps` of the mid, on the thinner side."""
    away = depth_bps / 10_000
    is_near = np.empty(grid.prices.shape, dtype=np.bool_)
    np.greater_equal(grid.prices[BID], (mids * (1 - away))[..., None], out=is_near[BID])
    np.less_equal(grid.prices[ASK], (mids * (1 + away))[..., None], out=is_near[ASK])
    bids, asks = grid.usd_before.take(_flat(is_near.argmin(axis=-1)))
    return np.asarray(np.minimum(bids, asks))


def _flat(slots: NDArray[np.intp]) -> NDArray[np.intp]:
    """[side, venue, asset]: where in the flattened grid slot `slots` of each side is.

    Slot -1 falls on the slot after the last level of the side before, whose price is unknown like that of any such slot.
    """
    return np.arange(0, slots.size * (LEVELS + 1), LEVELS + 1).reshape(slots.shape) + slots
