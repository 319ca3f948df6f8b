"""A pair: long one venue, short another, in the same asset; and the orders that built and unwind it."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import OrderIntent


class Leg(StrEnum):
    """Which half of a pair."""

    LONG = "long"
    SHORT = "short"

    @property
    def opening_side(self) -> Side:
        return Side.BUY if self is Leg.LONG else Side.SELL

    @property
    def other(self) -> "Leg":
        return Leg.SHORT if self is Leg.LONG else Leg.LONG


class PairState(StrEnum):
    """Where a pair is in its life. OPENING and CLOSING end only when both legs agree or both are flat."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    ABANDONED = "abandoned"
    """Its venue is gone (an earlier sandbox); nothing can be done and nothing is owed."""

    @property
    def is_ended(self) -> bool:
        return self is PairState.CLOSED or self is PairState.ABANDONED


class EntryStyle(StrEnum):
    """How the first leg is bought or sold."""

    TAKER = "taker"
    MAKER = "maker"


class Purpose(StrEnum):
    """Why an order exists."""

    ENTRY = "entry"
    """First leg, opening."""
    HEDGE = "hedge"
    """Second leg, opening what the first leg filled."""
    TRIM = "trim"
    """Reduce-only: takes the larger leg back to the smaller one when the hedge can not be completed."""
    CLOSE = "close"
    """Reduce-only: ends the pair."""


class OrderState(StrEnum):
    """What the desk knows of an order of its own."""

    JOURNALLED = "journalled"
    """Written down; whether bytes left is not known after a crash, so it is treated as UNKNOWN then."""
    ACCEPTED = "accepted"
    """The venue took the submission."""
    UNKNOWN = "unknown"
    """No answer: frozen until settled."""
    ENDED = "ended"
    """The venue reports its end short of its size. Venues have reported cancels of orders that filled, so the leg stays
    bound until the fills have been read again a moment later."""
    FINAL = "final"
    """Filled, cancelled, refused or never taken: it can not change any more."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One delta-neutral trade.

    Attributes:
        pair_id: 1.. per store.
        first_leg: The leg that is entered first; the other hedges what it filled.
        size_target: Units of the asset per leg that were wanted.
        notional_usd: size_target x mid at the decision.
        edge_bps_per_hour: Net edge that was expected at the decision.
        exit_reason: Why it is closing or closed, None before.
        naked_ms: Time with unequal legs beyond tolerance. naked_ms_max: longest such stretch. naked_usd_ms: notional x time.
        size_closed: Units per leg that were opened and closed again; known at the end.
        price_usd, funding_usd, fees_usd, slippage_usd: Attribution, written when the pair ends, None before.
    """

    pair_id: int
    run_id: int
    asset: str
    long_venue: VenueName
    short_venue: VenueName
    first_leg: Leg
    entry_style: EntryStyle
    size_target: Decimal
    notional_usd: Decimal
    edge_bps_per_hour: float
    state: PairState
    decided_at_ms: int
    opened_at_ms: int | None = None
    closing_at_ms: int | None = None
    closed_at_ms: int | None = None
    exit_reason: str | None = None
    naked_ms: int = 0
    naked_ms_max: int = 0
    naked_usd_ms: Decimal = ZERO
    size_closed: Decimal | None = None
    price_usd: Decimal | None = None
    funding_usd: Decimal | None = None
    fees_usd: Decimal | None = None
    slippage_usd: Decimal | None = None

    def venue_of(self, leg: Leg) -> VenueName:
        return self.long_venue if leg is Leg.LONG else self.short_venue

    def leg_on(self, venue: VenueName) -> Leg:
        """Which leg a venue carries; ValueError for a venue that is not part of the pair."""
        if venue == self.long_venue:
            return Leg.LONG
        if venue == self.short_venue:
            return Leg.SHORT
        raise ValueError(f"{venue} carries no leg of pair {self.pair_id}")


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order in the journal.

    Attributes:
        decision_mid: Mid price of its market when it was decided: the yardstick of its slippage.
        filled_reported: What the venue last said had filled; fills are the truth, this only tells that some are missing.
        reason: The venue's word for a refusal or cancel, or ours for what never left.
        cancel_requested_at_ms: When we last asked for a cancel, None if never.
    """

    intent: OrderIntent
    pair_id: int
    leg: Leg
    purpose: Purpose
    decision_mid: Decimal
    journalled_at_ms: int
    state: OrderState = OrderState.JOURNALLED
    filled_reported: Decimal = ZERO
    reason: str = ""
    cancel_requested_at_ms: int | None = None
