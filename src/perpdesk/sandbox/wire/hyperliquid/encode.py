"""How the venue writes its numbers and rows; nothing here decides anything.

Numbers are decimal strings with at least one digit after the point ("1.0", "0.21941"), ids and times JSON numbers. Money is
rounded to 6 decimals, rates, returns and liquidation prices to 10, prices of positions and contexts to 6 less the market's size
decimals, as in the responses recorded in 2025-11. Key order follows those responses too.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import (
    AMBIENT,
    ListedMarket,
    Reason,
    SimFill,
    SimFunding,
    SimOrder,
    SimStatus,
    SimTrade,
)

Row = dict[str, Any]
"""One JSON object of the wire."""

BookSide = Sequence[tuple[Decimal, Decimal, int]]
"""(price, size, number of orders), best first."""

AMBIENT_ADDRESS = "0xa3b1e100000000000000000000000000000a3b1e"
"""Address under which the exchange's anonymous counterparty trades."""

ZERO_HASH = "0x" + "0" * 64
MONEY_PLACES = 6
RATE_PLACES = 10
USDC = "USDC"

_TID_BITS = 50
_TID_FACTOR = 0x2545F4914F6CD  # odd, so multiplying by it permutes the 50-bit numbers: ids look hashed and stay unique

_TIFS = {
    TimeInForce.GTC: "Gtc",
    TimeInForce.IOC: "Ioc",
    TimeInForce.FOK: "Ioc",
    TimeInForce.POST_ONLY: "Alo",
}

_CANCELED = {
    Reason.SELF_TRADE: "selfTradeCanceled",
    Reason.REDUCE_ONLY: "reduceOnlyCanceled",
    Reason.LIQUIDATION: "liquidatedCanceled",
    Reason.MARGIN: "marginCanceled",
    Reason.MARKET_CLOSED: "delistedCanceled",
    Reason.EXPIRED: "scheduledCancel",  # no order of this venue expires; only the dead man's switch uses the reason
}

_REJECTED = {
    Reason.TICK: "tickRejected",
    Reason.NOTIONAL_MIN: "minTradeNtlRejected",
    Reason.MARGIN: "perpMarginRejected",
    Reason.REDUCE_ONLY: "reduceOnlyRejected",
    Reason.POST_ONLY_CROSS: "badAloPxRejected",
    Reason.IOC_NO_MATCH: "iocCancelRejected",
}


def decimal_text(value: Decimal) -> str:
    """`value` as the venue writes it: no exponent, no trailing zeros but one digit after the point."""
    if not value:
        return "0.0"
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if "." not in text:
        return text + ".0"
    text = text.rstrip("0")
    return text + "0" if text[-1] == "." else text


def rounded_text(value: Decimal, places: int) -> str:
    """`value` rounded half-even to `places` decimals, as the venue writes it."""
    return decimal_text(round(value, places))


def money_text(value: Decimal) -> str:
    """An amount of USDC."""
    return rounded_text(value, MONEY_PLACES)


def size_decimals(market: ListedMarket) -> int:
    """The venue's szDecimals: decimals of one lot."""
    exponent = market.lot.normalize().as_tuple().exponent
    return max(-int(exponent), 0)


def price_places(market: ListedMarket) -> int:
    """Most decimals of a perpetual's price: 6 less the size decimals."""
    return max(6 - size_decimals(market), 0)


def address_of(account_id: str) -> str:
    """The wire's name of an exchange account."""
    return AMBIENT_ADDRESS if account_id == AMBIENT else account_id


def side_letter(side: Side) -> str:
    return "B" if side is Side.BUY else "A"


def trade_tid(trade_id: int) -> int:
    """A 50-bit number that is the same on both sides and different for every trade."""
    return trade_id * _TID_FACTOR % (1 << _TID_BITS)


def levels_json(side: BookSide) -> str:
    """One side of a book; written by hand because book frames are the bulk of what a simulated month encodes."""
    return ",".join(f'{{"px":"{decimal_text(p)}","sz":"{decimal_text(s)}","n":{n}}}' for p, s, n in side)


def book_json(coin: str, at_ms: int, bids: BookSide, asks: BookSide) -> str:
    """An l2Book object."""
    return f'{{"coin":"{coin}","time":{at_ms},"levels":[[{levels_json(bids)}],[{levels_json(asks)}]]}}'


def book_frame(coin: str, at_ms: int, bids: BookSide, asks: BookSide) -> bytes:
    """An l2Book message."""
    return f'{{"channel":"l2Book","data":{book_json(coin, at_ms, bids, asks)}}}'.encode()


def bbo_json(bids: BookSide, asks: BookSide) -> str:
    """The two best levels, null for an empty side."""
    return f"[{levels_json(bids[:1]) or 'null'},{levels_json(asks[:1]) or 'null'}]"


def trade_row(trade: SimTrade, tx_hash: str) -> Row:
    return {
        "coin": trade.symbol,
        "side": side_letter(trade.taker_side),
        "px": decimal_text(trade.price),
        "sz": decimal_text(trade.size),
        "time": trade.at_ms,
        "hash": tx_hash,
        "tid": trade_tid(trade.trade_id),
        "users": [address_of(trade.buyer), address_of(trade.seller)],
    }


def fill_direction(fill: SimFill) -> str:
    """The `dir` label; flips name both sides, and a liquidated taker's own fill says so."""
    before = fill.size_before
    after = before + fill.trade.size * fill.side.sign
    if fill.trade.is_liquidation and not fill.is_maker:
        return "Liquidated Cross Long" if before > 0 else "Liquidated Cross Short"
    if before * after < 0:
        return "Long > Short" if before > 0 else "Short > Long"
    is_opening = abs(after) > abs(before)
    is_long = (after if is_opening else before) > 0
    return f"{'Open' if is_opening else 'Close'} {'Long' if is_long else 'Short'}"


def fill_row(fill: SimFill, tx_hash: str, liquidation_mark: Decimal | None = None) -> Row:
    """One account's fill. `liquidation_mark`: the mark price at a liquidation's trade, which both sides' fills carry."""
    trade = fill.trade
    row: Row = {
        "coin": trade.symbol,
        "px": decimal_text(trade.price),
        "sz": decimal_text(trade.size),
        "side": side_letter(fill.side),
        "time": trade.at_ms,
        "startPosition": decimal_text(fill.size_before),
        "dir": fill_direction(fill),
        "closedPnl": money_text(fill.closed_pnl_usd),
        "hash": tx_hash,
        "oid": fill.order_id,
        "crossed": not fill.is_maker,
        "fee": money_text(fill.fee_usd),
        "tid": trade_tid(trade.trade_id),
    }
    if fill.client_id is not None:
        row["cloid"] = fill.client_id
    row |= {"feeToken": USDC, "twapId": None}
    if trade.is_liquidation and liquidation_mark is not None:
        is_takeover = trade.maker_account == AMBIENT and fill.fee_rate == ZERO  # only the venue's own takeover is free
        row["liquidation"] = {
            "liquidatedUser": address_of(trade.taker_account),
            "markPx": decimal_text(liquidation_mark),
            "method": "backstop" if is_takeover else "market",
        }
    return row


def order_row(order: SimOrder) -> Row:
    """An order as `openOrders` and `orderUpdates` write it; optional keys are absent, not null or false."""
    row: Row = {
        "coin": order.symbol,
        "side": side_letter(order.side),
        "limitPx": decimal_text(order.limit_price),
        "sz": decimal_text(order.remaining),
        "oid": order.order_id,
        "timestamp": order.placed_at_ms,
        "origSz": decimal_text(order.size),
    }
    if order.client_id is not None:
        row["cloid"] = order.client_id
    if order.is_reduce_only:
        row["reduceOnly"] = True
    return row


def frontend_order_row(order: SimOrder, is_market: bool = False) -> Row:
    """An order as `frontendOpenOrders`, `orderStatus` and `historicalOrders` write it."""
    return {
        "coin": order.symbol,
        "side": side_letter(order.side),
        "limitPx": decimal_text(order.limit_price),
        "sz": decimal_text(order.remaining),
        "oid": order.order_id,
        "timestamp": order.placed_at_ms,
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": order.is_reduce_only,
        "orderType": "Market" if is_market else "Limit",
        "origSz": decimal_text(order.size),
        "tif": "FrontendMarket" if is_market else _TIFS[order.time_in_force],
        "cloid": order.client_id,
    }


def order_status(order: SimOrder) -> str:
    """The venue's word for what became of an order."""
    if order.status is SimStatus.RESTING:
        return "open"
    if order.status is SimStatus.FILLED:
        return "filled"
    if order.status is SimStatus.REJECTED:
        return _REJECTED.get(order.reason, "rejected")
    if order.reason is Reason.IOC_NO_MATCH and order.filled == ZERO:
        return "iocCancelRejected"
    return _CANCELED.get(order.reason, "canceled")


def funding_delta(funding: SimFunding) -> Row:
    """The fields a payment has wherever it appears."""
    return {
        "coin": funding.symbol,
        "usdc": money_text(funding.usd),
        "szi": decimal_text(funding.size),
        "fundingRate": rounded_text(funding.rate, RATE_PLACES),
    }


def user_funding_row(funding: SimFunding) -> Row:
    """A `userFunding` row."""
    delta = {"type": "funding", **funding_delta(funding), "nSamples": None}
    return {"time": funding.at_ms, "hash": ZERO_HASH, "delta": delta}


def funding_event_row(funding: SimFunding) -> Row:
    """A `userFundings` row, flat."""
    return {"time": funding.at_ms, **funding_delta(funding), "nSamples": None}
