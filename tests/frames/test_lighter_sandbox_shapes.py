"""The simulated Lighter's answers have the keys and JSON types of recorded frames and of captured samples.

Recorded: the first messages of a `market_stats` recording of 2025-11. Captured samples: the JSON blocks of the venue
reference. Values differ, of course; a number may be written with or without a fraction, as the venue's encoder does.
"""

import json
import re
from functools import cache
from typing import Any

import pytest
from tests.shared_data import shared_path
from tests.unit.sandbox.lighter_bench import ME, LighterBench

Json = dict[str, Any]


def shape(value: object) -> object:
    """Keys and types, all the way down; a list shows the shapes of its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


@cache
def recorded() -> list[Json]:
    text = shared_path("data", "lighter_ws_market_stats_2025_11", "raw_first25.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


@cache
def samples() -> list[Json]:
    """JSON blocks of the reference that are complete JSON."""
    found = []
    for block in re.findall(r"```json\n(.*?)```", shared_path("venues", "lighter.md").read_text(), re.S):
        try:
            found.append(json.loads(block))
        except json.JSONDecodeError:
            continue
    return found


def sample(*keys: str) -> Json:
    """The block that has all these keys."""
    (only,) = [block for block in samples() if set(keys) <= set(block)]
    return only


@pytest.fixture
def bench() -> LighterBench:
    """With a position, a resting order, an ended order and a funding payment."""
    bench = LighterBench(fee_tier="premium")
    bench.take(1, 1000)
    bench.place(ClientOrderIndex=2)
    bench.exchange.settle_funding()
    bench.clock.advance_ms(1)
    return bench


def test_the_greeting_has_the_recorded_shape(bench: LighterBench) -> None:
    (greeting,) = bench.connect().heard
    assert shape(greeting) == shape(recorded()[0])


def test_heights_have_the_recorded_shape(bench: LighterBench) -> None:
    ear = bench.connect()
    first = ear.subscribe("height")
    bench.clock.advance_ms(500)
    frames = [frame for frame in recorded() if frame.get("channel") == "height"]
    assert shape(first) == shape(frames[0])
    assert shape(ear.heard[-1]) == shape(frames[1])
    assert ear.heard[-1]["type"] == frames[1]["type"]


def test_statistics_of_all_markets_have_exactly_the_recorded_fields_in_the_first_and_later_frames(
    bench: LighterBench,
) -> None:
    ear = bench.connect()
    first = ear.subscribe("market_stats/all")
    bench.quote("2001.00", [("2000.90", 5)], [("2001.10", 5)])
    bench.clock.advance_ms(50)
    later = ear.heard[-1]
    frames = [frame for frame in recorded() if frame.get("channel") == "market_stats:all"]
    assert len(frames) > 10
    for ours, theirs in [(first, frames[0]), *((later, frame) for frame in frames[1:])]:
        assert {k: v for k, v in ours.items() if k != "market_stats"}.keys() == theirs.keys() - {"market_stats"}
        assert (ours["type"], ours["channel"]) == (theirs["type"], theirs["channel"])
        mine = shape(ours["market_stats"]["0"])
        assert all(shape(entry) == mine for entry in theirs["market_stats"].values())
        assert all(list(entry) == list(ours["market_stats"]["0"]) for entry in theirs["market_stats"].values())


def test_recorded_decimals_per_field_are_ours_too(bench: LighterBench) -> None:
    """Rates have four decimals, USD six, prices the market's own."""
    ours = bench.connect().subscribe("market_stats/all")["market_stats"]["0"]
    theirs = next(f for f in recorded() if f.get("channel") == "market_stats:all")["market_stats"]["0"]

    def decimals(entry: Json) -> dict[str, int]:
        return {key: len(value.partition(".")[2]) for key, value in entry.items() if isinstance(value, str)}

    assert decimals(ours) == decimals(theirs)


def test_one_markets_statistics_have_the_captured_shape(bench: LighterBench) -> None:
    captured = sample("market_stats")
    bench.quote("2001.00", [("2000.90", 5)], [("2001.10", 5)])
    ear = bench.listen("market_stats/0")
    bench.quote("2002.00", [("2001.90", 5)], [("2002.10", 5)])
    bench.clock.advance_ms(50)
    assert shape(ear.heard[-1]) == shape(captured)


def test_book_frames_have_the_captured_shape(bench: LighterBench) -> None:
    captured = sample("order_book", "offset")
    level = [shape(captured["order_book"]["asks"][0])]
    wanted = {**shape(captured), "order_book": {**shape(captured["order_book"]), "asks": level, "bids": level}}
    ear = bench.connect()
    first = ear.subscribe("order_book/0")
    bench.quote("2000.00", [("1999.70", 5)], [("2000.40", 5)])
    bench.clock.advance_ms(50)
    assert shape(first) == wanted
    assert (shape(ear.heard[-1]), ear.heard[-1]["type"]) == (wanted, captured["type"])


def test_market_details_have_the_captured_shape(bench: LighterBench) -> None:
    captured = sample("symbol", "market_config")
    ours = bench.get("orderBookDetails", market_id=0)["order_book_details"][0]
    assert shape(ours) == shape(captured)
    kept = ("min_base_amount", "min_quote_amount", "order_quote_limit", "liquidation_fee", "taker_fee")
    assert {key: ours[key] for key in kept} == {key: captured[key] for key in kept}


def test_single_orders_of_the_book_have_the_captured_shape(bench: LighterBench) -> None:
    assert shape(bench.get("orderBookOrders", market_id=0, limit=5)) == shape(sample("total_asks"))


def test_settled_funding_has_the_captured_shape(bench: LighterBench) -> None:
    params = {"start_timestamp": 0, "end_timestamp": 4_000_000_000_000, "count_back": 5}
    ours = bench.get("fundings", market_id=0, resolution="1h", **params)
    captured = sample("fundings")
    assert shape(ours) == shape(captured)
    decimals = [len(captured["fundings"][0][key].partition(".")[2]) for key in ("value", "rate")]
    assert [len(ours["fundings"][0][key].partition(".")[2]) for key in ("value", "rate")] == decimals


def test_funding_payments_have_the_captured_shape(bench: LighterBench) -> None:
    captured = sample("position_fundings")
    ours = bench.get("positionFunding", account_index=ME, limit=5)
    assert shape(ours["position_fundings"]) == shape(captured["position_fundings"])


def test_the_account_has_the_captured_shape(bench: LighterBench) -> None:
    assert shape(bench.get("account", by="index", value=ME)) == shape(sample("accounts", "total"))


def test_orders_have_the_captured_shape_open_and_ended(bench: LighterBench) -> None:
    captured = shape(sample("order_index", "filled_base_amount"))
    assert shape(bench.order_row(1)) == captured
    assert shape(bench.order_row(2)) == captured


def test_the_answer_to_a_transaction_has_the_captured_shape(bench: LighterBench) -> None:
    answer = bench.send(14, bench.order_info(ClientOrderIndex=3))[1]
    assert shape(answer) == shape(sample("predicted_execution_time_ms"))


def test_every_captured_sample_was_found() -> None:
    """A reference that lost its blocks would make the tests above compare nothing."""
    assert len(samples()) >= 9
