"""What listeners are told, in which order and how often."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import Exchange, NewOrder, SettledRate, SimFill, SimFunding, SimOrder, SimTrade
from perpdesk.sandbox.rules import hyperliquid_market, hyperliquid_rules

D = Decimal


class Diary:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def on_book(self, symbol: str) -> None:
        self.entries.append(f"book {symbol}")

    def on_trade(self, trade: SimTrade) -> None:
        self.entries.append(f"trade {trade.size}")

    def on_fill(self, fill: SimFill) -> None:
        self.entries.append(f"fill {fill.account_id} {'maker' if fill.is_maker else 'taker'}")

    def on_order(self, order: SimOrder) -> None:
        self.entries.append(f"order {order.account_id} {order.status} {order.filled}/{order.size}")

    def on_funding(self, funding: SimFunding) -> None:
        self.entries.append(f"funding {funding.account_id}")

    def on_settled(self, settled: SettledRate) -> None:
        self.entries.append(f"settled {settled.symbol}")

    def on_prices(self, symbol: str) -> None:
        self.entries.append(f"prices {symbol}")


class Meddler(Diary):
    """Places an order as soon as it hears of a trade."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def on_trade(self, trade: SimTrade) -> None:
        self._exchange.submit(_order("bob", Side.BUY, "1", "99"))


def _order(account_id: str, side: Side, size: str, price: str, tif: TimeInForce = TimeInForce.GTC) -> NewOrder:
    return NewOrder(account_id, "SOL", side, D(size), D(price), tif)


@pytest.fixture
def exchange() -> Exchange:
    venue = Exchange(
        VenueName.HYPERLIQUID, [hyperliquid_market("SOL", 5, "SOL", 2, 20)], hyperliquid_rules(), ManualClock(0)
    )
    venue.open_account("ann", D(10_000))
    venue.open_account("bob", D(10_000))
    venue.set_prices("SOL", D(100), [(D("99.9"), D(5))], [(D("100.1"), D(5))])
    return venue


@pytest.fixture
def diary(exchange: Exchange) -> Diary:
    diary = Diary()
    exchange.listen(diary)
    return diary


def test_a_match_tells_trade_fills_maker_and_taker_then_the_book_once(exchange: Exchange, diary: Diary) -> None:
    exchange.submit(_order("ann", Side.SELL, "2", "100"))
    exchange.submit(_order("ann", Side.SELL, "2", "100.1"))
    diary.entries.clear()
    exchange.submit(_order("bob", Side.BUY, "3", "100.1", TimeInForce.IOC))
    assert [entry for entry in diary.entries if not entry.startswith("prices")] == [
        "trade 2",
        "fill bob taker",
        "fill ann maker",
        "order ann filled 2/2",
        "trade 1",
        "fill bob taker",
        "order bob filled 3/3",
        "book SOL",
    ]


def test_a_refused_order_is_told_and_leaves_the_book_alone(exchange: Exchange, diary: Diary) -> None:
    exchange.submit(_order("ann", Side.SELL, "0.001", "100"))
    assert diary.entries == ["order ann rejected 0/0.001"]


def test_new_prices_are_told_once_each(exchange: Exchange, diary: Diary) -> None:
    exchange.set_prices("SOL", D(101), [], [])
    assert diary.entries == ["prices SOL", "book SOL"]


def test_a_changed_mark_is_told_with_the_book_that_changed_it(exchange: Exchange, diary: Diary) -> None:
    exchange.submit(_order("ann", Side.BUY, "1", "50"))
    diary.entries.clear()
    exchange.take_ambient("SOL", Side.SELL, D(5), D("99.9"))
    assert diary.entries == ["trade 5", "prices SOL", "book SOL"]


def test_settlement_tells_the_rate_then_each_payment(exchange: Exchange, diary: Diary) -> None:
    exchange.submit(_order("ann", Side.BUY, "2", "100.1"))
    diary.entries.clear()
    exchange.settle_funding()
    assert diary.entries == ["settled SOL", "funding ann", "prices SOL"]


def test_a_listener_may_not_trade_in_the_middle_of_a_match(exchange: Exchange) -> None:
    exchange.listen(Meddler(exchange))
    with pytest.raises(RuntimeError, match="schedule"):
        exchange.submit(_order("ann", Side.BUY, "2", "100.1"))


def test_whoever_hears_of_a_fill_sees_it_on_the_account(exchange: Exchange) -> None:
    seen: list[tuple[Decimal, int]] = []

    class Reader(Diary):
        def on_fill(self, fill: SimFill) -> None:
            account = exchange.account(fill.account_id)
            assert account is not None
            seen.append((account.positions["SOL"].size, len(exchange.book("SOL")[1])))

    exchange.listen(Reader())
    exchange.submit(_order("ann", Side.BUY, "5", "100.1"))
    assert seen == [(D(5), 0)]
