"""`perpdesk` as a process of its own, in a folder of its own, and how to wait for what its store shows."""

import asyncio
import contextlib
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from perpdesk.domain.clock import SystemClock
from perpdesk.store.journal import Journal
from perpdesk.store.writer import Store

T = TypeVar("T")

PATIENCE_MS = 30_000
LOOK_MS = 50
CLOCK = SystemClock()


class Desk:
    """One running `perpdesk`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def finish(self) -> tuple[int, Any, str]:
        """Wait for its end: exit code, the JSON document on stdout, stderr."""
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        assert out, err.decode()
        return self.process.returncode, json.loads(out), err.decode()


async def start(folder: Path, *argv: str, environment: Mapping[str, str] | None = None) -> Desk:
    """Run `perpdesk ARGV --json` in `folder`, with nothing of the caller's own configuration."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("PERPDESK__")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "perpdesk.cli.main",
        *argv,
        "--json",
        cwd=folder,
        env={**inherited, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Desk(process)


async def call(folder: Path, *argv: str, environment: Mapping[str, str] | None = None) -> tuple[int, Any, str]:
    """Run `perpdesk ARGV --json` to its end."""
    return await (await start(folder, *argv, environment=environment)).finish()


def is_made(store: Path) -> bool:
    """Whether a desk has made its store; opening it earlier would make it here."""
    return store.exists()


@contextlib.asynccontextmanager
async def journal_at(path: Path) -> AsyncIterator[Journal]:
    """Look into a store beside whoever uses it."""
    store = Store.open(f"sqlite:///{path}", mode="thread", clock=CLOCK)
    try:
        yield Journal(store, CLOCK, random.Random())
    finally:
        await store.close()


async def until(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What `look` finds, asked again until it finds something."""
    deadline_ms = CLOCK.monotonic_ms() + PATIENCE_MS
    while CLOCK.monotonic_ms() < deadline_ms:
        if found := await look():
            return found
        await CLOCK.sleep_ms(LOOK_MS)
    raise AssertionError(f"{what} within {PATIENCE_MS} ms")
