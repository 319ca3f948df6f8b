"""When an open pair should end: funding flipped, held long enough, earned enough. Pure; the first reason that holds wins."""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.arbitrage.settings import ExitSettings
from perpdesk.domain.numbers import BPS


@dataclass(slots=True)
class HoldingView:
    """An open pair as the exits see it. Not frozen: every book event makes one per pair, and that would triple its cost.

    Attributes:
        carry_bps_per_hour: What it earns now, None while a rate is unknown (which never closes a pair by itself).
        flipped_since_ms: When carry fell below the limit for good, None while it is above.
        profit_usd: All four parts with open legs at what closing would really bring, None while a book is stale or when even
            the best prices would not bring the target.
        notional_usd: Of one leg.
    """

    opened_at_ms: int
    carry_bps_per_hour: float | None
    flipped_since_ms: int | None
    profit_usd: Decimal | None
    notional_usd: Decimal


def decide_exit(view: HoldingView, settings: ExitSettings, now_ms: int) -> str | None:
    """The reason to close, or None to hold."""
    if view.flipped_since_ms is not None and now_ms - view.flipped_since_ms >= settings.flip_confirm_ms:
        return "funding flipped"
    if now_ms - view.opened_at_ms >= settings.hold_hours_max * 3_600_000:
        return "max hold"
    if view.profit_usd is not None and view.profit_usd >= target_profit_usd(view.notional_usd, settings):
        return "profit target"
    return None


def target_profit_usd(notional_usd: Decimal, settings: ExitSettings) -> Decimal:
    """Profit at which a pair is closed, for a notional of one leg."""
    return notional_usd * Decimal(str(settings.profit_target_bps)) / BPS


def flipped_since(
    carry_bps_per_hour: float | None, since_ms: int | None, settings: ExitSettings, now_ms: int
) -> int | None:
    """Carry the start of a flip forward: kept while carry stays below the limit or is unknown, dropped when it recovers."""
    if carry_bps_per_hour is None:
        return since_ms
    if carry_bps_per_hour > settings.carry_bps_per_hour_min:
        return None
    return now_ms if since_ms is None else since_ms
