"""Whatever bytes arrive the feed neither raises nor tells nonsense; whatever an order says survives the venue's units."""

import math
import re
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.venues.hyperliquid_fakes import (
    NOW_MS,
    USER,
    book_data,
    fill_row,
    intent,
    ok,
    order_answer,
    order_record,
    refused,
)
from tests.unit.venues.hyperliquid_fakes import settings as venue_settings

from perpdesk.domain.clock import ManualClock
from perpdesk.domain.numbers import plain
from perpdesk.domain.orders import CLIENT_ID_MAX
from perpdesk.venues.base import (
    BookChanged,
    Filled,
    FrameUnreadable,
    FundingChanged,
    FundingPaid,
    OrderChanged,
    OrderRejected,
    PrivateFeedLost,
    VenueCounters,
    VenueEvent,
)
from perpdesk.venues.hyperliquid import account_frames, actions, frames
from perpdesk.venues.hyperliquid.feed import HyperliquidFeed
from perpdesk.venues.hyperliquid.watch import Watch


def frame(channel: str, data: object) -> bytes:
    return msgspec.json.encode({"channel": channel, "data": data})


FUNDING_ROW = {"time": NOW_MS, "coin": "BTC", "usdc": "-0.25", "szi": "2.0", "fundingRate": "0.0000125"}
CONTEXT = {"funding": "0.0000125", "markPx": "95000.0", "oraclePx": "95001.0", "midPx": None}
SEEDS = [
    frame("l2Book", book_data()),
    frame("l2Book", book_data("kPEPE", "0.010499", "0.010501")),
    frame("activeAssetCtx", {"coin": "BTC", "ctx": CONTEXT}),
    frame("userFills", {"user": USER, "fills": [fill_row(), fill_row(tid=2)]}),
    frame("orderUpdates", [order_record("open", left="0.0004"), order_record("filled", left="0.0")]),
    frame("userFundings", {"user": USER, "fundings": [FUNDING_ROW]}),
    frame("subscriptionResponse", {"method": "subscribe", "subscription": {"type": "userFills", "user": USER}}),
    frame("error", 'Invalid subscription {"type":"l2Book","coin":"BTC"}'),
    b'{"channel":"pong"}',
]
ANSWERS = [
    ok({"filled": {"totalSz": "0.001", "avgPx": "94990.5", "oid": 7}}),
    ok({"resting": {"oid": 7}}),
    ok({"error": "Insufficient margin to place order. asset=0"}),
    refused("Action already expired"),
]
TOKENS = [b"NaN", b"-1", b"1e400", b"null", b"true", b'""', b"0", b"[]", b"{}", b"9" * 40, b'"Infinity"', b"\xff\xfe"]


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A real message cut, spliced, with bytes changed or one of its values replaced."""
    raw = draw(st.sampled_from(seeds))
    how = draw(st.sampled_from(["cut", "bytes", "value", "splice", "noise"]))
    if how == "cut":
        return raw[: draw(st.integers(0, len(raw)))]
    if how == "noise":
        return draw(st.binary(max_size=60))
    if how == "splice":
        other = draw(st.sampled_from(seeds))
        return raw[: draw(st.integers(0, len(raw)))] + other[draw(st.integers(0, len(other))) :]
    if how == "value":
        values = list(re.finditer(rb"(?<=:)(\"[^\"]*\"|[-0-9.]+|null|true|false)", raw))
        if values:
            chosen = draw(st.sampled_from(values))
            return raw[: chosen.start()] + draw(st.sampled_from(TOKENS)) + raw[chosen.end() :]
    spoilt = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        spoilt[draw(st.integers(0, len(spoilt) - 1))] = draw(st.integers(0, 255))
    return bytes(spoilt)


def require_sense(event: VenueEvent) -> None:
    """Every number an event carries is one that could be true."""
    if isinstance(event, BookChanged):
        event.book.require_uncrossed()
        for ladder in (event.book.bids, event.book.asks):
            assert all(0 < price < math.inf and 0 < size < math.inf for price, size in ladder.top(100))
        assert 0 < event.book.changed_at_ms <= NOW_MS + 60_000
    elif isinstance(event, FundingChanged):
        assert abs(event.rate.per_hour) <= Decimal("0.04")
        for price in (event.mark_price, event.index_price):
            assert price is None or 0 < price < math.inf
    elif isinstance(event, Filled):
        assert event.fill.size > 0
        assert event.fill.price > 0
        assert event.fill.fee_usd.is_finite()
        assert event.fill.client_id is None or 0 < event.fill.client_id <= CLIENT_ID_MAX
    elif isinstance(event, OrderChanged):
        assert event.report.filled_size >= 0
        assert 0 < event.report.client_id <= CLIENT_ID_MAX
    elif isinstance(event, FundingPaid):
        assert event.payment.usd.is_finite()


def open_feed() -> tuple[HyperliquidFeed, VenueCounters]:
    counters = VenueCounters()
    feed = HyperliquidFeed(venue_settings(), ManualClock(NOW_MS), Watch(counters))
    feed.follow({"BTC": "BTC", "kPEPE": "PEPE"})
    for raw in feed.on_open().sends:
        feed.on_frame(frame("subscriptionResponse", msgspec.json.decode(raw)))
    return feed, counters


@settings(max_examples=400, deadline=None)
@given(st.lists(damaged(SEEDS) | st.sampled_from(SEEDS), min_size=1, max_size=8))
def test_damaged_messages_never_raise_and_never_tell_nonsense(raws: list[bytes]) -> None:
    feed, counters = open_feed()
    acked = counters.frames
    for raw in raws:
        step = feed.on_frame(raw)
        for event in step.events:
            require_sense(event)
        for data in step.sends:
            msgspec.json.decode(data)
    feed.on_tick()
    assert counters.frames == acked + len(raws)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_a_message_cut_short_changes_no_market_and_is_counted(raw: bytes, data: st.DataObject) -> None:
    feed, counters = open_feed()
    step = feed.on_frame(raw[: data.draw(st.integers(0, len(raw) - 1))])
    assert counters.frames_unreadable == 1
    assert all(isinstance(event, PrivateFeedLost) for event in step.events)


@settings(max_examples=200, deadline=None)
@given(damaged(SEEDS))
def test_after_any_damage_the_next_sound_book_is_heard(raw: bytes) -> None:
    feed, _ = open_feed()
    feed.on_frame(frame("l2Book", book_data()))
    feed.on_frame(raw)
    heard = feed.on_frame(frame("l2Book", book_data(time=NOW_MS + 60_000))).events
    assert [type(event) for event in heard] == [BookChanged]


@settings(max_examples=400, deadline=None)
@given(damaged(ANSWERS))
def test_a_damaged_answer_is_a_clear_no_or_unreadable_but_never_another_error(raw: bytes) -> None:
    markets, _ = frames.parse_markets(META_BODY)
    order = intent()
    try:
        answer = actions.parse_answer(raw)
        if isinstance(answer, actions.ActionTaken):
            report = actions.parse_order_answer(answer, order, markets["BTC"])
            assert report is None or 0 <= report.filled_size <= order.size
    except (FrameUnreadable, OrderRejected):
        pass


READS = [order_answer("open"), msgspec.json.encode([fill_row()]), b'{"userCrossRate":"0.00045","userAddRate":"0.0"}']


@settings(max_examples=300, deadline=None)
@given(damaged(READS), st.integers(0, 2))
def test_a_damaged_read_is_unreadable_and_never_another_error(raw: bytes, which: int) -> None:
    try:
        if which == 0:
            account_frames.parse_order_status(raw, 0x1234)
        elif which == 1:
            account_frames.convert_rows("fill", account_frames.parse_fill_rows(raw), account_frames.fill_of)
        else:
            account_frames.parse_fees(raw)
    except FrameUnreadable:
        pass


META_BODY = msgspec.json.encode({"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]})


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["BTC", "kPEPE", "kBONK"]),
    size_decimals=st.integers(0, 5),
    lots=st.integers(1, 10**9),
    mantissa=st.integers(1, 99_999),
    exponent=st.integers(-8, 6),
)
def test_prices_and_sizes_survive_the_venues_units_exactly(
    name: str, size_decimals: int, lots: int, mantissa: int, exponent: int
) -> None:
    """Floored onto the grid, out as text and back in, an order is the same order; the text is what gets signed."""
    body = msgspec.json.encode({"universe": [{"name": name, "szDecimals": size_decimals, "maxLeverage": 10}]})
    (market,) = frames.parse_markets(body)[0].values()
    price = market.price_grid.floor(Decimal(mantissa).scaleb(exponent))
    if price <= 0:
        return
    size = market.lot * lots
    order = intent(asset=market.asset, size=str(size), price=str(price))
    wire = actions.order_action(order, market)["orders"][0]
    contract = frames.contract_of(name)
    assert contract is not None
    assert contract.price(wire["p"]) == price
    assert contract.size(wire["s"]) == size
    for text in (wire["p"], wire["s"]):
        assert re.fullmatch(r"[1-9][0-9]*|[0-9]+\.[0-9]*[1-9]", text), text
    whole, _, decimals = wire["p"].partition(".")
    assert len(decimals) <= 6 - size_decimals
    assert not decimals or len((whole + decimals).lstrip("0")) <= 5
    assert len(wire["s"].partition(".")[2]) <= size_decimals


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["BTC", "kPEPE"]), st.integers(1, 10**9), st.integers(0, 6))
def test_a_book_price_is_the_float_nearest_to_the_true_decimal(name: str, digits: int, places: int) -> None:
    """So that making it exact again by its shortest text gives the very price an order may carry."""
    text = plain(Decimal(digits).scaleb(-places))
    snapshot = frames.parse_book(msgspec.json.encode(book_data(name, text, "99999999999")), NOW_MS)
    contract = frames.contract_of(name)
    assert snapshot is not None
    assert contract is not None
    assert Decimal(repr(snapshot.bids[0][0])) == Decimal(text) / contract.multiplier
