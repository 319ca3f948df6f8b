"""One market's book kept in step with the venue: nonce continuity, and refusal of books that can not be true."""

from perpdesk.domain.books import Book, BookCorrupt
from perpdesk.domain.markets import Market
from perpdesk.venues.lighter.frames import BookFrame, to_levels

JUMP_MAX = 10.0
"""A best price further than this factor from the last good mid is taken for garbage ..."""
MID_MEMORY_MS = 600_000
"""... unless that mid is older than this: a real move must not lock the book out for ever."""


class SyncedBook:
    """A book that is either in step with the venue's nonces, or empty and out of step.

    Attributes:
        book: Empty while out of step, so that whoever still holds it sees no liquidity.
        nonce: State the book stands at, None while out of step.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self.book = Book()
        self.nonce: int | None = None
        self._multiplier = float(market.multiplier)
        self._mid: float | None = None
        self._mid_at_ms = 0
        self._nonce_floor: int | None = None

    @property
    def is_in_step(self) -> bool:
        return self.nonce is not None

    def lose(self) -> None:
        """Out of step until the next snapshot; an older snapshot that was still under way will not be taken for it."""
        if self.nonce is not None:
            self._nonce_floor = self.nonce
        self.nonce = None
        self.book.replace((), (), self.book.changed_at_ms)

    def forget_floor(self) -> None:
        """Accept any next snapshot: the connection is new, or the venue insists on an older state."""
        self._nonce_floor = None

    def take_snapshot(self, frame: BookFrame, at_ms: int) -> bool:
        """Take the whole book; False when the frame is a repetition that says nothing new.

        Raises BookCorrupt when the book can not be true.
        """
        floor = self._nonce_floor if self.nonce is None else self.nonce + 1
        if floor is not None and frame.nonce < floor:
            return False
        bids, asks = to_levels(frame.bids, self._multiplier), to_levels(frame.asks, self._multiplier)
        self.book.replace(bids, asks, at_ms)
        self._require_likely(at_ms)
        self.nonce, self._nonce_floor = frame.nonce, None
        return True

    def take_update(self, frame: BookFrame, at_ms: int) -> bool:
        """Apply changed levels; False when the frame was seen before or the book waits for a snapshot.

        Raises BookCorrupt on a gap or when the result can not be true.
        """
        if self.nonce is None:
            return False
        begin = frame.begin_nonce
        if begin is None or begin > frame.nonce:
            raise BookCorrupt(f"update without continuity: from {begin} to {frame.nonce}")
        if frame.nonce <= self.nonce and (begin < self.nonce or not (frame.bids or frame.asks)):
            return False
        if begin != self.nonce or frame.nonce == self.nonce:
            raise BookCorrupt(f"gap: book at {self.nonce}, update from {begin} to {frame.nonce}")
        bids, asks = to_levels(frame.bids, self._multiplier), to_levels(frame.asks, self._multiplier)
        self.book.apply(bids, asks, at_ms)
        self._require_likely(at_ms)
        self.nonce = frame.nonce
        return True

    def _require_likely(self, at_ms: int) -> None:
        """BookCorrupt when a best price is off by more than JUMP_MAX from the last good mid."""
        mid = self._mid
        if mid is not None and at_ms - self._mid_at_ms <= MID_MEMORY_MS:
            for best in (self.book.bids.best, self.book.asks.best):
                if best is not None and not mid / JUMP_MAX < best[0] < mid * JUMP_MAX:
                    raise BookCorrupt(f"best price {best[0]} is far from the last mid {mid}")
        if self.book.mid is not None:
            self._mid, self._mid_at_ms = self.book.mid, at_ms
