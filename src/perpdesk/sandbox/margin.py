"""Cross margin of one simulated account: what its positions and resting orders hold, and where it would be liquidated.

Every position and order counts at the market's mark price. `markets` is the venue's running state by symbol.
"""

from collections.abc import Mapping
from decimal import Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.market_state import MarketState
from perpdesk.sandbox.records import SimAccount, SimOrder

Markets = Mapping[str, MarketState]
OpenOrders = dict[str, list[Decimal]]
"""By symbol: [size to buy, size to sell] of resting orders that may add to a position."""


def equity_usd(account: SimAccount, markets: Markets) -> Decimal:
    """Cash plus unrealised profit at mark."""
    equity = account.cash_usd
    for symbol, position in account.positions.items():
        if position.size:
            equity += position.unrealised_usd(markets[symbol].mark_price())
    return equity


def maintenance_usd(account: SimAccount, markets: Markets) -> Decimal:
    """Equity below which the account is liquidated."""
    total = ZERO
    for symbol, position in account.positions.items():
        if position.size:
            market = markets[symbol]
            total += abs(position.size) * market.mark_price() * market.listing.maintenance_margin
    return total


def initial_usd(account: SimAccount, markets: Markets) -> Decimal:
    """Margin held by positions, and by resting orders as far as they could add to them."""
    open_orders = _open_orders(account)
    symbols = dict.fromkeys((*account.positions, *open_orders))
    return sum((_initial_of(account, markets[symbol], open_orders) for symbol in symbols), ZERO)


def would_suffice(account: SimAccount, markets: Markets, order: SimOrder) -> bool:
    """Whether the account can carry `order`, not yet resting, in full beside all it has; always true when it adds nothing."""
    if order.is_reduce_only:
        return True
    open_orders = _open_orders(account)
    market = markets[order.symbol]
    held = _initial_of(account, market, open_orders)
    _count(open_orders, order)
    wanted = _initial_of(account, market, open_orders)
    if wanted <= held:
        return True
    return initial_usd(account, markets) - held + wanted <= equity_usd(account, markets)


def leverage_of(account: SimAccount, market: MarketState) -> int:
    return account.leverage.get(market.symbol, market.listing.default_leverage)


def liquidation_price(account: SimAccount, markets: Markets, symbol: str) -> Decimal | None:
    """Mark at which equity meets maintenance if only `symbol` moves; None when flat, or where no positive price does it.

    From equity + size x (p - mark) = other maintenance + |size| x p x rate (hyperliquid.md section 12, lighter.md section 9).
    """
    position = account.positions.get(symbol)
    if position is None or not position.size:
        return None
    market = markets[symbol]
    mark, rate, size = market.mark_price(), market.listing.maintenance_margin, position.size
    equity = equity_usd(account, markets)
    others = maintenance_usd(account, markets) - abs(size) * mark * rate
    price = (size * mark - equity + others) / (size - abs(size) * rate)
    if price > 0:
        return price
    # A long below zero is never reached; a short below zero means that no price is low enough: it is due already.
    return None if size > 0 else mark


def _open_orders(account: SimAccount) -> OpenOrders:
    open_orders: OpenOrders = {}
    for order in account.resting.values():
        if not order.is_reduce_only:
            _count(open_orders, order)
    return open_orders


def _count(open_orders: OpenOrders, order: SimOrder) -> None:
    sizes = open_orders.setdefault(order.symbol, [ZERO, ZERO])
    sizes[0 if order.side is Side.BUY else 1] += order.remaining


def _initial_of(account: SimAccount, market: MarketState, open_orders: OpenOrders) -> Decimal:
    """The larger side counts: with every buy filled or every sell filled, or as the position stands."""
    position = account.positions.get(market.symbol)
    size = ZERO if position is None else position.size
    buys, sells = open_orders.get(market.symbol, (ZERO, ZERO))
    exposure = max(abs(size), size + buys, sells - size)
    return exposure * market.mark_price() / leverage_of(account, market) if exposure else ZERO
