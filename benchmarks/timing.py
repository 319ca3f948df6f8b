"""Timing two pieces of code in turns, so that whatever else the machine does hits both."""

import gc
from collections.abc import Callable
from time import perf_counter_ns

ROUND_MS = 8
"""How long one timed round of the quicker code takes about: far above the clock's resolution."""
ROUNDS = 25


def interleaved_us(
    ours: Callable[[], object], baseline: Callable[[], object], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Best time of one call of each, microseconds: rounds of both alternate, and the least disturbed of each counts.

    Garbage collection stays on, because what it costs is part of what is compared; objects of earlier rows are not in its way.
    """
    gc.collect()
    gc.freeze()
    try:
        calls_ours, calls_baseline = _calls_per_round(ours), _calls_per_round(baseline)
        best_ours = best_baseline = float("inf")
        for _ in range(rounds):
            best_ours = min(best_ours, _time_us(ours, calls_ours))
            best_baseline = min(best_baseline, _time_us(baseline, calls_baseline))
        return best_ours, best_baseline
    finally:
        gc.unfreeze()


def _calls_per_round(call: Callable[[], object]) -> int:
    call()
    once_us = _time_us(call, 1)
    return max(1, round(ROUND_MS * 1_000 / max(once_us, 0.1)))


def _time_us(call: Callable[[], object], calls: int) -> float:
    began = perf_counter_ns()
    for _ in range(calls):
        call()
    return (perf_counter_ns() - began) / calls / 1_000
