"""Orders and fills in our words. A submission is never a fill: only a `Fill` or an `OrderReport` moves quantities."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO

CLIENT_ID_MAX = (1 << 48) - 1
"""Highest client order id: the narrowest venue field (Lighter) holds 48 bits."""


class TimeInForce(StrEnum):
    """How long an order may rest."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class OrderStatus(StrEnum):
    """What a venue says of an order."""

    RESTING = "resting"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        return self is not OrderStatus.RESTING


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """An order as the desk means it, complete before a byte leaves.

    Attributes:
        client_id: Ours, 1 to CLIENT_ID_MAX, never used twice by an account.
        size: Units of the asset, positive, a multiple of the market's lot.
        limit_price: USD per unit, on the market's price grid: every order carries its band.
        expires_at_ms: Unix time after which the venue must refuse the order if it has not arrived by then.
    """

    client_id: int
    venue: VenueName
    asset: str
    side: Side
    size: Decimal
    limit_price: Decimal
    time_in_force: TimeInForce
    is_reduce_only: bool
    expires_at_ms: int

    def __post_init__(self) -> None:
        if not 0 < self.client_id <= CLIENT_ID_MAX:
            raise ValueError(f"client id {self.client_id} is outside 1..{CLIENT_ID_MAX}")
        if self.size <= 0 or self.limit_price <= 0:
            raise ValueError(f"order size and price must be positive, were {self.size} at {self.limit_price}")


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What a venue says of one order, found by its client id.

    Attributes:
        filled_size: Cumulative, units of the asset. A cancelled order may have filled in part or, on venues that race,
            in full: never read CANCELED as "nothing happened".
        average_price: None until something filled or where the venue does not say.
        reason: The venue's own word for a cancel or a rejection, empty otherwise.
    """

    client_id: int
    venue: VenueName
    asset: str
    status: OrderStatus
    filled_size: Decimal
    average_price: Decimal | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution on our account.

    Attributes:
        trade_id: The venue's id, unique per venue, asset and account side; what duplicates are found by.
        client_id: The order's, None when the venue does not say (liquidation, manual order).
        fee_usd: Positive is a cost, negative a rebate.
    """

    venue: VenueName
    asset: str
    trade_id: str
    client_id: int | None
    side: Side
    size: Decimal
    price: Decimal
    fee_usd: Decimal
    is_maker: bool
    at_ms: int

    @property
    def signed_size(self) -> Decimal:
        """Change of the position, + for a buy."""
        return self.size * self.side.sign

    @property
    def cash_usd(self) -> Decimal:
        """Cash effect before fees: a buy pays, a sell receives."""
        return -self.signed_size * self.price


def filled_size(fills: tuple[Fill, ...] | list[Fill]) -> Decimal:
    """Sum of absolute sizes."""
    return sum((fill.size for fill in fills), ZERO)
