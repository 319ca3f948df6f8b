"""Comparisons that remember both sides."""

import pytest

from perpdesk.arbitrage.checks import Check, fact


@pytest.mark.parametrize(
    ("observed", "is_floor", "passed"),
    [
        (0.9, True, False),
        (1.0, True, True),
        (1.1, True, True),
        (0.9, False, True),
        (1.0, False, True),
        (1.1, False, False),
    ],
)
def test_a_bound_itself_passes(observed: float, is_floor: bool, passed: bool) -> None:
    assert Check("edge", observed, 1.0, "bps", is_floor).passed is passed


@pytest.mark.parametrize("is_floor", [True, False])
def test_what_was_not_measured_never_passes(is_floor: bool) -> None:
    check = Check("edge", None, 1.0, "bps", is_floor)
    assert not check.passed
    assert "unknown" in str(check)


@pytest.mark.parametrize("is_floor", [True, False])
def test_nan_never_passes(is_floor: bool) -> None:
    assert not Check("edge", float("nan"), 1.0, "bps", is_floor).passed


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (Check("carry", 0.25, 0.3, "bps/h"), "carry 0.25 < 0.3 bps/h"),
        (Check("carry", 0.35, 0.3, "bps/h"), "carry 0.35 >= 0.3 bps/h"),
        (Check("spread", 20.0, 15.0, "bps", is_floor=False), "spread 20 > 15 bps"),
        (Check("spread", None, 15.0, "bps", is_floor=False), "spread unknown at most 15 bps"),
    ],
)
def test_a_check_says_both_sides_in_words(check: Check, text: str) -> None:
    assert str(check) == text


def test_a_check_keeps_both_sides_for_machines() -> None:
    assert Check("carry", 0.25, 0.3, "bps/h").as_dict() == {
        "name": "carry",
        "observed": 0.25,
        "bound": 0.3,
        "unit": "bps/h",
        "is_floor": True,
        "passed": False,
    }


def test_a_fact_passes_exactly_when_it_holds() -> None:
    assert fact("open", True).passed
    assert not fact("open", False).passed
