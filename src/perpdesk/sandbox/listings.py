"""Which markets each simulated venue lists, in the venue's own contract units.

Lighter's numbers are those of a recorded market list of 2025-10 (ids, decimals, least size); Hyperliquid's size decimals
are from recorded `meta` responses and fills (2023-07 to 2026-07), leverage limits from the venues' published tables.
AAPL on Lighter is not in that list: its decimals are read off recorded quotes of 2026-06, its limits are assumed.

Three rows are there to be refused: PURR (Hyperliquid only), AAPL (Lighter only, a tokenised stock) and MATIC (delisted,
but counted in Hyperliquid's asset numbers as the real venue does).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from perpdesk.domain.assets import VenueName, listing_of
from perpdesk.sandbox.exchange import ListedMarket
from perpdesk.sandbox.rules import hyperliquid_market, lighter_market

LIGHTER_NOTIONAL_MIN_USD = Decimal(10)
"""`min_quote_amount` of the recorded ETH row, used for all."""


@dataclass(frozen=True, slots=True)
class _HyperliquidRow:
    symbol: str
    size_decimals: int
    leverage_max: int
    is_listed: bool = True


_HYPERLIQUID = (
    _HyperliquidRow("BTC", 5, 40),
    _HyperliquidRow("ETH", 4, 25),
    _HyperliquidRow("MATIC", 1, 20, is_listed=False),
    _HyperliquidRow("SOL", 2, 20),
    _HyperliquidRow("DOGE", 0, 10),
    _HyperliquidRow("SUI", 1, 10),
    _HyperliquidRow("kPEPE", 0, 10),
    _HyperliquidRow("XRP", 0, 20),
    _HyperliquidRow("kBONK", 0, 10),
    _HyperliquidRow("PURR", 0, 3),
    _HyperliquidRow("HYPE", 2, 10),
    _HyperliquidRow("FARTCOIN", 1, 10),
    _HyperliquidRow("TRUMP", 1, 10),
    _HyperliquidRow("PENGU", 0, 5),
)


@dataclass(frozen=True, slots=True)
class _LighterRow:
    market_id: int
    symbol: str
    size_decimals: int
    price_decimals: int
    size_min: str
    leverage_max: int


_LIGHTER = (
    _LighterRow(0, "ETH", 4, 2, "0.005", 50),
    _LighterRow(1, "BTC", 5, 1, "0.0002", 50),
    _LighterRow(2, "SOL", 3, 3, "0.05", 25),
    _LighterRow(3, "DOGE", 0, 6, "10", 10),
    _LighterRow(4, "1000PEPE", 0, 6, "500", 10),
    _LighterRow(7, "XRP", 0, 6, "20", 20),
    _LighterRow(15, "TRUMP", 2, 4, "0.2", 10),
    _LighterRow(16, "SUI", 1, 5, "3", 10),
    _LighterRow(18, "1000BONK", 0, 6, "500", 10),
    _LighterRow(21, "FARTCOIN", 1, 5, "20", 10),
    _LighterRow(24, "HYPE", 2, 4, "0.5", 20),
    _LighterRow(47, "PENGU", 0, 6, "200", 10),
    _LighterRow(113, "AAPL", 3, 3, "0.05", 10),
)


def listed_markets(venue: VenueName, assets: frozenset[str] | None) -> tuple[ListedMarket, ...]:
    """What a simulated `venue` lists, in listing order, cut to `assets` (canonical names) unless that is None.

    On Hyperliquid `index` is the position in the list that is returned, as an asset number is the position in `meta`.

    Raises:
        ValueError: No simulated listing exists for `venue`, or none of `assets` is listed there.
    """
    if venue is VenueName.HYPERLIQUID:
        kept = _kept(map(_hyperliquid_market, _HYPERLIQUID), assets)
        markets = tuple(replace(market, index=position) for position, market in enumerate(kept))
    elif venue is VenueName.LIGHTER:
        markets = _kept(map(_lighter_market, _LIGHTER), assets)
    else:
        raise ValueError(f"no simulated markets are defined for {venue}; use hyperliquid or lighter")
    if not markets:
        raise ValueError(f"{venue} lists none of {', '.join(sorted(assets or ()))} in the sandbox; choose other assets")
    return markets


def _kept(markets: Iterable[ListedMarket], assets: frozenset[str] | None) -> tuple[ListedMarket, ...]:
    return tuple(market for market in markets if assets is None or market.asset in assets)


def _hyperliquid_market(row: _HyperliquidRow) -> ListedMarket:
    listing = listing_of(VenueName.HYPERLIQUID, row.symbol)
    market = hyperliquid_market(row.symbol, 0, listing.asset, row.size_decimals, row.leverage_max, listing.multiplier)
    return market if row.is_listed else replace(market, is_listed=False)


def _lighter_market(row: _LighterRow) -> ListedMarket:
    listing = listing_of(VenueName.LIGHTER, row.symbol)
    return lighter_market(
        row.symbol,
        row.market_id,
        listing.asset,
        row.size_decimals,
        row.price_decimals,
        Decimal(row.size_min),
        LIGHTER_NOTIONAL_MIN_USD,
        row.leverage_max,
        listing.multiplier,
    )
