"""From books and funding rates to net edges, all assets at once.

One notional is tried on every ordered pair of venues: long where funding is cheaper, short where it is dearer. Costs are what
the visible books would really charge at that size: taker fees, half spread and depth impact of both legs, on the way in and
on the way out. A favourable price difference between the venues earns nothing here; an adverse one is a cost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book

Floats = NDArray[np.float64]

LEVELS = 20
"""Levels of each side that a scan looks at; what lies deeper counts as not there."""

BID, ASK = 0, 1


@dataclass(slots=True)
class ScanGrid:
    """Books, rates and fees of many assets as arrays; NaN is unknown.

    Attributes:
        assets, venues: Names of the first two axes.
        prices, sizes: float64 [asset, venue, side (0 bid, 1 ask), level]; best first, missing levels have size 0.
        rates: float64 [asset, venue], fraction per hour. taker_fees: float64 [venue], fraction of notional.
    """

    assets: tuple[str, ...]
    venues: tuple[VenueName, ...]
    prices: Floats
    sizes: Floats
    rates: Floats
    taker_fees: Floats

    @classmethod
    def empty(cls, assets: tuple[str, ...], venues: tuple[VenueName, ...]) -> "ScanGrid":
        shape = (len(assets), len(venues), 2, LEVELS)
        return cls(
            assets,
            venues,
            np.full(shape, np.nan),
            np.zeros(shape),
            np.full(shape[:2], np.nan),
            np.full(len(venues), np.nan),
        )

    def put_book(self, asset_at: int, venue_at: int, book: Book | None) -> None:
        """Copy the top of `book` in; None empties the cell."""
        for side, ladder in ((BID, book and book.bids), (ASK, book and book.asks)):
            levels = ladder.top(LEVELS) if ladder else []
            prices, sizes = self.prices[asset_at, venue_at, side], self.sizes[asset_at, venue_at, side]
            count = len(levels)
            if count:
                both = np.array(levels)
                prices[:count], sizes[:count] = both[:, 0], both[:, 1]
            prices[count:], sizes[count:] = np.nan, 0.0


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
    """Evaluate every ordered venue pair of every asset at `notional_usd` per leg."""
    best = grid.prices[..., 0]
    mids = best.mean(axis=2)
    spread_bps = (best[..., ASK] - best[..., BID]) / mids * 10_000
    impact = _impact_bps(grid, mids, notional_usd)
    buy, sell = impact[..., ASK], impact[..., BID]
    fees = grid.taker_fees * 10_000
    pair_fees = fees[:, None] + fees[None, :]
    entry = buy[:, :, None] + sell[:, None, :] + pair_fees
    leave = sell[:, :, None] + buy[:, None, :] + pair_fees
    basis = (mids[:, None, :] / mids[:, :, None] - 1) * 10_000
    carry = (grid.rates[:, None, :] - grid.rates[:, :, None]) * 10_000
    cost = entry + leave + np.maximum(-basis, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        break_even = np.where(carry > 0, cost / carry, np.inf)
    return ScanResult(
        carry,
        entry,
        leave,
        basis,
        carry - cost / hold_hours,
        break_even,
        _depth_usd(grid, mids, depth_bps),
        spread_bps,
        mids,
    )


def _impact_bps(grid: ScanGrid, mids: Floats, notional_usd: float) -> Floats:
    """[asset, venue, side]: average distance from the mid when `notional_usd` is taken; NaN when the book is too thin."""
    size = notional_usd / mids[..., None, None]
    reached = np.cumsum(grid.sizes, axis=-1)
    taken = np.clip(size - (reached - grid.sizes), 0, grid.sizes)
    paid = np.nansum(taken * grid.prices, axis=-1)
    filled = taken.sum(axis=-1)
    enough = filled >= size[..., 0] * (1 - 1e-9)
    sign = np.array([-1.0, 1.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        average = np.where(enough, paid / filled, np.nan)
    return np.asarray((average / mids[..., None] - 1) * sign * 10_000)


def _depth_usd(grid: ScanGrid, mids: Floats, depth_bps: float) -> Floats:
    """[asset, venue]: notional within `depth_bps` of the mid, on the thinner side."""
    away = np.abs(grid.prices / mids[..., None, None] - 1) * 10_000
    with np.errstate(invalid="ignore"):
        near = away <= depth_bps
    return np.asarray(np.where(near, np.nan_to_num(grid.prices) * grid.sizes, 0.0).sum(axis=-1).min(axis=-1))
