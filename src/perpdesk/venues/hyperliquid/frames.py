"""Wire <-> domain: market data, names and numbers. Account rows are in `account_frames.py`, orders in `actions.py`.

Structs name only the fields that are used; unknown fields pass. Every reader raises one of READ_ERRORS (or FrameUnreadable
for whole request answers) and changes nothing. Field meanings: venue's API pages, read 2026-11.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import inf
from typing import Annotated

import msgspec
from msgspec.structs import astuple

from perpdesk.domain.assets import AssetKind, VenueName, listing_of
from perpdesk.domain.books import Level
from perpdesk.domain.funding import FundingRate
from perpdesk.domain.markets import Market, PriceGrid
from perpdesk.domain.numbers import ONE
from perpdesk.venues.base import FrameUnreadable, FundingChanged

VENUE = VenueName.HYPERLIQUID

READ_ERRORS = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
"""What reading a frame can raise, whatever its bytes are."""

PRICE_SIGNIFICANT_FIGURES = 5
PRICE_DECIMALS = 6
"""A perpetual's price has at most this many decimals less the decimals of its size."""
NOTIONAL_MIN_USD = Decimal(10)
FUNDING_CAP_PER_HOUR = Decimal("0.04")
"""The venue's own cap on the hourly rate; anything beyond is a damaged message."""
AHEAD_MS_MAX = 60_000
"""A book stamped further ahead of our clock is damaged; taking it would make every true one after it look old."""
TIME_MS_MAX = 10**14
MAGNITUDE_MAX = 1e24
"""No price or size in a book is anywhere near it."""

_NUMBER = re.compile(r"-?[0-9]{1,24}(?:\.[0-9]{1,24})?")
_FOREIGN_MARKS = frozenset("@#+:/")
"""Spot, outcome and builder-dex names carry one of these; main-dex perpetuals never do."""


def exact(text: str) -> Decimal:
    """The number a plain decimal string spells; ValueError for anything else, exponents and NaN included."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"not a plain decimal: {text[:40]!r}")
    return Decimal(text)


def exact_positive(text: str) -> Decimal:
    value = exact(text)
    if value <= 0:
        raise ValueError(f"must be positive: {text}")
    return value


def checked_time_ms(value: int) -> int:
    """Unix milliseconds as they came; ValueError when no such moment can be meant."""
    if not 0 < value < TIME_MS_MAX:
        raise ValueError(f"not a time in milliseconds: {value}")
    return value


@contextmanager
def reading(what: str, raw: bytes) -> Iterator[None]:
    """Turn any failure to read `raw` into FrameUnreadable naming `what`."""
    try:
        yield
    except READ_ERRORS as error:
        raise FrameUnreadable(f"Hyperliquid {what} ({str(error)[:120]})", raw) from error


@dataclass(frozen=True, slots=True)
class Contract:
    """What one main-dex market name stands for.

    Attributes:
        multiplier: Units of the asset in one contract: ours = venue price / multiplier, venue size x multiplier.
    """

    coin: str
    asset: str
    kind: AssetKind
    multiplier: Decimal
    is_scaled: bool

    def price(self, text: str) -> Decimal:
        """A venue price per unit of the asset, exact."""
        return exact_positive(text) / self.multiplier

    def size(self, text: str) -> Decimal:
        """A venue size, which may be signed or zero, in units of the asset, exact."""
        return exact(text) * self.multiplier

    def market_price(self, price: float) -> float:
        """A venue price per unit; through Decimal when scaled, so that it is the float nearest to the true decimal."""
        if not 0.0 < price < inf:
            raise ValueError(f"{self.coin}: not a price: {price}")
        return float(Decimal(repr(price)) / self.multiplier) if self.is_scaled else price

    def levels(self, wire: list["_Level"]) -> list[Level]:
        """One side of a book, whose numbers the decoder has checked."""
        if not self.is_scaled:
            return [*map(astuple, wire)]
        scale = float(self.multiplier)
        return [(self.market_price(level.px), level.sz * scale) for level in wire]


@lru_cache(maxsize=4096)
def contract_of(coin: str) -> Contract | None:
    """Read a coin name; None for spot, outcome and builder-dex markets, which the desk does not trade here.

    ValueError for an empty name.
    """
    if _FOREIGN_MARKS.intersection(coin):
        return None
    listing = listing_of(VENUE, coin)
    return Contract(coin, listing.asset, listing.kind, listing.multiplier, listing.multiplier != ONE)


class _Level(msgspec.Struct, gc=False):
    """A level as the `Level` tuple has it: these two fields in this order. Bounds shut out NaN and infinity too."""

    px: Annotated[float, msgspec.Meta(gt=0, lt=MAGNITUDE_MAX)]
    sz: Annotated[float, msgspec.Meta(ge=0, lt=MAGNITUDE_MAX)]


class _Book(msgspec.Struct, gc=False):
    coin: str
    time: int
    levels: tuple[list[_Level], list[_Level]]


class _BookMessage(msgspec.Struct, gc=False):
    data: _Book


class _Bbo(msgspec.Struct, gc=False):
    coin: str
    time: int
    bbo: tuple[_Level | None, _Level | None]


class _Context(msgspec.Struct, gc=False):
    funding: str
    markPx: float | None = None  # noqa: N815 - the venue's spelling
    oraclePx: float | None = None  # noqa: N815


class _ActiveContext(msgspec.Struct, gc=False):
    coin: str
    ctx: _Context


class _UniverseRow(msgspec.Struct, gc=False):
    name: str
    szDecimals: int  # noqa: N815
    maxLeverage: int  # noqa: N815
    isDelisted: bool = False  # noqa: N815


class _Meta(msgspec.Struct, gc=False):
    universe: list[msgspec.Raw]


class _ExchangeStatus(msgspec.Struct, gc=False):
    time: int


class Envelope(msgspec.Struct, gc=False):
    """What every socket message has in common; a pong has no data."""

    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Subscription(msgspec.Struct, gc=False):
    """A subscription as the venue echoes it; the echo fills in optional fields, so only these identify it."""

    type: str
    coin: str = ""
    user: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.type, self.coin or self.user.lower()


class _SubscriptionResponse(msgspec.Struct, gc=False):
    method: str
    subscription: Subscription


_read_envelope = msgspec.json.Decoder(Envelope)
_read_book = msgspec.json.Decoder(_Book, strict=False)
_read_book_message = msgspec.json.Decoder(_BookMessage, strict=False)
_read_book_or_null = msgspec.json.Decoder(_Book | None, strict=False)
_read_bbo = msgspec.json.Decoder(_Bbo, strict=False)
_read_active_context = msgspec.json.Decoder(_ActiveContext, strict=False)
_read_context = msgspec.json.Decoder(_Context, strict=False)
_read_contexts = msgspec.json.Decoder(tuple[_Meta, list[msgspec.Raw]])
_read_meta = msgspec.json.Decoder(_Meta)
_read_universe_row = msgspec.json.Decoder(_UniverseRow)
_read_status = msgspec.json.Decoder(_ExchangeStatus)
_read_subscription_response = msgspec.json.Decoder(_SubscriptionResponse)
_read_subscription = msgspec.json.Decoder(Subscription)
_read_text = msgspec.json.Decoder(str)


class BookSnapshot(msgspec.Struct, frozen=True):
    """A whole visible book, best first, per unit of the asset; never crossed, every number finite and positive."""

    coin: str
    asset: str
    at_ms: int
    bids: list[Level]
    asks: list[Level]

    @property
    def typical_price(self) -> float | None:
        """The mid, or the only best price there is; None when the book is empty."""
        best = [side[0][0] for side in (self.bids, self.asks) if side]
        return sum(best) / len(best) if best else None


class CrossedBook(ValueError):
    """A book whose bid is at or above its ask; the market it came for can not be trusted until the next one."""

    def __init__(self, coin: str) -> None:
        super().__init__(f"{coin}: crossed book")
        self.coin = coin


def parse_envelope(raw: bytes) -> Envelope:
    return _read_envelope.decode(raw)


def parse_book(raw: bytes | msgspec.Raw, now_ms: int) -> BookSnapshot | None:
    """`l2Book` data; None for a market that is not a main-dex perpetual."""
    return _snapshot(_read_book.decode(raw), now_ms)


def parse_book_message(raw: bytes, now_ms: int) -> BookSnapshot | None:
    """A whole message that begins with BOOK_MESSAGE, read in one pass: books are most of what arrives."""
    return _snapshot(_read_book_message.decode(raw).data, now_ms)


def parse_bbo(raw: bytes | msgspec.Raw, now_ms: int) -> BookSnapshot | None:
    """`bbo` data as a book of one level a side; None as above."""
    wire = _read_bbo.decode(raw)
    bid, ask = wire.bbo
    return _snapshot(_Book(wire.coin, wire.time, ([bid] if bid else [], [ask] if ask else [])), now_ms)


def parse_book_answer(body: bytes, now_ms: int) -> BookSnapshot | None:
    """The answer to an `l2Book` request; None where the venue knows no such market."""
    with reading("book", body):
        wire = _read_book_or_null.decode(body)
        return None if wire is None else _snapshot(wire, now_ms)


def _snapshot(wire: _Book, now_ms: int) -> BookSnapshot | None:
    contract = contract_of(wire.coin)
    if contract is None:
        return None
    if checked_time_ms(wire.time) > now_ms + AHEAD_MS_MAX:
        raise ValueError(f"{wire.coin}: book is {wire.time - now_ms} ms ahead of our clock")
    bids, asks = contract.levels(wire.levels[0]), contract.levels(wire.levels[1])
    bids.sort(reverse=True)
    asks.sort()
    if bids and asks and bids[0][0] >= asks[0][0]:
        raise CrossedBook(wire.coin)
    return BookSnapshot(wire.coin, contract.asset, wire.time, bids, asks)


def parse_context(raw: bytes | msgspec.Raw, now_ms: int) -> tuple[str, FundingChanged] | None:
    """`activeAssetCtx` data as (coin, funding and prices); None for a market that is not a main-dex perpetual.

    The message carries no time of its own, so `now_ms`, when it arrived, stamps the rate.
    """
    wire = _read_active_context.decode(raw)
    contract = contract_of(wire.coin)
    return None if contract is None else (wire.coin, _funding(contract, wire.ctx, now_ms))


def parse_contexts(body: bytes, now_ms: int) -> tuple[dict[str, FundingChanged], list[bytes]]:
    """`metaAndAssetCtxs` as funding by listed coin, and the rows that could not be read.

    FrameUnreadable when the two lists do not match: pairing them by position would give markets each other's rates.
    """
    with reading("contexts", body):
        meta, contexts = _read_contexts.decode(body)
        if len(meta.universe) != len(contexts):
            raise ValueError(f"{len(meta.universe)} markets but {len(contexts)} contexts")
    found: dict[str, FundingChanged] = {}
    unreadable: list[bytes] = []
    for raw_row, raw_context in zip(meta.universe, contexts, strict=True):
        try:
            row = _read_universe_row.decode(raw_row)
            contract = contract_of(row.name)
            if contract is not None and not row.isDelisted:
                found[row.name] = _funding(contract, _read_context.decode(raw_context), now_ms)
        except READ_ERRORS:
            unreadable.append(bytes(raw_row) + bytes(raw_context))
    return found, unreadable


def _funding(contract: Contract, wire: _Context, now_ms: int) -> FundingChanged:
    rate = exact(wire.funding)
    if abs(rate) > FUNDING_CAP_PER_HOUR:
        raise ValueError(f"{contract.coin}: hourly funding {rate} is beyond the venue's cap")
    return FundingChanged(
        VENUE,
        contract.asset,
        FundingRate.from_interval(rate, 1, now_ms),
        None if wire.markPx is None else contract.market_price(wire.markPx),
        None if wire.oraclePx is None else contract.market_price(wire.oraclePx),
    )


def parse_markets(body: bytes) -> tuple[dict[str, Market], list[bytes]]:
    """`meta` as markets by asset, and the rows that could not be read.

    Delisted rows keep their place: an order names its market by position. Where two rows are the same asset the first
    listed one counts.
    """
    with reading("markets", body):
        universe = _read_meta.decode(body).universe
    markets: dict[str, Market] = {}
    unreadable: list[bytes] = []
    for index, raw in enumerate(universe):
        try:
            market = _market(index, _read_universe_row.decode(raw))
        except READ_ERRORS:
            unreadable.append(bytes(raw))
            continue
        known = None if market is None else markets.get(market.asset)
        if market is not None and (known is None or (market.is_tradable and not known.is_tradable)):
            markets[market.asset] = market
    return markets, unreadable


def _market(index: int, row: _UniverseRow) -> Market | None:
    contract = contract_of(row.name)
    if contract is None:
        return None
    if not 0 <= row.szDecimals <= PRICE_DECIMALS or row.maxLeverage < 1:
        raise ValueError(f"{row.name}: size decimals {row.szDecimals}, leverage {row.maxLeverage}")
    lot = ONE.scaleb(-row.szDecimals) * contract.multiplier
    tick = ONE.scaleb(row.szDecimals - PRICE_DECIMALS) / contract.multiplier
    return Market(
        venue=VENUE,
        asset=contract.asset,
        kind=contract.kind,
        venue_symbol=row.name,
        venue_index=index,
        multiplier=contract.multiplier,
        price_grid=PriceGrid(tick, PRICE_SIGNIFICANT_FIGURES, ONE / contract.multiplier),
        lot=lot,
        size_min=lot,
        notional_min_usd=NOTIONAL_MIN_USD,
        leverage_max=Decimal(row.maxLeverage),
        maintenance_margin=ONE / (2 * row.maxLeverage),
        is_tradable=not row.isDelisted,
    )


def parse_server_time_ms(body: bytes) -> int:
    """`exchangeStatus`: the venue's clock."""
    with reading("exchange status", body):
        return checked_time_ms(_read_status.decode(body).time)


def parse_subscription_response(raw: msgspec.Raw) -> tuple[str, Subscription]:
    """`subscriptionResponse` data as (method, what it is about)."""
    wire = _read_subscription_response.decode(raw)
    return wire.method, wire.subscription


def parse_error(raw: msgspec.Raw) -> tuple[str, Subscription | None]:
    """`error` data as (text, the subscription it quotes or None)."""
    text = _read_text.decode(raw)
    try:
        return text, _read_subscription.decode(text[text.index("{") :].encode())
    except READ_ERRORS:
        return text, None


def encode_subscribe(key: tuple[str, str], is_fast: bool, method: str = "subscribe") -> bytes:
    """A request to follow, or with method "unsubscribe" to drop, (channel, coin or user)."""
    channel, subject = key
    subscription: dict[str, object] = {"type": channel}
    if channel in PRIVATE_CHANNELS:
        subscription["user"] = subject
    else:
        subscription["coin"] = subject
    if channel == "l2Book" and is_fast:
        subscription["fast"] = True
    return msgspec.json.encode({"method": method, "subscription": subscription})


BOOK_MESSAGE = b'{"channel":"l2Book",'
"""How a book message begins. One that is spelled otherwise is read in two passes, by way of its envelope."""

PRIVATE_CHANNELS = ("userFills", "orderUpdates", "userFundings")
PING = b'{"method":"ping"}'
