"""A book under ten updates a query, beside a dict per side that is sorted when someone asks."""

import random
from collections.abc import Iterator

from benchmarks.rows import Row, faster
from benchmarks.timing import interleaved_us
from perpdesk.domain.books import Book, Level, Side

BAR = 5.0
LEVELS = 300
"""A side: what Lighter's book of a liquid market holds."""
UPDATES_PER_QUERY = 10
QUERIES = 200
SIZE = 25.0
"""Taken in a query: reaches some levels deep."""
TICK = 0.5
MID = 50_000.0

Update = tuple[list[Level], list[Level]]
"""(bids, asks): absolute sizes of the levels that changed."""
Answer = tuple[float, float, float, float]
"""Best bid, best ask, mid, impact of a buy of SIZE in basis points."""


def measure() -> Iterator[Row]:
    """Microseconds per query with the ten updates before it."""
    bids, asks, updates = _session(random.Random(5))
    if _ours(bids, asks, updates) != _theirs(bids, asks, updates):
        raise AssertionError("book: the two books disagree")
    ours, theirs = interleaved_us(lambda: _ours(bids, asks, updates), lambda: _theirs(bids, asks, updates))
    note = (
        f"{LEVELS} levels a side, {UPDATES_PER_QUERY} updates, then best, mid and impact; against dict + sort on query"
    )
    yield faster("book", "us/query", ours / QUERIES, theirs / QUERIES, BAR, note)


def _session(rng: random.Random) -> tuple[list[Level], list[Level], list[Update]]:
    """A start and updates that change, empty and refill levels, mostly near the touch; never crossed.

    The start comes shuffled: levels come and go, so a dict that has lived for a while is in no order that sorting could use.
    """
    bids = [(MID - TICK * level, rng.uniform(0.1, 10)) for level in range(1, LEVELS + 1)]
    asks = [(MID + TICK * level, rng.uniform(0.1, 10)) for level in range(1, LEVELS + 1)]
    rng.shuffle(bids)
    rng.shuffle(asks)
    updates = [_update(rng) for _ in range(UPDATES_PER_QUERY * QUERIES)]
    return bids, asks, updates


def _update(rng: random.Random) -> Update:
    level = min(1 + int(rng.expovariate(1 / 20)), LEVELS)
    size = 0.0 if level > 1 and rng.random() < 0.3 else rng.uniform(0.1, 10)
    if rng.random() < 0.5:
        return [(MID - TICK * level, size)], []
    return [], [(MID + TICK * level, size)]


def _ours(bids: list[Level], asks: list[Level], updates: list[Update]) -> list[Answer]:
    book = Book()
    book.replace(bids, asks, 0)
    answers = []
    for at, (changed_bids, changed_asks) in enumerate(updates, start=1):
        book.apply(changed_bids, changed_asks, at)
        if at % UPDATES_PER_QUERY == 0:
            bid, ask, mid = book.bids.best, book.asks.best, book.mid
            impact = book.impact_bps(Side.BUY, SIZE)
            assert bid is not None
            assert ask is not None
            assert mid is not None
            assert impact is not None
            answers.append((bid[0], ask[0], mid, impact))
    return answers


def _theirs(bids: list[Level], asks: list[Level], updates: list[Update]) -> list[Answer]:
    book = (dict(bids), dict(asks))
    answers = []
    for at, update in enumerate(updates, start=1):
        for side, levels in zip(book, update, strict=True):
            for price, size in levels:
                if size > 0:
                    side[price] = size
                else:
                    side.pop(price, None)
        if at % UPDATES_PER_QUERY == 0:
            answers.append(_query(*book))
    return answers


def _query(bids: dict[float, float], asks: dict[float, float]) -> Answer:
    bid, sorted_asks = sorted(bids.items(), reverse=True)[0][0], sorted(asks.items())
    ask = sorted_asks[0][0]
    mid = (bid + ask) / 2
    left, paid = SIZE, 0.0
    for price, available in sorted_asks:
        taken = min(left, available)
        paid += taken * price
        left -= taken
        if left <= 0:
            break
    return bid, ask, mid, (paid / (SIZE - left) - mid) / mid * 10_000
