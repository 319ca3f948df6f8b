"""An asyncio loop whose time jumps to the next timer when nothing is ready: a simulated day takes seconds and repeats exactly.

It replaces the selector under `BaseEventLoop` and relies on three of that class's internals (`_selector`, `_scheduled`,
`_clock_resolution`), unchanged from Python 3.11 to 3.13. Time counts whole microseconds from 0, so adding up a million
milliseconds gives exactly a thousand seconds, and timers of one instant run in the order they were set.
"""

import asyncio
import heapq
import threading
from asyncio import base_events
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TICKS_PER_S = 1_000_000
_HALF_TICK_S = 0.5 / TICKS_PER_S
_TASKS_SHOWN_MAX = 10
PASSES_PER_INSTANT_MAX = 5_000_000
"""Passes of the loop without time moving, after which something must be spinning on `sleep(0)`."""


class VirtualDeadlock(RuntimeError):
    """Every task waits for something that nothing will ever do, or one spins: time has no next moment to jump to."""


class NotInVirtualTime(RuntimeError):
    """Threads, sockets, processes and signals belong to real time; a simulated run may not touch them."""


class _OrderedTimer(asyncio.TimerHandle):
    """A timer that runs after those set earlier for the same moment; the heap alone leaves their order open."""

    __slots__ = ("number",)
    number: int

    def __lt__(self, other: object) -> bool:
        if isinstance(other, _OrderedTimer):
            when, other_when = self._when, other._when  # type: ignore[attr-defined]
            return bool(when < other_when or (when == other_when and self.number < other.number))
        return NotImplemented


class _Leap:
    """Stands where the selector would wait: moves the loop's time on instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._passes = 0

    def select(self, timeout: float | None) -> tuple[()]:
        if timeout is None:
            raise VirtualDeadlock(self._loop.explain("no timer is set and these wait for ever"))
        if timeout > 0:
            self._loop.leap()
            self._passes = 0
        else:
            self._passes += 1
            if self._passes > PASSES_PER_INSTANT_MAX:
                raise VirtualDeadlock(self._loop.explain("one of these spins without waiting"))
        return ()


class VirtualLoop(base_events.BaseEventLoop):
    """An event loop without a machine under it. `time()` starts at 0 seconds and moves only between callbacks."""

    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._timers_set = 0
        self._selector = _Leap(self)
        # The base loop runs timers strictly before now + resolution: 0 would hang, a whole tick would run the next one.
        self._clock_resolution = _HALF_TICK_S

    def time(self) -> float:
        return self._now_s

    def leap(self) -> None:
        """Move time to the earliest timer."""
        self._now_s = self._scheduled[0].when()

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a call at loop time `when` in seconds, rounded to the microsecond."""
        self._check_closed()  # type: ignore[attr-defined]
        timer = _OrderedTimer(round(when * TICKS_PER_S) / TICKS_PER_S, callback, args, self, context)
        timer.number = self._timers_set
        self._timers_set += 1
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """`call_soon` for the loop's own thread (signal handlers, finalisers); NotInVirtualTime for any other."""
        owner = self._thread_id  # type: ignore[attr-defined]
        if owner is not None and owner != threading.get_ident():
            raise NotInVirtualTime("call_soon_threadsafe from another thread: virtual time has one thread only")
        return self.call_soon(callback, *args, context=context)

    def explain(self, what: str) -> str:
        """Name what waits, so that a stuck simulation can be read from its error."""
        waiting = sorted(_where(task) for task in asyncio.all_tasks(self) if not task.done())
        shown = "; ".join(waiting[:_TASKS_SHOWN_MAX]) or "no task at all"
        more = f" and {len(waiting) - _TASKS_SHOWN_MAX} more" if len(waiting) > _TASKS_SHOWN_MAX else ""
        return f"virtual time can not go on at {self._now_s} s: {what}: {shown}{more}"

    def _process_events(self, event_list: object) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody else can be waiting for this loop."""


def _where(task: "asyncio.Task[Any]") -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return task.get_name()
    return f"{task.get_name()} in {frames[0].f_code.co_qualname}:{frames[0].f_lineno}"


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(*_args: object, **_options: object) -> NoReturn:
        raise NotInVirtualTime(
            f"{name} needs threads, sockets, processes or signals, and virtual time has none of them"
        )

    refuse.__name__ = name
    return refuse


REFUSED = (
    "run_in_executor set_default_executor getaddrinfo getnameinfo "
    "create_connection create_server create_datagram_endpoint create_unix_connection create_unix_server "
    "connect_accepted_socket start_tls sendfile "
    "sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendto sock_connect sock_accept "
    "sock_sendfile add_reader remove_reader add_writer remove_writer connect_read_pipe connect_write_pipe "
    "subprocess_shell subprocess_exec add_signal_handler remove_signal_handler"
).split()
"""Loop methods that reach outside; each raises NotInVirtualTime when it is called."""

for _name in REFUSED:
    setattr(VirtualLoop, _name, _refusing(_name))


def run_virtual(main: Coroutine[Any, Any, T], *, debug: bool = False) -> T:
    """Run `main` to its end in virtual time and return its result.

    Tasks left over are cancelled and async generators closed, as `asyncio.run` does.

    Raises:
        VirtualDeadlock: Nothing was ready and no timer was set.
    """
    with asyncio.Runner(debug=debug, loop_factory=VirtualLoop) as runner:
        return runner.run(main)
