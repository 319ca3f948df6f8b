"""`PaperVenue`: live market data, pretended orders. What a dry run trades on; no order ever reaches the venue inside.

Fills are conservative: visible size only, nothing from a lost book, resting orders only once the market moved through
them. What stays out of reach of any pretence is our own effect on the market, and queue position.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book, Side
from perpdesk.domain.clock import Clock, Timer
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment, expected_payment_usd
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport
from perpdesk.domain.positions import AccountState
from perpdesk.venues.base import (
    BookChanged,
    BookLost,
    FundingChanged,
    FundingPaid,
    Listener,
    NotSent,
    PrivateFeedRestored,
    Venue,
    VenueCounters,
    VenueEvent,
)
from perpdesk.venues.paper_account import PaperAccount
from perpdesk.venues.paper_market import LiveMarket, exact
from perpdesk.venues.paper_orders import PaperOrders, PaperRules

log = structlog.get_logger(__name__)

FUNDING_STEP_USD = Decimal("0.000001")
"""Venues book funding in millionths of a USD."""


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """What a dry run pretends.

    Attributes:
        cash_usd: Collateral at the beginning.
        fees: What the account would pay; None asks the inner venue, which needs an account that it knows.
        order_delay_ms, cancel_delay_ms: From the request until it acts on the book.
        funding_every_ms: Length of a funding hour: a full hourly rate is booked at its multiples of Unix time. Shorter
            only beside a simulated venue whose hours are shortened likewise.
        book_age_ms_max: A book without news for longer fills nothing, even if the inner venue has not declared it lost.
    """

    cash_usd: Decimal
    fees: FeeRates | None = None
    order_delay_ms: int = 200
    cancel_delay_ms: int = 100
    funding_every_ms: int = 3_600_000
    book_age_ms_max: int = 30_000

    def __post_init__(self) -> None:
        if self.cash_usd <= 0 or self.funding_every_ms <= 0 or self.book_age_ms_max <= 0:
            raise ValueError("a dry run needs positive cash_usd, funding_every_ms and book_age_ms_max")
        if self.order_delay_ms < 0 or self.cancel_delay_ms < 0:
            raise ValueError("order_delay_ms and cancel_delay_ms can not be negative")


@dataclass(slots=True)
class PaperCounters:
    """What happened in a dry run besides orders.

    Attributes:
        fundings_unknown: Settlements of an open position that paid nothing because no estimate or price was known.
        liquidations: Positions closed because equity fell below maintenance.
    """

    fundings_unknown: int = 0
    liquidations: int = 0


class PaperVenue:
    """A venue whose market data is `inner`'s and whose account is a pretence in memory.

    The account lives as long as the process. To go on with a dry run from the journal of an earlier one, hand over what
    it booked, before `start`:

        fills = [fill for fill, _ in await journal.load_fills_since(0)]
        payments = [payment for payment, _ in await journal.load_payments_since(0)]
        venue.restore(fills, payments)

    The journal has to be that of a dry run, begun with the same `cash_usd`. Orders that rested when the earlier process
    ended are gone, and are reported as cancelled or unknown; funding of the hours between is unknown and not booked.

    Attributes:
        paper: Counters of the dry run's own.
    """

    def __init__(self, inner: Venue, clock: Clock, settings: PaperSettings) -> None:
        self._inner = inner
        self._clock = clock
        self._settings = settings
        self._account = PaperAccount(settings.cash_usd)
        self._live: dict[str, LiveMarket] = {}
        self._orders: PaperOrders | None = None
        self._listener: Listener | None = None
        self._funding_timer: Timer | None = None
        self._settled_ms = 0
        self._requests = 0
        self._errors = 0
        self._unpriced: set[str] = set()
        self.paper = PaperCounters()

    @property
    def name(self) -> VenueName:
        return self._inner.name

    @property
    def counters(self) -> VenueCounters:
        """The inner venue's, with every order and cancel counted as a request."""
        inner = self._inner.counters
        return replace(inner, requests=inner.requests + self._requests, errors=inner.errors + self._errors)

    @property
    def markets(self) -> Mapping[str, Market]:
        return self._inner.markets

    # Life ------------------------------------------------------------------------------------------------------------

    def restore(self, fills: Iterable[Fill], payments: Iterable[FundingPayment]) -> None:
        """Book what an earlier process of this dry run had; entries of other venues and known ids are left out.

        RuntimeError once the dry run has started.
        """
        if self._orders is not None:
            raise RuntimeError("restore the dry run before it starts: orders may have acted on the account already")
        self._account.restore(
            (fill for fill in fills if fill.venue == self.name),
            (payment for payment in payments if payment.venue == self.name),
        )

    async def start(self, listener: Listener, assets: frozenset[str] | None = None) -> None:
        """See `Venue.start`. Fees are read first: RequestRefused when neither the settings nor the venue name them."""
        if self._orders is not None:
            raise RuntimeError("this dry run was started before; make a new one")
        fees = await self.fetch_fees()
        now_ms = self._clock.wall_ms()
        rules = PaperRules(
            self.name, self._settings.order_delay_ms, self._settings.cancel_delay_ms, fees, f"paper-{now_ms}"
        )
        orders = PaperOrders(self._account, lambda: self.markets, self._live_market, self._clock, rules, self._tell)
        self._orders, self._listener = orders, listener
        try:
            await self._inner.start(self._on_event, assets)
        except BaseException:
            self._orders = self._listener = None
            raise
        self._settled_ms = self._boundary_ms()
        self._note_unpaid_hours()
        self._await_settlement()
        self._tell(PrivateFeedRestored(self.name))

    async def stop(self) -> None:
        """See `Venue.stop`. Orders under way never act, and nothing rests anywhere."""
        self._listener = None
        if self._orders is not None:
            self._orders.stop()
        if self._funding_timer is not None:
            self._funding_timer.cancel()
        await self._inner.stop()

    # Events ----------------------------------------------------------------------------------------------------------

    def _on_event(self, event: VenueEvent) -> None:
        """Market data is heard here, passed on, and then acted on. The inner venue's private events are not ours."""
        match event:
            case BookChanged(_, asset, book):
                self._live_market(asset).take_book(book)
                self._tell(event)
                if self._orders is not None:
                    self._orders.on_book(asset)
            case BookLost(_, asset):
                self._live_market(asset).lose_book()
                self._tell(event)
            case FundingChanged(_, asset):
                self._live_market(asset).take_funding(event)
                self._tell(event)
            case _:
                return
        if self._account.size(asset):
            self._liquidate_if_due()

    def _tell(self, event: VenueEvent) -> None:
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:  # a listener must not raise; one that does must not leave the account half booked
            self._errors += 1
            log.exception("listener_failed", venue=self.name.value, received=type(event).__name__)

    def _live_market(self, asset: str) -> LiveMarket:
        live = self._live.get(asset)
        if live is None:
            live = self._live[asset] = LiveMarket(self._clock, self._settings.book_age_ms_max)
        return live

    def _mark_of(self, asset: str) -> Decimal | None:
        return self._live_market(asset).mark

    # Funding ---------------------------------------------------------------------------------------------------------

    def _boundary_ms(self) -> int:
        """The latest settlement time that has passed."""
        every_ms = self._settings.funding_every_ms
        return self._clock.wall_ms() // every_ms * every_ms

    def _note_unpaid_hours(self) -> None:
        """Settlements that restored positions went through while nobody listened."""
        every_ms = self._settings.funding_every_ms
        for asset in self._account.open_assets:
            last_ms = self._account.last_booked_ms(asset)
            if last_ms is not None:
                self._count_unknown(
                    asset, (self._settled_ms - last_ms // every_ms * every_ms) // every_ms, "not running"
                )

    def _await_settlement(self) -> None:
        due_ms = self._boundary_ms() + self._settings.funding_every_ms
        self._funding_timer = self._clock.call_later_ms(due_ms - self._clock.wall_ms(), self._settle_funding)

    def _settle_funding(self) -> None:
        """Book the settlements that have passed; a clock that was set back waits for the next one."""
        boundary_ms, every_ms = self._boundary_ms(), self._settings.funding_every_ms
        passed = (boundary_ms - self._settled_ms) // every_ms
        if passed > 0:
            self._settled_ms = boundary_ms
            for asset in self._account.open_assets:
                self._count_unknown(asset, passed - 1, "the process slept")
                self._pay_funding(asset, boundary_ms)
            self._liquidate_if_due()
        self._await_settlement()

    def _pay_funding(self, asset: str, boundary_ms: int) -> None:
        live, size = self._live_market(asset), self._account.size_at(asset, boundary_ms)
        estimate = live.estimate_for(boundary_ms, self._settings.funding_every_ms)
        if size == 0:
            return
        price = None if estimate is None else _price_of(estimate, live)
        if estimate is None or price is None:
            self._count_unknown(asset, 1, "no recent estimate" if estimate is None else "no mark price")
            return
        usd = expected_payment_usd(size, price, estimate.rate).quantize(FUNDING_STEP_USD, ROUND_HALF_EVEN)
        payment = FundingPayment(self.name, asset, f"paper-{asset}-{boundary_ms}", usd, size, boundary_ms)
        if self._account.book_payment(payment):
            self._tell(FundingPaid(payment))

    def _count_unknown(self, asset: str, hours: int, reason: str) -> None:
        if hours > 0:
            self.paper.fundings_unknown += hours
            log.warning("paper_funding_unknown", venue=self.name.value, asset=asset, hours=hours, reason=reason)

    # Liquidation -----------------------------------------------------------------------------------------------------

    def _liquidate_if_due(self) -> None:
        """Close everything at mark once equity is below maintenance; a position without any known price stays."""
        account, orders = self._account, self._orders
        priced = [(asset, mark) for asset in account.open_assets if (mark := self._mark_of(asset)) is not None]
        equity_usd = account.equity_usd(self._mark_of)
        is_sound = equity_usd >= account.maintenance_usd(self._mark_of, self.markets)
        if orders is None or not priced or is_sound:
            return
        log.error("paper_liquidation", venue=self.name.value, equity_usd=str(equity_usd), assets=account.open_assets)
        orders.cancel_all("liquidated")
        for asset, mark in priced:
            self.paper.liquidations += 1
            size = account.size(asset)
            side = Side.SELL if size > 0 else Side.BUY
            orders.book(asset, side, abs(size), mark, client_id=None, is_maker=False)

    # Market data -----------------------------------------------------------------------------------------------------

    async def fetch_markets(self) -> Mapping[str, Market]:
        return await self._inner.fetch_markets()

    async def fetch_funding(self) -> Mapping[str, FundingChanged]:
        return await self._inner.fetch_funding()

    async def fetch_book(self, asset: str) -> Book:
        """See `Venue.fetch_book`; where the stream has no live book, orders fill against this one until it has."""
        book = await self._inner.fetch_book(asset)
        live = self._live_market(asset)
        if live.live_book is None:
            live.take_book(book)
        return book

    async def fetch_server_time_ms(self) -> int:
        return await self._inner.fetch_server_time_ms()

    # The account -----------------------------------------------------------------------------------------------------

    async def fetch_account(self) -> AccountState:
        """See `Venue.fetch_account`. A position whose price was never heard is valued at its entry, with no mark price."""
        for asset in self._account.open_assets:
            is_unpriced = self._mark_of(asset) is None
            if is_unpriced and asset not in self._unpriced:
                log.warning("paper_position_at_entry", venue=self.name.value, asset=asset)
            (self._unpriced.add if is_unpriced else self._unpriced.discard)(asset)
        open_orders = () if self._orders is None else self._orders.open_orders
        initial_usd = self._account.initial_usd(self._mark_of, self.markets, open_orders)
        return self._account.state(self._mark_of, initial_usd, self._clock.wall_ms())

    async def fetch_fees(self) -> FeeRates:
        """The settings' rates, else the inner venue's; its RequestRefused when it does not say."""
        fees = self._settings.fees
        if fees is None:
            fees = await self._inner.fetch_fees()
        if self._orders is not None:
            self._orders.rules.fees = fees
        return fees

    async def fetch_order(self, asset: str, client_id: int) -> OrderReport | None:
        return self._running.report(client_id)

    async def fetch_open_orders(self) -> tuple[OrderReport, ...]:
        return self._running.open_reports()

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        return tuple(fill for fill in self._account.fills if fill.at_ms >= since_ms)

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        return tuple(payment for payment in self._account.payments if payment.at_ms >= since_ms)

    # Orders ----------------------------------------------------------------------------------------------------------

    async def place(self, order: OrderIntent) -> None:
        """See `Venue.place`; never raises OutcomeUnknown."""
        orders = self._running
        self._requests += 1
        orders.place(order)

    async def cancel(self, asset: str, client_id: int) -> None:
        """See `Venue.cancel`; never raises OutcomeUnknown."""
        orders = self._running
        self._requests += 1
        orders.cancel(client_id)

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        """See `Venue.settle`: no answer is ever lost here, so what is known is all there is."""
        return self._running.report(order.client_id)

    @property
    def _running(self) -> PaperOrders:
        if self._orders is None or self._listener is None:
            raise NotSent("the dry run is not running")
        return self._orders


def _price_of(estimate: FundingChanged, live: LiveMarket) -> Decimal | None:
    """The mark price beside an estimate, else the market's own mark."""
    return live.mark if estimate.mark_price is None else exact(estimate.mark_price)
