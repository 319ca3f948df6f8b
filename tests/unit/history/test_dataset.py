"""Loading a data folder: holes stay holes, stand-in prices are marked, bad rows are counted, errors name file and column."""

import math
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perpdesk.history.dataset import load_hourly
from perpdesk.history.rows import CANDLES_FILE, FUNDING_FILE, HOUR_MS, DataUnusable
from tests.unit.history.folders import BINANCE, BYBIT, HYPERLIQUID, LIGHTER, START_MS, Folder, moment, sound

VENUES = (HYPERLIQUID, LIGHTER)


def load(path, coins=("BTC",), **span):
    return load_hourly(path, VENUES, coins, **span)


def hours_of(data, coin="BTC"):
    return [(hour.at_ms - START_MS) // HOUR_MS for hour in data.hours[coin]]


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [FUNDING_FILE, CANDLES_FILE])
def test_a_missing_file_is_named_with_what_the_folder_needs(tmp_path, name) -> None:
    sound(range(3)).write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataUnusable, match=rf"{name} is missing.*--data"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "column"), [(FUNDING_FILE, "funding_rate"), (FUNDING_FILE, "timestamp"), (CANDLES_FILE, "o")]
)
def test_a_missing_column_is_named_with_its_file_and_what_is_needed(tmp_path, name, column) -> None:
    sound(range(3)).write(tmp_path)
    pl.read_parquet(tmp_path / name).drop(column).write_parquet(tmp_path / name)
    with pytest.raises(DataUnusable, match=rf"{name} lacks the column {column} \(it has .*needed are"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [(FUNDING_FILE, "timestamp", "yesterday"), (FUNDING_FILE, "funding_rate", "0.1 %"), (CANDLES_FILE, "venue", 7)],
)
def test_a_column_of_the_wrong_type_is_named(tmp_path, name, column, value) -> None:
    sound(range(3)).write(tmp_path)
    pl.read_parquet(tmp_path / name).with_columns(pl.lit(value).alias(column)).write_parquet(tmp_path / name)
    with pytest.raises(DataUnusable, match=rf"{name}: column {column} is .*it has to be"):
        load(tmp_path)


def test_a_file_that_is_not_parquet_is_named(tmp_path) -> None:
    sound(range(3)).write(tmp_path)
    (tmp_path / CANDLES_FILE).write_bytes(b"timestamp,venue\n")
    with pytest.raises(DataUnusable, match=rf"{CANDLES_FILE} can not be read as Parquet"):
        load(tmp_path)


def test_an_unknown_coin_names_the_nearest_one(tmp_path) -> None:
    with pytest.raises(DataUnusable, match=r"no coin BTZ; did you mean BTC\?"):
        load(sound(range(3)).write(tmp_path), ("BTZ",))


def test_an_unknown_venue_names_the_nearest_one(tmp_path) -> None:
    with pytest.raises(DataUnusable, match=r"no venue hyperliqid; did you mean hyperliquid\?"):
        load_hourly(sound(range(3)).write(tmp_path), ("hyperliqid", LIGHTER), None)


def test_a_coin_that_one_venue_has_no_rate_of_is_an_error_that_says_which(tmp_path) -> None:
    folder = sound(range(3)).rate(HYPERLIQUID, 0, 0.0001, "ETH")
    with pytest.raises(DataUnusable, match="no rate of ETH on lighter; all venues have BTC"):
        load(folder.write(tmp_path), ("ETH",))


def test_a_range_without_a_covered_hour_says_what_is_covered(tmp_path) -> None:
    path = sound(range(3)).write(tmp_path)
    with pytest.raises(DataUnusable, match=r"it covers 2025-11-24 16:00 to 2025-11-24 18:00"):
        load(path, start_ms=START_MS + 10 * HOUR_MS, end_ms=START_MS + 20 * HOUR_MS)


def test_a_range_that_ends_before_it_begins_is_refused(tmp_path) -> None:
    with pytest.raises(DataUnusable, match="--to has to be at least an hour after --from"):
        load(sound(range(3)).write(tmp_path), start_ms=START_MS, end_ms=START_MS)


# Coverage ------------------------------------------------------------------------------------------------------------


def test_an_hour_without_a_rate_of_both_venues_is_a_hole(tmp_path) -> None:
    folder = sound((0, 3)).rate(HYPERLIQUID, 1, 0.0001).rate(LIGHTER, 2, 0.0001).prices(BINANCE, (1, 2), 100_000.0)
    data = load(folder.write(tmp_path))
    assert hours_of(data) == [0, 3]
    assert data.hours_in_range == 4
    assert data.quality.rate_hours["BTC"] == {HYPERLIQUID: 3, LIGHTER: 3}


def test_rows_a_few_milliseconds_late_belong_to_their_hour(tmp_path) -> None:
    folder = Folder().rate(HYPERLIQUID, 0, 0.0001, late_ms=83).rate(LIGHTER, 0, 0.0002).candle(BINANCE, 0, 100.0)
    (hour,) = load(folder.write(tmp_path)).hours["BTC"]
    assert hour.at_ms == START_MS
    assert hour.rates == {HYPERLIQUID: Decimal("0.0001"), LIGHTER: Decimal("0.0002")}


def test_own_candles_are_used_only_where_both_venues_have_one(tmp_path) -> None:
    folder = sound(range(3), price=100.0).candle(HYPERLIQUID, 0, 101.0, 102.0).candle(LIGHTER, 0, 99.0)
    folder.candle(LIGHTER, 1, 98.0)
    own, one_sided, none = load(folder.write(tmp_path)).hours["BTC"]
    assert own.prices == {
        HYPERLIQUID: (Decimal("101.0"), Decimal("102.0")),
        LIGHTER: (Decimal("99.0"), Decimal("99.0")),
    }
    assert [hour.is_price_assumed for hour in (own, one_sided, none)] == [False, True, True]
    assert set(one_sided.prices.values()) == {(Decimal("100.0"), Decimal("100.0"))}


def test_the_second_reference_stands_in_where_the_first_has_no_candle(tmp_path) -> None:
    folder = sound((0,), price=100.0).rates(HYPERLIQUID, (1,), 0.0001).rates(LIGHTER, (1,), 0.0001)
    folder.prices(BYBIT, (0, 1), 90.0)
    assert [hour.reference for hour in load(folder.write(tmp_path)).hours["BTC"]] == [BINANCE, BYBIT]


def test_an_hour_without_any_price_is_a_hole_and_counted(tmp_path) -> None:
    folder = sound((0, 2)).rate(HYPERLIQUID, 1, 0.0001).rate(LIGHTER, 1, 0.0001)
    data = load(folder.write(tmp_path))
    assert hours_of(data) == [0, 2]
    assert data.quality.hours_without_price == {"BTC": 1}


def test_the_range_is_cut_to_whole_hours_and_its_end_does_not_belong(tmp_path) -> None:
    path = sound(range(6)).write(tmp_path)
    data = load(path, start_ms=START_MS + HOUR_MS - 1, end_ms=START_MS + 3 * HOUR_MS + 1)
    assert hours_of(data) == [1, 2]
    assert data.hours_in_range == 2


def test_without_a_range_everything_covered_is_taken(tmp_path) -> None:
    data = load(sound(range(2, 5)).rate(HYPERLIQUID, 0, 0.0001).write(tmp_path), coins=None)
    assert data.coins == ("BTC",)
    assert (data.start_ms, data.end_ms) == (START_MS + 2 * HOUR_MS, START_MS + 5 * HOUR_MS)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.sets(st.integers(0, 11), min_size=1),
    second=st.sets(st.integers(0, 11), min_size=1),
    priced=st.sets(st.integers(0, 11), min_size=1),
)
def test_exactly_the_hours_that_everyone_has_are_covered(tmp_path, first, second, priced) -> None:
    folder = Folder().rates(HYPERLIQUID, first, 0.0001).rates(LIGHTER, second, 0.0002).prices(BINANCE, priced, 100.0)
    expected = sorted(first & second & priced)
    path = folder.write(tmp_path)
    if not expected:
        with pytest.raises(DataUnusable):
            load(path)
    else:
        assert hours_of(load(path)) == expected


# Bad rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [None, math.nan, math.inf, 0.06, -0.06])
def test_a_rate_that_can_not_be_true_leaves_a_hole_and_is_counted(tmp_path, rate) -> None:
    folder = sound((0, 2)).rate(HYPERLIQUID, 1, rate).rate(LIGHTER, 1, 0.0001).prices(BINANCE, (1,), 100_000.0)
    data = load(folder.write(tmp_path))
    assert hours_of(data) == [0, 2]
    assert sum(data.quality.dropped[FUNDING_FILE].values()) == 1


@pytest.mark.parametrize("price", [None, math.nan, 0.0, -5.0])
def test_a_price_that_can_not_be_true_leaves_a_hole_and_is_counted(tmp_path, price) -> None:
    folder = sound((0, 2)).rate(HYPERLIQUID, 1, 0.0001).rate(LIGHTER, 1, 0.0001).candle(BINANCE, 1, price)
    data = load(folder.write(tmp_path))
    assert hours_of(data) == [0, 2]
    assert sum(data.quality.dropped[CANDLES_FILE].values()) == 1


def test_a_candle_whose_close_lies_outside_its_range_is_dropped(tmp_path) -> None:
    folder = sound((0,))
    folder.candles.append((moment(1), BINANCE, "BTC", 100.0, 101.0, 99.0, 150.0, 1.0))
    assert load(folder.write(tmp_path)).quality.dropped[CANDLES_FILE] == {"open or close outside low to high": 1}


def test_a_price_ten_times_off_is_dropped_and_the_next_one_is_not(tmp_path) -> None:
    folder = sound(range(8), price=100.0)
    folder.candles[5] = (moment(5), BINANCE, "BTC", 1000.0, 1000.0, 1000.0, 1000.0, 1.0)
    data = load(folder.write(tmp_path))
    assert hours_of(data) == [0, 1, 2, 3, 4, 6, 7]
    assert list(data.quality.dropped[CANDLES_FILE]) == ["price more than 3 times off the hours before"]


def test_a_repeated_row_counts_once(tmp_path) -> None:
    data = load(sound(range(2)).rate(LIGHTER, 1, 0.000012).write(tmp_path))
    assert hours_of(data) == [0, 1]
    assert data.quality.dropped[FUNDING_FILE] == {"repeated": 1}


def test_two_different_rates_for_one_hour_make_it_a_hole(tmp_path) -> None:
    data = load(sound(range(3)).rate(LIGHTER, 1, 0.0004).write(tmp_path))
    assert hours_of(data) == [0, 2]
    assert data.quality.dropped[FUNDING_FILE] == {"two different values for one hour": 2}


def test_a_row_between_two_hours_belongs_to_neither(tmp_path) -> None:
    data = load(sound(range(2)).rate(LIGHTER, 0.5, 0.0004).write(tmp_path))
    assert data.quality.dropped[FUNDING_FILE] == {"not on the hour": 1}
