"""Measures how funding behaves: how often it leaves the baseline, for how long, how far, and in which direction.

A recorded hour is in an episode when its rate is off the baseline by more than OFF_BPS_PER_HOUR. A venue's formula charges
an eighth of the premium beyond the band, so the distance of the rate from the baseline x 8 is the premium's excess.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import exp, log
from typing import NamedTuple

import polars as pl

from perpdesk.domain.assets import AssetKind, VenueName, listing_of
from perpdesk.sandbox.drivers import recordings
from perpdesk.sandbox.drivers.parameters import (
    AssetClass,
    CommonEpisodes,
    DemoEpisode,
    PremiumBand,
    PremiumParameters,
)
from perpdesk.sandbox.drivers.premium import RATE_HOURS
from perpdesk.sandbox.drivers.recordings import Recordings, RecordingUnreadable

OFF_BPS_PER_HOUR = 0.02
BASELINE_BPS_PER_HOUR = {VenueName.HYPERLIQUID: 0.125, VenueName.LIGHTER: 0.12}
BASELINE_BPS_PER_8H = 1.0
"""Of the snapshot, which rounds to 0.1."""
PARTIAL_HOURS = 1.0
"""An hour shows an episode only when it covers almost all of it, so an episode lasts this much longer than its hours."""
NORMAL_TAIL = 1.645
"""Standard deviations from the median to the 95 % point of a normal distribution."""


class _Runs(NamedTuple):
    """Hours of recordings, cut into calm ones and runs of hours off the baseline.

    Attributes:
        hours: All. lengths: Of the runs that begin and end inside a stretch without holes. begun: All runs seen to begin.
        excess_bps: Of every hour in a run, signed.
    """

    hours: int
    lengths: list[int]
    begun: int
    excess_bps: list[float]


class FittedPremium(NamedTuple):
    """Episodes of one venue alone, per venue and class, and those that both venues share, per class."""

    own: dict[VenueName, dict[AssetClass, PremiumParameters]]
    common: dict[AssetClass, CommonEpisodes]


def premium_parameters(data: Recordings, class_of: Mapping[str, AssetClass], band: PremiumBand) -> FittedPremium:
    """Majors and large coins from hourly histories, small coins and stocks from one snapshot of all coins."""
    history = _hourly_rates(data)
    calm = PremiumParameters(*_calm(data, band), *(0.0,) * 6)
    fitted = FittedPremium({venue: {} for venue in BASELINE_BPS_PER_HOUR}, {})
    for kind in (AssetClass.MAJOR, AssetClass.LARGE):
        coins = [asset for asset, its in class_of.items() if its is kind]
        here = history.filter(pl.col("coin").is_in(coins))
        fitted.common[kind] = common = _common_from_history(here)
        for venue in BASELINE_BPS_PER_HOUR:
            runs = _runs(here.filter(pl.col("venue") == venue.value))
            fitted.own[venue][kind] = _from_runs(runs, calm, common)
    snapshot = _snapshot_excess(data, class_of)
    fitted.common[AssetClass.SMALL] = common = _common_from_snapshot(snapshot, fitted.common[AssetClass.LARGE])
    for venue, rows in fitted.own.items():
        small = list(snapshot[venue, AssetClass.SMALL].values())
        rows[AssetClass.SMALL] = _from_snapshot(small, rows[AssetClass.LARGE], common)
        if stocks := snapshot.get((venue, AssetClass.STOCK)):
            rows[AssetClass.STOCK] = _with_share(rows[AssetClass.SMALL], _share(map(_is_off, stocks.values())))
    fitted.common[AssetClass.STOCK] = replace(common, onsets_per_hour=0.0)
    return fitted


def demo_episode(data: Recordings, fitted: FittedPremium) -> DemoEpisode:
    """The widest difference between Lighter and another of our venues in the snapshot, and a long episode's length."""
    rates = _snapshot(data)
    lighter = rates["lighter"]
    widest = max(
        abs(lighter[coin] - rates[venue][coin])
        for venue in ("hyperliquid", "extended")
        for coin in lighter.keys() & rates[venue].keys()
    )
    large = fitted.own[VenueName.LIGHTER][AssetClass.LARGE]
    long_hours = large.duration_hours_median * exp(NORMAL_TAIL * large.duration_sigma)
    return DemoEpisode(widest / RATE_HOURS, long_hours)


def recorded_differences(data: Recordings, class_of: Mapping[str, AssetClass]) -> dict[AssetClass, pl.Series]:
    """Absolute difference of the two venues' settled rates in bps per hour, one row per hour that both recorded."""
    rates = data.table(recordings.FUNDING, "timestamp", "venue", "coin", "funding_rate")
    hourly = rates.filter(pl.col("coin").is_in(list(class_of))).with_columns(hour=pl.col("timestamp").dt.truncate("1h"))
    wide = hourly.pivot(on="venue", index=["coin", "hour"], values="funding_rate", aggregate_function="last")
    first, second = (pl.col(venue.value) for venue in BASELINE_BPS_PER_HOUR)
    both = wide.select("coin", bps=(first - second).abs() * 10_000).drop_nulls()
    kinds = (AssetClass.MAJOR, AssetClass.LARGE)
    return {
        kind: both.filter(pl.col("coin").is_in([asset for asset, its in class_of.items() if its is kind]))["bps"]
        for kind in kinds
    }


def _hourly_rates(data: Recordings) -> pl.DataFrame:
    """venue, coin, hour (since 1970) and off_bps: premium excess of that hour over the band, signed, 0 at the baseline."""
    rates = data.table(recordings.FUNDING, "timestamp", "venue", "coin", "funding_rate")
    baselines = pl.DataFrame(
        {"venue": [str(v) for v in BASELINE_BPS_PER_HOUR], "base": list(BASELINE_BPS_PER_HOUR.values())}
    )
    hour = pl.col("timestamp").dt.truncate("1h").dt.epoch("s") // 3600
    off = (pl.col("funding_rate") * 10_000 - pl.col("base")) * RATE_HOURS
    return rates.join(baselines, on="venue", maintain_order="left").select("venue", "coin", hour=hour, off_bps=off)


def _is_off(off_bps: float) -> bool:
    return abs(off_bps) > OFF_BPS_PER_HOUR * RATE_HOURS


def _share(facts: Iterable[bool]) -> float:
    known = list(facts)
    return sum(known) / len(known)


def _runs(rates: pl.DataFrame) -> _Runs:
    hours, begun, lengths, excess = 0, 0, [], []
    for rows in rates.sort("hour").partition_by("coin", maintain_order=True):
        previous_hour, length, is_whole = None, 0, False
        for hour, off_bps in rows.select("hour", "off_bps").iter_rows():
            is_hole = previous_hour is None or hour != previous_hour + 1
            if is_hole:
                length = 0  # A run that a hole cuts has no known length.
            if _is_off(off_bps):
                if length == 0:
                    is_whole = not is_hole
                    begun += is_whole
                length += 1
                excess.append(off_bps)
            else:
                if length and is_whole:
                    lengths.append(length)
                length = 0
            hours += 1
            previous_hour = hour
    return _Runs(hours, lengths, begun, excess)


def _from_runs(runs: _Runs, calm: PremiumParameters, common: CommonEpisodes) -> PremiumParameters:
    median, sigma = _durations(runs)
    row = replace(calm, duration_hours_median=median, duration_sigma=sigma, **_excess(runs.excess_bps))
    return _with_share(row, _own_share(len(runs.excess_bps) / runs.hours, common))


def _from_snapshot(off_bps: list[float], large: PremiumParameters, common: CommonEpisodes) -> PremiumParameters:
    """How many coins are off the baseline at one moment and how far, with the lengths of large coins' episodes."""
    off = [bps for bps in off_bps if _is_off(bps)]
    return _with_share(replace(large, **_excess(off)), _own_share(len(off) / len(off_bps), common))


def _common_from_history(rates: pl.DataFrame) -> CommonEpisodes:
    """Hours in which both venues are off the baseline in one direction, beyond what two independent venues would show."""
    wide = rates.pivot(on="venue", index=["coin", "hour"], values="off_bps", aggregate_function="last").drop_nulls()
    first, second = (pl.col(venue.value) for venue in BASELINE_BPS_PER_HOUR)
    threshold = OFF_BPS_PER_HOUR * RATE_HOURS
    is_joint = (first.abs() > threshold) & (second.abs() > threshold) & (first * second > 0)
    runs = _runs(wide.select("coin", "hour", off_bps=pl.when(is_joint).then(first).otherwise(0.0)))
    median, sigma = _durations(runs)
    first_off, second_off = (_share(map(_is_off, wide[venue.value])) for venue in BASELINE_BPS_PER_HOUR)
    shown = _common_share(first_off, second_off, len(runs.excess_bps) / runs.hours)
    common = CommonEpisodes(0.0, median, sigma, _number((pl.Series(runs.excess_bps) > 0).mean()))
    return replace(common, onsets_per_hour=_onsets_per_hour(shown, median, sigma))


def _common_from_snapshot(
    snapshot: Mapping[tuple[VenueName, AssetClass], dict[str, float]], large: CommonEpisodes
) -> CommonEpisodes:
    """The same from coins that both venues list at one moment, with the lengths of large coins' episodes."""
    first, second = (snapshot[venue, AssetClass.SMALL] for venue in BASELINE_BPS_PER_HOUR)
    pairs = [(first[asset], second[asset]) for asset in first.keys() & second.keys()]
    joint = [a for a, b in pairs if _is_off(a) and _is_off(b) and a * b > 0]
    shown = _common_share(
        _share(_is_off(a) for a, _ in pairs), _share(_is_off(b) for _, b in pairs), len(joint) / len(pairs)
    )
    onsets = _onsets_per_hour(shown, large.duration_hours_median, large.duration_sigma)
    return replace(large, onsets_per_hour=onsets, positive_share=_share(a > 0 for a in joint))


def _common_share(first: float, second: float, joint: float) -> float:
    """Time share c of common episodes, from joint = c + (first - c)(second - c) / (1 - c); zero when there is no excess."""
    return max((joint - first * second) / (1 + joint - first - second), 0.0)


def _own_share(shown: float, common: CommonEpisodes) -> float:
    """What is left of the hours off the baseline outside common episodes."""
    mean_hours = common.duration_hours_median * exp(common.duration_sigma**2 / 2)
    shared = common.onsets_per_hour * (mean_hours - PARTIAL_HOURS) / (1 + common.onsets_per_hour * mean_hours)
    return max((shown - shared) / (1 - shared), 0.0)


def _with_share(row: PremiumParameters, shown: float) -> PremiumParameters:
    """`row` with the onsets that keep a share of `shown` hours off the baseline."""
    return replace(row, onsets_per_hour=_onsets_per_hour(shown, row.duration_hours_median, row.duration_sigma))


def _onsets_per_hour(shown: float, duration_hours_median: float, duration_sigma: float) -> float:
    mean_hours = duration_hours_median * exp(duration_sigma**2 / 2)
    # A part of each episode is too short of an hour to show; the time spent in episodes is longer by as much.
    share = min(shown * mean_hours / (mean_hours - PARTIAL_HOURS), 0.95)
    return share / (1 - share) / mean_hours


def _durations(runs: _Runs) -> tuple[float, float]:
    """(median, sigma) of the lognormal length whose median and mean are the recorded ones."""
    lengths = pl.Series([length + PARTIAL_HOURS for length in runs.lengths])
    median, mean = _number(lengths.median()), _number(lengths.mean())
    return median, (2 * log(max(mean / median, 1.0))) ** 0.5


def _excess(off_bps: list[float]) -> dict[str, float]:
    signed = pl.Series(off_bps, dtype=pl.Float64)
    median, tail = _number(signed.abs().median()), _number(signed.abs().quantile(0.95))
    return {
        "excess_bps_median": median,
        "excess_sigma": log(tail / median) / NORMAL_TAIL,
        "positive_share": _number((signed > 0).mean()),
    }


def _calm(data: Recordings, band: PremiumBand) -> tuple[float, float, float]:
    """(mean, standard deviation, relaxation hours) of the premium in hours inside the band, BTC and ETH on Hyperliquid."""
    rows = data.table(recordings.FUNDING_LONG, "timestamp", "symbol", "premium").sort("timestamp")
    premium = rows.with_columns(bps=pl.col("premium") * 10_000, hour=pl.col("timestamp").dt.epoch("s") // 3600)
    inside = pl.col("bps").is_between(band.low_bps, band.high_bps)
    pairs = premium.with_columns(
        next_bps=pl.col("bps").shift(-1).over("symbol"), next_hour=pl.col("hour").shift(-1).over("symbol")
    ).filter(pl.col("next_hour") == pl.col("hour") + 1)
    correlation = _number(pairs.select(pl.corr("bps", "next_bps")).item())
    calm = premium.filter(inside)["bps"]
    return _number(calm.mean()), _number(calm.std()), -1 / log(correlation)


def _snapshot(data: Recordings) -> dict[str, dict[str, float]]:
    document = data.document(recordings.SNAPSHOT)
    rates = document.get("funding_rates") if isinstance(document, dict) else None
    if not isinstance(rates, dict):
        raise RecordingUnreadable(f"{recordings.SNAPSHOT} has no key funding_rates")
    missing = [venue for venue in ("lighter", "hyperliquid", "extended") if venue not in rates]
    if missing:
        raise RecordingUnreadable(f"{recordings.SNAPSHOT} has no funding_rates of {', '.join(missing)}")
    return rates


def _snapshot_excess(
    data: Recordings, class_of: Mapping[str, AssetClass]
) -> dict[tuple[VenueName, AssetClass], dict[str, float]]:
    """Signed excess in bps by asset, of coins that are neither major nor large and of stocks on the venue's own list."""
    found: dict[tuple[VenueName, AssetClass], dict[str, float]] = {}
    rates = _snapshot(data)
    for venue in BASELINE_BPS_PER_HOUR:
        for name, rate in rates[venue.value].items():
            if not name or ":" in name:
                continue  # One recorded row has no name; builder dexes (dex:COIN) have formulas of their own.
            listing = listing_of(venue, name)
            kind = class_of.get(listing.asset, AssetClass.SMALL)
            if listing.kind is AssetKind.EQUITY:
                kind = AssetClass.STOCK
            elif listing.kind is not AssetKind.CRYPTO or kind is not AssetClass.SMALL:
                continue
            found.setdefault((venue, kind), {})[listing.asset] = float(rate) - BASELINE_BPS_PER_8H
    return found


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise RecordingUnreadable(f"a funding recording has too few rows to measure from: got {value!r}")
