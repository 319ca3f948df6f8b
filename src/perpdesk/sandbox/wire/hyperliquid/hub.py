"""Who listens to what, and what they are sent when: the venue's channels over the exchange's events.

Each kind of message has a beat: blocks (trades, fills, orders, best prices), books, contexts, mids, account states. An event only
marks its topics; a beat encodes each marked topic once and hands the same bytes to all its subscribers. Nothing is
scheduled while nobody listens. Marks are dictionaries, not sets, so that equal seeds send equal frames in equal order.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from perpdesk.domain.clock import Clock
from perpdesk.sandbox.exchange import Exchange, Reason, SettledRate, SimFill, SimFunding, SimOrder, SimStatus, SimTrade
from perpdesk.sandbox.wire.hyperliquid.accounts import AccountReads, aggregate_fills
from perpdesk.sandbox.wire.hyperliquid.candles import bucket_open_ms, candle_row
from perpdesk.sandbox.wire.hyperliquid.encode import (
    Row,
    address_of,
    bbo_json,
    book_frame,
    funding_delta,
    funding_event_row,
    order_row,
    order_status,
    trade_row,
)
from perpdesk.sandbox.wire.hyperliquid.ledger import Ledger
from perpdesk.sandbox.wire.hyperliquid.markets import BOOK_DEPTH, MarketReads
from perpdesk.sandbox.wire.hyperliquid.pulse import Pulse
from perpdesk.sandbox.wire.hyperliquid.subscriptions import ALL_MIDS, Topic

BLOCK_MS = 80
"""The chain makes 10 to 15 blocks a second; what happened in one is told at its end."""
CONTEXT_MS = 1_000
MIDS_MS = 5_000
STATE_MS = 5_000
FAST_DEPTH = 5
BACKFILL_TRADES = 30
_OWN_ENDINGS = frozenset((Reason.USER_CANCEL, Reason.IOC_NO_MATCH, Reason.FOK_NOT_FILLED))


class Subscriber(Protocol):
    """One open connection."""

    def deliver(self, frame: bytes) -> None: ...


class Hub:
    """Keeps subscriptions and turns exchange events into frames."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        markets: MarketReads,
        accounts: AccountReads,
        clock: Clock,
        book_every_ms: int,
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._markets = markets
        self._accounts = accounts
        self._clock = clock
        self._subscribers: dict[Topic, dict[Subscriber, None]] = {}
        self._by_coin: dict[tuple[str, str], dict[Topic, None]] = {}
        self._watched: dict[str, int] = {}
        self._state_users: dict[str, None] = {}
        self._dirty: dict[str, dict[Topic, None]] = {"l2Book": {}, "bbo": {}, "context": {}, "state": {}}
        self._last_bbo: dict[str, str] = {}
        self._trades: dict[str, list[SimTrade]] = {}
        self._user_rows: dict[Topic, list[Row]] = {}
        self._block = Pulse(clock, BLOCK_MS, self._send_block)
        self._books = Pulse(clock, book_every_ms, lambda: self._send_dirty("l2Book"))
        self._contexts = Pulse(clock, CONTEXT_MS, lambda: self._send_dirty("context"))
        self._mids = Pulse(clock, MIDS_MS, self._send_mids)
        self._states = Pulse(clock, STATE_MS, lambda: self._send_dirty("state"))
        self._encoders: dict[str, Callable[[Topic], bytes]] = {
            "l2Book": self._book,
            "bbo": self._bbo,
            "activeAssetCtx": self._context,
            "candle": self._candle,
            "clearinghouseState": self._state,
            "openOrders": self._open_orders,
        }

    # Subscriptions ---------------------------------------------------------------------------------------------------

    @property
    def watched_users(self) -> int:
        """Distinct users over all connections."""
        return len(self._watched)

    def is_watched(self, user: str) -> bool:
        return user in self._watched

    def add(self, topic: Topic, subscriber: Subscriber) -> None:
        """Subscribe and send the topic's first message."""
        self._subscribers.setdefault(topic, {})[subscriber] = None
        if topic.coin:
            self._by_coin.setdefault((topic.type, topic.coin), {})[topic] = None
        if topic.user:
            self._watched[topic.user] = self._watched.get(topic.user, 0) + 1
        if topic.type == "clearinghouseState":
            self._state_users[topic.user] = None
        first = self._first(topic)
        if first:
            subscriber.deliver(first)

    def remove(self, topic: Topic, subscriber: Subscriber) -> None:
        """Undo `add`."""
        subscribers = self._subscribers[topic]
        del subscribers[subscriber]
        if topic.user:
            self._watched[topic.user] -= 1
            if self._watched[topic.user] == 0:
                del self._watched[topic.user]
        if not subscribers:
            del self._subscribers[topic]
            if topic.type == "clearinghouseState":
                del self._state_users[topic.user]
            if topic.coin:
                topics = self._by_coin[topic.type, topic.coin]
                del topics[topic]
                if not topics:
                    del self._by_coin[topic.type, topic.coin]

    def _send(self, topic: Topic, frame: bytes) -> None:
        for subscriber in tuple(self._subscribers.get(topic, ())):
            subscriber.deliver(frame)

    # First messages --------------------------------------------------------------------------------------------------

    def _first(self, topic: Topic) -> bytes | None:
        """A snapshot, a backfill that nothing marks as one (trades), or nothing."""
        user = topic.user
        if topic.type == "trades":
            return _frame("trades", self._markets.trade_rows(topic.coin, BACKFILL_TRADES))
        if topic.type == "allMids":
            return _frame("allMids", {"mids": self._markets.all_mids()})
        if topic.type == "userFills":
            return _user_snapshot(topic, "fills", self._accounts.latest_fills(user, topic.is_aggregated))
        if topic.type == "userFundings":
            return _user_snapshot(topic, "fundings", self._accounts.funding_events(user))
        if topic.type == "userNonFundingLedgerUpdates":
            return _user_snapshot(topic, "nonFundingLedgerUpdates", self._accounts.transfer_rows(user))
        encoder = self._encoders.get(topic.type)
        return None if encoder is None else encoder(topic)

    # Encoders --------------------------------------------------------------------------------------------------------

    def _book(self, topic: Topic) -> bytes:
        depth = FAST_DEPTH if topic.is_fast else BOOK_DEPTH
        bids, asks = self._markets.levels(topic.coin, topic.figures, topic.mantissa, depth)
        return book_frame(topic.coin, self._clock.wall_ms(), bids, asks)

    def _bbo(self, topic: Topic) -> bytes:
        best = self._last_bbo[topic.coin] = bbo_json(*self._exchange.book(topic.coin, 1))
        at_ms = self._clock.wall_ms()
        return f'{{"channel":"bbo","data":{{"coin":"{topic.coin}","time":{at_ms},"bbo":{best}}}}}'.encode()

    def _context(self, topic: Topic) -> bytes:
        context = self._markets.context(self._exchange.markets[topic.coin])
        return _frame("activeAssetCtx", {"coin": topic.coin, "ctx": context})

    def _candle(self, topic: Topic) -> bytes:
        now_ms = self._clock.wall_ms()
        open_ms = bucket_open_ms(now_ms, topic.interval)
        bars = self._ledger.candles.candles(topic.coin, topic.interval, open_ms, now_ms)
        return _frame("candle", candle_row(bars[-1], topic.coin, topic.interval)) if bars else b""

    def _state(self, topic: Topic) -> bytes:
        state = self._accounts.state(topic.user)
        return _frame("clearinghouseState", {"dex": "", "user": topic.user, "clearinghouseState": state})

    def _open_orders(self, topic: Topic) -> bytes:
        orders = self._accounts.frontend_orders(topic.user)
        return _frame("openOrders", {"dex": "", "user": topic.user, "orders": orders})

    # Beats -----------------------------------------------------------------------------------------------------------

    def _mark(self, beat: str, kind: str, coin: str, pulse: Pulse) -> None:
        topics = self._by_coin.get((kind, coin))
        if topics:
            self._dirty[beat].update(topics)
            pulse.touch()

    def _mark_user(self, kind: str, user: str) -> None:
        topic = Topic(kind, user=user)
        if topic in self._subscribers:
            self._dirty["state"][topic] = None
            self._states.touch()

    def _send_dirty(self, beat: str) -> None:
        topics, self._dirty[beat] = self._dirty[beat], {}
        for topic in topics:
            if topic in self._subscribers:
                frame = self._encoders[topic.type](topic)
                if frame:
                    self._send(topic, frame)

    def _send_mids(self) -> None:
        if ALL_MIDS in self._subscribers:
            self._send(ALL_MIDS, _frame("allMids", {"mids": self._markets.all_mids()}))

    def _send_block(self) -> None:
        """Everything that happened since the last block."""
        traded, self._trades = self._trades, {}
        for coin, trades in traded.items():
            rows = [trade_row(trade, self._ledger.trade_hash(trade)) for trade in trades]
            self._send(Topic("trades", coin), _frame("trades", rows))
        changed, self._dirty["bbo"] = self._dirty["bbo"], {}
        for topic in changed:
            last = self._last_bbo.get(topic.coin)
            frame = self._bbo(topic)
            if self._last_bbo[topic.coin] != last:
                self._send(topic, frame)
        user_rows, self._user_rows = self._user_rows, {}
        for topic, rows in user_rows.items():
            for frame in _user_frames(topic, rows):
                self._send(topic, frame)

    # Listening -------------------------------------------------------------------------------------------------------

    def on_book(self, symbol: str) -> None:
        if not self._subscribers:
            return
        self._mark("l2Book", "l2Book", symbol, self._books)
        self._mark("bbo", "bbo", symbol, self._block)
        if ALL_MIDS in self._subscribers:
            self._mids.touch()

    def on_prices(self, symbol: str) -> None:
        if not self._subscribers:
            return
        self._mark("context", "activeAssetCtx", symbol, self._contexts)
        self._mark("context", "candle", symbol, self._contexts)
        for user in self._state_users:
            account = self._ledger.account(user)
            if account is not None and symbol in account.positions and account.positions[symbol].size:
                self._mark_user("clearinghouseState", user)

    def on_trade(self, trade: SimTrade) -> None:
        if ("trades", trade.symbol) in self._by_coin:
            self._trades.setdefault(trade.symbol, []).append(trade)
            self._block.touch()
        self._mark("context", "candle", trade.symbol, self._contexts)

    def on_fill(self, fill: SimFill) -> None:
        user = address_of(fill.account_id)
        if user not in self._watched:
            return
        row = self._ledger.fill_row(fill)
        self._tell(Topic("userFills", user=user), row)
        self._tell(Topic("userFills", user=user, is_aggregated=True), row)
        self._tell(Topic("userEvents", user=user), {"fills": row})
        if fill.trade.is_liquidation and not fill.is_maker:
            coin = fill.trade.symbol
            self._tell(Topic("notification", user=user), {"notification": f"Your {coin} position was liquidated."})
        self._mark_user("clearinghouseState", user)

    def on_order(self, order: SimOrder) -> None:
        user = address_of(order.account_id)
        if user not in self._watched:
            return
        stamp = order.changed_at_ms or order.placed_at_ms
        update = {"order": order_row(order), "status": order_status(order), "statusTimestamp": stamp}
        self._tell(Topic("orderUpdates", user=user), update)
        if order.status is SimStatus.CANCELED and order.reason not in _OWN_ENDINGS:
            canceled = {"coin": order.symbol, "oid": order.order_id}
            self._tell(Topic("userEvents", user=user), {"nonUserCancel": canceled})
        self._mark_user("openOrders", user)
        self._mark_user("clearinghouseState", user)

    def on_funding(self, funding: SimFunding) -> None:
        user = address_of(funding.account_id)
        if user not in self._watched:
            return
        self._tell(Topic("userFundings", user=user), funding_event_row(funding))
        event = {"time": funding.at_ms, **funding_delta(funding)}
        self._tell(Topic("userEvents", user=user), {"funding": event})
        self._mark_user("clearinghouseState", user)

    def on_settled(self, settled: SettledRate) -> None:
        """A new interval begins: the running estimate changed."""
        self._mark("context", "activeAssetCtx", settled.symbol, self._contexts)

    def _tell(self, topic: Topic, row: Row) -> None:
        """Keep a row for the end of the block; encoded at once, because orders change."""
        if topic in self._subscribers:
            self._user_rows.setdefault(topic, []).append(row)
            self._block.touch()


def _frame(channel: str, data: Any) -> bytes:
    return msgspec.json.encode({"channel": channel, "data": data})


def _user_snapshot(topic: Topic, key: str, rows: list[Row]) -> bytes:
    """Flagged on the first message only; the key is absent afterwards."""
    return _frame(topic.type, {"isSnapshot": True, "user": topic.user, key: rows})


def _user_frames(topic: Topic, rows: list[Row]) -> list[bytes]:
    """The messages one block makes of a topic's rows."""
    if topic.type == "userFills":
        fills = aggregate_fills(rows) if topic.is_aggregated else rows
        return [_frame("userFills", {"user": topic.user, "fills": fills})]
    if topic.type == "userFundings":
        return [_frame("userFundings", {"user": topic.user, "fundings": rows})]
    if topic.type == "orderUpdates":
        return [_frame("orderUpdates", rows)]
    if topic.type == "notification":
        return [_frame("notification", row) for row in rows]
    return [_frame("user", event) for event in _user_events(rows)]


def _user_events(rows: list[Row]) -> list[Row]:
    """Neighbouring fills and cancels share an event; each payment is one."""
    events: list[Row] = []
    for row in rows:
        ((key, value),) = row.items()
        if key == "funding":
            events.append({"funding": value})
        elif events and key in events[-1]:
            events[-1][key].append(value)
        else:
            events.append({key: [value]})
    return events
