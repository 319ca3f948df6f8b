"""Why no new pair may be opened right now. Entries stop; hedges, closes and cancels never do."""

import structlog

from perpdesk.domain.clock import Clock

log = structlog.get_logger(__name__)


class Guard:
    """Named halts, each with its reason and since when; empty means entries are allowed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.halts: dict[str, tuple[str, int]] = {}

    def halt(self, name: str, reason: str) -> None:
        """Stop new entries for `reason` until `clear(name)`; told once."""
        if name not in self.halts:
            log.error("entries_halted", halt=name, reason=reason)
            self.halts[name] = (reason, self._clock.wall_ms())

    def clear(self, name: str) -> None:
        if self.halts.pop(name, None) is not None:
            log.info("halt_cleared", halt=name)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(reason for reason, _ in self.halts.values())
