"""A desk that starts again looks after what ended just now, but only on venues that are still there."""

from decimal import Decimal

from perpdesk.arbitrage.portfolio import LATE_MS
from perpdesk.domain.books import Side
from perpdesk.domain.orders import Fill
from perpdesk.domain.pairs import PairState
from perpdesk.store.ids import client_id
from tests.unit.arbitrage.situations import LIGHTER, T0, pair
from tests.unit.arbitrage.stores import Desktop

D = Decimal


async def after_a_closed_pair(*, with_fill: bool = True) -> tuple[Desktop, int]:
    """A new process on the store of one whose pair has just ended, and that pair's id."""
    desk = Desktop()
    await desk.journal.begin_run("sandbox", 1, 1)
    ledger = await desk.portfolio.add(pair())
    number = client_id(desk.salt, ledger.pair.pair_id, 1)
    if with_fill:
        fill = Fill(LIGHTER, "ETH", "t1", number, Side.BUY, D(1), D(100), D("0.01"), False, T0 + 10)
        await desk.portfolio.take_fills([fill])
    await desk.portfolio.change(ledger, state=PairState.CLOSED, closed_at_ms=T0 + 1_000)
    return desk.restarted(), ledger.pair.pair_id


async def test_a_pair_that_ended_just_now_is_still_looked_after() -> None:
    desk, pair_id = await after_a_closed_pair()
    await desk.portfolio.load()
    assert list(desk.portfolio.ledgers) == [pair_id]


async def test_a_pair_that_ended_long_ago_is_left_in_the_journal() -> None:
    desk, _ = await after_a_closed_pair()
    desk.clock.advance_ms(1_001 + LATE_MS)
    await desk.portfolio.load()
    assert not desk.portfolio.ledgers


async def test_a_pair_of_venues_that_are_gone_is_left_in_the_journal() -> None:
    desk, _ = await after_a_closed_pair()
    await desk.journal.abandon_open_pairs("its sandbox ended", desk.clock.wall_ms())
    await desk.portfolio.load()
    assert not desk.portfolio.ledgers


async def test_a_pair_that_ended_without_fills_may_still_get_one() -> None:
    desk, pair_id = await after_a_closed_pair(with_fill=False)
    await desk.portfolio.load()
    assert list(desk.portfolio.ledgers) == [pair_id]
