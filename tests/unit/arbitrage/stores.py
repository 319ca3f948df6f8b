"""A portfolio over a real store in memory, and one whose writes can be held back or made to fail."""

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.engine import Connection

from perpdesk.arbitrage.portfolio import Portfolio
from perpdesk.domain.clock import Clock, ManualClock
from perpdesk.market.view import FreshnessLimits, MarketView
from perpdesk.store.engine import make_engine
from perpdesk.store.failures import StoreUnavailable
from perpdesk.store.journal import Journal
from perpdesk.store.schema import ensure_schema
from perpdesk.store.writer import Store
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0, market

T = TypeVar("T")


class HeldStore(Store):
    """An inline store that behaves like one with a writer thread: writes take time, and they can fail.

    Attributes:
        gate: While cleared, writes wait, in order, before they happen. failures_left: How many of the next writes fail, after
            `failures_after` that still work.
    """

    def __init__(self, clock: Clock) -> None:
        engine = make_engine("sqlite:///:memory:")
        ensure_schema(engine)
        super().__init__(engine, "inline", clock)
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures_left = 0
        self.failures_after = 0
        self.writes = 0

    async def run(self, work: Callable[[Connection], T]) -> T:
        await self.gate.wait()
        self.writes += 1
        if self.failures_after:
            self.failures_after -= 1
        elif self.failures_left:
            self.failures_left -= 1
            raise StoreUnavailable("the disk is full")
        return await super().run(work)


class Desktop:
    """A journal, a view of two venues and a portfolio; `restarted` is the same store under a new process."""

    def __init__(self, store: HeldStore | None = None, salt: int = 7) -> None:
        self.clock = ManualClock(T0)
        self.store = store or HeldStore(self.clock)
        self.journal = Journal(self.store, self.clock, random.Random(1))
        self.view = MarketView(self.clock, FreshnessLimits(10_000, 120_000))
        self.view.list_markets([market(LIGHTER), market(HYPERLIQUID)])
        self.salt = salt
        self.portfolio = Portfolio(self.journal, self.view, self.clock, salt)

    def restarted(self) -> "Desktop":
        return Desktop(self.store, self.salt)
