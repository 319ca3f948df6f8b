"""Who trades with whom, at which price, and what is left of the book."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import AMBIENT, Exchange, NewOrder, Reason, SimOrder, SimStatus
from perpdesk.sandbox.rules import hyperliquid_market, hyperliquid_rules

D = Decimal
BIDS = [(D("99.9"), D(10)), (D("99.8"), D(20))]
ASKS = [(D("100.1"), D(10)), (D("100.2"), D(20))]


@pytest.fixture
def exchange() -> Exchange:
    """One market around 100 and three rich accounts."""
    venue = Exchange(
        VenueName.HYPERLIQUID, [hyperliquid_market("SOL", 5, "SOL", 2, 20)], hyperliquid_rules(), ManualClock(1_000)
    )
    for account_id in ("ann", "bob", "cat"):
        venue.open_account(account_id, D(100_000))
    venue.set_prices("SOL", D(100), BIDS, ASKS)
    return venue


def place(
    exchange: Exchange,
    account_id: str,
    side: Side,
    size: str,
    price: str,
    tif: TimeInForce = TimeInForce.GTC,
    reduce_only: bool = False,
) -> SimOrder:
    return exchange.submit(NewOrder(account_id, "SOL", side, D(size), D(price), tif, reduce_only))


def position(exchange: Exchange, account_id: str) -> Decimal:
    account = exchange.account(account_id)
    assert account is not None
    return account.positions["SOL"].size


def test_a_buy_takes_the_cheapest_asks_first_up_to_its_limit(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "15", "100.2", TimeInForce.IOC)
    assert [(t.price, t.size) for t in exchange.trades("SOL")] == [(D("100.1"), D(10)), (D("100.2"), D(5))]
    assert order.status is SimStatus.FILLED
    assert order.filled_quote == D("1502")
    assert exchange.book("SOL")[1] == [(D("100.2"), D(15), 1)]


def test_a_limit_order_trades_what_it_can_and_rests_with_the_remainder(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "12", "100.1")
    assert (order.status, order.filled, order.remaining) == (SimStatus.RESTING, D(10), D(2))
    assert exchange.book("SOL")[0][0] == (D("100.1"), D(2), 1)


def test_an_ioc_that_fills_in_part_ends_cancelled_with_its_fills(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "12", "100.1", TimeInForce.IOC)
    assert (order.status, order.reason, order.filled) == (SimStatus.CANCELED, Reason.IOC_NO_MATCH, D(10))
    assert exchange.resting_orders("ann") == []


def test_an_ioc_that_meets_nothing_ends_cancelled_untraded(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "1", "100", TimeInForce.IOC)
    assert (order.status, order.reason, order.filled) == (SimStatus.CANCELED, Reason.IOC_NO_MATCH, D(0))
    assert list(exchange.trades("SOL")) == []


def test_a_fill_or_kill_order_trades_all_or_nothing(exchange: Exchange) -> None:
    killed = place(exchange, "ann", Side.BUY, "30.01", "100.2", TimeInForce.FOK)
    assert (killed.status, killed.reason, killed.filled) == (SimStatus.CANCELED, Reason.FOK_NOT_FILLED, D(0))
    filled = place(exchange, "ann", Side.BUY, "30", "100.2", TimeInForce.FOK)
    assert filled.status is SimStatus.FILLED


def test_a_fill_or_kill_order_does_not_count_its_own_resting_orders(exchange: Exchange) -> None:
    place(exchange, "ann", Side.SELL, "5", "100.1")
    assert place(exchange, "ann", Side.BUY, "15", "100.1", TimeInForce.FOK).filled == 0


def test_a_fill_or_kill_order_counts_reduce_only_makers_for_what_they_can_close(exchange: Exchange) -> None:
    place(exchange, "bob", Side.BUY, "5", "100.1", TimeInForce.IOC)
    for _ in range(2):
        place(exchange, "bob", Side.SELL, "5", "100.1", reduce_only=True)
    killed = place(exchange, "ann", Side.BUY, "11", "100.1", TimeInForce.FOK)
    assert (killed.filled, killed.reason) == (D(0), Reason.FOK_NOT_FILLED)
    assert place(exchange, "ann", Side.BUY, "10", "100.1", TimeInForce.FOK).status is SimStatus.FILLED


def test_a_post_only_order_that_would_take_is_refused(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "1", "100.1", TimeInForce.POST_ONLY)
    assert (order.status, order.reason) == (SimStatus.REJECTED, Reason.POST_ONLY_CROSS)
    assert list(exchange.trades("SOL")) == []


def test_a_post_only_order_inside_the_spread_rests(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "1", "100", TimeInForce.POST_ONLY)
    assert order.status is SimStatus.RESTING


def test_at_equal_price_ambient_size_trades_first_then_orders_by_age(exchange: Exchange) -> None:
    first = place(exchange, "ann", Side.SELL, "5", "100.1")
    second = place(exchange, "bob", Side.SELL, "5", "100.1")
    place(exchange, "cat", Side.BUY, "12", "100.1", TimeInForce.IOC)
    assert [t.maker_account for t in exchange.trades("SOL")] == [AMBIENT, "ann"]
    assert (first.filled, second.filled) == (D(2), D(0))


def test_a_better_price_trades_before_an_older_order(exchange: Exchange) -> None:
    place(exchange, "ann", Side.SELL, "5", "100.1")
    better = place(exchange, "bob", Side.SELL, "5", "100")
    place(exchange, "cat", Side.BUY, "5", "100.1", TimeInForce.IOC)
    assert better.status is SimStatus.FILLED
    assert position(exchange, "bob") == -5


def test_an_own_resting_order_in_the_way_is_cancelled_without_a_trade(exchange: Exchange) -> None:
    resting = place(exchange, "ann", Side.SELL, "5", "100")
    taking = place(exchange, "ann", Side.BUY, "3", "100.1", TimeInForce.IOC)
    assert (resting.status, resting.reason, resting.filled) == (SimStatus.CANCELED, Reason.SELF_TRADE, D(0))
    assert [t.maker_account for t in exchange.trades("SOL")] == [AMBIENT]
    assert taking.status is SimStatus.FILLED


def test_a_new_ladder_fills_the_orders_it_crosses_at_their_own_price(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.SELL, "5", "100.1")
    exchange.set_prices("SOL", D(101), [(D("101"), D(3)), (D("100.9"), D(9))], [(D("101.1"), D(9))])
    assert order.status is SimStatus.FILLED
    assert [(t.price, t.size, t.taker_side) for t in exchange.trades("SOL")] == [
        (D("100.1"), D(3), Side.BUY),
        (D("100.1"), D(2), Side.BUY),
    ]
    assert exchange.book("SOL")[0] == [(D("100.9"), D(7), 1)]


def test_a_new_ladder_crosses_falling_prices_the_same_way(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "5", "99.9")
    exchange.set_prices("SOL", D(99), [(D("98.9"), D(9))], [(D("99"), D(3)), (D("99.1"), D(9))])
    assert order.status is SimStatus.FILLED
    assert position(exchange, "ann") == 5
    assert exchange.book("SOL")[1] == [(D("99.1"), D(7), 1)]


def test_a_ladder_that_only_touches_a_worse_price_leaves_the_order_resting(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.SELL, "5", "100.1")
    exchange.set_prices("SOL", D(100), [(D("100"), D(3))], [(D("100.2"), D(9))])
    assert order.status is SimStatus.RESTING


def test_anonymous_flow_takes_ambient_levels_and_account_orders(exchange: Exchange) -> None:
    order = place(exchange, "ann", Side.BUY, "5", "99.9")
    assert exchange.take_ambient("SOL", Side.SELL, D(12), D("99.9")) == 12
    assert order.filled == 2
    assert (position(exchange, "ann"), position(exchange, AMBIENT)) == (D(2), D(-2))


def test_anonymous_flow_stops_at_its_limit(exchange: Exchange) -> None:
    assert exchange.take_ambient("SOL", Side.BUY, D(50), D("100.1")) == 10
    assert exchange.last_price("SOL") == D("100.1")


def test_ambient_trading_with_itself_leaves_no_position(exchange: Exchange) -> None:
    exchange.take_ambient("SOL", Side.BUY, D(5), D("100.1"))
    assert exchange.open_interest("SOL") == 0
    assert [(t.buyer, t.seller) for t in exchange.trades("SOL")] == [(AMBIENT, AMBIENT)]


def test_ambient_sizes_off_the_lot_never_leave_an_odd_position(exchange: Exchange) -> None:
    exchange.set_prices("SOL", D(100), BIDS, [(D("100.1"), D("0.004")), (D("100.2"), D("1.239"))])
    order = place(exchange, "ann", Side.BUY, "5", "100.2", TimeInForce.IOC)
    assert order.filled == D("1.23")


def test_the_book_merges_ambient_and_account_sizes_and_counts_orders(exchange: Exchange) -> None:
    place(exchange, "ann", Side.BUY, "1", "99.9")
    place(exchange, "bob", Side.BUY, "2", "99.9")
    place(exchange, "bob", Side.BUY, "2", "99.85")
    bids, asks = exchange.book("SOL", depth=2)
    assert bids == [(D("99.9"), D(13), 3), (D("99.85"), D(2), 1)]
    assert asks == [(price, size, 1) for price, size in ASKS]


def test_crossed_or_unsorted_ladders_and_worthless_prices_are_refused(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="crossed"):
        exchange.set_prices("SOL", D(100), [(D(101), D(1))], [(D(100), D(1))])
    with pytest.raises(ValueError, match="fall"):
        exchange.set_prices("SOL", D(100), BIDS[::-1], ASKS)
    with pytest.raises(ValueError, match="rise"):
        exchange.set_prices("SOL", D(100), BIDS, ASKS[::-1])
    with pytest.raises(ValueError, match="positive"):
        exchange.set_prices("SOL", D(0), BIDS, ASKS)
    assert exchange.index_price("SOL") == 100


def test_only_the_latest_trades_are_kept(exchange: Exchange) -> None:
    exchange.set_prices("SOL", D(100), [], [(D("100.1"), D(1000))])
    for _ in range(600):
        exchange.take_ambient("SOL", Side.BUY, D("0.01"), D("100.1"))
    trades = exchange.trades("SOL")
    assert (len(trades), trades[-1].trade_id) == (500, 600)


def test_realised_profit_is_by_average_cost_and_fees_are_exact(exchange: Exchange) -> None:
    place(exchange, "ann", Side.BUY, "10", "100.1", TimeInForce.IOC)
    place(exchange, "ann", Side.BUY, "10", "100.2", TimeInForce.IOC)
    place(exchange, "ann", Side.SELL, "10", "99.9", TimeInForce.IOC)
    account = exchange.account("ann")
    assert account is not None
    last = account.fills[-1]
    assert (last.size_before, last.closed_pnl_usd) == (D(20), D("-2.5"))
    assert last.fee_usd == D("0.449550")
    assert account.cash_usd == D(100_000) - D("2.5") - sum(fill.fee_usd for fill in account.fills)
    assert exchange.fees_usd == sum(fill.fee_usd for fill in account.fills)


def test_maker_and_taker_pay_their_own_rates(exchange: Exchange) -> None:
    place(exchange, "ann", Side.SELL, "1", "100")
    place(exchange, "bob", Side.BUY, "1", "100")
    maker, taker = exchange.account("ann"), exchange.account("bob")
    assert maker is not None
    assert taker is not None
    assert (maker.fills[0].is_maker, maker.fills[0].fee_usd) == (True, D("0.015"))
    assert (taker.fills[0].is_maker, taker.fills[0].fee_usd) == (False, D("0.045"))
    assert taker.fills_by_order[taker.fills[0].order_id] == taker.fills


def test_closing_a_third_of_a_position_loses_nothing_to_rounding(exchange: Exchange) -> None:
    place(exchange, "ann", Side.BUY, "3", "100.1", TimeInForce.IOC)
    exchange.set_prices("SOL", D(100), BIDS, [(D("100.2"), D(4))])
    place(exchange, "ann", Side.BUY, "4", "100.2", TimeInForce.IOC)
    for _ in range(7):
        place(exchange, "ann", Side.SELL, "1", "99.9", TimeInForce.IOC)
    account = exchange.account("ann")
    assert account is not None
    bought, sold = D(3) * D("100.1") + D(4) * D("100.2"), D(7) * D("99.9")
    assert account.cash_usd == D(100_000) - bought + sold - exchange.fees_usd
