"""The thin shell around the feed: keeps one socket open, ticks, and reconnects with jittered, doubling waits."""

import asyncio
import random
from collections.abc import Callable

import structlog

from perpdesk.domain.clock import Clock, Timer
from perpdesk.venues.base import VenueEvent
from perpdesk.venues.hyperliquid.feed import FeedStep, HyperliquidFeed
from perpdesk.venues.hyperliquid.settings import HyperliquidSettings
from perpdesk.venues.hyperliquid.watch import Watch
from perpdesk.venues.transport.ports import SocketConnection, SocketTransport, SocketUnavailable

log = structlog.get_logger(__name__)

STABLE_AFTER_MS = 10_000
"""A socket that lived this long counts as good: the next wait starts small again."""


class _Link:
    """One socket, from connecting to its end."""

    def __init__(self) -> None:
        self.connection: SocketConnection | None = None
        self.is_closed = False
        self.closed = asyncio.Event()


class Stream:
    """Runs a feed over sockets until stopped; every event goes to `emit`, which must not raise."""

    def __init__(
        self,
        sockets: SocketTransport,
        clock: Clock,
        rng: random.Random,
        settings: HyperliquidSettings,
        feed: HyperliquidFeed,
        watch: Watch,
        emit: Callable[[VenueEvent], None],
    ) -> None:
        self._sockets = sockets
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._feed = feed
        self._watch = watch
        self._emit = emit
        self._link: _Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        self.apply(self._feed.begin())
        self._keeper = asyncio.create_task(self._keep_connected(), name="hyperliquid stream")
        self._keeper.add_done_callback(self._hear_end)
        self._timer = self._clock.call_later_ms(self._settings.tick_ms, self._tick)

    async def stop(self) -> None:
        """End the task and the socket; idempotent. Nothing is emitted any more."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def _hear_end(self, keeper: asyncio.Task[None]) -> None:
        """Only `stop` may end the task; anything else leaves the desk blind and has to be loud."""
        if not self._is_stopping:
            error = None if keeper.cancelled() else keeper.exception()
            self._watch.error("stream_task_ended", error=repr(error))

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            opened_at_ms = self._clock.monotonic_ms()
            try:
                await self._run_link()
            except SocketUnavailable as error:
                self._watch.error("socket_unavailable", error=str(error)[:200])
            except Exception as error:
                self._watch.error("stream_failed", error=repr(error)[:200])
            if self._clock.monotonic_ms() - opened_at_ms >= STABLE_AFTER_MS:
                failures = 0
            await self._clock.sleep_ms(self._wait_ms(failures))
            failures += 1
            self._watch.counters.reconnects += 1

    def _wait_ms(self, failures: int) -> int:
        """Doubling from the least to the longest wait, less up to half of it at random so that clients spread out."""
        settings = self._settings
        wait_ms = min(settings.reconnect_max_ms, settings.reconnect_min_ms << min(failures, 16))
        return round(wait_ms * (1 - self._rng.random() / 2))

    async def _run_link(self) -> None:
        """Open one socket and return when it is over."""
        link = self._link = _Link()
        try:
            link.connection = await self._connect(link)
            if not link.is_closed:
                log.info("socket_opened", venue="hyperliquid")
                self.apply(self._feed.on_open())
            await link.closed.wait()
        finally:
            self._end(link, "stopped")

    async def _connect(self, link: _Link) -> SocketConnection:
        """Open the socket; SocketUnavailable also when it takes too long."""
        attempt = asyncio.ensure_future(
            self._sockets.connect(
                self._settings.ws_url, lambda raw: self._on_frame(link, raw), lambda reason: self._end(link, reason)
            )
        )
        timer = self._clock.call_later_ms(self._settings.connect_timeout_ms, lambda: _give_up(attempt))
        try:
            await asyncio.wait({attempt})
        except asyncio.CancelledError:
            attempt.cancel()
            attempt.add_done_callback(_close_unwanted)
            raise
        finally:
            timer.cancel()
        if attempt.cancelled():
            raise SocketUnavailable(f"no socket within {self._settings.connect_timeout_ms} ms")
        return attempt.result()

    def _on_frame(self, link: _Link, raw: bytes) -> None:
        if link is self._link and not link.is_closed:
            self.apply(self._feed.on_frame(raw))

    def _tick(self) -> None:
        self._timer = self._clock.call_later_ms(self._settings.tick_ms, self._tick)
        self.apply(self._feed.on_tick())

    def apply(self, step: FeedStep) -> None:
        """Do what the feed wants done: tell, send, and leave the socket when it is of no use."""
        for event in step.events:
            self._emit(event)
        link = self._link
        if link is None or link.connection is None or link.is_closed:
            return
        for data in step.sends:
            link.connection.send(data)
        if step.reconnect_because is not None:
            self._end(link, step.reconnect_because)

    def _end(self, link: _Link, reason: str) -> None:
        """The socket is over, whoever ended it; only the first call counts."""
        if link.is_closed:
            return
        link.is_closed = True
        link.closed.set()
        if link is self._link and link.connection is not None:
            log.info("socket_closed", venue="hyperliquid", reason=reason)
            step = self._feed.on_closed(reason)
            if not self._is_stopping:
                self.apply(step)
        if link.connection is not None:
            link.connection.close()


def _give_up(attempt: asyncio.Future[SocketConnection]) -> None:
    attempt.cancel()


def _close_unwanted(attempt: asyncio.Future[SocketConnection]) -> None:
    """A socket that opened at the moment nobody wanted it any more must not stay open."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
