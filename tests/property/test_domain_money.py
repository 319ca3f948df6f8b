"""Money is conserved: positions, attribution and price grids for any sequence of trades."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.markets import PriceGrid
from perpdesk.domain.numbers import ZERO, ceil_to, floor_to, parse_decimal, plain
from perpdesk.domain.orders import Fill
from perpdesk.domain.pnl import PricedFill, attribute
from perpdesk.domain.positions import Position

SIZES = st.decimals(min_value=Decimal("0.001"), max_value=1000, places=3)
PRICES = st.decimals(min_value=Decimal("0.01"), max_value=100_000, places=2)
SIGNED = st.tuples(SIZES, st.booleans()).map(lambda pair: pair[0] if pair[1] else -pair[0])
TRADES = st.lists(st.tuples(SIGNED, PRICES), max_size=30)
TOLERANCE = Decimal("1e-12")
"""USD: one division per partial close, at 28 digits."""


@settings(deadline=None)
@given(trades=TRADES, mark=PRICES)
def test_a_position_conserves_cash_through_every_flip(trades: list[tuple[Decimal, Decimal]], mark: Decimal) -> None:
    """Realised and open profit together are always what the trades did to the cash plus what the rest is worth."""
    position, cash, size = Position(), ZERO, ZERO
    for signed, price in trades:
        position = position.after(signed, price)
        cash -= signed * price
        size += signed
        assert position.size == size
        assert (position.entry_price is None) == (size == 0)
        gap = position.realised_usd + position.unrealised_usd(mark) - (cash + size * mark)
        assert abs(gap) <= TOLERANCE * 1_000_000


@settings(deadline=None)
@given(trades=TRADES)
def test_the_average_entry_stays_between_the_prices_that_were_paid(trades: list[tuple[Decimal, Decimal]]) -> None:
    position, paid = Position(), list[Decimal]()
    for signed, price in trades:
        before, position = position, position.after(signed, price)
        if position.size == 0 or before.size == 0 or (before.size > 0) != (position.size > 0):
            paid = []
        paid.append(price)
        if position.entry_price is not None:
            assert min(paid) - TOLERANCE * 10**6 <= position.entry_price <= max(paid) + TOLERANCE * 10**6


@settings(deadline=None)
@given(signed=SIGNED, price=PRICES, exit_price=PRICES)
def test_a_round_trip_of_a_long_and_of_a_short_are_mirror_images(
    signed: Decimal, price: Decimal, exit_price: Decimal
) -> None:
    there = Position().after(signed, price).after(-signed, exit_price)
    mirrored = Position().after(-signed, price).after(signed, exit_price)
    assert there.realised_usd == -mirrored.realised_usd == signed * (exit_price - price)
    assert there.size == mirrored.size == 0


@st.composite
def priced_fills(draw: st.DrawFn) -> list[PricedFill]:
    made = []
    for number in range(draw(st.integers(0, 20))):
        fill = Fill(
            draw(st.sampled_from(VenueName)),
            draw(st.sampled_from(("ETH", "PEPE"))),
            str(number),
            draw(st.none() | st.integers(1, 5)),
            draw(st.sampled_from(Side)),
            draw(SIZES),
            draw(PRICES),
            draw(st.decimals(min_value=-5, max_value=5, places=6)),
            draw(st.booleans()),
            number,
        )
        made.append(PricedFill(fill, draw(PRICES)))
    return made


PAYMENTS = st.lists(st.decimals(min_value=-100, max_value=100, places=6), max_size=10)


@settings(deadline=None)
@given(fills=priced_fills(), payments=PAYMENTS, mark=PRICES)
def test_four_parts_sum_to_the_cash_that_moved_plus_what_is_open(
    fills: list[PricedFill], payments: list[Decimal], mark: Decimal
) -> None:
    paid = [
        FundingPayment(VenueName.LIGHTER, "ETH", str(number), usd, None, number) for number, usd in enumerate(payments)
    ]
    marks = {(venue.value, asset): mark for venue in VenueName for asset in ("ETH", "PEPE")}
    parts = attribute(fills, paid, marks)
    cash = sum((priced.fill.cash_usd - priced.fill.fee_usd for priced in fills), ZERO)
    worth = sum((priced.fill.signed_size * mark for priced in fills), ZERO)
    assert parts.total_usd == cash + sum(payments, ZERO) + worth
    assert parts.price_usd + parts.slippage_usd == sum((p.fill.cash_usd for p in fills), ZERO) + worth


@settings(deadline=None)
@given(fills=priced_fills(), mark=PRICES)
def test_slippage_does_not_depend_on_what_is_still_open(fills: list[PricedFill], mark: Decimal) -> None:
    marks = {(venue.value, asset): mark for venue in VenueName for asset in ("ETH", "PEPE")}
    doubled = {key: value * 2 for key, value in marks.items()}
    assert attribute(fills, [], marks).slippage_usd == attribute(fills, [], doubled).slippage_usd


GRIDS = st.builds(
    PriceGrid,
    st.sampled_from([Decimal(1).scaleb(-places) for places in range(7)]),
    st.none() | st.just(5),
)


@settings(deadline=None)
@given(grid=GRIDS, price=st.decimals(min_value=Decimal("0.01"), max_value=1_000_000, places=6).filter(lambda p: p > 0))
def test_grid_neighbours_embrace_the_price_and_are_allowed(grid: PriceGrid, price: Decimal) -> None:
    low, high = grid.floor(price), grid.ceil(price)
    assert low <= price <= high
    assert (low == price) == (high == price) == grid.allows(price)
    assert grid.allows(high)
    if low > 0:
        assert grid.allows(low)


@settings(deadline=None)
@given(price=st.decimals(min_value=Decimal("0.0001"), max_value=1_000_000, places=6).filter(lambda p: p > 0))
def test_an_allowed_price_has_five_digits_or_is_whole(price: Decimal) -> None:
    grid = PriceGrid(Decimal("0.000001"), 5)
    digits = len(price.normalize().as_tuple().digits)
    is_whole = price == price.to_integral_value()
    assert grid.allows(price) == (digits <= 5 or is_whole)


@settings(deadline=None)
@given(value=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_plain_text_reads_back_as_the_same_number(value: Decimal) -> None:
    text = plain(value)
    assert parse_decimal(text) == value
    assert "E" not in text
    assert not (text.endswith("0") and "." in text)


@settings(deadline=None)
@given(
    value=st.decimals(-(10**6), 10**6, places=6),
    step=st.sampled_from([Decimal(s) for s in ("0.001", "0.05", "1", "25")]),
)
def test_flooring_and_ceiling_are_one_step_apart_at_most(value: Decimal, step: Decimal) -> None:
    low, high = floor_to(value, step), ceil_to(value, step)
    assert low <= value <= high
    assert high - low in (ZERO, step)
    assert low % step == 0
