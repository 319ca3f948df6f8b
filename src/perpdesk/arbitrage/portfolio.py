"""The pairs the desk knows: open ones and those that ended while it runs, each with its ledger.

Fills and payments are routed to their pair here, late ones too: a fill that arrives after its pair ended opens it again.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import structlog

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.prices import exact
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill
from perpdesk.domain.pairs import Leg, OrderRecord, Pair, PairState
from perpdesk.domain.pnl import PnlParts
from perpdesk.market.view import MarketView
from perpdesk.store.ids import split_client_id
from perpdesk.store.journal import Journal

log = structlog.get_logger(__name__)


CLOCK_SLACK_MS = 1_000
"""How far a venue's clock may run behind ours when an event is placed in a pair's life."""


DUST_HEADROOM = Decimal("1.2")
"""Least orders are set in dollars, so in units they grow while a price falls."""


class Portfolio:
    """Ledgers by pair id, and the journal they are kept in."""

    def __init__(self, journal: Journal, view: MarketView, clock: Clock, salt: int) -> None:
        self.journal = journal
        self._view = view
        self._clock = clock
        self._salt = salt
        self.ledgers: dict[int, Ledger] = {}
        self.unexplained: dict[tuple[VenueName, str], Fill] = {}
        """Fills on our account that belong to no pair: someone else trades here, or a liquidation came after the end."""

    async def load(self) -> None:
        """Read the pairs that had not ended when the last desk on this store stopped."""
        for pair in await self.journal.load_open_pairs():
            await self.load_pair(pair)

    async def load_pair(self, pair: Pair) -> Ledger:
        """Read one pair with everything that belongs to it."""
        orders = await self.journal.load_orders(pair.pair_id)
        fills = await self.journal.load_fills(pair.pair_id)
        payments = await self.journal.load_payments(pair.pair_id)
        ledger = Ledger(pair, self._tolerance(pair), orders, fills, payments)
        self.ledgers[pair.pair_id] = ledger
        return ledger

    async def add(self, pair: Pair) -> Ledger:
        """Write a new pair down; its id is assigned by the journal."""
        added = await self.journal.add_pair(pair)
        ledger = Ledger(added, self._tolerance(added))
        self.ledgers[added.pair_id] = ledger
        return ledger

    def _tolerance(self, pair: Pair) -> Decimal:
        """Imbalance that can not be traded away: below both venues' least order, with room for prices to move."""
        mid = pair.notional_usd / pair.size_target
        legs = [self._view.market(venue, pair.asset) for venue in _venues(pair)]
        return max((leg.least_size(mid) * DUST_HEADROOM for leg in legs if leg is not None), default=ZERO)

    async def change(self, ledger: Ledger, **changes: object) -> None:
        """Write changed fields of a pair, then take them."""
        changed = replace(ledger.pair, **changes)  # type: ignore[arg-type]
        await self.journal.save_pair(changed)
        ledger.pair = changed

    @property
    def open(self) -> list[Ledger]:
        """Ledgers of pairs that have not ended, oldest first."""
        return [ledger for ledger in self.ledgers.values() if not ledger.pair.state.is_ended]

    @property
    def ended(self) -> list[Ledger]:
        return [ledger for ledger in self.ledgers.values() if ledger.pair.state.is_ended]

    def since_ms(self, venue: VenueName) -> int | None:
        """Decision time of the oldest open pair with a leg on `venue`, None without one."""
        times = [ledger.pair.decided_at_ms for ledger in self.open if venue in _venues(ledger.pair)]
        return min(times, default=None)

    def expected_positions(self, venue: VenueName) -> dict[str, Decimal]:
        """Signed units by asset that fills say we hold on `venue`."""
        held: dict[str, Decimal] = {}
        for ledger in self.ledgers.values():
            if venue in _venues(ledger.pair):
                leg = ledger.pair.leg_on(venue)
                size = ledger.held(leg) * leg.opening_side.sign
                held[ledger.pair.asset] = held.get(ledger.pair.asset, ZERO) + size
        return {asset: size for asset, size in held.items() if size}

    # Fills and payments ----------------------------------------------------------------------------------------------

    async def take_fills(self, fills: Iterable[Fill]) -> None:
        """Give each new fill to its pair and write it down; a pair that had ended goes back to closing."""
        new: list[tuple[Fill, int | None]] = []
        ended: list[OrderRecord] = []
        for fill in fills:
            ledger = await self._ledger_of_fill(fill)
            if ledger is None:
                if (fill.venue, fill.trade_id) not in self.unexplained:
                    self.unexplained[fill.venue, fill.trade_id] = fill
                    new.append((fill, None))
                    log.error("fill_unexplained", venue=fill.venue, asset=fill.asset, size=str(fill.size))
            elif ledger.add_fill(fill):
                new.append((fill, ledger.pair.pair_id))
                if fill.client_id is not None and (record := ledger.end_filled_order(fill.client_id)):
                    ended.append(record)
                await self._reopen_if_ended(ledger)
        if new:
            await self.journal.record_fills(new)
        for record in ended:
            await self.journal.update_order(record)

    async def _ledger_of_fill(self, fill: Fill) -> Ledger | None:
        if fill.client_id is not None:
            try:
                parts = split_client_id(fill.client_id)
            except ValueError:
                return None
            if parts.salt != self._salt:
                return None
            known = self.ledgers.get(parts.pair_id)
            if known is None:
                pair = await self.journal.load_pair(parts.pair_id)
                known = None if pair is None else await self.load_pair(pair)
            return known
        return self._holder(fill.venue, fill.asset, fill.at_ms)

    def _holder(self, venue: VenueName, asset: str, at_ms: int) -> Ledger | None:
        """The pair that held `asset` on `venue` at a moment: what a liquidation or a funding payment belongs to."""
        for ledger in self.ledgers.values():
            pair = ledger.pair
            end_ms = pair.closed_at_ms
            is_its_own = pair.asset == asset and venue in _venues(pair)
            if is_its_own and pair.decided_at_ms <= at_ms + CLOCK_SLACK_MS and (end_ms is None or at_ms <= end_ms):
                return ledger
        return None

    async def _reopen_if_ended(self, ledger: Ledger) -> None:
        if ledger.pair.state.is_ended:
            log.error("pair_reopened_by_late_fill", pair_id=ledger.pair.pair_id, asset=ledger.pair.asset)
            await self.change(ledger, state=PairState.CLOSING, closed_at_ms=None)

    async def take_payments(self, payments: Iterable[FundingPayment]) -> None:
        """Give each new payment to the pair that held the position; ended pairs are accounted again."""
        new: list[tuple[FundingPayment, int | None]] = []
        for payment in payments:
            ledger = self._holder(payment.venue, payment.asset, payment.at_ms)
            if ledger is not None and ledger.add_payment(payment):
                new.append((payment, ledger.pair.pair_id))
        if not new:
            return
        await self.journal.record_payments(new)
        for pair_id in {pair_id for _, pair_id in new if pair_id is not None}:
            if self.ledgers[pair_id].pair.state is PairState.CLOSED:
                await self.account_for(self.ledgers[pair_id])

    # Accounting ------------------------------------------------------------------------------------------------------

    async def account_for(self, ledger: Ledger, **changes: object) -> None:
        """Write a flat pair's attribution and its naked time, with `changes`, in one go."""
        pnl, naked = ledger.pnl({}), ledger.naked(self._clock.wall_ms())
        opened = sum((f.size for f in ledger.fills if f.side is ledger.pair.leg_on(f.venue).opening_side), ZERO)
        await self.change(
            ledger,
            price_usd=pnl.price_usd,
            funding_usd=pnl.funding_usd,
            fees_usd=pnl.fees_usd,
            slippage_usd=pnl.slippage_usd,
            naked_ms=naked.ms,
            naked_ms_max=naked.ms_max,
            naked_usd_ms=naked.usd_ms,
            size_closed=opened / 2,
            **changes,
        )

    def pnl(self, marks: dict[tuple[str, str], Decimal] | None = None) -> PnlParts:
        """All pairs' money by source; open legs at `marks`, or at the venues' mark prices of now."""
        total = PnlParts()
        for ledger in self.ledgers.values():
            total += ledger.pnl(self.marks(ledger) if marks is None else marks)
        return total

    def marks(self, ledger: Ledger) -> dict[tuple[str, str], Decimal]:
        """Mark price of each open leg: the venue's own, else its book's mid, else the leg's last fill."""
        marks = {}
        for leg in Leg:
            if ledger.held(leg):
                venue = ledger.pair.venue_of(leg)
                marks[venue.value, ledger.pair.asset] = self._mark(ledger, venue)
        return marks

    def _mark(self, ledger: Ledger, venue: VenueName) -> Decimal:
        funding, book = self._view.funding(venue, ledger.pair.asset), self._view.book(venue, ledger.pair.asset)
        if funding is not None and funding.mark_price is not None:
            return exact(funding.mark_price)
        if book is not None and book.mid is not None:
            return exact(book.mid)
        return next(fill.price for fill in reversed(ledger.fills) if fill.venue == venue)


def _venues(pair: Pair) -> tuple[VenueName, VenueName]:
    return pair.long_venue, pair.short_venue
