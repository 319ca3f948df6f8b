"""Keeps the desk's books equal to the venues': missed fills and funding are asked for, positions are compared.

The same calls serve a reconnect, a lost answer and a restart; there is no other way in.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill
from perpdesk.domain.positions import AccountState
from perpdesk.venues.base import Venue

log = structlog.get_logger(__name__)

OVERLAP_MS = 120_000
"""How far before the last successful look the next one reaches: late fills and slow read replicas stay inside it."""


@dataclass(slots=True)
class VenueBooks:
    """What the desk has read from one venue's account.

    Attributes:
        account_at_ms: Wall time of the last balance read, by our clock. drifts: Reads in a row that showed positions no fill
            explains. needs_fills: The private stream may have missed something.
    """

    account: AccountState | None = None
    fees: FeeRates | None = None
    fills_until_ms: int | None = None
    payments_until_ms: int | None = None
    needs_fills: bool = True
    account_at_ms: int = 0
    drifts: int = 0


class Reconciler:
    """Reads fills, funding, balances and fees from the venues and hands the news on.

    Args:
        since_ms: Tells how far back a venue's history matters: the decision time of its oldest open pair, None without one.
        take_fills, take_payments: Receive everything that was read, known or new.
    """

    def __init__(
        self,
        venues: Mapping[VenueName, Venue],
        clock: Clock,
        since_ms: Callable[[VenueName], int | None],
        take_fills: Callable[[tuple[Fill, ...]], Awaitable[None]],
        take_payments: Callable[[tuple[FundingPayment, ...]], Awaitable[None]],
    ) -> None:
        self._venues = venues
        self._clock = clock
        self._since_ms = since_ms
        self._take_fills = take_fills
        self._take_payments = take_payments
        self.books: dict[VenueName, VenueBooks] = {venue: VenueBooks() for venue in venues}

    async def sync_fills(self, venue: VenueName) -> None:
        """Read every fill that may be missing. Raises VenueError; the venue then still needs it."""
        books, started_ms = self.books[venue], self._clock.wall_ms()
        since_ms = self._from(venue, books.fills_until_ms)
        books.needs_fills = False  # before the read: a cut while it is under way asks for another one
        if since_ms is None:
            return
        try:
            await self._take_fills(await self._venues[venue].fetch_fills(since_ms))
        except BaseException:
            books.needs_fills = True
            raise
        books.fills_until_ms = started_ms

    async def sync_payments(self, venue: VenueName) -> None:
        """Read every funding payment that may be missing. Raises VenueError."""
        books, started_ms = self.books[venue], self._clock.wall_ms()
        since_ms = self._from(venue, books.payments_until_ms)
        if since_ms is not None:
            await self._take_payments(await self._venues[venue].fetch_funding_payments(since_ms))
            books.payments_until_ms = started_ms

    async def sync_account(self, venue: VenueName) -> AccountState:
        """Read balances and positions. Raises VenueError."""
        account = await self._venues[venue].fetch_account()
        self.books[venue].account = account
        self.books[venue].account_at_ms = self._clock.wall_ms()
        return account

    async def sync_fees(self, venue: VenueName) -> None:
        """Read what the account pays. Raises VenueError; without it nothing is entered there."""
        self.books[venue].fees = await self._venues[venue].fetch_fees()

    def _from(self, venue: VenueName, until_ms: int | None) -> int | None:
        oldest_ms = self._since_ms(venue)
        if oldest_ms is None:
            return None
        oldest_ms -= OVERLAP_MS
        return oldest_ms if until_ms is None else max(oldest_ms, until_ms - OVERLAP_MS)

    def compare_positions(self, venue: VenueName, expected: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Signed units by asset that the venue holds beyond what fills explain; empty when all agree."""
        account = self.books[venue].account
        if account is None:
            return {}
        assets = set(expected) | set(account.positions)
        drift = {}
        for asset in assets:
            position = account.positions.get(asset)
            held = position.size if position is not None else Decimal(0)
            if difference := held - expected.get(asset, Decimal(0)):
                drift[asset] = difference
        return drift
