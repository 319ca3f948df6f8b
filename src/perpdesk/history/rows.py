"""Reading a data folder's tables and leaving out every row that can not be used, each with its reason.

Timestamps may be a few milliseconds off the hour, as recorded ones are; nothing else is put right.
"""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

HOUR_MS = 3_600_000
FUNDING_FILE = "funding_rates.parquet"
CANDLES_FILE = "candles_1h.parquet"
FUNDING_COLUMNS = ("timestamp", "venue", "coin", "funding_rate")
CANDLE_COLUMNS = ("timestamp", "venue", "coin", "o", "h", "l", "c", "v")
TEXT_COLUMNS = ("venue", "coin")

OFF_HOUR_MS_MAX = 60_000
"""How far from the hour a row may be stamped; recorded rows are a few milliseconds late."""
RATE_MAX = 0.05
"""Fraction per hour: the widest cap of any venue is 4 % per hour, so more is garbage."""
JUMP_FACTOR = 3.0
"""A candle whose open or close is this many times above or below the day before is garbage."""
JUMP_WINDOW = 24
JUMP_SAMPLES_MIN = 3


class DataUnusable(ValueError):
    """The folder can not be used as it is; the message names the file, the column and what to do."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What was read and what of it could not be used.

    Attributes:
        rows: By file, rows of the venues and coins that matter, inside the asked range or not.
        dropped: By file and reason, rows that were left out.
        rate_hours: By coin and venue, hours of the range with a usable rate.
        hours_without_price: By coin, hours with every rate and no price at all: holes too.
    """

    rows: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    rate_hours: dict[str, dict[str, int]] = field(default_factory=dict)
    hours_without_price: dict[str, int] = field(default_factory=dict)


def read_table(folder: Path, name: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """The named columns of one file, their types checked; DataUnusable when it or one of them is not there."""
    file = folder / name
    if not file.is_file():
        raise DataUnusable(f"{file} is missing; --data has to be a folder that holds {FUNDING_FILE} and {CANDLES_FILE}")
    try:
        frame = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataUnusable(f"{file} can not be read as Parquet ({error}); write it again or fetch it anew") from error
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        plural = "columns" if len(missing) > 1 else "column"
        raise DataUnusable(
            f"{file} lacks the {plural} {', '.join(missing)} (it has {', '.join(frame.columns)}); "
            f"add what is missing, needed are {', '.join(columns)}"
        )
    frame = frame.select(columns)
    for column in columns:
        _require_type(file, column, frame.schema[column])
    return frame.with_columns(pl.col(*TEXT_COLUMNS).cast(pl.String))


def _require_type(file: Path, column: str, dtype: pl.DataType) -> None:
    if column == "timestamp":
        is_right, wanted = isinstance(dtype, pl.Datetime), "a date and time (UTC)"
    elif column in TEXT_COLUMNS:
        is_right, wanted = dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum), "text"
    else:
        is_right, wanted = dtype.is_numeric(), "a number"
    if not is_right:
        raise DataUnusable(f"{file}: column {column} is {dtype}, it has to be {wanted}; convert the column")


def cleaned_funding(frame: pl.DataFrame, quality: Quality) -> pl.DataFrame:
    """Usable rates, one per (venue, coin, hour)."""
    quality.rows[FUNDING_FILE] = frame.height
    dropped = quality.dropped.setdefault(FUNDING_FILE, {})
    frame = _on_the_hour(frame, dropped)
    rate = pl.col("funding_rate").cast(pl.Float64)
    frame = _kept(frame, dropped, "rate is not a number", rate.is_finite().fill_null(False))
    frame = _kept(frame, dropped, f"rate beyond {RATE_MAX:.0%} per hour", rate.abs() <= RATE_MAX)
    return _unique(frame, dropped, ("funding_rate",))


def cleaned_candles(frame: pl.DataFrame, quality: Quality) -> pl.DataFrame:
    """Usable candles, one per (venue, coin, hour)."""
    quality.rows[CANDLES_FILE] = frame.height
    dropped = quality.dropped.setdefault(CANDLES_FILE, {})
    frame = _on_the_hour(frame, dropped)
    frame = frame.with_columns(pl.col(column).cast(pl.Float64) for column in ("o", "h", "l", "c"))
    is_number = pl.all_horizontal(pl.col(column).is_finite().fill_null(False) for column in ("o", "h", "l", "c"))
    frame = _kept(frame, dropped, "price is not a number", is_number)
    frame = _kept(frame, dropped, "price is not positive", pl.min_horizontal("o", "h", "l", "c") > 0)
    inside = (pl.col("l") <= pl.min_horizontal("o", "c")) & (pl.col("h") >= pl.max_horizontal("o", "c"))
    frame = _kept(frame, dropped, "open or close outside low to high", inside)
    frame = _unique(frame, dropped, ("o", "c"))
    return _without_jumps(frame, dropped)


def _without_jumps(frame: pl.DataFrame, dropped: dict[str, int]) -> pl.DataFrame:
    """Leave out prices far from the median of the rows before; only the past is looked at, as a desk would."""
    usual = pl.col("c").shift(1).rolling_median(JUMP_WINDOW, min_samples=JUMP_SAMPLES_MIN).over("venue", "coin")
    frame = frame.sort("venue", "coin", "at_ms").with_columns(usual=usual)
    far = pl.any_horizontal(
        (pl.col(column) > pl.col("usual") * JUMP_FACTOR) | (pl.col(column) * JUMP_FACTOR < pl.col("usual"))
        for column in ("o", "c")
    )
    reason = f"price more than {JUMP_FACTOR:g} times off the hours before"
    return _kept(frame, dropped, reason, ~far.fill_null(False))


def _on_the_hour(frame: pl.DataFrame, dropped: dict[str, int]) -> pl.DataFrame:
    """Add `at_ms`, the nearest hour; leave out rows that belong to none."""
    frame = _kept(frame, dropped, "no timestamp", pl.col("timestamp").is_not_null())
    stamp = pl.col("timestamp").dt.epoch("ms")
    at_ms = (stamp + HOUR_MS // 2) // HOUR_MS * HOUR_MS
    frame = frame.with_columns(at_ms=at_ms, off_ms=(stamp - at_ms).abs())
    return _kept(frame, dropped, "not on the hour", pl.col("off_ms") <= OFF_HOUR_MS_MAX)


def _unique(frame: pl.DataFrame, dropped: dict[str, int], values: tuple[str, ...]) -> pl.DataFrame:
    """One row per hour: repetitions count once, and hours with two different values are not known at all."""
    key = ("venue", "coin", "at_ms")
    frame = _kept(frame, dropped, "repeated", pl.struct(*key, *values).is_first_distinct())
    return _kept(frame, dropped, "two different values for one hour", ~pl.struct(*key).is_duplicated())


def _kept(frame: pl.DataFrame, dropped: dict[str, int], reason: str, condition: pl.Expr) -> pl.DataFrame:
    """Rows for which `condition` holds; the others are counted."""
    kept = frame.filter(condition)
    if lost := frame.height - kept.height:
        dropped[reason] = dropped.get(reason, 0) + lost
    return kept
