"""A desk that runs, with what surrounds it: for whoever shows, steers or sums it up."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.clock import Clock
from perpdesk.store.failures import StoreError
from perpdesk.store.journal import Journal
from perpdesk.worlds import money
from perpdesk.worlds.invariants import Invariants
from perpdesk.worlds.realtime import World
from perpdesk.worlds.summary import halts, iso, naked_summary, open_pairs, pnl_summary, venue_summary


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
        closes_pairs: Close everything, or the pairs of `closes_only`, as soon as the desk runs, and end when that is done.
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
