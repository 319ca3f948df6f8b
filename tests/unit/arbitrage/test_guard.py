"""Reasons not to enter: named, dated, told once."""

from perpdesk.arbitrage.guard import Guard
from perpdesk.domain.clock import ManualClock


def test_a_halt_stays_until_it_is_cleared_by_its_own_name() -> None:
    guard = Guard(ManualClock(100))
    assert guard.reasons == ()
    guard.halt("store", "the disk is full")
    guard.clear("drift")
    assert guard.reasons == ("the disk is full",)
    guard.clear("store")
    assert guard.reasons == ()


def test_a_repeated_halt_keeps_its_first_reason_and_time() -> None:
    clock = ManualClock(100)
    guard = Guard(clock)
    guard.halt("store", "first")
    clock.advance_ms(50)
    guard.halt("store", "second")
    assert guard.halts == {"store": ("first", 100)}


def test_halts_are_independent() -> None:
    guard = Guard(ManualClock())
    guard.halt("store", "a")
    guard.halt("drift:lighter", "b")
    guard.clear("store")
    assert guard.reasons == ("b",)
