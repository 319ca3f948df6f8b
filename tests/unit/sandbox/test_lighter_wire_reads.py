"""The simulated Lighter's GET endpoints: units, signs, tokens, paging and refusals."""

import json
from decimal import Decimal

import pytest
from tests.unit.sandbox.lighter_bench import ADDRESS, HOUR_MS, KEY, ME, NOW_MS, OTHER_KEY, LighterBench

from perpdesk.domain.books import Side
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import NewOrder
from perpdesk.sandbox.server import WireRequest

D = Decimal
ALL_TIME = {"start_timestamp": 0, "end_timestamp": 4_000_000_000_000, "count_back": 100}


@pytest.fixture
def bench() -> LighterBench:
    return LighterBench()


# Doors ----------------------------------------------------------------------------------------------------------------


def test_the_root_and_info_answer_without_the_api_prefix(bench: LighterBench) -> None:
    assert bench.fetch("/") == (200, {"status": 1, "network_id": 304, "timestamp": NOW_MS // 1000})
    assert list(bench.fetch("/info")[1]) == ["contract_address"]


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/account", "/api/v2/account", "/api/v1/"])
def test_an_unknown_path_is_not_found(bench: LighterBench, path: str) -> None:
    status, body = bench.fetch(path)
    assert (status, body["code"]) == (404, 29404)


def test_the_wrong_method_is_not_found(bench: LighterBench) -> None:
    assert bench.post("account", {})[0] == 404
    assert bench.fetch("/api/v1/sendTx")[0] == 404


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("orderBookOrders", {"market_id": 0}),
        ("orderBookOrders", {"market_id": 0, "limit": 251}),
        ("recentTrades", {"market_id": 0, "limit": 101}),
        ("recentTrades", {"market_id": "x", "limit": 1}),
        ("recentTrades", {"limit": 1}),
        ("candles", {"market_id": 0, "resolution": "2m", **ALL_TIME}),
        ("fundings", {"market_id": 0, "resolution": "1h", "start_timestamp": 0}),
        ("account", {"by": "name", "value": 7}),
        ("account", {"by": "index", "value": "seven"}),
        ("tx", {"by": "index", "value": 7}),
    ],
)
def test_missing_and_impossible_parameters_are_refused(
    bench: LighterBench, name: str, params: dict[str, object]
) -> None:
    status, body = bench.fetch(f"/api/v1/{name}", **params)
    assert (status, body["code"]) == (400, 20001)


def test_a_body_that_is_no_form_is_refused_and_not_raised(bench: LighterBench) -> None:
    response = bench.server.handle(WireRequest("POST", "/api/v1/sendTx", body=b"\xff\xfe"))
    assert (response.status, json.loads(response.body)["code"]) == (400, 20001)


def test_an_internal_failure_is_answered_as_one(bench: LighterBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(bench.exchange, "book", broken)
    status, body = bench.fetch("/api/v1/orderBookOrders", market_id=0, limit=5)
    assert (status, body["code"]) == (500, 29500)


def test_requests_beyond_the_minutes_budget_are_refused_until_the_minute_has_rolled_on() -> None:
    bench = LighterBench(requests_per_minute=3)
    assert [bench.fetch("/")[0] for _ in range(4)] == [200, 200, 200, 429]
    assert bench.fetch("/")[1] == {"code": 23000, "message": "Too Many Requests!"}
    bench.clock.advance_ms(60_000)
    assert bench.fetch("/")[0] == 200


# Markets --------------------------------------------------------------------------------------------------------------


def test_market_details_scale_prices_sizes_and_margins_as_the_venue_does(bench: LighterBench) -> None:
    rows = bench.get("orderBookDetails")["order_book_details"]
    assert [(row["symbol"], row["market_id"]) for row in rows] == [("ETH", 0), ("1000PEPE", 4)]
    eth = rows[0]
    assert (eth["size_decimals"], eth["price_decimals"], eth["min_base_amount"]) == (4, 2, "0.0050")
    assert eth["min_quote_amount"] == "10.000000"
    assert (eth["default_initial_margin_fraction"], eth["min_initial_margin_fraction"]) == (500, 200)
    assert (eth["maintenance_margin_fraction"], eth["closeout_margin_fraction"]) == (120, 80)


def test_market_id_zero_selects_one_market_and_255_all(bench: LighterBench) -> None:
    assert [m["market_id"] for m in bench.get("orderBooks", market_id=0)["order_books"]] == [0]
    assert len(bench.get("orderBooks", market_id=255)["order_books"]) == 2
    assert bench.get("orderBooks", filter="spot")["order_books"] == []


def test_the_order_book_lists_single_orders_with_anonymous_size_first(bench: LighterBench) -> None:
    bench.place(BaseAmount=2000, Price=199_990)
    bids = bench.get("orderBookOrders", market_id=0, limit=10)["bids"]
    assert [(row["price"], row["remaining_base_amount"]) for row in bids] == [
        ("1999.90", "5.0000"),
        ("1999.90", "0.2000"),
        ("1999.50", "9.0000"),
    ]
    assert bids[1]["owner_account_index"] == ME
    assert bids[1]["order_index"] == bench.order_row(1)["order_index"]
    assert len({row["order_index"] for row in bids}) == 3


def test_the_order_book_is_cut_to_the_limit(bench: LighterBench) -> None:
    body = bench.get("orderBookOrders", market_id=0, limit=1)
    assert (body["total_asks"], len(body["asks"]), len(body["bids"])) == (1, 1, 1)


def test_candles_come_from_trades_and_are_absent_where_none_were(bench: LighterBench) -> None:
    assert bench.get("candles", market_id=0, resolution="1m", **ALL_TIME)["c"] is None
    for price, wait_ms in (("2000.00", 60_000), ("2010.00", 60_000), ("1995.00", 240_000)):
        bench.quote(price, [(price, 5)], [(str(D(price) + 1), 5)])
        bench.exchange.take_ambient("ETH", Side.SELL, D("0.5"), D(1))
        bench.clock.advance_ms(wait_ms)
    minutes = bench.get("candles", market_id=0, resolution="1m", **ALL_TIME)["c"]
    assert [(c["t"], c["o"], c["v"]) for c in minutes] == [
        (NOW_MS, 2000, 0.5),
        (NOW_MS + 60_000, 2010, 0.5),
        (NOW_MS + 120_000, 1995, 0.5),
    ]
    (wide,) = bench.get("candles", market_id=0, resolution="5m", **ALL_TIME)["c"]
    assert (wide["o"], wide["h"], wide["l"], wide["c"], wide["v"], wide["i"]) == (2000, 2010, 1995, 1995, 1.5, 3)
    assert wide["V"] == 0.5 * (2000 + 2010 + 1995)


def test_candles_are_cut_to_the_range_and_the_count(bench: LighterBench) -> None:
    for _ in range(5):
        bench.exchange.take_ambient("ETH", Side.SELL, D("0.1"), D(1))
        bench.clock.advance_ms(60_000)
    span = {"start_timestamp": NOW_MS + 60_000, "end_timestamp": NOW_MS + 180_000}
    rows = bench.get("candles", market_id=0, resolution="1m", **span, count_back=100)["c"]
    assert [row["t"] for row in rows] == [NOW_MS + n * 60_000 for n in (1, 2, 3)]
    rows = bench.get("candles", market_id=0, resolution="1m", **span, count_back=2)["c"]
    assert [row["t"] for row in rows] == [NOW_MS + n * 60_000 for n in (2, 3)]


def test_a_range_that_ends_before_it_starts_is_refused(bench: LighterBench) -> None:
    params = {"market_id": 0, "resolution": "1h", "start_timestamp": 2_000, "end_timestamp": 1_000, "count_back": 5}
    assert bench.fetch("/api/v1/fundings", **params)[1]["code"] == 22400


def test_day_statistics_forget_what_is_older_than_a_day(bench: LighterBench) -> None:
    bench.exchange.take_ambient("ETH", Side.SELL, D("0.5"), D(1))
    row = bench.get("exchangeStats")["order_book_stats"][0]
    assert (row["daily_trades_count"], row["daily_base_token_volume"]) == (1, 0.5)
    bench.clock.advance_ms(25 * HOUR_MS)
    row = bench.get("exchangeStats")["order_book_stats"][0]
    assert (row["daily_trades_count"], row["daily_base_token_volume"], row["last_trade_price"]) == (0, 0, 1999.9)


# Funding --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "eight_hours", "percent", "direction"),
    [
        ("0.000012", 0.000096, "0.0012", "long"),
        ("-0.000345", -0.00276, "0.0345", "short"),
        ("0", 0, "0.0000", "long"),
    ],
)
def test_funding_is_a_fraction_per_8_hours_in_one_endpoint_and_unsigned_percent_per_hour_in_the_other(
    bench: LighterBench, rate: str, eight_hours: float, percent: str, direction: str
) -> None:
    bench.exchange.override_rate("ETH", D(rate))
    rows = bench.get("funding-rates")["funding_rates"]
    assert rows[0] == {"market_id": 0, "exchange": "lighter", "symbol": "ETH", "rate": eight_hours}
    bench.exchange.settle_funding()
    (row,) = bench.get("fundings", market_id=0, resolution="1h", **ALL_TIME)["fundings"]
    assert (row["rate"], row["direction"], row["timestamp"]) == (percent, direction, NOW_MS // 1000)
    assert D(row["value"]) == abs(D(rate)) * bench.exchange.mark_price("ETH")


def test_settled_rates_take_millisecond_bounds_and_answer_in_seconds(bench: LighterBench) -> None:
    for _ in range(4):
        bench.clock.advance_ms(HOUR_MS)
        bench.exchange.settle_funding()
    span = {"start_timestamp": NOW_MS + 2 * HOUR_MS, "end_timestamp": NOW_MS + 3 * HOUR_MS, "count_back": 9}
    rows = bench.get("fundings", market_id=0, resolution="1h", **span)["fundings"]
    assert [row["timestamp"] for row in rows] == [(NOW_MS + n * HOUR_MS) // 1000 for n in (2, 3)]
    span["count_back"] = 1
    rows = bench.get("fundings", market_id=0, resolution="1h", **span)["fundings"]
    assert [row["timestamp"] for row in rows] == [(NOW_MS + 3 * HOUR_MS) // 1000]


def test_daily_funding_is_the_sum_of_its_hours(bench: LighterBench) -> None:
    bench.exchange.override_rate("ETH", D("-0.00001"))
    for _ in range(3):
        bench.clock.advance_ms(HOUR_MS)
        bench.exchange.settle_funding()
    rows = bench.get("fundings", market_id=0, resolution="1d", **ALL_TIME)["fundings"]
    assert sum(D(row["rate"]) for row in rows) == D("0.0030")
    assert {row["direction"] for row in rows} == {"short"}


def test_a_long_pays_positive_funding_and_the_payment_is_negative(bench: LighterBench) -> None:
    bench.take(1, 10_000)
    bench.exchange.override_rate("ETH", D("0.000012"))
    bench.exchange.settle_funding()
    (row,) = bench.get("positionFunding", account_index=ME, limit=10)["position_fundings"]
    assert D(row["change"]) == -bench.exchange.mark_price("ETH") * D("0.000012")
    assert (row["rate"], row["position_size"], row["position_side"]) == ("0.0012", "1.0000", "long")
    assert (row["timestamp"], row["market_id"], row["discount"]) == (bench.clock.wall_ms() // 1000, 0, "0")
    assert D(bench.position()["total_funding_paid_out"]) == -D(row["change"])


def test_a_short_receives_positive_funding(bench: LighterBench) -> None:
    bench.take(1, 10_000, is_ask=1)
    bench.exchange.override_rate("ETH", D("0.000012"))
    bench.exchange.settle_funding()
    (row,) = bench.get("positionFunding", account_index=ME, limit=10, side="short")["position_fundings"]
    assert (D(row["change"]) > 0, row["position_side"]) == (True, "short")
    assert bench.get("positionFunding", account_index=ME, limit=10, side="long")["position_fundings"] == []
    assert D(bench.position()["total_funding_paid_out"]) < 0


def test_payments_are_paged_newest_first_until_no_cursor_is_left(bench: LighterBench) -> None:
    bench.take(1, 10_000)
    for _ in range(5):
        bench.clock.advance_ms(HOUR_MS)
        bench.exchange.settle_funding()
    stamps: list[int] = []
    pages = 0
    cursor: dict[str, object] = {}
    while True:
        body = bench.get("positionFunding", account_index=ME, limit=2, market_ids=0, **cursor)
        stamps += [row["timestamp"] for row in body["position_fundings"]]
        pages += 1
        if "next_cursor" not in body:
            break
        cursor = {"cursor": body["next_cursor"]}
    assert (pages, len(stamps)) == (3, 5)
    assert stamps == sorted(stamps, reverse=True)


# Accounts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("account", {"by": "index", "value": 8}),
        ("account", {"by": "l1_address", "value": "0x00"}),
        ("accountsByL1Address", {"l1_address": "0x00"}),
        ("nextNonce", {"account_index": 8, "api_key_index": KEY}),
        ("apikeys", {"account_index": 8}),
        ("accountLimits", {"account_index": 8}),
    ],
)
def test_an_unknown_account_is_refused(bench: LighterBench, name: str, params: dict[str, object]) -> None:
    status, body = bench.fetch(f"/api/v1/{name}", bench.token(), **params)
    assert (status, body) == (400, {"code": 21100, "message": "account not found"})


def test_an_account_is_found_by_index_and_by_address_in_any_case(bench: LighterBench) -> None:
    by_index = bench.get("account", by="index", value=ME)
    by_address = bench.get("account", by="l1_address", value=ADDRESS.lower())
    assert by_index == by_address
    sub_accounts = bench.get("accountsByL1Address", l1_address=ADDRESS.upper().replace("0X", "0x"))["sub_accounts"]
    assert [row["index"] for row in sub_accounts] == [ME]


def test_a_short_position_is_unsigned_with_a_negative_sign(bench: LighterBench) -> None:
    bench.take(1, 1000, is_ask=1)
    bench.quote("1990.00", [("1989.90", 5)], [("1990.10", 5)])
    row = bench.position()
    assert (row["position"], row["sign"], row["avg_entry_price"]) == ("0.1000", -1, "1999.90")
    assert (row["position_value"], row["unrealized_pnl"]) == ("199.000000", "0.990000")
    assert D(row["liquidation_price"]) > 2000


def test_equity_is_collateral_plus_unrealised_profit(bench: LighterBench) -> None:
    bench.take(1, 1000)
    bench.quote("2100.00", [("2099.90", 5)], [("2100.10", 5)])
    account = bench.get("account", by="index", value=ME)["accounts"][0]
    unrealised = sum(D(p["unrealized_pnl"]) for p in account["positions"])
    assert D(account["total_asset_value"]) == D(account["collateral"]) + unrealised
    assert D(account["available_balance"]) == bench.exchange.available_usd(str(ME))


def test_flat_markets_stay_listed_unless_only_active_ones_are_asked_for(bench: LighterBench) -> None:
    bench.take(1, 1000)
    bench.take(2, 1000, is_ask=1)
    assert bench.position()["position"] == "0.0000"
    shown = bench.get("account", by="index", value=ME, active_only="true")["accounts"][0]
    assert shown["positions"] == []


def test_a_stale_account_shows_how_it_was_and_catches_up(bench: LighterBench) -> None:
    bench.server.stale_account_ms = 2_000
    bench.take(1, 1000)
    bench.clock.advance_ms(1_999)
    assert bench.get("account", by="index", value=ME)["accounts"][0]["positions"] == []
    bench.clock.advance_ms(1)
    assert bench.position()["position"] == "0.1000"
    assert bench.order_row(1)["status"] == "filled"


def test_staleness_can_be_given_at_construction_and_ended(bench: LighterBench) -> None:
    bench = LighterBench(stale_account_ms=60_000)
    bench.take(1, 1000)
    assert bench.get("account", by="index", value=ME)["accounts"][0]["positions"] == []
    bench.server.stale_account_ms = 0
    assert bench.position()["position"] == "0.1000"


def test_fee_ticks_are_millionths_of_notional() -> None:
    bench = LighterBench(fee_tier="premium")
    body = bench.get("accountLimits", account_index=ME)
    assert (body["current_maker_fee_tick"], body["current_taker_fee_tick"]) == (40, 280)
    assert (body["user_tier"], body["user_tier_name"]) == ("premium", "premium")


def test_api_keys_list_public_keys_and_nonces(bench: LighterBench) -> None:
    bench.place()
    keys = bench.get("apikeys", account_index=ME, api_key_index=255)["api_keys"]
    shown = [(row["api_key_index"], row["nonce"], row["public_key"]) for row in keys]
    assert shown == [(KEY, 1, "ab" * 40), (OTHER_KEY, 0, "cd" * 40)]
    assert len(bench.get("apikeys", account_index=ME, api_key_index=KEY)["api_keys"]) == 1
    assert bench.get("apikeys", account_index=ME)["api_keys"] == keys
    assert bench.fetch("/api/v1/apikeys", account_index=ME, api_key_index=9)[1]["code"] == 21109
    assert bench.fetch("/api/v1/nextNonce", account_index=ME, api_key_index=9)[1]["code"] == 21109


def test_registering_an_account_twice_is_an_error(bench: LighterBench) -> None:
    with pytest.raises(ValueError, match="registered already"):
        bench.server.register(ME, {}, ADDRESS)


# Tokens ---------------------------------------------------------------------------------------------------------------


PRIVATE_READS = [
    ("accountLimits", {}),
    ("accountActiveOrders", {"market_id": 0}),
    ("accountInactiveOrders", {"limit": 5}),
    ("accountOrders", {"client_order_indexes": "1"}),
    ("trades", {"sort_by": "timestamp", "limit": 5}),
    ("positionFunding", {"limit": 5}),
]


@pytest.mark.parametrize(("name", "params"), PRIVATE_READS)
def test_private_reads_need_a_token(bench: LighterBench, name: str, params: dict[str, object]) -> None:
    status, body = bench.fetch(f"/api/v1/{name}", account_index=ME, **params)
    assert (status, body["code"]) == (401, 20013)
    assert bench.fetch(f"/api/v1/{name}", bench.token(), account_index=ME, **params)[0] == 200


def test_tokens_are_judged_by_form_account_key_and_deadline(bench: LighterBench) -> None:
    deadline = NOW_MS // 1000 + 600
    bad = [
        "",
        "nonsense",
        f"{deadline}:{ME}:{KEY}:{'0f' * 79}",
        f"{deadline}:{ME}:{KEY}:{'0g' * 80}",
        f"Bearer {bench.token()}",
        f"ro:{ME}:single:{deadline}:{'0f' * 80}",
        bench.token(account=8),
        bench.token(key=9),
        bench.token(life_s=0),
        bench.token(life_s=-1),
        bench.token(life_s=8 * 3600 + 1),
    ]
    for token in bad:
        assert bench.fetch("/api/v1/accountLimits", token, account_index=ME)[0] == 401, token
    for life_s in (1, 8 * 3600):
        assert bench.fetch("/api/v1/accountLimits", bench.token(life_s), account_index=ME)[0] == 200


def test_a_token_stops_working_at_its_deadline(bench: LighterBench) -> None:
    token = bench.token(600)
    bench.clock.advance_ms(599_999)
    assert bench.fetch("/api/v1/accountLimits", token, account_index=ME)[0] == 200
    bench.clock.advance_ms(1)
    assert bench.fetch("/api/v1/accountLimits", token, account_index=ME)[0] == 401


# Orders and trades ----------------------------------------------------------------------------------------------------


def test_active_orders_are_filtered_by_market(bench: LighterBench) -> None:
    bench.place(ClientOrderIndex=1)
    bench.place(ClientOrderIndex=2, MarketIndex=4, BaseAmount=5_000, Price=6_000)

    def clients(**params: object) -> list[int]:
        rows = bench.get("accountActiveOrders", account_index=ME, **params)["orders"]
        return [row["client_order_index"] for row in rows]

    assert (clients(), clients(market_id=255), clients(market_id=0), clients(market_id=4)) == ([1, 2], [1, 2], [1], [2])


def test_inactive_orders_are_paged_newest_first(bench: LighterBench) -> None:
    for client in range(1, 6):
        bench.take(client, 100)
    first = bench.get("accountInactiveOrders", account_index=ME, limit=3)
    rest = bench.get("accountInactiveOrders", account_index=ME, limit=3, cursor=first["next_cursor"])
    shown = [row["client_order_index"] for row in first["orders"] + rest["orders"]]
    assert (shown, "next_cursor" in rest) == ([5, 4, 3, 2, 1], False)


def test_several_orders_are_looked_up_by_client_index_at_once(bench: LighterBench) -> None:
    bench.place(ClientOrderIndex=1)
    bench.take(2, 100)
    rows = bench.get("accountOrders", account_index=ME, client_order_indexes="1,2,3")["orders"]
    assert [(row["client_order_index"], row["status"]) for row in rows] == [(1, "open"), (2, "filled")]


def test_a_trade_names_both_sides_and_who_was_the_maker() -> None:
    """Premium: 0.0280 % taker, 0.0040 % maker, shown as the rate in ticks, not as an amount."""
    bench = LighterBench(fee_tier="premium")
    bench.take(11, 1000)
    trade = bench.get("trades", account_index=ME, sort_by="timestamp", limit=1)["trades"][0]
    assert (trade["bid_account_id"], trade["bid_client_id"], trade["ask_client_id"]) == (ME, 11, 0)
    assert (trade["is_maker_ask"], trade["type"], trade["market_id"]) == (True, "trade", 0)
    assert (trade["size"], trade["price"], trade["usd_amount"]) == ("0.1000", "2000.10", "200.010000")
    assert (trade["taker_fee"], "maker_fee" in trade) == (280, False)
    assert trade["bid_id"] == bench.order_row(11)["order_index"]
    assert (trade["bid_id_str"], trade["trade_id_str"]) == (str(trade["bid_id"]), str(trade["trade_id"]))
    assert (trade["timestamp"], trade["transaction_time"]) == (bench.clock.wall_ms(), bench.clock.wall_ms() * 1000)
    bench.place(ClientOrderIndex=12, IsAsk=1, Price=201_000, BaseAmount=500)
    bench.exchange.take_ambient("ETH", Side.BUY, D(100), D(2010))
    trade = bench.get("trades", account_index=ME, sort_by="timestamp", limit=1)["trades"][0]
    assert (trade["ask_account_id"], trade["ask_client_id"], trade["is_maker_ask"]) == (ME, 12, True)
    assert (trade["maker_fee"], "taker_fee" in trade) == (40, False)
    assert (trade["maker_position_size_before"], trade["maker_position_sign_changed"]) == ("0.1000", False)


def test_fees_are_left_out_of_a_trade_when_they_are_zero(bench: LighterBench) -> None:
    bench.take(1, 1000)
    trade = bench.get("trades", account_index=ME, sort_by="timestamp", limit=1)["trades"][0]
    assert "taker_fee" not in trade
    assert "maker_fee" not in trade


def test_trades_are_filtered_by_market_order_role_and_time(bench: LighterBench) -> None:
    bench.take(1, 1000)
    bench.clock.advance_ms(1_000)
    bench.place(ClientOrderIndex=2, IsAsk=1, Price=200_500, BaseAmount=500)
    bench.exchange.take_ambient("ETH", Side.BUY, D(100), D(2005))
    order_index = bench.order_row(1)["order_index"]

    def sizes(**params: object) -> list[str]:
        rows = bench.get("trades", account_index=ME, sort_by="trade_id", limit=10, **params)["trades"]
        return [row["size"] for row in rows]

    assert sizes() == ["0.0500", "0.1000"]
    assert sizes(role="maker") == ["0.0500"]
    assert sizes(role="taker") == ["0.1000"]
    assert sizes(order_index=order_index) == ["0.1000"]
    assert sizes(market_id=4) == []
    assert sizes(**{"from": NOW_MS + 500}) == ["0.0500"]


def test_public_trades_need_no_token_and_show_unnamed_accounts_with_stable_numbers(bench: LighterBench) -> None:
    bench.exchange.open_account("momentum-1", D(50_000))
    for client in ("a", "b"):
        new = NewOrder("momentum-1", "ETH", Side.BUY, D("0.1"), D(2100), TimeInForce.IOC, client_id=client)
        bench.exchange.submit(new)
    status, body = bench.fetch("/api/v1/trades", sort_by="timestamp", limit=5, market_id=0)
    assert status == 200
    assert len({trade["bid_account_id"] for trade in body["trades"]}) == 1
    assert body["trades"] == bench.get("recentTrades", market_id=0, limit=5)["trades"]
    assert {trade["bid_client_id"] for trade in body["trades"]} == {0}


def test_transactions_are_found_by_hash_and_by_number_and_listed_per_account(bench: LighterBench) -> None:
    tx = bench.place()
    assert bench.get("tx", by="sequence_index", value=1) == tx
    assert bench.get("accountTxs", by="account_index", value=ME, limit=5)["txs"][0]["hash"] == tx["hash"]
    assert (tx["type"], tx["account_index"], tx["api_key_index"], tx["nonce"]) == (14, ME, KEY, 0)
    assert json.loads(tx["info"])["ClientOrderIndex"] == 1
    assert (tx["queued_at"], tx["executed_at"]) == (NOW_MS, NOW_MS + 200)
    assert bench.fetch("/api/v1/tx", by="hash", value="00")[1]["code"] == 21500
