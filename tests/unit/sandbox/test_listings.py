"""What the simulated venues list."""

import json
from decimal import Decimal

import pytest
from tests.shared_data import shared_path

from perpdesk.domain.assets import AssetKind, VenueName, listing_of
from perpdesk.domain.markets import PriceGrid
from perpdesk.sandbox.listings import listed_markets

HYPERLIQUID, LIGHTER = VenueName.HYPERLIQUID, VenueName.LIGHTER
COMMON = frozenset("BTC ETH SOL HYPE DOGE XRP PEPE BONK FARTCOIN PENGU SUI TRUMP".split())


def by_asset(venue):
    return {market.asset: market for market in listed_markets(venue, None)}


def test_both_venues_list_the_common_assets() -> None:
    assert by_asset(HYPERLIQUID).keys() >= COMMON
    assert by_asset(LIGHTER).keys() >= COMMON


def test_scaled_coins_carry_their_multiplier_under_each_venues_name() -> None:
    assert (by_asset(HYPERLIQUID)["PEPE"].symbol, by_asset(HYPERLIQUID)["PEPE"].multiplier) == ("kPEPE", Decimal(1000))
    assert (by_asset(LIGHTER)["BONK"].symbol, by_asset(LIGHTER)["BONK"].multiplier) == ("1000BONK", Decimal(1000))


def test_one_asset_is_listed_on_hyperliquid_alone_and_a_stock_on_lighter_alone() -> None:
    alone = by_asset(HYPERLIQUID).keys() ^ by_asset(LIGHTER).keys()
    assert alone == {"PURR", "MATIC", "AAPL"}
    assert listing_of(LIGHTER, by_asset(LIGHTER)["AAPL"].symbol).kind is AssetKind.EQUITY


def test_a_delisted_market_keeps_its_place_in_hyperliquids_asset_numbers() -> None:
    markets = listed_markets(HYPERLIQUID, None)
    assert [market.index for market in markets] == list(range(len(markets)))
    delisted = by_asset(HYPERLIQUID)["MATIC"]
    assert not delisted.is_listed
    assert delisted.index < by_asset(HYPERLIQUID)["SOL"].index


def test_cutting_to_some_assets_renumbers_hyperliquid_and_keeps_lighters_ids() -> None:
    assets = frozenset(("SOL", "HYPE"))
    assert [(m.symbol, m.index) for m in listed_markets(HYPERLIQUID, assets)] == [("SOL", 0), ("HYPE", 1)]
    assert [(m.symbol, m.index) for m in listed_markets(LIGHTER, assets)] == [("SOL", 2), ("HYPE", 24)]


def test_hyperliquid_prices_have_five_digits_and_six_less_size_decimals() -> None:
    assert by_asset(HYPERLIQUID)["HYPE"].price_grid == PriceGrid(Decimal("0.0001"), 5, Decimal(1))
    assert by_asset(HYPERLIQUID)["HYPE"].lot == Decimal("0.01")


def test_a_venue_without_simulated_markets_is_refused() -> None:
    with pytest.raises(ValueError, match="extended"):
        listed_markets(VenueName.EXTENDED, None)


def test_assets_that_are_listed_nowhere_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="lists none of AAPL"):
        listed_markets(HYPERLIQUID, frozenset(("AAPL",)))


def test_lighter_markets_are_those_of_the_recorded_list() -> None:
    recorded = {
        row["symbol"]: row
        for row in json.loads(shared_path("data", "fixtures_lighter", "lighter_markets.json").read_text())
    }
    unrecorded = set()
    for market in listed_markets(LIGHTER, None):
        row = recorded.get(market.symbol)
        if row is None:
            unrecorded.add(market.symbol)
            continue
        assert market.index == row["market_id"]
        assert market.lot == Decimal(1).scaleb(-row["size_decimals"])
        assert market.price_grid.tick == Decimal(1).scaleb(-row["price_decimals"])
        assert float(market.size_min) == row["min_base_amount"]
    assert unrecorded == {"ETH", "AAPL"}
