"""Figures of a backtest, and the Parquet of its trades."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from perpdesk.domain.pnl import PnlParts
from perpdesk.history.rows import HOUR_MS
from perpdesk.history.statistics import Coverage, hindsight_bps, max_drawdown_usd, summarise
from perpdesk.history.trades import SCHEMA, Trade, unclaimed_usd, write_trades

TRADE = Trade(
    coin="SOL",
    long_venue="hyperliquid",
    short_venue="lighter",
    opened_at_ms=0,
    closed_at_ms=10 * HOUR_MS,
    notional_usd=Decimal(600),
    size_base=Decimal(4),
    parts=PnlParts(Decimal("0.5"), Decimal(3), Decimal("-1"), Decimal("-0.25")),
    exit_reason="max hold",
    has_assumed_price=False,
    edge_bps_per_hour=0.4,
)
ASSUMED = replace(TRADE, has_assumed_price=True)


def curve(*values: int) -> list[tuple[int, Decimal]]:
    return [(hour * HOUR_MS, Decimal(value)) for hour, value in enumerate(values)]


def test_a_trade_on_real_prices_claims_all_four_parts() -> None:
    assert TRADE.net_usd == Decimal("2.25")
    assert TRADE.basis_unclaimed_usd == 0


def test_a_trade_touched_by_stand_in_prices_claims_no_price_profit() -> None:
    assert ASSUMED.basis_unclaimed_usd == Decimal("0.5")
    assert ASSUMED.net_usd == Decimal("1.75")


def test_a_price_loss_on_stand_in_prices_is_kept() -> None:
    assert unclaimed_usd(Decimal(-2), has_assumed_price=True) == 0


@pytest.mark.parametrize(
    ("values", "deepest"), [((), 0), ((1, 2, 3), 0), ((-2, -1), 2), ((5, 1, 4, -1, 9), 6), ((0, 3, 3, 2), 1)]
)
def test_the_drawdown_is_the_deepest_fall_below_an_earlier_high(values, deepest) -> None:
    assert max_drawdown_usd(curve(*values)) == deepest


def test_the_return_is_on_the_margin_of_both_legs_while_it_was_in_use() -> None:
    row = summarise([TRADE], Coverage(covered=40), curve(0, 2), leverage=3)
    assert row["capital_usd"] == pytest.approx(400)
    assert row["annualised_return_pct"] == pytest.approx(2.25 / 400 * 8760 / 10 * 100)
    assert row["time_in_market_pct"] == pytest.approx(25)


def test_trades_of_different_length_weigh_by_their_time() -> None:
    long = replace(TRADE, closed_at_ms=30 * HOUR_MS, notional_usd=Decimal(60))
    row = summarise([TRADE, long], Coverage(covered=40), curve(0), leverage=2)
    assert row["capital_usd"] == pytest.approx((600 * 10 + 60 * 30) / 40)


def test_without_a_trade_a_return_is_unknown_not_zero() -> None:
    row = summarise([], Coverage(covered=5, refusals=Counter(carry=5)), curve(0), leverage=3)
    assert row["annualised_return_pct"] is None
    assert row["capital_usd"] is None
    assert row["net_usd"] == 0
    assert row["refusals"] == {"carry": 5}


def test_without_a_covered_hour_the_time_in_market_is_unknown() -> None:
    assert summarise([], Coverage(), curve(), leverage=3)["time_in_market_pct"] is None


def test_sources_add_up_to_the_net() -> None:
    row = summarise([TRADE, ASSUMED], Coverage(covered=40), curve(0), leverage=3)
    parts = row["funding_usd"] + row["price_usd"] + row["fees_usd"] + row["slippage_usd"]
    assert row["net_usd"] == pytest.approx(parts - row["basis_unclaimed_usd"])
    assert row["exits"] == {"max hold": {"trades": 2, "net_usd": 4.0}}


def test_the_parquet_has_every_column_and_the_net_of_each_trade(tmp_path) -> None:
    write_trades(tmp_path / "trades.parquet", [TRADE, ASSUMED])
    frame = pl.read_parquet(tmp_path / "trades.parquet")
    assert frame.schema == SCHEMA
    assert frame["net_usd"].to_list() == [2.25, 1.75]
    assert frame["opened_at"][0].isoformat() == "1970-01-01T00:00:00+00:00"


def test_without_trades_the_parquet_still_has_its_columns(tmp_path) -> None:
    write_trades(tmp_path / "trades.parquet", [])
    frame = pl.read_parquet(tmp_path / "trades.parquet")
    assert frame.height == 0
    assert frame.schema == SCHEMA


def hourly(*carry: float | None) -> dict[int, float]:
    return {hour * HOUR_MS: value for hour, value in enumerate(carry) if value is not None}


@pytest.mark.parametrize(
    ("carry", "best"),
    [
        (hourly(), 0),
        (hourly(50), 0),  # nobody could have held a pair before the first hour
        (hourly(0, 5, 5), 4),
        (hourly(0, -5, -5), 4),
        (hourly(0, 1, 1), 0),
        (hourly(0, 9, -9), 6),  # in, out and over to the other side, and out
        (hourly(0, 9, 0, 0, 9), 12),  # staying is cheaper than leaving for two hours
        (hourly(0, 9, None, 50, 9), 6),  # the hole ends the first pair, and 50 comes too early for the second
    ],
)
def test_hindsight_is_the_best_sequence_of_pairs_after_costs(carry, best) -> None:
    assert hindsight_bps(carry, 3.0, HOUR_MS) == pytest.approx(best)
