"""A whole sandbox run as its user starts it: real sockets, real signatures, a second process that looks and commands."""

import asyncio
from pathlib import Path

from perpdesk.domain.pairs import Pair, PairState
from tests.loopback.desks import call, is_made, journal_at, start, until


async def _first_open(store: Path) -> Pair:
    async def look() -> Pair | None:
        if not is_made(store):
            return None
        async with journal_at(store) as journal:
            found = [pair for pair in await journal.load_open_pairs() if pair.state is PairState.OPEN]
            return found[0] if found else None

    return await until(look, "a pair opened")


async def test_a_sandbox_run_opens_books_funding_obeys_and_adds_up(tmp_path: Path) -> None:
    store = tmp_path / "var" / "sandbox.db"
    desk = await start(tmp_path, "run", "--for", "12s", "--funding-every", "2s", "--seed", "1")
    pair = await _first_open(store)

    (second_code, second, _), (positions_code, positions, _), (close_code, closed, _) = await asyncio.gather(
        call(tmp_path, "run", "--for", "1s"),
        call(tmp_path, "arb", "positions"),
        call(tmp_path, "arb", "close", pair.asset),
    )
    assert (second_code, "is held by pid" in second["error"]) == (1, True)
    assert positions_code == 0
    assert positions["desk"]["pid"] == desk.process.pid
    assert pair.asset in {row["asset"] for row in positions["pairs"]}
    assert (close_code, [row["asset"] for row in closed["closed"]]) == (0, [pair.asset])

    code, summary, errors = await desk.finish()
    assert code == 0, errors
    assert summary["world"] == "sandbox"
    assert summary["seed"] == 1
    assert set(summary["venues"]) == {"hyperliquid", "lighter"}
    for venue in summary["venues"].values():
        assert venue["markets"] > 0
        assert venue["book_updates"] > 0
        assert venue["requests"] > 0
    assert summary["scans"] > 0
    assert summary["opportunities"] > 0
    assert summary["pairs_opened"] >= 1
    assert summary["pairs_closed"] == summary["pairs_opened"]
    assert summary["pairs_open"] == []
    assert summary["naked_ms"]["max"] is not None
    assert summary["pnl_usd"]["funding"] != 0
    assert abs(summary["pnl_usd"]["residual"]) < 0.01
    assert summary["invariants_broken"] == []
    assert summary["halts"] == []
    async with journal_at(store) as journal:
        (run,) = await journal.load_runs()
        assert run.summary == summary
        commanded = await journal.load_pair(pair.pair_id)
        assert commanded is not None
        assert commanded.exit_reason == "closed by command"
        assert await journal.load_payments(pair.pair_id)
