"""The carry desk: one loop that takes events in, lets every pair decide, and carries the decisions out.

Recovery is this loop. It starts from what the journal says, asks the venues for what it may have missed, and treats an order
whose request died with an earlier process like any order whose answer was lost.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any

import structlog

from perpdesk.arbitrage.close import decide_closing
from perpdesk.arbitrage.enter import decide_opening
from perpdesk.arbitrage.execute import Executor
from perpdesk.arbitrage.exits import HoldingView, decide_exit, flipped_since
from perpdesk.arbitrage.gates import Opportunity
from perpdesk.arbitrage.guard import Guard
from perpdesk.arbitrage.hold import decide_holding
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.openings import Openings
from perpdesk.arbitrage.portfolio import Portfolio
from perpdesk.arbitrage.reconcile import Reconciler
from perpdesk.arbitrage.scanner import Scanner
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.arbitrage.steps import (
    AskOrder,
    Become,
    CancelOrder,
    PlaceOrder,
    RefreshBook,
    SettleOrder,
    Situation,
    Step,
)
from perpdesk.arbitrage.worth import ROUNDING, closing_profit_usd, closing_profit_usd_max
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.funding import FundingPayment, carry_per_hour
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import Fill
from perpdesk.domain.pairs import Leg, PairState
from perpdesk.market.view import FreshnessLimits, MarketView
from perpdesk.store.failures import StoreError
from perpdesk.store.journal import Journal
from perpdesk.store.trail import Opportunity as OpportunityRow
from perpdesk.venues.base import (
    BookChanged,
    Filled,
    FundingPaid,
    OrderChanged,
    PrivateFeedLost,
    PrivateFeedRestored,
    Venue,
    VenueError,
    VenueEvent,
)

log = structlog.get_logger(__name__)

DECIDERS: Mapping[PairState, Callable[[Situation], list[Step]]] = {
    PairState.OPENING: decide_opening,
    PairState.OPEN: decide_holding,
    PairState.CLOSING: decide_closing,
}

CONFIRM_LOOKS_MAX = 5
"""Looks at the venues before a position that no fill of ours explains is taken to be somebody else's."""
CONFIRM_RETRY_MS = 1_000
"""Pause between looks at the venues while a pair that seems flat is confirmed to be flat."""

DRIFTS_MAX = 2
"""Account reads in a row that must show the same unexplained position before entries halt."""


class MarketGone(Exception):
    """A pair's market was not on its venue's list since this process started: nothing is known of how to trade it."""


@dataclass(slots=True)
class DeskCounters:
    """What the desk did since it started."""

    opportunities: int = 0
    pairs_opened: int = 0
    pairs_closed: int = 0


class Desk:
    """Trades pairs over `venues`. `start`, then `run` until `stop` is called; a new Desk on the same store goes on.

    Args:
        venues: The ports, not yet started.
        journal: Of an open store. run_id, salt: The store's, for the rows and client ids of this run.
    """

    deciders: Mapping[PairState, Callable[[Situation], list[Step]]] = DECIDERS
    executor_type: type[Executor] = Executor

    def __init__(
        self,
        venues: Mapping[VenueName, Venue],
        journal: Journal,
        clock: Clock,
        settings: DeskSettings,
        *,
        run_id: int,
        salt: int,
    ) -> None:
        self._venues = dict(venues)
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._run_id = run_id
        self.view = MarketView(clock, FreshnessLimits(settings.book_age_ms_max, settings.funding_age_ms_max))
        self.guard = Guard(clock)
        self.portfolio = Portfolio(journal, self.view, clock, salt)
        self.reconciler = Reconciler(venues, clock, self.portfolio.since_ms, self._take_fills, self._take_payments)
        self.executor = self.executor_type(venues, journal, self.reconciler, clock, settings, salt)
        self.counters = DeskCounters()
        self.scanner: Scanner | None = None
        self._openings: Openings | None = None
        self._inbox: deque[VenueEvent] = deque()
        self._wake = asyncio.Event()
        self._tasks: dict[tuple[str, object], asyncio.Task[None]] = {}
        self._due_ms: dict[tuple[str, object], int] = {}
        self._flipped_since_ms: dict[int, int | None] = {}
        self._connected: set[VenueName] = set()
        self._is_stopping = False
        self.accepts_entries = True

    # Life ------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect the venues and pick up where the journal left off.

        Raises:
            VenueError: A venue can not be reached. `start` may be called again; venues that answered stay connected.
        """
        wanted = frozenset(self._settings.assets) or None
        for name, venue in self._venues.items():
            if name not in self._connected:
                await venue.start(self._on_event, wanted)
                self._connected.add(name)
        for venue in self._venues.values():
            self.view.list_markets(venue.markets.values())
        assets = tuple(a for a in self.view.assets if wanted is None or a in wanted)
        self.scanner = Scanner(self.view, tuple(self._venues), assets, self._settings.entry)
        self._openings = Openings(self.portfolio, self.reconciler, self.view, self.guard, self._clock, self._settings)
        await self.portfolio.load()

    async def run(self) -> None:
        """Work until `stop`. A failing request or decision is logged and tried again; it never ends the loop."""
        while not self._is_stopping:
            try:
                await self.step()
            except StoreError as error:
                self.guard.halt("store", f"the store does not take writes: {error}")
                await self._clock.sleep_ms(self._settings.execution.retry_ms)
            except Exception:
                # Ending here could leave a naked leg: entries stop, everything else goes on.
                log.exception("step_failed")
                self.guard.halt("bug:step", "unexpected failure in the desk's loop; see the log")
                await self._clock.sleep_ms(self._settings.execution.retry_ms)
            await self._wait()

    async def stop(self) -> None:
        """Stop deciding, let requests under way finish, close the venues. Open pairs stay open."""
        self._is_stopping = True
        self._wake.set()
        if self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        try:
            await self._drain()
        finally:  # a store that fails must not leave sockets open
            await asyncio.gather(*(venue.stop() for venue in self._venues.values()))

    @property
    def is_idle(self) -> bool:
        """No request of ours is under way."""
        return not self._tasks

    async def _wait(self) -> None:
        timer = self._clock.call_later_ms(self._settings.heartbeat_ms, self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    # Events ----------------------------------------------------------------------------------------------------------

    def _on_event(self, event: VenueEvent) -> None:
        """Called by the venues: market data goes to the view at once, everything else waits for the loop."""
        if self.view.on_event(event):
            if isinstance(event, BookChanged) and (self.portfolio.open or self._is_due("scan", None)):
                self._wake.set()
            return
        self._inbox.append(event)
        self._wake.set()

    async def _drain(self) -> None:
        """Take what arrived, in order. Fills and payments are on disk before anything is decided on them.

        An event leaves the inbox only when it has been taken: a failing store loses none.
        """
        while self._inbox:
            fills = list(takewhile(lambda event: isinstance(event, Filled), self._inbox))
            batch = fills or [self._inbox[0]]
            try:
                await self._take(batch)
                self._forget(len(batch))
            except StoreError:
                raise
            except Exception:
                await self._take_singly(batch)

    async def _take_singly(self, batch: list[VenueEvent]) -> None:
        """One event that can not be taken must not block those behind it: it is told, entries stop, the rest goes on."""
        for event in batch:
            try:
                await self._take([event])
            except StoreError:
                raise
            except Exception:
                log.exception("event_not_taken", event_type=type(event).__name__)
                self.guard.halt("bug:event", "an event of a venue could not be taken; see the log")
            self._forget(1)

    async def _take(self, batch: list[VenueEvent]) -> None:
        match batch[0]:
            case Filled():
                await self.portfolio.take_fills([event.fill for event in batch if isinstance(event, Filled)])
            case FundingPaid(payment):
                await self.portfolio.take_payments([payment])
            case OrderChanged(report) as event:
                await self._take_report(report.client_id, event)
            case PrivateFeedLost(venue) | PrivateFeedRestored(venue):
                self.reconciler.books[venue].needs_fills = True
            case _:
                pass

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._inbox.popleft()

    async def _take_report(self, client_id: int, event: OrderChanged) -> None:
        for ledger in self.portfolio.ledgers.values():
            if client_id in ledger.orders:
                self.executor.reported_at_ms[client_id] = self._clock.wall_ms()
                if changed := ledger.take_report(event.report):
                    await self._journal.update_order(changed)
                return

    async def _take_fills(self, fills: tuple[Fill, ...]) -> None:
        await self.portfolio.take_fills(fills)
        self._wake.set()

    async def _take_payments(self, payments: tuple[FundingPayment, ...]) -> None:
        await self.portfolio.take_payments(payments)

    # The loop --------------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """One turn: events, housekeeping that is due, every pair's decision, then the scan."""
        if "store" in self.guard.halts and await self._journal.store.probe():
            self.guard.clear("store")
        try:
            await self._drain()
        except StoreError as error:
            self.guard.halt("store", f"the store does not take writes: {error}")
        self._housekeep()
        for ledger in self.portfolio.open:
            self._drive_guarded(ledger)
        if self._take_due("scan", None, self._settings.scan_every_ms):
            await self._scan()

    def _drive_guarded(self, ledger: Ledger) -> None:
        """A pair that can not be decided on holds no other pair back."""
        stuck = f"pair:{ledger.pair.pair_id}"
        try:
            self._drive(ledger)
        except MarketGone as error:
            self.guard.halt(stuck, str(error))
        except Exception:
            if f"bug:{stuck}" not in self.guard.halts:  # told once: every event would repeat it
                log.exception("decision_failed", pair_id=ledger.pair.pair_id, asset=ledger.pair.asset)
            self.guard.halt(f"bug:{stuck}", f"unexpected failure deciding on {stuck}; see the log")
        else:
            self.guard.clear(stuck)

    def _drive(self, ledger: Ledger) -> None:
        """Let one pair decide and start what it wants; at most one request per leg is under way."""
        if ledger.pair.state is PairState.OPEN:
            self._consider_exit(ledger)
        situation = self.situation(ledger)
        for step in self.deciders[ledger.pair.state](situation):
            # With events that could not be written down, only what needs no fresh knowledge goes on.
            if not self._inbox or isinstance(step, CancelOrder | AskOrder | SettleOrder | RefreshBook):
                self._start_step(ledger, step)

    def situation(self, ledger: Ledger) -> Situation:
        """The pair as its decision sees it now."""
        pair = ledger.pair
        busy = frozenset(leg for leg in Leg if ("leg", (pair.pair_id, leg)) in self._tasks)
        markets = {leg: self._market(pair.venue_of(leg), pair.asset) for leg in Leg}
        books = {leg: self.view.book(pair.venue_of(leg), pair.asset) for leg in Leg}
        return Situation(
            ledger, self._clock.wall_ms(), self._settings, markets, books, busy, self.executor.reported_at_ms
        )

    def _market(self, venue: VenueName, asset: str) -> Market:
        """As last listed: a market that is gone from the venue's list still has to be closed."""
        market = self.view.market(venue, asset)
        if market is None:
            raise MarketGone(f"{venue} does not list {asset} any more; close its pair there by hand")
        return market

    def _start_step(self, ledger: Ledger, step: Step) -> None:
        match step:
            case Become(state, reason):
                self._spawn(("pair", ledger.pair.pair_id), self._become(ledger, state, reason))
            case PlaceOrder():
                self._spawn(self._leg_key(ledger, step.leg), self.executor.place(ledger, step))
            case SettleOrder():
                self._retry(self._leg_key(ledger, step.leg), self.executor.settle(ledger, step))
            case AskOrder():
                self._spawn(self._leg_key(ledger, step.leg), self.executor.ask(ledger, step))
            case CancelOrder():
                self._spawn(self._leg_key(ledger, step.leg), self.executor.cancel(ledger, step))
            case RefreshBook(leg):
                self._retry(self._leg_key(ledger, leg), self._refresh_book(ledger, leg))

    @staticmethod
    def _leg_key(ledger: Ledger, leg: Leg) -> tuple[str, object]:
        return "leg", (ledger.pair.pair_id, leg)

    async def _refresh_book(self, ledger: Ledger, leg: Leg) -> None:
        """A leg must trade and its feed is silent: one book by request stands in until the feed is back."""
        venue = ledger.pair.venue_of(leg)
        book = await self._venues[venue].fetch_book(ledger.pair.asset)
        self.view.on_event(BookChanged(venue, ledger.pair.asset, book))

    async def _become(self, ledger: Ledger, state: PairState, reason: str | None) -> None:
        now_ms = self._clock.wall_ms()
        log.info("pair_changes", pair_id=ledger.pair.pair_id, asset=ledger.pair.asset, state=state, reason=reason)
        match state:
            case PairState.OPEN:
                if await self.portfolio.change(
                    ledger, only_from=frozenset({PairState.OPENING}), state=state, opened_at_ms=now_ms
                ):
                    self.counters.pairs_opened += 1
            case PairState.CLOSING:
                await self.portfolio.change(
                    ledger,
                    only_from=frozenset({PairState.OPENING, PairState.OPEN}),
                    state=state,
                    closing_at_ms=now_ms,
                    exit_reason=reason,
                )
            case PairState.CLOSED:
                await self._finish(ledger)

    async def _finish(self, ledger: Ledger) -> None:
        """End a pair once both venues confirm that it is flat and all its money has been read.

        Its fills decide. A position that the account still shows after several looks without a fill of ours behind it is
        somebody else's: the pair ends, and the drift check halts entries.
        """
        pair = ledger.pair
        for _ in range(CONFIRM_LOOKS_MAX):
            if await self._looks_flat(ledger):
                break
            await self._clock.sleep_ms(CONFIRM_RETRY_MS)
        for venue in (pair.long_venue, pair.short_venue):
            await self.reconciler.sync_payments(venue)
        if await self.portfolio.account_for(ledger, state=PairState.CLOSED, closed_at_ms=self._clock.wall_ms()):
            self._flipped_since_ms.pop(pair.pair_id, None)
            if pair.opened_at_ms is not None:
                self.counters.pairs_closed += 1

    async def _looks_flat(self, ledger: Ledger) -> bool:
        """Read fills and positions of both venues; whether neither shows anything of the pair's asset."""
        is_flat = True
        for venue in (ledger.pair.long_venue, ledger.pair.short_venue):
            await self.reconciler.sync_fills(venue)
            position = (await self.reconciler.sync_account(venue)).positions.get(ledger.pair.asset)
            if position is not None and position.size != 0:
                log.warning("not_flat_yet", pair_id=ledger.pair.pair_id, venue=venue, size=str(position.size))
                is_flat = False
        return is_flat and ledger.is_flat

    # Exits -----------------------------------------------------------------------------------------------------------

    def _consider_exit(self, ledger: Ledger) -> None:
        pair, now_ms, exits = ledger.pair, self._clock.wall_ms(), self._settings.exits
        if ("pair", pair.pair_id) in self._tasks or pair.opened_at_ms is None:
            return
        carry = self.carry_bps_per_hour(ledger)
        since = flipped_since(carry, self._flipped_since_ms.get(pair.pair_id), exits, now_ms)
        self._flipped_since_ms[pair.pair_id] = since
        target_usd = float(pair.notional_usd) * exits.profit_target_bps / 10_000
        profit = self.closing_profit_usd(ledger, target_usd * (1 - ROUNDING))
        view = HoldingView(pair.opened_at_ms, carry, since, profit, pair.notional_usd)
        reason = decide_exit(view, exits, now_ms)
        if reason is not None:
            self._spawn(("pair", pair.pair_id), self._become(ledger, PairState.CLOSING, reason))

    def carry_bps_per_hour(self, ledger: Ledger) -> float | None:
        """What the pair earns per hour at the current estimates, None while one of them is unknown."""
        pair = ledger.pair
        long, short = self.view.funding(pair.long_venue, pair.asset), self.view.funding(pair.short_venue, pair.asset)
        if long is None or short is None:
            return None
        return float(carry_per_hour(long.rate, short.rate)) * 10_000

    def closing_profit_usd(self, ledger: Ledger, floor_usd: float | None = None) -> Decimal | None:
        """Profit of the pair if it were closed into the visible books now, exit fees included.

        Returns:
            None when not known, or when it is certainly below `floor_usd`.
        """
        pair, fees = ledger.pair, self.reconciler.books
        long_book = self.view.book(pair.long_venue, pair.asset)
        short_book = self.view.book(pair.short_venue, pair.asset)
        long_fees, short_fees = fees[pair.long_venue].fees, fees[pair.short_venue].fees
        if long_book is None or short_book is None or long_fees is None or short_fees is None:
            return None
        books, rates = (long_book, short_book), (long_fees, short_fees)
        if floor_usd is not None:
            most = closing_profit_usd_max(ledger, books, rates)
            if most is None or most < floor_usd:
                return None
        return closing_profit_usd(ledger, books, rates)

    def request_close(self, asset: str | None, reason: str) -> list[int]:
        """Start closing every open pair of `asset` (None: all) for `reason`; returns their ids."""
        ids = []
        for ledger in self.portfolio.open:
            if asset in (None, ledger.pair.asset) and ledger.pair.state is not PairState.CLOSING:
                self._spawn(("close", ledger.pair.pair_id), self._become(ledger, PairState.CLOSING, reason))
                ids.append(ledger.pair.pair_id)
        return ids

    # Scan ------------------------------------------------------------------------------------------------------------

    async def _scan(self) -> None:
        """Judge what changed and open what passes."""
        if self.scanner is None or self._openings is None:
            raise RuntimeError("start() has to run before step()")
        touched = self.view.take_touched()
        for opportunity in self.scanner.refresh(touched):
            if opportunity.is_open:
                self.counters.opportunities += 1
                if self.accepts_entries and not self._is_stopping:
                    await self._enter(opportunity)
        if self._take_due("sample", None, self._settings.opportunity_sample_ms):
            self._spawn(("sample", None), self._journal.sample_opportunities(self._samples(self.scanner)))

    def _samples(self, scanner: Scanner) -> list[OpportunityRow]:
        """The current scan as rows for the store."""
        now_ms = self._clock.wall_ms()
        return [
            OpportunityRow(now_ms, asset, best.long_venue, best.short_venue, best.as_dict())
            for asset, best in scanner.best.items()
        ]

    async def _enter(self, opportunity: Opportunity) -> None:
        if self._openings is None:
            raise RuntimeError("start() has to run before step()")
        pair = self._openings.decide(opportunity, self._run_id)
        if pair is not None:
            ledger = await self.portfolio.add(pair)
            log.info("pair_decided", pair_id=ledger.pair.pair_id, asset=pair.asset, size=str(pair.size_target))
            self._drive(ledger)

    # Housekeeping ----------------------------------------------------------------------------------------------------

    def _housekeep(self) -> None:
        """Start the periodic reads that are due; each runs once at a time and never delays a decision."""
        settings, has_pairs = self._settings, self.portfolio.is_watching
        for venue, books in self.reconciler.books.items():
            fees_every = settings.fees_every_ms if books.fees is not None else settings.execution.retry_ms_max
            self._periodic("fees", venue, fees_every, self._read_fees)
            account_every = settings.account_every_ms if books.account is not None else settings.execution.retry_ms_max
            self._periodic("account", venue, account_every, self._read_account)
            if has_pairs:
                self._periodic("payments", venue, settings.funding_poll_ms, self.reconciler.sync_payments)
            if books.needs_fills:
                self._periodic("fills", venue, settings.execution.retry_ms, self.reconciler.sync_fills)

    async def _read_fees(self, venue: VenueName) -> None:
        await self.reconciler.sync_fees(venue)
        if self.scanner is not None:
            self.scanner.set_fees(venue, self.reconciler.books[venue].fees)

    async def _read_account(self, venue: VenueName) -> None:
        """Compare the venue's positions with ours; what stays unexplained after reading fills again halts entries."""
        await self.reconciler.sync_account(venue)
        if any(not self.is_settled(ledger) for ledger in self.portfolio.open):
            return
        drift = self.reconciler.compare_positions(venue, self.portfolio.expected_positions(venue))
        drift = {asset: size for asset, size in drift.items() if self.scanner is None or asset in self.scanner.assets}
        books, name = self.reconciler.books[venue], f"drift:{venue}"
        books.drifts = books.drifts + 1 if drift else 0
        if books.drifts >= DRIFTS_MAX:
            words = ", ".join(f"{size:+f} {asset}" for asset, size in sorted(drift.items()))
            self.guard.halt(name, f"{venue} holds {words} that no fill of this desk explains")
        if drift:
            books.needs_fills = True
        else:
            self.guard.clear(name)

    def is_settled(self, ledger: Ledger) -> bool:
        """No order of the pair can still change."""
        return all(ledger.live_order(leg) is None for leg in Leg) and not any(
            ("leg", (ledger.pair.pair_id, leg)) in self._tasks for leg in Leg
        )

    # Tasks -----------------------------------------------------------------------------------------------------------

    def _is_due(self, name: str, of: object) -> bool:
        return self._clock.monotonic_ms() >= self._due_ms.get((name, of), 0)

    def _take_due(self, name: str, of: object, every_ms: int) -> bool:
        """Whether it is time, and if so when the next time is."""
        if not self._is_due(name, of):
            return False
        self._due_ms[name, of] = self._clock.monotonic_ms() + every_ms
        return True

    def _periodic(
        self, name: str, venue: VenueName, every_ms: int, read: Callable[[VenueName], Coroutine[Any, Any, None]]
    ) -> None:
        if (name, venue) not in self._tasks and self._take_due(name, venue, every_ms):
            self._spawn((name, venue), read(venue))

    def _retry(self, key: tuple[str, object], work: Coroutine[Any, Any, None]) -> None:
        """Like `_spawn`, but not more often than the retry pause."""
        if self._take_due("retry", key, self._settings.execution.retry_ms):
            self._spawn(key, work)
        else:
            work.close()

    def _spawn(self, key: tuple[str, object], work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the loop, once per key; its failure is told and leaves the next decision to try again."""
        if key in self._tasks or self._is_stopping or not self._is_due("pause", key):
            work.close()
            return
        self._tasks[key] = asyncio.create_task(self._guarded(key, work))

    async def _guarded(self, key: tuple[str, object], work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            return
        except VenueError as error:
            log.warning("request_failed", work=str(key), error=str(error), kind=type(error).__name__)
        except StoreError as error:
            self.guard.halt("store", f"the store does not take writes: {error}")
        except Exception:
            log.exception("work_failed", work=str(key))
            self.guard.halt(f"bug:{key[0]}", f"unexpected failure in {key[0]}; see the log")
        finally:
            self._tasks.pop(key, None)
            self._wake.set()
        self._due_ms["pause", key] = self._clock.monotonic_ms() + self._settings.execution.retry_ms
