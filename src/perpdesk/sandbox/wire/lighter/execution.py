"""The sequencer: accepted transactions wait out the venue's delay and execute in order of acceptance per account.

A 200 only says "queued". What execution makes of it shows in the order's row, or, when the venue leaves none, in the
transaction alone: status 0 with an application error in its event.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import NewOrder, Reason, SimOrder, SimStatus
from perpdesk.sandbox.wire.lighter.accounts import OrderRecord, Refused, WireAccount
from perpdesk.sandbox.wire.lighter.encode import MARGIN_FRACTION_ONE, Json, encode_json
from perpdesk.sandbox.wire.lighter.objects import status_text
from perpdesk.sandbox.wire.lighter.state import REASONS_WITH_RECORD, LighterState, TxRecord
from perpdesk.sandbox.wire.lighter.transactions import (
    CANCEL_ABORT,
    CANCEL_SCHEDULED,
    CancelAll,
    CancelOrder,
    CheckedTx,
    CreateOrder,
    ModifyOrder,
    UpdateLeverage,
    check,
)

TXS_MAX = 10_000
BATCH_MAX = 50
SOCKET_BATCH_MAX = 15
QUOTA_START = 1_000
QUOTA_USD = 7
"""Premium accounts start with QUOTA_START transactions and earn one per this many dollars traded."""

_ERRORS = {
    Reason.MARGIN: "not enough margin to create the order",
    Reason.REDUCE_ONLY: "reduce only order would increase the position",
    Reason.MARKET_CLOSED: "market is not active",
    Reason.DUPLICATE_CLIENT_ID: "client order index already exists",
    Reason.TICK: "invalid price",
    Reason.LOT: "invalid base amount",
    Reason.SIZE_MIN: "invalid order base or quote amount",
    Reason.NOTIONAL_MIN: "invalid order base or quote amount",
}
_TIF_CODES = {TimeInForce.IOC: 0, TimeInForce.GTC: 1, TimeInForce.POST_ONLY: 2}


@dataclass(frozen=True, slots=True)
class Delays:
    """How long a transaction waits before it executes, by kind."""

    taker_ms: int
    maker_ms: int
    cancel_ms: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the API answers to an accepted transaction or batch."""

    hashes: list[str]
    executes_at_ms: int
    quota_remaining: int
    uses_quota: bool

    @property
    def message(self) -> str:
        used = "used volume quota" if self.uses_quota else "didn't use volume quota"
        return f'{{"ratelimit": "{used}"}}'


TxHash = Callable[[int, str], str]
"""(transaction type, `tx_info` as received) -> 80 hex digits."""


def digest_of(tx_type: int, text: str) -> str:
    """Stands in for the venue's own hash, which is a field-arithmetic one that a client's signer knows beforehand."""
    return hashlib.sha512(f"{tx_type}:{text}".encode()).hexdigest()[:80]


class _Failed(Exception):
    """The sequencer refuses; the text goes into the transaction's event."""


class Sequencer:
    """Accepts, queues and executes transactions; remembers the latest TXS_MAX of them."""

    def __init__(self, state: LighterState, delays: Delays, tx_hash: TxHash = digest_of) -> None:
        self._state = state
        self._tx_hash = tx_hash
        self._delays = delays
        self._queues: dict[int, deque[tuple[CheckedTx, TxRecord]]] = {}
        self._busy_until_ms: dict[int, int] = {}
        self._by_hash: dict[str, TxRecord] = {}
        self._sequence = 0

    # Accepting ------------------------------------------------------------------------------------------------------

    def accept(self, tx_type: int, text: str) -> Accepted:
        """Check one transaction and queue it; Refused leaves everything as it was."""
        return self._enqueue([check(self._state, tx_type, text)])

    def accept_batch(self, tx_types: Sequence[int], texts: Sequence[str], limit: int = BATCH_MAX) -> Accepted:
        """All or none: of one account and key, nonces following each other."""
        if len(tx_types) != len(texts) or not texts:
            raise Refused(21513, "tx types and tx infos must be of the same length")
        if len(texts) > limit:
            raise Refused(21514, f"at most {limit} transactions per batch")
        checked: list[CheckedTx] = []
        nonces: dict[tuple[int, int], int] = {}
        clients: set[int] = set()
        for tx_type, text in zip(tx_types, texts, strict=True):
            try:
                tx = check(self._state, tx_type, text, nonces, clients)
            except Refused as refused:
                if refused.code == 21104 and checked:
                    raise Refused(21105, "nonces of a batch must be increasing by one") from refused
                raise
            if checked and tx.key is not checked[0].key:
                raise Refused(21121, "transactions of a batch must be of one account and api key")
            nonces[(tx.account.index, tx.key_index)] = tx.nonce + 1
            if isinstance(tx.action, CreateOrder) and tx.action.client_index:
                clients.add(tx.action.client_index)
            checked.append(tx)
        return self._enqueue(checked)

    def _enqueue(self, checked: Sequence[CheckedTx]) -> Accepted:
        account = checked[0].account
        hashes, at_ms, uses_quota = [], 0, False
        for tx in checked:
            record = self._record(tx)
            tx.key.nonce = tx.nonce + 1
            if isinstance(tx.action, CreateOrder) and tx.action.client_index:
                account.queued_clients.add(tx.action.client_index)
            uses_quota |= self._use_quota(tx)
            at_ms = self._schedule(tx, record)
            hashes.append(record.tx_hash)
        return Accepted(hashes, at_ms, self._quota(account), uses_quota)

    def _record(self, tx: CheckedTx) -> TxRecord:
        self._sequence += 1
        digest = self._tx_hash(tx.tx_type, tx.text)
        record = TxRecord(
            digest,
            tx.tx_type,
            tx.text,
            tx.account.index,
            tx.key_index,
            tx.nonce,
            tx.expires_at_ms,
            self._state.clock.wall_ms(),
            self._sequence,
        )
        self._by_hash[digest] = record
        if len(self._by_hash) > TXS_MAX:
            del self._by_hash[next(iter(self._by_hash))]
        return record

    def _schedule(self, tx: CheckedTx, record: TxRecord) -> int:
        """Queue behind the account's earlier ones; returns when it will execute."""
        now_ms = self._state.clock.wall_ms()
        index = tx.account.index
        at_ms = max(now_ms + self._delay_ms(tx), self._busy_until_ms.get(index, 0))
        self._busy_until_ms[index] = at_ms
        self._queues.setdefault(index, deque()).append((tx, record))
        self._state.clock.call_later_ms(at_ms - now_ms, lambda: self._execute_next(index))
        return at_ms

    def _delay_ms(self, tx: CheckedTx) -> int:
        action = tx.action
        if isinstance(action, CreateOrder):
            return self._delays.taker_ms if self._takes(action) else self._delays.maker_ms
        return self._delays.maker_ms if isinstance(action, ModifyOrder) else self._delays.cancel_ms

    def _takes(self, order: CreateOrder) -> bool:
        """Whether it would trade on arrival, as the book stands when it is accepted."""
        if order.time_in_force is not TimeInForce.GTC:
            return order.time_in_force is TimeInForce.IOC
        bids, asks = self._state.exchange.book(order.symbol, 1)
        if order.side is Side.BUY:
            return bool(asks) and order.limit_price >= asks[0][0]
        return bool(bids) and order.limit_price <= bids[0][0]

    # Quota: counted and shown, not enforced ----------------------------------------------------------------------------

    def _use_quota(self, tx: CheckedTx) -> bool:
        held = self._state.exchange.account(tx.account.account_id)
        is_counted = (
            held is not None
            and held.fee_tier == "premium"
            and isinstance(tx.action, CreateOrder | ModifyOrder | CancelAll)
        )
        tx.account.quota_used += is_counted
        return is_counted

    def _quota(self, account: WireAccount) -> int:
        return max(0, QUOTA_START + int(account.traded_usd / QUOTA_USD) - account.quota_used)

    # Looking up ---------------------------------------------------------------------------------------------------------

    def by_hash(self, tx_hash: str) -> TxRecord | None:
        return self._by_hash.get(tx_hash)

    def by_sequence(self, sequence_index: int) -> TxRecord | None:
        return next((tx for tx in self._by_hash.values() if tx.sequence_index == sequence_index), None)

    def latest(self, account_index: int, count: int) -> list[TxRecord]:
        """Newest first."""
        found: list[TxRecord] = []
        for tx in reversed(self._by_hash.values()):
            if len(found) == count:
                break
            if tx.account_index == account_index:
                found.append(tx)
        return found

    # Executing ------------------------------------------------------------------------------------------------------

    def _execute_next(self, account_index: int) -> None:
        """Run the account's oldest queued transaction: one timer per transaction, so ties can not swap two."""
        tx, record = self._queues[account_index].popleft()
        try:
            event = self._execute(tx.account, tx.action)
            record.status = 2
        except _Failed as failed:
            event = {"ae": encode_json({"message": str(failed)}).decode()}
            record.status = 0
        record.event_info = encode_json(event).decode()
        record.executed_at_ms = self._state.clock.wall_ms()
        record.block_height = self._state.height
        if self._state.news is not None:
            self._state.news.on_account_tx(tx.account, record)

    def _execute(self, account: WireAccount, action: object) -> Json:
        if isinstance(action, CreateOrder):
            return self._create(account, action)
        if isinstance(action, CancelOrder):
            return self._cancel(account, action)
        if isinstance(action, CancelAll):
            return self._cancel_all(account, action)
        if isinstance(action, ModifyOrder):
            return self._modify(account, action)
        if isinstance(action, UpdateLeverage):
            return self._set_leverage(account, action)
        raise TypeError(f"no execution for {type(action).__name__}")

    def _create(self, account: WireAccount, action: CreateOrder) -> Json:
        account.queued_clients.discard(action.client_index)
        new = NewOrder(
            account.account_id,
            action.symbol,
            action.side,
            action.size,
            action.limit_price,
            action.time_in_force,
            action.is_reduce_only,
            str(action.client_index) if action.client_index else None,
            action.expires_at_ms,
        )
        with self._state.placing(action.is_market):
            order = self._state.exchange.submit(new)
        if order.status is SimStatus.REJECTED and order.reason not in REASONS_WITH_RECORD:
            raise _Failed(_ERRORS.get(order.reason, "order is not allowed"))
        return self._order_event(account, order)

    def _order_event(self, account: WireAccount, order: SimOrder) -> Json:
        record = self._state.records[order.order_id]
        scale = self._state.scale(order.symbol)
        return {
            "a": account.index,
            "i": record.order_index,
            "u": record.client_index,
            "is": scale.size_lots(record.size),
            "p": scale.price_ticks(order.limit_price),
            "rs": scale.size_lots(record.size - record.filled) if record.is_open else 0,
            "ia": 1 if order.side is Side.SELL else 0,
            "ot": 1 if record.is_market else 0,
            "f": _TIF_CODES.get(order.time_in_force, 0),
            "ro": int(order.is_reduce_only),
            "tp": 0,
            "e": order.expires_at_ms or 0,
            "st": status_text(record),
            "ts": 0,
            "t0": 0,
            "t1": 0,
            "c0": 0,
        }

    def _open_record(self, account: WireAccount, index: int) -> OrderRecord:
        record = account.find(index)
        if record is None or not record.is_open:
            raise _Failed("order is not active")
        return record

    def _cancel(self, account: WireAccount, action: CancelOrder) -> Json:
        record = self._open_record(account, action.index)
        self._state.exchange.cancel(account.account_id, record.order.order_id)
        return self._order_event(account, record.order)

    def _cancel_all(self, account: WireAccount, action: CancelAll) -> Json:
        if action.mode in (CANCEL_SCHEDULED, CANCEL_ABORT):
            self._disarm(account)
            if action.mode == CANCEL_SCHEDULED:
                self._arm(account, action)
        else:
            self._cancel_orders(account, action.symbol)
        return {"a": account.index}

    def _arm(self, account: WireAccount, action: CancelAll) -> None:
        def due() -> None:
            self._disarm(account)
            self._cancel_orders(account, action.symbol)

        clock = self._state.clock
        account.cancel_all_at_ms = action.at_ms
        account.cancel_all_timer = clock.call_later_ms(action.at_ms - clock.wall_ms(), due)

    def _disarm(self, account: WireAccount) -> None:
        if account.cancel_all_timer is not None:
            account.cancel_all_timer.cancel()
        account.cancel_all_timer, account.cancel_all_at_ms = None, 0

    def _cancel_orders(self, account: WireAccount, symbol: str | None) -> None:
        for order in self._state.exchange.resting_orders(account.account_id, symbol):
            self._state.exchange.cancel(account.account_id, order.order_id)

    def _modify(self, account: WireAccount, action: ModifyOrder) -> Json:
        """Replace the exchange order behind the record. Queue priority is lost, also on a decrease."""
        record = self._open_record(account, action.index)
        old = record.order
        left = action.size - record.filled_before - old.filled
        if left <= 0:
            raise _Failed("new base amount is not above what is filled")
        new = NewOrder(
            account.account_id,
            old.symbol,
            old.side,
            left,
            action.limit_price,
            old.time_in_force,
            old.is_reduce_only,
            None,
            old.expires_at_ms,
        )
        with self._state.replacing(record):
            self._state.exchange.cancel(account.account_id, old.order_id)
            self._state.exchange.submit(new)
        return self._order_event(account, record.order)

    def _set_leverage(self, account: WireAccount, action: UpdateLeverage) -> Json:
        leverage = int(Decimal(MARGIN_FRACTION_ONE) / action.fraction)
        if not self._state.exchange.set_leverage(account.account_id, action.symbol, leverage):
            raise _Failed("not enough margin for the new initial margin fraction")
        account.margin_fractions[action.symbol] = action.fraction
        if self._state.news is not None:
            self._state.news.on_account_settings(account, action.symbol)
        return {"a": account.index, "m": self._state.market_index(action.symbol), "imf": action.fraction}
