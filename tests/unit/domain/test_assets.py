"""One asset, one name: the symbol map over the names each venue really used."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest
import yaml

from perpdesk.domain.assets import AssetKind, Listing, VenueName, listing_of
from tests.shared_data import shared_path

HYPERLIQUID, LIGHTER, EXTENDED = VenueName.HYPERLIQUID, VenueName.LIGHTER, VenueName.EXTENDED

COMMON_LIGHTER_EXTENDED = (
    "AAVE ADA AERO APT ARB AVAX BCH BERA BNB BONK BTC CRV DOGE DOT EIGEN ENA FARTCOIN GRASS HYPE IP JUP KAITO LDO LINK LTC "
    "MNT NEAR ONDO OP PENDLE PENGU PEPE POPCAT PUMP RESOLV S SEI SHIB SOL SPX SUI TAO TIA TON TRUMP TRX UNI VIRTUAL WIF WLD "
    "XRP ZORA ZRO"
).split()
"""Assets that the two market lists of 2025 share, whatever each calls them."""

COMMON_TO_ALL = "APT ARB AVAX BCH BNB BTC CRV DOGE LDO LINK LTC OP PEPE SOL SUI XRP".split()
"""The same with Hyperliquid's recorded first list of 28."""


def lighter_names() -> list[str]:
    text = shared_path("data", "fixtures_lighter", "lighter_markets.json").read_bytes()
    return [market["symbol"] for market in msgspec.json.decode(text)]


def extended_names() -> list[str]:
    text = shared_path("data", "fixtures_extended", "info_markets_2025_11.json").read_bytes()
    return [market["name"] for market in msgspec.json.decode(text)["data"]]


def hyperliquid_names() -> list[str]:
    cassette = yaml.safe_load(shared_path("data", "fixtures_hl_python_sdk", "test_get_info.yaml").read_bytes())
    body = json.loads(cassette["interactions"][0]["response"]["body"]["string"])
    return [market["name"] for market in body["universe"]]


def loris_names(venue: VenueName) -> list[str]:
    text = shared_path("data", "loris_funding_snapshot_2026_01_14", "loris_api.json").read_bytes()
    rates: dict[str, Any] = msgspec.json.decode(text)["funding_rates"]
    return [name for name in rates[venue.value] if name]  # one venue's list has an empty name in it


def assets_of(venue: VenueName, names: list[str]) -> set[str]:
    return {listing_of(venue, name).asset for name in names}


@pytest.mark.parametrize(
    ("venue", "name", "asset", "multiplier"),
    [
        (HYPERLIQUID, "BTC", "BTC", 1),
        (HYPERLIQUID, "kPEPE", "PEPE", 1000),
        (HYPERLIQUID, "kBONK", "BONK", 1000),
        (HYPERLIQUID, "KAITO", "KAITO", 1),
        (HYPERLIQUID, "KAS", "KAS", 1),
        (LIGHTER, "1000PEPE", "PEPE", 1000),
        (LIGHTER, "1000TOSHI", "TOSHI", 1000),
        (LIGHTER, "1000NOT", "NOT", 1000),
        (LIGHTER, "0G", "0G", 1),
        (LIGHTER, "2Z", "2Z", 1),
        (LIGHTER, "kPEPE", "KPEPE", 1),
        (EXTENDED, "1000PEPE-USD", "PEPE", 1000),
        (EXTENDED, "1000000MOG-USD", "MOG", 1_000_000),
        (EXTENDED, "MOG-USD", "MOG", 1),
        (EXTENDED, "4-USD", "4", 1),
        (EXTENDED, "BTC-USD", "BTC", 1),
        (EXTENDED, "1MBONK-USD", "BONK", 1_000_000),
        (EXTENDED, "1INCH-USD", "1INCH", 1),
    ],
)
def test_a_market_name_is_an_asset_and_a_multiplier(venue: VenueName, name: str, asset: str, multiplier: int) -> None:
    listing = listing_of(venue, name)
    assert (listing.asset, listing.multiplier) == (asset, Decimal(multiplier))


def test_three_spellings_of_pepe_are_one_listing() -> None:
    expected = Listing("PEPE", Decimal(1000), AssetKind.CRYPTO)
    names = {HYPERLIQUID: "kPEPE", LIGHTER: "1000PEPE", EXTENDED: "1000PEPE-USD"}
    assert [listing_of(venue, name) for venue, name in names.items()] == [expected] * 3


@pytest.mark.parametrize(
    ("venue", "name", "kind"),
    [
        (LIGHTER, "EURUSD", AssetKind.FX),
        (EXTENDED, "EUR-USD", AssetKind.FX),
        (LIGHTER, "USDJPY", AssetKind.FX),
        (LIGHTER, "TSLA", AssetKind.EQUITY),
        (LIGHTER, "SAMSUNGUSD", AssetKind.EQUITY),
        (LIGHTER, "SPY", AssetKind.INDEX),
        (LIGHTER, "XAU", AssetKind.COMMODITY),
        (EXTENDED, "XBR-USD", AssetKind.COMMODITY),
        (EXTENDED, "SPX500m-USD", AssetKind.INDEX),
        (EXTENDED, "TECH100m-USD", AssetKind.INDEX),
        (HYPERLIQUID, "SPX", AssetKind.CRYPTO),
        (LIGHTER, "PAXG", AssetKind.CRYPTO),
    ],
)
def test_what_has_opening_hours_is_flagged(venue: VenueName, name: str, kind: AssetKind) -> None:
    assert listing_of(venue, name).kind is kind


@pytest.mark.parametrize(
    ("name", "asset", "kind"),
    [
        ("xyz:TSLA", "TSLA", AssetKind.EQUITY),
        ("xyz:EUR", "EUR", AssetKind.FX),
        ("flx:GOLD", "GOLD", AssetKind.COMMODITY),
        ("hyna:BTC", "BTC", AssetKind.UNKNOWN),
        ("flx:XMR", "XMR", AssetKind.UNKNOWN),
    ],
)
def test_nothing_on_a_builder_dex_passes_for_the_main_dexs_crypto(name: str, asset: str, kind: AssetKind) -> None:
    listing = listing_of(HYPERLIQUID, name)
    assert (listing.asset, listing.kind) == (asset, kind)


@pytest.mark.parametrize(("venue", "name"), [(HYPERLIQUID, ""), (LIGHTER, "  "), (EXTENDED, "-USD")])
def test_an_empty_name_is_an_error(venue: VenueName, name: str) -> None:
    with pytest.raises(ValueError, match="empty market name"):
        listing_of(venue, name)


def test_every_recorded_name_resolves_and_only_mog_is_listed_twice() -> None:
    lists = {HYPERLIQUID: hyperliquid_names(), LIGHTER: lighter_names(), EXTENDED: extended_names()}
    assert {venue: len(names) for venue, names in lists.items()} == {HYPERLIQUID: 28, LIGHTER: 66, EXTENDED: 91}
    assert {venue: len(assets_of(venue, names)) for venue, names in lists.items()} == {
        HYPERLIQUID: 28,
        LIGHTER: 66,
        EXTENDED: 90,
    }


def test_the_recorded_lists_have_these_assets_in_common() -> None:
    lighter, extended = assets_of(LIGHTER, lighter_names()), assets_of(EXTENDED, extended_names())
    assert sorted(lighter & extended) == COMMON_LIGHTER_EXTENDED
    assert sorted(lighter & extended & assets_of(HYPERLIQUID, hyperliquid_names())) == COMMON_TO_ALL


def test_the_snapshot_of_january_gives_68_assets_on_two_and_63_on_three_venues() -> None:
    lighter, extended = assets_of(LIGHTER, loris_names(LIGHTER)), assets_of(EXTENDED, loris_names(EXTENDED))
    main_dex = [name for name in loris_names(HYPERLIQUID) if ":" not in name]
    both = lighter & extended
    assert len(both) == 68
    assert "EUR" in both  # EURUSD there, EUR here
    assert len(both & assets_of(HYPERLIQUID, main_dex)) == 63


def test_every_name_of_the_snapshot_resolves_and_no_builder_market_counts_as_crypto() -> None:
    for venue in VenueName:
        for name in loris_names(venue):
            assert listing_of(venue, name).asset
    builders = [name for name in loris_names(HYPERLIQUID) if ":" in name]
    assert len(builders) > 40
    assert all(listing_of(HYPERLIQUID, name).kind is not AssetKind.CRYPTO for name in builders)


def test_every_ticker_of_the_recorded_builder_dex_is_known_for_what_it_is() -> None:
    tickers = pl.read_parquet(shared_path("data", "hl_hip3_xyz_hourly", "hourly_data.parquet"))["ticker"].unique()
    kinds = {ticker: listing_of(HYPERLIQUID, ticker).kind for ticker in tickers}
    assert len(kinds) == 23
    assert not {AssetKind.UNKNOWN, AssetKind.CRYPTO} & set(kinds.values())


def test_an_asset_that_two_venues_price_alike_is_the_same_asset() -> None:
    """Median bids of the same weeks: names that map to one asset must agree once the multiplier is taken out."""
    rows = pl.read_parquet(shared_path("data", "bbo_spreads_hl_lighter_2026_06", "bbo_snapshots.parquet"))
    medians = rows.filter(pl.col("bid") > 0).group_by("venue", "symbol").agg(pl.col("bid").median())
    prices: dict[str, dict[VenueName, float]] = {}
    for venue_name, symbol, bid in medians.iter_rows():
        if venue_name in ("lighter", "hyperliquid"):
            listing = listing_of(VenueName(venue_name), symbol)
            prices.setdefault(listing.asset, {})[VenueName(venue_name)] = bid / float(listing.multiplier)
    shared = {asset: by for asset, by in prices.items() if len(by) == 2}
    assert len(shared) > 80
    unlike = [asset for asset, by in shared.items() if abs(by[LIGHTER] / by[HYPERLIQUID] - 1) > 0.15]
    assert unlike == []
