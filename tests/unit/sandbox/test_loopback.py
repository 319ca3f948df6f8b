"""The loopback shell over real sockets, in front of a server that only records."""

import asyncio
import socket as sockets

import aiohttp
import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.sandbox import loopback
from perpdesk.sandbox.loopback import PortUnavailable, serve
from perpdesk.sandbox.server import SocketPeer, WireRequest, WireResponse, WireSession


class RecordingServer:
    """Answers 200 with what it was told, and keeps everything."""

    venue = VenueName.LIGHTER

    def __init__(self) -> None:
        self.requests: list[WireRequest] = []
        self.sessions: list[RecordingSession] = []
        self.delay_ms = 0

    def handle(self, request: WireRequest) -> WireResponse:
        self.requests.append(request)
        return WireResponse(418, b"body:" + request.body, "text/plain", self.delay_ms)

    def open_socket(self, path: str, headers: dict[str, str], peer: SocketPeer) -> WireSession | None:
        if path != "/stream":
            return None
        session = RecordingSession(peer, dict(headers))
        self.sessions.append(session)
        peer.send(b"welcome")
        return session


class RecordingSession:
    def __init__(self, peer: SocketPeer, headers: dict[str, str]) -> None:
        self.peer = peer
        self.headers = headers
        self.frames: list[bytes] = []
        self.closed = asyncio.Event()

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.peer.send(b"echo " + frame)

    def on_closed(self) -> None:
        assert not self.closed.is_set(), "told twice"
        self.closed.set()


async def test_a_request_reaches_the_server_whole_and_its_answer_comes_back() -> None:
    server = RecordingServer()
    async with serve(server) as endpoint, aiohttp.ClientSession() as client:
        url = f"{endpoint.http_url}/api/v1/sendTx?a=1&a=2&b=x%20y"
        async with client.put(url, data=b"{}", headers={"X-Key": "k"}) as response:
            assert (response.status, await response.read()) == (418, b"body:{}")
            assert response.content_type == "text/plain"
    request = server.requests[0]
    assert (request.method, request.path, request.body) == ("PUT", "/api/v1/sendTx", b"{}")
    assert request.query == (("a", "1"), ("a", "2"), ("b", "x y"))
    assert request.headers["x-key"] == "k"


async def test_the_server_is_asked_at_once_and_its_delay_comes_before_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = RecordingServer()
    server.delay_ms = 300
    slept: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(duration: float) -> None:
        assert server.requests, "the effect comes before the delay"
        slept.append(duration)
        await real_sleep(0)

    async with serve(server) as endpoint, aiohttp.ClientSession() as client:
        monkeypatch.setattr(loopback.asyncio, "sleep", sleep)
        async with client.post(f"{endpoint.http_url}/x") as response:
            await response.read()
        monkeypatch.undo()
    assert 0.3 in slept


async def test_a_socket_is_opened_by_path_and_frames_go_both_ways_as_text() -> None:
    server = RecordingServer()
    async with serve(server) as endpoint, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{endpoint.ws_url}/stream?readonly=true", headers={"X-Key": "k"}) as ws:
            await ws.send_str("one")
            await ws.send_bytes(b"two")
            assert [(await ws.receive_str()) for _ in range(3)] == ["welcome", "echo one", "echo two"]
        await server.sessions[0].closed.wait()
    assert server.sessions[0].frames == [b"one", b"two"]
    assert server.sessions[0].headers["x-key"] == "k"


async def test_a_refused_socket_is_a_404() -> None:
    async with serve(RecordingServer()) as endpoint, aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{endpoint.ws_url}/elsewhere")
    assert refused.value.status == 404


async def test_the_venue_can_close_after_its_last_frame() -> None:
    server = RecordingServer()
    async with serve(server) as endpoint, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{endpoint.ws_url}/stream") as ws:
            await ws.receive_str()
            peer = server.sessions[0].peer
            peer.send(b"last")
            peer.close(1000, "Expired")
            peer.send(b"too late")
            assert await ws.receive_str() == "last"
            closing = await ws.receive()
            assert (closing.type, closing.data, closing.extra) == (aiohttp.WSMsgType.CLOSE, 1000, "Expired")
        await server.sessions[0].closed.wait()


async def test_a_client_that_vanishes_ends_its_session() -> None:
    server = RecordingServer()
    async with serve(server) as endpoint:
        async with aiohttp.ClientSession() as client:
            ws = await client.ws_connect(f"{endpoint.ws_url}/stream")
            await ws.receive_str()
            ws.get_extra_info("socket").shutdown(sockets.SHUT_RDWR)
        await server.sessions[0].closed.wait()
        server.sessions[0].peer.send(b"to nobody")
        server.sessions[0].peer.close(1000, "")


async def test_a_client_that_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "FRAMES_QUEUED_MAX", 50)
    server = RecordingServer()
    async with serve(server) as endpoint, aiohttp.ClientSession() as client:
        await client.ws_connect(f"{endpoint.ws_url}/stream")
        session = server.sessions[0]
        for _ in range(52):
            session.peer.send(b"x" * 1000)
        await session.closed.wait()


async def test_leaving_closes_open_sockets_and_frees_the_port() -> None:
    server = RecordingServer()
    async with aiohttp.ClientSession() as client:
        async with serve(server) as endpoint:
            ws = await client.ws_connect(f"{endpoint.ws_url}/stream")
            await ws.receive_str()
            reading = asyncio.create_task(ws.receive())
        closing = await reading
        assert closing.data == 1001
        assert server.sessions[0].closed.is_set()
        async with serve(server, port=endpoint.port) as again:
            assert again.port == endpoint.port


async def test_a_port_in_use_is_a_plain_error() -> None:
    async with serve(RecordingServer()) as endpoint:
        with pytest.raises(PortUnavailable, match="choose another port") as refused:
            async with serve(RecordingServer(), port=endpoint.port):
                pass
    assert str(endpoint.port) in str(refused.value)
    assert "in use" in str(refused.value)


async def test_a_port_that_does_not_exist_is_a_plain_error() -> None:
    with pytest.raises(PortUnavailable, match="choose another port"):
        async with serve(RecordingServer(), port=70_000):
            pass
