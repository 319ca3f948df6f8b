"""The end of a run: close what has to be closed, and look at the money once more."""

import asyncio
import contextlib
from decimal import Decimal

import structlog

from perpdesk.venues.base import VenueError
from perpdesk.worlds import money
from perpdesk.worlds.running import RunningDesk

log = structlog.get_logger(__name__)

CLOSE_LIMIT_MS = 15_000
"""How long a sandbox desk may take to close its pairs at the end."""
LAST_LOOK_TRIES = 3
LAST_LOOK_PAUSE_MS = 1_500
UNEXPLAINED_USD = Decimal("0.00001")
"""A residual beyond this makes the desk ask the venues for what it may have missed."""


async def close_pairs(running: RunningDesk, asset: str | None = None) -> None:
    """Close pairs of `asset`, or all, asking again until they have ended."""
    desk = running.desk
    while any(asset in (None, ledger.pair.asset) for ledger in desk.portfolio.open):
        desk.request_close(asset, "end of the run" if running.world.name == "sandbox" else "closed by command")
        await running.clock.sleep_ms(100)


async def end(running: RunningDesk) -> None:
    """Take no new pairs; the sandbox, which ends with the run, closes the open ones. Then look at the money once more."""
    desk = running.desk
    desk.accepts_entries = False
    if running.world.name == "sandbox":
        running.phase = "closing pairs"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_MS / 1000):
                await close_pairs(running)
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
            if running.start_look is None or explains(seen, running.start_look):
                return seen
            return await money.look(running.desk, running.clock, with_history=True)
        except VenueError as error:
            log.warning("money_not_compared", error=str(error), tries_left=tries_left)
        if tries_left:
            await running.clock.sleep_ms(LAST_LOOK_PAUSE_MS)
    return None


def explains(seen: money.MoneyLook, start: money.MoneyLook) -> bool:
    return seen.is_quiet and abs(seen.since(start).residual_usd) <= UNEXPLAINED_USD
