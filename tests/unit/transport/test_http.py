"""The pooled HTTP transport against small servers on loopback: what it sends, and how every failure is sorted."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from perpdesk.venues.transport import http
from perpdesk.venues.transport.http import AiohttpTransport
from perpdesk.venues.transport.ports import RequestNotSent, ResponseLost

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """A server that is no HTTP server unless `talk` makes it one."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@contextlib.asynccontextmanager
async def transport() -> AsyncIterator[AiohttpTransport]:
    opened = AiohttpTransport()
    try:
        yield opened
    finally:
        await opened.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_method_url_body_and_headers_go_out_as_given() -> None:
    async def echo(request: web.Request) -> web.Response:
        text = f"{request.method} {request.raw_path} {request.headers['X-Key']} {await request.text()}"
        return web.Response(status=202, text=text, headers={"X-Answer": "yes"})

    async with serving(echo) as base, transport() as client:
        answer = await client.request("PUT", f"{base}/a/b?q=1%2C2&r=x+y", body=b"{}", headers={"X-Key": "k"})
    assert (answer.status, answer.body) == (202, b"PUT /a/b?q=1%2C2&r=x+y k {}")
    assert answer.headers["x-answer"] == "yes"


async def test_errors_and_redirects_of_the_venue_are_answers() -> None:
    async def refuse(request: web.Request) -> web.Response:
        if request.path == "/moved":
            raise web.HTTPFound("/elsewhere")
        return web.Response(status=503, text="busy")

    async with serving(refuse) as base, transport() as client:
        assert (await client.request("GET", f"{base}/x")).status == 503
        assert (await client.request("POST", f"{base}/moved")).status == 302


async def test_connections_are_kept_and_reused() -> None:
    peers: set[object] = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    async with serving(note) as base, transport() as client:
        for _ in range(5):
            await client.request("POST", base)
    assert len(peers) == 1


async def test_a_refused_port_sent_nothing() -> None:
    async with transport() as client:
        with pytest.raises(RequestNotSent, match=r"POST http://127\.0\.0\.1:\d+/order: can not connect"):
            await client.request("POST", f"http://127.0.0.1:{free_port()}/order?auth=secret")


async def test_a_host_without_address_sent_nothing() -> None:
    async with transport() as client:
        with pytest.raises(RequestNotSent, match="can not connect"):
            await client.request("POST", "http://no-such-host.invalid/")


@pytest.mark.parametrize("url", ["", "not an address", "http://", "ftp://x/y", "http://127.0.0.1:99999/"])
async def test_what_is_no_address_sent_nothing(url: str) -> None:
    async with transport() as client:
        with pytest.raises(RequestNotSent):
            await client.request("POST", url)


async def test_a_failed_tls_handshake_sent_nothing() -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"this is no TLS\n")

    async with talking(no_tls) as base, transport() as client:
        with pytest.raises(RequestNotSent) as error:
            await client.request("POST", base.replace("http:", "https:"))
    assert isinstance(error.value.__cause__, ssl.SSLError | OSError)


async def test_a_slow_answer_is_lost_at_its_time_out() -> None:
    arrived = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await request.read()
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang) as base, transport() as client:
        with pytest.raises(ResponseLost, match="no answer within 50 ms"):
            await client.request("POST", f"{base}/order", body=b"buy", timeout_ms=50)
    assert arrived.is_set()


async def test_waiting_for_a_connection_sends_nothing() -> None:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = AiohttpTransport(connections_max=1)
    async with serving(hang) as base:
        first = asyncio.create_task(client.request("POST", base, timeout_ms=60_000))
        await asyncio.sleep(0)
        with pytest.raises(RequestNotSent, match="within 50 ms"):
            await client.request("POST", base, timeout_ms=50)
        await client.close()
        with pytest.raises(ResponseLost):
            await first


async def test_a_venue_that_hangs_up_without_answering_may_have_acted() -> None:
    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with talking(hang_up) as base, transport() as client:
        with pytest.raises(ResponseLost, match="closed the connection"):
            await client.request("POST", f"{base}/order", body=b"buy")


async def test_an_answer_that_breaks_off_is_lost() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"status":"ok"')

    async with talking(break_off) as base, transport() as client:
        with pytest.raises(ResponseLost):
            await client.request("POST", f"{base}/order")


async def test_an_answer_that_is_no_http_is_lost() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x00\x01\x02 hello\r\n\r\n")

    async with talking(babble) as base, transport() as client:
        with pytest.raises(ResponseLost):
            await client.request("POST", base)


async def test_a_kept_connection_that_closes_under_a_post_may_have_carried_it() -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.readuntil(b"\r\n\r\n")

    async with talking(answer_once) as base, transport() as client:
        assert (await client.request("POST", base)).body == b"ok"
        with pytest.raises(ResponseLost):
            await client.request("POST", base)


async def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RESPONSE_BYTES_MAX", 1_000)

    async def flood(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 10_000)

    async with serving(flood) as base, transport() as client:
        with pytest.raises(ResponseLost, match="longer than 1000 bytes"):
            await client.request("GET", base)


async def test_a_closed_transport_sends_nothing() -> None:
    client = AiohttpTransport()
    await client.close()
    await client.close()
    with pytest.raises(RequestNotSent, match="closed"):
        await client.request("GET", "http://127.0.0.1/")


async def test_a_query_never_shows_in_an_error() -> None:
    async with transport() as client:
        with pytest.raises(RequestNotSent) as error:
            await client.request("GET", f"http://127.0.0.1:{free_port()}/x?auth=topsecret")
    assert "topsecret" not in f"{error.value}{error.value!r}"
