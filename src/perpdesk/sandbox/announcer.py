"""Telling listeners, in the order things happen, and each changed market once at the end of a call."""

from types import TracebackType

from perpdesk.sandbox.market_state import MarketState
from perpdesk.sandbox.records import ExchangeListener, SettledRate, SimFill, SimFunding, SimOrder, SimTrade


class Announcer:
    """Passes events on, and guards the exchange against listeners that act in the middle of a match.

    Used as a context manager around every call that changes the exchange: events inside go out at once, the symbols whose
    book or prices changed go out when the block ends. Entering it again before that is a programming error.
    """

    def __init__(self) -> None:
        self._listeners: list[ExchangeListener] = []
        self._is_changing = False
        self._books: dict[str, MarketState] = {}
        self._prices: dict[str, MarketState] = {}

    def add(self, listener: ExchangeListener) -> None:
        self._listeners.append(listener)

    def __enter__(self) -> None:
        if self._is_changing:
            raise RuntimeError("a listener acted on the exchange during a match; schedule the action instead")
        self._is_changing = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_changing = False
        books, self._books = self._books, {}
        prices, self._prices = self._prices, {}
        if not self._listeners:
            return
        for market in books.values():
            if market.mark_price() != market.mark_told:
                prices[market.symbol] = market
        for market in prices.values():
            market.mark_told = market.mark_price()
            for listener in self._listeners:
                listener.on_prices(market.symbol)
        for symbol in books:
            for listener in self._listeners:
                listener.on_book(symbol)

    def book_changed(self, market: MarketState) -> None:
        """The visible book of `market` is another; its mark may be too."""
        market.forget_mark()
        self._books[market.symbol] = market

    def prices_changed(self, market: MarketState) -> None:
        """The index price or the funding estimate of `market` is another."""
        self._prices[market.symbol] = market

    def trade(self, trade: SimTrade) -> None:
        for listener in self._listeners:
            listener.on_trade(trade)

    def fill(self, fill: SimFill) -> None:
        for listener in self._listeners:
            listener.on_fill(fill)

    def order(self, order: SimOrder) -> None:
        for listener in self._listeners:
            listener.on_order(order)

    def funding(self, funding: SimFunding) -> None:
        for listener in self._listeners:
            listener.on_funding(funding)

    def settled(self, settled: SettledRate) -> None:
        for listener in self._listeners:
            listener.on_settled(settled)
