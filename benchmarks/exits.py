"""Ten open pairs asked whether they should end, just as the desk asks on every book event."""

import inspect
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

from benchmarks.markets import market
from benchmarks.rows import Row, within
from benchmarks.timing import interleaved_us
from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.exits import HoldingView, decide_exit, flipped_since
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.prices import exact
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book, Side
from perpdesk.domain.clock import SystemClock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment, FundingRate
from perpdesk.domain.orders import Fill, OrderIntent, TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderRecord, OrderState, Pair, PairState, Purpose
from perpdesk.domain.pnl import attribute
from perpdesk.store.ids import client_id
from perpdesk.venues.base import BookChanged, FundingChanged, Venue

BAR_US = 50.0
PAIRS = 10
FILLS = 36
"""Of a pair, both legs together: an entry at a few levels of two thin books."""
PAYMENTS = 24
LONG, SHORT = VenueName.LIGHTER, VenueName.HYPERLIQUID
SIZE = Decimal("0.75")
"""Of one fill, units of the asset."""


def measure() -> Iterator[Row]:
    """Microseconds for ten evaluations of pairs that go on being held."""
    if any(inspect.iscoroutinefunction(part) for part in (Desk._consider_exit, Desk.closing_profit_usd)):
        raise AssertionError("exits: an exit evaluation awaits something")
    desk = _desk()
    ledgers = desk.portfolio.open
    if len(ledgers) != PAIRS:
        raise AssertionError(f"exits: {len(ledgers)} open pairs instead of {PAIRS}, nothing would be measured")
    for ledger in ledgers:
        if desk.closing_profit_usd(ledger) != _plain_profit_usd(desk, ledger):
            raise AssertionError("exits: the kept sums differ from adding up all fills")
    ours, theirs = interleaved_us(lambda: _evaluate(desk, ledgers), lambda: _evaluate_plainly(desk, ledgers))
    note = f"{PAIRS} open pairs of {FILLS} fills and {PAYMENTS} payments, no awaits; against adding up all fills every time"
    yield within("exits", "us/10 pairs", ours, theirs, BAR_US, note)


def _evaluate(desk: Desk, ledgers: list[Ledger]) -> None:
    for ledger in ledgers:
        desk._consider_exit(ledger)  # what the desk's loop calls; nothing public does exactly this


def _evaluate_plainly(desk: Desk, ledgers: list[Ledger]) -> None:
    """The same decision from scratch: every fill and payment is added up, then both books are walked."""
    exits, now_ms = DeskSettings().exits, SystemClock().wall_ms()
    for ledger in ledgers:
        carry = desk.carry_bps_per_hour(ledger)
        since = flipped_since(carry, None, exits, now_ms)
        profit = _plain_profit_usd(desk, ledger)
        view = HoldingView(ledger.pair.opened_at_ms or 0, carry, since, profit, ledger.pair.notional_usd)
        if decide_exit(view, exits, now_ms) is not None:
            raise AssertionError("exits: a pair that should be held ends")


def _plain_profit_usd(desk: Desk, ledger: Ledger) -> Decimal:
    pair, fee_usd, marks = ledger.pair, Decimal(0), {}
    for leg in Leg:
        venue, held = pair.venue_of(leg), ledger.held(leg)
        book, rates = desk.view.book(venue, pair.asset), desk.reconciler.books[venue].fees
        assert book is not None
        assert rates is not None
        sweep = book.side(leg.opening_side.opposite).sweep(float(held))
        assert sweep is not None
        marks[venue.value, pair.asset] = price = exact(sweep.average_price)
        fee_usd += held * price * rates.taker
    return attribute(ledger.priced_fills(), ledger.payments, marks).total_usd - fee_usd


# A desk with open pairs ----------------------------------------------------------------------------------------------


def _desk() -> Desk:
    """A desk that holds PAIRS pairs, none of which should end."""
    clock = SystemClock()
    venues = {venue: cast(Venue, None) for venue in (LONG, SHORT)}
    desk = Desk(venues, cast(Any, None), clock, DeskSettings(), run_id=1, salt=1)
    for venue in venues:
        desk.reconciler.books[venue].fees = FeeRates(Decimal("0.00015"), Decimal("0.00045"))
    for number in range(1, PAIRS + 1):
        asset = f"COIN{number}"
        _show(desk, asset, clock.wall_ms())
        desk.portfolio.keep(_ledger(number, asset, clock.wall_ms()))
    return desk


def _show(desk: Desk, asset: str, now_ms: int) -> None:
    for venue, rate in ((LONG, "0.00001"), (SHORT, "0.00006")):
        desk.view.list_markets([market(venue, asset)])
        book = Book()
        book.replace(
            [(100 - 0.01 * level, 4.0) for level in range(1, 21)],
            [(100 + 0.01 * level, 4.0) for level in range(1, 21)],
            now_ms,
        )
        desk.view.on_event(BookChanged(venue, asset, book))
        desk.view.on_event(
            FundingChanged(venue, asset, FundingRate.from_interval(Decimal(rate), 1, now_ms), 100.0, 100.0)
        )


def _ledger(number: int, asset: str, now_ms: int) -> Ledger:
    size = SIZE * (FILLS // 2)
    pair = Pair(
        pair_id=number,
        run_id=1,
        asset=asset,
        long_venue=LONG,
        short_venue=SHORT,
        first_leg=Leg.LONG,
        entry_style=EntryStyle.TAKER,
        size_target=size,
        notional_usd=size * 100,
        edge_bps_per_hour=0.5,
        state=PairState.OPEN,
        decided_at_ms=now_ms - 60_000,
        opened_at_ms=now_ms - 59_000,
    )
    orders = [_order(pair, leg, at, now_ms) for at, leg in enumerate(Leg, start=1)]
    fills = [_fill(order, at) for order in orders for at in range(FILLS // 2)]
    payments = [
        FundingPayment(venue, asset, f"{asset}:{at}", Decimal("0.0135"), size, now_ms)
        for venue in (LONG, SHORT)
        for at in range(PAYMENTS // 2)
    ]
    return Ledger(pair, Decimal("0.00005"), orders, fills, payments)


def _order(pair: Pair, leg: Leg, number: int, now_ms: int) -> OrderRecord:
    intent = OrderIntent(
        client_id=client_id(1, pair.pair_id, number),
        venue=pair.venue_of(leg),
        asset=pair.asset,
        side=leg.opening_side,
        size=pair.size_target,
        limit_price=Decimal(101 if leg.opening_side is Side.BUY else 99),
        time_in_force=TimeInForce.IOC,
        is_reduce_only=False,
        expires_at_ms=now_ms,
    )
    purpose = Purpose.ENTRY if leg is pair.first_leg else Purpose.HEDGE
    return OrderRecord(intent, pair.pair_id, leg, purpose, Decimal("100.005"), now_ms - 60_000, OrderState.FINAL)


def _fill(order: OrderRecord, at: int) -> Fill:
    intent = order.intent
    price = Decimal(100) + Decimal("0.01") * (at % 9) * intent.side.sign
    fee = SIZE * price * Decimal("0.00045")
    trade_id = f"{intent.client_id}:{at}"
    return Fill(
        intent.venue,
        intent.asset,
        trade_id,
        intent.client_id,
        intent.side,
        SIZE,
        price,
        fee,
        False,
        intent.expires_at_ms,
    )
