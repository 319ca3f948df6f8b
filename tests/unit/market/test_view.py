"""One view over all venues that answers only with fresh data."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.funding import FundingRate
from perpdesk.market.view import FreshnessLimits, MarketView
from perpdesk.venues.base import BookChanged, BookLost, FundingChanged, PrivateFeedLost
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, book, market


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


@pytest.fixture
def view(clock: ManualClock) -> MarketView:
    return MarketView(clock, FreshnessLimits(book_age_ms_max=10_000, funding_age_ms_max=120_000))


def funding(venue: VenueName = LIGHTER) -> FundingChanged:
    return FundingChanged(venue, "ETH", FundingRate(Decimal("0.0001"), 0), 100.0, 100.0)


def test_a_book_is_fresh_up_to_its_limit_and_not_one_millisecond_longer(view: MarketView, clock: ManualClock) -> None:
    made = book()
    view.on_event(BookChanged(LIGHTER, "ETH", made))
    clock.advance_ms(10_000)
    assert view.book(LIGHTER, "ETH") is made
    assert view.book_age_ms(LIGHTER, "ETH") == 10_000
    clock.advance_ms(1)
    assert view.book(LIGHTER, "ETH") is None


def test_a_lost_book_is_gone_at_once_and_back_with_the_next_change(view: MarketView) -> None:
    view.on_event(BookChanged(LIGHTER, "ETH", book()))
    view.on_event(BookLost(LIGHTER, "ETH", "gap"))
    assert view.book(LIGHTER, "ETH") is None
    assert view.book_age_ms(LIGHTER, "ETH") is None
    view.on_event(BookChanged(LIGHTER, "ETH", book()))
    assert view.book(LIGHTER, "ETH") is not None


def test_a_book_with_an_empty_side_is_no_book(view: MarketView) -> None:
    half = Book()
    half.bids.replace([(99.0, 1.0)])
    view.on_event(BookChanged(LIGHTER, "ETH", half))
    assert view.book(LIGHTER, "ETH") is None


def test_funding_ages_too(view: MarketView, clock: ManualClock) -> None:
    event = funding()
    view.on_event(event)
    clock.advance_ms(120_000)
    assert view.funding(LIGHTER, "ETH") is event
    clock.advance_ms(1)
    assert view.funding(LIGHTER, "ETH") is None


def test_what_was_never_heard_is_unknown(view: MarketView) -> None:
    assert view.book(LIGHTER, "ETH") is None
    assert view.funding(LIGHTER, "ETH") is None
    assert view.book_age_ms(LIGHTER, "ETH") is None
    assert view.market(LIGHTER, "ETH") is None


def test_venues_do_not_mix(view: MarketView) -> None:
    view.on_event(BookChanged(LIGHTER, "ETH", book()))
    assert view.book(HYPERLIQUID, "ETH") is None


def test_touched_assets_are_told_once(view: MarketView) -> None:
    view.on_event(BookChanged(LIGHTER, "ETH", book()))
    view.on_event(funding(HYPERLIQUID))
    view.on_event(BookLost(LIGHTER, "BTC", "gap"))
    assert view.take_touched() == {"ETH", "BTC"}
    assert view.take_touched() == set()


def test_private_events_are_not_market_data(view: MarketView) -> None:
    assert view.on_event(PrivateFeedLost(LIGHTER, "cut")) is False
    assert view.take_touched() == set()


def test_a_pair_can_be_made_of_assets_that_two_venues_list(view: MarketView) -> None:
    view.list_markets([market(LIGHTER), market(HYPERLIQUID), market(LIGHTER, asset="ONLY")])
    assert view.assets == ["ETH"]
    assert view.venues_of("ETH") == [HYPERLIQUID, LIGHTER]
    assert view.venues_of("ONLY") == [LIGHTER]
    view.list_markets([market(LIGHTER, leverage_max=Decimal(3))])
    listed = view.market(LIGHTER, "ETH")
    assert listed is not None
    assert listed.leverage_max == 3
