"""The exchange core under every simulated venue: matching, margin, funding and liquidation, exact and deterministic.

Everything here is in the venue's own contract units and under the venue's own market names, so that a connector's unit
conversion is really tested. No I/O, no wire format, no randomness: what happens follows from the calls and their order.

Liquidity has two sources. Accounts (the desk, agents) place real orders that rest in price-time order. The driver lays an
*ambient* ladder per market beside them: anonymous liquidity that is replaced as a whole at every tick. At equal price
the ambient size trades before account orders, so a resting order fills only after the queue ahead of it.
The ambient counterparty is an account of its own (AMBIENT): positions sum to zero per market, and so does funding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.markets import PriceGrid
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.positions import Position

AMBIENT = "ambient"
"""Account id of the anonymous counterparty. It has no margin limit and pays no fees."""

SizedLevel = tuple[Decimal, Decimal]
"""(price, size) in contract units."""


@dataclass(frozen=True, slots=True)
class ListedMarket:
    """One perpetual as this venue lists it, in contract units.

    Attributes:
        symbol: The venue's name, such as "kPEPE". index: The number orders carry. asset: Canonical name, for the drivers.
        multiplier: Units of the asset in one contract unit.
        default_leverage: What an account that never set one uses.
        is_reduce_only: Only closing is allowed. is_listed: False refuses every order.
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


FundingFormula = Callable[[Decimal], Decimal]
"""Mean premium of the interval (fraction of the index price) -> funding rate per hour (fraction, + longs pay)."""


@dataclass(frozen=True, slots=True)
class VenueRules:
    """How one venue differs from another below the wire.

    Attributes:
        fee_tiers: By name; `default_tier` is what a new account has.
        funding_formula: Premium to rate. funding_uses_index: Payments on the index (oracle) price, else on the mark.
        impact_notional_usd: Size of the impact bid and ask for premium samples.
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
        size: Original, contract units. filled: So far. filled_quote: Sum of size x price of its fills.
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
    """One account's money. `cash_usd` is collateral: deposits plus realised price profit, fees and funding."""

    account_id: str
    cash_usd: Decimal
    fee_tier: str
    positions: dict[str, Position] = field(default_factory=dict)
    leverage: dict[str, int] = field(default_factory=dict)
    orders: dict[int, SimOrder] = field(default_factory=dict)
    fills: list[SimFill] = field(default_factory=list)
    fundings: list[SimFunding] = field(default_factory=list)


class ExchangeListener(Protocol):
    """Told of everything that happens, in order, synchronously; wire servers turn it into frames."""

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


class Exchange:
    """One venue's markets and accounts.

    Deterministic: ids count up from fixed origins, time comes from `clock`, and listeners run in the order of events.
    """

    def __init__(self, venue: VenueName, markets: Sequence[ListedMarket], rules: VenueRules, clock: Clock) -> None:
        raise NotImplementedError

    # Accounts -------------------------------------------------------------------------------------------------------

    def open_account(self, account_id: str, cash_usd: Decimal, fee_tier: str | None = None) -> SimAccount:
        """Create an account; ValueError when it exists."""
        raise NotImplementedError

    def account(self, account_id: str) -> SimAccount | None:
        raise NotImplementedError

    def deposit(self, account_id: str, usd: Decimal) -> None:
        """Add (+) or take (-) collateral; KeyError for an unknown account."""
        raise NotImplementedError

    def equity_usd(self, account_id: str) -> Decimal:
        """Cash plus unrealised profit at mark."""
        raise NotImplementedError

    def initial_margin_usd(self, account_id: str) -> Decimal:
        """Margin held by positions and by resting orders that would add to them, at the account's leverage."""
        raise NotImplementedError

    def maintenance_margin_usd(self, account_id: str) -> Decimal:
        raise NotImplementedError

    def available_usd(self, account_id: str) -> Decimal:
        """What is left for new positions, never negative."""
        raise NotImplementedError

    def liquidation_price(self, account_id: str, symbol: str) -> Decimal | None:
        """Mark price of `symbol` at which the account would be liquidated, others unchanged; None when flat or never."""
        raise NotImplementedError

    def set_leverage(self, account_id: str, symbol: str, leverage: int) -> bool:
        """False when the market does not allow it or the margin no longer suffices."""
        raise NotImplementedError

    # Markets --------------------------------------------------------------------------------------------------------

    @property
    def venue(self) -> VenueName:
        raise NotImplementedError

    @property
    def rules(self) -> VenueRules:
        raise NotImplementedError

    @property
    def markets(self) -> dict[str, ListedMarket]:
        """By symbol, in listing order."""
        raise NotImplementedError

    def replace_market(self, market: ListedMarket) -> None:
        """Change how a market is listed (delist, reduce-only); its orders and positions stay."""
        raise NotImplementedError

    def book(
        self, symbol: str, depth: int | None = None
    ) -> tuple[list[tuple[Decimal, Decimal, int]], list[tuple[Decimal, Decimal, int]]]:
        """Bids and asks as (price, size, number of orders), best first, ambient and account orders together."""
        raise NotImplementedError

    def index_price(self, symbol: str) -> Decimal:
        """The oracle; KeyError before the driver set one."""
        raise NotImplementedError

    def mark_price(self, symbol: str) -> Decimal:
        raise NotImplementedError

    def last_price(self, symbol: str) -> Decimal | None:
        """Price of the last trade."""
        raise NotImplementedError

    def open_interest(self, symbol: str) -> Decimal:
        """Sum of long positions, contract units."""
        raise NotImplementedError

    def estimated_rate(self, symbol: str) -> Decimal:
        """Rate per hour the running interval would settle at, from the premium samples so far."""
        raise NotImplementedError

    def premium(self, symbol: str) -> Decimal:
        """Mean premium of the running interval so far."""
        raise NotImplementedError

    def impact_prices(self, symbol: str) -> tuple[Decimal, Decimal] | None:
        """(impact bid, impact ask) for the rules' impact notional; None while the book can not fill it."""
        raise NotImplementedError

    def settled_rates(self, symbol: str) -> list[SettledRate]:
        """Every settlement so far, oldest first."""
        raise NotImplementedError

    def trades(self, symbol: str) -> Sequence[SimTrade]:
        """The latest trades (a bounded number), oldest first."""
        raise NotImplementedError

    # Orders ---------------------------------------------------------------------------------------------------------

    def submit(self, new: NewOrder) -> SimOrder:
        """Check, match and rest an order. A refusal is an order with status REJECTED and a reason; nothing raises.

        Reduce-only orders are cut to the position when they arrive and whenever the position shrinks. Self-trades cancel
        the resting order. A client id that was ever used by the account is a DUPLICATE_CLIENT_ID.
        """
        raise NotImplementedError

    def cancel(self, account_id: str, order_id: int, reason: Reason = Reason.USER_CANCEL) -> bool:
        """Cancel a resting order; False when it is not resting or not this account's."""
        raise NotImplementedError

    def order_by_client_id(self, account_id: str, client_id: str) -> SimOrder | None:
        raise NotImplementedError

    def resting_orders(self, account_id: str, symbol: str | None = None) -> list[SimOrder]:
        """Oldest first."""
        raise NotImplementedError

    # What drivers do ------------------------------------------------------------------------------------------------

    def set_prices(
        self, symbol: str, index_price: Decimal, bids: Sequence[SizedLevel], asks: Sequence[SizedLevel]
    ) -> None:
        """Move the market: new index price and a whole new ambient ladder (best first, may be empty).

        Account orders that the new ladder crosses fill against it at their own limit price (they were the resting side).
        """
        raise NotImplementedError

    def take_ambient(self, symbol: str, side: Side, size: Decimal, limit_price: Decimal) -> Decimal:
        """Anonymous aggressive flow of `size`; returns what it filled. It consumes ambient levels and account orders."""
        raise NotImplementedError

    def sample_premium(self, symbol: str) -> None:
        """Add one premium sample of the current impact prices against the index."""
        raise NotImplementedError

    def override_rate(self, symbol: str, rate: Decimal) -> None:
        """From now on the estimate and the next settlement of `symbol` use `rate` per hour (recorded data), not samples."""
        raise NotImplementedError

    def settle_funding(self) -> None:
        """Charge every open position one hour's funding at the running estimate and start a new interval."""
        raise NotImplementedError

    def expire_orders(self) -> None:
        """Cancel resting orders whose time has passed."""
        raise NotImplementedError

    def liquidate(self) -> None:
        """Close accounts below maintenance through the book, then against AMBIENT at mark; cancels their orders first."""
        raise NotImplementedError

    # Listening ------------------------------------------------------------------------------------------------------

    def listen(self, listener: ExchangeListener) -> None:
        """Add a listener; there is no way to remove one, a venue lives as long as its exchange."""
        raise NotImplementedError
