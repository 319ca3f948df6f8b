"""`perpdesk arb`: look at carry trades, and end them."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from perpdesk.cli.options import (
    Common,
    Duration,
    StoreWorld,
    UsageError,
    WorldName,
    canonical_asset,
    parse_assets,
    parse_since_ms,
)

if TYPE_CHECKING:
    from rich.console import Console

app = App(name="arb", help="Carry trades: scan, positions, history, close, backtest.", help_format="plaintext")
app.command("perpdesk.cli.backtest:backtest", name="backtest", help="What recorded months would have paid.")

World = Annotated[StoreWorld, Parameter(help="Whose pairs: the sandbox's, the live ones, or those on paper")]
StoreUrl = Annotated[str | None, Parameter(help="Address of the store, instead of the configured one")]


@app.command
def scan(
    *,
    world: Annotated[
        WorldName, Parameter(help="sandbox: simulated venues; live: the real ones, nothing is traded")
    ] = "sandbox",
    for_: Annotated[Duration, Parameter(name="--for", help="How long to listen before judging")] = Duration(5_000),  # noqa: B008
    top: Annotated[int | None, Parameter(help="Show only so many")] = None,
    assets: Annotated[str | None, Parameter(help="Only these, such as BTC,ETH")] = None,
    seed: Annotated[int | None, Parameter(help="Sandbox: what all chance is drawn from")] = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Judge every asset that two venues list: carry, costs, net edge, and every reason against."""
    from perpdesk.cli.assemble import assemble, choose
    from perpdesk.cli.output import emit
    from perpdesk.cli.session import open_session, run_async
    from perpdesk.worlds.look import scan_world

    if top is not None and top < 1:
        raise UsageError("--top must be at least 1")
    config = open_session(common)
    made = assemble(config, choose(config, world, seed=seed, assets=parse_assets(assets)))

    async def work() -> Any:
        async with made.world as opened:
            return await scan_world(opened, made.settings, for_, made.clock)

    found = run_async(work())
    shown = found.opportunities[:top]
    document = {
        "world": world,
        "listened_s": for_ / 1000,
        "assets": len(found.opportunities),
        "would_open": sum(1 for opportunity in found.opportunities if opportunity.is_open),
        "unmeasured": list(found.unmeasured),
        "opportunities": [opportunity.as_dict() for opportunity in shown],
    }
    emit(document, common.json, lambda console: _print_scan(console, document))
    return 0


def _print_scan(console: "Console", document: dict[str, Any]) -> None:
    from perpdesk.cli.output import number, table

    rows = [
        (
            o["asset"],
            f"{o['long_venue']} / {o['short_venue']}",
            number(o["carry_bps_per_hour"], 3, signed=True),
            number(o["net_bps_per_hour"], 3, signed=True),
            number(o["break_even_hours"], 1),
            number(_cost(o), 1),
            "would open" if o["would_open"] else "\n".join(o["refused_because"]),
        )
        for o in document["opportunities"]
    ]
    columns = ("asset", "long / short", "carry bps/h", "net bps/h", "break-even h", "costs bps", "verdict")
    console.print(table(None, columns, rows, right=(2, 3, 4, 5)))
    console.print(
        f"{document['assets']} assets on two venues, {document['would_open']} would be opened"
        f" (listened {document['listened_s']:g} s)"
    )


def _cost(opportunity: dict[str, Any]) -> float | None:
    into, out = opportunity["entry_cost_bps"], opportunity["exit_cost_bps"]
    return None if into is None or out is None else into + out


@app.command
def positions(*, world: World = "sandbox", store: StoreUrl = None, common: Common = Common()) -> int:  # noqa: B008
    """Pairs that are open, with both legs, their fills, and the funding so far."""
    from perpdesk.cli.output import emit
    from perpdesk.cli.records import load_ledger, open_store, position_document
    from perpdesk.cli.session import open_session, run_async, store_url

    url = store_url(open_session(common), world, store)

    async def work() -> dict[str, Any]:
        async with open_store(url, _run_hint(world)) as opened:
            now_ms = opened.clock.wall_ms()
            pairs = await opened.journal.load_open_pairs()
            ledgers = [await load_ledger(opened.journal, pair) for pair in pairs]
            return {
                "store": opened.name,
                "desk": opened.holder_document(),
                "pairs": [position_document(ledger, now_ms) for ledger in ledgers],
            }

    document = run_async(work())
    emit(document, common.json, lambda console: _print_positions(console, document, world))
    return 0


def _run_hint(world: str) -> str:
    run = {"sandbox": "perpdesk run", "paper": "perpdesk run --world live"}
    return f"nothing ran yet: {run.get(world, 'perpdesk run --world live --live-trading')}"


def _print_positions(console: "Console", document: dict[str, Any], world: str) -> None:
    from perpdesk.cli.output import number, span, table

    desk = document["desk"]
    console.print(
        f"{document['store']}: "
        + ("no desk is running" if desk is None else f"desk pid {desk['pid']} since {desk['since']}")
    )
    if not document["pairs"]:
        console.print("no pair is open")
        return
    rows = []
    for pair in document["pairs"]:
        head = (
            f"{pair['pair_id']} {pair['asset']}",
            pair["state"],
            span(None if pair["held_s"] is None else pair["held_s"] * 1000),
        )
        money = tuple(number(float(pair[key]), 4, signed=True) for key in ("funding_usd", "fees_usd", "slippage_usd"))
        for leg, side in pair["legs"].items():
            entry = "–" if side["entry_price"] is None else f"{float(side['entry_price']):.6g}"
            cells = (leg, side["venue"], f"{float(side['size']):g}", entry, str(len(side["fills"])))
            rows.append((*head, *cells, *money))
            head, money = ("", "", ""), ("", "", "")
    columns = (
        "pair",
        "state",
        "held",
        "leg",
        "venue",
        "size",
        "entry",
        "fills",
        "funding USD",
        "fees USD",
        "slippage USD",
    )
    console.print(table(None, columns, rows, right=(2, 5, 6, 7, 8, 9, 10)))
    if desk is None and world == "sandbox":
        console.print("Their sandbox has ended: the next sandbox run abandons them.")


@app.command
def history(
    *,
    world: World = "sandbox",
    limit: Annotated[int, Parameter(help="Show at most so many, the latest")] = 50,
    since: Annotated[str | None, Parameter(help="Decided since then: 2026-01-31, or ago: 7d")] = None,
    store: StoreUrl = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Pairs that ended: what each earned by source, why it was closed, how long its legs were unequal; and totals."""
    from perpdesk.cli.output import emit
    from perpdesk.cli.records import PAIRS_READ_MAX, history_document, open_store, totals_document
    from perpdesk.cli.session import open_session, run_async, store_url

    if limit < 1:
        raise UsageError("--limit must be at least 1")
    url = store_url(open_session(common), world, store)

    async def work() -> dict[str, Any]:
        async with open_store(url, _run_hint(world)) as opened:
            since_ms = None if since is None else parse_since_ms(since, opened.clock.wall_ms())
            found = await opened.journal.load_pairs(PAIRS_READ_MAX, since_ms)
            pairs = [pair for pair in found if pair.state.is_ended][:limit]
            worlds = {run.run_id: run.world for run in await opened.journal.load_runs(PAIRS_READ_MAX)}
            return {
                "store": opened.name,
                "pairs": [history_document(pair, worlds.get(pair.run_id)) for pair in pairs],
                "totals": totals_document(pairs),
            }

    document = run_async(work())
    emit(document, common.json, lambda console: _print_history(console, document))
    return 0


def _print_history(console: "Console", document: dict[str, Any]) -> None:
    from perpdesk.cli.output import number, span, table

    rows = []
    for pair in document["pairs"]:
        pnl = pair["pnl_usd"] or {}
        money = [
            number(None if pnl.get(part) is None else float(pnl[part]), 4, signed=True)
            for part in ("price", "funding", "fees", "slippage", "total")
        ]
        held = span(None if pair["held_s"] is None else pair["held_s"] * 1000)
        reason = pair["exit_reason"] or pair["state"]
        legs = f"{pair['long_venue']} / {pair['short_venue']}"
        rows.append(
            (
                f"{pair['pair_id']} {pair['asset']}",
                legs,
                pair["closed_at"] or "–",
                held,
                *money,
                span(pair["naked_ms_max"]),
                reason,
            )
        )
    totals = document["totals"]
    sums = [
        number(float(totals["pnl_usd"][part]), 4, signed=True)
        for part in ("price", "funding", "fees", "slippage", "total")
    ]
    rows.append((f"{totals['pairs']} pairs", "", "", "", *sums, span(totals["naked_ms_max"]), f"{totals['won']} won"))
    columns = (
        "pair",
        "long / short",
        "closed",
        "held",
        "price",
        "funding",
        "fees",
        "slippage",
        "total USD",
        "naked max",
        "reason",
    )
    console.print(document["store"])
    console.print(table(None, columns, rows, right=(3, 4, 5, 6, 7, 8, 9)))


LiveKey = Annotated[
    bool,
    Parameter(
        help="With no desk running: start one with real orders, only to close; needs live_trading: true too",
        negative="",
    ),
]


@app.command
def close(
    symbol: Annotated[str, Parameter(help="The asset, by our name or a venue's: PEPE, kPEPE, 1000PEPE")],
    /,
    *,
    world: World = "sandbox",
    timeout: Annotated[Duration, Parameter(help="How long to wait for the result")] = Duration(60_000),  # noqa: B008
    live_trading: LiveKey = False,
    store: StoreUrl = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Close the open pair of one asset and wait until both legs are flat."""
    from perpdesk.cli.closing import close_pairs

    return close_pairs(canonical_asset(symbol), world, timeout, live_trading, store, common)


@app.command(name="close-all")
def close_all(
    *,
    world: World = "sandbox",
    timeout: Annotated[Duration, Parameter(help="How long to wait for the result")] = Duration(60_000),  # noqa: B008
    live_trading: LiveKey = False,
    store: StoreUrl = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Close every open pair and wait until all legs are flat."""
    from perpdesk.cli.closing import close_pairs

    return close_pairs(None, world, timeout, live_trading, store, common)
