"""The two ports every connector is written against. Live: aiohttp and picows. Simulation: in memory, in virtual time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class TransportError(Exception):
    """Base of what a transport can raise; the subclasses tell whether repeating is safe."""


class RequestNotSent(TransportError):
    """Connection refused, DNS, TLS, closed before writing: the request never left."""


class ResponseLost(TransportError):
    """Sent, and no complete answer came back (time-out, cut): the request may have taken effect."""


class SocketUnavailable(TransportError):
    """A WebSocket could not be opened."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete answer, whatever its status."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpTransport(Protocol):
    """Sends one request and returns its complete answer."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_ms: int = 5_000,
    ) -> HttpResponse:
        """Send `body` to `url` (query string included) and read the whole answer.

        Raises:
            RequestNotSent: Nothing left.
            ResponseLost: The request may have taken effect.
        """

    async def close(self) -> None:
        """Release connections; idempotent."""


class SocketConnection(Protocol):
    """One open WebSocket."""

    def send(self, data: bytes) -> None:
        """Queue one text frame; does nothing once closed (the close callback has told)."""

    def close(self) -> None:
        """Close from our side; idempotent. The close callback still runs, once."""


OnFrame = Callable[[bytes], None]
"""Receives each complete text or binary message, in order, on the event loop."""

OnClosed = Callable[[str], None]
"""Called exactly once per connection with why it ended, such as "1006" or "1000 Expired"."""


class SocketTransport(Protocol):
    """Opens WebSockets. Protocol-level pings are answered below this port."""

    async def connect(
        self, url: str, on_frame: OnFrame, on_closed: OnClosed, *, headers: Mapping[str, str] | None = None
    ) -> SocketConnection:
        """Open `url`; callbacks run from then on. Raises SocketUnavailable when it can not be opened."""
