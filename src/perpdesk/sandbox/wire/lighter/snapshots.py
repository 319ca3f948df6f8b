"""Account answers that lag: the REST replica may show an account as it was a while ago."""

from collections import deque
from collections.abc import Callable

from perpdesk.domain.clock import Clock
from perpdesk.sandbox.wire.lighter.accounts import WireAccount
from perpdesk.sandbox.wire.lighter.encode import Json

KEPT_MAX = 256
"""Remembered states per account; beyond it the oldest are dropped and the lag shortens."""


class AccountSnapshots:
    """Answers `/account`, at once or `stale_ms` late.

    While it lags, every change of an account is remembered as it looked; nothing is kept otherwise.
    """

    def __init__(self, clock: Clock, live: Callable[[WireAccount], Json]) -> None:
        self._clock = clock
        self._live = live
        self._stale_ms = 0
        self._kept: dict[int, deque[tuple[int, Json]]] = {}

    @property
    def stale_ms(self) -> int:
        return self._stale_ms

    def lag(self, stale_ms: int, accounts: list[WireAccount]) -> None:
        """From now on answer `stale_ms` late, starting from how `accounts` look now; 0 ends it."""
        if stale_ms < 0:
            raise ValueError(f"an account can not be shown {-stale_ms} ms ahead of time")
        self._stale_ms = stale_ms
        self._kept.clear()
        for account in accounts:
            self.note(account)

    def note(self, account: WireAccount) -> None:
        """The account changed, or became known."""
        if self._stale_ms:
            kept = self._kept.setdefault(account.index, deque(maxlen=KEPT_MAX))
            kept.append((self._clock.wall_ms(), self._live(account)))

    def read(self, account: WireAccount) -> Json:
        """How the account looked `stale_ms` ago, or when lagging began."""
        kept = self._kept.get(account.index)
        if not self._stale_ms or not kept:
            return self._live(account)
        seen_ms = self._clock.wall_ms() - self._stale_ms
        while len(kept) > 1 and kept[1][0] <= seen_ms:
            kept.popleft()
        return kept[0][1]
