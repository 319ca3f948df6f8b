"""What is looked at beside the desk while it runs: the lock, the invariants, the money."""

import asyncio

import structlog

from perpdesk.store.engine import parse_url
from perpdesk.store.lock import DeskLock
from perpdesk.venues.base import VenueError
from perpdesk.worlds import money
from perpdesk.worlds.ending import explains
from perpdesk.worlds.running import RunningDesk

log = structlog.get_logger(__name__)

WATCH_MS = 2_000
LOOK_MS = 5_000
"""How often the money is compared while the desk runs."""
LIVE_LOOK_MS = 30_000
"""The same where every account read counts against a real venue's limits."""


async def watch(running: RunningDesk, lock: DeskLock) -> None:
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
        if start is not None and seen.is_quiet and not explains(seen, start):
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
