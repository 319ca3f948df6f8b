"""Bytes of a message to the values we use of it, beside the standard library's `json` and a loop to the same values."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from math import inf

from benchmarks.recordings import NOW_MS, Messages, l2_books, market_stats, user_fills
from benchmarks.rows import Row, faster
from benchmarks.timing import interleaved_us
from perpdesk.domain.books import Level
from perpdesk.venues.hyperliquid import account_frames
from perpdesk.venues.hyperliquid import frames as hyperliquid
from perpdesk.venues.hyperliquid.account_frames import FillRow
from perpdesk.venues.lighter import frames as lighter
from perpdesk.venues.lighter.frames import StatsRow

BAR = 3.0
BASELINE = "against json + loop to the same values with the same checks"

Books = tuple[str, int, list[Level], list[Level]]
"""(coin, time, bids, asks)."""


def measure() -> Iterator[Row]:
    """One row per kind of message; microseconds per message."""
    yield _row(
        "decode.trades",
        user_fills(),
        _our_fills,
        _their_fills,
        "userFills of 10 trades to the fields a fill is made of",
    )
    yield _row("decode.book", l2_books(), _our_book, _their_book, "Hyperliquid l2Book to checked, sorted levels")
    yield _row(
        "decode.market_stats", market_stats(), _our_stats, _their_stats, "Lighter market_stats to funding and prices"
    )


def _row(
    name: str, messages: Messages, ours: Callable[[bytes], object], theirs: Callable[[bytes], object], what: str
) -> Row:
    for raw in messages.raw:
        if ours(raw) != theirs(raw):
            raise AssertionError(f"{name}: the two decoders disagree on {raw[:200]!r}")
    ours_us, theirs_us = interleaved_us(lambda: _each(ours, messages.raw), lambda: _each(theirs, messages.raw))
    count = len(messages.raw)
    note = f"{what}; {count} {messages.source} messages; {BASELINE}"
    return faster(name, "us/message", ours_us / count, theirs_us / count, BAR, note)


def _each(decode: Callable[[bytes], object], raws: list[bytes]) -> None:
    for raw in raws:
        decode(raw)


# Books ---------------------------------------------------------------------------------------------------------------


def _our_book(raw: bytes) -> Books:
    snapshot = hyperliquid.parse_book_message(raw, NOW_MS)
    assert snapshot is not None
    return snapshot.coin, snapshot.at_ms, snapshot.bids, snapshot.asks


def _their_book(raw: bytes) -> Books:
    data = json.loads(raw)["data"]
    sides = []
    for wire in data["levels"]:
        levels = []
        for level in wire:
            price, size = float(level["px"]), float(level["sz"])
            if not (0 < price < inf and 0 <= size < inf):
                raise ValueError(f"absurd level {level}")
            levels.append((price, size))
        sides.append(levels)
    bids, asks = sides
    bids.sort(reverse=True)
    asks.sort()
    if bids and asks and bids[0][0] >= asks[0][0]:
        raise ValueError("crossed")
    return data["coin"], int(data["time"]), bids, asks


# Trades --------------------------------------------------------------------------------------------------------------


def _our_fills(raw: bytes) -> list[FillRow]:
    _, rows = account_frames.parse_user_fills(hyperliquid.parse_envelope(raw).data)
    return rows


def _their_fills(raw: bytes) -> list[FillRow]:
    found = []
    for row in json.loads(raw)["data"]["fills"]:
        coin, price, size, side, fee = row["coin"], row["px"], row["sz"], row["side"], row["fee"]
        at_ms, order, crossed = row["time"], row["oid"], row["crossed"]
        if not (
            isinstance(coin, str)
            and isinstance(price, str)
            and isinstance(size, str)
            and isinstance(side, str)
            and isinstance(fee, str)
            and isinstance(at_ms, int)
            and isinstance(order, int)
            and isinstance(crossed, bool)
        ):
            raise ValueError(f"absurd fill {row}")
        extras = row.get("tid"), row.get("feeToken", "USDC"), row.get("cloid")
        found.append(FillRow(coin, price, size, side, at_ms, order, crossed, fee, *extras))
    return found


# Funding -------------------------------------------------------------------------------------------------------------


def _our_stats(raw: bytes) -> list[StatsRow]:
    return lighter.read_market_stats(lighter.parse_envelope(raw))[0]


def _their_stats(raw: bytes) -> list[StatsRow]:
    found = []
    for row in json.loads(raw)["market_stats"].values():
        market, mark, index = row["market_id"], row.get("mark_price"), row.get("index_price")
        if not isinstance(market, int):
            raise ValueError(f"absurd row {row}")
        found.append(
            StatsRow(
                market,
                Decimal(row["current_funding_rate"]),
                None if mark is None else float(mark),
                None if index is None else float(index),
            )
        )
    return found
