"""Reads over the simulated Hyperliquid's wire: numbers, pages, weights and what bodies it can not read."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sandbox.hyperliquid_wire_bench import AGENT, ALICE, BOB, CLOID, START_MS, STRANGER, Bench, D, wire_order

from perpdesk.domain.books import Side
from perpdesk.sandbox.server import WireRequest
from perpdesk.sandbox.wire.hyperliquid.encode import AMBIENT_ADDRESS, decimal_text

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0.0"),
        ("-0.0", "0.0"),
        ("5", "5.0"),
        ("1.50", "1.5"),
        ("1E+3", "1000.0"),
        ("1E-7", "0.0000001"),
        ("-2", "-2.0"),
    ],
)
def test_numbers_are_decimal_strings_with_a_digit_after_the_point(value: str, text: str) -> None:
    assert decimal_text(D(value)) == text


def test_an_unknown_address_looks_empty_and_not_wrong() -> None:
    bench = Bench()
    state = bench.info("clearinghouseState", user=STRANGER)
    assert state["marginSummary"]["accountValue"] == "0.0"
    assert state["assetPositions"] == []
    assert bench.info("userFills", user=STRANGER) == []
    assert bench.info("userRole", user=STRANGER) == {"role": "missing"}


def test_roles_tell_users_and_agents_apart() -> None:
    bench = Bench()
    assert bench.info("userRole", user=ALICE) == {"role": "user"}
    assert bench.info("userRole", user=AGENT) == {"role": "agent", "data": {"user": ALICE}}
    assert bench.info("extraAgents", user=ALICE) == [{"name": "agent1", "address": AGENT, "validUntil": None}]


def test_addresses_may_be_sent_in_any_case() -> None:
    state = Bench().info("clearinghouseState", user=ALICE.replace("a", "A"))
    assert state["marginSummary"]["accountValue"] == "10000.0"


def test_account_value_is_raw_usd_plus_signed_positions() -> None:
    bench = Bench()
    bench.order(wire_order(0, False, "96000", "0.05", "Ioc"))
    summary = bench.info("clearinghouseState", user=ALICE)["marginSummary"]
    signed = D("-0.05") * 97_000
    assert D(summary["accountValue"]) == D(summary["totalRawUsd"]) + signed
    assert (summary["totalNtlPos"], summary["totalMarginUsed"]) == ("4850.0", "242.5")


def test_withdrawable_keeps_a_tenth_of_the_notional() -> None:
    bench = Bench()
    bench.act({"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 40})
    bench.order(wire_order(0, True, "97100", "0.1", "Ioc"))
    state = bench.info("clearinghouseState", user=ALICE)
    assert D(state["withdrawable"]) == D(state["marginSummary"]["accountValue"]) - 970


def test_cumulative_funding_has_the_opposite_sign_of_the_payments() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "97100", "0.1", "Ioc"))
    bench.exchange.settle_funding()
    (payment,) = bench.info("userFunding", user=ALICE, startTime=0)
    (row,) = bench.info("clearinghouseState", user=ALICE)["assetPositions"]
    assert payment["delta"]["usdc"] == "-0.12125"
    assert row["position"]["cumFunding"] == {"allTime": "0.12125", "sinceOpen": "0.12125", "sinceChange": "0.12125"}


def test_funding_since_change_restarts_with_each_fill_and_since_open_with_the_position() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "97100", "0.1", "Ioc"))
    bench.exchange.settle_funding()
    bench.order(wire_order(0, False, "96000", "0.05", "Ioc"))
    (row,) = bench.info("clearinghouseState", user=ALICE)["assetPositions"]
    assert row["position"]["cumFunding"] == {"allTime": "0.12125", "sinceOpen": "0.12125", "sinceChange": "0.0"}
    bench.order(wire_order(0, False, "96000", "0.1", "Ioc"))
    (row,) = bench.info("clearinghouseState", user=ALICE)["assetPositions"]
    assert row["position"]["cumFunding"] == {"allTime": "0.12125", "sinceOpen": "0.0", "sinceChange": "0.0"}


def test_the_anonymous_counterparty_has_an_address_and_the_opposite_position() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "97100", "0.1", "Ioc"))
    (trade,) = bench.info("recentTrades", coin="BTC")
    assert trade["users"] == [ALICE, AMBIENT_ADDRESS]
    (row,) = bench.info("clearinghouseState", user=AMBIENT_ADDRESS)["assetPositions"]
    assert row["position"]["szi"] == "-0.1"


def test_trades_name_the_buyer_first_whoever_was_aggressive() -> None:
    bench = Bench()
    bench.move("BTC", 97_000, 10)
    bench.rest(BOB, "BTC", Side.BUY, "0.01", "97000")
    bench.order(wire_order(0, False, "97000", "0.01", "Ioc"))
    (trade,) = bench.info("recentTrades", coin="BTC")
    assert (trade["side"], trade["users"]) == ("A", [BOB, ALICE])


def test_fill_pages_hold_two_thousand_rows_oldest_first() -> None:
    bench = Bench(cash_usd=10_000_000)
    bench.move("BTC", 97_000, 10)
    for n in range(2_100):
        bench.clock.advance_ms(1)
        bench.rest(BOB, "BTC", Side.SELL if n % 2 else Side.BUY, "0.001", "97000")
        bench.rest(ALICE, "BTC", Side.BUY if n % 2 else Side.SELL, "0.001", "97000")
    page = bench.info("userFillsByTime", user=ALICE, startTime=START_MS)
    assert (len(page), page[0]["time"], page[-1]["time"]) == (2_000, START_MS + 1, START_MS + 2_000)
    rest = bench.info("userFillsByTime", user=ALICE, startTime=page[-1]["time"])
    assert len(rest) == 101
    newest = bench.info("userFills", user=ALICE)
    assert (len(newest), newest[0]["time"]) == (2_000, START_MS + 2_100)
    backwards = bench.info("userFillsByTime", user=ALICE, startTime=START_MS, reversed=True, endTime=None)
    assert backwards == newest


def test_fills_of_one_order_can_be_aggregated() -> None:
    bench = Bench()
    bench.move("BTC", 97_000, 1, size="0.01")
    bench.order(wire_order(0, True, "97100", "0.02", "Ioc"))
    assert [row["px"] for row in bench.info("userFills", user=ALICE)] == ["97003.0", "97001.0"]
    (row,) = bench.info("userFills", user=ALICE, aggregateByTime=True)
    assert (row["px"], row["sz"], row["startPosition"]) == ("97002.0", "0.02", "0.0")


def test_books_aggregate_to_significant_figures_away_from_the_spread() -> None:
    bench = Bench()
    bids, asks = bench.info("l2Book", coin="BTC", nSigFigs=4)["levels"]
    assert [level["px"] for level in bids] == ["96990.0", "96980.0"]
    assert [level["px"] for level in asks] == ["97010.0", "97020.0"]
    assert bids[0] == {"px": "96990.0", "sz": "25.0", "n": 5}


def test_an_unknown_market_has_a_null_book() -> None:
    assert Bench().info("l2Book", coin="NOPE") is None


def test_orders_are_forgotten_by_count() -> None:
    bench = Bench(cash_usd=10_000_000)
    first = bench.order(wire_order(0, True, "90000", "0.001"))["resting"]["oid"]
    for _ in range(2_300):
        order = bench.rest(ALICE, "BTC", Side.BUY, "0.001", "90000")
        bench.exchange.cancel(ALICE, order.order_id)
    assert bench.info("orderStatus", user=ALICE, oid=first)["order"]["status"] == "open"
    assert bench.info("orderStatus", user=ALICE, oid=first + 1) == {"status": "unknownOid"}
    assert bench.info("orderStatus", user=ALICE, oid=order.order_id)["order"]["status"] == "canceled"


def test_candles_count_trades_and_span_their_interval() -> None:
    bench = Bench()
    bench.clock.advance_ms(HOUR_MS - START_MS % HOUR_MS)
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    bench.clock.advance_ms(30 * 60_000)
    bench.move("BTC", 97_500, 1)
    bench.order(wire_order(0, True, "97600", "0.02", "Ioc"))
    hour_ms = bench.clock.wall_ms() // HOUR_MS * HOUR_MS
    rows = bench.info("candleSnapshot", req={"coin": "BTC", "interval": "1h", "startTime": hour_ms, "endTime": None})
    assert rows == [
        {
            "t": hour_ms,
            "T": hour_ms + HOUR_MS - 1,
            "s": "BTC",
            "i": "1h",
            "o": "97001.0",
            "c": "97501.0",
            "h": "97501.0",
            "l": "97001.0",
            "v": "0.03",
            "n": 2,
        }
    ]
    halves = bench.info("candleSnapshot", req={"coin": "BTC", "interval": "30m", "startTime": hour_ms})
    assert [row["n"] for row in halves] == [1, 1]


def test_settled_rates_are_read_in_order() -> None:
    bench = Bench()
    for _ in range(3):
        bench.clock.advance_ms(HOUR_MS)
        bench.exchange.settle_funding()
    rows = bench.info("fundingHistory", coin="BTC", startTime=START_MS + 2 * HOUR_MS)
    assert [row["time"] for row in rows] == [START_MS + 2 * HOUR_MS, START_MS + 3 * HOUR_MS]
    assert rows[0]["fundingRate"] == "0.0000125"


def test_profit_in_the_portfolio_is_value_less_transfers() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "97100", "0.1", "Ioc"))
    bench.clock.advance_ms(HOUR_MS)
    bench.exchange.deposit(ALICE, D(500))
    bench.move("BTC", 98_000, 1)
    (name, window), *_ = bench.info("portfolio", user=ALICE)
    assert name == "day"
    assert window["pnlHistory"][0][1] == "0.0"
    value, profit = window["accountValueHistory"][-1], window["pnlHistory"][-1]
    assert D(value[1]) == D(profit[1]) + 10_500
    assert D(profit[1]) == D("0.1") * (98_000 - 97_001) - D("4.365045")
    assert window["vlm"] == "9700.1"


def test_fees_are_those_of_the_accounts_tier() -> None:
    bench = Bench()
    bench.exchange.open_account(STRANGER, D(1), "vip2")
    assert bench.info("userFees", user=ALICE)["userCrossRate"] == "0.00045"
    assert bench.info("userFees", user=STRANGER)["userAddRate"] == "0.00008"
    assert bench.info("userFees", user=ALICE)["feeSchedule"]["tiers"]["vip"][0]["ntlCutoff"] == "5000000.0"


def test_a_fault_of_our_own_is_a_500_and_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    def broken(account_id: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.exchange, "equity_usd", broken)
    response = bench.post("/info", {"type": "clearinghouseState", "user": ALICE})
    assert (response.status, response.body) == (500, b"null")


def test_another_dex_is_an_internal_failure_and_no_other_market() -> None:
    assert Bench().post("/info", {"type": "meta", "dex": "xyz"}).status == 500


# Weights ------------------------------------------------------------------------------------------------------------


def test_the_budget_is_spent_by_type_and_comes_back_after_a_minute() -> None:
    bench = Bench(weight_per_minute=100)
    for _ in range(5):
        assert bench.post("/info", {"type": "meta"}).status == 200
    refused = bench.post("/info", {"type": "allMids"})
    assert (refused.status, refused.body) == (429, b"null")
    bench.clock.advance_ms(59_999)
    assert bench.post("/info", {"type": "allMids"}).status == 429
    bench.clock.advance_ms(1)
    assert bench.post("/info", {"type": "allMids"}).status == 200


def test_rows_weigh_more_after_the_answer() -> None:
    bench = Bench(weight_per_minute=47)
    bench.move("BTC", 97_000, 1, size="0.01")
    for _ in range(21):
        bench.rest(ALICE, "BTC", Side.BUY, "0.001", "97100")
    assert bench.post("/info", {"type": "userFills", "user": ALICE}).status == 200  # 20, and 2 for 21 rows
    assert bench.post("/info", {"type": "meta"}).status == 200
    assert bench.post("/info", {"type": "exchangeStatus"}).status == 200
    assert bench.post("/info", {"type": "allMids"}).status == 200
    assert bench.post("/info", {"type": "allMids"}).status == 429


def test_actions_weigh_one_and_one_more_per_forty() -> None:
    bench = Bench(weight_per_minute=4)
    assert bench.statuses({"type": "cancel", "cancels": [{"a": 0, "o": n} for n in range(80)]})
    assert bench.act({"type": "noop"})["status"] == "ok"
    assert bench.post("/exchange", bench.envelope({"type": "noop"})).status == 429


# What can not be read -----------------------------------------------------------------------------------------------

UNREADABLE = [
    b"",
    b"{",
    b"[]",
    b'"meta"',
    b'{"type":"nope"}',
    b'{"type":"clearinghouseState"}',
    b'{"type":"clearinghouseState","user":"0x12"}',
    b'{"type":"userFillsByTime","user":"' + ALICE.encode() + b'","startTime":"now"}',
    b'{"type":"candleSnapshot","req":{"coin":"BTC","interval":"7m","startTime":0}}',
    b'{"type":"l2Book","coin":"BTC","nSigFigs":5,"mantissa":1}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_body_that_can_not_be_read_is_422_in_plain_text(body: bytes) -> None:
    for path in ("/info", "/exchange"):
        response = Bench().server.handle(WireRequest("POST", path, body=body))
        assert response.status == 422
        assert response.body == b"Failed to deserialize the JSON body into the target type"
        assert response.content_type.startswith("text/plain")


def test_other_paths_and_methods_do_not_exist() -> None:
    server = Bench().server
    assert server.handle(WireRequest("POST", "/infos")).status == 404
    assert server.handle(WireRequest("GET", "/info")).status == 405


BENCH = Bench(weight_per_minute=None)
WORDS = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        5,
        1 << 70,
        START_MS,
        0.5,
        "",
        "x",
        "1h",
        "BTC",
        "kPEPE",
        AMBIENT_ADDRESS,
        ALICE,
        CLOID,
        "1e999999",
    ]
)
NAMES = st.sampled_from(
    ["type", "user", "coin", "a", "b", "p", "s", "r", "t", "c", "limit", "tif", "oid", "order", "method"]
)
JSON = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=4
)
FIXED = settings(derandomize=True, deadline=None)
TYPES = (
    "clearinghouseState orderStatus userFillsByTime candleSnapshot l2Book fundingHistory userFunding marginTable "
    "activeAssetData maxBuilderFee recentTrades portfolio userFees"
).split()
KEYS = (
    "user",
    "coin",
    "oid",
    "startTime",
    "endTime",
    "req",
    "nSigFigs",
    "mantissa",
    "builder",
    "id",
    "interval",
)


@FIXED
@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(KEYS), JSON))
def test_no_read_request_breaks_the_server(type_: str, fields: dict[str, object]) -> None:
    assert BENCH.post("/info", {**fields, "type": type_}).status in (200, 422)


@FIXED
@given(
    st.sampled_from(["order", "cancel", "cancelByCloid", "modify", "batchModify", "updateLeverage", "scheduleCancel"]),
    st.dictionaries(
        st.sampled_from(["orders", "cancels", "modifies", "asset", "leverage", "time", "oid", "order"]), JSON
    ),
)
def test_no_action_breaks_the_server(type_: str, fields: dict[str, object]) -> None:
    body = BENCH.envelope({"type": type_, **fields})
    assert BENCH.post("/exchange", body).status in (200, 422)


@FIXED
@given(JSON)
def test_no_frame_breaks_a_socket(message: object) -> None:
    socket = BENCH.socket()
    socket.session.on_frame(msgspec.json.encode({"method": "subscribe", "subscription": message}))
    socket.session.on_frame(msgspec.json.encode(message))
    assert socket.client.raw
    socket.session.on_closed()
