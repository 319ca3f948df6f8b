"""Margin, leverage, the mark price and liquidation."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import AMBIENT, Exchange, NewOrder, Reason, SimOrder, SimStatus
from perpdesk.sandbox.rules import hyperliquid_market, hyperliquid_rules

D = Decimal


@pytest.fixture
def exchange() -> Exchange:
    """SOL around 100 and DOGE around 1; leverage to 20, maintenance 2.5 %."""
    markets = [hyperliquid_market("SOL", 5, "SOL", 2, 20), hyperliquid_market("DOGE", 6, "DOGE", 0, 10)]
    venue = Exchange(VenueName.HYPERLIQUID, markets, hyperliquid_rules(), ManualClock(1_000))
    venue.open_account("ann", D(1_000))
    venue.open_account("bob", D(1_000_000))
    move(venue, "100")
    venue.set_prices("DOGE", D(1), [(D("0.999"), D(100_000))], [(D("1.001"), D(100_000))])
    return venue


def move(exchange: Exchange, price: str, depth: str = "500") -> None:
    mid, tick = D(price), D("0.1")
    exchange.set_prices("SOL", mid, [(mid - tick, D(depth))], [(mid + tick, D(depth))])


def place(
    exchange: Exchange,
    side: Side,
    size: str,
    price: str,
    tif: TimeInForce = TimeInForce.GTC,
    symbol: str = "SOL",
    reduce_only: bool = False,
) -> SimOrder:
    return exchange.submit(NewOrder("ann", symbol, side, D(size), D(price), tif, reduce_only))


def test_a_position_holds_its_notional_at_mark_over_leverage(exchange: Exchange) -> None:
    assert exchange.set_leverage("ann", "SOL", 5)
    place(exchange, Side.BUY, "10", "100.1", TimeInForce.IOC)
    assert exchange.initial_margin_usd("ann") == D(200)
    assert exchange.maintenance_margin_usd("ann") == D(25)
    assert exchange.equity_usd("ann") == D(1000) - D(1) - D("0.450450")
    assert exchange.available_usd("ann") == exchange.equity_usd("ann") - D(200)


def test_resting_orders_hold_margin_for_what_they_would_add(exchange: Exchange) -> None:
    place(exchange, Side.BUY, "10", "100.1", TimeInForce.IOC)
    held = exchange.initial_margin_usd("ann")
    place(exchange, Side.SELL, "20", "101")
    assert exchange.initial_margin_usd("ann") == held
    place(exchange, Side.SELL, "5", "101")
    assert exchange.initial_margin_usd("ann") == D(15) * 100 / 20
    place(exchange, Side.BUY, "10", "99")
    assert exchange.initial_margin_usd("ann") == D(20) * 100 / 20


def test_reduce_only_orders_hold_no_margin(exchange: Exchange) -> None:
    place(exchange, Side.BUY, "10", "100.1", TimeInForce.IOC)
    held = exchange.initial_margin_usd("ann")
    place(exchange, Side.SELL, "10", "101", reduce_only=True)
    assert exchange.initial_margin_usd("ann") == held


def test_an_order_beyond_the_margin_is_refused_and_one_within_it_is_not(exchange: Exchange) -> None:
    assert place(exchange, Side.BUY, "200.01", "99").reason is Reason.MARGIN
    assert place(exchange, Side.BUY, "200", "99").status is SimStatus.RESTING


def test_margin_is_shared_over_markets(exchange: Exchange) -> None:
    place(exchange, Side.BUY, "150", "99")
    assert place(exchange, Side.BUY, "2501", "0.9", symbol="DOGE").reason is Reason.MARGIN
    assert place(exchange, Side.BUY, "2500", "0.9", symbol="DOGE").status is SimStatus.RESTING


def test_an_order_that_only_closes_needs_no_margin(exchange: Exchange) -> None:
    place(exchange, Side.BUY, "190", "100.1", TimeInForce.IOC)
    exchange.deposit("ann", D(-900))
    assert exchange.available_usd("ann") == 0
    assert place(exchange, Side.BUY, "1", "99").reason is Reason.MARGIN
    assert place(exchange, Side.SELL, "190", "99.9", TimeInForce.IOC).status is SimStatus.FILLED


def test_leverage_stays_within_the_market_and_the_margin(exchange: Exchange) -> None:
    assert not exchange.set_leverage("ann", "SOL", 21)
    assert not exchange.set_leverage("ann", "SOL", 0)
    assert not exchange.set_leverage("ann", "PEPE", 2)
    place(exchange, Side.BUY, "150", "100.1", TimeInForce.IOC)
    assert not exchange.set_leverage("ann", "SOL", 2)
    assert exchange.initial_margin_usd("ann") == D(750)


def test_the_mark_is_the_index_while_a_side_of_the_book_is_empty(exchange: Exchange) -> None:
    exchange.set_prices("SOL", D("101.3"), [], [(D("90"), D(1))])
    assert exchange.mark_price("SOL") == D("101.3")


def test_the_mark_lies_between_index_and_book(exchange: Exchange) -> None:
    exchange.set_prices("SOL", D(100), [(D("100.2"), D(1))], [(D("100.4"), D(1))])
    assert exchange.mark_price("SOL") == D("100.3")


def test_a_book_far_from_the_index_pulls_the_mark_half_a_percent_at_most(exchange: Exchange) -> None:
    exchange.set_prices("SOL", D(100), [(D("109"), D(1))], [(D("110"), D(1))])
    assert exchange.mark_price("SOL") == D("100.5")


def test_a_market_without_a_driver_has_no_prices() -> None:
    venue = Exchange(
        VenueName.HYPERLIQUID, [hyperliquid_market("SOL", 5, "SOL", 2, 20)], hyperliquid_rules(), ManualClock(0)
    )
    with pytest.raises(KeyError, match="set_prices"):
        venue.mark_price("SOL")
    with pytest.raises(KeyError, match="set_prices"):
        venue.index_price("SOL")


@pytest.mark.parametrize(("side", "limit"), [(Side.BUY, "100.1"), (Side.SELL, "99.9")])
def test_equity_meets_maintenance_at_the_liquidation_price(exchange: Exchange, side: Side, limit: str) -> None:
    place(exchange, side, "100", limit, TimeInForce.IOC)
    price = exchange.liquidation_price("ann", "SOL")
    assert price is not None
    assert (price < 100) == (side is Side.BUY)
    equity = exchange.equity_usd("ann") + side.sign * 100 * (price - 100)
    assert abs(equity - 100 * price * D("0.025")) < D("1e-18")


def test_there_is_no_liquidation_price_when_flat_or_when_fully_funded(exchange: Exchange) -> None:
    assert exchange.liquidation_price("ann", "SOL") is None
    place(exchange, Side.BUY, "5", "100.1", TimeInForce.IOC)
    assert exchange.liquidation_price("ann", "SOL") is None


def test_an_account_just_above_maintenance_is_left_alone(exchange: Exchange) -> None:
    place(exchange, Side.BUY, "190", "100.1", TimeInForce.IOC)
    price = exchange.liquidation_price("ann", "SOL")
    assert price is not None
    exchange.set_prices("SOL", price + D("0.01"), [], [])
    exchange.liquidate()
    assert exchange.open_interest("SOL") == 190


def test_liquidation_cancels_orders_and_closes_through_the_book_then_at_mark(exchange: Exchange) -> None:
    place(exchange, Side.BUY, "190", "100.1", TimeInForce.IOC)
    resting = place(exchange, Side.BUY, "0.5", "50")
    move(exchange, "96", depth="40")
    exchange.liquidate()
    account = exchange.account("ann")
    assert account is not None
    assert (resting.status, resting.reason) == (SimStatus.CANCELED, Reason.LIQUIDATION)
    assert account.positions["SOL"].size == 0
    closing = [(fill.trade.price, fill.trade.size, fill.trade.is_liquidation) for fill in account.fills[1:]]
    assert closing == [(D("95.9"), D(40), True), (D("96"), D(150), True)]
    assert account.fills[-1].fee_usd == 0
    ordered = account.orders[account.fills[-1].order_id]
    assert (ordered.status, ordered.reason) == (SimStatus.FILLED, Reason.LIQUIDATION)


def test_liquidation_of_a_short_does_not_chase_a_book_far_from_the_mark(exchange: Exchange) -> None:
    place(exchange, Side.SELL, "190", "99.9", TimeInForce.IOC)
    exchange.set_prices("SOL", D(104), [(D(103), D(1))], [(D(110), D(500))])
    mark = exchange.mark_price("SOL")
    exchange.liquidate()
    assert [(t.price, t.size) for t in exchange.trades("SOL")][1:] == [(mark, D(190))]


def test_a_loss_beyond_the_collateral_stays_as_negative_cash(exchange: Exchange) -> None:
    place(exchange, Side.BUY, "190", "100.1", TimeInForce.IOC)
    move(exchange, "80")
    exchange.liquidate()
    account, ambient = exchange.account("ann"), exchange.account(AMBIENT)
    assert account is not None
    assert ambient is not None
    assert account.cash_usd < 0
    assert account.cash_usd + exchange.equity_usd(AMBIENT) == D(1000) - exchange.fees_usd
