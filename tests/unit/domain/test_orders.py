"""Orders and fills: what may be built, and which way it moves money."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.orders import CLIENT_ID_MAX, Fill, OrderIntent, OrderStatus, TimeInForce, filled_size
from perpdesk.domain.pairs import Leg, PairState

D = Decimal
INTENT = OrderIntent(7, VenueName.LIGHTER, "ETH", Side.BUY, D(1), D(100), TimeInForce.IOC, False, 1_000)
FILL = Fill(VenueName.LIGHTER, "ETH", "1", 7, Side.BUY, D(2), D(100), D("0.05"), False, 1)


@pytest.mark.parametrize("client_id", [0, -1, CLIENT_ID_MAX + 1])
def test_a_client_id_no_venue_can_carry_is_refused(client_id: int) -> None:
    with pytest.raises(ValueError, match="client id"):
        replace(INTENT, client_id=client_id)


@pytest.mark.parametrize(("size", "price"), [("0", "1"), ("-1", "1"), ("1", "0"), ("1", "-1")])
def test_an_order_without_size_or_price_is_refused(size: str, price: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        replace(INTENT, size=D(size), limit_price=D(price))


def test_a_buy_pays_cash_and_a_sell_receives_it() -> None:
    sell = replace(FILL, side=Side.SELL)
    assert (FILL.signed_size, FILL.cash_usd) == (D(2), D(-200))
    assert (sell.signed_size, sell.cash_usd) == (D(-2), D(200))
    assert filled_size([FILL, sell]) == D(4)


def test_only_a_resting_order_can_still_change() -> None:
    assert [status for status in OrderStatus if not status.is_final] == [OrderStatus.RESTING]


def test_a_pair_has_ended_when_it_is_closed_or_abandoned() -> None:
    assert [state for state in PairState if state.is_ended] == [PairState.CLOSED, PairState.ABANDONED]


def test_a_long_leg_opens_by_buying_and_a_short_one_by_selling() -> None:
    assert (Leg.LONG.opening_side, Leg.SHORT.opening_side) == (Side.BUY, Side.SELL)
    assert Leg.LONG.other is Leg.SHORT
