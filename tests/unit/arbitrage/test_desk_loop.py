"""The desk's loop: no event is lost, no failure ends it, no failed work is tried without a pause."""

from decimal import Decimal

import pytest

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.arbitrage.steps import Situation, Step
from perpdesk.domain.orders import OrderIntent, OrderStatus
from perpdesk.domain.pairs import Leg, OrderState, PairState, Purpose
from perpdesk.store.failures import StoreUnavailable
from perpdesk.venues.base import BookChanged, Filled, FrameUnreadable, NotSent, OrderChanged
from tests.unit.arbitrage.histories import fill_of, ordered, report_of, round_trip
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, T0, book, market, pair
from tests.unit.arbitrage.stores import Desktop
from tests.unit.arbitrage.venues import let_run, live, started, unstarted

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT
RETRY_MS = DeskSettings().execution.retry_ms


# Start


async def test_a_start_tried_again_connects_only_what_was_missing(desk: Desktop) -> None:
    ledger = await desk.portfolio.add(pair(state=PairState.OPEN, opened_at_ms=T0))
    engine, venues = unstarted(desk)
    venues[HYPERLIQUID].start_failures.append(NotSent("no route"))
    with pytest.raises(NotSent):
        await engine.start()
    await engine.start()
    assert (venues[LIGHTER].starts, venues[HYPERLIQUID].starts) == (1, 1)
    assert [again.pair for again in engine.portfolio.open] == [ledger.pair]
    await engine.step()


async def test_events_that_came_between_two_tries_to_start_are_taken(desk: Desktop) -> None:
    ledger = await desk.portfolio.add(pair())
    record = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    engine, venues = unstarted(desk)
    venues[HYPERLIQUID].start_failures.append(NotSent("no route"))
    with pytest.raises(NotSent):
        await engine.start()
    assert venues[LIGHTER].listener is not None
    venues[LIGHTER].listener(Filled(fill_of(record, "0.5")))
    await engine.start()
    await engine.step()
    assert engine.portfolio.ledgers[1].held(LONG) == D("0.5")


# Events


async def test_a_store_failure_while_draining_loses_no_event(desk: Desktop) -> None:
    engine, _ = await started(desk)
    ledger = await engine.portfolio.add(pair())
    entry = await ordered(desk, ledger, LONG, Purpose.ENTRY, "2")
    hedge = await ordered(desk, ledger, SHORT, Purpose.HEDGE, "2")
    engine._on_event(Filled(fill_of(entry, "0.5")))
    engine._on_event(OrderChanged(report_of(hedge, OrderStatus.CANCELED)))
    desk.store.failures_left = 1
    with pytest.raises(StoreUnavailable):
        await engine._drain()
    await engine._drain()
    assert ledger.held(LONG) == D("0.5")
    assert ledger.orders[hedge.intent.client_id].state is OrderState.ENDED
    assert len(await desk.journal.load_fills(1)) == 1


async def test_a_close_request_wins_over_a_pair_that_becomes_open_meanwhile(desk: Desktop) -> None:
    engine, _ = await started(desk)
    ledger = await engine.portfolio.add(pair())
    desk.store.gate.clear()
    assert engine.request_close("ETH", "owner") == [1]
    await let_run()
    engine._spawn(("pair", 1), engine._become(ledger, PairState.OPEN, None))
    await let_run()
    desk.store.gate.set()
    await let_run()
    assert ledger.pair.state is PairState.CLOSING
    assert ledger.pair.exit_reason == "owner"
    assert engine.counters.pairs_opened == 0


async def test_a_market_that_is_gone_from_its_venue_does_not_end_the_loop(desk: Desktop) -> None:
    """A desk that runs knows the market as it was last listed, and closes by that."""
    engine, venues = await started(desk)
    await engine.portfolio.add(pair(state=PairState.OPEN, opened_at_ms=T0))
    del venues[LIGHTER].markets["ETH"]
    await engine.step()


async def test_a_pair_that_can_not_be_decided_on_holds_no_other_pair_back(desk: Desktop) -> None:
    """After a restart nothing is known of a market that was delisted meanwhile: entries halt, other pairs go on."""
    await desk.portfolio.add(pair(asset="GONE", state=PairState.OPEN, opened_at_ms=T0))
    await desk.portfolio.add(pair())
    engine, venues = await started(desk)
    for venue in venues:
        engine.view.on_event(BookChanged(venue, "ETH", book()))
    await engine.step()
    await let_run()
    assert venues[LIGHTER].count("place") == 1
    assert engine.guard.reasons == ("lighter does not list GONE any more; close its pair there by hand",)
    engine.view.list_markets([market(venue, asset="GONE") for venue in venues])
    await engine.step()
    assert engine.guard.reasons == ()


async def test_a_bug_in_the_decision_on_one_pair_holds_no_other_pair_back(desk: Desktop) -> None:
    engine, _ = await started(desk)
    await engine.portfolio.add(pair())
    await engine.portfolio.add(pair())
    decided: list[int] = []

    def decide(s: Situation) -> list[Step]:
        if s.ledger.pair.pair_id == 1:
            raise ZeroDivisionError
        decided.append(s.ledger.pair.pair_id)
        return []

    engine.deciders = {PairState.OPENING: decide}
    await engine.step()
    assert decided == [2]
    assert list(engine.guard.halts) == ["bug:pair:1"]


async def test_venues_are_closed_even_when_the_store_takes_no_writes(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())
    record = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    engine._on_event(Filled(fill_of(record)))
    desk.store.failures_left = 1
    with pytest.raises(StoreUnavailable):
        await engine.stop()
    assert [venue.stops for venue in venues.values()] == [1, 1]


# A failing store


async def test_a_store_halt_is_not_cleared_without_a_write_that_worked(desk: Desktop) -> None:
    engine, _ = await started(desk)
    engine.guard.halt("store", "full")
    desk.store.failures_left = 1
    await engine.step()
    assert engine.guard.reasons == ("full",)
    await engine.step()
    assert engine.guard.reasons == ()


async def test_a_journal_that_refuses_is_not_asked_again_without_a_pause(desk: Desktop) -> None:
    engine, _ = await started(desk)
    ledger = await engine.portfolio.add(pair())
    for venue in (LIGHTER, HYPERLIQUID):
        engine.view.on_event(BookChanged(venue, "ETH", book()))
    desk.store.failures_left = 1_000
    before = desk.store.writes
    for _ in range(50):
        engine._drive(ledger)
        await let_run(10)
    assert desk.store.writes == before + 1
    assert "store" in engine.guard.halts
    desk.clock.advance_ms(RETRY_MS)
    engine._drive(ledger)
    await let_run()
    assert desk.store.writes == before + 2


# The pause after failed work


async def test_work_that_failed_is_paused_under_its_own_key_only(desk: Desktop) -> None:
    """A venue call that fails on one leg must not hold back the other one."""
    engine, _ = await started(desk)
    done: list[str] = []

    async def fail() -> None:
        done.append("failed")
        raise NotSent("no route")

    async def work() -> None:
        done.append("worked")

    engine._spawn(("leg", (1, LONG)), fail())
    await let_run()
    engine._spawn(("leg", (1, LONG)), work())
    engine._spawn(("leg", (1, SHORT)), work())
    await let_run()
    assert done == ["failed", "worked"]
    desk.clock.advance_ms(RETRY_MS - 1)
    engine._spawn(("leg", (1, LONG)), work())
    await let_run()
    assert done == ["failed", "worked"]
    desk.clock.advance_ms(1)
    engine._spawn(("leg", (1, LONG)), work())
    await let_run()
    assert done == ["failed", "worked", "worked"]
    assert engine.is_idle


async def test_work_that_succeeded_is_not_paused(desk: Desktop) -> None:
    engine, _ = await started(desk)
    done: list[int] = []

    async def work(number: int) -> None:
        done.append(number)

    for number in range(3):
        engine._spawn(("leg", (1, LONG)), work(number))
        await let_run()
    assert done == [0, 1, 2]


async def test_a_bug_in_some_work_halts_entries_and_nothing_else(desk: Desktop) -> None:
    engine, _ = await started(desk)

    async def fail() -> None:
        raise ZeroDivisionError

    engine._spawn(("leg", (1, LONG)), fail())
    await let_run()
    assert list(engine.guard.halts) == ["bug:leg"]
    assert engine.is_idle


async def test_an_entry_whose_answer_can_not_be_read_is_settled_not_sent_again(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair())
    for venue in venues:
        engine.view.on_event(BookChanged(venue, "ETH", book()))

    async def garble(order: OrderIntent) -> None:
        raise FrameUnreadable("answer", b"<html>")

    venues[LIGHTER].on_place = garble
    await live(engine, desk, steps=5)
    assert (venues[LIGHTER].count("place"), venues[LIGHTER].count("settle")) == (1, 1)
    assert ledger.live_order(LONG) is None


# After the end


async def test_a_pair_reopened_by_a_late_fill_is_closed_again(desk: Desktop) -> None:
    await round_trip(desk)
    engine, venues = await started(desk)
    ledger = engine.portfolio.ledgers[1]
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    for venue in venues:
        engine.view.on_event(BookChanged(venue, "ETH", book()))
    engine._on_event(Filled(fill_of(late, trade="late", at=5_000)))

    async def fill_at_once(order: OrderIntent) -> None:
        fill = fill_of(ledger.orders[order.client_id], at=6_000)
        venues[LIGHTER].fills.append(fill)
        engine._on_event(Filled(fill))

    venues[LIGHTER].on_place = fill_at_once
    await live(engine, desk, steps=3)
    assert venues[LIGHTER].count("place") == 1
    assert ledger.is_flat
    assert ledger.pair.state is PairState.CLOSED
