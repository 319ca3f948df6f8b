"""What a simulated venue looks like from outside: bytes in, bytes out, no socket and no loop of its own.

The loopback shell (`loopback.py`) and the in-memory transport (`network.py`) are thin callers of these two protocols, so the
same handlers answer a real client over TCP and a connector in virtual time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from perpdesk.domain.assets import VenueName


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request as the venue receives it.

    Attributes:
        path: Without query. query: Decoded pairs in order, keys may repeat. headers: Names in lower case.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class WireResponse:
    """The venue's answer.

    Attributes:
        delay_ms: How long the venue itself takes to answer after the effect; network latency comes on top.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    delay_ms: int = 0


class SocketPeer(Protocol):
    """The client's end of an open socket, as the venue sees it."""

    def send(self, frame: bytes) -> None:
        """Deliver one text frame to the client, in order."""

    def close(self, code: int, reason: str) -> None:
        """End the connection from the venue's side."""


class WireSession(Protocol):
    """One open WebSocket on the venue's side."""

    def on_frame(self, frame: bytes) -> None:
        """A message from the client."""

    def on_closed(self) -> None:
        """The connection is gone; drop its subscriptions."""


class WireServer(Protocol):
    """One venue's whole wire surface over one exchange."""

    @property
    def venue(self) -> VenueName: ...

    def handle(self, request: WireRequest) -> WireResponse:
        """Take effect now and answer. Never raises: a venue answers its own errors."""

    def open_socket(self, path: str, headers: Mapping[str, str], peer: SocketPeer) -> WireSession | None:
        """Accept a WebSocket on `path`; None refuses it (404)."""


Schedule = Callable[[int, Callable[[], None]], None]
"""`schedule(delay_ms, call)`: run a call later on the venue's own clock."""
