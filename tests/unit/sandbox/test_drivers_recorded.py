"""Recorded hours on real exchange cores: holes stay holes, and nothing is known before its time."""

from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.drivers.parameters import load_parameters
from perpdesk.sandbox.drivers.recorded import HOUR_MS, RecordedDriver, RecordedHour, RecordedParameters
from perpdesk.sandbox.exchange import Exchange, NewOrder, SimStatus
from perpdesk.sandbox.listings import listed_markets
from perpdesk.sandbox.rules import hyperliquid_rules, lighter_rules

HYPERLIQUID, LIGHTER = VenueName.HYPERLIQUID, VenueName.LIGHTER
START_MS = 472_222 * HOUR_MS
REFRESH_MS = 900_000


def hour(number, price, close, rate, is_price_assumed=False):
    rate = None if rate is None else Decimal(rate)
    return RecordedHour(START_MS + number * HOUR_MS, Decimal(price), Decimal(close), rate, is_price_assumed)


HYPE = (hour(0, "40", "42", "0.00001"), hour(1, "42", "41", "0.00002"), hour(2, "41", "41", "0.00003"))
PEPE_WITH_A_HOLE = (hour(0, "0.00001", "0.000012", "0.00004"), hour(2, "0.000011", "0.000011", "-0.00005"))


def replayed(series, start_ms=START_MS, refresh_ms=REFRESH_MS):
    clock = ManualClock(start_ms)
    exchanges = {
        HYPERLIQUID: Exchange(HYPERLIQUID, listed_markets(HYPERLIQUID, None), hyperliquid_rules(), clock),
        LIGHTER: Exchange(LIGHTER, listed_markets(LIGHTER, None), lighter_rules(), clock),
    }
    parameters = RecordedParameters.fitted(load_parameters(), series, refresh_ms)
    driver = RecordedDriver(exchanges, series, parameters, clock)
    driver.open()
    return driver, exchanges, clock


def go(driver, clock, until_ms):
    while clock.wall_ms() < until_ms:
        clock.advance_ms(driver.next_boundary_ms(clock.wall_ms()) - clock.wall_ms())
        driver.step(clock.wall_ms())


def buy(exchange, symbol, size, price):
    if exchange.account("1") is None:
        exchange.open_account("1", Decimal(10_000))
    return exchange.submit(NewOrder("1", symbol, Side.BUY, Decimal(size), Decimal(price), TimeInForce.IOC))


def test_the_price_moves_from_the_hours_open_towards_its_close() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "HYPE"): HYPE})
    seen = [exchanges[HYPERLIQUID].index_price("HYPE")]
    for _ in range(4):
        go(driver, clock, clock.wall_ms() + REFRESH_MS)
        seen.append(exchanges[HYPERLIQUID].index_price("HYPE"))
    assert [str(price) for price in seen] == ["40", "40.5", "41", "41.5", "42"]


def test_books_stand_around_the_price_with_the_fitted_spread() -> None:
    _, exchanges, _ = replayed({(HYPERLIQUID, "HYPE"): HYPE, (LIGHTER, "HYPE"): HYPE})
    bids, asks = exchanges[LIGHTER].book("HYPE")
    spread_bps = float((asks[0][0] - bids[0][0]) / Decimal(40)) * 10_000
    assert spread_bps == pytest.approx(load_parameters().liquidity(LIGHTER, "HYPE").spread_bps, rel=0.05)
    assert len(bids) == 10


def test_scaled_contracts_are_priced_by_their_multiplier() -> None:
    _, exchanges, _ = replayed({(HYPERLIQUID, "PEPE"): PEPE_WITH_A_HOLE})
    assert exchanges[HYPERLIQUID].index_price("kPEPE") == Decimal("0.01")


def test_during_an_hour_the_estimate_is_the_rate_settled_at_its_start() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "HYPE"): HYPE})
    estimates = []
    for _ in range(8):
        estimates.append(str(exchanges[HYPERLIQUID].estimated_rate("HYPE")))
        go(driver, clock, clock.wall_ms() + REFRESH_MS)
    assert estimates == ["0.00001"] * 4 + ["0.00002"] * 4


def test_each_hour_settles_the_rate_recorded_for_that_moment() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "HYPE"): HYPE})
    go(driver, clock, START_MS + 2 * HOUR_MS)
    settled = exchanges[HYPERLIQUID].settled_rates("HYPE")
    assert [(row.at_ms - START_MS, str(row.rate), row.price) for row in settled] == [
        (HOUR_MS, "0.00002", Decimal(42)),
        (2 * HOUR_MS, "0.00003", Decimal(41)),
    ]


def test_a_long_position_pays_the_recorded_rate_on_the_hours_opening_price() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "HYPE"): HYPE})
    exchange = exchanges[HYPERLIQUID]
    assert buy(exchange, "HYPE", "2", "41").status is SimStatus.FILLED
    go(driver, clock, START_MS + HOUR_MS)
    assert [payment.usd for payment in exchange.account("1").fundings] == [Decimal("-2") * 42 * Decimal("0.00002")]


def test_a_hole_has_no_liquidity_and_keeps_the_last_index() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "PEPE"): PEPE_WITH_A_HOLE})
    exchange = exchanges[HYPERLIQUID]
    go(driver, clock, START_MS + HOUR_MS)
    last = exchange.index_price("kPEPE")
    assert exchange.book("kPEPE") == ([], [])
    go(driver, clock, START_MS + HOUR_MS + 3 * REFRESH_MS)
    assert exchange.book("kPEPE") == ([], [])
    assert exchange.index_price("kPEPE") == last
    assert buy(exchange, "kPEPE", "1000", "0.02").filled == 0


def test_a_hole_settles_nothing_there_while_other_markets_settle() -> None:
    series = {(HYPERLIQUID, "PEPE"): PEPE_WITH_A_HOLE, (HYPERLIQUID, "HYPE"): HYPE}
    driver, exchanges, clock = replayed(series)
    exchange = exchanges[HYPERLIQUID]
    buy(exchange, "kPEPE", "10000", "0.02")
    go(driver, clock, START_MS + HOUR_MS)
    assert exchange.account("1").fundings == []
    assert exchange.settled_rates("kPEPE") == []
    assert len(exchange.settled_rates("HYPE")) == 1
    go(driver, clock, START_MS + 2 * HOUR_MS)
    assert [(row.symbol, str(row.rate)) for row in exchange.account("1").fundings] == [("kPEPE", "-0.00005")]


def test_after_a_hole_the_book_is_back_at_the_recorded_price() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "PEPE"): PEPE_WITH_A_HOLE})
    go(driver, clock, START_MS + 2 * HOUR_MS)
    assert exchanges[HYPERLIQUID].index_price("kPEPE") == Decimal("0.011")
    assert exchanges[HYPERLIQUID].book("kPEPE")[0]


def test_an_hour_without_a_recorded_rate_trades_but_settles_nothing() -> None:
    driver, exchanges, clock = replayed(
        {(LIGHTER, "HYPE"): (hour(0, "40", "40", "0.00001"), hour(1, "40", "40", None))}
    )
    go(driver, clock, START_MS + HOUR_MS)
    assert exchanges[LIGHTER].book("HYPE")[0]
    assert exchanges[LIGHTER].settled_rates("HYPE") == []


def test_one_long_step_settles_every_hour_on_the_way() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "HYPE"): HYPE})
    clock.advance_ms(2 * HOUR_MS + 5)
    driver.step(clock.wall_ms())
    assert [str(row.rate) for row in exchanges[HYPERLIQUID].settled_rates("HYPE")] == ["0.00002", "0.00003"]


def test_opening_inside_an_hour_settles_nothing_and_knows_only_that_hour() -> None:
    _, exchanges, _ = replayed({(HYPERLIQUID, "HYPE"): HYPE}, start_ms=START_MS + HOUR_MS + 2 * REFRESH_MS + 7)
    assert exchanges[HYPERLIQUID].settled_rates("HYPE") == []
    assert exchanges[HYPERLIQUID].index_price("HYPE") == Decimal("41.5")
    assert exchanges[HYPERLIQUID].estimated_rate("HYPE") == Decimal("0.00002")


def test_opening_in_a_hole_gives_no_price_at_all() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "PEPE"): PEPE_WITH_A_HOLE}, start_ms=START_MS + HOUR_MS)
    with pytest.raises(KeyError):
        exchanges[HYPERLIQUID].index_price("kPEPE")
    go(driver, clock, START_MS + 2 * HOUR_MS)
    assert exchanges[HYPERLIQUID].index_price("kPEPE") == Decimal("0.011")


def test_a_step_between_boundaries_changes_no_book() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "HYPE"): HYPE})
    changes = []

    class Listener:
        def __getattr__(self, name):
            return lambda *_: changes.append(name)

    exchanges[HYPERLIQUID].listen(Listener())
    clock.advance_ms(REFRESH_MS - 1)
    driver.step(clock.wall_ms())
    assert changes == []


def test_the_present_hour_tells_whether_its_price_is_assumed() -> None:
    driver, _, _ = replayed({(LIGHTER, "HYPE"): (hour(0, "40", "40", None, is_price_assumed=True),)})
    present = driver.hour(LIGHTER, "HYPE", START_MS + 5)
    assert present is not None
    assert present.is_price_assumed
    assert driver.hour(LIGHTER, "HYPE", START_MS + HOUR_MS) is None


@pytest.mark.parametrize(
    ("series", "refresh_ms", "said"),
    [
        ({(HYPERLIQUID, "DOTS"): HYPE}, REFRESH_MS, "does not list"),
        ({(VenueName.EXTENDED, "HYPE"): HYPE}, REFRESH_MS, "no such exchange"),
        ({(HYPERLIQUID, "HYPE"): HYPE + HYPE[:1]}, REFRESH_MS, "given twice"),
        (
            {(HYPERLIQUID, "HYPE"): (RecordedHour(START_MS + 1, Decimal(1), Decimal(1), None, False),)},
            REFRESH_MS,
            "on the hour",
        ),
        ({(HYPERLIQUID, "HYPE"): (hour(0, "0", "1", None),)}, REFRESH_MS, "positive prices"),
        ({(HYPERLIQUID, "HYPE"): HYPE}, 7_000_000, "must divide an hour"),
    ],
)
def test_a_series_that_can_not_be_replayed_is_refused(series, refresh_ms, said) -> None:
    liquidity = dict.fromkeys(series, load_parameters().liquidity(HYPERLIQUID, "HYPE"))
    clock = ManualClock(START_MS)
    exchanges = {HYPERLIQUID: Exchange(HYPERLIQUID, listed_markets(HYPERLIQUID, None), hyperliquid_rules(), clock)}
    with pytest.raises(ValueError, match=said):
        RecordedDriver(exchanges, series, RecordedParameters(liquidity, refresh_ms), clock)


async def test_run_wakes_at_each_boundary_only() -> None:
    driver, exchanges, clock = replayed({(HYPERLIQUID, "HYPE"): HYPE}, start_ms=START_MS + 60_000)
    slept = []

    async def sleep_ms(duration):
        slept.append(duration)
        if len(slept) > 3:
            raise KeyboardInterrupt
        clock.advance_ms(duration)

    clock.sleep_ms = sleep_ms
    with pytest.raises(KeyboardInterrupt):
        await driver.run()
    assert slept == [REFRESH_MS - 60_000, REFRESH_MS, REFRESH_MS, REFRESH_MS]
    assert exchanges[HYPERLIQUID].index_price("HYPE") == Decimal("41.5")
