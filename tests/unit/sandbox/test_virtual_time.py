"""The virtual-time loop: order, exactness, deadlock, and what it refuses."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator

import pytest

from perpdesk.domain.clock import LoopClock
from perpdesk.sandbox import virtual_time
from perpdesk.sandbox.virtual_time import REFUSED, NotInVirtualTime, VirtualDeadlock, VirtualLoop, run_virtual


def test_time_starts_at_zero_and_moves_only_by_waiting() -> None:
    async def main() -> tuple[float, float, float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for _ in range(100):
            await asyncio.sleep(0)
        spun = loop.time()
        await asyncio.sleep(86_400)
        return start, spun, loop.time()

    assert run_virtual(main()) == (0.0, 0.0, 86_400.0)


def test_timers_run_in_order_of_time_and_then_in_the_order_they_were_set() -> None:
    seen: list[str] = []

    async def main() -> None:
        clock = LoopClock(0)
        for name, delay_ms in (("c", 30), ("a1", 10), ("b", 20), ("a2", 10), ("a3", 10), ("a4", 10)):
            clock.call_later_ms(delay_ms, lambda name=name: seen.append(name))  # type: ignore[misc]
        await clock.sleep_ms(10)
        seen.append("woken at 10")
        await clock.sleep_ms(30)

    run_virtual(main())
    assert seen == ["a1", "a2", "a3", "a4", "woken at 10", "b", "c"]


def test_moments_reached_on_different_ways_are_the_same_moment() -> None:
    """0.1 + 0.2 is not 0.3 in floats; on this loop a timer set first still runs first."""
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, lambda: loop.call_later(0.2, seen.append, "0.1 + 0.2"))
        loop.call_later(0.2, lambda: loop.call_later(0.1, seen.append, "0.2 + 0.1"))
        await asyncio.sleep(1)

    run_virtual(main())
    assert seen == ["0.1 + 0.2", "0.2 + 0.1"]


def test_a_million_timers_do_not_drift() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        left = 1_000_000

        def tick() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.call_later(0.001, tick)
            else:
                done.set_result(None)

        loop.call_later(0.001, tick)
        await done
        return loop.time()

    assert run_virtual(main()) == 1_000.0


def test_the_loop_clock_counts_exact_milliseconds_far_from_the_start() -> None:
    async def main() -> list[int]:
        clock = LoopClock(1_700_000_000_000)
        await asyncio.sleep(400 * 86_400)
        start_ms = clock.wall_ms()
        seen = []
        for delay_ms in (1, 7, 333, 999):
            await clock.sleep_ms(delay_ms)
            seen.append(clock.wall_ms() - start_ms)
        return seen

    assert run_virtual(main()) == [1, 8, 341, 1340]


def test_a_deadlock_is_an_error_that_names_who_waits() -> None:
    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.create_task(stuck(), name="the-stuck-one")

    with pytest.raises(VirtualDeadlock, match=r"no timer is set.*the-stuck-one in .*stuck"):
        run_virtual(main())


def test_a_spinning_task_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "PASSES_PER_INSTANT_MAX", 1_000)

    async def main() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(VirtualDeadlock, match="spins"):
        run_virtual(main())


def test_left_over_tasks_are_cancelled_and_generators_closed_at_the_end() -> None:
    seen: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(1)
            seen.append("generator closed")

    async def main() -> int:
        task = asyncio.create_task(background())
        generator = numbers()
        first = await anext(generator)
        seen.append(f"{task.done()}")
        kept.append(generator)
        return first

    kept: list[AsyncIterator[int]] = []
    assert run_virtual(main()) == 1
    assert seen == ["False", "cancelled", "generator closed"]


def test_an_error_of_main_comes_out() -> None:
    async def main() -> None:
        await asyncio.sleep(5)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_virtual(main())


def test_time_outs_are_virtual() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().create_future(), timeout=3_600)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 3_600.0


def test_threads_are_refused() -> None:
    async def main() -> None:
        with pytest.raises(NotInVirtualTime, match="run_in_executor"):
            await asyncio.to_thread(print)

    run_virtual(main())


def test_sockets_and_name_look_ups_are_refused() -> None:
    async def main() -> None:
        with pytest.raises(NotInVirtualTime, match="create_connection"):
            await asyncio.open_connection("127.0.0.1", 1)
        with pytest.raises(NotInVirtualTime, match="create_server"):
            await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        with pytest.raises(NotInVirtualTime, match="getaddrinfo"):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    run_virtual(main())


def test_processes_are_refused() -> None:
    async def main() -> None:
        with pytest.raises(NotInVirtualTime, match="subprocess_exec"):
            await asyncio.create_subprocess_exec("true")

    run_virtual(main())


@pytest.mark.parametrize("name", REFUSED)
def test_each_refused_method_exists_on_real_loops(name: str) -> None:
    """A misspelt name would refuse nothing."""
    assert hasattr(asyncio.AbstractEventLoop, name)
    assert hasattr(VirtualLoop, name)


def test_calls_from_another_thread_are_refused_and_from_its_own_accepted() -> None:
    errors: list[Exception] = []

    def intrude(loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(print)
        except NotInVirtualTime as error:
            errors.append(error)

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=intrude, args=(loop,))
        thread.start()
        thread.join()
        own = asyncio.Event()
        loop.call_soon_threadsafe(own.set)
        return await own.wait()

    assert run_virtual(main())
    assert "one thread only" in str(errors[0])


def test_cancelled_timers_do_not_move_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        for handle in [loop.call_later(5, print) for _ in range(500)]:
            handle.cancel()
        await asyncio.sleep(1)
        return loop.time()

    assert run_virtual(main()) == 1.0


def test_debug_mode_runs_too() -> None:
    async def main() -> float:
        await asyncio.sleep(2)
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), debug=True) == 2.0
