"""Funding rates per hour, what they pay, and what a pair earns."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.funding import (
    FundingPayment,
    FundingRate,
    carry_per_hour,
    expected_payment_usd,
    sum_payments_usd,
)

D = Decimal


def rate(per_hour: str) -> FundingRate:
    return FundingRate(D(per_hour), 0)


@pytest.mark.parametrize(
    ("made", "per_hour"),
    [
        (FundingRate.from_interval(D("0.0000125"), 1, 0), "0.0000125"),
        (FundingRate.from_interval(D("0.0001"), 8, 0), "0.0000125"),
        (FundingRate.from_interval(D("0.0001"), 4, 0), "0.000025"),
        (FundingRate.from_percent(D("0.0012"), 1, 0), "0.000012"),
        (FundingRate.from_percent(D("0.01"), 8, 0), "0.0000125"),
        (FundingRate.from_bps(D("1.0"), 8, 0), "0.0000125"),
        (FundingRate.from_direction(D("0.0012"), True, 0), "0.000012"),
        (FundingRate.from_direction(D("0.0012"), False, 0), "-0.000012"),
        (FundingRate.from_direction(D("-0.0012"), True, 0), "0.000012"),
    ],
)
def test_every_convention_ends_as_a_fraction_per_hour(made: FundingRate, per_hour: str) -> None:
    assert made.per_hour == D(per_hour)


def test_a_year_has_8760_hours_and_no_compounding() -> None:
    assert rate("0.0000125").per_year == D("0.1095")


@pytest.mark.parametrize("hours", [0, -8])
def test_an_interval_that_is_not_positive_is_an_error(hours: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        FundingRate.from_interval(D("0.0001"), hours, 0)


@pytest.mark.parametrize(
    ("size", "per_hour", "usd"),
    [("2", "0.0001", "-0.02"), ("-2", "0.0001", "0.02"), ("2", "-0.0001", "0.02"), ("-2", "-0.0001", "-0.02")],
)
def test_longs_pay_shorts_at_a_positive_rate(size: str, per_hour: str, usd: str) -> None:
    assert expected_payment_usd(D(size), D(100), rate(per_hour)) == D(usd)


def test_a_pair_earns_what_its_short_receives_less_what_its_long_pays() -> None:
    long, short = rate("0.00001"), rate("0.00005")
    assert carry_per_hour(long, short) == D("0.00004")
    assert carry_per_hour(short, long) == D("-0.00004")
    received = expected_payment_usd(D(1), D(100), long) + expected_payment_usd(D(-1), D(100), short)
    assert received == carry_per_hour(long, short) * 100


def test_payments_add_up_with_their_signs() -> None:
    made = [
        FundingPayment(VenueName.LIGHTER, "ETH", str(number), D(usd), None, number)
        for number, usd in enumerate(("0.10", "-0.25", "0.05"))
    ]
    assert sum_payments_usd(made) == D("-0.10")
    assert sum_payments_usd([]) == 0
