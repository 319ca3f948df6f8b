"""What can go wrong on the wire, by name, each with its probability; drawn from one seeded stream, so a seed replays exactly.

`FaultPlan` only decides; `network.py` carries out. At most one fault befalls a request or a frame, and each opportunity costs
exactly one draw, plus one for a duration where the fault has one.
"""

import difflib
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from perpdesk.domain.assets import VenueName
from perpdesk.sandbox.server import WireRequest


class Fault(StrEnum):
    """A kind of fault, as it is named on the command line."""

    LOST_BEFORE = "lost_before"
    """The request vanishes before it takes effect; the client waits until its time-out."""
    REFUSED = "refused"
    """The connection is refused: nothing leaves. Befalls WebSocket connects too."""
    LOST_AFTER = "lost_after"
    """The request takes effect and its answer vanishes."""
    DELAYED = "delayed"
    """The request arrives seconds late, perhaps after the client gave up."""
    DUPLICATED = "duplicated"
    """The request is delivered twice (writes only); the first answer counts."""
    SERVER_ERROR = "server_error"
    """500 with a page of HTML, before any effect."""
    RATE_LIMITED = "rate_limited"
    """429, before any effect."""
    LATE_FILL = "late_fill"
    """A cancel takes effect late, and what the venue pushes to this client comes after the answer (cancels only)."""
    SOCKET_CUT = "socket_cut"
    """The connection dies without a closing handshake; frames on their way to the client are gone."""
    FRAME_LOST = "frame_lost"
    """A frame of the venue is missing: a gap in its sequence."""
    FRAME_DUPLICATED = "frame_duplicated"
    """A frame of the venue comes twice."""
    FRAME_DELAYED = "frame_delayed"
    """One direction of the connection stalls for seconds; order is kept."""
    FRAME_GARBLED = "frame_garbled"
    """A frame of the venue is cut short or holds a byte that is no text: never a valid message with other numbers."""


REQUEST_FAULTS = (
    Fault.LOST_BEFORE,
    Fault.REFUSED,
    Fault.LOST_AFTER,
    Fault.DELAYED,
    Fault.DUPLICATED,
    Fault.SERVER_ERROR,
    Fault.RATE_LIMITED,
    Fault.LATE_FILL,
)
FRAME_FAULTS = (Fault.FRAME_LOST, Fault.FRAME_DUPLICATED, Fault.FRAME_DELAYED, Fault.FRAME_GARBLED)
ALL_FAULTS = frozenset(fault.value for fault in Fault)

DELAY_MS_MIN = 500
GARBLE_BYTE = b"\xff"
"""No UTF-8 text holds it, so a parser that reads the place refuses the message."""
MS_PER_MINUTE = 60_000


class UnknownFault(ValueError):
    """A fault name that does not exist; the message lists those that do."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How often each fault happens: probability per opportunity, but `socket_cut` per socket and minute.

    Attributes:
        late_fill: Per cancel. duplicated: Per write. The other request faults: per request, read or write.
        frame_lost, frame_duplicated, frame_garbled: Per frame from the venue. frame_delayed: Per frame, both ways.
        delay_ms_max: Longest lateness of a `delayed` request. late_fill_ms_max: Of a cancel, and of the pushes after it.
        stall_ms_max: Longest stall of a connection.
    """

    lost_before: float = 0.01
    refused: float = 0.01
    lost_after: float = 0.01
    delayed: float = 0.01
    duplicated: float = 0.01
    server_error: float = 0.01
    rate_limited: float = 0.01
    late_fill: float = 0.2
    socket_cut: float = 0.02
    frame_lost: float = 0.0005
    frame_duplicated: float = 0.001
    frame_delayed: float = 0.0005
    frame_garbled: float = 0.0005
    delay_ms_max: int = 8_000
    late_fill_ms_max: int = 4_000
    stall_ms_max: int = 5_000

    def __post_init__(self) -> None:
        for fault in Fault:
            rate = self.of(fault)
            if rate < 0 or (rate > 1 and fault is not Fault.SOCKET_CUT):
                raise ValueError(f"the rate of {fault} must be within 0 and 1, was {rate}")
        for name in ("delay_ms_max", "late_fill_ms_max", "stall_ms_max"):
            if getattr(self, name) < DELAY_MS_MIN:
                raise ValueError(f"{name} must be at least {DELAY_MS_MIN} ms, was {getattr(self, name)}")

    def of(self, fault: Fault) -> float:
        rate: float = getattr(self, fault.value)
        return rate


_CANCEL_BODY = re.compile(rb'"type": ?"cancel|\btx_type=1[56]\b|"tx_type": ?1[56]\b|name="tx_type"\r\n\r\n1[56]\b')


def reads_as_write(request: WireRequest) -> bool:
    """The default reading of what may change something: POST, and whatever else is no plain read."""
    return request.method not in ("GET", "HEAD")


def reads_as_cancel(request: WireRequest) -> bool:
    """The default reading of what cancels orders: Hyperliquid's action type, Lighter's types 15 and 16, and DELETE."""
    return request.method == "DELETE" or _CANCEL_BODY.search(request.body) is not None


class _Table:
    """Faults that exclude each other, with the bounds of their shares of [0, 1)."""

    __slots__ = ("_bounds", "_faults")

    def __init__(self, rates: FaultRates, faults: tuple[Fault, ...]) -> None:
        self._faults = tuple(fault for fault in faults if rates.of(fault) > 0)
        self._bounds = list(accumulate(rates.of(fault) for fault in self._faults))
        if self._bounds and self._bounds[-1] > 1 + 1e-9:
            raise ValueError(f"the rates of {', '.join(self._faults)} add up to more than 1")

    def draw(self, rng: random.Random) -> Fault | None:
        if not self._bounds:
            return None
        at = bisect_right(self._bounds, rng.random())
        return self._faults[at] if at < len(self._faults) else None


class FaultPlan:
    """Decides, opportunity by opportunity, what goes wrong.

    Attributes:
        enabled: Names of the faults that may happen.
        is_active: Set False for a calm stretch; nothing is drawn or injected meanwhile.
        counts: Faults injected so far, by name.
    """

    def __init__(
        self,
        rng: random.Random,
        rates: FaultRates,
        enabled: frozenset[str],
        only: Callable[[VenueName, WireRequest], bool] | None = None,
        *,
        is_write: Callable[[WireRequest], bool] = reads_as_write,
        is_cancel: Callable[[WireRequest], bool] = reads_as_cancel,
    ) -> None:
        """Plan faults.

        Args:
            only: Requests it refuses are spared; None spares none. Frames and sockets are not asked about.
            is_write: Which requests may be duplicated. is_cancel: Which of those may come as `late_fill`.

        Raises:
            UnknownFault: `enabled` holds a name that is none.
        """
        self.enabled = frozenset(_known(name) for name in enabled)
        self.is_active = True
        self.counts: Counter[str] = Counter()
        self._rng = rng
        self._rates = rates
        self._only = only
        self._is_write = is_write
        self._is_cancel = is_cancel
        self._reads = self._table(REQUEST_FAULTS, without=(Fault.DUPLICATED, Fault.LATE_FILL))
        self._writes = self._table(REQUEST_FAULTS, without=(Fault.LATE_FILL,))
        self._cancels = self._table(REQUEST_FAULTS, without=())
        self._connects = self._table((Fault.REFUSED,), without=())
        self._frames_down = self._table(FRAME_FAULTS, without=())
        self._frames_up = self._table((Fault.FRAME_DELAYED,), without=())

    @staticmethod
    def parse(text: str) -> frozenset[str]:
        """Read "all", "none" or names joined by commas; UnknownFault names the nearest known one."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        if names in (["all"], ["none"]):
            return ALL_FAULTS if names == ["all"] else frozenset()
        if not names:
            raise UnknownFault(f"name at least one fault, or say all or none; there are: {_listed()}")
        return frozenset(_known(name) for name in names)

    def draw_request(self, venue: VenueName, request: WireRequest) -> Fault | None:
        """What befalls this HTTP request."""
        if not self.is_active or (self._only is not None and not self._only(venue, request)):
            return None
        return self._draw(self._table_for(request))

    def draw_connect(self) -> Fault | None:
        """What befalls the opening of a WebSocket."""
        return self._draw(self._connects) if self.is_active else None

    def draw_frame(self, *, is_from_venue: bool) -> Fault | None:
        """What befalls one frame."""
        if not self.is_active:
            return None
        return self._draw(self._frames_down if is_from_venue else self._frames_up)

    def draw_cut_ms(self) -> int | None:
        """How long a socket lives, exponentially distributed; None for ever. Ask again if it outlives a calm stretch."""
        rate = self._rates.socket_cut
        if Fault.SOCKET_CUT not in self.enabled or rate <= 0:
            return None
        return 1 + int(self._rng.expovariate(rate) * MS_PER_MINUTE)

    def draw_cut_loses_requests(self) -> bool:
        """Count a cut that happens now; True when frames on their way to the venue are lost with it."""
        self.counts[Fault.SOCKET_CUT] += 1
        return self._rng.random() < 0.5

    def draw_delay_ms(self) -> int:
        """Lateness of a `delayed` request."""
        return self._rng.randint(DELAY_MS_MIN, self._rates.delay_ms_max)

    def draw_late_fill_ms(self) -> int:
        """Lateness of a cancel, or of the pushes after its answer."""
        return self._rng.randint(DELAY_MS_MIN, self._rates.late_fill_ms_max)

    def draw_share(self) -> float:
        """A number in [0, 1): where in its range something falls."""
        return self._rng.random()

    def draw_stall_ms(self) -> int:
        """Length of a connection's stall."""
        return self._rng.randint(DELAY_MS_MIN, self._rates.stall_ms_max)

    def garble(self, frame: bytes) -> bytes:
        """Spoil a frame so that it can not be read as something else: cut it short, or put a byte in it that is no text."""
        if len(frame) < 2:
            return GARBLE_BYTE
        at = self._rng.randrange(1, len(frame))
        return frame[:at] if self._rng.random() < 0.5 else frame[:at] + GARBLE_BYTE + frame[at + 1 :]

    def _table(self, faults: tuple[Fault, ...], without: tuple[Fault, ...]) -> _Table:
        return _Table(self._rates, tuple(f for f in faults if f in self.enabled and f not in without))

    def _table_for(self, request: WireRequest) -> _Table:
        if not self._is_write(request):
            return self._reads
        if Fault.LATE_FILL in self.enabled and self._is_cancel(request):
            return self._cancels
        return self._writes

    def _draw(self, table: _Table) -> Fault | None:
        fault = table.draw(self._rng)
        if fault is not None:
            self.counts[fault] += 1
        return fault


def _known(name: str) -> str:
    if name in ALL_FAULTS:
        return name
    nearest = difflib.get_close_matches(name, sorted(ALL_FAULTS), n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]}?" if nearest else "."
    raise UnknownFault(f"there is no fault {name!r}{hint} Known: all, none, {_listed()}")


def _listed() -> str:
    return ", ".join(sorted(ALL_FAULTS))
