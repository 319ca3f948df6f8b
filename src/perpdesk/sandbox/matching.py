"""The order book of one simulated market: an ambient ladder and account orders, in price-time order.

At equal price the ambient size stands before every account order. The book only knows what rests where; who may trade, and what
a trade does to accounts, is the exchange's business.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from operator import neg, pos

from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.records import SimOrder, SizedLevel

BookLevel = tuple[Decimal, Decimal, int]
"""(price, size, number of orders); a level's ambient size counts as one order."""


def whole_lots(size: Decimal, lot: Decimal) -> Decimal:
    """`size` (>= 0) without what is less than a lot: a driver's odd sizes never leave an account with an odd position."""
    odd = size % lot
    return size - odd if odd else size


class BookSide:
    """What rests on one side, best price first.

    Account orders are queues by price beside a sorted list of keys. Keys are prices for asks and negated prices for bids, so
    that the best key is the smallest on both sides.
    """

    __slots__ = ("_key", "_keys", "_queues", "ambient")

    def __init__(self, side: Side) -> None:
        self._key = neg if side is Side.BUY else pos
        self._keys: list[Decimal] = []
        self._queues: dict[Decimal, dict[int, SimOrder]] = {}
        self.ambient: list[SizedLevel] = []

    @property
    def has_orders(self) -> bool:
        return bool(self._keys)

    def add(self, order: SimOrder) -> None:
        """Rest `order` behind what is already at its price."""
        key: Decimal = self._key(order.limit_price)
        queue = self._queues.get(key)
        if queue is None:
            insort(self._keys, key)
            queue = self._queues[key] = {}
        queue[order.order_id] = order

    def remove(self, order: SimOrder) -> None:
        """Take a resting order off; KeyError when it is not here."""
        key: Decimal = self._key(order.limit_price)
        queue = self._queues[key]
        del queue[order.order_id]
        if not queue:
            del self._queues[key]
            del self._keys[bisect_left(self._keys, key)]

    def best_order(self) -> SimOrder | None:
        """The account order that is first in line, ambient size aside."""
        if not self._keys:
            return None
        return next(iter(self._queues[self._keys[0]].values()))

    def best_price(self) -> Decimal | None:
        order = self.best_order()
        if not self.ambient:
            return None if order is None else order.limit_price
        price = self.ambient[0][0]
        return price if order is None or self.is_as_good(price, order.limit_price) else order.limit_price

    def first_maker(self) -> tuple[Decimal, SimOrder | None] | None:
        """(price, order) that trades next; the order is None for ambient size, the pair None for an empty side."""
        price = self.best_price()
        if price is None:
            return None
        if self.ambient and self.ambient[0][0] == price:
            return price, None
        return price, self.best_order()

    def is_as_good(self, price: Decimal, other: Decimal) -> bool:
        """Whether a maker here at `price` trades before or together with one at `other`."""
        return bool(self._key(price) <= self._key(other))

    def take_ambient(self, size: Decimal) -> None:
        """Remove `size` from the best ambient level."""
        price, available = self.ambient[0]
        if size < available:
            self.ambient[0] = (price, available - size)
        else:
            del self.ambient[0]

    def orders(self) -> Iterator[SimOrder]:
        """Account orders in the order they would trade."""
        for key in self._keys:
            yield from self._queues[key].values()

    def levels(self, depth: int | None) -> list[BookLevel]:
        """Best first, ambient and account orders together."""
        if not self._keys:
            return [(price, size, 1) for price, size in self.ambient[:depth]]
        merged: dict[Decimal, tuple[Decimal, int]] = {price: (size, 1) for price, size in self.ambient}
        for order in self.orders():
            size, count = merged.get(order.limit_price, (ZERO, 0))
            merged[order.limit_price] = (size + order.remaining, count + 1)
        best_first = sorted(merged, key=self._key)[:depth]
        return [(price, *merged[price]) for price in best_first]


class OrderBook:
    """Both sides of one market."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)

    def side(self, side: Side) -> BookSide:
        """Where orders of direction `side` rest."""
        return self.bids if side is Side.BUY else self.asks

    def against(self, taker: Side) -> BookSide:
        """What an aggressor of direction `taker` trades with."""
        return self.asks if taker is Side.BUY else self.bids

    def replace_ambient(self, bids: Sequence[SizedLevel], asks: Sequence[SizedLevel]) -> None:
        """Take a whole new ambient ladder, best first; levels without size are dropped.

        ValueError when a side is out of order or the ladder is crossed. Account orders that it crosses are left to the
        exchange, which must trade them before anything else happens.
        """
        new_bids = [level for level in bids if level[1] > 0]
        new_asks = [level for level in asks if level[1] > 0]
        for better, worse in pairwise(new_bids):
            if better[0] <= worse[0]:
                raise ValueError(f"ambient bids must fall from the best on, were {better[0]} then {worse[0]}")
        for better, worse in pairwise(new_asks):
            if better[0] >= worse[0]:
                raise ValueError(f"ambient asks must rise from the best on, were {better[0]} then {worse[0]}")
        if new_bids and new_asks and new_bids[0][0] >= new_asks[0][0]:
            raise ValueError(f"crossed ambient ladder: bid {new_bids[0][0]} at or above ask {new_asks[0][0]}")
        self.bids.ambient = new_bids
        self.asks.ambient = new_asks

    def impact_price(self, taker: Side, notional_usd: Decimal) -> Decimal | None:
        """Average price of trading `notional_usd` against the book; None while it is too thin."""
        left, size_total = notional_usd, ZERO
        for price, size, _ in self.against(taker).levels(None):
            if price * size >= left:
                return notional_usd / (size_total + left / price)
            left -= price * size
            size_total += size
        return None
