"""What no sequence of calls may break: money and positions add up, books never cross, promises of orders are kept."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import AMBIENT, Exchange, NewOrder, Reason, SimAccount, SimFill, SimOrder, SimStatus
from perpdesk.sandbox.rules import hyperliquid_rules, lighter_market

D = Decimal
ACCOUNTS = ("ann", "bob", "cat")
SYMBOLS = ("SOL", "AVAX")
TICK = D("0.1")
CASH = D(120)
"""Little enough that margin refuses and liquidation happens."""
MIRROR = D(200)
"""Prices p and MIRROR - p are each other's image in the symmetry test."""


@dataclass(frozen=True)
class Submit:
    account_id: str
    symbol: str
    side: Side
    size: Decimal
    price: Decimal
    tif: TimeInForce
    is_reduce_only: bool


@dataclass(frozen=True)
class Cancel:
    account_id: str
    nth: int


@dataclass(frozen=True)
class Move:
    symbol: str
    index: Decimal
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True)
class Flow:
    symbol: str
    side: Side
    size: Decimal
    price: Decimal


@dataclass(frozen=True)
class Settle:
    rate: Decimal


@dataclass(frozen=True)
class Liquidate:
    pass


Action = Submit | Cancel | Move | Flow | Settle | Liquidate


def _action(seed: int) -> Action:
    """An action that follows from `seed` alone: one drawn integer each keeps long sequences cheap to draw and to shrink."""
    chance = Random(seed)
    symbol, side = chance.choice(SYMBOLS), chance.choice(tuple(Side))
    kind = chance.random()
    if kind < 0.62:
        tif = chance.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.POST_ONLY))
        price = chance.randint(980, 1020) * TICK
        return Submit(chance.choice(ACCOUNTS), symbol, side, _size(chance), price, tif, chance.random() < 0.3)
    if kind < 0.65:
        return Cancel(chance.choice(ACCOUNTS), chance.randint(0, 5))
    if kind < 0.82:
        return _move(chance, symbol)
    if kind < 0.92:
        return Flow(symbol, side, _size(chance), chance.randint(970, 1030) * TICK)
    return Settle(chance.randint(-40_000, 40_000) * D("1e-7")) if kind < 0.95 else Liquidate()


def _size(chance: Random) -> Decimal:
    return chance.randint(1, chance.choice((4, 20, 50))) * D("0.5")


def _move(chance: Random, symbol: str) -> Move:
    """A new ladder, sometimes empty, with sizes off the lot and now and then far from where it was."""
    bid = chance.randint(*chance.choice(((990, 1010), (930, 1070))))
    ask = bid + chance.randint(1, 8)
    depth = chance.randint(0, 4)
    sizes = [chance.randint(1, 1500) * D("0.017") for _ in range(2 * depth)]
    bids = tuple(((bid - step) * TICK, sizes[step]) for step in range(depth))
    asks = tuple(((ask + step) * TICK, sizes[depth + step]) for step in range(depth))
    return Move(symbol, (bid + chance.randint(-5, 5)) * TICK, bids, asks)


_actions = st.lists(st.integers(0, 2**32 - 1).map(_action), min_size=60, max_size=120)


class World:
    """An exchange with two markets and three accounts, and what its deposits were."""

    def __init__(self, cash_usd: Decimal) -> None:
        markets = [lighter_market(symbol, at, symbol, 2, 1, D("0.1"), D(10), 20) for at, symbol in enumerate(SYMBOLS)]
        self.clock = ManualClock(0)
        self.exchange = Exchange(VenueName.LIGHTER, markets, hyperliquid_rules(), self.clock)
        self.deposits_usd = ZERO
        for account_id in ACCOUNTS:
            self.exchange.open_account(account_id, cash_usd, "base")
            self.deposits_usd += cash_usd
        for symbol in SYMBOLS:
            self.exchange.set_prices(symbol, D(100), [(D("99.9"), D(30))], [(D("100.1"), D(30))])

    def accounts(self) -> list[SimAccount]:
        found = [self.exchange.account(account_id) for account_id in (*ACCOUNTS, AMBIENT)]
        return [account for account in found if account is not None]

    def apply(self, action: Action) -> None:
        exchange = self.exchange
        self.clock.advance_ms(1)
        match action:
            case Submit(account_id, symbol, side, size, price, tif, is_reduce_only):
                exchange.submit(NewOrder(account_id, symbol, side, size, price, tif, is_reduce_only))
            case Cancel(account_id, nth):
                resting = exchange.resting_orders(account_id)
                if nth < len(resting):
                    assert exchange.cancel(account_id, resting[nth].order_id)
            case Move(symbol, index, bids, asks):
                exchange.set_prices(symbol, index, bids, asks)
            case Flow(symbol, side, size, price):
                assert exchange.take_ambient(symbol, side, size, price) <= size
            case Settle(rate):
                exchange.override_rate(SYMBOLS[0], rate)
                exchange.settle_funding()
            case Liquidate():
                exchange.liquidate()


@settings(max_examples=80, deadline=None)
@given(_actions)
def test_positions_sum_to_zero_in_every_market(actions: list[Action]) -> None:
    world = World(CASH)
    for action in actions:
        world.apply(action)
        for symbol in SYMBOLS:
            positions = [a.positions[symbol].size for a in world.accounts() if symbol in a.positions]
            assert sum(positions, ZERO) == 0
            assert world.exchange.open_interest(symbol) == -sum((size for size in positions if size < 0), ZERO)


@settings(max_examples=80, deadline=None)
@given(_actions)
def test_money_is_conserved_but_for_fees(actions: list[Action]) -> None:
    world = World(CASH)
    for action in actions:
        world.apply(action)
        equity = sum((world.exchange.equity_usd(a.account_id) for a in world.accounts()), ZERO)
        assert equity == world.deposits_usd - world.exchange.fees_usd
        assert world.exchange.fees_usd == sum((f.fee_usd for a in world.accounts() for f in a.fills), ZERO)


@settings(max_examples=60, deadline=None)
@given(_actions)
def test_every_accounts_cash_is_explained_by_its_fills_and_funding(actions: list[Action]) -> None:
    world = World(CASH)
    for action in actions:
        world.apply(action)
    for account in world.accounts():
        if account.account_id != AMBIENT:
            traded = sum((fill.closed_pnl_usd - fill.fee_usd for fill in account.fills), ZERO)
            assert account.cash_usd == CASH + traded + sum((f.usd for f in account.fundings), ZERO)
            for symbol, position in account.positions.items():
                signed = (f.trade.size * f.side.sign for f in account.fills if f.trade.symbol == symbol)
                assert sum(signed, ZERO) == position.size


@settings(max_examples=80, deadline=None)
@given(_actions)
def test_books_never_cross_and_hold_exactly_the_resting_orders(actions: list[Action]) -> None:
    world = World(CASH)
    for action in actions:
        world.apply(action)
        for symbol in SYMBOLS:
            bids, asks = world.exchange.book(symbol)
            assert not bids or not asks or bids[0][0] < asks[0][0]
            assert all(size > 0 for _, size, _ in bids + asks)
            assert [price for price, _, _ in bids] == sorted({price for price, _, _ in bids}, reverse=True)
            assert [price for price, _, _ in asks] == sorted({price for price, _, _ in asks})
            for account in world.accounts():
                for order in world.exchange.resting_orders(account.account_id, symbol):
                    levels = {price: size for price, size, _ in (bids if order.side is Side.BUY else asks)}
                    assert levels[order.limit_price] >= order.remaining


@settings(max_examples=80, deadline=None)
@given(_actions)
def test_orders_keep_their_promises(actions: list[Action]) -> None:
    world = World(CASH)
    for action in actions:
        world.apply(action)
    for account in world.accounts():
        for order in account.orders.values():
            fills = account.fills_by_order.get(order.order_id, [])
            _check_order(account, order, fills)


def _check_order(account: SimAccount, order: SimOrder, fills: list[SimFill]) -> None:
    assert order.filled == sum((fill.trade.size for fill in fills), ZERO)
    assert order.filled <= order.size
    assert (order.status is SimStatus.RESTING) == (order.order_id in account.resting)
    assert (order.status is SimStatus.FILLED) == (order.remaining == 0 and order.status is not SimStatus.CANCELED)
    if order.status is SimStatus.REJECTED:
        assert order.reason
        assert not fills
    if order.time_in_force is TimeInForce.FOK:
        assert order.filled in (ZERO, order.size)
    if order.time_in_force is TimeInForce.POST_ONLY:
        assert all(fill.is_maker for fill in fills)
    if order.is_reduce_only:
        for fill in fills:
            after = fill.size_before + fill.trade.size * fill.side.sign
            assert abs(after) < abs(fill.size_before)
            assert after * fill.size_before >= 0
    if order.reason is not Reason.LIQUIDATION:
        for fill in fills:
            assert (order.limit_price - fill.trade.price) * order.side.sign >= 0


@settings(max_examples=80, deadline=None)
@given(_actions)
def test_resting_reduce_only_orders_never_exceed_the_position(actions: list[Action]) -> None:
    world = World(CASH)
    for action in actions:
        world.apply(action)
        for account in world.accounts():
            for order in account.resting.values():
                if order.is_reduce_only:
                    assert 0 < order.remaining <= -account.positions[order.symbol].size * order.side.sign


@settings(max_examples=60, deadline=None)
@given(_actions)
def test_funding_sums_to_zero_at_every_settlement(actions: list[Action]) -> None:
    world = World(CASH)
    for action in actions:
        world.apply(action)
    sums: dict[tuple[str, int], Decimal] = {}
    for account in world.accounts():
        for payment in account.fundings:
            key = (payment.symbol, payment.at_ms)
            sums[key] = sums.get(key, ZERO) + payment.usd
    assert all(total == 0 for total in sums.values())


@settings(max_examples=60, deadline=None)
@given(_actions)
def test_after_a_liquidation_no_position_is_below_maintenance(actions: list[Action]) -> None:
    world = World(CASH)
    exchange = world.exchange
    for action in actions:
        world.apply(action)
        due = [a for a in ACCOUNTS if exchange.equity_usd(a) < exchange.maintenance_margin_usd(a)]
        exchange.liquidate()
        for account_id in due:
            assert exchange.maintenance_margin_usd(account_id) == 0
            assert exchange.resting_orders(account_id) == []


@settings(max_examples=60, deadline=None)
@given(_actions)
def test_the_same_calls_always_give_the_same_trades(actions: list[Action]) -> None:
    first, second = World(CASH), World(CASH)
    for action in actions:
        first.apply(action)
        second.apply(action)
    for symbol in SYMBOLS:
        assert list(first.exchange.trades(symbol)) == list(second.exchange.trades(symbol))
    assert [a.cash_usd for a in first.accounts()] == [a.cash_usd for a in second.accounts()]


@settings(max_examples=80, deadline=None)
@given(_actions)
def test_buying_and_selling_are_mirror_images(actions: list[Action]) -> None:
    """With every side and price mirrored (and money no object), trades and positions are mirrored too."""
    plain, mirrored = World(D(10**9)), World(D(10**9))
    for action in actions:
        if not isinstance(action, Settle):
            plain.apply(action)
            mirrored.apply(_mirror(action))
    for symbol in SYMBOLS:
        ours, theirs = plain.exchange.trades(symbol), mirrored.exchange.trades(symbol)
        assert [(MIRROR - t.price, t.size, t.buyer, t.seller) for t in ours] == [
            (t.price, t.size, t.seller, t.buyer) for t in theirs
        ]
    for ours_of, theirs_of in zip(plain.accounts(), mirrored.accounts(), strict=True):
        assert {s: p.size for s, p in ours_of.positions.items()} == {s: -p.size for s, p in theirs_of.positions.items()}
        assert [f.closed_pnl_usd for f in ours_of.fills] == [f.closed_pnl_usd for f in theirs_of.fills]


def _mirror(action: Action) -> Action:
    match action:
        case Submit(account_id, symbol, side, size, price, tif, is_reduce_only):
            return Submit(account_id, symbol, side.opposite, size, MIRROR - price, tif, is_reduce_only)
        case Move(symbol, index, bids, asks):
            return Move(symbol, MIRROR - index, _flip(asks), _flip(bids))
        case Flow(symbol, side, size, price):
            return Flow(symbol, side.opposite, size, MIRROR - price)
    return action


def _flip(levels: tuple[tuple[Decimal, Decimal], ...]) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((MIRROR - price, size) for price, size in levels)
