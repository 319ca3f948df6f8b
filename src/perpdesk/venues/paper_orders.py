"""Orders of a dry run: checked like a venue would, filled against the live book, never sent anywhere.

Where the public data leaves open whether a real order would have filled, it does not fill.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import count

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock, Timer
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.markets import Market
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport, OrderStatus, TimeInForce
from perpdesk.venues.base import (
    Filled,
    InsufficientMargin,
    OrderChanged,
    OrderRejected,
    PostOnlyWouldCross,
    RequestRefused,
    VenueEvent,
)
from perpdesk.venues.paper_account import OpenOrder, PaperAccount
from perpdesk.venues.paper_market import LiveMarket

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Order:
    """One order from its acceptance on.

    Attributes:
        number: In order of arrival. is_pending: Accepted and still on its way to the book.
        is_cancel_due: A cancel overtook it; carried out as soon as it has met the book.
    """

    intent: OrderIntent
    number: int
    is_pending: bool = True
    is_cancel_due: bool = False
    status: OrderStatus = OrderStatus.RESTING
    filled: Decimal = ZERO
    filled_quote: Decimal = ZERO
    reason: str = ""

    @property
    def left(self) -> Decimal:
        return self.intent.size - self.filled

    def report(self) -> OrderReport:
        intent = self.intent
        average = self.filled_quote / self.filled if self.filled else None
        return OrderReport(intent.client_id, intent.venue, intent.asset, self.status, self.filled, average, self.reason)


@dataclass(slots=True)
class PaperRules:
    """What orders are judged and priced by.

    Attributes:
        trade_prefix: Makes trade ids unique over all runs of a dry run.
    """

    venue: VenueName
    order_delay_ms: int
    cancel_delay_ms: int
    fees: FeeRates
    trade_prefix: str


class PaperOrders:
    """Every order of this process, over the account it fills into.

    Args:
        markets: The inner venue's, read anew at each use. live: Market data by asset.
        emit: Receives OrderChanged and Filled.
    """

    def __init__(
        self,
        account: PaperAccount,
        markets: Callable[[], Mapping[str, Market]],
        live: Callable[[str], LiveMarket],
        clock: Clock,
        rules: PaperRules,
        emit: Callable[[VenueEvent], None],
    ) -> None:
        self._account = account
        self._markets = markets
        self._live = live
        self._clock = clock
        self.rules = rules
        self._emit = emit
        self._orders: dict[int, _Order] = {}
        self._open: dict[int, _Order] = {}
        self._timers: dict[int, Timer] = {}
        self._numbers = count(1)

    # What a caller may ask -------------------------------------------------------------------------------------------

    def report(self, client_id: int) -> OrderReport | None:
        """State of an order of this process; of an earlier one's, what its restored fills tell; None when never seen."""
        order = self._orders.get(client_id)
        return self._restored_report(client_id) if order is None else order.report()

    def _restored_report(self, client_id: int) -> OrderReport | None:
        fills = [fill for fill in self._account.fills if fill.client_id == client_id]
        if not fills:
            return None
        filled = sum((fill.size for fill in fills), ZERO)
        quote = sum((fill.size * fill.price for fill in fills), ZERO)
        reason = "the dry run was restarted"
        return OrderReport(
            client_id, self.rules.venue, fills[0].asset, OrderStatus.CANCELED, filled, quote / filled, reason
        )

    def open_reports(self) -> tuple[OrderReport, ...]:
        """Orders that can still fill, oldest first."""
        return tuple(order.report() for order in self._open.values())

    @property
    def open_orders(self) -> list[OpenOrder]:
        """Orders that can still fill, with what is left of each."""
        return [(order.intent, order.left) for order in self._open.values()]

    def place(self, intent: OrderIntent) -> None:
        """Accept an order, which meets the book `order_delay_ms` later. Raises OrderRejected."""
        self._require_acceptable(intent)
        order = _Order(intent, next(self._numbers))
        self._orders[intent.client_id] = self._open[intent.client_id] = order
        self._later(self.rules.order_delay_ms, lambda: self._arrive(order))

    def cancel(self, client_id: int) -> None:
        """Accept a cancel, which acts `cancel_delay_ms` later, never before the order itself. Raises RequestRefused."""
        order = self._open.get(client_id)
        if order is None:
            raise RequestRefused("not_resting", f"order {client_id} is not resting; ask what became of it")
        self._later(self.rules.cancel_delay_ms, lambda: self._withdraw(order))

    def stop(self) -> None:
        """Nothing acts any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _later(self, delay_ms: int, act: Callable[[], None]) -> None:
        number = next(self._numbers)

        def run() -> None:
            self._timers.pop(number, None)
            act()

        self._timers[number] = self._clock.call_later_ms(delay_ms, run)

    # Checks ----------------------------------------------------------------------------------------------------------

    def _require_acceptable(self, intent: OrderIntent) -> None:
        if intent.venue != self.rules.venue:
            raise OrderRejected("wrong_venue", f"this is {self.rules.venue}, the order is for {intent.venue}")
        market = self._markets().get(intent.asset)
        if market is None:
            raise OrderRejected("unknown_market", f"{intent.venue} does not list {intent.asset}")
        if self.report(intent.client_id) is not None:
            raise OrderRejected("duplicate_client_id", f"client id {intent.client_id} was used before")
        if intent.expires_at_ms < self._clock.wall_ms():
            raise OrderRejected("expired", "the order expired before it arrived")
        self._require_listed(intent, market)
        if intent.time_in_force is TimeInForce.POST_ONLY and self._would_take(intent, market):
            raise PostOnlyWouldCross("post_only_would_cross", "a post-only order would have taken")
        if not self._is_carried(intent, intent.size):
            raise InsufficientMargin("margin", "the account can not carry the order")

    def _require_listed(self, intent: OrderIntent, market: Market) -> None:
        """Tick, lot, minimums and trading state; minimums never bind an order that closes a whole position."""
        if not market.price_grid.allows(intent.limit_price):
            raise OrderRejected("tick", f"price {intent.limit_price} is not on the grid of {intent.asset}")
        if market.floor_size(intent.size) != intent.size:
            raise OrderRejected("lot", f"size {intent.size} is not a multiple of {market.lot}")
        closable = self._account.closable(intent.asset, intent.side)
        if intent.is_reduce_only and closable == 0:
            raise OrderRejected("reduce_only", f"there is no {intent.asset} position that this would reduce")
        if not intent.is_reduce_only and not market.is_tradable:
            raise OrderRejected("not_tradable", f"{intent.asset} only takes orders that reduce a position")
        is_way_out = intent.is_reduce_only and intent.size >= closable
        if not is_way_out and not market.accepts(intent.size, intent.limit_price):
            least = market.least_size(intent.limit_price)
            raise OrderRejected("minimum", f"{intent.size} {intent.asset} is below the least order of {least}")

    def _would_take(self, intent: OrderIntent, market: Market) -> bool:
        book = self._live(intent.asset).live_book
        best = None if book is None else book.side(intent.side).best
        return best is not None and (float(intent.limit_price) - best[0]) * intent.side.sign >= 0

    def _is_carried(self, intent: OrderIntent, left: Decimal) -> bool:
        """Whether margin suffices beside everything else that is open; always when the order adds no exposure."""
        others = [(o.intent, o.left) for o in self._open.values() if o.intent.client_id != intent.client_id]
        held = self._account.initial_usd(self.mark_of, self._markets(), others)
        wanted = self._account.initial_usd(self.mark_of, self._markets(), [*others, (intent, left)])
        return wanted <= held or wanted <= self._account.equity_usd(self.mark_of)

    def mark_of(self, asset: str) -> Decimal | None:
        """Mark price of an asset, None while unknown."""
        return self._live(asset).mark

    # On the book -----------------------------------------------------------------------------------------------------

    def _arrive(self, order: _Order) -> None:
        """The order meets the book as it is now."""
        if order.status.is_final:
            return
        order.is_pending = False
        refusal = self._refusal_on_arrival(order)
        if refusal:
            self._end(order, OrderStatus.REJECTED, refusal)
            return
        if order.intent.time_in_force is not TimeInForce.POST_ONLY:
            self._take(order)
        if order.status.is_final:
            return
        if order.intent.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self._end(order, OrderStatus.CANCELED, self._unfilled_reason(order))
        elif order.is_cancel_due:
            self._end(order, OrderStatus.CANCELED, "canceled")
        else:
            self._emit(OrderChanged(order.report()))

    def _refusal_on_arrival(self, order: _Order) -> str:
        """What changed since acceptance that a venue would refuse the order for; empty when nothing did."""
        intent, market = order.intent, self._markets().get(order.intent.asset)
        if self._clock.wall_ms() > intent.expires_at_ms:
            return "expired"
        if market is None or (not market.is_tradable and not intent.is_reduce_only):
            return "not_tradable"
        if intent.is_reduce_only and self._account.closable(intent.asset, intent.side) == 0:
            return "reduce_only"
        if intent.time_in_force is TimeInForce.POST_ONLY and self._would_take(intent, market):
            return "post_only_would_cross"
        return "" if self._is_carried(intent, order.left) else "margin"

    def _unfilled_reason(self, order: _Order) -> str:
        if self._live(order.intent.asset).live_book is None:
            return "no live book to fill against"
        if order.intent.is_reduce_only and self._account.closable(order.intent.asset, order.intent.side) == 0:
            return "reduce_only"
        return f"{order.intent.time_in_force.value}_not_filled"

    def _take(self, order: _Order) -> None:
        """Fill against every level within the limit, each at its own price."""
        intent = order.intent
        levels = self._live(intent.asset).offered(self._markets()[intent.asset], intent.side, intent.limit_price)
        wanted = self._fillable(order)
        if intent.time_in_force is TimeInForce.FOK and sum((level.size for level in levels), ZERO) < wanted:
            return
        for level in levels:
            size = min(level.size, self._fillable(order))
            if size <= 0:
                break
            self._live(intent.asset).take(intent.side, level, size)
            self._fill(order, size, level.price, is_maker=False)
        self._after_fills(order)

    def _fillable(self, order: _Order) -> Decimal:
        """What is left, and for a reduce-only order what it can still reduce: it never turns a position."""
        if not order.intent.is_reduce_only:
            return order.left
        return min(order.left, self._account.closable(order.intent.asset, order.intent.side))

    def on_book(self, asset: str) -> None:
        """Fill resting orders that the other side has moved through, best price first, then oldest."""
        market = self._markets().get(asset)
        resting = [o for o in self._open.values() if o.intent.asset == asset and not o.is_pending]
        if market is None or not resting:
            return
        for order in sorted(resting, key=lambda o: (-o.intent.limit_price * o.intent.side.sign, o.number)):
            if not order.status.is_final:
                self._match(order, market)

    def _match(self, order: _Order, market: Market) -> None:
        """Fill at the order's own limit, for at most what is shown strictly beyond it."""
        intent, live = order.intent, self._live(order.intent.asset)
        beyond = [
            level
            for level in live.offered(market, intent.side, intent.limit_price)
            if level.price != intent.limit_price
        ]
        wanted = left = self._fillable(order)
        for level in beyond:
            size = min(level.size, left)
            if size <= 0:
                break
            live.take(intent.side, level, size)
            left -= size
        if left < wanted:
            self._fill(order, wanted - left, intent.limit_price, is_maker=True)
            self._after_fills(order)
            if not order.status.is_final:
                self._emit(OrderChanged(order.report()))

    # What follows ----------------------------------------------------------------------------------------------------

    def _fill(self, order: _Order, size: Decimal, price: Decimal, *, is_maker: bool) -> None:
        order.filled += size
        order.filled_quote += size * price
        intent = order.intent
        self.book(intent.asset, intent.side, size, price, client_id=intent.client_id, is_maker=is_maker)

    def book(
        self, asset: str, side: Side, size: Decimal, price: Decimal, *, client_id: int | None, is_maker: bool
    ) -> None:
        """Book one execution, with its fee, and tell it."""
        rules = self.rules
        trade_id = f"{rules.trade_prefix}-{next(self._numbers)}"
        fee_usd = size * price * (rules.fees.maker if is_maker else rules.fees.taker)
        at_ms = self._clock.wall_ms()
        fill = Fill(rules.venue, asset, trade_id, client_id, side, size, price, fee_usd, is_maker, at_ms)
        self._account.book_fill(fill)
        self._emit(Filled(fill))

    def _after_fills(self, order: _Order) -> None:
        """End the order when it is full, and every reduce-only order that has nothing left to reduce."""
        if order.left == 0:
            self._end(order, OrderStatus.FILLED, "")
        self._end_purposeless(order.intent.asset)

    def _end_purposeless(self, asset: str) -> None:
        for order in list(self._open.values()):
            intent = order.intent
            is_done = intent.is_reduce_only and self._account.closable(asset, intent.side) == 0
            if intent.asset == asset and not order.is_pending and is_done:
                self._end(order, OrderStatus.CANCELED, "reduce_only")

    def _withdraw(self, order: _Order) -> None:
        if order.is_pending:
            order.is_cancel_due = True
        elif not order.status.is_final:
            self._end(order, OrderStatus.CANCELED, "canceled")

    def cancel_all(self, reason: str) -> None:
        """End every order at once, those still on their way included."""
        for order in list(self._open.values()):
            self._end(order, OrderStatus.CANCELED, reason)

    def _end(self, order: _Order, status: OrderStatus, reason: str) -> None:
        order.status, order.reason = status, reason
        order.is_pending = False
        del self._open[order.intent.client_id]
        log.info("paper_order_ended", client_id=order.intent.client_id, status=status.value, reason=reason)
        self._emit(OrderChanged(order.report()))
