"""Where the money came from: four parts with one sign."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill
from perpdesk.domain.pnl import PnlParts, PricedFill, attribute

D = Decimal
LIGHTER, HYPERLIQUID = VenueName.LIGHTER, VenueName.HYPERLIQUID


def fill(side: Side, price: str, fee: str = "0", venue: VenueName = LIGHTER, size: str = "1") -> Fill:
    return Fill(venue, "ETH", f"{venue}{side}{price}", 1, side, D(size), D(price), D(fee), False, 0)


@pytest.mark.parametrize(
    ("side", "price", "usd"),
    [
        (Side.BUY, "101", "-1"),
        (Side.BUY, "99", "1"),
        (Side.SELL, "99", "-1"),
        (Side.SELL, "101", "1"),
        (Side.BUY, "100", "0"),
    ],
)
def test_a_fill_worse_than_its_mid_is_negative_slippage(side: Side, price: str, usd: str) -> None:
    assert PricedFill(fill(side, price), D(100)).slippage_usd == D(usd)


def test_a_round_trip_splits_into_price_funding_fees_and_slippage() -> None:
    fills = [
        PricedFill(fill(Side.BUY, "101", "0.05"), D(100)),
        PricedFill(fill(Side.SELL, "108", "0.06"), D(110)),
    ]
    paid = [FundingPayment(LIGHTER, "ETH", "1", D("0.30"), D(1), 0)]
    parts = attribute(fills, paid, {})
    assert parts == PnlParts(D(10), D("0.30"), D("-0.11"), D(-3))
    assert parts.total_usd == D("7.19")


def test_a_rebate_is_a_positive_fee_part() -> None:
    assert attribute(
        [PricedFill(fill(Side.BUY, "100", "-0.02"), D(100))], [], {("lighter", "ETH"): D(100)}
    ) == PnlParts(fees_usd=D("0.02"))


def test_what_is_open_is_valued_at_its_own_venues_mark() -> None:
    fills = [
        PricedFill(fill(Side.BUY, "100"), D(100)),
        PricedFill(fill(Side.SELL, "100", venue=HYPERLIQUID), D(100)),
    ]
    marks = {("lighter", "ETH"): D(103), ("hyperliquid", "ETH"): D(101)}
    assert attribute(fills, [], marks).price_usd == D(2)


def test_an_open_leg_without_a_mark_is_an_error_and_a_flat_one_needs_none() -> None:
    opened = PricedFill(fill(Side.BUY, "100"), D(100))
    with pytest.raises(KeyError):
        attribute([opened], [], {})
    assert attribute([opened, PricedFill(fill(Side.SELL, "100"), D(100))], [], {}).total_usd == 0


def test_parts_add_part_by_part() -> None:
    assert PnlParts(D(1), D(2), D(3), D(4)) + PnlParts(D(10), D(20), D(30), D(40)) == PnlParts(
        D(11), D(22), D(33), D(44)
    )
