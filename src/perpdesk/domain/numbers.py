"""Exact numbers from text. Money, prices of orders and sizes are Decimal from the wire to the store."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

ZERO = Decimal(0)
ONE = Decimal(1)
BPS = Decimal(10_000)


def parse_decimal(text: str | int | Decimal) -> Decimal:
    """The finite number `text` spells; ValueError for anything else, NaN and infinity included."""
    try:
        value = Decimal(text)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise ValueError(f"not a number: {str(text)[:40]!r}") from error
    if not value.is_finite():
        raise ValueError(f"not a finite number: {str(text)[:40]!r}")
    return value


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Largest multiple of `step` (> 0) not above `value`."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Smallest multiple of `step` (> 0) not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def plain(value: Decimal) -> str:
    """`value` without exponent and without trailing zeros: Decimal("1.50") is "1.5", Decimal("1E+3") is "1000"."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
