"""What a simulated venue keeps and tells: listings, rules, orders, trades, fills, funding, accounts, and who is told of them.

All numbers are in the venue's own contract units. The exchange alone changes these objects; everyone else reads them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from perpdesk.domain.books import Side
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.markets import PriceGrid
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.positions import Position

AMBIENT = "ambient"
"""Account id of the anonymous counterparty. It has no margin limit and pays no fees."""

AMBIENT_ORDER_ID = 0
"""Order id that trades carry on the anonymous side: ambient liquidity has no orders."""

SizedLevel = tuple[Decimal, Decimal]
"""(price, size) in contract units."""


@dataclass(frozen=True, slots=True)
class ListedMarket:
    """One perpetual as this venue lists it, in contract units.

    Attributes:
        symbol: The venue's name, such as "kPEPE". index: The number orders carry. asset: Canonical name, for the drivers.
        multiplier: Units of the asset in one contract unit.
        default_leverage: What an account that never set one uses.
        maintenance_margin: Fraction of notional below which an account is liquidated.
        is_reduce_only: Only closing is allowed. is_listed: False refuses every order.
        impact_notional_usd: Size of the impact prices of this market, None where the venue's rules say it.
    """

    symbol: str
    index: int
    asset: str
    multiplier: Decimal
    price_grid: PriceGrid
    lot: Decimal
    size_min: Decimal
    notional_min_usd: Decimal
    leverage_max: int
    default_leverage: int
    maintenance_margin: Decimal
    is_reduce_only: bool = False
    is_listed: bool = True
    impact_notional_usd: Decimal | None = None


FundingFormula = Callable[[Decimal], Decimal]
"""Mean premium of the interval (fraction of the index price) -> funding rate per hour (fraction, + longs pay)."""


@dataclass(frozen=True, slots=True)
class VenueRules:
    """How one venue differs from another below the wire.

    Attributes:
        fee_tiers: By name; `default_tier` is what a new account has.
        funding_formula: Premium to rate. funding_uses_index: Payments on the index (oracle) price, else on the mark.
        impact_notional_usd: Size of the impact bid and ask for premium samples, unless the market has its own.
        min_applies_to_reduce_only: Whether minimum size and notional bind reduce-only orders that do not close everything.
    """

    fee_tiers: dict[str, FeeRates]
    default_tier: str
    funding_formula: FundingFormula
    funding_uses_index: bool
    impact_notional_usd: Decimal
    min_applies_to_reduce_only: bool = True


class SimStatus(StrEnum):
    """State of a simulated order."""

    RESTING = "resting"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why an order was refused or ended unfilled; each wire server words it as its venue does."""

    NONE = ""
    TICK = "tick"
    LOT = "lot"
    SIZE_MIN = "size_min"
    NOTIONAL_MIN = "notional_min"
    MARGIN = "margin"
    REDUCE_ONLY = "reduce_only"
    POST_ONLY_CROSS = "post_only_cross"
    IOC_NO_MATCH = "ioc_no_match"
    FOK_NOT_FILLED = "fok_not_filled"
    SELF_TRADE = "self_trade"
    MARKET_CLOSED = "market_closed"
    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    USER_CANCEL = "user_cancel"
    LIQUIDATION = "liquidation"
    EXPIRED = "expired"


@dataclass(slots=True)
class SimOrder:
    """One order of an account, live or ended. The exchange owns and changes it; everyone else only reads.

    Attributes:
        order_id: The exchange's number, increasing over the venue. client_id: The client's token as the wire gave it.
        size: Contract units; a reduce-only order's shrinks with the position it may close. filled: So far, never above size.
        filled_quote: Sum of size x price of its fills.
    """

    order_id: int
    account_id: str
    symbol: str
    side: Side
    size: Decimal
    limit_price: Decimal
    time_in_force: TimeInForce
    is_reduce_only: bool
    client_id: str | None
    placed_at_ms: int
    expires_at_ms: int | None = None
    status: SimStatus = SimStatus.RESTING
    reason: Reason = Reason.NONE
    filled: Decimal = ZERO
    filled_quote: Decimal = ZERO
    changed_at_ms: int = 0

    @property
    def remaining(self) -> Decimal:
        return self.size - self.filled


@dataclass(frozen=True, slots=True)
class SimTrade:
    """One match between an aggressor and a resting side."""

    trade_id: int
    symbol: str
    price: Decimal
    size: Decimal
    taker_side: Side
    taker_account: str
    maker_account: str
    taker_order_id: int
    maker_order_id: int
    at_ms: int
    is_liquidation: bool = False

    @property
    def buyer(self) -> str:
        return self.taker_account if self.taker_side is Side.BUY else self.maker_account

    @property
    def seller(self) -> str:
        return self.maker_account if self.taker_side is Side.BUY else self.taker_account


@dataclass(frozen=True, slots=True)
class SimFill:
    """One account's side of a trade.

    Attributes:
        size_before: Signed position before it. closed_pnl_usd: Realised by average cost, before fees.
        fee_usd: Positive cost; fee_rate: the fraction it was computed with.
    """

    trade: SimTrade
    account_id: str
    side: Side
    order_id: int
    client_id: str | None
    is_maker: bool
    size_before: Decimal
    closed_pnl_usd: Decimal
    fee_usd: Decimal
    fee_rate: Decimal


@dataclass(frozen=True, slots=True)
class SimFunding:
    """Funding booked on one account.

    Attributes:
        usd: Cash effect, + received. rate: Per hour. price: The price it was computed on. size: Signed position.
    """

    funding_id: int
    account_id: str
    symbol: str
    usd: Decimal
    rate: Decimal
    price: Decimal
    size: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class SettledRate:
    """One interval's funding of a market: mean premium and the rate that was charged, per hour."""

    symbol: str
    rate: Decimal
    premium: Decimal
    price: Decimal
    at_ms: int


@dataclass(slots=True)
class SimAccount:
    """One account's money. `cash_usd` is collateral: deposits plus realised price profit, fees and funding.

    Attributes:
        positions: By symbol; a closed one stays with size zero. leverage: By symbol, where the account ever set one.
        orders: Every order by order id, ended and refused ones included. resting: Those still on a book, oldest first.
        by_client_id: The first order of each client id, refused or not. fills_by_order: `fills` by order id.
    """

    account_id: str
    cash_usd: Decimal
    fee_tier: str
    positions: dict[str, Position] = field(default_factory=dict)
    leverage: dict[str, int] = field(default_factory=dict)
    orders: dict[int, SimOrder] = field(default_factory=dict)
    fills: list[SimFill] = field(default_factory=list)
    fundings: list[SimFunding] = field(default_factory=list)
    resting: dict[int, SimOrder] = field(default_factory=dict)
    by_client_id: dict[str, SimOrder] = field(default_factory=dict)
    fills_by_order: dict[int, list[SimFill]] = field(default_factory=dict)


class ExchangeListener(Protocol):
    """Told of everything that happens, in order, synchronously; wire servers turn it into frames.

    Trades, fills and orders are told while the exchange is still matching: reading is fine then, acting on the exchange raises
    RuntimeError. `on_book` and `on_prices` come at the end of the call, where acting is fine too. Nothing is told of AMBIENT's
    side of a trade or of its funding.
    """

    def on_book(self, symbol: str) -> None:
        """The visible book changed (at most once per call into the exchange)."""

    def on_trade(self, trade: SimTrade) -> None: ...

    def on_fill(self, fill: SimFill) -> None: ...

    def on_order(self, order: SimOrder) -> None:
        """An account's order was placed, filled in part, filled, cancelled or refused."""

    def on_funding(self, funding: SimFunding) -> None: ...

    def on_settled(self, settled: SettledRate) -> None: ...

    def on_prices(self, symbol: str) -> None:
        """Index or mark price, or the running funding estimate, changed."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as a wire server hands it over, in contract units; not yet checked."""

    account_id: str
    symbol: str
    side: Side
    size: Decimal
    limit_price: Decimal
    time_in_force: TimeInForce
    is_reduce_only: bool = False
    client_id: str | None = None
    expires_at_ms: int | None = None
