"""The venue's memory between the exchange and the wire: it hears every event once and tells whoever publishes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import (
    AMBIENT,
    Exchange,
    ListedMarket,
    Reason,
    SettledRate,
    SimFill,
    SimFunding,
    SimOrder,
    SimStatus,
    SimTrade,
)
from perpdesk.sandbox.wire.lighter.accounts import OrderRecord, Refused, WireAccount, new_account
from perpdesk.sandbox.wire.lighter.encode import (
    AMBIENT_ACCOUNT_INDEX,
    AMBIENT_ORDER_BASE,
    ORDER_INDEX_BASE,
    Scale,
    margin_fraction,
)
from perpdesk.sandbox.wire.lighter.tape import Tape, TradeRecord

BLOCK_MS = 500
"""Time between blocks; heights count from the Unix epoch."""

FIRST_NUMBER = 9_182_390_000
"""Where the venue's sequence numbers (book nonces, order nonces) start; any positive number does."""

REASONS_WITH_RECORD = frozenset(
    {Reason.POST_ONLY_CROSS, Reason.IOC_NO_MATCH, Reason.FOK_NOT_FILLED, Reason.SELF_TRADE, Reason.EXPIRED}
)
"""Refusals at execution that leave an order row; all others leave only a failed transaction."""


@dataclass(slots=True)
class TxRecord:
    """One accepted transaction. status: 0 failed, 1 pending, 2 executed."""

    tx_hash: str
    tx_type: int
    info: str
    account_index: int
    api_key_index: int
    nonce: int
    expires_at_ms: int
    queued_at_ms: int
    sequence_index: int
    status: int = 1
    event_info: str = ""
    executed_at_ms: int = 0
    block_height: int = 0


class NewsListener(Protocol):
    """Publishes what changed."""

    def on_book(self, symbol: str) -> None: ...

    def on_stats(self, symbol: str) -> None:
        """A price, rate or day figure of the market changed."""

    def on_trade(self, record: TradeRecord) -> None: ...

    def on_account_trade(self, account: WireAccount, record: TradeRecord) -> None: ...

    def on_account_order(self, account: WireAccount, record: OrderRecord) -> None: ...

    def on_account_funding(self, account: WireAccount, funding: SimFunding) -> None: ...

    def on_account_settings(self, account: WireAccount, symbol: str) -> None:
        """Leverage changed."""

    def on_account_tx(self, account: WireAccount, tx: TxRecord) -> None:
        """A transaction executed or failed."""


class LighterState:
    """Implements `ExchangeListener`. One per server.

    Attributes:
        number: Sequence number of the venue's latest event; book and order nonces are taken from it.
        records: Registered accounts' orders by the exchange's order id, while they are remembered.
        resting: Every account's resting orders by symbol and id, for the order-by-order book.
        ghost_cancel: Orders that end filled are reported as cancelled with nothing filled.
    """

    def __init__(self, exchange: Exchange, clock: Clock, ghost_cancel: bool = False) -> None:
        self.exchange = exchange
        self.clock = clock
        self.ghost_cancel = ghost_cancel
        self.number = FIRST_NUMBER
        self.tape = Tape()
        self.accounts: dict[str, WireAccount] = {}
        self.records: dict[int, OrderRecord] = {}
        self.resting: dict[str, dict[int, SimOrder]] = {}
        self.news: NewsListener | None = None
        self._scales = {symbol: Scale.of(market) for symbol, market in exchange.markets.items()}
        self._indices = {symbol: market.index for symbol, market in exchange.markets.items()}
        self._symbols = {index: symbol for symbol, index in self._indices.items()}
        self._unnamed: dict[str, int] = {AMBIENT: AMBIENT_ACCOUNT_INDEX}
        self._adopting: OrderRecord | None = None
        self._is_market_order = False
        self._muted: SimOrder | None = None
        exchange.listen(self)

    # Names ----------------------------------------------------------------------------------------------------------

    def register(self, account_index: int, api_keys: Mapping[int, str], l1_address: str) -> WireAccount:
        """Make an account known to the wire; ValueError when its index is taken or can not be one."""
        if not 0 < account_index < ORDER_INDEX_BASE:
            raise ValueError(f"account index must lie between 1 and 2^48 - 1, was {account_index}")
        account = new_account(account_index, api_keys, l1_address)
        if account.account_id in self.accounts:
            raise ValueError(f"account {account_index} is registered already")
        self.accounts[account.account_id] = account
        if self.exchange.account(account.account_id) is not None:
            for order in self.exchange.resting_orders(account.account_id):
                account.file(self._open_record(account, order))
        return account

    def account(self, index: int) -> WireAccount:
        """Raises Refused 21100 when it is unknown to the wire or to the exchange."""
        account = self.accounts.get(str(index))
        if account is None or self.exchange.account(account.account_id) is None:
            raise Refused(21100, "account not found")
        return account

    def account_index(self, account_id: str) -> int:
        """An exchange account's number on the wire; names that are not numbers get stable high ones."""
        if account_id.isdecimal():
            return int(account_id)
        if account_id not in self._unnamed:
            self._unnamed[account_id] = AMBIENT_ACCOUNT_INDEX - len(self._unnamed)
        return self._unnamed[account_id]

    def market(self, index: int) -> ListedMarket:
        """Raises Refused 21602 for an index no market has."""
        symbol = self._symbols.get(index)
        if symbol is None:
            raise Refused(21602, "invalid market index")
        return self.exchange.markets[symbol]

    def market_index(self, symbol: str) -> int:
        """The number orders and channels carry; a venue never changes it."""
        return self._indices[symbol]

    def scale(self, symbol: str) -> Scale:
        return self._scales[symbol]

    def margin_fraction(self, account: WireAccount, symbol: str) -> int:
        """Initial margin fraction in force, 1e-4."""
        if symbol in account.margin_fractions:
            return account.margin_fractions[symbol]
        held = self.exchange.account(account.account_id)
        leverage = held.leverage.get(symbol) if held is not None else None
        return margin_fraction(leverage or self.exchange.markets[symbol].default_leverage)

    @property
    def height(self) -> int:
        return height_at(self.clock.wall_ms())

    def next_number(self) -> int:
        self.number += 1
        return self.number

    # Placing under a wire identity ------------------------------------------------------------------------------------

    @contextmanager
    def placing(self, is_market: bool) -> Iterator[None]:
        """Orders that appear meanwhile were sent as market orders, or not."""
        self._is_market_order = is_market
        try:
            yield
        finally:
            self._is_market_order = False

    @contextmanager
    def replacing(self, record: OrderRecord) -> Iterator[None]:
        """Events of the order behind `record` are silent meanwhile, and the next new order continues the record."""
        self._muted, self._adopting = record.order, record
        try:
            yield
        finally:
            self._muted = self._adopting = None

    def order_index(self, order_id: int, trade: SimTrade, account_id: str) -> int:
        """The wire's number of one side of a trade; anonymous liquidity gets one of its own."""
        if account_id == AMBIENT:
            return AMBIENT_ORDER_BASE + 2 * trade.trade_id
        record = self.records.get(order_id)
        return ORDER_INDEX_BASE + order_id if record is None else record.order_index

    def client_index(self, order_id: int, fill: SimFill | None) -> int:
        """The client's number of an order, 0 when it has none."""
        record = self.records.get(order_id)
        if record is not None:
            return record.client_index
        return client_index_of(fill.client_id if fill is not None else None)

    # Exchange events ------------------------------------------------------------------------------------------------

    def on_book(self, symbol: str) -> None:
        self.number += 1
        if self.news is not None:
            self.news.on_book(symbol)

    def on_prices(self, symbol: str) -> None:
        if self.news is not None:
            self.news.on_stats(symbol)

    def on_settled(self, settled: SettledRate) -> None:
        if self.news is not None:
            self.news.on_stats(settled.symbol)

    def on_trade(self, trade: SimTrade) -> None:
        record = self.tape.add_trade(trade)
        if self.news is not None:
            self.news.on_trade(record)
            self.news.on_stats(trade.symbol)

    def on_fill(self, fill: SimFill) -> None:
        record = self.tape.add_fill(fill)
        account = self.accounts.get(fill.account_id)
        if account is None:
            return
        account.add_trade(record)
        if self.news is not None:
            self.news.on_account_trade(account, record)

    def on_funding(self, funding: SimFunding) -> None:
        account = self.accounts.get(funding.account_id)
        if account is None:
            return
        paid = account.funding_paid_usd
        paid[funding.symbol] = paid.get(funding.symbol, ZERO) - funding.usd
        if self.news is not None:
            self.news.on_account_funding(account, funding)

    def on_order(self, order: SimOrder) -> None:
        self.number += 1
        resting = self.resting.setdefault(order.symbol, {})
        if order.status is SimStatus.RESTING:
            resting[order.order_id] = order
        else:
            resting.pop(order.order_id, None)
        account = self.accounts.get(order.account_id)
        if account is None or order is self._muted:
            return
        record = self.records.get(order.order_id) or self._new_record(account, order)
        if record is None:
            return
        record.number = self.number
        if self.ghost_cancel and not record.is_open and record.filled > 0:
            record.is_ghost = True
        forgotten = account.file(record)
        if forgotten is not None:
            for order_id in forgotten.order_ids:
                self.records.pop(order_id, None)
        if self.news is not None:
            self.news.on_account_order(account, record)

    def _new_record(self, account: WireAccount, order: SimOrder) -> OrderRecord | None:
        adopting = self._adopting
        if adopting is not None and adopting.order.account_id == order.account_id:
            adopting.filled_before += adopting.order.filled
            adopting.quote_before += adopting.order.filled_quote
            adopting.order = order
            adopting.order_ids.append(order.order_id)
            self._adopting = None
            self.records[order.order_id] = adopting
            return adopting
        if order.status is SimStatus.REJECTED and order.reason not in REASONS_WITH_RECORD:
            return None
        return self._open_record(account, order)

    def _open_record(self, account: WireAccount, order: SimOrder) -> OrderRecord:
        record = OrderRecord(
            order,
            ORDER_INDEX_BASE + order.order_id,
            client_index_of(order.client_id),
            self._is_market_order,
            order.placed_at_ms,
            self.number,
            [order.order_id],
        )
        self.records[order.order_id] = record
        account.add(record)
        return record


def height_at(at_ms: int) -> int:
    """Number of the block that `at_ms` falls into."""
    return at_ms // BLOCK_MS


def client_index_of(client_id: str | None) -> int:
    """The number an order was sent with; tokens that are not Lighter's count as none."""
    return int(client_id) if client_id is not None and client_id.isdecimal() else 0
