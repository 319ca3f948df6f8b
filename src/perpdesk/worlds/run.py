"""A desk in real time: from the lock on its store to the summary at its end."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog

from perpdesk.arbitrage.engine import Desk
from perpdesk.domain.clock import Clock
from perpdesk.store.engine import make_engine
from perpdesk.store.journal import Journal
from perpdesk.store.lock import DeskLock
from perpdesk.store.writer import Store
from perpdesk.venues.paper import PaperVenue
from perpdesk.worlds import money
from perpdesk.worlds.commands import CommandDesk, refuse_pending
from perpdesk.worlds.ending import close_pairs, end
from perpdesk.worlds.invariants import Invariants
from perpdesk.worlds.realtime import World
from perpdesk.worlds.running import NothingToTrade, RunningDesk, RunOptions, WorldFailed, WorldMismatch
from perpdesk.worlds.summary import venue_summary
from perpdesk.worlds.watch import watch

log = structlog.get_logger(__name__)

STOP_LIMIT_MS = 10_000
"""How long requests under way may take to finish once the desk stops."""
SANDBOX_ENDED = "the sandbox this was for has ended; nothing of it is left to close"


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
            "watch": watch(running, lock),
        }
        running.tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        running.phase = "trading"
        async with show(running):
            await _until_ended(running)
            running.phase = "ending"
            await end(running)
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
        waits.add(asyncio.create_task(close_pairs(running, options.closes_only)))
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
