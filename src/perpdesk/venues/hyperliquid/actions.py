"""Orders on the wire: actions out, answers in. Key order inside an action is part of what is signed.

Error texts: the venue's error page and dated measurements, read 2026-11. They end in " asset=N" on the live wire and are
matched by how they begin; the top-level ones about nonces and expiry are not documented word for word.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from perpdesk.domain.books import Side
from perpdesk.domain.markets import Market
from perpdesk.domain.numbers import plain
from perpdesk.domain.orders import OrderIntent, OrderReport, OrderStatus, TimeInForce
from perpdesk.venues.base import InsufficientMargin, OrderRejected, PostOnlyWouldCross
from perpdesk.venues.hyperliquid.account_frames import cloid_of
from perpdesk.venues.hyperliquid.frames import VENUE, exact, exact_positive, reading

Action = dict[str, Any]

NOOP: Action = {"type": "noop"}
"""Does nothing but spend its nonce."""

_TIFS = {TimeInForce.IOC: "Ioc", TimeInForce.GTC: "Gtc", TimeInForce.POST_ONLY: "Alo"}
_ASSET_SUFFIX = re.compile(r"\s*asset=\d+\s*$")
_CODES = (
    ("Price must be divisible by tick size", "Tick"),
    ("Order must have minimum value", "MinTradeNtl"),
    ("Insufficient margin", "PerpMargin"),
    ("Reduce only order would increase position", "ReduceOnly"),
    ("Post only order would have immediately matched", "BadAloPx"),
    ("Order could not immediately match", "IocCancel"),
    ("Order was never placed", "MissingOrder"),
    ("Order price too far from oracle", "Oracle"),
    ("Order price cannot be more than", "Oracle"),
    ("Order would increase open interest", "OpenInterest"),
    ("Order would cause position to exceed margin tier", "PerpMaxPosition"),
    ("Order has invalid size", "Lot"),
    ("Order has zero size", "Lot"),
    ("Too many cumulative requests", "RateLimited"),
    ("Action already expired", "Expired"),
)
_SEEN_BEFORE = re.compile(
    r"(cloid|client order id).*(already|duplicate)|duplicate (cloid|client order id)", re.IGNORECASE
)
DUPLICATE_CLOID = "DuplicateCloid"


def order_action(order: OrderIntent, market: Market) -> Action:
    """The action that submits `order`, in the venue's units. Raises OrderRejected for what the venue could not take."""
    tif = _TIFS.get(order.time_in_force)
    if tif is None:
        raise OrderRejected("TimeInForce", "Hyperliquid has no fill-or-kill orders; use immediate-or-cancel")
    if not market.price_grid.allows(order.limit_price):
        raise OrderRejected(
            "Tick", f"price {order.limit_price} is not on the grid of {order.asset}; round it with PriceGrid"
        )
    if market.floor_size(order.size) != order.size:
        raise OrderRejected("Lot", f"size {order.size} is not a multiple of {order.asset}'s lot {market.lot}")
    wire = {
        "a": market.venue_index,
        "b": order.side is Side.BUY,
        "p": plain(order.limit_price * market.multiplier),
        "s": plain(order.size / market.multiplier),
        "r": order.is_reduce_only,
        "t": {"limit": {"tif": tif}},
        "c": cloid_of(order.client_id),
    }
    return {"type": "order", "orders": [wire], "grouping": "na"}


def cancel_action(market: Market, client_id: int) -> Action:
    """The action that cancels one order by its client id."""
    return {"type": "cancelByCloid", "cancels": [{"asset": market.venue_index, "cloid": cloid_of(client_id)}]}


@dataclass(frozen=True, slots=True)
class ActionTaken:
    """The venue took the action; each order or cancel in it has its own status, which may still be an error."""

    statuses: tuple[msgspec.Raw, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionRefused:
    """The venue refused the whole action."""

    text: str

    @property
    def is_about_nonce(self) -> bool:
        """Whether the nonce was the complaint: spent already, or too old to be taken any more."""
        return "nonce" in self.text.lower()


class _Answer(msgspec.Struct, gc=False):
    status: str
    response: msgspec.Raw


class _Statuses(msgspec.Struct, gc=False):
    statuses: list[msgspec.Raw]


class _Response(msgspec.Struct, gc=False):
    type: str
    data: _Statuses | None = None


class _Resting(msgspec.Struct, gc=False):
    oid: int


class _Filled(msgspec.Struct, gc=False):
    totalSz: str  # noqa: N815 - the venue's spelling
    avgPx: str  # noqa: N815


class _Status(msgspec.Struct, gc=False):
    resting: _Resting | None = None
    filled: _Filled | None = None
    error: str | None = None


_read_answer = msgspec.json.Decoder(_Answer)
_read_response = msgspec.json.Decoder(_Response)
_read_refusal = msgspec.json.Decoder(str)
_read_status = msgspec.json.Decoder(_Status | str)


def parse_answer(body: bytes) -> ActionTaken | ActionRefused:
    """The answer to any action. FrameUnreadable where it says neither yes nor no."""
    with reading("answer", body):
        wire = _read_answer.decode(body)
        if wire.status == "err":
            return ActionRefused(strip_suffix(_read_refusal.decode(wire.response)))
        if wire.status != "ok":
            raise ValueError(f"status {wire.status[:40]!r}")
        data = _read_response.decode(wire.response).data
        return ActionTaken(() if data is None else tuple(data.statuses))


def parse_order_answer(taken: ActionTaken, order: OrderIntent, market: Market) -> OrderReport | None:
    """What became of the one order of an action; None where the answer does not say more than "accepted".

    Raises:
        OrderRejected: Its status is an error.
        FrameUnreadable: The answer can not be about this order.
    """
    raw = _only_status(taken)
    with reading("order answer", raw):
        status = _read_status.decode(raw)
        if isinstance(status, str):
            if status not in ("waitingForFill", "waitingForTrigger"):
                raise ValueError(f"status {status[:40]!r}")
            return None
        if status.error is not None:
            text = status.error
        elif status.filled is not None:
            return _filled_report(status.filled, order, market)
        elif status.resting is not None:
            return _report(order, OrderStatus.RESTING, Decimal(0), None)
        else:
            raise ValueError("neither resting, filled nor error")
    raise rejection_of(text)


def parse_cancel_answer(taken: ActionTaken) -> str | None:
    """None when the cancel was taken, otherwise the venue's reason; FrameUnreadable where it says neither."""
    raw = _only_status(taken)
    with reading("cancel answer", raw):
        status = _read_status.decode(raw)
        if status == "success":
            return None
        if isinstance(status, str) or status.error is None:
            raise ValueError("neither success nor error")
        return strip_suffix(status.error)


def _only_status(taken: ActionTaken) -> bytes:
    with reading("answer", msgspec.json.encode(taken.statuses)):
        if len(taken.statuses) != 1:
            raise ValueError(f"{len(taken.statuses)} statuses for one request")
        return bytes(taken.statuses[0])


def _filled_report(filled: _Filled, order: OrderIntent, market: Market) -> OrderReport:
    size = exact_positive(filled.totalSz) * market.multiplier
    if size > order.size:
        raise ValueError(f"filled {size} of {order.size}")
    average = exact(filled.avgPx) / market.multiplier
    if size == order.size:
        status = OrderStatus.FILLED
    elif order.time_in_force is TimeInForce.IOC:
        status = OrderStatus.CANCELED  # the rest of an IOC is dropped
    else:
        status = OrderStatus.RESTING  # not documented for partly filled orders; the order feed settles it
    return _report(order, status, size, average)


def _report(order: OrderIntent, status: OrderStatus, filled: Decimal, average: Decimal | None) -> OrderReport:
    return OrderReport(order.client_id, VENUE, order.asset, status, filled, average)


def strip_suffix(text: str) -> str:
    """The venue's words without the trailing asset number."""
    return _ASSET_SUFFIX.sub("", text)


def code_of(text: str) -> str:
    """The documentation's code for an error text, "" for texts it does not list."""
    if _SEEN_BEFORE.search(text):
        return DUPLICATE_CLOID
    words = text.removeprefix("L1 error: ")
    return next((code for beginning, code in _CODES if words.startswith(beginning)), "")


def rejection_of(text: str) -> OrderRejected:
    """The venue's no to an order, as the narrowest error."""
    reason, code = strip_suffix(text), code_of(text)
    if code == "PerpMargin":
        return InsufficientMargin(code, reason)
    if code == "BadAloPx":
        return PostOnlyWouldCross(code, reason)
    return OrderRejected(code, reason)
