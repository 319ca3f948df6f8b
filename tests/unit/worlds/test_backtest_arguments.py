"""What a backtest can be asked for, and how it says no."""

from datetime import UTC, datetime

import pytest

from perpdesk.worlds.backtest import backtest_command, listed_coins, parse_coins, parse_moment, parse_venues
from tests.unit.history.folders import sound


def ms(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2025-10", ms(2025, 10, 1), ms(2025, 11, 1)),
        ("2025-12", ms(2025, 12, 1), ms(2026, 1, 1)),
        ("2026-01-31", ms(2026, 1, 31), ms(2026, 2, 1)),
        ("2026-01-31T12:00", ms(2026, 1, 31, 12), ms(2026, 1, 31, 12)),
        ("2026-01-31T12:00+02:00", ms(2026, 1, 31, 10), ms(2026, 1, 31, 10)),
    ],
)
def test_months_and_days_are_included_whole_and_times_are_exact(text, start, end) -> None:
    assert parse_moment(text) == start
    assert parse_moment(text, is_end=True) == end


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13", "31.10.2025"])
def test_what_is_no_date_is_refused_with_an_example(text) -> None:
    with pytest.raises(ValueError, match="is no date; write it as 2025-10"):
        parse_moment(text)


def test_both_simulated_venues_are_the_default() -> None:
    assert parse_venues(None) == ("hyperliquid", "lighter")
    assert parse_venues("Lighter, hyperliquid") == ("hyperliquid", "lighter")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extended,lighter", "extended is not simulated yet, so it can not be backtested; use hyperliquid and lighter"),
        ("hyperliqud,lighter", "no venue is called 'hyperliqud'; did you mean hyperliquid?"),
        ("lighter", "a pair needs two venues, lighter alone is one"),
    ],
)
def test_venues_that_can_not_be_replayed_are_refused(text, said) -> None:
    with pytest.raises(ValueError, match="^" + said.replace("?", r"\?")):
        parse_venues(text)


def test_coins_are_read_in_any_case_and_once() -> None:
    assert parse_coins("btc, ETH,BTC") == ("BTC", "ETH")
    assert parse_coins(["sol", "hype"]) == ("SOL", "HYPE")
    assert parse_coins(None) is None
    assert parse_coins("") is None


def test_an_unknown_coin_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no simulated market is called 'BTX'; did you mean BTC\?"):
        parse_coins("BTX")


def test_coins_that_one_venue_does_not_list_are_not_offered() -> None:
    assert {"BTC", "PEPE"} < set(listed_coins())
    assert not {"AAPL", "PURR", "MATIC"} & set(listed_coins())


def test_data_of_coins_that_nobody_simulates_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="none of WIF can be simulated"):
        backtest_command(sound(range(3), "WIF").write(tmp_path / "data"), out=tmp_path / "out")


def test_nothing_is_written_when_the_data_can_not_be_used(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"funding_rates.parquet is missing"):
        backtest_command(tmp_path / "nowhere", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
