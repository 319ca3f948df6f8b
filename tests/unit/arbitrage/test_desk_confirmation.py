"""A pair ends when its fills say so and the venues were looked at; what comes later is still found."""

from dataclasses import replace
from decimal import Decimal

from perpdesk.arbitrage.engine import CONFIRM_LOOKS_MAX
from perpdesk.domain.pairs import Leg, OrderState, PairState, Purpose
from tests.unit.arbitrage.histories import fill_of, ordered, paid
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, pair
from tests.unit.arbitrage.stores import Desktop
from tests.unit.arbitrage.venues import live, started

D = Decimal
LONG, SHORT = Leg.LONG, Leg.SHORT


async def test_a_pair_ends_after_one_look_when_both_venues_are_flat(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair(state=PairState.CLOSING, opened_at_ms=1))
    await engine._finish(ledger)
    assert ledger.pair.state is PairState.CLOSED
    assert engine.counters.pairs_closed == 1
    for venue in venues.values():
        assert [name for name, _ in venue.asked] == ["fills", "account", "payments"]


async def test_a_strangers_position_does_not_keep_a_flat_pair_closing(desk: Desktop) -> None:
    """Somebody trades the same asset by hand: the pair ends after a few looks, and the drift check halts entries."""
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair(state=PairState.CLOSING))
    venues[LIGHTER].positions["ETH"] = D(5)
    await engine._finish(ledger)
    assert ledger.pair.state is PairState.CLOSED
    assert venues[HYPERLIQUID].count("account") == CONFIRM_LOOKS_MAX
    await live(engine, desk, steps=40)
    (reason,) = engine.guard.reasons
    assert reason == "lighter holds +5 ETH that no fill of this desk explains"


async def test_a_fill_found_by_the_last_look_keeps_the_pair_closing(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair(state=PairState.CLOSING))
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    venues[LIGHTER].fills.append(fill_of(late, "0.5"))
    venues[LIGHTER].positions["ETH"] = D("0.5")
    await engine._finish(ledger)
    assert ledger.pair.state is PairState.CLOSING
    assert ledger.held(LONG) == D("0.5")


async def test_funding_published_after_the_end_is_booked(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair(state=PairState.CLOSING))
    await engine._finish(ledger)
    assert ledger.pair.funding_usd == 0
    venues[LIGHTER].payments.append(paid(at=0))
    await live(engine, desk, steps=6, every_ms=10_000)
    assert ledger.pair.funding_usd == D("0.5")
    assert await desk.journal.load_pair(1) == ledger.pair


async def test_a_late_fill_that_the_stream_missed_is_read_when_the_account_shows_it(desk: Desktop) -> None:
    engine, venues = await started(desk)
    ledger = await engine.portfolio.add(pair(state=PairState.CLOSING))
    late = await ordered(desk, ledger, LONG, Purpose.ENTRY)
    ledger.orders[late.intent.client_id] = replace(late, state=OrderState.FINAL)
    await engine._finish(ledger)
    assert ledger.pair.state is PairState.CLOSED
    venues[LIGHTER].fills.append(fill_of(late, "0.5", at=100))
    venues[LIGHTER].positions["ETH"] = D("0.5")
    await live(engine, desk, steps=30, every_ms=10_000)
    assert ledger.held(LONG) == D("0.5")
    assert ledger.pair.state is PairState.CLOSING


async def test_a_drift_that_grows_at_every_read_halts_like_one_that_stays(desk: Desktop) -> None:
    engine, venues = await started(desk)
    for size in range(1, 3):
        assert not engine.guard.reasons
        venues[LIGHTER].positions["ETH"] = D(size)
        await engine._read_account(LIGHTER)
    assert engine.guard.reasons


async def test_a_drift_that_is_gone_ends_its_halt(desk: Desktop) -> None:
    engine, venues = await started(desk)
    venues[LIGHTER].positions["ETH"] = D(1)
    await engine._read_account(LIGHTER)
    await engine._read_account(LIGHTER)
    assert engine.guard.reasons
    venues[LIGHTER].positions.clear()
    await engine._read_account(LIGHTER)
    assert not engine.guard.reasons


async def test_a_position_of_an_asset_the_desk_does_not_trade_is_no_drift(desk: Desktop) -> None:
    engine, venues = await started(desk)
    venues[LIGHTER].positions["BTC"] = D(1)
    for _ in range(5):
        await engine._read_account(LIGHTER)
    assert not engine.guard.reasons
