"""What the venue remembers of trading: recent trades with both sides' fills, candles, and a day's statistics.

Bulk market data, so prices and volumes are float here; trades keep the exchange's exact values.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from perpdesk.sandbox.exchange import SimFill, SimTrade

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
RESOLUTION_MS = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "4h": 4 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": 24 * HOUR_MS,
    "1w": 168 * HOUR_MS,
}
"""Candle widths by the venue's names."""

MINUTES_MAX = 3 * 1_440
HOURS_MAX = 100 * 24
TRADES_MAX = 1_000
_DAY_HOURS = 24
_UNSETTLED_MAX = 4_096


@dataclass(slots=True, eq=False)
class TradeRecord:
    """One trade and the fills of the accounts in it; anonymous liquidity has none."""

    trade: SimTrade
    taker_fill: SimFill | None = None
    maker_fill: SimFill | None = None


@dataclass(slots=True)
class Candle:
    """Trades of one interval: prices in USD, volumes in contract units and USD."""

    opened_ms: int
    open: float
    high: float
    low: float
    close: float
    volume_base: float
    volume_usd: float
    trade_count: int
    last_trade_id: int

    def merge(self, later: "Candle") -> None:
        """Take in the candle that follows within the same wider interval."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume_base += later.volume_base
        self.volume_usd += later.volume_usd
        self.trade_count += later.trade_count
        self.last_trade_id = later.last_trade_id


@dataclass(frozen=True, slots=True)
class DayStatistics:
    """The last 24 hourly intervals of one market; all zero before its first trade."""

    volume_base: float = 0.0
    volume_usd: float = 0.0
    price_low: float = 0.0
    price_high: float = 0.0
    change_percent: float = 0.0
    trade_count: int = 0


class MarketTape:
    """One market's trades, newest last, in bounded memory."""

    def __init__(self) -> None:
        self.trades: deque[TradeRecord] = deque(maxlen=TRADES_MAX)
        self._minutes: deque[Candle] = deque(maxlen=MINUTES_MAX)
        self._hours: deque[Candle] = deque(maxlen=HOURS_MAX)

    def add(self, record: TradeRecord) -> None:
        self.trades.append(record)
        trade = record.trade
        price, size = float(trade.price), float(trade.size)
        for kept, width_ms in ((self._minutes, MINUTE_MS), (self._hours, HOUR_MS)):
            opened_ms = trade.at_ms - trade.at_ms % width_ms
            one = Candle(opened_ms, price, price, price, price, size, price * size, 1, trade.trade_id)
            if kept and kept[-1].opened_ms == opened_ms:
                kept[-1].merge(one)
            else:
                kept.append(one)

    def day(self, now_ms: int) -> DayStatistics:
        since_ms = now_ms - now_ms % HOUR_MS - (_DAY_HOURS - 1) * HOUR_MS
        hours: list[Candle] = []
        for candle in reversed(self._hours):
            if candle.opened_ms < since_ms:
                break
            hours.append(candle)
        if not hours:
            return DayStatistics()
        first, last = hours[-1], hours[0]
        return DayStatistics(
            sum(c.volume_base for c in hours),
            sum(c.volume_usd for c in hours),
            min(c.low for c in hours),
            max(c.high for c in hours),
            (last.close - first.open) / first.open * 100,
            sum(c.trade_count for c in hours),
        )

    def candles(self, resolution: str, start_ms: int, end_ms: int, count: int) -> list[Candle]:
        """The last `count` candles that open within [start, end], oldest first; KeyError for an unknown resolution.

        Intervals without a trade have no candle.
        """
        width_ms = RESOLUTION_MS[resolution]
        source = self._minutes if width_ms < HOUR_MS else self._hours
        within = [c for c in _widened(source, width_ms) if start_ms <= c.opened_ms <= end_ms]
        return within[-count:] if count > 0 else []


def _widened(candles: Iterable[Candle], width_ms: int) -> list[Candle]:
    wide: list[Candle] = []
    for candle in candles:
        opened_ms = candle.opened_ms - candle.opened_ms % width_ms
        if wide and wide[-1].opened_ms == opened_ms:
            wide[-1].merge(candle)
        else:
            wide.append(
                Candle(
                    opened_ms,
                    candle.open,
                    candle.high,
                    candle.low,
                    candle.close,
                    candle.volume_base,
                    candle.volume_usd,
                    candle.trade_count,
                    candle.last_trade_id,
                )
            )
    return wide


class Tape:
    """Every market's tape, fed by the exchange's events in whichever order trade and fills arrive."""

    def __init__(self) -> None:
        self._markets: dict[str, MarketTape] = {}
        self._recent: dict[int, TradeRecord] = {}

    def market(self, symbol: str) -> MarketTape:
        if symbol not in self._markets:
            self._markets[symbol] = MarketTape()
        return self._markets[symbol]

    def add_trade(self, trade: SimTrade) -> TradeRecord:
        record = self._record(trade)
        self.market(trade.symbol).add(record)
        return record

    def add_fill(self, fill: SimFill) -> TradeRecord:
        """Attach one side's fill to its trade."""
        record = self._record(fill.trade)
        if fill.is_maker:
            record.maker_fill = fill
        else:
            record.taker_fill = fill
        return record

    def _record(self, trade: SimTrade) -> TradeRecord:
        record = self._recent.get(trade.trade_id)
        if record is None:
            record = self._recent[trade.trade_id] = TradeRecord(trade)
            if len(self._recent) > _UNSETTLED_MAX:
                del self._recent[next(iter(self._recent))]
        return record
