"""Whatever arrives in whatever order: a book that is not reported lost equals the venue's, and nothing ever raises."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.venues.lighter_fakes import EPOCH_MS, SETTINGS, markets, order, order_row, trade_row
from tests.unit.venues.test_lighter_feed import SNAPSHOT, book, subscribed

from perpdesk.domain.numbers import plain
from perpdesk.venues.base import BookChanged, BookLost, OrderRejected, VenueCounters
from perpdesk.venues.lighter.feed import LighterFeed, Now
from perpdesk.venues.lighter.orders import to_order_fields

ASSETS = frozenset({"ETH"})


class VenueBook:
    """The truth: every state the market was ever in, by nonce, and the frames that lead from one to the next."""

    def __init__(self, changes: list[list[tuple[bool, int, int]]]) -> None:
        self.states: dict[int, tuple[dict[int, int], dict[int, int]]] = {}
        self.frames: list[bytes] = []
        bids, asks, nonce = {99: 1, 98: 2}, {101: 3}, 10
        self._keep(nonce, bids, asks)
        self.frames.append(self.snapshot(nonce))
        for change in changes:
            begin, nonce = nonce, nonce + len(change) + 1
            changed_bids: dict[int, int] = {}
            changed_asks: dict[int, int] = {}
            for is_bid, away, size in change:
                side, changed, price = (bids, changed_bids, 99 - away) if is_bid else (asks, changed_asks, 101 + away)
                changed[price] = side[price] = size
            self._keep(nonce, bids, asks)
            self.frames.append(_encode("update", nonce, begin, changed_bids, changed_asks))

    def _keep(self, nonce: int, bids: dict[int, int], asks: dict[int, int]) -> None:
        self.states[nonce] = ({p: s for p, s in bids.items() if s}, {p: s for p, s in asks.items() if s})

    def snapshot(self, nonce: int) -> bytes:
        return _encode("subscribed", nonce, 0, *self.states[nonce])


def _encode(kind: str, nonce: int, begin: int, bids: dict[int, int], asks: dict[int, int]) -> bytes:
    def text(levels: dict[int, int]) -> dict[str, str]:
        return {f"{p}.00": str(s) for p, s in levels.items()}

    return json.dumps(book(kind, nonce, begin, text(bids), text(asks))).encode()


change = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(change, min_size=1, max_size=15))
def test_a_book_that_is_not_lost_is_the_venues(data: st.DataObject, changes: list[list[tuple[bool, int, int]]]) -> None:
    """Frames are dropped, repeated and reordered at will, and the venue answers each new subscription."""
    venue = VenueBook(changes)
    feed = LighterFeed(SETTINGS, markets(), ASSETS, VenueCounters(), EPOCH_MS, is_private=False)
    feed.open(Now(EPOCH_MS, 0))
    feed.receive(b'{"type":"connected"}', Now(EPOCH_MS, 0))
    order_of_arrival = data.draw(
        st.one_of(
            st.lists(st.integers(0, len(venue.frames) - 1), max_size=40),
            st.permutations(range(len(venue.frames))),
            st.just(list(range(len(venue.frames)))),
        )
    )
    queue = [venue.frames[0], *(venue.frames[i] for i in order_of_arrival)]
    ms, is_good = 0, False
    while queue and ms < 60_000:
        ms += data.draw(st.sampled_from([1, 50, 2_000]))
        frame = queue.pop(0)
        outs = [feed.receive(frame, Now(EPOCH_MS + ms, ms)), feed.tick(Now(EPOCH_MS + ms, ms))]
        for event in (e for out in outs for e in out.events):
            is_good = isinstance(event, BookChanged) or (is_good and not isinstance(event, BookLost))
        for sent in (json.loads(s) for out in outs for s in out.sends):
            if sent.get("channel") == "order_book/0" and sent["type"] == "subscribe":
                nonce = data.draw(st.sampled_from(sorted(venue.states)))
                queue.insert(data.draw(st.integers(0, len(queue))), venue.snapshot(nonce))
        nonce_now = feed.nonce_of("ETH")
        assert is_good == (nonce_now is not None)
        if nonce_now is not None:
            synced = feed._books["order_book:0"].book
            bids, asks = venue.states[nonce_now]
            assert dict(synced.bids.top(99)) == {float(p): float(s) for p, s in bids.items()}
            assert dict(synced.asks.top(99)) == {float(p): float(s) for p, s in asks.items()}


def _private_feed() -> LighterFeed:
    feed = LighterFeed(SETTINGS, markets(), ASSETS, VenueCounters(), EPOCH_MS, is_private=True)
    feed.use_token("1:7:4:aa", EPOCH_MS // 1000 + 9_000, Now(EPOCH_MS, 0))
    feed.open(Now(EPOCH_MS, 0))
    feed.receive(b'{"type":"connected"}', Now(EPOCH_MS, 0))
    return feed


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["NaN", "1e999", "-0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FRAMES: list[dict[str, Any]] = [
    SNAPSHOT,
    book("update", 12, 10, {"99.00": "1"}, {"101.00": "2"}),
    subscribed("account_all_orders", {"0": [order_row(42)]}),
    subscribed("account_all_trades", {"0": [trade_row(5)]}),
    {
        "type": "update/market_stats",
        "channel": "market_stats:all",
        "market_stats": {"0": {"market_id": 0, "current_funding_rate": "0.001", "mark_price": "1"}},
    },
    {"error": {"code": 30003, "message": "Already Subscribed to : order_book:0"}},
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_arbitrary_bytes_never_raise(frames: list[bytes]) -> None:
    feed = _private_feed()
    for frame in frames:
        feed.receive(frame, Now(EPOCH_MS, 0))


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inner for path in _paths(item, (*at, key)))]


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_real_frames_with_any_part_replaced_or_cut_never_raise(data: st.DataObject) -> None:
    feed = _private_feed()
    for _ in range(3):
        frame = data.draw(st.sampled_from(FRAMES))
        path = data.draw(st.sampled_from(_paths(frame)))
        raw = json.dumps(_replaced(frame, path, data.draw(json_values))).encode()
        cut = data.draw(st.sampled_from([len(raw), len(raw) // 2, len(raw) - 1]))
        feed.receive(raw[:cut], Now(EPOCH_MS, 0))
        feed.tick(Now(EPOCH_MS, 0))


@given(st.sampled_from(["ETH", "BTC", "PEPE"]), st.integers(1, 2**32 - 1), st.integers(1, 2**48 - 1))
def test_prices_and_sizes_come_back_as_the_venues_integers(asset: str, price: int, base: int) -> None:
    market = markets()[asset]
    intent = order(asset=asset, size=base * market.lot, limit_price=price * market.price_grid.tick)
    fields = to_order_fields(intent, market, EPOCH_MS)
    assert (fields.price, fields.base_amount) == (price, base)
    assert Decimal(plain(intent.limit_price)) * market.multiplier == price * market.price_grid.tick * market.multiplier


@given(st.decimals(min_value="0.000000001", max_value="100000", places=9))
def test_a_size_is_sent_exactly_or_not_at_all(size: Decimal) -> None:
    market = markets()["ETH"]
    try:
        fields = to_order_fields(order(size=size), market, EPOCH_MS)
    except OrderRejected:
        assert size % market.lot != 0
    else:
        assert fields.base_amount * market.lot == size
