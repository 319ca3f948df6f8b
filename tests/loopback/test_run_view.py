"""The screen of a running desk, drawn from a real run."""

import asyncio
import contextlib
import io
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.cli.live_view import render
from perpdesk.domain.clock import SystemClock
from perpdesk.worlds.realtime import SandboxPlan, open_sandbox, scale_to_interval
from perpdesk.worlds.run import run_desk
from perpdesk.worlds.running import RunningDesk, RunOptions

pytest.importorskip("eth_account")
pytest.importorskip("lighter")


def drawn(running: RunningDesk) -> str:
    screen = io.StringIO()
    Console(file=screen, width=160).print(render(running))
    return screen.getvalue()


async def test_the_screen_shows_venues_reasons_legs_and_money(tmp_path: Path) -> None:
    clock, stop = SystemClock(), asyncio.Event()
    frames: list[str] = []

    async def watch(running: RunningDesk) -> None:
        while (
            not all(ledger.pair.opened_at_ms for ledger in running.desk.portfolio.open)
            or not running.desk.portfolio.open
        ):
            frames.append(drawn(running))
            await clock.sleep_ms(100)
        running.desk.guard.halt("test", "a test says so")
        frames.append(drawn(running))
        stop.set()

    @contextlib.asynccontextmanager
    async def show(running: RunningDesk) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch(running))
        yield
        await watching

    options = RunOptions(scale_to_interval(DeskSettings(), 2_000), f"sqlite:///{tmp_path / 'desk.db'}", 30_000)
    plan = SandboxPlan(seed=1, funding_every_ms=2_000)
    summary = await run_desk(open_sandbox(plan, clock), options, clock, random.Random(1), stop, show)

    assert summary["pairs_opened"] >= 1
    assert "no open pairs" in frames[0]
    last = frames[-1]
    for part in (
        "hyperliquid",
        "lighter",
        "carry",
        f"< {options.desk.entry.carry_bps_per_hour_min:.4g} bps/h",
        "open pairs",
        "long",
        "short",
        "residual",
        "no new pairs: a test",
    ):
        assert part in last, last
