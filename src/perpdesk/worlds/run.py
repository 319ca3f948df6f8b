"""A desk in real time: from the lock on its store to the summary at its end."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import structlog

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.clock import Clock
from perpdesk.store.engine import make_engine, parse_url
from perpdesk.store.failures import StoreError
from perpdesk.store.journal import Journal
from perpdesk.store.lock import DeskLock
from perpdesk.store.writer import Store
from perpdesk.venues.base import VenueError
from perpdesk.venues.paper import PaperVenue
from perpdesk.worlds import money
from perpdesk.worlds.commands import CommandDesk, refuse_pending
from perpdesk.worlds.invariants import Invariants
from perpdesk.worlds.realtime import World
from perpdesk.worlds.summary import halts, iso, naked_summary, open_pairs, pnl_summary, venue_summary

log = structlog.get_logger(__name__)

CLOSE_LIMIT_MS = 15_000
"""How long a sandbox desk may take to close its pairs at the end."""
STOP_LIMIT_MS = 10_000
"""How long requests under way may take to finish once the desk stops."""
LAST_LOOK_TRIES = 3
LAST_LOOK_PAUSE_MS = 1_500
UNEXPLAINED_USD = Decimal("0.00001")
"""A residual beyond this at the end makes the desk ask the venues for what it may have missed."""
WATCH_MS = 2_000
LOOK_MS = 5_000
"""How often the money is compared while the desk runs."""
LIVE_LOOK_MS = 30_000
"""The same where every account read counts against a real venue's limits."""
SANDBOX_ENDED = "the sandbox this was for has ended; nothing of it is left to close"


class WorldMismatch(StoreError):
    """The store belongs to another world, whose pairs this run would mistake for its own."""


class RunEnded(Exception):
    """The run can not begin or go on; the message says why and, where there is one, the remedy."""


class NothingToTrade(RunEnded):
    """No two venues list what is to be traded."""


class WorldFailed(RunEnded):
    """Something a run lives by ended by itself; the cause is chained."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run a desk.

    Attributes:
        duration_ms: None runs until `RunningDesk.stop` is set.
        accepts_entries: False only looks after pairs that are open.
        closes_pairs: Close everything as soon as the desk runs, and end when that is done.
    """

    desk: DeskSettings
    store_url: str
    duration_ms: int | None = None
    accepts_entries: bool = True
    closes_pairs: bool = False
    closes_only: str | None = None


@dataclass(slots=True)
class RunningDesk:
    """A desk with what surrounds it, for whoever shows or steers it.

    Attributes:
        stop: Set it to end the run in order. start_look, last_look: Money at the start and at the last quiet moment.
        phase: What the run is doing, in a word or two.
    """

    world: World
    options: RunOptions
    desk: Desk
    journal: Journal
    run_id: int
    clock: Clock
    started_at_ms: int
    stop: asyncio.Event
    invariants: Invariants | None
    store_name: str
    start_look: money.MoneyLook | None = None
    last_look: money.MoneyLook | None = None
    phase: str = "starting"
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @property
    def change(self) -> money.MoneyChange | None:
        """Money since the start, at the last quiet moment."""
        if self.start_look is None or self.last_look is None:
            return None
        return self.last_look.since(self.start_look)

    @property
    def elapsed_ms(self) -> int:
        return self.clock.wall_ms() - self.started_at_ms

    def summary(self) -> dict[str, Any]:
        """The run so far as one document."""
        desk, counters = self.desk, self.desk.counters
        broken = [] if self.invariants is None else self.invariants.violations
        return {
            "world": self.world.name,
            "seed": self.world.seed,
            "started_at": iso(self.started_at_ms),
            "started_at_ms": self.started_at_ms,
            "elapsed_s": round(self.elapsed_ms / 1000, 3),
            "store": self.store_name,
            "venues": {name.value: venue_summary(venue) for name, venue in self.world.venues.items()},
            "scans": 0 if desk.scanner is None else desk.scanner.scans,
            "opportunities": counters.opportunities,
            "pairs_opened": counters.pairs_opened,
            "pairs_closed": counters.pairs_closed,
            "pairs_open": open_pairs(desk),
            "naked_ms": naked_summary(desk, self.clock.wall_ms()),
            "pnl_usd": pnl_summary(desk, self.change),
            "halts": halts(desk),
            "invariants_broken": [{"invariant": v.invariant, "message": v.message} for v in broken],
        }


Show = Callable[[RunningDesk], AbstractAsyncContextManager[None]]
"""Shows a run while the block lasts."""


@contextlib.asynccontextmanager
async def show_nothing(_running: RunningDesk) -> AsyncIterator[None]:
    """The `Show` of whoever only wants the summary."""
    yield


async def run_desk(
    world_of: AbstractAsyncContextManager[World],
    options: RunOptions,
    clock: Clock,
    rng: random.Random,
    stop: asyncio.Event,
    show: Show = show_nothing,
) -> dict[str, Any]:
    """Run a desk on a world that is opened once its store is held; returns the summary, which the store keeps too.

    Raises:
        StoreBusy: Another desk holds the store; the message names it. StoreError: The store can not be used.
        VenueError: A venue can not be reached at the start.
        WorldFailed: A part of the run ended by itself.
    """
    with DeskLock(options.store_url, clock) as lock:
        store = await asyncio.to_thread(lambda: Store.open(options.store_url, mode="thread", clock=clock))
        try:
            async with world_of as world:
                running = await _build(world, options, store, clock, rng, stop)
                return await _live(running, lock, show)
        finally:
            await store.close()


async def _build(
    world: World, options: RunOptions, store: Store, clock: Clock, rng: random.Random, stop: asyncio.Event
) -> RunningDesk:
    journal = Journal(store, clock, rng)
    await require_same_world(journal, world.name)
    if world.name == "sandbox":
        await journal.abandon_open_pairs("its sandbox ended", clock.wall_ms())
        await refuse_pending(journal, SANDBOX_ENDED)
    await _restore_paper(world, journal)
    run_id = await journal.begin_run(world.name, world.seed, os.getpid())
    desk = Desk(world.venues, journal, clock, options.desk, run_id=run_id, salt=await journal.salt())
    invariants = _watch_invariants(world, options.store_url, clock)
    return RunningDesk(
        world, options, desk, journal, run_id, clock, clock.wall_ms(), stop, invariants, store.description
    )


async def _restore_paper(world: World, journal: Journal) -> None:
    """A paper account lives in memory only: go on from what its journal holds."""
    on_paper = [venue for venue in world.venues.values() if isinstance(venue, PaperVenue)]
    if on_paper:
        fills = [fill for fill, _ in await journal.load_fills_since(0)]
        payments = [payment for payment, _ in await journal.load_payments_since(0)]
        for venue in on_paper:
            venue.restore(fills, payments)


async def require_same_world(journal: Journal, world: str) -> None:
    """WorldMismatch when the store was used by another world.

    A sandbox would abandon real positions, a live desk would try to close what never existed, and a paper account would
    take real fills for its own.
    """
    for run in await journal.load_runs(limit=1):
        if run.world != world:
            raise WorldMismatch(
                f"{journal.store.description} belongs to the {run.world} world;"
                f" give this {world} run a store of its own, with --store or in the configuration"
            )


def _watch_invariants(world: World, store_url: str, clock: Clock) -> Invariants | None:
    """Checks on the simulated venues' own books; there are none to look into in a live world."""
    if world.sandbox is None or world.wire is None:
        return None
    accounts = [(world.sandbox.exchanges[v], accounts[0]) for v, accounts in world.sandbox.accounts.items()]
    cash_usd = accounts[0][0].equity_usd(accounts[0][1].exchange_id)
    # The checks look while the writer works: a reader that took the write lock, as plain connections do, would hold it up.
    engine = make_engine(store_url).execution_options(perpdesk_read=True)
    invariants = Invariants(world.sandbox, engine, clock, cash_usd)
    world.wire.on_sent = invariants.on_sent
    return invariants


async def _live(running: RunningDesk, lock: DeskLock, show: Show) -> dict[str, Any]:
    desk, world = running.desk, running.world
    desk.accepts_entries = False
    try:
        await desk.start()
        _require_assets(running)
        running.start_look = await money.look(desk, running.clock, with_history=bool(desk.portfolio.open))
        running.last_look = running.start_look
        desk.accepts_entries = running.options.accepts_entries
        works = {
            "desk": desk.run(),
            "commands": CommandDesk(desk, running.journal, running.clock).run(),
            "watch": _watch(running, lock),
        }
        running.tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        running.phase = "trading"
        async with show(running):
            await _until_ended(running)
            running.phase = "ending"
            await _end(running)
            summary = running.summary()
    finally:
        await _stop(running)
    summary["venues"] = {name.value: venue_summary(venue) for name, venue in world.venues.items()}
    await running.journal.end_run(running.run_id, summary)
    return summary


def _require_assets(running: RunningDesk) -> None:
    """NothingToTrade when none of the wanted assets can make a pair; those that can not are told."""
    wanted, paired = running.options.desk.assets, running.desk.view.assets
    missing = [asset for asset in wanted if asset not in paired]
    if not paired or (wanted and len(missing) == len(wanted)):
        raise NothingToTrade(f"no two venues list {', '.join(missing) or 'the same asset'}; choose other assets")
    if missing:
        log.warning("assets_not_paired", assets=missing)


async def _until_ended(running: RunningDesk) -> None:
    """Wait for the end that was asked for; WorldFailed when something ends that should not."""
    options = running.options
    stopping = asyncio.create_task(running.stop.wait())
    waits: set[asyncio.Task[Any]] = {stopping, *running.tasks, *running.world.background}
    if options.closes_pairs:
        waits.add(asyncio.create_task(_close_pairs(running, options.closes_only)))
    timeout_s = None
    if options.duration_ms is not None:
        timeout_s = max(options.duration_ms - running.elapsed_ms, 0) / 1000
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done.intersection((*running.tasks, *running.world.background)):
            cause = task.exception()
            raise WorldFailed(f"a part of the run ended by itself ({task.get_name()}): {cause!r}") from cause
    finally:
        for task in waits.difference((*running.tasks, *running.world.background)):
            task.cancel()


async def _close_pairs(running: RunningDesk, asset: str | None = None) -> None:
    """Close pairs of `asset`, or all, asking again until they have ended."""
    desk = running.desk
    while any(asset in (None, ledger.pair.asset) for ledger in desk.portfolio.open):
        desk.request_close(asset, "end of the run" if running.world.name == "sandbox" else "closed by command")
        await running.clock.sleep_ms(100)


async def _end(running: RunningDesk) -> None:
    """Take no new pairs; the sandbox, which ends with the run, closes the open ones. Then look at the money once more."""
    desk = running.desk
    desk.accepts_entries = False
    if running.world.name == "sandbox":
        running.phase = "closing pairs"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_MS / 1000):
                await _close_pairs(running)
    running.last_look = await _last_look(running)
    if running.last_look is None:
        return
    if running.invariants is not None and running.last_look.is_quiet:
        running.invariants.check_desk(desk)
        running.invariants.check_money(desk)
        if not desk.portfolio.open:
            running.invariants.check_flat()


async def _last_look(running: RunningDesk) -> money.MoneyLook | None:
    """The money at the end; None when no account could be read within LAST_LOOK_TRIES.

    Reading histories is dear in requests, so it is done only when what the venues pushed leaves something unexplained.
    """
    for tries_left in range(LAST_LOOK_TRIES - 1, -1, -1):
        try:
            seen = await money.look(running.desk, running.clock, with_history=False)
            if running.start_look is None or _explains(seen, running.start_look):
                return seen
            return await money.look(running.desk, running.clock, with_history=True)
        except VenueError as error:
            log.warning("money_not_compared", error=str(error), tries_left=tries_left)
        if tries_left:
            await running.clock.sleep_ms(LAST_LOOK_PAUSE_MS)
    return None


def _explains(seen: money.MoneyLook, start: money.MoneyLook) -> bool:
    return seen.is_quiet and abs(seen.since(start).residual_usd) <= UNEXPLAINED_USD


async def _stop(running: RunningDesk) -> None:
    """Let the desk finish what is under way, then end everything else."""
    try:
        async with asyncio.timeout(STOP_LIMIT_MS / 1000):
            await running.desk.stop()
    except TimeoutError:
        log.error("desk_not_stopped", limit_ms=STOP_LIMIT_MS)
    for task in running.tasks:
        task.cancel()
    await asyncio.gather(*running.tasks, return_exceptions=True)


async def _watch(running: RunningDesk, lock: DeskLock) -> None:
    """While the desk runs: is the lock still ours, does the desk count what the venues did, does the money add up."""
    every_ms = LIVE_LOOK_MS if running.world.name == "live" else LOOK_MS
    due_ms = running.clock.monotonic_ms() + every_ms
    while True:
        await running.clock.sleep_ms(WATCH_MS)
        if not await _is_held(lock, running.options.store_url):
            running.desk.guard.halt("lock", "the lock on the store is lost; another desk may start on it")
        if running.invariants is not None:
            running.invariants.check_desk(running.desk)
        if running.clock.monotonic_ms() >= due_ms and running.phase == "trading":
            await _look(running)
            due_ms = running.clock.monotonic_ms() + every_ms


async def _look(running: RunningDesk) -> None:
    """Compare the money; what does not add up is mostly funding that a venue books without telling, so that is asked for."""
    desk, start = running.desk, running.start_look
    try:
        seen = await money.look(desk, running.clock, with_history=False)
        if start is not None and seen.is_quiet and not _explains(seen, start):
            await asyncio.gather(*(desk.reconciler.sync_payments(venue) for venue in desk.reconciler.books))
            seen = await money.look(desk, running.clock, with_history=False)
    except VenueError as error:
        log.warning("money_not_compared", error=str(error))
        return
    if seen.is_quiet:
        running.last_look = seen


async def _is_held(lock: DeskLock, store_url: str) -> bool:
    """A file's lock belongs to the thread that took it; a database is asked beside the loop, which must not wait for it."""
    if parse_url(store_url).get_backend_name() == "sqlite":
        return lock.is_held()
    return await asyncio.to_thread(lock.is_held)
