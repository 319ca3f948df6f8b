"""Trading fees: what the account pays, read from the venue. An unfetched fee stops the trade."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fractions of notional one account pays on one venue; negative is a rebate."""

    maker: Decimal
    taker: Decimal


# Published base tiers, for the simulated venues and for backtests only; a live desk reads `Venue.fetch_fees`.
# Hyperliquid: fee page, base tier, read 2026-11. Lighter: standard and premium (no stake), read 2026-11.
PUBLISHED_TIERS: dict[str, dict[str, FeeRates]] = {
    "hyperliquid": {
        "base": FeeRates(Decimal("0.00015"), Decimal("0.00045")),
        "vip1": FeeRates(Decimal("0.00012"), Decimal("0.00040")),
        "vip2": FeeRates(Decimal("0.00008"), Decimal("0.00035")),
        "vip3": FeeRates(Decimal("0.00004"), Decimal("0.00030")),
    },
    "lighter": {
        "standard": FeeRates(Decimal(0), Decimal(0)),
        "plus": FeeRates(Decimal("0.00005"), Decimal("0.00005")),
        "premium": FeeRates(Decimal("0.000040"), Decimal("0.000280")),
    },
    "extended": {"base": FeeRates(Decimal(0), Decimal("0.00025"))},
}
