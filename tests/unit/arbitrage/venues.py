"""Venues that do what a test tells them, and a desk over two of them that moves only when it is stepped."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport
from perpdesk.domain.positions import AccountState, VenuePosition
from perpdesk.venues.base import Listener, VenueCounters
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, book, market
from tests.unit.arbitrage.stores import Desktop

D = Decimal


class FakeVenue:
    """A venue whose account is set by hand and that notes what is asked of it.

    Attributes:
        fills, payments, positions: What it answers. reports: Its word on orders by client id, None for an unknown one.
        asked: (request, argument) of every request, in order.
        on_place, on_cancel, on_fetch_fills: Run inside that request; raise there to fail it.
        start_failures: Raised by the next starts, in order.
    """

    def __init__(self, name: VenueName) -> None:
        self.name = name
        self.counters = VenueCounters()
        self.markets = {"ETH": market(name)}
        self.fills: list[Fill] = []
        self.payments: list[FundingPayment] = []
        self.positions: dict[str, Decimal] = {}
        self.available_usd = D(1_000)
        self.reports: dict[int, OrderReport] = {}
        self.asked: list[tuple[str, object]] = []
        self.on_place: Callable[[OrderIntent], Awaitable[None]] | None = None
        self.on_cancel: Callable[[int], Awaitable[None]] | None = None
        self.on_fetch_fills: Callable[[], Awaitable[object]] | None = None
        self.start_failures: list[Exception] = []
        self.listener: Listener | None = None
        self.starts = 0
        self.stops = 0

    async def start(self, listener: Listener, assets: frozenset[str] | None = None) -> None:
        if self.start_failures:
            raise self.start_failures.pop(0)
        self.listener = listener
        self.starts += 1

    async def stop(self) -> None:
        self.stops += 1

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        self.asked.append(("fills", since_ms))
        found = tuple(fill for fill in self.fills if fill.at_ms >= since_ms)
        if self.on_fetch_fills is not None:
            await self.on_fetch_fills()
        return found

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        self.asked.append(("payments", since_ms))
        return tuple(payment for payment in self.payments if payment.at_ms >= since_ms)

    async def fetch_account(self) -> AccountState:
        self.asked.append(("account", None))
        held = {asset: VenuePosition(asset, size, None, None, D(0)) for asset, size in self.positions.items()}
        return AccountState(self.available_usd, self.available_usd, held, 0)

    async def fetch_fees(self) -> FeeRates:
        return FeeRates(D(0), D(0))

    async def fetch_book(self, asset: str) -> Book:
        self.asked.append(("book", asset))
        return book()

    async def place(self, order: OrderIntent) -> None:
        self.asked.append(("place", order))
        if self.on_place is not None:
            await self.on_place(order)

    async def cancel(self, asset: str, client_id: int) -> None:
        self.asked.append(("cancel", client_id))
        if self.on_cancel is not None:
            await self.on_cancel(client_id)

    async def fetch_order(self, asset: str, client_id: int) -> OrderReport | None:
        self.asked.append(("order", client_id))
        return self.reports.get(client_id)

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        self.asked.append(("settle", order.client_id))
        return self.reports.get(order.client_id)

    def count(self, request: str) -> int:
        """How often something was asked."""
        return sum(1 for name, _ in self.asked if name == request)


Venues = dict[VenueName, FakeVenue]


def two_venues() -> Venues:
    return {name: FakeVenue(name) for name in (LIGHTER, HYPERLIQUID)}


def unstarted(on: Desktop, settings: DeskSettings | None = None) -> tuple[Desk, Venues]:
    """A desk over the store of `on` that opens nothing by itself."""
    venues = two_venues()
    desk = Desk(venues, on.journal, on.clock, settings or DeskSettings(), run_id=1, salt=on.salt)  # type: ignore[arg-type]
    desk.accepts_entries = False
    return desk, venues


async def started(on: Desktop, settings: DeskSettings | None = None) -> tuple[Desk, Venues]:
    """The same, connected and loaded; nothing happens until it is stepped."""
    desk, venues = unstarted(on, settings)
    await desk.start()
    return desk, venues


async def let_run(turns: int = 20) -> None:
    """Let tasks that only wait for each other go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def live(desk: Desk, on: Desktop, steps: int, every_ms: int = 1_000) -> None:
    """Step the desk at intervals, letting what it started finish in between."""
    for _ in range(steps):
        on.clock.advance_ms(every_ms)
        await desk.step()
        await let_run()
