"""What goes wrong is counted and logged in one way, so that it is heard and stops nothing."""

import structlog

from perpdesk.venues.base import RAW_SHOWN_MAX, VenueCounters
from perpdesk.venues.hyperliquid.account_frames import FillRow, has_foreign_fee
from perpdesk.venues.hyperliquid.frames import VENUE

log = structlog.get_logger(__name__)


class Watch:
    """The counters of one connector and its log."""

    def __init__(self, counters: VenueCounters) -> None:
        self.counters = counters

    def unreadable(self, what: str, raw: bytes, error: Exception | None = None) -> None:
        """A frame, answer or row that could not be read or can not be true."""
        self.counters.frames_unreadable += 1
        log.warning(
            "frame_unreadable", venue=VENUE.value, what=what, error=str(error)[:200], raw=bytes(raw[:RAW_SHOWN_MAX])
        )

    def error(self, event: str, **fields: object) -> None:
        """Anything else that went wrong."""
        self.counters.errors += 1
        log.warning(event, venue=VENUE.value, **fields)

    def foreign_fees(self, rows: list[FillRow]) -> None:
        """Fees not charged in dollars: their numbers are kept as they came, but are not USD."""
        for row in rows:
            if has_foreign_fee(row):
                self.error("fee_in_foreign_token", coin=row.coin, token=row.feeToken[:20], fee=row.fee[:40])
