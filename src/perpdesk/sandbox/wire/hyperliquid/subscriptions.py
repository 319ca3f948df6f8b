"""What a client may subscribe to: reading the request, and the venue's normalised echo of it."""

from dataclasses import dataclass
from typing import Any

import msgspec

from perpdesk.sandbox.wire.hyperliquid.candles import INTERVALS_MS
from perpdesk.sandbox.wire.hyperliquid.encode import Row
from perpdesk.sandbox.wire.hyperliquid.markets import book_precision
from perpdesk.sandbox.wire.hyperliquid.query import Query, Undecodable

_COIN_TYPES = frozenset(("trades", "l2Book", "bbo", "activeAssetCtx", "candle"))
_USER_TYPES = frozenset(
    (
        "userFills userEvents orderUpdates userFundings userNonFundingLedgerUpdates clearinghouseState openOrders "
        "notification"
    ).split()
)


class InvalidSubscription(ValueError):
    """A request the venue understands and does not offer, such as an unknown coin."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One stream of messages; equal topics share one encoded frame.

    Attributes:
        type: The subscription's type. coin and user: Its subject, empty where it has none.
        interval: Of candles. figures, mantissa, is_fast: Of books. is_aggregated: Of fills.
    """

    type: str
    coin: str = ""
    user: str = ""
    interval: str = ""
    figures: int | None = None
    mantissa: int | None = None
    is_fast: bool = False
    is_aggregated: bool = False

    def echo(self) -> Row:
        """The subscription as the venue repeats it, optional fields filled in."""
        if self.type == "candle":
            return {"type": self.type, "interval": self.interval, "coin": self.coin}
        if self.type == "l2Book":
            precision = {"nSigFigs": self.figures, "mantissa": self.mantissa, "fast": self.is_fast}
            return {"type": self.type, "coin": self.coin, **precision}
        row: Row = {"type": self.type}
        if self.coin:
            row["coin"] = self.coin
        if self.user:
            row["user"] = self.user
        if self.is_aggregated:
            row["aggregateByTime"] = True
        return row

    def echo_text(self) -> str:
        return msgspec.json.encode(self.echo()).decode()


ALL_MIDS = Topic("allMids")


def parse_topic(subscription: Any, coins: set[str]) -> Topic:
    """Read a subscription. Undecodable when the venue has no such type, InvalidSubscription when not this subject."""
    query = Query(subscription)
    if query.type == "allMids":
        _require_offered(query.is_main_dex, subscription)
        return ALL_MIDS
    if query.type in _COIN_TYPES:
        coin = query.text("coin")
        _require_offered(coin in coins, subscription)
        return _coin_topic(query, coin, subscription)
    if query.type in _USER_TYPES:
        _require_offered(query.is_main_dex, subscription)
        is_aggregated = query.type == "userFills" and query.flag("aggregateByTime")
        return Topic(query.type, user=query.address(), is_aggregated=is_aggregated)
    raise Undecodable(f"no subscription {query.type[:40]!r}")


def _coin_topic(query: Query, coin: str, subscription: Any) -> Topic:
    if query.type == "l2Book":
        figures, mantissa = book_precision(query)
        return Topic("l2Book", coin, figures=figures, mantissa=mantissa, is_fast=query.flag("fast"))
    if query.type == "candle":
        interval = query.text("interval")
        _require_offered(interval in INTERVALS_MS, subscription)
        return Topic("candle", coin, interval=interval)
    return Topic(query.type, coin)


def _require_offered(is_offered: bool, subscription: Any) -> None:
    if not is_offered:
        raise InvalidSubscription(msgspec.json.encode(subscription).decode())
