"""Hourly funding and candles from a data folder, checked row by row: what can not be used is counted, never repaired.

A folder holds `funding_rates.parquet` (timestamp, venue, coin, funding_rate) and `candles_1h.parquet` (timestamp, venue, coin,
o, h, l, c, v). Rates are fractions of notional per HOUR, positive when longs pay; a venue that quotes 8 h has to be
converted before it gets here (units table of the data reference). A row's timestamp is when the rate was settled, or when
the candle opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from perpdesk.history.rows import (
    CANDLE_COLUMNS,
    CANDLES_FILE,
    FUNDING_COLUMNS,
    FUNDING_FILE,
    HOUR_MS,
    DataUnusable,
    Quality,
    cleaned_candles,
    cleaned_funding,
    read_table,
)

__all__ = ["REFERENCE_VENUES", "CoveredHour", "DataUnusable", "HourlyData", "load_hourly"]

REFERENCE_VENUES = ("binance", "bybit")
"""Whose candles stand in for both legs where a venue's own are missing, in order of preference."""


@dataclass(frozen=True, slots=True)
class CoveredHour:
    """One hour in which every chosen venue has a rate and a price.

    Attributes:
        at_ms: Start of the hour, Unix milliseconds.
        rates: By venue, fraction per hour settled AT `at_ms` for the hour before; positive when longs pay.
        prices: By venue, (price at the start, price at the end), USD per unit.
        is_price_assumed: The prices are a reference venue's, the same for all venues.
        reference: That venue, None where the prices are the venues' own.
    """

    at_ms: int
    rates: Mapping[str, Decimal]
    prices: Mapping[str, tuple[Decimal, Decimal]]
    is_price_assumed: bool
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class HourlyData:
    """What a folder says about some coins on some venues.

    Attributes:
        start_ms, end_ms: The range, whole hours, end excluded. Hours of it that are not in `hours` are holes.
        hours: By coin, covered hours in order of time.
    """

    venues: tuple[str, ...]
    coins: tuple[str, ...]
    start_ms: int
    end_ms: int
    hours: Mapping[str, tuple[CoveredHour, ...]]
    quality: Quality

    @property
    def hours_in_range(self) -> int:
        return (self.end_ms - self.start_ms) // HOUR_MS


def load_hourly(
    path: Path,
    venues: Sequence[str],
    coins: Sequence[str] | None,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> HourlyData:
    """Read the hours in which all of `venues` are covered.

    Args:
        coins: None takes every coin that all of `venues` have rates of.
        start_ms, end_ms: Cut to whole hours; None is the first covered hour of any coin, or the end of the last.

    Nothing is filled forward: an hour counts only when every venue has a rate AT that hour. Its prices are the venues' own
    candles where all have one; otherwise the first reference venue's candle stands in for all of them; otherwise it is a hole.

    Raises:
        DataUnusable: A file or column is missing or of the wrong type, a venue or coin is unknown, nothing is covered.
    """
    quality = Quality()
    funding = read_table(path, FUNDING_FILE, FUNDING_COLUMNS)
    candles = read_table(path, CANDLES_FILE, CANDLE_COLUMNS)
    chosen_venues = tuple(dict.fromkeys(venues))
    _require_known("venue", chosen_venues, funding["venue"].drop_nulls().unique().to_list(), FUNDING_FILE)
    chosen = _chosen_coins(funding, chosen_venues, coins)
    funding = cleaned_funding(funding.filter(_is_of(chosen_venues, chosen)), quality)
    priced_by = tuple(dict.fromkeys((*chosen_venues, *REFERENCE_VENUES)))
    candles = cleaned_candles(candles.filter(_is_of(priced_by, chosen)), quality)
    rates = _rates_by_hour(funding)
    prices = _prices_by_hour(candles)
    every = {coin: _covered(coin, chosen_venues, rates, prices) for coin in chosen}
    start_ms, end_ms = _range(path, every, start_ms, end_ms)
    hours = {coin: tuple(h for h in every[coin] if start_ms <= h.at_ms < end_ms) for coin in chosen}
    if not any(hours.values()):
        raise DataUnusable(_nothing_covered(path, chosen_venues, every, start_ms, end_ms))
    for coin in chosen:
        _count_coverage(quality, coin, chosen_venues, rates, hours[coin], (start_ms, end_ms))
    return HourlyData(chosen_venues, chosen, start_ms, end_ms, hours, quality)


# Choice --------------------------------------------------------------------------------------------------------------


def _is_of(venues: Sequence[str], coins: Sequence[str]) -> pl.Expr:
    return pl.col("venue").is_in(list(venues)) & pl.col("coin").is_in(list(coins))


def _chosen_coins(funding: pl.DataFrame, venues: tuple[str, ...], coins: Sequence[str] | None) -> tuple[str, ...]:
    """`coins`, checked against what each venue has; in order of mention."""
    by_venue = {
        venue: set(funding.filter(pl.col("venue") == venue)["coin"].drop_nulls().unique().to_list()) for venue in venues
    }
    common = sorted(set.intersection(*by_venue.values()))
    if coins is None:
        return tuple(common)
    chosen = tuple(dict.fromkeys(coins))
    _require_known("coin", chosen, sorted(set.union(*by_venue.values())), FUNDING_FILE)
    for coin in chosen:
        if lacking := [venue for venue in venues if coin not in by_venue[venue]]:
            raise DataUnusable(
                f"{FUNDING_FILE} has no rate of {coin} on {', '.join(lacking)}; all venues have {', '.join(common)}"
            )
    return chosen


def _require_known(what: str, chosen: Sequence[str], known: Sequence[str], file: str) -> None:
    for name in chosen:
        if name not in known:
            near = get_close_matches(name.casefold(), [k.casefold() for k in known], n=1, cutoff=0.0)
            nearest = next((k for k in known if near and k.casefold() == near[0]), None)
            hint = "" if nearest is None else f"; did you mean {nearest}?"
            raise DataUnusable(f"{file} knows no {what} {name}{hint} It has {', '.join(sorted(known))}")


# Hours ---------------------------------------------------------------------------------------------------------------

_Rates = dict[tuple[str, str], dict[int, Decimal]]
_Prices = dict[tuple[str, str], dict[int, tuple[Decimal, Decimal]]]


def _rates_by_hour(frame: pl.DataFrame) -> _Rates:
    rates: _Rates = {}
    for venue, coin, at_ms, rate in frame.select("venue", "coin", "at_ms", "funding_rate").iter_rows():
        rates.setdefault((venue, coin), {})[at_ms] = _exact(rate)
    return rates


def _prices_by_hour(frame: pl.DataFrame) -> _Prices:
    prices: _Prices = {}
    for venue, coin, at_ms, first, last in frame.select("venue", "coin", "at_ms", "o", "c").iter_rows():
        prices.setdefault((venue, coin), {})[at_ms] = (_exact(first), _exact(last))
    return prices


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _covered(coin: str, venues: tuple[str, ...], rates: _Rates, prices: _Prices) -> tuple[CoveredHour, ...]:
    by_venue = [rates.get((venue, coin), {}) for venue in venues]
    hours = []
    for at_ms in sorted(set.intersection(*(set(of) for of in by_venue))):
        priced = _price_of(coin, venues, at_ms, prices)
        if priced is not None:
            known = {venue: of[at_ms] for venue, of in zip(venues, by_venue, strict=True)}
            found, reference = priced
            hours.append(CoveredHour(at_ms, known, found, reference is not None, reference))
    return tuple(hours)


def _price_of(
    coin: str, venues: tuple[str, ...], at_ms: int, prices: _Prices
) -> tuple[dict[str, tuple[Decimal, Decimal]], str | None] | None:
    """Prices by venue and whose they are (None: their own); None without any."""
    own = {venue: price for venue in venues if (price := prices.get((venue, coin), {}).get(at_ms)) is not None}
    if len(own) == len(venues):
        return own, None
    for reference in REFERENCE_VENUES:
        price = prices.get((reference, coin), {}).get(at_ms)
        if price is not None:
            return dict.fromkeys(venues, price), reference
    return None


def _range(
    path: Path, hours: Mapping[str, tuple[CoveredHour, ...]], start_ms: int | None, end_ms: int | None
) -> tuple[int, int]:
    seen = [hour.at_ms for of in hours.values() for hour in of]
    if not seen and (start_ms is None or end_ms is None):
        raise DataUnusable(f"{path}: no hour has a rate of every venue and a price; choose other venues or coins")
    start_ms = min(seen) if start_ms is None else -(-start_ms // HOUR_MS) * HOUR_MS
    end_ms = max(seen) + HOUR_MS if end_ms is None else end_ms // HOUR_MS * HOUR_MS
    if end_ms <= start_ms:
        raise DataUnusable("--to has to be at least an hour after --from")
    return start_ms, end_ms


def _nothing_covered(
    path: Path, venues: tuple[str, ...], hours: Mapping[str, tuple[CoveredHour, ...]], start_ms: int, end_ms: int
) -> str:
    seen = [hour.at_ms for of in hours.values() for hour in of]
    held = f"it covers {_day(min(seen))} to {_day(max(seen))}" if seen else "it covers no hour at all"
    return (
        f"{path}: no hour from {_day(start_ms)} to {_day(end_ms)} has a rate of {' and '.join(venues)} and a price; "
        f"{held}, choose --from and --to inside"
    )


def _day(at_ms: int) -> str:
    return pl.Series([at_ms]).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d %H:%M").item()  # type: ignore[no-any-return]


def _count_coverage(
    quality: Quality,
    coin: str,
    venues: tuple[str, ...],
    rates: _Rates,
    covered: tuple[CoveredHour, ...],
    span_ms: tuple[int, int],
) -> None:
    inside = {
        venue: {at_ms for at_ms in rates.get((venue, coin), {}) if span_ms[0] <= at_ms < span_ms[1]} for venue in venues
    }
    quality.rate_hours[coin] = {venue: len(hours) for venue, hours in inside.items()}
    quality.hours_without_price[coin] = len(set.intersection(*inside.values())) - len(covered)
