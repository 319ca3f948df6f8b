"""Whatever the market does and whatever is ordered: a dry run's money adds up, and nothing fills that could not have."""

import asyncio
import contextlib
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.venues.paper_fakes import CASH, SETTINGS, PaperTable, market

from perpdesk.domain.books import Level, Side
from perpdesk.domain.orders import Fill, OrderIntent, TimeInForce
from perpdesk.venues.base import BookChanged, Filled, OrderRejected, RequestRefused, VenueEvent

D = Decimal


@dataclass(frozen=True)
class Show:
    """A book around `mid` tenths, with these sizes in lots at each step away from it."""

    mid: int
    bids: tuple[int, ...]
    asks: tuple[int, ...]


@dataclass(frozen=True)
class Send:
    side: Side
    lots: int
    price: int
    time_in_force: TimeInForce
    reduces: bool


@dataclass(frozen=True)
class Cancel:
    back: int


@dataclass(frozen=True)
class Fund:
    bps: int
    mark: int | None


@dataclass(frozen=True)
class Wait:
    ms: int


@dataclass(frozen=True)
class Lose:
    pass


BOOK = Show(1_000, (200, 300), (200, 300))
ENTRY = Send(Side.BUY, 200, 1_001, TimeInForce.IOC, False)
lots = st.lists(st.integers(1, 300), min_size=1, max_size=4).map(tuple)
shows = st.builds(Show, st.integers(995, 1005), lots, lots)
sends = st.builds(
    Send,
    st.sampled_from(Side),
    st.integers(1, 40).map(lambda n: n * 10),
    st.integers(990, 1010),
    st.sampled_from(TimeInForce),
    st.booleans(),
)
rare = st.one_of(
    st.builds(Cancel, st.integers(0, 3)),
    st.builds(Fund, st.integers(-50, 50), st.none() | st.integers(900, 1100)),
    st.builds(Wait, st.sampled_from((1_000, 700_000, 4_000_000))),
    st.builds(Lose),
)
deals = st.tuples(sends, st.just(Wait(200)))
"""An order that meets the book it was sent into."""
turns = st.one_of(deals, deals, st.tuples(shows), st.tuples(shows), st.tuples(sends), st.tuples(rare))
actions = st.lists(turns, min_size=12, max_size=40).map(
    lambda script: [BOOK, ENTRY, Wait(200), *(action for turn in script for action in turn)]
)
"""Begins long, so that orders that reduce have something to do."""


class Judge:
    """Listens, and keeps its own account of what may happen."""

    def __init__(self) -> None:
        self.intents: dict[int, OrderIntent] = {}
        self.position = D(0)
        self.flow_usd = CASH
        self.shown: dict[Side, dict[Decimal, Decimal]] = {side: {} for side in Side}
        self.taken: dict[Side, dict[Decimal, Decimal]] = {side: {} for side in Side}
        self.made: dict[Side, Decimal] = dict.fromkeys(Side, D(0))
        self.filled: dict[int, Decimal] = {}
        self.is_lost = True
        self.wrong: list[Exception] = []

    def hear(self, event: VenueEvent) -> None:
        """The dry run survives a listener that raises, so what is wrong is kept until `verdict`."""
        try:
            if isinstance(event, BookChanged):
                self._see(event)
            elif isinstance(event, Filled):
                self._judge(event.fill)
        except Exception as error:
            self.wrong.append(error)

    def verdict(self) -> None:
        for error in self.wrong:
            raise error

    def _see(self, event: BookChanged) -> None:
        self.is_lost = False
        for side in Side:
            ladder = event.book.side(side)
            shown = {D(repr(price)): D(repr(size)) for price, size in ladder.top(len(ladder))}
            taken = self.taken[side]
            self.taken[side] = {p: size for p, size in taken.items() if shown.get(p) == self.shown[side].get(p)}
            if shown != self.shown[side]:
                self.made[side] = D(0)
            self.shown[side] = shown

    def _judge(self, fill: Fill) -> None:
        self.flow_usd += fill.cash_usd - fill.fee_usd
        before, self.position = self.position, self.position + fill.signed_size
        if fill.client_id is None:
            assert self.position == 0
            return
        intent = self.intents[fill.client_id]
        assert not self.is_lost
        assert (intent.limit_price - fill.price) * intent.side.sign >= 0
        assert fill.side is intent.side
        self.filled[fill.client_id] = self.filled.get(fill.client_id, D(0)) + fill.size
        assert self.filled[fill.client_id] <= intent.size
        if intent.is_reduce_only:
            assert abs(self.position) < abs(before)
            assert self.position * before >= 0
        self._judge_size(fill, intent)

    def _judge_size(self, fill: Fill, intent: OrderIntent) -> None:
        side, shown, taken = fill.side, self.shown[fill.side], self.taken[fill.side]
        if fill.is_maker:
            assert fill.price == intent.limit_price
            beyond = sum(size for price, size in shown.items() if (intent.limit_price - price) * side.sign > 0)
            self.made[side] += fill.size
            assert fill.size <= beyond
        else:
            taken[fill.price] = taken.get(fill.price, D(0)) + fill.size
            assert taken[fill.price] <= shown[fill.price]
        assert self.made[side] <= sum(shown.values())


def _levels(mid: int, sizes: tuple[int, ...], sign: int) -> list[Level]:
    return [((mid + sign * (step + 1)) / 10, size / 100) for step, size in enumerate(sizes)]


async def _act(table: PaperTable, judge: Judge, action: object) -> None:
    match action:
        case Show(mid, bids, asks):
            table.book(_levels(mid, bids, -1), _levels(mid, asks, 1))
        case Send(side, size, price, time_in_force, reduces):
            order = table.intent(side, str(D(size) / 100), str(D(price) / 10), time_in_force, reduces=reduces)
            judge.intents[order.client_id] = order
            try:
                await table.venue.place(order)
            except OrderRejected:
                del judge.intents[order.client_id]
        case Cancel(back):
            ids = list(judge.intents)[-1 - back :]
            with contextlib.suppress(RequestRefused):
                await table.venue.cancel("ETH", ids[0] if ids else 1)
        case Fund(bps, mark):
            table.funding(str(D(bps) / 10_000), None if mark is None else mark / 10)
        case Wait(ms):
            table.clock.advance_ms(ms)
        case Lose():
            judge.is_lost = True
            table.lose()


async def _play(script: list[object], leverage: int) -> None:
    table = PaperTable(market(leverage_max=D(leverage)), settings=SETTINGS)
    judge = Judge()

    def hear(event: VenueEvent) -> None:
        table.events.append(event)
        judge.hear(event)

    await table.venue.start(hear)
    for action in script:
        await _act(table, judge, action)
        await _check(table, judge)


async def _check(table: PaperTable, judge: Judge) -> None:
    judge.verdict()
    account = await table.venue.fetch_account()
    position = account.positions.get("ETH")
    assert (D(0) if position is None else position.size) == judge.position
    cash = judge.flow_usd + sum((payment.usd for payment in table.payments), D(0))
    if position is None:
        assert account.equity_usd == cash
    elif position.mark_price is not None:
        assert account.equity_usd == cash + position.size * position.mark_price
    else:
        assert position.entry_price is not None
        assert abs(account.equity_usd - cash - position.size * position.entry_price) < D("1E-15")
    for client_id, size in judge.filled.items():
        report = await table.venue.fetch_order("ETH", client_id)
        assert report is not None
        assert report.filled_size == size


@settings(max_examples=300, deadline=None)
@given(actions, st.sampled_from((1, 10)))
def test_money_adds_up_and_nothing_fills_beyond_limit_size_or_position(script: list[object], leverage: int) -> None:
    """Also checked after every action: reduce-only never turns a position, and reports agree with fills."""
    asyncio.run(_play(script, leverage))
