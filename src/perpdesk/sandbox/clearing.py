"""Accounts and the money that trades and funding move between them, exact to the last digit.

Every trade has two sides and funding sums to zero, AMBIENT included. So the cash of all accounts less what their positions cost
changes by deposits and fees alone.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.positions import Position
from perpdesk.sandbox.announcer import Announcer
from perpdesk.sandbox.market_state import MarketState
from perpdesk.sandbox.records import (
    AMBIENT,
    AMBIENT_ORDER_ID,
    SettledRate,
    SimAccount,
    SimFill,
    SimFunding,
    SimOrder,
    SimTrade,
    VenueRules,
)

USD_STEP = Decimal("0.000001")
"""Fees and funding are rounded to this, half away from zero, so that a rebate rounds like a fee."""
COST_STEP = Decimal("1E-12")
"""What is left of a position's cost after a part of it was closed is rounded to this, and realised profit takes the difference:
a quotient with endless digits would otherwise lose money to rounding."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two sides that meet at a price; the order is None on the anonymous side.

    Attributes:
        has_fees: False where the venue itself takes over a position.
    """

    price: Decimal
    size: Decimal
    taker_side: Side
    taker: SimAccount
    maker: SimAccount
    taker_order: SimOrder | None = None
    maker_order: SimOrder | None = None
    is_liquidation: bool = False
    has_fees: bool = True


def round_usd(usd: Decimal) -> Decimal:
    """`usd` in whole millionths, half away from zero; never minus zero."""
    return usd.quantize(USD_STEP, ROUND_HALF_UP) + ZERO


def position_after(before: Position, signed_size: Decimal, price: Decimal) -> Position:
    """`Position.after` in which what is realised and what is left of the cost add up exactly."""
    after = before.after(signed_size, price)
    closes_a_part = ZERO < abs(after.size) < abs(before.size) and (after.size > 0) == (before.size > 0)
    cost = after.cost_usd.quantize(COST_STEP) if closes_a_part else after.cost_usd
    return Position(after.size, cost, before.realised_usd + cost - before.cost_usd - signed_size * price)


class Clearing:
    """Books trades and funding on accounts."""

    def __init__(self, rules: VenueRules, clock: Clock, told: Announcer) -> None:
        self._rules = rules
        self._clock = clock
        self._told = told
        self._trade_count = 0
        self._funding_count = 0
        self.fees_usd = ZERO
        self.ambient = SimAccount(AMBIENT, ZERO, "")
        self.accounts: dict[str, SimAccount] = {AMBIENT: self.ambient}

    def open_account(self, account_id: str, cash_usd: Decimal, fee_tier: str | None) -> SimAccount:
        """ValueError when the account exists or the venue has no such tier."""
        tier = self._rules.default_tier if fee_tier is None else fee_tier
        if account_id in self.accounts:
            raise ValueError(f"account {account_id!r} exists already")
        if tier not in self._rules.fee_tiers:
            raise ValueError(f"no fee tier {tier!r}; this venue has {', '.join(self._rules.fee_tiers)}")
        account = self.accounts[account_id] = SimAccount(account_id, cash_usd, tier)
        return account

    # Trades ---------------------------------------------------------------------------------------------------------

    def settle(self, market: MarketState, match: Match) -> None:
        """Record a trade, move both positions and tell of it. AMBIENT trading with itself moves nothing."""
        self._trade_count += 1
        trade = SimTrade(
            trade_id=self._trade_count,
            symbol=market.symbol,
            price=match.price,
            size=match.size,
            taker_side=match.taker_side,
            taker_account=match.taker.account_id,
            maker_account=match.maker.account_id,
            taker_order_id=_order_id(match.taker_order),
            maker_order_id=_order_id(match.maker_order),
            at_ms=self._clock.wall_ms(),
            is_liquidation=match.is_liquidation,
        )
        market.last_price = match.price
        market.trades.append(trade)
        fills = () if match.taker is match.maker else (self._book(trade, match, False), self._book(trade, match, True))
        self._told.trade(trade)
        for fill in fills:
            if fill is not None:
                self._told.fill(fill)

    def _book(self, trade: SimTrade, match: Match, is_maker: bool) -> SimFill | None:
        """One side of `trade`: position, profit and fee. AMBIENT pays no fee and keeps no fills."""
        account, order = (match.maker, match.maker_order) if is_maker else (match.taker, match.taker_order)
        side = match.taker_side.opposite if is_maker else match.taker_side
        before = account.positions.get(trade.symbol, Position())
        after = position_after(before, trade.size * side.sign, trade.price)
        closed_pnl = after.realised_usd - before.realised_usd
        account.positions[trade.symbol] = after
        account.cash_usd += closed_pnl
        if account is self.ambient:
            return None
        rate = self._fee_rate(account, is_maker) if match.has_fees else ZERO
        fee = round_usd(trade.price * trade.size * rate)
        account.cash_usd -= fee
        self.fees_usd += fee
        fill = SimFill(
            trade=trade,
            account_id=account.account_id,
            side=side,
            order_id=_order_id(order),
            client_id=None if order is None else order.client_id,
            is_maker=is_maker,
            size_before=before.size,
            closed_pnl_usd=closed_pnl,
            fee_usd=fee,
            fee_rate=rate,
        )
        account.fills.append(fill)
        account.fills_by_order.setdefault(fill.order_id, []).append(fill)
        return fill

    def _fee_rate(self, account: SimAccount, is_maker: bool) -> Decimal:
        rates = self._rules.fee_tiers[account.fee_tier]
        return rates.maker if is_maker else rates.taker

    # Funding --------------------------------------------------------------------------------------------------------

    def settle_funding(self, market: MarketState) -> None:
        """Charge every position of `market` one hour at the running estimate and start a new interval.

        AMBIENT gets the exact opposite of what all others got, so the rounding of payments ends there.
        """
        price = market.require_index() if self._rules.funding_uses_index else market.mark_price()
        settled = SettledRate(
            market.symbol, market.estimated_rate(), market.funding.premium, price, self._clock.wall_ms()
        )
        market.settled.append(settled)
        market.funding.restart()
        self._told.settled(settled)
        paid = ZERO
        for account in self.accounts.values():
            size = self._size(account, market.symbol)
            if account is not self.ambient and size:
                usd = round_usd(-size * price * settled.rate)
                paid += usd
                self._told.funding(self._pay(account, settled, usd, size))
        ambient_size = self._size(self.ambient, market.symbol)
        if paid or ambient_size:
            self._pay(self.ambient, settled, ZERO - paid, ambient_size)

    def _pay(self, account: SimAccount, settled: SettledRate, usd: Decimal, size: Decimal) -> SimFunding:
        self._funding_count += 1
        payment = SimFunding(
            funding_id=self._funding_count,
            account_id=account.account_id,
            symbol=settled.symbol,
            usd=usd,
            rate=settled.rate,
            price=settled.price,
            size=size,
            at_ms=settled.at_ms,
        )
        account.cash_usd += usd
        account.fundings.append(payment)
        return payment

    @staticmethod
    def _size(account: SimAccount, symbol: str) -> Decimal:
        position = account.positions.get(symbol)
        return ZERO if position is None else position.size


def _order_id(order: SimOrder | None) -> int:
    return AMBIENT_ORDER_ID if order is None else order.order_id
