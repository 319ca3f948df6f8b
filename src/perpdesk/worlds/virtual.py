"""Everything a desk needs in virtual time: in-memory wire, simulated venues, inline store; and a desk that can be killed."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import Connection, Engine

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.sandbox.network import InMemoryNetwork
from perpdesk.store.journal import Journal
from perpdesk.store.writer import Store
from perpdesk.venues.base import Venue, VenueError
from perpdesk.worlds.connect import access_of, connect
from perpdesk.worlds.sandbox import Sandbox

T = TypeVar("T")

HTTP_URL = "http://{venue}.sim"
WS_URL = "ws://{venue}.sim"
DESK_PID = 1
"""What the journal notes as the process of a simulated desk."""


def attach(sandbox: Sandbox, network: InMemoryNetwork) -> None:
    """Give each simulated venue its address on the network."""
    for venue, server in sandbox.servers.items():
        network.attach(HTTP_URL.format(venue=venue.value), WS_URL.format(venue=venue.value), server)


class MortalStore(Store):
    """A store whose desk can die: afterwards nothing more is written through it, whatever code still runs.

    Attributes:
        on_commit: Called right after each commit; it may kill the desk at that very instant.
    """

    on_commit: Callable[[], None] | None = None
    is_dead = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        await self._halt_if_dead()
        value = await super().run(work)
        if self.on_commit is not None:
            self.on_commit()
            await self._halt_if_dead()
        return value

    async def read(self, work: Callable[[Connection], T]) -> T:
        await self._halt_if_dead()
        return await super().read(work)

    async def _halt_if_dead(self) -> None:
        """The dead wait for ever, until `bury` cancels them: an error would let their clean-up code go on deciding."""
        if self.is_dead:
            await asyncio.get_running_loop().create_future()


DeskFactory = Callable[..., Desk]
"""Builds a desk like `Desk(venues, journal, clock, settings, run_id=, salt=)`."""


@dataclass(slots=True)
class VirtualDesk:
    """One incarnation of the desk on the simulated wire."""

    desk: Desk
    store: MortalStore
    venues: dict[VenueName, Venue]
    run_id: int
    kill_network: Callable[[], None]
    task: "asyncio.Task[None] | None" = None
    children: frozenset["asyncio.Task[Any]"] = frozenset()

    @property
    def is_dead(self) -> bool:
        return self.store.is_dead

    def kill(self) -> None:
        """Die now: no byte leaves, nothing is written, no clean-up has any effect. `bury` ends what still runs."""
        self.store.is_dead = True
        self.kill_network()


async def bury(dead: VirtualDesk, survivors: frozenset["asyncio.Task[Any]"]) -> None:
    """Cancel every task that the dead desk left, all but the `survivors`."""
    left = [task for task in asyncio.all_tasks() if task not in survivors and task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await dead.store.close()


async def raise_desk(
    sandbox: Sandbox,
    network: InMemoryNetwork,
    engine: Engine,
    clock: Clock,
    rng: random.Random,
    settings: DeskSettings,
    *,
    name: str,
    seed: int,
    factory: DeskFactory = Desk,
    access_options: dict[str, int] | None = None,
) -> VirtualDesk:
    """Build a desk on the committed state in `engine`; it is not started yet."""
    client = network.client(name)
    access = {
        venue: access_of(
            accounts[0],
            HTTP_URL.format(venue=venue.value),
            WS_URL.format(venue=venue.value),
            **(access_options or {}),
        )
        for venue, accounts in sandbox.accounts.items()
    }
    venues = connect(access, client.http(), client.sockets(), clock, rng)
    store = MortalStore(engine, "inline", clock)
    journal = Journal(store, clock, rng)
    run_id = await journal.begin_run("simulation", seed, DESK_PID)
    desk = factory(venues, journal, clock, settings, run_id=run_id, salt=await journal.salt())
    return VirtualDesk(desk, store, venues, run_id, client.kill)


async def live(incarnation: VirtualDesk, clock: Clock) -> None:
    """Start the desk, trying again while the venues can not be reached, and run it until it is stopped or dies."""
    while True:
        try:
            await incarnation.desk.start()
            break
        except VenueError:
            await clock.sleep_ms(1_000)
    await incarnation.desk.run()
