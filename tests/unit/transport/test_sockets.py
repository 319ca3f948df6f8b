"""The WebSocket transport against small servers on loopback: order, fragments, closings, refusals."""

import asyncio
import base64
import contextlib
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from perpdesk.venues.transport import sockets
from perpdesk.venues.transport.ports import SocketUnavailable
from perpdesk.venues.transport.sockets import PicowsTransport

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


class Ears:
    """What the client hears."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closings: list[str] = []
        self.heard = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._tell()

    def on_closed(self, why: str) -> None:
        self.closings.append(why)
        self._tell()

    async def wait_for(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.heard:
            await self.heard.wait_for(what)

    async def closed(self) -> list[str]:
        await self.wait_for(lambda: bool(self.closings))
        return self.closings

    def _tell(self) -> None:
        self._tasks.append(asyncio.ensure_future(self._notify()))

    async def _notify(self) -> None:
        async with self.heard:
            self.heard.notify_all()


@contextlib.asynccontextmanager
async def serving(talk: Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await talk(ws, request)
        return ws

    app = web.Application()
    app.router.add_get("/ws", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    finally:
        await runner.cleanup()


class Raw:
    """A server that writes frames bit by bit."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def shake_hands(self, *, tail: bytes = b"") -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()  # RFC 6455, 1.3
        accept = base64.b64encode(digest).decode()
        self.writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            + tail
        )

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True) -> None:
        self.writer.write(frame_bytes(opcode, payload, fin=fin))

    async def next_frame(self) -> tuple[int, bytes]:
        head = await self.reader.readexactly(2)
        mask = await self.reader.readexactly(4)
        masked = await self.reader.readexactly(head[1] & 0x7F)
        return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))


def frame_bytes(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
    return bytes([(0x80 if fin else 0) | opcode]) + size + payload


@contextlib.asynccontextmanager
async def talking(talk: Callable[[Raw], Awaitable[None]]) -> AsyncIterator[str]:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await talk(Raw(reader, writer))
            finally:
                writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
    finally:
        server.close()


async def test_frames_go_both_ways_in_order_as_text() -> None:
    types: list[aiohttp.WSMsgType] = []

    async def echo(ws: web.WebSocketResponse, request: web.Request) -> None:
        await ws.send_str(request.headers["X-Key"])
        async for message in ws:
            types.append(message.type)
            await ws.send_bytes(message.data.encode())

    ears = Ears()
    async with serving(echo) as url:
        connection = await PicowsTransport().connect(url, ears.on_frame, ears.on_closed, headers={"X-Key": "k"})
        for number in range(100):
            connection.send(b"%d" % number)
        await ears.wait_for(lambda: len(ears.frames) == 101)
        connection.close()
        assert await ears.closed() == ["1000"]
    assert ears.frames == [b"k"] + [b"%d" % number for number in range(100)]
    assert set(types) == {aiohttp.WSMsgType.TEXT}


async def test_the_caller_holds_the_connection_before_the_first_frame() -> None:
    """The venue's first frame comes in the same packet as its handshake."""

    async def hurry(raw: Raw) -> None:
        await raw.shake_hands(tail=frame_bytes(TEXT, b"one") + frame_bytes(TEXT, b"two") + frame_bytes(CLOSE, b""))
        await raw.reader.read()

    ears = Ears()
    async with talking(hurry) as url:
        await PicowsTransport().connect(url, ears.on_frame, ears.on_closed)
        assert (ears.frames, ears.closings) == ([], [])
        assert await ears.closed() == ["1005"]
    assert ears.frames == [b"one", b"two"]


async def test_fragments_are_assembled_around_pings() -> None:
    seen: list[tuple[int, bytes]] = []

    async def split(raw: Raw) -> None:
        await raw.shake_hands()
        raw.frame(TEXT, b'{"a":', fin=False)
        raw.frame(PING, b"are you there")
        raw.frame(CONTINUATION, b"1", fin=False)
        raw.frame(CONTINUATION, b"}")
        raw.frame(BINARY, b"whole")
        seen.append(await raw.next_frame())
        assert (await raw.next_frame())[0] == CLOSE

    ears = Ears()
    async with talking(split) as url:
        connection = await PicowsTransport().connect(url, ears.on_frame, ears.on_closed)
        await ears.wait_for(lambda: len(ears.frames) == 2)
        connection.close()
        await ears.closed()
    assert ears.frames == [b'{"a":1}', b"whole"]
    assert seen == [(PONG, b"are you there")]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([(TEXT, b"a", False), (TEXT, b"b", True)], "1002 a message began inside another"),
        ([(CONTINUATION, b"a", True)], "1002 a continuation without a beginning"),
    ],
)
async def test_broken_fragments_end_the_connection(frames: list[tuple[int, bytes, bool]], expected: str) -> None:
    async def break_rules(raw: Raw) -> None:
        await raw.shake_hands()
        for opcode, payload, fin in frames:
            raw.frame(opcode, payload, fin=fin)
        assert (await raw.next_frame())[0] == CLOSE
        raw.frame(CLOSE, b"")

    ears = Ears()
    async with talking(break_rules) as url:
        await PicowsTransport().connect(url, ears.on_frame, ears.on_closed)
        assert await ears.closed() == [expected]
    assert ears.frames == []


async def test_a_message_that_is_too_long_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MESSAGE_BYTES_MAX", 100)

    async def overdo(raw: Raw) -> None:
        await raw.shake_hands()
        raw.frame(TEXT, b"x" * 101)
        await raw.reader.read()

    async def overdo_in_parts(raw: Raw) -> None:
        await raw.shake_hands()
        raw.frame(TEXT, b"x" * 60, fin=False)
        raw.frame(CONTINUATION, b"x" * 60)
        assert (await raw.next_frame())[0] == CLOSE

    for talk in (overdo, overdo_in_parts):
        ears = Ears()
        async with talking(talk) as url:
            await PicowsTransport().connect(url, ears.on_frame, ears.on_closed)
            (why,) = await ears.closed()
        assert why.startswith("1009 ")
        assert ears.frames == []


@pytest.mark.parametrize(("code", "reason", "expected"), [(1000, "Expired", "1000 Expired"), (4001, "", "4001")])
async def test_the_venues_code_and_reason_are_told_once(code: int, reason: str, expected: str) -> None:
    async def expire(ws: web.WebSocketResponse, _request: web.Request) -> None:
        await ws.send_str("last")
        await ws.close(code=code, message=reason.encode())

    ears = Ears()
    async with serving(expire) as url:
        connection = await PicowsTransport().connect(url, ears.on_frame, ears.on_closed)
        assert await ears.closed() == [expected]
        connection.send(b"into the void")
        connection.close()
    assert ears.frames == [b"last"]
    assert ears.closings == [expected]


async def test_a_connection_that_breaks_is_1006() -> None:
    async def vanish(raw: Raw) -> None:
        await raw.shake_hands()
        raw.frame(TEXT, b"half", fin=False)

    ears = Ears()
    async with talking(vanish) as url:
        await PicowsTransport().connect(url, ears.on_frame, ears.on_closed)
        assert await ears.closed() == ["1006"]
    assert ears.frames == []


async def test_closing_does_not_wait_for_a_venue_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "CLOSE_WAIT_S", 0.01)

    async def ignore(raw: Raw) -> None:
        await raw.shake_hands()
        await raw.reader.read()

    ears = Ears()
    async with talking(ignore) as url:
        connection = await PicowsTransport().connect(url, ears.on_frame, ears.on_closed)
        connection.close()
        assert await ears.closed() == ["1000"]


async def test_an_error_in_the_readers_callback_does_not_end_the_connection() -> None:
    async def tell(ws: web.WebSocketResponse, _request: web.Request) -> None:
        await ws.send_str("bad")
        await ws.send_str("good")
        await ws.receive()

    heard: list[bytes] = []
    ears = Ears()

    def on_frame(frame: bytes) -> None:
        heard.append(frame)
        ears.on_frame(frame)
        if frame == b"bad":
            raise ValueError("a bug in the reader")

    async with serving(tell) as url:
        connection = await PicowsTransport().connect(url, on_frame, ears.on_closed)
        await ears.wait_for(lambda: len(heard) == 2)
        assert ears.closings == []
        connection.close()
        await ears.closed()


async def test_a_refused_port_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SocketUnavailable, match=r"ws://127\.0\.0\.1:\d+/ws: .*"):
        await PicowsTransport().connect(f"ws://127.0.0.1:{port}/ws", print, print)


async def test_a_path_without_a_socket_is_unavailable() -> None:
    async def never(_ws: web.WebSocketResponse, _request: web.Request) -> None:
        raise AssertionError

    async with serving(never) as url:
        with pytest.raises(SocketUnavailable, match="404"):
            await PicowsTransport().connect(url + "/elsewhere?auth=secret", print, print)


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1/ws", "ws://", "ws://127.0.0.1:99999/", "ws://no-such-host.invalid/"]
)
async def test_what_is_no_address_is_unavailable(url: str) -> None:
    with pytest.raises(SocketUnavailable):
        await PicowsTransport().connect(url, print, print)


async def test_a_venue_that_hangs_up_in_the_handshake_is_unavailable() -> None:
    async def hang_up(raw: Raw) -> None:
        await raw.reader.readuntil(b"\r\n\r\n")

    async with talking(hang_up) as url:
        with pytest.raises(SocketUnavailable, match="closed during the handshake"):
            await PicowsTransport().connect(url, print, print)


async def test_a_venue_that_never_answers_the_handshake_is_unavailable() -> None:
    async def ignore(raw: Raw) -> None:
        await raw.reader.read()

    async with talking(ignore) as url:
        with pytest.raises(SocketUnavailable, match=r"no handshake within 0\.05 s"):
            await PicowsTransport(connect_timeout_ms=50).connect(url, print, print)


async def test_a_cancelled_connect_leaves_no_connection_behind() -> None:
    asked, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(raw: Raw) -> None:
        asked.set()
        await go_on.wait()
        await raw.shake_hands()
        with contextlib.suppress(ConnectionError):
            await raw.reader.read()
        ended.set()

    ears = Ears()
    async with talking(slow) as url:
        opening = asyncio.create_task(PicowsTransport().connect(url, ears.on_frame, ears.on_closed))
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        go_on.set()
        async with asyncio.timeout(10):
            await ended.wait()
    assert (ears.frames, ears.closings) == ([], [])


async def test_a_query_never_shows_in_an_error() -> None:
    with pytest.raises(SocketUnavailable) as error:
        await PicowsTransport().connect("http://127.0.0.1/ws?auth=topsecret", print, print)
    assert "topsecret" not in f"{error.value}{error.value!r}"
