"""Figures of a backtest, per coin and in total. What can not be said is None."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from perpdesk.domain.numbers import ZERO
from perpdesk.domain.pnl import PnlParts
from perpdesk.history.trades import HOURS_PER_YEAR, Trade

Curve = Sequence[tuple[int, Decimal]]
"""(Unix ms, net USD so far), in order of time."""


@dataclass(slots=True)
class Coverage:
    """Hours of one coin's replay.

    Attributes:
        covered, skipped: Hours of the range with and without complete data. assumed: Covered hours with a stand-in price.
        refusals: Covered hours without a pair, by the first check that failed.
        refusals_any: The same hours by every check that failed; sums to more.
    """

    covered: int = 0
    skipped: int = 0
    assumed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    refusals_any: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(
            self.covered + other.covered,
            self.skipped + other.skipped,
            self.assumed + other.assumed,
            self.refusals + other.refusals,
            self.refusals_any + other.refusals_any,
        )


def max_drawdown_usd(curve: Curve) -> Decimal:
    """Deepest fall below an earlier high, positive; the start counts as a high of zero."""
    high = deepest = ZERO
    for _, value in curve:
        high = max(high, value)
        deepest = max(deepest, high - value)
    return deepest


def summarise(trades: Sequence[Trade], coverage: Coverage, curve: Curve, leverage: int) -> dict[str, Any]:
    """One row of results, ready for JSON.

    `capital_usd` is the margin of both legs at `leverage`, averaged over the time trades were open. `annualised_return_pct` is
    net profit over that capital and time, scaled to a year without compounding: what the capital earned while in use.
    """
    parts = sum((trade.parts for trade in trades), PnlParts())
    unclaimed = sum((trade.basis_unclaimed_usd for trade in trades), ZERO)
    net = parts.total_usd - unclaimed
    hours = sum(trade.hours for trade in trades)
    capital_hours = sum(float(trade.capital_usd(leverage)) * trade.hours for trade in trades)
    return {
        "hours_covered": coverage.covered,
        "hours_skipped": coverage.skipped,
        "price_assumed": coverage.assumed,
        "trades": len(trades),
        "trades_won": sum(1 for trade in trades if trade.net_usd > 0),
        "funding_usd": float(parts.funding_usd),
        "price_usd": float(parts.price_usd),
        "fees_usd": float(parts.fees_usd),
        "slippage_usd": float(parts.slippage_usd),
        "basis_unclaimed_usd": float(unclaimed),
        "net_usd": float(net),
        "capital_usd": capital_hours / hours if hours else None,
        "annualised_return_pct": float(net) / capital_hours * HOURS_PER_YEAR * 100 if capital_hours else None,
        "max_drawdown_usd": float(max_drawdown_usd(curve)),
        "hours_in_market": hours,
        "time_in_market_pct": hours / coverage.covered * 100 if coverage.covered else None,
        "exits": _exits(trades),
        "refusals": dict(coverage.refusals.most_common()),
        "refusals_any": dict(coverage.refusals_any.most_common()),
    }


def _exits(trades: Sequence[Trade]) -> dict[str, dict[str, float]]:
    """How trades ended: by reason, how many and what they earned."""
    counts = Counter(trade.exit_reason for trade in trades)
    return {
        reason: {
            "trades": count,
            "net_usd": float(sum((trade.net_usd for trade in trades if trade.exit_reason == reason), ZERO)),
        }
        for reason, count in counts.most_common()
    }


def hindsight_bps(carry_bps: Mapping[int, float], way_bps: float, hour_ms: int) -> float:
    """The most that funding could have paid a trader who knew every rate beforehand, of one leg's notional.

    Args:
        carry_bps: By hour (Unix ms), what a pair in one direction is paid at that moment; the other direction is paid minus it.
        way_bps: Cost of entering, and again of leaving, both legs together.

    A pair has to be held before a payment to get it, and no pair is held over an hour that is missing.
    """
    best = {-1: -way_bps, 0: 0.0, 1: -way_bps}
    before_ms: int | None = None
    for at_ms in sorted(carry_bps):
        if before_ms is not None and at_ms - before_ms != hour_ms:
            flat = max(best[0], best[-1] - way_bps, best[1] - way_bps)
            best = {-1: flat - way_bps, 0: flat, 1: flat - way_bps}
        elif before_ms is not None:
            best = {side: value + side * carry_bps[at_ms] for side, value in best.items()}
            flat = max(best[0], best[-1] - way_bps, best[1] - way_bps)
            best = {-1: max(best[-1], flat - way_bps), 0: flat, 1: max(best[1], flat - way_bps)}
        before_ms = at_ms
    return max(best[0], best[-1] - way_bps, best[1] - way_bps)
