"""Where the money of a trade came from: price + funding + fees + slippage, summing to the cash the venues moved."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.funding import FundingPayment, sum_payments_usd
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill


@dataclass(frozen=True, slots=True)
class PnlParts:
    """Profit in USD by source; costs are negative. The total is what the venues report, up to `residual`."""

    price_usd: Decimal = ZERO
    funding_usd: Decimal = ZERO
    fees_usd: Decimal = ZERO
    slippage_usd: Decimal = ZERO

    @property
    def total_usd(self) -> Decimal:
        return self.price_usd + self.funding_usd + self.fees_usd + self.slippage_usd

    def __add__(self, other: "PnlParts") -> "PnlParts":
        return PnlParts(
            self.price_usd + other.price_usd,
            self.funding_usd + other.funding_usd,
            self.fees_usd + other.fees_usd,
            self.slippage_usd + other.slippage_usd,
        )


@dataclass(frozen=True, slots=True)
class PricedFill:
    """A fill beside the mid price of its market when its order was decided: the yardstick of slippage."""

    fill: Fill
    decision_mid: Decimal

    @property
    def slippage_usd(self) -> Decimal:
        """Negative when the fill was worse than the decision's mid, positive when better."""
        return self.fill.signed_size * (self.decision_mid - self.fill.price)


def attribute(
    fills: Iterable[PricedFill], payments: Iterable[FundingPayment], marks: dict[tuple[str, str], Decimal]
) -> PnlParts:
    """Split the cash of a trade, flat or open, into its four sources.

    Args:
        fills: Every fill of the trade, on all venues.
        payments: Every funding payment booked to it.
        marks: Mark price per (venue, asset) that values what is still open; KeyError if one that is needed is missing.

    Price is the profit had every fill happened at its decision's mid; slippage is the rest of the trading cash, so the
    two always add to what the fills did.
    """
    price = slippage = fees = ZERO
    open_sizes: dict[tuple[str, str], Decimal] = {}
    for priced in fills:
        fill = priced.fill
        price -= fill.signed_size * priced.decision_mid
        slippage += priced.slippage_usd
        fees -= fill.fee_usd
        key = (fill.venue.value, fill.asset)
        open_sizes[key] = open_sizes.get(key, ZERO) + fill.signed_size
    for key, size in open_sizes.items():
        if size:
            price += size * marks[key]
    return PnlParts(price, sum_payments_usd(list(payments)), fees, slippage)
