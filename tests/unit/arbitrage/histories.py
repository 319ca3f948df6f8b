"""What happened to a pair, told to a portfolio the way the desk and the venues would."""

from decimal import Decimal

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.domain.assets import VenueName
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport, OrderStatus, TimeInForce
from perpdesk.domain.pairs import Leg, OrderRecord, OrderState, PairState, Purpose
from perpdesk.store.ids import client_id
from tests.unit.arbitrage.situations import LIGHTER, T0, pair
from tests.unit.arbitrage.stores import Desktop

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT


async def opened(desk: Desktop, **changes: object) -> Ledger:
    """A new pair of the portfolio, nothing ordered yet."""
    return await desk.portfolio.add(pair(**changes))


async def ordered(desk: Desktop, ledger: Ledger, leg: Leg, purpose: Purpose, size: str = "1") -> OrderRecord:
    """Journal an order the way the executor does."""
    is_closing = purpose in (Purpose.TRIM, Purpose.CLOSE)
    side = leg.opening_side.opposite if is_closing else leg.opening_side
    intent = OrderIntent(
        client_id(desk.salt, ledger.pair.pair_id, ledger.take_order_number()),
        ledger.pair.venue_of(leg),
        "ETH",
        side,
        D(size),
        D(100),
        TimeInForce.IOC,
        is_closing,
        T0 + 5_000,
    )
    record = OrderRecord(intent, ledger.pair.pair_id, leg, purpose, D(100), T0, OrderState.ACCEPTED)
    await desk.journal.record_intent(record)
    ledger.orders[intent.client_id] = record
    return record


def fill_of(record: OrderRecord, size: str = "1", *, trade: str = "", at: int = 10, price: str = "100") -> Fill:
    intent = record.intent
    trade_id = trade or f"t{intent.client_id}"
    return Fill(
        intent.venue, "ETH", trade_id, intent.client_id, intent.side, D(size), D(price), D("0.01"), False, T0 + at
    )


def report_of(record: OrderRecord, status: OrderStatus, filled: str = "0") -> OrderReport:
    """A venue's word on an order."""
    intent = record.intent
    return OrderReport(intent.client_id, intent.venue, intent.asset, status, D(filled), None)


def paid(venue: VenueName = LIGHTER, at: int = 100, usd: str = "0.5", number: str = "p1") -> FundingPayment:
    return FundingPayment(venue, "ETH", number, D(usd), None, T0 + at)


async def round_trip(desk: Desktop) -> Ledger:
    """A pair that was opened, closed and accounted for at T0 + 1000."""
    ledger = await opened(desk)
    for leg, purpose in ((LONG, Purpose.ENTRY), (SHORT, Purpose.HEDGE), (LONG, Purpose.CLOSE), (SHORT, Purpose.CLOSE)):
        await desk.portfolio.take_fills([fill_of(await ordered(desk, ledger, leg, purpose))])
    desk.clock.advance_ms(1_000)
    await desk.portfolio.account_for(ledger, state=PairState.CLOSED, closed_at_ms=desk.clock.wall_ms())
    return ledger
