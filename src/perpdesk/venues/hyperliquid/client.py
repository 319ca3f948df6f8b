"""`HyperliquidVenue`: the `Venue` port over one account's requests, orders and stream."""

import random
from collections.abc import Mapping
from types import MappingProxyType

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.clock import Clock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport
from perpdesk.domain.positions import AccountState
from perpdesk.venues.base import (
    FundingChanged,
    Listener,
    OrderChanged,
    RequestRefused,
    VenueCounters,
    VenueEvent,
)
from perpdesk.venues.hyperliquid import frames
from perpdesk.venues.hyperliquid.feed import HyperliquidFeed
from perpdesk.venues.hyperliquid.gateway import Gateway
from perpdesk.venues.hyperliquid.orders import Orders
from perpdesk.venues.hyperliquid.reads import AccountReads
from perpdesk.venues.hyperliquid.settings import HyperliquidSettings
from perpdesk.venues.hyperliquid.signing import Signer
from perpdesk.venues.hyperliquid.stream import Stream
from perpdesk.venues.hyperliquid.watch import Watch
from perpdesk.venues.transport.ports import HttpTransport, SocketTransport

log = structlog.get_logger(__name__)


class HyperliquidVenue:
    """Main-dex perpetuals of Hyperliquid behind the `Venue` port.

    Without a signer it is read-only: `place` and `cancel` raise RequestRefused. Without an account address it follows
    market data only. The transports belong to the caller and stay open after `stop`.
    """

    def __init__(
        self,
        http: HttpTransport,
        sockets: SocketTransport,
        clock: Clock,
        rng: random.Random,
        settings: HyperliquidSettings,
        signer: Signer | None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._watch = Watch(VenueCounters())
        self._gateway = Gateway(http, clock, settings, signer, self._watch)
        self._reads = AccountReads(self._gateway, clock, settings.account_address, self._watch)
        self._orders = Orders(
            self._gateway, self._reads, clock, self._watch, lambda report: self._emit(OrderChanged(report))
        )
        self._feed = HyperliquidFeed(settings, clock, self._watch)
        self._stream = Stream(sockets, clock, rng, settings, self._feed, self._watch, self._emit)
        self._markets: dict[str, Market] = {}
        self._listener: Listener | None = None
        self._assets: frozenset[str] | None = None

    @property
    def name(self) -> VenueName:
        return frames.VENUE

    @property
    def counters(self) -> VenueCounters:
        return self._watch.counters

    @property
    def markets(self) -> Mapping[str, Market]:
        return MappingProxyType(self._markets)

    # Streams -----------------------------------------------------------------------------------------------------

    async def start(self, listener: Listener, assets: frozenset[str] | None = None) -> None:
        """See `Venue.start`; sockets connect in the background. Raises what `fetch_markets` raises."""
        if self._listener is not None:
            raise RuntimeError("this connector was started before; make a new one")
        self._listener, self._assets = listener, assets
        try:
            await self.fetch_markets()
        except BaseException:
            self._listener = None
            raise
        self._stream.start()

    async def stop(self) -> None:
        await self._stream.stop()

    def _emit(self, event: VenueEvent) -> None:
        if isinstance(event, OrderChanged):
            self._orders.note(event.report)
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:
            # A listener must not raise; one that does must not take the socket and its other events down with it.
            log.exception("listener_failed", venue="hyperliquid", event_type=type(event).__name__)
            self._watch.error("listener_failed", error=type(error).__name__)

    def _followed(self) -> dict[str, str]:
        """Assets by coin whose books are wanted."""
        wanted = self._assets
        return {
            market.venue_symbol: market.asset
            for market in self._markets.values()
            if (market.is_tradable if wanted is None else market.asset in wanted)
        }

    # Market data -------------------------------------------------------------------------------------------------

    async def fetch_markets(self) -> Mapping[str, Market]:
        """See `Venue.fetch_markets`; once started, followed markets change with the listing."""
        markets, unreadable = await self._reads.ask({"type": "meta"}, frames.parse_markets)
        for row in unreadable:
            self._watch.unreadable("market", row)
        self._markets = markets
        if self._listener is not None:
            self._stream.apply(self._feed.follow(self._followed()))
        return self.markets

    async def fetch_funding(self) -> Mapping[str, FundingChanged]:
        """See `Venue.fetch_funding`; one request, delisted markets left out."""
        now_ms = self._clock.wall_ms()
        found, unreadable = await self._reads.ask(
            {"type": "metaAndAssetCtxs"}, lambda body: frames.parse_contexts(body, now_ms)
        )
        for row in unreadable:
            self._watch.unreadable("context", row)
        chosen = {market.venue_symbol for market in self._markets.values()}
        return {funding.asset: funding for coin, funding in found.items() if not chosen or coin in chosen}

    async def fetch_book(self, asset: str) -> Book:
        """See `Venue.fetch_book`: 20 levels a side."""
        market = self._markets.get(asset)
        if market is None:
            raise RequestRefused("UnknownAsset", f"Hyperliquid does not list {asset}")
        snapshot = await self._reads.ask(
            {"type": "l2Book", "coin": market.venue_symbol},
            lambda body: frames.parse_book_answer(body, self._clock.wall_ms()),
        )
        if snapshot is None or snapshot.asset != asset:
            raise RequestRefused("NoBook", f"Hyperliquid has no book for {asset}")
        book = Book()
        book.replace(snapshot.bids, snapshot.asks, snapshot.at_ms)
        return book

    async def fetch_server_time_ms(self) -> int:
        return await self._reads.fetch_server_time_ms()

    # The account -------------------------------------------------------------------------------------------------

    async def fetch_account(self) -> AccountState:
        """See `Venue.fetch_account`; in unified accounts equity is the spot ledger's USDC, as documented in `account_frames`."""
        return await self._reads.fetch_account()

    async def fetch_fees(self) -> FeeRates:
        return await self._reads.fetch_fees()

    async def fetch_order(self, asset: str, client_id: int) -> OrderReport | None:
        return await self._reads.fetch_order(client_id)

    async def fetch_open_orders(self) -> tuple[OrderReport, ...]:
        return await self._reads.fetch_open_orders()

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        return await self._reads.fetch_fills(since_ms)

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        return await self._reads.fetch_funding_payments(since_ms)

    # Orders ------------------------------------------------------------------------------------------------------

    async def place(self, order: OrderIntent) -> None:
        await self._orders.place(order, self._markets)

    async def cancel(self, asset: str, client_id: int) -> None:
        await self._orders.cancel(asset, client_id, self._markets)

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        return await self._orders.settle(order)
