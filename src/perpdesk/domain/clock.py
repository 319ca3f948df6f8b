"""Time as a value handed down from the entry point; nothing below reads the wall clock by itself."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call scheduled for later."""

    def cancel(self) -> None:
        """Forget the call; harmless when it already ran."""


class Clock(Protocol):
    """Wall time stamps records; monotonic time measures ages. Both are integer milliseconds."""

    def wall_ms(self) -> int:
        """Unix time."""

    def monotonic_ms(self) -> int:
        """Time that never steps back, from an arbitrary origin."""

    async def sleep_ms(self, duration: int) -> None:
        """Wait; zero or less only yields."""

    def call_later_ms(self, delay: int, call: Callable[[], None]) -> Timer:
        """Run `call` once after `delay`, on the event loop."""


class _LoopTimers:
    """Waiting and scheduling through the running event loop, real or virtual."""

    async def sleep_ms(self, duration: int) -> None:
        await asyncio.sleep(max(duration, 0) / 1000)

    def call_later_ms(self, delay: int, call: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(max(delay, 0) / 1000, call)


class SystemClock(_LoopTimers):
    """The machine's own time."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class LoopClock(_LoopTimers):
    """The event loop's time from `epoch_ms` on; on a virtual loop every run repeats exactly."""

    def __init__(self, epoch_ms: int) -> None:
        self._epoch_ms = epoch_ms

    def wall_ms(self) -> int:
        return self._epoch_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)


class ManualClock:
    """A clock that a test moves by hand; due calls run inside `advance_ms`, sleepers only yield."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._calls: list[_ManualTimer] = []

    def wall_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._now_ms

    async def sleep_ms(self, duration: int) -> None:
        await asyncio.sleep(0)

    def call_later_ms(self, delay: int, call: Callable[[], None]) -> Timer:
        timer = _ManualTimer(self._now_ms + max(delay, 0), call)
        self._calls.append(timer)
        return timer

    def advance_ms(self, duration: int) -> None:
        """Move on by `duration`, running what falls due in order of time."""
        end_ms = self._now_ms + duration
        while due := [c for c in self._calls if c.call is not None and c.at_ms <= end_ms]:
            timer = min(due, key=lambda c: c.at_ms)
            self._calls.remove(timer)
            self._now_ms = max(self._now_ms, timer.at_ms)
            timer.run()
        self._now_ms = end_ms


class _ManualTimer:
    def __init__(self, at_ms: int, call: Callable[[], None]) -> None:
        self.at_ms = at_ms
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None

    def run(self) -> None:
        if self.call is not None:
            self.call()
