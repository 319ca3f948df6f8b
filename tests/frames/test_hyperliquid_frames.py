"""Every recorded Hyperliquid answer and message is read, and says what the recording says."""

import csv
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
import yaml
from tests.shared_data import shared_path

from perpdesk.domain.assets import AssetKind, VenueName, listing_of
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import OrderStatus
from perpdesk.venues.base import BookChanged, FrameUnreadable, VenueCounters
from perpdesk.venues.hyperliquid import HyperliquidSettings, account_frames, actions, frames
from perpdesk.venues.hyperliquid.feed import HyperliquidFeed
from perpdesk.venues.hyperliquid.watch import Watch

RECORDED_NOW_MS = 1_790_300_000_000
"""After every recording, so that none of them is ahead of the clock."""

ACCOUNT = "hl_api_responses_account_2025_11"


@cache
def cassette(name: str) -> list[tuple[dict[str, Any], bytes]]:
    """(request, answer) pairs of one recorded session of the official SDK."""
    text = shared_path("data", "fixtures_hl_python_sdk", f"{name}.yaml").read_text()
    return [
        (json.loads(i["request"]["body"]), i["response"]["body"]["string"].encode())
        for i in yaml.safe_load(text)["interactions"]
    ]


def recorded(name: str, kind: str) -> bytes:
    return next(body for request, body in cassette(name) if request["type"] == kind)


def dotnet(name: str) -> str:
    return shared_path("data", "fixtures_hl_dotnet", f"{name}.txt").read_text()


def dotnet_answer(name: str) -> bytes:
    return dotnet(name).split("\n", 3)[3].encode()


def dotnet_frame(name: str) -> bytes:
    """The data message of a socket sample: what follows its "=" line."""
    return dotnet(name).split("\n= ", 1)[1].encode()


def dotnet_ack(name: str) -> bytes:
    return next(line for line in dotnet(name).splitlines() if line.startswith("< "))[2:].encode()


def dotnet_subscribe(name: str) -> dict[str, Any]:
    line = next(line for line in dotnet(name).splitlines() if line.startswith("> "))
    return json.loads(line[2:])


@cache
def recorded_books() -> list[bytes]:
    """1216 socket messages of July 2026, five books and trades, as they came."""
    path = shared_path("data", "hl_ws_l2book_2026_07", "live_books_5m.jsonl.zst")
    lines = pl.read_csv(path, has_header=False, separator="\x01", quote_char=None, infer_schema=False)
    return [line.encode() for line in lines.get_column(lines.columns[0])]


def account_file(name: str) -> bytes:
    return Path(shared_path("data", ACCOUNT, name)).read_bytes()


# Markets -------------------------------------------------------------------------------------------------------------


def test_recorded_meta_keeps_every_market_at_its_position() -> None:
    body = recorded("test_get_info", "meta")
    markets, unreadable = frames.parse_markets(body)
    names = [row["name"] for row in json.loads(body)["universe"]]
    assert unreadable == []
    assert len(markets) == len(names)
    assert all(names[market.venue_index] == market.venue_symbol for market in markets.values())


def test_recorded_kpepe_is_pepe_by_the_thousand() -> None:
    market = frames.parse_markets(recorded("test_get_info", "meta"))[0]["PEPE"]
    assert (market.venue_symbol, market.multiplier, market.lot) == ("kPEPE", 1000, 1000)
    assert market.price_grid.tick == Decimal("1E-9")
    assert market.price_grid.allows(Decimal("0.000001565"))
    assert market.kind is AssetKind.CRYPTO


def test_recorded_prices_lie_on_the_grids_of_their_markets() -> None:
    """Mids can have one digit more than orders, so the recorded book is the evidence."""
    market = frames.parse_markets(recorded("test_get_l2_snapshot", "meta"))[0]["DYDX"]
    book = json.loads(recorded("test_get_l2_snapshot", "l2Book"))
    prices = [Decimal(level["px"]) for side in book["levels"] for level in side]
    sizes = [Decimal(level["sz"]) for side in book["levels"] for level in side]
    assert len(prices) > 10
    assert all(market.price_grid.allows(price) for price in prices)
    assert all(market.floor_size(size) == size for size in sizes)


def test_recorded_delisted_row_keeps_its_index_and_is_not_tradable() -> None:
    markets, unreadable = frames.parse_markets(dotnet_answer("Endpoints__Futures__ExchangeData__GetExchangeInfo"))
    assert unreadable == []
    assert (markets["LOOM"].venue_index, markets["LOOM"].is_tradable) == (3, False)
    assert markets["HPOS"].maintenance_margin == Decimal(1) / 6
    assert markets["BTC"].is_tradable


def test_recorded_contexts_are_read_by_coin() -> None:
    body = dotnet_answer("Endpoints__Futures__ExchangeData__GetExchangeInfoAndTickers")
    found, unreadable = frames.parse_contexts(body, RECORDED_NOW_MS)
    assert unreadable == []
    assert list(found) == ["BTC", "ETH", "HPOS"]
    assert found["ETH"].rate.per_hour == Decimal("0.0000125")
    assert (found["ETH"].mark_price, found["ETH"].index_price) == (6.0436, 6.0457)


# Books ---------------------------------------------------------------------------------------------------------------


def test_recorded_book_answer_of_2023_is_read() -> None:
    body = recorded("test_get_l2_snapshot", "l2Book")
    snapshot = frames.parse_book_answer(body, RECORDED_NOW_MS)
    assert snapshot is not None
    assert snapshot.at_ms == json.loads(body)["time"]
    assert snapshot.bids[0] == (2.111, 134.4)
    assert snapshot.bids[0][0] < snapshot.asks[0][0]


def test_recorded_spot_book_is_not_ours() -> None:
    body = dotnet_answer("Endpoints__Spot__ExchangeData__GetOrderBook")
    assert frames.parse_book_answer(body, RECORDED_NOW_MS) is None


def test_recorded_book_message_is_read() -> None:
    envelope = frames.parse_envelope(dotnet_frame("Subscriptions__OrderBook"))
    snapshot = frames.parse_book(envelope.data, RECORDED_NOW_MS)
    assert snapshot is not None
    assert (snapshot.asset, snapshot.at_ms) == ("HYPE", 1_764_842_873_555)
    assert snapshot.bids == [(34.967, 2.85), (34.962, 3.84)]
    assert snapshot.asks == [(34.969, 1473.06), (34.97, 1544.51)]


def test_recorded_best_levels_are_a_book_of_one_level() -> None:
    envelope = frames.parse_envelope(dotnet_frame("Subscriptions__BookTicker"))
    snapshot = frames.parse_bbo(envelope.data, RECORDED_NOW_MS)
    assert snapshot is not None
    assert (snapshot.bids, snapshot.asks) == ([(23.757, 42.09)], [(23.758, 100.26)])


def test_every_recorded_book_message_of_2026_is_read_and_builder_dexes_are_left_out() -> None:
    seen: dict[str, int] = {}
    for raw in recorded_books():
        envelope = frames.parse_envelope(raw)
        if envelope.channel == "l2Book":
            snapshot = frames.parse_book(envelope.data, RECORDED_NOW_MS)
            coin = "" if snapshot is None else snapshot.coin
            seen[coin] = seen.get(coin, 0) + 1
    assert seen == {"BTC": 57, "CASHCAT": 57, "": 171}


def test_the_feed_follows_a_recorded_session_without_losing_a_book() -> None:
    clock = ManualClock(RECORDED_NOW_MS)
    counters = VenueCounters()
    feed = HyperliquidFeed(HyperliquidSettings(), clock, Watch(counters))
    feed.follow({"BTC": "BTC", "CASHCAT": "CASHCAT"})
    feed.on_open()
    events = [event for raw in recorded_books() for event in feed.on_frame(raw).events]
    assert [type(event) for event in events] == [BookChanged] * 114
    assert counters.frames == len(recorded_books())
    assert counters.frames_unreadable == 0


def test_recorded_trades_pass_the_feed_unheeded() -> None:
    path = shared_path("data", "fixtures_hl_ws_trades", "ws_trades_BTC.csv")
    with path.open() as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    feed = HyperliquidFeed(HyperliquidSettings(), ManualClock(RECORDED_NOW_MS), Watch(counters := VenueCounters()))
    feed.follow({"BTC": "BTC"})
    for row in rows:
        users = [row.pop("user_buyer"), row.pop("user_seller")]
        assert not feed.on_frame(json.dumps({"channel": "trades", "data": [{**row, "users": users}]}).encode()).events
    assert not feed.on_frame(dotnet_frame("Subscriptions__Trades")).events
    assert (len(rows), counters.frames_unreadable) == (20, 0)


@pytest.mark.parametrize("name", ["Klines", "Prices", "UserEventTrade"])
def test_recorded_channels_we_do_not_use_pass_the_feed(name: str) -> None:
    feed = HyperliquidFeed(HyperliquidSettings(), ManualClock(RECORDED_NOW_MS), Watch(counters := VenueCounters()))
    assert not feed.on_frame(dotnet_frame(f"Subscriptions__{name}")).events
    assert counters.frames_unreadable == 0


# Subscriptions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BookTicker", "Order", "OrderBook", "Trades"])
def test_a_recorded_acknowledgement_names_what_was_asked(name: str) -> None:
    asked = dotnet_subscribe(f"Subscriptions__{name}")["subscription"]
    method, echoed = frames.parse_subscription_response(
        frames.parse_envelope(dotnet_ack(f"Subscriptions__{name}")).data
    )
    assert method == "subscribe"
    assert echoed.key == (asked["type"], asked.get("coin") or asked["user"])


@pytest.mark.parametrize("name", ["BookTicker", "Order", "OrderBook"])
def test_our_subscription_is_the_recorded_one(name: str) -> None:
    asked = dotnet_subscribe(f"Subscriptions__{name}")
    subscription = asked["subscription"]
    key = (subscription["type"], subscription.get("coin") or subscription["user"])
    assert json.loads(frames.encode_subscribe(key, is_fast=False)) == asked


# Our account ---------------------------------------------------------------------------------------------------------


def test_every_recorded_fill_of_2025_is_read() -> None:
    rows = pl.read_parquet(shared_path("data", ACCOUNT, "userFillsByTime.parquet")).to_dicts()
    parsed = account_frames.parse_fill_rows(msgspec.json.encode(rows))
    fills = account_frames.convert_rows("fill", parsed, account_frames.fill_of)
    assert len(fills) == len(rows) == 2000
    assert len({(fill.asset, fill.trade_id, fill.side) for fill in fills}) == 2000
    assert sum(fill.fee_usd for fill in fills) == sum(Decimal(row["fee"]) for row in rows)
    assert sum(fill.signed_size * fill.price for fill in fills) == sum(
        Decimal(row["sz"]) * Decimal(row["px"]) * (1 if row["side"] == "B" else -1) for row in rows
    )
    assert not any(account_frames.has_foreign_fee(row) for row in parsed)


def test_recorded_random_client_ids_are_not_ours() -> None:
    parsed = account_frames.parse_fill_rows(account_file("userFillsByTime_first60.json"))
    fills = account_frames.convert_rows("fill", parsed, account_frames.fill_of)
    assert len(fills) == 60
    assert all(row.cloid for row in parsed)
    assert {fill.client_id for fill in fills} == {None}
    assert fills[0].side is Side.BUY
    assert fills[0].is_maker


@pytest.mark.parametrize("name", ["userFills", "userFillsByTime"])
def test_fills_recorded_before_trade_ids_are_refused_rather_than_given_an_invented_one(name: str) -> None:
    file = {"userFills": "test_get_user_fills", "userFillsByTime": "test_get_user_fills_by_time"}[name]
    parsed = account_frames.parse_fill_rows(recorded(file, name))
    assert len(parsed) == 500
    with pytest.raises(FrameUnreadable, match="without trade id"):
        account_frames.convert_rows("fill", parsed, account_frames.fill_of)


def test_recorded_sample_fill_is_read_with_its_builder_fee_inside() -> None:
    parsed = account_frames.parse_fill_rows(dotnet_answer("Endpoints__Spot__Trading__GetUserTrades"))
    (fill,) = account_frames.convert_rows("fill", parsed, account_frames.fill_of)
    assert (fill.asset, fill.size, fill.price, fill.fee_usd) == (
        "AVAX",
        Decimal("93.53"),
        Decimal("18.435"),
        Decimal("0.01"),
    )
    assert fill.trade_id == "1681222254710:118906512037719:90542681"


def test_recorded_spot_fill_in_another_token_is_noticed_and_left_out() -> None:
    wire = json.loads(dotnet_frame("Subscriptions__UserEventTrade"))["data"]["fills"]
    (row,) = account_frames.parse_fill_rows(json.dumps(wire).encode())
    assert account_frames.has_foreign_fee(row)
    assert account_frames.fill_of(row) is None


@pytest.mark.parametrize("name", ["with_end_time", "without_end_time"])
def test_recorded_funding_payments_of_2023_are_read(name: str) -> None:
    body = recorded(f"test_user_funding_history_{name}", "userFunding")
    payments = [account_frames.payment_of(row) for row in account_frames.parse_funding_rows(body)]
    wire = json.loads(body)
    assert len(payments) == len(wire)
    assert sum(p.usd for p in payments if p) == sum(Decimal(row["delta"]["usdc"]) for row in wire)


def test_recorded_funding_payments_of_2025_have_distinct_ids_and_the_recorded_sum() -> None:
    body = account_file("userFunding.json")
    payments = account_frames.convert_rows(
        "payment", account_frames.parse_funding_rows(body), account_frames.payment_of
    )
    assert len({payment.payment_id for payment in payments}) == len(payments) == 500
    assert sum(p.usd for p in payments) == sum(Decimal(row["delta"]["usdc"]) for row in json.loads(body))
    assert (payments[0].asset, payments[0].usd, payments[0].size) == ("CELO", Decimal("-0.001979"), -289)


def test_recorded_sample_funding_payment_is_read() -> None:
    (row,) = account_frames.parse_funding_rows(dotnet_answer("Endpoints__Futures__Account__GetFundingHistory"))
    payment = account_frames.payment_of(row)
    assert payment is not None
    assert (payment.payment_id, payment.usd) == ("HYPE:1750172400033", Decimal("-0.044263"))


@pytest.mark.parametrize(
    ("body_of", "equity", "available"),
    [
        (lambda: account_file("clearinghouseState.json"), "85076.667557", "72130.093461"),
        (lambda: dotnet_answer("Endpoints__Futures__Account__GetAccountInfo"), "83.307638", "75.781884"),
        (lambda: recorded("test_get_user_state", "clearinghouseState"), None, None),
    ],
)
def test_recorded_accounts_are_read(body_of: Any, equity: str | None, available: str | None) -> None:
    body = body_of()
    wire = json.loads(body)
    state = account_frames.parse_account(body, RECORDED_NOW_MS)
    rows = {listing_of(VenueName.HYPERLIQUID, row["position"]["coin"]).asset: row for row in wire["assetPositions"]}
    held = {asset for asset, row in rows.items() if Decimal(row["position"]["szi"])}
    assert set(state.positions) == held
    assert equity is None or state.equity_usd == Decimal(equity)
    assert available is None or state.available_usd == Decimal(available)


def test_recorded_positions_are_worth_what_their_marks_say() -> None:
    """unrealizedPnl is szi x (mark - entry): marks derived from positionValue must reproduce it up to its rounding."""
    state = account_frames.parse_account(account_file("clearinghouseState.json"), RECORDED_NOW_MS)
    for position in state.positions.values():
        assert position.mark_price is not None
        assert position.entry_price is not None
        computed = position.size * (position.mark_price - position.entry_price)
        # entryPx has 5 to 6 digits, so the product is off by at most half of its last one times the size
        assert abs(computed - position.unrealised_usd) < abs(position.size) * Decimal("0.000051")


def test_recorded_spot_balances_stand_in_for_the_equity_of_unified_accounts() -> None:
    state = account_frames.parse_account(account_file("clearinghouseState.json"), RECORDED_NOW_MS)
    unified = account_frames.with_unified_collateral(state, dotnet_answer("Endpoints__Spot__Account__GetBalances"))
    assert (unified.equity_usd, unified.available_usd) == (Decimal("2.77363"), Decimal("2.77363"))
    assert unified.positions == state.positions


def test_recorded_portfolio_margin_account_has_its_hold_taken_off() -> None:
    (sub,) = json.loads(dotnet_answer("Endpoints__Spot__Account__GetSubAccounts2"))
    assert account_frames.parse_abstraction(json.dumps(sub["abstraction"]).encode()) == "portfolioMargin"
    state = account_frames.parse_account(account_file("clearinghouseState.json"), RECORDED_NOW_MS)
    unified = account_frames.with_unified_collateral(state, json.dumps(sub["spotState"]).encode())
    assert unified.equity_usd == Decimal("894.08996004")
    assert unified.available_usd == Decimal("894.08996004") - Decimal("140.43677994")


@pytest.mark.parametrize(
    "body_of",
    [
        lambda: account_file("frontendOpenOrders.json"),
        lambda: recorded("test_get_frontend_open_orders", "frontendOpenOrders"),
        lambda: recorded("test_get_open_orders", "openOrders"),
        lambda: dotnet_answer("Endpoints__Spot__Trading__GetOpenOrdersExtended"),
        lambda: dotnet_answer("Endpoints__Spot__Trading__GetOpenOrders"),
    ],
)
def test_recorded_resting_orders_of_others_are_not_ours(body_of: Any) -> None:
    assert account_frames.parse_open_orders(body_of()) == ()


def test_a_recorded_resting_order_with_our_client_id_is_reported() -> None:
    wire = json.loads(account_file("frontendOpenOrders.json"))
    wire[0] = {**wire[0], "cloid": account_frames.cloid_of(77), "sz": "4000.0"}
    (report,) = account_frames.parse_open_orders(json.dumps(wire).encode())
    assert (report.client_id, report.asset, report.status) == (77, "FARTCOIN", OrderStatus.RESTING)
    assert report.filled_size == Decimal("676.7")


def test_recorded_order_history_is_classified_once_the_orders_are_ours() -> None:
    wire = json.loads(recorded("test_historical_orders", "historicalOrders"))
    for row in wire:
        row["order"]["cloid"] = account_frames.cloid_of(5)
    records = account_frames.parse_order_records(json.dumps(wire).encode())
    reports = [account_frames.report_of(record.order, record.status) for record in records]
    for row, report in zip(wire, reports, strict=True):
        assert report is not None
        assert report.status.is_final
        assert report.filled_size == Decimal(row["order"]["origSz"]) - Decimal(row["order"]["sz"])
    assert reports[0] is not None
    assert (reports[0].status, reports[0].reason) == (OrderStatus.REJECTED, "iocCancelRejected")


def test_recorded_order_update_of_a_spot_order_is_not_ours() -> None:
    (record,) = account_frames.parse_order_records(frames.parse_envelope(dotnet_frame("Subscriptions__Order")).data)
    assert record.status == "open"
    assert account_frames.report_of(record.order, record.status) is None


# Actions -------------------------------------------------------------------------------------------------------------


def test_recorded_order_answer_says_resting() -> None:
    answer = actions.parse_answer(dotnet_answer("Endpoints__Spot__Trading__PlaceOrder"))
    assert isinstance(answer, actions.ActionTaken)
    assert json.loads(bytes(answer.statuses[0])) == {"resting": {"oid": 77738308}}


def test_recorded_default_answer_is_taken() -> None:
    assert actions.parse_answer(dotnet_answer("Endpoints__Futures__Trading__SetLeverage")) == actions.ActionTaken()
