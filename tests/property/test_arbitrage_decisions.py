"""The pure decisions of a pair against two capricious venues: whatever those do, the pair ends balanced or flat.

A tiny model stands in for executor and venues. Its venues know the truth; the pair's ledger only learns what they tell, late,
twice or not at all until asked. After a while the venues behave, and the pair has to come to rest.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.arbitrage.situations import SALT, SETTINGS, T0, VENUE, book, market, pair

from perpdesk.arbitrage.close import decide_closing
from perpdesk.arbitrage.enter import decide_opening
from perpdesk.arbitrage.hold import decide_holding
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.legs import open_leg
from perpdesk.arbitrage.steps import (
    AskOrder,
    Become,
    CancelOrder,
    PlaceOrder,
    RefreshBook,
    SettleOrder,
    Situation,
    Step,
    tend_live_order,
)
from perpdesk.domain.books import Book
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill, OrderIntent, OrderReport, OrderStatus, TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderRecord, OrderState, Pair, PairState, Purpose
from perpdesk.store.ids import client_id

D = Decimal
LOT = D("0.01")
TOLERANCE = D("0.12")
"""Just above the least order of 10 USD, as the portfolio sets it."""
TICK_MS = 250
WILD_TICKS = 80
CALM_TICKS = 400
DECIDERS: dict[PairState, Callable[[Situation], list[Step]]] = {
    PairState.OPENING: decide_opening,
    PairState.OPEN: decide_holding,
    PairState.CLOSING: decide_closing,
}


@dataclass
class TrueOrder:
    """An order as its venue knows it. `arrives_at` is set while the request is still somewhere on its way."""

    record: OrderRecord
    filled: Decimal = ZERO
    is_over: bool = False
    arrives_at: int | None = None

    @property
    def rest(self) -> Decimal:
        return self.record.intent.size - self.filled


@dataclass
class Model:
    """Both venues, the wire, and the stand-in for the executor."""

    rng: random.Random
    pair: Pair
    now_ms: int = T0
    is_calm: bool = False
    orders: dict[int, TrueOrder] = field(default_factory=dict)
    true_fills: list[Fill] = field(default_factory=list)
    untold: list[tuple[int, Fill | OrderReport]] = field(default_factory=list)
    reported: dict[int, int] = field(default_factory=dict)
    busy_until: dict[Leg, int] = field(default_factory=dict)
    books: dict[Leg, Book | None] = field(default_factory=lambda: {leg: book() for leg in Leg})
    placed: list[PlaceOrder] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.pair, TOLERANCE)

    # The truth ------------------------------------------------------------------------------------------------------

    def held(self, leg: Leg) -> Decimal:
        fills = [fill for fill in self.true_fills if fill.venue is VENUE[leg]]
        return sum((fill.size * (1 if fill.side is leg.opening_side else -1) for fill in fills), ZERO)

    def opened(self, leg: Leg) -> Decimal:
        fills = [fill for fill in self.true_fills if fill.venue is VENUE[leg] and fill.side is leg.opening_side]
        return sum((fill.size for fill in fills), ZERO)

    def execute(self, order: TrueOrder, wanted: Decimal) -> None:
        intent, leg = order.record.intent, order.record.leg
        size = min(wanted, order.rest)
        if intent.is_reduce_only:
            size = min(size, self.held(leg))
        if size <= 0:
            return
        order.filled += size
        number = len(self.true_fills)
        fill = Fill(
            intent.venue, "ETH", f"t{number}", intent.client_id, intent.side, size, D(100), ZERO, False, self.now_ms
        )
        self.true_fills.append(fill)
        for _ in range(self.rng.choice((0, 1, 1, 1, 2))):  # lost, told, or told twice
            self.untold.append((self.now_ms + self.rng.choice((0, 0, 300, 2_000)), fill))

    def take(self, order: TrueOrder) -> None:
        """The venue gets the order: an IOC is over at once, a post-only rests."""
        order.arrives_at = None
        if order.record.intent.time_in_force is TimeInForce.IOC:
            share = 1 if self.is_calm else self.rng.choice((0, 0.3, 0.7, 1, 1))
            self.execute(order, (order.record.intent.size * D(str(share))) // LOT * LOT)
            order.is_over = True
        self.tell(order)

    def report(self, order: TrueOrder, is_ghost: bool = False) -> OrderReport:
        intent = order.record.intent
        status = OrderStatus.RESTING
        if order.is_over:
            status = OrderStatus.FILLED if order.rest == 0 and not is_ghost else OrderStatus.CANCELED
        return OrderReport(intent.client_id, intent.venue, "ETH", status, ZERO if is_ghost else order.filled, None)

    def tell(self, order: TrueOrder) -> None:
        """Announce an order's state; sometimes never, sometimes as an end without the fills it had."""
        if self.rng.random() < (0.0 if self.is_calm else 0.3):
            return
        is_ghost = not self.is_calm and self.rng.random() < 0.2
        self.untold.append((self.now_ms + self.rng.choice((0, 0, 500)), self.report(order, is_ghost)))

    # Time -----------------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        self.now_ms += TICK_MS
        for order in list(self.orders.values()):
            if order.arrives_at is not None and order.arrives_at <= self.now_ms:
                self.take(order)
            elif order.arrives_at is None and not order.is_over and self.rng.random() < 0.2:
                self.execute(order, self.rng.choice((LOT, D("0.3"), order.rest)))
                if order.rest == 0:
                    order.is_over = True
                    self.tell(order)
        due = [news for at_ms, news in self.untold if at_ms <= self.now_ms]
        self.untold = [entry for entry in self.untold if entry[0] > self.now_ms]
        self.rng.shuffle(due)
        for news in due:
            self.hear(news)
        for leg in Leg:
            if not self.is_calm and self.rng.random() < 0.1:
                self.books[leg] = None if self.books[leg] else book()

    def hear(self, news: Fill | OrderReport) -> None:
        if isinstance(news, OrderReport):
            if news.client_id in self.ledger.orders:
                self.reported[news.client_id] = self.now_ms
                self.ledger.take_report(news)
        elif self.ledger.add_fill(news) and news.client_id is not None:
            self.ledger.end_filled_order(news.client_id)

    def sync_fills(self, leg: Leg) -> None:
        for fill in self.true_fills:
            if fill.venue is VENUE[leg]:
                self.hear(fill)

    # What the executor does -----------------------------------------------------------------------------------------

    def situation(self) -> Situation:
        markets = {leg: market(VENUE[leg]) for leg in Leg}
        busy = frozenset(leg for leg, until in self.busy_until.items() if until > self.now_ms)
        return Situation(self.ledger, self.now_ms, SETTINGS, markets, self.books, busy, self.reported)

    def carry_out(self, step: Step) -> None:
        match step:
            case Become(state):
                self.become(state)
            case PlaceOrder():
                self.place(step)
            case SettleOrder(leg, record):
                self.settle(leg, record)
            case AskOrder(leg, record):
                self.ask(leg, record)
            case CancelOrder(_, record):
                self.cancel(record)
            case RefreshBook(leg):
                self.books[leg] = book()

    def become(self, state: PairState) -> None:
        if state is PairState.CLOSED:
            for leg in Leg:
                self.sync_fills(leg)
            if not self.ledger.is_flat:
                return
            assert all(self.held(leg) == 0 for leg in Leg), "closed while a venue still holds"
        self.pair = self.ledger.pair = replace(self.pair, state=state)

    def place(self, step: PlaceOrder) -> None:
        self.judge(step)
        self.placed.append(step)
        intent = OrderIntent(
            client_id(SALT, 1, self.ledger.take_order_number()),
            VENUE[step.leg],
            "ETH",
            step.side,
            step.size,
            step.limit_price,
            step.time_in_force,
            step.is_reduce_only,
            self.now_ms + 5_000,
        )
        record = OrderRecord(intent, 1, step.leg, step.purpose, step.decision_mid, self.now_ms)
        self.ledger.orders[intent.client_id] = record
        outcome = (
            "accepted" if self.is_calm else self.rng.choice(("accepted",) * 5 + ("refused", "not sent", "unknown"))
        )
        if not self.is_calm and self.rng.random() < 0.3:
            self.busy_until[step.leg] = self.now_ms + self.rng.choice((TICK_MS, 1_000))
        if outcome in ("refused", "not sent"):
            self.note(record, OrderState.FINAL)
            return
        order = self.orders[intent.client_id] = TrueOrder(record, arrives_at=self.now_ms)
        if outcome == "accepted":
            self.take(order)
            self.note(record, OrderState.ACCEPTED)
        else:
            fate = self.rng.choice(("taken", "on its way", "lost"))
            if fate == "taken":
                self.take(order)
            else:
                order.arrives_at = self.now_ms + 3_000 if fate == "on its way" else 1 << 60
            self.note(record, OrderState.UNKNOWN)

    def note(self, record: OrderRecord, state: OrderState) -> None:
        known = self.ledger.orders[record.intent.client_id]
        if known.state not in (OrderState.FINAL, OrderState.ENDED):
            self.ledger.orders[record.intent.client_id] = replace(known, state=state)
        self.reported[record.intent.client_id] = self.now_ms

    def settle(self, leg: Leg, record: OrderRecord) -> None:
        """Close the door on what is still on its way, then say what became of it."""
        if not self.is_calm and self.rng.random() < 0.4:
            return
        order = self.orders.get(record.intent.client_id)
        if order is None or order.arrives_at is not None:
            self.orders.pop(record.intent.client_id, None)
            self.note(record, OrderState.FINAL)
        else:
            self.ledger.take_report(self.report(order))
        self.sync_fills(leg)
        self.reported[record.intent.client_id] = self.now_ms

    def ask(self, leg: Leg, record: OrderRecord) -> None:
        self.reported[record.intent.client_id] = self.now_ms
        if not self.is_calm and self.rng.random() < 0.4:
            return
        was_ended = self.ledger.orders[record.intent.client_id].state is OrderState.ENDED
        self.sync_fills(leg)
        order = self.orders.get(record.intent.client_id)
        report = None if order is None else self.report(order)
        if report is not None:
            self.ledger.take_report(report)
        if was_ended and report is not None and not report.status.is_final:
            self.ledger.take_back_end(record.intent.client_id)
        elif was_ended:
            self.ledger.confirm_end(record.intent.client_id)

    def cancel(self, record: OrderRecord) -> None:
        known = self.ledger.orders[record.intent.client_id]
        self.ledger.orders[record.intent.client_id] = replace(known, cancel_requested_at_ms=self.now_ms)
        if not self.is_calm and self.rng.random() < 0.3:
            return
        order = self.orders[record.intent.client_id]
        if not self.is_calm and self.rng.random() < 0.4:
            self.execute(order, self.rng.choice((LOT, order.rest)))  # it fills while the cancel is on its way
        order.is_over = True
        self.tell(order)

    # What must hold -------------------------------------------------------------------------------------------------

    def judge(self, step: PlaceOrder) -> None:
        alive = [
            o for o in self.orders.values() if o.record.leg is step.leg and not o.is_over and o.arrives_at != 1 << 60
        ]
        assert not alive, f"{step} beside {alive}"
        first = self.pair.first_leg
        match step.purpose:
            case Purpose.ENTRY:
                assert step.leg is first
                assert self.opened(first) + step.size <= self.pair.size_target
                assert not step.is_reduce_only
            case Purpose.HEDGE:
                assert step.leg is first.other
                assert self.held(step.leg) + step.size <= self.held(first), "hedged more than the first leg filled"
                assert not step.is_reduce_only
            case Purpose.TRIM | Purpose.CLOSE:
                assert step.is_reduce_only
                assert step.size <= self.held(step.leg), "closes more than is there"
                assert step.side is step.leg.opening_side.opposite
        assert D("98.01") <= step.limit_price <= D("102.01"), "beyond the widest band"


def live(model: Model, ticks: int, close_at: int | None = None) -> None:
    for tick in range(ticks):
        if tick == close_at and not model.pair.state.is_ended:
            model.become(PairState.CLOSING)
        model.advance()
        if model.pair.state.is_ended:
            if model.ledger.is_flat:
                continue
            model.become(PairState.CLOSING)  # what the portfolio does with a late fill
        for step in DECIDERS[model.pair.state](model.situation()):
            model.carry_out(step)
        assert model.opened(model.pair.first_leg) <= model.pair.size_target
        assert all(model.held(leg) >= 0 for leg in Leg), "a leg turned round"


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 1 << 32),
    first=st.sampled_from(Leg),
    style=st.sampled_from(EntryStyle),
    close_at=st.none() | st.integers(0, WILD_TICKS - 1),
    lots=st.integers(20, 300),
)
def test_whatever_the_venues_do_the_pair_ends_balanced_or_flat(
    seed: int, first: Leg, style: EntryStyle, close_at: int | None, lots: int
) -> None:
    wanted = pair(first_leg=first, entry_style=style, size_target=lots * LOT)
    model = Model(random.Random(seed), wanted)
    live(model, WILD_TICKS, close_at)
    model.is_calm = True
    live(model, CALM_TICKS)
    assert not [order for order in model.orders.values() if not order.is_over and order.arrives_at is None]
    if close_at is not None:
        assert model.pair.state is PairState.CLOSED
    if model.pair.state is PairState.CLOSED:
        assert all(model.held(leg) == 0 for leg in Leg)
    else:
        assert model.pair.state is PairState.OPEN
        assert abs(model.held(Leg.LONG) - model.held(Leg.SHORT)) <= TOLERANCE
        assert {leg: model.ledger.held(leg) for leg in Leg} == {leg: model.held(leg) for leg in Leg}


@pytest.mark.parametrize("style", EntryStyle)
def test_venues_that_behave_open_and_close_the_whole_size(style: EntryStyle) -> None:
    model = Model(random.Random(1), pair(entry_style=style), is_calm=True)
    live(model, 100)
    assert model.pair.state is PairState.OPEN
    assert model.held(Leg.LONG) == model.held(Leg.SHORT) > 0
    live(model, 100, close_at=0)
    assert model.pair.state is PairState.CLOSED
    assert model.held(Leg.LONG) == model.held(Leg.SHORT) == 0
    assert {step.purpose for step in model.placed} <= {Purpose.ENTRY, Purpose.HEDGE, Purpose.CLOSE}


def hedge_the_target(
    s: Situation, leg: Leg, purpose: Purpose, size: Decimal, attempt: int, is_resting: bool
) -> Step | None:
    """The planted bug: a hedge of the wanted size instead of what filled."""
    wanted = s.ledger.pair.size_target if purpose is Purpose.HEDGE else size
    return open_leg(s, leg, purpose, wanted, attempt, is_resting)


def forget_the_unknown(s: Situation, leg: Leg) -> tuple[bool, Step | None]:
    """The planted bug: an order without an answer is taken for one that never was."""
    record = s.ledger.live_order(leg)
    is_forgotten = record is not None and record.state is OrderState.UNKNOWN and leg not in s.busy
    return (False, None) if is_forgotten else tend_live_order(s, leg)


def believe_every_end(self: Ledger, record: OrderRecord) -> bool:
    """The planted bug: an order that a venue calls ended has no more fills."""
    return record.state not in (OrderState.FINAL, OrderState.ENDED)


@pytest.mark.parametrize(
    ("places", "bug"),
    [
        (["perpdesk.arbitrage.enter.open_leg"], hedge_the_target),
        (
            [f"perpdesk.arbitrage.{module}.tend_live_order" for module in ("enter", "legs", "close", "hold")],
            forget_the_unknown,
        ),
        (["perpdesk.arbitrage.ledger.Ledger.is_live"], believe_every_end),
    ],
    ids=["hedge the target", "forget the unknown", "believe every end"],
)
def test_the_model_finds_a_planted_bug(
    monkeypatch: pytest.MonkeyPatch, places: list[str], bug: Callable[..., object]
) -> None:
    for place in places:
        monkeypatch.setattr(place, bug)
    with pytest.raises(AssertionError):
        live_many(seeds=200)


def live_many(seeds: int) -> None:
    for seed in range(seeds):
        model = Model(random.Random(seed), pair(entry_style=tuple(EntryStyle)[seed % 2]))
        live(model, WILD_TICKS, close_at=40)
