"""Ambient ladders on a venue's price grid, cheap enough to lay a new one on every market at every tick.

Prices are whole numbers of grid steps, so a level costs one Decimal product. Step, offsets and sizes are worked out once
for a neighbourhood of the price (its shape) and kept until the price leaves it.
"""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from perpdesk.domain.numbers import floor_to
from perpdesk.sandbox.drivers.parameters import Liquidity
from perpdesk.sandbox.exchange import ListedMarket, SizedLevel

Ladders = tuple[list[SizedLevel], list[SizedLevel]]
"""(bids, asks), best first, in contract units."""

_NEIGHBOURHOOD = 0.02
_SIZE_TABLES = 16


@dataclass(frozen=True, slots=True)
class _Shape:
    low: float
    high: float
    step: Decimal
    step_float: float
    width_steps: int
    offsets: tuple[int, ...]
    sizes: tuple[tuple[Decimal, ...], ...]


class LadderMaker:
    """Lays ladders for one market.

    Args:
        size_sigma: Standard deviation of the natural logarithm of a level's size; the mean size stays the same.
        rng: Chance for sizes; None lays the mean sizes always.
    """

    __slots__ = ("_grid", "_liquidity", "_lot", "_rng", "_shape", "_size_sigma")

    def __init__(self, market: ListedMarket, liquidity: Liquidity, size_sigma: float, rng: Random | None) -> None:
        self._grid = market.price_grid
        self._lot = market.lot
        self._liquidity = liquidity
        self._size_sigma = size_sigma
        self._rng = rng
        self._shape: _Shape | None = None

    def around(self, mid: float) -> Ladders:
        """Bids and asks around `mid` (> 0, contract units), never crossed, every price on the grid."""
        shape = self._shape_near(mid)
        step = shape.step
        best_bid = max(round(mid / shape.step_float - shape.width_steps / 2), 1)
        best_ask = best_bid + shape.width_steps
        bid_sizes, ask_sizes = self._size_table(shape), self._size_table(shape)
        bids = [
            (Decimal(best_bid - offset) * step, size)
            for offset, size in zip(shape.offsets, bid_sizes, strict=True)
            if offset < best_bid
        ]
        asks = [
            (Decimal(best_ask + offset) * step, size) for offset, size in zip(shape.offsets, ask_sizes, strict=True)
        ]
        return bids, asks

    def impact_bps(self, mid: float, notional_usd: float) -> float:
        """Distance from `mid` of the average price that taking `notional_usd` pays on the mean ladder.

        A ladder too thin for it counts as far as it goes.
        """
        shape = self._shape_near(mid)
        left, paid = notional_usd, 0.0
        for offset in shape.offsets:
            taken = min(left, self._liquidity.level_usd)
            paid += taken * (shape.width_steps / 2 + offset)
            left -= taken
        return paid / (notional_usd - left) * shape.step_float / mid * 10_000

    def _shape_near(self, mid: float) -> _Shape:
        shape = self._shape
        if shape is None or not shape.low <= mid <= shape.high:
            shape = self._shape = self._shape_at(mid)
        return shape

    def _size_table(self, shape: _Shape) -> tuple[Decimal, ...]:
        if self._rng is None:
            return shape.sizes[0]
        return shape.sizes[int(self._rng.random() * len(shape.sizes))]

    def _shape_at(self, mid: float) -> _Shape:
        low, high = mid * (1 - _NEIGHBOURHOOD), mid * (1 + _NEIGHBOURHOOD)
        span = self._liquidity.spread_bps / 2 + self._liquidity.level_spacing_bps * self._liquidity.levels
        # The coarsest step of the whole ladder is valid on all of it: finer steps divide it.
        step = self._grid.step_at(Decimal(repr(high * (1 + span / 10_000))))
        step_float = float(step)
        spacing_steps = mid * self._liquidity.level_spacing_bps / 10_000 / step_float
        offsets = tuple(max(level, round(level * spacing_steps)) for level in range(self._liquidity.levels))
        width_steps = max(round(mid * self._liquidity.spread_bps / 10_000 / step_float), 1)
        count = 1 if self._rng is None else _SIZE_TABLES
        sizes = tuple(self._sizes_at(mid) for _ in range(count))
        return _Shape(low, high, step, step_float, width_steps, offsets, sizes)

    def _sizes_at(self, mid: float) -> tuple[Decimal, ...]:
        mean = self._liquidity.level_usd / mid
        return tuple(self._rounded(mean * self._jitter()) for _ in range(self._liquidity.levels))

    def _jitter(self) -> float:
        if self._rng is None:
            return 1.0
        return self._rng.lognormvariate(-self._size_sigma * self._size_sigma / 2, self._size_sigma)

    def _rounded(self, size: float) -> Decimal:
        return max(floor_to(Decimal(repr(size)), self._lot), self._lot)
