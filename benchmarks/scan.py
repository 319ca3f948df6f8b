"""Edges of every venue pair of every asset at once, beside plain loops; and a tick that touched one asset beside a full scan."""

import random
from collections.abc import Iterator
from decimal import Decimal
from math import inf, isclose, isnan, nan

from benchmarks.markets import market
from benchmarks.rows import Row, faster
from benchmarks.timing import interleaved_us
from perpdesk.arbitrage.scan import LEVELS, ScanGrid, ScanResult, scan
from perpdesk.arbitrage.scanner import Scanner
from perpdesk.arbitrage.settings import EntrySettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book, Level
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingRate
from perpdesk.market.view import FreshnessLimits, MarketView
from perpdesk.venues.base import BookChanged, FundingChanged

FULL_BAR = 50.0
TICK_BAR = 50.0
"""A tick of one asset out of 200 may cost a fiftieth of scanning all: a call has a price of its own."""
ASSETS = tuple(f"COIN{number}" for number in range(200))
VENUES = (VenueName.EXTENDED, VenueName.HYPERLIQUID, VenueName.LIGHTER)
TAKER_FEES = {VenueName.EXTENDED: 0.00025, VenueName.HYPERLIQUID: 0.00045, VenueName.LIGHTER: 0.0}
ENTRY = EntrySettings()
NOTIONAL_USD = float(ENTRY.notional_usd_max)

Side = list[Level]
Edge = tuple[float, float, float, float, float, float]
"""Carry, entry cost, exit cost, basis, net edge, break-even hours."""
PlainScan = tuple[dict[tuple[str, VenueName, VenueName], Edge], dict[tuple[str, VenueName], tuple[float, float]]]
"""(edges by asset, long and short venue; depth and spread by asset and venue)."""


def measure() -> Iterator[Row]:
    """Microseconds per scan."""
    books, rates = _market(random.Random(7))
    grid = _grid(books, rates)
    rows = _plain_rows(books)
    _require_equal(_ours(grid), _plain_scan(rows, rates))
    ours, theirs = interleaved_us(lambda: _ours(grid), lambda: _plain_scan(rows, rates))
    shape = f"{len(ASSETS)} assets x {len(VENUES)} venues x {LEVELS} levels"
    yield faster(
        "scan",
        "us/scan",
        ours,
        theirs,
        FULL_BAR,
        f"{shape}: depth, impact and edges of all pairs; against loops over pairs and levels",
    )
    scanner = _scanner(books, rates)
    everything, one = set(ASSETS), {ASSETS[17]}
    tick, full = interleaved_us(lambda: scanner.refresh(one), lambda: scanner.refresh(everything))
    note = "a tick that touched one asset (books copied, scanned, judged) against all assets"
    yield faster("scan.tick", "us/tick", tick, full, TICK_BAR, note)


def _market(rng: random.Random) -> tuple[dict[tuple[str, VenueName], Book], dict[tuple[str, VenueName], float]]:
    """A book and a rate of every asset on every venue, around one fair price each."""
    books, rates = {}, {}
    for asset in ASSETS:
        fair = 10 ** rng.uniform(-2, 5)
        for venue in VENUES:
            book = Book()
            mid = fair * (1 + rng.gauss(0, 3e-4))
            book.replace(_side(rng, mid, -1), _side(rng, mid, 1), 0)
            books[asset, venue] = book
            rates[asset, venue] = rng.gauss(1.25e-5, 3e-5)
    return books, rates


def _side(rng: random.Random, mid: float, sign: int) -> Side:
    """Levels some 1.5 bps apart with 40 to 400 USD each, so that the notional reaches a few levels deep."""
    price, levels = mid, []
    for _ in range(LEVELS):
        price *= 1 + sign * rng.uniform(5e-5, 2.5e-4)
        levels.append((price, rng.uniform(40, 400) / price))
    return levels


# Ours ----------------------------------------------------------------------------------------------------------------


def _grid(books: dict[tuple[str, VenueName], Book], rates: dict[tuple[str, VenueName], float]) -> ScanGrid:
    grid = ScanGrid.empty(ASSETS, VENUES)
    for row, asset in enumerate(ASSETS):
        for column, venue in enumerate(VENUES):
            grid.put_book(row, column, books[asset, venue])
            grid.rates[row, column] = rates[asset, venue]
    grid.taker_fees[:] = [TAKER_FEES[venue] for venue in VENUES]
    return grid


def _ours(grid: ScanGrid) -> ScanResult:
    return scan(grid, NOTIONAL_USD, ENTRY.hold_hours, ENTRY.depth_bps)


def _scanner(books: dict[tuple[str, VenueName], Book], rates: dict[tuple[str, VenueName], float]) -> Scanner:
    view = MarketView(ManualClock(), FreshnessLimits(10_000, 120_000))
    view.list_markets(market(venue, asset) for asset in ASSETS for venue in VENUES)
    for (asset, venue), book in books.items():
        rate = FundingRate.from_interval(Decimal(repr(rates[asset, venue])), 1, 0)
        view.on_event(BookChanged(venue, asset, book))
        view.on_event(FundingChanged(venue, asset, rate, None, None))
    scanner = Scanner(view, VENUES, ASSETS, ENTRY)
    for venue, fee in TAKER_FEES.items():
        scanner.set_fees(venue, FeeRates(Decimal(0), Decimal(repr(fee))))
    return scanner


# Plain loops ---------------------------------------------------------------------------------------------------------


def _plain_rows(books: dict[tuple[str, VenueName], Book]) -> list[list[tuple[Side, Side]]]:
    """[asset][venue]: (bids, asks), as lists that loops go over fastest."""
    return [[(books[a, v].bids.top(LEVELS), books[a, v].asks.top(LEVELS)) for v in VENUES] for a in ASSETS]


def _plain_scan(rows: list[list[tuple[Side, Side]]], rates: dict[tuple[str, VenueName], float]) -> PlainScan:
    """Go over every ordered pair of venues of every asset and work out what it would earn."""
    edges, qualities = {}, {}
    for asset, sides in zip(ASSETS, rows, strict=True):
        for venue, (bids, asks) in zip(VENUES, sides, strict=True):
            mid = (bids[0][0] + asks[0][0]) / 2
            depth = min(_plain_depth(bids, mid), _plain_depth(asks, mid))
            qualities[asset, venue] = depth, (asks[0][0] - bids[0][0]) / mid * 10_000
        for long, long_sides in zip(VENUES, sides, strict=True):
            for short, short_sides in zip(VENUES, sides, strict=True):
                if long is not short:
                    carry = (rates[asset, short] - rates[asset, long]) * 10_000
                    fees = (TAKER_FEES[long] + TAKER_FEES[short]) * 10_000
                    edges[asset, long, short] = _plain_edge(long_sides, short_sides, carry, fees)
    return edges, qualities


def _plain_edge(long: tuple[Side, Side], short: tuple[Side, Side], carry: float, fees: float) -> Edge:
    long_mid, short_mid = (long[0][0][0] + long[1][0][0]) / 2, (short[0][0][0] + short[1][0][0]) / 2
    entry = _plain_impact(long[1], long_mid, 1) + _plain_impact(short[0], short_mid, -1) + fees
    leave = _plain_impact(long[0], long_mid, -1) + _plain_impact(short[1], short_mid, 1) + fees
    basis = (short_mid / long_mid - 1) * 10_000
    cost = entry + leave + max(-basis, 0.0)
    return carry, entry, leave, basis, carry - cost / ENTRY.hold_hours, cost / carry if carry > 0 else inf


def _plain_impact(levels: Side, mid: float, sign: int) -> float:
    size = left = NOTIONAL_USD / mid
    paid = 0.0
    for price, available in levels:
        taken = min(left, available)
        paid += taken * price
        left -= taken
        if left <= 0:
            break
    return (paid / size / mid - 1) * sign * 10_000 if left <= size * 1e-9 else nan


def _plain_depth(levels: Side, mid: float) -> float:
    total = 0.0
    for price, size in levels:
        if abs(price / mid - 1) * 10_000 > ENTRY.depth_bps:
            break
        total += price * size
    return total


def _require_equal(result: ScanResult, plain: PlainScan) -> None:
    edges, qualities = plain
    arrays = (
        result.carry_bps_per_hour,
        result.entry_cost_bps,
        result.exit_cost_bps,
        result.basis_bps,
        result.net_bps_per_hour,
        result.break_even_hours,
    )
    for (asset, long, short), edge in edges.items():
        at = ASSETS.index(asset), VENUES.index(long), VENUES.index(short)
        for array, number in zip(arrays, edge, strict=True):
            _require_close(float(array[at]), number)
    for (asset, venue), (depth, spread) in qualities.items():
        cell = ASSETS.index(asset), VENUES.index(venue)
        _require_close(float(result.depth_usd[cell]), depth)
        _require_close(float(result.spread_bps[cell]), spread)


def _require_close(ours: float, theirs: float) -> None:
    if not (isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-6) or (isnan(ours) and isnan(theirs))):
        raise AssertionError(f"scan: {ours} is not {theirs}")
