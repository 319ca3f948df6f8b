"""Writes parameters as the commented TOML that the product ships, and flattens them for a side-by-side table."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from perpdesk.sandbox.drivers import recordings
from perpdesk.sandbox.drivers.parameters import SyntheticParameters

_HEAD = """\
# Parameters of the simulated markets. Written by `python -m perpdesk.sandbox.drivers.fit --data PATH --write`
# from recordings of real venues; edit fit's measurements, not this file. Numbers are rounded to four digits.
"""

_ASSETS = f"""\
# Fair price of each asset, the same on every venue.
# start_price_usd    USD per unit of the asset: median mid of {recordings.QUOTES}.
# volatility_hourly  fraction, standard deviation of the diffusive hourly log return. BTC ETH SOL HYPE: Binance hours of
#                    {recordings.CANDLES_HOURLY} without moves beyond 4 robust deviations.
#                    AAPL: {recordings.STOCKS_HOURLY}. Others: daily ranges (Parkinson) of
#                    {recordings.LIGHTER_STATS}, scaled by what
#                    the former measure against the latter; PURR and MATIC: mean of their class.
# jumps_per_hour     hours beyond 4 robust deviations, as a share of all hours.
# jump_size          fraction, standard deviation of a jump; assets without hourly candles: mean multiple of the volatility.
# MATIC is delisted and takes POL's price.
"""
_JUMPS = """\
# hours  relaxation time over which a jump plays out. Chosen: recorded moves of an hour are not one tick.
"""
_SPREAD = f"""\
# Best ask less best bid, bps of the mid: median of {recordings.QUOTES}. The class rows are
# for assets without quotes of their own; small: median over all other coins the venue quotes.
"""
_DEPTH = f"""\
# level_spacing_bps  distance between levels. major: span of the 20 recorded levels of hl_books_trades_2025_09_04 (BTC, ETH),
#                    on both venues, for Lighter has no recorded depth. Others: half the class's spread (chosen).
# level_usd          mean notional per level. Hyperliquid major: half of the median depth_50bps (taken as both sides) of
#                    {recordings.DEPTH} over the ladder. small: median *_depth_usd of
#                    {recordings.SCANS}; Lighter major: their 90 % point.
#                    large: geometric mean of major and small, not recorded. stock: as small, not recorded.
"""
_FLOW = f"""\
# Anonymous aggressive orders, a Poisson process with lognormal notional.
# Hyperliquid major: hl_books_trades_2025_09_04, trades of one side in one millisecond are one order; its other classes are
# scaled by the square root of Lighter's volume ratios, not recorded.
# Lighter: sizes of lighter_bbo_trades_2025_09_15; rate = daily volume of
# {recordings.LIGHTER_STATS} over the mean size, at most 1.5/s. stock: as small.
# order_usd_median USD; order_usd_sigma of the natural logarithm, through the 95 % point.
"""
_PREMIUM = f"""\
# Premium of the mid over the index. One "hour" is one funding interval.
# calm_mean_bps, calm_sd_bps, memory_hours  hours inside the band, BTC and ETH on Hyperliquid, used everywhere:
#                    {recordings.FUNDING_LONG}.
# onsets_per_hour, duration_hours_median, duration_sigma, excess_bps_median, excess_sigma, positive_share
#                    episodes off the baseline rate by more than 0.02 bps per hour. major, large: hourly rates of
#                    {recordings.FUNDING}, holes never bridged. small, stock: share and
#                    heights of {recordings.SNAPSHOT}; lengths as large, not recorded;
#                    stock: one of 13 stocks was off the baseline, heights as small.
#                    excess: bps of premium beyond the band's edge, an eighth of it is hourly rate.
"""
_COMMON = """\
# Episodes of both venues together, in one direction: hours in which both are off the baseline beyond what two independent
# venues would show, from the same recordings as above. stock: none, only one venue lists it.
"""
_BAND = """\
# low_bps, high_bps  premiums between which both venues' formulas charge the baseline.
# ramp_hours         relaxation time towards and from an episode; wobble: noise of an episode as a part of its excess;
# excess_bps_max     longest tail, 20 bps per hour. The last three are chosen.
"""
_DEMO = f"""\
# The episode a demo starts with. spread_bps_per_hour: the widest difference between Lighter and Hyperliquid or Extended in
# {recordings.SNAPSHOT}. duration_hours: 95 % point of Lighter's large class.
"""
_LADDER = """\
# levels per side; size_sigma: standard deviation of the natural logarithm of a level's size. Both chosen.
"""


def render(parameters: SyntheticParameters) -> str:
    """The whole file, byte for byte the same for equal parameters."""
    parts = [_HEAD, _commented(_ASSETS, _tables("assets", parameters.assets))]
    parts.append(_commented(_JUMPS, [_table("jumps", {"hours": parameters.jump_hours})]))
    parts.append(
        _commented(_SPREAD, [_table(f"spread_bps.{venue}", row) for venue, row in parameters.spread_bps.items()])
    )
    for comment, key in ((_DEPTH, "depth"), (_FLOW, "flow"), (_PREMIUM, "premium")):
        by_venue: Mapping[Any, Mapping[Any, Any]] = getattr(parameters, key)
        tables = [table for venue, rows in by_venue.items() for table in _tables(f"{key}.{venue}", rows)]
        parts.append(_commented(comment, tables))
    parts.append(_commented(_COMMON, _tables("common", parameters.common)))
    for comment, key in ((_BAND, "band"), (_DEMO, "demo"), (_LADDER, "ladder")):
        parts.append(_commented(comment, [_table(key, _values(getattr(parameters, key)))]))
    return "\n".join(parts)


def flatten(parameters: SyntheticParameters) -> dict[str, float | str]:
    """Every value by its dotted key."""
    return dict(_leaves("", parameters))


def _leaves(key: str, node: Any) -> Iterator[tuple[str, float | str]]:
    if isinstance(node, int | float | str):
        yield key, node
        return
    children = node if isinstance(node, Mapping) else {field.name: getattr(node, field.name) for field in fields(node)}
    for name, child in children.items():
        yield from _leaves(f"{key}.{name}" if key else str(name), child)


def _commented(comment: str, tables: list[str]) -> str:
    return comment + "\n" + "\n".join(tables)


def _tables(prefix: str, rows: Mapping[Any, Any]) -> list[str]:
    return [_table(f"{prefix}.{name}", _values(row)) for name, row in rows.items()]


def _values(row: Any) -> dict[str, Any]:
    named = {field.name: getattr(row, field.name) for field in fields(row)}
    return {"class" if name == "asset_class" else name: value for name, value in named.items()}


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = "".join(f"{key} = {_literal(value)}\n" for key, value in values.items())
    return f"[{name}]\n{lines}"


def _literal(value: float | int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
