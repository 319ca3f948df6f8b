"""The synthetic market on real exchange cores."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.drivers.ladders import LadderMaker
from perpdesk.sandbox.drivers.parameters import (
    PARAMETERS_PATH,
    Liquidity,
    ParametersUnreadable,
    load_parameters,
    parse_parameters,
)
from perpdesk.sandbox.drivers.premium import PremiumProcess
from perpdesk.sandbox.drivers.synthetic import SyntheticDriver
from perpdesk.sandbox.exchange import Exchange, NewOrder, SimStatus
from perpdesk.sandbox.listings import listed_markets
from perpdesk.sandbox.rules import hyperliquid_rules, lighter_rules

HYPERLIQUID, LIGHTER = VenueName.HYPERLIQUID, VenueName.LIGHTER
NOW_MS = 1_700_000_000_500
ASSETS = frozenset(("BTC", "PEPE", "HYPE", "FARTCOIN", "MATIC", "AAPL"))


def venues(clock, assets=ASSETS):
    return {
        HYPERLIQUID: Exchange(HYPERLIQUID, listed_markets(HYPERLIQUID, assets), hyperliquid_rules(), clock),
        LIGHTER: Exchange(LIGHTER, listed_markets(LIGHTER, assets), lighter_rules(), clock),
    }


def driven(seed=1, clock=None, **options):
    clock = clock or ManualClock(NOW_MS)
    exchanges = venues(clock)
    driver = SyntheticDriver(exchanges, load_parameters(), Random(seed), clock, **options)
    driver.open()
    return driver, exchanges, clock


def run(driver, clock, steps, tick_ms=1_000):
    for _ in range(steps):
        clock.advance_ms(tick_ms)
        driver.step()


def state(exchanges):
    return [
        (symbol, str(exchange.index_price(symbol)), exchange.book(symbol), len(exchange.trades(symbol)))
        for exchange in exchanges.values()
        for symbol in exchange.markets
    ]


def test_every_listed_market_has_a_book_before_the_first_step() -> None:
    _, exchanges, _ = driven()
    for exchange in exchanges.values():
        for symbol, market in exchange.markets.items():
            bids, asks = exchange.book(symbol)
            if market.is_listed:
                assert len(bids) == len(asks) == load_parameters().ladder.levels
                assert bids[0][0] < asks[0][0]
            else:
                assert (bids, asks) == ([], [])
            assert exchange.index_price(symbol) > 0


def test_every_ambient_price_and_size_is_one_the_venue_accepts() -> None:
    driver, exchanges, clock = driven(seed=3)
    run(driver, clock, 20)
    for exchange in exchanges.values():
        for symbol, market in exchange.markets.items():
            for price, size, _ in [level for side in exchange.book(symbol) for level in side]:
                assert market.price_grid.allows(price)
                assert size % market.lot == 0


def test_the_same_seed_repeats_exactly_and_another_does_not() -> None:
    runs = []
    for seed in (7, 7, 8):
        driver, exchanges, clock = driven(seed=seed)
        run(driver, clock, 50)
        runs.append(state(exchanges))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_an_assets_index_is_the_same_on_every_venue_but_for_the_multiplier() -> None:
    driver, exchanges, clock = driven()
    run(driver, clock, 30)
    assert exchanges[HYPERLIQUID].index_price("kPEPE") == exchanges[LIGHTER].index_price("1000PEPE")
    assert exchanges[HYPERLIQUID].index_price("BTC") == exchanges[LIGHTER].index_price("BTC")


def test_the_mid_stands_off_the_index_by_the_premium() -> None:
    driver, exchanges, clock = driven(seed=5)
    run(driver, clock, 10)
    bids, asks = exchanges[LIGHTER].book("HYPE", 1)
    # Flow may have eaten the best level since, so the mid is read within two levels.
    mid = (bids[0][0] + asks[0][0]) / 2
    premium_bps = float(mid / exchanges[LIGHTER].index_price("HYPE") - 1) * 10_000
    assert premium_bps == pytest.approx(driver.premium_bps(LIGHTER, "HYPE"), abs=4)


def test_anonymous_flow_trades_and_fills_an_order_resting_at_the_top() -> None:
    driver, exchanges, clock = driven()
    exchange = exchanges[LIGHTER]
    exchange.open_account("1", Decimal(10_000))
    order = None
    for _ in range(400):
        if order is None or order.status is not SimStatus.RESTING:
            best_bid = exchange.book("BTC", 1)[0][0][0]
            new = NewOrder("1", "BTC", Side.BUY, Decimal("0.001"), best_bid, TimeInForce.POST_ONLY)
            order = exchange.submit(new)
        run(driver, clock, 1)
        if order.filled:
            break
    assert order is not None
    assert order.filled > 0
    assert exchange.trades("BTC")


def test_an_order_past_its_time_is_cancelled_by_a_step() -> None:
    driver, exchanges, clock = driven()
    exchange = exchanges[HYPERLIQUID]
    exchange.open_account("1", Decimal(10_000))
    far = exchange.markets["BTC"].price_grid.floor(exchange.index_price("BTC") / 2)
    new = NewOrder("1", "BTC", Side.BUY, Decimal("0.001"), far, TimeInForce.GTC, expires_at_ms=NOW_MS + 1_500)
    order = exchange.submit(new)
    run(driver, clock, 1)
    assert order.status is SimStatus.RESTING
    run(driver, clock, 1)
    assert order.status is SimStatus.CANCELED


def test_funding_is_settled_once_at_each_multiple_of_the_interval() -> None:
    driver, exchanges, clock = driven(funding_every_ms=10_000)
    run(driver, clock, 35)
    stamps = [settled.at_ms for settled in exchanges[LIGHTER].settled_rates("BTC")]
    assert stamps == [NOW_MS + 10_000, NOW_MS + 20_000, NOW_MS + 30_000]


def test_a_shortened_interval_always_holds_premium_samples() -> None:
    driver, exchanges, clock = driven(seed=2, funding_every_ms=10_000, episodes_at_start=3)
    for _ in range(30):
        run(driver, clock, 1)
        assert min(pair_spreads_bps(exchanges)) > 1


def pair_spreads_bps(exchanges):
    pairs = (("HYPE", "HYPE"), ("FARTCOIN", "FARTCOIN"), ("kPEPE", "1000PEPE"), ("BTC", "BTC"))
    return sorted((spread_bps(exchanges, *symbols) for symbols in pairs), reverse=True)[:3]


def spread_bps(exchanges, on_hyperliquid, on_lighter):
    rates = (exchanges[HYPERLIQUID].estimated_rate(on_hyperliquid), exchanges[LIGHTER].estimated_rate(on_lighter))
    return abs(rates[0] - rates[1]) * 10_000


@pytest.mark.parametrize("seed", range(6))
def test_episodes_at_start_show_in_the_estimates_before_the_first_step(seed) -> None:
    _, exchanges, _ = driven(seed=seed, episodes_at_start=2)
    # Level sizes and ticks are random, so the first sample is near the episode's height, not at it.
    wanted = Decimal(load_parameters().demo.spread_bps_per_hour)
    assert pair_spreads_bps(exchanges)[1] > wanted * Decimal("0.7")


def test_more_episodes_than_assets_on_two_venues_are_refused() -> None:
    with pytest.raises(ValueError, match="episodes_at_start is 9, but only 4"):
        driven(episodes_at_start=9)


def test_a_market_that_is_delisted_meanwhile_loses_its_liquidity() -> None:
    driver, exchanges, clock = driven()
    exchange = exchanges[LIGHTER]
    exchange.replace_market(replace(exchange.markets["HYPE"], is_listed=False))
    run(driver, clock, 1)
    assert exchange.book("HYPE") == ([], [])


def test_an_asset_that_was_never_fitted_is_named() -> None:
    clock = ManualClock(NOW_MS)
    parameters = load_parameters()
    without = replace(parameters, assets={name: row for name, row in parameters.assets.items() if name != "HYPE"})
    with pytest.raises(ParametersUnreadable, match="HYPE"):
        SyntheticDriver(venues(clock), without, Random(1), clock)


async def test_run_steps_after_each_tick_until_cancelled() -> None:
    driver, _, clock = driven()
    slept = []

    async def sleep_ms(duration):
        slept.append(duration)
        if len(slept) > 3:
            raise KeyboardInterrupt
        clock.advance_ms(duration)

    clock.sleep_ms = sleep_ms
    before = driver.fair_price_usd("BTC")
    with pytest.raises(KeyboardInterrupt):
        await driver.run()
    assert slept == [1_000] * 4
    assert driver.fair_price_usd("BTC") != before


def test_a_calm_premium_never_leaves_the_band() -> None:
    parameters = load_parameters()
    calm = replace(parameters.premium_of(LIGHTER, "BTC"), onsets_per_hour=0.0, calm_sd_bps=20.0)
    process = PremiumProcess(calm, parameters.band, 3.0, Random(1))
    premiums = [process.advance(0.5) for _ in range(2_000)]
    assert min(premiums) == parameters.band.low_bps
    assert max(premiums) == parameters.band.high_bps


def test_a_forced_episode_holds_its_premium_and_then_returns_to_the_band() -> None:
    parameters = load_parameters()
    calm = replace(parameters.premium_of(LIGHTER, "BTC"), onsets_per_hour=0.0)
    process = PremiumProcess(calm, parameters.band, 3.0, Random(1))
    process.force(-10.0, hours=2.0)
    assert process.premium_bps == pytest.approx(parameters.band.low_bps - 13.0)
    assert process.advance(1.0) < parameters.band.low_bps - 8
    for _ in range(10):
        process.advance(0.5)
    assert parameters.band.low_bps <= process.premium_bps <= parameters.band.high_bps


@pytest.mark.parametrize("mid", [99.9987, 100_000.4, 9.99996, 0.0123451])
def test_a_ladder_stays_on_the_grid_and_uncrossed_across_powers_of_ten(mid) -> None:
    market = listed_markets(HYPERLIQUID, frozenset(("HYPE",)))[0]
    bids, asks = LadderMaker(market, Liquidity(1.0, 2.0, 1_000.0, 10), 0.5, Random(1)).around(mid)
    prices = [price for price, _ in reversed(bids)] + [price for price, _ in asks]
    assert prices == sorted(set(prices))
    assert all(market.price_grid.allows(price) for price in prices)


def test_mean_ladder_sizes_hold_the_stated_notional() -> None:
    market = listed_markets(LIGHTER, frozenset(("BTC",)))[0]
    bids, _ = LadderMaker(market, Liquidity(1.0, 2.0, 50_000.0, 10), 0.0, None).around(60_000.0)
    assert [float(price * size) for price, size in bids] == pytest.approx([50_000.0] * 10, rel=0.01)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("levels = 10", "lacks levels"),
        ("size_sigma = 0.4", "lacks size_sigma"),
        ('class = "stock"', "class must be one of"),
    ],
)
def test_a_missing_parameter_is_named(broken, said) -> None:
    text = PARAMETERS_PATH.read_text(encoding="utf-8")
    assert broken in text
    with pytest.raises(ParametersUnreadable, match=said):
        parse_parameters(text.replace(broken, ""))


def test_an_unknown_parameter_is_named() -> None:
    text = PARAMETERS_PATH.read_text(encoding="utf-8").replace("[ladder]", "[ladder]\nlevel = 3")
    with pytest.raises(ParametersUnreadable, match=r"\[ladder\] has unknown level"):
        parse_parameters(text)
