"""What a ledger keeps adding up is what adding everything up again gives, digit for digit."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill, OrderIntent, TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderRecord, Pair, PairState, Purpose
from perpdesk.domain.pnl import attribute
from perpdesk.store.ids import client_id

VENUES = (VenueName.LIGHTER, VenueName.HYPERLIQUID)
MARKS = {(VENUES[0].value, "PEPE"): Decimal("0.0000123"), (VENUES[1].value, "PEPE"): Decimal("0.00001257")}

decimals = st.decimals(Decimal("0.000001"), Decimal("99999"), allow_nan=False, places=9)
events = st.one_of(
    st.tuples(st.just("order"), st.integers(1, 6), decimals),
    st.tuples(st.just("fill"), st.integers(0, 6), st.tuples(st.integers(1, 30), st.booleans(), decimals, decimals)),
    st.tuples(st.just("payment"), st.integers(1, 20), decimals),
)
"""An order written down, a fill of order 0 (nobody's) to 6, a payment; ids repeat, and fills may come before their order."""


def empty_ledger() -> Ledger:
    pair = Pair(
        pair_id=1,
        run_id=1,
        asset="PEPE",
        long_venue=VENUES[0],
        short_venue=VENUES[1],
        first_leg=Leg.LONG,
        entry_style=EntryStyle.TAKER,
        size_target=Decimal(1),
        notional_usd=Decimal(1),
        edge_bps_per_hour=1.0,
        state=PairState.OPEN,
        decided_at_ms=1,
    )
    return Ledger(pair, Decimal(0))


def record(number: int, mid: Decimal) -> OrderRecord:
    leg = Leg.LONG if number % 2 else Leg.SHORT
    intent = OrderIntent(
        client_id=client_id(1, 1, number),
        venue=VENUES[0] if leg is Leg.LONG else VENUES[1],
        asset="PEPE",
        side=leg.opening_side,
        size=Decimal(1),
        limit_price=Decimal(1),
        time_in_force=TimeInForce.IOC,
        is_reduce_only=False,
        expires_at_ms=1,
    )
    return OrderRecord(intent, 1, leg, Purpose.ENTRY, mid, 1)


def fill(number: int, trade: int, is_buy: bool, size: Decimal, price: Decimal) -> Fill:
    venue = VENUES[0] if number % 2 else VENUES[1]
    of_order = client_id(1, 1, number) if number else None
    side = Side.BUY if is_buy else Side.SELL
    return Fill(venue, "PEPE", str(trade), of_order, side, size, price, size * price / 1000, False, trade)


@given(st.lists(events, max_size=40))
def test_kept_sums_equal_adding_up_every_fill_and_payment(history: list[tuple[str, int, object]]) -> None:
    ledger = empty_ledger()
    for kind, number, rest in history:
        match kind, rest:
            case "order", Decimal() as mid:
                if client_id(1, 1, number) not in ledger.orders:
                    ledger.orders[client_id(1, 1, number)] = record(number, mid)
            case "fill", (int() as trade, bool() as is_buy, Decimal() as size, Decimal() as price):
                ledger.add_fill(fill(number, trade, is_buy, size, price))
            case "payment", Decimal() as usd:
                ledger.add_payment(FundingPayment(VENUES[number % 2], "PEPE", str(number), usd, None, number))
        assert ledger.pnl(MARKS) == attribute(ledger.priced_fills(), ledger.payments, MARKS)


def test_what_becomes_of_an_order_afterwards_does_not_change_its_fills_yardstick() -> None:
    ledger = empty_ledger()
    ledger.orders[client_id(1, 1, 1)] = record(1, Decimal("0.5"))
    ledger.add_fill(fill(1, 1, True, Decimal(2), Decimal("0.75")))
    before = ledger.pnl(MARKS)
    known = ledger.orders[client_id(1, 1, 1)]
    ledger.orders[client_id(1, 1, 1)] = replace(known, filled_reported=Decimal(2))
    assert ledger.pnl(MARKS) == before
