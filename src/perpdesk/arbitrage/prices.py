"""Price bands: every order carries a limit, and a missing book gives no price at all."""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.arbitrage.settings import ExecutionSettings
from perpdesk.domain.books import Book, Side
from perpdesk.domain.markets import Market
from perpdesk.domain.numbers import BPS


@dataclass(frozen=True, slots=True)
class BandedPrice:
    """An order's limit and the mid it was decided at, both exact."""

    limit: Decimal
    mid: Decimal


def exact(value: float) -> Decimal:
    """The shortest decimal that reads back as `value`: what the venue wrote, for numbers that came from its text."""
    return Decimal(repr(value))


def taking_price(
    book: Book, market: Market, side: Side, attempt: int, settings: ExecutionSettings
) -> BandedPrice | None:
    """Limit of an order that should fill now: the touch plus a band that widens with each attempt (0 is the first).

    Returns:
        None when the book has no two sides or is crossed: no price, no order.
    """
    bid, ask = book.bids.best, book.asks.best
    if bid is None or ask is None or bid[0] >= ask[0]:
        return None
    band = Decimal(str(min(settings.band_bps * 2**attempt, settings.band_bps_max))) / BPS
    mid = (exact(bid[0]) + exact(ask[0])) / 2
    if side is Side.BUY:
        limit = market.price_grid.floor(exact(ask[0]) * (1 + band))
    else:
        limit = market.price_grid.ceil(exact(bid[0]) * (1 - band))
    return BandedPrice(limit, mid) if limit > 0 else None


def resting_price(book: Book, market: Market, side: Side) -> BandedPrice | None:
    """Limit of a post-only order: the best price of its own side; None without a sound book."""
    bid, ask = book.bids.best, book.asks.best
    if bid is None or ask is None or bid[0] >= ask[0]:
        return None
    mid = (exact(bid[0]) + exact(ask[0])) / 2
    grid = market.price_grid
    limit = grid.floor(exact(bid[0])) if side is Side.BUY else grid.ceil(exact(ask[0]))
    return BandedPrice(limit, mid) if limit > 0 else None
