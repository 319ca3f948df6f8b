"""Markets to measure with: their names and steps matter, nothing else of them does."""

from decimal import Decimal

from perpdesk.domain.assets import AssetKind, VenueName
from perpdesk.domain.markets import Market, PriceGrid

_STEP = Decimal("0.0001")


def market(venue: VenueName, asset: str) -> Market:
    """A tradable perpetual of `asset`."""
    return Market(
        venue=venue,
        asset=asset,
        kind=AssetKind.CRYPTO,
        venue_symbol=asset,
        venue_index=0,
        multiplier=Decimal(1),
        price_grid=PriceGrid(_STEP),
        lot=_STEP,
        size_min=_STEP,
        notional_min_usd=Decimal(10),
        leverage_max=Decimal(10),
        maintenance_margin=Decimal("0.05"),
        is_tradable=True,
    )
