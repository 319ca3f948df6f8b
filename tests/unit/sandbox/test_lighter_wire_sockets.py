"""The simulated Lighter's stream: subscriptions, what is pushed when, heartbeats, and transactions over a socket."""

import json
import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sandbox.lighter_bench import KEY, ME, NOW_MS, Ear, Json, LighterBench

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.rules import lighter_market, lighter_rules
from perpdesk.sandbox.wire.lighter import LighterServer

D = Decimal
PRIVATE = [
    "account_all_orders/7",
    "account_orders/0/7",
    "account_all_trades/7",
    "account_all_positions/7",
    "account_all_assets/7",
    "account_market/0/7",
    "account_tx/7",
    "user_stats/7",
    "notification/7",
]


@pytest.fixture
def bench() -> LighterBench:
    return LighterBench()


def error_code(ear: Ear) -> int:
    return int(ear.heard[-1]["error"]["code"])


# Protocol -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/stream", "/stream?readonly=true", "/stream/"])
def test_a_client_is_greeted_with_its_session(bench: LighterBench, path: str) -> None:
    (hello,) = bench.connect(path).heard
    assert (hello["type"], len(hello["session_id"])) == ("connected", 36)


def test_any_other_path_is_refused(bench: LighterBench) -> None:
    assert bench.server.open_socket("/ws", {}, Ear()) is None


def test_sessions_have_different_ids(bench: LighterBench) -> None:
    assert bench.connect().heard[0] != bench.connect().heard[0]


def test_subscribing_twice_is_an_error_and_unsubscribing_allows_it_again(bench: LighterBench) -> None:
    ear = bench.connect()
    assert ear.subscribe("order_book/0")["type"] == "subscribed/order_book"
    assert ear.subscribe("order_book/0") == {
        "error": {"code": 30003, "message": "Already Subscribed to : order_book:0"}
    }
    ear.say(type="unsubscribe", channel="order_book/0")
    assert ear.heard[-1] == {"type": "unsubscribed", "channel": "order_book:0"}
    assert ear.subscribe("order_book/0")["type"] == "subscribed/order_book"


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "nothing",
        "order_book",
        "order_book/",
        "order_book/9",
        "order_book/x",
        "order_book/0/1",
        "height/1",
        "trade/all",
    ],
)
def test_an_unknown_channel_is_an_error(bench: LighterBench, channel: str) -> None:
    ear = bench.connect()
    ear.say(type="subscribe", channel=channel)
    assert error_code(ear) == 30005


@pytest.mark.parametrize("channel", ["account_all/8", "account_tx/8", "account_orders/9/7", "account_orders/7"])
def test_an_unknown_account_is_an_invalid_channel(bench: LighterBench, channel: str) -> None:
    ear = bench.connect()
    ear.say(type="subscribe", channel=channel, auth=bench.token())
    assert error_code(ear) == 30005


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"{", 30000),
        (b"\xff", 30000),
        (b"[]", 30001),
        (b"{}", 30001),
        (b'{"type":"nothing"}', 30001),
        (b'{"type":"unsubscribe","channel":"order_book/0"}', 30002),
        (b'{"type":"subscribe"}', 30005),
        (b'{"type":"subscribe","channel":{}}', 30005),
    ],
)
def test_frames_that_make_no_sense_are_answered_with_an_error(bench: LighterBench, frame: bytes, code: int) -> None:
    ear = bench.connect()
    assert ear.session is not None
    ear.session.on_frame(frame)
    assert error_code(ear) == code


@pytest.mark.parametrize("channel", PRIVATE)
def test_private_channels_need_a_token_of_the_account(bench: LighterBench, channel: str) -> None:
    ear = bench.connect()
    for auth in (None, "nonsense", bench.token(life_s=-1), bench.token(account=8)):
        ear.subscribe(channel, auth)
        assert error_code(ear) == 20013
    assert ear.subscribe(channel, bench.token())["type"] == f"subscribed/{channel.split('/')[0]}"


def test_account_all_answers_without_a_token(bench: LighterBench) -> None:
    frame = bench.connect().subscribe("account_all/7")
    assert (frame["type"], frame["account"]) == ("subscribed/account_all", ME)


def test_more_messages_than_a_minute_allows_are_refused() -> None:
    bench = LighterBench(messages_per_minute=2)
    ear = bench.connect()
    for _ in range(3):
        ear.say(type="ping")
    assert error_code(ear) == 30009
    bench.clock.advance_ms(60_000)
    ear.say(type="ping")
    assert ear.heard[-1] == {"type": "pong"}


# Heartbeats -----------------------------------------------------------------------------------------------------------


def test_pings_go_both_ways(bench: LighterBench) -> None:
    ear = bench.connect()
    ear.say(type="ping")
    assert ear.heard[-1] == {"type": "pong"}
    bench.clock.advance_ms(60_000)
    assert ear.heard[-1] == {"type": "ping"}


def test_a_client_that_answers_pings_stays_and_a_silent_one_is_cut_after_two_minutes(bench: LighterBench) -> None:
    silent, alive = bench.connect(), bench.connect()
    for _ in range(4):
        bench.clock.advance_ms(59_999)
        alive.say(type="pong")
    assert alive.closed is None
    assert silent.closed is not None
    count = len(silent.raw)
    bench.clock.advance_ms(600_000)
    assert len(silent.raw) == count


def test_the_silence_limit_is_exact(bench: LighterBench) -> None:
    ear = bench.connect()
    bench.clock.advance_ms(119_999)
    assert ear.closed is None
    bench.clock.advance_ms(1)
    assert ear.closed is not None


def test_without_a_silence_limit_a_session_ends_after_a_day() -> None:
    bench = LighterBench(silence_limit_ms=None)
    ear = bench.connect()
    bench.clock.advance_ms(24 * 3_600_000 - 1)
    assert ear.closed is None
    bench.clock.advance_ms(1)
    assert ear.closed == (1000, "session expired")


def test_a_client_that_left_is_sent_nothing_more(bench: LighterBench) -> None:
    ear = bench.listen("order_book/0", "height")
    assert ear.session is not None
    ear.session.on_closed()
    bench.quote("2001.00", [("2000.90", 5)], [("2001.10", 5)])
    bench.clock.advance_ms(300_000)
    assert ear.raw == []


# Books ----------------------------------------------------------------------------------------------------------------


class Rebuilt:
    """A client's book from frames, as the venue's rules say."""

    def __init__(self, frame: Json) -> None:
        book = frame["order_book"]
        self.nonce = book["nonce"]
        self.sides = {name: {row["price"]: row["size"] for row in book[name]} for name in ("bids", "asks")}

    def apply(self, frame: Json) -> None:
        book = frame["order_book"]
        assert book["begin_nonce"] == self.nonce
        assert book["nonce"] > book["begin_nonce"]
        self.nonce = book["nonce"]
        for name, levels in self.sides.items():
            for row in book[name]:
                if D(row["size"]) == 0:
                    del levels[row["price"]]
                else:
                    levels[row["price"]] = row["size"]

    def levels(self, name: str) -> list[tuple[Decimal, Decimal]]:
        rows = [(D(price), D(size)) for price, size in self.sides[name].items()]
        return sorted(rows, reverse=name == "bids")


def held_by(bench: LighterBench) -> dict[str, list[tuple[Decimal, Decimal]]]:
    bids, asks = bench.exchange.book("ETH")
    return {"bids": [(p, s) for p, s, _ in bids], "asks": [(p, s) for p, s, _ in asks]}


def test_a_delta_carries_only_what_changed_with_absolute_sizes_and_zero_for_gone(bench: LighterBench) -> None:
    ear = bench.listen("order_book/0")
    bench.quote("2000.00", [("1999.90", 5), ("1999.40", 2)], [("2000.10", "4.5"), ("2000.60", 9)])
    bench.clock.advance_ms(50)
    (frame,) = ear.heard
    assert frame["order_book"]["bids"] == [
        {"price": "1999.50", "size": "0.0000"},
        {"price": "1999.40", "size": "2.0000"},
    ]
    assert frame["order_book"]["asks"] == [{"price": "2000.10", "size": "4.5000"}]


def test_changes_within_the_interval_leave_as_one_delta(bench: LighterBench) -> None:
    ear = bench.listen("order_book/0")
    bench.quote("2000.00", [("1999.90", 6)], [("2000.10", 5)])
    bench.clock.advance_ms(1)
    assert len(ear.raw) == 1
    for size in (7, 8, 9):
        bench.quote("2000.00", [("1999.90", size)], [("2000.10", 5)])
    bench.clock.advance_ms(48)
    assert len(ear.raw) == 1
    bench.clock.advance_ms(1)
    assert len(ear.raw) == 2
    assert ear.heard[-1]["order_book"]["bids"] == [{"price": "1999.90", "size": "9.0000"}]


def test_an_unchanged_book_sends_nothing(bench: LighterBench) -> None:
    ear = bench.listen("order_book/0")
    bench.quote("2000.00", [("1999.90", 5), ("1999.50", 9)], [("2000.10", 5), ("2000.60", 9)])
    bench.clock.advance_ms(1_000)
    assert ear.raw == []


def test_an_empty_market_starts_at_nonce_zero_and_its_first_delta_continues_from_there() -> None:
    bench = LighterBench()
    bench.quote("2000.00", [], [])
    ear = bench.connect()
    book = ear.subscribe("order_book/0")["order_book"]
    shown = (book["asks"], book["bids"], book["nonce"], book["begin_nonce"], book["offset"])
    assert shown == ([], [], 0, 0, 1)
    bench.quote("2000.00", [("1999.90", 5)], [])
    bench.clock.advance_ms(50)
    assert ear.heard[-1]["order_book"]["begin_nonce"] == 0


def test_a_late_subscriber_and_an_early_one_share_the_same_frames(bench: LighterBench) -> None:
    early = bench.listen("order_book/0")
    bench.quote("2000.00", [("1999.90", 6)], [("2000.10", 5)])
    late = bench.connect()
    rebuilt_late = Rebuilt(late.subscribe("order_book/0"))
    bench.clock.advance_ms(50)
    bench.quote("2000.00", [("1999.90", 7)], [("2000.10", 5)])
    bench.clock.advance_ms(50)
    assert early.raw[-1] is late.raw[-1]
    rebuilt_late.apply(late.of("update/order_book")[-1])
    assert rebuilt_late.levels("bids") == held_by(bench)["bids"]


PRICES = st.integers(0, 40)
LADDER = st.dictionaries(PRICES, st.integers(1, 50_000), max_size=12)


@settings(max_examples=60, deadline=None)
@given(moves=st.lists(st.tuples(st.integers(-60, 60), LADDER, LADDER, st.integers(0, 70)), min_size=1, max_size=12))
def test_deltas_rebuild_the_exchanges_book_whatever_happens_to_it(
    moves: list[tuple[int, dict[int, int], dict[int, int], int]],
) -> None:
    """Random ladders around a moving middle, an own resting order, and waits shorter and longer than the interval."""
    bench = LighterBench()
    bench.place(BaseAmount=2000, Price=150_000)
    ear = bench.connect()
    book = Rebuilt(ear.subscribe("order_book/0"))
    seen = len(ear.raw)
    for shift, bids, asks, wait_ms in moves:
        middle = D(2000) + D(shift) / 10
        bench.exchange.set_prices(
            "ETH",
            middle,
            [(middle - D(p + 1) / 100, D(s).scaleb(-4)) for p, s in sorted(bids.items())],
            [(middle + D(p + 1) / 100, D(s).scaleb(-4)) for p, s in sorted(asks.items())],
        )
        bench.clock.advance_ms(wait_ms)
    bench.clock.advance_ms(50)
    for frame in ear.heard[seen:]:
        book.apply(frame)
    assert {name: book.levels(name) for name in ("bids", "asks")} == held_by(bench)


def test_the_ticker_shows_the_best_levels_and_only_moves_with_them(bench: LighterBench) -> None:
    ear = bench.connect()
    ticker = ear.subscribe("ticker/0")["ticker"]
    assert (ticker["s"], ticker["b"]) == ("ETH", {"price": "1999.90", "size": "5.0000"})
    ear.raw.clear()
    bench.quote("2000.00", [("1999.90", 5), ("1999.40", 1)], [("2000.10", 5)])
    bench.clock.advance_ms(50)
    assert ear.raw == []
    bench.quote("2000.00", [("1999.90", 5)], [])
    bench.clock.advance_ms(50)
    assert ear.heard[-1]["ticker"]["a"] == {"price": "", "size": ""}


# Statistics, trades, heights ------------------------------------------------------------------------------------------


def test_market_statistics_are_percent_per_hour_and_usd(bench: LighterBench) -> None:
    bench.take(1, 10_000)
    bench.exchange.override_rate("ETH", D("-0.000028"))
    ear = bench.connect()
    stats = ear.subscribe("market_stats/0")["market_stats"]
    assert (stats["current_funding_rate"], stats["funding_rate"], stats["funding_timestamp"]) == (
        "-0.0028",
        "0.0000",
        0,
    )
    assert D(stats["open_interest"]) == bench.exchange.mark_price("ETH")
    bench.exchange.settle_funding()
    bench.clock.advance_ms(50)
    stats = ear.of("update/market_stats")[-1]["market_stats"]
    assert (stats["funding_rate"], stats["funding_timestamp"]) == ("-0.0028", bench.clock.wall_ms() - 50)


def test_statistics_of_all_markets_update_only_the_markets_that_moved(bench: LighterBench) -> None:
    ear = bench.connect()
    assert list(ear.subscribe("market_stats/all")["market_stats"]) == ["0", "4"]
    bench.quote("2001.00", [("2000.90", 5)], [("2001.10", 5)])
    bench.clock.advance_ms(50)
    assert list(ear.of("update/market_stats")[-1]["market_stats"]) == ["0"]


def test_a_market_without_a_price_is_missing_from_the_statistics_until_it_has_one() -> None:
    clock = ManualClock(NOW_MS)
    market = lighter_market("NEW", 9, "NEW", 2, 3, D("0.1"), D(10), 10)
    exchange = Exchange(VenueName.LIGHTER, [market], lighter_rules(), clock)
    ear = Ear()
    ear.session = LighterServer(exchange, clock, random.Random(1)).open_socket("/stream", {}, ear)
    assert ear.subscribe("market_stats/all")["market_stats"] == {}
    exchange.set_prices("NEW", D(5), [], [])
    clock.advance_ms(50)
    assert list(ear.heard[-1]["market_stats"]) == ["9"]


def test_spot_statistics_are_empty(bench: LighterBench) -> None:
    assert bench.connect().subscribe("spot_market_stats/all")["spot_market_stats"] == {}


def test_public_trades_separate_liquidations() -> None:
    bench = LighterBench(cash_usd=D(120))
    bench.send(20, bench.signed(MarketIndex=0, InitialMarginFraction=200, MarginMode=0))
    ear = bench.listen("trade/0", "notification/7")
    bench.take(1, 10_000)
    frame = ear.of("update/trade")[-1]
    assert (len(frame["trades"]), frame["liquidation_trades"]) == (1, [])
    bench.quote("1890.00", [("1889.90", 50)], [("1890.10", 50)])
    bench.exchange.liquidate()
    bench.clock.advance_ms(1)
    frame = ear.of("update/trade")[-1]
    assert (frame["trades"], frame["liquidation_trades"][0]["type"]) == ([], "liquidation")
    assert ear.of("update/notification")[-1]["notifs"][0]["kind"] == "liquidation"


def test_a_trade_subscription_starts_with_the_latest_trades(bench: LighterBench) -> None:
    bench.exchange.take_ambient("ETH", Side.BUY, D("0.1"), D(2100))
    frame = bench.connect().subscribe("trade/0")
    assert [trade["size"] for trade in frame["trades"]] == ["0.1000"]


def test_heights_count_on_only_while_someone_listens(bench: LighterBench) -> None:
    ear = bench.connect()
    first = ear.subscribe("height")["height"]
    bench.clock.advance_ms(1_500)
    assert [frame["height"] for frame in ear.of("update/height")] == [first + 1, first + 2, first + 3]
    ear.say(type="unsubscribe", channel="height")
    count = len(ear.raw)
    bench.clock.advance_ms(5_000)
    assert len(ear.raw) == count


def test_without_subscribers_a_busy_market_schedules_nothing(bench: LighterBench) -> None:
    ear = bench.connect()
    before = bench.clock.scheduled
    for step in range(20):
        bench.quote("2000.00", [("1999.90", 5 + step)], [("2000.10", 5)])
        bench.exchange.take_ambient("ETH", Side.SELL, D("0.1"), D(1))
    assert bench.clock.scheduled == before
    ear.subscribe("order_book/0")
    bench.quote("2000.00", [("1999.90", 3)], [("2000.10", 5)])
    bench.quote("2000.00", [("1999.90", 4)], [("2000.10", 5)])
    assert bench.clock.scheduled == before + 1
    ear.say(type="unsubscribe", channel="order_book/0")
    bench.clock.advance_ms(50)
    bench.quote("2000.00", [("1999.90", 5)], [("2000.10", 5)])
    assert bench.clock.scheduled == before + 1


# Account streams ------------------------------------------------------------------------------------------------------


def test_a_fill_reaches_every_account_channel_in_one_instant(bench: LighterBench) -> None:
    ear = bench.listen("account_all/7", *PRIVATE)
    bench.take(5, 1000)
    kinds = [frame["type"].removeprefix("update/") for frame in ear.heard]
    wanted = {channel.split("/")[0] for channel in PRIVATE} | {"account_all"}
    assert (set(kinds), len(kinds)) == (wanted - {"notification"}, len(wanted) - 1)
    orders = ear.of("update/account_all_orders")[0]["orders"]["0"]
    assert [(row["client_order_index"], row["status"]) for row in orders] == [(5, "filled")]
    trades = ear.of("update/account_all_trades")[0]["trades"]["0"]
    assert [trade["bid_client_id"] for trade in trades] == [5]
    assert ear.of("update/account_all_positions")[0]["positions"]["0"]["position"] == "0.1000"
    assert ear.of("update/account_tx")[0]["txs"][0]["status"] == 2
    one_market = ear.of("update/account_market")[0]
    assert (one_market["position"]["position"], len(one_market["trades"])) == ("0.1000", 1)
    stats = ear.of("update/user_stats")[0]["stats"]
    assert D(stats["portfolio_value"]) == bench.exchange.equity_usd(str(ME))


def test_a_resting_order_shows_as_open_and_then_as_cancelled(bench: LighterBench) -> None:
    ear = bench.listen("account_all_orders/7", "account_all_trades/7")
    bench.place()
    bench.send(15, bench.signed(MarketIndex=0, Index=1))
    bench.clock.advance_ms(100)
    statuses = [frame["orders"]["0"][0]["status"] for frame in ear.of("update/account_all_orders")]
    assert (statuses, ear.of("update/account_all_trades")) == (["open", "canceled"], [])


def test_a_partial_fill_of_a_resting_order_is_pushed_with_what_remains(bench: LighterBench) -> None:
    bench.place(Price=199_990, BaseAmount=10_000)
    ear = bench.listen("account_orders/0/7")
    bench.exchange.take_ambient("ETH", Side.SELL, D("5.3"), D(1990))
    bench.clock.advance_ms(1)
    row = ear.heard[-1]["orders"]["0"][0]
    shown = (row["status"], row["filled_base_amount"], row["remaining_base_amount"])
    assert shown == ("open", "0.3000", "0.7000")
    assert ear.heard[-1]["account"] == ME


def test_an_order_without_a_row_shows_only_as_a_failed_transaction(bench: LighterBench) -> None:
    bench.send(14, bench.order_info(ClientOrderIndex=1, BaseAmount=900_000))
    ear = bench.listen("account_all_orders/7", "account_tx/7")
    bench.place(ClientOrderIndex=2, BaseAmount=900_000)
    shown = [row["client_order_index"] for f in ear.of("update/account_all_orders") for row in f["orders"]["0"]]
    txs = [tx["status"] for frame in ear.of("update/account_tx") for tx in frame["txs"]]
    assert (shown, txs) == ([1], [2, 0])


def test_funding_moves_the_assets_and_is_listed_with_the_account(bench: LighterBench) -> None:
    bench.take(1, 10_000)
    ear = bench.listen("account_all/7", "account_all_assets/7")
    bench.exchange.override_rate("ETH", D("0.000012"))
    bench.exchange.settle_funding()
    bench.clock.advance_ms(1)
    payment = ear.of("update/account_all")[-1]["funding_histories"]["0"][0]
    balance = D(ear.of("update/account_all_assets")[-1]["assets"]["3"]["margin_balance"])
    assert balance == D(10_000) + D(payment["change"])
    assert D(payment["change"]) < 0


def test_first_frames_carry_what_is_already_there(bench: LighterBench) -> None:
    bench.take(1, 1000)
    bench.place(ClientOrderIndex=2)
    ear = bench.connect()
    assert ear.subscribe("account_all_orders/7", bench.token())["orders"]["0"][0]["client_order_index"] == 2
    assert len(ear.subscribe("account_all_trades/7", bench.token())["trades"]["0"]) == 1
    assert ear.subscribe("account_all_positions/7", bench.token())["positions"]["0"]["open_order_count"] == 1
    assert len(ear.subscribe("account_tx/7", bench.token())["txs"]) == 2
    everything = ear.subscribe("account_all/7")
    assert (everything["total_trades_count"], everything["daily_volume"]) == (1, 200.01)


def test_an_account_without_trades_starts_with_an_empty_array(bench: LighterBench) -> None:
    assert bench.connect().subscribe("account_all_trades/7", bench.token())["trades"] == []


def test_leverage_is_pushed_with_the_positions(bench: LighterBench) -> None:
    ear = bench.listen("account_all_positions/7")
    bench.send(20, bench.signed(MarketIndex=0, InitialMarginFraction=1000, MarginMode=0))
    bench.clock.advance_ms(100)
    assert ear.heard[-1]["positions"]["0"]["initial_margin_fraction"] == "10.00"


# Transactions over the socket -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_text", [False, True])
def test_a_transaction_sent_over_the_socket_is_acknowledged_and_executes(bench: LighterBench, as_text: bool) -> None:
    ear = bench.connect()
    info = bench.order_info()
    ear.say(type="jsonapi/sendtx", data={"id": "x1", "tx_type": 14, "tx_info": json.dumps(info) if as_text else info})
    answer = ear.heard[-1]
    assert (answer["type"], answer["id"], answer["code"], len(answer["tx_hash"])) == ("jsonapi/sendtx", "x1", 200, 80)
    bench.clock.advance_ms(200)
    assert bench.order_row(1)["status"] == "open"


def test_a_refusal_over_the_socket_names_the_code_and_echoes_the_id(bench: LighterBench) -> None:
    ear = bench.connect()
    ear.say(type="jsonapi/sendtx", data={"id": "x1", "tx_type": 14, "tx_info": bench.order_info(Nonce=3)})
    assert ear.heard[-1] == {"type": "jsonapi/sendtx", "id": "x1", "code": 21104, "message": "invalid nonce"}
    for data in (None, {"tx_type": "14", "tx_info": {}}, {"tx_type": 14}, {"tx_type": 14, "tx_info": "{"}):
        ear.say(type="jsonapi/sendtx", data=data)
        assert ear.heard[-1]["code"] in (30007, 21501)


def test_a_batch_over_the_socket_comes_as_json_text_and_holds_fifteen_at_most(bench: LighterBench) -> None:
    ear = bench.connect()
    infos = [json.dumps(bench.order_info(ClientOrderIndex=n + 1, Nonce=n)) for n in range(16)]
    data = {"id": "b", "tx_types": json.dumps([14] * 16), "tx_infos": json.dumps(infos)}
    ear.say(type="jsonapi/sendtxbatch", data=data)
    assert ear.heard[-1]["code"] == 21514
    data = {"id": "b", "tx_types": json.dumps([14] * 15), "tx_infos": json.dumps(infos[:15])}
    ear.say(type="jsonapi/sendtxbatch", data=data)
    assert (ear.heard[-1]["code"], len(ear.heard[-1]["tx_hash"])) == (200, 15)
    assert bench.get("nextNonce", account_index=ME, api_key_index=KEY)["nonce"] == 15


def test_transactions_over_the_socket_share_the_request_budget() -> None:
    bench = LighterBench(requests_per_minute=1)
    ear = bench.connect()
    for nonce in (0, 1):
        info = bench.order_info(ClientOrderIndex=nonce + 1, Nonce=nonce)
        ear.say(type="jsonapi/sendtx", data={"tx_type": 14, "tx_info": info})
    assert [frame["code"] for frame in ear.of("jsonapi/sendtx")] == [200, 23000]
