"""The stream of Lighter without I/O: bytes and time in, events and bytes to send out.

The shell around it (`client.py`) owns the socket. A feed outlives its connections: `open` and `close` tell it of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import BookCorrupt
from perpdesk.domain.markets import Market
from perpdesk.venues.base import (
    BookChanged,
    BookLost,
    Filled,
    FrameUnreadable,
    OrderChanged,
    PrivateFeedLost,
    PrivateFeedRestored,
    VenueCounters,
    VenueEvent,
)
from perpdesk.venues.lighter.account_frames import parse_order_frame, parse_trade_frame
from perpdesk.venues.lighter.books import SyncedBook
from perpdesk.venues.lighter.frames import (
    PING,
    PONG,
    Envelope,
    parse_book_frame,
    parse_envelope,
    parse_error,
    parse_market_stats,
)
from perpdesk.venues.lighter.settings import LighterSettings
from perpdesk.venues.lighter.subscriptions import Channel, Subscriptions

log = structlog.get_logger(__name__)

VENUE = VenueName.LIGHTER
STATS_CHANNEL = "market_stats/all"
SNAPSHOT_TRADES_MS = 60_000
"""Trades in a subscription's first frame are passed on from this long before the feed began; older ones are history."""
LOGGED_FIRST = 20
LOGGED_EVERY = 1_000
"""The first unreadable frames are logged, then one in so many."""

_ALREADY_SUBSCRIBED, _NOT_SUBSCRIBED = 30003, 30002
_AUTH_REFUSED = frozenset({20013})
_PUBLIC_MARKS = (b"order_book", b"market_stats")
"""A broken frame that still shows one of these held nothing of our own."""


class Now(NamedTuple):
    """One moment on both clocks: `wall_ms` stamps events, `mono_ms` measures ages."""

    wall_ms: int
    mono_ms: int


@dataclass(slots=True)
class FeedOutput:
    """What came of one input, in order.

    Attributes:
        sends: Text frames for the socket.
        reconnect: Why the connection should be closed and opened again, None to keep it.
        wants_token: Private channels need a fresh token by `use_token`.
    """

    events: list[VenueEvent] = field(default_factory=list)
    sends: list[bytes] = field(default_factory=list)
    reconnect: str | None = None
    wants_token: bool = False


class LighterFeed:
    """State of the stream: channels, books and the private stream. No method raises on anything the venue sends."""

    def __init__(
        self,
        settings: LighterSettings,
        markets: Mapping[str, Market],
        assets: frozenset[str],
        counters: VenueCounters,
        began_at_ms: int,
        is_private: bool,
    ) -> None:
        """Follow the books of `assets`, funding of all `markets` and, if `is_private`, the account in `settings`."""
        self._settings = settings
        self._counters = counters
        self._trades_from_ms = began_at_ms - SNAPSHOT_TRADES_MS
        self._account = settings.account_index
        self._by_index = {market.venue_index: market for market in markets.values()}
        self._books: dict[str, SyncedBook] = {}
        self._subs = Subscriptions()
        self._is_private = is_private and self._account is not None
        if self._is_private:
            for name in ("account_all_orders", "account_all_trades"):
                self._subs.add(f"{name}/{self._account}", is_private=True, silence_ms_max=None)
        self._subs.add(STATS_CHANNEL, is_private=False, silence_ms_max=settings.stats_silence_ms_max)
        for asset in sorted(assets & markets.keys()):
            name = f"order_book/{markets[asset].venue_index}"
            self._books[name.replace("/", ":")] = SyncedBook(markets[asset])
            self._subs.add(name, is_private=False, silence_ms_max=settings.book_silence_ms_max)
        self._token: str | None = None
        self._token_deadline_s = 0
        self._is_private_lost = False
        self._is_ready = False
        self._opened_at_ms = self._heard_at_ms = self._pinged_at_ms = 0

    @property
    def is_private_live(self) -> bool:
        """Whether every event of our own arrives here at the moment."""
        return self._is_private and not self._is_private_lost and self._subs.is_private_live

    def nonce_of(self, asset: str) -> int | None:
        """State the book of `asset` stands at; None while it is lost or not followed."""
        return next((b.nonce for b in self._books.values() if b.market.asset == asset), None)

    # --- the connection

    def begin(self) -> FeedOutput:
        """Before the first connection: our own events are not being received yet, which the engine has to know."""
        out = FeedOutput()
        self._lose_private("not subscribed yet", out)
        return out

    def open(self, now: Now) -> FeedOutput:
        """A connection was opened; subscriptions follow the venue's greeting."""
        self._is_ready = False
        self._opened_at_ms = self._heard_at_ms = self._pinged_at_ms = now.mono_ms
        self._subs.restart(now.mono_ms)
        for synced in self._books.values():
            synced.forget_floor()
        return FeedOutput()

    def close(self, reason: str) -> FeedOutput:
        """The connection is gone: every book and our own events are lost until the next one."""
        out = FeedOutput()
        self._is_ready = False
        self._lose_private(reason, out)
        for synced in self._books.values():
            self._lose_book(synced, reason, out)
        return out

    def use_token(self, token: str, deadline_s: int, now: Now) -> FeedOutput:
        """Subscribe private channels with a fresh token, leaving those on the old one."""
        out = FeedOutput()
        self._token, self._token_deadline_s = token, deadline_s
        for channel in self._subs.private:
            if channel.must_leave or channel.is_live:
                self._lose_private("token renewed", out)
                self._subs.renew(channel, now.mono_ms, is_failure=False)
        self._send_due(now, out)
        return out

    def tick(self, now: Now) -> FeedOutput:
        """Look at the time: ping, silence, unanswered subscriptions, the token's end."""
        out = FeedOutput()
        if not self._is_ready:
            if now.mono_ms - self._opened_at_ms > self._settings.subscribe_answer_ms_max:
                out.reconnect = "no greeting from the venue"
            return out
        if now.mono_ms - self._heard_at_ms > self._settings.socket_silence_ms_max:
            out.reconnect = f"nothing received for {now.mono_ms - self._heard_at_ms} ms"
            return out
        if now.mono_ms - self._pinged_at_ms >= self._settings.ping_every_ms:
            self._pinged_at_ms = now.mono_ms
            self._subs.count_sent(now.mono_ms)
            out.sends.append(PING)
        for channel in self._subs.overdue(now.mono_ms, self._settings.subscribe_answer_ms_max):
            if channel.key in self._books:
                self._books[channel.key].forget_floor()
            self._subs.renew(channel, now.mono_ms)
        for channel in self._subs.silent(now.mono_ms):
            self._lose_channel(
                channel, f"silent for {now.mono_ms - channel.heard_at_ms} ms", now, out, is_failure=False
            )
        out.wants_token = self._is_private and (
            self._token is None or now.wall_ms // 1000 >= self._token_deadline_s - self._settings.auth_refresh_s
        )
        self._send_due(now, out)
        return out

    # --- frames

    def receive(self, raw: bytes, now: Now) -> FeedOutput:
        """Take one frame, whatever is in it."""
        out = FeedOutput()
        self._counters.frames += 1
        self._heard_at_ms = now.mono_ms
        try:
            envelope = parse_envelope(raw)
        except FrameUnreadable:
            self._count_unreadable(raw)
            if not any(mark in raw for mark in _PUBLIC_MARKS):
                # Too broken to tell what it was: a fill of ours may have been in it, and has to be asked for.
                self._renew_private("unreadable private frame", now, out)
        else:
            self._dispatch(envelope, raw, now, out)
        self._send_due(now, out)
        return out

    def _dispatch(self, envelope: Envelope, raw: bytes, now: Now, out: FeedOutput) -> None:
        kind, _, name = envelope.type.partition("/")
        if name and kind in ("subscribed", "update"):
            channel = self._subs.channels.get(envelope.channel)
            if channel is not None:
                self._take_payload(channel, kind == "subscribed", envelope, raw, now, out)
        elif kind == "ping":
            out.sends.append(PONG)
            self._subs.count_sent(now.mono_ms)
        elif kind == "connected":
            self._is_ready = True
        elif kind == "shutdown":
            out.reconnect = "the venue announced a shutdown"
        elif (error := parse_error(envelope)) is not None:
            self._take_error(*error, now, out)

    def _take_payload(
        self, channel: Channel, is_first: bool, envelope: Envelope, raw: bytes, now: Now, out: FeedOutput
    ) -> None:
        if channel.key not in self._books:
            self._subs.hear(channel, now.mono_ms)
        try:
            if channel.key in self._books:
                self._take_book(channel, is_first, envelope, now, out)
            elif channel.is_private:
                self._take_private(channel, is_first, envelope, raw, now, out)
            else:
                changed, bad = parse_market_stats(envelope, self._by_index, now.wall_ms)
                out.events.extend(changed)
                self._count_rows(bad)
                if is_first:
                    self._subs.confirm(channel, now.mono_ms)
        except FrameUnreadable:
            self._count_unreadable(raw)
            if channel.is_private:
                self._renew_private("unreadable private frame", now, out)

    def _take_book(self, channel: Channel, is_first: bool, envelope: Envelope, now: Now, out: FeedOutput) -> None:
        synced = self._books[channel.key]
        if not is_first and not synced.is_in_step:
            return  # the tail of a subscription that was left; the snapshot is on its way
        frame = parse_book_frame(envelope.order_book)
        try:
            changed = synced.take_snapshot(frame, now.wall_ms) if is_first else synced.take_update(frame, now.wall_ms)
        except BookCorrupt as error:
            # A failed snapshot leaves the book out of step already; say so all the same.
            self._lose_channel(channel, str(error), now, out)
            return
        if changed or frame.nonce == synced.nonce:
            # Repetitions of older states do not count as life: a venue that started over would look like that for ever.
            self._subs.hear(channel, now.mono_ms)
        if changed:
            if is_first:
                self._subs.confirm(channel, now.mono_ms)
            self._counters.book_updates += 1
            out.events.append(BookChanged(VENUE, synced.market.asset, synced.book))

    def _take_private(
        self, channel: Channel, is_first: bool, envelope: Envelope, raw: bytes, now: Now, out: FeedOutput
    ) -> None:
        assert self._account is not None
        if channel.name.startswith("account_all_orders"):
            if envelope.orders:
                reports, bad = parse_order_frame(envelope.orders, self._by_index)
                out.events.extend(OrderChanged(report) for report in reports)
            else:
                bad = 0 if is_first else 1
        elif envelope.trades:
            fills, bad = parse_trade_frame(envelope.trades, self._account, self._by_index)
            # The first frame may hold the account's whole recent history; what is new in it must not be lost either.
            out.events.extend(Filled(fill) for fill in fills if not is_first or fill.at_ms >= self._trades_from_ms)
        else:
            bad = 0 if is_first else 1
        if bad:
            self._count_rows(bad)
            self._renew_private("unreadable row of our own", now, out)
            return
        if is_first:
            self._subs.confirm(channel, now.mono_ms)
            if self._is_private_lost and self._subs.is_private_live:
                self._is_private_lost = False
                out.events.append(PrivateFeedRestored(VENUE))

    def _take_error(self, code: int | None, message: str, now: Now, out: FeedOutput) -> None:
        self._counters.errors += 1
        log.warning("stream_error", venue=VENUE.value, code=code, message=message)
        if code in _AUTH_REFUSED or "auth" in message.lower():
            self._token = None
            self._renew_private("the venue refused our token", now, out)
            return
        if code == _NOT_SUBSCRIBED:
            return
        for channel in self._subs.channels.values():
            if _names(message, channel) and not channel.is_live:
                channel.must_leave = code == _ALREADY_SUBSCRIBED or channel.must_leave
                self._subs.renew(channel, now.mono_ms)

    # --- losing and sending

    def _lose_channel(
        self, channel: Channel, reason: str, now: Now, out: FeedOutput, *, is_failure: bool = True
    ) -> None:
        if (synced := self._books.get(channel.key)) is not None:
            self._lose_book(synced, reason, out, is_certain=True)
            self._counters.resyncs += 1
        self._subs.renew(channel, now.mono_ms, is_failure=is_failure)

    def _lose_book(self, synced: SyncedBook, reason: str, out: FeedOutput, *, is_certain: bool = False) -> None:
        was_in_step = synced.is_in_step
        synced.lose()
        if was_in_step or is_certain:
            out.events.append(BookLost(VENUE, synced.market.asset, reason))

    def _lose_private(self, reason: str, out: FeedOutput) -> None:
        if self._is_private and not self._is_private_lost:
            self._is_private_lost = True
            out.events.append(PrivateFeedLost(VENUE, reason))

    def _renew_private(self, reason: str, now: Now, out: FeedOutput) -> None:
        if not self._is_private:
            return
        self._lose_private(reason, out)
        for channel in self._subs.private:
            self._subs.renew(channel, now.mono_ms)

    def _send_due(self, now: Now, out: FeedOutput) -> None:
        if self._is_ready and out.reconnect is None:
            out.sends.extend(self._subs.take_due(now.mono_ms, self._token))

    def _count_unreadable(self, raw: bytes) -> None:
        self._counters.frames_unreadable += 1
        count = self._counters.frames_unreadable
        if count <= LOGGED_FIRST or count % LOGGED_EVERY == 0:
            log.warning("frame_unreadable", venue=VENUE.value, raw=FrameUnreadable("frame", raw).raw, count=count)

    def _count_rows(self, bad: int) -> None:
        self._counters.frames_unreadable += bad


def _names(message: str, channel: Channel) -> bool:
    """Whether an error text is about `channel`: "order_book:1" must not be found in "order_book:12"."""
    words = message.replace("/", ":").replace(",", " ").split()
    return channel.key in words
