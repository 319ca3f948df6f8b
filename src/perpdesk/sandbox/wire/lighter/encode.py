"""Exchange values as Lighter writes them: fixed decimals per market, integers of ticks and lots, Go's way with floats."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import ListedMarket

Json = dict[str, Any]
"""One JSON object about to be encoded."""

ORDER_INDEX_BASE = 1 << 48
"""Order indices start here, client order indices end below it, so one field can carry either."""

AMBIENT_ORDER_BASE = 1 << 49
"""Order indices of anonymous liquidity, which has no orders of its own."""

AMBIENT_ACCOUNT_INDEX = (1 << 48) - 2
"""Account index of anonymous liquidity; other unnamed accounts count down from it."""

INSURANCE_ACCOUNT_INDEX = (1 << 48) - 1
USDC_ASSET_ID = 3
MARGIN_FRACTION_ONE = 10_000
"""Margin fractions in metadata and transactions are in units of 1e-4."""

ORDER_QUOTE_LIMIT_USD = Decimal("281474976.710655")
"""Highest notional of one order; 2^48 - 1 micro-USDC."""

FUNDING_CLAMP_SMALL = "0.0500"
FUNDING_CLAMP_BIG = "4.0000"
"""Clamps of the funding formula, percent per 8 h."""

_PERCENT_STEP = Decimal("0.0001")

encode_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Scale:
    """How many decimals one market's prices and sizes have, and the integers transactions carry instead."""

    price_decimals: int
    size_decimals: int

    @classmethod
    def of(cls, market: ListedMarket) -> "Scale":
        return cls(_decimals(market.price_grid.tick), _decimals(market.lot))

    def price(self, value: Decimal) -> str:
        return format(value, f".{self.price_decimals}f")

    def size(self, value: Decimal) -> str:
        return format(value, f".{self.size_decimals}f")

    def price_ticks(self, value: Decimal) -> int:
        return int(value.scaleb(self.price_decimals))

    def size_lots(self, value: Decimal) -> int:
        return int(value.scaleb(self.size_decimals))

    def price_of(self, ticks: int) -> Decimal:
        return Decimal(ticks).scaleb(-self.price_decimals)

    def size_of(self, lots: int) -> Decimal:
        return Decimal(lots).scaleb(-self.size_decimals)


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def usd_text(value: Decimal) -> str:
    """Micro-USDC precision. Rounded down, as a balance never shows more than is there."""
    return format(value.quantize(Decimal("0.000001"), ROUND_FLOOR), "f")


def go_number(value: Decimal | float) -> int | float:
    """A float as Go's encoder writes it: whole numbers without a fraction."""
    number = float(value)
    return int(number) if number.is_integer() else number


def percent_per_hour(rate: Decimal) -> Decimal:
    """A fraction per hour as the venue publishes it: percent, four decimals."""
    return (rate * 100).quantize(_PERCENT_STEP, ROUND_HALF_EVEN)


def signed_percent_text(rate: Decimal) -> str:
    percent = percent_per_hour(rate)
    return format(percent if percent else ZERO.quantize(_PERCENT_STEP), "f")


def margin_fraction(leverage: int) -> int:
    """Initial margin fraction of `leverage`, 1e-4: 5x is 2000, 3x is 3333."""
    return MARGIN_FRACTION_ONE // leverage


def market_head(market: ListedMarket, scale: Scale) -> Json:
    """What `/orderBooks` says of one market, and `/orderBookDetails` begins with."""
    return {
        "symbol": market.symbol,
        "market_id": market.index,
        "market_type": "perp",
        "base_asset_id": 0,
        "quote_asset_id": 0,
        "status": "active" if market.is_listed else "inactive",
        "taker_fee": "0.0000",
        "is_taker_fee_enabled": True,
        "maker_fee": "0.0000",
        "is_maker_fee_enabled": True,
        "liquidation_fee": "1.0000",
        "min_base_amount": scale.size(market.size_min),
        "min_quote_amount": usd_text(market.notional_min_usd),
        "order_quote_limit": format(ORDER_QUOTE_LIMIT_USD, "f"),
        "supported_size_decimals": scale.size_decimals,
        "supported_price_decimals": scale.price_decimals,
        "supported_quote_decimals": 6,
    }


def market_margins(market: ListedMarket, scale: Scale) -> Json:
    """Scaling and margin fractions of `/orderBookDetails`."""
    maintenance = int(market.maintenance_margin * MARGIN_FRACTION_ONE)
    return {
        "size_decimals": scale.size_decimals,
        "price_decimals": scale.price_decimals,
        "quote_multiplier": 1,
        "default_initial_margin_fraction": margin_fraction(market.default_leverage),
        "min_initial_margin_fraction": margin_fraction(market.leverage_max),
        "maintenance_margin_fraction": maintenance,
        "closeout_margin_fraction": maintenance * 2 // 3,
    }


def market_config(market: ListedMarket) -> Json:
    return {
        "market_margin_mode": 0,
        "insurance_fund_account_index": INSURANCE_ACCOUNT_INDEX,
        "liquidation_mode": 0,
        "force_reduce_only": market.is_reduce_only,
        "trading_hours": "",
        "funding_fee_discounts_enabled": False,
        "hidden": False,
        "rfq_enabled": True,
    }
