"""What a scan sees, and every reason against it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from perpdesk.arbitrage.gates import Opportunity, opportunities_of
from perpdesk.arbitrage.scan import ScanGrid, scan
from perpdesk.arbitrage.scanner import Scanner
from perpdesk.arbitrage.settings import EntrySettings
from perpdesk.domain.assets import AssetKind, VenueName
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingRate
from perpdesk.domain.markets import Market
from perpdesk.market.view import FreshnessLimits, MarketView
from perpdesk.venues.base import BookChanged, BookLost, FundingChanged
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, book, market

ENTRY = EntrySettings(
    notional_usd_max=Decimal(500),
    notional_usd_min=Decimal(25),
    net_bps_per_hour_min=0.1,
    carry_bps_per_hour_min=0.3,
    break_even_hours_max=36.0,
    hold_hours=48.0,
    spread_bps_max=15.0,
    basis_bps_max=25.0,
    basis_sane_bps=300.0,
    depth_share_max=0.25,
    depth_bps=20.0,
)
VENUES = (LIGHTER, HYPERLIQUID)
MARKETS = {LIGHTER: market(LIGHTER), HYPERLIQUID: market(HYPERLIQUID)}
RICH = {"long_rate": -0.0001, "short_rate": 0.0001}
"""2 bps an hour between the legs."""


def opportunity(
    *,
    long_rate: float = -0.0001,
    short_rate: float = 0.0001,
    long_mid: float = 100.0,
    short_mid: float = 100.0,
    half_spread: float = 0.01,
    size: float = 1_000.0,
    fees: tuple[float, float] = (0.0001, 0.0002),
    entry: EntrySettings = ENTRY,
    markets: dict[VenueName, Market] | None = None,
) -> Opportunity:
    """Long on Lighter, short on Hyperliquid, with one level a side; good in every respect unless a test spoils it."""
    grid = ScanGrid.empty(("ETH",), VENUES)
    for at, mid in ((0, long_mid), (1, short_mid)):
        grid.put_book(0, at, book(mid - half_spread, mid + half_spread, size))
    grid.rates[0] = (long_rate, short_rate)
    grid.taker_fees[:] = fees
    result = scan(grid, float(entry.notional_usd_max), entry.hold_hours, entry.depth_bps)
    made = opportunities_of(grid, result, 0, MARKETS if markets is None else markets, entry)
    assert made is not None
    return made


def failed(made: Opportunity) -> list[str]:
    return [check.name for check in made.refusals]


def test_a_good_opportunity_passes_every_check_and_knows_its_numbers() -> None:
    made = opportunity()
    assert failed(made) == []
    assert made.is_open
    assert (made.long_venue, made.short_venue) == (LIGHTER, HYPERLIQUID)
    assert made.carry_bps_per_hour == pytest.approx(2.0)
    # Each way: fees of 1 and 2 bps and half a spread of 1 bps on both legs.
    assert made.entry_cost_bps == pytest.approx(5.0)
    assert made.exit_cost_bps == pytest.approx(5.0)
    assert made.net_bps_per_hour == pytest.approx(2.0 - 10 / 48)
    assert made.break_even_hours == pytest.approx(5.0)


SPOILED: list[tuple[str, dict[str, Any]]] = [
    ("carry", {"long_rate": 0.0, "short_rate": 0.0000299, "fees": (0.0, 0.0), "half_spread": 0.001}),
    ("net edge", {"entry": ENTRY.model_copy(update={"net_bps_per_hour_min": 1.8})}),
    ("break-even", {"entry": ENTRY.model_copy(update={"break_even_hours_max": 4.9})}),
    ("depth share", {"size": 0.99, "entry": ENTRY.model_copy(update={"notional_usd_max": Decimal(50)})}),
    ("spread", {"half_spread": 0.08}),
    ("adverse price difference", {"short_mid": 99.7}),
    ("price difference", {"short_mid": 103.1}),
    ("lighter trades ETH", {"markets": {**MARKETS, LIGHTER: market(LIGHTER, is_tradable=False)}}),
    ("hyperliquid trades ETH", {"markets": {**MARKETS, HYPERLIQUID: market(HYPERLIQUID, is_tradable=False)}}),
    ("trades around the clock", {"markets": {**MARKETS, LIGHTER: market(LIGHTER, kind=AssetKind.EQUITY)}}),
    ("trades around the clock", {"markets": {**MARKETS, HYPERLIQUID: market(HYPERLIQUID, kind=AssetKind.UNKNOWN)}}),
]


@pytest.mark.parametrize(("name", "spoil"), SPOILED, ids=[f"{at}-{name}" for at, (name, _) in enumerate(SPOILED)])
def test_each_check_refuses_alone_and_keeps_both_sides(name: str, spoil: dict[str, Any]) -> None:
    made = opportunity(**spoil)
    assert failed(made) == [name]
    assert not made.is_open
    (refusal,) = made.refusals
    assert refusal.observed is not None
    told = made.as_dict()
    assert told["refused_because"] == [str(refusal)]
    assert told["would_open"] is False


def test_stocks_may_be_traded_when_the_owner_says_so() -> None:
    markets = {venue: market(venue, kind=AssetKind.EQUITY) for venue in VENUES}
    assert opportunity(markets=markets, entry=ENTRY.model_copy(update={"only_crypto": False})).is_open


@pytest.mark.parametrize(
    ("spoil", "unknown"),
    [
        ({"fees": (float("nan"), 0.0)}, {"net edge", "break-even"}),
        ({"long_rate": float("nan")}, {"carry", "net edge", "break-even"}),
        ({"size": 0.1}, {"net edge", "break-even"}),
    ],
)
def test_what_is_unknown_never_passes(spoil: dict[str, Any], unknown: set[str]) -> None:
    made = opportunity(**spoil)
    assert unknown <= set(failed(made))
    assert {check.name for check in made.refusals if check.observed is None} >= unknown - {"depth share"}


def test_a_missing_book_leaves_nothing_that_passes_but_the_markets() -> None:
    grid = ScanGrid.empty(("ETH",), VENUES)
    grid.put_book(0, 0, book(99.99, 100.01))
    grid.rates[0] = (0.0, 0.01)
    grid.taker_fees[:] = 0.0
    made = opportunities_of(grid, scan(grid, 500.0, 48.0, 20.0), 0, MARKETS, ENTRY)
    assert made is not None
    assert {"net edge", "break-even", "spread", "price difference", "adverse price difference", "depth share"} <= set(
        failed(made)
    )
    assert made.net_bps_per_hour is None


def test_an_adverse_price_difference_is_a_cost_and_a_favourable_one_earns_nothing() -> None:
    level = opportunity()
    adverse, favourable = opportunity(short_mid=99.9), opportunity(short_mid=100.1)
    assert level.net_bps_per_hour is not None
    assert adverse.net_bps_per_hour == pytest.approx(level.net_bps_per_hour - 10 / 48, abs=1e-3)
    assert favourable.net_bps_per_hour == pytest.approx(level.net_bps_per_hour, abs=1e-3)


def test_the_way_out_is_part_of_the_cost() -> None:
    made = opportunity()
    assert made.entry_cost_bps is not None
    assert made.exit_cost_bps is not None
    assert made.carry_bps_per_hour is not None
    assert made.net_bps_per_hour == pytest.approx(
        made.carry_bps_per_hour - (made.entry_cost_bps + made.exit_cost_bps) / 48
    )


def test_a_book_thin_on_the_way_out_only_still_refuses() -> None:
    """Buying the long leg is easy here; selling it again is not."""
    grid = ScanGrid.empty(("ETH",), VENUES)
    lopsided = book(99.99, 100.01, 1_000.0)
    lopsided.bids.replace([(99.99, 0.5)])
    grid.put_book(0, 0, lopsided)
    grid.put_book(0, 1, book(99.99, 100.01, 1_000.0))
    grid.rates[0], grid.taker_fees[:] = (0.0, 0.01), 0.0
    result = scan(grid, 500.0, 48.0, 20.0)
    assert np.isfinite(result.entry_cost_bps[0, 0, 1])
    assert np.isnan(result.exit_cost_bps[0, 0, 1])
    made = opportunities_of(grid, result, 0, MARKETS, ENTRY)
    assert made is not None
    assert "net edge" in failed(made)


def test_only_the_direction_that_earns_is_offered() -> None:
    made = opportunity(long_rate=0.0001, short_rate=-0.0001)
    assert (made.long_venue, made.short_venue) == (HYPERLIQUID, LIGHTER)
    assert made.carry_bps_per_hour == pytest.approx(2.0)


def test_no_carry_never_breaks_even() -> None:
    made = opportunity(long_rate=0.0001, short_rate=0.0001)
    assert {"carry", "net edge", "break-even"} <= set(failed(made))
    assert made.break_even_hours is None


def test_an_asset_that_one_venue_lists_is_no_opportunity() -> None:
    grid = ScanGrid.empty(("ETH",), VENUES)
    result = scan(grid, 500.0, 48.0, 20.0)
    assert opportunities_of(grid, result, 0, {LIGHTER: market(LIGHTER)}, ENTRY) is None


# The scanner keeps the grid current ---------------------------------------------------------------------------------


@pytest.fixture
def view() -> MarketView:
    made = MarketView(ManualClock(), FreshnessLimits(10_000, 120_000))
    for asset in ("BTC", "ETH"):
        made.list_markets([market(venue, asset=asset) for venue in VENUES])
    return made


def feed(view: MarketView, asset: str, long_rate: float = -0.0001) -> None:
    for venue, rate in ((LIGHTER, long_rate), (HYPERLIQUID, 0.0001)):
        view.on_event(BookChanged(venue, asset, book(99.99, 100.01, 1_000.0)))
        view.on_event(FundingChanged(venue, asset, FundingRate(Decimal(str(rate)), 0), 100.0, 100.0))


def scanner_of(view: MarketView) -> Scanner:
    scanner = Scanner(view, VENUES, ("BTC", "ETH"), ENTRY)
    for venue in VENUES:
        scanner.set_fees(venue, FeeRates(Decimal(0), Decimal("0.0001")))
    return scanner


def test_a_tick_evaluates_only_what_it_touched(view: MarketView) -> None:
    scanner = scanner_of(view)
    feed(view, "ETH")
    assert [made.asset for made in scanner.refresh(view.take_touched())] == ["ETH"]
    assert list(scanner.best) == ["ETH"]
    assert scanner.refresh(set()) == []
    assert scanner.refresh({"UNLISTED"}) == []
    assert scanner.scans == 1


def test_the_best_edge_comes_first(view: MarketView) -> None:
    scanner = scanner_of(view)
    feed(view, "ETH", long_rate=-0.0001)
    feed(view, "BTC", long_rate=-0.0005)
    assert [made.asset for made in scanner.refresh(view.take_touched())] == ["BTC", "ETH"]


def test_an_unknown_edge_comes_last(view: MarketView) -> None:
    scanner = scanner_of(view)
    feed(view, "ETH")
    feed(view, "BTC")
    view.on_event(BookLost(LIGHTER, "BTC", "gap"))
    found = scanner.refresh(view.take_touched())
    assert [made.asset for made in found] == ["ETH", "BTC"]
    assert found[1].net_bps_per_hour is None


def test_a_lost_fee_makes_every_edge_of_its_venue_unknown(view: MarketView) -> None:
    scanner = scanner_of(view)
    feed(view, "ETH")
    touched = view.take_touched()
    assert scanner.refresh(touched)[0].is_open
    scanner.set_fees(LIGHTER, None)
    assert not scanner.refresh(touched)[0].is_open


def test_rates_too_good_to_be_true_are_not_believed() -> None:
    """Half of the notional an hour is a venue's mistake, not a chance."""
    assert failed(opportunity(long_rate=-0.5, short_rate=0.5)) == ["believable carry"]


def test_a_check_is_never_left_out_of_an_opportunity() -> None:
    made = opportunity()
    assert len(made.checks) == len({check.name for check in made.checks}) == 11
    assert replace(made, checks=()).is_open  # which is why the checks themselves have to be there
