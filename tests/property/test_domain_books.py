"""Books against a dict that is sorted on every query, and the laws of sweeping them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from perpdesk.domain.books import Book, BookCorrupt, Ladder, Side

PRICES = st.integers(1, 60).map(lambda n: n / 4)
SIZES = st.integers(0, 40).map(lambda n: n / 8)
LEVELS = st.lists(st.tuples(PRICES, SIZES), max_size=12)
SIDES = st.sampled_from(Side)


class NaiveSide:
    """What a ladder means, in the plainest code."""

    def __init__(self, is_bid: bool) -> None:
        self.is_bid = is_bid
        self.sizes: dict[float, float] = {}

    def set(self, price: float, size: float) -> None:
        self.sizes[price] = size
        if size == 0:
            del self.sizes[price]

    def levels(self) -> list[tuple[float, float]]:
        return sorted(self.sizes.items(), reverse=self.is_bid)


@settings(deadline=None)
@given(is_bid=st.booleans(), snapshot=LEVELS, deltas=LEVELS)
def test_a_ladder_is_a_sorted_dict(
    is_bid: bool, snapshot: list[tuple[float, float]], deltas: list[tuple[float, float]]
) -> None:
    ladder, naive = Ladder(-1 if is_bid else 1), NaiveSide(is_bid)
    unique = dict(snapshot)
    ladder.replace(unique.items())
    for price, size in unique.items():
        naive.set(price, size)
    for price, size in deltas:
        ladder.set(price, size)
        naive.sizes.setdefault(price, 1.0)
        naive.set(price, size)
        levels = naive.levels()
        assert ladder.top(100) == levels
        assert ladder.best == (levels[0] if levels else None)
        assert len(ladder) == len(levels)


@settings(deadline=None)
@given(bids=st.dictionaries(PRICES, SIZES, max_size=8), asks=st.dictionaries(PRICES, SIZES, max_size=8))
def test_a_book_is_corrupt_exactly_when_its_best_prices_meet(
    bids: dict[float, float], asks: dict[float, float]
) -> None:
    live_bids = [price for price, size in bids.items() if size > 0]
    live_asks = [price for price, size in asks.items() if size > 0]
    is_crossed = bool(live_bids and live_asks) and max(live_bids) >= min(live_asks)
    book = Book()
    try:
        book.replace(bids.items(), asks.items(), 0)
    except BookCorrupt:
        assert is_crossed
    else:
        assert not is_crossed


@st.composite
def sound_books(draw: st.DrawFn) -> Book:
    """Bids below 30, asks above, each with at least one level."""
    sizes = SIZES.filter(bool)
    bids = draw(st.dictionaries(st.integers(1, 29).map(float), sizes, min_size=1, max_size=8))
    asks = draw(st.dictionaries(st.integers(31, 60).map(float), sizes, min_size=1, max_size=8))
    book = Book()
    book.replace(bids.items(), asks.items(), 0)
    return book


@settings(deadline=None)
@given(book=sound_books(), side=SIDES, size=st.integers(1, 200).map(lambda n: n / 8))
def test_a_sweep_takes_what_is_there_between_the_best_and_the_worst_price(book: Book, side: Side, size: float) -> None:
    ladder = book.side(side)
    sweep = ladder.sweep(size)
    assert sweep is not None
    levels = ladder.top(100)
    assert sweep.size == min(size, sum(available for _, available in levels))
    best = levels[0][0]
    assert (sweep.average_price - best) * side.sign >= -1e-9
    assert (sweep.worst_price - sweep.average_price) * side.sign >= -1e-9
    left, paid = sweep.size, 0.0
    for price, available in levels:
        taken = min(left, available)
        paid, left = paid + taken * price, left - taken
    assert abs(sweep.average_price * sweep.size - paid) < 1e-6


@settings(deadline=None)
@given(book=sound_books(), side=SIDES, small=st.integers(1, 100), more=st.integers(0, 100))
def test_impact_is_never_negative_and_grows_with_size(book: Book, side: Side, small: int, more: int) -> None:
    first, second = book.impact_bps(side, small / 8), book.impact_bps(side, (small + more) / 8)
    half_spread = (book.spread_bps or 0) / 2
    if second is None:
        return
    assert first is not None
    assert half_spread - 1e-6 <= first <= second + 1e-6


@settings(deadline=None)
@given(book=sound_books(), side=SIDES, limit=st.integers(0, 61).map(float))
def test_depth_is_the_notional_of_the_levels_within_the_limit(book: Book, side: Side, limit: float) -> None:
    ladder = book.side(side)
    within = [price * size for price, size in ladder.top(100) if (limit - price) * side.sign >= 0]
    assert abs(ladder.depth_usd(limit) - sum(within)) < 1e-6
