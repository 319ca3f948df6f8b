"""What is refused and why, reduce-only orders, client ids, cancels and expiry."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import Exchange, NewOrder, Reason, SimOrder, SimStatus
from perpdesk.sandbox.rules import hyperliquid_market, hyperliquid_rules

D = Decimal


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


@pytest.fixture
def exchange(clock: ManualClock) -> Exchange:
    """One market around 100 with a deep ambient book, and two rich accounts."""
    market = hyperliquid_market("SOL", 5, "SOL", 2, 20)
    venue = Exchange(VenueName.HYPERLIQUID, [market], hyperliquid_rules(), clock)
    venue.open_account("ann", D(100_000))
    venue.open_account("bob", D(100_000))
    venue.set_prices("SOL", D(100), [(D("99.9"), D(500))], [(D("100.1"), D(500))])
    return venue


def order_of(side: Side, size: str, price: str, **changes: object) -> NewOrder:
    return replace(NewOrder("ann", "SOL", side, D(size), D(price), TimeInForce.GTC), **changes)


def reduce(exchange: Exchange, side: Side, size: str, price: str) -> SimOrder:
    return exchange.submit(order_of(side, size, price, is_reduce_only=True))


def go_long(exchange: Exchange, size: str, account_id: str = "ann") -> None:
    new = order_of(Side.BUY, size, "100.1", account_id=account_id, time_in_force=TimeInForce.IOC)
    assert exchange.submit(new).status is SimStatus.FILLED


def size_held(exchange: Exchange, account_id: str = "ann") -> Decimal:
    account = exchange.account(account_id)
    assert account is not None
    return account.positions["SOL"].size


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (order_of(Side.BUY, "1", "99.0011"), Reason.TICK),
        (order_of(Side.BUY, "1", "-5"), Reason.TICK),
        (order_of(Side.BUY, "1", "NaN"), Reason.TICK),
        (order_of(Side.BUY, "1", "1E+30"), Reason.TICK),
        (order_of(Side.BUY, "1.001", "99"), Reason.LOT),
        (order_of(Side.BUY, "Infinity", "99"), Reason.LOT),
        (order_of(Side.BUY, "1E+30", "99"), Reason.LOT),
        (order_of(Side.BUY, "0", "99"), Reason.SIZE_MIN),
        (order_of(Side.BUY, "-1", "99"), Reason.SIZE_MIN),
        (order_of(Side.BUY, "0.1", "99"), Reason.NOTIONAL_MIN),
        (order_of(Side.BUY, "1", "99", is_reduce_only=True), Reason.REDUCE_ONLY),
        (order_of(Side.BUY, "100000", "99"), Reason.MARGIN),
        (order_of(Side.BUY, "1", "99", symbol="DOGE"), Reason.MARKET_CLOSED),
        (order_of(Side.BUY, "1", "99", account_id="nobody"), Reason.MARGIN),
        (order_of(Side.BUY, "1", "99", account_id="ambient"), Reason.MARGIN),
        (order_of(Side.BUY, "1", "99", expires_at_ms=1_000), Reason.EXPIRED),
    ],
)
def test_a_bad_order_is_refused_with_its_reason(exchange: Exchange, new: NewOrder, reason: Reason) -> None:
    order = exchange.submit(new)
    assert (order.status, order.reason) == (SimStatus.REJECTED, reason)
    assert exchange.resting_orders("ann") == []


def test_a_market_without_prices_takes_no_orders(clock: ManualClock) -> None:
    venue = Exchange(VenueName.HYPERLIQUID, [hyperliquid_market("SOL", 5, "SOL", 2, 20)], hyperliquid_rules(), clock)
    venue.open_account("ann", D(1000))
    assert venue.submit(order_of(Side.BUY, "1", "99")).reason is Reason.MARKET_CLOSED


def test_a_delisted_market_takes_no_orders_but_keeps_what_rests(exchange: Exchange) -> None:
    resting = exchange.submit(order_of(Side.BUY, "1", "99"))
    exchange.replace_market(replace(exchange.markets["SOL"], is_listed=False))
    assert exchange.submit(order_of(Side.BUY, "1", "99")).reason is Reason.MARKET_CLOSED
    assert exchange.resting_orders("ann") == [resting]


def test_a_reduce_only_market_takes_closing_orders_alone(exchange: Exchange) -> None:
    go_long(exchange, "2")
    exchange.replace_market(replace(exchange.markets["SOL"], is_reduce_only=True))
    assert exchange.submit(order_of(Side.BUY, "1", "99")).reason is Reason.MARKET_CLOSED
    assert reduce(exchange, Side.SELL, "1", "99.9").status is SimStatus.FILLED


def test_a_client_id_is_taken_for_ever_even_by_a_refused_order(exchange: Exchange) -> None:
    refused = exchange.submit(order_of(Side.BUY, "1.001", "99", client_id="7"))
    again = exchange.submit(order_of(Side.BUY, "1", "99", client_id="7"))
    assert (again.status, again.reason) == (SimStatus.REJECTED, Reason.DUPLICATE_CLIENT_ID)
    assert exchange.order_by_client_id("ann", "7") is refused
    assert exchange.submit(order_of(Side.BUY, "1", "99", client_id="7", account_id="bob")).status is SimStatus.RESTING


def test_unknown_client_ids_and_accounts_find_nothing(exchange: Exchange) -> None:
    assert exchange.order_by_client_id("ann", "7") is None
    assert exchange.order_by_client_id("nobody", "7") is None
    assert exchange.resting_orders("nobody") == []


def test_a_cancel_ends_the_order_once_and_for_its_owner_only(exchange: Exchange) -> None:
    order = exchange.submit(order_of(Side.BUY, "1", "99"))
    assert not exchange.cancel("bob", order.order_id)
    assert exchange.cancel("ann", order.order_id)
    assert (order.status, order.reason) == (SimStatus.CANCELED, Reason.USER_CANCEL)
    assert not exchange.cancel("ann", order.order_id)
    assert exchange.book("SOL")[0] == [(D("99.9"), D(500), 1)]


def test_orders_expire_at_their_time_and_not_before(exchange: Exchange, clock: ManualClock) -> None:
    order = exchange.submit(order_of(Side.BUY, "1", "99", expires_at_ms=2_000))
    clock.advance_ms(999)
    exchange.expire_orders()
    assert order.status is SimStatus.RESTING
    clock.advance_ms(1)
    exchange.expire_orders()
    assert (order.status, order.reason) == (SimStatus.CANCELED, Reason.EXPIRED)


def test_a_reduce_only_order_is_cut_to_the_position_when_it_arrives(exchange: Exchange) -> None:
    go_long(exchange, "2")
    order = reduce(exchange, Side.SELL, "5", "99.9")
    assert (order.status, order.size) == (SimStatus.FILLED, D(2))
    assert size_held(exchange) == 0


def test_resting_reduce_only_orders_shrink_with_the_position(exchange: Exchange) -> None:
    go_long(exchange, "5")
    order = reduce(exchange, Side.SELL, "5", "101")
    exchange.submit(order_of(Side.SELL, "3", "99.9", time_in_force=TimeInForce.IOC))
    assert (order.status, order.remaining) == (SimStatus.RESTING, D(2))
    assert exchange.book("SOL")[1][-1] == (D(101), D(2), 1)


def test_a_filled_reduce_only_order_cancels_its_siblings_when_nothing_is_left(exchange: Exchange) -> None:
    go_long(exchange, "5")
    orders = [reduce(exchange, Side.SELL, "5", "101") for _ in range(3)]
    exchange.take_ambient("SOL", Side.BUY, D(600), D(101))
    assert [order.filled for order in orders] == [D(5), D(0), D(0)]
    assert orders[2].reason is Reason.REDUCE_ONLY
    assert size_held(exchange) == 0


def test_a_flip_cancels_reduce_only_orders_of_the_old_side(exchange: Exchange) -> None:
    go_long(exchange, "5")
    order = reduce(exchange, Side.SELL, "5", "101")
    exchange.submit(order_of(Side.SELL, "8", "99.9", time_in_force=TimeInForce.IOC))
    assert (order.status, order.reason) == (SimStatus.CANCELED, Reason.REDUCE_ONLY)
    assert size_held(exchange) == -3


def test_dust_can_be_closed_below_every_minimum(exchange: Exchange) -> None:
    go_long(exchange, "0.11")
    exchange.submit(order_of(Side.SELL, "0.11", "99.9", account_id="bob"))
    exchange.set_prices("SOL", D(50), [(D("49.9"), D(5))], [(D("50.1"), D(5))])
    order = reduce(exchange, Side.SELL, "0.11", "49.9")
    assert order.status is SimStatus.FILLED


def test_a_partial_reduce_only_close_is_bound_by_the_minimum(exchange: Exchange) -> None:
    go_long(exchange, "1")
    assert reduce(exchange, Side.SELL, "0.05", "99.9").reason is Reason.NOTIONAL_MIN


def test_venues_may_exempt_every_reduce_only_order_from_the_minimum(clock: ManualClock) -> None:
    rules = replace(hyperliquid_rules(), min_applies_to_reduce_only=False)
    venue = Exchange(VenueName.LIGHTER, [hyperliquid_market("SOL", 5, "SOL", 2, 20)], rules, clock)
    venue.open_account("ann", D(100_000))
    venue.set_prices("SOL", D(100), [(D("99.9"), D(5))], [(D("100.1"), D(5))])
    go_long(venue, "1")
    assert reduce(venue, Side.SELL, "0.05", "99.9").status is SimStatus.FILLED


def test_accounts_open_once_and_on_known_tiers(exchange: Exchange) -> None:
    with pytest.raises(ValueError, match="exists"):
        exchange.open_account("ann", D(1))
    with pytest.raises(ValueError, match="fee tier"):
        exchange.open_account("dan", D(1), "gold")


def test_the_same_calls_give_the_same_ids(clock: ManualClock) -> None:
    def run() -> list[tuple[int, int]]:
        venue = Exchange(
            VenueName.HYPERLIQUID, [hyperliquid_market("SOL", 5, "SOL", 2, 20)], hyperliquid_rules(), clock
        )
        venue.open_account("ann", D(100_000))
        venue.set_prices("SOL", D(100), [(D("99.9"), D(5))], [(D("100.1"), D(5))])
        go_long(venue, "1")
        venue.submit(order_of(Side.SELL, "1", "99.9"))
        return [(t.trade_id, t.taker_order_id) for t in venue.trades("SOL")]

    assert run() == run() == [(1, 1), (2, 2)]
