"""Candles and day figures from what trades; the exchange itself keeps only its latest trades."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import SimTrade
from perpdesk.sandbox.wire.hyperliquid.encode import decimal_text

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
BARS_MAX = 5_000
"""Bars kept per market and resolution, the venue's own limit per interval."""

INTERVALS_MS: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    "1M": 0,  # a calendar month has no fixed length
}


@dataclass(slots=True)
class Bar:
    """Prices and volume of one bucket.

    Attributes:
        volume_base, volume_usd, trade_count: Of trades. A bucket without any follows the index price with zero volume.
    """

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume_base: Decimal = ZERO
    volume_usd: Decimal = ZERO
    trade_count: int = 0

    def add_price(self, price: Decimal) -> None:
        self.close = price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price

    def add_trade(self, price: Decimal, size: Decimal) -> None:
        if self.trade_count == 0:
            self.open = self.high = self.low = price
        self.add_price(price)
        self.volume_base += size
        self.volume_usd += price * size
        self.trade_count += 1

    def merge(self, later: "Bar") -> None:
        """Append a later bucket; traded prices take precedence over index prices."""
        if later.trade_count or not self.trade_count:
            if later.trade_count and not self.trade_count:
                self.open, self.high, self.low = later.open, later.high, later.low
            self.high, self.low = max(self.high, later.high), min(self.low, later.low)
            self.close = later.close
        self.volume_base += later.volume_base
        self.volume_usd += later.volume_usd
        self.trade_count += later.trade_count


class _Series:
    """Bars of one market and resolution, oldest first."""

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self.bars: list[Bar] = []

    def at(self, at_ms: int, price: Decimal) -> Bar:
        """The bar of `at_ms`, opened at `price` when it is new."""
        open_ms = at_ms - at_ms % self._width_ms
        if not self.bars or self.bars[-1].open_ms < open_ms:
            self.bars.append(Bar(open_ms, price, price, price, price))
            if len(self.bars) > 2 * BARS_MAX:
                del self.bars[:BARS_MAX]
        return self.bars[-1]


class CandleHistory:
    """Minute and hour bars of every market; coarser intervals are merged from them when asked."""

    def __init__(self) -> None:
        self._minutes: dict[str, _Series] = {}
        self._hours: dict[str, _Series] = {}

    def add_trade(self, trade: SimTrade) -> None:
        for series in self._both(trade.symbol):
            series.at(trade.at_ms, trade.price).add_trade(trade.price, trade.size)

    def add_price(self, symbol: str, price: Decimal, at_ms: int) -> None:
        """Note an index price; it only shows in buckets without trades."""
        for series in self._both(symbol):
            bar = series.at(at_ms, price)
            if bar.trade_count == 0:
                bar.add_price(price)

    def candles(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[Bar]:
        """Bars of `interval` that open within the bounds, oldest first; ValueError for an unknown interval."""
        if interval not in INTERVALS_MS:
            raise ValueError(f"unknown candle interval {interval!r}")
        is_fine = 0 < INTERVALS_MS[interval] < HOUR_MS
        series = (self._minutes if is_fine else self._hours).get(symbol)
        bars = series.bars if series else []
        merged: list[Bar] = []
        for at in range(bisect_left(bars, start_ms, key=lambda bar: bar.open_ms), len(bars)):
            bar = bars[at]
            open_ms = bucket_open_ms(bar.open_ms, interval)
            if open_ms < start_ms:
                continue
            if open_ms > end_ms:
                break
            if merged and merged[-1].open_ms == open_ms:
                merged[-1].merge(bar)
            else:
                copy = (bar.open, bar.high, bar.low, bar.close, bar.volume_base, bar.volume_usd, bar.trade_count)
                merged.append(Bar(open_ms, *copy))
        return merged[-BARS_MAX:]

    def day(self, symbol: str, now_ms: int) -> tuple[Decimal | None, Decimal, Decimal]:
        """(price a day ago, USD volume, base volume) over the last 24 hour bars; None without any history."""
        series = self._hours.get(symbol)
        price: Decimal | None = None
        usd = base = ZERO
        for bar in reversed(series.bars if series else ()):
            if bar.open_ms <= now_ms - DAY_MS:
                price = bar.close
                break
            price = bar.open
            usd += bar.volume_usd
            base += bar.volume_base
        return price, usd, base

    def _both(self, symbol: str) -> tuple[_Series, _Series]:
        minutes = self._minutes.get(symbol)
        if minutes is None:
            minutes = self._minutes[symbol] = _Series(MINUTE_MS)
            self._hours[symbol] = _Series(HOUR_MS)
        return minutes, self._hours[symbol]


def bucket_open_ms(at_ms: int, interval: str) -> int:
    """Start of the bucket that holds `at_ms`; months begin on their first day, UTC."""
    width_ms = INTERVALS_MS[interval]
    if width_ms:
        return at_ms - at_ms % width_ms
    month = datetime.fromtimestamp(at_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(month.timestamp() * 1000)


def bucket_close_ms(open_ms: int, interval: str) -> int:
    """Last millisecond of the bucket that opens at `open_ms`."""
    width_ms = INTERVALS_MS[interval]
    if width_ms:
        return open_ms + width_ms - 1
    next_month = datetime.fromtimestamp(open_ms / 1000, UTC) + timedelta(days=32)
    return bucket_open_ms(int(next_month.timestamp() * 1000), interval) - 1


def candle_row(bar: Bar, symbol: str, interval: str) -> dict[str, Any]:
    """A bar as the venue writes it."""
    return {
        "t": bar.open_ms,
        "T": bucket_close_ms(bar.open_ms, interval),
        "s": symbol,
        "i": interval,
        "o": decimal_text(bar.open),
        "c": decimal_text(bar.close),
        "h": decimal_text(bar.high),
        "l": decimal_text(bar.low),
        "v": decimal_text(bar.volume_base),
        "n": bar.trade_count,
    }
