"""A beat on a fixed grid of the venue's clock that runs only while there is something to do."""

from collections.abc import Callable

from perpdesk.domain.clock import Clock, Timer


class Pulse:
    """Calls `beat` at the next multiple of `every_ms` after a touch; touches before that are one beat."""

    def __init__(self, clock: Clock, every_ms: int, beat: Callable[[], None]) -> None:
        self._clock = clock
        self._every_ms = every_ms
        self._beat = beat
        self._timer: Timer | None = None

    def touch(self) -> None:
        if self._timer is None:
            wait_ms = self._every_ms - self._clock.wall_ms() % self._every_ms
            self._timer = self._clock.call_later_ms(wait_ms, self._run)

    def _run(self) -> None:
        self._timer = None
        self._beat()
