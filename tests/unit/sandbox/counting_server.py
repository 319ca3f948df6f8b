"""A wire server that only counts, and the network in front of it, for tests of the wire itself."""

import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import LoopClock
from perpdesk.sandbox.faults import FaultPlan, FaultRates
from perpdesk.sandbox.network import InMemoryNetwork
from perpdesk.sandbox.server import SocketPeer, WireRequest, WireResponse, WireSession
from perpdesk.sandbox.virtual_time import run_virtual

EPOCH_MS = 1_700_000_000_000
URL = "https://venue.test/exchange"
WS_URL = "wss://venue.test/ws"


class CountingServer:
    """Answers with the number of the request; keeps when each arrived."""

    def __init__(self, clock: LoopClock, venue: VenueName = VenueName.HYPERLIQUID) -> None:
        self.venue = venue
        self.clock = clock
        self.requests: list[tuple[int, WireRequest]] = []
        self.sessions: list[CountingSession] = []
        self.delay_ms = 0

    def handle(self, request: WireRequest) -> WireResponse:
        self.requests.append((self.clock.monotonic_ms(), request))
        return WireResponse(200, f"{len(self.requests)}".encode(), delay_ms=self.delay_ms)

    def open_socket(self, path: str, headers: Mapping[str, str], peer: SocketPeer) -> WireSession | None:
        if path != "/ws":
            return None
        session = CountingSession(self.clock, peer, headers)
        self.sessions.append(session)
        peer.send(b"hello")
        return session


class CountingSession:
    def __init__(self, clock: LoopClock, peer: SocketPeer, headers: Mapping[str, str]) -> None:
        self.clock = clock
        self.peer = peer
        self.headers = headers
        self.frames: list[tuple[int, bytes]] = []
        self.closed_at_ms: list[int] = []

    def on_frame(self, frame: bytes) -> None:
        self.frames.append((self.clock.monotonic_ms(), frame))

    def on_closed(self) -> None:
        self.closed_at_ms.append(self.clock.monotonic_ms())


class Ears:
    """What a client hears on one socket."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closings: list[str] = []


class Bench:
    """One network with one venue, as a test holds it."""

    def __init__(self, seed: int = 1, latency_ms: tuple[int, int] = (5, 40), faults: FaultPlan | None = None) -> None:
        self.clock = LoopClock(EPOCH_MS)
        self.server = CountingServer(self.clock)
        self.faults = faults
        self.network = InMemoryNetwork(self.clock, random.Random(seed), latency_ms=latency_ms, faults=faults)
        self.network.attach("https://venue.test", "wss://venue.test/ws", self.server)
        self.http = self.network.http()


def plan(names: str, seed: int = 7, **rates: Any) -> FaultPlan:
    """A plan in which exactly the named faults happen."""
    return FaultPlan(random.Random(seed), FaultRates(**rates), FaultPlan.parse(names))


def on_bench(test: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> Bench:
    """Run `test` in virtual time on a fresh bench and return the bench."""
    bench = Bench(**options)
    run_virtual(test(bench))
    return bench
