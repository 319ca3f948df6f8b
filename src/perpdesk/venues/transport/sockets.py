"""WebSockets to real venues (and to simulated ones on loopback), on picows."""

import asyncio
import ssl
from collections.abc import Mapping

import structlog
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from perpdesk.venues.transport.ports import OnClosed, OnFrame, SocketConnection, SocketUnavailable

log = structlog.get_logger(__name__)

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""Longest message that is taken, in one frame or assembled; a longer one ends the connection with 1009."""
CLOSE_WAIT_S = 1.0
"""How long the venue may take to answer our closing handshake."""
_NO_CODE = 1005
_ABNORMAL = "1006"


class PicowsTransport:
    """`SocketTransport` over picows. Pings are answered by it; redirects are refused."""

    def __init__(self, *, connect_timeout_ms: int = 10_000, ssl_context: ssl.SSLContext | None = None) -> None:
        """`ssl_context` defaults to the system's trust, read once at the first wss connection."""
        self._connect_timeout_s = connect_timeout_ms / 1000
        self._ssl_context = ssl_context

    async def connect(
        self, url: str, on_frame: OnFrame, on_closed: OnClosed, *, headers: Mapping[str, str] | None = None
    ) -> SocketConnection:
        """Open `url`; the first callback comes after this has returned. Raises SocketUnavailable."""
        shown = url.partition("?")[0]  # a query can hold an auth token
        connection = _Connection(on_frame, on_closed)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, listener = await ws_connect(
                    lambda _request, _response: connection,
                    url,
                    ssl_context=self._trust() if url.startswith("wss:") else None,
                    websocket_handshake_timeout=self._connect_timeout_s,
                    disconnect_on_exception=False,
                    max_frame_size=MESSAGE_BYTES_MAX,
                    max_redirects=0,
                    extra_headers=headers,
                )
        except TimeoutError as error:
            connection.abandon()
            raise SocketUnavailable(f"{shown}: no handshake within {self._connect_timeout_s:g} s") from error
        except (WSError, OSError, ValueError) as error:
            connection.abandon()
            raise SocketUnavailable(f"{shown}: {_described(error, url)}") from error
        except BaseException:
            connection.abandon()
            raise
        if listener is None:  # picows reports a connection that is lost during the handshake as opened
            raise SocketUnavailable(f"{shown}: closed during the handshake")
        asyncio.get_running_loop().call_soon(connection.begin)
        return connection

    def _trust(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


def _described(error: Exception, url: str) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error) or type(error).__name__
    return text.replace(url, "this address")


class _Connection(WSListener):  # type: ignore[misc]  # picows is compiled and typed as Any here
    """One WebSocket, both the listener that picows calls and the connection that the caller holds."""

    def __init__(self, on_frame: OnFrame, on_closed: OnClosed) -> None:
        super().__init__()
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._transport: WSTransport | None = None
        self._is_open = True
        self._is_abandoned = False
        self._failure: str | None = None
        self._early: list[bytes] | None = []  # messages that came before the caller held the connection
        self._ended: str | None = None
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    # For the caller -------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Queue one text frame; nothing once closed."""
        if self._is_open and self._transport is not None:
            self._transport.send(WSMsgType.TEXT, data)

    def close(self) -> None:
        """Close with 1000; what still comes is dropped."""
        self._end("1000", WSCloseCode.OK)

    # For the transport ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Hand over what came early and go on live."""
        early, self._early = self._early or (), None
        for message in early:
            self._deliver(message)
        if self._ended is not None:
            self._on_closed(self._ended)

    def abandon(self) -> None:
        """Nobody waits for this connection any more: drop it, now or as soon as it opens."""
        self._is_abandoned = True
        if self._transport is not None:
            self._transport.disconnect(False)

    # For picows -----------------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self._is_abandoned:
            transport.disconnect(False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.TEXT or kind == WSMsgType.BINARY:
            if self._parts:
                self._end("1002 a message began inside another", WSCloseCode.PROTOCOL_ERROR)
            elif frame.fin:
                self._deliver(frame.get_payload_as_bytes())
            else:
                self._take_part(frame)
        elif kind == WSMsgType.CONTINUATION:
            if not self._parts:
                self._end("1002 a continuation without a beginning", WSCloseCode.PROTOCOL_ERROR)
            else:
                self._take_part(frame)
        elif kind == WSMsgType.CLOSE:
            if self._is_open:
                self._is_open = False
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._is_open = False
        self._parts = []
        if self._is_abandoned:
            return
        self._ended = self._failure or _why_closed(transport)
        if self._early is None:
            self._on_closed(self._ended)

    # Within ---------------------------------------------------------------------------------------------------------

    def _deliver(self, message: bytes) -> None:
        if self._early is not None:
            self._early.append(message)
        elif self._is_open or self._failure is None:
            try:
                self._on_frame(message)
            except Exception:  # a bug in one reader must not cost the frames behind it
                log.exception("frame_callback_failed", frame_bytes=len(message))

    def _take_part(self, frame: WSFrame) -> None:
        self._parts.append(frame.get_payload_as_bytes())
        self._parts_bytes += len(self._parts[-1])
        if self._parts_bytes > MESSAGE_BYTES_MAX:
            self._end("1009 the message is too long", WSCloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            message = b"".join(self._parts)
            self._parts, self._parts_bytes = [], 0
            self._deliver(message)

    def _end(self, why: str, code: WSCloseCode) -> None:
        """Close from our side; the reason is told when the connection is gone."""
        if not self._is_open or self._transport is None:
            return
        self._is_open = False
        self._failure = why
        self._transport.send_close(code)
        asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self._transport.disconnect, False)


def _why_closed(transport: WSTransport) -> str:
    handshake = transport.close_handshake
    told = None if handshake is None else handshake.recv or handshake.sent
    if told is None:
        return _ABNORMAL
    return f"{int(told.code) or _NO_CODE} {told.reason or ''}".rstrip()
