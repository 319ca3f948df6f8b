"""What a venue lists: tick, lot, minimums and limits of one perpetual, restated per unit of the asset."""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.assets import AssetKind, VenueName
from perpdesk.domain.numbers import ONE, ZERO, ceil_to, floor_to


@dataclass(frozen=True, slots=True)
class PriceGrid:
    """Which prices a venue accepts.

    Attributes:
        tick: Smallest price step, per unit of the asset.
        significant_figures: Most digits a price may have, None where only the tick counts (Hyperliquid: 5).
        whole: Multiples of this are always allowed, however many digits (Hyperliquid: one unit of the contract's price).
    """

    tick: Decimal
    significant_figures: int | None = None
    whole: Decimal = ONE

    def step_at(self, price: Decimal) -> Decimal:
        """The step between allowed prices around `price` (> 0)."""
        if self.significant_figures is None:
            return self.tick
        by_digits = Decimal(1).scaleb(price.adjusted() - self.significant_figures + 1)
        return max(self.tick, min(by_digits, self.whole))

    def floor(self, price: Decimal) -> Decimal:
        """Highest allowed price not above `price` (> 0)."""
        return floor_to(price, self.step_at(price))

    def ceil(self, price: Decimal) -> Decimal:
        """Lowest allowed price not below `price` (> 0)."""
        return ceil_to(price, self.step_at(price))

    def allows(self, price: Decimal) -> bool:
        """Whether the venue would take `price` as it is."""
        return price > 0 and self.floor(price) == price


@dataclass(frozen=True, slots=True)
class Market:
    """One perpetual on one venue. All prices and sizes are per unit of `asset`, whatever the venue's contract is.

    Attributes:
        venue_symbol: The venue's own name ("kPEPE", "1000PEPE").
        venue_index: The number orders carry (asset id, market id).
        multiplier: Units of the asset in one venue contract; venue price = price x multiplier, venue size = size / multiplier.
        lot: Size step. `size_min` and `notional_min_usd`: least order; zero where the venue has none.
        leverage_max: Highest leverage the venue allows; margin tiers above the first are the venue's business.
        maintenance_margin: Fraction of notional below which the venue liquidates.
        is_tradable: False when delisted, closed, hidden or reduce-only: entries are refused, closes still go.
    """

    venue: VenueName
    asset: str
    kind: AssetKind
    venue_symbol: str
    venue_index: int
    multiplier: Decimal
    price_grid: PriceGrid
    lot: Decimal
    size_min: Decimal
    notional_min_usd: Decimal
    leverage_max: Decimal
    maintenance_margin: Decimal
    is_tradable: bool = True

    def floor_size(self, size: Decimal) -> Decimal:
        """Largest orderable size not above `size`; zero when that is below one lot."""
        return max(floor_to(size, self.lot), ZERO)

    def least_size(self, price: Decimal) -> Decimal:
        """Smallest size that meets every minimum at `price` (> 0)."""
        return ceil_to(max(self.size_min, self.notional_min_usd / price, self.lot), self.lot)

    def accepts(self, size: Decimal, price: Decimal) -> bool:
        """Whether an opening order of `size` at `price` meets lot, minimum size and minimum notional."""
        return (
            size > 0
            and self.floor_size(size) == size
            and size >= self.size_min
            and size * price >= self.notional_min_usd
        )


def common_lot(first: Market, second: Market) -> Decimal:
    """Size step that both venues can express, so that two legs can be equal to the last unit.

    Lots are powers of ten times a power of ten, so the larger is a multiple of the smaller; ValueError if not.
    """
    small, large = sorted((first.lot, second.lot))
    if large % small != 0:
        raise ValueError(f"{first.asset}: lots {first.lot} and {second.lot} have no common step")
    return large
