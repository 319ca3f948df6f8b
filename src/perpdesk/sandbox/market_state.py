"""The running state of one simulated market: its book, its prices, its trades and the funding interval under way."""

from collections import deque
from decimal import Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.matching import OrderBook
from perpdesk.sandbox.records import ListedMarket, SettledRate, SimTrade, VenueRules

TRADES_KEPT_MAX = 500
"""Latest trades kept per market."""

MARK_BAND = Decimal("0.005")
"""How far the book's mid may pull the mark from the index, as a fraction of the index: Lighter's own clamp (lighter.md, 8)."""


def median_of_three(first: Decimal, second: Decimal, third: Decimal) -> Decimal:
    """The middle one."""
    return max(min(first, second), min(max(first, second), third))


class FundingInterval:
    """Premium samples since the last settlement, or the recorded rate that stands in for them."""

    __slots__ = ("_count", "_sum", "rate_override")

    def __init__(self) -> None:
        self._sum = ZERO
        self._count = 0
        self.rate_override: Decimal | None = None

    def add(self, premium: Decimal) -> None:
        self._sum += premium
        self._count += 1

    @property
    def premium(self) -> Decimal:
        """Mean of the samples; zero before the first one, which is where a venue's estimate starts too."""
        return self._sum / self._count if self._count else ZERO

    def restart(self) -> None:
        """Forget the samples; an override stays."""
        self._sum, self._count = ZERO, 0


class MarketState:
    """One market between calls.

    Attributes:
        index_price: None until a driver set it, and until then nothing trades.
        mark_told: The mark that listeners last heard of.
    """

    __slots__ = (
        "_mark",
        "book",
        "funding",
        "index_price",
        "last_price",
        "listing",
        "mark_told",
        "rules",
        "settled",
        "trades",
    )

    def __init__(self, listing: ListedMarket, rules: VenueRules) -> None:
        self.listing = listing
        self.rules = rules
        self.book = OrderBook()
        self.funding = FundingInterval()
        self.index_price: Decimal | None = None
        self.last_price: Decimal | None = None
        self.settled: list[SettledRate] = []
        self.trades: deque[SimTrade] = deque(maxlen=TRADES_KEPT_MAX)
        self.mark_told: Decimal | None = None
        self._mark: Decimal | None = None

    @property
    def symbol(self) -> str:
        return self.listing.symbol

    def require_index(self) -> Decimal:
        """The index price; KeyError before there is one."""
        if self.index_price is None:
            raise KeyError(f"{self.symbol} has no index price yet; call set_prices first")
        return self.index_price

    def forget_mark(self) -> None:
        """The book, the index or the last price changed: the mark is worked out again when it is next asked for."""
        self._mark = None

    def mark_price(self) -> Decimal:
        """Price that positions are valued at, on the tick; KeyError before there is an index price.

        Median of the index, the index plus the basis of the book's mid (within MARK_BAND), and the median of best bid, best
        ask and last trade: the venues' recipe without their averages over time. The index alone while a side is empty.
        """
        if self._mark is None:
            raw = self._raw_mark(self.require_index())
            tick = self.listing.price_grid.tick
            self._mark = (raw / tick).to_integral_value() * tick or raw
        return self._mark

    def _raw_mark(self, index: Decimal) -> Decimal:
        bid, ask = self.book.bids.best_price(), self.book.asks.best_price()
        if bid is None or ask is None:
            return index
        mid = (bid + ask) / 2
        band = index * MARK_BAND
        near_index = index + min(max(mid - index, -band), band)
        traded = mid if self.last_price is None else median_of_three(bid, ask, self.last_price)
        return median_of_three(index, near_index, traded)

    def impact_prices(self) -> tuple[Decimal, Decimal] | None:
        """(impact bid, impact ask); None while the book can not fill the impact notional."""
        notional = self.listing.impact_notional_usd or self.rules.impact_notional_usd
        bid = self.book.impact_price(Side.SELL, notional)
        ask = self.book.impact_price(Side.BUY, notional)
        return None if bid is None or ask is None else (bid, ask)

    def premium_sample(self) -> Decimal | None:
        """Premium of the impact prices over the index, a fraction; None where the book is too thin to tell."""
        impact = self.impact_prices()
        if impact is None:
            return None
        index = self.require_index()
        bid, ask = impact
        return (max(bid - index, ZERO) - max(index - ask, ZERO)) / index

    def estimated_rate(self) -> Decimal:
        """Rate per hour at which the interval would settle now."""
        override = self.funding.rate_override
        return self.rules.funding_formula(self.funding.premium) if override is None else override
