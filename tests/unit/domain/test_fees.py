"""Published fee tiers, against what a real account paid."""

from decimal import Decimal

import polars as pl

from perpdesk.domain.fees import PUBLISHED_TIERS
from tests.shared_data import shared_path


def test_a_maker_never_pays_more_than_a_taker() -> None:
    for venue, tiers in PUBLISHED_TIERS.items():
        for tier, rates in tiers.items():
            assert rates.maker <= rates.taker, (venue, tier)


def test_fees_are_fractions_below_one_tenth_of_a_percent() -> None:
    for tiers in PUBLISHED_TIERS.values():
        assert all(abs(fee) < Decimal("0.001") for rates in tiers.values() for fee in (rates.maker, rates.taker))


def test_the_recorded_extended_account_paid_nothing_as_maker_and_at_most_the_base_tier_as_taker() -> None:
    """Its trades say 2.25 bps (a discounted 2.5) on the taker rows and zero on the rest."""
    trades = pl.read_parquet(shared_path("data", "extended_account_trades_2025_11_12", "trades.parquet"))
    bps = (trades["fee"].cast(pl.Float64) / trades["total_value"].cast(pl.Float64) * 10_000).round(2)
    base = PUBLISHED_TIERS["extended"]["base"]
    assert float(bps.median() or 0) == 2.25  # type: ignore[arg-type]
    assert float(base.taker) * 10_000 >= 2.25
    assert base.maker == 0
