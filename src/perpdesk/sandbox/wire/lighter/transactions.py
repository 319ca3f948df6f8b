"""Transactions as the API receives them: every check that comes before a nonce is consumed.

Source: the venue's transaction reference, its signer's field order and its error list, read 2026-11. Signatures are
checked for form only; the key must be registered and the nonce exact.
"""

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import ListedMarket
from perpdesk.sandbox.wire.lighter.accounts import ApiKey, OrderRecord, Refused, WireAccount
from perpdesk.sandbox.wire.lighter.encode import (
    MARGIN_FRACTION_ONE,
    ORDER_INDEX_BASE,
    ORDER_QUOTE_LIMIT_USD,
    Json,
    margin_fraction,
)
from perpdesk.sandbox.wire.lighter.state import LighterState

CREATE_ORDER, CANCEL_ORDER, CANCEL_ALL, MODIFY_ORDER, UPDATE_LEVERAGE = 14, 15, 16, 17, 20
LIMIT, MARKET = 0, 1
TRIGGER_TYPES = range(2, 7)
IOC, GOOD_TILL_TIME, POST_ONLY = 0, 1, 2
TIFS = {IOC: TimeInForce.IOC, GOOD_TILL_TIME: TimeInForce.GTC, POST_ONLY: TimeInForce.POST_ONLY}
CANCEL_NOW, CANCEL_SCHEDULED, CANCEL_ABORT = 0, 1, 2
ALL_MARKETS = 255
CROSS, ISOLATED = 0, 1

SIGNATURE_BYTES = 80
ORDER_LIFE_MIN_MS, ORDER_LIFE_MAX_MS = 5 * 60_000, 30 * 86_400_000
SCHEDULE_MIN_MS, SCHEDULE_MAX_MS = 5 * 60_000, 15 * 86_400_000
OPEN_ORDERS_MAX = 1_500
"""Active orders per account."""

MARKET_ORDERS_MAX = 1_000
"""Active orders per account and market."""

SKIP_NONCE, CANCEL_ALL_MARKET = "4", "5"
"""Keys of `L2TxAttributes`."""


@dataclass(frozen=True, slots=True)
class CreateOrder:
    """Type 14, checked and in contract units."""

    symbol: str
    side: Side
    size: Decimal
    limit_price: Decimal
    time_in_force: TimeInForce
    is_market: bool
    is_reduce_only: bool
    client_index: int
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Type 15: by client order index below 2^48, by order index above."""

    symbol: str
    index: int


@dataclass(frozen=True, slots=True)
class CancelAll:
    """Type 16. symbol: None for every market. at_ms: 0 unless scheduled."""

    mode: int
    at_ms: int
    symbol: str | None


@dataclass(frozen=True, slots=True)
class ModifyOrder:
    """Type 17; `size` is the order's new total."""

    symbol: str
    index: int
    size: Decimal
    limit_price: Decimal


@dataclass(frozen=True, slots=True)
class UpdateLeverage:
    """Type 20; `fraction` is the initial margin fraction in 1e-4."""

    symbol: str
    fraction: int


Action = CreateOrder | CancelOrder | CancelAll | ModifyOrder | UpdateLeverage


@dataclass(frozen=True, slots=True)
class CheckedTx:
    """A transaction that passed every check. text: `tx_info` as received."""

    tx_type: int
    text: str
    account: WireAccount
    key: ApiKey
    key_index: int
    nonce: int
    expires_at_ms: int
    action: Action


def parse_info(text: str) -> Json:
    """`tx_info` as an object; Refused 21501 when it is none."""
    try:
        info = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Refused(21501, "invalid tx info") from error
    if not isinstance(info, dict):
        raise Refused(21501, "invalid tx info")
    return info


def check(
    state: LighterState,
    tx_type: int,
    text: str,
    nonces: dict[tuple[int, int], int] | None = None,
    clients_in_batch: Collection[int] = (),
) -> CheckedTx:
    """All checks of one transaction. Raises Refused with the venue's code; nothing has changed then.

    Args:
        nonces: Expected nonce by (account, key) where a batch is already ahead of the registered one.
        clients_in_batch: Client order indices of creates earlier in the same batch.
    """
    info = parse_info(text)
    account = _account(state, info)
    key_index = _integer(info, "ApiKeyIndex", 0, 254, 21110, "invalid api key index")
    key = account.keys.get(key_index)
    if key is None:
        raise Refused(21109, "api key not found")
    expires_at_ms = _integer(info, "ExpiredAt", 0, (1 << 53), 21501, "invalid expired at")
    if expires_at_ms <= state.clock.wall_ms():
        raise Refused(21501, "transaction has expired")
    _check_signature(info.get("Sig"))
    attributes = _attributes(info)
    nonce = _integer(info, "Nonce", 0, (1 << 48) - 1, 21104, "invalid nonce")
    expected = (nonces or {}).get((account.index, key_index), key.nonce)
    if nonce != expected and not (attributes.get(SKIP_NONCE) == 1 and nonce > expected):
        raise Refused(21104, "invalid nonce")
    action = _action(state, account, tx_type, info, attributes, clients_in_batch)
    return CheckedTx(tx_type, text, account, key, key_index, nonce, expires_at_ms, action)


def _account(state: LighterState, info: Json) -> WireAccount:
    index = _integer(info, "AccountIndex", 0, ORDER_INDEX_BASE - 1, 21102, "invalid account index")
    return state.account(index)


def _integer(info: Json, name: str, low: int, high: int, code: int, message: str) -> int:
    value: Any = info.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(code, message)
    return value


def _check_signature(signature: object) -> None:
    try:
        raw = base64.b64decode(signature, validate=True) if isinstance(signature, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != SIGNATURE_BYTES:
        raise Refused(21120, "invalid signature")


def _attributes(info: Json) -> dict[str, int]:
    attributes = info.get("L2TxAttributes")
    if attributes is None:
        return {}
    if not isinstance(attributes, dict) or not all(isinstance(v, int) for v in attributes.values()):
        raise Refused(21501, "invalid tx info")
    return attributes


def _action(
    state: LighterState,
    account: WireAccount,
    tx_type: int,
    info: Json,
    attributes: dict[str, int],
    clients_in_batch: Collection[int],
) -> Action:
    if tx_type == CREATE_ORDER:
        return _create(state, account, info, clients_in_batch)
    if tx_type == CANCEL_ORDER:
        return _cancel(state, account, info, clients_in_batch)
    if tx_type == CANCEL_ALL:
        return _cancel_all(state, info, attributes)
    if tx_type == MODIFY_ORDER:
        return _modify(state, account, info)
    if tx_type == UPDATE_LEVERAGE:
        return _leverage(state, info)
    raise Refused(21505, f"transaction type {tx_type} is not supported")


# Create ---------------------------------------------------------------------------------------------------------------


def _create(state: LighterState, account: WireAccount, info: Json, clients_in_batch: Collection[int]) -> CreateOrder:
    market = _market(state, info)
    client = _integer(info, "ClientOrderIndex", 0, ORDER_INDEX_BASE - 1, 21727, "invalid client order index")
    size, price = _size_and_price(state, market, info)
    is_ask = _integer(info, "IsAsk", 0, 1, 21703, "invalid is ask")
    order_type = _order_type(info)
    tif = _integer(info, "TimeInForce", IOC, POST_ONLY, 21705, "invalid order time in force")
    if order_type == MARKET and tif != IOC:
        raise Refused(21705, "invalid order time in force")
    is_reduce_only = _integer(info, "ReduceOnly", 0, 1, 21740, "invalid reduce only mode") == 1
    order = CreateOrder(
        market.symbol,
        Side.SELL if is_ask else Side.BUY,
        size,
        price,
        TIFS[tif],
        order_type == MARKET,
        is_reduce_only,
        client,
        _expiry(state, info, tif),
    )
    _check_market_open(market, is_reduce_only)
    _check_client_is_new(state, account, client, clients_in_batch)
    _check_order_count(account, market.symbol)
    _check_minimums(state, account, market, order)
    if is_reduce_only:
        _check_reduces(state, account, order)
    else:
        _check_margin(state, account, order)
    return order


def _market(state: LighterState, info: Json) -> ListedMarket:
    return state.market(_integer(info, "MarketIndex", 0, 4_094, 21602, "invalid market index"))


def _size_and_price(state: LighterState, market: ListedMarket, info: Json) -> tuple[Decimal, Decimal]:
    scale = state.scale(market.symbol)
    lots = _integer(info, "BaseAmount", 1, (1 << 48) - 1, 21701, "invalid base amount")
    ticks = _integer(info, "Price", 1, (1 << 32) - 1, 21702, "invalid price")
    return scale.size_of(lots), scale.price_of(ticks)


def _order_type(info: Json) -> int:
    order_type = _integer(info, "Type", 0, 8, 21704, "invalid order type")
    if order_type in TRIGGER_TYPES:
        raise Refused(21505, "trigger and twap orders are not supported here; send a limit or market order")
    if order_type not in (LIMIT, MARKET):
        raise Refused(21704, "invalid order type")
    return order_type


def _expiry(state: LighterState, info: Json, tif: int) -> int | None:
    """Immediate orders carry none; resting ones 5 minutes to 30 days ahead."""
    expiry = _integer(info, "OrderExpiry", 0, (1 << 53), 21711, "invalid order expiry")
    if tif == IOC:
        if expiry:
            raise Refused(21711, "invalid order expiry")
        return None
    ahead_ms = expiry - state.clock.wall_ms()
    if not ORDER_LIFE_MIN_MS <= ahead_ms <= ORDER_LIFE_MAX_MS:
        raise Refused(21711, "invalid order expiry")
    return expiry


def _check_market_open(market: ListedMarket, is_reduce_only: bool) -> None:
    if not market.is_listed:
        raise Refused(21605, "market is not active")
    if market.is_reduce_only and not is_reduce_only:
        raise Refused(21605, "market is in reduce only mode")


def _check_client_is_new(
    state: LighterState, account: WireAccount, client: int, clients_in_batch: Collection[int]
) -> None:
    """The exchange never lets an index be used twice, so a closed order's index is a duplicate here too."""
    if client == 0:
        return
    is_used = (
        client in clients_in_batch
        or client in account.queued_clients
        or client in account.by_client
        or state.exchange.order_by_client_id(account.account_id, str(client)) is not None
    )
    if is_used:
        raise Refused(21728, "client order index already exists")


def _check_order_count(account: WireAccount, symbol: str) -> None:
    orders = account.open_orders
    if len(orders) >= OPEN_ORDERS_MAX:
        raise Refused(21717, "maximum active limit order count reached")
    if len(orders) >= MARKET_ORDERS_MAX:
        in_market = sum(1 for record in orders.values() if record.order.symbol == symbol)
        if in_market >= MARKET_ORDERS_MAX:
            raise Refused(21718, "maximum active limit order count per market reached")


def _held_size(state: LighterState, account: WireAccount, symbol: str) -> Decimal:
    held = state.exchange.account(account.account_id)
    position = held.positions.get(symbol) if held is not None else None
    return position.size if position is not None else ZERO


def _check_minimums(state: LighterState, account: WireAccount, market: ListedMarket, order: CreateOrder) -> None:
    notional = order.size * order.limit_price
    if notional > ORDER_QUOTE_LIMIT_USD:
        raise Refused(21706, "invalid order base or quote amount")
    if order.is_reduce_only:
        closes_all = order.size >= abs(_held_size(state, account, order.symbol))
        if closes_all or not state.exchange.rules.min_applies_to_reduce_only:
            return
    if order.size < market.size_min or notional < market.notional_min_usd:
        raise Refused(21706, "invalid order base or quote amount")


def _check_reduces(state: LighterState, account: WireAccount, order: CreateOrder) -> None:
    if _held_size(state, account, order.symbol) * order.side.sign >= 0:
        raise Refused(21732, "invalid reduce only order: it would increase the position")


def _check_margin(state: LighterState, account: WireAccount, order: CreateOrder) -> None:
    """Positions and resting orders with this one must be covered at the account's leverage; queued ones do not count yet."""
    exchange, account_id = state.exchange, account.account_id
    held = _held_size(state, account, order.symbol)
    waiting = {Side.BUY: ZERO, Side.SELL: ZERO}
    for resting in exchange.resting_orders(account_id, order.symbol):
        if not resting.is_reduce_only:
            waiting[resting.side] += resting.remaining
    before = max(abs(held), held + waiting[Side.BUY], waiting[Side.SELL] - held)
    waiting[order.side] += order.size
    added = max(abs(held), held + waiting[Side.BUY], waiting[Side.SELL] - held) - before
    if added <= 0:
        return
    added_usd = added * _mark_price(state, order.symbol) / _leverage_of(state, account, order.symbol)
    if exchange.initial_margin_usd(account_id) + added_usd > exchange.equity_usd(account_id):
        raise Refused(21739, "not enough margin to create the order")


def _leverage_of(state: LighterState, account: WireAccount, symbol: str) -> int:
    held = state.exchange.account(account.account_id)
    chosen = held.leverage.get(symbol) if held is not None else None
    return chosen or state.exchange.markets[symbol].default_leverage


def _mark_price(state: LighterState, symbol: str) -> Decimal:
    try:
        return state.exchange.mark_price(symbol)
    except KeyError as error:
        raise Refused(21605, "market has no price yet") from error


# Cancel, modify, leverage -----------------------------------------------------------------------------------------------


def _open_order(account: WireAccount, market: ListedMarket, index: int) -> OrderRecord | None:
    record = account.find(index)
    is_there = record is not None and record.is_open and record.order.symbol == market.symbol
    return record if is_there else None


def _cancel(state: LighterState, account: WireAccount, info: Json, clients_in_batch: Collection[int]) -> CancelOrder:
    market = _market(state, info)
    index = _integer(info, "Index", 1, (1 << 60), 21700, "invalid order index")
    is_coming = index in account.queued_clients or index in clients_in_batch
    if not is_coming and _open_order(account, market, index) is None:
        raise Refused(21600, "order is not active: given order is not an active limit order")
    return CancelOrder(market.symbol, index)


def _cancel_all(state: LighterState, info: Json, attributes: dict[str, int]) -> CancelAll:
    mode = _integer(info, "TimeInForce", CANCEL_NOW, CANCEL_ABORT, 21713, "invalid cancel all time in force")
    at_ms = _integer(info, "Time", 0, (1 << 53), 21714, "invalid cancel all time")
    if mode == CANCEL_SCHEDULED:
        if not SCHEDULE_MIN_MS <= at_ms - state.clock.wall_ms() <= SCHEDULE_MAX_MS:
            raise Refused(21714, "invalid cancel all time")
    elif at_ms:
        raise Refused(21714, "invalid cancel all time")
    market_index = attributes.get(CANCEL_ALL_MARKET, ALL_MARKETS)
    return CancelAll(mode, at_ms, None if market_index == ALL_MARKETS else state.market(market_index).symbol)


def _modify(state: LighterState, account: WireAccount, info: Json) -> ModifyOrder:
    market = _market(state, info)
    index = _integer(info, "Index", 1, (1 << 60), 21700, "invalid order index")
    size, price = _size_and_price(state, market, info)
    if info.get("TriggerPrice") != 0:
        raise Refused(21505, "trigger orders are not supported here")
    record = _open_order(account, market, index)
    if record is None:
        raise Refused(21709, "order is inactive")
    if size < market.size_min or not market.notional_min_usd <= size * price <= ORDER_QUOTE_LIMIT_USD:
        raise Refused(21706, "invalid order base or quote amount")
    return ModifyOrder(market.symbol, index, size, price)


def _leverage(state: LighterState, info: Json) -> UpdateLeverage:
    market = _market(state, info)
    least = margin_fraction(market.leverage_max)
    fraction = _integer(
        info, "InitialMarginFraction", least, MARGIN_FRACTION_ONE, 21113, "invalid initial margin fraction"
    )
    mode = _integer(info, "MarginMode", CROSS, ISOLATED, 21613, "invalid margin mode")
    if mode == ISOLATED:
        raise Refused(21613, "isolated margin is not supported here; use cross")
    return UpdateLeverage(market.symbol, fraction)
