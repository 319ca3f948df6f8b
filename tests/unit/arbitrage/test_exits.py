"""When an open pair ends."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.arbitrage.exits import HoldingView, decide_exit, flipped_since
from perpdesk.arbitrage.settings import ExitSettings

D = Decimal
SETTINGS = ExitSettings(
    carry_bps_per_hour_min=0.0, flip_confirm_ms=600_000, hold_hours_max=24.0, profit_target_bps=60.0
)
HOUR_MS = 3_600_000
VIEW = HoldingView(0, 0.5, None, D(0), D(1000))


def test_a_pair_that_earns_is_held() -> None:
    assert decide_exit(VIEW, SETTINGS, HOUR_MS) is None


def test_a_flip_closes_once_it_has_lasted() -> None:
    flipped = replace(VIEW, flipped_since_ms=HOUR_MS)
    assert decide_exit(flipped, SETTINGS, HOUR_MS + 599_999) is None
    assert decide_exit(flipped, SETTINGS, HOUR_MS + 600_000) == "funding flipped"


def test_the_longest_hold_closes() -> None:
    assert decide_exit(VIEW, SETTINGS, 24 * HOUR_MS - 1) is None
    assert decide_exit(VIEW, SETTINGS, 24 * HOUR_MS) == "max hold"


@pytest.mark.parametrize(("profit", "reason"), [("5.99", None), ("6", "profit target"), ("-100", None)])
def test_the_profit_target_is_of_one_legs_notional(profit: str, reason: str | None) -> None:
    assert decide_exit(replace(VIEW, profit_usd=D(profit)), SETTINGS, HOUR_MS) == reason


def test_what_is_not_known_closes_nothing() -> None:
    assert decide_exit(replace(VIEW, carry_bps_per_hour=None, profit_usd=None), SETTINGS, HOUR_MS) is None


def test_the_first_reason_that_holds_is_given() -> None:
    every = replace(VIEW, flipped_since_ms=0, profit_usd=D(100))
    assert decide_exit(every, SETTINGS, 48 * HOUR_MS) == "funding flipped"
    assert decide_exit(replace(every, flipped_since_ms=None), SETTINGS, 48 * HOUR_MS) == "max hold"


@pytest.mark.parametrize(
    ("carry", "since", "expected"),
    [
        (0.1, None, None),
        (0.1, 50, None),
        (0.0, None, 100),
        (-0.1, None, 100),
        (-0.1, 50, 50),
        (None, None, None),
        (None, 50, 50),
    ],
)
def test_a_flip_starts_once_and_ends_only_when_carry_is_seen_to_recover(
    carry: float | None, since: int | None, expected: int | None
) -> None:
    assert flipped_since(carry, since, SETTINGS, 100) == expected
