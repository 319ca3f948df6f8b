"""Placing, cancelling, settling: what each answer and each missing answer lets the desk conclude."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.unit.venues.hyperliquid_fakes import (
    AGENT,
    DONE,
    NOW_MS,
    ORDER_TTL_MS,
    UNKNOWN_ORDER,
    USER,
    JumpClock,
    Recorder,
    ScriptedHttp,
    cloid,
    fill_row,
    intent,
    ok,
    order_answer,
    order_record,
    refused,
    venue_of,
)

from perpdesk.domain.orders import OrderReport, OrderStatus, TimeInForce
from perpdesk.venues.base import (
    FrameUnreadable,
    InsufficientMargin,
    NotSent,
    OrderChanged,
    OrderRejected,
    OutcomeUnknown,
    PostOnlyWouldCross,
    RequestRefused,
)
from perpdesk.venues.hyperliquid import HyperliquidVenue
from perpdesk.venues.transport.ports import HttpResponse, RequestNotSent, ResponseLost

FILLED = ok({"filled": {"totalSz": "0.001", "avgPx": "94990.5", "oid": 7}})
RESTING = ok({"resting": {"oid": 7}})
NO_FILLS = {"userFillsByTime": [b"[]"], "frontendOpenOrders": [b"[]"]}


async def started(http: ScriptedHttp, **changes: Any) -> tuple[HyperliquidVenue, Recorder]:
    venue, events = venue_of(http, **changes), Recorder()
    await venue.start(events)
    return venue, events


def server_time(at_ms: int) -> bytes:
    return msgspec.json.encode({"time": at_ms, "specialStatuses": None})


# Placing -------------------------------------------------------------------------------------------------------------


async def test_an_order_goes_out_in_the_venues_words() -> None:
    http = ScriptedHttp({"order": [FILLED]})
    venue, _ = await started(http)
    await venue.place(intent())
    (body,) = http.sent("order")
    assert list(body) == ["action", "nonce", "signature", "vaultAddress", "expiresAfter"]
    assert list(body["action"]) == ["type", "orders", "grouping"]
    (order,) = body["action"]["orders"]
    assert list(order) == ["a", "b", "p", "s", "r", "t", "c"]
    assert order == {
        "a": 0,
        "b": True,
        "p": "95000",
        "s": "0.001",
        "r": False,
        "t": {"limit": {"tif": "Ioc"}},
        "c": cloid(),
    }
    assert body["nonce"] == NOW_MS
    assert body["expiresAfter"] == NOW_MS + ORDER_TTL_MS
    assert body["vaultAddress"] is None
    assert body["signature"]["r"] == AGENT
    await venue.stop()


async def test_a_scaled_market_is_ordered_in_its_own_contracts() -> None:
    http = ScriptedHttp({"order": [RESTING]})
    venue, _ = await started(http)
    order = intent(asset="PEPE", size="5000", price="0.0000105", tif=TimeInForce.POST_ONLY, is_reduce_only=True)
    await venue.place(order)
    sent = http.sent("order")[0]["action"]["orders"][0]
    assert (sent["a"], sent["p"], sent["s"], sent["r"]) == (2, "0.0105", "5", True)
    assert sent["t"] == {"limit": {"tif": "Alo"}}
    await venue.stop()


async def test_a_filled_answer_is_told_as_the_order_s_state() -> None:
    venue, events = await started(ScriptedHttp({"order": [FILLED]}))
    await venue.place(intent())
    assert [e.report for e in events.of(OrderChanged)] == [
        OrderReport(0x1234, venue.name, "BTC", OrderStatus.FILLED, Decimal("0.001"), Decimal("94990.5"))
    ]
    await venue.stop()


async def test_a_partly_filled_immediate_order_is_over() -> None:
    answer = ok({"filled": {"totalSz": "0.0004", "avgPx": "94990.5", "oid": 7}})
    venue, events = await started(ScriptedHttp({"order": [answer]}))
    await venue.place(intent())
    (changed,) = events.of(OrderChanged)
    assert (changed.report.status, changed.report.filled_size) == (OrderStatus.CANCELED, Decimal("0.0004"))
    await venue.stop()


async def test_a_partly_filled_resting_order_is_not_taken_for_over() -> None:
    answer = ok({"filled": {"totalSz": "0.0004", "avgPx": "94990.5", "oid": 7}})
    venue, events = await started(ScriptedHttp({"order": [answer]}))
    await venue.place(intent(tif=TimeInForce.GTC))
    (changed,) = events.of(OrderChanged)
    assert (changed.report.status, changed.report.filled_size) == (OrderStatus.RESTING, Decimal("0.0004"))
    await venue.stop()


async def test_a_slow_resting_answer_does_not_take_back_what_the_order_feed_said() -> None:
    from tests.unit.venues.hyperliquid_fakes import FakeSockets, settle_loop

    sockets = FakeSockets()
    http = ScriptedHttp({})
    venue, events = await started(http, sockets=sockets)
    await settle_loop()

    def answer_late(_: dict[str, Any]) -> bytes:
        sockets.opened[0].push("orderUpdates", [order_record("filled", left="0.0")])
        return RESTING

    http.script["order"] = [answer_late]
    await venue.place(intent(tif=TimeInForce.GTC))
    assert [e.report.status for e in events.of(OrderChanged)] == [OrderStatus.FILLED]
    await venue.stop()


@pytest.mark.parametrize(
    ("text", "kind", "code", "reason"),
    [
        (
            "Insufficient margin to place order. asset=0",
            InsufficientMargin,
            "PerpMargin",
            "Insufficient margin to place order.",
        ),
        (
            "Post only order would have immediately matched, bbo was 1@2. asset=0",
            PostOnlyWouldCross,
            "BadAloPx",
            "Post only order would have immediately matched, bbo was 1@2.",
        ),
        (
            "Order could not immediately match against any resting orders. asset=110003",
            OrderRejected,
            "IocCancel",
            "Order could not immediately match against any resting orders.",
        ),
        ("Something new.", OrderRejected, "", "Something new."),
    ],
)
async def test_a_refused_order_is_rejected_by_how_its_text_begins(
    text: str, kind: type[OrderRejected], code: str, reason: str
) -> None:
    venue, events = await started(ScriptedHttp({"order": [ok({"error": text})]}))
    with pytest.raises(OrderRejected) as caught:
        await venue.place(intent())
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert events.of(OrderChanged) == []
    await venue.stop()


async def test_a_refused_action_is_a_rejected_order() -> None:
    venue, _ = await started(ScriptedHttp({"order": [refused("User or API Wallet 0x11 does not exist.")]}))
    with pytest.raises(OrderRejected, match="does not exist"):
        await venue.place(intent())
    await venue.stop()


@pytest.mark.parametrize(
    "answer",
    [
        ResponseLost("time-out"),
        HttpResponse(500, b"<html>"),
        HttpResponse(502, b""),
        HttpResponse(408, b""),
        HttpResponse(200, b"<html>garbage"),
        HttpResponse(200, b"null"),
        HttpResponse(200, b'{"status":"perhaps","response":""}'),
        HttpResponse(200, b'{"status":"ok"}'),
        HttpResponse(200, DONE),
        HttpResponse(200, ok()),
        HttpResponse(200, ok({"resting": {"oid": 1}}, {"resting": {"oid": 2}})),
        HttpResponse(200, ok({"what": 1})),
        HttpResponse(200, ok("success")),
        HttpResponse(200, ok({"filled": {"totalSz": "0.002", "avgPx": "95000.0", "oid": 1}})),
        HttpResponse(200, ok({"filled": {"totalSz": "NaN", "avgPx": "95000.0", "oid": 1}})),
        HttpResponse(200, refused("Invalid nonce: duplicate nonce 1784683656000")),
        HttpResponse(200, ok({"error": "Client order id was already used. asset=0"})),
    ],
)
async def test_anything_but_a_clear_answer_leaves_the_outcome_unknown(answer: Any) -> None:
    venue, events = await started(ScriptedHttp({"order": [answer]}))
    with pytest.raises(OutcomeUnknown) as caught:
        await venue.place(intent())
    assert caught.value.client_id == 0x1234
    assert events.of(OrderChanged) == []
    await venue.stop()


@pytest.mark.parametrize("answer", [RequestNotSent("refused"), HttpResponse(429, b"null")])
async def test_what_never_left_or_was_turned_away_is_not_sent(answer: Any) -> None:
    venue, _ = await started(ScriptedHttp({"order": [answer]}))
    with pytest.raises(NotSent):
        await venue.place(intent())
    await venue.stop()


async def test_an_undecodable_request_is_a_rejection() -> None:
    venue, _ = await started(ScriptedHttp({"order": [HttpResponse(422, b"Failed to deserialize")]}))
    with pytest.raises(OrderRejected, match="422"):
        await venue.place(intent())
    await venue.stop()


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (intent(tif=TimeInForce.FOK), "no fill-or-kill"),
        (intent(price="95000.5"), "not on the grid"),
        (intent(size="0.000001"), "multiple"),
        (intent(asset="NOPE"), "does not list NOPE"),
        (intent(expires_at_ms=NOW_MS), "had passed"),
    ],
)
async def test_what_the_venue_could_not_take_is_rejected_without_a_request(order: Any, reason: str) -> None:
    http = ScriptedHttp({})
    venue, _ = await started(http)
    with pytest.raises(OrderRejected, match=reason):
        await venue.place(order)
    assert http.sent("order") == []
    await venue.stop()


async def test_nonces_never_repeat_within_one_millisecond() -> None:
    http = ScriptedHttp({"order": [RESTING]})
    venue, _ = await started(http)
    for client_id in (1, 2, 3):
        await venue.place(intent(client_id))
    assert [body["nonce"] for body in http.sent("order")] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]
    await venue.stop()


async def test_without_a_signer_orders_and_cancels_are_refused_plainly() -> None:
    http = ScriptedHttp({})
    venue, _ = await started(http, signer=None)
    for call in (venue.place(intent()), venue.cancel("BTC", 1)):
        with pytest.raises(RequestRefused, match="read-only"):
            await call
    assert http.sent("order") == []
    await venue.stop()


async def test_a_failing_signer_sends_nothing_and_is_not_quoted() -> None:
    class Broken:
        address = AGENT

        async def sign_l1(self, *_: Any) -> dict[str, Any]:
            raise RuntimeError("secret material")

    http = ScriptedHttp({})
    venue, _ = await started(http, signer=Broken())
    with pytest.raises(NotSent, match="RuntimeError") as caught:
        await venue.place(intent())
    assert "secret" not in str(caught.value)
    await venue.stop()


# Cancelling ----------------------------------------------------------------------------------------------------------


async def test_a_cancel_names_the_order_by_our_id() -> None:
    http = ScriptedHttp({"cancelByCloid": [ok("success")]})
    venue, _ = await started(http)
    await venue.cancel("PEPE", 9)
    (body,) = http.sent("cancelByCloid")
    assert body["action"] == {"type": "cancelByCloid", "cancels": [{"asset": 2, "cloid": cloid(9)}]}
    await venue.stop()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ok({"error": "Order was never placed, already canceled, or filled. asset=0"}), RequestRefused),
        (refused("Too many cumulative requests sent (2 > 1)"), RequestRefused),
        (refused("Invalid nonce: duplicate nonce 1"), OutcomeUnknown),
        (ResponseLost("time-out"), OutcomeUnknown),
        (HttpResponse(503, b""), OutcomeUnknown),
        (b"garbage", OutcomeUnknown),
        (ok(), OutcomeUnknown),
        (ok("perhaps"), OutcomeUnknown),
        (RequestNotSent("refused"), NotSent),
        (HttpResponse(429, b"null"), NotSent),
    ],
)
async def test_each_answer_to_a_cancel_says_what_is_known(answer: Any, kind: type[Exception]) -> None:
    venue, _ = await started(ScriptedHttp({"cancelByCloid": [answer]}))
    with pytest.raises(kind):
        await venue.cancel("BTC", 9)
    await venue.stop()


async def test_an_order_that_is_not_resting_carries_the_venues_code() -> None:
    answer = ok({"error": "Order was never placed, already canceled, or filled. asset=0"})
    venue, _ = await started(ScriptedHttp({"cancelByCloid": [answer]}))
    with pytest.raises(RequestRefused) as caught:
        await venue.cancel("BTC", 9)
    assert caught.value.code == "MissingOrder"
    assert caught.value.reason.endswith("filled.")
    await venue.stop()


# Settling ------------------------------------------------------------------------------------------------------------


async def lost_order(script: dict[str, list[Any]]) -> tuple[HyperliquidVenue, ScriptedHttp, JumpClock]:
    """A venue that lost the answer to its order."""
    clock = JumpClock(NOW_MS)
    http = ScriptedHttp({"order": [ResponseLost("time-out")], **script})
    venue, _ = await started(http, clock=clock)
    with pytest.raises(OutcomeUnknown):
        await venue.place(intent())
    return venue, http, clock


async def test_settling_spends_the_nonce_before_it_asks() -> None:
    venue, http, _ = await lost_order({"noop": [DONE], "orderStatus": [UNKNOWN_ORDER], **NO_FILLS})
    assert await venue.settle(intent()) is None
    (fence,) = http.sent("noop")
    assert fence["nonce"] == http.sent("order")[0]["nonce"]
    kinds = [body["action"]["type"] if "action" in body else body["type"] for body in http.bodies]
    assert kinds.index("noop") < kinds.index("orderStatus")
    assert http.sent("orderStatus")[0] == {"type": "orderStatus", "user": USER, "oid": cloid()}
    await venue.stop()


async def test_a_nonce_that_is_spent_already_shuts_the_door_too() -> None:
    answer = order_answer("filled", left="0.0")
    venue, http, _ = await lost_order({"noop": [refused("Invalid nonce: duplicate nonce 1")], "orderStatus": [answer]})
    report = await venue.settle(intent())
    assert report is not None
    assert (report.status, report.filled_size) == (OrderStatus.FILLED, Decimal("0.001"))
    assert len(http.sent("noop")) == 1
    assert http.sent("exchangeStatus") == []
    await venue.stop()


async def test_a_lost_fence_is_sent_again_with_the_same_nonce() -> None:
    fences: list[Any] = [ResponseLost("cut"), HttpResponse(429, b"null"), refused("Invalid nonce: duplicate nonce 1")]
    venue, http, _ = await lost_order({"noop": fences, "orderStatus": [UNKNOWN_ORDER], **NO_FILLS})
    assert await venue.settle(intent()) is None
    assert len({body["nonce"] for body in http.sent("noop")}) == 1
    assert len(http.sent("noop")) == 3
    assert http.sent("exchangeStatus") == []
    await venue.stop()


@pytest.mark.parametrize(
    "fence",
    [
        ResponseLost("cut"),
        HttpResponse(500, b""),
        b"garbage",
        RequestNotSent("down"),
        refused("Too many cumulative requests sent (2 > 1)"),
        refused("User or API Wallet 0x11 does not exist."),
    ],
)
async def test_a_fence_that_proves_nothing_makes_settling_wait_for_the_expiry(fence: Any) -> None:
    script: dict[str, list[Any]] = {"noop": [fence], "orderStatus": [UNKNOWN_ORDER], **NO_FILLS}
    venue, http, clock = await lost_order(script)
    http.script["exchangeStatus"] = [lambda _: server_time(clock.wall_ms())]
    asked_at: list[int] = []

    def status(_: dict[str, Any]) -> bytes:
        asked_at.append(clock.wall_ms())
        return UNKNOWN_ORDER

    http.script["orderStatus"] = [status]
    assert await venue.settle(intent()) is None
    assert asked_at[0] > NOW_MS + ORDER_TTL_MS + 1_000
    await venue.stop()


async def test_an_order_of_an_earlier_process_waits_for_the_venues_clock_not_ours() -> None:
    clock = JumpClock(NOW_MS + 60_000)
    http = ScriptedHttp({"orderStatus": [order_answer("open")]})
    behind_ms = 58_000
    http.script["exchangeStatus"] = [lambda _: server_time(clock.wall_ms() - behind_ms)]
    venue, _ = await started(http, clock=clock)
    report = await venue.settle(intent())
    assert report is not None
    assert report.status is OrderStatus.RESTING
    assert clock.wall_ms() - behind_ms > NOW_MS + ORDER_TTL_MS + 1_000
    assert http.sent("noop") == []
    await venue.stop()


async def test_a_venue_clock_that_stands_still_leaves_the_order_unsettled() -> None:
    http = ScriptedHttp({"exchangeStatus": [server_time(NOW_MS)]})
    venue, _ = await started(http)
    with pytest.raises(NotSent, match="not settled"):
        await venue.settle(intent())
    assert http.sent("orderStatus") == []
    await venue.stop()


async def test_an_expiry_far_off_is_not_waited_for() -> None:
    http = ScriptedHttp({"exchangeStatus": [server_time(NOW_MS)]})
    clock = JumpClock(NOW_MS)
    venue, _ = await started(http, clock=clock)
    with pytest.raises(NotSent):
        await venue.settle(intent(expires_at_ms=NOW_MS + 3_600_000))
    assert clock.wall_ms() == NOW_MS
    await venue.stop()


async def test_a_record_that_lags_is_asked_for_once_more_after_a_second() -> None:
    answers: list[Any] = [UNKNOWN_ORDER, order_answer("canceled", left="0.0006")]
    venue, http, clock = await lost_order({"noop": [DONE], "orderStatus": answers})
    report = await venue.settle(intent())
    assert report is not None
    assert (report.status, report.filled_size, report.reason) == (OrderStatus.CANCELED, Decimal("0.0004"), "canceled")
    assert clock.wall_ms() == NOW_MS + 1_000
    assert len(http.sent("orderStatus")) == 2
    await venue.stop()


async def test_fills_outlive_the_order_s_record() -> None:
    page = msgspec.json.encode([fill_row(tid=1, sz="0.0004"), fill_row(tid=2, sz="0.0001", px="95010.0")])
    script: dict[str, list[Any]] = {"noop": [DONE], "orderStatus": [UNKNOWN_ORDER], **NO_FILLS}
    venue, _, _ = await lost_order({**script, "userFillsByTime": [page]})
    report = await venue.settle(intent())
    assert report is not None
    assert (report.status, report.filled_size) == (OrderStatus.CANCELED, Decimal("0.0005"))
    assert report.average_price == Decimal("95002")
    await venue.stop()


async def test_fills_of_the_whole_size_make_it_filled() -> None:
    page = msgspec.json.encode([fill_row()])
    script: dict[str, list[Any]] = {"noop": [DONE], "orderStatus": [UNKNOWN_ORDER], **NO_FILLS}
    venue, _, _ = await lost_order({**script, "userFillsByTime": [page]})
    report = await venue.settle(intent())
    assert report is not None
    assert report.status is OrderStatus.FILLED
    await venue.stop()


async def test_an_order_that_only_the_open_orders_know_is_resting() -> None:
    resting = msgspec.json.encode([order_record("open", left="0.0009")["order"]])
    script: dict[str, list[Any]] = {"noop": [DONE], "orderStatus": [UNKNOWN_ORDER], "frontendOpenOrders": [resting]}
    venue, _, _ = await lost_order(script)
    report = await venue.settle(intent())
    assert report is not None
    assert (report.status, report.filled_size) == (OrderStatus.RESTING, Decimal("0.0001"))
    await venue.stop()


@pytest.mark.parametrize("kind", ["orderStatus", "frontendOpenOrders", "userFillsByTime"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [(ResponseLost("cut"), NotSent), (HttpResponse(429, b"null"), RequestRefused), (b"garbage", FrameUnreadable)],
)
async def test_an_order_is_never_called_gone_while_one_source_is_silent(
    kind: str, answer: Any, error: type[Exception]
) -> None:
    script: dict[str, list[Any]] = {"noop": [DONE], "orderStatus": [UNKNOWN_ORDER], **NO_FILLS, kind: [answer]}
    venue, _, _ = await lost_order(script)
    with pytest.raises(error):
        await venue.settle(intent())
    await venue.stop()
