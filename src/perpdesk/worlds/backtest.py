"""What `perpdesk arb backtest` does: read a data folder, replay it, and write result.json, trades.parquet and report.html."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import structlog

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock, SystemClock
from perpdesk.history.dataset import HourlyData, load_hourly
from perpdesk.history.report import render_report
from perpdesk.history.rows import HOUR_MS, DataUnusable
from perpdesk.history.statistics import Coverage, summarise
from perpdesk.history.trades import utc, write_trades
from perpdesk.sandbox.listings import listed_markets
from perpdesk.worlds.hourly_desk import pacing
from perpdesk.worlds.hourly_replay import BacktestOptions, Outcome, replay_hours
from perpdesk.worlds.sandbox import SANDBOX_VENUES

log = structlog.get_logger(__name__)

OUT_FOLDER = Path("var")
MS_PER_DAY = 24 * HOUR_MS

ASSUMPTIONS = (
    "Books are fitted spreads and depths of 2024 to 2026 around the hourly price, the same in calm and in panic; only sizes "
    "that are small beside them are judged fairly.",
    "Inside an hour the price moves in a line from the open to the close of its candle.",
    "The running funding estimate is the last settled rate. A live venue shows the coming one, so the desk here is up to an "
    "hour late on every change.",
    "Where a venue has no candle of its own, one reference price stands in for both legs (price_assumed). Such trades claim "
    "no price profit (basis_unclaimed_usd) but keep every price loss; what the real price difference between the venues "
    "would have paid or cost is not known.",
    "Holes in the data are holes. A pair that is open when one begins is closed two minutes before, at the usual costs.",
    "Orders take milliseconds, nothing is lost or refused, and nobody else wants the same liquidity. A resting order can only "
    "fill when a later book moves through its price.",
    "Fees are the published tiers; interest on collateral, transfers, gas and points are left out.",
)
"""Said with every result."""


def backtest_command(
    data: Path,
    coins: str | Sequence[str] | None = None,
    venues: str | Sequence[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    out: Path | None = None,
    settings: DeskSettings | None = None,
    *,
    options: BacktestOptions | None = None,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Run a backtest and write its files; runs its own virtual loop, so it must not be called from a running one.

    Args:
        data: Folder with `funding_rates.parquet` and `candles_1h.parquet`.
        coins, venues: Names, or a text with commas; None takes all coins, and all venues that can be simulated.
        start, end: As `parse_moment` reads them, end included; None takes what the data covers.
        out: Folder for the files, made when missing; None is `var/backtest-<UTC>`.
        settings: Of the desk, None for the defaults. clock: Real time, for the speed and the folder's name.

    Returns:
        The document of `result.json`; `files` holds the paths.

    Raises:
        ValueError: Something asked for does not exist or can not be done; the message says what to do.
        OSError: `out` can not be written.
    """
    clock, settings, options = clock or SystemClock(), settings or DeskSettings(), options or BacktestOptions()
    read = load_data(data, coins, venues, start, end)
    folder = out or OUT_FOLDER / f"backtest-{utc(clock.wall_ms()):%Y%m%dT%H%M%SZ}"
    folder.mkdir(parents=True, exist_ok=True)
    began_ms = clock.monotonic_ms()
    outcome = replay_hours(read, settings, options)
    elapsed_ms = clock.monotonic_ms() - began_ms
    document = describe(read, outcome, settings, options)
    document |= {
        "elapsed_s": elapsed_ms / 1000,
        "x_real_time": outcome.simulated_ms / elapsed_ms if elapsed_ms else None,
        "files": {name: str(folder / name) for name in ("result.json", "trades.parquet", "report.html")},
    }
    write_files(folder, document, outcome)
    log.info("backtest_written", folder=str(folder))
    return document


def load_data(
    data: Path,
    coins: str | Sequence[str] | None,
    venues: str | Sequence[str] | None,
    start: str | None,
    end: str | None,
) -> HourlyData:
    """The recorded hours that were asked for, as far as they can be simulated. Raises ValueError like `backtest_command`."""
    chosen_venues = parse_venues(venues)
    chosen_coins = parse_coins(coins)
    start_ms = None if start is None else parse_moment(start)
    end_ms = None if end is None else parse_moment(end, is_end=True)
    if chosen_coins is not None:
        return load_hourly(data, chosen_venues, chosen_coins, start_ms, end_ms)
    known = listed_coins()
    read = load_hourly(data, chosen_venues, None, start_ms, end_ms)
    listed = tuple(coin for coin in read.coins if coin in known)
    if not listed:
        raise DataUnusable(f"{data}: none of {', '.join(read.coins)} can be simulated; use {', '.join(known)}")
    return read if listed == read.coins else load_hourly(data, chosen_venues, listed, start_ms, end_ms)


# Arguments -----------------------------------------------------------------------------------------------------------


def parse_venues(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """Two venues that can be simulated, sorted; ValueError for anything else. None is all of them."""
    simulated = sorted(venue.value for venue in SANDBOX_VENUES)
    chosen = tuple(dict.fromkeys(name.lower() for name in _names(text) or simulated))
    for name in chosen:
        if name in simulated:
            continue
        if name in tuple(VenueName):
            raise ValueError(f"{name} is not simulated yet, so it can not be backtested; use {' and '.join(simulated)}")
        raise ValueError(f"no venue is called {name!r}; did you mean {_nearest(name, simulated)}?")
    if len(chosen) < 2:
        raise ValueError(f"a pair needs two venues, {chosen[0]} alone is one; use {' and '.join(simulated)}")
    return tuple(sorted(chosen))


def parse_coins(text: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Coins that both simulated venues list; None for all the data has. ValueError names the nearest known coin."""
    names = _names(text)
    if names is None:
        return None
    known = listed_coins()
    by_upper = {coin.upper(): coin for coin in known}
    for name in names:
        if name.upper() not in by_upper:
            raise ValueError(
                f"no simulated market is called {name!r}; did you mean {_nearest(name.upper(), known)}? "
                f"There are {', '.join(known)}"
            )
    return tuple(dict.fromkeys(by_upper[name.upper()] for name in names))


def listed_coins() -> tuple[str, ...]:
    """Assets that every simulated venue lists, sorted."""
    per_venue = ({m.asset for m in listed_markets(venue, None) if m.is_listed} for venue in SANDBOX_VENUES)
    return tuple(sorted(set.intersection(*per_venue)))


def parse_moment(text: str, is_end: bool = False) -> int:
    """Unix milliseconds of `2025-10`, `2025-10-31` or `2025-10-31T12:00` (UTC unless it says otherwise).

    As an end a month or day is included whole, and a time is the first moment that does not belong. ValueError otherwise.
    """
    for form, is_month in (("%Y-%m", True), ("%Y-%m-%d", False)):
        try:
            day = datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if is_end:
            day = (day + timedelta(days=31)).replace(day=1) if is_month else day + timedelta(days=1)
        return round(day.timestamp() * 1000)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no date; write it as 2025-10, 2025-10-31 or 2025-10-31T12:00") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _names(text: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of a list or of a text with commas; None when there is none."""
    if text is None:
        return None
    parts = text.split(",") if isinstance(text, str) else [part for item in text for part in item.split(",")]
    return tuple(part.strip() for part in parts if part.strip()) or None


def _nearest(name: str, known: Sequence[str]) -> str:
    return get_close_matches(name, known, n=1, cutoff=0.0)[0]


# Results -------------------------------------------------------------------------------------------------------------


def describe(data: HourlyData, outcome: Outcome, settings: DeskSettings, options: BacktestOptions) -> dict[str, Any]:
    """The result as one JSON-ready document; equal for equal arguments."""
    leverage = settings.entry.leverage
    pairs = [
        {
            "coin": coin,
            "venues": list(data.venues),
            **summarise(
                [trade for trade in outcome.trades if trade.coin == coin],
                outcome.coverage[coin],
                outcome.curves[coin],
                leverage,
            ),
        }
        for coin in data.coins
    ]
    everything = sum((outcome.coverage[coin] for coin in data.coins), Coverage())
    return {
        "world": "backtest",
        "seed": options.seed,
        "venues": list(data.venues),
        "coins": list(data.coins),
        "from": utc(data.start_ms).isoformat(),
        "to": utc(data.end_ms).isoformat(),
        "hours_in_range": data.hours_in_range,
        "pairs": pairs,
        "total": summarise(outcome.trades, everything, outcome.total, leverage),
        "entries_not_filled": outcome.not_filled,
        "residual_usd": float(outcome.residual_usd),
        "simulated_days": outcome.simulated_ms / MS_PER_DAY,
        "settings": settings.model_dump(mode="json"),
        "pacing": {**pacing(options.refresh_ms), "refresh_ms": options.refresh_ms},
        "fee_tiers": {venue.value: tier for venue, tier in sorted(options.fee_tiers.items())} or "base tiers",
        "cash_usd": float(options.cash_usd),
        "spread_factor": options.spread_factor,
        "data_quality": _quality(data),
        "assumptions": list(ASSUMPTIONS),
        "warnings": _warnings(outcome),
    }


def _quality(data: HourlyData) -> dict[str, Any]:
    references: dict[str, int] = {}
    for hours in data.hours.values():
        for hour in hours:
            source = hour.reference or "own candles"
            references[source] = references.get(source, 0) + 1
    quality = data.quality
    return {
        "rows": quality.rows,
        "rows_dropped": quality.dropped,
        "rate_hours": quality.rate_hours,
        "hours_with_rates_but_no_price": quality.hours_without_price,
        "price_source_hours": references,
    }


def _warnings(outcome: Outcome) -> list[str]:
    found = []
    if outcome.unclosed:
        found.append(f"not closed at the end: {', '.join(outcome.unclosed)}; their money is not in the trades")
    if outcome.held_in_hole:
        found.append(f"pairs stayed open for {outcome.held_in_hole} hours without data, in which no funding is counted")
    if outcome.residual_usd:
        found.append(f"the venues' accounts gained {outcome.residual_usd} USD more than the trades explain")
    return found


def write_files(folder: Path, document: dict[str, Any], outcome: Outcome) -> None:
    """Write the three files into an existing folder."""
    write_trades(folder / "trades.parquet", outcome.trades)
    page = render_report(document, outcome.total, outcome.curves, outcome.trades)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
