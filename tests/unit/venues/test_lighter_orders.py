"""Placing, cancelling and settling against a scripted venue: what each answer, or its absence, lets us conclude."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.unit.venues.lighter_fakes import (
    EPOCH_MS,
    SETTINGS,
    Bench,
    Ledger,
    on_bench,
    order,
    order_row,
    trade_row,
)

from perpdesk.domain.books import Side
from perpdesk.domain.orders import OrderStatus, TimeInForce
from perpdesk.venues.base import (
    InsufficientMargin,
    NotSent,
    OrderRejected,
    OutcomeUnknown,
    RequestRefused,
)
from perpdesk.venues.transport.ports import RequestNotSent, ResponseLost

D = Decimal
NO_ROWS = {"code": 200, "orders": []}
NO_TRADES = {"code": 200, "trades": []}


async def ready(bench: Bench) -> Ledger:
    """Markets read, a ledger behind sendTx, and no rows anywhere."""
    await bench.venue.fetch_markets()
    bench.http.script("accountOrders", NO_ROWS)
    bench.http.script("trades", NO_TRADES)
    bench.http.script("tx", (400, {"code": 21500, "message": "transaction not found"}))
    return Ledger(bench.http)


def test_an_order_is_sent_in_the_venues_integers() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.place(order())
        (request,) = bench.http.sent()
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert request.form["tx_type"] == "14"
        tx = request.tx
        assert (tx["MarketIndex"], tx["ClientOrderIndex"], tx["BaseAmount"], tx["Price"]) == (0, 42, 5700, 235274)
        assert (tx["IsAsk"], tx["Type"], tx["TimeInForce"], tx["OrderExpiry"], tx["ReduceOnly"]) == (1, 0, 0, 0, 0)
        assert tx["Nonce"] == 100

    on_bench(scenario)


def test_a_scaled_market_scales_back_exactly() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.place(order(asset="PEPE", side=Side.BUY, size=D(500_000), limit_price=D("0.000007179")))
        tx = bench.http.sent()[0].tx
        assert (tx["MarketIndex"], tx["BaseAmount"], tx["Price"], tx["IsAsk"]) == (4, 500, 7179, 0)

    on_bench(scenario)


@pytest.mark.parametrize(("tif", "number"), [(TimeInForce.GTC, 1), (TimeInForce.POST_ONLY, 2)])
def test_resting_orders_rest_for_four_weeks(tif: TimeInForce, number: int) -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.place(order(time_in_force=tif, is_reduce_only=True))
        tx = bench.http.sent()[0].tx
        assert (tx["TimeInForce"], tx["ReduceOnly"]) == (number, 1)
        assert 27 * 86_400_000 < tx["OrderExpiry"] - EPOCH_MS <= 28 * 86_400_000 + 1_000

    on_bench(scenario)


@pytest.mark.parametrize(
    "change",
    [
        {"time_in_force": TimeInForce.FOK},
        {"asset": "DOGE"},
        {"size": D("0.57001")},
        {"limit_price": D("2352.745")},
        {"limit_price": D("99999999.99")},
        {"size": D("99999999999")},
    ],
    ids=["fill or kill", "unknown asset", "off lot", "off tick", "price too high", "size too large"],
)
def test_what_the_venue_can_not_express_is_refused_before_anything_is_sent(change: dict) -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        with pytest.raises(OrderRejected):
            await bench.venue.place(order(**change))
        assert bench.http.sent() == []

    on_bench(scenario)


def test_an_order_past_its_time_is_not_sent() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        with pytest.raises(NotSent):
            await bench.venue.place(order(expires_at_ms=EPOCH_MS - 1))
        assert bench.http.sent() == []

    on_bench(scenario)


def test_the_nonce_is_read_once_and_then_counted() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        for client_id in (1, 2, 3):
            await bench.venue.place(order(client_id))
        assert [tx["Nonce"] for tx in ledger.taken] == [100, 101, 102]
        assert len(bench.http.sent("nextNonce")) == 1

    on_bench(scenario)


def test_concurrent_orders_go_out_one_at_a_time() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        under_way: list[int] = []

        original = bench.http.request

        async def watched(method: str, url: str, **options: object):  # type: ignore[no-untyped-def]
            if method != "POST":
                return await original(method, url, **options)  # type: ignore[arg-type]
            under_way.append(1)
            assert len(under_way) == 1
            try:
                return await original(method, url, **options)  # type: ignore[arg-type]
            finally:
                under_way.pop()

        bench.http.request = watched  # type: ignore[method-assign]
        await asyncio.gather(*(bench.venue.place(order(i)) for i in range(1, 9)))
        assert [tx["Nonce"] for tx in ledger.taken] == list(range(100, 108))

    on_bench(scenario)


@pytest.mark.parametrize("code", [21739, 21508, 21301])
def test_too_little_margin_has_its_own_name(code: int) -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        bench.http.script("sendTx", (400, {"code": code, "message": "margin"}))
        with pytest.raises(InsufficientMargin):
            await bench.venue.place(order())

    on_bench(scenario)


def test_a_refused_order_does_not_consume_the_nonce() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script(
            "sendTx", (400, {"code": 21706, "message": "invalid order base or quote amount"}), ledger.send
        )
        with pytest.raises(OrderRejected) as caught:
            await bench.venue.place(order(1))
        assert (caught.value.code, caught.value.reason) == ("21706", "invalid order base or quote amount")
        await bench.venue.place(order(2))
        assert [r.tx["Nonce"] for r in bench.http.sent()] == [100, 100]
        assert len(bench.http.sent("nextNonce")) == 1

    on_bench(scenario)


def test_a_bad_nonce_leaves_the_outcome_unknown_and_the_next_send_reads_it_again() -> None:
    """Nearly always it is only out of step; but a copy of the same request may have been taken first."""

    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        await bench.venue.place(order(1))
        ledger.nonce = 150
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order(2))
        await bench.venue.place(order(3))
        assert ledger.taken[-1]["Nonce"] == 150

    on_bench(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        (429, {"code": 23000, "message": "Too Many Requests!"}),
        (429, b"slow down"),
        (405, b"<html>blocked</html>"),
        RequestNotSent("refused"),
    ],
    ids=["429", "429 without json", "firewall", "no connection"],
)
def test_what_certainly_was_not_taken_is_safe_to_repeat(answer: object) -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script("sendTx", answer, ledger.send)
        with pytest.raises(NotSent):
            await bench.venue.place(order())
        await bench.venue.place(order())
        assert [tx["Nonce"] for tx in ledger.taken] == [100]

    on_bench(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        ResponseLost("timed out"),
        (500, {"code": 29500, "message": "internal server error"}),
        (504, b"<html>gateway</html>"),
        (404, {"code": 29404, "message": "not found"}),
        (200, b"{"),
        (200, b"\xff\x00"),
        (200, b'{"tx_hash":"00"}'),
        (400, b"garbage"),
        (302, b""),
    ],
    ids=["lost", "500", "504", "29404", "cut", "binary", "no code", "400 garbage", "redirect"],
)
def test_an_answer_that_says_nothing_leaves_the_outcome_unknown(answer: object) -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script("sendTx", answer, ledger.send)
        with pytest.raises(OutcomeUnknown) as caught:
            await bench.venue.place(order(77))
        assert caught.value.client_id == 77
        await bench.venue.place(order(78))
        assert len(bench.http.sent("nextNonce")) == 2

    on_bench(scenario)


def test_a_duplicate_client_id_means_an_earlier_send_arrived() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        bench.http.script("sendTx", (400, {"code": 21728, "message": "duplicate client order index"}))
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order())

    on_bench(scenario)


def test_a_nonce_that_can_not_be_read_means_nothing_was_sent() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        for answer in (ResponseLost("x"), (429, {"code": 23000}), (200, b"{"), {"code": 200, "nonce": -5}):
            bench.http.script("nextNonce", answer)
            with pytest.raises(NotSent):
                await bench.venue.place(order())
        assert bench.http.sent() == []

    on_bench(scenario)


def test_an_order_cut_off_by_cancellation_leaves_the_nonce_in_doubt() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        await bench.venue.place(order(1))
        task = asyncio.create_task(bench.venue.place(order(2)))
        await bench.clock.sleep_ms(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bench.venue.place(order(3))
        assert len(bench.http.sent("nextNonce")) == 2
        assert ledger.taken[-1]["ClientOrderIndex"] == 3

    on_bench(scenario)


def test_without_a_key_trading_is_refused_in_plain_words() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.venue.fetch_markets()
        for call in (
            bench.venue.place(order()),
            bench.venue.cancel("ETH", 1),
            bench.venue.settle(order()),
            bench.venue.fetch_fees(),
            bench.venue.fetch_fills(0),
            bench.venue.fetch_order("ETH", 1),
            bench.venue.fetch_open_orders(),
            bench.venue.fetch_funding_payments(0),
        ):
            with pytest.raises(RequestRefused, match="configure"):
                await call
        assert {r.path for r in bench.http.requests} == {"orderBookDetails"}

    on_bench(scenario, is_read_only=True)


# --- cancel


def test_a_cancel_goes_by_client_id() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.cancel("ETH", 42)
        (request,) = bench.http.sent()
        assert (request.form["tx_type"], request.tx["MarketIndex"], request.tx["Index"]) == ("15", 0, 42)

    on_bench(scenario)


def test_a_cancel_of_what_does_not_rest_is_refused() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        bench.http.script("sendTx", (400, {"code": 21600, "message": "given order is not an active limit order"}))
        with pytest.raises(RequestRefused) as caught:
            await bench.venue.cancel("ETH", 42)
        assert caught.value.code == "21600"

    on_bench(scenario)


def test_a_lost_cancel_is_unknown() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        bench.http.script("sendTx", ResponseLost("x"))
        with pytest.raises(OutcomeUnknown):
            await bench.venue.cancel("ETH", 42)

    on_bench(scenario)


# --- looking up


def test_a_failed_transaction_without_an_order_is_reported_in_the_sequencers_words() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.place(order())
        event = json.dumps({"ae": json.dumps({"message": "not enough margin"})})
        bench.http.script("tx", {"code": 200, "status": 0, "event_info": event})
        report = await bench.venue.fetch_order("ETH", 42)
        assert report is not None
        assert (report.status, report.reason, report.filled_size) == (OrderStatus.REJECTED, "not enough margin", 0)
        assert bench.http.sent("tx")[0].query == {"by": "hash", "value": f"{100:080x}"}
        await bench.venue.place(order(43))
        assert len(bench.http.sent("nextNonce")) == 2

    on_bench(scenario)


def test_a_pending_transaction_is_an_order_on_its_way() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.place(order())
        bench.http.script("tx", {"code": 200, "status": 1})
        report = await bench.venue.fetch_order("ETH", 42)
        assert report is not None
        assert (report.status, report.filled_size) == (OrderStatus.RESTING, 0)

    on_bench(scenario)


def test_an_executed_transaction_whose_order_row_never_shows_is_read_from_trades() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.place(order())
        bench.http.script("tx", {"code": 200, "status": 2})
        early = await bench.venue.fetch_order("ETH", 42)
        assert early is not None
        assert early.status is OrderStatus.RESTING
        await bench.clock.sleep_ms(61_000)
        bench.http.script("trades", {"code": 200, "trades": [trade_row(5, timestamp=EPOCH_MS + 500)]})
        late = await bench.venue.fetch_order("ETH", 42)
        assert late is not None
        assert (late.status, late.filled_size, late.average_price) == (OrderStatus.CANCELED, D("0.5"), 2000)

    on_bench(scenario)


def test_an_order_nobody_knows_is_none() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        assert await bench.venue.fetch_order("ETH", 42) is None

    on_bench(scenario)


def test_the_look_up_falls_back_to_both_lists_where_the_venue_has_no_direct_one() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        bench.http.script("accountOrders", (404, b"404 page not found"))
        bench.http.script("accountActiveOrders", NO_ROWS)
        first = {"code": 200, "orders": [order_row(1, "filled")], "next_cursor": "next"}
        bench.http.script("accountInactiveOrders", first, {"code": 200, "orders": [order_row(42, "filled", "0.0050")]})
        for _ in range(2):
            report = await bench.venue.fetch_order("ETH", 42)
            assert report is not None
            assert report.status is OrderStatus.FILLED
        assert len(bench.http.sent("accountOrders")) == 1
        assert bench.http.sent("accountInactiveOrders")[1].query["cursor"] == "next"

    on_bench(scenario)


def test_a_row_of_another_market_with_the_same_client_id_is_not_ours() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        bench.http.script("accountOrders", {"code": 200, "orders": [order_row(42, market_index=1)]})
        assert await bench.venue.fetch_order("ETH", 42) is None

    on_bench(scenario)


def test_open_orders_are_those_that_rest_and_carry_a_client_id() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        rows = [order_row(42), order_row(0), order_row(43, "filled", "0.0050")]
        bench.http.script("accountActiveOrders", {"code": 200, "orders": rows})
        assert [r.client_id for r in await bench.venue.fetch_open_orders()] == [42]

    on_bench(scenario)


# --- settling


def test_settling_spends_the_nonce_of_an_order_still_on_its_way() -> None:
    """The delayed order arrives after the settle and is refused for its nonce: None was the truth."""

    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script("sendTx", ledger.delay, ledger.send)
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order())
        assert await bench.venue.settle(order()) is None
        (cancel_all,) = ledger.taken
        assert cancel_all["L2TxAttributes"] == {"5": 0}
        assert (cancel_all["TimeInForce"], cancel_all["Time"], cancel_all["Nonce"]) == (0, 0, 100)
        assert ledger.deliver_late() == [(400, {"code": 21104, "message": "invalid nonce"})]

    on_bench(scenario)


def test_settling_finds_an_order_that_had_arrived() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script("sendTx", ledger.send_then_lose, ledger.send)
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order())
        row = order_row(42, "canceled-not-enough-liquidity", "0.0020")
        bench.http.script("accountOrders", {"code": 200, "orders": [order_row(42)]}, {"code": 200, "orders": [row]})
        report = await bench.venue.settle(order())
        assert report is not None
        assert (report.status, report.filled_size) == (OrderStatus.CANCELED, D("0.0020"))
        assert [tx["Nonce"] for tx in ledger.taken] == [100, 101]

    on_bench(scenario)


def test_settling_goes_on_through_races_for_the_nonce_and_lost_answers() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script(
            "sendTx",
            ledger.delay,
            lambda r: (ledger.deliver_late(), ledger.send(r))[1],  # the lost order lands first
            ledger.send_then_lose,
            ledger.send,
        )
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order())
        bench.http.script("accountOrders", {"code": 200, "orders": [order_row(42, "filled", "0.5700")]})
        report = await bench.venue.settle(order())
        assert report is not None
        assert report.status is OrderStatus.FILLED
        assert [tx["Nonce"] for tx in ledger.taken] == [100, 101, 102]

    on_bench(scenario)


def test_settling_asks_the_venue_for_the_nonce_even_when_one_was_counted() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        await bench.venue.place(order(1))
        ledger.nonce = 120
        long_gone = replace(order(2), expires_at_ms=bench.clock.wall_ms() - 60_000)
        assert await bench.venue.settle(long_gone) is None
        assert [r.tx["Nonce"] for r in bench.http.sent()] == [100, 120]

    on_bench(scenario)


def test_an_order_of_an_earlier_process_is_not_given_up_while_lists_may_lag() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        with pytest.raises(RequestRefused, match="settle it again"):
            await bench.venue.settle(replace(order(2), expires_at_ms=bench.clock.wall_ms() + 60_000))

    on_bench(scenario)


def test_an_order_whose_nonce_went_to_another_transaction_was_never_taken() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script("sendTx", ledger.delay, ledger.send)
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order(2))
        reads = len(bench.http.requests)
        assert await bench.venue.settle(order(2)) is None
        assert len(bench.http.requests) - reads == 2, "the nonce alone is proof: no list had to be read"

    on_bench(scenario)


def test_an_order_whose_nonce_was_used_by_nobody_else_is_waited_for() -> None:
    """The answer is lost though the order was taken, and the lists lag: "not known" must not read as "never taken"."""

    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script("sendTx", ledger.send_then_lose, ledger.send)
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order(2))
        with pytest.raises(RequestRefused, match="settle it again"):
            await bench.venue.settle(order(2))

    on_bench(scenario)


def test_an_order_whose_door_lost_its_own_answer_is_not_waited_for_the_whole_lag() -> None:
    """The cancel-all took the lost order's nonce and its answer was lost too: either may be the one that was taken."""

    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        bench.http.script("sendTx", ledger.delay, ledger.send_then_lose, ledger.send)
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order(2))
        soon = replace(order(2), expires_at_ms=bench.clock.wall_ms() - 20_000)
        begun_ms = bench.clock.wall_ms()
        assert await bench.venue.settle(soon) is None
        assert bench.clock.wall_ms() - begun_ms < 20_000

    on_bench(scenario)


def test_the_door_is_closed_only_at_or_above_the_lost_nonce() -> None:
    """The venue stood below our count: spending its next nonce would leave ours acceptable, so more are spent."""

    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)
        await bench.venue.place(order(1))
        ledger.nonce = 99
        bench.http.script("sendTx", ledger.delay, ledger.send)
        with pytest.raises(OutcomeUnknown):
            await bench.venue.place(order(2))
        assert await bench.venue.settle(order(2)) is None
        assert ledger.nonce == 102
        assert ledger.deliver_late() == [(400, {"code": 21104, "message": "invalid nonce"})]

    on_bench(scenario)


def test_an_order_without_a_row_that_traded_is_reported_from_its_trades() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        rows = [trade_row(5), trade_row(6, size="0.0700", usd_amount="140.0"), trade_row(7, ask_client_id=43)]
        bench.http.script("trades", {"code": 200, "trades": rows})
        report = await bench.venue.settle(order())
        assert report is not None
        assert (report.status, report.filled_size, report.average_price) == (OrderStatus.FILLED, D("0.57"), 2000)

    on_bench(scenario)


def test_an_order_that_comes_to_rest_after_the_cancel_is_cancelled_again() -> None:
    async def scenario(bench: Bench) -> None:
        ledger = await ready(bench)

        def rows(_: object) -> object:
            status = "canceled" if len(ledger.taken) >= 2 else "open"
            return {"code": 200, "orders": [order_row(42, status)]}

        bench.http.script("accountOrders", rows)
        report = await bench.venue.settle(order())
        assert report is not None
        assert report.status is OrderStatus.CANCELED
        assert [tx["L2TxAttributes"] for tx in ledger.taken] == [{"5": 0}] * 2

    on_bench(scenario)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("sendTx", ResponseLost("x")),
        ("sendTx", (400, {"code": 21104, "message": "invalid nonce"})),
        ("sendTx", (429, {"code": 23000})),
        ("nextNonce", ResponseLost("x")),
        ("accountOrders", (500, b"")),
        ("accountOrders", {"code": 200, "orders": [order_row(42)]}),
    ],
    ids=["send lost", "nonce refused", "429", "nonce lost", "read fails", "keeps resting"],
)
def test_what_can_not_be_settled_is_said_and_never_taken_for_none(path: str, answer: object) -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        bench.http.script(path, answer)
        with pytest.raises((NotSent, RequestRefused)):
            await bench.venue.settle(order())

    on_bench(scenario)


def test_leverage_is_an_initial_margin_fraction() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.set_leverage("ETH", 3)
        (request,) = bench.http.sent()
        assert (request.form["tx_type"], request.tx["InitialMarginFraction"], request.tx["MarginMode"]) == (
            "20",
            3333,
            0,
        )

    on_bench(scenario)


def test_the_token_goes_with_private_reads_and_never_with_public_ones() -> None:
    async def scenario(bench: Bench) -> None:
        await ready(bench)
        await bench.venue.fetch_order("ETH", 1)
        await bench.venue.place(order())
        private = [r for r in bench.http.requests if "Authorization" in r.headers]
        assert {r.path for r in private} == {"accountOrders"}
        assert private[0].headers["Authorization"].startswith(f"{EPOCH_MS // 1000 + SETTINGS.auth_lifetime_s}:7:4:")

    on_bench(scenario)
