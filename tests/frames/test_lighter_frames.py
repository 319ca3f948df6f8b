"""Lighter's recorded and documented messages, decoded into our words."""

import json
from decimal import Decimal

import msgspec
import pytest
from tests.shared_data import shared_path
from tests.unit.venues.lighter_fakes import EPOCH_MS, by_index, market_row, order_row, trade_row

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import BookCorrupt, Side
from perpdesk.domain.orders import OrderStatus
from perpdesk.venues.base import FrameUnreadable, RequestRefused
from perpdesk.venues.lighter import account_frames, frames

D = Decimal


def body(content: object) -> bytes:
    return json.dumps(content).encode()


def raw(content: object) -> msgspec.Raw:
    return msgspec.Raw(body(content))


def recorded() -> list[bytes]:
    path = shared_path("data", "lighter_ws_market_stats_2025_11", "raw_first25.jsonl")
    return [line for line in path.read_bytes().splitlines() if line]


def recorded_markets() -> dict:
    """The recorded market ids as plain markets, so that every recorded row converts."""
    first = next(json.loads(line) for line in recorded() if b'"subscribed/market_stats"' in line)
    rows = [market_row(int(index), f"COIN{index}") for index in first["market_stats"]]
    listed = frames.parse_markets(body({"code": 200, "order_book_details": rows}))
    return {m.venue_index: m for m in listed.values()}


def test_every_recorded_frame_reads() -> None:
    markets, events = recorded_markets(), []
    for line in recorded():
        envelope = frames.parse_envelope(line)
        if envelope.channel == "market_stats:all":
            changed, bad = frames.parse_market_stats(envelope, markets, EPOCH_MS)
            assert bad == 0
            events += changed
    assert len(events) == 101 + sum(len(json.loads(x).get("market_stats", {})) for x in recorded()[3:])


def test_recorded_eth_funding_is_percent_per_hour() -> None:
    """0.0012 % per hour: the baseline of 0.01 % per 8 h."""
    line = next(x for x in recorded() if b'"subscribed/market_stats"' in x)
    events, _ = frames.parse_market_stats(frames.parse_envelope(line), recorded_markets(), EPOCH_MS)
    eth = next(e for e in events if e.asset == "COIN0")
    assert eth.rate.per_hour == D("0.000012")
    assert (eth.mark_price, eth.index_price) == (3870.00, 3871.72)
    assert eth.rate.observed_at_ms == EPOCH_MS


def test_the_recorded_list_of_markets_reads_with_exact_steps() -> None:
    rows = json.loads(shared_path("data", "fixtures_lighter", "lighter_markets.json").read_bytes())
    details = [
        market_row(r["market_id"], r["symbol"]) | {k: r[k] for k in ("size_decimals", "price_decimals")} for r in rows
    ]
    markets = frames.parse_markets(body({"code": 200, "order_book_details": details}))
    assert len(markets) == len(rows)
    for row in rows:
        market = next(m for m in markets.values() if m.venue_symbol == row["symbol"])
        assert market.price_grid.tick * market.multiplier == D(1).scaleb(-row["price_decimals"])
        assert market.lot / market.multiplier == D(1).scaleb(-row["size_decimals"])
        mid = D(str(row["bid"])) / market.multiplier
        assert D(frames.to_steps(mid, market.price_grid.tick)).scaleb(-row["price_decimals"]) == D(str(row["bid"]))


def test_market_zero_is_an_ordinary_market() -> None:
    eth = by_index()[0]
    assert (eth.asset, eth.venue_index, eth.is_tradable) == ("ETH", 0, True)
    assert (eth.leverage_max, eth.maintenance_margin) == (50, D("0.012"))
    assert (eth.size_min, eth.notional_min_usd) == (D("0.0050"), 10)


def test_a_scaled_market_is_restated_per_unit_of_the_asset() -> None:
    pepe = by_index()[4]
    assert (pepe.asset, pepe.multiplier) == ("PEPE", 1000)
    assert (pepe.price_grid.tick, pepe.lot, pepe.size_min) == (D("1E-9"), 1000, 500_000)


@pytest.mark.parametrize("change", [{"status": "inactive"}, {"market_config": {"force_reduce_only": True}}])
def test_markets_that_only_close_are_not_tradable(change: dict) -> None:
    rows = {"order_book_details": [market_row(0, "ETH", **change)]}
    assert not frames.parse_markets(body(rows))["ETH"].is_tradable


def test_spot_and_unreadable_markets_are_left_out() -> None:
    rows = [
        market_row(2048, "ETH/USDC", market_type="spot"),
        market_row(1, "BTC", price_decimals=None),
        market_row(0, "ETH"),
    ]
    assert set(frames.parse_markets(body({"order_book_details": rows}))) == {"ETH"}


@pytest.mark.parametrize("price", ["nan", "inf", "-1", "0"])
def test_a_level_with_an_absurd_price_is_corrupt(price: str) -> None:
    frame = frames.parse_book_frame(raw({"nonce": 1, "asks": [{"price": price, "size": "1"}], "bids": []}))
    with pytest.raises(BookCorrupt):
        frames.to_levels(frame.asks, 1.0)


def test_book_levels_are_per_unit_of_the_asset() -> None:
    frame = frames.parse_book_frame(raw({"nonce": 1, "asks": [{"price": "0.007179", "size": "500"}], "bids": None}))
    assert frames.to_levels(frame.asks, 1000.0) == [(0.007179 / 1000, 500_000.0)]


def test_resting_orders_add_up_by_price() -> None:
    side = [
        {"price": "2361.32", "remaining_base_amount": "0.0300"},
        {"price": "2361.32", "remaining_base_amount": "0.0100"},
    ]
    bids = [{"price": "2361.17", "remaining_base_amount": "3.4125"}]
    book = frames.parse_book_orders(body({"code": 200, "asks": side, "bids": bids}), by_index()[0], EPOCH_MS)
    assert book.asks.best == (2361.32, pytest.approx(0.04))
    assert book.bids.best == (2361.17, 3.4125)


def test_a_crossed_answer_is_unreadable() -> None:
    row = [{"price": "10", "remaining_base_amount": "1"}]
    with pytest.raises(FrameUnreadable):
        frames.parse_book_orders(body({"asks": row, "bids": row}), by_index()[0], EPOCH_MS)


def test_listed_funding_rates_are_fractions_per_8_hours_and_other_exchanges_are_left_out() -> None:
    rows = [
        {"market_id": 0, "exchange": "binance", "symbol": "ETH", "rate": 0.5},
        {"market_id": 0, "exchange": "lighter", "symbol": "ETH", "rate": 0.000096},
        {"market_id": 1, "exchange": "lighter", "symbol": "BTC", "rate": "garbage"},
    ]
    rates = frames.parse_funding_rates(body({"code": 200, "funding_rates": rows}), by_index(), EPOCH_MS)
    assert {asset: e.rate.per_hour for asset, e in rates.items()} == {"ETH": D("0.000012")}


def test_one_stats_row_of_garbage_does_not_hide_the_others() -> None:
    rows = {
        "0": {"market_id": 0, "current_funding_rate": "-0.0028", "mark_price": "0"},
        "1": {"market_id": 1, "current_funding_rate": "NaN"},
        "2": {"market_id": 1, "current_funding_rate": "12345"},
    }
    envelope = frames.parse_envelope(body({"channel": "market_stats:all", "timestamp": 5, "market_stats": rows}))
    events, bad = frames.parse_market_stats(envelope, by_index(), EPOCH_MS)
    assert [(e.asset, e.rate.per_hour, e.rate.observed_at_ms, e.mark_price) for e in events] == [
        ("ETH", D("-0.000028"), 5, None)
    ]
    assert bad == 2


@pytest.mark.parametrize(
    "frame",
    [
        {"error": {"code": 30003, "message": "Already Subscribed to : order_book:0"}},
        {"type": "error", "code": 30003, "message": "Already Subscribed to : order_book:0"},
    ],
)
def test_errors_read_in_both_shapes(frame: dict) -> None:
    assert frames.parse_error(frames.parse_envelope(body(frame))) == (30003, "Already Subscribed to : order_book:0")


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("in-progress", OrderStatus.RESTING, ""),
        ("pending", OrderStatus.RESTING, ""),
        ("open", OrderStatus.RESTING, ""),
        ("filled", OrderStatus.FILLED, ""),
        ("canceled", OrderStatus.CANCELED, ""),
        ("canceled-post-only", OrderStatus.CANCELED, "post-only"),
        ("canceled-not-enough-liquidity", OrderStatus.CANCELED, "not-enough-liquidity"),
    ],
)
def test_order_status_maps_and_what_filled_is_always_read(text: str, status: OrderStatus, reason: str) -> None:
    reports, bad = account_frames.parse_order_frame(raw({"0": [order_row(42, text, "0.0020")]}), by_index())
    (report,) = reports
    assert (report.status, report.reason, bad) == (status, reason, 0)
    assert (report.filled_size, report.average_price) == (D("0.0020"), D("2352.74"))


def test_an_unknown_order_status_is_unreadable_not_guessed() -> None:
    assert account_frames.parse_order_frame(raw({"0": [order_row(42, "exploded")]}), by_index()) == ([], 1)


def test_orders_without_a_client_id_are_not_reported() -> None:
    assert account_frames.parse_order_frame(raw({"0": [order_row(0)]}), by_index()) == ([], 0)


def test_a_trade_becomes_our_fill_with_the_fee_rate_on_its_notional() -> None:
    (fill,), _ = account_frames.parse_trade_frame(raw({"0": [trade_row(5)]}), 7, by_index())
    assert (fill.venue, fill.trade_id, fill.client_id) == (VenueName.LIGHTER, "5:sell", 42)
    assert (fill.side, fill.is_maker, fill.size, fill.price) == (Side.SELL, True, D("0.5"), 2000)
    assert fill.fee_usd == D("0.028")


def test_a_fee_is_kept_in_the_millionths_of_a_dollar_that_balances_are_kept_in() -> None:
    row = trade_row(5, usd_amount="1000.123456")
    (fill,), _ = account_frames.parse_trade_frame(raw({"0": [row]}), 7, by_index())
    assert fill.fee_usd == D("0.028003")


def test_the_other_side_of_a_trade_is_the_taker_and_an_absent_fee_is_zero() -> None:
    row = trade_row(5)
    del row["taker_fee"]
    (fill,), _ = account_frames.parse_trade_frame(raw({"0": [row]}), 8, by_index())
    assert (fill.side, fill.is_maker, fill.client_id, fill.fee_usd) == (Side.BUY, False, None, 0)


def test_trading_with_ourselves_gives_two_fills_that_cancel() -> None:
    row = trade_row(5, bid_account_id=7, bid_client_id=43)
    fills, _ = account_frames.parse_trade_frame(raw({"0": [row]}), 7, by_index())
    assert [f.trade_id for f in fills] == ["5:sell", "5:buy"]
    assert sum(f.signed_size for f in fills) == 0


def test_fills_of_a_scaled_market_keep_their_cash() -> None:
    row = trade_row(5, market_id=4, size="500", price="0.007179", usd_amount="3.5895")
    (fill,), _ = account_frames.parse_trade_frame(raw({"4": [row]}), 7, by_index())
    assert (fill.asset, fill.size, fill.price, fill.cash_usd) == ("PEPE", 500_000, D("0.000007179"), D("3.5895"))


@pytest.mark.parametrize("empty", [[], None, {}])
def test_an_empty_snapshot_may_be_an_array(empty: object) -> None:
    assert account_frames.parse_trade_frame(raw(empty), 7, by_index()) == ([], 0)


ACCOUNT = {
    "available_balance": "39.168314",
    "collateral": "39.995369",
    "total_asset_value": "39.99",
    "positions": [
        {
            "market_id": 1,
            "symbol": "BTC",
            "sign": -1,
            "position": "0.00100",
            "avg_entry_price": "64350.0",
            "position_value": "64.360000",
            "unrealized_pnl": "-0.010000",
        },
        {"market_id": 0, "symbol": "ETH", "sign": 1, "position": "0", "position_value": "0", "unrealized_pnl": "0"},
    ],
}


def account(**changes: object) -> bytes:
    return body({"code": 200, "total": 1, "accounts": [ACCOUNT | changes]})


def test_the_sign_of_a_position_is_a_field_of_its_own() -> None:
    state = account_frames.parse_account(account(), by_index(), EPOCH_MS)
    (position,) = state.positions.values()
    assert (position.asset, position.size) == ("BTC", D("-0.001"))
    assert (position.entry_price, position.mark_price, position.unrealised_usd) == (64350, 64360, D("-0.01"))
    assert (state.equity_usd, state.available_usd) == (D("39.99"), D("39.168314"))


def test_equity_is_collateral_plus_unrealised_where_the_venue_gives_no_total() -> None:
    assert account_frames.parse_account(account(total_asset_value=None), by_index(), 0).equity_usd == D("39.985369")


def test_a_position_in_a_market_that_is_no_longer_listed_still_counts() -> None:
    gone = ACCOUNT["positions"][0] | {"market_id": 99, "symbol": "1000BONK"}
    state = account_frames.parse_account(account(positions=[gone]), by_index(), 0)
    assert state.positions["BONK"].size == -1


@pytest.mark.parametrize("change", [{"sign": 0}, {"position": "NaN"}, {"unrealized_pnl": None}])
def test_one_bad_position_makes_the_account_unreadable(change: dict) -> None:
    with pytest.raises(FrameUnreadable):
        account_frames.parse_account(account(positions=[ACCOUNT["positions"][0] | change]), by_index(), 0)


def test_fee_ticks_are_millionths() -> None:
    fees = account_frames.parse_fees(body({"current_maker_fee_tick": 28, "current_taker_fee_tick": 196}))
    assert (fees.maker, fees.taker) == (D("0.000028"), D("0.000196"))


def test_a_missing_fee_is_not_invented() -> None:
    with pytest.raises(RequestRefused):
        account_frames.parse_fees(body({"current_maker_fee_tick": 28}))


def payment(**changes: object) -> dict[str, object]:
    row = {"timestamp": 1778702400, "market_id": 0, "funding_id": 12345, "change": "-0.027079"}
    return row | {"position_size": "1.0000", "position_side": "short"} | changes


def test_a_funding_payment_keeps_its_sign_and_knows_the_position() -> None:
    (paid,), oldest, _ = account_frames.parse_payment_page(body({"position_fundings": [payment()]}), by_index())
    assert (paid.usd, paid.size, paid.payment_id) == (D("-0.027079"), -1, "0:12345")
    assert paid.at_ms == oldest == 1778702400_000


@pytest.mark.parametrize("stamp", [1778702400, 1778702400_000, 1778702400_000_000])
def test_payments_without_an_id_are_named_by_their_moment_in_whatever_unit(stamp: int) -> None:
    rows = {"position_fundings": [payment(funding_id=0, timestamp=stamp)]}
    (paid,), _, _ = account_frames.parse_payment_page(body(rows), by_index())
    assert paid.payment_id == "0:1778702400000"


def test_the_sequencers_own_words_are_dug_out_of_three_layers() -> None:
    event = json.dumps({"a": 7, "ae": json.dumps({"message": "not enough margin"})})
    tx = account_frames.parse_tx(body({"code": 200, "status": 0, "event_info": event}))
    assert tx.is_failed
    assert account_frames.failure_reason(tx) == "not enough margin"


@pytest.mark.parametrize("event", ["", "{", '{"ae":""}', '{"ae":"plain words"}'])
def test_a_failure_without_readable_words_still_has_a_reason(event: str) -> None:
    tx = account_frames.parse_tx(body({"status": 0, "event_info": event}))
    assert account_frames.failure_reason(tx)


def test_a_page_of_trades_with_one_unreadable_row_fails_as_a_whole() -> None:
    with pytest.raises(FrameUnreadable):
        account_frames.parse_trade_page(body({"trades": [trade_row(1), trade_row(2, price="NaN")]}), 7, by_index())


def test_server_time_is_in_seconds() -> None:
    assert account_frames.parse_server_time(body({"status": 200, "timestamp": 1778702400})) == 1778702400_000
