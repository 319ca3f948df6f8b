"""GET endpoints under `/api/v1`. Each takes a query and returns the body without its `code`."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import TypeVar

from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import ListedMarket, SettledRate, SimFunding, SimOrder
from perpdesk.sandbox.wire.lighter.accounts import OrderRecord, Refused, WireAccount, check_token
from perpdesk.sandbox.wire.lighter.balances import account_head
from perpdesk.sandbox.wire.lighter.encode import (
    AMBIENT_ACCOUNT_INDEX,
    AMBIENT_ORDER_BASE,
    ORDER_INDEX_BASE,
    Json,
    Scale,
    go_number,
    market_config,
    market_head,
    market_margins,
    percent_per_hour,
)
from perpdesk.sandbox.wire.lighter.execution import Sequencer
from perpdesk.sandbox.wire.lighter.objects import fee_ticks, funding_object, order_object, trade_object, tx_object
from perpdesk.sandbox.wire.lighter.queries import Query
from perpdesk.sandbox.wire.lighter.snapshots import AccountSnapshots
from perpdesk.sandbox.wire.lighter.state import LighterState
from perpdesk.sandbox.wire.lighter.tape import RESOLUTION_MS, TradeRecord

PAGE_MAX = 100
BOOK_ORDERS_MAX = 250
ROWS_MAX = 500
"""Most candles or funding rows per answer."""

ALL_MARKETS = 255
ALL_KEYS = 255
DAY_MS = 86_400_000

Item = TypeVar("Item")
Handler = Callable[[Query, Mapping[str, str]], Json]


class Reads:
    """The read side of one server."""

    def __init__(self, state: LighterState, sequencer: Sequencer, snapshots: AccountSnapshots) -> None:
        self._state = state
        self._sequencer = sequencer
        self._snapshots = snapshots
        self.handlers: dict[str, Handler] = {
            "orderBookDetails": self._order_book_details,
            "orderBooks": self._order_books,
            "orderBookOrders": self._order_book_orders,
            "recentTrades": self._recent_trades,
            "candles": self._candles,
            "funding-rates": self._funding_rates,
            "fundings": self._fundings,
            "exchangeStats": self._exchange_stats,
            "account": self._account,
            "accountsByL1Address": self._accounts_by_address,
            "accountLimits": self._account_limits,
            "accountActiveOrders": self._active_orders,
            "accountInactiveOrders": self._inactive_orders,
            "accountOrders": self._orders_by_client,
            "trades": self._trades,
            "positionFunding": self._position_funding,
            "tx": self._tx,
            "accountTxs": self._account_txs,
            "nextNonce": self._next_nonce,
            "apikeys": self._api_keys,
        }

    @property
    def _clock(self) -> Clock:
        return self._state.clock

    # Markets --------------------------------------------------------------------------------------------------------

    def _markets(self, query: Query) -> list[ListedMarket]:
        """Perps asked for; 255 or nothing is all."""
        wanted = query.integer_or("market_id", ALL_MARKETS)
        if query.choice("filter", ("all", "spot", "perp"), "all") == "spot":
            return []
        return list(self._state.exchange.markets.values()) if wanted == ALL_MARKETS else [self._state.market(wanted)]

    def _market(self, query: Query) -> ListedMarket:
        return self._state.market(query.integer("market_id"))

    def _order_books(self, query: Query, _headers: Mapping[str, str]) -> Json:
        return {"order_books": [market_head(m, self._state.scale(m.symbol)) for m in self._markets(query)]}

    def _order_book_details(self, query: Query, _headers: Mapping[str, str]) -> Json:
        return {"order_book_details": [self._details(m) for m in self._markets(query)], "spot_order_book_details": []}

    def _details(self, market: ListedMarket) -> Json:
        exchange, scale = self._state.exchange, self._state.scale(market.symbol)
        day = self._state.tape.market(market.symbol).day(self._clock.wall_ms())
        return {
            **market_head(market, scale),
            **market_margins(market, scale),
            "last_trade_price": go_number(exchange.last_price(market.symbol) or ZERO),
            "daily_trades_count": day.trade_count,
            "daily_base_token_volume": go_number(day.volume_base),
            "daily_quote_token_volume": go_number(day.volume_usd),
            "daily_price_low": go_number(day.price_low),
            "daily_price_high": go_number(day.price_high),
            "daily_price_change": go_number(day.change_percent),
            "open_interest": go_number(exchange.open_interest(market.symbol)),
            "daily_chart": {},
            "market_config": market_config(market),
            "strategy_index": 2,
        }

    def _order_book_orders(self, query: Query, _headers: Mapping[str, str]) -> Json:
        market = self._market(query)
        limit = query.integer("limit", 1, BOOK_ORDERS_MAX)
        bids, asks = self._state.exchange.book(market.symbol)
        by_price: dict[Decimal, list[SimOrder]] = {}
        for order in self._state.resting.get(market.symbol, {}).values():
            by_price.setdefault(order.limit_price, []).append(order)
        scale = self._state.scale(market.symbol)
        shown_asks = self._book_side(scale, asks, by_price, limit)
        shown_bids = self._book_side(scale, bids, by_price, limit)
        return {"total_asks": len(shown_asks), "asks": shown_asks, "total_bids": len(shown_bids), "bids": shown_bids}

    def _book_side(
        self,
        scale: Scale,
        levels: Iterable[tuple[Decimal, Decimal, int]],
        by_price: Mapping[Decimal, list[SimOrder]],
        limit: int,
    ) -> list[Json]:
        """Single orders, best first; at each price the anonymous size stands before accounts' orders."""
        rows: list[Json] = []
        for price, size, _ in levels:
            orders = by_price.get(price, [])
            ambient = size - sum((order.remaining for order in orders), ZERO)
            if ambient > 0:
                index = AMBIENT_ORDER_BASE + scale.price_ticks(price)
                rows.append(_book_order(scale, index, AMBIENT_ACCOUNT_INDEX, ambient, ambient, price, 0))
            for order in orders:
                record = self._state.records.get(order.order_id)
                index = ORDER_INDEX_BASE + order.order_id if record is None else record.order_index
                owner = self._state.account_index(order.account_id)
                total = order.size if record is None else record.size
                expiry = order.expires_at_ms or 0
                rows.append(_book_order(scale, index, owner, total, order.remaining, price, expiry))
            if len(rows) >= limit:
                break
        return rows[:limit]

    def _recent_trades(self, query: Query, _headers: Mapping[str, str]) -> Json:
        market = self._market(query)
        limit = query.integer("limit", 1, PAGE_MAX)
        latest = islice(reversed(self._state.tape.market(market.symbol).trades), limit)
        return {"trades": [trade_object(self._state, record) for record in latest]}

    def _candles(self, query: Query, _headers: Mapping[str, str]) -> Json:
        market = self._market(query)
        resolution = query.choice("resolution", tuple(RESOLUTION_MS))
        start_ms, end_ms, count = _time_range(query)
        candles = self._state.tape.market(market.symbol).candles(resolution, start_ms, end_ms, count)
        rows = [
            {
                "t": c.opened_ms,
                "o": go_number(c.open),
                "h": go_number(c.high),
                "l": go_number(c.low),
                "c": go_number(c.close),
                "v": go_number(c.volume_base),
                "V": go_number(c.volume_usd),
                "i": c.last_trade_id,
            }
            for c in candles
        ]
        return {"r": resolution, "c": rows or None}

    def _exchange_stats(self, _query: Query, _headers: Mapping[str, str]) -> Json:
        now_ms, exchange = self._clock.wall_ms(), self._state.exchange
        days = {symbol: self._state.tape.market(symbol).day(now_ms) for symbol in exchange.markets}
        rows = [
            {
                "symbol": symbol,
                "last_trade_price": go_number(exchange.last_price(symbol) or ZERO),
                "daily_trades_count": day.trade_count,
                "daily_base_token_volume": go_number(day.volume_base),
                "daily_quote_token_volume": go_number(day.volume_usd),
                "daily_price_change": go_number(day.change_percent),
            }
            for symbol, day in days.items()
        ]
        return {
            "total": len(rows),
            "order_book_stats": rows,
            "daily_usd_volume": go_number(sum(day.volume_usd for day in days.values())),
            "daily_trades_count": sum(day.trade_count for day in days.values()),
        }

    # Funding --------------------------------------------------------------------------------------------------------

    def _funding_rates(self, _query: Query, _headers: Mapping[str, str]) -> Json:
        """The running estimate as a fraction per 8 hours."""
        exchange = self._state.exchange
        rows = []
        for symbol, market in exchange.markets.items():
            try:
                percent = percent_per_hour(exchange.estimated_rate(symbol))
            except KeyError:
                continue
            rate = go_number(percent / 100 * 8)
            rows.append({"market_id": market.index, "exchange": "lighter", "symbol": symbol, "rate": rate})
        return {"funding_rates": rows}

    def _fundings(self, query: Query, _headers: Mapping[str, str]) -> Json:
        """Settled history, oldest first: unsigned percent per resolution, who paid, seconds."""
        market = self._market(query)
        resolution = query.choice("resolution", ("1h", "1d"))
        start_ms, end_ms, count = _time_range(query)
        settled = self._state.exchange.settled_rates(market.symbol)
        rows = [_funding_row([s], s.at_ms) for s in settled] if resolution == "1h" else _daily_fundings(settled)
        within = [row for at_ms, row in rows if start_ms <= at_ms <= end_ms]
        return {"resolution": resolution, "fundings": within[-count:] if count else []}

    def _position_funding(self, query: Query, headers: Mapping[str, str]) -> Json:
        account = self._authorised(query, headers)
        limit = query.integer("limit", 1, PAGE_MAX)
        markets = set(query.all_integers("market_ids")) | set(query.all_integers("market_id"))
        side = query.choice("side", ("long", "short", "all"), "all")
        since_ms = query.timestamp_ms("start_timestamp") if query.text_or_none("start_timestamp") else 0
        until_ms = query.timestamp_ms("end_timestamp") if query.text_or_none("end_timestamp") else None
        held = self._state.exchange.account(account.account_id)

        def fits(funding: SimFunding) -> bool:
            index = self._state.market_index(funding.symbol)
            is_side = side == "all" or (funding.size >= 0) == (side == "long")
            in_time = since_ms <= funding.at_ms and (until_ms is None or funding.at_ms <= until_ms)
            return is_side and in_time and (not markets or ALL_MARKETS in markets or index in markets)

        newest_first = (f for f in reversed(held.fundings if held is not None else []) if fits(f))
        page, cursor = _page(newest_first, query, limit, lambda funding: funding.funding_id)
        return {"position_fundings": [funding_object(self._state, f) for f in page], **cursor}

    # Accounts -------------------------------------------------------------------------------------------------------

    def _authorised(self, query: Query, headers: Mapping[str, str]) -> WireAccount:
        """The account asked for, whose token the request must carry."""
        account = self._state.account(query.integer("account_index"))
        check_token(headers.get("authorization", ""), account, self._clock.wall_ms())
        return account

    def _account(self, query: Query, _headers: Mapping[str, str]) -> Json:
        by = query.choice("by", ("index", "l1_address"))
        is_index = by == "index"
        accounts = [self._state.account(query.integer("value"))] if is_index else self._at_address(query.text("value"))
        shown = [self._snapshots.read(account) for account in accounts]
        if query.flag("active_only"):
            shown = [{**a, "positions": [p for p in a["positions"] if Decimal(p["position"])]} for a in shown]
        return {"total": len(shown), "accounts": shown}

    def _at_address(self, address: str) -> list[WireAccount]:
        wanted = address.lower()
        found = [a for a in self._state.accounts.values() if a.l1_address.lower() == wanted]
        known = [a for a in found if self._state.exchange.account(a.account_id) is not None]
        if not known:
            raise Refused(21100, "account not found")
        return known

    def _accounts_by_address(self, query: Query, _headers: Mapping[str, str]) -> Json:
        accounts = self._at_address(query.text("l1_address"))
        return {
            "l1_address": accounts[0].l1_address,
            "sub_accounts": [account_head(self._state, account) for account in accounts],
        }

    def _account_limits(self, query: Query, headers: Mapping[str, str]) -> Json:
        account = self._authorised(query, headers)
        held = self._state.exchange.account(account.account_id)
        rules = self._state.exchange.rules
        tier = held.fee_tier if held is not None else rules.default_tier
        rates = rules.fee_tiers[tier]
        return {
            "max_llp_percentage": 0,
            "user_tier": tier,
            "user_tier_name": tier,
            "can_create_public_pool": False,
            "max_llp_amount": "0.000000",
            "current_maker_fee_tick": fee_ticks(rates.maker),
            "current_taker_fee_tick": fee_ticks(rates.taker),
            "effective_lit_stakes": "0",
        }

    def _next_nonce(self, query: Query, _headers: Mapping[str, str]) -> Json:
        account = self._state.account(query.integer("account_index"))
        key = account.keys.get(query.integer("api_key_index", 0, 254))
        if key is None:
            raise Refused(21109, "api key not found")
        return {"nonce": key.nonce}

    def _api_keys(self, query: Query, _headers: Mapping[str, str]) -> Json:
        account = self._state.account(query.integer("account_index"))
        wanted = query.integer_or("api_key_index", ALL_KEYS, 0, ALL_KEYS)
        keys = {index: key for index, key in account.keys.items() if wanted in (ALL_KEYS, index)}
        if not keys:
            raise Refused(21109, "api key not found")
        rows = [
            {
                "account_index": account.index,
                "api_key_index": index,
                "nonce": key.nonce,
                "public_key": key.public_key,
                "transaction_time": 0,
            }
            for index, key in keys.items()
        ]
        return {"api_keys": rows}

    # Orders, trades, transactions ---------------------------------------------------------------------------------------

    def _in_market(self, query: Query, records: Iterable[OrderRecord]) -> Iterable[OrderRecord]:
        wanted = query.integer_or("market_id", ALL_MARKETS)
        if wanted == ALL_MARKETS:
            return records
        symbol = self._state.market(wanted).symbol
        return (record for record in records if record.order.symbol == symbol)

    def _active_orders(self, query: Query, headers: Mapping[str, str]) -> Json:
        account = self._authorised(query, headers)
        records = self._in_market(query, account.open_orders.values())
        return {"orders": [order_object(self._state, record) for record in records]}

    def _inactive_orders(self, query: Query, headers: Mapping[str, str]) -> Json:
        account = self._authorised(query, headers)
        limit = query.integer("limit", 1, PAGE_MAX)
        newest_first = self._in_market(query, reversed(account.ended_orders))
        page, cursor = _page(newest_first, query, limit, lambda record: record.ended_number)
        return {"orders": [order_object(self._state, record) for record in page], **cursor}

    def _orders_by_client(self, query: Query, headers: Mapping[str, str]) -> Json:
        account = self._authorised(query, headers)
        wanted = query.all_integers("client_order_indexes")
        found = [account.by_client[index] for index in wanted if index in account.by_client]
        return {"orders": [order_object(self._state, record) for record in found]}

    def _trades(self, query: Query, headers: Mapping[str, str]) -> Json:
        query.choice("sort_by", ("timestamp", "trade_id", "block_height"))
        query.choice("sort_dir", ("desc",), "desc")
        limit = query.integer("limit", 1, PAGE_MAX)
        asked = query.text_or_none("account_index")
        account = self._authorised(query, headers) if asked is not None else None
        records: Iterable[TradeRecord]
        if account is not None:
            records = reversed(account.trades)
        else:
            records = reversed(self._state.tape.market(self._market(query).symbol).trades)
        fitting = (record for record in records if self._trade_fits(query, account, record))
        page, cursor = _page(fitting, query, limit, lambda record: record.trade.trade_id)
        return {"trades": [trade_object(self._state, record) for record in page], **cursor}

    def _trade_fits(self, query: Query, account: WireAccount | None, record: TradeRecord) -> bool:
        trade = record.trade
        market_id = query.integer_or("market_id", ALL_MARKETS)
        if market_id not in (ALL_MARKETS, self._state.market_index(trade.symbol)):
            return False
        if trade.at_ms < query.integer_or("from", 0):
            return False
        order_index = query.integer_or("order_index", 0)
        if order_index and order_index not in (
            self._state.order_index(trade.taker_order_id, trade, trade.taker_account),
            self._state.order_index(trade.maker_order_id, trade, trade.maker_account),
        ):
            return False
        role = query.choice("role", ("all", "maker", "taker"), "all")
        if account is None or role == "all":
            return True
        return account.account_id == (trade.maker_account if role == "maker" else trade.taker_account)

    def _tx(self, query: Query, _headers: Mapping[str, str]) -> Json:
        by, value = query.choice("by", ("hash", "sequence_index")), query.text("value")
        known = self._sequencer
        tx = known.by_hash(value) if by == "hash" else known.by_sequence(query.integer("value"))
        if tx is None:
            raise Refused(21500, "transaction not found")
        return tx_object(self._state, tx)

    def _account_txs(self, query: Query, _headers: Mapping[str, str]) -> Json:
        query.choice("by", ("account_index",))
        account = self._state.account(query.integer("value"))
        limit = query.integer("limit", 1, PAGE_MAX)
        return {"txs": [tx_object(self._state, tx) for tx in self._sequencer.latest(account.index, limit)]}


def _book_order(
    scale: Scale, index: int, owner: int, total: Decimal, remaining: Decimal, price: Decimal, expiry_ms: int
) -> Json:
    return {
        "order_index": index,
        "order_id": str(index),
        "owner_account_index": owner,
        "initial_base_amount": scale.size(total),
        "remaining_base_amount": scale.size(remaining),
        "price": scale.price(price),
        "order_expiry": expiry_ms,
        "transaction_time": 0,
    }


def _time_range(query: Query) -> tuple[int, int, int]:
    """Start, end (both included) and how many rows at most; all three are required."""
    start_ms, end_ms = query.timestamp_ms("start_timestamp"), query.timestamp_ms("end_timestamp")
    if end_ms < start_ms:
        raise Refused(22400, "invalid time range: end_timestamp is before start_timestamp")
    return start_ms, end_ms, min(query.integer("count_back"), ROWS_MAX)


def _funding_row(settled: list[SettledRate], at_ms: int) -> tuple[int, Json]:
    """One row over consecutive settlements. `value` is what one unit of base paid, in USD."""
    percent = sum((percent_per_hour(s.rate) for s in settled), ZERO)
    value = sum((percent_per_hour(s.rate) / 100 * s.price for s in settled), ZERO)
    return at_ms, {
        "timestamp": at_ms // 1000,
        "value": format(abs(value), ".8f"),
        "rate": format(abs(percent), ".4f"),
        "direction": "short" if percent < 0 else "long",
    }


def _daily_fundings(settled: list[SettledRate]) -> list[tuple[int, Json]]:
    days: dict[int, list[SettledRate]] = {}
    for one in settled:
        days.setdefault(one.at_ms - one.at_ms % DAY_MS, []).append(one)
    return [_funding_row(ones, day_ms) for day_ms, ones in days.items()]


def _page(
    newest_first: Iterable[Item], query: Query, limit: int, number: Callable[[Item], int]
) -> tuple[list[Item], Json]:
    """The page after `cursor`, which is the number of the last row shown; no cursor in the answer means the end."""
    after = query.integer_or("cursor", 0)
    rest = (item for item in newest_first if not after or number(item) < after)
    page = list(islice(rest, limit))
    has_more = len(page) == limit and next(iter(rest), None) is not None
    return page, {"next_cursor": str(number(page[-1]))} if has_more else {}
