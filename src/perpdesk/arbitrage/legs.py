"""Orders of one leg: opening what is missing, reducing what is too much. Pure; None means not now."""

from decimal import Decimal

from perpdesk.arbitrage.prices import resting_price, taking_price
from perpdesk.arbitrage.steps import CancelOrder, PlaceOrder, RefreshBook, Situation, Step, is_pausing, tend_live_order
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.pairs import Leg, OrderState, Purpose

CANCEL_HEARD_CHECKS = 1
"""Order checks that may pass before a cancel that was not heard of is sent again."""


def open_leg(s: Situation, leg: Leg, purpose: Purpose, size: Decimal, attempt: int, is_resting: bool) -> Step | None:
    """Buy or sell to open `size`, taking within the band or resting at the touch."""
    book, market, side = s.books[leg], s.markets[leg], leg.opening_side
    if book is None:
        return RefreshBook(leg)
    execution = s.settings.execution
    price = resting_price(book, market, side) if is_resting else taking_price(book, market, side, attempt, execution)
    if price is None:
        return RefreshBook(leg)
    return PlaceOrder(
        leg,
        purpose,
        side,
        size,
        price.limit,
        price.mid,
        TimeInForce.POST_ONLY if is_resting else TimeInForce.IOC,
        is_reduce_only=False,
    )


def reduce_leg(s: Situation, leg: Leg, purpose: Purpose, size: Decimal) -> Step | None:
    """Bring a leg `size` nearer to flat, reduce-only, as soon as its last order is through and its pause is over."""
    is_bound, step = tend_live_order(s, leg)
    if is_bound:
        return step
    attempts = s.ledger.shortfalls(leg, Purpose.TRIM, Purpose.CLOSE)
    if is_pausing(s, leg, attempts):
        return None
    held = s.ledger.held(leg)
    side = leg.opening_side.opposite if held > 0 else leg.opening_side
    size = s.markets[leg].floor_size(min(size, abs(held)))
    if size <= 0:
        return None
    book, market = s.books[leg], s.markets[leg]
    price = None if book is None else taking_price(book, market, side, min(attempts, 10), s.settings.execution)
    if price is None:
        return RefreshBook(leg)
    return PlaceOrder(leg, purpose, side, size, price.limit, price.mid, TimeInForce.IOC, is_reduce_only=True)


def set_right(s: Situation) -> list[Step]:
    """Take back legs that something other than this desk turned round (a liquidation, a hand); empty when none is."""
    turned = [leg for leg in Leg if s.ledger.held(leg) < 0]
    steps = [reduce_leg(s, leg, Purpose.TRIM, -s.ledger.held(leg)) for leg in turned]
    return [step for step in steps if step is not None]


def withdraw(s: Situation, leg: Leg, patience_ms: int) -> Step | None:
    """Cancel the leg's resting order once it is `patience_ms` old, and again while the cancel goes unheard."""
    record = s.ledger.live_order(leg)
    if record is None or leg in s.busy or record.state is not OrderState.ACCEPTED:
        return None
    if record.intent.time_in_force not in (TimeInForce.POST_ONLY, TimeInForce.GTC):
        return None
    if s.now_ms - record.journalled_at_ms < patience_ms:
        return None
    asked_ms = record.cancel_requested_at_ms
    if asked_ms is not None and s.now_ms - asked_ms < CANCEL_HEARD_CHECKS * s.settings.execution.order_check_ms:
        return None
    return CancelOrder(leg, record)


def trim(s: Situation) -> list[Step]:
    """Take the larger leg back to the smaller one."""
    leg = Leg.LONG if s.ledger.imbalance > 0 else Leg.SHORT
    step = reduce_leg(s, leg, Purpose.TRIM, abs(s.ledger.imbalance))
    return [] if step is None else [step]


def is_balanced(s: Situation) -> bool:
    """Whether the legs agree as closely as both venues can express."""
    return abs(s.ledger.imbalance) <= s.ledger.tolerance
