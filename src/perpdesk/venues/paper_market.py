"""One live market as a dry run sees it: the book it may take from, what it took already, mark price and funding estimate.

Market data is float; what an order is filled at and for is made exact here, always to the order's disadvantage where the
venue's grid leaves a choice.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from perpdesk.domain.books import Book, Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.markets import Market
from perpdesk.domain.numbers import ZERO
from perpdesk.venues.base import FundingChanged

MARK_AGE_MS_MAX = 60_000
"""A mark price older than this gives way to the mid of a live book."""
LATE_EVENT_MS = 5_000
"""How long after a settlement an estimate may have been heard and still be taken for the one before it."""

_NOISE = Decimal("1E-9")
"""Relative error that dividing and multiplying floats by a contract's multiplier leaves on prices and sizes."""


@dataclass(frozen=True, slots=True)
class ShownLevel:
    """What one level still offers to orders of the dry run.

    Attributes:
        price: On the market's price grid. size: Whole lots that no earlier order took. shown: The feed's own (price, size).
    """

    price: Decimal
    size: Decimal
    shown: tuple[float, float]


@dataclass(slots=True)
class _Taken:
    """What was taken from a level while it showed `shown`."""

    shown: float
    size: Decimal


class LiveMarket:
    """Market data of one asset. Callers hand every event in; everything is answered from what is fresh now."""

    def __init__(self, clock: Clock, book_age_ms_max: int) -> None:
        self._clock = clock
        self._book_age_ms_max = book_age_ms_max
        self._book: Book | None = None
        self._book_at_ms = 0
        self._taken: dict[tuple[Side, float], _Taken] = {}
        self._funding: FundingChanged | None = None
        self._funding_at_ms = 0
        self._mark: float | None = None
        self._mark_at_ms = 0

    # What is heard ---------------------------------------------------------------------------------------------------

    def take_book(self, book: Book) -> None:
        """Take the book as it is now; what was taken from a level is forgotten once the level shows another size."""
        self._book, self._book_at_ms = book, self._clock.monotonic_ms()
        if self._taken:
            shown = {side: dict(_levels(book, side)) for side in Side}
            self._taken = {key: took for key, took in self._taken.items() if shown[key[0]].get(key[1]) == took.shown}

    def lose_book(self) -> None:
        """The book can not be trusted. What was taken stays remembered: the same levels may come back."""
        self._book = None

    def take_funding(self, event: FundingChanged) -> None:
        """Take the running estimate and, where the message has one, the mark price."""
        self._funding, self._funding_at_ms = event, self._clock.wall_ms()
        if event.mark_price is not None and event.mark_price > 0:
            self._mark, self._mark_at_ms = event.mark_price, self._clock.monotonic_ms()

    # What can be taken -----------------------------------------------------------------------------------------------

    @property
    def live_book(self) -> Book | None:
        """The book, None when it is lost, too old or crossed."""
        book = self._book
        if book is None or self._clock.monotonic_ms() - self._book_at_ms > self._book_age_ms_max:
            return None
        bid, ask = book.bids.best, book.asks.best
        return None if bid is not None and ask is not None and bid[0] >= ask[0] else book

    def offered(self, market: Market, taker: Side, limit_price: Decimal) -> list[ShownLevel]:
        """Levels that a taker of this direction reaches within `limit_price`, best first; empty without a live book."""
        book, found = self.live_book, list[ShownLevel]()
        if book is None:
            return found
        for shown in _levels(book, taker):
            price = _grid_price(shown[0], market, taker)
            if (limit_price - price) * taker.sign < 0:
                break
            size = _whole_lots(shown[1], market.lot) - self._taken_at(taker, shown)
            if price > 0 and size > 0:
                found.append(ShownLevel(price, size, shown))
        return found

    def take(self, taker: Side, level: ShownLevel, size: Decimal) -> None:
        """Remember that an order took `size` from a level `offered` named."""
        price, shown = level.shown
        taken = self._taken.setdefault((taker, price), _Taken(shown, ZERO))
        taken.size += size

    def _taken_at(self, taker: Side, shown: tuple[float, float]) -> Decimal:
        taken = self._taken.get((taker, shown[0]))
        return ZERO if taken is None else taken.size

    # What it is worth ------------------------------------------------------------------------------------------------

    @property
    def mark(self) -> Decimal | None:
        """The venue's mark price while fresh, else the live mid, else the last mark heard; None when nothing ever was."""
        is_fresh = self._clock.monotonic_ms() - self._mark_at_ms <= MARK_AGE_MS_MAX
        if self._mark is not None and is_fresh:
            return exact(self._mark)
        book = self.live_book
        if book is not None and book.mid is not None:
            return exact(book.mid)
        return None if self._mark is None else exact(self._mark)

    def estimate_for(self, boundary_ms: int, every_ms: int) -> FundingChanged | None:
        """The estimate a settlement at `boundary_ms` goes by: the last one, if heard since the settlement before."""
        is_its_own = boundary_ms - every_ms <= self._funding_at_ms <= boundary_ms + LATE_EVENT_MS
        return self._funding if is_its_own else None


def exact(value: float) -> Decimal:
    """The shortest decimal that reads back as `value`."""
    return Decimal(repr(value))


def _levels(book: Book, taker: Side) -> list[tuple[float, float]]:
    ladder = book.side(taker)
    return ladder.top(len(ladder))


def _grid_price(value: float, market: Market, taker: Side) -> Decimal:
    """The allowed price `value` stands for; between two of them the one that is worse for the taker."""
    price = exact(value)
    low, high = market.price_grid.floor(price), market.price_grid.ceil(price)
    for candidate in (low, high):
        if abs(candidate - price) <= price * _NOISE:
            return candidate
    return high if taker is Side.BUY else low


def _whole_lots(value: float, lot: Decimal) -> Decimal:
    """The multiple of `lot` that `value` stands for, rounded down unless only float noise is missing to the next."""
    lots = exact(value) / lot
    nearest = lots.to_integral_value(ROUND_HALF_EVEN)
    whole = nearest if abs(nearest - lots) <= max(lots, Decimal(1)) * _NOISE else lots // 1
    return whole * lot
