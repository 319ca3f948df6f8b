"""The screen of a running desk: venues, opportunities with the reasons against the rest, pairs with their legs, the money."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from perpdesk.arbitrage.gates import Opportunity
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.cli.output import number, span, table
from perpdesk.domain.assets import VenueName
from perpdesk.domain.pairs import Leg, PairState
from perpdesk.domain.pnl import PnlParts
from perpdesk.telemetry.logs import recent
from perpdesk.worlds.look import sort_opportunities
from perpdesk.worlds.running import RunningDesk

REFRESH_MS = 500
OPPORTUNITIES_SHOWN = 10
EVENTS_SHOWN = 5
REASONS_SHOWN = 2


@contextlib.asynccontextmanager
async def live_view(running: RunningDesk) -> AsyncIterator[None]:
    """Draw `running` twice a second until the block ends."""
    console = Console()
    with Live(render(running), console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:

        async def draw() -> None:
            while True:
                await running.clock.sleep_ms(REFRESH_MS)
                live.update(render(running), refresh=True)

        task = asyncio.create_task(draw())
        try:
            yield
        finally:
            task.cancel()


def render(running: RunningDesk) -> RenderableType:
    """One frame."""
    return Group(
        _head(running), _venues(running), _opportunities(running), _pairs(running), _money(running), *_foot(running)
    )


def _head(running: RunningDesk) -> Text:
    world, limit_ms = running.world, running.options.duration_ms
    seed = "" if world.seed is None else f"  seed {world.seed}"
    of = "" if limit_ms is None else f" of {span(limit_ms)}"
    counters = running.desk.counters
    style = "bold red" if world.name == "live" else "bold green"
    return Text.assemble(
        ("perpdesk ", "bold"),
        (world.name, style),
        f"{seed}  {span(running.elapsed_ms)}{of}  {running.phase}",
        f"  pairs opened {counters.pairs_opened}, closed {counters.pairs_closed}",
        ("   Ctrl-C ends in order", "dim"),
    )


def _venues(running: RunningDesk) -> Any:
    rows = []
    for name, venue in running.world.venues.items():
        ages = _book_ages(running, name)
        live, oldest = len(ages), max(ages, default=None)
        counters = venue.counters
        followed = _followed(running, name)
        state = "live" if live == followed else f"{live} of {followed} books"
        age = span(oldest)
        rows.append(
            (name.value, state, age, f"{counters.book_updates:,}", f"{counters.requests:,}", f"{counters.errors:,}")
        )
    columns = ("venue", "state", "oldest book", "book updates", "requests", "errors")
    return table(None, columns, rows, right=(2, 3, 4, 5))


def _followed(running: RunningDesk, name: VenueName) -> int:
    wanted = running.options.desk.assets
    markets = running.world.venues[name].markets
    return sum(1 for asset, market in markets.items() if market.is_tradable and (not wanted or asset in wanted))


def _book_ages(running: RunningDesk, name: VenueName) -> list[int]:
    view = running.desk.view
    ages = (view.book_age_ms(name, a) for a in running.world.venues[name].markets if view.book(name, a) is not None)
    return [age for age in ages if age is not None]


def _opportunities(running: RunningDesk) -> Any:
    desk = running.desk
    found = [] if desk.scanner is None else list(desk.scanner.best.values())
    shown = sort_opportunities(found)[:OPPORTUNITIES_SHOWN]
    rows = [
        (
            o.asset,
            f"{o.long_venue.value} / {o.short_venue.value}",
            number(o.carry_bps_per_hour, 2, signed=True),
            number(o.net_bps_per_hour, 2, signed=True),
            number(o.break_even_hours, 1),
            _verdict(running, o),
        )
        for o in shown
    ]
    title = f"opportunities (bps per hour; best {len(shown)} of {len(found)})"
    return table(title, ("asset", "long / short", "carry", "net", "break-even h", "verdict"), rows, right=(2, 3, 4))


def _verdict(running: RunningDesk, opportunity: Opportunity) -> str:
    """In place of reasons, what the desk does with one that passed."""
    held = [ledger.pair for ledger in running.desk.portfolio.open if ledger.pair.asset == opportunity.asset]
    if held:
        return f"pair {held[0].pair_id} {held[0].state.value}"
    if not opportunity.is_open:
        reasons = [str(check) for check in opportunity.refusals]
        more = f" (+{len(reasons) - REASONS_SHOWN})" if len(reasons) > REASONS_SHOWN else ""
        return "; ".join(reasons[:REASONS_SHOWN]) + more
    if running.desk.guard.reasons:
        return "passes; entries are halted"
    if len(running.desk.portfolio.open) >= running.options.desk.entry.pairs_max:
        return f"passes; {running.options.desk.entry.pairs_max} pairs are open, which is the limit"
    return "passes"


def _pairs(running: RunningDesk) -> Any:
    rows: list[tuple[str, ...]] = []
    for ledger in running.desk.portfolio.open:
        rows += _pair_rows(running, ledger)
    columns = ("pair", "state", "leg", "venue", "size", "entry", "mark", "carry bps/h", "funding", "total USD")
    return table("open pairs" if rows else "no open pairs", columns, rows, right=(4, 5, 6, 7, 8, 9))


def _pair_rows(running: RunningDesk, ledger: Ledger) -> list[tuple[str, ...]]:
    pair, desk = ledger.pair, running.desk
    marks = desk.portfolio.marks(ledger)
    pnl, carry = ledger.pnl(marks), desk.carry_bps_per_hour(ledger)
    since = pair.opened_at_ms
    age = "" if since is None else f" {span(running.clock.wall_ms() - since)}"
    state = f"{pair.state.value}{age}" + (f": {pair.exit_reason}" if pair.state is PairState.CLOSING else "")
    money = (
        number(carry, 2, signed=True),
        *(number(float(v), 3, signed=True) for v in (pnl.funding_usd, pnl.total_usd)),
    )
    heads = ((f"{pair.pair_id} {pair.asset}", state), ("", ""))
    return [
        (*head, *_leg_cells(ledger, leg, marks), *(money if leg is Leg.LONG else ("", "", "")))
        for head, leg in zip(heads, Leg, strict=True)
    ]


def _leg_cells(ledger: Ledger, leg: Leg, marks: dict[tuple[str, str], Decimal]) -> tuple[str, ...]:
    venue = ledger.pair.venue_of(leg)
    opening = [f for f in ledger.fills if f.venue == venue and f.side is leg.opening_side]
    size = sum((f.size for f in opening), Decimal(0))
    entry = sum((f.size * f.price for f in opening), Decimal(0)) / size if size else None
    mark = marks.get((venue.value, ledger.pair.asset))
    return leg.value, venue.value, f"{float(ledger.held(leg)):g}", _price(entry), _price(mark)


def _price(value: Decimal | None) -> str:
    return "–" if value is None else f"{float(value):.6g}"


def _money(running: RunningDesk) -> Any:
    """The four parts as of now; what the venues say is as of the last quiet look at their accounts."""
    pnl, start, change = running.desk.portfolio.pnl(), running.start_look, running.change
    before = PnlParts() if start is None else start.parts
    parts = (
        pnl.price_usd - before.price_usd,
        pnl.funding_usd - before.funding_usd,
        pnl.fees_usd - before.fees_usd,
        pnl.slippage_usd - before.slippage_usd,
        pnl.total_usd - before.total_usd,
    )
    cells = [number(float(part), 4, signed=True) for part in parts]
    reported = None if change is None else float(change.venue_reported_usd)
    residual = None if change is None else float(change.residual_usd)
    looked = "" if running.last_look is None else f" {span(running.clock.wall_ms() - running.last_look.at_ms)} ago"
    cells += [number(reported, 4, signed=True), number(residual, 4, signed=True)]
    columns = ("price", "funding", "fees", "slippage", "total", f"venues{looked}", "residual then")
    return table("profit and loss, USD", columns, [cells], right=tuple(range(7)))


def _foot(running: RunningDesk) -> list[Text]:
    """Halts, broken invariants, and the latest events."""
    lines = [Text(f"no new pairs: {reason}", style="yellow") for reason in running.desk.guard.reasons]
    broken = [] if running.invariants is None else running.invariants.violations
    lines += [Text(f"invariant {v.invariant} broken: {v.message}", style="bold red") for v in broken]
    for event in list(recent.events)[-EVENTS_SHOWN:]:
        fields = " ".join(f"{key}={value}" for key, value in event.fields.items() if value is not None)
        style = {"error": "red", "warning": "yellow"}.get(event.level, "dim")
        lines.append(Text(f"{event.at} {event.event} {fields}", style=style, no_wrap=True, overflow="ellipsis"))
    return lines
