"""One WebSocket without a socket: two ordered, delayed directions between a connector and a simulated venue."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from perpdesk.domain.clock import Clock, Timer
from perpdesk.sandbox.faults import Fault, FaultPlan
from perpdesk.sandbox.server import WireServer, WireSession
from perpdesk.venues.transport.ports import OnClosed, OnFrame, SocketUnavailable

FRAMES_IN_FLIGHT_MAX = 50_000
"""Frames on their way in one direction; a connection that exceeds it is cut."""


class Line:
    """One direction: what is sent arrives in order, each item no sooner than its own delay.

    Nothing is delivered before `start`. One timer serves the whole queue, so a burst costs one.
    """

    __slots__ = ("_clock", "_deliver", "_floor_ms", "_is_armed", "_queue", "_timer")

    def __init__(self, clock: Clock, deliver: Callable[[bytes | None], None]) -> None:
        """`deliver` receives each frame, and None for the end of the line."""
        self._clock = clock
        self._deliver = deliver
        self._queue: deque[tuple[int, bytes | None]] = deque()
        self._floor_ms = 0
        self._is_armed = True
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def start(self) -> None:
        """Deliver from now on."""
        self._is_armed = False
        self._arm()

    def send(self, item: bytes | None, delay_ms: int) -> None:
        """Put one item on its way."""
        at_ms = max(self._clock.monotonic_ms() + delay_ms, self._floor_ms)
        self._floor_ms = at_ms
        self._queue.append((at_ms, item))
        if not self._is_armed:
            self._arm()

    def stall(self, duration_ms: int) -> None:
        """Let nothing that is sent from now on arrive before `duration_ms` have passed."""
        self._floor_ms = max(self._floor_ms, self._clock.monotonic_ms() + duration_ms)

    def drop(self) -> None:
        """Lose what is on its way."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._is_armed = False

    def _arm(self) -> None:
        if self._queue:
            self._is_armed = True
            self._timer = self._clock.call_later_ms(self._queue[0][0] - self._clock.monotonic_ms(), self._pump)

    def _pump(self) -> None:
        self._timer = None
        queue, now_ms = self._queue, self._clock.monotonic_ms()
        try:
            while queue and queue[0][0] <= now_ms:
                self._deliver(queue.popleft()[1])
        finally:
            self._is_armed = False
            self._arm()


class SocketOwner(Protocol):
    """What a socket needs of the client and the network it belongs to."""

    @property
    def is_killed(self) -> bool: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def faults(self) -> FaultPlan | None: ...

    def draw_latency_ms(self) -> int: ...

    def tell_frame(self, server: WireServer, path: str, frame: bytes) -> None:
        """A frame's bytes leave the client now."""

    def forget(self, socket: "InMemorySocket") -> None:
        """The socket has ended on the client's side."""


class InMemorySocket:
    """The client's end of a WebSocket, with the venue's end and the wire between them inside."""

    def __init__(
        self, owner: SocketOwner, server: WireServer, path: str, on_frame: OnFrame, on_closed: OnClosed
    ) -> None:
        self.server = server
        self._owner = owner
        self._clock = owner.clock
        self._path = path
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._is_open = True
        self._ending = ""
        self._opened: asyncio.Future[None] | None = None
        self._cut_timer: Timer | None = None
        self._down = Line(self._clock, self._arrive_at_client)
        self._up = Line(self._clock, self._arrive_at_venue)
        self._up.start()
        self._venue_end = _VenueEnd(self, self._clock)

    async def open(self, headers: Mapping[str, str]) -> None:
        """Shake hands; SocketUnavailable when the venue refuses or the wire is cut meanwhile."""
        self._opened = asyncio.get_running_loop().create_future()
        self._clock.call_later_ms(self._owner.draw_latency_ms(), lambda: self._shake_hands(headers))
        try:
            await self._opened
        except BaseException:
            self.vanish()
            raise
        self._down.start()
        self._arm_cut()

    def send(self, data: bytes) -> None:
        """Put one frame on its way to the venue; nothing once closed."""
        if not self._is_open:
            return
        owner = self._owner
        owner.tell_frame(self.server, self._path, data)
        delay_ms = owner.draw_latency_ms()
        faults = owner.faults
        if faults is not None and faults.draw_frame(is_from_venue=False) is not None:
            delay_ms += faults.draw_stall_ms()
        self._up.send(data, delay_ms)
        self._cut_when_flooded(self._up)

    def close(self) -> None:
        """Close from the client's side."""
        if self._is_open:
            self._end_client("1000")
            self._say_end_to_venue()

    def cut(self, *, loses_requests: bool = False) -> None:
        """Break the wire: the client reads 1006; frames on their way to the venue still arrive unless they are lost."""
        if not self._is_open:
            return
        if loses_requests:
            self._up.drop()
        self._end_client("1006")
        self._say_end_to_venue()

    def vanish(self) -> None:
        """The client is gone without a word: no callback of it ever runs again, the venue finds out."""
        if self._is_open:
            self._stop_client()
            self._say_end_to_venue()

    def stall(self, duration_ms: int) -> None:
        """Hold back what the venue sends from now on."""
        self._down.stall(duration_ms)

    # The venue's end ------------------------------------------------------------------------------------------------

    def send_down(self, frame: bytes) -> None:
        """Put one frame of the venue on its way to the client."""
        if not self._is_open:
            return
        delay_ms = self._owner.draw_latency_ms()
        faults = self._owner.faults
        fault = None if faults is None else faults.draw_frame(is_from_venue=True)
        if fault is None or faults is None:
            self._down.send(frame, delay_ms)
        elif fault is Fault.FRAME_DUPLICATED:
            self._down.send(frame, delay_ms)
            self._down.send(frame, delay_ms)
        elif fault is Fault.FRAME_DELAYED:
            self._down.send(frame, delay_ms + faults.draw_stall_ms())
        elif fault is Fault.FRAME_GARBLED:
            self._down.send(faults.garble(frame), delay_ms)
        self._cut_when_flooded(self._down)

    def end_from_venue(self, why: str) -> None:
        """Let the client read why the venue closed, after the frames before it."""
        self._ending = why
        self._down.send(None, self._owner.draw_latency_ms())
        self._up.drop()

    # The wire -------------------------------------------------------------------------------------------------------

    def _shake_hands(self, headers: Mapping[str, str]) -> None:
        if self._opened is None or self._opened.done() or not self._is_open:
            return
        session = self.server.open_socket(self._path, headers, self._venue_end)
        error = None if session is not None else SocketUnavailable(f"the venue has no WebSocket at {self._path} (404)")
        if session is not None:
            self._venue_end.take(session)
        self._clock.call_later_ms(self._owner.draw_latency_ms(), lambda: self._finish_opening(error))

    def _finish_opening(self, error: SocketUnavailable | None) -> None:
        if self._opened is None or self._opened.done() or self._owner.is_killed:
            return
        if error is not None:
            self._opened.set_exception(error)
        else:
            self._opened.set_result(None)

    def _arrive_at_client(self, item: bytes | None) -> None:
        if not self._is_open:
            return
        if item is None:
            self._end_client(self._ending)
        else:
            self._on_frame(item)

    def _arrive_at_venue(self, item: bytes | None) -> None:
        self._venue_end.receive(item)

    def _end_client(self, why: str) -> None:
        self._stop_client()
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(SocketUnavailable(f"the connection ended while it was opened ({why})"))
        else:
            self._clock.call_later_ms(0, lambda: self._tell_closed(why))

    def _stop_client(self) -> None:
        self._is_open = False
        self._down.drop()
        if self._cut_timer is not None:
            self._cut_timer.cancel()
        self._owner.forget(self)

    def _tell_closed(self, why: str) -> None:
        if not self._owner.is_killed:
            self._on_closed(why)

    def _say_end_to_venue(self) -> None:
        if not self._venue_end.is_ended:
            self._up.send(None, self._owner.draw_latency_ms())

    def _cut_when_flooded(self, line: Line) -> None:
        if len(line) > FRAMES_IN_FLIGHT_MAX:
            self.cut()

    def _arm_cut(self) -> None:
        faults = self._owner.faults
        after_ms = None if faults is None else faults.draw_cut_ms()
        if after_ms is not None and self._is_open:
            self._cut_timer = self._clock.call_later_ms(after_ms, self._cut_by_fault)

    def _cut_by_fault(self) -> None:
        faults = self._owner.faults
        if faults is not None and faults.is_active:
            self.cut(loses_requests=faults.draw_cut_loses_requests())
        else:
            self._arm_cut()


class _VenueEnd:
    """The `SocketPeer` a wire server writes to, and the session that reads for it."""

    def __init__(self, wire: InMemorySocket, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._session: WireSession | None = None
        self._is_told = False
        self.is_ended = False

    def send(self, frame: bytes) -> None:
        if not self.is_ended:
            self._wire.send_down(frame)

    def close(self, code: int, reason: str) -> None:
        if self.is_ended:
            return
        self.is_ended = True
        self._wire.end_from_venue(f"{code} {reason}".rstrip())
        self._clock.call_later_ms(0, self._tell_session)

    def take(self, session: WireSession) -> None:
        self._session = session

    def receive(self, item: bytes | None) -> None:
        if item is None:
            self.is_ended = True
            self._tell_session()
        elif not self.is_ended and self._session is not None:
            self._session.on_frame(item)

    def _tell_session(self) -> None:
        """Once: the connection is gone."""
        if self._session is not None and not self._is_told:
            self._is_told = True
            self._session.on_closed()
