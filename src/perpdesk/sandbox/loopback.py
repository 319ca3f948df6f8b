"""Puts a simulated venue on a real TCP port: aiohttp in front of a `WireServer`, with no venue knowledge of its own."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from perpdesk.sandbox.server import WireRequest, WireServer

log = structlog.get_logger(__name__)

REQUEST_BYTES_MAX = 4 * 1024 * 1024
FRAME_BYTES_MAX = 4 * 1024 * 1024
FRAMES_QUEUED_MAX = 20_000
"""Frames waiting for one client; a client that reads slower than this is cut, as venues do."""
REASON_BYTES_MAX = 123
"""What a close frame can carry beside its code (RFC 6455, 5.5)."""
CLOSE_WAIT_S = 1.0
"""How long a closing handshake, or an answer still being written at shutdown, may take."""


class PortUnavailable(OSError):
    """The address can not be listened on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a served venue is reached.

    Attributes:
        http_url: Such as "http://127.0.0.1:8400", without path. ws_url: The same with "ws".
    """

    http_url: str
    ws_url: str
    port: int


@contextlib.asynccontextmanager
async def serve(server: WireServer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Endpoint]:
    """Serve `server` until the block ends; open sockets are then closed with 1001.

    Args:
        port: 0 takes any free one.

    Raises:
        PortUnavailable: The port is taken, or the address is not this machine's.
    """
    shell = _Shell(server)
    app = web.Application(client_max_size=REQUEST_BYTES_MAX)
    app.router.add_route("*", "/{path:.*}", shell.answer)
    app.on_shutdown.append(shell.close_sockets)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_WAIT_S)
    await runner.setup()
    try:
        yield await _listen(runner, host, port)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> Endpoint:
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        raise PortUnavailable(
            f"can not listen on {host}:{port} ({_reason(error)}); stop the program that uses it or choose another port"
        ) from error
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return Endpoint(f"http://{shown}:{bound}", f"ws://{shown}:{bound}", bound)


def _reason(error: OSError | OverflowError) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error)


class _Shell:
    """Turns aiohttp requests into wire requests and keeps count of open sockets."""

    def __init__(self, server: WireServer) -> None:
        self._server = server
        self._writers: dict[_Peer, asyncio.Task[None]] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._answer_socket(request)
        wire = WireRequest(
            method=request.method,
            path=request.path,
            query=tuple(request.query.items()),
            headers=_lower(request.headers),
            body=await request.read(),
        )
        response = self._server.handle(wire)
        if response.delay_ms > 0:
            await asyncio.sleep(response.delay_ms / 1000)
        return web.Response(status=response.status, body=response.body, headers={"Content-Type": response.content_type})

    async def _answer_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=CLOSE_WAIT_S, max_msg_size=FRAME_BYTES_MAX, compress=False, decode_text=False
        )
        if not socket.can_prepare(request):
            return web.Response(status=400, text="not a WebSocket handshake")
        peer = _Peer(request.transport)
        session = self._server.open_socket(request.path, _lower(request.headers), peer)
        if session is None:
            return web.Response(status=404, text="no WebSocket here")
        try:
            await socket.prepare(request)
            self._writers[peer] = asyncio.create_task(peer.write_to(socket))
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    session.on_frame(message.data)
        finally:
            peer.stop()
            session.on_closed()
            writer = self._writers.pop(peer, None)
            if writer is not None:
                await _finish(peer, writer)
        return socket

    async def close_sockets(self, _app: web.Application) -> None:
        """Say goodbye on every socket; a peer that does not answer is dropped after CLOSE_WAIT_S."""
        for peer in self._writers:
            peer.close(WSCloseCode.GOING_AWAY, "shutting down")
        await asyncio.gather(*[_finish(peer, writer) for peer, writer in self._writers.items()])


async def _finish(peer: "_Peer", writer: "asyncio.Task[None]") -> None:
    """Let the writer say its last words, then make sure that it and the connection are gone."""
    _, pending = await asyncio.wait((writer,), timeout=CLOSE_WAIT_S)
    if pending:
        peer.abort()
        writer.cancel()
        await asyncio.wait((writer,))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class _Peer:
    """The client's end of one socket: frames queue here and one task writes them in order."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport
        self._frames: deque[bytes] = deque()
        self._ending: tuple[int, str] | None = None
        self._wake = asyncio.Event()

    def send(self, frame: bytes) -> None:
        if self._ending is not None:
            return
        self._frames.append(frame)
        self._wake.set()
        if len(self._frames) > FRAMES_QUEUED_MAX:
            log.warning("loopback_client_cut", reason="it reads too slowly", frames_queued=len(self._frames))
            self.stop()
            self.abort()

    def close(self, code: int, reason: str) -> None:
        if self._ending is None:
            self._ending = (code, reason)
            self._wake.set()

    def stop(self) -> None:
        """The socket is gone: nothing more is accepted or written."""
        self._frames.clear()
        self.close(WSCloseCode.OK, "")

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    async def write_to(self, socket: web.WebSocketResponse) -> None:
        """Write what is queued until the socket closes from either side."""
        try:
            while self._ending is None or self._frames:
                while self._frames:
                    await socket.send_frame(self._frames.popleft(), WSMsgType.TEXT)
                if self._ending is None:
                    await self._wake.wait()
                    self._wake.clear()
            code, reason = self._ending
            await socket.close(code=code, message=reason.encode()[:REASON_BYTES_MAX])
        except (ConnectionError, RuntimeError):
            self.stop()  # the client went away while we were writing; the reader ends the session
