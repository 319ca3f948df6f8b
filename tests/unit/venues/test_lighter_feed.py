"""The stream without I/O: subscriptions, continuity, silence, tokens and garbage."""

import json
from typing import Any

import pytest
from tests.unit.venues.lighter_fakes import EPOCH_MS, SETTINGS, markets, order_row, trade_row

from perpdesk.venues.base import (
    BookChanged,
    BookLost,
    Filled,
    FundingChanged,
    OrderChanged,
    PrivateFeedLost,
    PrivateFeedRestored,
    VenueCounters,
)
from perpdesk.venues.lighter.feed import FeedOutput, LighterFeed, Now
from perpdesk.venues.lighter.subscriptions import MESSAGES_PER_MINUTE_MAX, UNANSWERED_MAX, Subscriptions

TOKEN = "1:7:4:aa"
FAR_S = EPOCH_MS // 1000 + 20_000


class Stream:
    """A feed with a clock moved by hand and a memory of everything it said."""

    def __init__(self, assets: frozenset[str] = frozenset({"ETH"}), is_private: bool = False) -> None:
        self.ms = 0
        self.counters = VenueCounters()
        self.feed = LighterFeed(SETTINGS, markets(), assets, self.counters, EPOCH_MS, is_private)
        self.events: list[Any] = list(self.feed.begin().events)
        self.sends: list[dict[str, Any]] = []

    @property
    def now(self) -> Now:
        return Now(EPOCH_MS + self.ms, self.ms)

    def note(self, out: FeedOutput) -> FeedOutput:
        self.events += out.events
        self.sends += [json.loads(frame) for frame in out.sends]
        return out

    def hear(self, frame: object) -> FeedOutput:
        return self.note(self.feed.receive(frame if isinstance(frame, bytes) else json.dumps(frame).encode(), self.now))

    def wait(self, duration_ms: int) -> FeedOutput:
        self.ms += duration_ms
        return self.note(self.feed.tick(self.now))

    def greet(self) -> None:
        self.feed.open(self.now)
        self.hear({"session_id": "x", "type": "connected"})

    def take_sends(self) -> list[tuple[str, str]]:
        sends, self.sends = self.sends, []
        return [(s["type"], s.get("channel", "")) for s in sends]

    def take_events(self, kind: type | None = None) -> list[Any]:
        events, self.events = self.events, []
        return [e for e in events if kind is None or isinstance(e, kind)]


def book(
    kind: str, nonce: int, begin: int, bids: dict[str, str], asks: dict[str, str], channel: str = "order_book:0"
) -> dict:
    def rows(levels: dict[str, str]) -> list[dict[str, str]]:
        return [{"price": p, "size": s} for p, s in levels.items()]

    payload = {"code": 0, "bids": rows(bids), "asks": rows(asks), "offset": 1, "nonce": nonce, "begin_nonce": begin}
    return {"channel": channel, "type": f"{kind}/order_book", "order_book": payload}


SNAPSHOT = book("subscribed", 10, 0, {"99.00": "1", "98.00": "2"}, {"101.00": "3"})


def in_step() -> Stream:
    stream = Stream()
    stream.greet()
    stream.hear(SNAPSHOT)
    stream.take_events()
    stream.take_sends()
    return stream


def test_nothing_is_subscribed_before_the_greeting() -> None:
    stream = Stream()
    stream.feed.open(stream.now)
    assert stream.wait(1_000).sends == []
    stream.hear({"session_id": "x", "type": "connected"})
    assert stream.take_sends() == [("subscribe", "market_stats/all"), ("subscribe", "order_book/0")]


def test_a_connection_without_greeting_is_given_up() -> None:
    stream = Stream()
    stream.feed.open(stream.now)
    assert stream.wait(10_001).reconnect == "no greeting from the venue"


def test_a_snapshot_and_updates_make_the_book() -> None:
    stream = in_step()
    stream.hear(book("update", 12, 10, {"99.00": "0.0000", "99.50": "4"}, {"101.00": "5"}))
    (changed,) = stream.take_events(BookChanged)
    assert changed.asset == "ETH"
    assert changed.book.bids.top(5) == [(99.5, 4.0), (98.0, 2.0)]
    assert changed.book.asks.top(5) == [(101.0, 5.0)]
    assert changed.book.changed_at_ms == EPOCH_MS


def test_a_gap_loses_the_book_and_subscribes_again() -> None:
    stream = in_step()
    held = stream.feed._books["order_book:0"].book
    stream.hear(book("update", 14, 12, {"99.00": "9"}, {}))
    (lost,) = stream.take_events(BookLost)
    assert "gap" in lost.reason
    assert stream.take_sends() == [("unsubscribe", "order_book/0"), ("subscribe", "order_book/0")]
    assert held.mid is None
    assert stream.counters.resyncs == 1


def test_updates_of_a_lost_book_are_ignored_until_the_snapshot() -> None:
    stream = in_step()
    stream.hear(book("update", 14, 12, {}, {"101.00": "9"}))
    stream.hear(book("update", 15, 14, {}, {"101.00": "9"}))
    stream.hear({"type": "unsubscribed", "channel": "order_book:0"})
    assert stream.take_events(BookChanged) == []
    stream.hear(book("subscribed", 15, 0, {"99.00": "1"}, {"101.00": "9"}))
    assert len(stream.take_events(BookChanged)) == 1


def test_a_repeated_frame_changes_nothing() -> None:
    stream = in_step()
    update = book("update", 12, 10, {"99.50": "4"}, {})
    for _ in range(3):
        stream.hear(update)
    stream.hear(SNAPSHOT)
    assert [type(e) for e in stream.take_events()] == [BookChanged]
    assert stream.feed.nonce_of("ETH") == 12


def test_an_old_snapshot_is_not_taken_for_the_fresh_one() -> None:
    stream = in_step()
    stream.hear(book("update", 12, 10, {"99.50": "4"}, {}))
    stream.hear(book("update", 20, 15, {"99.50": "1"}, {}))
    stream.take_events()
    stream.hear(SNAPSHOT)
    assert stream.take_events() == []
    assert stream.feed.nonce_of("ETH") is None


def test_a_venue_that_started_over_is_believed_after_asking_again() -> None:
    stream = in_step()
    stream.hear(book("update", 20, 15, {"99.50": "1"}, {}))
    stream.hear(book("subscribed", 3, 0, {"99.00": "1"}, {"101.00": "9"}))
    assert stream.feed.nonce_of("ETH") is None
    stream.wait(10_001)
    stream.wait(1_000)
    stream.hear(book("subscribed", 3, 0, {"99.00": "1"}, {"101.00": "9"}))
    assert stream.feed.nonce_of("ETH") == 3


def test_repetitions_of_old_states_do_not_pass_for_life() -> None:
    stream = in_step()
    for _ in range(31):
        stream.hear(book("update", 5, 3, {"99.50": "1"}, {}))
        stream.wait(1_000)
    assert len(stream.take_events(BookLost)) == 1


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ({"101.00": "1"}, {}),
        ({"99.50": "-1"}, {}),
        ({"nan": "1"}, {}),
        ({"99.50": "inf"}, {}),
        ({"99.00": "0", "98.00": "0", "9.00": "1"}, {}),
        ({}, {"101.00": "0", "1010.00": "1"}),
    ],
    ids=["crossed", "negative", "nan", "infinite", "bid ten times off", "ask ten times off"],
)
def test_an_absurd_book_is_lost_and_asked_for_again(bids: dict, asks: dict) -> None:
    stream = in_step()
    stream.hear(book("update", 12, 10, bids, asks))
    assert [type(e) for e in stream.take_events()] == [BookLost]
    assert ("subscribe", "order_book/0") in stream.take_sends()


def test_a_snapshot_ten_times_off_is_refused_at_first_and_believed_once_the_last_mid_is_old() -> None:
    stream = in_step()
    far = book("subscribed", 30, 0, {"990.00": "1"}, {"1010.00": "1"})
    stream.hear(book("update", 20, 15, {}, {}))
    stream.hear(far)
    assert BookChanged not in [type(e) for e in stream.take_events()]
    stream.ms += 600_001
    stream.hear(far)
    assert BookChanged in [type(e) for e in stream.take_events()]


def test_a_book_that_keeps_failing_is_asked_for_ever_more_slowly() -> None:
    stream = in_step()
    crossed = book("subscribed", 30, 0, {"102.00": "1"}, {"101.00": "1"})
    asked = 0
    for _ in range(120):
        stream.hear(crossed)
        stream.wait(1_000)
        asked += sum(1 for s in stream.take_sends() if s == ("subscribe", "order_book/0"))
        stream.hear({"type": "pong"})
    assert 5 <= asked <= 12


def test_a_silent_book_is_lost_while_others_live_on() -> None:
    stream = Stream(frozenset({"ETH", "BTC"}))
    stream.greet()
    stream.hear(SNAPSHOT)
    stream.hear(SNAPSHOT | {"channel": "order_book:1"})
    stream.take_events()
    for step in range(31):
        stream.wait(1_000)
        stream.hear(book("update", 11 + step, 10 + step, {"99.00": "1"}, {}, "order_book:1"))
    assert [e.asset for e in stream.take_events(BookLost)] == ["ETH"]


def test_a_dead_connection_is_given_up_and_a_quiet_one_is_kept_by_pongs() -> None:
    stream = in_step()
    for _ in range(100):
        out = stream.wait(1_000)
        assert out.reconnect is None
        if b'{"type":"ping"}' in out.sends:
            stream.hear({"type": "pong"})
    stream.ms += 45_001
    assert "nothing received" in (stream.wait(0).reconnect or "")


def test_the_venues_ping_is_answered() -> None:
    stream = in_step()
    assert stream.hear({"type": "ping"}).sends == [b'{"type":"pong"}']


def test_an_announced_shutdown_reconnects() -> None:
    assert in_step().hear({"type": "shutdown", "close_in_ms": 5000}).reconnect


def test_an_unanswered_subscription_is_asked_for_again() -> None:
    stream = Stream()
    stream.greet()
    stream.take_sends()
    stream.wait(10_001)
    stream.hear({"type": "pong"})
    assert ("unsubscribe", "order_book/0") in stream.take_sends()


@pytest.mark.parametrize("shape", ["nested", "flat"])
def test_already_subscribed_leaves_and_asks_again_for_that_channel_only(shape: str) -> None:
    stream = Stream(frozenset({"ETH", "BTC"}))
    stream.greet()
    stream.take_sends()
    error = {"code": 30003, "message": "Already Subscribed to : order_book:1"}
    stream.hear({"error": error} if shape == "nested" else {"type": "error"} | error)
    assert stream.take_sends() == [("unsubscribe", "order_book/1"), ("subscribe", "order_book/1")]
    assert stream.counters.errors == 1


def test_a_close_loses_every_book_once() -> None:
    stream = in_step()
    first, second = stream.feed.close("1006"), stream.feed.close("1006")
    assert [type(e) for e in first.events] == [BookLost]
    assert second.events == []


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"[]", b"7", b"{", b"[" * 100_000, b'{"type":7}', b"null"])
def test_garbage_is_counted_and_changes_nothing(garbage: bytes) -> None:
    stream = in_step()
    stream.hear(garbage)
    assert stream.counters.frames_unreadable == 1
    assert stream.take_events() == []
    assert stream.feed.nonce_of("ETH") == 10


def test_an_unreadable_book_frame_changes_nothing_and_the_next_one_shows_the_gap() -> None:
    stream = in_step()
    stream.hear(book("update", 12, 10, {"x": "1"}, {}))
    assert stream.take_events() == []
    stream.hear(book("update", 13, 12, {"99.00": "1"}, {}))
    assert [type(e) for e in stream.take_events()] == [BookLost]


def test_frames_of_channels_not_asked_for_are_passed_over() -> None:
    stream = in_step()
    stream.hear({"channel": "height", "height": 5, "type": "update/height"})
    stream.hear(SNAPSHOT | {"channel": "order_book:999"})
    assert stream.take_events() == []
    assert stream.counters.frames_unreadable == 0


def test_funding_arrives_for_every_listed_market() -> None:
    stream = in_step()
    rows = {str(i): {"market_id": i, "current_funding_rate": "0.0012"} for i in (0, 1, 4, 2048)}
    stream.hear({"channel": "market_stats:all", "market_stats": rows, "type": "update/market_stats"})
    assert [e.asset for e in stream.take_events(FundingChanged)] == ["ETH", "BTC", "PEPE"]


# --- the private stream


def subscribed(name: str, payload: object) -> dict[str, object]:
    field = name.removeprefix("account_all_")
    return {"type": f"subscribed/{name}", "channel": f"{name}:7", field: payload}


def private() -> Stream:
    """Live, with a token."""
    stream = Stream(is_private=True)
    stream.note(stream.feed.use_token(TOKEN, FAR_S, stream.now))
    stream.greet()
    stream.hear(subscribed("account_all_orders", {}))
    stream.hear(subscribed("account_all_trades", []))
    return stream


def test_our_own_events_are_lost_until_every_private_channel_is_confirmed() -> None:
    stream = Stream(is_private=True)
    assert [type(e) for e in stream.take_events()] == [PrivateFeedLost]
    stream.note(stream.feed.use_token(TOKEN, FAR_S, stream.now))
    stream.greet()
    assert next(s for s in stream.sends if s.get("auth") == TOKEN)["channel"] == "account_all_orders/7"
    stream.hear(subscribed("account_all_orders", {}))
    assert stream.take_events() == []
    stream.hear(subscribed("account_all_trades", []))
    assert [type(e) for e in stream.take_events()] == [PrivateFeedRestored]
    assert stream.feed.is_private_live


def test_private_channels_wait_for_a_token_and_public_ones_do_not() -> None:
    stream = Stream(is_private=True)
    stream.greet()
    assert [channel for _, channel in stream.take_sends()] == ["market_stats/all", "order_book/0"]
    assert stream.wait(1_000).wants_token


def test_orders_and_trades_become_events() -> None:
    stream = private()
    stream.take_events()
    stream.hear(
        {"type": "update/account_all_orders", "channel": "account_all_orders:7", "orders": {"0": [order_row(42)]}}
    )
    stream.hear(
        {"type": "update/account_all_trades", "channel": "account_all_trades:7", "trades": {"0": [trade_row(5)]}}
    )
    assert [type(e) for e in stream.take_events()] == [OrderChanged, Filled]


def test_the_first_frame_of_trades_passes_on_only_what_is_new() -> None:
    stream = private()
    stream.take_events()
    rows = [trade_row(1, timestamp=EPOCH_MS - 3_600_000), trade_row(2, timestamp=EPOCH_MS + 5)]
    stream.hear(subscribed("account_all_trades", {"0": rows}))
    assert [e.fill.trade_id for e in stream.take_events(Filled)] == ["2:sell"]


def test_a_token_near_its_end_is_replaced_and_both_channels_are_subscribed_anew() -> None:
    stream = private()
    stream.take_events()
    stream.take_sends()
    stream.ms = 20_000_000 - 599_000
    stream.hear({"type": "pong"})
    assert stream.wait(0).wants_token
    stream.take_sends()
    stream.note(stream.feed.use_token("2:7:4:bb", FAR_S * 2, stream.now))
    assert [type(e) for e in stream.take_events(PrivateFeedLost)] == [PrivateFeedLost]
    assert ("unsubscribe", "account_all_orders/7") in stream.take_sends()
    assert not stream.wait(0).wants_token


def test_a_refused_token_loses_the_private_stream_and_asks_for_another() -> None:
    stream = private()
    stream.take_events()
    stream.hear({"error": {"code": 20013, "message": "invalid auth: account_all_orders:7"}})
    assert [type(e) for e in stream.take_events()] == [PrivateFeedLost]
    assert stream.wait(1_000).wants_token


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"update/account_all_trades","channel":"account_all_trades:7","trades":{"0":[{"trade',
        b'{"type":"update/acc',
        {
            "type": "update/account_all_trades",
            "channel": "account_all_trades:7",
            "trades": {"0": [trade_row(5, size="x")]},
        },
        {"type": "update/account_all_orders", "channel": "account_all_orders:7", "orders": {"0": 5}},
        {"type": "update/account_all_orders", "channel": "account_all_orders:7"},
    ],
    ids=["cut", "cut early", "bad row", "bad payload", "no payload"],
)
def test_an_unreadable_message_about_us_may_have_been_a_fill(frame: object) -> None:
    stream = private()
    stream.take_events()
    stream.take_sends()
    stream.hear(frame)
    assert [type(e) for e in stream.take_events()] == [PrivateFeedLost]
    assert ("subscribe", "account_all_trades/7") in stream.take_sends()
    assert stream.counters.frames_unreadable == 1


def test_a_broken_public_frame_does_not_touch_the_private_stream() -> None:
    stream = private()
    stream.take_events()
    stream.hear(b'{"channel":"order_book:0","type":"update/order_book","order_bo')
    assert stream.take_events() == []


def test_a_storm_of_unreadable_private_messages_does_not_put_the_subscription_off_for_ever() -> None:
    stream = private()
    stream.take_events()
    for _ in range(600):
        stream.hear(b'{"channel":"account_all_trades:7",')
        stream.wait(100)
    asked = stream.take_sends().count(("subscribe", "account_all_trades/7"))
    assert 5 <= asked <= 15


def test_one_readable_row_is_kept_beside_an_unreadable_one() -> None:
    stream = private()
    stream.take_events()
    rows = {"0": [trade_row(5), trade_row(6, price="NaN")]}
    stream.hear({"type": "update/account_all_trades", "channel": "account_all_trades:7", "trades": rows})
    assert [type(e) for e in stream.take_events()] == [Filled, PrivateFeedLost]


# --- limits of the venue on client messages


def test_subscriptions_in_flight_and_per_minute_stay_within_the_venues_limits() -> None:
    subs = Subscriptions()
    for index in range(400):
        subs.add(f"order_book/{index}", is_private=False, silence_ms_max=None)
    subs.restart(0)
    sent_at: list[int] = []
    for ms in range(0, 240_000, 500):
        asked = subs.take_due(ms, None)
        sent_at += [ms] * len(asked)
        assert sum(1 for c in subs.channels.values() if c.state.name == "REQUESTED") <= UNANSWERED_MAX
        for frame in asked:
            key = json.loads(frame)["channel"].replace("/", ":")
            subs.confirm(subs.channels[key], ms)
    assert all(c.is_live for c in subs.channels.values())
    for start in sent_at:
        assert sum(1 for ms in sent_at if start <= ms < start + 60_000) <= MESSAGES_PER_MINUTE_MAX
