"""The whole desk on recorded hours: it earns what the recording pays, knows nothing early, and never trades across a hole."""

import json
import random
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pytest

from perpdesk.arbitrage.settings import DeskSettings, EntrySettings, ExitSettings
from perpdesk.domain.assets import VenueName
from perpdesk.history.dataset import HourlyData, load_hourly
from perpdesk.history.rows import HOUR_MS
from perpdesk.history.trades import SCHEMA
from perpdesk.worlds.backtest import backtest_command, describe
from perpdesk.worlds.hourly_replay import BacktestOptions, Outcome, replay_hours
from tests.shared_data import shared_path
from tests.unit.history.folders import BINANCE, HYPERLIQUID, LIGHTER, START_MS, Folder, sound

VENUES = (HYPERLIQUID, LIGHTER)
BASELINE, RICH = 0.0000125, 0.0004
"""RICH less BASELINE is 3.875 bps an hour: it repays about 9.3 bps of costs in under three hours."""
HOLD = DeskSettings(exits=ExitSettings(profit_target_bps=10_000.0, hold_hours_max=1_000.0))
EAGER = DeskSettings(
    entry=EntrySettings(
        carry_bps_per_hour_min=0.3, net_bps_per_hour_min=-50.0, break_even_hours_max=1_000.0, cooldown_ms=0
    ),
    exits=ExitSettings(profit_target_bps=10_000.0, flip_confirm_ms=0),
)


def paying(hours, price: float = 100_000.0, coin: str = "BTC") -> Folder:
    """Lighter longs pay richly in `hours`, so the desk is long Hyperliquid and short Lighter."""
    hours = list(hours)
    folder = Folder().rates(HYPERLIQUID, hours, BASELINE, coin).rates(LIGHTER, hours, RICH, coin)
    return folder.prices(BINANCE, hours, price, coin)


def wandering(seed: int, hours: int) -> Folder:
    """Rates and prices that change every hour, some hours missing on one side or the other."""
    rng = random.Random(seed)
    folder, price = Folder(), 100_000.0
    for hour in range(hours):
        close = price * (1 + rng.uniform(-0.004, 0.004))
        folder.candle(BINANCE, hour, round(price, 1), round(close, 1))
        price = close
        for venue in VENUES:
            if rng.random() > 0.04:
                folder.rate(venue, hour, round(rng.choice((BASELINE, rng.uniform(-0.0004, 0.0004))), 8))
    return folder


def load(folder: Folder, path, coins=("BTC",)) -> HourlyData:
    return load_hourly(folder.write(path), VENUES, coins)


def replay(data: HourlyData, settings: DeskSettings = HOLD, **options) -> Outcome:
    outcome = replay_hours(data, settings, BacktestOptions(**options))
    assert outcome.residual_usd == 0
    assert outcome.unclosed == ()
    assert outcome.held_in_hole == 0
    return outcome


def hour_of(at_ms: int) -> float:
    return (at_ms - START_MS) / HOUR_MS


def recorded_funding_usd(data: HourlyData, trade) -> float:
    """What the recorded rates say the trade was paid: every rate settled while it was open, at that hour's price."""
    return sum(
        float(
            trade.size_base
            * hour.prices[HYPERLIQUID][0]
            * (hour.rates[trade.short_venue] - hour.rates[trade.long_venue])
        )
        for hour in data.hours[trade.coin]
        if trade.opened_at_ms < hour.at_ms <= trade.closed_at_ms
    )


# What it earns -------------------------------------------------------------------------------------------------------


def test_a_held_pair_is_paid_exactly_the_recorded_difference_each_hour(tmp_path) -> None:
    data = load(paying(range(10)), tmp_path)
    (trade,) = replay(data).trades
    assert (trade.long_venue, trade.short_venue) == (HYPERLIQUID, LIGHTER)
    per_hour = trade.size_base * 100_000 * Decimal("0.0003875")
    assert float(trade.parts.funding_usd) == pytest.approx(float(9 * per_hour), rel=1e-4)
    assert trade.parts.price_usd == 0
    assert trade.exit_reason == "end of data"


@pytest.mark.parametrize("seed", [3, 4])
def test_funding_of_every_trade_is_the_sum_of_the_rates_recorded_while_it_was_open(tmp_path, seed) -> None:
    data = load(wandering(seed, 72), tmp_path)
    trades = replay(data, EAGER).trades
    assert len(trades) > 5
    for trade in trades:
        expected = recorded_funding_usd(data, trade)
        assert float(trade.parts.funding_usd) == pytest.approx(expected, rel=2e-4, abs=1e-4)


def test_the_first_rate_of_a_trade_is_one_settled_after_it_was_decided(tmp_path) -> None:
    folder = (
        sound(range(6))
        .rates(LIGHTER, (6,), RICH)
        .rates(LIGHTER, (7, 8), BASELINE)
        .rates(HYPERLIQUID, (6, 7, 8), BASELINE)
    )
    data = load(folder.prices(BINANCE, (6, 7, 8), 100_000.0), tmp_path)
    (trade,) = replay(data, EAGER).trades
    assert 6 < hour_of(trade.opened_at_ms) < 6.01
    assert trade.parts.funding_usd == 0  # the rich rate was settled before the desk could know it


def test_fees_are_those_of_the_chosen_tier(tmp_path) -> None:
    data = load(paying(range(6)), tmp_path)
    (base,) = replay(data).trades
    (vip,) = replay(data, fee_tiers={VenueName.HYPERLIQUID: "vip3"}).trades
    assert float(base.parts.fees_usd) == pytest.approx(-float(base.notional_usd) * 2 * 0.00045, rel=1e-3)
    assert float(vip.parts.fees_usd) == pytest.approx(-float(vip.notional_usd) * 2 * 0.00030, rel=1e-3)


def test_an_unknown_fee_tier_is_refused_with_those_there_are(tmp_path) -> None:
    data = load(paying(range(3)), tmp_path)
    with pytest.raises(ValueError, match="hyperliquid has no fee tier 'gold'; it has base, vip1"):
        replay_hours(data, HOLD, BacktestOptions(fee_tiers={VenueName.HYPERLIQUID: "gold"}))


# What it refuses -----------------------------------------------------------------------------------------------------


def test_at_the_baseline_nothing_is_traded_and_every_hour_says_why(tmp_path) -> None:
    data = load(sound(range(8)), tmp_path)
    document = describe(data, outcome := replay(data), HOLD, BacktestOptions())
    assert outcome.trades == ()
    assert document["total"]["refusals"] == {"carry": 8}
    assert document["total"]["refusals_any"]["net edge"] == 8
    assert document["total"]["annualised_return_pct"] is None
    assert document["total"]["time_in_market_pct"] == 0


def test_a_second_pair_beyond_the_limit_is_refused_by_the_desk_and_counted(tmp_path) -> None:
    folder = paying(range(4))
    for row in paying(range(4), 3_000.0, "ETH").funding:
        folder.funding.append(row)
    folder.prices(BINANCE, range(4), 3_000.0, "ETH")
    data = load(folder, tmp_path, ("BTC", "ETH"))
    outcome = replay(data, HOLD.model_copy(update={"entry": EntrySettings(pairs_max=1)}))
    assert len(outcome.trades) == 1
    refused = {coin: dict(coverage.refusals) for coin, coverage in outcome.coverage.items() if coverage.refusals}
    assert list(refused.values()) == [{"open pairs": 4}]


# Holes ---------------------------------------------------------------------------------------------------------------


def test_an_open_pair_is_closed_in_the_last_minutes_before_a_hole_and_nothing_is_paid_in_it(tmp_path) -> None:
    data = load(paying((0, 1, 2, 3, 6, 7, 8)), tmp_path)
    before, after = replay(data).trades
    assert before.exit_reason == "data hole"
    assert 3.9 < hour_of(before.closed_at_ms) < 4
    assert 6 < hour_of(after.opened_at_ms) < 6.1
    assert float(before.parts.funding_usd) == pytest.approx(3 * float(before.size_base) * 38.75, rel=1e-4)
    assert after.exit_reason == "end of data"


def test_nothing_is_entered_in_the_minutes_in_which_the_data_ends(tmp_path) -> None:
    data = load(paying((0, 2, 4)), tmp_path)
    outcome = replay(data, EAGER)
    assert [round(hour_of(trade.closed_at_ms), 1) for trade in outcome.trades] == [1.0, 3.0, 5.0]


def test_a_hole_of_one_coin_does_not_touch_another(tmp_path) -> None:
    folder = paying((0, 1, 2, 5, 6))
    folder.funding += paying(range(7), 3_000.0, "ETH").funding
    folder.prices(BINANCE, range(7), 3_000.0, "ETH")
    outcome = replay(load(folder, tmp_path, ("BTC", "ETH")))
    assert sorted((trade.coin, trade.exit_reason) for trade in outcome.trades) == [
        ("BTC", "data hole"),
        ("BTC", "end of data"),
        ("ETH", "end of data"),
    ]


@pytest.mark.parametrize("seed", [5, 6])
def test_no_trade_spans_an_hour_without_data(tmp_path, seed) -> None:
    data = load(wandering(seed, 48), tmp_path)
    covered = {hour.at_ms for hour in data.hours["BTC"]}
    for trade in replay(data, EAGER).trades:
        first, last = (at_ms - at_ms % HOUR_MS for at_ms in (trade.opened_at_ms, trade.closed_at_ms))
        assert set(range(first, last + 1, HOUR_MS)) <= covered


# Stand-in prices -----------------------------------------------------------------------------------------------------


def test_hours_with_stand_in_prices_are_counted(tmp_path) -> None:
    folder = paying(range(6))
    for venue in VENUES:
        folder.prices(venue, (2, 3), 100_000.0)
    data = load(folder, tmp_path)
    assert replay(data).coverage["BTC"].assumed == 4


def own_at_the_end(lighter_price: float) -> Folder:
    """Stand-in prices first, then own ones that differ between the venues."""
    folder = paying(range(6))
    return folder.prices(HYPERLIQUID, (4, 5), 100_000.0).prices(LIGHTER, (4, 5), lighter_price)


def test_a_price_difference_that_appears_with_real_prices_is_not_claimed_as_profit(tmp_path) -> None:
    (trade,) = replay(load(own_at_the_end(99_800.0), tmp_path)).trades
    assert trade.has_assumed_price
    assert float(trade.basis_unclaimed_usd) == pytest.approx(float(trade.size_base) * 200, rel=0.02)
    assert trade.net_usd == trade.parts.funding_usd + trade.parts.fees_usd + trade.parts.slippage_usd


def test_a_price_difference_against_the_trade_is_charged(tmp_path) -> None:
    (trade,) = replay(load(own_at_the_end(100_200.0), tmp_path)).trades
    assert trade.basis_unclaimed_usd == 0
    assert float(trade.parts.price_usd) == pytest.approx(-float(trade.size_base) * 200, rel=0.02)


def test_between_real_prices_the_difference_is_earned(tmp_path) -> None:
    folder = paying(range(6)).prices(HYPERLIQUID, range(6), 100_000.0).prices(LIGHTER, (4, 5), 99_800.0)
    folder.prices(LIGHTER, range(4), 100_000.0)
    (trade,) = replay(load(folder, tmp_path)).trades
    assert not trade.has_assumed_price
    assert trade.basis_unclaimed_usd == 0
    assert float(
        trade.net_usd - trade.parts.funding_usd - trade.parts.fees_usd - trade.parts.slippage_usd
    ) == pytest.approx(float(trade.size_base) * 200, rel=0.02)


def test_the_curve_ends_at_the_net_of_all_trades(tmp_path) -> None:
    outcome = replay(load(wandering(7, 36), tmp_path), EAGER)
    assert outcome.total[-1][1] == sum(trade.net_usd for trade in outcome.trades)
    assert all(before <= after for (before, _), (after, _) in pairwise(outcome.total))


# Time ----------------------------------------------------------------------------------------------------------------


def early(outcome: Outcome, until_ms: int):
    """Everything that was over, or decided, before a moment."""
    ended = [trade for trade in outcome.trades if trade.closed_at_ms < until_ms]
    decided = [trade.opened_at_ms for trade in outcome.trades if trade.opened_at_ms < until_ms]
    return ended, decided


def test_changing_later_data_changes_no_earlier_decision(tmp_path) -> None:
    first, second = wandering(11, 48), wandering(11, 48)
    cut = 30
    until_ms = START_MS + cut * HOUR_MS
    second.funding = [
        (at, venue, coin, rate if at.timestamp() * 1000 < until_ms else -3 * rate)
        for at, venue, coin, rate in second.funding
    ]
    second.candles = [
        row if row[0].timestamp() * 1000 < until_ms else (*row[:3], *(price * 1.3 for price in row[3:7]), row[7])
        for row in second.candles
    ]
    one, other = (replay(load(folder, tmp_path / str(at)), EAGER) for at, folder in enumerate((first, second)))
    assert early(one, until_ms) == early(other, until_ms)
    assert len(early(one, until_ms)[0]) > 3
    assert one.trades != other.trades


def test_the_same_data_gives_the_same_result(tmp_path) -> None:
    data = load(wandering(12, 36), tmp_path)
    one, other = (describe(data, replay(data, EAGER), EAGER, BacktestOptions()) for _ in range(2))
    assert json.dumps(one) == json.dumps(other)


def test_the_seed_moves_no_money(tmp_path) -> None:
    data = load(wandering(13, 24), tmp_path)
    one, other = (replay(data, EAGER, seed=seed) for seed in (1, 2))
    assert [trade.net_usd for trade in one.trades] == [trade.net_usd for trade in other.trades]


def test_a_finer_refresh_is_paid_the_same_funding(tmp_path) -> None:
    data = load(paying(range(5)), tmp_path)
    (coarse,), (fine,) = (replay(data, refresh_ms=refresh_ms).trades for refresh_ms in (1_800_000, 300_000))
    assert coarse.parts.funding_usd == fine.parts.funding_usd


# The command ---------------------------------------------------------------------------------------------------------


def test_a_run_without_a_trade_writes_all_three_files(tmp_path) -> None:
    document = backtest_command(sound(range(5)).write(tmp_path / "data"), out=tmp_path / "out")
    frame = pl.read_parquet(document["files"]["trades.parquet"])
    assert frame.schema == SCHEMA
    assert frame.height == 0
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == document
    assert "refused every hour" in (tmp_path / "out" / "report.html").read_text()


def test_the_recorded_reference_replays_and_its_trades_add_up_to_its_totals(tmp_path) -> None:
    data = shared_path("data", "funding_7venues_2025_03_2026_01")
    document = backtest_command(data, "SOL,HYPE", None, "2025-10-10", "2025-10-12", tmp_path)
    total, frame = document["total"], pl.read_parquet(tmp_path / "trades.parquet")
    assert document["warnings"] == []
    assert document["residual_usd"] == 0
    assert total["trades"] == frame.height > 0
    for column in ("funding_usd", "price_usd", "fees_usd", "slippage_usd", "basis_unclaimed_usd", "net_usd"):
        assert frame[column].sum() == pytest.approx(total[column], abs=1e-9)
    assert total["hours_covered"] + total["hours_skipped"] == 2 * 72
    assert total["price_assumed"] == total["hours_covered"]
    assert document["x_real_time"] > 500
