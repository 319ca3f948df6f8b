"""What the venue counts: request weight per minute and nonces per signer."""

from bisect import bisect_left, insort
from collections import deque

MINUTE_MS = 60_000
NONCES_KEPT = 100
NONCE_PAST_MS = 2 * 86_400_000
NONCE_FUTURE_MS = 86_400_000


class WeightBudget:
    """Request weight of one client address over any 60 seconds.

    The venue documents 1200 a minute and not the window's shape. A sliding sum is the strictest reading: whoever keeps to it
    keeps to a fixed window and to a bucket as well.
    """

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._spent: deque[tuple[int, int]] = deque()
        self._total = 0

    def used(self, now_ms: int) -> int:
        """Weight of the last 60 seconds."""
        while self._spent and self._spent[0][0] <= now_ms - MINUTE_MS:
            self._total -= self._spent.popleft()[1]
        return self._total

    def admit(self, weight: int, now_ms: int) -> bool:
        """Spend `weight` if it fits; a refusal costs nothing."""
        if self._per_minute is not None and self.used(now_ms) + weight > self._per_minute:
            return False
        self.charge(weight, now_ms)
        return True

    def charge(self, weight: int, now_ms: int) -> None:
        """Spend `weight` that is only known afterwards (rows returned), over the budget if need be."""
        if self._per_minute is not None and weight:
            self._spent.append((now_ms, weight))
            self._total += weight


class NonceWindow:
    """The highest nonces one signer has used, ascending."""

    def __init__(self) -> None:
        self._kept: list[int] = []

    def refusal(self, nonce: int, now_ms: int) -> str | None:
        """Why the venue would refuse `nonce`, or None; the window's wording is our own, the other two are the venue's."""
        if not now_ms - NONCE_PAST_MS < nonce < now_ms + NONCE_FUTURE_MS:
            return f"Invalid nonce: {nonce} is outside the window around {now_ms}"
        if len(self._kept) >= NONCES_KEPT and nonce < self._kept[0]:
            return f"Invalid nonce: nonce too low {nonce} < {self._kept[0]}"
        at = bisect_left(self._kept, nonce)
        if at < len(self._kept) and self._kept[at] == nonce:
            return f"Invalid nonce: duplicate nonce {nonce}"
        return None

    def use(self, nonce: int) -> None:
        """Remember a nonce that `refusal` let through."""
        insort(self._kept, nonce)
        if len(self._kept) > NONCES_KEPT:
            del self._kept[0]
