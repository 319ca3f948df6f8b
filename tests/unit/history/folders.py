"""Data folders made of a few hours, for tests: what is not given is a hole."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from perpdesk.history.rows import CANDLES_FILE, FUNDING_FILE, HOUR_MS

START_MS = 490_000 * HOUR_MS
HYPERLIQUID, LIGHTER, BINANCE, BYBIT = "hyperliquid", "lighter", "binance", "bybit"

FUNDING_SCHEMA = {
    "timestamp": pl.Datetime("us", "UTC"),
    "venue": pl.String,
    "coin": pl.String,
    "funding_rate": pl.Float64,
}
CANDLE_SCHEMA = {
    "timestamp": pl.Datetime("us", "UTC"),
    "venue": pl.String,
    "coin": pl.String,
    **dict.fromkeys(("o", "h", "l", "c", "v"), pl.Float64),
}


def moment(hour: float, late_ms: int = 0) -> datetime:
    """The time `hour` hours after START_MS."""
    return datetime.fromtimestamp((START_MS + hour * HOUR_MS + late_ms) / 1000, UTC)


@dataclass
class Folder:
    """Rows of a data folder; `write` makes the files."""

    funding: list[tuple[object, ...]] = field(default_factory=list)
    candles: list[tuple[object, ...]] = field(default_factory=list)

    def rate(self, venue: str, hour: float, rate: float | None, coin: str = "BTC", late_ms: int = 0) -> "Folder":
        self.funding.append((moment(hour, late_ms), venue, coin, rate))
        return self

    def rates(self, venue: str, hours: Iterable[int], rate: float, coin: str = "BTC") -> "Folder":
        for hour in hours:
            self.rate(venue, hour, rate, coin)
        return self

    def candle(
        self, venue: str, hour: float, first: float | None, last: float | None = None, coin: str = "BTC"
    ) -> "Folder":
        last = first if last is None else last
        known = [price for price in (first, last) if price is not None]
        high, low = (max(known), min(known)) if known else (None, None)
        self.candles.append((moment(hour), venue, coin, first, high, low, last, 1.0))
        return self

    def prices(self, venue: str, hours: Iterable[int], price: float, coin: str = "BTC") -> "Folder":
        for hour in hours:
            self.candle(venue, hour, price, coin=coin)
        return self

    def write(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(self.funding, schema=FUNDING_SCHEMA, orient="row").write_parquet(path / FUNDING_FILE)
        pl.DataFrame(self.candles, schema=CANDLE_SCHEMA, orient="row").write_parquet(path / CANDLES_FILE)
        return path


def sound(hours: Iterable[int], coin: str = "BTC", price: float = 100_000.0) -> Folder:
    """Both venues at the baseline with a Binance price, in `hours`."""
    hours = list(hours)
    return (
        Folder()
        .rates(HYPERLIQUID, hours, 0.0000125, coin)
        .rates(LIGHTER, hours, 0.000012, coin)
        .prices(BINANCE, hours, price, coin)
    )
