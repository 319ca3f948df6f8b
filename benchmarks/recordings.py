"""Messages to decode: recorded ones where the shared recordings lie beside the checkout, otherwise made to the same shape."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
L2_BOOKS = DATA / "hl_ws_l2book_2026_07" / "live_books_5m.jsonl.zst"
MARKET_STATS = DATA / "lighter_ws_market_stats_2025_11" / "raw_first25.jsonl"
FILLS = DATA / "hl_api_responses_account_2025_11" / "userFillsByTime_first60.json"

FILLS_PER_MESSAGE = 10
NOW_MS = 1_790_000_000_000
"""When the messages are taken to arrive: later than any of them."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Socket messages of one kind, and where they come from, in a word or two."""

    raw: list[bytes]
    source: str


def l2_books() -> Messages:
    """Hyperliquid `l2Book` messages of main-dex coins, 20 levels a side."""
    if L2_BOOKS.exists():
        return Messages(list(_recorded_books()), "recorded")
    rng = random.Random(1)
    return Messages([_book_message(rng, n) for n in range(100)], "made up")


def _recorded_books() -> Iterator[bytes]:
    lines = pl.read_csv(L2_BOOKS, has_header=False, separator="\x01", quote_char=None, infer_schema=False)
    for line in lines.get_column(lines.columns[0]):
        message = json.loads(line)
        if message["channel"] == "l2Book" and ":" not in message["data"]["coin"]:
            yield _compact({"channel": "l2Book", "data": message["data"]})


def _book_message(rng: random.Random, number: int) -> bytes:
    bids, asks = (
        [
            {"px": str(110_000 + sign * level), "sz": f"{rng.uniform(0.001, 9):.5f}", "n": level}
            for level in range(1, 21)
        ]
        for sign in (-1, 1)
    )
    data = {"coin": "BTC", "time": NOW_MS - 60_000 + 500 * number, "levels": [bids, asks]}
    return _compact({"channel": "l2Book", "data": data})


def market_stats() -> Messages:
    """Lighter `market_stats:all` messages: the first with every market, then with the few that changed."""
    if MARKET_STATS.exists():
        lines = MARKET_STATS.read_bytes().splitlines()
        return Messages([line for line in lines if b'"market_stats:all"' in line], "recorded")
    rng = random.Random(2)
    return Messages([_stats_message(rng, markets) for markets in (100, *[1] * 20)], "made up")


def _stats_message(rng: random.Random, markets: int) -> bytes:
    rows = {
        str(market): {
            "market_id": market,
            "index_price": f"{rng.uniform(1, 4000):.2f}",
            "mark_price": f"{rng.uniform(1, 4000):.2f}",
            "open_interest": f"{rng.uniform(1e5, 1e8):.6f}",
            "open_interest_limit": "72057594037927936.000000",
            "funding_clamp_small": "0.0500",
            "funding_clamp_big": "4.0000",
            "last_trade_price": f"{rng.uniform(1, 4000):.2f}",
            "current_funding_rate": f"{rng.uniform(-0.01, 0.01):.4f}",
            "funding_rate": "0.0012",
            "funding_timestamp": NOW_MS,
            "daily_base_token_volume": rng.uniform(1e3, 1e6),
            "daily_quote_token_volume": rng.uniform(1e6, 1e9),
            "daily_price_low": rng.uniform(1, 4000),
            "daily_price_high": rng.uniform(1, 4000),
            "daily_price_change": rng.uniform(-9, 9),
        }
        for market in range(markets)
    }
    message = {"channel": "market_stats:all", "market_stats": rows, "type": "update/market_stats"}
    return _compact(message)


def user_fills() -> Messages:
    """Hyperliquid `userFills` messages of FILLS_PER_MESSAGE executions each, trade for trade what `trades` carries and more."""
    if FILLS.exists():
        rows, source = json.loads(FILLS.read_bytes()), "recorded rows"
    else:
        rng = random.Random(3)
        rows, source = [_fill_row(rng, number) for number in range(60)], "made up"
    chunks = [rows[at : at + FILLS_PER_MESSAGE] for at in range(0, len(rows), FILLS_PER_MESSAGE)]
    return Messages(
        [_compact({"channel": "userFills", "data": {"user": "0x" + "ab" * 20, "fills": chunk}}) for chunk in chunks],
        source,
    )


def _fill_row(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "coin": rng.choice(("BTC", "ETH", "SOL")),
        "px": f"{rng.uniform(100, 4000):.2f}",
        "sz": f"{rng.uniform(0.1, 50):.4f}",
        "side": rng.choice("AB"),
        "time": NOW_MS - 60_000 + number,
        "startPosition": "0.0",
        "dir": "Open Long",
        "closedPnl": "0.0",
        "hash": "0x" + "00" * 32,
        "oid": 244_124_264_667 + number,
        "crossed": True,
        "fee": f"{rng.uniform(0.01, 1):.6f}",
        "tid": rng.getrandbits(50),
        "cloid": f"0x{rng.getrandbits(128):032x}",
        "feeToken": "USDC",
        "twapId": None,
    }


def _compact(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
