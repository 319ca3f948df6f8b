"""The desk as it lives on hourly recordings: the same engine, woken when something can have changed instead of every second.

Between two refreshes of the recorded books nothing moves, so heartbeats, account reads and staleness limits are stretched to
the refresh. Nothing that decides what is traded, at which price or when it is closed is changed.
"""

from typing import Any

from perpdesk.arbitrage.checks import Check, fact
from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.gates import Opportunity
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.pairs import PairState
from perpdesk.history.rows import HOUR_MS

DAY_MS = 24 * HOUR_MS

SETTLE_MS = 2_000
"""After a refresh the desk waits this long, until the frames of both venues are in (the slowest come after a second): hourly
data does not tell which venue moved first, and acting on one venue's new book beside the other's old one would trade on a
difference that was never there."""

BUSY_HEARTBEAT_MS = 1_000
"""While a pair is being opened or closed the desk wakes as often as a live one."""
BUSY_MS = 60_000
WAITING_HEARTBEAT_MS = 15_000
"""A pair that is not through after BUSY_MS waits for an order that rests; fills wake the desk by themselves."""

SILENCE_MS = 400 * DAY_MS
"""How long a book may rightly stay as it is: a venue sends nothing while its price stands still, and nothing in a hole. A hole
takes the book away when it begins, so age tells nothing here."""

RATE_AGE_MS = 2 * HOUR_MS
"""Rates are told anew at every covered hour."""

ACCESS_OPTIONS = {"silence_ms": SILENCE_MS, "ping_every_ms": DAY_MS // 4, "tick_ms": 300_000}
"""For the connectors."""


def pace(settings: DeskSettings, coins: tuple[str, ...], refresh_ms: int) -> DeskSettings:
    """`settings` for `coins`, with everything periodic stretched to books that change every `refresh_ms`."""
    return settings.model_copy(update={"assets": coins, **pacing(refresh_ms)})


def pacing(refresh_ms: int) -> dict[str, Any]:
    """The settings a backtest replaces, and with what."""
    return {
        "heartbeat_ms": max(refresh_ms // 3, BUSY_HEARTBEAT_MS),
        "scan_every_ms": BUSY_HEARTBEAT_MS,
        "account_every_ms": HOUR_MS,
        "funding_poll_ms": refresh_ms,
        "fees_every_ms": DAY_MS,
        "book_age_ms_max": SILENCE_MS,
        "funding_age_ms_max": RATE_AGE_MS,
        "opportunity_sample_ms": 3650 * DAY_MS,
    }


class HourlyDesk(Desk):
    """A desk on recorded hours.

    Attributes:
        refresh_ms: Time between two recorded books.
        ending: Assets whose recording is about to pause or end and whose pairs are being closed: not entered any more.
    """

    def __init__(self, *args: Any, refresh_ms: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.refresh_ms = refresh_ms
        self.ending: frozenset[str] = frozenset()
        self._is_beat_set = False

    async def step(self) -> None:
        """One turn of the engine, after the frames of the latest refresh are in."""
        into_ms = self._clock.wall_ms() % self.refresh_ms
        if into_ms < SETTLE_MS:
            await self._clock.sleep_ms(SETTLE_MS - into_ms)
        await super().step()
        beat_ms = None if self._is_beat_set else self._busy_beat_ms()
        if beat_ms is not None:
            self._is_beat_set = True
            self._clock.call_later_ms(beat_ms, self._beat)

    def _busy_beat_ms(self) -> int | None:
        """How soon a pair under way wants to be looked at again, None when all just hold."""
        moving = [
            max(ledger.pair.decided_at_ms, ledger.pair.closing_at_ms or 0)
            for ledger in self.portfolio.open
            if ledger.pair.state is not PairState.OPEN or not self.is_settled(ledger)
        ]
        if not moving:
            return None
        return BUSY_HEARTBEAT_MS if self._clock.wall_ms() - max(moving) < BUSY_MS else WAITING_HEARTBEAT_MS

    def _beat(self) -> None:
        self._is_beat_set = False
        self._wake.set()

    async def _enter(self, opportunity: Opportunity) -> None:
        if opportunity.asset not in self.ending:
            await super()._enter(opportunity)

    def reasons_against(self, asset: str) -> tuple[Check, ...]:
        """Why the last scan did not open `asset`: the scan's failed checks, else the desk's own; empty when it would."""
        best = None if self.scanner is None else self.scanner.best.get(asset)
        if best is None:
            return (fact("seen on two venues", False),)
        if best.refusals or self._openings is None:
            return best.refusals
        return self._openings.refused.get(asset, ())
