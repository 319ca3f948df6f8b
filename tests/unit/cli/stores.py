"""Stores on disk with known pairs, made before a command is called."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from perpdesk.domain.clock import ManualClock
from perpdesk.domain.pairs import Pair, PairState
from perpdesk.store.journal import Journal
from perpdesk.store.writer import Store
from tests.unit.arbitrage.situations import Scene, pair

D = Decimal
SANDBOX = Path("var/sandbox.db")


def fill_store(work: Callable[[Journal], Awaitable[None]], path: Path = SANDBOX, world: str = "sandbox") -> None:
    """Make a store of `world` at `path` and let `work` write into it."""

    async def write() -> None:
        clock = ManualClock(1_000_000)
        store = Store.open(f"sqlite:///{path}", mode="inline", clock=clock)
        journal = Journal(store, clock, random.Random(1))
        await journal.begin_run(world, 1, 1)
        await work(journal)
        await store.close()

    asyncio.run(write())


async def add_open_pair(journal: Journal, **changes: object) -> Pair:
    """An open ETH pair of one unit a leg at 100, with its two orders and fills."""
    added = await journal.add_pair(pair(state=PairState.OPEN, opened_at_ms=1_002_000, **changes))
    scene = Scene(added).open_both()
    for order, fill in zip(scene.orders, scene.fills, strict=True):
        await journal.record_intent(order)
        await journal.record_fills([(fill, added.pair_id)])
    return added


async def add_ended_pair(journal: Journal, total_usd: Decimal, **changes: object) -> Pair:
    """A pair that closed with `total_usd`, 1 USD of it funding and -0.5 fees."""
    added = await journal.add_pair(pair(state=PairState.CLOSED, opened_at_ms=1_002_000, closed_at_ms=1_012_000))
    ended = replace(
        added,
        exit_reason="funding flipped",
        naked_ms=30,
        naked_ms_max=20,
        size_closed=D(1),
        price_usd=total_usd - D("0.5"),
        funding_usd=D(1),
        fees_usd=D("-0.5"),
        slippage_usd=D(0),
        **changes,  # type: ignore[arg-type]
    )
    await journal.save_pair(ended)
    return ended
