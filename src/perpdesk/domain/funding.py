"""Funding in one convention: fraction of notional that longs pay shorts each hour, negative when shorts pay.

Six conventions are in use (shared reference `data/README.md`, units table); each has one constructor here, so that no other
place ever divides by 8 or by 100.
"""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.assets import VenueName
from perpdesk.domain.numbers import ZERO

HOURS_PER_YEAR = 8760


@dataclass(frozen=True, slots=True)
class FundingRate:
    """Funding a venue published for one perpetual, restated per hour.

    Attributes:
        per_hour: Fraction of notional longs pay shorts each hour, negative when shorts pay.
            Decimal("0.0001") is 1 bps per hour.
        observed_at_ms: Venue's own timestamp, Unix milliseconds.
    """

    per_hour: Decimal
    observed_at_ms: int

    @classmethod
    def from_interval(cls, rate: Decimal, hours: int, observed_at_ms: int) -> "FundingRate":
        """Spread a fraction quoted for `hours` over them; ValueError unless `hours` is positive.

        Hyperliquid and Extended quote 1 h; Hyperliquid before 2023-06-08, Lighter's `/funding-rates`, Binance, Bybit, OKX and
        the Extended rows of scaled snapshots quote 8 h; some Binance markets quote 4 h.
        """
        if hours <= 0:
            raise ValueError(f"funding interval must be positive, was {hours} h")
        return cls(rate / hours, observed_at_ms)

    @classmethod
    def from_percent(cls, percent: Decimal, hours: int, observed_at_ms: int) -> "FundingRate":
        """A percentage of notional for `hours` (Lighter's `market_stats` and `/fundings`: percent per 1 h)."""
        return cls.from_interval(percent / 100, hours, observed_at_ms)

    @classmethod
    def from_bps(cls, bps: Decimal, hours: int, observed_at_ms: int) -> "FundingRate":
        """Basis points for `hours` (Loris publishes bps per 8 h for every venue)."""
        return cls.from_interval(bps / 10_000, hours, observed_at_ms)

    @classmethod
    def from_direction(cls, percent: Decimal, longs_pay: bool, observed_at_ms: int) -> "FundingRate":
        """Lighter's settled history: an unsigned percent per hour and who paid."""
        return cls.from_percent(abs(percent) if longs_pay else -abs(percent), 1, observed_at_ms)

    @property
    def per_year(self) -> Decimal:
        """Simple, not compounded."""
        return self.per_hour * HOURS_PER_YEAR


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """Funding booked on our account by a venue.

    Attributes:
        payment_id: The venue's id or, where it has none, asset and hour; what duplicates are found by.
        usd: Cash effect, + received, - paid.
        size: Signed position it was computed on, None where the venue does not say.
    """

    venue: VenueName
    asset: str
    payment_id: str
    usd: Decimal
    size: Decimal | None
    at_ms: int


def expected_payment_usd(signed_size: Decimal, price: Decimal, rate: FundingRate) -> Decimal:
    """What one hour pays a position: minus size x price x rate, so a long pays at a positive rate."""
    return -signed_size * price * rate.per_hour


def carry_per_hour(long_rate: FundingRate, short_rate: FundingRate) -> Decimal:
    """Fraction of one leg's notional that being long here and short there earns each hour."""
    return short_rate.per_hour - long_rate.per_hour


def sum_payments_usd(payments: tuple[FundingPayment, ...] | list[FundingPayment]) -> Decimal:
    """Net cash of `payments`, + received."""
    return sum((payment.usd for payment in payments), ZERO)
