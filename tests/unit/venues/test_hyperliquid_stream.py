"""The socket shell: one socket at a time, reconnecting, and nothing dying unheard."""

import asyncio
import contextlib
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.venues.hyperliquid_fakes import (
    NOW_MS,
    FakeSocket,
    FakeSockets,
    Recorder,
    ScriptedHttp,
    book_data,
    settle_loop,
    venue_of,
)

from perpdesk.domain.clock import LoopClock, ManualClock
from perpdesk.sandbox.virtual_time import VirtualLoop
from perpdesk.venues.base import BookChanged, BookLost, FrameUnreadable, NotSent, PrivateFeedLost, PrivateFeedRestored
from perpdesk.venues.hyperliquid import HyperliquidVenue
from perpdesk.venues.transport.ports import OnClosed, OnFrame, RequestNotSent


async def running(sockets: FakeSockets, clock: Any = None, **changes: Any) -> tuple[HyperliquidVenue, Recorder]:
    venue, events = venue_of(ScriptedHttp({}), sockets, clock or ManualClock(NOW_MS), **changes), Recorder()
    await venue.start(events)
    await settle_loop()
    return venue, events


def in_virtual_time(main: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def test_starting_follows_every_tradable_market() -> None:
    sockets = FakeSockets()
    venue, events = await running(sockets)
    coins = {coin for channel, coin in sockets.opened[0].subscribed() if channel == "l2Book"}
    assert coins == {"BTC", "kPEPE", "ETH"}
    assert [type(e) for e in events.events] == [PrivateFeedLost, PrivateFeedRestored]
    await venue.stop()


async def test_starting_with_a_choice_follows_only_that() -> None:
    sockets, events = FakeSockets(), Recorder()
    venue = venue_of(ScriptedHttp({}), sockets, ManualClock(NOW_MS))
    await venue.start(events, frozenset(("PEPE", "NOPE")))
    await settle_loop()
    assert [coin for channel, coin in sockets.opened[0].subscribed() if channel == "l2Book"] == ["kPEPE"]
    await venue.stop()


@pytest.mark.parametrize(("answer", "kind"), [(RequestNotSent("down"), NotSent), (b"<html>", FrameUnreadable)])
async def test_a_start_without_markets_fails_and_can_be_tried_again(answer: Any, kind: type[Exception]) -> None:
    http = ScriptedHttp({})
    good = http.script["meta"]
    http.script["meta"] = [answer]
    sockets, events = FakeSockets(), Recorder()
    venue = venue_of(http, sockets, ManualClock(NOW_MS))
    with pytest.raises(kind):
        await venue.start(events)
    assert sockets.opened == []
    http.script["meta"] = good
    await venue.start(events)
    await settle_loop()
    assert len(sockets.opened) == 1
    await venue.stop()


async def test_a_cut_socket_is_told_replaced_and_subscribed_again() -> None:
    sockets = FakeSockets()
    venue, events = await running(sockets)
    sockets.opened[0].push("l2Book", book_data())
    events.events.clear()
    sockets.opened[0].cut("1006")
    assert [type(e) for e in events.events] == [BookLost, PrivateFeedLost], "told at once, not after reconnecting"
    await settle_loop()
    assert len(sockets.opened) == 2
    assert sockets.opened[1].subscribed() == sockets.opened[0].subscribed()
    assert isinstance(events.events[-1], PrivateFeedRestored)
    assert venue.counters.reconnects == 1
    await venue.stop()


async def test_frames_of_a_socket_that_is_over_are_not_heard() -> None:
    sockets = FakeSockets()
    venue, events = await running(sockets)
    first = sockets.opened[0]
    first.cut("1006")
    await settle_loop()
    first.push("l2Book", book_data())
    assert events.of(BookChanged) == []
    await venue.stop()


async def test_a_feed_that_gives_up_a_socket_closes_it() -> None:
    sockets = FakeSockets(acks=False)
    clock = ManualClock(NOW_MS)
    venue, _ = await running(sockets, clock)
    clock.advance_ms(21_000)
    await settle_loop()
    assert sockets.opened[0].is_closed
    assert len(sockets.opened) == 2
    await venue.stop()


async def test_an_unavailable_socket_is_tried_again() -> None:
    sockets = FakeSockets(unavailable=3)
    venue, events = await running(sockets)
    await settle_loop()
    assert len(sockets.opened) == 1
    assert venue.counters.errors == 3
    assert isinstance(events.events[-1], PrivateFeedRestored)
    await venue.stop()


async def test_a_transport_that_breaks_its_contract_does_not_end_the_stream() -> None:
    class Broken(FakeSockets):
        async def connect(self, *args: Any, **kwargs: Any) -> FakeSocket:
            if not self.opened and not self.unavailable:
                self.unavailable = -1
                raise ZeroDivisionError
            self.unavailable = 0
            return await super().connect(*args, **kwargs)

    sockets = Broken()
    venue, _ = await running(sockets)
    assert len(sockets.opened) == 1
    assert venue.counters.errors == 1
    await venue.stop()


async def test_a_raising_listener_is_counted_and_the_next_event_still_comes() -> None:
    sockets, seen = FakeSockets(), []

    def listener(event: object) -> None:
        seen.append(event)
        raise RuntimeError("listener")

    venue = venue_of(ScriptedHttp({}), sockets, ManualClock(NOW_MS))
    await venue.start(listener)
    await settle_loop()
    sockets.opened[0].push("l2Book", book_data())
    assert len(seen) == 3
    assert venue.counters.errors == 3
    await venue.stop()


async def test_stopping_is_quiet_final_and_idempotent() -> None:
    sockets = FakeSockets()
    venue, events = await running(sockets)
    sockets.opened[0].push("l2Book", book_data())
    count = len(events.events)
    await venue.stop()
    await venue.stop()
    await settle_loop()
    assert sockets.opened[0].is_closed
    assert (len(sockets.opened), len(events.events)) == (1, count)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "hyperliquid stream"] == []


async def test_stopping_before_starting_is_harmless() -> None:
    await venue_of(ScriptedHttp({})).stop()


async def test_a_connector_starts_once() -> None:
    venue, events = await running(FakeSockets())
    with pytest.raises(RuntimeError, match="make a new one"):
        await venue.start(events)
    await venue.stop()


async def test_a_socket_that_dies_while_it_opens_is_replaced() -> None:
    class DyingAtOnce(FakeSockets):
        async def connect(
            self, url: str, on_frame: OnFrame, on_closed: OnClosed, *, headers: Mapping[str, str] | None = None
        ) -> FakeSocket:
            socket = await super().connect(url, on_frame, on_closed, headers=headers)
            if len(self.opened) == 1:
                socket.cut("1006")
            return socket

    sockets = DyingAtOnce()
    venue, events = await running(sockets)
    assert len(sockets.opened) == 2
    assert sockets.opened[0].sent == []
    assert isinstance(events.events[-1], PrivateFeedRestored)
    await venue.stop()


async def test_a_new_listing_is_followed_when_everything_is() -> None:
    http, sockets = ScriptedHttp({}), FakeSockets()
    venue = venue_of(http, sockets, ManualClock(NOW_MS))
    await venue.start(Recorder())
    await settle_loop()
    http.script["meta"] = [http.script["meta"][0].replace(b"]}", b',{"name":"NEW","szDecimals":1,"maxLeverage":3}]}')]  # type: ignore[union-attr]
    await venue.fetch_markets()
    assert sockets.opened[0].subscribed()[-2:] == [("l2Book", "NEW"), ("activeAssetCtx", "NEW")]
    await venue.stop()


# In virtual time -----------------------------------------------------------------------------------------------------


def test_reconnecting_waits_longer_each_time_up_to_a_limit_and_never_in_step() -> None:
    async def main() -> list[int]:
        at_ms: list[int] = []
        clock = LoopClock(NOW_MS)

        class Refusing(FakeSockets):
            async def connect(self, *args: Any, **kwargs: Any) -> FakeSocket:
                at_ms.append(clock.monotonic_ms())
                self.unavailable = 1
                return await super().connect(*args, **kwargs)

        venue, _ = await running(Refusing(), clock)
        await clock.sleep_ms(300_000)
        await venue.stop()
        return at_ms

    at_ms = in_virtual_time(main)
    waits = [later - earlier for earlier, later in itertools.pairwise(at_ms)]
    for n, wait in enumerate(waits):
        longest = min(30_000, 1_000 << n)
        assert longest / 2 <= wait <= longest
    assert len(set(waits[5:])) > 1
    assert at_ms == in_virtual_time(main), "a seed repeats exactly"


def test_a_socket_that_lived_long_is_replaced_quickly() -> None:
    async def main() -> int:
        clock = LoopClock(NOW_MS)
        sockets = FakeSockets(unavailable=6)
        venue, _ = await running(sockets, clock)
        while not sockets.opened:
            await clock.sleep_ms(1_000)
        await clock.sleep_ms(10_000)
        sockets.opened[0].cut("1000 Expired")
        await clock.sleep_ms(1_000)
        await venue.stop()
        return len(sockets.opened)

    assert in_virtual_time(main) == 2


def test_a_connect_that_never_ends_is_given_up() -> None:
    async def main() -> tuple[int, int]:
        clock = LoopClock(NOW_MS)

        class Hanging(FakeSockets):
            attempts = 0

            async def connect(self, *args: Any, **kwargs: Any) -> FakeSocket:
                self.attempts += 1
                if self.attempts == 1:
                    await asyncio.Event().wait()
                return await super().connect(*args, **kwargs)

        sockets = Hanging()
        venue, _ = await running(sockets, clock)
        await clock.sleep_ms(11_001)
        await venue.stop()
        return sockets.attempts, len(sockets.opened)

    assert in_virtual_time(main) == (2, 1)


def test_stopping_during_a_connect_leaves_no_socket_open() -> None:
    async def main() -> list[FakeSocket]:
        clock = LoopClock(NOW_MS)

        class Slow(FakeSockets):
            async def connect(self, *args: Any, **kwargs: Any) -> FakeSocket:
                socket = await super().connect(*args, **kwargs)
                with contextlib.suppress(asyncio.CancelledError):  # a transport that finishes what it began
                    await clock.sleep_ms(5_000)
                return socket

        sockets = Slow()
        venue, _ = await running(sockets, clock)
        await clock.sleep_ms(1_000)
        await venue.stop()
        await clock.sleep_ms(10_000)
        return sockets.opened

    assert [socket.is_closed for socket in in_virtual_time(main)] == [True]


def test_a_quiet_socket_is_pinged_and_kept() -> None:
    async def main() -> tuple[int, int]:
        clock = LoopClock(NOW_MS)

        class Answering(FakeSocket):
            def send(self, data: bytes) -> None:
                super().send(data)
                if self.sent[-1]["method"] == "ping":
                    self.push_raw(b'{"channel":"pong"}')

        class Sockets(FakeSockets):
            async def connect(
                self, url: str, on_frame: OnFrame, on_closed: OnClosed, *, headers: Mapping[str, str] | None = None
            ) -> FakeSocket:
                self.opened.append(Answering(on_frame, on_closed, acks=True))
                return self.opened[-1]

        sockets = Sockets()
        venue, _ = await running(sockets, clock)
        await clock.sleep_ms(3_600_000)
        await venue.stop()
        return len(sockets.opened), sum(message["method"] == "ping" for message in sockets.opened[0].sent)

    opened, pings = in_virtual_time(main)
    assert opened == 1
    assert pings >= 170
