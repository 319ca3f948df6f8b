"""The feed without I/O: frames in, events and frames to send out."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.unit.venues.hyperliquid_fakes import NOW_MS, USER, book_data, cloid, fill_row, order_record, settings

from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import OrderStatus
from perpdesk.venues.base import (
    BookChanged,
    BookLost,
    Filled,
    FundingChanged,
    FundingPaid,
    OrderChanged,
    PrivateFeedLost,
    PrivateFeedRestored,
    VenueCounters,
)
from perpdesk.venues.hyperliquid.feed import FeedStep, HyperliquidFeed
from perpdesk.venues.hyperliquid.settings import HyperliquidSettings
from perpdesk.venues.hyperliquid.watch import Watch

PRIVATE = ("userFills", "orderUpdates", "userFundings")


class Desk:
    """A feed with its clock and counters, played by hand."""

    def __init__(self, chosen: HyperliquidSettings | None = None, opened: bool = True, acked: bool = True) -> None:
        self.clock = ManualClock(NOW_MS)
        self.counters = VenueCounters()
        self.feed = HyperliquidFeed(chosen or settings(), self.clock, Watch(self.counters))
        self.begun = self.feed.begin()
        self.feed.follow({"BTC": "BTC", "kPEPE": "PEPE"})
        self.opened = self.feed.on_open() if opened else FeedStep()
        if opened and acked:
            self.ack_all(self.opened)

    def push(self, channel: str, data: object) -> FeedStep:
        return self.feed.on_frame(msgspec.json.encode({"channel": channel, "data": data}))

    def ack_all(self, step: FeedStep) -> list[Any]:
        events = []
        for raw in step.sends:
            message = json.loads(raw)
            if message["method"] != "ping":
                events += self.push("subscriptionResponse", message).events
        return events

    def tick(self, after_ms: int) -> FeedStep:
        self.clock.advance_ms(after_ms)
        return self.feed.on_tick()


def methods(step: FeedStep) -> list[tuple[str, str]]:
    """(method, channel) of each frame to send."""
    decoded = [json.loads(raw) for raw in step.sends]
    return [(m["method"], m.get("subscription", {}).get("type", "")) for m in decoded]


# Subscribing ---------------------------------------------------------------------------------------------------------


def test_opening_subscribes_our_own_events_first_then_every_book_and_context() -> None:
    subscriptions = [json.loads(raw)["subscription"] for raw in Desk(acked=False).opened.sends]
    assert subscriptions == [
        *({"type": channel, "user": USER.lower()} for channel in PRIVATE),
        {"type": "l2Book", "coin": "BTC", "fast": True},
        {"type": "activeAssetCtx", "coin": "BTC"},
        {"type": "l2Book", "coin": "kPEPE", "fast": True},
        {"type": "activeAssetCtx", "coin": "kPEPE"},
    ]


def test_best_levels_are_subscribed_when_asked_for() -> None:
    desk = Desk(settings(book_channel="bbo"), acked=False)
    assert {"type": "bbo", "coin": "BTC"} in [json.loads(raw)["subscription"] for raw in desk.opened.sends]


def test_without_an_account_nothing_private_is_subscribed_or_lost() -> None:
    desk = Desk(HyperliquidSettings())
    assert {channel for _, channel in methods(desk.opened)} == {"l2Book", "activeAssetCtx"}
    assert desk.begun.events == []
    assert desk.feed.on_closed("1006").events == []


def test_the_private_feed_is_lost_until_all_three_channels_are_confirmed() -> None:
    desk = Desk(acked=False)
    assert [type(event) for event in desk.begun.events] == [PrivateFeedLost]
    for channel in PRIVATE[:2]:
        message = {"method": "subscribe", "subscription": {"type": channel, "user": USER}}
        assert desk.push("subscriptionResponse", message).events == []
    last = desk.push(
        "subscriptionResponse", {"method": "subscribe", "subscription": {"type": PRIVATE[2], "user": USER}}
    )
    assert [type(event) for event in last.events] == [PrivateFeedRestored]


def test_a_normalised_echo_confirms_a_book() -> None:
    desk = Desk(acked=False)
    echo = {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None, "fast": True}
    desk.push("subscriptionResponse", {"method": "subscribe", "subscription": echo})
    repeated = [json.loads(raw)["subscription"] for raw in desk.tick(5_000).sends]
    assert echo["coin"] not in [s.get("coin") for s in repeated if s["type"] == "l2Book"]
    assert len(repeated) == 6


def test_an_unconfirmed_subscription_is_repeated_three_times_and_then_the_socket_is_given_up() -> None:
    desk = Desk(acked=False)
    assert desk.tick(4_999).sends == []
    assert len(desk.tick(1).sends) == 7
    assert len(desk.tick(5_000).sends) == 7
    third = desk.tick(5_000)
    assert len(third.sends) == 7
    assert third.reconnect_because is None
    given_up = desk.tick(5_000)
    assert given_up.reconnect_because is not None
    assert "never confirmed" in given_up.reconnect_because


def test_already_subscribed_confirms_like_an_acknowledgement() -> None:
    desk = Desk(acked=False)
    for raw in desk.opened.sends:
        desk.push("error", f"Already subscribed: {json.dumps(json.loads(raw)['subscription'])}")
    assert desk.tick(5_000).sends == []
    assert desk.counters.errors == 0


def test_a_market_the_venue_refuses_is_lost_and_does_not_cut_the_socket() -> None:
    desk = Desk(acked=False)
    step = desk.push("error", 'Invalid subscription {"type":"l2Book","coin":"BTC","fast":true}')
    assert [(type(e), e.asset) for e in step.events] == [(BookLost, "BTC")]
    for raw in desk.opened.sends:
        message = json.loads(raw)
        if message["subscription"].get("coin") != "BTC" or message["subscription"]["type"] != "l2Book":
            desk.push("subscriptionResponse", message)
    for _ in range(5):
        assert ("subscribe", "l2Book") not in methods(desk.tick(5_000))


def test_other_errors_are_counted_and_change_nothing() -> None:
    desk = Desk()
    step = desk.push("error", "Cannot track more than 15 total users.")
    assert (step.events, step.sends, desk.counters.errors) == ([], [], 1)


def test_following_changes_subscribe_and_drop_only_the_difference() -> None:
    desk = Desk()
    desk.push("l2Book", book_data("BTC"))
    step = desk.feed.follow({"kPEPE": "PEPE", "ETH": "ETH"})
    assert [(json.loads(raw)["method"], json.loads(raw)["subscription"]["coin"]) for raw in step.sends] == [
        ("unsubscribe", "BTC"),
        ("unsubscribe", "BTC"),
        ("subscribe", "ETH"),
        ("subscribe", "ETH"),
    ]
    assert [(type(e), e.asset) for e in step.events] == [(BookLost, "BTC")]
    assert desk.push("l2Book", book_data("BTC")).events == []


# Books ---------------------------------------------------------------------------------------------------------------


def test_a_book_message_is_the_whole_book() -> None:
    desk = Desk()
    (changed,) = desk.push("l2Book", book_data("kPEPE", "0.010499", "0.010501")).events
    assert isinstance(changed, BookChanged)
    assert (changed.asset, changed.book.bids.best, changed.book.asks.best) == (
        "PEPE",
        (0.000010499, 1500.0),
        (0.000010501, 2000.0),
    )
    assert changed.book.changed_at_ms == NOW_MS
    assert desk.counters.book_updates == 1
    desk.push("l2Book", book_data("kPEPE", "0.0104", "0.0106"))
    assert len(changed.book.bids) == 1


def test_best_levels_make_a_book_of_one_level() -> None:
    desk = Desk(settings(book_channel="bbo"))
    data = {"coin": "BTC", "time": NOW_MS, "bbo": [{"px": "1.0", "sz": "2"}, None]}
    (changed,) = desk.push("bbo", data).events
    assert isinstance(changed, BookChanged)
    assert (changed.book.bids.best, changed.book.asks.best) == ((1.0, 2.0), None)


@pytest.mark.parametrize(
    "damage", [{"px": "NaN"}, {"px": "-1.0"}, {"px": "0"}, {"sz": "-1"}, {"sz": "inf"}, {"px": "x"}]
)
def test_a_book_with_an_impossible_number_changes_nothing(damage: dict[str, str]) -> None:
    desk = Desk()
    (changed,) = desk.push("l2Book", book_data()).events
    data = book_data(time=NOW_MS + 1)
    data["levels"][0][0].update(damage)
    assert desk.push("l2Book", data).events == []
    assert isinstance(changed, BookChanged)
    assert changed.book.bids.best == (94999.0, 1.5)
    assert desk.counters.frames_unreadable == 1


def test_a_crossed_book_is_lost_until_the_next_sound_one() -> None:
    desk = Desk()
    (changed,) = desk.push("l2Book", book_data()).events
    lost = desk.push("l2Book", book_data(bid="95001.0", ask="95001.0", time=NOW_MS + 1))
    assert [(type(e), e.reason) for e in lost.events] == [(BookLost, "crossed")]
    assert isinstance(changed, BookChanged)
    assert changed.book.bids.best == (94999.0, 1.5), "the crossed book never reaches the shared object"
    again = desk.push("l2Book", book_data(bid="95001.0", ask="95001.0", time=NOW_MS + 2))
    assert again.events == [], "a loss is told once"
    assert [type(e) for e in desk.push("l2Book", book_data(time=NOW_MS + 3)).events] == [BookChanged]
    assert desk.counters.frames_unreadable == 2


def test_an_older_book_is_ignored_and_an_equally_old_one_is_not() -> None:
    desk = Desk()
    desk.push("l2Book", book_data())
    assert desk.push("l2Book", book_data(bid="94000.0", time=NOW_MS - 1)).events == []
    assert len(desk.push("l2Book", book_data(bid="94000.0")).events) == 1
    assert desk.counters.frames_unreadable == 0


def test_a_book_from_the_future_is_refused_and_does_not_blind_the_feed() -> None:
    desk = Desk()
    assert desk.push("l2Book", book_data(time=NOW_MS + 60_001)).events == []
    assert desk.counters.frames_unreadable == 1
    assert len(desk.push("l2Book", book_data()).events) == 1


def test_a_price_ten_times_off_is_distrusted_once_and_the_old_price_heals_it() -> None:
    desk = Desk()
    desk.push("l2Book", book_data())
    lost = desk.push("l2Book", book_data(bid="949990.0", ask="950010.0", time=NOW_MS + 1))
    assert [type(e) for e in lost.events] == [BookLost]
    assert desk.counters.frames_unreadable == 1
    assert len(desk.push("l2Book", book_data(time=NOW_MS + 2)).events) == 1
    assert [type(e) for e in desk.push("l2Book", book_data(bid="1.0", ask="2.0", time=NOW_MS + 3)).events] == [BookLost]


def test_a_jump_that_the_next_book_confirms_is_believed() -> None:
    desk = Desk()
    desk.push("l2Book", book_data())
    desk.push("l2Book", book_data(bid="9.0", ask="9.1", time=NOW_MS + 1))
    assert [type(e) for e in desk.push("l2Book", book_data(bid="9.0", ask="9.2", time=NOW_MS + 2)).events] == [
        BookChanged
    ]


def test_books_nobody_follows_are_passed_over() -> None:
    desk = Desk()
    for coin in ("ETH", "xyz:BTC", "@107"):
        assert desk.push("l2Book", book_data(coin)).events == []
    assert desk.counters.frames_unreadable == 0


# Funding -------------------------------------------------------------------------------------------------------------


def test_a_context_is_the_running_funding_rate_and_the_prices() -> None:
    ctx = {"funding": "-0.0000125", "markPx": "0.0105", "oraclePx": "0.0104", "midPx": None, "premium": None}
    (changed,) = Desk().push("activeAssetCtx", {"coin": "kPEPE", "ctx": ctx}).events
    assert isinstance(changed, FundingChanged)
    assert (changed.asset, changed.rate.per_hour) == ("PEPE", Decimal("-0.0000125"))
    assert (changed.mark_price, changed.index_price) == (0.0000105, 0.0000104)
    assert changed.rate.observed_at_ms == NOW_MS


@pytest.mark.parametrize("funding", ["0.05", "-0.0401", "NaN", "Infinity", "1e-5", "", "0.0000125x"])
def test_an_impossible_rate_is_unreadable(funding: str) -> None:
    desk = Desk()
    assert desk.push("activeAssetCtx", {"coin": "BTC", "ctx": {"funding": funding}}).events == []
    assert desk.counters.frames_unreadable == 1


def test_a_context_without_prices_has_none() -> None:
    (changed,) = Desk().push("activeAssetCtx", {"coin": "BTC", "ctx": {"funding": "0.0"}}).events
    assert isinstance(changed, FundingChanged)
    assert (changed.mark_price, changed.index_price) == (None, None)


# Our own events ------------------------------------------------------------------------------------------------------


def test_fills_are_told_snapshot_or_not() -> None:
    desk = Desk()
    snapshot = desk.push("userFills", {"isSnapshot": True, "user": USER, "fills": [fill_row(tid=1), fill_row(tid=2)]})
    later = desk.push("userFills", {"user": USER.lower(), "fills": [fill_row(tid=3)]})
    fills = [event.fill for event in snapshot.events + later.events if isinstance(event, Filled)]
    assert [fill.trade_id for fill in fills] == [f"{NOW_MS}:{tid}:7" for tid in (1, 2, 3)]
    assert fills[0].client_id == 0x1234


def test_another_users_fills_are_not_ours() -> None:
    assert Desk().push("userFills", {"user": "0x22", "fills": [fill_row()]}).events == []


def test_order_updates_are_told_for_orders_with_our_id() -> None:
    foreign = order_record("open")
    foreign["order"]["cloid"] = "0x7fda4426a5b048238b460d86eeca80aa"
    manual = order_record("open")
    del manual["order"]["cloid"]
    step = Desk().push("orderUpdates", [order_record("open", left="0.0004"), foreign, manual])
    (changed,) = step.events
    assert isinstance(changed, OrderChanged)
    assert (changed.report.status, changed.report.filled_size) == (OrderStatus.RESTING, Decimal("0.0006"))


def test_funding_payments_have_the_same_id_as_by_request() -> None:
    rows = [{"time": NOW_MS, "coin": "kPEPE", "usdc": "-0.25", "szi": "20.0", "fundingRate": "0.1", "nSamples": None}]
    (paid,) = Desk().push("userFundings", {"isSnapshot": True, "user": USER, "fundings": rows}).events
    assert isinstance(paid, FundingPaid)
    assert (paid.payment.payment_id, paid.payment.usd, paid.payment.size) == (
        f"kPEPE:{NOW_MS}",
        Decimal("-0.25"),
        20_000,
    )


def test_one_damaged_row_withholds_its_message_and_says_that_our_events_are_in_doubt() -> None:
    desk = Desk()
    step = desk.push("userFills", {"user": USER, "fills": [fill_row(tid=1), fill_row(tid=2, px="-1")]})
    assert [type(e) for e in step.events] == [PrivateFeedLost]
    assert methods(step) == [(method, channel) for channel in PRIVATE for method in ("unsubscribe", "subscribe")]
    assert [type(e) for e in desk.ack_all(step)] == [PrivateFeedRestored]
    assert desk.counters.frames_unreadable == 1


@pytest.mark.parametrize("raw", [b"", b"\xff", b'{"channel":"userFi', b"[]", b"null", b"[" * 50_000, b'{"data":1}'])
def test_a_message_that_is_no_message_casts_doubt_on_our_events(raw: bytes) -> None:
    desk = Desk()
    step = desk.feed.on_frame(raw)
    assert [type(e) for e in step.events] == [PrivateFeedLost]
    assert desk.feed.on_frame(raw).events == [], "doubt is told once"
    assert desk.counters.frames_unreadable == 2


def test_a_damaged_market_message_casts_no_doubt_on_our_events() -> None:
    desk = Desk()
    step = desk.push("l2Book", {"coin": "BTC"})
    assert (step.events, step.sends, desk.counters.frames_unreadable) == ([], [], 1)


def test_unknown_channels_unknown_fields_and_the_old_greeting_are_tolerated() -> None:
    desk = Desk()
    for raw in (
        b'{"channel":"brandNew","data":{"x":1},"more":2}',
        b'{"channel":"trades","data":[]}',
        b"Websocket connection established.",
        b'{"channel":"pong"}',
    ):
        step = desk.feed.on_frame(raw)
        assert (step.events, step.sends, step.reconnect_because) == ([], [], None)
    assert desk.counters.frames_unreadable == 0
    data = {**book_data(), "brandNew": {"x": [1]}}
    assert len(desk.push("l2Book", data).events) == 1


# Silence -------------------------------------------------------------------------------------------------------------


def test_a_ping_goes_out_every_twenty_seconds_and_a_missing_pong_ends_the_socket() -> None:
    desk = Desk(settings(book_silence_limit_ms=10**9, context_silence_limit_ms=10**9))
    assert desk.tick(19_999).sends == []
    assert methods(desk.tick(1)) == [("ping", "")]
    desk.feed.on_frame(b'{"channel":"pong"}')
    assert desk.tick(10_000).reconnect_because is None
    assert methods(desk.tick(10_000)) == [("ping", "")]
    assert desk.tick(9_999).reconnect_because is None
    assert desk.tick(1).reconnect_because == "no pong"


def test_one_silent_book_among_live_ones_is_lost_and_renewed() -> None:
    desk = Desk()
    desk.push("l2Book", book_data("BTC"))
    desk.push("l2Book", book_data("kPEPE", "0.0104", "0.0106"))
    desk.clock.advance_ms(10_000)
    desk.push("l2Book", book_data("BTC", time=NOW_MS + 10_000))
    at_limit = desk.tick(5_000)
    assert (at_limit.events, at_limit.sends) == ([], [])
    beyond = desk.tick(1)
    assert [(type(e), e.asset) for e in beyond.events] == [(BookLost, "PEPE")]
    assert methods(beyond) == [("unsubscribe", "l2Book"), ("subscribe", "l2Book")]
    assert desk.counters.resyncs == 1
    desk.ack_all(beyond)
    back = desk.push("l2Book", book_data("kPEPE", "0.0104", "0.0106", time=NOW_MS + 15_000))
    assert [type(e) for e in back.events] == [BookChanged]


def test_when_everything_is_silent_the_socket_is_tested_before_anything_is_renewed() -> None:
    desk = Desk()
    desk.push("l2Book", book_data("BTC"))
    step = desk.tick(15_001)
    assert [(type(e), e.asset) for e in step.events] == [(BookLost, "BTC")]
    assert methods(step) == [("ping", "")]
    desk.feed.on_frame(b'{"channel":"pong"}')
    assert methods(desk.tick(1)) == [("unsubscribe", "l2Book"), ("subscribe", "l2Book")] * 2


def test_frames_that_are_ignored_do_not_keep_a_book_alive() -> None:
    desk = Desk()
    desk.push("l2Book", book_data("BTC", time=NOW_MS + 50_000))
    desk.clock.advance_ms(15_001)
    desk.push("l2Book", book_data("BTC", time=NOW_MS + 15_001))
    step = desk.feed.on_tick()
    assert ("subscribe", "l2Book") in methods(step)
    assert [e.asset for e in step.events if isinstance(e, BookLost)] == ["BTC"]
    desk.ack_all(step)
    assert len(desk.push("l2Book", book_data("BTC", time=NOW_MS + 15_002)).events) == 1


def test_a_silent_context_is_renewed_without_a_word_about_the_book() -> None:
    desk = Desk(settings(book_silence_limit_ms=10**9))
    desk.push("l2Book", book_data("BTC"))
    desk.clock.advance_ms(60_001)
    desk.feed.on_frame(b'{"channel":"pong"}')
    step = desk.feed.on_tick()
    assert step.events == []
    assert ("subscribe", "activeAssetCtx") in methods(step)


# Losing the socket ---------------------------------------------------------------------------------------------------


def test_a_closed_socket_loses_every_live_book_and_our_own_events() -> None:
    desk = Desk()
    desk.push("l2Book", book_data("BTC"))
    step = desk.feed.on_closed("1000 Expired")
    assert [(type(e), e.reason) for e in step.events] == [
        (BookLost, "1000 Expired"),
        (PrivateFeedLost, "1000 Expired"),
    ]
    assert desk.feed.on_closed("again").events == []
    assert desk.tick(60_000).sends == []


def test_a_fresh_socket_subscribes_everything_again_and_restores_after_the_acknowledgements() -> None:
    desk = Desk()
    desk.push("l2Book", book_data("BTC"))
    desk.feed.on_closed("1006")
    step = desk.feed.on_open()
    assert methods(step) == methods(desk.opened)
    assert [type(e) for e in desk.ack_all(step)] == [PrivateFeedRestored]
    assert len(desk.push("l2Book", book_data("BTC", time=NOW_MS - 500)).events) == 1


def test_cloids_of_ours_round_trip() -> None:
    from perpdesk.domain.orders import CLIENT_ID_MAX
    from perpdesk.venues.hyperliquid.account_frames import client_id_of, cloid_of

    assert [client_id_of(cloid_of(i)) for i in (1, 0x1234, CLIENT_ID_MAX)] == [1, 0x1234, CLIENT_ID_MAX]
    assert cloid(5) == cloid_of(5)
    for foreign in (None, "", "0x0", cloid_of(0), cloid_of(CLIENT_ID_MAX + 1), "0x" + "g" * 32, "0x+" + "1" * 31):
        assert client_id_of(foreign) is None
