"""What the simulated Lighter refuses before a nonce is consumed, and what becomes of what it accepts."""

import base64
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.unit.sandbox.lighter_bench import HOUR_MS, KEY, ME, NOW_MS, OTHER_KEY, LighterBench

D = Decimal
DAY_MS = 24 * HOUR_MS
ORDER_BASE = 281_474_976_710_656


@pytest.fixture
def bench() -> LighterBench:
    return LighterBench()


# Refusals by the API --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"AccountIndex": 8}, 21100),
        ({"AccountIndex": "7"}, 21102),
        ({"ApiKeyIndex": 9}, 21109),
        ({"ApiKeyIndex": 255}, 21110),
        ({"ExpiredAt": NOW_MS}, 21501),
        ({"ExpiredAt": None}, 21501),
        ({"Sig": ""}, 21120),
        ({"Sig": "not base64!"}, 21120),
        ({"Sig": base64.b64encode(bytes(79)).decode()}, 21120),
        ({"Nonce": 1}, 21104),
        ({"Nonce": -1}, 21104),
        ({"Nonce": "0"}, 21104),
        ({"L2TxAttributes": [1]}, 21501),
        ({"MarketIndex": 3}, 21602),
        ({"MarketIndex": None}, 21602),
        ({"ClientOrderIndex": -1}, 21727),
        ({"ClientOrderIndex": 1 << 48}, 21727),
        ({"BaseAmount": 0}, 21701),
        ({"BaseAmount": 1 << 48}, 21701),
        ({"BaseAmount": 1.5}, 21701),
        ({"BaseAmount": True}, 21701),
        ({"Price": 0}, 21702),
        ({"Price": 1 << 32}, 21702),
        ({"IsAsk": 2}, 21703),
        ({"Type": 7}, 21704),
        ({"Type": 9}, 21704),
        ({"Type": 2}, 21505),
        ({"TimeInForce": 3}, 21705),
        ({"Type": 1, "TimeInForce": 1}, 21705),
        ({"ReduceOnly": 2}, 21740),
        ({"OrderExpiry": 0}, 21711),
        ({"OrderExpiry": -1}, 21711),
        ({"OrderExpiry": NOW_MS + 5 * 60_000 - 1}, 21711),
        ({"OrderExpiry": NOW_MS + 30 * DAY_MS + 1}, 21711),
        ({"TimeInForce": 0}, 21711),
        ({"BaseAmount": 49}, 21706),
        ({"Price": 9_000, "BaseAmount": 1000}, 21706),
        ({"BaseAmount": (1 << 48) - 1}, 21706),
        ({"ReduceOnly": 1}, 21732),
        ({"BaseAmount": 1_010_000}, 21739),
    ],
)
def test_a_faulty_order_is_refused_with_its_own_code_and_consumes_no_nonce(
    bench: LighterBench, changes: dict[str, object], code: int
) -> None:
    info = bench.order_info()
    info.update(changes)
    assert bench.refused(14, info) == code
    assert bench.get("accountActiveOrders", account_index=ME)["orders"] == []


def test_the_same_order_without_a_fault_is_accepted(bench: LighterBench) -> None:
    assert bench.place()["status"] == 2


@pytest.mark.parametrize("ahead_ms", [5 * 60_000, 30 * DAY_MS])
def test_both_ends_of_the_expiry_range_are_allowed(bench: LighterBench, ahead_ms: int) -> None:
    bench.place(OrderExpiry=NOW_MS + ahead_ms)
    assert bench.order_row(1)["order_expiry"] == NOW_MS + ahead_ms


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null"])
def test_tx_info_that_is_no_object_is_refused(bench: LighterBench, text: str) -> None:
    status, body = bench.post("sendTx", {"tx_type": 14, "tx_info": text})
    assert (status, body["code"]) == (400, 21501)


@pytest.mark.parametrize("tx_type", [8, 12, 28, 29, 99])
def test_transaction_types_that_are_not_simulated_are_refused(bench: LighterBench, tx_type: int) -> None:
    assert bench.refused(tx_type, bench.order_info()) == 21505


def test_a_form_without_a_transaction_is_an_invalid_parameter(bench: LighterBench) -> None:
    assert bench.post("sendTx", {"tx_type": 14})[1]["code"] == 20001
    assert bench.post("sendTx", {"tx_type": "x", "tx_info": "{}"})[1]["code"] == 20001


def test_an_unlisted_market_refuses_every_order_and_a_reduce_only_market_refuses_openings(bench: LighterBench) -> None:
    listed = bench.exchange.markets["ETH"]
    bench.exchange.replace_market(replace(listed, is_listed=False))
    assert bench.refused(14, bench.order_info()) == 21605
    bench.exchange.replace_market(replace(listed, is_reduce_only=True))
    assert bench.refused(14, bench.order_info()) == 21605


def test_a_client_order_index_is_refused_while_queued_while_open_and_after_it_ended(bench: LighterBench) -> None:
    assert bench.send(14, bench.order_info())[0] == 200
    assert bench.refused(14, bench.order_info()) == 21728
    bench.clock.advance_ms(200)
    assert bench.refused(14, bench.order_info()) == 21728
    bench.send(15, bench.signed(MarketIndex=0, Index=1))
    bench.clock.advance_ms(100)
    assert bench.order_row(1)["status"] == "canceled"
    assert bench.refused(14, bench.order_info()) == 21728


def test_client_order_index_zero_means_none_and_may_repeat(bench: LighterBench) -> None:
    bench.place(ClientOrderIndex=0)
    bench.place(ClientOrderIndex=0)
    rows = bench.get("accountActiveOrders", account_index=ME)["orders"]
    assert [row["client_order_index"] for row in rows] == [0, 0]


def test_reduce_only_in_the_direction_of_the_position_is_refused(bench: LighterBench) -> None:
    bench.take(1, 1000)
    assert bench.refused(14, bench.order_info(ClientOrderIndex=2, ReduceOnly=1)) == 21732


def test_a_reduce_only_order_below_the_minimum_may_close_everything(bench: LighterBench) -> None:
    bench.take(1, 1000)
    bench.take(2, 970, is_ask=1)
    tx = bench.take(3, 30, is_ask=1, ReduceOnly=1)
    assert tx["status"] == 2
    assert bench.position()["position"] == "0.0000"


def test_the_margin_check_agrees_with_the_exchange_at_the_last_lot(bench: LighterBench) -> None:
    """At 20x, 10,000 USD carry exactly 100 ETH at the mark of 2000."""
    assert bench.refused(14, bench.order_info(BaseAmount=1_000_001)) == 21739
    assert bench.place(BaseAmount=1_000_000)["status"] == 2


@pytest.mark.parametrize("index", [1, ORDER_BASE + 1])
def test_cancelling_an_unknown_order_is_refused_and_keeps_the_nonce(bench: LighterBench, index: int) -> None:
    assert bench.refused(15, bench.signed(MarketIndex=0, Index=index)) == 21600


def test_cancelling_in_another_market_or_without_an_index_is_refused(bench: LighterBench) -> None:
    bench.place()
    assert bench.refused(15, bench.signed(MarketIndex=4, Index=1)) == 21600
    assert bench.refused(15, bench.signed(MarketIndex=0, Index=0)) == 21700


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"InitialMarginFraction": 199, "MarginMode": 0}, 21113),
        ({"InitialMarginFraction": 10_001, "MarginMode": 0}, 21113),
        ({"InitialMarginFraction": 1000, "MarginMode": 1}, 21613),
        ({"InitialMarginFraction": 1000, "MarginMode": 2}, 21613),
    ],
)
def test_leverage_outside_the_market_and_isolated_margin_are_refused(
    bench: LighterBench, fields: dict[str, object], code: int
) -> None:
    assert bench.refused(20, bench.signed(MarketIndex=0, **fields)) == code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"TimeInForce": 3, "Time": 0}, 21713),
        ({"TimeInForce": 0, "Time": 5}, 21714),
        ({"TimeInForce": 2, "Time": 5}, 21714),
        ({"TimeInForce": 1, "Time": NOW_MS + 5 * 60_000 - 1}, 21714),
        ({"TimeInForce": 1, "Time": NOW_MS + 15 * DAY_MS + 1}, 21714),
        ({"TimeInForce": 0, "Time": 0, "L2TxAttributes": {"5": 3}}, 21602),
    ],
)
def test_a_faulty_cancel_all_is_refused(bench: LighterBench, fields: dict[str, object], code: int) -> None:
    assert bench.refused(16, bench.signed(**fields)) == code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Index": 9, "BaseAmount": 900, "Price": 198_000, "TriggerPrice": 0}, 21709),
        ({"Index": 1, "BaseAmount": 0, "Price": 198_000, "TriggerPrice": 0}, 21701),
        ({"Index": 1, "BaseAmount": 900, "Price": 0, "TriggerPrice": 0}, 21702),
        ({"Index": 1, "BaseAmount": 40, "Price": 198_000, "TriggerPrice": 0}, 21706),
        ({"Index": 1, "BaseAmount": 900, "Price": 198_000, "TriggerPrice": 5}, 21505),
    ],
)
def test_a_faulty_modification_is_refused(bench: LighterBench, fields: dict[str, object], code: int) -> None:
    bench.place()
    assert bench.refused(17, bench.signed(MarketIndex=0, **fields)) == code


# Nonces ---------------------------------------------------------------------------------------------------------------


def test_each_key_counts_its_own_nonces(bench: LighterBench) -> None:
    bench.place(ClientOrderIndex=1)
    bench.place(ClientOrderIndex=2)
    bench.place(key=OTHER_KEY, ClientOrderIndex=3)
    nonces = [bench.get("nextNonce", account_index=ME, api_key_index=key)["nonce"] for key in (KEY, OTHER_KEY)]
    assert nonces == [2, 1]


def test_of_two_transactions_with_one_nonce_only_the_first_counts(bench: LighterBench) -> None:
    first, second = bench.order_info(ClientOrderIndex=1), bench.order_info(ClientOrderIndex=2)
    assert bench.send(14, first)[0] == 200
    assert bench.send(14, second)[1]["code"] == 21104
    bench.clock.advance_ms(200)
    assert bench.order_rows(2) == []


def test_a_nonce_ahead_is_refused_until_the_gap_is_filled_unless_skipping_is_asked_for(bench: LighterBench) -> None:
    ahead = bench.order_info(Nonce=5)
    assert bench.refused(14, ahead) == 21104
    assert bench.send(14, bench.order_info(Nonce=5, L2TxAttributes={"4": 1}))[0] == 200
    assert bench.get("nextNonce", account_index=ME, api_key_index=KEY)["nonce"] == 6


def test_a_transaction_that_fails_at_execution_has_consumed_its_nonce(bench: LighterBench) -> None:
    bench.send(14, bench.order_info(BaseAmount=900_000))
    failed = bench.place(ClientOrderIndex=2, BaseAmount=900_000)
    assert failed["status"] == 0
    assert bench.get("nextNonce", account_index=ME, api_key_index=KEY)["nonce"] == 2


# Acceptance and execution ---------------------------------------------------------------------------------------------


def test_an_accepted_transaction_is_only_queued_until_its_delay_has_passed(bench: LighterBench) -> None:
    status, body = bench.send(14, bench.order_info())
    assert status == 200
    assert len(body["tx_hash"]) == 80
    assert int(body["tx_hash"], 16) >= 0
    assert body["predicted_execution_time_ms"] == NOW_MS + 200
    bench.clock.advance_ms(199)
    assert bench.get("tx", by="hash", value=body["tx_hash"])["status"] == 1
    assert bench.order_rows(1) == []
    bench.clock.advance_ms(1)
    assert bench.get("tx", by="hash", value=body["tx_hash"])["status"] == 2
    assert bench.order_row(1)["status"] == "open"


def test_takers_makers_and_cancels_wait_their_own_delays() -> None:
    bench = LighterBench(tier_delay_ms=300, maker_delay_ms=20, cancel_delay_ms=10)
    waits = []
    for client, changes in (
        (1, {}),
        (2, {"TimeInForce": 1}),
        (3, {"TimeInForce": 1, "Price": 200_100}),
        (4, {"TimeInForce": 0, "OrderExpiry": 0}),
        (5, {"Type": 1, "TimeInForce": 0, "OrderExpiry": 0}),
    ):
        body = bench.send(14, bench.order_info(ClientOrderIndex=client, **changes))[1]
        waits.append(body["predicted_execution_time_ms"] - bench.clock.wall_ms())
        bench.clock.advance_ms(1_000)
    body = bench.send(15, bench.signed(MarketIndex=0, Index=1))[1]
    waits.append(body["predicted_execution_time_ms"] - bench.clock.wall_ms())
    assert waits == [20, 20, 300, 300, 300, 10]


def test_transactions_of_an_account_execute_in_the_order_of_acceptance(bench: LighterBench) -> None:
    """The cancel is quicker by itself, yet it waits for the order it cancels."""
    bench.send(14, bench.order_info())
    status, body = bench.send(15, bench.signed(MarketIndex=0, Index=1))
    assert (status, body["predicted_execution_time_ms"]) == (200, NOW_MS + 200)
    bench.clock.advance_ms(200)
    assert bench.order_row(1)["status"] == "canceled"


def test_an_immediate_order_fills_and_its_row_says_so(bench: LighterBench) -> None:
    bench.take(1, 1000)
    row = bench.order_row(1)
    assert (row["status"], row["filled_base_amount"], row["filled_quote_amount"]) == ("filled", "0.1000", "200.010000")
    assert row["remaining_base_amount"] == "0.0000"
    assert row["order_index"] >= ORDER_BASE
    assert bench.position()["position"] == "0.1000"


def test_what_an_immediate_order_can_not_fill_is_cancelled_for_lack_of_liquidity(bench: LighterBench) -> None:
    bench.place(ClientOrderIndex=1, BaseAmount=100_000, Price=200_010, TimeInForce=0, OrderExpiry=0)
    row = bench.order_row(1)
    assert (row["status"], row["filled_base_amount"]) == ("canceled-not-enough-liquidity", "5.0000")


def test_an_immediate_order_that_finds_nothing_leaves_a_cancelled_row(bench: LighterBench) -> None:
    tx = bench.place(TimeInForce=0, OrderExpiry=0)
    assert (tx["status"], bench.order_row(1)["status"]) == (2, "canceled-not-enough-liquidity")


def test_a_market_order_never_fills_beyond_its_worst_price(bench: LighterBench) -> None:
    bench.place(ClientOrderIndex=1, Type=1, BaseAmount=100_000, Price=200_020, TimeInForce=0, OrderExpiry=0)
    row = bench.order_row(1)
    assert (row["type"], row["filled_base_amount"], row["filled_quote_amount"]) == ("market", "5.0000", "10000.500000")


def test_a_post_only_order_that_would_cross_is_cancelled_with_that_reason(bench: LighterBench) -> None:
    tx = bench.place(Price=200_010)
    assert (tx["status"], bench.order_row(1)["status"]) == (2, "canceled-post-only")
    assert bench.order_row(1)["filled_base_amount"] == "0.0000"


def test_an_order_the_margin_no_longer_carries_fails_without_an_order_row(bench: LighterBench) -> None:
    """Both pass the API, which does not count what is queued; the sequencer refuses the second."""
    bench.send(14, bench.order_info(ClientOrderIndex=1, BaseAmount=900_000))
    tx = bench.place(ClientOrderIndex=2, BaseAmount=900_000)
    assert tx["status"] == 0
    assert "not enough margin" in json.loads(json.loads(tx["event_info"])["ae"])["message"]
    assert bench.order_rows(2) == []
    ended = bench.get("accountInactiveOrders", account_index=ME, limit=10)["orders"]
    assert ended == []


def test_a_reduce_only_order_whose_position_went_away_fails_without_an_order_row(bench: LighterBench) -> None:
    bench.take(1, 1000)
    close = {"BaseAmount": 1000, "Price": 190_000, "IsAsk": 1, "TimeInForce": 0, "OrderExpiry": 0}
    bench.send(14, bench.order_info(ClientOrderIndex=2, ReduceOnly=1, **close))
    tx = bench.place(ClientOrderIndex=3, ReduceOnly=1, **close)
    assert tx["status"] == 0
    assert "reduce only" in json.loads(json.loads(tx["event_info"])["ae"])["message"]
    assert bench.order_rows(3) == []
    assert bench.position()["position"] == "0.0000"


def test_a_cancel_that_comes_after_the_fill_fails_at_execution(bench: LighterBench) -> None:
    bench.place()
    body = bench.send(15, bench.signed(MarketIndex=0, Index=1))[1]
    bench.quote("1989.00", [("1988.00", 5)], [("1989.50", 50)])
    bench.clock.advance_ms(100)
    assert bench.get("tx", by="hash", value=body["tx_hash"])["status"] == 0
    assert (bench.order_row(1)["status"], bench.order_row(1)["filled_base_amount"]) == ("filled", "0.1000")


def test_an_order_is_cancelled_by_its_order_index_too(bench: LighterBench) -> None:
    bench.place()
    index = bench.order_row(1)["order_index"]
    assert bench.send(15, bench.signed(MarketIndex=0, Index=index))[0] == 200
    bench.clock.advance_ms(100)
    assert bench.order_row(1)["status"] == "canceled"


def test_the_create_event_carries_the_order_in_short_keys(bench: LighterBench) -> None:
    event = json.loads(bench.place(ClientOrderIndex=42)["event_info"])
    shown = {key: event[key] for key in ("a", "u", "is", "p", "rs", "ia", "ot", "f", "ro", "st")}
    assert shown == {
        "a": ME,
        "u": 42,
        "is": 1000,
        "p": 199_000,
        "rs": 1000,
        "ia": 0,
        "ot": 0,
        "f": 2,
        "ro": 0,
        "st": "open",
    }
    assert event["i"] == bench.order_row(42)["order_index"]


def test_expired_orders_say_so(bench: LighterBench) -> None:
    bench.place(OrderExpiry=NOW_MS + 5 * 60_000)
    bench.clock.advance_ms(5 * 60_000)
    bench.exchange.expire_orders()
    assert bench.order_row(1)["status"] == "canceled-expired"


def test_liquidation_cancels_orders_with_that_reason_and_shows_a_liquidation_trade() -> None:
    bench = LighterBench(cash_usd=D(120))
    bench.send(20, bench.signed(MarketIndex=0, InitialMarginFraction=200, MarginMode=0))
    bench.take(1, 10_000)
    bench.place(ClientOrderIndex=2, BaseAmount=100, Price=150_000)
    bench.quote("1890.00", [("1889.90", 50)], [("1890.10", 50)])
    bench.exchange.liquidate()
    assert bench.order_row(2)["status"] == "canceled-liquidation"
    assert bench.position()["position"] == "0.0000"
    trade = bench.get("trades", account_index=ME, sort_by="timestamp", limit=1)["trades"][0]
    assert trade["type"] == "liquidation"


# Cancel all, modify, leverage -----------------------------------------------------------------------------------------


def test_cancel_all_takes_every_market_or_only_the_one_named(bench: LighterBench) -> None:
    bench.place(ClientOrderIndex=1)
    bench.place(ClientOrderIndex=2, MarketIndex=4, BaseAmount=5_000, Price=6_000)
    bench.send(16, bench.signed(TimeInForce=0, Time=0, L2TxAttributes={"5": 4}))
    bench.clock.advance_ms(100)
    assert [bench.order_row(client)["status"] for client in (1, 2)] == ["open", "canceled"]
    bench.send(16, bench.signed(TimeInForce=0, Time=0))
    bench.clock.advance_ms(100)
    assert bench.order_row(1)["status"] == "canceled"


def test_a_scheduled_cancel_all_fires_at_its_time(bench: LighterBench) -> None:
    bench.place()
    due_ms = bench.clock.wall_ms() + 10 * 60_000
    bench.send(16, bench.signed(TimeInForce=1, Time=due_ms))
    bench.clock.advance_ms(100)
    assert bench.get("account", by="index", value=ME)["accounts"][0]["cancel_all_time"] == due_ms
    bench.clock.advance_ms(due_ms - bench.clock.wall_ms() - 1)
    assert bench.order_row(1)["status"] == "open"
    bench.clock.advance_ms(1)
    assert bench.order_row(1)["status"] == "canceled"


def test_an_aborted_schedule_cancels_nothing(bench: LighterBench) -> None:
    bench.place()
    bench.send(16, bench.signed(TimeInForce=1, Time=NOW_MS + 10 * 60_000))
    bench.clock.advance_ms(100)
    bench.send(16, bench.signed(TimeInForce=2, Time=0))
    bench.clock.advance_ms(20 * 60_000)
    assert bench.order_row(1)["status"] == "open"
    assert bench.get("account", by="index", value=ME)["accounts"][0]["cancel_all_time"] == 0


def test_a_modified_order_keeps_its_numbers_and_what_it_filled(bench: LighterBench) -> None:
    bench.place(BaseAmount=2000)
    before = bench.order_row(1)
    bench.quote("1989.00", [("1988.00", 5)], [("1989.50", "0.05"), ("1999.00", 5)])
    bench.send(17, bench.signed(MarketIndex=0, Index=1, BaseAmount=3000, Price=198_500, TriggerPrice=0))
    bench.clock.advance_ms(200)
    after = bench.order_row(1)
    assert (after["order_index"], after["client_order_index"]) == (before["order_index"], 1)
    assert (after["initial_base_amount"], after["filled_base_amount"]) == ("0.3000", "0.0500")
    assert (after["remaining_base_amount"], after["price"], after["status"]) == ("0.2500", "1985.00", "open")
    assert after["created_at"] == before["created_at"]
    assert len(bench.get("accountActiveOrders", account_index=ME)["orders"]) == 1
    assert bench.get("accountInactiveOrders", account_index=ME, limit=10)["orders"] == []


def test_a_modified_order_that_fills_later_is_one_filled_order_with_both_fills(bench: LighterBench) -> None:
    bench.place(BaseAmount=2000)
    bench.quote("1989.00", [("1988.00", 5)], [("1989.50", "0.05"), ("1999.00", 5)])
    bench.send(17, bench.signed(MarketIndex=0, Index=1, BaseAmount=3000, Price=198_500, TriggerPrice=0))
    bench.clock.advance_ms(200)
    bench.quote("1984.00", [("1980.00", 5)], [("1984.50", 50)])
    row = bench.order_row(1)
    assert (row["status"], row["filled_base_amount"]) == ("filled", "0.3000")
    assert D(row["filled_quote_amount"]) == D("0.05") * 1990 + D("0.25") * 1985
    trades = bench.get("trades", account_index=ME, sort_by="timestamp", limit=10)["trades"]
    assert {trade["bid_client_id"] for trade in trades} == {1}
    assert {trade["bid_id"] for trade in trades} == {row["order_index"]}


def test_a_modification_to_no_more_than_what_filled_fails_and_leaves_the_order(bench: LighterBench) -> None:
    bench.place(BaseAmount=2000)
    body = bench.send(17, bench.signed(MarketIndex=0, Index=1, BaseAmount=500, Price=199_000, TriggerPrice=0))[1]
    bench.quote("1989.00", [("1988.00", 5)], [("1989.50", "0.05"), ("1999.00", 5)])
    bench.clock.advance_ms(200)
    assert bench.get("tx", by="hash", value=body["tx_hash"])["status"] == 0
    assert bench.order_row(1)["status"] == "open"


@pytest.mark.parametrize(("fraction", "leverage", "shown"), [(2000, 5, "20.00"), (3333, 3, "33.33"), (200, 50, "2.00")])
def test_leverage_is_set_as_a_margin_fraction(bench: LighterBench, fraction: int, leverage: int, shown: str) -> None:
    bench.send(20, bench.signed(MarketIndex=0, InitialMarginFraction=fraction, MarginMode=0))
    bench.clock.advance_ms(100)
    account = bench.exchange.account(str(ME))
    assert account is not None
    assert account.leverage["ETH"] == leverage
    assert bench.position()["initial_margin_fraction"] == shown


def test_leverage_the_margin_does_not_allow_fails_at_execution(bench: LighterBench) -> None:
    bench.take(1, 50_000)
    bench.quote("2000.00", [("1999.90", 90)], [("2000.10", 90)])
    bench.take(2, 300_000)
    body = bench.send(20, bench.signed(MarketIndex=0, InitialMarginFraction=10_000, MarginMode=0))[1]
    bench.clock.advance_ms(100)
    tx = bench.get("tx", by="hash", value=body["tx_hash"])
    assert (tx["status"], bench.position()["initial_margin_fraction"]) == (0, "5.00")


# Batches --------------------------------------------------------------------------------------------------------------


def send_batch(bench: LighterBench, types: list[int], infos: list[dict[str, object]]) -> tuple[int, dict[str, object]]:
    form = {"tx_types": json.dumps(types), "tx_infos": json.dumps([json.dumps(info) for info in infos])}
    return bench.post("sendTxBatch", form)


def test_a_batch_is_queued_as_one_hash_each_and_executes_in_order(bench: LighterBench) -> None:
    infos = [bench.order_info(ClientOrderIndex=1), bench.signed(MarketIndex=0, Index=1, Nonce=1)]
    status, body = send_batch(bench, [14, 15], infos)
    assert status == 200
    assert isinstance(body["tx_hash"], list)
    assert len(body["tx_hash"]) == 2
    bench.clock.advance_ms(200)
    assert bench.order_row(1)["status"] == "canceled"


@pytest.mark.parametrize("second_nonce", [0, 2])
def test_a_batch_whose_nonces_do_not_follow_is_refused_whole(bench: LighterBench, second_nonce: int) -> None:
    infos = [bench.order_info(ClientOrderIndex=1), bench.order_info(ClientOrderIndex=2, Nonce=second_nonce)]
    assert send_batch(bench, [14, 14], infos)[1]["code"] == 21105
    bench.clock.advance_ms(500)
    assert bench.get("nextNonce", account_index=ME, api_key_index=KEY)["nonce"] == 0
    assert bench.order_rows(1) == []


def test_a_batch_of_two_keys_a_repeated_client_id_and_uneven_lists_are_refused(bench: LighterBench) -> None:
    two_keys = [bench.order_info(ClientOrderIndex=1), bench.order_info(key=OTHER_KEY, ClientOrderIndex=2)]
    assert send_batch(bench, [14, 14], two_keys)[1]["code"] == 21121
    repeated = [bench.order_info(ClientOrderIndex=1), bench.order_info(ClientOrderIndex=1, Nonce=1)]
    assert send_batch(bench, [14, 14], repeated)[1]["code"] == 21728
    assert send_batch(bench, [14], repeated)[1]["code"] == 21513
    assert send_batch(bench, [], [])[1]["code"] == 21513
    assert send_batch(bench, [14] * 51, repeated[:1] * 51)[1]["code"] == 21514
    assert bench.post("sendTxBatch", {"tx_types": "x", "tx_infos": "[]"})[1]["code"] == 21501


# Quota and faults -----------------------------------------------------------------------------------------------------


def test_premium_accounts_see_their_quota_shrink_by_orders_but_not_by_cancels() -> None:
    bench = LighterBench(fee_tier="premium")
    first = bench.send(14, bench.order_info())[1]
    assert (first["volume_quota_remaining"], "didn't" in first["message"]) == (999, False)
    cancel = bench.send(15, bench.signed(MarketIndex=0, Index=1))[1]
    assert (cancel["volume_quota_remaining"], "didn't" in cancel["message"]) == (999, True)


def test_a_ghost_fill_is_reported_cancelled_and_unfilled_while_the_trade_shows(bench: LighterBench) -> None:
    bench.server.ghost_cancel = True
    bench.take(1, 1000)
    row = bench.order_row(1)
    assert (row["status"], row["filled_base_amount"], row["filled_quote_amount"]) == ("canceled", "0.0000", "0.000000")
    trades = bench.get("trades", account_index=ME, sort_by="timestamp", limit=5)["trades"]
    assert [trade["bid_client_id"] for trade in trades] == [1]
    assert bench.position()["position"] == "0.1000"


def test_an_order_that_ended_before_ghosts_were_switched_on_stays_filled(bench: LighterBench) -> None:
    bench.take(1, 1000)
    bench.server.ghost_cancel = True
    assert bench.order_row(1)["status"] == "filled"


def test_hashes_can_be_the_ones_a_clients_signer_knows_beforehand() -> None:
    bench = LighterBench(tx_hash=lambda tx_type, text: f"{tx_type}-{json.loads(text)['Nonce']}")
    assert bench.send(14, bench.order_info())[1]["tx_hash"] == "14-0"
    assert bench.get("tx", by="hash", value="14-0")["status"] == 1
