"""What the connector asks Lighter for: markets, rates, books, the account, its fills and funding payments."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.clock import Clock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import Fill
from perpdesk.domain.positions import AccountState
from perpdesk.venues.base import FundingChanged, RequestRefused
from perpdesk.venues.lighter.account_frames import (
    parse_account,
    parse_fees,
    parse_payment_page,
    parse_server_time,
    parse_trade_page,
)
from perpdesk.venues.lighter.frames import parse_book_orders, parse_funding_rates, parse_markets
from perpdesk.venues.lighter.rest import LighterRest
from perpdesk.venues.lighter.settings import LighterSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")
Page = tuple[list[T], int | None, str | None]
"""(rows, Unix ms of the oldest row read, cursor of the next page)."""

PAGE_ROWS = 100
PAGES_MAX = 200
BOOK_ORDERS_MAX = 250


class LighterReads:
    """Every read that is not about one order.

    Attributes:
        markets: By asset. by_index: The same by the venue's market id, of which 0 is an ordinary one.
    """

    def __init__(self, rest: LighterRest, clock: Clock, settings: LighterSettings) -> None:
        self._rest = rest
        self._clock = clock
        self._settings = settings
        self.markets: Mapping[str, Market] = {}
        self.by_index: Mapping[int, Market] = {}

    def market(self, asset: str) -> Market:
        """RequestRefused when Lighter does not list `asset`, or markets were never read."""
        try:
            return self.markets[asset]
        except KeyError:
            raise RequestRefused("unknown-market", f"Lighter lists no perpetual of {asset}") from None

    def account_index(self) -> int:
        """RequestRefused when none is configured."""
        if self._settings.account_index is None:
            raise RequestRefused("no-account", "no Lighter account index is configured; set it to read an account")
        return self._settings.account_index

    async def fetch_markets(self) -> Mapping[str, Market]:
        """Perpetuals by asset."""
        self.markets = parse_markets(await self._rest.get("orderBookDetails"))
        self.by_index = {market.venue_index: market for market in self.markets.values()}
        return self.markets

    async def fetch_funding(self) -> dict[str, FundingChanged]:
        """Rates by asset; this answer has no prices."""
        return parse_funding_rates(await self._rest.get("funding-rates"), self.by_index, self._clock.wall_ms())

    async def fetch_book(self, asset: str) -> Book:
        """The best BOOK_ORDERS_MAX orders of each side, added up by price."""
        market = self.market(asset)
        query = {"market_id": market.venue_index, "limit": BOOK_ORDERS_MAX}
        return parse_book_orders(await self._rest.get("orderBookOrders", query), market, self._clock.wall_ms())

    async def fetch_account(self) -> AccountState:
        """Equity and positions; needs no key, the venue publishes them."""
        raw = await self._rest.get("account", {"by": "index", "value": self.account_index()})
        return parse_account(raw, self.by_index, self._clock.wall_ms())

    async def fetch_fees(self) -> FeeRates:
        """What the account pays at its tier."""
        query = {"account_index": self.account_index()}
        return parse_fees(await self._rest.get("accountLimits", query, is_private=True))

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        """Complete from `since_ms` on, oldest first."""
        account = self.account_index()

        def parse(raw: bytes) -> Page[Fill]:
            return parse_trade_page(raw, account, self.by_index)

        rows = await self._collect("trades", {"account_index": account, "sort_by": "timestamp"}, parse, since_ms)
        unique = {(fill.asset, fill.trade_id): fill for fill in rows if fill.at_ms >= since_ms}
        return tuple(sorted(unique.values(), key=lambda fill: (fill.at_ms, fill.trade_id)))

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        """Complete from `since_ms` on, oldest first."""

        def parse(raw: bytes) -> Page[FundingPayment]:
            return parse_payment_page(raw, self.by_index)

        rows = await self._collect("positionFunding", {"account_index": self.account_index()}, parse, since_ms)
        unique = {payment.payment_id: payment for payment in rows if payment.at_ms >= since_ms}
        return tuple(sorted(unique.values(), key=lambda payment: (payment.at_ms, payment.payment_id)))

    async def fetch_server_time_ms(self) -> int:
        """The venue's clock, whole seconds as Unix ms."""
        return parse_server_time(await self._rest.get_root())

    async def _collect(
        self, path: str, query: Mapping[str, str | int], parse: Callable[[bytes], Page[T]], since_ms: int
    ) -> list[T]:
        """Follow pages, newest first, until one reaches back beyond `since_ms`. Never silently incomplete."""
        rows: list[T] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            more = {} if cursor is None else {"cursor": cursor}
            raw = await self._rest.get(path, {**query, "limit": PAGE_ROWS, **more}, is_private=True)
            found, oldest_ms, next_cursor = parse(raw)
            rows += found
            if next_cursor is None or oldest_ms is None or oldest_ms < since_ms:
                return rows
            if next_cursor == cursor:
                break
            cursor = next_cursor
        log.warning("pages_without_end", venue=VenueName.LIGHTER.value, path=path, pages_max=PAGES_MAX)
        raise RequestRefused(
            "too-long", f"Lighter's list {path} does not end within {PAGES_MAX} pages; ask for less time"
        )
