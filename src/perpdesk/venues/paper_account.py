"""The account of a dry run: exact cash, positions by average cost, and the margin they need."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.markets import Market
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill, OrderIntent
from perpdesk.domain.positions import AccountState, Position, VenuePosition

MarkOf = Callable[[str], Decimal | None]
"""Mark price of an asset in USD, None while unknown."""

OpenOrder = tuple[OrderIntent, Decimal]
"""An order that can still fill, and how much of it is left."""


class PaperAccount:
    """What fills and funding left of the first cash.

    Cash moves only by sums of products, so equity is exact; only the split of a profit into realised and open needs a
    quotient, the average cost.

    Attributes:
        fills, payments: All of them, in the order they were booked.
    """

    def __init__(self, cash_usd: Decimal) -> None:
        self._flow_usd = cash_usd
        self._positions: dict[str, Position] = {}
        self._trade_ids: set[str] = set()
        self._payment_ids: set[str] = set()
        self.fills: list[Fill] = []
        self.payments: list[FundingPayment] = []

    # Booking ---------------------------------------------------------------------------------------------------------

    def book_fill(self, fill: Fill) -> bool:
        """Take one execution; False when its trade id is known."""
        if fill.trade_id in self._trade_ids:
            return False
        self._trade_ids.add(fill.trade_id)
        self.fills.append(fill)
        self._flow_usd += fill.cash_usd - fill.fee_usd
        self._positions[fill.asset] = self._positions.get(fill.asset, Position()).after_fill(fill)
        return True

    def book_payment(self, payment: FundingPayment) -> bool:
        """Take one funding payment; False when its id is known."""
        if payment.payment_id in self._payment_ids:
            return False
        self._payment_ids.add(payment.payment_id)
        self.payments.append(payment)
        self._flow_usd += payment.usd
        return True

    def restore(self, fills: Iterable[Fill], payments: Iterable[FundingPayment]) -> None:
        """Book what an earlier process had, oldest first."""
        for fill in sorted(fills, key=lambda fill: (fill.at_ms, fill.trade_id)):
            self.book_fill(fill)
        for payment in sorted(payments, key=lambda payment: (payment.at_ms, payment.payment_id)):
            self.book_payment(payment)

    # Positions -------------------------------------------------------------------------------------------------------

    @property
    def open_assets(self) -> tuple[str, ...]:
        """Assets with a position, sorted."""
        return tuple(sorted(asset for asset, position in self._positions.items() if position.size))

    def size(self, asset: str) -> Decimal:
        """Signed units, + long."""
        position = self._positions.get(asset)
        return ZERO if position is None else position.size

    def size_at(self, asset: str, at_ms: int) -> Decimal:
        """Signed units held at a recent moment: now, less what filled after it."""
        size = self.size(asset)
        for fill in reversed(self.fills):
            if fill.at_ms <= at_ms:
                break
            if fill.asset == asset:
                size -= fill.signed_size
        return size

    def closable(self, asset: str, side: Side) -> Decimal:
        """How much an order of `side` can take off the position."""
        return max(-self.size(asset) * side.sign, ZERO)

    def last_booked_ms(self, asset: str) -> int | None:
        """When the position last filled or paid, None when it never did."""
        filled = [fill.at_ms for fill in self.fills if fill.asset == asset]
        paid = [payment.at_ms for payment in self.payments if payment.asset == asset]
        return max((*filled, *paid), default=None)

    # Worth -----------------------------------------------------------------------------------------------------------

    def equity_usd(self, mark_of: MarkOf) -> Decimal:
        """Cash and open positions; one whose mark is unknown counts at its average entry, as if nothing had happened."""
        return self._flow_usd + sum((self._worth_usd(asset, mark_of(asset)) for asset in self.open_assets), ZERO)

    def _worth_usd(self, asset: str, mark: Decimal | None) -> Decimal:
        position = self._positions[asset]
        return position.cost_usd if mark is None else position.size * mark

    def maintenance_usd(self, mark_of: MarkOf, markets: Mapping[str, Market]) -> Decimal:
        """Equity below which the venue would liquidate."""
        return sum(
            (
                abs(self._worth_usd(asset, mark_of(asset))) * markets[asset].maintenance_margin
                for asset in self.open_assets
                if asset in markets
            ),
            ZERO,
        )

    def initial_usd(self, mark_of: MarkOf, markets: Mapping[str, Market], orders: Iterable[OpenOrder]) -> Decimal:
        """Margin of the positions, and of orders as far as they could add to them; the larger side of each market counts.

        A market without any known price counts at the average entry, else at the dearest limit of its orders.
        """
        buys, sells, limits = dict[str, Decimal](), dict[str, Decimal](), dict[str, Decimal]()
        for order, left in orders:
            if not order.is_reduce_only:
                sizes = buys if order.side is Side.BUY else sells
                sizes[order.asset] = sizes.get(order.asset, ZERO) + left
                limits[order.asset] = max(limits.get(order.asset, ZERO), order.limit_price)
        total = ZERO
        for asset in dict.fromkeys((*self.open_assets, *buys, *sells)):
            size, market = self.size(asset), markets.get(asset)
            if market is None:
                continue
            exposure = max(abs(size), size + buys.get(asset, ZERO), sells.get(asset, ZERO) - size)
            entry = self._positions[asset].entry_price if size else None
            price = mark_of(asset) or entry or limits.get(asset, ZERO)
            total += exposure * price / market.leverage_max
        return total

    def state(self, mark_of: MarkOf, initial_usd: Decimal, at_ms: int) -> AccountState:
        """The account as a venue would report it."""
        equity_usd = self.equity_usd(mark_of)
        positions = {asset: self._venue_position(asset, mark_of(asset)) for asset in self.open_assets}
        return AccountState(equity_usd, max(equity_usd - initial_usd, ZERO), positions, at_ms)

    def _venue_position(self, asset: str, mark: Decimal | None) -> VenuePosition:
        position = self._positions[asset]
        unrealised = ZERO if mark is None else position.unrealised_usd(mark)
        return VenuePosition(asset, position.size, position.entry_price, mark, unrealised)
