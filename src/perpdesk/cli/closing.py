"""Closing pairs from the command line: through the desk that runs on the store, else with a desk started only for that."""

from typing import TYPE_CHECKING, Any

from perpdesk.cli.assemble import assemble, choose
from perpdesk.cli.config import Config
from perpdesk.cli.config_errors import ConfigError
from perpdesk.cli.options import Common, Refused, StoreWorld, UsageError
from perpdesk.cli.output import emit, number, say
from perpdesk.cli.records import OpenedStore, open_store
from perpdesk.cli.run import stop_on_signals
from perpdesk.cli.session import open_session, run_async, store_url
from perpdesk.store.commands import CommandState
from perpdesk.worlds.commands import CLOSE, CLOSE_ALL, pair_result
from perpdesk.worlds.run import run_desk
from perpdesk.worlds.running import RunOptions

if TYPE_CHECKING:
    from rich.console import Console

ASK_EVERY_MS = 200


def close_pairs(
    asset: str | None, world: StoreWorld, timeout_ms: int, live_trading: bool, store: str | None, common: Common
) -> int:
    """Close pairs of `asset`, or all; returns the exit code.

    Raises:
        Refused: There is nothing to close, the desk failed to, or time ran out.
    """
    if live_trading and world != "live":
        raise UsageError("--live-trading is for --world live")
    config = open_session(common)
    url = store_url(config, world, store)
    through_desk, document = run_async(_ask_running_desk(url, asset, world, timeout_ms))
    if not through_desk:
        document = _close_with_own_desk(config, asset, world, timeout_ms, live_trading, url)
    emit(document, common.json, lambda console: _print_closed(console, document))
    return 0


async def _ask_running_desk(
    url: str, asset: str | None, world: StoreWorld, timeout_ms: int
) -> tuple[bool, dict[str, Any]]:
    """Whether a desk runs on the store, and its answer."""
    async with open_store(url, "there is nothing to close") as opened:
        if opened.holder is None and world == "sandbox":
            raise Refused("no sandbox desk is running: the sandbox ended with it, and nothing is left to close")
        if opened.holder is None:
            await _require_pairs(opened, asset)
            return False, {}
        kind, argument = (CLOSE_ALL, None) if asset is None else (CLOSE, {"asset": asset})
        command_id = await opened.journal.post_command(kind, argument)
        deadline_ms = opened.clock.monotonic_ms() + timeout_ms
        while opened.clock.monotonic_ms() < deadline_ms:
            command = await opened.journal.load_command(command_id)
            if command is not None and command.state is not CommandState.PENDING:
                result = command.result or {}
                if command.state is CommandState.FAILED:
                    raise Refused(str(result.get("error", "the desk could not")))
                return True, {"by": "the running desk", **result}
            await opened.clock.sleep_ms(ASK_EVERY_MS)
        raise Refused(
            f"the desk ({opened.holder}) has not finished within {timeout_ms / 1000:g} s; it goes on closing,"
            " see: perpdesk arb positions"
        )


async def _require_pairs(opened: OpenedStore, asset: str | None) -> None:
    pairs = await opened.journal.load_open_pairs()
    if not any(asset in (None, pair.asset) for pair in pairs):
        raise Refused(f"no {'pair' if asset is None else f'{asset} pair'} is open in {opened.name}")


def _close_with_own_desk(
    config: Config, asset: str | None, world: StoreWorld, timeout_ms: int, live_trading: bool, url: str
) -> dict[str, Any]:
    """Run a desk that opens nothing and ends once the pairs have."""
    if world == "live" and not live_trading:
        raise ConfigError(
            "no desk runs on this store, and closing sends real orders: add --live-trading"
            " (and live_trading: true in the configuration)"
        )
    made = assemble(config, choose(config, "live", live_trading=live_trading))
    say("perpdesk: no desk is running; starting one that only closes")
    options = RunOptions(made.settings, url, timeout_ms, accepts_entries=False, closes_pairs=True, closes_only=asset)

    async def work() -> dict[str, Any]:
        with stop_on_signals() as stop:
            return await run_desk(made.world, options, made.clock, made.rng, stop)

    summary = run_async(work())
    left = [pair for pair in summary["pairs_open"] if asset in (None, pair["asset"])]
    if left:
        names = ", ".join(f"{pair['asset']} ({pair['state']})" for pair in left)
        raise Refused(f"not closed within {timeout_ms / 1000:g} s: {names}; run the command again")
    return {"by": "a desk of its own", "closed": run_async(_closed_in(url, summary["started_at_ms"], asset))}


async def _closed_in(url: str, since_ms: int, asset: str | None) -> list[dict[str, object]]:
    async with open_store(url, "") as opened:
        pairs = await opened.journal.load_pairs(1_000)
        return [
            pair_result(pair)
            for pair in pairs
            if pair.closed_at_ms is not None and pair.closed_at_ms >= since_ms and asset in (None, pair.asset)
        ]


def _print_closed(console: "Console", document: dict[str, Any]) -> None:
    closed = document.get("closed", [])
    if not closed:
        console.print("no pair was open")
    for pair in closed:
        total = pair["pnl_usd"]["total"]
        shown = number(None if total is None else float(total), 4, signed=True)
        console.print(f"closed pair {pair['pair_id']} {pair['asset']}: {shown} USD")
