"""What a scan offers, and every reason against it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perpdesk.arbitrage.checks import Check, fact
from perpdesk.arbitrage.scan import ScanGrid, ScanResult
from perpdesk.arbitrage.settings import EntrySettings
from perpdesk.domain.assets import AssetKind, VenueName
from perpdesk.domain.markets import Market


@dataclass(frozen=True, slots=True)
class Opportunity:
    """One ordered venue pair of one asset with all it was judged by.

    Attributes:
        All edges and costs are in basis points of one leg's notional; None where they could not be measured.
        checks: Every comparison that was made, passed or not.
    """

    asset: str
    long_venue: VenueName
    short_venue: VenueName
    carry_bps_per_hour: float | None
    net_bps_per_hour: float | None
    break_even_hours: float | None
    entry_cost_bps: float | None
    exit_cost_bps: float | None
    basis_bps: float | None
    depth_usd: float | None
    spread_bps: float | None
    notional_usd: float
    checks: tuple[Check, ...] = field(default=())

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that failed; empty means the pair may be opened."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def is_open(self) -> bool:
        return not self.refusals

    def as_dict(self) -> dict[str, Any]:
        """For JSON output: all numbers, and the refusals in words."""
        return {
            "asset": self.asset,
            "long_venue": self.long_venue.value,
            "short_venue": self.short_venue.value,
            "carry_bps_per_hour": self.carry_bps_per_hour,
            "net_bps_per_hour": self.net_bps_per_hour,
            "break_even_hours": self.break_even_hours,
            "entry_cost_bps": self.entry_cost_bps,
            "exit_cost_bps": self.exit_cost_bps,
            "basis_bps": self.basis_bps,
            "depth_usd": self.depth_usd,
            "spread_bps": self.spread_bps,
            "notional_usd": self.notional_usd,
            "would_open": self.is_open,
            "refused_because": [str(check) for check in self.refusals],
            "checks": [check.as_dict() for check in self.checks],
        }


def opportunities_of(
    grid: ScanGrid, result: ScanResult, asset_at: int, markets: dict[VenueName, Market], entry: EntrySettings
) -> Opportunity | None:
    """The better direction of each venue pair of one asset, judged; the best of them. None when fewer than two venues list it.

    Only the direction with the higher carry is judged: the other one loses by construction.
    """
    judged = [
        _judge(grid, result, asset_at, long_at, short_at, markets, entry)
        for long_at, short_at in _directions(grid, result, asset_at, markets)
    ]
    return max(judged, key=_preference, default=None)


def _directions(
    grid: ScanGrid, result: ScanResult, asset_at: int, markets: dict[VenueName, Market]
) -> list[tuple[int, int]]:
    listed = [at for at, venue in enumerate(grid.venues) if venue in markets]
    chosen = []
    for first in listed:
        for second in listed:
            if first < second:
                carry = result.carry_bps_per_hour[asset_at, first, second]
                chosen.append((second, first) if carry < 0 else (first, second))
    return chosen


def _preference(opportunity: Opportunity) -> tuple[bool, float]:
    net = opportunity.net_bps_per_hour
    return opportunity.is_open, -np.inf if net is None else net


def _judge(
    grid: ScanGrid,
    result: ScanResult,
    asset_at: int,
    long_at: int,
    short_at: int,
    markets: dict[VenueName, Market],
    entry: EntrySettings,
) -> Opportunity:
    at = (asset_at, long_at, short_at)
    long_venue, short_venue = grid.venues[long_at], grid.venues[short_at]
    depth = _known(min(result.depth_usd[asset_at, long_at], result.depth_usd[asset_at, short_at]))
    spread = _known(np.maximum(result.spread_bps[asset_at, long_at], result.spread_bps[asset_at, short_at]))
    carry, net = _known(result.carry_bps_per_hour[at]), _known(result.net_bps_per_hour[at])
    break_even, basis = _known(result.break_even_hours[at]), _known(result.basis_bps[at])
    legs = (markets[long_venue], markets[short_venue])
    checks = (
        *_market_checks(legs, entry),
        Check("carry", carry, entry.carry_bps_per_hour_min, "bps/h"),
        Check("believable carry", carry, entry.carry_sane_bps_per_hour, "bps/h", is_floor=False),
        Check("net edge", net, entry.net_bps_per_hour_min, "bps/h"),
        Check("break-even", break_even, entry.break_even_hours_max, "h", is_floor=False),
        Check(
            "depth share",
            None if depth is None else depth * entry.depth_share_max,
            float(entry.notional_usd_min),
            "USD",
        ),
        Check("spread", spread, entry.spread_bps_max, "bps", is_floor=False),
        Check(
            "adverse price difference", None if basis is None else -basis, entry.basis_bps_max, "bps", is_floor=False
        ),
        Check("price difference", None if basis is None else abs(basis), entry.basis_sane_bps, "bps", is_floor=False),
    )
    return Opportunity(
        grid.assets[asset_at],
        long_venue,
        short_venue,
        carry,
        net,
        break_even,
        _known(result.entry_cost_bps[at]),
        _known(result.exit_cost_bps[at]),
        basis,
        depth,
        spread,
        float(entry.notional_usd_max),
        checks,
    )


def _market_checks(legs: tuple[Market, Market], entry: EntrySettings) -> list[Check]:
    checks = [fact(f"{leg.venue} trades {leg.asset}", leg.is_tradable) for leg in legs]
    if entry.only_crypto:
        checks.append(fact("trades around the clock", all(leg.kind is AssetKind.CRYPTO for leg in legs)))
    return checks


def _known(value: float) -> float | None:
    """A plain finite float, None for NaN and infinity."""
    return float(value) if np.isfinite(value) else None
