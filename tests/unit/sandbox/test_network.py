"""The in-memory wire without faults: latency, order, time-outs, kills, observers."""

import asyncio
import random

import pytest
from tests.unit.sandbox.counting_server import EPOCH_MS, URL, WS_URL, Bench, CountingServer, Ears, on_bench

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import LoopClock
from perpdesk.sandbox.network import InMemoryNetwork, Sent
from perpdesk.sandbox.server import WireRequest, WireResponse
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.venues.transport.ports import (
    RequestNotSent,
    ResponseLost,
    SocketConnection,
    SocketUnavailable,
)


async def connect(bench: Bench, ears: Ears, client: str = "desk") -> SocketConnection:
    sockets = bench.network.client(client).sockets()
    return await sockets.connect(WS_URL, ears.frames.append, ears.closings.append)


def test_a_request_takes_effect_after_one_latency_and_answers_after_two() -> None:
    async def test(bench: Bench) -> None:
        bench.server.delay_ms = 100
        response = await bench.http.request(
            "POST", f"{URL}?a=1&a=2&b=x%20y&c=", body=b"{}", headers={"Content-Type": "application/json"}
        )
        assert (response.status, response.body) == (200, b"1")
        assert response.headers["content-type"] == "application/json"
        assert bench.clock.monotonic_ms() == 140

    bench = on_bench(test, latency_ms=(20, 20))
    at_ms, request = bench.server.requests[0]
    assert at_ms == 20
    assert (request.method, request.path, request.body) == ("POST", "/exchange", b"{}")
    assert request.query == (("a", "1"), ("a", "2"), ("b", "x y"), ("c", ""))
    assert request.headers == {"content-type": "application/json"}


def test_an_answer_that_comes_too_late_is_lost_and_the_effect_remains() -> None:
    async def test(bench: Bench) -> None:
        bench.server.delay_ms = 5_000
        with pytest.raises(ResponseLost, match="POST /exchange: no answer within 1000 ms"):
            await bench.http.request("POST", URL, timeout_ms=1_000)
        assert bench.clock.monotonic_ms() == 1_000
        await bench.clock.sleep_ms(10_000)

    assert len(on_bench(test).server.requests) == 1


def test_a_request_slower_than_its_time_out_still_arrives_later() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(ResponseLost):
            await bench.http.request("POST", URL, timeout_ms=10)
        assert bench.clock.monotonic_ms() == 10
        assert bench.server.requests == []
        await bench.clock.sleep_ms(1_000)

    assert on_bench(test, latency_ms=(30, 30)).server.requests[0][0] == 30


def test_a_cancelled_request_still_takes_effect() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bench.http.request("POST", URL), timeout=0.001)
        await bench.clock.sleep_ms(1_000)

    assert len(on_bench(test).server.requests) == 1


def test_an_address_nobody_answers_at_sends_nothing() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(RequestNotSent, match="no simulated venue answers there"):
            await bench.http.request("GET", "https://venue.test.evil/exchange")
        with pytest.raises(SocketUnavailable, match="no simulated venue answers there"):
            await bench.network.sockets().connect("wss://elsewhere.test/ws", print, print)

    on_bench(test)


def test_a_closed_transport_sends_nothing() -> None:
    async def test(bench: Bench) -> None:
        await bench.http.close()
        await bench.http.close()
        with pytest.raises(RequestNotSent, match="closed"):
            await bench.http.request("GET", URL)

    assert on_bench(test).server.requests == []


def test_an_error_of_the_server_is_heard_and_the_client_times_out() -> None:
    class Broken(CountingServer):
        def handle(self, request: WireRequest) -> WireResponse:
            raise ZeroDivisionError("a bug in the venue")

    async def main() -> list[str]:
        clock, heard = LoopClock(0), []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: heard.append(str(context["exception"])))
        network = InMemoryNetwork(clock, random.Random(1))
        network.attach("https://venue.test", "wss://venue.test", Broken(clock))
        with pytest.raises(ResponseLost):
            await network.http().request("POST", URL)
        return heard

    assert run_virtual(main()) == ["a bug in the venue"]


def test_two_servers_can_not_share_an_address() -> None:
    network = InMemoryNetwork(LoopClock(0), random.Random(1))
    network.attach("https://a.test", "wss://a.test", CountingServer(LoopClock(0)))
    with pytest.raises(ValueError, match=r"already answers at https://a\.test"):
        network.attach("https://a.test/", "wss://b.test", CountingServer(LoopClock(0)))


def test_a_latency_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="was 9 to 3"):
        InMemoryNetwork(LoopClock(0), random.Random(1), latency_ms=(9, 3))


def test_frames_keep_their_order_in_both_directions() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        connection = await connect(bench, ears)
        expected = [b"hello"]
        for number in range(300):
            connection.send(b"up %d" % number)
            bench.server.sessions[0].peer.send(b"down %d" % number)
            expected.append(b"down %d" % number)
            await bench.clock.sleep_ms(number % 4)
        await bench.clock.sleep_ms(100)
        assert ears.frames == expected
        assert [frame for _, frame in bench.server.sessions[0].frames] == [b"up %d" % n for n in range(300)]

    on_bench(test)


def test_each_frame_takes_its_latency() -> None:
    async def test(bench: Bench) -> None:
        heard: list[tuple[int, bytes]] = []
        connection = await bench.network.sockets().connect(
            WS_URL, lambda frame: heard.append((bench.clock.monotonic_ms(), frame)), print, headers={"X-Key": "k"}
        )
        assert bench.clock.monotonic_ms() == 40
        connection.send(b"a")
        bench.server.sessions[0].peer.send(b"b")
        await bench.clock.sleep_ms(7)
        bench.server.sessions[0].peer.send(b"c")
        await bench.clock.sleep_ms(100)
        assert bench.server.sessions[0].frames == [(60, b"a")]
        assert heard == [(40, b"hello"), (60, b"b"), (67, b"c")]
        assert bench.server.sessions[0].headers == {"x-key": "k"}

    on_bench(test, latency_ms=(20, 20))


def test_the_connection_is_in_the_callers_hands_before_its_first_frame() -> None:
    async def test(bench: Bench) -> None:
        held: list[SocketConnection] = []
        seen: list[bool] = []
        held.append(await bench.network.sockets().connect(WS_URL, lambda _f: seen.append(bool(held)), print))
        await bench.clock.sleep_ms(100)
        assert seen == [True]

    on_bench(test)


def test_a_path_without_a_socket_is_unavailable() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(SocketUnavailable, match="404"):
            await bench.network.sockets().connect(WS_URL + "/nothing", print, print)

    on_bench(test)


def test_a_close_by_the_venue_comes_after_its_frames_with_code_and_reason() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        connection = await connect(bench, ears)
        peer = bench.server.sessions[0].peer
        connection.send(b"too late to be read")
        peer.send(b"last")
        peer.close(1000, "Expired")
        peer.close(1000, "again")
        peer.send(b"after the end")
        await bench.clock.sleep_ms(100)
        connection.send(b"into the void")
        connection.close()
        await bench.clock.sleep_ms(100)
        assert ears.frames == [b"hello", b"last"]
        assert ears.closings == ["1000 Expired"]
        assert len(bench.server.sessions[0].closed_at_ms) == 1
        assert bench.server.sessions[0].frames == []

    on_bench(test)


def test_a_close_by_the_client_tells_both_sides_once() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        connection = await connect(bench, ears)
        connection.send(b"goodbye")
        connection.close()
        assert ears.closings == [], "never from inside close()"
        connection.close()
        bench.server.sessions[0].peer.send(b"nobody reads this")
        await bench.clock.sleep_ms(200)
        bench.server.sessions[0].peer.send(b"nor this")
        assert ears.closings == ["1000"]
        session = bench.server.sessions[0]
        assert [frame for _, frame in session.frames] == [b"goodbye"]
        assert len(session.closed_at_ms) == 1
        assert ears.frames == []

    on_bench(test)


def test_disconnect_all_cuts_every_socket_as_1006() -> None:
    async def test(bench: Bench) -> None:
        one, two = Ears(), Ears()
        await connect(bench, one)
        await connect(bench, two, "agent")
        bench.network.disconnect_all(VenueName.LIGHTER)
        await bench.clock.sleep_ms(200)
        assert one.closings == []
        bench.network.disconnect_all()
        await bench.clock.sleep_ms(200)
        assert (one.closings, two.closings) == (["1006"], ["1006"])
        assert [len(session.closed_at_ms) for session in bench.server.sessions] == [1, 1]

    on_bench(test)


def test_a_cut_while_opening_is_unavailable_and_frees_the_venue() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        opening = asyncio.create_task(connect(bench, ears))
        await bench.clock.sleep_ms(30)
        bench.network.disconnect_all()
        with pytest.raises(SocketUnavailable, match="1006"):
            await opening
        await bench.clock.sleep_ms(100)
        assert (ears.frames, ears.closings) == ([], [])
        assert len(bench.server.sessions[0].closed_at_ms) == 1

    on_bench(test, latency_ms=(20, 20))


def test_a_cancelled_connect_frees_the_venue() -> None:
    async def test(bench: Bench) -> None:
        opening = asyncio.create_task(connect(bench, Ears()))
        await bench.clock.sleep_ms(30)
        opening.cancel()
        await bench.clock.sleep_ms(100)
        assert opening.cancelled()
        assert len(bench.server.sessions[0].closed_at_ms) == 1

    on_bench(test, latency_ms=(20, 20))


def test_what_a_killed_client_sent_still_arrives_and_nothing_comes_back() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        connection = await connect(bench, ears)
        desk = bench.network.client("desk")
        asking = asyncio.create_task(desk.http().request("POST", URL, timeout_ms=500))
        connection.send(b"last words")
        await bench.clock.sleep_ms(1)
        heard = list(ears.frames)
        desk.kill()
        bench.server.sessions[0].peer.send(b"to the dead")
        await bench.clock.sleep_ms(60_000)
        assert len(bench.server.requests) == 1
        assert [frame for _, frame in bench.server.sessions[0].frames] == [b"last words"]
        assert len(bench.server.sessions[0].closed_at_ms) == 1
        assert not asking.done(), "neither an answer nor a time-out"
        assert (ears.frames, ears.closings) == (heard, [])

    on_bench(test)


def test_a_killed_client_can_send_nothing_more() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        connection = await connect(bench, ears)
        desk = bench.network.client("desk")
        desk.kill()
        connection.send(b"too late")
        connection.close()
        tasks = [asyncio.create_task(desk.http().request("POST", URL)), asyncio.create_task(connect_as(desk))]
        await bench.clock.sleep_ms(60_000)
        assert not any(task.done() for task in tasks)
        assert bench.server.requests == []
        assert bench.server.sessions[0].frames == []

    async def connect_as(client: object) -> None:
        await client.sockets().connect(WS_URL, print, print)  # type: ignore[attr-defined]

    on_bench(test)


def test_a_client_killed_while_connecting_never_hears_of_it() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        opening = asyncio.create_task(connect(bench, ears))
        await bench.clock.sleep_ms(30)
        bench.network.client("desk").kill()
        await bench.clock.sleep_ms(1_000)
        assert not opening.done()
        assert len(bench.server.sessions[0].closed_at_ms) == 1

    on_bench(test, latency_ms=(20, 20))


def test_a_restarted_client_works_and_others_never_noticed() -> None:
    async def test(bench: Bench) -> None:
        agent = Ears()
        await connect(bench, agent, "agent")
        dead = bench.network.client("desk")
        dead.kill()
        reborn = bench.network.client("desk")
        assert reborn is not dead
        assert reborn is bench.network.client("desk")
        assert (await reborn.http().request("GET", URL)).body == b"1"
        assert agent.closings == []

    on_bench(test)


def test_observers_are_told_at_the_instant_bytes_leave() -> None:
    async def test(bench: Bench) -> None:
        told: list[Sent] = []
        bench.network.observe(told.append)
        connection = await connect(bench, Ears())
        await bench.clock.sleep_ms(1_000 - bench.clock.monotonic_ms())
        connection.send(b"frame")
        assert told == [Sent("desk", VenueName.HYPERLIQUID, "frame", "", "/ws", b"frame", EPOCH_MS + 1_000)]
        task = asyncio.create_task(bench.network.client("agent").http().request("PUT", URL + "?q=1", body=b"x"))
        await asyncio.sleep(0)
        assert told[1:] == [Sent("agent", VenueName.HYPERLIQUID, "http", "PUT", "/exchange", b"x", EPOCH_MS + 1_000)]
        assert bench.server.requests == []
        await task

    on_bench(test)


def test_a_client_that_is_flooded_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perpdesk.sandbox.in_memory_socket.FRAMES_IN_FLIGHT_MAX", 100)

    async def test(bench: Bench) -> None:
        ears = Ears()
        await connect(bench, ears)
        for _ in range(200):
            bench.server.sessions[0].peer.send(b"x")
        await bench.clock.sleep_ms(100)
        assert ears.closings == ["1006"]

    on_bench(test)


def test_a_raising_frame_callback_does_not_hold_back_the_next_frames() -> None:
    async def test(bench: Bench) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context["exception"]))
        heard: list[bytes] = []

        def on_frame(frame: bytes) -> None:
            heard.append(frame)
            if frame == b"hello":
                raise ValueError("a bug in the reader")

        await bench.network.sockets().connect(WS_URL, on_frame, print)
        bench.server.sessions[0].peer.send(b"next")
        await bench.clock.sleep_ms(100)
        assert heard == [b"hello", b"next"]

    errors: list[BaseException] = []
    on_bench(test)
    assert [str(error) for error in errors] == ["a bug in the reader"]
