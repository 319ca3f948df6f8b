"""Each fault on the wire does what its name says, is counted, and repeats with its seed."""

import asyncio
import random
from typing import Any

import pytest
from tests.unit.sandbox.counting_server import URL, WS_URL, Bench, Ears, on_bench, plan

from perpdesk.domain.assets import VenueName
from perpdesk.sandbox.faults import (
    ALL_FAULTS,
    Fault,
    FaultPlan,
    FaultRates,
    UnknownFault,
    reads_as_cancel,
    reads_as_write,
)
from perpdesk.sandbox.network import Sent
from perpdesk.sandbox.server import WireRequest
from perpdesk.venues.transport.ports import RequestNotSent, ResponseLost, SocketConnection, SocketUnavailable

CANCEL = b'{"action":{"type":"cancelByCloid","cancels":[]}}'


async def connect(bench: Bench, ears: Ears) -> SocketConnection:
    return await bench.network.sockets().connect(WS_URL, ears.frames.append, ears.closings.append)


# Requests -----------------------------------------------------------------------------------------------------------


def test_lost_before_never_takes_effect_and_the_client_waits_its_time_out() -> None:
    async def test(bench: Bench) -> None:
        told: list[Sent] = []
        bench.network.observe(told.append)
        with pytest.raises(ResponseLost):
            await bench.http.request("POST", URL, timeout_ms=700)
        assert bench.clock.monotonic_ms() == 700
        assert len(told) == 1, "its bytes left"
        await bench.clock.sleep_ms(60_000)

    bench = on_bench(test, faults=plan("lost_before", lost_before=1.0))
    assert bench.server.requests == []
    assert bench.faults is not None
    assert bench.faults.counts == {"lost_before": 1}


def test_refused_sends_nothing() -> None:
    async def test(bench: Bench) -> None:
        told: list[Sent] = []
        bench.network.observe(told.append)
        with pytest.raises(RequestNotSent, match="refused"):
            await bench.http.request("POST", URL)
        with pytest.raises(SocketUnavailable, match="refused"):
            await connect(bench, Ears())
        assert told == []

    bench = on_bench(test, faults=plan("refused", refused=1.0))
    assert (bench.server.requests, bench.server.sessions) == ([], [])


def test_lost_after_takes_effect_without_an_answer() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(ResponseLost):
            await bench.http.request("POST", URL, timeout_ms=700)
        assert bench.clock.monotonic_ms() == 700

    bench = on_bench(test, faults=plan("lost_after", lost_after=1.0))
    assert len(bench.server.requests) == 1
    assert bench.server.requests[0][0] <= 40


def test_delayed_takes_effect_late_even_after_the_client_gave_up() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(ResponseLost):
            await bench.http.request("POST", URL, timeout_ms=400)
        assert bench.server.requests == []
        await bench.clock.sleep_ms(10_000)
        assert (await bench.http.request("POST", URL, timeout_ms=20_000)).body == b"2"

    bench = on_bench(test, faults=plan("delayed", delayed=1.0))
    assert 500 <= bench.server.requests[0][0] <= 8_040


def test_duplicated_takes_effect_twice_and_the_first_answer_counts() -> None:
    async def test(bench: Bench) -> None:
        assert (await bench.http.request("POST", URL, body=b"same")).body == b"1"
        await bench.clock.sleep_ms(1_000)

    bench = on_bench(test, faults=plan("duplicated", duplicated=1.0))
    assert [request.body for _, request in bench.server.requests] == [b"same", b"same"]


def test_reads_are_not_duplicated() -> None:
    async def test(bench: Bench) -> None:
        await bench.http.request("GET", URL)
        await bench.clock.sleep_ms(1_000)

    bench = on_bench(test, faults=plan("duplicated", duplicated=1.0))
    assert len(bench.server.requests) == 1
    assert bench.faults is not None
    assert not bench.faults.counts


@pytest.mark.parametrize(("name", "status"), [("server_error", 500), ("rate_limited", 429)])
def test_an_error_page_comes_before_any_effect(name: str, status: int) -> None:
    async def test(bench: Bench) -> None:
        response = await bench.http.request("POST", URL)
        assert response.status == status
        assert response.body.startswith(b"<html>")
        assert response.headers["content-type"] == "text/html"

    assert on_bench(test, faults=plan(name, **{name: 1.0})).server.requests == []


def test_a_late_fill_delays_the_cancel_and_what_the_venue_pushes_after_it() -> None:
    async def test(bench: Bench) -> None:
        heard_at_ms: list[int] = []
        await bench.network.sockets().connect(WS_URL, lambda _f: heard_at_ms.append(bench.clock.monotonic_ms()), print)
        await bench.clock.sleep_ms(1_000)
        heard_at_ms.clear()
        answer = await bench.http.request("POST", URL, body=CANCEL, timeout_ms=10_000)
        bench.server.sessions[0].peer.send(b"your fill")
        answered_at_ms = bench.clock.monotonic_ms()
        assert answer.status == 200
        assert bench.server.requests[0][0] >= 1_000 + 500
        await bench.clock.sleep_ms(10_000)
        assert heard_at_ms[0] > answered_at_ms + 400

    on_bench(test, faults=plan("late_fill", late_fill=1.0))


def test_an_order_is_no_cancel() -> None:
    async def test(bench: Bench) -> None:
        await bench.http.request("POST", URL, body=b'{"action":{"type":"order"}}')
        assert bench.clock.monotonic_ms() <= 80

    on_bench(test, faults=plan("late_fill", late_fill=1.0))


@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        ("POST", CANCEL, True),
        ("POST", b'{"type": "cancel"}', True),
        ("POST", b'{"type":"order"}', False),
        ("POST", b"tx_type=15&tx_info=%7B%7D", True),
        ("POST", b"tx_type=16&tx_info=%7B%7D", True),
        ("POST", b"tx_type=14&tx_info=%7B%7D", False),
        ("POST", b"tx_type=155", False),
        ("DELETE", b"", True),
        ("GET", b"", False),
    ],
)
def test_cancels_are_recognised_on_every_venue(method: str, body: bytes, expected: bool) -> None:
    assert reads_as_cancel(WireRequest(method, "/", body=body)) is expected


def test_reading_is_no_write() -> None:
    assert [reads_as_write(WireRequest(m, "/")) for m in ("GET", "HEAD", "POST", "DELETE")] == [
        False,
        False,
        True,
        True,
    ]


def test_only_spares_the_requests_it_refuses() -> None:
    faults = FaultPlan(
        random.Random(1),
        FaultRates(server_error=1.0),
        frozenset({"server_error"}),
        lambda venue, request: venue is VenueName.HYPERLIQUID and request.path == "/exchange",
    )

    async def test(bench: Bench) -> None:
        assert (await bench.http.request("POST", "https://venue.test/info")).status == 200
        assert (await bench.http.request("POST", URL)).status == 500

    on_bench(test, faults=faults)


def test_a_calm_stretch_has_no_faults() -> None:
    faults = plan("all", **{name: 0.1 for name in ALL_FAULTS if "frame" not in name}, frame_lost=0.9)
    faults.is_active = False

    async def test(bench: Bench) -> None:
        ears = Ears()
        await connect(bench, ears)
        for _ in range(50):
            await bench.http.request("POST", URL)
        assert (ears.frames, ears.closings) == ([b"hello"], [])

    on_bench(test, faults=faults)
    assert not faults.counts


# Frames -------------------------------------------------------------------------------------------------------------


async def _push(bench: Bench, count: int) -> Ears:
    ears = Ears()
    await connect(bench, ears)
    for number in range(count):
        bench.server.sessions[0].peer.send(b'{"seq":%d}' % number)
        await bench.clock.sleep_ms(10)
    await bench.clock.sleep_ms(60_000)
    return ears


def test_lost_frames_leave_gaps_and_keep_order() -> None:
    async def test(bench: Bench) -> None:
        ears = await _push(bench, 200)
        assert len(ears.frames) == 201 - faults.counts["frame_lost"]
        assert ears.frames == sorted(ears.frames, key=lambda f: int(f[7:-1]) if f != b"hello" else -1)

    faults = plan("frame_lost", frame_lost=0.3)
    on_bench(test, faults=faults)
    assert 30 < faults.counts["frame_lost"] < 90


def test_duplicated_frames_come_twice_in_a_row() -> None:
    async def test(bench: Bench) -> None:
        ears = await _push(bench, 2)
        assert ears.frames == [b"hello"] * 2 + [b'{"seq":0}'] * 2 + [b'{"seq":1}'] * 2

    on_bench(test, faults=plan("frame_duplicated", frame_duplicated=1.0))


def test_a_stall_holds_back_everything_behind_it_in_order() -> None:
    async def test(bench: Bench) -> None:
        heard: list[tuple[int, bytes]] = []
        connection = await bench.network.sockets().connect(
            WS_URL, lambda frame: heard.append((bench.clock.monotonic_ms(), frame)), print
        )
        faults.is_active = True
        connection.send(b"up 1")
        sent_at_ms = bench.clock.monotonic_ms()
        bench.server.sessions[0].peer.send(b"1")
        faults.is_active = False
        bench.server.sessions[0].peer.send(b"2")
        connection.send(b"up 2")
        await bench.clock.sleep_ms(60_000)
        assert [frame for _, frame in heard] == [b"hello", b"1", b"2"]
        assert heard[1][0] >= sent_at_ms + 500
        assert heard[2][0] >= heard[1][0]
        assert [frame for _, frame in bench.server.sessions[0].frames] == [b"up 1", b"up 2"]
        assert bench.server.sessions[0].frames[0][0] >= sent_at_ms + 500

    faults = plan("frame_delayed", frame_delayed=1.0)
    faults.is_active = False
    on_bench(test, faults=faults)
    assert faults.counts == {"frame_delayed": 2}


def test_a_garbled_frame_is_never_another_valid_message() -> None:
    msgspec = pytest.importorskip("msgspec")
    faults = plan("frame_garbled")
    frame = b'{"coin":"BTC","px":"67123.5","sz":"0.25"}'
    for _ in range(500):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            msgspec.json.decode(faults.garble(frame))
    assert faults.garble(b"") != b""
    assert faults.garble(b"1") != b"1"


def test_garbled_frames_arrive_in_their_place() -> None:
    async def test(bench: Bench) -> None:
        ears = await _push(bench, 20)
        assert len(ears.frames) == 21
        assert b'{"seq":3}' not in ears.frames

    on_bench(test, faults=plan("frame_garbled", frame_garbled=1.0))


def test_sockets_are_cut_at_about_their_rate() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(200):
            ears = Ears()
            connection = await connect(bench, ears)
            await bench.clock.sleep_ms(60_000)
            assert ears.closings in ([], ["1006"])
            cuts.append(len(ears.closings))
            connection.close()
            await bench.clock.sleep_ms(100)
        assert all(len(session.closed_at_ms) == 1 for session in bench.server.sessions)

    cuts: list[int] = []
    faults = plan("socket_cut", socket_cut=1.0)
    on_bench(test, faults=faults)
    assert faults.counts["socket_cut"] == sum(cuts)
    assert 100 < sum(cuts) < 150  # 1 - 1/e of them live less than a minute


def test_a_cut_due_in_a_calm_stretch_waits_for_its_end() -> None:
    async def test(bench: Bench) -> None:
        ears = Ears()
        await connect(bench, ears)
        faults.is_active = False
        await bench.clock.sleep_ms(3_600_000)
        assert ears.closings == []
        faults.is_active = True
        await bench.clock.sleep_ms(3_600_000)
        assert ears.closings == ["1006"]

    faults = plan("socket_cut", socket_cut=1.0)
    on_bench(test, faults=faults)


# Plans --------------------------------------------------------------------------------------------------------------


def test_parse_reads_all_none_and_names() -> None:
    assert FaultPlan.parse("all") == ALL_FAULTS == {fault.value for fault in Fault}
    assert FaultPlan.parse("none") == frozenset()
    assert FaultPlan.parse(" lost_after, socket_cut ,") == {"lost_after", "socket_cut"}


def test_an_unknown_name_is_told_the_nearest_and_all_known() -> None:
    with pytest.raises(UnknownFault, match=r"no fault 'lost_aftr'; did you mean lost_after\?") as error:
        FaultPlan.parse("lost_aftr")
    assert all(name in str(error.value) for name in ALL_FAULTS)
    with pytest.raises(UnknownFault, match="say all or none"):
        FaultPlan.parse(" ")
    with pytest.raises(UnknownFault, match="no fault 'all'"):
        FaultPlan.parse("all,none")


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="lost_after must be within 0 and 1"):
        FaultRates(lost_after=1.5)
    with pytest.raises(ValueError, match="stall_ms_max must be at least"):
        FaultRates(stall_ms_max=3)
    with pytest.raises(ValueError, match="add up to more than 1"):
        plan("lost_after,lost_before", lost_after=0.7, lost_before=0.7)


def test_faults_happen_at_their_rates_and_exclude_each_other() -> None:
    faults = plan("lost_before,lost_after,server_error", lost_before=0.1, lost_after=0.2, server_error=0.05)
    request = WireRequest("POST", "/exchange")
    drawn = [faults.draw_request(VenueName.LIGHTER, request) for _ in range(20_000)]
    for fault, rate in ((Fault.LOST_BEFORE, 0.1), (Fault.LOST_AFTER, 0.2), (Fault.SERVER_ERROR, 0.05)):
        assert drawn.count(fault) == faults.counts[fault]
        assert abs(drawn.count(fault) / 20_000 - rate) < 0.01


def _trace(seed: int) -> list[Any]:
    """Everything that client and venue see of a busy minute under all faults."""
    heard: list[Any] = []

    async def ask(bench: Bench, number: int) -> None:
        await bench.clock.sleep_ms(number * 97)
        try:
            body = CANCEL if number % 3 == 0 else b"order %d" % number
            response = await bench.http.request("POST", URL, body=body, timeout_ms=2_000)
            heard.append((bench.clock.monotonic_ms(), number, response.status, response.body))
        except (ResponseLost, RequestNotSent) as error:
            heard.append((bench.clock.monotonic_ms(), number, str(error)))

    async def listen(bench: Bench) -> None:
        while bench.clock.monotonic_ms() < 60_000:
            ears = Ears()
            try:
                connection = await connect(bench, ears)
            except SocketUnavailable as error:
                heard.append((bench.clock.monotonic_ms(), str(error)))
                continue
            while not ears.closings and bench.clock.monotonic_ms() < 60_000:
                connection.send(b"tick")
                bench.server.sessions[-1].peer.send(b'{"at":%d}' % bench.clock.monotonic_ms())
                await bench.clock.sleep_ms(50)
            heard.append((ears.frames, ears.closings))

    async def test(bench: Bench) -> None:
        await asyncio.gather(listen(bench), *(ask(bench, number) for number in range(300)))
        await bench.clock.sleep_ms(20_000)
        heard.append([(at_ms, request.body) for at_ms, request in bench.server.requests])
        heard.append([(session.frames, session.closed_at_ms) for session in bench.server.sessions])

    rates = dict.fromkeys(ALL_FAULTS, 0.03) | {"socket_cut": 6.0}
    faults = plan("all", seed=seed, **rates)
    on_bench(test, seed=seed, faults=faults)
    assert set(faults.counts) == ALL_FAULTS, "every fault happened"
    return [heard, faults.counts]


def test_the_same_seed_gives_the_same_trace_and_another_a_different_one() -> None:
    assert _trace(3) == _trace(3)
    assert _trace(3) != _trace(4)
