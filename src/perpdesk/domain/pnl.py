"""Where the money of a trade came from: price + funding + fees + slippage, summing to the cash the venues moved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.funding import FundingPayment
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


class Attribution:
    """Running sums of a trade's cash by source, so that asking costs the same however many fills there were.

    Price is the profit had every fill happened at its decision's mid; slippage is the rest of the trading cash, so the two
    always add to what the fills did.

    Attributes:
        cash_usd: What all of it moved in and out so far: the profit without what is still open.
    """

    __slots__ = ("_fees", "_funding", "_open_sizes", "_paid_at_mids", "_slippage", "cash_usd")

    def __init__(self) -> None:
        self.cash_usd = ZERO
        self._paid_at_mids = ZERO
        self._slippage = ZERO
        self._fees = ZERO
        self._funding = ZERO
        self._open_sizes: dict[tuple[str, str], Decimal] = {}

    def add_fill(self, priced: PricedFill) -> None:
        """Take one more fill of the trade."""
        fill, size = priced.fill, priced.fill.signed_size
        self.cash_usd += fill.cash_usd - fill.fee_usd
        self._paid_at_mids += size * priced.decision_mid
        self._slippage += priced.slippage_usd
        self._fees -= fill.fee_usd
        key = (fill.venue.value, fill.asset)
        self._open_sizes[key] = self._open_sizes.get(key, ZERO) + size

    def add_payment(self, payment: FundingPayment) -> None:
        """Take one more funding payment booked to the trade."""
        self.cash_usd += payment.usd
        self._funding += payment.usd

    def parts(self, marks: Mapping[tuple[str, str], Decimal]) -> PnlParts:
        """The sums with what is still open valued at `marks`, by (venue, asset); KeyError if one that is needed is missing."""
        price = -self._paid_at_mids
        for key, size in self._open_sizes.items():
            if size:
                price += size * marks[key]
        return PnlParts(price, self._funding, self._fees, self._slippage)


def attribute(
    fills: Iterable[PricedFill], payments: Iterable[FundingPayment], marks: Mapping[tuple[str, str], Decimal]
) -> PnlParts:
    """Split the cash of a trade, flat or open, into its four sources; see `Attribution`.

    Args:
        fills: Every fill of the trade, on all venues.
        payments: Every funding payment booked to it.
        marks: Mark price per (venue, asset) that values what is still open; KeyError if one that is needed is missing.
    """
    sums = Attribution()
    for priced in fills:
        sums.add_fill(priced)
    for payment in payments:
        sums.add_payment(payment)
    return sums.parts(marks)
