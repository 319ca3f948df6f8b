"""The `Venue` port: what the desk may ask of a venue, what the venue tells it unasked, and what each failure lets us conclude."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment, FundingRate
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport
from perpdesk.domain.positions import AccountState


class VenueError(Exception):
    """Base of everything a venue call can raise, grouped by what we then know.

    * NotSent            nothing reached the venue
    * OrderRejected      the venue answered no (.code, .reason)
        * InsufficientMargin
        * PostOnlyWouldCross
    * RequestRefused     the venue answered no to something that is not an order (.code, .reason)
    * OutcomeUnknown     sent, unanswered: the order may be live (.client_id)
    * FeedStale          market data too old to act on (.age_ms)
    * FrameUnreadable    a message we cannot parse (.raw, capped)
    """


class NotSent(VenueError):
    """Nothing left this process, or the venue certainly did not act: safe to try again."""


class OrderRejected(VenueError):
    """The venue said no; nothing rests on its book and nothing filled."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}" if code else reason)
        self.code = code
        self.reason = reason


class InsufficientMargin(OrderRejected):
    """The account can not carry the order."""


class PostOnlyWouldCross(OrderRejected):
    """A post-only order would have taken."""


class RequestRefused(VenueError):
    """The venue refused a request that is not an order; repeating it unchanged will not help unless it is rate limited."""

    def __init__(self, code: str, reason: str, retry_after_ms: int | None = None) -> None:
        super().__init__(f"{code}: {reason}" if code else reason)
        self.code = code
        self.reason = reason
        self.retry_after_ms = retry_after_ms


class OutcomeUnknown(VenueError):
    """Sent and unanswered: the order may be live. Call `Venue.settle` before anything else touches that leg."""

    def __init__(self, client_id: int, cause: str) -> None:
        super().__init__(f"order {client_id}: outcome unknown ({cause})")
        self.client_id = client_id


class FeedStale(VenueError):
    """Market data too old to act on."""

    def __init__(self, what: str, age_ms: int) -> None:
        super().__init__(f"{what} is stale by {age_ms} ms")
        self.age_ms = age_ms


RAW_SHOWN_MAX = 500
"""Bytes of an unreadable message kept in errors and logs."""


class FrameUnreadable(VenueError):
    """A message we can not parse. It moves nothing; the caller counts it and goes on."""

    def __init__(self, what: str, raw: bytes) -> None:
        self.raw = raw[:RAW_SHOWN_MAX]
        super().__init__(f"unreadable {what}: {self.raw!r}")


@dataclass(frozen=True, slots=True)
class BookChanged:
    """The book of one market changed; `book` is the feed's own object, valid until the next event of that market."""

    venue: VenueName
    asset: str
    book: Book


@dataclass(frozen=True, slots=True)
class BookLost:
    """The book can no longer be trusted (gap, crossed, socket cut); it is stale until the next BookChanged."""

    venue: VenueName
    asset: str
    reason: str


@dataclass(frozen=True, slots=True)
class FundingChanged:
    """The venue's running estimate of the rate of the coming settlement, and the prices beside it.

    Attributes:
        mark_price, index_price: USD per unit of the asset, None where the message lacks them.
    """

    venue: VenueName
    asset: str
    rate: FundingRate
    mark_price: float | None
    index_price: float | None


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """The venue reports the state of one of our orders."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class Filled:
    """One of our orders executed. May repeat after a reconnect: the receiver drops known trade ids."""

    fill: Fill


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """The venue booked funding on our account. May repeat: the receiver drops known payment ids."""

    payment: FundingPayment


@dataclass(frozen=True, slots=True)
class PrivateFeedLost:
    """Our own events may have been missed since now; the engine asks for fills and orders until it is restored."""

    venue: VenueName
    reason: str


@dataclass(frozen=True, slots=True)
class PrivateFeedRestored:
    """The private stream is subscribed again; what happened in between has to be asked for."""

    venue: VenueName


VenueEvent = (
    BookChanged
    | BookLost
    | FundingChanged
    | OrderChanged
    | Filled
    | FundingPaid
    | PrivateFeedLost
    | PrivateFeedRestored
)

Listener = Callable[[VenueEvent], None]
"""Called synchronously on the event loop for each event, in arrival order. It must not block and must not raise."""


@dataclass(slots=True)
class VenueCounters:
    """What a connector did since it started; shown in summaries and on the page."""

    book_updates: int = 0
    requests: int = 0
    errors: int = 0
    frames: int = 0
    frames_unreadable: int = 0
    resyncs: int = 0
    reconnects: int = 0


class Venue(Protocol):
    """One perpetual-futures venue, live or simulated, in our vocabulary.

    Prices are USD per unit of the asset and sizes count units of the asset: contract multipliers end inside the adapter.
    Requests other than `place`, `cancel` and `settle` raise NotSent, RequestRefused or FrameUnreadable and are safe to repeat.
    """

    @property
    def name(self) -> VenueName: ...

    @property
    def counters(self) -> VenueCounters: ...

    @property
    def markets(self) -> Mapping[str, Market]:
        """Markets by asset, as of the last `fetch_markets`; empty before `start`."""

    async def start(self, listener: Listener, assets: frozenset[str] | None = None) -> None:
        """Fetch the markets, open the sockets and subscribe books, funding and our own events.

        Args:
            listener: Receives every event from now on.
            assets: Which assets' books to follow; None means every tradable one.
        """

    async def stop(self) -> None:
        """Close sockets and tasks; idempotent. Orders stay as they are on the venue."""

    async def fetch_markets(self) -> Mapping[str, Market]:
        """Read what is listed and refresh `markets`."""

    async def fetch_funding(self) -> Mapping[str, FundingChanged]:
        """Current funding estimate and prices of every market, by asset."""

    async def fetch_book(self, asset: str) -> Book:
        """A fresh book by request, independent of the feed."""

    async def fetch_account(self) -> AccountState:
        """Equity, free margin and positions."""

    async def fetch_fees(self) -> FeeRates:
        """What this account pays; RequestRefused when the venue does not say."""

    async def fetch_order(self, asset: str, client_id: int) -> OrderReport | None:
        """State of one order; None when the venue does not know it (now: it may still be on its way, see `settle`)."""

    async def fetch_open_orders(self) -> tuple[OrderReport, ...]:
        """Every resting order that carries a client id of ours."""

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        """Our executions at or after `since_ms`, oldest first, complete (pages are followed)."""

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        """Funding booked at or after `since_ms`, oldest first, complete."""

    async def fetch_server_time_ms(self) -> int:
        """The venue's clock, Unix milliseconds."""

    async def place(self, order: OrderIntent) -> None:
        """Submit one order. Returning means the venue accepted the submission, never that anything filled.

        What became of it arrives as OrderChanged and Filled events, or by `fetch_order`.

        Raises:
            NotSent: Nothing left this process; safe to try again.
            RequestRefused: This connector can not trade (it has no key); nothing left.
            OrderRejected: The venue said no; nothing rests on its book.
            OutcomeUnknown: The order may be live; call `settle` before acting.
        """

    async def cancel(self, asset: str, client_id: int) -> None:
        """Ask for a cancel. Returning means the request was accepted; the order may still fill until it is reported final.

        Raises:
            NotSent: Nothing left this process.
            RequestRefused: The venue does not have it resting (unknown, filled or cancelled already): ask `fetch_order`.
            OutcomeUnknown: The cancel may or may not have been taken.
        """

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        """Make sure that an order whose answer was lost can not take effect any more, then say what became of it.

        The adapter first closes the door on a request still in flight (by spending its nonce, or by waiting until
        `order.expires_at_ms` has passed on the venue's clock) and then asks by client id. Works for orders of an
        earlier process too.

        Returns:
            The order's report, or None: the venue never took it and never will.

        Raises:
            NotSent, RequestRefused, FrameUnreadable: not settled; try again later, the leg stays frozen.
        """
