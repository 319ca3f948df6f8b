"""The objects that several endpoints and streams share: orders, trades, funding payments, transactions, notices."""

from collections.abc import Iterable
from decimal import Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import AMBIENT, Reason, SimFill, SimFunding, SimStatus
from perpdesk.sandbox.wire.lighter.accounts import OrderRecord, WireAccount
from perpdesk.sandbox.wire.lighter.encode import (
    Json,
    signed_percent_text,
    usd_text,
)
from perpdesk.sandbox.wire.lighter.state import LighterState, TxRecord, height_at
from perpdesk.sandbox.wire.lighter.tape import TradeRecord

FEE_TICK = Decimal("0.000001")
"""Fees on the wire are whole ticks of this fraction of notional."""

TIF_TEXTS = {
    TimeInForce.IOC: "immediate-or-cancel",
    TimeInForce.GTC: "good-till-time",
    TimeInForce.POST_ONLY: "post-only",
    TimeInForce.FOK: "Unknown",
}
_ENDED_TEXTS = {
    Reason.POST_ONLY_CROSS: "canceled-post-only",
    Reason.REDUCE_ONLY: "canceled-reduce-only",
    Reason.MARGIN: "canceled-margin-not-allowed",
    Reason.IOC_NO_MATCH: "canceled-not-enough-liquidity",
    Reason.FOK_NOT_FILLED: "canceled-not-enough-liquidity",
    Reason.SELF_TRADE: "canceled-self-trade",
    Reason.EXPIRED: "canceled-expired",
    Reason.LIQUIDATION: "canceled-liquidation",
}


def fee_ticks(rate: Decimal) -> int:
    """A fee rate (fraction of notional) as the wire counts it."""
    return int((rate / FEE_TICK).to_integral_value())


def status_text(record: OrderRecord) -> str:
    """The venue has no "rejected": whatever did not fill is cancelled, with the reason as suffix."""
    order = record.order
    if order.status is SimStatus.RESTING:
        return "open"
    if record.is_ghost:
        return "canceled"
    if order.status is SimStatus.FILLED:
        return "filled"
    return _ENDED_TEXTS.get(order.reason, "canceled")


def order_object(state: LighterState, record: OrderRecord) -> Json:
    order, scale = record.order, state.scale(record.order.symbol)
    is_ask = order.side is Side.SELL
    changed_at_ms = order.changed_at_ms or order.placed_at_ms
    remaining = record.size - record.filled if record.is_open else ZERO
    return {
        "order_index": record.order_index,
        "client_order_index": record.client_index,
        "order_id": str(record.order_index),
        "client_order_id": str(record.client_index),
        "market_index": state.market_index(order.symbol),
        "owner_account_index": state.account_index(order.account_id),
        "initial_base_amount": scale.size(record.size),
        "price": scale.price(order.limit_price),
        "nonce": record.number,
        "remaining_base_amount": scale.size(remaining),
        "is_ask": is_ask,
        "base_size": scale.size_lots(record.size),
        "base_price": scale.price_ticks(order.limit_price),
        "filled_base_amount": scale.size(record.filled),
        "filled_quote_amount": usd_text(record.filled_quote),
        "side": "sell" if is_ask else "buy",
        "type": _type_text(record),
        "time_in_force": TIF_TEXTS[order.time_in_force],
        "reduce_only": order.is_reduce_only,
        "trigger_price": scale.price(ZERO),
        "order_expiry": order.expires_at_ms or 0,
        "status": status_text(record),
        "trigger_status": "na",
        "trigger_time": 0,
        "parent_order_index": 0,
        "parent_order_id": "0",
        "to_trigger_order_id_0": "0",
        "to_trigger_order_id_1": "0",
        "to_cancel_order_id_0": "0",
        "integrator_fee_collector_index": "0",
        "integrator_taker_fee": "0",
        "integrator_maker_fee": "0",
        "block_height": height_at(changed_at_ms),
        "timestamp": changed_at_ms,
        "created_at": record.created_at_ms,
        "updated_at": changed_at_ms,
        "transaction_time": changed_at_ms * 1000,
    }


def _type_text(record: OrderRecord) -> str:
    order = record.order
    if order.reason is Reason.LIQUIDATION and order.status is SimStatus.FILLED:
        return "liquidation"
    return "market" if record.is_market else "limit"


def orders_by_market(state: LighterState, records: Iterable[OrderRecord]) -> dict[str, list[Json]]:
    """By market id as text, in the order given."""
    grouped: dict[str, list[Json]] = {}
    for record in records:
        index = state.market_index(record.order.symbol)
        grouped.setdefault(str(index), []).append(order_object(state, record))
    return grouped


def trade_object(state: LighterState, record: TradeRecord) -> Json:
    trade, scale = record.trade, state.scale(record.trade.symbol)
    taker_sells = trade.taker_side is Side.SELL
    taker_order = state.order_index(trade.taker_order_id, trade, trade.taker_account)
    maker_order = state.order_index(trade.maker_order_id, trade, trade.maker_account)
    if taker_order == maker_order:
        maker_order += 1
    taker_client = _client(state, trade.taker_account, trade.taker_order_id, record.taker_fill)
    maker_client = _client(state, trade.maker_account, trade.maker_order_id, record.maker_fill)
    ask_id, bid_id = (taker_order, maker_order) if taker_sells else (maker_order, taker_order)
    ask_client, bid_client = (taker_client, maker_client) if taker_sells else (maker_client, taker_client)
    ask = trade.seller
    return {
        "trade_id": trade.trade_id,
        "trade_id_str": str(trade.trade_id),
        "tx_hash": format(trade.trade_id, "080x"),
        "type": "liquidation" if trade.is_liquidation else "trade",
        "market_id": state.market_index(trade.symbol),
        "size": scale.size(trade.size),
        "price": scale.price(trade.price),
        "usd_amount": usd_text(trade.price * trade.size),
        "ask_id": ask_id,
        "ask_id_str": str(ask_id),
        "bid_id": bid_id,
        "bid_id_str": str(bid_id),
        "ask_client_id": ask_client,
        "ask_client_id_str": str(ask_client),
        "bid_client_id": bid_client,
        "bid_client_id_str": str(bid_client),
        "ask_account_id": state.account_index(ask),
        "bid_account_id": state.account_index(trade.buyer),
        "is_maker_ask": not taker_sells,
        "block_height": height_at(trade.at_ms),
        "timestamp": trade.at_ms,
        "transaction_time": trade.at_ms * 1000,
        **_side_before(state, "taker", record.taker_fill),
        **_side_before(state, "maker", record.maker_fill),
    }


def _client(state: LighterState, account_id: str, order_id: int, fill: SimFill | None) -> int:
    return 0 if account_id == AMBIENT else state.client_index(order_id, fill)


def _side_before(state: LighterState, role: str, fill: SimFill | None) -> Json:
    """Fee rate in ticks, omitted when zero, and the position before; nothing for anonymous liquidity."""
    if fill is None:
        return {}
    after = fill.size_before + fill.side.sign * fill.trade.size
    shown: Json = {
        f"{role}_position_size_before": state.scale(fill.trade.symbol).size(fill.size_before),
        f"{role}_position_sign_changed": after * fill.size_before <= 0,
    }
    ticks = fee_ticks(fill.fee_rate)
    if ticks:
        shown[f"{role}_fee"] = ticks
    return shown


def trades_by_market(state: LighterState, records: Iterable[TradeRecord]) -> dict[str, list[Json]]:
    grouped: dict[str, list[Json]] = {}
    for record in records:
        index = state.market_index(record.trade.symbol)
        grouped.setdefault(str(index), []).append(trade_object(state, record))
    return grouped


def funding_object(state: LighterState, funding: SimFunding) -> Json:
    """One payment: `change` is the effect on collateral, `rate` percent per hour, `timestamp` seconds."""
    return {
        "timestamp": funding.at_ms // 1000,
        "market_id": state.market_index(funding.symbol),
        "funding_id": funding.funding_id,
        "change": usd_text(funding.usd),
        "rate": signed_percent_text(funding.rate),
        "position_size": state.scale(funding.symbol).size(abs(funding.size)),
        "position_side": "long" if funding.size >= 0 else "short",
        "discount": "0",
    }


def fundings_by_market(state: LighterState, fundings: Iterable[SimFunding]) -> dict[str, list[Json]]:
    grouped: dict[str, list[Json]] = {}
    for funding in fundings:
        index = state.market_index(funding.symbol)
        grouped.setdefault(str(index), []).append(funding_object(state, funding))
    return grouped


def tx_object(state: LighterState, tx: TxRecord) -> Json:
    account = state.accounts[str(tx.account_index)]
    return {
        "hash": tx.tx_hash,
        "type": tx.tx_type,
        "info": tx.info,
        "event_info": tx.event_info,
        "status": tx.status,
        "transaction_index": 0,
        "l1_address": account.l1_address,
        "account_index": tx.account_index,
        "nonce": tx.nonce,
        "expire_at": tx.expires_at_ms,
        "block_height": tx.block_height,
        "queued_at": tx.queued_at_ms,
        "executed_at": tx.executed_at_ms,
        "sequence_index": tx.sequence_index,
        "parent_hash": "",
        "api_key_index": tx.api_key_index,
        "transaction_time": (tx.executed_at_ms or tx.queued_at_ms) * 1000,
    }


def liquidation_notice(state: LighterState, account: WireAccount, record: TradeRecord) -> Json:
    trade = record.trade
    scale = state.scale(trade.symbol)
    stamp = str(trade.at_ms)
    return {
        "id": f"liquidation-{trade.trade_id}",
        "created_at": stamp,
        "updated_at": stamp,
        "kind": "liquidation",
        "account_index": account.index,
        "content": {
            "id": str(trade.trade_id),
            "is_ask": trade.seller == account.account_id,
            "usdc_amount": usd_text(trade.price * trade.size),
            "size": scale.size(trade.size),
            "market_index": state.market_index(trade.symbol),
            "price": scale.price(trade.price),
            "timestamp": trade.at_ms,
            "avg_price": scale.price(trade.price),
        },
        "ack": False,
        "acked_at": None,
    }
