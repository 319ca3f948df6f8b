"""Waiting times between attempts."""

import random

import pytest

from perpdesk.venues.transport.backoff import Backoff


def test_waits_double_up_to_the_ceiling() -> None:
    backoff = Backoff(random.Random(1), 100, 1_000, jitter=0)
    assert [backoff.next_ms() for _ in range(6)] == [100, 200, 400, 800, 1_000, 1_000]


def test_a_success_starts_over() -> None:
    backoff = Backoff(random.Random(1), 100, 1_000, jitter=0)
    backoff.next_ms()
    backoff.next_ms()
    backoff.reset()
    assert backoff.next_ms() == 100


def test_jitter_only_shortens_and_by_no_more_than_its_share() -> None:
    backoff = Backoff(random.Random(1), 1_000, 1_000, jitter=0.5)
    waits = [backoff.next_ms() for _ in range(1_000)]
    assert min(waits) >= 500
    assert max(waits) <= 1_000
    assert len(set(waits)) > 200


def test_the_same_seed_waits_the_same() -> None:
    one, two = (Backoff(random.Random(5), 100, 60_000, jitter=1.0) for _ in range(2))
    assert [one.next_ms() for _ in range(20)] == [two.next_ms() for _ in range(20)]


@pytest.mark.parametrize(("first_ms", "ceiling_ms", "jitter"), [(0, 10, 0.1), (20, 10, 0.1), (1, 10, 1.5), (1, 10, -1)])
def test_senseless_numbers_are_refused(first_ms: int, ceiling_ms: int, jitter: float) -> None:
    with pytest.raises(ValueError, match=r"must be|is a fraction"):
        Backoff(random.Random(1), first_ms, ceiling_ms, jitter)
