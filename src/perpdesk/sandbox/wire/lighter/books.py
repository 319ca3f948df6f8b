"""Book deltas: the ladder last sent of one market, and what changed since. Levels are (price, size), best first."""

from collections.abc import Sequence
from decimal import Decimal

from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.wire.lighter.encode import Json, Scale, encode_json

Level = tuple[Decimal, Decimal]
CountedLevel = tuple[Decimal, Decimal, int]


def changed_levels(old: Sequence[CountedLevel], new: Sequence[CountedLevel], is_bid: bool) -> list[Level]:
    """What turns `old` into `new`: absolute sizes by price, zero where a level is gone. Best first.

    Two pointers over sorted sides: no hashing of decimals, which is what a dictionary would spend most of its time on.
    """
    changed: list[Level] = []
    at_old = at_new = 0
    old_count, new_count = len(old), len(new)
    while at_old < old_count and at_new < new_count:
        old_price, old_size, _ = old[at_old]
        new_price, new_size, _ = new[at_new]
        if old_price == new_price:
            if old_size != new_size:
                changed.append((new_price, new_size))
            at_old += 1
            at_new += 1
        elif (old_price > new_price) == is_bid:
            changed.append((old_price, ZERO))
            at_old += 1
        else:
            changed.append((new_price, new_size))
            at_new += 1
    changed.extend((price, ZERO) for price, _, _ in old[at_old:])
    changed.extend((price, size) for price, size, _ in new[at_new:])
    return changed


class SentBook:
    """What subscribers of one market's book have been told.

    Attributes:
        nonce: Number of the last frame's state; the next delta begins with it. 0 while the market was always empty.
        offset: Counts frames of this server.
    """

    __slots__ = ("_channel", "_scale", "asks", "bids", "changed_at_us", "nonce", "offset")

    def __init__(self, channel: str, scale: Scale) -> None:
        self._channel = channel
        self._scale = scale
        self.bids: Sequence[CountedLevel] = ()
        self.asks: Sequence[CountedLevel] = ()
        self.nonce = 0
        self.offset = 1
        self.changed_at_us = 0

    def take(
        self, bids: Sequence[CountedLevel], asks: Sequence[CountedLevel], nonce: int, now_ms: int
    ) -> tuple[list[Level], list[Level]]:
        """Make this the sent book; returns the bid and ask levels that differ from the one before."""
        changed_bids = changed_levels(self.bids, bids, True)
        changed_asks = changed_levels(self.asks, asks, False)
        self.bids, self.asks = bids, asks
        if changed_bids or changed_asks:
            self.nonce = nonce
            self.offset += 1
            self.changed_at_us = now_ms * 1000
        return changed_bids, changed_asks

    def snapshot_frame(self, now_ms: int) -> bytes:
        bids = [(price, size) for price, size, _ in self.bids]
        asks = [(price, size) for price, size, _ in self.asks]
        return self.frame("subscribed/order_book", bids, asks, self.nonce, now_ms)

    def frame(self, kind: str, bids: Sequence[Level], asks: Sequence[Level], begin_nonce: int, now_ms: int) -> bytes:
        return encode_json(
            {
                "channel": self._channel,
                "last_updated_at": self.changed_at_us,
                "offset": self.offset,
                "timestamp": now_ms,
                "type": kind,
                "order_book": {
                    "code": 0,
                    "asks": self._levels(asks),
                    "bids": self._levels(bids),
                    "offset": self.offset,
                    "nonce": self.nonce,
                    "begin_nonce": begin_nonce,
                    "last_updated_at": self.changed_at_us,
                },
            }
        )

    def _levels(self, levels: Sequence[Level]) -> list[Json]:
        price_format, size_format = f".{self._scale.price_decimals}f", f".{self._scale.size_decimals}f"
        return [{"price": format(p, price_format), "size": format(s, size_format)} for p, s in levels]
