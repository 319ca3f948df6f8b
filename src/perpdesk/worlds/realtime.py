"""Venues in real time: the simulated ones behind real sockets on this machine, or the real ones; with connectors over them."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.sandbox.drivers.parameters import load_parameters
from perpdesk.sandbox.drivers.synthetic import HOUR_MS, SyntheticDriver
from perpdesk.sandbox.listings import listed_markets
from perpdesk.sandbox.loopback import Endpoint, serve
from perpdesk.sandbox.network import Sent
from perpdesk.venues.base import Venue
from perpdesk.venues.paper import PaperSettings, PaperVenue
from perpdesk.venues.transport.http import AiohttpTransport
from perpdesk.venues.transport.ports import HttpResponse, HttpTransport
from perpdesk.venues.transport.sockets import PicowsTransport
from perpdesk.worlds.connect import VenueAccess, access_of, connect
from perpdesk.worlds.sandbox import SANDBOX_VENUES, Sandbox, SandboxOptions, build_sandbox

FLIP_CONFIRM_MS_MIN = 1_000
COOLDOWN_MS_MIN = 2_000


@dataclass(frozen=True, slots=True)
class SandboxPlan:
    """What a real-time sandbox is made of.

    Attributes:
        assets: Which are listed, None for all there are. cash_usd: On each venue.
        funding_every_ms: One funding interval; it stands for an hour.
        episodes_at_start: Assets that begin with funding worth trading, cut to what is listed.
    """

    seed: int
    assets: frozenset[str] | None = None
    cash_usd: Decimal = Decimal(10_000)
    funding_every_ms: int = 10_000
    episodes_at_start: int = 3
    accounts: int = 1


@dataclass(slots=True)
class World:
    """Venues to run a desk on.

    Attributes:
        name: "sandbox", "paper" or "live". seed: What chance was drawn from, None where it was not seeded.
        background: Tasks the world lives by; when one ends the world has failed.
        wire: Tells whoever listens what requests leave; only in the sandbox.
    """

    name: str
    seed: int | None
    venues: dict[VenueName, Venue]
    sandbox: Sandbox | None = None
    background: list["asyncio.Task[None]"] = field(default_factory=list)
    wire: "WatchedHttp | None" = None


class WatchedHttp:
    """An `HttpTransport` that tells `on_sent` about each request right before its bytes leave."""

    def __init__(self, inner: HttpTransport, venues: Mapping[str, VenueName], clock: Clock) -> None:
        self._inner = inner
        self._venues = venues
        self._clock = clock
        self.on_sent: Callable[[Sent], None] | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_ms: int = 5_000,
    ) -> HttpResponse:
        parts = urlsplit(url)
        venue = self._venues.get(f"{parts.scheme}://{parts.netloc}")
        if self.on_sent is not None and venue is not None:
            self.on_sent(Sent("desk", venue, "http", method, parts.path, body or b"", self._clock.wall_ms()))
        return await self._inner.request(method, url, body=body, headers=headers, timeout_ms=timeout_ms)

    async def close(self) -> None:
        await self._inner.close()


@dataclass(frozen=True, slots=True)
class ServedSandbox:
    """Simulated venues that answer on real ports, with their markets moving."""

    sandbox: Sandbox
    endpoints: Mapping[VenueName, Endpoint]
    driver: "asyncio.Task[None]"


@contextlib.asynccontextmanager
async def serve_sandbox(
    plan: SandboxPlan,
    clock: Clock,
    rng: random.Random,
    port_base: int = 0,
    lighter_keys: Callable[[], tuple[str, str]] | None = None,
) -> AsyncIterator[ServedSandbox]:
    """Serve every simulated venue until the block ends.

    Args:
        port_base: First of consecutive ports, one per venue; 0 takes free ones.
        lighter_keys: As in SandboxOptions.

    Raises:
        ValueError: The plan names assets that the sandbox does not list.
        PortUnavailable: A port is taken.
    """
    require_listed(plan.assets)
    options = SandboxOptions(
        plan.assets, plan.cash_usd, has_real_signatures=True, accounts=plan.accounts, lighter_keys=lighter_keys
    )
    sandbox = build_sandbox(options, clock, rng)
    driver = _driver(plan, sandbox, clock, random.Random(rng.getrandbits(64)))
    driver.open()
    async with contextlib.AsyncExitStack() as stack:
        endpoints = {}
        for number, (venue, server) in enumerate(sandbox.servers.items()):
            port = port_base + number if port_base else 0
            endpoints[venue] = await stack.enter_async_context(serve(server, port=port))
        task = asyncio.create_task(driver.run(), name="sandbox driver")
        try:
            yield ServedSandbox(sandbox, endpoints, task)
        finally:
            await _cancel(task)


def require_listed(assets: frozenset[str] | None) -> None:
    """ValueError, naming what there is, unless the sandbox lists every one of `assets` on two venues."""
    listed = [{market.asset for market in listed_markets(venue, None)} for venue in SANDBOX_VENUES]
    known = set.intersection(*listed)
    if missing := sorted((assets or frozenset()) - known):
        raise ValueError(
            f"the sandbox does not list {', '.join(missing)} on two venues; it has {', '.join(sorted(known))}"
        )


def _driver(plan: SandboxPlan, sandbox: Sandbox, clock: Clock, rng: random.Random) -> SyntheticDriver:
    """Demo episodes are cut to what can have one."""
    parameters = load_parameters()
    for count in range(plan.episodes_at_start, -1, -1):
        try:
            return SyntheticDriver(
                sandbox.exchanges,
                parameters,
                rng,
                clock,
                funding_every_ms=plan.funding_every_ms,
                episodes_at_start=count,
            )
        except ValueError:
            if count == 0:
                raise
    raise ValueError("episodes_at_start must not be negative")


@contextlib.asynccontextmanager
async def open_sandbox(plan: SandboxPlan, clock: Clock) -> AsyncIterator[World]:
    """The sandbox world: connectors on served simulated venues, with real keys, signatures and sockets."""
    rng = random.Random(plan.seed)
    async with serve_sandbox(plan, clock, rng) as served, _transports() as (plain, sockets):
        hosts = {endpoint.http_url: venue for venue, endpoint in served.endpoints.items()}
        http = WatchedHttp(plain, hosts, clock)
        access = {
            venue: access_of(served.sandbox.accounts[venue][0], endpoint.http_url, endpoint.ws_url)
            for venue, endpoint in served.endpoints.items()
        }
        venues = connect(access, http, sockets, clock, random.Random(rng.getrandbits(64)))
        yield World("sandbox", plan.seed, venues, served.sandbox, [served.driver], http)


@contextlib.asynccontextmanager
async def open_live(
    access: Mapping[VenueName, VenueAccess],
    clock: Clock,
    rng: random.Random,
    paper: Mapping[VenueName, PaperSettings] | None,
) -> AsyncIterator[World]:
    """The live world over real venues; with `paper`, by venue, orders are only pretended against the live books.

    Raises:
        VenueError, SigningFailed: A key or a signing library is missing or malformed.
    """
    async with _transports() as (http, sockets):
        venues = connect(access, http, sockets, clock, rng)
        if paper is None:
            yield World("live", None, venues)
            return
        on_paper: dict[VenueName, Venue] = {
            name: PaperVenue(venue, clock, paper[name]) for name, venue in venues.items()
        }
        yield World("paper", None, on_paper)


@contextlib.asynccontextmanager
async def _transports() -> AsyncIterator[tuple[AiohttpTransport, PicowsTransport]]:
    http = AiohttpTransport()
    try:
        yield http, PicowsTransport()
    finally:
        await http.close()


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def scale_to_interval(settings: DeskSettings, interval_ms: int) -> DeskSettings:
    """Settings for a world in which one funding interval of `interval_ms` stands for an hour.

    How long a flip must last, how long a pair is held at most and the pause before the same asset is entered again shrink
    with the interval, the first and the last never below a second or two, which the desk's own pace needs. Everything reckoned
    in bps per hour needs no change: rates are quoted per interval. What guards execution is real time and stays.
    """
    share = interval_ms / HOUR_MS
    exits = settings.exits.model_copy(
        update={
            "flip_confirm_ms": max(round(settings.exits.flip_confirm_ms * share), FLIP_CONFIRM_MS_MIN),
            "hold_hours_max": settings.exits.hold_hours_max * share,
        }
    )
    cooldown_ms = max(round(settings.entry.cooldown_ms * share), COOLDOWN_MS_MIN)
    entry = settings.entry.model_copy(update={"cooldown_ms": min(cooldown_ms, settings.entry.cooldown_ms)})
    return settings.model_copy(update={"exits": exits, "entry": entry})
