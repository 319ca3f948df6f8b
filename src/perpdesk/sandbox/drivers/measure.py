"""Measures the parameters of the synthetic market from the shared recordings.

What no recording shows is derived from what one does, and `render.py` says so beside the number: small coins' episode
lengths are the large ones', the depth of large coins lies between majors and small ones, and small coins' flow on
Hyperliquid has Lighter's ratio to large ones.
"""

from dataclasses import fields
from math import exp, log, sqrt
from typing import TypeVar

import polars as pl

from perpdesk.domain.assets import VenueName, listing_of
from perpdesk.sandbox.drivers import recordings
from perpdesk.sandbox.drivers.measure_funding import NORMAL_TAIL, demo_episode, premium_parameters
from perpdesk.sandbox.drivers.parameters import (
    AssetClass,
    AssetParameters,
    CommonEpisodes,
    DemoEpisode,
    Depth,
    Flow,
    LadderParameters,
    PremiumBand,
    PremiumParameters,
    SyntheticParameters,
)
from perpdesk.sandbox.drivers.recordings import Recordings, RecordingUnreadable

CLASS_OF = {
    **dict.fromkeys(("BTC", "ETH"), AssetClass.MAJOR),
    **dict.fromkeys(("SOL", "HYPE", "XRP", "DOGE", "SUI"), AssetClass.LARGE),
    **dict.fromkeys(("PEPE", "BONK", "FARTCOIN", "PENGU", "TRUMP", "PURR", "MATIC"), AssetClass.SMALL),
    **dict.fromkeys(("AAPL",), AssetClass.STOCK),
}
"""Every asset the simulated venues list. A new one needs a row here and recordings that show it."""

RENAMED = {"MATIC": "POL"}
"""Delisted assets whose successor's recordings stand in."""

BAND = PremiumBand(low_bps=-4.0, high_bps=6.0, ramp_hours=0.05, wobble=0.2, excess_bps_max=160.0)
"""Band of both venues' funding formulas (hyperliquid.md section 10, lighter.md section 7); the rest is chosen."""
LADDER = LadderParameters(levels=10, size_sigma=0.4)
JUMP_HOURS = 0.1
ORDERS_PER_SECOND_MAX = 1.5
MAD_TO_SD = 1.4826
JUMP_SDS = 4.0
SIMULATED = (VenueName.HYPERLIQUID, VenueName.LIGHTER)


def rounded(value: float) -> float:
    """To four significant digits: what the recordings support at most, and a file that is stable to read."""
    return float(f"{value:.4g}")


def measure(data: Recordings) -> SyntheticParameters:
    """All parameters; RecordingUnreadable names the file and column that is missing."""
    premium = premium_parameters(data, CLASS_OF, BAND)
    return SyntheticParameters(
        assets=asset_parameters(data),
        jump_hours=JUMP_HOURS,
        spread_bps=spreads_bps(data),
        depth=depths(data),
        flow=flows(data),
        premium={venue: {kind: _rounded(row) for kind, row in rows.items()} for venue, rows in premium.own.items()},
        common={kind: _rounded(row) for kind, row in premium.common.items()},
        band=BAND,
        demo=_rounded(demo_episode(data, premium)),
        ladder=LADDER,
    )


Row = TypeVar("Row", PremiumParameters, CommonEpisodes, DemoEpisode)


def _rounded(row: Row) -> Row:
    return type(row)(*(rounded(getattr(row, field.name)) for field in fields(row)))


# Prices -----------------------------------------------------------------------------------------------------------------


def asset_parameters(data: Recordings) -> dict[str, AssetParameters]:
    """Start price, volatility and jumps of every listed asset."""
    prices = start_prices_usd(data)
    ranges = range_volatility(data)
    moves = _hourly_moves(data)
    measured = {asset: _volatility_and_jumps(returns) for asset, returns in moves.items()}
    # Range volatility of two recorded days, put on the scale of the assets that have a year of hourly candles.
    scale = _mean([measured[asset][0] / ranges[asset] for asset in measured if asset in ranges])
    coins = [row for asset, row in measured.items() if CLASS_OF[asset] is not AssetClass.STOCK]
    jump_share = _mean([row[1] for row in coins])
    jump_sds = _mean([row[2] / row[0] for row in coins])
    found: dict[str, AssetParameters] = {}
    for asset, kind in CLASS_OF.items():
        if asset in measured:
            volatility, jumps, size = measured[asset]
        else:
            volatility = ranges.get(asset, _mean([ranges[name] for name in ranges if CLASS_OF[name] is kind])) * scale
            jumps, size = jump_share, jump_sds * volatility
        found[asset] = AssetParameters(kind, prices[asset], rounded(volatility), rounded(jumps), rounded(size))
    return found


def start_prices_usd(data: Recordings) -> dict[str, float]:
    """Median mid over the recorded quotes, per unit of the asset."""
    quotes = _quotes(data).with_columns(mid=(pl.col("bid") + pl.col("ask")) / 2 / pl.col("multiplier"))
    mids = dict(quotes.group_by("asset").agg(pl.col("mid").median()).iter_rows())
    found = {asset: mids.get(RENAMED.get(asset, asset)) for asset in CLASS_OF}
    missing = [asset for asset, price in found.items() if price is None]
    if missing:
        raise RecordingUnreadable(f"{recordings.QUOTES} quotes no {', '.join(missing)}; take them out of the listings")
    return {asset: rounded(price) for asset, price in found.items() if price is not None}


def range_volatility(data: Recordings) -> dict[str, float]:
    """Hourly volatility from Lighter's daily high and low (Parkinson): sqrt(ln(high/low)^2 / (4 ln 2) / 24)."""
    names = {row["market_id"]: row["symbol"] for row in data.document(recordings.LIGHTER_MARKETS)}
    stats = data.table(recordings.LIGHTER_STATS, "market_id", "daily_price_low", "daily_price_high")
    found: dict[str, float] = {}
    for market_id, low, high in stats.group_by("market_id").median().sort("market_id").iter_rows():
        asset = listing_of(VenueName.LIGHTER, names[market_id]).asset if market_id in names else None
        if asset in CLASS_OF and low and high:
            found[asset] = sqrt(log(high / low) ** 2 / (4 * log(2)) / 24)
    return found


def daily_volatility(data: Recordings) -> dict[str, float]:
    """Robust standard deviation of daily log returns, to hold the hourly one against."""
    candles = data.table(recordings.CANDLES_DAILY, "symbol", "open", "close")
    moves = candles.select("symbol", move=(pl.col("close") / pl.col("open")).log().abs())
    return {coin: mad * MAD_TO_SD for coin, mad in sorted(moves.group_by("symbol").median().iter_rows())}


def _hourly_moves(data: Recordings) -> dict[str, pl.Series]:
    candles = data.table(recordings.CANDLES_HOURLY, "venue", "coin", "o", "c").filter(pl.col("venue") == "binance")
    moves = {
        str(coin): rows.select((pl.col("c") / pl.col("o")).log()).to_series()
        for (coin,), rows in candles.partition_by("coin", as_dict=True).items()
    }
    stocks = data.table(recordings.STOCKS_HOURLY, "ticker", "timestamp", "price").sort("timestamp")
    for asset, kind in CLASS_OF.items():
        if kind is AssetClass.STOCK:
            rows = stocks.filter(pl.col("ticker") == f"xyz:{asset}")
            moves[asset] = rows.select(pl.col("price").log().diff()).to_series().drop_nulls()
    return moves


def _volatility_and_jumps(returns: pl.Series) -> tuple[float, float, float]:
    """(diffusive standard deviation, share of hours that jump, standard deviation of the jumps).

    A jump is a move beyond JUMP_SDS robust deviations; its size is what is left after the diffusion.
    """
    robust = _number(returns.abs().median()) * MAD_TO_SD
    calm = returns.filter(returns.abs() <= JUMP_SDS * robust)
    jumps = returns.filter(returns.abs() > JUMP_SDS * robust)
    volatility = _number(calm.std())
    size = sqrt(max(_number((jumps * jumps).mean()) - volatility**2, 0.0))
    return volatility, len(jumps) / len(returns), size


# Liquidity --------------------------------------------------------------------------------------------------------------


def spreads_bps(data: Recordings) -> dict[VenueName, dict[str, float]]:
    """Median spread per venue and listed asset, and per class for assets without quotes of their own."""
    quotes = _quotes(data).with_columns(bps=(pl.col("ask") - pl.col("bid")) / (pl.col("ask") + pl.col("bid")) * 20_000)
    found: dict[VenueName, dict[str, float]] = {}
    for venue in SIMULATED:
        here = quotes.filter(pl.col("venue") == venue.value)
        medians = {asset: rounded(bps) for asset, bps in here.group_by("asset").agg(pl.col("bps").median()).iter_rows()}
        own = {asset: medians[asset] for asset in CLASS_OF if asset in medians}
        others = here.filter(~pl.col("asset").is_in(list(CLASS_OF)) & (pl.col("kind") == "crypto"))
        classes = {
            kind.value: rounded(_mean([bps for asset, bps in own.items() if CLASS_OF[asset] is kind]))
            for kind in AssetClass
            if any(CLASS_OF[asset] is kind for asset in own)
        }
        classes[AssetClass.SMALL.value] = rounded(_number(others["bps"].median()))
        found[venue] = {**classes, **own}
    return found


def depths(data: Recordings) -> dict[VenueName, dict[AssetClass, Depth]]:
    """Level spacing and notional per level."""
    scans = _scanned_depths(data)
    deep = _number(data.table(recordings.DEPTH, "depth_50bps")["depth_50bps"].median()) / 2
    major_usd = {VenueName.HYPERLIQUID: deep, VenueName.LIGHTER: _number(scans[VenueName.LIGHTER].quantile(0.9))}
    spacing_bps = _recorded_spacing_bps(data)
    spread = spreads_bps(data)
    found: dict[VenueName, dict[AssetClass, Depth]] = {}
    for venue in SIMULATED:
        small_usd = _number(scans[venue].median())
        sides = {
            AssetClass.MAJOR: major_usd[venue],
            AssetClass.LARGE: sqrt(major_usd[venue] * small_usd),
            AssetClass.SMALL: small_usd,
        }
        if AssetClass.STOCK.value in spread[venue]:
            sides[AssetClass.STOCK] = small_usd
        found[venue] = {
            kind: Depth(
                rounded(spacing_bps if kind is AssetClass.MAJOR else spread[venue][kind.value] / 2),
                rounded(side_usd / LADDER.levels),
            )
            for kind, side_usd in sides.items()
        }
    return found


def _recorded_spacing_bps(data: Recordings) -> float:
    """Span of the 20 recorded levels of BTC and ETH, spread over the ladder's levels."""
    spans = []
    for coin in ("BTC", "ETH"):
        books = data.table(recordings.books_of(coin), "bid_price_0", "bid_price_19")
        span = (books["bid_price_0"] - books["bid_price_19"]) / books["bid_price_0"] * 10_000
        spans.append(_number(span.median()))
    return _mean(spans) / (LADDER.levels - 1)


def _scanned_depths(data: Recordings) -> dict[VenueName, pl.Series]:
    columns = ("long_venue", "long_depth_usd", "short_venue", "short_depth_usd")
    scans = data.table(recordings.SCANS, *columns)
    both = pl.concat(
        [
            scans.select(venue="long_venue", usd="long_depth_usd"),
            scans.select(venue="short_venue", usd="short_depth_usd"),
        ]
    ).filter(pl.col("usd") > 0)
    return {venue: both.filter(pl.col("venue") == venue.value)["usd"] for venue in SIMULATED}


def _quotes(data: Recordings) -> pl.DataFrame:
    """Recorded top of book of both simulated venues with asset, multiplier and kind."""
    quotes = data.table(recordings.QUOTES, "venue", "symbol", "bid", "ask")
    quotes = quotes.filter(pl.col("venue").is_in([venue.value for venue in SIMULATED]) & (pl.col("bid") > 0))
    names = quotes.select("venue", "symbol").unique().rows()
    read = [(venue, symbol, listing_of(VenueName(venue), symbol)) for venue, symbol in names]
    listings = pl.DataFrame(
        [(venue, symbol, row.asset, float(row.multiplier), row.kind.value) for venue, symbol, row in read],
        schema=["venue", "symbol", "asset", "multiplier", "kind"],
        orient="row",
    )
    return quotes.join(listings, on=["venue", "symbol"])


# Flow -------------------------------------------------------------------------------------------------------------------


def flows(data: Recordings) -> dict[VenueName, dict[AssetClass, Flow]]:
    """Aggressive orders per second and their notional."""
    daily_usd = _lighter_daily_usd(data)
    lighter_sizes = pl.concat([data.table(recordings.lighter_trades_of(coin), "usd_amount") for coin in ("BTC", "ETH")])
    median, sigma = _lognormal(lighter_sizes["usd_amount"])
    mean_usd = median * exp(sigma**2 / 2)
    lighter = {
        kind: Flow(rounded(min(usd / 86_400 / mean_usd, ORDERS_PER_SECOND_MAX)), rounded(median), rounded(sigma))
        for kind, usd in daily_usd.items()
    }
    lighter[AssetClass.STOCK] = lighter[AssetClass.SMALL]
    major = _hyperliquid_flow(data)
    hyperliquid = {
        kind: Flow(
            rounded(major.orders_per_second * min(sqrt(daily_usd[kind] / daily_usd[AssetClass.MAJOR]), 1.0)),
            rounded(major.order_usd_median),
            rounded(major.order_usd_sigma),
        )
        for kind in (AssetClass.MAJOR, AssetClass.LARGE, AssetClass.SMALL)
    }
    return {VenueName.HYPERLIQUID: hyperliquid, VenueName.LIGHTER: lighter}


def _hyperliquid_flow(data: Recordings) -> Flow:
    """BTC and ETH together: trades of one side in one millisecond are one aggressive order."""
    rates, orders = [], []
    for coin in ("BTC", "ETH"):
        columns = ("trade_id", "exchange_timestamp", "side", "price", "size")
        trades = data.table(recordings.hyperliquid_trades_of(coin), *columns).unique(
            "trade_id", keep="first", maintain_order=True
        )
        taken = trades.group_by("exchange_timestamp", "side").agg(usd=(pl.col("price") * pl.col("size")).sum())
        stamps = trades["exchange_timestamp"]
        rates.append(len(taken) / (_number(stamps.max()) - _number(stamps.min())) * 1_000)
        orders.append(taken.select("usd"))
    median, sigma = _lognormal(pl.concat(orders)["usd"])
    return Flow(_mean(rates), median, sigma)


def _lighter_daily_usd(data: Recordings) -> dict[AssetClass, float]:
    names = {row["market_id"]: row["symbol"] for row in data.document(recordings.LIGHTER_MARKETS)}
    stats = data.table(recordings.LIGHTER_STATS, "market_id", "daily_quote_token_volume")
    volumes: dict[AssetClass, list[float]] = {}
    for market_id, usd in stats.group_by("market_id").median().sort("market_id").iter_rows():
        kind = CLASS_OF.get(listing_of(VenueName.LIGHTER, names[market_id]).asset) if market_id in names else None
        if kind is not None:
            volumes.setdefault(kind, []).append(usd)
    return {kind: _number(pl.Series(volumes[kind]).median()) for kind in AssetClass if kind in volumes}


def _lognormal(values: pl.Series) -> tuple[float, float]:
    """(median, sigma of the natural logarithm) through the median and the 95 % point."""
    median, tail = _number(values.median()), _number(values.quantile(0.95))
    return median, log(tail / median) / NORMAL_TAIL


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise RecordingUnreadable(f"a recording has too few rows to measure from: got {value!r}")
