"""Order books. Market data is float; an order's price is made exact from it by the market's `PriceGrid`."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

Level = tuple[float, float]
"""(price, size), both positive, per unit of the asset."""


class Side(StrEnum):
    """Direction of an order. Positions are long or short, orders buy or sell."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what the order does to a position."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class BookCorrupt(ValueError):
    """A book that can not be true: crossed, negative, not finite. Resynchronise; never trade on it."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What taking `size` from one side would cost.

    Attributes:
        size: How much the visible book fills; less than asked when the book is thin.
        average_price: Size-weighted mean price of those fills.
        worst_price: Price of the last level touched.
    """

    size: float
    average_price: float
    worst_price: float


class Ladder:
    """One side of a book, best level first: sorted keys with sizes beside them.

    Keys are prices for asks and negated prices for bids, so both sides are ascending and share the code. Two parallel
    lists and bisect beat a dict sorted on query by the ratio that `benchmarks/book.py` prints.
    """

    __slots__ = ("_keys", "_sign", "_sizes")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[float] = []
        self._sizes: list[float] = []

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, levels: Iterable[Level]) -> None:
        """Take `levels` as the whole side; zero sizes are dropped, order does not matter."""
        sign = self._sign
        kept = sorted((price * sign, size) for price, size in levels if size > 0)
        self._keys = [key for key, _ in kept]
        self._sizes = [size for _, size in kept]

    def set(self, price: float, size: float) -> None:
        """Make `size` the absolute amount at `price`; zero removes the level."""
        key = price * self._sign
        keys = self._keys
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            if size > 0:
                self._sizes[at] = size
            else:
                del keys[at], self._sizes[at]
        elif size > 0:
            keys.insert(at, key)
            self._sizes.insert(at, size)

    @property
    def best(self) -> Level | None:
        return (self._keys[0] * self._sign, self._sizes[0]) if self._keys else None

    @property
    def best_price(self) -> float | None:
        return self._keys[0] * self._sign if self._keys else None

    def top(self, count: int) -> list[Level]:
        """The best `count` levels, best first."""
        sign = self._sign
        return [(key * sign, size) for key, size in zip(self._keys[:count], self._sizes[:count], strict=True)]

    def top_columns(self, count: int) -> tuple[list[float], list[float]]:
        """Prices and sizes of the best `count` levels, best first."""
        sign = self._sign
        return [key * sign for key in self._keys[:count]], self._sizes[:count]

    def sweep(self, size: float) -> Sweep | None:
        """Walk the side until `size` is filled; None when it is empty or `size` is not positive."""
        if not self._keys or size <= 0:
            return None
        left, paid, key = size, 0.0, 0.0
        for key, available in zip(self._keys, self._sizes, strict=True):
            if available >= left:
                paid += left * key
                return Sweep(size, paid * self._sign / size, key * self._sign)
            paid += available * key
            left -= available
        filled = size - left
        return Sweep(filled, paid * self._sign / filled, key * self._sign)

    def depth_usd(self, limit_price: float) -> float:
        """Notional resting at `limit_price` or better."""
        sign, limit = self._sign, limit_price * self._sign
        total = 0.0
        for key, size in zip(self._keys, self._sizes, strict=True):
            if key > limit:
                break
            total += key * sign * size
        return total


class Book:
    """The visible book of one market, with the time of its last change."""

    __slots__ = ("asks", "bids", "changed_at_ms")

    def __init__(self) -> None:
        self.bids = Ladder(-1)
        self.asks = Ladder(1)
        self.changed_at_ms = 0

    def replace(self, bids: Iterable[Level], asks: Iterable[Level], at_ms: int) -> None:
        """Take a snapshot as the whole book. Raises BookCorrupt when it is crossed."""
        self.bids.replace(bids)
        self.asks.replace(asks)
        self.changed_at_ms = at_ms
        self.require_uncrossed()

    def apply(self, bids: Sequence[Level], asks: Sequence[Level], at_ms: int) -> None:
        """Apply absolute sizes by level. Raises BookCorrupt when the result is crossed."""
        for price, size in bids:
            self.bids.set(price, size)
        for price, size in asks:
            self.asks.set(price, size)
        self.changed_at_ms = at_ms
        self.require_uncrossed()

    def require_uncrossed(self) -> None:
        bid, ask = self.bids.best_price, self.asks.best_price
        if bid is not None and ask is not None and bid >= ask:
            raise BookCorrupt(f"crossed book: bid {bid} at or above ask {ask}")

    def side(self, taker: Side) -> Ladder:
        """The side that an aggressor of direction `taker` takes from."""
        return self.asks if taker is Side.BUY else self.bids

    @property
    def mid(self) -> float | None:
        """Mean of best bid and ask; None while a side is empty."""
        bid, ask = self.bids.best_price, self.asks.best_price
        return None if bid is None or ask is None else (bid + ask) / 2

    @property
    def spread_bps(self) -> float | None:
        """Ask less bid in basis points of the mid; None while a side is empty."""
        bid, ask = self.bids.best_price, self.asks.best_price
        return None if bid is None or ask is None else (ask - bid) / (ask + bid) * 20_000

    def impact_bps(self, taker: Side, size: float) -> float | None:
        """Cost of taking `size` against the mid, in basis points, never negative; None if the book can not fill it."""
        mid, sweep = self.mid, self.side(taker).sweep(size)
        if mid is None or sweep is None or sweep.size < size:
            return None
        return taker.sign * (sweep.average_price - mid) / mid * 10_000
