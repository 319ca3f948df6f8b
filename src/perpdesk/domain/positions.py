"""Positions by average cost, exact, through flips."""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill


@dataclass(frozen=True, slots=True)
class Position:
    """A position built from fills.

    Attributes:
        size: Signed units of the asset, + long.
        cost_usd: Signed size x average entry; keeping the product instead of the quotient stays exact while adding.
        realised_usd: Price profit of closed parts, before fees and funding.
    """

    size: Decimal = ZERO
    cost_usd: Decimal = ZERO
    realised_usd: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal | None:
        """Average entry, None when flat."""
        return self.cost_usd / self.size if self.size else None

    def after(self, signed_size: Decimal, price: Decimal) -> "Position":
        """The position after buying (+) or selling (-) at `price`."""
        if self.size == 0 or (self.size > 0) == (signed_size > 0):
            return Position(self.size + signed_size, self.cost_usd + signed_size * price, self.realised_usd)
        if abs(signed_size) < abs(self.size):
            closed_cost = self.cost_usd * -signed_size / self.size
            realised = -signed_size * price - closed_cost
            return Position(self.size + signed_size, self.cost_usd - closed_cost, self.realised_usd + realised)
        left = self.size + signed_size
        return Position(left, left * price, self.realised_usd + self.size * price - self.cost_usd)

    def after_fill(self, fill: Fill) -> "Position":
        return self.after(fill.signed_size, fill.price)

    def unrealised_usd(self, mark_price: Decimal) -> Decimal:
        """Profit of the open part at `mark_price`."""
        return self.size * mark_price - self.cost_usd


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A position as a venue reports it.

    Attributes:
        size: Signed, + long. entry_price and mark_price are None where the venue does not say.
        unrealised_usd: As the venue values it, inside its reported equity.
    """

    asset: str
    size: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    unrealised_usd: Decimal


@dataclass(frozen=True, slots=True)
class AccountState:
    """What a venue says the account holds, at one moment.

    Attributes:
        equity_usd: Collateral plus unrealised profit.
        available_usd: What can still be used as initial margin.
        positions: Non-zero positions by asset.
    """

    equity_usd: Decimal
    available_usd: Decimal
    positions: dict[str, VenuePosition]
    at_ms: int

    @property
    def cash_usd(self) -> Decimal:
        """Equity less the unrealised profit in it: what fills, fees, funding and transfers have left."""
        return self.equity_usd - sum((p.unrealised_usd for p in self.positions.values()), ZERO)
