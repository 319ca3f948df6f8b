"""The market and private streams without I/O: frames in, events and frames to send out.

There is no sequence number and no replay on any channel. Books come whole, so a damaged one is dropped and the next one
heals; a private message that may have been lost can only be asked for, so the listener is told.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from perpdesk.domain.books import Book
from perpdesk.domain.clock import Clock
from perpdesk.venues.base import (
    BookChanged,
    BookLost,
    Filled,
    FundingPaid,
    OrderChanged,
    PrivateFeedLost,
    PrivateFeedRestored,
    VenueEvent,
)
from perpdesk.venues.hyperliquid import account_frames, frames
from perpdesk.venues.hyperliquid.frames import PRIVATE_CHANNELS, VENUE, BookSnapshot, CrossedBook
from perpdesk.venues.hyperliquid.settings import HyperliquidSettings
from perpdesk.venues.hyperliquid.watch import Watch

SUBSCRIBE_REPEATS_MAX = 3
JUMP_FACTOR = 8.0
"""A price this far from the last one is believed only when the next message repeats it.

A slipped decimal point is a factor of ten, give or take the market's own move since.
"""
CONTEXTS = "activeAssetCtx"

_GREETING = b"Websocket connection established"  # plain text of older servers

_Key = tuple[str, str]
"""(channel, coin or user)."""


@dataclass(slots=True)
class FeedStep:
    """What follows from one input.

    Attributes:
        sends: Frames for the venue, in order.
        reconnect_because: Set when this socket is of no more use.
    """

    events: list[VenueEvent] = field(default_factory=list)
    sends: list[bytes] = field(default_factory=list)
    reconnect_because: str | None = None


@dataclass(slots=True)
class _Subscription:
    """One subscription's life on the present socket. Times are monotonic."""

    key: _Key
    sent_at_ms: int = 0
    times_sent: int = 0
    heard_at_ms: int = 0
    is_acked: bool = False
    is_refused: bool = False


class _JumpGuard:
    """Admits a price near the last admitted one; a jump is believed when the next price confirms it."""

    __slots__ = ("_known", "_suspect")

    def __init__(self) -> None:
        self._known: float | None = None
        self._suspect: float | None = None

    def admits(self, price: float) -> bool:
        is_near = self._known is None or _are_near(price, self._known)
        if not is_near and (self._suspect is None or not _are_near(price, self._suspect)):
            self._suspect = price
            return False
        self._known, self._suspect = price, None
        return True


def _are_near(price: float, other: float) -> bool:
    return price < other * JUMP_FACTOR and other < price * JUMP_FACTOR


class _BookState:
    """The book of one followed market."""

    __slots__ = ("asset", "at_ms", "book", "guard", "is_live")

    def __init__(self, asset: str) -> None:
        self.asset = asset
        self.book = Book()
        self.guard = _JumpGuard()
        self.at_ms = 0
        self.is_live = False


class HyperliquidFeed:
    """Books, funding and our own events over one socket at a time."""

    def __init__(self, settings: HyperliquidSettings, clock: Clock, watch: Watch) -> None:
        self._settings = settings
        self._clock = clock
        self._watch = watch
        self._user = (settings.account_address or "").lower()
        self._subscriptions: dict[_Key, _Subscription] = {}
        self._books: dict[str, _BookState] = {}
        self._marks: dict[str, _JumpGuard] = {}
        self._is_open = False
        self._is_private_live = False
        self._heard_at_ms = 0
        self._ping_sent_at_ms = 0
        self._is_ping_out = False
        if self._user:
            self._subscriptions = {key: _Subscription(key) for key in self._private_keys()}
        self._handlers: dict[str, Callable[[msgspec.Raw, FeedStep], None]] = {
            "l2Book": self._on_l2_book,
            "bbo": self._on_bbo,
            CONTEXTS: self._on_context,
            "userFills": self._on_fills,
            "orderUpdates": self._on_orders,
            "userFundings": self._on_fundings,
            "subscriptionResponse": self._on_subscription_response,
            "error": self._on_error,
            "pong": self._on_pong,
        }

    def _private_keys(self) -> list[_Key]:
        return [(channel, self._user) for channel in PRIVATE_CHANNELS]

    # What to follow ----------------------------------------------------------------------------------------------

    def follow(self, assets: dict[str, str]) -> FeedStep:
        """Follow exactly these markets, asset by coin; what is new is subscribed at once, what is gone is dropped."""
        step = FeedStep()
        for coin in [coin for coin in self._books if coin not in assets]:
            self._unfollow(coin, step)
        for coin, asset in assets.items():
            if coin not in self._books:
                self._books[coin] = _BookState(asset)
                self._marks[coin] = _JumpGuard()
                for key in ((self._settings.book_channel, coin), (CONTEXTS, coin)):
                    subscription = self._subscriptions[key] = _Subscription(key)
                    if self._is_open:
                        self._subscribe(subscription, step)
        return step

    def _unfollow(self, coin: str, step: FeedStep) -> None:
        self._lose_book(self._books.pop(coin), "no longer followed", step)
        del self._marks[coin]
        for key in ((self._settings.book_channel, coin), (CONTEXTS, coin)):
            del self._subscriptions[key]
            if self._is_open:
                step.sends.append(self._encode(key, "unsubscribe"))

    def _encode(self, key: _Key, method: str) -> bytes:
        return frames.encode_subscribe(key, self._settings.is_book_fast, method)

    def _subscribe(self, subscription: _Subscription, step: FeedStep) -> None:
        now_ms = self._clock.monotonic_ms()
        subscription.is_acked = False
        subscription.times_sent += 1
        subscription.sent_at_ms = subscription.heard_at_ms = now_ms
        step.sends.append(self._encode(subscription.key, "subscribe"))

    def _renew(self, subscription: _Subscription, step: FeedStep) -> None:
        """Drop and take again, which makes the venue send the state afresh where a channel has one."""
        self._watch.counters.resyncs += 1
        subscription.times_sent = 0
        step.sends.append(self._encode(subscription.key, "unsubscribe"))
        self._subscribe(subscription, step)

    # The socket's life -------------------------------------------------------------------------------------------

    def begin(self) -> FeedStep:
        """Before the first socket: nothing private is heard yet."""
        step = FeedStep()
        if self._user:
            step.events.append(PrivateFeedLost(VENUE, "not subscribed yet"))
        return step

    def on_open(self) -> FeedStep:
        """A fresh socket: everything is subscribed again, our own events first."""
        step = FeedStep()
        self._is_open = True
        self._is_ping_out = False
        self._heard_at_ms = self._ping_sent_at_ms = self._clock.monotonic_ms()
        for subscription in self._subscriptions.values():
            subscription.times_sent = 0
            subscription.is_refused = False
            self._subscribe(subscription, step)
        return step

    def on_closed(self, reason: str) -> FeedStep:
        """The socket is gone, and with it everything that was not asked for."""
        step = FeedStep()
        self._is_open = False
        for state in self._books.values():
            self._lose_book(state, reason, step)
        self._lose_private(reason, step)
        return step

    def on_tick(self) -> FeedStep:
        """About once a second: ping, repeat what was not confirmed, renew what fell silent."""
        step = FeedStep()
        if not self._is_open:
            return step
        now_ms = self._clock.monotonic_ms()
        self._check_pong(now_ms, step)
        for subscription in self._subscriptions.values():
            if step.reconnect_because is not None:
                break
            if subscription.is_refused:
                continue
            if not subscription.is_acked:
                self._check_ack(subscription, now_ms, step)
            elif subscription.key[0] not in PRIVATE_CHANNELS:
                self._check_silence(subscription, now_ms, step)
        return step

    def _check_pong(self, now_ms: int, step: FeedStep) -> None:
        if self._is_ping_out and now_ms - self._ping_sent_at_ms >= self._settings.pong_limit_ms:
            step.reconnect_because = "no pong"
        elif not self._is_ping_out and now_ms - self._ping_sent_at_ms >= self._settings.ping_every_ms:
            self._ping(now_ms, step)

    def _ping(self, now_ms: int, step: FeedStep) -> None:
        self._is_ping_out = True
        self._ping_sent_at_ms = now_ms
        step.sends.append(frames.PING)

    def _check_ack(self, subscription: _Subscription, now_ms: int, step: FeedStep) -> None:
        if now_ms - subscription.sent_at_ms < self._settings.ack_limit_ms:
            return
        if subscription.times_sent > SUBSCRIBE_REPEATS_MAX:
            step.reconnect_because = f"subscription {subscription.key[0]} was never confirmed"
        else:
            self._subscribe(subscription, step)

    def _check_silence(self, subscription: _Subscription, now_ms: int, step: FeedStep) -> None:
        channel, coin = subscription.key
        limit_ms = self._silence_limit_ms(channel)
        silent_ms = now_ms - subscription.heard_at_ms
        if silent_ms <= limit_ms:
            return
        if channel != CONTEXTS:
            self._lose_book(self._books[coin], f"silent for {silent_ms} ms", step)
        if now_ms - self._heard_at_ms <= limit_ms:
            self._renew(subscription, step)
        elif not self._is_ping_out:
            self._ping(now_ms, step)  # everything is silent: find out whether the socket still is one

    def _silence_limit_ms(self, channel: str) -> int:
        if channel == CONTEXTS:
            return self._settings.context_silence_limit_ms
        return self._settings.bbo_silence_limit_ms if channel == "bbo" else self._settings.book_silence_limit_ms

    # Frames ------------------------------------------------------------------------------------------------------

    def on_frame(self, raw: bytes) -> FeedStep:
        """Read one message. Never raises: what can not be read is counted, logged and changes no state of the market."""
        step = FeedStep()
        self._watch.counters.frames += 1
        self._heard_at_ms = self._clock.monotonic_ms()
        channel = ""
        try:
            if raw.startswith(frames.BOOK_MESSAGE):
                channel = "l2Book"
                self._on_snapshot(channel, frames.parse_book_message(raw, self._clock.wall_ms()), raw, step)
                return step
            envelope = frames.parse_envelope(raw)
            channel = envelope.channel
            handler = self._handlers.get(channel)
            if handler is not None:
                handler(envelope.data, step)
        except CrossedBook as error:
            self._watch.unreadable(channel, raw, error)
            if error.coin in self._books:
                self._lose_book(self._books[error.coin], "crossed", step)
        except frames.READ_ERRORS as error:
            if not raw.startswith(_GREETING):
                self._watch.unreadable(channel or "frame", raw, error)
                self._doubt_private(channel, step)
        return step

    def _doubt_private(self, channel: str, step: FeedStep) -> None:
        """An unreadable message may have been ours: say so, and subscribe again so that the end of the doubt is known."""
        if self._is_private_live and (not channel or channel in PRIVATE_CHANNELS):
            self._lose_private("unreadable message", step)
            for key in self._private_keys():
                self._renew(self._subscriptions[key], step)

    def _on_l2_book(self, data: msgspec.Raw, step: FeedStep) -> None:
        self._on_snapshot("l2Book", frames.parse_book(data, self._clock.wall_ms()), data, step)

    def _on_bbo(self, data: msgspec.Raw, step: FeedStep) -> None:
        self._on_snapshot("bbo", frames.parse_bbo(data, self._clock.wall_ms()), data, step)

    def _on_snapshot(
        self, channel: str, snapshot: BookSnapshot | None, data: bytes | msgspec.Raw, step: FeedStep
    ) -> None:
        state = None if snapshot is None else self._books.get(snapshot.coin)
        if snapshot is None or state is None or channel != self._settings.book_channel:
            return
        if snapshot.at_ms < state.at_ms:
            return  # older than what we have: a late frame of the subscription before
        price = snapshot.typical_price
        if price is not None and not state.guard.admits(price):
            self._watch.unreadable(channel, bytes(data), ValueError(f"{snapshot.coin}: price jumped to {price}"))
            self._lose_book(state, "price jumped", step)
            return
        state.book.replace(snapshot.bids, snapshot.asks, snapshot.at_ms)
        state.at_ms = snapshot.at_ms
        state.is_live = True
        self._subscriptions[channel, snapshot.coin].heard_at_ms = self._heard_at_ms
        self._watch.counters.book_updates += 1
        step.events.append(BookChanged(VENUE, state.asset, state.book))

    def _on_context(self, data: msgspec.Raw, step: FeedStep) -> None:
        parsed = frames.parse_context(data, self._clock.wall_ms())
        if parsed is None or parsed[0] not in self._marks:
            return
        coin, funding = parsed
        if funding.mark_price is not None and not self._marks[coin].admits(funding.mark_price):
            raise ValueError(f"{coin}: mark price jumped to {funding.mark_price}")
        self._subscriptions[CONTEXTS, coin].heard_at_ms = self._heard_at_ms
        step.events.append(funding)

    def _on_fills(self, data: msgspec.Raw, step: FeedStep) -> None:
        user, rows = account_frames.parse_user_fills(data)
        if user.lower() != self._user:
            return
        fills = [account_frames.fill_of(row) for row in rows]
        self._watch.foreign_fees(rows)
        step.events.extend(Filled(fill) for fill in fills if fill is not None)

    def _on_orders(self, data: msgspec.Raw, step: FeedStep) -> None:
        records = account_frames.parse_order_records(data)
        reports = [account_frames.report_of(record.order, record.status) for record in records]
        step.events.extend(OrderChanged(report) for report in reports if report is not None)

    def _on_fundings(self, data: msgspec.Raw, step: FeedStep) -> None:
        user, rows = account_frames.parse_user_fundings(data)
        if user.lower() != self._user:
            return
        payments = [account_frames.payment_of(row) for row in rows]
        step.events.extend(FundingPaid(payment) for payment in payments if payment is not None)

    def _on_pong(self, _data: msgspec.Raw, _step: FeedStep) -> None:
        self._is_ping_out = False

    def _on_subscription_response(self, data: msgspec.Raw, step: FeedStep) -> None:
        method, subscription = frames.parse_subscription_response(data)
        if method == "subscribe":
            self._ack(subscription.key, step)

    def _ack(self, key: _Key, step: FeedStep) -> None:
        subscription = self._subscriptions.get(key)
        if subscription is None:
            return
        subscription.is_acked = True
        if self._user and not self._is_private_live:
            self._is_private_live = all(self._subscriptions[key].is_acked for key in self._private_keys())
            if self._is_private_live:
                step.events.append(PrivateFeedRestored(VENUE))

    def _on_error(self, data: msgspec.Raw, step: FeedStep) -> None:
        text, quoted = frames.parse_error(data)
        subscription = None if quoted is None else self._subscriptions.get(quoted.key)
        if subscription is not None and text.startswith("Already subscribed"):
            self._ack(subscription.key, step)
            return
        self._watch.error("feed_error", text=text[:300])
        if subscription is not None and text.startswith("Invalid subscription"):
            subscription.is_refused = True  # asking again would only cut the socket for every other market
            state = self._books.get(subscription.key[1])
            if state is not None and subscription.key[0] == self._settings.book_channel:
                state.is_live = True  # so that the loss is told even though nothing was ever heard
                self._lose_book(state, text[:200], step)

    # Losing ------------------------------------------------------------------------------------------------------

    def _lose_book(self, state: _BookState, reason: str, step: FeedStep) -> None:
        state.at_ms = 0
        if state.is_live:
            state.is_live = False
            step.events.append(BookLost(VENUE, state.asset, reason))

    def _lose_private(self, reason: str, step: FeedStep) -> None:
        if self._is_private_live:
            self._is_private_live = False
            step.events.append(PrivateFeedLost(VENUE, reason))
