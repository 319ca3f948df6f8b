"""What the venue remembers about addresses beyond the exchange core: agents, recent orders, funding sums, volumes, transfers."""

import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from perpdesk.domain.clock import Clock, Timer
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import (
    AMBIENT,
    Exchange,
    SettledRate,
    SimAccount,
    SimFill,
    SimFunding,
    SimOrder,
    SimStatus,
    SimTrade,
)
from perpdesk.sandbox.wire.hyperliquid.candles import DAY_MS, CandleHistory
from perpdesk.sandbox.wire.hyperliquid.encode import AMBIENT_ADDRESS, ZERO_HASH, Row, fill_row, money_text
from perpdesk.sandbox.wire.hyperliquid.limits import NonceWindow

ORDERS_KEPT = 2_000
"""Ended orders remembered per account: the venue forgets by count, not by age."""
SAMPLES_KEPT = 10_000
"""Hourly equity samples per account, more than a year."""


@dataclass(slots=True)
class FundingSums:
    """Funding one account paid (+) or received (-) in one market: the sign of `cumFunding`, opposite to the payments'."""

    all_time: Decimal = ZERO
    since_open: Decimal = ZERO
    since_change: Decimal = ZERO

    def add(self, paid_usd: Decimal) -> None:
        self.all_time += paid_usd
        self.since_open += paid_usd
        self.since_change += paid_usd


@dataclass(frozen=True, slots=True)
class Transfer:
    """Collateral that came (+) or went (-), stamped when the venue noticed."""

    at_ms: int
    usd: Decimal
    tx_hash: str

    def row(self) -> Row:
        """A `userNonFundingLedgerUpdates` row."""
        usdc = money_text(abs(self.usd))
        if self.usd >= 0:
            delta: Row = {"type": "deposit", "usdc": usdc}
        else:
            delta = {"type": "withdraw", "usdc": usdc, "nonce": self.at_ms, "fee": "0.0"}
        return {"time": self.at_ms, "hash": self.tx_hash, "delta": delta}


@dataclass(frozen=True, slots=True)
class EquitySample:
    """An account at one moment; `transferred_usd` and `volume_usd` are sums since it opened."""

    at_ms: int
    equity_usd: Decimal
    transferred_usd: Decimal
    volume_usd: Decimal


@dataclass(slots=True)
class DayVolume:
    """One UTC day's notional of an account, as taker (`cross_usd`) and as maker (`add_usd`)."""

    cross_usd: Decimal = ZERO
    add_usd: Decimal = ZERO


@dataclass(slots=True)
class AddressRecord:
    """What is kept per account.

    Attributes:
        orders: By id, oldest first; resting ones are never forgotten.
        market_orders: Ids placed with the tif FrontendMarket, which the exchange core does not know.
        booked_usd: Closed profit less fees plus funding, so that cash less this is what was transferred.
        requests_used: Actions counted against the address allowance.
    """

    orders: dict[int, SimOrder] = field(default_factory=dict)
    market_orders: set[int] = field(default_factory=set)
    funding: dict[str, FundingSums] = field(default_factory=dict)
    booked_usd: Decimal = ZERO
    transferred_usd: Decimal = ZERO
    transfers: list[Transfer] = field(default_factory=list)
    volume_usd: Decimal = ZERO
    days: dict[int, DayVolume] = field(default_factory=dict)
    samples: deque[EquitySample] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))
    requests_used: int = 0
    throttled_at_ms: int | None = None
    scheduled_cancel: Timer | None = None
    cancel_firings: dict[int, int] = field(default_factory=dict)


class Ledger:
    """Listens to the exchange and answers what the core does not keep. Must be its first listener of this venue."""

    def __init__(self, exchange: Exchange, clock: Clock, salt: int) -> None:
        self._exchange = exchange
        self._clock = clock
        self._salt = salt
        self._records: dict[str, AddressRecord] = {}
        self._registered: dict[str, tuple[str, ...]] = {}
        self._masters: dict[str, str] = {}
        self._nonces: dict[str, NonceWindow] = {}
        self._is_sample_due = False
        self._liquidation_marks: dict[int, Decimal] = {}
        self.venue_days: dict[int, Decimal] = {}
        self.candles = CandleHistory()

    # Addresses -------------------------------------------------------------------------------------------------------

    def register(self, address: str, agents: Sequence[str]) -> None:
        """Know `address` and let `agents` sign for it."""
        owner = address.lower()
        names = tuple(agent.lower() for agent in agents)
        self._registered[owner] = names
        for agent in names:
            self._masters[agent] = owner
        if self.account(owner) is not None:
            self.record(owner).samples.append(self.sample(owner))

    def agents(self, address: str) -> tuple[str, ...]:
        return self._registered.get(address, ())

    def master_of(self, agent: str) -> str | None:
        """The account an agent signs for, None when it is no agent."""
        return self._masters.get(agent)

    def actor(self, signer: str) -> str | None:
        """The address that a signer acts for without naming a vault; None for a wallet nobody knows."""
        if self.account(signer) is not None or signer in self._registered:
            return signer
        return self._masters.get(signer)

    def account(self, address: str) -> SimAccount | None:
        """The exchange account behind a wire address."""
        return self._exchange.account(AMBIENT if address == AMBIENT_ADDRESS else address)

    def record(self, account_id: str) -> AddressRecord:
        record = self._records.get(account_id)
        if record is None:
            record = self._records[account_id] = AddressRecord()
        return record

    def nonces(self, signer: str) -> NonceWindow:
        return self._nonces.setdefault(signer, NonceWindow())

    # Facts -----------------------------------------------------------------------------------------------------------

    def tx_hash(self, *parts: object) -> str:
        """A transaction hash that is the same for the same parts and differs between venues with other seeds."""
        text = f"{self._salt}|{'|'.join(map(str, parts))}"
        return "0x" + hashlib.blake2b(text.encode(), digest_size=32).hexdigest()

    def trade_hash(self, trade: SimTrade) -> str:
        """The taker's transaction: one for all its trades of that moment. Anonymous flow and liquidations have none."""
        if trade.is_liquidation or trade.taker_account == AMBIENT:
            return ZERO_HASH
        return self.tx_hash("order", trade.taker_order_id)

    def fill_row(self, fill: SimFill) -> Row:
        """A fill as the venue writes it."""
        mark = self._liquidation_marks.get(fill.trade.trade_id)
        return fill_row(fill, self.trade_hash(fill.trade), mark)

    def order(self, account_id: str, order_id: int | str) -> SimOrder | None:
        """An order the venue still remembers, by its id or its client's."""
        if isinstance(order_id, str):
            found = self._exchange.order_by_client_id(account_id, order_id)
            if found is None:
                return None
            order_id = found.order_id
        return self.record(account_id).orders.get(order_id)

    def fills(self, account: SimAccount, start_ms: int, end_ms: int) -> Iterator[SimFill]:
        """Fills within the bounds, both inclusive, oldest first."""
        first = bisect_left(account.fills, start_ms, key=lambda fill: fill.trade.at_ms)
        for at in range(first, len(account.fills)):
            if account.fills[at].trade.at_ms > end_ms:
                return
            yield account.fills[at]

    def fundings(self, account: SimAccount, start_ms: int, end_ms: int) -> Iterator[SimFunding]:
        """Payments within the bounds, both inclusive, oldest first."""
        first = bisect_left(account.fundings, start_ms, key=lambda funding: funding.at_ms)
        for at in range(first, len(account.fundings)):
            if account.fundings[at].at_ms > end_ms:
                return
            yield account.fundings[at]

    def notice_transfers(self, account_id: str) -> AddressRecord:
        """Compare cash with what was booked; a difference came from outside, and becomes a transfer of now."""
        account = self.account(account_id)
        record = self.record(account_id)
        if account is None:
            return record
        transferred = account.cash_usd - record.booked_usd
        if transferred != record.transferred_usd:
            now_ms = self._clock.wall_ms()
            usd = transferred - record.transferred_usd
            tx_hash = self.tx_hash("transfer", account_id, len(record.transfers))
            record.transfers.append(Transfer(now_ms, usd, tx_hash))
            record.transferred_usd = transferred
        return record

    def sample(self, account_id: str) -> EquitySample:
        """The account now."""
        record = self.notice_transfers(account_id)
        equity = self._exchange.equity_usd(account_id)
        return EquitySample(self._clock.wall_ms(), equity, record.transferred_usd, record.volume_usd)

    # Listening -------------------------------------------------------------------------------------------------------

    def on_book(self, symbol: str) -> None:
        """Books are read when they are asked for."""

    def on_trade(self, trade: SimTrade) -> None:
        if trade.is_liquidation:
            self._liquidation_marks[trade.trade_id] = self._exchange.mark_price(trade.symbol)
        self.candles.add_trade(trade)
        day = trade.at_ms // DAY_MS
        self.venue_days[day] = self.venue_days.get(day, ZERO) + trade.price * trade.size

    def on_fill(self, fill: SimFill) -> None:
        record = self.record(fill.account_id)
        trade = fill.trade
        notional = trade.price * trade.size
        record.booked_usd += fill.closed_pnl_usd - fill.fee_usd
        record.volume_usd += notional
        day = record.days.setdefault(trade.at_ms // DAY_MS, DayVolume())
        if fill.is_maker:
            day.add_usd += notional
        else:
            day.cross_usd += notional
        self._restart_funding(record, fill)

    def on_order(self, order: SimOrder) -> None:
        record = self.record(order.account_id)
        record.orders[order.order_id] = order
        if len(record.orders) > ORDERS_KEPT:
            self._forget_orders(record)

    def on_funding(self, funding: SimFunding) -> None:
        record = self.record(funding.account_id)
        record.booked_usd += funding.usd
        record.funding.setdefault(funding.symbol, FundingSums()).add(-funding.usd)

    def on_settled(self, settled: SettledRate) -> None:
        """The samples wait for the next price: in the middle of a settlement some positions are not charged yet."""
        self._is_sample_due = True

    def on_prices(self, symbol: str) -> None:
        self.candles.add_price(symbol, self._exchange.index_price(symbol), self._clock.wall_ms())
        if self._is_sample_due:
            self._is_sample_due = False
            for account_id, record in self._records.items():
                if account_id != AMBIENT and self.account(account_id) is not None:
                    record.samples.append(self.sample(account_id))

    @staticmethod
    def _restart_funding(record: AddressRecord, fill: SimFill) -> None:
        sums = record.funding.get(fill.trade.symbol)
        if sums is None:
            return
        after = fill.size_before + fill.trade.size * fill.side.sign
        sums.since_change = ZERO
        if fill.size_before == 0 or fill.size_before * after < 0:
            sums.since_open = ZERO

    @staticmethod
    def _forget_orders(record: AddressRecord) -> None:
        """Drop the oldest ended orders, a tenth at once so that the scan over resting ones is rare."""
        ended = [oid for oid, order in record.orders.items() if order.status is not SimStatus.RESTING]
        for order_id in ended[: max(len(ended) - ORDERS_KEPT * 9 // 10, 0)]:
            del record.orders[order_id]
            record.market_orders.discard(order_id)
