"""The exchange core under every simulated venue: matching, margin, funding and liquidation, exact and deterministic.

Everything here is in the venue's own contract units and under the venue's own market names, so that a connector's unit
conversion is really tested. No I/O, no wire format, no randomness: what happens follows from the calls and their order.

Liquidity has two sources. Accounts (the desk, agents) place real orders that rest in price-time order. The driver lays an
*ambient* ladder per market beside them: anonymous liquidity that is replaced as a whole at every tick. At equal price
the ambient size trades before account orders, so a resting order fills only after the queue ahead of it.
The ambient counterparty is an account of its own (AMBIENT): positions sum to zero per market, and so does funding.

The parts: `records` (what is kept and told; its names are public here), `matching` (one book), `market_state` (one market's
prices and funding interval), `margin`, `checks` (what is refused), `clearing` (money), `matcher` (what makes orders meet).
"""

import heapq
from collections.abc import Collection, Sequence
from decimal import Decimal

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ONE, ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox import checks, margin
from perpdesk.sandbox.announcer import Announcer
from perpdesk.sandbox.clearing import Clearing
from perpdesk.sandbox.market_state import MarketState
from perpdesk.sandbox.matcher import Aggressor, Matcher
from perpdesk.sandbox.matching import BookLevel, whole_lots
from perpdesk.sandbox.records import (
    AMBIENT,
    AMBIENT_ORDER_ID,
    ExchangeListener,
    FundingFormula,
    ListedMarket,
    NewOrder,
    Reason,
    SettledRate,
    SimAccount,
    SimFill,
    SimFunding,
    SimOrder,
    SimStatus,
    SimTrade,
    SizedLevel,
    VenueRules,
)

__all__ = [
    "AMBIENT",
    "AMBIENT_ORDER_ID",
    "Exchange",
    "ExchangeListener",
    "FundingFormula",
    "ListedMarket",
    "NewOrder",
    "Reason",
    "SettledRate",
    "SimAccount",
    "SimFill",
    "SimFunding",
    "SimOrder",
    "SimStatus",
    "SimTrade",
    "SizedLevel",
    "VenueRules",
]


class Exchange:
    """One venue's markets and accounts.

    Deterministic: ids count up from fixed origins, time comes from `clock`, and listeners run in the order of events.
    """

    def __init__(self, venue: VenueName, markets: Sequence[ListedMarket], rules: VenueRules, clock: Clock) -> None:
        self._venue = venue
        self._rules = rules
        self._clock = clock
        self._markets = {market.symbol: MarketState(market, rules) for market in markets}
        self._listings = {market.symbol: market for market in markets}
        self._told = Announcer()
        self._clearing = Clearing(rules, clock, self._told)
        self._accounts = self._clearing.accounts
        self._matcher = Matcher(self._clearing, self._told, clock)
        self._order_count = 0
        self._expiring: list[tuple[int, int, SimOrder]] = []

    # Accounts -------------------------------------------------------------------------------------------------------

    def open_account(self, account_id: str, cash_usd: Decimal, fee_tier: str | None = None) -> SimAccount:
        """Create an account; ValueError when it exists or the venue has no such tier."""
        return self._clearing.open_account(account_id, cash_usd, fee_tier)

    def account(self, account_id: str) -> SimAccount | None:
        return self._accounts.get(account_id)

    def deposit(self, account_id: str, usd: Decimal) -> None:
        """Add (+) or take (-) collateral; KeyError for an unknown account."""
        self._accounts[account_id].cash_usd += usd

    @property
    def fees_usd(self) -> Decimal:
        """Fees that all accounts have paid, less rebates."""
        return self._clearing.fees_usd

    def equity_usd(self, account_id: str) -> Decimal:
        """Cash plus unrealised profit at mark."""
        return margin.equity_usd(self._accounts[account_id], self._markets)

    def initial_margin_usd(self, account_id: str) -> Decimal:
        """Margin held by positions and by resting orders that would add to them, at the account's leverage."""
        return margin.initial_usd(self._accounts[account_id], self._markets)

    def maintenance_margin_usd(self, account_id: str) -> Decimal:
        return margin.maintenance_usd(self._accounts[account_id], self._markets)

    def available_usd(self, account_id: str) -> Decimal:
        """What is left for new positions, never negative."""
        return max(ZERO, self.equity_usd(account_id) - self.initial_margin_usd(account_id))

    def liquidation_price(self, account_id: str, symbol: str) -> Decimal | None:
        """Mark price of `symbol` at which the account would be liquidated, others unchanged; None when flat or never."""
        return margin.liquidation_price(self._accounts[account_id], self._markets, symbol)

    def set_leverage(self, account_id: str, symbol: str, leverage: int) -> bool:
        """False when the market does not allow it or the margin no longer suffices."""
        account, market = self._accounts[account_id], self._markets.get(symbol)
        if market is None or not 1 <= leverage <= market.listing.leverage_max:
            return False
        before = account.leverage.get(symbol, market.listing.default_leverage)
        account.leverage[symbol] = leverage
        if leverage < before and self.initial_margin_usd(account_id) > max(ZERO, self.equity_usd(account_id)):
            account.leverage[symbol] = before
            return False
        return True

    # Markets --------------------------------------------------------------------------------------------------------

    @property
    def venue(self) -> VenueName:
        return self._venue

    @property
    def rules(self) -> VenueRules:
        return self._rules

    @property
    def markets(self) -> dict[str, ListedMarket]:
        """By symbol, in listing order; a later change of a listing makes a new dictionary and leaves this one."""
        return self._listings

    def replace_market(self, market: ListedMarket) -> None:
        """Change how a market is listed (delist, reduce-only); its orders and positions stay. KeyError when it is unknown."""
        self._markets[market.symbol].listing = market
        self._listings = {symbol: state.listing for symbol, state in self._markets.items()}

    def book(self, symbol: str, depth: int | None = None) -> tuple[list[BookLevel], list[BookLevel]]:
        """Bids and asks as (price, size, number of orders), best first, ambient and account orders together."""
        book = self._markets[symbol].book
        return book.bids.levels(depth), book.asks.levels(depth)

    def index_price(self, symbol: str) -> Decimal:
        """The oracle; KeyError before the driver set one."""
        return self._markets[symbol].require_index()

    def mark_price(self, symbol: str) -> Decimal:
        """Price that positions are valued at; KeyError before the driver set an index price."""
        return self._markets[symbol].mark_price()

    def last_price(self, symbol: str) -> Decimal | None:
        """Price of the last trade."""
        return self._markets[symbol].last_price

    def open_interest(self, symbol: str) -> Decimal:
        """Sum of long positions, contract units."""
        positions = (account.positions.get(symbol) for account in self._accounts.values())
        return sum((position.size for position in positions if position is not None and position.size > 0), ZERO)

    def estimated_rate(self, symbol: str) -> Decimal:
        """Rate per hour the running interval would settle at, from the premium samples so far."""
        return self._markets[symbol].estimated_rate()

    def premium(self, symbol: str) -> Decimal:
        """Mean premium of the running interval so far."""
        return self._markets[symbol].funding.premium

    def impact_prices(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        """(impact bid, impact ask) for the rules' impact notional; None while the book can not fill it."""
        return self._markets[symbol].impact_prices()

    def settled_rates(self, symbol: str) -> list[SettledRate]:
        """Every settlement so far, oldest first."""
        return list(self._markets[symbol].settled)

    def trades(self, symbol: str) -> Sequence[SimTrade]:
        """The latest trades (a bounded number), oldest first."""
        return self._markets[symbol].trades

    # Orders ---------------------------------------------------------------------------------------------------------

    def submit(self, new: NewOrder) -> SimOrder:
        """Check, match and rest an order. A refusal is an order with status REJECTED and a reason; nothing raises.

        Reduce-only orders are cut to the position when they arrive and whenever the position shrinks. Self-trades cancel
        the resting order. A client id that was ever used by the account is a DUPLICATE_CLIENT_ID.

        What is refused before it meets the book is REJECTED, a post-only order that would take included. An immediate order that
        finds nothing or too little ends CANCELED (IOC_NO_MATCH, FOK_NOT_FILLED), an IOC with what it did fill.
        """
        with self._told:
            order = self._new_order(new)
            account, market = self._account_of(new), self._markets.get(new.symbol)
            if account is None or market is None:
                return self._refuse(order, Reason.MARGIN if account is None else Reason.MARKET_CLOSED)
            account.orders[order.order_id] = order
            if order.client_id is not None and account.by_client_id.setdefault(order.client_id, order) is not order:
                return self._refuse(order, Reason.DUPLICATE_CLIENT_ID)
            if reason := checks.refusal(order, account, market, self._markets, order.placed_at_ms):
                return self._refuse(order, reason)
            if order.is_reduce_only:
                order.size = min(order.size, checks.closable(account, order.symbol, order.side))
            self._execute(market, account, order)
            return order

    def cancel(self, account_id: str, order_id: int, reason: Reason = Reason.USER_CANCEL) -> bool:
        """Cancel a resting order; False when it is not resting or not this account's."""
        account = self._accounts.get(account_id)
        order = None if account is None else account.resting.get(order_id)
        if order is None:
            return False
        with self._told:
            self._matcher.end(self._markets[order.symbol], order, SimStatus.CANCELED, reason)
        return True

    def order_by_client_id(self, account_id: str, client_id: str) -> SimOrder | None:
        """The order that first used `client_id`, in whatever state, refused ones included."""
        account = self._accounts.get(account_id)
        return None if account is None else account.by_client_id.get(client_id)

    def resting_orders(self, account_id: str, symbol: str | None = None) -> list[SimOrder]:
        """Oldest first."""
        account = self._accounts.get(account_id)
        resting = [] if account is None else account.resting.values()
        return [order for order in resting if symbol is None or order.symbol == symbol]

    def _new_order(self, new: NewOrder) -> SimOrder:
        self._order_count += 1
        now_ms = self._clock.wall_ms()
        return SimOrder(
            order_id=self._order_count,
            account_id=new.account_id,
            symbol=new.symbol,
            side=new.side,
            size=new.size,
            limit_price=new.limit_price,
            time_in_force=new.time_in_force,
            is_reduce_only=new.is_reduce_only,
            client_id=new.client_id,
            placed_at_ms=now_ms,
            expires_at_ms=new.expires_at_ms,
            changed_at_ms=now_ms,
        )

    def _account_of(self, new: NewOrder) -> SimAccount | None:
        return None if new.account_id == AMBIENT else self._accounts.get(new.account_id)

    def _refuse(self, order: SimOrder, reason: Reason) -> SimOrder:
        order.status, order.reason = SimStatus.REJECTED, reason
        self._told.order(order)
        return order

    def _execute(self, market: MarketState, account: SimAccount, order: SimOrder) -> None:
        """Trade what meets the order's limit, then rest or cancel what is left, by its time in force."""
        if order.time_in_force is TimeInForce.FOK and not self._matcher.can_fill(market, order):
            self._matcher.end(market, order, SimStatus.CANCELED, Reason.FOK_NOT_FILLED)
            return
        self._matcher.sweep(market, Aggressor(account, order.side, order.limit_price, order.size, order))
        if order.status is SimStatus.FILLED:
            self._told.order(order)
        elif order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self._matcher.end(market, order, SimStatus.CANCELED, Reason.IOC_NO_MATCH)
        else:
            self._matcher.rest(market, order)
            if order.expires_at_ms is not None:
                heapq.heappush(self._expiring, (order.expires_at_ms, order.order_id, order))
            self._told.order(order)

    # What drivers do ------------------------------------------------------------------------------------------------

    def set_prices(
        self, symbol: str, index_price: Decimal, bids: Sequence[SizedLevel], asks: Sequence[SizedLevel]
    ) -> None:
        """Move the market: new index price and a whole new ambient ladder (best first, may be empty).

        Account orders that the new ladder crosses fill against it at their own limit price (they were the resting side).
        ValueError for a ladder that is crossed or out of order, and for an index price that is not positive.
        """
        if not index_price > 0:
            raise ValueError(f"{symbol}: the index price must be positive, was {index_price}")
        market = self._markets[symbol]
        with self._told:
            market.book.replace_ambient(bids, asks)
            market.index_price = index_price
            self._told.book_changed(market)
            self._told.prices_changed(market)
            self._matcher.cross_ambient(market)

    def take_ambient(self, symbol: str, side: Side, size: Decimal, limit_price: Decimal) -> Decimal:
        """Anonymous aggressive flow of `size`; returns what it filled. It consumes ambient levels and account orders."""
        market = self._markets[symbol]
        wanted = whole_lots(size, market.listing.lot)
        aggressor = Aggressor(self._clearing.ambient, side, limit_price, wanted)
        with self._told:
            self._matcher.sweep(market, aggressor)
        return wanted - aggressor.left

    def sample_premium(self, symbol: str) -> None:
        """Add one premium sample of the current impact prices against the index; none while the book is too thin."""
        market = self._markets[symbol]
        sample = market.premium_sample()
        if sample is not None:
            with self._told:
                market.funding.add(sample)
                self._told.prices_changed(market)

    def override_rate(self, symbol: str, rate: Decimal) -> None:
        """From now on the estimate and the next settlement of `symbol` use `rate` per hour (recorded data), not samples."""
        market = self._markets[symbol]
        with self._told:
            market.funding.rate_override = rate
            if market.index_price is not None:
                self._told.prices_changed(market)

    def settle_funding(self, symbols: Collection[str] | None = None) -> None:
        """Charge every open position one hour's funding at the running estimate and start a new interval.

        `symbols` cuts it to those markets: recorded data may know one market's rate of an hour and not another's.
        """
        with self._told:
            for market in self._markets.values():
                is_due = symbols is None or market.symbol in symbols
                if is_due and market.index_price is not None:
                    self._clearing.settle_funding(market)
                    self._told.prices_changed(market)

    def expire_orders(self) -> None:
        """Cancel resting orders whose time has passed."""
        now_ms = self._clock.wall_ms()
        if not self._expiring or self._expiring[0][0] > now_ms:
            return
        with self._told:
            while self._expiring and self._expiring[0][0] <= now_ms:
                order = heapq.heappop(self._expiring)[2]
                if order.status is SimStatus.RESTING:
                    self._matcher.end(self._markets[order.symbol], order, SimStatus.CANCELED, Reason.EXPIRED)

    def liquidate(self) -> None:
        """Close accounts below maintenance through the book, then against AMBIENT at mark; cancels their orders first.

        The book is used no further than one maintenance margin from the mark. What the book takes pays the taker fee, what
        AMBIENT takes pays none. An account that still owes afterwards keeps its negative cash.
        """
        with self._told:
            for account in list(self._accounts.values()):
                if account is not self._clearing.ambient and self._is_due(account):
                    self._close_out(account)

    def _is_due(self, account: SimAccount) -> bool:
        maintenance = margin.maintenance_usd(account, self._markets)
        return maintenance > 0 and margin.equity_usd(account, self._markets) < maintenance

    def _close_out(self, account: SimAccount) -> None:
        for order in list(account.resting.values()):
            self._matcher.end(self._markets[order.symbol], order, SimStatus.CANCELED, Reason.LIQUIDATION)
        for symbol, position in list(account.positions.items()):
            if position.size:
                side = Side.SELL if position.size > 0 else Side.BUY
                self._close_position(account, self._markets[symbol], side, abs(position.size))

    def _close_position(self, account: SimAccount, market: MarketState, side: Side, size: Decimal) -> None:
        mark = market.mark_price()
        worst = mark * (ONE + side.sign * market.listing.maintenance_margin)
        new = NewOrder(account.account_id, market.symbol, side, size, worst, TimeInForce.IOC, is_reduce_only=True)
        order = self._new_order(new)
        order.reason = Reason.LIQUIDATION
        account.orders[order.order_id] = order
        aggressor = Aggressor(account, side, worst, size, order, is_liquidation=True)
        self._matcher.sweep(market, aggressor)
        if aggressor.left > 0:
            self._matcher.hand_over(market, aggressor, mark)
        self._told.order(order)

    # Listening ------------------------------------------------------------------------------------------------------

    def listen(self, listener: ExchangeListener) -> None:
        """Add a listener; there is no way to remove one, a venue lives as long as its exchange."""
        self._told.add(listener)
