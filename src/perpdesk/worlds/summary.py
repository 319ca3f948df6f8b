"""What a run says of itself: one document, the same for the terminal, for `--json` and for the store."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from perpdesk.arbitrage.engine import Desk
from perpdesk.domain.pairs import Leg
from perpdesk.venues.base import Venue
from perpdesk.worlds.money import MoneyChange


def iso(at_ms: int) -> str:
    """Unix milliseconds as text, such as 2026-11-22T04:40:05Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def percentile(values: list[int], share: float) -> int | None:
    """Nearest-rank percentile; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def venue_summary(venue: Venue) -> dict[str, Any]:
    """A venue's counters."""
    counters = venue.counters
    return {
        "markets": len(venue.markets),
        "book_updates": counters.book_updates,
        "requests": counters.requests,
        "errors": counters.errors,
        "frames_unreadable": counters.frames_unreadable,
        "resyncs": counters.resyncs,
        "reconnects": counters.reconnects,
    }


def naked_summary(desk: Desk, now_ms: int) -> dict[str, int | None]:
    """Stretches of unequal legs in the pairs this desk knows, milliseconds; None without any."""
    stretches = [ms for ledger in desk.portfolio.ledgers.values() for ms in ledger.naked(now_ms).stretches_ms]
    return {"p50": percentile(stretches, 0.5), "p99": percentile(stretches, 0.99), "max": max(stretches, default=None)}


def pnl_summary(desk: Desk, change: MoneyChange | None) -> dict[str, float | None]:
    """The four parts, what the venues report, and what is left over; the last two are None where no account could be read."""
    parts = desk.portfolio.pnl() if change is None else change.parts
    return {
        "price": _usd(parts.price_usd),
        "funding": _usd(parts.funding_usd),
        "fees": _usd(parts.fees_usd),
        "slippage": _usd(parts.slippage_usd),
        "total": _usd(parts.total_usd),
        "venue_reported": None if change is None else _usd(change.venue_reported_usd),
        "residual": None if change is None else _usd(change.residual_usd),
    }


def _usd(value: Decimal) -> float:
    """Rounded to a millionth of a dollar, which is what venues report."""
    return float(round(value, 6)) + 0.0


def open_pairs(desk: Desk) -> list[dict[str, Any]]:
    """Pairs that have not ended, as far as a summary needs them."""
    return [
        {
            "pair_id": ledger.pair.pair_id,
            "asset": ledger.pair.asset,
            "state": ledger.pair.state.value,
            "legs": {
                leg.value: {"venue": ledger.pair.venue_of(leg).value, "size": float(ledger.held(leg))} for leg in Leg
            },
        }
        for ledger in desk.portfolio.open
    ]


def halts(desk: Desk) -> list[dict[str, Any]]:
    """Why no new pair may be opened now."""
    return [
        {"name": name, "reason": reason, "since": iso(since_ms)}
        for name, (reason, since_ms) in desk.guard.halts.items()
    ]
