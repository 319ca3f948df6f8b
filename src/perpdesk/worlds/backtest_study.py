"""Replays one data folder under many settings and prints a table: `python -m perpdesk.worlds.backtest_study --data PATH`.

Where the numbers of `docs/backtest.md` come from. Every variant that is tried is shown, not only the best: the best of many on
one stretch of data is no promise for the next.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import structlog

from perpdesk.arbitrage.settings import DeskSettings, EntrySettings, ExecutionSettings, ExitSettings
from perpdesk.domain.assets import VenueName
from perpdesk.history.dataset import HourlyData
from perpdesk.history.rows import HOUR_MS
from perpdesk.history.statistics import hindsight_bps
from perpdesk.worlds.backtest import describe, load_data
from perpdesk.worlds.hourly_replay import BacktestOptions, replay_hours


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the study: what is changed from the defaults."""

    name: str
    entry: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    exits: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> DeskSettings:
        """The desk's settings of this row."""
        return DeskSettings(
            entry=EntrySettings(**self.entry),
            execution=ExecutionSettings(**self.execution),
            exits=ExitSettings(**self.exits),
        )


VIP3 = {"fee_tiers": {VenueName.HYPERLIQUID: "vip3"}}
PREMIUM = {"fee_tiers": {VenueName.LIGHTER: "premium"}}
EARLIER_ENTRY = {"hold_hours": 48.0, "break_even_hours_max": 36.0}
EARLIER_EXITS = {"flip_confirm_ms": 600_000}
"""The defaults before these months were replayed; they stay in the table because they are why today's refuse more."""
PATIENT = {"carry_bps_per_hour_min": -0.3, "flip_confirm_ms": 12 * 3_600_000}
"""Hold through longer flips: half a day below -0.3 bps an hour before a pair is given up."""
RESTING = {"style": "maker", "maker_wait_ms": 1_200_000}
RARELY_ASKED = {"order_check_ms": 1_200_000}
"""A resting order is not asked about every other second of the twenty minutes in which it sees one later book."""

VARIANTS = (
    Variant("defaults"),
    Variant("earlier defaults (costs over 48 h, break-even 36 h, flips of 10 min)", EARLIER_ENTRY, exits=EARLIER_EXITS),
    Variant("costs over 48 h, break-even 36 h", EARLIER_ENTRY),
    Variant("costs over 24 h, break-even 24 h", {"hold_hours": 24.0, "break_even_hours_max": 24.0}),
    Variant("costs over 4 h", {"hold_hours": 4.0}),
    Variant("costs over 1 h", {"hold_hours": 1.0}),
    Variant("carry >= 1 bps/h", {"carry_bps_per_hour_min": 1.0}),
    Variant("carry >= 2 bps/h", {"carry_bps_per_hour_min": 2.0}),
    Variant("carry >= 5 bps/h", {"carry_bps_per_hour_min": 5.0}),
    Variant("flips of 10 min", exits=EARLIER_EXITS),
    Variant("flips of 24 h", exits={"flip_confirm_ms": 24 * 3_600_000}),
    Variant("patient", exits=PATIENT),
    Variant("Hyperliquid vip3", options=VIP3),
    Variant("patient, Hyperliquid vip3", exits=PATIENT, options=VIP3),
    Variant("Lighter premium", options=PREMIUM),
    Variant("half the spread", options={"spread_factor": 0.5}),
    Variant("twice the spread", options={"spread_factor": 2.0}),
    Variant("resting first leg, 20 min", RESTING, RARELY_ASKED),
    Variant("resting first leg, patient", RESTING, RARELY_ASKED, PATIENT),
)

WAY_FEES_BPS = {"taker": 4.5, "Hyperliquid vip3 taker": 3.0, "Hyperliquid maker": 1.5, "no fee": 0.0}
"""Fees of one way in or out, both legs; Lighter's standard account pays none."""

COLUMNS = ("trades", "trades_won", "hours_in_market", "funding_usd", "fees_usd", "slippage_usd", "price_usd", "net_usd")


def run(data: Path, names: Sequence[str], start: str | None, end: str | None) -> list[dict[str, Any]]:
    """Replay every variant, or those of `names`; the documents of `worlds.backtest.describe`, each with its `name`."""
    read = load_data(data, None, None, start, end)
    rows = []
    for variant in VARIANTS:
        if names and variant.name not in names:
            continue
        options = BacktestOptions(**variant.options)
        settings = variant.settings()
        document = describe(read, replay_hours(read, settings, options), settings, options)
        rows.append({"name": variant.name, **document})
        sys.stderr.write(f"{variant.name}: {document['total']['net_usd']:.2f} USD\n")
    return rows


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """The totals as a Markdown table."""
    head = "| settings | trades | won | pair-hours | funding | fees | slippage | price | net | % a year |"
    lines = [head, "| --- |" + " ---: |" * 9]
    for row in rows:
        total = row["total"]
        yearly = total["annualised_return_pct"]
        cells = [f"{total[key]:.0f}" if at < 3 else f"{total[key]:.2f}" for at, key in enumerate(COLUMNS)]
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {'–' if yearly is None else round(yearly)} |")
    return "\n".join(lines) + "\n"


def differences(read: HourlyData) -> str:
    """What the rates themselves offer per coin, as a Markdown table.

    Sum of absolute differences; hours with an entry's least carry and what the same direction was paid an hour later, on average;
    and what perfect knowledge of every rate would have earned after fees alone, spreads left out.
    """
    first, second = read.venues
    least = EntrySettings().carry_bps_per_hour_min
    head = ["coin", "sum of differences", f"hours >= {least:g}", "mean then", "mean an hour later", *WAY_FEES_BPS]
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    for coin in read.coins:
        carry = {h.at_ms: float(h.rates[second] - h.rates[first]) * 10_000 for h in read.hours[coin]}
        rich = [at_ms for at_ms, bps in carry.items() if abs(bps) >= least and at_ms + HOUR_MS in carry]
        later = [carry[at_ms + HOUR_MS] * (1 if carry[at_ms] > 0 else -1) for at_ms in rich]
        means = [f"{fmean(values):.2f}" if values else "–" for values in ([abs(carry[at]) for at in rich], later)]
        bounds = [f"{hindsight_bps(carry, fee_bps, HOUR_MS):.0f}" for fee_bps in WAY_FEES_BPS.values()]
        lines.append(
            f"| {coin} | {sum(map(abs, carry.values())):.0f} | {len(rich)} | {' | '.join([*means, *bounds])} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the arguments, replay, print."""
    parser = argparse.ArgumentParser(description="Backtest one data folder under many settings.")
    parser.add_argument("--data", type=Path, required=True, help="folder with funding_rates and candles_1h")
    parser.add_argument("--from", dest="start", help="first day, UTC")
    parser.add_argument("--to", dest="end", help="last day, UTC")
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--only", action="append", default=[], choices=names, help="a variant; may be repeated")
    parser.add_argument("--no-replay", action="store_true", help="only say what the rates themselves offer")
    parser.add_argument("--json", action="store_true", help="whole documents instead of tables")
    arguments = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    rows = [] if arguments.no_replay else run(arguments.data, arguments.only, arguments.start, arguments.end)
    if arguments.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        read = load_data(arguments.data, None, None, arguments.start, arguments.end)
        sys.stdout.write((render(rows) + "\n" if rows else "") + differences(read))


if __name__ == "__main__":
    main()
