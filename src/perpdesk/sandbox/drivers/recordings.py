"""Reading the shared recordings, with errors that name the file and the column."""

import json
from pathlib import Path
from typing import Any

import polars as pl

FUNDING = "funding_7venues_2025_03_2026_01/funding_rates.parquet"
FUNDING_LONG = "funding_hl_btc_eth_2023_2026/funding_history.parquet"
CANDLES_HOURLY = "funding_7venues_2025_03_2026_01/candles_1h.parquet"
CANDLES_DAILY = "hl_candles_daily/candles_1d.parquet"
STOCKS_HOURLY = "hl_hip3_xyz_hourly/hourly_data.parquet"
SNAPSHOT = "loris_funding_snapshot_2026_01_14/loris_api.json"
QUOTES = "bbo_spreads_hl_lighter_2026_06/bbo_snapshots.parquet"
DEPTH = "hl_depth_2024_2025/hl_depth_50bps.parquet"
SCANS = "funding_spread_scans_2026_06/scans.parquet"
LIGHTER_STATS = "lighter_ws_market_stats_2025_11/market_stats.parquet"
LIGHTER_MARKETS = "fixtures_lighter/lighter_markets.json"


def books_of(coin: str) -> str:
    """Recorded Hyperliquid books of `coin`."""
    return f"hl_books_trades_2025_09_04/orderbooks_{coin}.parquet"


def hyperliquid_trades_of(coin: str) -> str:
    """Recorded Hyperliquid trades of `coin`."""
    return f"hl_books_trades_2025_09_04/trades_{coin}.parquet"


def lighter_trades_of(coin: str) -> str:
    """Recorded Lighter trades of `coin`."""
    return f"lighter_bbo_trades_2025_09_15/trades_{coin}.parquet"


class RecordingUnreadable(ValueError):
    """A recording is missing or lacks something; the message names the file and the column or key."""


class Recordings:
    """The folder of recordings. Every read states the columns it needs and returns only those."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def table(self, name: str, *columns: str) -> pl.DataFrame:
        """Columns of one Parquet file; RecordingUnreadable when the file or a column is missing."""
        path = self._existing(name)
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise RecordingUnreadable(f"{name} can not be read as Parquet: {error}") from error
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise RecordingUnreadable(f"{name} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}")
        return frame.select(columns)

    def document(self, name: str) -> Any:
        """One JSON file."""
        try:
            return json.loads(self._existing(name).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise RecordingUnreadable(f"{name} is not JSON: {error}") from error

    def _existing(self, name: str) -> Path:
        path = self._folder / name
        if not path.is_file():
            raise RecordingUnreadable(
                f"the recording {name} is missing below --data; point --data at the recordings folder"
            )
        return path
