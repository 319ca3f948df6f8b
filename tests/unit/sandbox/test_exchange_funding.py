"""Funding formulas of the three venues, premium samples, settlement and payments."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import AMBIENT, Exchange, NewOrder, VenueRules
from perpdesk.sandbox.rules import (
    extended_funding,
    extended_rules,
    hyperliquid_funding,
    hyperliquid_market,
    hyperliquid_rules,
    lighter_funding,
    lighter_market,
    lighter_rules,
)

D = Decimal


def venue_with(rules: VenueRules) -> Exchange:
    """SOL with an index of 100, a book at 101, and two accounts: ann long 30, bob short 10."""
    venue = Exchange(VenueName.HYPERLIQUID, [hyperliquid_market("SOL", 5, "SOL", 2, 20)], rules, ManualClock(3_600_000))
    venue.open_account("ann", D(100_000))
    venue.open_account("bob", D(100_000))
    venue.set_prices("SOL", D(100), [(D("100.9"), D(1000))], [(D("101.1"), D(1000))])
    venue.submit(NewOrder("ann", "SOL", Side.BUY, D(30), D("101.1"), TimeInForce.IOC))
    venue.submit(NewOrder("bob", "SOL", Side.SELL, D(10), D("100.9"), TimeInForce.IOC))
    return venue


@pytest.mark.parametrize(
    ("premium", "hourly"),
    [
        ("0", "0.0000125"),
        ("-0.0004", "0.0000125"),
        ("0.0006", "0.0000125"),
        ("-0.0005591732", "-0.0000073966"),
        ("0.0014", "0.0001125"),
        ("-1", "-0.04"),
        ("1", "0.04"),
    ],
)
def test_hyperliquid_funding_follows_the_recorded_formula(premium: str, hourly: str) -> None:
    rate = hyperliquid_funding(D(premium))
    assert abs(rate - D(hourly)) < D("1e-10")
    assert rate.as_tuple().exponent == -10


@pytest.mark.parametrize(
    ("premium", "hourly"), [("0", "0.000012"), ("0.0014", "0.000112"), ("-1", "-0.005"), ("1", "0.005")]
)
def test_lighter_funding_is_clamped_per_eight_hours_and_cut_to_its_published_digits(premium: str, hourly: str) -> None:
    assert lighter_funding(D(premium)) == D(hourly)


@pytest.mark.parametrize(
    ("premium", "hourly"), [("0", "0.000013"), ("0.0014", "0.000113"), ("-1", "-0.0025"), ("1", "0.0025")]
)
def test_extended_funding_is_capped_per_hour_and_rounded_to_its_published_digits(premium: str, hourly: str) -> None:
    assert extended_funding(D(premium)) == D(hourly)


def test_hyperliquid_pays_on_the_index_and_lighter_on_the_mark() -> None:
    for rules, price in ((hyperliquid_rules(), D(100)), (lighter_rules(), D("100.5")), (extended_rules(), D("100.5"))):
        venue = venue_with(rules)
        venue.override_rate("SOL", D("0.001"))
        venue.settle_funding()
        account = venue.account("ann")
        assert account is not None
        assert account.fundings[0].price == price
        assert account.fundings[0].usd == -D(30) * price * D("0.001")


def test_longs_pay_shorts_at_a_positive_rate_and_the_sum_is_zero() -> None:
    venue = venue_with(hyperliquid_rules())
    venue.override_rate("SOL", D("0.00012345678"))
    before = {name: _cash(venue, name) for name in ("ann", "bob", AMBIENT)}
    venue.settle_funding()
    paid = {name: _cash(venue, name) - before[name] for name in before}
    assert paid == {"ann": D("-0.370370"), "bob": D("0.123457"), AMBIENT: D("0.246913")}
    assert sum(paid.values()) == 0


def test_shorts_pay_longs_at_a_negative_rate() -> None:
    venue = venue_with(hyperliquid_rules())
    venue.override_rate("SOL", D("-0.001"))
    venue.settle_funding()
    account = venue.account("ann")
    assert account is not None
    assert account.fundings[0].usd == D(3)


def test_flat_accounts_get_no_funding() -> None:
    venue = venue_with(hyperliquid_rules())
    flat = venue.open_account("cat", D(1))
    venue.settle_funding()
    assert flat.fundings == []


def test_the_premium_is_the_mean_of_impact_samples() -> None:
    venue = venue_with(hyperliquid_rules())
    venue.sample_premium("SOL")
    assert venue.premium("SOL") == D("0.009")
    venue.set_prices("SOL", D(100), [(D("97.9"), D(1000))], [(D("98"), D(1000))])
    venue.sample_premium("SOL")
    assert venue.premium("SOL") == (D("0.009") - D("0.02")) / 2
    assert venue.estimated_rate("SOL") == hyperliquid_funding(venue.premium("SOL"))


def test_a_book_around_the_index_has_no_premium() -> None:
    venue = venue_with(hyperliquid_rules())
    venue.set_prices("SOL", D(101), [(D("100.9"), D(1000))], [(D("101.1"), D(1000))])
    venue.sample_premium("SOL")
    assert venue.premium("SOL") == 0


def test_impact_prices_average_over_levels_and_need_a_book_deep_enough() -> None:
    venue = venue_with(hyperliquid_rules())
    venue.set_prices("SOL", D(100), [(D(100), D(30)), (D(50), D(100))], [(D(101), D(1000))])
    bid, ask = venue.impact_prices("SOL") or (D(0), D(0))
    assert (bid, ask) == (D(6000) / D(90), D(101))
    venue.set_prices("SOL", D(100), [(D(100), D(30))], [(D(101), D(1000))])
    assert venue.impact_prices("SOL") is None
    venue.sample_premium("SOL")
    assert venue.premium("SOL") == 0


def test_settling_records_the_rate_and_starts_a_new_interval() -> None:
    venue = venue_with(hyperliquid_rules())
    venue.sample_premium("SOL")
    rate = venue.estimated_rate("SOL")
    venue.settle_funding()
    (settled,) = venue.settled_rates("SOL")
    assert (settled.rate, settled.premium, settled.price, settled.at_ms) == (rate, D("0.009"), D(100), 3_600_000)
    assert venue.premium("SOL") == 0


def test_a_recorded_rate_stays_until_the_next_one() -> None:
    venue = venue_with(hyperliquid_rules())
    venue.override_rate("SOL", D("0.0007"))
    venue.sample_premium("SOL")
    for _ in range(2):
        venue.settle_funding()
    assert [settled.rate for settled in venue.settled_rates("SOL")] == [D("0.0007")] * 2


def test_listed_markets_carry_their_venues_limits() -> None:
    btc = hyperliquid_market("BTC", 0, "BTC", 5, 40)
    assert (btc.price_grid.tick, btc.lot, btc.maintenance_margin) == (D("0.1"), D("0.00001"), D("0.0125"))
    assert btc.impact_notional_usd == 20_000
    assert btc.price_grid.allows(D(12345))
    assert not btc.price_grid.allows(D("12345.6"))
    eth = lighter_market("ETH", 0, "ETH", 4, 2, D("0.005"), D(10), 50)
    assert (eth.price_grid.tick, eth.lot, eth.maintenance_margin) == (D("0.01"), D("0.0001"), D("0.012"))
    assert (eth.impact_notional_usd, eth.default_leverage) == (D(25_000), 20)


def _cash(venue: Exchange, account_id: str) -> Decimal:
    account = venue.account(account_id)
    assert account is not None
    return account.cash_usd
