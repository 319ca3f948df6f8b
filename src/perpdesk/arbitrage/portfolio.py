"""The pairs the desk knows: open ones and those that ended while it runs, each with its ledger.

Fills and payments are routed to their pair here, late ones too: a fill that arrives after its pair ended opens it again.
"""

import asyncio
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
from perpdesk.domain.pairs import Leg, Pair, PairState
from perpdesk.domain.pnl import PnlParts
from perpdesk.market.view import MarketView
from perpdesk.store.ids import split_client_id
from perpdesk.store.journal import Journal

log = structlog.get_logger(__name__)


LATE_MS = 900_000
"""How long after a pair's end its venues are still asked for late fills and funding."""
RECENT_PAIRS_MAX = 100
"""Latest pairs looked through for those that ended within LATE_MS."""
NOT_ACCOUNTED = dict.fromkeys(("price_usd", "funding_usd", "fees_usd", "slippage_usd", "size_closed"))
"""What an ended pair says of its money, taken back: a pair that is open again has no final figures."""
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
        self._open: dict[int, Ledger] = {}
        self._turn = asyncio.Lock()
        self._owed: dict[int, Ledger] = {}
        self._strange_payments: set[tuple[str, str, str]] = set()
        self.unexplained: dict[tuple[str, str, str], Fill] = {}
        """Fills on our account that belong to no pair: someone else trades here, or a liquidation came after the end."""

    async def load(self) -> None:
        """Read the pairs that had not ended when the last desk on this store stopped, and those that ended just now.

        Pairs whose fills are of an earlier era stay in the journal: their venues are gone, and nothing more can come of them.
        """
        for pair in await self.journal.load_open_pairs():
            await self.load_pair(pair)
        latest = await self.journal.load_pairs(limit=RECENT_PAIRS_MAX)
        recent = [pair for pair in latest if self._is_recent(pair) and pair.pair_id not in self.ledgers]
        since_ms = min((pair.decided_at_ms for pair in recent), default=0) - LATE_MS
        present = {pair_id for _, pair_id in await self.journal.load_fills_since(since_ms)} if recent else set()
        for pair in recent:
            if pair.pair_id in present or not await self.journal.load_fills(pair.pair_id):
                await self.load_pair(pair)

    async def load_pair(self, pair: Pair) -> Ledger:
        """Read one pair with everything that belongs to it."""
        orders = await self.journal.load_orders(pair.pair_id)
        fills = await self.journal.load_fills(pair.pair_id)
        payments = await self.journal.load_payments(pair.pair_id)
        ledger = Ledger(pair, self._tolerance(pair), orders, fills, payments)
        self.keep(ledger)
        return ledger

    async def add(self, pair: Pair) -> Ledger:
        """Write a new pair down; its id is assigned by the journal."""
        added = await self.journal.add_pair(pair)
        ledger = Ledger(added, self._tolerance(added))
        self.keep(ledger)
        return ledger

    def keep(self, ledger: Ledger) -> None:
        """Hold a ledger among the open pairs or the ended ones, as its pair says."""
        self.ledgers[ledger.pair.pair_id] = ledger
        if ledger.pair.state.is_ended:
            self._open.pop(ledger.pair.pair_id, None)
        else:
            self._open[ledger.pair.pair_id] = ledger

    def _tolerance(self, pair: Pair) -> Decimal:
        """Imbalance that can not be traded away: below both venues' least order, with room for prices to move."""
        mid = pair.notional_usd / pair.size_target
        legs = [self._view.market(venue, pair.asset) for venue in _venues(pair)]
        return max((leg.least_size(mid) * DUST_HEADROOM for leg in legs if leg is not None), default=ZERO)

    async def change(self, ledger: Ledger, *, only_from: frozenset[PairState] | None = None, **changes: object) -> bool:
        """Write changed fields of a pair, then take them; one change of the portfolio at a time.

        Args:
            only_from: States the pair must still be in when its turn comes.

        Returns:
            False when the pair had left `only_from` meanwhile; then nothing changed.
        """
        async with self._turn:
            if only_from is not None and ledger.pair.state not in only_from:
                return False
            await self._write(ledger, **changes)
            return True

    async def _write(self, ledger: Ledger, **changes: object) -> None:
        changed = replace(ledger.pair, **changes)  # type: ignore[arg-type]
        await self.journal.save_pair(changed)
        ledger.pair = changed
        self.keep(ledger)

    @property
    def open(self) -> list[Ledger]:
        """Ledgers of pairs that have not ended, oldest first. Asked on every event, hence kept apart from the ended ones."""
        return list(self._open.values())

    @property
    def ended(self) -> list[Ledger]:
        return [ledger for ledger in self.ledgers.values() if ledger.pair.state.is_ended]

    def since_ms(self, venue: VenueName) -> int | None:
        """Decision time of the oldest pair with a leg on `venue` that is open or ended just now, None without one.

        Venues publish funding, and sometimes fills, after the fact: a pair's end does not end the looking.
        """
        pairs = [ledger.pair for ledger in self.ledgers.values()]
        times = [p.decided_at_ms for p in pairs if venue in _venues(p) and (not p.state.is_ended or self._is_recent(p))]
        return min(times, default=None)

    @property
    def is_watching(self) -> bool:
        """Whether any pair is open or ended just now."""
        return any(not ledger.pair.state.is_ended or self._is_recent(ledger.pair) for ledger in self.ledgers.values())

    def _is_recent(self, pair: Pair) -> bool:
        return pair.closed_at_ms is not None and self._clock.wall_ms() - pair.closed_at_ms <= LATE_MS

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
        """Write each new fill down, then give it to its pair; a pair that had ended goes back to closing.

        Disk first: when the store fails nothing is taken, and the same fills may be handed over again.
        """
        async with self._turn:
            new: dict[tuple[str, str, str], tuple[Fill, Ledger | None]] = {}
            for fill in fills:
                key = (fill.venue.value, fill.asset, fill.trade_id)
                if key in self.unexplained:
                    continue  # a later pair does not make a stranger's fill its own
                ledger = await self._ledger_of_fill(fill)
                if ledger is None or (fill.venue.value, fill.trade_id) not in ledger.known_fills:
                    new[key] = (fill, ledger)
            if new:
                rows = [(fill, None if ledger is None else ledger.pair.pair_id) for fill, ledger in new.values()]
                await self.journal.record_fills(rows)
            for key, (fill, ledger) in new.items():
                if ledger is None:
                    self.unexplained[key] = fill
                    log.error("fill_unexplained", venue=fill.venue, asset=fill.asset, size=str(fill.size))
                else:
                    ledger.add_fill(fill)
                    self._owed[ledger.pair.pair_id] = ledger
            await self._settle_owed()
            for fill, ledger in new.values():
                if ledger is not None and fill.client_id is not None:
                    await self._end_filled_order(ledger, fill.client_id)

    async def _settle_owed(self) -> None:
        """What news of an ended pair leads to: open again when it is not flat any more, else accounted again.

        A pair leaves the list only when that is on disk. The news itself is known by then and would not come here a second
        time, so a failing store could leave a position in an ended pair.
        """
        for pair_id, ledger in list(self._owed.items()):
            if ledger.pair.state.is_ended and not ledger.is_flat:
                log.error("pair_reopened_by_late_fill", pair_id=pair_id, asset=ledger.pair.asset)
                await self._write(ledger, state=PairState.CLOSING, closed_at_ms=None, **NOT_ACCOUNTED)
            elif ledger.pair.state is PairState.CLOSED:
                await self._account_for(ledger)
            del self._owed[pair_id]

    async def _end_filled_order(self, ledger: Ledger, client_id: int) -> None:
        if record := ledger.end_filled_order(client_id):
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
            is_its_own = known is not None and known.pair.asset == fill.asset and fill.venue in _venues(known.pair)
            return known if is_its_own else None
        return self._holder(fill.venue, fill.asset, fill.at_ms)

    def _holder(self, venue: VenueName, asset: str, at_ms: int) -> Ledger | None:
        """The pair that held `asset` on `venue` at a moment: what a liquidation or a funding payment belongs to.

        A moment inside a pair's life by our clock wins over one that is only near, since the venue's clock may differ.
        """
        own = [ledger for ledger in self.ledgers.values() if _carries(ledger.pair, venue, asset)]
        for slack_ms in (0, CLOCK_SLACK_MS):
            for ledger in own:
                end_ms = ledger.pair.closed_at_ms
                is_begun = ledger.pair.decided_at_ms <= at_ms + slack_ms
                if is_begun and (end_ms is None or at_ms <= end_ms + slack_ms):
                    return ledger
        return None

    async def take_payments(self, payments: Iterable[FundingPayment]) -> None:
        """Write each new payment down and give it to the pair that held the position; ended pairs are accounted again."""
        async with self._turn:
            new: dict[tuple[str, str, str], tuple[FundingPayment, Ledger | None]] = {}
            for payment in payments:
                ledger = self._holder(payment.venue, payment.asset, payment.at_ms)
                key = (payment.venue.value, payment.asset, payment.payment_id)
                if ledger is None and key in self._strange_payments:
                    continue
                if ledger is None or (payment.venue.value, payment.payment_id) not in ledger.known_payments:
                    new[key] = (payment, ledger)
            if new:
                rows = [(payment, None if ledger is None else ledger.pair.pair_id) for payment, ledger in new.values()]
                await self.journal.record_payments(rows)
            for key, (payment, ledger) in new.items():
                if ledger is None:
                    self._strange_payments.add(key)
                    log.error("payment_of_no_pair", venue=payment.venue, asset=payment.asset, usd=str(payment.usd))
                else:
                    ledger.add_payment(payment)
                    self._owed[ledger.pair.pair_id] = ledger
            await self._settle_owed()

    # Accounting ------------------------------------------------------------------------------------------------------

    async def account_for(self, ledger: Ledger, **changes: object) -> bool:
        """Write a flat pair's attribution and its naked time, with `changes`, in one go; False when it is not flat."""
        async with self._turn:
            return await self._account_for(ledger, **changes)

    async def _account_for(self, ledger: Ledger, **changes: object) -> bool:
        if not ledger.is_flat:
            return False
        pnl, naked = ledger.pnl({}), ledger.naked(self._clock.wall_ms())
        opened = sum((f.size for f in ledger.fills if f.side is ledger.pair.leg_on(f.venue).opening_side), ZERO)
        await self._write(
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
        return True

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


def _carries(pair: Pair, venue: VenueName, asset: str) -> bool:
    return pair.asset == asset and venue in _venues(pair)
