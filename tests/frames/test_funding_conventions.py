"""Six conventions of funding, each on the recorded file that uses it: read as documented, the medians agree with the venues'
baselines; read any other way they would be off by 8 or by 100."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median
from typing import Any

import msgspec
import polars as pl
import pytest
from tests.shared_data import shared_path

from perpdesk.domain.assets import VenueName
from perpdesk.domain.funding import FundingRate, expected_payment_usd

D = Decimal
HYPERLIQUID_BASELINE = 1.25e-5
LIGHTER_BASELINE = 1.2e-5
EXTENDED_BASELINE = 1.3e-5


def exact(value: float) -> Decimal:
    return D(repr(value))


def median_per_hour(raw: list[float], read: Callable[[Decimal], FundingRate]) -> float:
    """Median of absolute rates per hour, once read by the domain."""
    return float(median(abs(read(exact(value)).per_hour) for value in raw))


def hourly(value: Decimal) -> FundingRate:
    return FundingRate.from_interval(value, 1, 0)


def eight_hourly(value: Decimal) -> FundingRate:
    return FundingRate.from_interval(value, 8, 0)


def seven_venues(venue: str) -> list[float]:
    rows = pl.read_parquet(shared_path("data", "funding_7venues_2025_03_2026_01", "funding_rates.parquet"))
    return rows.filter(pl.col("venue") == venue)["funding_rate"].drop_nulls().to_list()


def test_hyperliquid_history_is_a_fraction_per_hour() -> None:
    assert median_per_hour(seven_venues("hyperliquid"), hourly) == pytest.approx(HYPERLIQUID_BASELINE, rel=0.02)


def test_hyperliquid_before_june_2023_is_a_fraction_per_8_hours() -> None:
    rows = pl.read_parquet(shared_path("data", "funding_hl_btc_eth_2023_2026", "funding_history.parquet")).filter(
        pl.col("symbol") == "BTC"
    )
    old = rows.filter(pl.col("timestamp") < datetime(2023, 6, 8, tzinfo=UTC)).sort("timestamp")
    new = rows.filter(pl.col("timestamp") >= datetime(2023, 6, 9, tzinfo=UTC)).sort("timestamp")

    def step_hours(part: pl.DataFrame) -> int:
        return round(part["timestamp"].diff().median().total_seconds() / 3600)  # type: ignore[union-attr]

    assert (step_hours(old), step_hours(new)) == (8, 1)
    assert median_per_hour(new["funding_rate"].to_list(), hourly) == pytest.approx(HYPERLIQUID_BASELINE, rel=0.02)
    assert median_per_hour(old["funding_rate"].to_list(), eight_hourly) == pytest.approx(HYPERLIQUID_BASELINE, rel=0.02)


def test_lighter_market_stats_are_percent_per_hour() -> None:
    rows = pl.read_parquet(shared_path("data", "lighter_ws_market_stats_2025_11", "market_stats.parquet"))
    raw = rows["current_funding_rate"].drop_nulls().to_list()
    assert median(abs(value) for value in raw) == pytest.approx(0.0012, rel=0.02)
    read = median_per_hour(raw, lambda value: FundingRate.from_percent(value, 1, 0))
    assert read == pytest.approx(LIGHTER_BASELINE, rel=0.02)


def test_lighter_rows_of_the_seven_venue_table_are_fractions_per_hour() -> None:
    assert median_per_hour(seven_venues("lighter"), hourly) == pytest.approx(LIGHTER_BASELINE, rel=0.02)


def test_extended_publishes_a_fraction_per_hour() -> None:
    text = shared_path("data", "fixtures_extended", "info_markets_2025_11.json").read_bytes()
    markets: list[dict[str, Any]] = msgspec.json.decode(text)["data"]
    live = [float(market["marketStats"]["fundingRate"]) for market in markets if market["status"] == "ACTIVE"]
    logged = pl.read_parquet(shared_path("data", "extended_funding_from_bot_logs_2025_12", "rates.parquet"))
    for raw in (live, logged["rate_x10"].drop_nulls().to_list()):
        assert median_per_hour(raw, hourly) == pytest.approx(EXTENDED_BASELINE, rel=0.05)


def test_extended_next_funding_rate_is_a_time_and_no_rate() -> None:
    text = shared_path("data", "fixtures_extended", "info_markets_2025_11.json").read_bytes()
    for market in msgspec.json.decode(text)["data"]:
        assert market["marketStats"]["nextFundingRate"] > 1_700_000_000_000


@pytest.mark.parametrize(
    ("venue", "baseline"),
    [("lighter", LIGHTER_BASELINE), ("extended", EXTENDED_BASELINE), ("hyperliquid", HYPERLIQUID_BASELINE)],
)
def test_the_loris_snapshot_is_basis_points_per_8_hours_for_every_venue(venue: str, baseline: float) -> None:
    text = shared_path("data", "loris_funding_snapshot_2026_01_14", "loris_api.json").read_bytes()
    rates = msgspec.json.decode(text)["funding_rates"][VenueName(venue).value]
    raw = [float(value) for value in rates.values()]
    assert median(abs(value) for value in raw) == pytest.approx(1.0, abs=0.05)
    # Rounded to 0.1 bps per 8 h by the source, so the baselines differ by at most that.
    read = median_per_hour(raw, lambda value: FundingRate.from_bps(value, 8, 0))
    assert read == pytest.approx(baseline, abs=0.1 / 10_000 / 8)


def test_extended_rows_of_the_scaled_snapshots_are_fractions_per_8_hours() -> None:
    rows = pl.read_parquet(shared_path("data", "funding_snapshots_hl_extended_2026_01", "funding_snapshots.parquet"))
    raw = rows.filter(pl.col("venue") == "extended")["funding_rate"].to_list()
    assert 0.000104 in [round(value, 6) for value in raw]
    at_baseline = [value for value in raw if round(value, 6) == 0.000104]
    assert median_per_hour(at_baseline, eight_hourly) == pytest.approx(EXTENDED_BASELINE, rel=0.01)


def test_hyperliquid_rows_of_the_scaled_snapshots_change_unit_on_2026_01_22() -> None:
    rows = pl.read_parquet(shared_path("data", "funding_snapshots_hl_extended_2026_01", "funding_snapshots.parquet"))
    rows = rows.filter(pl.col("venue") == "hyperliquid")
    change = datetime(2026, 1, 22, 20, 33, tzinfo=UTC)
    before = rows.filter(pl.col("ts") < change)["funding_rate"].to_list()
    after = rows.filter(pl.col("ts") >= change)["funding_rate"].to_list()
    assert max(before) == pytest.approx(HYPERLIQUID_BASELINE, rel=0.5)
    assert median_per_hour([v for v in before if v > 0], hourly) == pytest.approx(HYPERLIQUID_BASELINE, rel=0.02)
    assert median_per_hour([v for v in after if v > 0], eight_hourly) == pytest.approx(HYPERLIQUID_BASELINE, rel=0.02)


def test_spread_scans_are_percent_per_the_venues_own_interval() -> None:
    rows = pl.read_parquet(shared_path("data", "funding_spread_scans_2026_06", "scans.parquet"))
    found: list[tuple[float, int]] = []
    for side in ("long", "short"):
        part = rows.filter(pl.col(f"{side}_venue") == "hyperliquid").drop_nulls([f"{side}_rate_pct"])
        found += [
            (rate, int(hours)) for rate, hours in part.select(f"{side}_rate_pct", f"{side}_interval_h").iter_rows()
        ]
    assert {hours for _, hours in found} == {1}
    assert median(abs(rate) for rate, _ in found) == pytest.approx(0.00125, rel=0.02)
    per_hour = [abs(FundingRate.from_percent(exact(rate), hours, 0).per_hour) for rate, hours in found]
    assert float(median(per_hour)) == pytest.approx(HYPERLIQUID_BASELINE, rel=0.02)


@pytest.mark.parametrize("venue", ["binance", "bybit", "okx"])
def test_centralised_venues_quote_8_hours(venue: str) -> None:
    """Their usual 0.01 % per 8 h is the same money as Hyperliquid's baseline; read as hourly it would be 8 times."""
    raw = seven_venues(venue)
    assert max(median_per_hour(raw, eight_hourly), HYPERLIQUID_BASELINE / 4) < 1.1 * HYPERLIQUID_BASELINE
    top = [value for value in raw if value == pytest.approx(1e-4, rel=1e-6)]
    assert float(eight_hourly(exact(round(top[0], 10))).per_hour) == pytest.approx(HYPERLIQUID_BASELINE, rel=1e-6)


def test_recorded_payments_have_the_sign_the_domain_expects() -> None:
    """Real Hyperliquid payments of a single hour: a long pays at a positive rate, and usdc is + when received."""
    text = shared_path("data", "hl_api_responses_account_2025_11", "userFunding.json").read_bytes()
    payments = [row["delta"] for row in msgspec.json.decode(text)]
    single = [payment for payment in payments if payment["nSamples"] == 1]  # the rest are sums with an average rate
    judged = 0
    for payment in single:
        usd, size, rate = D(payment["usdc"]), D(payment["szi"]), hourly(D(payment["fundingRate"]))
        expected = expected_payment_usd(size, D(1), rate)
        if usd and expected:
            judged += 1
            assert (usd > 0) == (expected > 0), payment
    assert judged > 50
