"""What the connector asks about markets and its account, and how it pages until the answer is complete."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.unit.venues.hyperliquid_fakes import (
    META,
    NOW_MS,
    USER,
    FakeSockets,
    JumpClock,
    ScriptedHttp,
    book_data,
    cloid,
    fill_row,
    order_answer,
    venue_of,
)

from perpdesk.domain.fees import FeeRates
from perpdesk.venues.base import FrameUnreadable, NotSent, RequestRefused
from perpdesk.venues.hyperliquid import HyperliquidSettings, HyperliquidVenue
from perpdesk.venues.transport.ports import HttpResponse, RequestNotSent, ResponseLost


def paged(rows: list[dict[str, Any]], page_rows: int, is_newest_first: bool = False) -> Any:
    """A venue that returns at most `page_rows` rows inside the inclusive bounds of a request."""

    def answer(request: dict[str, Any]) -> bytes:
        last = request.get("endTime") or NOW_MS * 2
        inside = [row for row in rows if request["startTime"] <= row["time"] <= last]
        page = inside[::-1][:page_rows] if is_newest_first else inside[:page_rows]
        return msgspec.json.encode(page)

    return answer


def funding_entry(time: int, coin: str = "BTC", usdc: str = "-0.1", szi: str = "2.0") -> dict[str, Any]:
    delta = {"type": "funding", "coin": coin, "usdc": usdc, "szi": szi, "fundingRate": "0.0000125", "nSamples": None}
    return {"time": time, "hash": "0x00", "delta": delta}


# Markets -------------------------------------------------------------------------------------------------------------


async def test_markets_are_listed_by_asset_with_their_position_as_index() -> None:
    venue = venue_of(ScriptedHttp({}))
    assert venue.markets == {}
    markets = await venue.fetch_markets()
    assert {asset: m.venue_index for asset, m in markets.items()} == {"BTC": 0, "OLD": 1, "PEPE": 2, "ETH": 3}
    assert not markets["OLD"].is_tradable
    assert markets["BTC"].maintenance_margin == Decimal("0.0125")
    assert markets["BTC"].notional_min_usd == 10


async def test_a_row_that_can_not_be_read_keeps_the_others_and_their_indexes() -> None:
    wire = json.loads(META)
    wire["universe"][1] = {"name": "BAD", "szDecimals": "many", "maxLeverage": 3}
    wire["universe"].append({"name": "ZERO", "szDecimals": 1, "maxLeverage": 0})
    venue = venue_of(ScriptedHttp({"meta": [json.dumps(wire).encode()]}))
    markets = await venue.fetch_markets()
    assert {asset: m.venue_index for asset, m in markets.items()} == {"BTC": 0, "PEPE": 2, "ETH": 3}
    assert venue.counters.frames_unreadable == 2


async def test_two_rows_of_one_asset_leave_the_listed_one() -> None:
    rows = [
        {"name": "PEPE", "szDecimals": 0, "maxLeverage": 3, "isDelisted": True},
        {"name": "kPEPE", "szDecimals": 0, "maxLeverage": 10},
        {"name": "xyz:PEPE", "szDecimals": 0, "maxLeverage": 10},
    ]
    venue = venue_of(ScriptedHttp({"meta": [json.dumps({"universe": rows}).encode()]}))
    markets = await venue.fetch_markets()
    assert [(m.venue_symbol, m.venue_index) for m in markets.values()] == [("kPEPE", 1)]


async def test_funding_comes_in_one_request_per_unit_of_the_asset() -> None:
    contexts = [
        {"funding": "0.0000125", "markPx": "95000.0", "oraclePx": "95010.0", "midPx": None},
        {"funding": "0.0", "markPx": "1.0", "oraclePx": "1.0"},
        {"funding": "-0.0001", "markPx": "0.0105", "oraclePx": "0.0104"},
        {"funding": "7.5", "markPx": "3000.0", "oraclePx": "3000.0"},
    ]
    http = ScriptedHttp({"metaAndAssetCtxs": [json.dumps([json.loads(META), contexts]).encode()]})
    venue = venue_of(http)
    await venue.fetch_markets()
    funding = await venue.fetch_funding()
    assert set(funding) == {"BTC", "PEPE"}, "delisted OLD and the impossible rate of ETH are left out"
    assert funding["PEPE"].rate.per_hour == Decimal("-0.0001")
    assert (funding["PEPE"].mark_price, funding["PEPE"].index_price) == (0.0000105, 0.0000104)
    assert venue.counters.frames_unreadable == 1
    assert len(http.bodies) == 2


async def test_contexts_that_do_not_match_the_markets_are_refused_whole() -> None:
    venue = venue_of(ScriptedHttp({"metaAndAssetCtxs": [json.dumps([json.loads(META), []]).encode()]}))
    with pytest.raises(FrameUnreadable, match="4 markets but 0 contexts"):
        await venue.fetch_funding()


async def test_a_book_by_request_is_per_unit_of_the_asset() -> None:
    http = ScriptedHttp({"l2Book": [msgspec.json.encode(book_data("kPEPE", "0.010499", "0.010501"))]})
    venue = venue_of(http)
    await venue.fetch_markets()
    book = await venue.fetch_book("PEPE")
    assert (book.bids.best, book.asks.best) == ((0.000010499, 1500.0), (0.000010501, 2000.0))
    assert book.changed_at_ms == NOW_MS
    assert http.sent("l2Book") == [{"type": "l2Book", "coin": "kPEPE"}]


@pytest.mark.parametrize("answer", [b"null", msgspec.json.encode(book_data("ETH"))])
async def test_no_book_or_the_book_of_another_market_is_refused(answer: bytes) -> None:
    venue = venue_of(ScriptedHttp({"l2Book": [answer]}))
    await venue.fetch_markets()
    with pytest.raises(RequestRefused, match="no book for BTC"):
        await venue.fetch_book("BTC")


async def test_the_venues_clock_is_read() -> None:
    venue = venue_of(ScriptedHttp({"exchangeStatus": [b'{"time":1784683656123,"specialStatuses":null}']}))
    assert await venue.fetch_server_time_ms() == 1_784_683_656_123


# What failures of a read let us conclude ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (RequestNotSent("refused"), NotSent),
        (ResponseLost("time-out"), NotSent),
        (HttpResponse(500, b""), NotSent),
        (HttpResponse(429, b"null"), RequestRefused),
        (HttpResponse(422, b"Failed to deserialize"), RequestRefused),
        (b'{"time":-1}', FrameUnreadable),
        (b"<html>", FrameUnreadable),
        (b"", FrameUnreadable),
    ],
)
async def test_a_read_that_fails_says_how(answer: Any, kind: type[Exception]) -> None:
    venue = venue_of(ScriptedHttp({"exchangeStatus": [answer]}))
    with pytest.raises(kind):
        await venue.fetch_server_time_ms()
    assert venue.counters.errors + venue.counters.frames_unreadable == 1


async def test_asking_too_often_says_how_long_to_wait() -> None:
    venue = venue_of(ScriptedHttp({"exchangeStatus": [HttpResponse(429, b"null")]}))
    with pytest.raises(RequestRefused) as caught:
        await venue.fetch_server_time_ms()
    assert (caught.value.code, caught.value.retry_after_ms) == ("429", 2_000)


async def test_without_an_account_its_reads_are_refused_plainly() -> None:
    venue = HyperliquidVenue(
        ScriptedHttp({}), FakeSockets(), JumpClock(NOW_MS), _rng(), HyperliquidSettings(), signer=None
    )
    for call in (venue.fetch_account(), venue.fetch_fills(0), venue.fetch_fees(), venue.fetch_open_orders()):
        with pytest.raises(RequestRefused, match="account_address"):
            await call


def _rng() -> Any:
    import random

    return random.Random(1)


# The account ---------------------------------------------------------------------------------------------------------


def clearinghouse(*positions: dict[str, Any]) -> bytes:
    summary = {"accountValue": "1000.5", "totalNtlPos": "0", "totalRawUsd": "0", "totalMarginUsed": "0"}
    rows = [{"type": "oneWay", "position": position} for position in positions]
    state = {"marginSummary": summary, "withdrawable": "900.25", "assetPositions": rows, "time": NOW_MS}
    return msgspec.json.encode(state)


PEPE_POSITION = {
    "coin": "kPEPE",
    "szi": "-20.0",
    "entryPx": "0.0105",
    "positionValue": "0.208",
    "unrealizedPnl": "0.002",
}


async def test_an_account_in_standard_mode_is_what_the_perpetual_summary_says() -> None:
    http = ScriptedHttp({"userAbstraction": [b'"default"'], "clearinghouseState": [clearinghouse(PEPE_POSITION)]})
    state = await venue_of(http).fetch_account()
    assert (state.equity_usd, state.available_usd, state.at_ms) == (Decimal("1000.5"), Decimal("900.25"), NOW_MS)
    position = state.positions["PEPE"]
    assert position.size == -20_000
    assert position.entry_price == Decimal("0.0000105")
    assert position.mark_price == Decimal("0.0000104")
    assert http.sent("clearinghouseState") == [{"type": "clearinghouseState", "user": USER}]


@pytest.mark.parametrize("mode", ["unifiedAccount", "portfolioMargin"])
async def test_a_unified_account_has_its_equity_in_the_spot_ledger(mode: str) -> None:
    balances = {
        "balances": [{"coin": "USDC", "total": "977.58", "hold": "7.58"}, {"coin": "HYPE", "total": "5", "hold": "0"}]
    }
    http = ScriptedHttp(
        {
            "userAbstraction": [json.dumps(mode).encode()],
            "clearinghouseState": [clearinghouse(PEPE_POSITION)],
            "spotClearinghouseState": [msgspec.json.encode(balances)],
        }
    )
    state = await venue_of(http).fetch_account()
    assert (state.equity_usd, state.available_usd) == (Decimal("977.58"), Decimal("970.00"))
    assert set(state.positions) == {"PEPE"}


async def test_an_unknown_account_mode_has_no_known_equity() -> None:
    http = ScriptedHttp({"userAbstraction": [b'"brandNew"'], "clearinghouseState": [clearinghouse()]})
    with pytest.raises(RequestRefused, match="brandNew"):
        await venue_of(http).fetch_account()


async def test_the_account_mode_is_asked_for_once_an_hour() -> None:
    clock = JumpClock(NOW_MS)
    http = ScriptedHttp({"userAbstraction": [b'"default"'], "clearinghouseState": [clearinghouse()]})
    venue = venue_of(http, clock=clock)
    await venue.fetch_account()
    clock.advance_ms(3_600_000)
    await venue.fetch_account()
    assert len(http.sent("userAbstraction")) == 1
    clock.advance_ms(1)
    await venue.fetch_account()
    assert len(http.sent("userAbstraction")) == 2


async def test_fees_are_what_the_account_pays() -> None:
    fees = {"userCrossRate": "0.00045", "userAddRate": "-0.00001", "feeSchedule": {}}
    venue = venue_of(ScriptedHttp({"userFees": [msgspec.json.encode(fees)]}))
    assert await venue.fetch_fees() == FeeRates(maker=Decimal("-0.00001"), taker=Decimal("0.00045"))


@pytest.mark.parametrize("rate", ["0.045", "NaN", "", "1E-4"])
async def test_fees_that_can_not_be_are_unreadable(rate: str) -> None:
    fees = {"userCrossRate": rate, "userAddRate": "0.0"}
    with pytest.raises(FrameUnreadable):
        await venue_of(ScriptedHttp({"userFees": [msgspec.json.encode(fees)]})).fetch_fees()


# Orders --------------------------------------------------------------------------------------------------------------


async def test_an_order_the_venue_does_not_know_is_none() -> None:
    venue = venue_of(ScriptedHttp({"orderStatus": [b'{"status":"unknownOid"}']}))
    assert await venue.fetch_order("BTC", 0x1234) is None


@pytest.mark.parametrize(
    ("word", "left", "status", "filled"),
    [
        ("open", "0.0006", "resting", "0.0004"),
        ("triggered", "0.001", "resting", "0"),
        ("filled", "0.0", "filled", "0.001"),
        ("filled", "0.0004", "canceled", "0.0006"),
        ("canceled", "0.001", "canceled", "0"),
        ("selfTradeCanceled", "0.0004", "canceled", "0.0006"),
        ("scheduledCancel", "0.001", "canceled", "0"),
        ("rejected", "0.001", "rejected", "0"),
        ("someNewReasonRejected", "0.001", "rejected", "0"),
        ("iocCancelRejected", "0.0004", "canceled", "0.0006"),
    ],
)
async def test_an_order_is_read_by_the_ending_of_its_status(word: str, left: str, status: str, filled: str) -> None:
    venue = venue_of(ScriptedHttp({"orderStatus": [order_answer(word, left=left)]}))
    report = await venue.fetch_order("BTC", 0x1234)
    assert report is not None
    assert (report.status.value, report.filled_size) == (status, Decimal(filled))


@pytest.mark.parametrize(
    "answer",
    [
        order_answer("perhaps"),
        order_answer("filled", left="0.001"),
        order_answer("open", left="0.002"),
        order_answer("open", left="-1"),
        order_answer("open", client_id=99),
        b'{"status":"order"}',
        b'{"status":"strange"}',
    ],
)
async def test_an_order_record_that_can_not_be_true_is_unreadable(answer: bytes) -> None:
    venue = venue_of(ScriptedHttp({"orderStatus": [answer]}))
    with pytest.raises(FrameUnreadable):
        await venue.fetch_order("BTC", 0x1234)


# Pages ---------------------------------------------------------------------------------------------------------------

SAME_MS = [fill_row(NOW_MS + n // 4, tid=n) for n in range(50)]


@pytest.mark.parametrize("page_rows", [5, 7, 50, 2000])
@pytest.mark.parametrize("is_newest_first", [False, True])
async def test_fills_are_complete_and_oldest_first_however_they_are_paged(
    page_rows: int, is_newest_first: bool
) -> None:
    http = ScriptedHttp({"userFillsByTime": [paged(SAME_MS, page_rows, is_newest_first)]})
    fills = await venue_of(http).fetch_fills(NOW_MS)
    assert [fill.trade_id for fill in fills] == [f"{row['time']}:{row['tid']}:7" for row in SAME_MS]


async def test_fills_before_the_asked_time_are_left_out() -> None:
    http = ScriptedHttp({"userFillsByTime": [msgspec.json.encode([fill_row(NOW_MS - 1), fill_row(NOW_MS, tid=2)])]})
    assert [fill.at_ms for fill in await venue_of(http).fetch_fills(NOW_MS)] == [NOW_MS]


async def test_a_full_page_of_one_millisecond_is_stepped_over() -> None:
    rows = [fill_row(NOW_MS, tid=n) for n in range(500)] + [fill_row(NOW_MS + 1, tid=900)]
    fills = await venue_of(ScriptedHttp({"userFillsByTime": [paged(rows, 500)]})).fetch_fills(NOW_MS)
    assert len(fills) == 501


async def test_a_venue_that_never_stops_paging_is_given_up() -> None:
    def endless(request: dict[str, Any]) -> bytes:
        return msgspec.json.encode([fill_row(request["startTime"] + 1)])

    with pytest.raises(RequestRefused, match="more than 500 pages"):
        await venue_of(ScriptedHttp({"userFillsByTime": [endless]})).fetch_fills(NOW_MS)


async def test_a_fill_is_told_in_our_units_with_our_id_only() -> None:
    rows = [
        fill_row(coin="kPEPE", px="0.0105", sz="20.0", side="A", crossed=False, fee="-0.01", tid=5, cloid=cloid(77)),
        fill_row(tid=6, cloid="0x7fda4426a5b048238b460d86eeca80aa"),
        fill_row(tid=7, cloid=None),
        fill_row(tid=8, coin="@107"),
        fill_row(tid=9, coin="xyz:TSLA"),
    ]
    venue = venue_of(ScriptedHttp({"userFillsByTime": [msgspec.json.encode(rows)]}))
    pepe, other, manual = await venue.fetch_fills(0)
    assert (pepe.asset, pepe.size, pepe.price) == ("PEPE", 20_000, Decimal("0.0000105"))
    assert (pepe.client_id, pepe.is_maker, pepe.fee_usd, pepe.signed_size) == (77, True, Decimal("-0.01"), -20_000)
    assert (other.client_id, manual.client_id) == (None, None)


async def test_a_fee_in_another_token_is_kept_counted_and_heard() -> None:
    venue = venue_of(ScriptedHttp({"userFillsByTime": [msgspec.json.encode([fill_row(feeToken="HYPE")])]}))
    (fill,) = await venue.fetch_fills(0)
    assert fill.fee_usd == Decimal("0.04275")
    assert venue.counters.errors >= 1


@pytest.mark.parametrize(
    "damage", [{"px": "-1"}, {"px": "0"}, {"sz": "0.0"}, {"sz": "1e9"}, {"side": "X"}, {"fee": "NaN"}, {"time": 0}]
)
async def test_one_damaged_fill_makes_the_whole_answer_unreadable(damage: dict[str, Any]) -> None:
    rows = [fill_row(tid=1), fill_row(tid=2, **damage)]
    venue = venue_of(ScriptedHttp({"userFillsByTime": [msgspec.json.encode(rows)]}))
    with pytest.raises(FrameUnreadable):
        await venue.fetch_fills(0)
    assert venue.counters.frames_unreadable == 1


@pytest.mark.parametrize("page_rows", [3, 500])
async def test_funding_payments_are_complete_whatever_the_page(page_rows: int) -> None:
    entries = [funding_entry(NOW_MS + hour * 3_600_000, coin) for hour in range(9) for coin in ("BTC", "kPEPE")]
    http = ScriptedHttp({"userFunding": [paged(entries, page_rows)]})
    payments = await venue_of(http).fetch_funding_payments(NOW_MS)
    assert [p.payment_id for p in payments] == [f"{e['delta']['coin']}:{e['time']}" for e in entries]
    assert (payments[1].asset, payments[1].size, payments[1].usd) == ("PEPE", 2_000, Decimal("-0.1"))
