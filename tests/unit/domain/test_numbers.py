"""Exact numbers from text."""

from decimal import Decimal

import pytest

from perpdesk.domain.numbers import ceil_to, floor_to, parse_decimal, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.50", Decimal("1.50")), ("-0.0001", Decimal("-0.0001")), (7, Decimal(7)), ("1e-7", Decimal("0.0000001"))],
)
def test_a_finite_number_is_read_exactly(text: str | int, value: Decimal) -> None:
    assert parse_decimal(text) == value


@pytest.mark.parametrize(
    "text", ["NaN", "nan", "sNaN", "Infinity", "-inf", "", " ", "1,5", "0x10", "one", "1.2.3", "--1"]
)
def test_what_is_no_finite_number_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_decimal(text)


@pytest.mark.parametrize("value", [None, [], {}, object()])
def test_what_is_not_even_text_is_the_same_error(value: object) -> None:
    with pytest.raises(ValueError, match="not a number"):
        parse_decimal(value)  # type: ignore[arg-type]


def test_an_error_shows_at_most_40_characters_of_what_it_got() -> None:
    with pytest.raises(ValueError, match="not a number") as caught:
        parse_decimal("x" * 10_000)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.5"),
        ("1E+3", "1000"),
        ("1000", "1000"),
        ("0.000", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("-1.20", "-1.2"),
        ("1E-9", "0.000000001"),
        ("100", "100"),
        ("0E+5", "0"),
    ],
)
def test_plain_has_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


def test_rounding_to_a_step_never_crosses_the_value() -> None:
    step = Decimal("0.05")
    assert floor_to(Decimal("1.23"), step) == Decimal("1.20")
    assert ceil_to(Decimal("1.23"), step) == Decimal("1.25")
    assert floor_to(Decimal("-1.23"), step) == Decimal("-1.25")
    assert floor_to(Decimal("1.25"), step) == ceil_to(Decimal("1.25"), step) == Decimal("1.25")
