"""`perpdesk run`: the desk on simulated venues or, told so twice, on real ones."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from perpdesk.cli.options import Common, Duration, UsageError, WorldName, parse_assets

if TYPE_CHECKING:
    from rich.console import Console

    from perpdesk.worlds.running import RunningDesk

PROGRESS_MS = 10_000


def run(
    *,
    world: Annotated[
        WorldName, Parameter(help="sandbox: simulated venues on this machine; live: the real ones")
    ] = "sandbox",
    dry_run: Annotated[
        bool, Parameter(help="Live: keep orders on paper, which is also the default", negative="")
    ] = False,
    live_trading: Annotated[
        bool, Parameter(help="Live: send real orders; needs live_trading: true in the configuration too", negative="")
    ] = False,
    for_: Annotated[
        Duration | None, Parameter(name="--for", help="How long, such as 60s; until Ctrl-C without")
    ] = None,
    seed: Annotated[int | None, Parameter(help="Sandbox: what all chance is drawn from")] = None,
    funding_every: Annotated[
        Duration | None, Parameter(help="Sandbox: length of a funding interval, which stands for an hour, such as 10s")
    ] = None,
    assets: Annotated[str | None, Parameter(help="Only these, such as BTC,ETH")] = None,
    store: Annotated[str | None, Parameter(help="Address of the store, such as sqlite:///var/other.db")] = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Run the desk: watch the venues, open pairs that pay, hold them, close them, and account for every cent.

    In a terminal it shows itself while it runs; at the end comes a summary, with --json as one document. Ctrl-C ends it in
    order: the sandbox closes its pairs, the live world leaves them open for the next run.
    """
    from perpdesk.cli.assemble import assemble, choose
    from perpdesk.cli.output import emit, say
    from perpdesk.cli.session import open_session, run_async, start_logs, store_url
    from perpdesk.worlds.run import run_desk
    from perpdesk.worlds.running import RunOptions

    if seed is not None and seed < 0:
        raise UsageError("--seed must not be negative")
    config = open_session(common)
    choice = choose(
        config,
        world,
        dry_run=dry_run,
        live_trading=live_trading,
        seed=seed,
        funding_every_ms=funding_every,
        assets=parse_assets(assets),
    )
    made = assemble(config, choice)
    if made.store_world == "paper":
        say("perpdesk: live venues, orders on paper only (real ones need --live-trading and live_trading: true)")
    options = RunOptions(made.settings, store_url(config, made.store_world, store), for_)
    has_screen = sys.stdout.isatty() and not common.json

    async def work() -> dict[str, Any]:
        with stop_on_signals() as stop:
            show = _show_live if has_screen else _show_progress
            return await run_desk(made.world, options, made.clock, made.rng, stop, show)

    if has_screen:
        start_logs(config, None)  # their last lines are part of the screen
    summary = run_async(work())
    emit(summary, common.json, lambda console: print_summary(console, summary))
    return 1 if summary["invariants_broken"] else 0


@contextlib.contextmanager
def stop_on_signals() -> Any:
    """An event that Ctrl-C or SIGTERM sets. A second one ends the process at once, which the journal survives."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def on_signal() -> None:
        stop.set()
        for each in signals:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for each in signals:
        loop.add_signal_handler(each, on_signal)
    try:
        yield stop
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


@contextlib.asynccontextmanager
async def _show_live(running: "RunningDesk") -> AsyncIterator[None]:
    from perpdesk.cli.live_view import live_view

    async with live_view(running):
        yield


@contextlib.asynccontextmanager
async def _show_progress(running: "RunningDesk") -> AsyncIterator[None]:
    """One short line on stderr every PROGRESS_MS."""
    from perpdesk.cli.output import number, say, span

    async def tell() -> None:
        while True:
            await running.clock.sleep_ms(PROGRESS_MS)
            counters, pnl = running.desk.counters, running.desk.portfolio.pnl()
            say(
                f"{span(running.elapsed_ms)}: {running.phase}, {counters.pairs_opened} pairs opened,"
                f" {counters.pairs_closed} closed, funding {number(float(pnl.funding_usd), signed=True)} USD,"
                f" total {number(float(pnl.total_usd), signed=True)} USD"
                + (f", halted: {running.desk.guard.reasons[0]}" if running.desk.guard.reasons else "")
            )

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()


def print_summary(console: "Console", summary: dict[str, Any]) -> None:
    """The end of a run for people."""
    from perpdesk.cli.output import number, span, table

    seed = "" if summary["seed"] is None else f", seed {summary['seed']}"
    console.print(f"[bold]{summary['world']}[/bold]{seed}, {span(summary['elapsed_s'] * 1000)}; {summary['store']}")
    venues = [
        (name, *(f"{venue[key]:,}" for key in ("markets", "book_updates", "requests", "errors")))
        for name, venue in summary["venues"].items()
    ]
    console.print(table(None, ("venue", "markets", "book updates", "requests", "errors"), venues, right=(1, 2, 3, 4)))
    naked = summary["naked_ms"]
    console.print(
        f"pairs: {summary['pairs_opened']} opened, {summary['pairs_closed']} closed, {len(summary['pairs_open'])} open;"
        f" legs unequal p50 {span(naked['p50'])}, p99 {span(naked['p99'])}, max {span(naked['max'])}"
    )
    pnl = summary["pnl_usd"]
    parts = [(name, number(pnl[name], 4, signed=True)) for name in ("price", "funding", "fees", "slippage", "total")]
    parts.append(("venues report", number(pnl["venue_reported"], 4, signed=True)))
    parts.append(("residual", number(pnl["residual"], 4, signed=True)))
    console.print(table(None, ("profit and loss", "USD"), parts, right=(1,)))
    for halt in summary["halts"]:
        console.print(f"[yellow]no new pairs since {halt['since']}:[/yellow] {halt['reason']}", markup=True)
    for pair in summary["pairs_open"]:
        legs = ", ".join(f"{leg} {side['size']:g} on {side['venue']}" for leg, side in pair["legs"].items())
        console.print(f"left open: pair {pair['pair_id']} {pair['asset']} ({pair['state']}): {legs}")
    if summary["pairs_open"] and summary["world"] != "sandbox":
        console.print(
            "The next run looks after them again; to close them now:"
            f" perpdesk arb close-all --world {summary['world']}"
            + (" --live-trading" if summary["world"] == "live" else "")
        )
    for broken in summary["invariants_broken"]:
        console.print(f"[red]invariant {broken['invariant']} broken:[/red] {broken['message']}")
    if not summary["invariants_broken"] and summary["world"] == "sandbox":
        console.print("invariants: all held")
