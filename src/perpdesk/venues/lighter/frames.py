"""Market data and metadata of Lighter: wire to domain. A venue's spelling, scaling and units stop here.

Sources: the venue's API reference and recorded frames (shared reference `venues/lighter.md` sections 4 to 8, read 2026-11).
Structs name only the fields that are used; a missing required field makes the row unreadable, never zero.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, DecimalException
from typing import Any, TypeVar

import msgspec
import structlog

from perpdesk.domain.assets import VenueName, listing_of
from perpdesk.domain.books import Book, BookCorrupt, Level
from perpdesk.domain.funding import FundingRate
from perpdesk.domain.markets import Market, PriceGrid
from perpdesk.venues.base import RAW_SHOWN_MAX, FrameUnreadable, FundingChanged

log = structlog.get_logger(__name__)

T = TypeVar("T")

BAD_DATA = (msgspec.DecodeError, DecimalException, ValueError, ArithmeticError, RecursionError)
"""Everything that decoding or converting hostile bytes can raise; nothing else is caught on their account."""

AMOUNT_MAX = Decimal(10) ** 18
DIGITS_MAX = 26
"""Larger or longer numbers than any price, size or balance: refused before arithmetic could round or overflow."""
RATE_PERCENT_MAX = Decimal(100)
"""The venue caps funding at 0.5 % per hour; a whole notional per hour is garbage."""
_EMPTY = msgspec.Raw(b"")


def decode_with(decoder: msgspec.json.Decoder[T], what: str, raw: bytes) -> T:
    """Decode `raw`; FrameUnreadable when it is not what `decoder` expects."""
    try:
        return decoder.decode(raw)
    except BAD_DATA as error:
        raise FrameUnreadable(what, raw) from error


def finite(value: Decimal) -> Decimal:
    """`value` itself when it is a number that money or sizes can be; ValueError otherwise."""
    if not value.is_finite() or abs(value) >= AMOUNT_MAX:
        raise ValueError("number out of range")
    _, digits, exponent = value.as_tuple()
    if len(digits) > DIGITS_MAX or not isinstance(exponent, int) or exponent < -DIGITS_MAX:
        raise ValueError("number too long")
    return value


def positive(value: Decimal) -> Decimal:
    """`value` when it is a number above zero; ValueError otherwise."""
    if finite(value) <= 0:
        raise ValueError("number must be positive")
    return value


def readable_rows(what: str, raws: Iterable[msgspec.Raw], convert: Callable[[bytes], T]) -> tuple[list[T], int]:
    """Convert each row, leaving out those that can not be read: (rows, how many were left out)."""
    rows: list[T] = []
    bad = 0
    for raw in raws:
        data = bytes(raw)
        try:
            rows.append(convert(data))
        except BAD_DATA:
            bad += 1
            log.warning("row_unreadable", venue=VenueName.LIGHTER.value, what=what, raw=data[:RAW_SHOWN_MAX])
    return rows, bad


def unix_ms(stamp: int) -> int:
    """A time the venue gives in seconds, milliseconds or microseconds, told apart by magnitude (years 2001 to 5138)."""
    if stamp <= 0:
        raise ValueError("time must be positive")
    if stamp < 100_000_000_000:
        return stamp * 1000
    return stamp if stamp < 100_000_000_000_000 else stamp // 1000


# --- the envelope of every WebSocket frame


class Envelope(msgspec.Struct):
    """Any frame. Payloads stay raw until the channel says what they are.

    Attributes:
        type: "connected", "ping", "pong", "unsubscribed", "error", "shutdown", "subscribed/<name>" or "update/<name>".
        channel: Such as "order_book:0" (requests use "/", frames ":").
        timestamp: Unix ms at the venue; absent in recordings of 2025-11.
        error, code, message: Two shapes of error frames exist.
    """

    type: str = ""
    channel: str = ""
    timestamp: int | None = None
    order_book: msgspec.Raw = _EMPTY
    market_stats: msgspec.Raw = _EMPTY
    orders: msgspec.Raw = _EMPTY
    trades: msgspec.Raw = _EMPTY
    error: msgspec.Raw = _EMPTY
    code: int | None = None
    message: str = ""


class _ErrorBody(msgspec.Struct):
    code: int | None = None
    message: str = ""


_ENVELOPE = msgspec.json.Decoder(Envelope, strict=False)
_ERROR = msgspec.json.Decoder(_ErrorBody, strict=False)


def parse_envelope(raw: bytes) -> Envelope:
    """Any frame; FrameUnreadable when it is not a JSON object of the known outline."""
    return decode_with(_ENVELOPE, "frame", raw)


def parse_error(envelope: Envelope) -> tuple[int | None, str] | None:
    """(code, message) of an error frame in either shape; None when the frame is not one."""
    if envelope.error and bytes(envelope.error) != b"null":
        try:
            body = _ERROR.decode(envelope.error)
        except BAD_DATA:
            return None, bytes(envelope.error)[:RAW_SHOWN_MAX].decode("utf-8", "replace")
        return body.code, body.message[:RAW_SHOWN_MAX]
    if envelope.type == "error" or (envelope.code is not None and envelope.code >= 20_000):
        return envelope.code, envelope.message[:RAW_SHOWN_MAX]
    return None


# --- order books


class _LevelRow(msgspec.Struct):
    price: float
    """Decimal string on the wire."""
    size: float
    """New absolute size in contracts; zero removes the level."""


class BookFrame(msgspec.Struct):
    """Payload of `order_book/{market}`: whole book when subscribed, absolute sizes of changed levels afterwards.

    Attributes:
        nonce: State the frame leads to. begin_nonce: State it starts from; equals the frame before's nonce.
    """

    nonce: int
    begin_nonce: int | None = None
    asks: list[_LevelRow] | None = None
    bids: list[_LevelRow] | None = None


_BOOK = msgspec.json.Decoder(BookFrame, strict=False)


def parse_book_frame(raw: msgspec.Raw | bytes) -> BookFrame:
    """FrameUnreadable when a field is missing or not a number."""
    return decode_with(_BOOK, "order book", bytes(raw))


def to_levels(rows: list[_LevelRow] | None, multiplier: float) -> list[Level]:
    """Wire levels per unit of the asset. BookCorrupt for a price that is not positive or a size that is negative."""
    levels: list[Level] = []
    for row in rows or ():
        price, size = row.price / multiplier, row.size * multiplier
        if not (0.0 < price < math.inf and 0.0 <= size < math.inf):
            raise BookCorrupt(f"absurd level: price {row.price}, size {row.size}")
        levels.append((price, size))
    return levels


class _RestingRow(msgspec.Struct):
    price: float
    remaining_base_amount: float


class _BookOrders(msgspec.Struct):
    asks: list[_RestingRow] | None = None
    bids: list[_RestingRow] | None = None


_BOOK_ORDERS = msgspec.json.Decoder(_BookOrders, strict=False)


def parse_book_orders(raw: bytes, market: Market, at_ms: int) -> Book:
    """Single orders of `/orderBookOrders`, added up by price. FrameUnreadable when the result can not be true."""
    answer = decode_with(_BOOK_ORDERS, "orderBookOrders", raw)
    book = Book()
    try:
        book.replace(_sum_levels(answer.bids, market), _sum_levels(answer.asks, market), at_ms)
    except BookCorrupt as error:
        raise FrameUnreadable("orderBookOrders", raw) from error
    return book


def _sum_levels(rows: list[_RestingRow] | None, market: Market) -> list[Level]:
    sizes: dict[float, float] = {}
    for row in rows or ():
        if not row.remaining_base_amount >= 0:
            raise BookCorrupt(f"absurd resting order: size {row.remaining_base_amount}")
        sizes[row.price] = sizes.get(row.price, 0.0) + row.remaining_base_amount
    return to_levels([_LevelRow(price, size) for price, size in sizes.items()], float(market.multiplier))


# --- funding and prices


class StatsRow(msgspec.Struct, gc=False):
    """What `market_stats` says of one market, as far as it is used."""

    market_id: int
    current_funding_rate: Decimal
    """PERCENT per hour: estimate of the coming settlement, + when longs pay."""
    mark_price: float | None = None
    index_price: float | None = None


_STATS_MAP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STATS_ROWS = msgspec.json.Decoder(dict[str, StatsRow], strict=False)
_STATS_ROW = msgspec.json.Decoder(StatsRow, strict=False)


def read_market_stats(envelope: Envelope) -> tuple[list[StatsRow], int]:
    """Payload of `market_stats/all` (rows by market id) or `market_stats/{m}` (one row): (rows, unreadable rows).

    All rows are read in one pass; only when that fails is each one read for itself, so that a bad one takes no other along.
    """
    raw = envelope.market_stats
    if not envelope.channel.endswith(":all"):
        return readable_rows("market_stats", (raw,), _STATS_ROW.decode)
    try:
        return list(_STATS_ROWS.decode(raw).values()), 0
    except BAD_DATA:
        raws = decode_with(_STATS_MAP, "market_stats", bytes(raw)).values()
        return readable_rows("market_stats", raws, _STATS_ROW.decode)


def parse_market_stats(
    envelope: Envelope, markets: Mapping[int, Market], received_at_ms: int
) -> tuple[list[FundingChanged], int]:
    """Funding and prices of a `market_stats` frame: (events, unreadable rows).

    Rows of markets that are not in `markets` (spot, just listed) are passed over.
    """
    at_ms = envelope.timestamp or received_at_ms
    rows, bad = read_market_stats(envelope)
    changed: list[FundingChanged] = []
    for row in rows:
        market = markets.get(row.market_id)
        if market is None:
            continue
        try:
            changed.append(_to_funding_changed(row, market, at_ms))
        except BAD_DATA:
            bad += 1
            log.warning(
                "row_unreadable", venue=VenueName.LIGHTER.value, what="market_stats", raw=repr(row)[:RAW_SHOWN_MAX]
            )
    return changed, bad


def _to_funding_changed(row: StatsRow, market: Market, at_ms: int) -> FundingChanged:
    rate = FundingRate.from_percent(_sane_percent(row.current_funding_rate), 1, at_ms)
    mark = _price_or_none(row.mark_price, market)
    return FundingChanged(VenueName.LIGHTER, market.asset, rate, mark, _price_or_none(row.index_price, market))


def _sane_percent(percent: Decimal) -> Decimal:
    if abs(finite(percent)) > RATE_PERCENT_MAX:
        raise ValueError("funding rate beyond any the venue allows")
    return percent


def _price_or_none(price: float | None, market: Market) -> float | None:
    if price is None or not math.isfinite(price) or price <= 0:
        return None
    return price / float(market.multiplier)


class _FundingRateRow(msgspec.Struct):
    market_id: int
    exchange: str
    rate: Decimal
    """FRACTION per 8 h, unlike the percent per hour of `market_stats`."""


class _FundingRates(msgspec.Struct):
    funding_rates: list[msgspec.Raw]


_FUNDING_RATES = msgspec.json.Decoder(_FundingRates)
_FUNDING_RATE_ROW = msgspec.json.Decoder(_FundingRateRow, strict=False)


def parse_funding_rates(raw: bytes, markets: Mapping[int, Market], at_ms: int) -> dict[str, FundingChanged]:
    """Rates of `/funding-rates` by asset. The list also holds other exchanges' rates; those are passed over."""

    def convert(data: bytes) -> FundingChanged | None:
        row = _FUNDING_RATE_ROW.decode(data)
        market = markets.get(row.market_id)
        if row.exchange != "lighter" or market is None:
            return None
        rate = FundingRate.from_interval(_sane_percent(row.rate * 100) / 100, 8, at_ms)
        return FundingChanged(VenueName.LIGHTER, market.asset, rate, None, None)

    rows, _ = readable_rows("funding-rates", decode_with(_FUNDING_RATES, "funding-rates", raw).funding_rates, convert)
    return {event.asset: event for event in rows if event is not None}


# --- markets


class _MarketConfig(msgspec.Struct):
    force_reduce_only: bool = False


class _MarketRow(msgspec.Struct):
    symbol: str
    market_id: int
    status: str
    size_decimals: int
    price_decimals: int
    min_base_amount: Decimal
    """Contracts."""
    min_quote_amount: Decimal
    """USD."""
    min_initial_margin_fraction: int
    """1e-4 of notional: 200 is 2 %, leverage 50."""
    maintenance_margin_fraction: int
    """1e-4 of notional."""
    market_type: str = "perp"
    market_config: _MarketConfig | None = None


class _MarketList(msgspec.Struct):
    order_book_details: list[msgspec.Raw]


_MARKETS = msgspec.json.Decoder(_MarketList)
_MARKET_ROW = msgspec.json.Decoder(_MarketRow, strict=False)


def parse_markets(raw: bytes) -> dict[str, Market]:
    """Perpetuals of `/orderBookDetails` by asset. Where two read as the same asset the first tradable one stays."""
    answer = decode_with(_MARKETS, "orderBookDetails", raw)
    rows, _ = readable_rows("orderBookDetails", answer.order_book_details, _to_market)
    markets: dict[str, Market] = {}
    for market in rows:
        if market is None:
            continue
        known = markets.get(market.asset)
        if known is None or (market.is_tradable and not known.is_tradable):
            markets[market.asset] = market
        else:
            log.warning("market_shadowed", venue=market.venue.value, symbol=market.venue_symbol, by=known.venue_symbol)
    return markets


def _to_market(raw: bytes) -> Market | None:
    row = _MARKET_ROW.decode(raw)
    if row.market_type != "perp":
        return None
    if row.market_id < 0 or not 0 <= row.price_decimals <= 18 or not 0 <= row.size_decimals <= 18:
        raise ValueError("market numbers out of range")
    listing = listing_of(VenueName.LIGHTER, row.symbol)
    is_closing_only = row.market_config is not None and row.market_config.force_reduce_only
    return Market(
        venue=VenueName.LIGHTER,
        asset=listing.asset,
        kind=listing.kind,
        venue_symbol=row.symbol,
        venue_index=row.market_id,
        multiplier=listing.multiplier,
        price_grid=PriceGrid(Decimal(1).scaleb(-row.price_decimals) / listing.multiplier),
        lot=Decimal(1).scaleb(-row.size_decimals) * listing.multiplier,
        size_min=finite(row.min_base_amount) * listing.multiplier,
        notional_min_usd=finite(row.min_quote_amount),
        leverage_max=Decimal(10_000) / positive(Decimal(row.min_initial_margin_fraction)),
        maintenance_margin=positive(Decimal(row.maintenance_margin_fraction)) / 10_000,
        is_tradable=row.status == "active" and not is_closing_only,
    )


# --- requests


def to_steps(value: Decimal, step: Decimal) -> int:
    """How many `step`s `value` is, exactly; ValueError when it lies between two. Undoes the division by tick or lot.

    >>> to_steps(Decimal("0.57"), Decimal("0.0001"))
    5700
    """
    steps = (value / step).to_integral_value()
    if steps * step != value:
        raise ValueError(f"{value} is not a multiple of {step}")
    return int(steps)


def subscribe_frame(channel: str, auth: str | None) -> bytes:
    """Ask for `channel` ("order_book/0"); private channels carry a token."""
    request: dict[str, Any] = {"type": "subscribe", "channel": channel}
    if auth is not None:
        request["auth"] = auth
    return msgspec.json.encode(request)


def unsubscribe_frame(channel: str) -> bytes:
    """Leave `channel`."""
    return msgspec.json.encode({"type": "unsubscribe", "channel": channel})


PING = b'{"type":"ping"}'
PONG = b'{"type":"pong"}'
