"""The wire between connectors and simulated venues, in memory and in virtual time, with faults on it.

The same bytes reach the same `WireServer` handlers as over loopback. Latency is drawn per direction; what happens depends
only on the seed and the order of calls. No thread, no real time: everything waits on the injected clock.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.sandbox.faults import Fault, FaultPlan
from perpdesk.sandbox.in_memory_socket import InMemorySocket
from perpdesk.sandbox.server import WireRequest, WireResponse, WireServer
from perpdesk.venues.transport.ports import (
    HttpResponse,
    HttpTransport,
    OnClosed,
    OnFrame,
    RequestNotSent,
    ResponseLost,
    SocketConnection,
    SocketTransport,
    SocketUnavailable,
    TransportError,
)

DUPLICATE_AFTER_MS_MAX = 500
"""How long after the first the second delivery of a duplicated request comes, at most."""
_ROUTES_KEPT_MAX = 4_096
_SERVER_ERROR = WireResponse(500, b"<html><body><h1>500 Internal Server Error</h1></body></html>", "text/html")
_RATE_LIMITED = WireResponse(429, b"<html><body><h1>429 Too Many Requests</h1></body></html>", "text/html")


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes that left a client, as an observer is told in that instant.

    Attributes:
        method: HTTP method, empty for a frame. path: Of the URL, without query. at_ms: Wall time of the network's clock.
    """

    client: str
    venue: VenueName
    kind: Literal["http", "frame"]
    method: str
    path: str
    body: bytes
    at_ms: int


class InMemoryNetwork:
    """Every simulated venue, every client, and the wire between them."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        latency_ms: tuple[int, int] = (5, 40),
        faults: FaultPlan | None = None,
    ) -> None:
        """`latency_ms`: least and greatest one-way delay, drawn evenly for every message."""
        least, greatest = latency_ms
        if not 0 <= least <= greatest:
            raise ValueError(f"latency must be a range of milliseconds from 0 up, was {least} to {greatest}")
        self.clock = clock
        self.faults = faults
        self._rng = rng
        self._latency_least_ms = least
        self._latency_span_ms = greatest - least + 1
        self._servers: dict[str, WireServer] = {}
        self._routes: dict[str, tuple[WireServer, str] | None] = {}
        self._clients: dict[str, NetworkClient] = {}
        self._observers: list[Callable[[Sent], None]] = []

    def attach(self, http_url_prefix: str, ws_url_prefix: str, server: WireServer) -> None:
        """Let `server` answer everything under the two addresses; ValueError when another server has one of them."""
        for prefix in (http_url_prefix.rstrip("/"), ws_url_prefix.rstrip("/")):
            if self._servers.setdefault(prefix, server) is not server:
                raise ValueError(f"another simulated venue already answers at {prefix}")
        self._routes.clear()

    def observe(self, callback: Callable[[Sent], None]) -> None:
        """Call `callback` at the instant any client's bytes leave; it must not raise."""
        self._observers.append(callback)

    def client(self, name: str) -> "NetworkClient":
        """The client of that name; a killed one is succeeded by a fresh one."""
        known = self._clients.get(name)
        if known is None or known.is_killed:
            known = self._clients[name] = NetworkClient(self, name)
        return known

    def http(self) -> HttpTransport:
        """HTTP of the client named "desk"."""
        return self.client("desk").http()

    def sockets(self) -> SocketTransport:
        """WebSockets of the client named "desk"."""
        return self.client("desk").sockets()

    def disconnect_all(self, venue: VenueName | None = None) -> None:
        """Cut every open WebSocket of every client, or only those to `venue`, as 1006. Requests under way go on."""
        for client in self._clients.values():
            client.disconnect(venue)

    def draw_latency_ms(self) -> int:
        """One way, once."""
        return self._latency_least_ms + int(self._rng.random() * self._latency_span_ms)

    def tell(self, sent: Sent) -> None:
        """Tell the observers."""
        for callback in self._observers:
            callback(sent)

    @property
    def is_observed(self) -> bool:
        return bool(self._observers)

    def route(self, url: str) -> tuple[WireServer, str] | None:
        """The server that answers `url` (without query) and the path it sees; None when nobody does."""
        try:
            return self._routes[url]
        except KeyError:
            if len(self._routes) >= _ROUTES_KEPT_MAX:
                self._routes.clear()
            found = self._routes[url] = self._find(url)
            return found

    def _find(self, url: str) -> tuple[WireServer, str] | None:
        fitting = [p for p in self._servers if url == p or url.startswith(p + "/")]
        if not fitting:
            return None
        return self._servers[max(fitting, key=len)], unquote(urlsplit(url).path) or "/"


class NetworkClient:
    """One process on the network, such as the desk: its requests and sockets live and die with it."""

    def __init__(self, network: InMemoryNetwork, name: str) -> None:
        self.name = name
        self.network = network
        self.clock = network.clock
        self.draw_latency_ms = network.draw_latency_ms
        self._is_killed = False
        self._sockets: dict[InMemorySocket, None] = {}  # a set in the order of opening, so that runs repeat

    @property
    def is_killed(self) -> bool:
        return self._is_killed

    @property
    def faults(self) -> FaultPlan | None:
        return self.network.faults

    def http(self) -> HttpTransport:
        return _Http(self)

    def sockets(self) -> SocketTransport:
        return _Sockets(self)

    def kill(self) -> None:
        """End the client as a killed process ends.

        What it sent still reaches the venue. Nothing reaches the client: requests never answer, no callback runs, and what
        it still tries to send goes nowhere.
        """
        self._is_killed = True
        for socket in tuple(self._sockets):
            socket.vanish()

    def disconnect(self, venue: VenueName | None = None) -> None:
        """Cut the client's open WebSockets, or only those to `venue`."""
        for socket in tuple(self._sockets):
            if venue is None or socket.server.venue == venue:
                socket.cut()

    def stall(self, server: WireServer, duration_ms: int) -> None:
        """Hold back what `server` pushes to this client from now on."""
        for socket in self._sockets:
            if socket.server is server:
                socket.stall(duration_ms)

    def adopt(self, socket: InMemorySocket) -> None:
        self._sockets[socket] = None

    def forget(self, socket: InMemorySocket) -> None:
        self._sockets.pop(socket, None)

    def tell_frame(self, server: WireServer, path: str, frame: bytes) -> None:
        if self.network.is_observed:
            at_ms = self.clock.wall_ms()
            self.network.tell(Sent(self.name, server.venue, "frame", "", path, frame, at_ms))

    def tell_request(self, server: WireServer, wire: WireRequest) -> None:
        if self.network.is_observed:
            at_ms = self.clock.wall_ms()
            self.network.tell(Sent(self.name, server.venue, "http", wire.method, wire.path, wire.body, at_ms))


async def _never() -> NoReturn:
    """What a killed process sees of the world."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a future that nobody knows was resolved")


class _Http:
    """`HttpTransport` of one client."""

    def __init__(self, client: NetworkClient) -> None:
        self._client = client
        self._is_closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_ms: int = 5_000,
    ) -> HttpResponse:
        client = self._client
        if client.is_killed:
            await _never()
        base, _, query = url.partition("?")
        if self._is_closed:
            raise RequestNotSent(f"{method} {base}: the transport is closed")
        found = client.network.route(base)
        if found is None:
            raise RequestNotSent(f"{method} {base}: no simulated venue answers there")
        server, path = found
        pairs = tuple(parse_qsl(query, keep_blank_values=True)) if query else ()
        wire = WireRequest(method, path, pairs, _lower(headers), body or b"")
        call = _Call(client, server, wire, timeout_ms)
        call.start(None if client.faults is None else client.faults.draw_request(server.venue, wire))
        return await call.answer

    async def close(self) -> None:
        self._is_closed = True


class _Call:
    """One request under way. `answer` ends with a response or a TransportError, or never once the client is killed."""

    __slots__ = ("_client", "_clock", "_deadline_ms", "_server", "_timeout_ms", "_wire", "answer")

    def __init__(self, client: NetworkClient, server: WireServer, wire: WireRequest, timeout_ms: int) -> None:
        self.answer: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self._client = client
        self._clock = client.clock
        self._server = server
        self._wire = wire
        self._timeout_ms = timeout_ms
        self._deadline_ms = client.clock.monotonic_ms() + timeout_ms

    def start(self, fault: Fault | None) -> None:
        """Send the request through `fault`."""
        up_ms = self._client.draw_latency_ms()
        if fault is Fault.REFUSED:
            refused = RequestNotSent(f"{self._wire.method} {self._wire.path}: connection refused")
            self._clock.call_later_ms(up_ms, lambda: self._fail(refused))
            return
        self._client.tell_request(self._server, self._wire)
        if fault is None:
            self._send(up_ms, self._arrive)
        else:
            self._send_through(fault, up_ms, self._client.faults)

    def _send_through(self, fault: Fault, up_ms: int, faults: FaultPlan | None) -> None:
        assert faults is not None, "a fault was drawn, so there is a plan"
        match fault:
            case Fault.LOST_BEFORE:
                self._fail_at_deadline()
            case Fault.LOST_AFTER:
                self._clock.call_later_ms(up_ms, self._arrive_unanswered)
                self._fail_at_deadline()
            case Fault.SERVER_ERROR:
                self._send(up_ms, lambda: self._answer(_SERVER_ERROR))
            case Fault.RATE_LIMITED:
                self._send(up_ms, lambda: self._answer(_RATE_LIMITED))
            case Fault.DELAYED:
                self._send(up_ms + faults.draw_delay_ms(), self._arrive)
            case Fault.DUPLICATED:
                again_ms = up_ms + 1 + int(faults.draw_share() * DUPLICATE_AFTER_MS_MAX)
                self._send(up_ms, self._arrive)
                self._clock.call_later_ms(again_ms, self._arrive_unanswered)
            case Fault.LATE_FILL:
                pushes_late_ms = faults.draw_late_fill_ms()
                self._send(up_ms + faults.draw_late_fill_ms(), lambda: self._arrive_before_pushes(pushes_late_ms))
            case _:
                raise ValueError(f"{fault} does not befall requests")

    def _send(self, up_ms: int, on_arrival: Callable[[], None]) -> None:
        self._clock.call_later_ms(up_ms, on_arrival)
        if up_ms > self._timeout_ms:
            self._fail_at_deadline()

    def _arrive(self) -> None:
        try:
            response = self._server.handle(self._wire)
        except Exception:
            self._fail_at_deadline()
            raise
        self._answer(response)

    def _arrive_before_pushes(self, late_ms: int) -> None:
        self._client.stall(self._server, late_ms)
        self._arrive()

    def _arrive_unanswered(self) -> None:
        self._server.handle(self._wire)

    def _answer(self, response: WireResponse) -> None:
        if self.answer.done() or self._client.is_killed:
            return
        down_ms = response.delay_ms + self._client.draw_latency_ms()
        if self._clock.monotonic_ms() + down_ms > self._deadline_ms:
            self._fail_at_deadline()
            return
        whole = HttpResponse(response.status, response.body, {"content-type": response.content_type})
        self._clock.call_later_ms(down_ms, lambda: self._resolve(whole))

    def _resolve(self, response: HttpResponse) -> None:
        if not self.answer.done() and not self._client.is_killed:
            self.answer.set_result(response)

    def _fail_at_deadline(self) -> None:
        wire = self._wire
        lost = ResponseLost(f"{wire.method} {wire.path}: no answer within {self._timeout_ms} ms")
        self._clock.call_later_ms(self._deadline_ms - self._clock.monotonic_ms(), lambda: self._fail(lost))

    def _fail(self, error: TransportError) -> None:
        if not self.answer.done() and not self._client.is_killed:
            self.answer.set_exception(error)


class _Sockets:
    """`SocketTransport` of one client."""

    def __init__(self, client: NetworkClient) -> None:
        self._client = client

    async def connect(
        self, url: str, on_frame: OnFrame, on_closed: OnClosed, *, headers: Mapping[str, str] | None = None
    ) -> SocketConnection:
        client = self._client
        if client.is_killed:
            await _never()
        base = url.partition("?")[0]
        found = client.network.route(base)
        if found is None:
            raise SocketUnavailable(f"{base}: no simulated venue answers there")
        if client.faults is not None and client.faults.draw_connect() is not None:
            await self._refuse(base)
        socket = InMemorySocket(client, *found, on_frame, on_closed)
        client.adopt(socket)
        await socket.open(_lower(headers))
        return socket

    async def _refuse(self, url: str) -> NoReturn:
        await self._client.clock.sleep_ms(self._client.draw_latency_ms())
        if self._client.is_killed:
            await _never()
        raise SocketUnavailable(f"{url}: connection refused")


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()} if headers else {}
