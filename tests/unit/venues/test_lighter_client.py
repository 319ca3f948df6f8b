"""The connector as a whole on virtual time: reads, the stream's life, reconnects and tokens."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.unit.venues.lighter_fakes import DETAILS, EPOCH_MS, SETTINGS, Bench, market_row, on_bench, trade_row
from tests.unit.venues.test_lighter_feed import SNAPSHOT, book, subscribed

from perpdesk.venues.base import (
    BookChanged,
    BookLost,
    FrameUnreadable,
    NotSent,
    PrivateFeedLost,
    PrivateFeedRestored,
    RequestRefused,
    VenueEvent,
)
from perpdesk.venues.transport.ports import RequestNotSent, ResponseLost

D = Decimal


def confirm_private(bench: Bench) -> None:
    bench.socket.push(subscribed("account_all_orders", {}))
    bench.socket.push(subscribed("account_all_trades", []))


def test_starting_follows_books_funding_and_our_own_events() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        assert bench.socket.subscribed() == [
            "account_all_orders/7",
            "account_all_trades/7",
            "market_stats/all",
            "order_book/0",
        ]
        bench.socket.push(SNAPSHOT)
        confirm_private(bench)
        assert [type(e) for e in bench.events] == [PrivateFeedLost, BookChanged, PrivateFeedRestored]

    on_bench(scenario)


def test_by_default_every_tradable_book_is_followed() -> None:
    async def scenario(bench: Bench) -> None:
        closed = DETAILS | {"order_book_details": [market_row(0, "ETH"), market_row(1, "BTC", status="inactive")]}
        bench.http.script("orderBookDetails", closed)
        await bench.venue.start(bench.events.append)
        await bench.clock.sleep_ms(100)
        bench.socket.push({"type": "connected"})
        assert [c for c in bench.socket.subscribed() if c.startswith("order_book")] == ["order_book/0"]

    on_bench(scenario)


def test_a_read_only_connector_follows_no_account() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        assert bench.socket.subscribed() == ["market_stats/all", "order_book/0"]
        assert bench.events == []

    on_bench(scenario, is_read_only=True)


def test_a_cut_loses_book_and_private_stream_and_both_come_back() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        bench.socket.push(SNAPSHOT)
        confirm_private(bench)
        bench.events.clear()
        bench.socket.drop("1006")
        await bench.clock.sleep_ms(2_000)
        assert [type(e) for e in bench.events] == [PrivateFeedLost, BookLost]
        assert len(bench.sockets.opened) == 2
        bench.socket.push({"type": "connected"})
        bench.socket.push(SNAPSHOT)
        confirm_private(bench)
        assert [type(e) for e in bench.events[2:]] == [BookChanged, PrivateFeedRestored]
        assert bench.venue.counters.reconnects == 1

    on_bench(scenario)


def test_frames_of_a_connection_that_ended_are_ignored() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        old = bench.socket
        old.drop("1006")
        old.push(SNAPSHOT)
        assert bench.seen(BookChanged) == []

    on_bench(scenario)


def test_an_unreachable_venue_is_tried_again_ever_more_slowly_and_for_ever() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sockets.refusals = 10
        await bench.venue.start(bench.events.append, frozenset({"ETH"}))
        await bench.clock.sleep_ms(60_000)
        assert bench.sockets.opened == []
        assert bench.sockets.refusals > 0
        await bench.clock.sleep_ms(240_000)
        assert len(bench.sockets.opened) >= 1

    on_bench(scenario)


def test_a_socket_that_says_nothing_is_replaced() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        await bench.clock.sleep_ms(50_000)
        assert len(bench.sockets.opened) == 2
        assert bench.sockets.opened[0].is_closed
        assert {"type": "ping"} in bench.sockets.opened[0].sent

    on_bench(scenario)


def test_tokens_are_renewed_before_they_end() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        confirm_private(bench)
        first = next(f["auth"] for f in bench.socket.sent if "auth" in f)
        for _ in range(1100):
            await bench.clock.sleep_ms(1_000)
            bench.socket.push({"type": "pong"})
        second = [f["auth"] for f in bench.socket.sent if "auth" in f][-1]
        assert len(bench.sockets.opened) == 1
        assert int(second.split(":")[0]) > int(first.split(":")[0])

    on_bench(scenario, settings=replace(SETTINGS, auth_lifetime_s=1_200, auth_refresh_s=600))


def test_a_listener_that_raises_does_not_stop_the_stream() -> None:
    async def scenario(bench: Bench) -> None:
        def listen(event: VenueEvent) -> None:
            bench.events.append(event)
            raise RuntimeError("listener")

        await bench.venue.start(listen, frozenset({"ETH"}))
        await bench.clock.sleep_ms(100)
        bench.socket.push({"type": "connected"})
        bench.socket.push(SNAPSHOT)
        bench.socket.push(book("update", 12, 10, {"99.50": "1"}, {}))
        assert len(bench.seen(BookChanged)) == 2

    on_bench(scenario)


def test_stopping_is_final_and_may_be_repeated() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        socket, count = bench.socket, len(bench.events)
        await bench.venue.stop()
        await bench.venue.stop()
        assert socket.is_closed
        socket.push(SNAPSHOT)
        await bench.clock.sleep_ms(120_000)
        assert len(bench.events) == count
        assert len(bench.sockets.opened) == 1

    on_bench(scenario)


def test_a_stopped_connector_can_start_again_but_a_running_one_can_not() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        with pytest.raises(RuntimeError):
            await bench.start()
        await bench.venue.stop()
        await bench.start()
        bench.socket.push(SNAPSHOT)
        assert len(bench.seen(BookChanged)) == 1

    on_bench(scenario)


# --- reads


def test_fills_are_complete_over_pages_and_in_order() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.venue.fetch_markets()
        pages = [
            {"code": 200, "trades": [trade_row(9, timestamp=EPOCH_MS + 9), trade_row(8, timestamp=EPOCH_MS + 8)]},
            {"code": 200, "trades": [trade_row(8, timestamp=EPOCH_MS + 8), trade_row(7, timestamp=EPOCH_MS + 7)]},
            {"code": 200, "trades": [trade_row(6, timestamp=EPOCH_MS - 1)]},
            {"code": 200, "trades": [trade_row(5, timestamp=EPOCH_MS - 2)]},
        ]
        bench.http.script("trades", *(page | {"next_cursor": f"c{i}"} for i, page in enumerate(pages)))
        fills = await bench.venue.fetch_fills(EPOCH_MS)
        assert [f.trade_id for f in fills] == ["7:sell", "8:sell", "9:sell"]
        assert [r.query.get("cursor") for r in bench.http.sent("trades")] == [None, "c0", "c1"]
        assert bench.http.sent("trades")[0].query | {"cursor": ""} == {
            "account_index": "7",
            "sort_by": "timestamp",
            "limit": "100",
            "cursor": "",
        }

    on_bench(scenario)


def test_pages_that_go_round_in_circles_are_refused() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.venue.fetch_markets()
        bench.http.script("trades", {"code": 200, "trades": [trade_row(9)], "next_cursor": "same"})
        with pytest.raises(RequestRefused):
            await bench.venue.fetch_fills(0)

    on_bench(scenario)


def test_funding_payments_follow_pages_too() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.venue.fetch_markets()
        row = {"market_id": 0, "funding_id": 2, "change": "0.5", "timestamp": EPOCH_MS // 1000 + 3600}
        old = row | {"funding_id": 1, "timestamp": EPOCH_MS // 1000}
        bench.http.script(
            "positionFunding",
            {"code": 200, "position_fundings": [row], "next_cursor": "c"},
            {"code": 200, "position_fundings": [old]},
        )
        payments = await bench.venue.fetch_funding_payments(EPOCH_MS)
        assert [p.payment_id for p in payments] == ["0:1", "0:2"]

    on_bench(scenario)


def test_fetched_rates_carry_recent_streamed_prices_and_none_once_those_are_old() -> None:
    async def scenario(bench: Bench) -> None:
        rates = {"code": 200, "funding_rates": [{"market_id": 0, "exchange": "lighter", "rate": 0.00008}]}
        bench.http.script("funding-rates", rates)
        await bench.start()
        stats = {"0": {"market_id": 0, "current_funding_rate": "0.0010", "mark_price": "2001.5", "index_price": "2000"}}
        bench.socket.push({"type": "subscribed/market_stats", "channel": "market_stats:all", "market_stats": stats})
        fresh = (await bench.venue.fetch_funding())["ETH"]
        assert (fresh.rate.per_hour, fresh.mark_price, fresh.index_price) == (D("0.00001"), 2001.5, 2000.0)
        await bench.clock.sleep_ms(61_000)
        assert (await bench.venue.fetch_funding())["ETH"].mark_price is None

    on_bench(scenario)


def test_server_time_and_account_need_no_key() -> None:
    async def scenario(bench: Bench) -> None:
        bench.http.script("/", {"status": 200, "network_id": 1, "timestamp": 1778702400})
        row = {"available_balance": "5", "collateral": "10", "positions": []}
        bench.http.script("account", {"code": 200, "accounts": [row]})
        assert await bench.venue.fetch_server_time_ms() == 1778702400_000
        state = await bench.venue.fetch_account()
        assert (state.equity_usd, state.available_usd, state.positions) == (10, 5, {})

    on_bench(scenario, is_read_only=True)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (RequestNotSent("x"), NotSent),
        (ResponseLost("x"), NotSent),
        ((500, b"oops"), NotSent),
        ((429, {"code": 23000, "message": "Too Many Requests!"}), RequestRefused),
        ((400, {"code": 21100, "message": "account not found"}), RequestRefused),
        ((200, {"code": 20001, "message": "invalid param"}), RequestRefused),
        ((200, b"<html>"), FrameUnreadable),
        ((200, {"code": 200}), FrameUnreadable),
    ],
)
def test_a_failed_read_says_whether_repeating_helps(answer: object, error: type[Exception]) -> None:
    async def scenario(bench: Bench) -> None:
        bench.http.script("account", answer)
        with pytest.raises(error):
            await bench.venue.fetch_account()

    on_bench(scenario)


def test_the_firewall_stops_reads_for_a_minute() -> None:
    async def scenario(bench: Bench) -> None:
        bench.http.script("account", (405, b"<html>no</html>"))
        for _ in range(3):
            with pytest.raises(RequestRefused) as caught:
                await bench.venue.fetch_account()
        assert len(bench.http.sent("account")) == 1
        assert caught.value.retry_after_ms is not None
        await bench.clock.sleep_ms(60_000)
        with pytest.raises(RequestRefused):
            await bench.venue.fetch_account()
        assert len(bench.http.sent("account")) == 2

    on_bench(scenario)


def test_a_refused_token_is_replaced_once() -> None:
    async def scenario(bench: Bench) -> None:
        fees = {"code": 200, "current_maker_fee_tick": 0, "current_taker_fee_tick": 0}
        bench.http.script("accountLimits", (401, {"code": 20013, "message": "auth expired"}), fees)
        assert (await bench.venue.fetch_fees()).taker == 0
        bench.http.script("accountLimits", (401, {"code": 20013, "message": "auth expired"}))
        with pytest.raises(RequestRefused):
            await bench.venue.fetch_fees()
        assert len(bench.http.sent("accountLimits")) == 4

    on_bench(scenario)


def test_a_book_by_request_is_per_unit_of_the_asset() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.venue.fetch_markets()
        side = [{"price": "0.007000", "remaining_base_amount": "100"}]
        bench.http.script("orderBookOrders", {"code": 200, "asks": side, "bids": []})
        book_now = await bench.venue.fetch_book("PEPE")
        assert book_now.asks.best == (pytest.approx(7e-6), 100_000)
        assert bench.http.sent("orderBookOrders")[0].query == {"market_id": "4", "limit": "250"}

    on_bench(scenario)
