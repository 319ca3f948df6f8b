"""`LighterVenue`: the Venue port on Lighter. Requests and sockets go through the transport ports, time through the clock."""

import random
from collections.abc import Mapping
from dataclasses import replace
from statistics import median

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.clock import Clock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport
from perpdesk.domain.positions import AccountState
from perpdesk.venues.base import FundingChanged, Listener, VenueCounters, VenueEvent
from perpdesk.venues.lighter.connection import LighterConnection
from perpdesk.venues.lighter.feed import LighterFeed
from perpdesk.venues.lighter.orders import LighterOrders
from perpdesk.venues.lighter.reads import LighterReads
from perpdesk.venues.lighter.rest import LighterRest, Tokens
from perpdesk.venues.lighter.settings import LighterSettings
from perpdesk.venues.lighter.signing import Signer
from perpdesk.venues.lighter.transactions import TransactionSender
from perpdesk.venues.transport.ports import HttpTransport, SocketTransport

__all__ = ["LighterSettings", "LighterVenue"]

log = structlog.get_logger(__name__)

STREAMED_MS_MAX = 60_000
"""Streamed prices older than this are not put beside a fetched rate."""
COMPARED_MIN = 10
RATE_NOISE_PER_HOUR = 2e-6
"""Rates below this say nothing about units."""


class LighterVenue:
    """Lighter, live or simulated. Without a signer it reads market data and public account state only.

    Every private call then raises RequestRefused with the remedy in its message.
    """

    def __init__(
        self,
        http: HttpTransport,
        sockets: SocketTransport,
        clock: Clock,
        rng: random.Random,
        settings: LighterSettings,
        signer: Signer | None,
    ) -> None:
        self._sockets = sockets
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._is_private = signer is not None
        self._counters = VenueCounters()
        self._tokens = Tokens(signer, clock, settings)
        self._rest = LighterRest(http, clock, settings, self._tokens, self._counters)
        self._reads = LighterReads(self._rest, clock, settings)
        sender = TransactionSender(self._rest, settings, self._counters)
        self._orders = LighterOrders(self._rest, self._reads, sender, signer, clock)
        self._connection: LighterConnection | None = None
        self._listener: Listener | None = None
        self._streamed: dict[str, FundingChanged] = {}

    @property
    def name(self) -> VenueName:
        return VenueName.LIGHTER

    @property
    def counters(self) -> VenueCounters:
        return self._counters

    @property
    def markets(self) -> Mapping[str, Market]:
        return self._reads.markets

    # --- the stream

    async def start(self, listener: Listener, assets: frozenset[str] | None = None) -> None:
        """See `Venue.start`. With a signer the first event is PrivateFeedLost; PrivateFeedRestored follows once our own
        orders and trades are subscribed. The socket is opened, and kept open, in the background.
        """
        if self._connection is not None:
            raise RuntimeError("this Lighter connector is running already; stop it first")
        markets = await self._reads.fetch_markets()
        followed = frozenset(a for a, m in markets.items() if m.is_tradable) if assets is None else assets
        feed = LighterFeed(
            self._settings, markets, followed, self._counters, self._clock.wall_ms(), is_private=self._is_private
        )
        self._listener = listener
        self._connection = LighterConnection(
            self._sockets,
            self._clock,
            self._rng,
            self._settings,
            self._tokens,
            feed,
            self._counters,
            self._deliver,
            is_private=self._is_private,
        )
        self._connection.start()

    async def stop(self) -> None:
        """See `Venue.stop`."""
        connection, self._connection = self._connection, None
        self._listener = None
        if connection is not None:
            await connection.stop()

    def _deliver(self, event: VenueEvent) -> None:
        if isinstance(event, FundingChanged):
            self._streamed[event.asset] = event
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:  # a listener must not raise; if one does, the stream goes on and somebody hears of it
            self._counters.errors += 1
            log.exception("listener_failed", venue=self.name.value, received=type(event).__name__)

    # --- reads

    async def fetch_markets(self) -> Mapping[str, Market]:
        return await self._reads.fetch_markets()

    async def fetch_funding(self) -> Mapping[str, FundingChanged]:
        """Rates by request; prices beside them are the stream's, None where it has no recent ones."""
        fetched = await self._reads.fetch_funding()
        oldest_ms = self._clock.wall_ms() - STREAMED_MS_MAX
        streamed = {a: e for a, e in self._streamed.items() if e.rate.observed_at_ms >= oldest_ms}
        self._compare_units(fetched, streamed)
        return {
            asset: replace(event, mark_price=streamed[asset].mark_price, index_price=streamed[asset].index_price)
            if asset in streamed
            else event
            for asset, event in fetched.items()
        }

    def _compare_units(self, fetched: Mapping[str, FundingChanged], streamed: Mapping[str, FundingChanged]) -> None:
        """Warn when requests and stream disagree by a factor: the units of `/funding-rates` rest on one reading of the docs."""
        ratios = [
            abs(float(fetched[asset].rate.per_hour / event.rate.per_hour))
            for asset, event in streamed.items()
            if asset in fetched and abs(event.rate.per_hour) > RATE_NOISE_PER_HOUR
        ]
        if len(ratios) >= COMPARED_MIN and not 0.25 < (ratio := median(ratios)) < 4:
            log.warning("funding_units_disagree", venue=self.name.value, ratio=round(ratio, 3), markets=len(ratios))

    async def fetch_book(self, asset: str) -> Book:
        return await self._reads.fetch_book(asset)

    async def fetch_account(self) -> AccountState:
        return await self._reads.fetch_account()

    async def fetch_fees(self) -> FeeRates:
        return await self._reads.fetch_fees()

    async def fetch_order(self, asset: str, client_id: int) -> OrderReport | None:
        return await self._orders.fetch_order(asset, client_id)

    async def fetch_open_orders(self) -> tuple[OrderReport, ...]:
        return await self._orders.fetch_open_orders()

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        return await self._reads.fetch_fills(since_ms)

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        return await self._reads.fetch_funding_payments(since_ms)

    async def fetch_server_time_ms(self) -> int:
        return await self._reads.fetch_server_time_ms()

    # --- orders

    async def place(self, order: OrderIntent) -> None:
        await self._orders.place(order)

    async def cancel(self, asset: str, client_id: int) -> None:
        await self._orders.cancel(asset, client_id)

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        return await self._orders.settle(order)

    async def set_leverage(self, asset: str, leverage: int) -> None:
        """Set cross leverage (1 = none) of one market; not part of the Venue port. NotSent or RequestRefused."""
        await self._orders.set_leverage(asset, leverage)
