"""Actions over the simulated Hyperliquid's wire: who may act, nonces, every refusal's text, and what orders do."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.sandbox.hyperliquid_wire_bench import (
    AGENT,
    ALICE,
    BOB,
    CLOID,
    MARKETS,
    START_MS,
    STRANGER,
    Bench,
    order_action,
    wire_order,
)

from perpdesk.domain.books import Side
from perpdesk.sandbox.rules import hyperliquid_market
from perpdesk.sandbox.wire.hyperliquid import RecoverSigner

DAY_MS = 86_400_000
NOOP = {"type": "noop"}


# Who ----------------------------------------------------------------------------------------------------------------


def test_an_unknown_wallet_is_told_its_recovered_address() -> None:
    answer = Bench().act(NOOP, STRANGER)
    assert answer == {"status": "err", "response": f"User or API Wallet {STRANGER} does not exist."}


def test_a_signature_that_recovers_nobody_is_refused_as_such() -> None:
    bench = Bench(verifier=RecoverSigner())
    body = bench.envelope(NOOP)
    body["signature"] = {"r": "0x0", "s": "0x0", "v": 27}
    assert b"Unable to recover signer." in bench.post("/exchange", body).body


def test_an_agent_trades_for_its_master() -> None:
    bench = Bench()
    resting = bench.order(wire_order(0, True, "90000", "0.001"), signer=AGENT)
    assert [order["oid"] for order in bench.info("openOrders", user=ALICE)] == [resting["resting"]["oid"]]
    assert bench.info("openOrders", user=AGENT) == []


def test_a_wallet_without_collateral_must_deposit_first() -> None:
    bench = Bench()
    bench.server.register(STRANGER)
    answer = bench.act(NOOP, STRANGER)
    assert answer["response"] == f"Must deposit before performing actions. User: {STRANGER}"


def test_only_registered_agents_may_trade_a_vault() -> None:
    bench = Bench()
    assert bench.act(NOOP, vault=BOB)["response"] == f"Vault not registered: {BOB}"
    bench.server.register(BOB, [ALICE])
    assert bench.act(NOOP, vault=BOB)["status"] == "ok"


def test_transfers_are_refused_with_a_sentence() -> None:
    answer = Bench().act({"type": "usdClassTransfer", "amount": "5", "toPerp": True, "nonce": 1})
    assert answer["status"] == "err"
    assert "not simulated" in answer["response"]


# Nonces and deadlines -----------------------------------------------------------------------------------------------


def test_a_nonce_is_used_once() -> None:
    bench = Bench()
    bench.act(NOOP, nonce=START_MS)
    assert bench.act(NOOP, nonce=START_MS)["response"] == f"Invalid nonce: duplicate nonce {START_MS}"


def test_nonces_may_come_out_of_order() -> None:
    bench = Bench()
    bench.act(NOOP, nonce=START_MS + 5)
    assert bench.act(NOOP, nonce=START_MS + 3)["status"] == "ok"


def test_a_nonce_below_the_hundred_highest_is_too_low() -> None:
    bench = Bench()
    for nonce in range(START_MS, START_MS + 101):
        assert bench.act(NOOP, nonce=nonce)["status"] == "ok"
    assert (
        bench.act(NOOP, nonce=START_MS - 1)["response"]
        == f"Invalid nonce: nonce too low {START_MS - 1} < {START_MS + 1}"
    )


def test_agents_keep_nonces_of_their_own() -> None:
    bench = Bench()
    bench.act(NOOP, nonce=START_MS)
    assert bench.act(NOOP, AGENT, nonce=START_MS)["status"] == "ok"


@pytest.mark.parametrize("offset_ms", [-2 * DAY_MS, DAY_MS])
def test_a_nonce_outside_the_window_is_refused(offset_ms: int) -> None:
    bench = Bench()
    assert bench.act(NOOP, nonce=START_MS + offset_ms)["response"].startswith("Invalid nonce")
    assert bench.act(NOOP, nonce=START_MS + offset_ms - (1 if offset_ms > 0 else -1))["status"] == "ok"


def test_an_action_is_refused_one_millisecond_past_its_deadline() -> None:
    bench = Bench()
    assert bench.act(NOOP, expires=START_MS)["status"] == "ok"
    bench.clock.advance_ms(1)
    assert bench.act(NOOP, expires=START_MS) == {"status": "err", "response": "Action already expired"}
    assert bench.info("userRateLimit", user=ALICE)["nRequestsUsed"] == 1 + 5


def test_the_address_allowance_leaves_one_action_per_ten_seconds() -> None:
    bench = Bench(weight_per_minute=None)
    for _ in range(250):
        bench.act({"type": "cancel", "cancels": [{"a": 0, "o": 1}] * 40})
    assert bench.act(NOOP)["status"] == "ok"
    assert bench.act(NOOP)["response"].startswith(
        "Too many cumulative requests sent (10002 > 10000) for cumulative volume"
    )
    bench.clock.advance_ms(10_000)
    assert bench.act(NOOP)["status"] == "ok"


# Orders -------------------------------------------------------------------------------------------------------------


def test_a_passive_order_rests_and_echoes_its_client_id() -> None:
    bench = Bench()
    status = bench.order(wire_order(0, True, "90000", "0.001", cloid=CLOID))
    assert status == {"resting": {"oid": 1, "cloid": CLOID}}
    assert bench.info("orderStatus", user=ALICE, oid=CLOID)["order"]["status"] == "open"


def test_a_marketable_order_fills_at_its_average_price() -> None:
    bench = Bench()
    status = bench.order(wire_order(0, True, "97100", "10", "Ioc"))
    assert "error" in status  # 10 BTC is more than the margin allows
    bench.exchange.deposit(ALICE, Decimal(200_000))
    status = bench.order(wire_order(0, True, "97100", "10", "Ioc"))
    assert status == {"filled": {"totalSz": "10.0", "avgPx": "97002.0", "oid": 2}}


def test_an_immediate_order_answers_filled_with_what_it_got() -> None:
    bench = Bench()
    bench.move("BTC", 97_000, 1, size="0.01", levels=1)
    status = bench.order(wire_order(0, True, "97001", "0.03", "Ioc"))
    assert status["filled"]["totalSz"] == "0.01"
    order = bench.info("orderStatus", user=ALICE, oid=status["filled"]["oid"])["order"]
    assert (order["status"], order["order"]["sz"]) == ("canceled", "0.02")


def test_a_part_filled_resting_order_answers_resting() -> None:
    bench = Bench()
    bench.move("BTC", 97_000, 1, size="0.01", levels=1)
    status = bench.order(wire_order(0, True, "97001", "0.03"))
    assert "resting" in status
    (row,) = bench.info("openOrders", user=ALICE)
    assert (row["sz"], row["origSz"]) == ("0.02", "0.03")


def test_a_frontend_market_order_is_reported_as_one() -> None:
    bench = Bench()
    oid = bench.order(wire_order(0, True, "97100", "0.001", "FrontendMarket"))["filled"]["oid"]
    order = bench.info("orderStatus", user=ALICE, oid=oid)["order"]["order"]
    assert (order["orderType"], order["tif"]) == ("Market", "FrontendMarket")


def test_actions_answer_after_the_venues_delay_and_reads_at_once() -> None:
    bench = Bench(action_delay_ms=350)
    assert bench.post("/exchange", bench.envelope(NOOP)).delay_ms == 350
    assert bench.post("/info", {"type": "exchangeStatus"}).delay_ms == 0


REFUSALS: list[tuple[dict[str, Any], str]] = [
    (wire_order(0, True, "97001.5", "0.001"), "Price must be divisible by tick size. asset=0"),
    (wire_order(1, True, "2999.123", "0.01"), "Price must be divisible by tick size. asset=1"),
    (wire_order(0, True, "90000", "0.0001"), "Order must have minimum value of $10. asset=0"),
    (wire_order(0, True, "90000", "0.0010001"), "Order has invalid size. asset=0"),
    (wire_order(0, True, "90000", "0"), "Order has zero size. asset=0"),
    (wire_order(0, True, "0", "1"), "Order has invalid price. asset=0"),
    (wire_order(0, True, "97001", "100"), "Insufficient margin to place order. asset=0"),
    (wire_order(0, False, "96999", "0.01", reduce_only=True), "Reduce only order would increase position. asset=0"),
    (
        wire_order(0, True, "97001", "0.01", "Alo"),
        "Post only order would have immediately matched, bbo was 96999@97001. asset=0",
    ),
    (
        wire_order(0, True, "97000", "0.01", "Ioc"),
        "Order could not immediately match against any resting orders. asset=0",
    ),
    (
        wire_order(0, True, "19399", "0.01"),
        "Order price cannot be more than 80% away from the reference price asset=0",
    ),
    (wire_order(9, True, "1", "100"), "Invalid asset. asset=9"),
    (
        {**wire_order(0, False, "90000", "0.01"), "t": {"trigger": {"isMarket": True, "triggerPx": "1", "tpsl": "sl"}}},
        "Trigger orders are not simulated: send a limit order. asset=0",
    ),
]


@pytest.mark.parametrize(("order", "text"), REFUSALS, ids=[text[:40] for _, text in REFUSALS])
def test_each_refusal_has_the_venues_words(order: dict[str, Any], text: str) -> None:
    assert Bench().order(order) == {"error": text}


def test_a_delisted_market_refuses_orders() -> None:
    bench = Bench()
    bench.exchange.replace_market(replace(bench.exchange.markets["BTC"], is_listed=False))
    assert bench.order(wire_order(0, True, "90000", "0.01")) == {"error": "Trading is halted. asset=0"}


def test_a_used_client_id_is_refused() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "90000", "0.001", cloid=CLOID))
    assert bench.order(wire_order(0, True, "90000", "0.001", cloid=CLOID)) == {
        "error": "Client order id was already used. asset=0"
    }


def test_a_batch_answers_in_order_and_stops_nothing_for_one_refusal() -> None:
    bench = Bench()
    statuses = bench.order(
        wire_order(0, True, "90000", "0.001"),
        wire_order(0, True, "90000", "0.0001"),
        wire_order(1, True, "2000", "0.1"),
    )
    assert [next(iter(status)) for status in statuses] == ["resting", "error", "resting"]


def test_a_bad_tick_refuses_the_whole_batch_with_one_error() -> None:
    bench = Bench()
    action = order_action(wire_order(0, True, "90000", "0.001"), wire_order(0, True, "90000.5", "0.001"))
    assert bench.statuses(action) == [{"error": "Price must be divisible by tick size. asset=0"}]
    assert bench.info("openOrders", user=ALICE) == []


def test_an_undecodable_order_keeps_the_batch_from_running() -> None:
    bench = Bench()
    bad = {**wire_order(0, True, "90000", "0.001"), "t": {"limit": {"tif": "Fok"}}}
    response = bench.post("/exchange", bench.envelope(order_action(wire_order(0, True, "90000", "0.001"), bad)))
    assert (response.status, response.body) == (422, b"Failed to deserialize the JSON body into the target type")
    assert bench.info("openOrders", user=ALICE) == []


# Cancel and modify --------------------------------------------------------------------------------------------------


def test_cancels_answer_success_or_a_missing_order_one_by_one() -> None:
    bench = Bench()
    oid = bench.order(wire_order(0, True, "90000", "0.001"))["resting"]["oid"]
    missing = {"error": "Order was never placed, already canceled, or filled. asset=0"}
    cancels = {"type": "cancel", "cancels": [{"a": 0, "o": oid}, {"a": 0, "o": oid}, {"a": 0, "o": 999}]}
    assert bench.statuses(cancels) == ["success", missing, missing]


def test_nobody_cancels_the_orders_of_others() -> None:
    bench = Bench()
    oid = bench.order(wire_order(0, True, "90000", "0.001"))["resting"]["oid"]
    assert "error" in bench.statuses({"type": "cancel", "cancels": [{"a": 0, "o": oid}]}, BOB)[0]
    assert len(bench.info("openOrders", user=ALICE)) == 1


def test_a_cancel_under_the_wrong_asset_finds_nothing() -> None:
    bench = Bench()
    oid = bench.order(wire_order(0, True, "90000", "0.001"))["resting"]["oid"]
    assert "error" in bench.statuses({"type": "cancel", "cancels": [{"a": 1, "o": oid}]})[0]


def test_an_order_is_cancelled_by_its_client_id() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "90000", "0.001", cloid=CLOID))
    assert bench.statuses({"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}]}) == ["success"]
    assert bench.info("orderStatus", user=ALICE, oid=CLOID)["order"]["status"] == "canceled"


def test_a_modified_order_gets_a_new_id() -> None:
    bench = Bench()
    oid = bench.order(wire_order(0, True, "90000", "0.001"))["resting"]["oid"]
    modify = {"oid": oid, "order": wire_order(0, True, "90001", "0.002")}
    (status,) = bench.statuses({"type": "batchModify", "modifies": [modify]})
    assert status["resting"]["oid"] != oid
    (row,) = bench.info("openOrders", user=ALICE)
    assert (row["limitPx"], row["sz"]) == ("90001.0", "0.002")
    assert bench.act({"type": "modify", **modify}) == {
        "status": "err",
        "response": "Cannot modify canceled or filled order asset=0",
    }


def test_a_modification_that_is_refused_has_cancelled_the_old_order() -> None:
    bench = Bench()
    oid = bench.order(wire_order(0, True, "90000", "0.001"))["resting"]["oid"]
    modify = {"oid": oid, "order": wire_order(0, True, "97001", "0.001", "Alo")}
    (status,) = bench.statuses({"type": "batchModify", "modifies": [modify]})
    assert status["error"].startswith("Error placing new order during modify: Post only order would")
    assert bench.info("openOrders", user=ALICE) == []


# Leverage and the dead man's switch ---------------------------------------------------------------------------------


def test_leverage_changes_the_margin_of_a_position() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc"))
    answer = bench.act({"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 4})
    assert answer == {"status": "ok", "response": {"type": "default"}}
    (row,) = bench.info("clearinghouseState", user=ALICE)["assetPositions"]
    assert (row["position"]["leverage"], row["position"]["marginUsed"]) == ({"type": "cross", "value": 4}, "242.5")


@pytest.mark.parametrize("wanted", [{"isCross": False, "leverage": 5}, {"isCross": True, "leverage": 41}])
def test_isolated_margin_and_too_much_leverage_are_refused(wanted: dict[str, Any]) -> None:
    assert Bench().act({"type": "updateLeverage", "asset": 0, **wanted})["status"] == "err"


def test_the_dead_mans_switch_cancels_everything_at_its_time() -> None:
    bench = Bench()
    oid = bench.order(wire_order(0, True, "90000", "0.001"))["resting"]["oid"]
    bench.act({"type": "scheduleCancel", "time": START_MS + 5_000})
    bench.clock.advance_ms(4_999)
    assert len(bench.info("openOrders", user=ALICE)) == 1
    bench.clock.advance_ms(1)
    assert bench.info("orderStatus", user=ALICE, oid=oid)["order"]["status"] == "scheduledCancel"


def test_the_dead_mans_switch_can_be_cleared_and_not_set_too_near() -> None:
    bench = Bench()
    bench.order(wire_order(0, True, "90000", "0.001"))
    assert bench.act({"type": "scheduleCancel", "time": START_MS + 4_999})["status"] == "err"
    bench.act({"type": "scheduleCancel", "time": START_MS + 5_000})
    bench.act({"type": "scheduleCancel"})
    bench.clock.advance_ms(60_000)
    assert len(bench.info("openOrders", user=ALICE)) == 1


# Fills --------------------------------------------------------------------------------------------------------------


def test_both_sides_of_a_trade_see_it_from_their_position() -> None:
    """The maker's fill has its own side, direction and fee; trade id and hash are shared."""
    bench = Bench()
    bench.move("BTC", 97_000, 10)
    bench.rest(BOB, "BTC", Side.SELL, "0.01", "97000")
    bench.order(wire_order(0, True, "97000", "0.01", "Ioc", cloid=CLOID))
    (taker,), (maker,) = bench.info("userFills", user=ALICE), bench.info("userFills", user=BOB)
    assert (taker["side"], taker["dir"], taker["crossed"], taker["fee"]) == ("B", "Open Long", True, "0.4365")
    assert (maker["side"], maker["dir"], maker["crossed"], maker["fee"]) == ("A", "Open Short", False, "0.1455")
    assert (taker["tid"], taker["hash"]) == (maker["tid"], maker["hash"])
    assert taker["cloid"] == CLOID
    assert "cloid" not in maker


def test_fills_chain_and_realise_average_cost_through_a_flip() -> None:
    bench = Bench()
    for is_buy, price, size in ((True, "97100", "0.01"), (True, "97200", "0.01"), (False, "96900", "0.03")):
        bench.order(wire_order(0, is_buy, price, size, "Ioc"))
        bench.move("BTC", 97_100, 1)
    rows = bench.info("userFillsByTime", user=ALICE, startTime=0)
    assert [row["dir"] for row in rows] == ["Open Long", "Open Long", "Long > Short"]
    assert [row["startPosition"] for row in rows] == ["0.0", "0.01", "0.02"]
    assert rows[2]["closedPnl"] == "0.96"  # 0.02 x (97099 - mean of 97001 and 97101)
    (position,) = bench.info("clearinghouseState", user=ALICE)["assetPositions"]
    assert (position["position"]["szi"], position["position"]["entryPx"]) == ("-0.01", "97099.0")


def test_equity_is_profit_less_fees_plus_funding_plus_transfers() -> None:
    """The venue's own acceptance identity, over trades, a settlement and a deposit."""
    bench = Bench()
    bench.order(wire_order(0, True, "97100", "0.05", "Ioc"))
    bench.exchange.sample_premium("BTC")
    bench.exchange.settle_funding()
    bench.exchange.deposit(ALICE, Decimal(250))
    bench.order(wire_order(0, False, "96000", "0.02", "Ioc"))
    bench.move("BTC", 98_000, 1)
    state = bench.info("clearinghouseState", user=ALICE)
    fills = bench.info("userFills", user=ALICE)
    funding = sum(Decimal(row["delta"]["usdc"]) for row in bench.info("userFunding", user=ALICE))
    flows = sum(Decimal(row["delta"]["usdc"]) for row in bench.info("userNonFundingLedgerUpdates", user=ALICE))
    unrealised = Decimal(state["assetPositions"][0]["position"]["unrealizedPnl"])
    booked = sum(Decimal(row["closedPnl"]) - Decimal(row["fee"]) for row in fills)
    equity = Decimal(state["marginSummary"]["accountValue"])
    assert abs(booked + funding + flows + unrealised - equity) <= Decimal("0.000002")
    assert flows == 10_250


def test_a_liquidation_is_marked_on_the_liquidated_users_fill() -> None:
    bench = Bench(cash_usd=1_000)
    bench.act({"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 40})
    bench.order(wire_order(0, True, "97100", "0.3", "Ioc"))
    bench.move("BTC", 93_900, 1)
    bench.exchange.liquidate()
    row = bench.info("userFills", user=ALICE)[0]
    assert row["dir"] == "Liquidated Cross Long"
    assert row["liquidation"] == {"liquidatedUser": ALICE, "markPx": "93900.0", "method": "market"}
    assert bench.info("clearinghouseState", user=ALICE)["assetPositions"] == []


def test_asset_numbers_without_a_market_are_delisted_rows() -> None:
    """Positions in the universe are asset numbers, so a gap must not shift those after it."""
    bench = Bench(markets=[*MARKETS, hyperliquid_market("SOL", 5, "SOL", 2, 20)])
    universe = bench.info("meta")["universe"]
    assert universe[5]["name"] == "SOL"
    assert universe[3]["isDelisted"] is True
    contexts = bench.info("metaAndAssetCtxs")[1]
    assert len(contexts) == len(universe)
