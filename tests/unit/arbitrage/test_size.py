"""How much of an opportunity is taken."""

from decimal import Decimal

import pytest

from perpdesk.arbitrage.settings import EntrySettings
from perpdesk.arbitrage.size import decide_size
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, market

D = Decimal
ENTRY = EntrySettings(
    notional_usd_max=D(500), notional_usd_min=D(25), depth_share_max=0.25, margin_share_max=0.5, leverage=3
)
LEGS = (market(LIGHTER, lot=D("0.001")), market(HYPERLIQUID))
RICH = (D(100_000), D(100_000))


@pytest.mark.parametrize(
    ("depth_usd", "available", "size"),
    [
        (1e9, RICH, "5.00"),
        (1_000.0, RICH, "2.50"),
        (1e9, (D(200), D(100_000)), "3.00"),
        (1e9, (D(100_000), D(100)), "1.50"),
        (333.33, RICH, "0.83"),
    ],
)
def test_the_smallest_limit_decides_on_the_common_lot(
    depth_usd: float, available: tuple[Decimal, Decimal], size: str
) -> None:
    sized = decide_size(ENTRY, LEGS, D(100), depth_usd, available)
    assert sized.size == D(size)
    assert all(check.passed for check in sized.checks)


@pytest.mark.parametrize("available", [(None, D(1000)), (D(1000), None), (None, None)])
def test_an_unknown_margin_refuses(available: tuple[Decimal | None, Decimal | None]) -> None:
    sized = decide_size(ENTRY, LEGS, D(100), 1e9, available)
    assert sized.size is None
    assert [check.name for check in sized.checks if not check.passed] == ["free margin known"]


def test_a_notional_below_the_least_worth_opening_refuses_with_both_sides() -> None:
    sized = decide_size(ENTRY, LEGS, D(100), 96.0, RICH)
    assert sized.size is None
    (failed,) = [check for check in sized.checks if not check.passed]
    assert (failed.name, failed.observed, failed.bound, failed.unit) == ("notional", 24.0, 25.0, "USD")


def test_a_size_too_near_a_venues_least_order_refuses() -> None:
    """Else a partial fill could not be hedged."""
    legs = (market(LIGHTER, size_min=D("1.00")), market(HYPERLIQUID))
    sized = decide_size(ENTRY, legs, D(100), 420.0, RICH)
    assert sized.size is None
    assert [check.name for check in sized.checks if not check.passed] == ["size"]


@pytest.mark.parametrize(("depth_usd", "available"), [(0.0, RICH), (1e9, (D(0), D(1000))), (1e9, (D(-50), D(1000)))])
def test_no_depth_or_no_margin_is_no_size(depth_usd: float, available: tuple[Decimal, Decimal]) -> None:
    assert decide_size(ENTRY, LEGS, D(100), depth_usd, available).size is None
