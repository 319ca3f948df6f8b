"""What the engine can do for a pair next. Decisions return these; only `execute.py` carries them out."""

from dataclasses import dataclass
from decimal import Decimal

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.books import Book, Side
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.pairs import Leg, OrderRecord, OrderState, PairState, Purpose


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Journal an order, then send it."""

    leg: Leg
    purpose: Purpose
    side: Side
    size: Decimal
    limit_price: Decimal
    decision_mid: Decimal
    time_in_force: TimeInForce
    is_reduce_only: bool


@dataclass(frozen=True, slots=True)
class SettleOrder:
    """Its outcome is unknown: close the door on it and ask what became of it."""

    leg: Leg
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class AskOrder:
    """It was accepted and has been silent too long, or its end has to be confirmed: ask for its state and its fills."""

    leg: Leg
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Take a resting order back."""

    leg: Leg
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class RefreshBook:
    """A leg must trade and its book is stale: read it by request."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class Become:
    """The pair enters its next state."""

    state: PairState
    reason: str | None = None


Step = PlaceOrder | SettleOrder | AskOrder | CancelOrder | RefreshBook | Become


@dataclass(frozen=True, slots=True)
class Situation:
    """All a decision may look at: one pair at one moment.

    Attributes:
        books: Fresh books only, None while stale. busy: Legs with a request of this process still under way.
        reported_at_ms: When each live order last got news, by client id.
    """

    ledger: Ledger
    now_ms: int
    settings: DeskSettings
    markets: dict[Leg, Market]
    books: dict[Leg, Book | None]
    busy: frozenset[Leg]
    reported_at_ms: dict[int, int]


def tend_live_order(s: Situation, leg: Leg) -> tuple[bool, Step | None]:
    """Whether `leg` is bound by an order that can still change, and what to do about that order now, if anything.

    This is also all there is to recovery: an order journalled by an earlier process has no request under way, so it
    counts as unknown and is settled like any lost answer.
    """
    if leg in s.busy:
        return True, None
    record = s.ledger.live_order(leg)
    if record is None:
        return False, None
    if record.state in (OrderState.JOURNALLED, OrderState.UNKNOWN):
        return True, SettleOrder(leg, record)
    heard_at_ms = s.reported_at_ms.get(record.intent.client_id, record.journalled_at_ms)
    execution = s.settings.execution
    patience_ms = execution.confirm_ms if record.state is OrderState.ENDED else execution.order_check_ms
    if s.now_ms - heard_at_ms >= patience_ms:
        return True, AskOrder(leg, record)
    return True, None


def is_pausing(s: Situation, leg: Leg, attempts: int) -> bool:
    """Whether the leg's next attempt has to wait after `attempts` earlier ones."""
    last_ms = s.ledger.last_order_at_ms(leg)
    if last_ms is None or attempts == 0:
        return False
    execution = s.settings.execution
    pause_ms = min(execution.retry_ms << min(attempts - 1, 10), execution.retry_ms_max)
    return s.now_ms - last_ms < pause_ms
