"""Runs the desk over recorded hours in virtual time.

The engine, the connectors, the store and the venues' wire servers are those of every other world; books and funding come from
files. A hole in the data is a hole: books are empty, no funding is paid, and a pair that is open when one begins is closed
two minutes before, on the last books there are. That is the only use made of the future: it ends trades the data can
not follow, at their ordinary costs, and decides no entry and no profit.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import IntEnum
from functools import partial

from sqlalchemy.engine import Engine

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import LoopClock
from perpdesk.history.dataset import HourlyData
from perpdesk.history.rows import HOUR_MS
from perpdesk.history.statistics import Coverage
from perpdesk.history.trades import Trade
from perpdesk.sandbox.drivers.parameters import load_parameters
from perpdesk.sandbox.drivers.recorded import RecordedDriver, RecordedHour, RecordedParameters
from perpdesk.sandbox.network import InMemoryNetwork
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.store.engine import make_engine
from perpdesk.store.schema import ensure_schema
from perpdesk.worlds.hourly_books import HourlyBooks
from perpdesk.worlds.hourly_desk import ACCESS_OPTIONS, HourlyDesk, pace
from perpdesk.worlds.sandbox import SANDBOX_VENUES, Sandbox, SandboxOptions, build_sandbox
from perpdesk.worlds.virtual import VirtualDesk, attach, bury, live, raise_desk

LEAD_MS = 420_000
"""The desk is started this long before the first hour; the daily end of a venue's connections then never falls on an hour."""
SAMPLE_MS = 300_000
"""Into each covered hour: when equity is noted and refusals are counted."""
CLOSE_MS = 120_000
"""Before a hole: when open pairs of the asset are asked to close."""
CLOSE_RETRY_MS = 2_000
END_MS_MAX = 600_000
"""Longest wait for the last pairs to close."""
BOOK_EVERY_MS = 50
LATENCY_MS = (1, 2)
END_OF_DATA, DATA_HOLE = "end of data", "data hole"


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """What a recording does not say.

    Attributes:
        cash_usd: Per venue. fee_tiers: By venue, names of `domain.fees.PUBLISHED_TIERS`; a venue left out has its base tier.
        refresh_ms: Time between two books; divides the hour. spread_factor: Multiplies the fitted spreads.
        seed: Of latencies, salts and keys; it moves no price.
    """

    cash_usd: Decimal = Decimal(10_000)
    fee_tiers: Mapping[VenueName, str] = field(default_factory=dict)
    refresh_ms: int = 900_000
    spread_factor: float = 1.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind.

    Attributes:
        curves: (Unix ms, net USD so far) by coin, once an hour and at the end. total: The same over all coins.
        not_filled: Pairs that were decided and never held anything.
        held_in_hole: Pair-hours open although the data had a hole; zero unless closing failed.
        unclosed: Pairs still open at the end, in words; empty unless closing failed.
        residual_usd: What the venues' accounts gained beyond what the desk explains.
    """

    trades: tuple[Trade, ...]
    coverage: dict[str, Coverage]
    curves: dict[str, list[tuple[int, Decimal]]]
    total: list[tuple[int, Decimal]]
    not_filled: int
    held_in_hole: int
    unclosed: tuple[str, ...]
    residual_usd: Decimal
    simulated_ms: int


def replay_hours(data: HourlyData, settings: DeskSettings, options: BacktestOptions) -> Outcome:
    """Replay `data`; equal arguments give an equal outcome.

    Raises:
        ValueError: A venue can not be simulated or lacks a coin or fee tier, or `refresh_ms` does not divide the hour.
    """
    require_simulated(data.venues)
    return run_virtual(_replay(data, settings, options))


def require_simulated(venues: tuple[str, ...]) -> None:
    """ValueError unless two venues are chosen and both can be simulated."""
    simulated = tuple(venue.value for venue in SANDBOX_VENUES)
    for venue in venues:
        if venue not in simulated:
            raise ValueError(
                f"{venue} is not simulated yet, so it can not be backtested; use {' and '.join(simulated)}"
            )
    if set(venues) != set(simulated):
        raise ValueError(f"a backtest needs two venues; use {' and '.join(simulated)}")


@dataclass(frozen=True, slots=True)
class _Stage:
    """Parts of a replay."""

    clock: LoopClock
    sandbox: Sandbox
    network: InMemoryNetwork
    engine: Engine
    driver: RecordedDriver
    settings: DeskSettings
    options: BacktestOptions
    rng: random.Random


def _build(data: HourlyData, settings: DeskSettings, options: BacktestOptions) -> _Stage:
    first_ms = min(hours[0].at_ms for hours in data.hours.values() if hours)
    clock, rng = LoopClock(first_ms - LEAD_MS), random.Random(options.seed)
    asked = SandboxOptions(
        assets=frozenset(data.coins),
        cash_usd=options.cash_usd,
        hyperliquid_book_every_ms=BOOK_EVERY_MS,
        lighter_book_every_ms=BOOK_EVERY_MS,
        has_idle_limits=False,
        has_rate_limits=False,
    )
    sandbox = build_sandbox(asked, clock, rng)
    _set_fee_tiers(sandbox, options.fee_tiers)
    network = InMemoryNetwork(clock, random.Random(rng.getrandbits(64)), latency_ms=LATENCY_MS)
    attach(sandbox, network)
    engine = make_engine("sqlite:///:memory:")
    ensure_schema(engine)
    series = _series(data)
    fitted = RecordedParameters.fitted(load_parameters(), series, options.refresh_ms)
    liquidity = {
        key: replace(ladder, spread_bps=ladder.spread_bps * options.spread_factor)
        for key, ladder in fitted.liquidity.items()
    }
    driver = RecordedDriver(sandbox.exchanges, series, replace(fitted, liquidity=liquidity), clock)
    paced = pace(settings, data.coins, options.refresh_ms)
    return _Stage(clock, sandbox, network, engine, driver, paced, options, rng)


def _series(data: HourlyData) -> dict[tuple[VenueName, str], tuple[RecordedHour, ...]]:
    """What each venue shows: covered hours only, so that both are silent in a hole of either."""
    return {
        (VenueName(venue), coin): tuple(
            RecordedHour(hour.at_ms, *hour.prices[venue], hour.rates[venue], hour.is_price_assumed)
            for hour in data.hours[coin]
        )
        for venue in data.venues
        for coin in data.coins
    }


def _set_fee_tiers(sandbox: Sandbox, tiers: Mapping[VenueName, str]) -> None:
    for venue, tier in tiers.items():
        exchange = sandbox.exchanges[venue]
        if tier not in exchange.rules.fee_tiers:
            raise ValueError(f"{venue} has no fee tier {tier!r}; it has {', '.join(exchange.rules.fee_tiers)}")
        for opened in sandbox.accounts[venue]:
            account = exchange.account(opened.exchange_id)
            if account is not None:
                account.fee_tier = tier


async def _replay(data: HourlyData, settings: DeskSettings, options: BacktestOptions) -> Outcome:
    stage = _build(data, settings, options)
    survivors = frozenset(task for task in (asyncio.current_task(),) if task is not None)
    incarnation = await raise_desk(
        stage.sandbox,
        stage.network,
        stage.engine,
        stage.clock,
        stage.rng,
        stage.settings,
        name="desk",
        seed=options.seed,
        factory=partial(HourlyDesk, refresh_ms=options.refresh_ms),
        access_options=ACCESS_OPTIONS,
    )
    stage.driver.open()
    incarnation.task = asyncio.create_task(live(incarnation, stage.clock))
    try:
        return await _Replay(data, stage, incarnation).run()
    finally:
        incarnation.kill()
        await bury(incarnation, survivors)
        stage.engine.dispose()


class _Moment(IntEnum):
    """What happens at one time of a covered hour; at the same time in this order."""

    STEP = 0
    SAMPLE = 1
    CLOSE = 2


class _Replay:
    """Walks through the covered hours: moves the venues, notes what the desk did, ends trades before holes."""

    def __init__(self, data: HourlyData, stage: _Stage, incarnation: VirtualDesk) -> None:
        desk = incarnation.desk
        assert isinstance(desk, HourlyDesk)
        self._data = data
        self._stage = stage
        self._clock = stage.clock
        self._desk = desk
        self._incarnation = incarnation
        self._covered = {coin: {hour.at_ms: hour for hour in hours} for coin, hours in data.hours.items()}
        self._coverage = {coin: _coverage(data, coin) for coin in data.coins}
        self._books = HourlyBooks(data, desk, stage.sandbox, stage.clock)
        self._held_in_hole = 0

    async def run(self) -> Outcome:
        began_ms = self._clock.wall_ms()
        for at_ms, moment in self._timeline():
            await self._clock.sleep_ms(at_ms - self._clock.wall_ms())
            self._require_alive()
            match moment:
                case _Moment.STEP:
                    self._step()
                case _Moment.SAMPLE:
                    self._sample(at_ms)
                case _Moment.CLOSE:
                    await self._close_before_holes(at_ms - at_ms % HOUR_MS)
        await self._close_all()
        self._books.note(self._clock.wall_ms())
        return self._outcome(self._clock.wall_ms() - began_ms)

    def _timeline(self) -> Iterator[tuple[int, _Moment]]:
        """Moments of every hour in which any coin is covered, and the first of each hole of all of them."""
        hours = sorted(set().union(*self._covered.values()))
        refresh_ms = self._stage.options.refresh_ms
        in_hour = [(into_ms, _Moment.STEP) for into_ms in range(0, HOUR_MS, refresh_ms)]
        in_hour += [(SAMPLE_MS, _Moment.SAMPLE), (HOUR_MS - CLOSE_MS, _Moment.CLOSE)]
        in_hour.sort()
        known = set(hours)
        for at_ms in hours:
            for into_ms, moment in in_hour:
                yield at_ms + into_ms, moment
            if at_ms + HOUR_MS not in known and at_ms != hours[-1]:
                yield at_ms + HOUR_MS, _Moment.STEP

    def _require_alive(self) -> None:
        """A desk that ended by itself is a bug of its own: let its error out."""
        task = self._incarnation.task
        if task is not None and task.done():
            task.result()
            raise RuntimeError("the desk ended by itself")

    # Moments ---------------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        now_ms = self._clock.wall_ms()
        self._desk.ending = frozenset()
        self._stage.driver.step(now_ms)
        if now_ms % HOUR_MS == 0:
            self._held_in_hole += sum(now_ms not in self._covered[led.pair.asset] for led in self._desk.portfolio.open)

    def _sample(self, at_ms: int) -> None:
        """Note the equity, and for each covered coin without a pair what speaks against one."""
        self._books.note(at_ms)
        held = {ledger.pair.asset for ledger in self._desk.portfolio.open}
        for coin, hours in self._covered.items():
            if at_ms - at_ms % HOUR_MS in hours and coin not in held:
                reasons = [check.name for check in self._desk.reasons_against(coin)]
                self._coverage[coin].refusals.update(reasons[:1])
                self._coverage[coin].refusals_any.update(reasons)

    async def _close_before_holes(self, hour_ms: int) -> None:
        """End the pairs of every coin whose recording pauses with this hour; ask again until they are flat or it has."""
        reasons = {
            coin: END_OF_DATA if hour_ms == self._data.hours[coin][-1].at_ms else DATA_HOLE
            for coin, hours in self._covered.items()
            if hour_ms in hours and hour_ms + HOUR_MS not in hours
        }
        self._desk.ending = frozenset(reasons)
        while self._clock.wall_ms() < hour_ms + HOUR_MS - CLOSE_RETRY_MS:
            left = {ledger.pair.asset for ledger in self._desk.portfolio.open} & reasons.keys()
            if not left:
                return
            for coin in sorted(left):
                self._desk.request_close(coin, reasons[coin])
            await self._clock.sleep_ms(CLOSE_RETRY_MS)

    async def _close_all(self) -> None:
        """The recording is over: its last books stay until everything is closed."""
        self._desk.accepts_entries = False
        deadline_ms = self._clock.wall_ms() + END_MS_MAX
        while self._desk.portfolio.open and self._clock.wall_ms() < deadline_ms:
            self._require_alive()
            self._desk.request_close(None, END_OF_DATA)
            await self._clock.sleep_ms(CLOSE_RETRY_MS)
        for venue in self._stage.sandbox.exchanges:
            await self._desk.reconciler.sync_payments(venue)

    def _outcome(self, simulated_ms: int) -> Outcome:
        portfolio = self._desk.portfolio
        return Outcome(
            self._books.trades(),
            self._coverage,
            self._books.curves,
            self._books.total,
            sum(1 for ledger in portfolio.ledgers.values() if not ledger.fills),
            self._held_in_hole,
            tuple(f"{ledger.pair.asset} ({ledger.pair.state})" for ledger in portfolio.open),
            self._books.residual_usd(self._stage.options.cash_usd),
            simulated_ms,
        )


def _coverage(data: HourlyData, coin: str) -> Coverage:
    hours = data.hours[coin]
    assumed = sum(hour.is_price_assumed for hour in hours)
    return Coverage(len(hours), data.hours_in_range - len(hours), assumed)
