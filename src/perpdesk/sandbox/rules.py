"""What differs between the simulated venues below the wire: funding formulas, fees, impact sizes, and how markets are listed.

Sources: hyperliquid.md sections 3, 10 and 12, lighter.md sections 4 and 7, extended.md sections 4, 8 and 14 of the shared venue
references. Premium samples have one formula on all three: (max(impact bid - index, 0) - max(index - impact ask, 0)) / index.
"""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from perpdesk.domain.fees import PUBLISHED_TIERS
from perpdesk.domain.markets import PriceGrid
from perpdesk.domain.numbers import ONE, ZERO
from perpdesk.sandbox.records import ListedMarket, VenueRules

INTEREST_8H = Decimal("0.0001")
"""Interest term of all three venues, fraction per 8 h: 0.00125 % an hour in a calm market."""
PREMIUM_BAND_8H = Decimal("0.0005")
"""How far the interest term may pull the rate back towards the baseline."""
HYPERLIQUID_CAP = Decimal("0.04")
"""Per hour."""
LIGHTER_CAP_8H = Decimal("0.04")
"""Lighter's `funding_clamp_big`, 4 % per 8 h."""
EXTENDED_CAP = Decimal("0.0025")
"""Extended's `hourlyFundingRateCap` of the recorded BTC row, 0.25 % per hour; other markets have wider ones."""

HYPERLIQUID_IMPACT_USD = Decimal(6_000)
HYPERLIQUID_MAJORS = frozenset(("BTC", "ETH"))
HYPERLIQUID_MAJORS_IMPACT_USD = Decimal(20_000)
LIGHTER_IMPACT_MARGIN_USD = Decimal(500)
"""Lighter's impact notional is this over the market's smallest initial margin fraction, so this x its highest leverage."""
EXTENDED_IMPACT_USD = Decimal(10_000)
"""An assumption: our references do not say what Extended uses."""


def clamp(value: Decimal, bound: Decimal) -> Decimal:
    """`value` kept within +-`bound` (>= 0)."""
    return max(-bound, min(bound, value))


def rate_8h(premium: Decimal) -> Decimal:
    """Premium pulled back to the interest baseline: flat between -0.04 % and +0.06 %."""
    return premium + clamp(INTEREST_8H - premium, PREMIUM_BAND_8H)


def hyperliquid_funding(premium: Decimal) -> Decimal:
    """Hourly = clamp(F8 / 8, +-4 %), to ten decimals as the venue publishes it."""
    hourly = clamp(rate_8h(premium) / 8, HYPERLIQUID_CAP)
    return hourly.quantize(Decimal("1E-10"), ROUND_HALF_EVEN) + ZERO


def lighter_funding(premium: Decimal) -> Decimal:
    """Hourly = clamp(F8, +-4 %) / 8, cut to 0.0001 %: the calm rate is recorded as 0.0012 % and payments use it so."""
    return (clamp(rate_8h(premium), LIGHTER_CAP_8H) / 8).quantize(Decimal("1E-6"), ROUND_DOWN) + ZERO


def extended_funding(premium: Decimal) -> Decimal:
    """Hourly = clamp(F8 / 8, +-0.25 %), rounded to six decimals: the calm rate is recorded as 0.000013.

    The interest term is not confirmed by the venue's documentation, and later minutes weigh the same here, not more.
    """
    hourly = clamp(rate_8h(premium) / 8, EXTENDED_CAP)
    return hourly.quantize(Decimal("1E-6"), ROUND_HALF_UP) + ZERO


def hyperliquid_rules() -> VenueRules:
    """Funding on the oracle price; whether the 10 USD minimum binds partial reduce-only closes is taken as yes."""
    return VenueRules(
        fee_tiers=dict(PUBLISHED_TIERS["hyperliquid"]),
        default_tier="base",
        funding_formula=hyperliquid_funding,
        funding_uses_index=True,
        impact_notional_usd=HYPERLIQUID_IMPACT_USD,
    )


def lighter_rules() -> VenueRules:
    """Funding on the mark price; the impact notional is each market's own."""
    return VenueRules(
        fee_tiers=dict(PUBLISHED_TIERS["lighter"]),
        default_tier="standard",
        funding_formula=lighter_funding,
        funding_uses_index=False,
        impact_notional_usd=LIGHTER_IMPACT_MARGIN_USD * 20,
    )


def extended_rules() -> VenueRules:
    """Funding on the mark price."""
    return VenueRules(
        fee_tiers=dict(PUBLISHED_TIERS["extended"]),
        default_tier="base",
        funding_formula=extended_funding,
        funding_uses_index=False,
        impact_notional_usd=EXTENDED_IMPACT_USD,
    )


def hyperliquid_market(
    symbol: str, index: int, asset: str, sz_decimals: int, max_leverage: int, multiplier: Decimal = ONE
) -> ListedMarket:
    """A Hyperliquid perpetual: five significant figures, 6 - szDecimals decimals, whole prices always allowed."""
    return ListedMarket(
        symbol=symbol,
        index=index,
        asset=asset,
        multiplier=multiplier,
        price_grid=PriceGrid(tick=ONE.scaleb(sz_decimals - 6), significant_figures=5, whole=ONE),
        lot=ONE.scaleb(-sz_decimals),
        size_min=ONE.scaleb(-sz_decimals),
        notional_min_usd=Decimal(10),
        leverage_max=max_leverage,
        default_leverage=min(20, max_leverage),
        maintenance_margin=ONE / (2 * max_leverage),
        impact_notional_usd=HYPERLIQUID_MAJORS_IMPACT_USD if asset in HYPERLIQUID_MAJORS else None,
    )


def lighter_market(
    symbol: str,
    index: int,
    asset: str,
    size_decimals: int,
    price_decimals: int,
    min_base: Decimal,
    min_quote: Decimal,
    max_leverage: int,
    multiplier: Decimal = ONE,
) -> ListedMarket:
    """A Lighter perpetual. Maintenance is 0.6 of the smallest initial margin, as on the recorded ETH row (120 of 200)."""
    return ListedMarket(
        symbol=symbol,
        index=index,
        asset=asset,
        multiplier=multiplier,
        price_grid=PriceGrid(tick=ONE.scaleb(-price_decimals)),
        lot=ONE.scaleb(-size_decimals),
        size_min=min_base,
        notional_min_usd=min_quote,
        leverage_max=max_leverage,
        default_leverage=min(20, max_leverage),
        maintenance_margin=Decimal("0.6") / max_leverage,
        impact_notional_usd=LIGHTER_IMPACT_MARGIN_USD * max_leverage,
    )
