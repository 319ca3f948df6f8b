"""How much: the smallest of what is allowed, what the books carry and what the margins carry, on a step both venues know."""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.arbitrage.checks import Check
from perpdesk.arbitrage.settings import EntrySettings
from perpdesk.domain.markets import Market, common_lot
from perpdesk.domain.numbers import floor_to


@dataclass(frozen=True, slots=True)
class Sized:
    """A size with the comparisons it rests on; `size` is None when one of them failed."""

    size: Decimal | None
    checks: tuple[Check, ...]


HEDGE_HEADROOM = Decimal("2")
"""A pair is only opened this much above both venues' least order, so that a partial fill can usually still be hedged."""


def decide_size(
    entry: EntrySettings,
    legs: tuple[Market, Market],
    mid: Decimal,
    depth_usd: float,
    available_usd: tuple[Decimal | None, Decimal | None],
) -> Sized:
    """Units of the asset per leg.

    Args:
        mid: USD per unit, for turning notionals into sizes. depth_usd: Of the thinner book inside the counted range.
        available_usd: Free margin per leg's venue, None while unknown (which refuses).
    """
    known = [usd for usd in available_usd if usd is not None]
    checks = [Check("free margin known", float(len(known)), 2.0, "venues")]
    limits = [entry.notional_usd_max, Decimal(str(depth_usd)) * Decimal(str(entry.depth_share_max))]
    limits += [usd * Decimal(str(entry.margin_share_max)) * entry.leverage for usd in known]
    size = floor_to(min(limits) / mid, common_lot(*legs))
    least = max(leg.least_size(mid) for leg in legs) * HEDGE_HEADROOM
    checks += [
        Check("size", float(size), float(least), legs[0].asset),
        Check("notional", float(size * mid), float(entry.notional_usd_min), "USD"),
    ]
    return Sized(size if all(check.passed for check in checks) else None, tuple(checks))
