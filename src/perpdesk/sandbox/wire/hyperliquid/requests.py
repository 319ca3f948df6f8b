"""Action bodies as the venue types them, and the values in them."""

import re
from decimal import Decimal
from typing import Any

import msgspec

from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.wire.hyperliquid.query import Undecodable

_NUMBER = re.compile(r"^[0-9]{1,20}(\.[0-9]{1,20})?$")
FRONTEND_MARKET = "FrontendMarket"
TIFS = {
    "Gtc": TimeInForce.GTC,
    "Ioc": TimeInForce.IOC,
    "Alo": TimeInForce.POST_ONLY,
    FRONTEND_MARKET: TimeInForce.IOC,
}


class OrderWire(msgspec.Struct):
    """One order: asset, is buy, limit price, size, reduce-only, type, client id."""

    a: int
    b: bool
    p: str
    s: str
    r: bool
    t: dict[str, Any]
    c: str | None = None


class OrderAction(msgspec.Struct):
    orders: list[OrderWire]
    grouping: Any = "na"
    builder: dict[str, Any] | None = None


class CancelWire(msgspec.Struct):
    a: int
    o: int


class CancelAction(msgspec.Struct):
    cancels: list[CancelWire]


class CancelByCloidWire(msgspec.Struct):
    asset: int
    cloid: str


class CancelByCloidAction(msgspec.Struct):
    cancels: list[CancelByCloidWire]


class ModifyWire(msgspec.Struct):
    oid: int | str
    order: OrderWire


class BatchModifyAction(msgspec.Struct):
    modifies: list[ModifyWire]


class LeverageAction(msgspec.Struct, rename="camel"):
    asset: int
    is_cross: bool
    leverage: int


class ScheduleAction(msgspec.Struct):
    time: int | None = None


def positive_number(text: str) -> Decimal | None:
    """The number in a wire string; None for zero or less, Undecodable for no number."""
    if not _NUMBER.match(text):
        raise Undecodable(f"not a decimal number: {text[:40]!r}")
    value = Decimal(text)
    return value if value > ZERO else None


def limit_tif(kind: dict[str, Any]) -> str | None:
    """The time in force of a limit order, None for a trigger order, Undecodable for neither."""
    if "trigger" in kind:
        return None
    limit = kind.get("limit")
    tif = limit.get("tif") if isinstance(limit, dict) else None
    if tif not in TIFS:
        raise Undecodable(f"unknown order type {str(kind)[:80]}")
    return str(tif)
