"""Which channels are asked for, confirmed, silent or due again, within the venue's limits on client messages."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from perpdesk.venues.lighter.frames import subscribe_frame, unsubscribe_frame

UNANSWERED_MAX = 40
"""Subscriptions asked for and not confirmed at a time; the venue allows 50 messages in flight (read 2026-11)."""
MESSAGES_PER_MINUTE_MAX = 180
"""Client messages in a rolling minute; the venue allows 200."""
RETRY_MS_MIN = 500
RETRY_MS_MAX = 30_000
STEADY_MS = 10_000
"""A channel that lived this long starts again from the shortest wait."""


class ChannelState(Enum):
    WAITING = auto()
    """To be asked for, at `due_at_ms`."""
    REQUESTED = auto()
    """Asked for, not confirmed."""
    LIVE = auto()
    """Confirmed by `subscribed/...`."""


@dataclass(slots=True)
class Channel:
    """One channel of the connection. Times are monotonic ms.

    Attributes:
        name: As requests spell it ("order_book/0"); frames spell it with ":".
        silence_ms_max: Longest time without a frame, None for channels that may rightly be silent.
        must_leave: The venue may think us subscribed: leave before asking again, or it answers "already subscribed".
    """

    name: str
    is_private: bool
    silence_ms_max: int | None
    state: ChannelState = ChannelState.WAITING
    due_at_ms: int = 0
    changed_at_ms: int = 0
    heard_at_ms: int = 0
    failures: int = 0
    must_leave: bool = False

    @property
    def key(self) -> str:
        """As frames spell it."""
        return self.name.replace("/", ":")

    @property
    def is_live(self) -> bool:
        return self.state is ChannelState.LIVE


@dataclass(slots=True)
class Subscriptions:
    """Every channel of one connection, by the name frames use."""

    channels: dict[str, Channel] = field(default_factory=dict)
    _sent_at_ms: deque[int] = field(default_factory=deque)
    _is_any_waiting: bool = True
    """Spares every frame the walk over all channels while nothing waits, which is nearly always."""

    def add(self, name: str, *, is_private: bool, silence_ms_max: int | None) -> None:
        """Follow one more channel."""
        channel = Channel(name, is_private, silence_ms_max)
        self.channels[channel.key] = channel

    @property
    def private(self) -> Iterable[Channel]:
        return (c for c in self.channels.values() if c.is_private)

    @property
    def is_private_live(self) -> bool:
        return all(c.is_live for c in self.private)

    def restart(self, now_ms: int) -> None:
        """A new connection: nothing is subscribed there."""
        self._sent_at_ms.clear()
        self._is_any_waiting = True
        for channel in self.channels.values():
            channel.state = ChannelState.WAITING
            channel.due_at_ms = channel.changed_at_ms = now_ms
            channel.failures = 0
            channel.must_leave = False

    def confirm(self, channel: Channel, now_ms: int) -> None:
        """The venue sent `subscribed/...`."""
        channel.state = ChannelState.LIVE
        channel.changed_at_ms = channel.heard_at_ms = now_ms
        channel.must_leave = True

    def hear(self, channel: Channel, now_ms: int) -> None:
        """Any frame of the channel came."""
        channel.heard_at_ms = now_ms
        if channel.failures and channel.is_live and now_ms - channel.changed_at_ms >= STEADY_MS:
            channel.failures = 0

    def renew(self, channel: Channel, now_ms: int, *, is_failure: bool = True) -> None:
        """Leave and ask again: at once the first time, then after growing waits. Already waiting, it goes on waiting."""
        if channel.state is ChannelState.WAITING:
            return
        wait = 0
        if is_failure:
            wait = min(RETRY_MS_MIN << min(channel.failures - 1, 10), RETRY_MS_MAX) if channel.failures else 0
            channel.failures += 1
        channel.must_leave = True
        channel.state = ChannelState.WAITING
        self._is_any_waiting = True
        channel.due_at_ms, channel.changed_at_ms = now_ms + wait, now_ms

    def overdue(self, now_ms: int, answer_ms_max: int) -> list[Channel]:
        """Asked for and not confirmed for too long."""
        return [
            c
            for c in self.channels.values()
            if c.state is ChannelState.REQUESTED and now_ms - c.changed_at_ms > answer_ms_max
        ]

    def silent(self, now_ms: int) -> list[Channel]:
        """Live, and without a frame for longer than allowed."""
        return [
            c
            for c in self.channels.values()
            if c.is_live and c.silence_ms_max is not None and now_ms - c.heard_at_ms > c.silence_ms_max
        ]

    def take_due(self, now_ms: int, token: str | None) -> list[bytes]:
        """Frames to send now, private channels first; the rest waits for confirmations and for the minute to pass."""
        if not self._is_any_waiting:
            return []
        waiting = [c for c in self.channels.values() if c.state is ChannelState.WAITING]
        self._is_any_waiting = bool(waiting)
        due = [c for c in waiting if c.due_at_ms <= now_ms]
        if not due:
            return []
        unanswered = sum(1 for c in self.channels.values() if c.state is ChannelState.REQUESTED)
        frames: list[bytes] = []
        for channel in sorted(due, key=lambda c: not c.is_private):
            if channel.is_private and token is None:
                continue
            if unanswered >= UNANSWERED_MAX or not self._may_send(now_ms):
                break
            if channel.must_leave:
                frames.append(unsubscribe_frame(channel.name))
                self.count_sent(now_ms)
            frames.append(subscribe_frame(channel.name, token if channel.is_private else None))
            self.count_sent(now_ms)
            channel.state, channel.changed_at_ms = ChannelState.REQUESTED, now_ms
            unanswered += 1
        return frames

    def count_sent(self, now_ms: int) -> None:
        """One client message left."""
        self._sent_at_ms.append(now_ms)

    def _may_send(self, now_ms: int) -> bool:
        while self._sent_at_ms and now_ms - self._sent_at_ms[0] >= 60_000:
            self._sent_at_ms.popleft()
        return len(self._sent_at_ms) + 2 <= MESSAGES_PER_MINUTE_MAX
