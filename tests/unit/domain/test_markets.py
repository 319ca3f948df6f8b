"""What a venue accepts: prices on its grid, sizes above its minimums."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.domain.assets import AssetKind, VenueName
from perpdesk.domain.markets import Market, PriceGrid, common_lot

D = Decimal


def hyperliquid_grid(size_decimals: int, multiplier: int = 1) -> PriceGrid:
    """Five significant figures, at most 6 - szDecimals decimals, whole numbers always; per unit of the asset."""
    return PriceGrid(D(1).scaleb(size_decimals - 6) / multiplier, 5, D(1) / multiplier)


def market(**changes: object) -> Market:
    listed = Market(
        VenueName.LIGHTER,
        "ETH",
        AssetKind.CRYPTO,
        "ETH",
        0,
        D(1),
        PriceGrid(D("0.01")),
        lot=D("0.0001"),
        size_min=D("0.0050"),
        notional_min_usd=D(10),
        leverage_max=D(50),
        maintenance_margin=D("0.012"),
    )
    return replace(listed, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size_decimals", "price", "is_allowed"),
    [
        (0, "12345", True),
        (0, "12345.6", False),
        (0, "1234.5", True),
        (0, "1234.56", False),
        (1, "0.01234", True),
        (1, "0.012345", False),
        (5, "123456", True),
        (5, "1234567", True),
        (5, "100000.5", False),
        (5, "97123.5", False),
        (5, "97123", True),
        (5, "9.7", True),
        (5, "9.75", False),
        (0, "0.000001", True),
        (0, "0.0000015", False),
        (0, "0", False),
        (0, "-1", False),
    ],
)
def test_hyperliquid_takes_five_figures_or_whole_numbers(size_decimals: int, price: str, is_allowed: bool) -> None:
    assert hyperliquid_grid(size_decimals).allows(D(price)) is is_allowed


@pytest.mark.parametrize(
    ("price", "floor", "ceil"),
    [
        ("97123.5", "97123", "97124"),
        ("123456.7", "123456", "123457"),
        ("99999.9", "99999", "100000"),
        ("1234.56", "1234.5", "1234.6"),
        ("0.0123456", "0.012345", "0.012346"),
        ("9.99999", "9.9999", "10"),
    ],
)
def test_a_price_is_moved_to_its_neighbours_on_the_grid(price: str, floor: str, ceil: str) -> None:
    grid = hyperliquid_grid(0)
    assert (grid.floor(D(price)), grid.ceil(D(price))) == (D(floor), D(ceil))
    assert grid.allows(D(floor))
    assert grid.allows(D(ceil))


def test_a_scaled_contract_keeps_its_venues_grid_per_unit_of_the_asset() -> None:
    """kPEPE at 0.0123456 on the venue is PEPE at 0.0000123456 here; the venue must find five figures after x 1000."""
    venue, ours = hyperliquid_grid(0), hyperliquid_grid(0, multiplier=1000)
    for price in ("0.0123456", "12.3456", "12345.678", "234567.8"):
        contract = D(price)
        assert ours.floor(contract / 1000) * 1000 == venue.floor(contract)
        assert ours.ceil(contract / 1000) * 1000 == venue.ceil(contract)


def test_without_significant_figures_only_the_tick_counts() -> None:
    grid = PriceGrid(D("0.05"))
    assert grid.floor(D("123456.789")) == D("123456.75")
    assert grid.allows(D("123456.75"))
    assert not grid.allows(D("123456.76"))


def test_the_least_size_meets_every_minimum_and_one_lot_less_does_not() -> None:
    eth = market()
    for price in (D(1), D(100), D(2000), D(1_000_000)):
        least = eth.least_size(price)
        assert eth.accepts(least, price)
        assert not eth.accepts(least - eth.lot, price)


def test_a_size_off_the_lot_is_not_accepted() -> None:
    assert market().accepts(D("0.0100"), D(2000))
    assert not market().accepts(D("0.01005"), D(2000))


@pytest.mark.parametrize("size", ["0", "-1", "0.00009"])
def test_nothing_that_is_no_size_is_accepted(size: str) -> None:
    assert not market(size_min=D(0), notional_min_usd=D(0)).accepts(D(size), D(2000))


def test_a_negative_remainder_has_no_orderable_size() -> None:
    assert market().floor_size(D("-0.5")) == 0
    assert market().floor_size(D("0.00009")) == 0
    assert market().floor_size(D("0.00019")) == D("0.0001")


def test_the_common_lot_is_the_coarser_one() -> None:
    fine, coarse = market(lot=D("0.0001")), market(lot=D("0.01"), venue=VenueName.HYPERLIQUID)
    assert common_lot(fine, coarse) == common_lot(coarse, fine) == D("0.01")


def test_lots_without_a_common_step_are_an_error() -> None:
    with pytest.raises(ValueError, match="no common step"):
        common_lot(market(lot=D("0.03")), market(lot=D("0.05")))
