"""A scripted venue under a dry run: market data by hand, and proof that no order ever reaches it."""

from collections.abc import Mapping
from decimal import Decimal

from perpdesk.domain.assets import AssetKind, VenueName
from perpdesk.domain.books import Book, Level, Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment, FundingRate
from perpdesk.domain.markets import Market, PriceGrid
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport, TimeInForce
from perpdesk.domain.positions import AccountState
from perpdesk.venues.base import (
    BookChanged,
    BookLost,
    Filled,
    FundingChanged,
    FundingPaid,
    Listener,
    OrderChanged,
    RequestRefused,
    Venue,
    VenueCounters,
    VenueEvent,
)
from perpdesk.venues.paper import PaperSettings, PaperVenue

D = Decimal
VENUE = VenueName.LIGHTER
HOUR_MS = 3_600_000
NOW_MS = 500_000 * HOUR_MS + 60_000
"""A minute after a full hour."""
CASH = D(10_000)
FEES = FeeRates(maker=D("0.0001"), taker=D("0.0005"))
SETTINGS = PaperSettings(CASH, FEES)


def market(asset: str = "ETH", **changes: object) -> Market:
    """Tick 0.1, lot 0.01, at least 0.05 units and 10 USD, 10x leverage, 3 % maintenance."""
    fields: dict[str, object] = {
        "venue": VENUE,
        "asset": asset,
        "kind": AssetKind.CRYPTO,
        "venue_symbol": asset,
        "venue_index": 0,
        "multiplier": D(1),
        "price_grid": PriceGrid(D("0.1")),
        "lot": D("0.01"),
        "size_min": D("0.05"),
        "notional_min_usd": D(10),
        "leverage_max": D(10),
        "maintenance_margin": D("0.03"),
        **changes,
    }
    return Market(**fields)  # type: ignore[arg-type]


class InnerVenue:
    """Reads only: every private call is an error of the test's subject."""

    def __init__(self, *markets: Market, fees: FeeRates | None = None) -> None:
        self._markets = {m.asset: m for m in markets}
        self.fees = fees
        self.listener: Listener | None = None
        self.assets: frozenset[str] | None = None
        self.is_stopped = False
        self.books: dict[str, Book] = {}
        self._counters = VenueCounters(requests=5, book_updates=3)

    @property
    def name(self) -> VenueName:
        return VENUE

    @property
    def counters(self) -> VenueCounters:
        return self._counters

    @property
    def markets(self) -> Mapping[str, Market]:
        return self._markets

    async def start(self, listener: Listener, assets: frozenset[str] | None = None) -> None:
        self.listener, self.assets = listener, assets

    async def stop(self) -> None:
        self.is_stopped = True

    async def fetch_markets(self) -> Mapping[str, Market]:
        return self._markets

    async def fetch_funding(self) -> Mapping[str, FundingChanged]:
        return {}

    async def fetch_book(self, asset: str) -> Book:
        return self.books[asset]

    async def fetch_server_time_ms(self) -> int:
        return 42

    async def fetch_fees(self) -> FeeRates:
        if self.fees is None:
            raise RequestRefused("no_account", "set the fees of the dry run yourself")
        return self.fees

    async def fetch_account(self) -> AccountState:
        raise AssertionError("a dry run asked the venue for an account")

    async def fetch_order(self, asset: str, client_id: int) -> OrderReport | None:
        raise AssertionError("a dry run asked the venue for an order")

    async def fetch_open_orders(self) -> tuple[OrderReport, ...]:
        raise AssertionError("a dry run asked the venue for orders")

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        raise AssertionError("a dry run asked the venue for fills")

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        raise AssertionError("a dry run asked the venue for payments")

    async def place(self, order: OrderIntent) -> None:
        raise AssertionError("a dry run sent an order")

    async def cancel(self, asset: str, client_id: int) -> None:
        raise AssertionError("a dry run sent a cancel")

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        raise AssertionError("a dry run settled an order at the venue")


class PaperTable:
    """A dry run with its inner venue, clock and everything it told."""

    def __init__(self, *markets: Market, settings: PaperSettings = SETTINGS, fees: FeeRates | None = None) -> None:
        self.clock = ManualClock(NOW_MS)
        self.inner = InnerVenue(*(markets or (market(),)), fees=fees)
        self.paper = PaperVenue(self.inner, self.clock, settings)
        self.venue: Venue = self.paper
        self.events: list[VenueEvent] = []
        self._last_id = 0

    async def open(self) -> "PaperTable":
        await self.venue.start(self.events.append)
        return self

    def hear(self, event: VenueEvent) -> None:
        assert self.inner.listener is not None
        self.inner.listener(event)

    def book(self, bids: list[Level], asks: list[Level], asset: str = "ETH") -> Book:
        """The feed shows this book."""
        book = Book()
        book.replace(bids, asks, self.clock.wall_ms())
        self.hear(BookChanged(VENUE, asset, book))
        return book

    def lose(self, asset: str = "ETH") -> None:
        self.hear(BookLost(VENUE, asset, "gap"))

    def funding(self, per_hour: str, mark: float | None, asset: str = "ETH") -> None:
        """The feed shows this estimate and mark price."""
        rate = FundingRate(D(per_hour), self.clock.wall_ms())
        self.hear(FundingChanged(VENUE, asset, rate, mark, None))

    def intent(
        self,
        side: Side,
        size: str,
        price: str,
        time_in_force: TimeInForce = TimeInForce.IOC,
        *,
        asset: str = "ETH",
        reduces: bool = False,
        ttl_ms: int = 5_000,
        client_id: int | None = None,
    ) -> OrderIntent:
        self._last_id += 1
        number = self._last_id if client_id is None else client_id
        expires_at_ms = self.clock.wall_ms() + ttl_ms
        return OrderIntent(number, VENUE, asset, side, D(size), D(price), time_in_force, reduces, expires_at_ms)

    async def send(self, intent: OrderIntent) -> OrderReport:
        """Place an order and let its delay pass."""
        await self.venue.place(intent)
        self.clock.advance_ms(SETTINGS.order_delay_ms)
        return await self.report(intent)

    async def report(self, intent: OrderIntent) -> OrderReport:
        report = await self.venue.fetch_order(intent.asset, intent.client_id)
        assert report is not None
        return report

    @property
    def fills(self) -> list[Fill]:
        return [event.fill for event in self.events if isinstance(event, Filled)]

    @property
    def reports(self) -> list[OrderReport]:
        return [event.report for event in self.events if isinstance(event, OrderChanged)]

    @property
    def payments(self) -> list[FundingPayment]:
        return [event.payment for event in self.events if isinstance(event, FundingPaid)]
