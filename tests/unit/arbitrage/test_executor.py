"""Single steps carried out: evidence from the venue outweighs the answer to a request."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.steps import AskOrder, CancelOrder, PlaceOrder, SettleOrder
from perpdesk.domain.books import Side
from perpdesk.domain.orders import OrderIntent, OrderReport, OrderStatus, TimeInForce
from perpdesk.domain.pairs import Leg, OrderRecord, OrderState, Purpose
from perpdesk.venues.base import NotSent, OrderRejected, OutcomeUnknown, RequestRefused
from tests.unit.arbitrage.histories import fill_of, ordered, report_of
from tests.unit.arbitrage.situations import LIGHTER, pair
from tests.unit.arbitrage.stores import Desktop
from tests.unit.arbitrage.venues import Venues, started

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT
BUY = PlaceOrder(LONG, Purpose.ENTRY, Side.BUY, D(1), D(99), D(100), TimeInForce.POST_ONLY, False)


async def with_order(desk: Desktop, state: OrderState) -> tuple[Desk, Venues, Ledger, OrderRecord]:
    """A desk with one entry of 1 on the long leg that it believes to be in `state`."""
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())
    record = replace(await ordered(desk, ledger, LONG, Purpose.ENTRY), state=state)
    ledger.orders[record.intent.client_id] = record
    return engine, venues, ledger, record


async def test_an_order_is_on_disk_before_it_is_sent(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())
    kept: list[OrderRecord | None] = []

    async def look(order: OrderIntent) -> None:
        kept.append(await desk.journal.load_order(order.client_id))

    venues[LIGHTER].on_place = look
    await engine.executor.place(ledger, BUY)
    (record,) = kept
    assert record is not None
    assert record.state is OrderState.JOURNALLED


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotSent("no route"), OrderState.FINAL),
        (RequestRefused("key", "no key"), OrderState.FINAL),
        (OrderRejected("margin", "not enough"), OrderState.FINAL),
        (OutcomeUnknown(1, "timeout"), OrderState.UNKNOWN),
    ],
    ids=["not sent", "refused", "rejected", "unknown"],
)
async def test_each_failure_of_a_submission_says_what_is_known_of_the_order(
    desk: Desktop, error: Exception, state: OrderState
) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())

    async def fail(order: OrderIntent) -> None:
        raise error

    venues[LIGHTER].on_place = fail
    await engine.executor.place(ledger, BUY)
    (record,) = ledger.orders.values()
    assert record.state is state
    assert await desk.journal.load_order(record.intent.client_id) == record


async def test_an_order_seen_resting_is_not_forgotten_because_its_submission_was_answered_no(desk: Desktop) -> None:
    """A gateway that repeats a request by itself gets "duplicate" for the second one while the first one rests."""
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())

    async def rest_and_refuse(order: OrderIntent) -> None:
        ledger.take_report(OrderReport(order.client_id, LIGHTER, "ETH", OrderStatus.RESTING, D(0), None))
        raise OrderRejected("dup", "client id exists")

    venues[LIGHTER].on_place = rest_and_refuse
    await engine.executor.place(ledger, BUY)
    live = ledger.live_order(LONG)
    assert live is not None
    assert live.state is OrderState.UNKNOWN


async def test_an_order_seen_resting_stays_accepted_when_the_answer_is_lost(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())

    async def rest_and_time_out(order: OrderIntent) -> None:
        ledger.take_report(OrderReport(order.client_id, LIGHTER, "ETH", OrderStatus.RESTING, D(0), None))
        raise OutcomeUnknown(order.client_id, "timeout")

    venues[LIGHTER].on_place = rest_and_time_out
    await engine.executor.place(ledger, BUY)
    (record,) = ledger.orders.values()
    assert record.state is OrderState.ACCEPTED


async def test_an_order_reported_ended_before_the_answer_stays_ended(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())

    async def end(order: OrderIntent) -> None:
        ledger.take_report(OrderReport(order.client_id, LIGHTER, "ETH", OrderStatus.CANCELED, D(0), None))

    venues[LIGHTER].on_place = end
    await engine.executor.place(ledger, BUY)
    (record,) = ledger.orders.values()
    assert record.state is OrderState.ENDED


# Reported ends


async def test_an_end_that_the_venue_repeats_is_confirmed_once_its_fills_were_read(desk: Desktop) -> None:
    engine, venues, ledger, record = await with_order(desk, OrderState.ENDED)
    venues[LIGHTER].reports[record.intent.client_id] = report_of(record, OrderStatus.CANCELED)
    await engine.executor.ask(ledger, AskOrder(LONG, record))
    assert ledger.live_order(LONG) is None
    assert [name for name, _ in venues[LIGHTER].asked] == ["order", "fills"]
    kept = await desk.journal.load_order(record.intent.client_id)
    assert kept is not None
    assert kept.state is OrderState.FINAL


async def test_an_end_is_confirmed_too_when_the_venue_has_forgotten_the_order(desk: Desktop) -> None:
    engine, _, ledger, record = await with_order(desk, OrderState.ENDED)
    await engine.executor.ask(ledger, AskOrder(LONG, record))
    assert ledger.orders[record.intent.client_id].state is OrderState.FINAL


async def test_an_end_is_not_confirmed_against_the_venues_own_answer(desk: Desktop) -> None:
    engine, venues, ledger, record = await with_order(desk, OrderState.ENDED)
    venues[LIGHTER].reports[record.intent.client_id] = report_of(record, OrderStatus.RESTING)
    await engine.executor.ask(ledger, AskOrder(LONG, record))
    live = ledger.live_order(LONG)
    assert live is not None
    assert live.state is OrderState.ACCEPTED
    assert await desk.journal.load_order(record.intent.client_id) == live


async def test_an_end_that_was_taken_back_can_come_again(desk: Desktop) -> None:
    """A replica that lags says resting once more; the next answers agree with the first."""
    engine, venues, ledger, record = await with_order(desk, OrderState.ENDED)
    number = record.intent.client_id
    states = []
    for status in (OrderStatus.RESTING, OrderStatus.CANCELED, OrderStatus.CANCELED):
        venues[LIGHTER].reports[number] = report_of(record, status)
        await engine.executor.ask(ledger, AskOrder(LONG, ledger.orders[number]))
        states.append(ledger.orders[number].state)
    assert states == [OrderState.ACCEPTED, OrderState.ENDED, OrderState.FINAL]


async def test_a_fill_that_the_second_look_shows_is_taken_before_the_end_is_confirmed(desk: Desktop) -> None:
    engine, venues, ledger, record = await with_order(desk, OrderState.ENDED)
    venues[LIGHTER].fills.append(fill_of(record, "0.4"))
    venues[LIGHTER].reports[record.intent.client_id] = report_of(record, OrderStatus.CANCELED, "0.4")
    await engine.executor.ask(ledger, AskOrder(LONG, record))
    assert ledger.held(LONG) == D("0.4")
    assert ledger.live_order(LONG) is None


async def test_an_end_with_fills_still_missing_is_not_confirmed(desk: Desktop) -> None:
    engine, venues, ledger, record = await with_order(desk, OrderState.ENDED)
    venues[LIGHTER].reports[record.intent.client_id] = report_of(record, OrderStatus.CANCELED, "0.4")
    await engine.executor.ask(ledger, AskOrder(LONG, record))
    live = ledger.live_order(LONG)
    assert live is not None
    assert live.state is OrderState.ENDED


async def test_an_accepted_order_that_the_venue_does_not_know_becomes_unknown(desk: Desktop) -> None:
    engine, _, ledger, record = await with_order(desk, OrderState.ACCEPTED)
    await engine.executor.ask(ledger, AskOrder(LONG, record))
    assert ledger.orders[record.intent.client_id].state is OrderState.UNKNOWN


async def test_an_order_settled_as_never_taken_frees_its_leg(desk: Desktop) -> None:
    engine, _, ledger, record = await with_order(desk, OrderState.UNKNOWN)
    await engine.executor.settle(ledger, SettleOrder(LONG, record))
    assert ledger.live_order(LONG) is None


# Cancels


async def test_a_refused_cancel_asks_what_became_of_the_order(desk: Desktop) -> None:
    engine, venues, ledger, record = await with_order(desk, OrderState.ACCEPTED)
    venues[LIGHTER].reports[record.intent.client_id] = report_of(record, OrderStatus.CANCELED)

    async def refuse(number: int) -> None:
        raise RequestRefused("gone", "not resting")

    venues[LIGHTER].on_cancel = refuse
    await engine.executor.cancel(ledger, CancelOrder(LONG, record))
    assert ledger.orders[record.intent.client_id].state is OrderState.ENDED


@pytest.mark.parametrize("error", [NotSent("no route"), OutcomeUnknown(1, "timeout")], ids=["not sent", "unknown"])
async def test_an_order_whose_cancel_was_not_answered_stays_live(desk: Desktop, error: Exception) -> None:
    engine, venues, ledger, record = await with_order(desk, OrderState.ACCEPTED)

    async def fail(number: int) -> None:
        raise error

    venues[LIGHTER].on_cancel = fail
    await engine.executor.cancel(ledger, CancelOrder(LONG, record))
    live = ledger.live_order(LONG)
    assert live is not None
    assert live.cancel_requested_at_ms == desk.clock.wall_ms()
