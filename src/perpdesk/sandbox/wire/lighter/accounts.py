"""Accounts as the wire knows them: keys and their nonces, tokens, orders by index, and what queued transactions hold."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from perpdesk.domain.clock import Timer
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import SimOrder, SimStatus
from perpdesk.sandbox.wire.lighter.encode import ORDER_INDEX_BASE
from perpdesk.sandbox.wire.lighter.tape import HOUR_MS, TradeRecord

ENDED_ORDERS_MAX = 1_000
ACCOUNT_TRADES_MAX = 10_000
TRADED_HOURS_MAX = 30 * 24 + 1
TOKEN_LIFE_MAX_S = 8 * 3_600
"""Longest an auth token may live; the signer makes longer ones, the venue refuses them."""

_TOKEN = re.compile(r"(\d{1,12}):(\d{1,15}):(\d{1,3}):([0-9a-fA-F]{160})")


class Refused(Exception):
    """The venue's answer is no.

    Attributes:
        code: The venue's own number. message: Its text. http_status: What REST answers with.
    """

    def __init__(self, code: int, message: str, http_status: int = 400) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


@dataclass(slots=True)
class ApiKey:
    """A registered key: its public half in hex, and the nonce its next transaction must carry."""

    public_key: str
    nonce: int = 0


@dataclass(slots=True, eq=False)
class OrderRecord:
    """One order under its wire identity, which outlives the exchange order when it is modified.

    Attributes:
        order: The exchange's order behind it now. order_ids: All that ever were, oldest first.
        filled_before, quote_before: Filled by the orders behind it earlier.
        number: The venue's sequence number of its last change. ended_number: Position in the list of ended orders.
        is_ghost: Reported cancelled and unfilled although it traded.
    """

    order: SimOrder
    order_index: int
    client_index: int
    is_market: bool
    created_at_ms: int
    number: int
    order_ids: list[int]
    filled_before: Decimal = ZERO
    quote_before: Decimal = ZERO
    ended_number: int = 0
    is_ghost: bool = False

    @property
    def is_open(self) -> bool:
        return self.order.status is SimStatus.RESTING

    @property
    def size(self) -> Decimal:
        return self.filled_before + self.order.size

    @property
    def filled(self) -> Decimal:
        return ZERO if self.is_ghost else self.filled_before + self.order.filled

    @property
    def filled_quote(self) -> Decimal:
        return ZERO if self.is_ghost else self.quote_before + self.order.filled_quote


@dataclass(slots=True)
class TradedHour:
    """What an account traded within one hour of the clock."""

    began_ms: int
    count: int = 0
    usd: Decimal = ZERO


@dataclass(slots=True, eq=False)
class WireAccount:
    """One registered account.

    Attributes:
        open_orders: By order index, oldest first. ended_orders: Newest last, bounded. by_client: By client order index.
        queued_clients: Client order indices of accepted creates that have not executed yet.
        margin_fractions: Initial margin fraction (1e-4) the account set, by symbol.
        funding_paid_usd: Net funding paid so far by symbol, negative when received.
        trade_count, traded_usd, traded_hours: Volume since registration and by hour, oldest first.
        cancel_all_at_ms: When the dead-man switch fires, 0 when it is not armed.
    """

    index: int
    l1_address: str
    keys: dict[int, ApiKey]
    open_orders: dict[int, OrderRecord] = field(default_factory=dict)
    ended_orders: deque[OrderRecord] = field(default_factory=deque)
    ended_count: int = 0
    by_index: dict[int, OrderRecord] = field(default_factory=dict)
    by_client: dict[int, OrderRecord] = field(default_factory=dict)
    queued_clients: set[int] = field(default_factory=set)
    trades: deque[TradeRecord] = field(default_factory=lambda: deque(maxlen=ACCOUNT_TRADES_MAX))
    margin_fractions: dict[str, int] = field(default_factory=dict)
    funding_paid_usd: dict[str, Decimal] = field(default_factory=dict)
    cancel_all_at_ms: int = 0
    cancel_all_timer: Timer | None = None
    quota_used: int = 0
    trade_count: int = 0
    traded_usd: Decimal = ZERO
    traded_hours: deque[TradedHour] = field(default_factory=lambda: deque(maxlen=TRADED_HOURS_MAX))

    @property
    def account_id(self) -> str:
        """Its name on the exchange."""
        return str(self.index)

    def add_trade(self, record: TradeRecord) -> None:
        trade = record.trade
        usd = trade.price * trade.size
        began_ms = trade.at_ms - trade.at_ms % HOUR_MS
        if not self.traded_hours or self.traded_hours[-1].began_ms != began_ms:
            self.traded_hours.append(TradedHour(began_ms))
        hour = self.traded_hours[-1]
        hour.count += 1
        hour.usd += usd
        self.trade_count += 1
        self.traded_usd += usd
        self.trades.append(record)

    def add(self, record: OrderRecord) -> None:
        self.by_index[record.order_index] = record
        if record.client_index:
            self.by_client[record.client_index] = record

    def file(self, record: OrderRecord) -> OrderRecord | None:
        """Move a record to the list its state belongs to; returns the one that is forgotten for it, if any."""
        if record.is_open:
            self.open_orders[record.order_index] = record
            return None
        self.open_orders.pop(record.order_index, None)
        if record.ended_number:
            return None
        self.ended_count += 1
        record.ended_number = self.ended_count
        self.ended_orders.append(record)
        return self._forget_oldest() if len(self.ended_orders) > ENDED_ORDERS_MAX else None

    def _forget_oldest(self) -> OrderRecord:
        record = self.ended_orders.popleft()
        self.by_index.pop(record.order_index, None)
        if self.by_client.get(record.client_index) is record:
            del self.by_client[record.client_index]
        return record

    def find(self, index: int) -> OrderRecord | None:
        """By either number: below 2^48 it is a client order index."""
        return self.by_client.get(index) if index < ORDER_INDEX_BASE else self.by_index.get(index)


def new_account(index: int, keys: Mapping[int, str], l1_address: str) -> WireAccount:
    return WireAccount(
        index, l1_address, {key: ApiKey(public.removeprefix("0x").lower()) for key, public in keys.items()}
    )


def check_token(token: str, account: WireAccount, now_ms: int) -> None:
    """Accept an auth token for `account`. Raises Refused (401, 20013) when malformed, foreign, expired or too long-lived.

    The signature itself is not verified: the simulated venue checks its form, the key and the deadline.
    """
    match = _TOKEN.fullmatch(token.strip())
    if match is None:
        raise Refused(20013, "invalid auth: token is missing or malformed", 401)
    deadline_s, account_index, key_index = (int(match.group(n)) for n in (1, 2, 3))
    if account_index != account.index or key_index not in account.keys:
        raise Refused(20013, "invalid auth: token is of another account or an unknown key", 401)
    if deadline_s * 1000 <= now_ms:
        raise Refused(20013, "invalid auth: token has expired", 401)
    if deadline_s * 1000 > now_ms + TOKEN_LIFE_MAX_S * 1000:
        raise Refused(20013, "invalid auth: deadline is more than 8 hours ahead", 401)
