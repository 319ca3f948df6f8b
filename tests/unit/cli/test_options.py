"""Durations, assets and dates as people write them."""

import pytest

from perpdesk.cli.options import UsageError, canonical_asset, parse_assets, parse_duration_ms, parse_since_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("500ms", 500),
        ("60s", 60_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1.5s", 1_500),
        (" 3 s ", 3_000),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "60", "s", "-5s", "0s", "5x", "1e3s", "nan s", "0.0001ms", "1h30m"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write for example 60s"):
        parse_duration_ms(text)


@pytest.mark.parametrize("name", ["PEPE", "pepe", "kPEPE", "1000PEPE", "1000PEPE-USD"])
def test_every_venues_name_of_an_asset_is_understood(name: str) -> None:
    assert canonical_asset(name) == "PEPE"


@pytest.mark.parametrize("name", ["kBONK", "BTC", "HYPE"])
def test_an_asset_that_merely_looks_scaled_is_left_alone(name: str) -> None:
    assert canonical_asset(name) == name.removeprefix("k")


def test_an_empty_name_is_no_asset() -> None:
    with pytest.raises(UsageError, match="is no asset"):
        canonical_asset("")


def test_assets_are_split_at_commas() -> None:
    assert parse_assets("BTC, kPEPE,") == ("BTC", "PEPE")
    assert parse_assets(None) == ()


def test_a_list_of_assets_that_names_none_is_refused() -> None:
    with pytest.raises(UsageError, match="names no asset"):
        parse_assets(" , ")


def test_since_is_a_date_or_how_long_ago() -> None:
    assert parse_since_ms("1970-01-02", 0) == 86_400_000
    assert parse_since_ms("1970-01-01T01:00", 0) == 3_600_000
    assert parse_since_ms("1970-01-01T01:00+01:00", 0) == 0
    assert parse_since_ms("1d", 90_000_000) == 3_600_000


def test_since_anything_else_is_refused() -> None:
    with pytest.raises(UsageError, match="neither a date"):
        parse_since_ms("yesterday", 0)
