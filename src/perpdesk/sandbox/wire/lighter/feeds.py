"""Pushing: what changed goes out once, encoded once per channel, and only while someone listens.

Books, tickers and statistics leave in ticks of `book_every_ms`; trades and account news leave together at the end of the
instant they happen in.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from perpdesk.domain.clock import Clock, Timer
from perpdesk.sandbox.exchange import SimFunding
from perpdesk.sandbox.wire.lighter.accounts import OrderRecord, WireAccount
from perpdesk.sandbox.wire.lighter.balances import assets_object, position_object
from perpdesk.sandbox.wire.lighter.books import CountedLevel, SentBook
from perpdesk.sandbox.wire.lighter.channels import (
    Channel,
    assets_payload,
    positions_payload,
    stats_of_account,
    stats_payload,
    trade_payload,
    volumes,
)
from perpdesk.sandbox.wire.lighter.encode import Json, Scale, encode_json
from perpdesk.sandbox.wire.lighter.objects import (
    fundings_by_market,
    liquidation_notice,
    order_object,
    orders_by_market,
    trade_object,
    trades_by_market,
    tx_object,
)
from perpdesk.sandbox.wire.lighter.snapshots import AccountSnapshots
from perpdesk.sandbox.wire.lighter.state import BLOCK_MS, LighterState, TxRecord
from perpdesk.sandbox.wire.lighter.statistics import market_stats_object
from perpdesk.sandbox.wire.lighter.tape import TradeRecord


class Audience(Protocol):
    """Who listens to which channel, by the channel's name in frames."""

    def has(self, key: str) -> bool: ...

    def has_any(self, name: str) -> bool:
        """Whether any channel of this kind has a subscriber."""

    def publish(self, key: str, frame: bytes) -> None: ...


def encode_frame(kind: str, channel: str, payload: Json) -> bytes:
    return encode_json({"channel": channel, **payload, "type": kind})


class _Batch:
    """Runs `flush` once, `spacing_ms` after the last time at the earliest, when asked for."""

    def __init__(self, clock: Clock, spacing_ms: int, flush: Callable[[], None]) -> None:
        self._clock = clock
        self._spacing_ms = spacing_ms
        self._flush = flush
        self._last_ms: int | None = None
        self._timer: Timer | None = None

    def ask(self, wait_ms: int = 0) -> None:
        """Flush after `wait_ms`, or later for the spacing; nothing changes when a flush is coming already."""
        if self._timer is not None:
            return
        if self._last_ms is not None:
            wait_ms = max(wait_ms, self._last_ms + self._spacing_ms - self._clock.monotonic_ms())
        self._timer = self._clock.call_later_ms(wait_ms, self._run)

    def _run(self) -> None:
        self._timer = None
        self._last_ms = self._clock.monotonic_ms()
        self._flush()


class MarketFeed:
    """Books, tickers, statistics, public trades and block heights."""

    def __init__(self, state: LighterState, audience: Audience, book_every_ms: int) -> None:
        self._state = state
        self._audience = audience
        self._books: dict[str, SentBook] = {}
        self._tops: dict[str, tuple[object, object]] = {}
        self._changed_books: dict[str, None] = {}
        self._changed_stats: dict[str, None] = {}
        self._trades: dict[str, list[TradeRecord]] = {}
        self._tick = _Batch(state.clock, book_every_ms, self._flush_tick)
        self._moment = _Batch(state.clock, 0, self._flush_trades)
        self._heights = _Batch(state.clock, BLOCK_MS, self._flush_height)

    # News -----------------------------------------------------------------------------------------------------------

    def on_book(self, symbol: str) -> None:
        audience = self._audience
        if audience.has_any("order_book") or audience.has_any("ticker"):
            self._changed_books[symbol] = None
            self._tick.ask()

    def on_stats(self, symbol: str) -> None:
        if self._audience.has_any("market_stats"):
            self._changed_stats[symbol] = None
            self._tick.ask()

    def on_trade(self, record: TradeRecord) -> None:
        symbol = record.trade.symbol
        if self._audience.has(f"trade:{self._index(symbol)}"):
            self._trades.setdefault(symbol, []).append(record)
            self._moment.ask()

    # First frames ---------------------------------------------------------------------------------------------------

    def first_frame(self, channel: Channel, symbol: str) -> bytes:
        """Of an order book or a ticker; sent deltas continue from it."""
        if channel.name == "ticker":
            return self._ticker_frame("subscribed/ticker", symbol)
        self._publish_book(symbol)
        return self._book(symbol).snapshot_frame(self._state.clock.wall_ms())

    def height_wanted(self) -> None:
        """Someone subscribed to heights: count on while they do."""
        self._heights.ask(BLOCK_MS)

    # Sending --------------------------------------------------------------------------------------------------------

    def _index(self, symbol: str) -> int:
        return self._state.market_index(symbol)

    def _scale(self, symbol: str) -> Scale:
        return self._state.scale(symbol)

    def _book(self, symbol: str) -> SentBook:
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = SentBook(f"order_book:{self._index(symbol)}", self._scale(symbol))
        return book

    def _flush_tick(self) -> None:
        books, self._changed_books = self._changed_books, {}
        stats, self._changed_stats = self._changed_stats, {}
        for symbol in books:
            index = self._index(symbol)
            if self._audience.has(f"order_book:{index}"):
                self._publish_book(symbol)
            if self._audience.has(f"ticker:{index}"):
                self._publish_ticker(symbol)
        if stats:
            self._publish_stats(stats)

    def _publish_book(self, symbol: str) -> None:
        """Bring the sent book up to date; whoever follows it gets the difference."""
        book, state = self._book(symbol), self._state
        begin_nonce, now_ms = book.nonce, state.clock.wall_ms()
        bids, asks = state.exchange.book(symbol)
        changed_bids, changed_asks = book.take(bids, asks, state.number, now_ms)
        key = f"order_book:{self._index(symbol)}"
        if (changed_bids or changed_asks) and self._audience.has(key):
            frame = book.frame("update/order_book", changed_bids, changed_asks, begin_nonce, now_ms)
            self._audience.publish(key, frame)

    def _publish_ticker(self, symbol: str) -> None:
        bids, asks = self._state.exchange.book(symbol, 1)
        top = (bids[0][:2] if bids else None, asks[0][:2] if asks else None)
        if self._tops.get(symbol) != top:
            self._tops[symbol] = top
            self._audience.publish(f"ticker:{self._index(symbol)}", self._ticker_frame("update/ticker", symbol))

    def _ticker_frame(self, kind: str, symbol: str) -> bytes:
        bids, asks = self._state.exchange.book(symbol, 1)
        self._tops[symbol] = (bids[0][:2] if bids else None, asks[0][:2] if asks else None)
        now_ms, scale = self._state.clock.wall_ms(), self._scale(symbol)

        def side(levels: Sequence[CountedLevel]) -> Json:
            if not levels:
                return {"price": "", "size": ""}
            return {"price": scale.price(levels[0][0]), "size": scale.size(levels[0][1])}

        ticker = {"s": symbol, "a": side(asks), "b": side(bids), "last_updated_at": now_ms * 1000}
        payload = {"nonce": self._state.number, "ticker": ticker, "timestamp": now_ms}
        return encode_frame(kind, f"ticker:{self._index(symbol)}", payload)

    def _publish_stats(self, symbols: Iterable[str]) -> None:
        audience, state = self._audience, self._state
        shown: Json = {}
        for symbol in symbols:
            index = self._index(symbol)
            key = f"market_stats:{index}"
            if audience.has(key):
                audience.publish(key, encode_frame("update/market_stats", key, stats_payload(state, symbol)))
            if audience.has("market_stats:all"):
                stats = market_stats_object(state, symbol)
                if stats is not None:
                    shown[str(index)] = stats
        if shown:
            frame = encode_frame("update/market_stats", "market_stats:all", {"market_stats": shown})
            audience.publish("market_stats:all", frame)

    def _flush_trades(self) -> None:
        trades, self._trades = self._trades, {}
        for symbol, records in trades.items():
            key = f"trade:{self._index(symbol)}"
            self._audience.publish(key, encode_frame("update/trade", key, trade_payload(self._state, records)))

    def _flush_height(self) -> None:
        if self._audience.has("height"):
            self._audience.publish("height", encode_frame("update/height", "height", {"height": self._state.height}))
            self._heights.ask(BLOCK_MS)


@dataclass(slots=True, eq=False)
class _News:
    """What happened to one account since its last frames."""

    orders: dict[int, OrderRecord] = field(default_factory=dict)
    trades: list[TradeRecord] = field(default_factory=list)
    symbols: dict[str, None] = field(default_factory=dict)
    fundings: list[SimFunding] = field(default_factory=list)
    txs: list[TxRecord] = field(default_factory=list)
    is_money_changed: bool = False


class AccountFeed:
    """Orders, trades, positions, assets, statistics and transactions of registered accounts."""

    def __init__(self, state: LighterState, audience: Audience, snapshots: AccountSnapshots) -> None:
        self._state = state
        self._audience = audience
        self._snapshots = snapshots
        self._news: dict[str, tuple[WireAccount, _News]] = {}
        self._moment = _Batch(state.clock, 0, self._flush)

    def _of(self, account: WireAccount) -> _News:
        known = self._news.get(account.account_id)
        if known is None:
            known = self._news[account.account_id] = (account, _News())
            self._moment.ask()
        return known[1]

    def on_trade(self, account: WireAccount, record: TradeRecord) -> None:
        news = self._of(account)
        if not news.trades or news.trades[-1] is not record:
            news.trades.append(record)
        news.symbols[record.trade.symbol] = None
        news.is_money_changed = True

    def on_order(self, account: WireAccount, record: OrderRecord) -> None:
        news = self._of(account)
        news.orders[record.order_index] = record
        news.symbols[record.order.symbol] = None

    def on_funding(self, account: WireAccount, funding: SimFunding) -> None:
        news = self._of(account)
        news.fundings.append(funding)
        news.symbols[funding.symbol] = None
        news.is_money_changed = True

    def on_settings(self, account: WireAccount, symbol: str) -> None:
        self._of(account).symbols[symbol] = None

    def on_tx(self, account: WireAccount, tx: TxRecord) -> None:
        self._of(account).txs.append(tx)

    def _flush(self) -> None:
        waiting, self._news = self._news, {}
        for account, news in waiting.values():
            self._snapshots.note(account)
            for name, payload in self._frames(account, news):
                self._send(name, f"{name}:{account.index}", payload)
            self._send_by_market(account, news)

    def _send(self, name: str, key: str, payload: Callable[[], Json]) -> None:
        if self._audience.has(key):
            self._audience.publish(key, encode_frame(f"update/{name}", key, payload()))

    def _frames(self, account: WireAccount, news: _News) -> Iterable[tuple[str, Callable[[], Json]]]:
        """Frames of the whole account that the news calls for; payloads are built only when someone listens."""
        state = self._state
        if news.orders:
            yield "account_all_orders", lambda: {"orders": orders_by_market(state, news.orders.values())}
        if news.trades:
            yield "account_all_trades", lambda: {"trades": trades_by_market(state, news.trades)}
        if news.symbols:
            yield "account_all_positions", lambda: positions_payload(state, account, news.symbols)
        if news.is_money_changed:
            yield "account_all_assets", lambda: assets_payload(state, account)
        if news.symbols:
            yield "user_stats", lambda: stats_of_account(state, account)
            yield "account_all", lambda: self._everything(account, news)
        if news.txs:
            yield "account_tx", lambda: {"txs": [tx_object(state, tx) for tx in news.txs]}
        liquidations = [record for record in news.trades if record.trade.is_liquidation]
        if liquidations:
            yield "notification", lambda: {"notifs": [liquidation_notice(state, account, r) for r in liquidations]}

    def _everything(self, account: WireAccount, news: _News) -> Json:
        state = self._state
        return {
            "account": account.index,
            "assets": assets_object(state, account),
            "positions": positions_payload(state, account, news.symbols)["positions"],
            "trades": trades_by_market(state, news.trades),
            "funding_histories": fundings_by_market(state, news.fundings),
            "shares": [],
            **volumes(state, account),
        }

    def _send_by_market(self, account: WireAccount, news: _News) -> None:
        state = self._state
        for symbol in news.symbols:
            index = state.market_index(symbol)
            orders = [record for record in news.orders.values() if record.order.symbol == symbol]

            def of_orders(orders: list[OrderRecord] = orders) -> Json:
                return {"account": account.index, "nonce": state.number, "orders": orders_by_market(state, orders)}

            def of_market(symbol: str = symbol, orders: list[OrderRecord] = orders) -> Json:
                trades = [record for record in news.trades if record.trade.symbol == symbol]
                fundings = [funding for funding in news.fundings if funding.symbol == symbol]
                return {
                    "account": account.index,
                    "orders": [order_object(state, record) for record in orders],
                    "position": position_object(state, account, symbol),
                    "trades": [trade_object(state, record) for record in trades],
                    "funding_histories": fundings_by_market(state, fundings),
                }

            if orders:
                self._send("account_orders", f"account_orders:{index}:{account.index}", of_orders)
            self._send("account_market", f"account_market:{index}:{account.index}", of_market)
