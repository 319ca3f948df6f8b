"""Whether a simulated venue takes an order: pure checks, in one fixed order, each with its own reason."""

from decimal import Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox import margin
from perpdesk.sandbox.market_state import MarketState
from perpdesk.sandbox.records import ListedMarket, Reason, SimAccount, SimOrder

PRICE_DIGITS_MAX = 12
SIZE_DIGITS_MAX = 15
"""Digits before the point. Larger numbers are refused as off the grid: beyond them products stop being exact."""


def closable(account: SimAccount, symbol: str, side: Side) -> Decimal:
    """Size that an order of `side` can trade before it has closed the account's position; zero when it would add to it."""
    position = account.positions.get(symbol)
    return ZERO if position is None else max(ZERO, -position.size * side.sign)


def refusal(order: SimOrder, account: SimAccount, market: MarketState, markets: margin.Markets, now_ms: int) -> Reason:
    """Why `order` can not be taken, NONE when it can. Fill-or-kill is judged by the matching, not here."""
    listing = market.listing
    if not listing.is_listed or market.index_price is None or (listing.is_reduce_only and not order.is_reduce_only):
        return Reason.MARKET_CLOSED
    if reason := _off_grid(order, listing):
        return reason
    if order.expires_at_ms is not None and order.expires_at_ms <= now_ms:
        return Reason.EXPIRED
    closing = closable(account, order.symbol, order.side)
    if order.is_reduce_only and not closing:
        return Reason.REDUCE_ONLY
    if reason := _too_small(order, closing, market):
        return reason
    if order.time_in_force is TimeInForce.POST_ONLY and _would_take(order, market):
        return Reason.POST_ONLY_CROSS
    return Reason.NONE if margin.would_suffice(account, markets, order) else Reason.MARGIN


def _off_grid(order: SimOrder, listing: ListedMarket) -> Reason:
    price, size = order.limit_price, order.size
    if not price.is_finite() or price.adjusted() >= PRICE_DIGITS_MAX or not listing.price_grid.allows(price):
        return Reason.TICK
    if not size.is_finite() or size.adjusted() >= SIZE_DIGITS_MAX or size % listing.lot:
        return Reason.LOT
    return Reason.SIZE_MIN if size <= 0 else Reason.NONE


def _too_small(order: SimOrder, closing: Decimal, market: MarketState) -> Reason:
    """Minimums, which never bind an order that closes a whole position: dust has to have a way out."""
    if order.is_reduce_only and (order.size >= closing or not market.rules.min_applies_to_reduce_only):
        return Reason.NONE
    if order.size < market.listing.size_min:
        return Reason.SIZE_MIN
    if order.size * order.limit_price < market.listing.notional_min_usd:
        return Reason.NOTIONAL_MIN
    return Reason.NONE


def _would_take(order: SimOrder, market: MarketState) -> bool:
    """Whether anything rests at the order's limit or better, its account's own orders included."""
    makers = market.book.against(order.side)
    best = makers.best_price()
    return best is not None and makers.is_as_good(best, order.limit_price)
