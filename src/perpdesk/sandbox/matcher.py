"""What makes orders meet: aggressors sweep the book, new ladders cross resting orders, positions trim reduce-only ones."""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.announcer import Announcer
from perpdesk.sandbox.checks import closable
from perpdesk.sandbox.clearing import Clearing, Match
from perpdesk.sandbox.market_state import MarketState
from perpdesk.sandbox.matching import whole_lots
from perpdesk.sandbox.records import Reason, SimAccount, SimOrder, SimStatus


@dataclass(slots=True)
class Aggressor:
    """Size that wants to trade now, at `limit_price` or better. `left` falls as it fills; no order when it is anonymous."""

    account: SimAccount
    side: Side
    limit_price: Decimal
    left: Decimal
    order: SimOrder | None = None
    is_liquidation: bool = False


class Matcher:
    """Changes books and orders; money goes through the clearing."""

    def __init__(self, clearing: Clearing, told: Announcer, clock: Clock) -> None:
        self._clearing = clearing
        self._told = told
        self._clock = clock

    def rest(self, market: MarketState, order: SimOrder) -> None:
        """Put what is left of `order` on the book."""
        market.book.side(order.side).add(order)
        self._clearing.accounts[order.account_id].resting[order.order_id] = order
        self._told.book_changed(market)

    def end(self, market: MarketState, order: SimOrder, status: SimStatus, reason: Reason) -> None:
        """Finish `order`, take it off the book if it rests there, and tell of it."""
        self._take_off(market, order)
        order.status, order.reason = status, reason
        order.changed_at_ms = self._clock.wall_ms()
        self._told.order(order)

    def can_fill(self, market: MarketState, order: SimOrder) -> bool:
        """Whether a sweep would fill all of `order`: own orders do not count, reduce-only makers only for what they can close."""
        makers, side = market.book.against(order.side), order.side.opposite
        left = order.size
        for price, size in makers.ambient:
            if makers.is_as_good(price, order.limit_price):
                left -= whole_lots(size, market.listing.lot)
        closable_left: dict[str, Decimal] = {}
        for maker in makers.orders():
            if left <= 0 or not makers.is_as_good(maker.limit_price, order.limit_price):
                break
            if maker.account_id == order.account_id:
                continue
            closing = closable_left.get(maker.account_id)
            if closing is None:
                closing = closable(self._clearing.accounts[maker.account_id], market.symbol, side)
            size = min(maker.remaining, closing) if maker.is_reduce_only else maker.remaining
            closable_left[maker.account_id] = max(ZERO, closing - size)
            left -= size
        return left <= 0

    def sweep(self, market: MarketState, aggressor: Aggressor) -> None:
        """Trade `aggressor` against the book, best price first; an own resting order in its way is cancelled untraded."""
        makers = market.book.against(aggressor.side)
        while aggressor.left > 0:
            first = makers.first_maker()
            if first is None or not makers.is_as_good(first[0], aggressor.limit_price):
                return
            maker = first[1]
            if maker is None:
                self._take_ambient_level(market, aggressor)
            elif maker.account_id == aggressor.account.account_id:
                self.end(market, maker, SimStatus.CANCELED, Reason.SELF_TRADE)
            else:
                size = min(aggressor.left, maker.remaining)
                self._trade(market, aggressor, size, maker.limit_price, maker)

    def cross_ambient(self, market: MarketState) -> None:
        """Trade what a new ambient ladder crosses, at the limit prices of the resting orders."""
        for side in Side:
            makers, levels = market.book.against(side), market.book.side(side)
            while makers.has_orders and levels.ambient:
                price, available = levels.ambient[0]
                maker = makers.best_order()
                if maker is None or not makers.is_as_good(maker.limit_price, price):
                    break
                size = min(whole_lots(available, market.listing.lot), maker.remaining)
                levels.take_ambient(size or available)
                if size:
                    aggressor = Aggressor(self._clearing.ambient, side, price, size)
                    self._trade(market, aggressor, size, maker.limit_price, maker)

    def hand_over(self, market: MarketState, aggressor: Aggressor, price: Decimal) -> None:
        """Let AMBIENT take all that is left of `aggressor` at `price`, outside the book and free of fees."""
        match = Match(
            price=price,
            size=aggressor.left,
            taker_side=aggressor.side,
            taker=aggressor.account,
            maker=self._clearing.ambient,
            taker_order=aggressor.order,
            is_liquidation=aggressor.is_liquidation,
            has_fees=False,
        )
        self._apply(market, aggressor, match)

    def _take_ambient_level(self, market: MarketState, aggressor: Aggressor) -> None:
        makers = market.book.against(aggressor.side)
        price, available = makers.ambient[0]
        size = min(aggressor.left, whole_lots(available, market.listing.lot))
        makers.take_ambient(size or available)
        if size:
            self._trade(market, aggressor, size, price, None)
        else:
            self._told.book_changed(market)

    def _trade(
        self, market: MarketState, aggressor: Aggressor, size: Decimal, price: Decimal, maker: SimOrder | None
    ) -> None:
        clearing = self._clearing
        match = Match(
            price=price,
            size=size,
            taker_side=aggressor.side,
            taker=aggressor.account,
            maker=clearing.ambient if maker is None else clearing.accounts[maker.account_id],
            taker_order=aggressor.order,
            maker_order=maker,
            is_liquidation=aggressor.is_liquidation,
        )
        self._apply(market, aggressor, match)

    def _apply(self, market: MarketState, aggressor: Aggressor, match: Match) -> None:
        """Orders first, then money, then the listeners: whoever is told of a fill sees it everywhere."""
        aggressor.left -= match.size
        for order in (match.taker_order, match.maker_order):
            if order is not None:
                self._fill(market, order, match)
        self._told.book_changed(market)
        self._clearing.settle(market, match)
        if match.maker_order is not None:
            self._told.order(match.maker_order)
        for account in (match.taker, match.maker):
            self._trim_reduce_only(market, account)

    def _fill(self, market: MarketState, order: SimOrder, match: Match) -> None:
        order.filled += match.size
        order.filled_quote += match.size * match.price
        order.changed_at_ms = self._clock.wall_ms()
        if order.remaining <= 0:
            self._take_off(market, order)
            order.status = SimStatus.FILLED

    def _trim_reduce_only(self, market: MarketState, account: SimAccount) -> None:
        """Cut the account's resting reduce-only orders to what its position can still close; cancel those with nothing left."""
        if not account.resting:
            return
        for order in [o for o in account.resting.values() if o.is_reduce_only and o.symbol == market.symbol]:
            allowed = closable(account, market.symbol, order.side)
            if allowed == ZERO:
                self.end(market, order, SimStatus.CANCELED, Reason.REDUCE_ONLY)
            elif order.remaining > allowed:
                order.size = order.filled + allowed
                order.changed_at_ms = self._clock.wall_ms()
                self._told.book_changed(market)
                self._told.order(order)

    def _take_off(self, market: MarketState, order: SimOrder) -> None:
        account = self._clearing.accounts[order.account_id]
        if account.resting.pop(order.order_id, None) is not None:
            market.book.side(order.side).remove(order)
            self._told.book_changed(market)
