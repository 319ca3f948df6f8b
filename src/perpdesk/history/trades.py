"""Trades of a backtest: one row per pair that held anything, as values and as Parquet."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from perpdesk.domain.numbers import ZERO
from perpdesk.domain.pnl import PnlParts

HOURS_PER_YEAR = 8760
MS_PER_HOUR = 3_600_000

SCHEMA = pl.Schema(
    {
        "coin": pl.String(),
        "long_venue": pl.String(),
        "short_venue": pl.String(),
        "opened_at": pl.Datetime("ms", "UTC"),
        "closed_at": pl.Datetime("ms", "UTC"),
        "notional_usd": pl.Float64(),
        "size_base": pl.Float64(),
        "price_usd": pl.Float64(),
        "funding_usd": pl.Float64(),
        "fees_usd": pl.Float64(),
        "slippage_usd": pl.Float64(),
        "basis_unclaimed_usd": pl.Float64(),
        "net_usd": pl.Float64(),
        "exit_reason": pl.String(),
        "price_assumed": pl.Boolean(),
        "edge_bps_per_hour": pl.Float64(),
    }
)
"""Columns of `trades.parquet`. Money is USD, costs negative; net = price + funding + fees + slippage - basis_unclaimed."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One pair from its decision to its end.

    Attributes:
        opened_at_ms: When it was decided. closed_at_ms: When both venues had confirmed that it is flat.
        notional_usd: Of one leg. size_base: Units per leg that were opened and closed again.
        parts: The four sources of its money as the venues booked them.
        has_assumed_price: It was opened or closed in an hour whose price is a stand-in.
        edge_bps_per_hour: Net edge expected at the decision.
    """

    coin: str
    long_venue: str
    short_venue: str
    opened_at_ms: int
    closed_at_ms: int
    notional_usd: Decimal
    size_base: Decimal
    parts: PnlParts
    exit_reason: str
    has_assumed_price: bool
    edge_bps_per_hour: float

    @property
    def basis_unclaimed_usd(self) -> Decimal:
        """See `unclaimed_usd`."""
        return unclaimed_usd(self.parts.price_usd, self.has_assumed_price)

    @property
    def net_usd(self) -> Decimal:
        """What the trade may claim to have earned."""
        return self.parts.total_usd - self.basis_unclaimed_usd

    @property
    def hours(self) -> float:
        """How long it was open."""
        return (self.closed_at_ms - self.opened_at_ms) / MS_PER_HOUR

    def capital_usd(self, leverage: int) -> Decimal:
        """Margin of both legs at `leverage`."""
        return 2 * self.notional_usd / leverage

    def as_row(self) -> dict[str, Any]:
        """By the columns of SCHEMA."""
        return {
            "coin": self.coin,
            "long_venue": self.long_venue,
            "short_venue": self.short_venue,
            "opened_at": utc(self.opened_at_ms),
            "closed_at": utc(self.closed_at_ms),
            "notional_usd": float(self.notional_usd),
            "size_base": float(self.size_base),
            "price_usd": float(self.parts.price_usd),
            "funding_usd": float(self.parts.funding_usd),
            "fees_usd": float(self.parts.fees_usd),
            "slippage_usd": float(self.parts.slippage_usd),
            "basis_unclaimed_usd": float(self.basis_unclaimed_usd),
            "net_usd": float(self.net_usd),
            "exit_reason": self.exit_reason,
            "price_assumed": self.has_assumed_price,
            "edge_bps_per_hour": self.edge_bps_per_hour,
        }


def unclaimed_usd(price_usd: Decimal, has_assumed_price: bool) -> Decimal:
    """Price profit that a trade touched by stand-in prices must not claim: the legs' real prices are not known.

    With one stand-in for both legs the difference between venues is zero by construction, and what remains is the venues'
    price grids; between a stand-in and real prices the difference jumps. A loss is kept: the result may only err downward.
    """
    return max(price_usd, ZERO) if has_assumed_price else ZERO


def write_trades(path: Path, trades: Iterable[Trade]) -> None:
    """Write all trades, or a file with the same columns and no row."""
    rows = [trade.as_row() for trade in trades]
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(path, compression="zstd")


def utc(at_ms: int) -> datetime:
    """A moment as an aware date and time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
