"""Positions by average cost."""

from decimal import Decimal

import pytest

from perpdesk.domain.positions import AccountState, Position, VenuePosition

D = Decimal


def after(*trades: tuple[str, str]) -> Position:
    position = Position()
    for size, price in trades:
        position = position.after(D(size), D(price))
    return position


@pytest.mark.parametrize(
    ("trades", "size", "entry", "realised"),
    [
        ((("1", "100"), ("1", "110")), "2", "105", "0"),
        ((("2", "100"), ("-1", "110")), "1", "100", "10"),
        ((("2", "100"), ("-2", "90")), "0", None, "-20"),
        ((("-2", "100"), ("1", "90")), "-1", "100", "10"),
        ((("1", "100"), ("-3", "110")), "-2", "110", "10"),
        ((("-1", "100"), ("3", "110")), "2", "110", "-10"),
    ],
)
def test_closing_realises_and_opening_averages(
    trades: tuple[tuple[str, str], ...], size: str, entry: str | None, realised: str
) -> None:
    position = after(*trades)
    assert position.size == D(size)
    assert position.entry_price == (None if entry is None else D(entry))
    assert position.realised_usd == D(realised)


def test_an_open_part_is_worth_its_size_at_the_mark_less_its_cost() -> None:
    assert after(("2", "100")).unrealised_usd(D(110)) == D(20)
    assert after(("-2", "100")).unrealised_usd(D(110)) == D(-20)


def test_cash_of_an_account_is_equity_without_the_open_profit() -> None:
    held = VenuePosition("ETH", D(1), D(100), D(110), D(10))
    state = AccountState(D(1010), D(900), {"ETH": held}, 0)
    assert state.cash_usd == D(1000)
