"""Clocks: time by hand, and time of the loop."""

from perpdesk.domain.clock import LoopClock, ManualClock
from perpdesk.sandbox.virtual_time import run_virtual


def test_a_manual_clock_runs_what_falls_due_in_order_of_time() -> None:
    clock, seen = ManualClock(100), list[tuple[str, int]]()
    clock.call_later_ms(30, lambda: seen.append(("late", clock.wall_ms())))
    clock.call_later_ms(10, lambda: seen.append(("early", clock.wall_ms())))
    clock.call_later_ms(50, lambda: seen.append(("never", clock.wall_ms())))
    clock.advance_ms(30)
    assert seen == [("early", 110), ("late", 130)]
    assert clock.wall_ms() == clock.monotonic_ms() == 130


def test_a_call_made_while_advancing_still_runs_in_time() -> None:
    clock, seen = ManualClock(), list[int]()
    clock.call_later_ms(10, lambda: clock.call_later_ms(10, lambda: seen.append(clock.wall_ms())) and None)
    clock.advance_ms(100)
    assert seen == [20]


def test_a_cancelled_call_does_not_run() -> None:
    clock, seen = ManualClock(), list[int]()
    clock.call_later_ms(10, lambda: seen.append(1)).cancel()
    clock.advance_ms(100)
    assert seen == []


def test_a_loop_clock_is_the_loops_time_after_its_epoch() -> None:
    clock = LoopClock(1_000_000)

    async def wait() -> tuple[int, int]:
        start = clock.wall_ms()
        await clock.sleep_ms(3_600_000)
        return start, clock.wall_ms()

    start, end = run_virtual(wait())
    assert start == 1_000_000
    assert end - start == 3_600_000
