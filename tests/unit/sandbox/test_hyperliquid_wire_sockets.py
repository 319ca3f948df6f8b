"""The simulated Hyperliquid's channels: acknowledgements, first messages, beats, posts, errors and silence."""

from typing import Any

import pytest
from tests.unit.sandbox.hyperliquid_wire_bench import ALICE, BOB, CLOID, START_MS, Bench, Socket, wire_order

from perpdesk.domain.books import Side

HOUR_MS = 3_600_000
USER_CHANNELS = ("userFills", "userFundings", "userNonFundingLedgerUpdates")


def _listening(bench: Bench, **subscription: Any) -> Socket:
    """A socket whose acknowledgement and first message are already read."""
    socket = bench.socket()
    socket.subscribe(**subscription)
    socket.client.take()
    return socket


# Subscribing --------------------------------------------------------------------------------------------------------


def test_nothing_greets_and_a_ping_is_answered() -> None:
    socket = Bench().socket()
    assert socket.client.take() == []
    socket.say({"method": "ping"})
    assert socket.client.raw == [b'{"channel":"pong"}']


def test_only_one_path_is_a_socket() -> None:
    bench = Bench()
    assert bench.server.open_socket("/", {}, bench.socket().client) is None


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (
            {"type": "l2Book", "coin": "BTC"},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None, "fast": False},
        ),
        ({"type": "candle", "coin": "BTC", "interval": "1m"}, {"type": "candle", "interval": "1m", "coin": "BTC"}),
        ({"type": "allMids"}, {"type": "allMids"}),
        ({"type": "userFills", "user": ALICE.upper().replace("X", "x")}, {"type": "userFills", "user": ALICE}),
    ],
    ids=["l2Book", "candle", "allMids", "userFills"],
)
def test_acknowledgements_repeat_the_subscription_normalised(sent: Any, echoed: Any) -> None:
    socket = Bench().socket()
    socket.subscribe(**sent)
    first = socket.client.take()[0]
    assert first == {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": echoed}}


def test_subscribing_twice_and_leaving_twice_are_errors() -> None:
    socket = _listening(Bench(), type="trades", coin="BTC")
    socket.subscribe(type="trades", coin="BTC")
    assert socket.client.take("error") == ['Already subscribed: {"type":"trades","coin":"BTC"}']
    for _ in range(2):
        socket.say({"method": "unsubscribe", "subscription": {"type": "trades", "coin": "BTC"}})
    acknowledged, error = socket.client.take()
    assert acknowledged["data"]["method"] == "unsubscribe"
    assert error["data"] == 'Already unsubscribed: {"type":"trades","coin":"BTC"}'


def test_an_unknown_coin_is_an_invalid_subscription() -> None:
    socket = Bench().socket()
    socket.subscribe(type="bbo", coin="NOPE")
    assert socket.client.take("error") == ['Invalid subscription {"type":"bbo","coin":"NOPE"}']


@pytest.mark.parametrize(
    "frame",
    [
        b'{"method":"subscribe","subscription":{"type":"webData2","user":"0x1"}}',
        b"hello",
        b'{"method":"dance"}',
        b'{"method":"subscribe"}',
        b'{"method":"post","id":1,"request":{"type":"dance","payload":{}}}',
    ],
)
def test_what_is_no_request_is_echoed_on_the_error_channel(frame: bytes) -> None:
    socket = Bench().socket()
    socket.session.on_frame(frame)
    assert socket.client.take("error") == [f"Error parsing JSON into valid websocket request: {frame.decode()}"]


def test_no_more_than_fourteen_users_are_tracked_over_all_sockets() -> None:
    bench = Bench()
    sockets = [bench.socket(), bench.socket()]
    for n in range(14):
        sockets[n % 2].subscribe(type="userFills", user=f"0x{n:040x}")
    sockets[0].subscribe(type="userFills", user=f"0x{14:040x}")
    assert sockets[0].client.take("error") == ["Cannot track more than 15 total users."]
    sockets[0].subscribe(type="orderUpdates", user=f"0x{1:040x}")
    assert sockets[0].client.take("error") == []


def test_a_closed_socket_frees_its_users_and_hears_nothing_more() -> None:
    bench = Bench()
    socket = _listening(bench, type="userFills", user=ALICE)
    socket.session.on_closed()
    socket.session.on_closed()
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    bench.clock.advance_ms(1_000)
    socket.subscribe(type="trades", coin="BTC")
    assert socket.client.take() == []


# Market channels ----------------------------------------------------------------------------------------------------


def test_trades_begin_with_an_unflagged_backfill_of_thirty() -> None:
    bench = Bench(cash_usd=1_000_000)
    for _ in range(40):
        bench.order(wire_order(0, True, "97100", "0.001", "Ioc"))
    socket = bench.socket()
    socket.subscribe(type="trades", coin="BTC")
    _, first = socket.client.take()
    assert set(first) == {"channel", "data"}
    assert len(first["data"]) == 30


def test_trades_of_one_block_share_a_message() -> None:
    bench = Bench()
    socket = _listening(bench, type="trades", coin="BTC")
    bench.order(wire_order(0, True, "97100", "0.001", "Ioc"))
    bench.order(wire_order(0, True, "97100", "0.002", "Ioc"))
    bench.order(wire_order(1, True, "3100", "0.1", "Ioc"))
    assert socket.client.take() == []
    bench.clock.advance_ms(80)
    (rows,) = socket.client.take("trades")
    assert [(row["coin"], row["sz"]) for row in rows] == [("BTC", "0.001"), ("BTC", "0.002")]


def test_books_are_full_first_and_then_on_the_beat_only_when_changed() -> None:
    bench = Bench(book_every_ms=500)
    socket = bench.socket()
    socket.subscribe(type="l2Book", coin="BTC")
    (full,) = socket.client.take("l2Book")
    assert len(full["levels"][0]) == 10
    bench.clock.advance_ms(2_000)
    assert socket.client.take("l2Book") == []
    bench.move("BTC", 97_010, 1)
    bench.move("BTC", 97_020, 1)
    bench.move("ETH", 3_001, 1)
    bench.clock.advance_ms(499)
    assert socket.client.take("l2Book") == []
    bench.clock.advance_ms(1)
    (changed,) = socket.client.take("l2Book")
    assert (changed["levels"][0][0]["px"], changed["time"]) == ("97019.0", START_MS + 2_500)


def test_fast_books_have_five_levels() -> None:
    socket = Bench().socket()
    socket.subscribe(type="l2Book", coin="BTC", fast=True)
    (full,) = socket.client.take("l2Book")
    assert [len(side) for side in full["levels"]] == [5, 5]


def test_subscribers_of_one_book_share_the_encoded_frame() -> None:
    bench = Bench()
    first, second = _listening(bench, type="l2Book", coin="BTC"), _listening(bench, type="l2Book", coin="BTC")
    bench.move("BTC", 97_010, 1)
    bench.clock.advance_ms(500)
    assert first.client.raw[0] is second.client.raw[0]


def test_best_prices_are_told_when_they_change_and_not_when_depth_does() -> None:
    bench = Bench()
    socket = _listening(bench, type="bbo", coin="BTC")
    bench.rest(BOB, "BTC", Side.BUY, "0.01", "96000")
    bench.clock.advance_ms(80)
    assert socket.client.take() == []
    bench.exchange.set_prices("BTC", bench.exchange.index_price("BTC"), [], [])
    bench.clock.advance_ms(80)
    (message,) = socket.client.take("bbo")
    assert message["bbo"] == [{"px": "96000.0", "sz": "0.01", "n": 1}, None]


def test_contexts_come_at_most_once_a_second() -> None:
    bench = Bench()
    socket = _listening(bench, type="activeAssetCtx", coin="BTC")
    for n in range(30):
        bench.move("BTC", 97_000 + n, 1)
        bench.clock.advance_ms(100)
    contexts = socket.client.take("activeAssetCtx")
    assert len(contexts) == 3
    assert contexts[-1]["ctx"]["oraclePx"] == "97029.0"


def test_mids_are_a_full_map_every_five_seconds() -> None:
    bench = Bench()
    socket = bench.socket()
    socket.subscribe(type="allMids")
    assert socket.client.take("allMids") == [{"mids": {"BTC": "97000.0", "ETH": "3000.0"}}]
    bench.move("BTC", 97_100, 1)
    bench.clock.advance_ms(5_000)
    assert socket.client.take("allMids") == [{"mids": {"BTC": "97100.0", "ETH": "3000.0"}}]


def test_a_candle_is_one_object_repeated() -> None:
    bench = Bench()
    socket = _listening(bench, type="candle", coin="BTC", interval="1h")
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    bench.clock.advance_ms(1_000)
    (candle,) = socket.client.take("candle")
    assert (candle["n"], candle["v"], candle["t"]) == (1, "0.01", START_MS - START_MS % HOUR_MS)


# User channels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", USER_CHANNELS)
def test_snapshots_are_flagged(channel: str) -> None:
    socket = Bench().socket()
    socket.subscribe(type=channel, user=ALICE)
    (snapshot,) = socket.client.take(channel)
    assert (snapshot["isSnapshot"], snapshot["user"]) == (True, ALICE)


def test_later_fills_carry_no_snapshot_flag() -> None:
    bench = Bench()
    socket = _listening(bench, type="userFills", user=ALICE)
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    bench.clock.advance_ms(80)
    (message,) = socket.client.take("userFills")
    assert set(message) == {"user", "fills"}
    assert message["fills"] == bench.info("userFills", user=ALICE)


def test_order_updates_tell_each_step_without_naming_the_user() -> None:
    bench = Bench()
    socket = _listening(bench, type="orderUpdates", user=ALICE)
    oid = bench.order(wire_order(0, True, "96000", "0.02", cloid=CLOID))["resting"]["oid"]
    bench.move("BTC", 95_999, 1, size="0.005", levels=1)
    bench.act({"type": "cancel", "cancels": [{"a": 0, "o": oid}]})
    bench.clock.advance_ms(80)
    (updates,) = socket.client.take("orderUpdates")
    steps = [(update["status"], update["order"]["sz"]) for update in updates]
    assert steps == [("open", "0.02"), ("open", "0.015"), ("canceled", "0.015")]
    assert all(update["order"]["cloid"] == CLOID for update in updates)


def test_an_immediate_order_without_a_match_is_reported_rejected() -> None:
    bench = Bench()
    socket = _listening(bench, type="orderUpdates", user=ALICE)
    bench.order(wire_order(0, True, "97000", "0.02", "Ioc"))
    bench.clock.advance_ms(80)
    (updates,) = socket.client.take("orderUpdates")
    assert [update["status"] for update in updates] == ["iocCancelRejected"]


def test_user_events_arrive_on_the_channel_user() -> None:
    bench = Bench()
    socket = _listening(bench, type="userEvents", user=ALICE)
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    bench.exchange.settle_funding()
    bench.clock.advance_ms(80)
    fills, funding = socket.client.take("user")
    assert [row["dir"] for row in fills["fills"]] == ["Open Long"]
    assert funding == {
        "funding": {
            "time": START_MS,
            "coin": "BTC",
            "usdc": "-0.012125",
            "szi": "0.01",
            "fundingRate": "0.0000125",
        }
    }


def test_a_cancel_by_the_venue_is_an_event_and_ones_own_is_not() -> None:
    bench = Bench()
    socket = _listening(bench, type="userEvents", user=ALICE)
    first = bench.order(wire_order(0, True, "96000", "0.01"))["resting"]["oid"]
    bench.act({"type": "cancel", "cancels": [{"a": 0, "o": first}]})
    second = bench.order(wire_order(0, True, "97000", "0.01"))["resting"]["oid"]
    bench.order(wire_order(0, False, "97000", "0.01", "Ioc"))
    bench.clock.advance_ms(80)
    assert socket.client.take("user") == [{"nonUserCancel": [{"coin": "BTC", "oid": second}]}]


def test_payments_are_flat_rows() -> None:
    bench = Bench()
    socket = _listening(bench, type="userFundings", user=ALICE)
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    bench.exchange.settle_funding()
    bench.clock.advance_ms(80)
    (message,) = socket.client.take("userFundings")
    assert "isSnapshot" not in message
    assert set(message["fundings"][0]) == {"time", "coin", "usdc", "szi", "fundingRate", "nSamples"}


def test_account_state_and_orders_are_pushed_whole_after_a_change() -> None:
    bench = Bench()
    socket = _listening(bench, type="clearinghouseState", user=ALICE)
    socket.subscribe(type="openOrders", user=ALICE)
    socket.client.take()
    bench.order(wire_order(0, True, "96000", "0.01"))
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    bench.clock.advance_ms(5_000)
    messages = {message["channel"]: message["data"] for message in socket.client.take()}
    assert messages["clearinghouseState"]["clearinghouseState"]["assetPositions"][0]["position"]["szi"] == "0.01"
    assert [row["limitPx"] for row in messages["openOrders"]["orders"]] == ["96000.0"]
    bench.clock.advance_ms(20_000)
    assert socket.client.take() == []
    bench.move("BTC", 97_100, 1)
    bench.clock.advance_ms(5_000)
    assert [message["channel"] for message in socket.client.take()] == ["clearinghouseState"]


# Posts --------------------------------------------------------------------------------------------------------------


def test_a_read_can_be_posted() -> None:
    socket = Bench().socket()
    socket.say({"method": "post", "id": 7, "request": {"type": "info", "payload": {"type": "exchangeStatus"}}})
    status = {"time": START_MS, "specialStatuses": None}
    payload = {"type": "exchangeStatus", "data": status}
    assert socket.client.take("post") == [{"id": 7, "response": {"type": "info", "payload": payload}}]


def test_a_posted_action_is_answered_after_the_venues_delay() -> None:
    bench = Bench(action_delay_ms=200)
    socket = bench.socket()
    action = {"type": "cancel", "cancels": [{"a": 0, "o": 5}]}
    socket.say({"method": "post", "id": 8, "request": {"type": "action", "payload": bench.envelope(action)}})
    bench.clock.advance_ms(199)
    assert socket.client.take() == []
    bench.clock.advance_ms(1)
    (answer,) = socket.client.take("post")
    assert (answer["id"], answer["response"]["type"]) == (8, "action")
    assert answer["response"]["payload"]["status"] == "ok"


def test_posts_share_the_weight_budget_and_name_the_status() -> None:
    bench = Bench(weight_per_minute=20)
    bench.info("meta")
    socket = bench.socket()
    socket.say({"method": "post", "id": 1, "request": {"type": "info", "payload": {"type": "allMids"}}})
    (answer,) = socket.client.take("post")
    assert answer["response"] == {"type": "error", "payload": "429 Too Many Requests"}


def test_too_many_unanswered_posts_are_refused() -> None:
    bench = Bench()
    socket = bench.socket()
    for n in range(101):
        request = {"type": "action", "payload": bench.envelope({"type": "noop"})}
        socket.say({"method": "post", "id": n, "request": request})
    assert socket.client.take("error") == ["too many pending post requests id=100"]


# Silence ------------------------------------------------------------------------------------------------------------


def test_a_socket_is_closed_after_a_minute_of_the_venues_own_silence() -> None:
    bench = Bench()
    socket = bench.socket()
    bench.clock.advance_ms(59_999)
    assert socket.client.closed is None
    bench.clock.advance_ms(1)
    assert socket.client.closed == (1000, "Inactive")


def test_a_pong_is_traffic_that_keeps_a_socket_open() -> None:
    bench = Bench()
    socket = bench.socket()
    bench.clock.advance_ms(30_000)
    socket.say({"method": "ping"})
    bench.clock.advance_ms(59_999)
    assert socket.client.closed is None


def test_no_limit_never_closes() -> None:
    bench = Bench(idle_limit_ms=None)
    socket = bench.socket()
    bench.clock.advance_ms(10 * HOUR_MS)
    assert socket.client.closed is None


def test_equal_seeds_send_equal_frames() -> None:
    """Everything that is sent follows from the calls: hashes from the seed, order from the events."""

    def frames() -> list[bytes]:
        bench = Bench()
        socket = bench.socket()
        for coin in ("BTC", "ETH"):
            for channel in ("trades", "l2Book", "bbo", "activeAssetCtx"):
                socket.subscribe(type=channel, coin=coin)
        for user in (ALICE, BOB):
            for channel in ("userFills", "orderUpdates", "userEvents", "clearinghouseState"):
                socket.subscribe(type=channel, user=user)
        for n in range(20):
            bench.move("BTC", 97_000 + n, 1)
            bench.order(wire_order(n % 2, True, "97100" if n % 2 == 0 else "3100", "0.01", "Ioc"), signer=ALICE)
            bench.clock.advance_ms(300)
        return socket.client.raw

    assert frames() == frames()
