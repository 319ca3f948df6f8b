"""The quick bound on what closing brings never hides a pair that has reached its target."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.worth import closing_profit_usd, closing_profit_usd_max
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book, Level, Side
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.orders import Fill
from perpdesk.domain.pairs import EntryStyle, Leg, Pair, PairState

VENUES = {Leg.LONG: VenueName.LIGHTER, Leg.SHORT: VenueName.HYPERLIQUID}

sizes = st.decimals(Decimal("0.001"), Decimal(1000), places=3)
prices = st.decimals(Decimal("0.5"), Decimal("2"), places=4)
fees = st.decimals(Decimal("-0.001"), Decimal("0.01"), places=6).map(lambda taker: FeeRates(Decimal(0), taker))
levels = st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(0.1, 900.0)), max_size=25)


def pair() -> Pair:
    return Pair(
        pair_id=1,
        run_id=1,
        asset="XRP",
        long_venue=VENUES[Leg.LONG],
        short_venue=VENUES[Leg.SHORT],
        first_leg=Leg.LONG,
        entry_style=EntryStyle.TAKER,
        size_target=Decimal(1),
        notional_usd=Decimal(1),
        edge_bps_per_hour=1.0,
        state=PairState.OPEN,
        decided_at_ms=1,
    )


def fill(number: int, leg: Leg, side: Side, size: Decimal, price: Decimal) -> Fill:
    return Fill(VENUES[leg], "XRP", str(number), None, side, size, price, size * price / 2000, False, number)


def one_sided(bids: list[Level], asks: list[Level]) -> Book:
    book = Book()
    book.bids.replace(bids)
    book.asks.replace(asks)
    return book


@given(
    fills=st.lists(st.tuples(st.sampled_from(Leg), st.booleans(), sizes, prices), max_size=8),
    bids=levels,
    asks=levels,
    rates=st.tuples(fees, fees),
)
def test_the_bound_is_never_below_what_closing_really_brings(
    fills: list[tuple[Leg, bool, Decimal, Decimal]],
    bids: list[Level],
    asks: list[Level],
    rates: tuple[FeeRates, FeeRates],
) -> None:
    ledger = Ledger(pair(), Decimal(0))
    for number, (leg, opens, size, price) in enumerate(fills):
        side = leg.opening_side if opens else leg.opening_side.opposite
        ledger.add_fill(fill(number, leg, side, size, price))
    books = (one_sided(bids, []), one_sided([], asks))
    worth = closing_profit_usd(ledger, books, rates)
    if worth is not None:
        most = closing_profit_usd_max(ledger, books, rates)
        assert most is not None
        assert most >= worth


def test_a_deep_touch_without_fees_brings_exactly_the_bound() -> None:
    ledger = Ledger(pair(), Decimal(0))
    ledger.add_fill(fill(1, Leg.LONG, Side.BUY, Decimal(10), Decimal("1.5")))
    ledger.add_fill(fill(2, Leg.SHORT, Side.SELL, Decimal(10), Decimal("1.75")))
    books = (one_sided([(1.5, 100.0)], []), one_sided([], [(1.625, 100.0)]))
    free = FeeRates(Decimal(0), Decimal(0))
    assert closing_profit_usd(ledger, books, (free, free)) == Decimal("1.23375")
    most = closing_profit_usd_max(ledger, books, (free, free))
    assert most is not None
    assert abs(most - 1.23375) < 1e-6


def test_a_book_too_thin_for_a_leg_has_no_worth() -> None:
    ledger = Ledger(pair(), Decimal(0))
    ledger.add_fill(fill(1, Leg.LONG, Side.BUY, Decimal(10), Decimal(1)))
    ledger.add_fill(fill(2, Leg.SHORT, Side.SELL, Decimal(10), Decimal(1)))
    free = FeeRates(Decimal(0), Decimal(0))
    assert closing_profit_usd(ledger, (one_sided([(1.0, 9.0)], []), one_sided([], [(1.0, 10.0)])), (free, free)) is None
