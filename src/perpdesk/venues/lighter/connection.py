"""Keeps the stream open: one socket at a time, reconnected with growing, jittered waits; the feed decides what is said on it."""

import asyncio
import random
from collections.abc import Callable

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock, Timer
from perpdesk.venues.base import NotSent, RequestRefused, VenueCounters, VenueEvent
from perpdesk.venues.lighter.feed import FeedOutput, LighterFeed, Now
from perpdesk.venues.lighter.rest import Tokens
from perpdesk.venues.lighter.settings import LighterSettings
from perpdesk.venues.transport.backoff import Backoff
from perpdesk.venues.transport.ports import SocketConnection, SocketTransport, SocketUnavailable

log = structlog.get_logger(__name__)

CONNECT_MS_MAX = 15_000
STEADY_MS = 30_000
"""A connection that lived this long was a good one: the next wait starts from the shortest again."""
TOKEN_RETRY_MS = 10_000
JITTER = 0.5


class LighterConnection:
    """The socket of one feed. All events go to `deliver`, on the event loop, in order."""

    def __init__(
        self,
        sockets: SocketTransport,
        clock: Clock,
        rng: random.Random,
        settings: LighterSettings,
        tokens: Tokens,
        feed: LighterFeed,
        counters: VenueCounters,
        deliver: Callable[[VenueEvent], None],
        *,
        is_private: bool,
    ) -> None:
        self._sockets = sockets
        self._clock = clock
        self._backoff = Backoff(rng, settings.reconnect_ms_min, settings.reconnect_ms_max, JITTER)
        self._settings = settings
        self._tokens = tokens
        self._feed = feed
        self._counters = counters
        self._deliver = deliver
        self._is_private = is_private
        self._keeper: asyncio.Task[None] | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._token_retry_at_ms = 0
        self._socket: SocketConnection | None = None
        self._unsent: list[bytes] = []
        self._closed: asyncio.Future[str] | None = None
        self._tick: Timer | None = None

    def start(self) -> None:
        """Begin to connect in the background; an unreachable venue is retried for ever."""
        self._handle(self._feed.begin())
        self._keeper = asyncio.create_task(self._keep_open(), name="lighter-stream")
        self._keeper.add_done_callback(_report_death)

    async def stop(self) -> None:
        """Close the socket and end every task; idempotent. No event is delivered afterwards."""
        tasks = [task for task in (self._keeper, self._refresher) if task is not None]
        self._keeper = self._refresher = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_open(self) -> None:
        while True:
            began_ms = self._clock.monotonic_ms()
            try:
                reason = await self._hold_one()
            except SocketUnavailable as error:
                reason = str(error)
            except Exception as error:  # whatever broke, the stream must come back and somebody must hear of it
                log.exception("stream_failed", venue=VenueName.LIGHTER.value)
                self._counters.errors += 1
                reason = f"internal error: {type(error).__name__}"
            self._handle(self._feed.close(reason))
            if self._clock.monotonic_ms() - began_ms >= STEADY_MS:
                self._backoff.reset()
            wait_ms = self._backoff.next_ms()
            log.warning("stream_lost", venue=VenueName.LIGHTER.value, reason=reason, wait_ms=wait_ms)
            await self._pause(wait_ms)
            self._counters.reconnects += 1

    async def _hold_one(self) -> str:
        """Open one connection and stay with it; returns why it ended."""
        if self._is_private:
            await self._refresh_token()
        self._handle(self._feed.open(self._now()))
        self._unsent.clear()
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._closed = closed

        def on_frame(data: bytes) -> None:
            if not closed.done():
                self._guard(lambda: self._feed.receive(data, self._now()))

        socket = await self._connect(on_frame, lambda reason: _resolve(closed, reason))
        self._socket = socket
        try:
            for frame in self._unsent:
                socket.send(frame)
            self._arm_tick()
            return await closed
        finally:
            if self._tick is not None:
                self._tick.cancel()
            self._socket = None
            _resolve(closed, "closed by us")
            socket.close()

    async def _connect(self, on_frame: Callable[[bytes], None], on_closed: Callable[[str], None]) -> SocketConnection:
        attempt = asyncio.ensure_future(self._sockets.connect(self._settings.ws_url, on_frame, on_closed))
        limit = self._clock.call_later_ms(CONNECT_MS_MAX, lambda: _cancel(attempt))
        try:
            return await attempt
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise SocketUnavailable(f"no connection within {CONNECT_MS_MAX} ms") from None
        finally:
            limit.cancel()

    def _arm_tick(self) -> None:
        self._tick = self._clock.call_later_ms(self._settings.tick_ms, self._on_tick)

    def _on_tick(self) -> None:
        if self._socket is not None:
            self._arm_tick()
            self._guard(lambda: self._feed.tick(self._now()))

    def _guard(self, step: Callable[[], FeedOutput]) -> None:
        """Run one step of the feed from a callback, where an error would otherwise vanish in the loop's handler."""
        try:
            self._handle(step())
        except Exception as error:
            log.exception("feed_failed", venue=VenueName.LIGHTER.value)
            self._counters.errors += 1
            self._end(f"internal error: {type(error).__name__}")

    def _handle(self, out: FeedOutput) -> None:
        for event in out.events:
            self._deliver(event)
        for frame in out.sends:
            if self._socket is None:
                self._unsent.append(frame)
            else:
                self._socket.send(frame)
        if out.reconnect is not None:
            self._end(out.reconnect)
        elif out.wants_token and self._refresher is None and self._clock.monotonic_ms() >= self._token_retry_at_ms:
            self._tokens.drop()
            self._refresher = asyncio.create_task(self._refresh_token(), name="lighter-token")
            self._refresher.add_done_callback(self._forget_refresher)

    def _end(self, reason: str) -> None:
        if self._closed is not None:
            _resolve(self._closed, reason)

    async def _refresh_token(self) -> None:
        try:
            token, deadline_s = await self._tokens.fetch()
        except (NotSent, RequestRefused) as error:
            self._token_retry_at_ms = self._clock.monotonic_ms() + TOKEN_RETRY_MS
            self._counters.errors += 1
            log.warning("token_failed", venue=VenueName.LIGHTER.value, error=str(error))
            return
        self._handle(self._feed.use_token(token, deadline_s, self._now()))

    def _forget_refresher(self, task: asyncio.Task[None]) -> None:
        if self._refresher is task:
            self._refresher = None
        _report_death(task)

    def _now(self) -> Now:
        return Now(self._clock.wall_ms(), self._clock.monotonic_ms())

    async def _pause(self, duration_ms: int) -> None:
        """Wait on a timer of the clock, so that a clock moved by hand holds the wait too."""
        over = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later_ms(duration_ms, lambda: _resolve(over, ""))
        try:
            await over
        finally:
            timer.cancel()


def _resolve(future: "asyncio.Future[str]", value: str) -> None:
    if not future.done():
        future.set_result(value)


def _cancel(future: "asyncio.Future[SocketConnection]") -> None:
    future.cancel()


def _report_death(task: asyncio.Task[None]) -> None:
    """A background task that dies is heard."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task_died", venue=VenueName.LIGHTER.value, task=task.get_name(), exc_info=error)
