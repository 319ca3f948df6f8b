"""The desk on a dry run: read-only connectors on simulated venues, pretended orders, in virtual time."""

import asyncio
import random
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy.engine import Engine

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.settings import DeskSettings, EntrySettings, ExitSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import LoopClock
from perpdesk.domain.fees import PUBLISHED_TIERS, FeeRates
from perpdesk.domain.pairs import PairState
from perpdesk.sandbox.drivers.parameters import load_parameters
from perpdesk.sandbox.drivers.synthetic import SyntheticDriver
from perpdesk.sandbox.exchange import SettledRate, SimFill, SimFunding, SimOrder, SimTrade
from perpdesk.sandbox.network import InMemoryNetwork, Sent
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.store.engine import make_engine
from perpdesk.store.journal import Journal
from perpdesk.store.schema import ensure_schema
from perpdesk.store.writer import Store
from perpdesk.venues.paper import PaperSettings, PaperVenue
from perpdesk.worlds.connect import VenueAccess, connect
from perpdesk.worlds.sandbox import Sandbox, SandboxOptions, build_sandbox
from perpdesk.worlds.virtual import HTTP_URL, WS_URL, attach

EPOCH_MS = 1_790_000_000_000
CASH_USD = Decimal(50_000)
FUNDING_EVERY_MS = 60_000
FEES = {
    VenueName.HYPERLIQUID: PUBLISHED_TIERS["hyperliquid"]["base"],
    VenueName.LIGHTER: FeeRates(Decimal("0.00002"), Decimal("0.0001")),
}
SETTINGS = DeskSettings(
    entry=EntrySettings(
        notional_usd_max=Decimal(3_000),
        carry_bps_per_hour_min=0.2,
        net_bps_per_hour_min=-5.0,
        break_even_hours_max=1_000.0,
        spread_bps_max=100.0,
        basis_bps_max=200.0,
        cooldown_ms=10_000,
        style="taker",
    ),
    exits=ExitSettings(hold_hours_max=240 / 3600, flip_confirm_ms=60_000),
    account_every_ms=10_000,
    funding_poll_ms=20_000,
)


class SettledRates:
    """Listens to one exchange and keeps what it really settled."""

    def __init__(self) -> None:
        self.rates: dict[tuple[str, int], SettledRate] = {}

    def on_settled(self, settled: SettledRate) -> None:
        self.rates[settled.symbol, settled.at_ms] = settled

    def on_book(self, symbol: str) -> None: ...

    def on_trade(self, trade: SimTrade) -> None: ...

    def on_fill(self, fill: SimFill) -> None: ...

    def on_order(self, order: SimOrder) -> None: ...

    def on_funding(self, funding: SimFunding) -> None: ...

    def on_prices(self, symbol: str) -> None: ...


@dataclass
class Stage:
    """A simulated market with a wire, and the store the desk keeps."""

    clock: LoopClock
    rng: random.Random
    sandbox: Sandbox
    network: InMemoryNetwork
    driver: SyntheticDriver
    engine: Engine
    writes: list[Sent] = field(default_factory=list)


@dataclass
class Run:
    """One desk on its dry-run venues."""

    desk: Desk
    venues: dict[VenueName, PaperVenue]
    store: Store
    task: "asyncio.Task[None]"


def build(seed: int) -> Stage:
    clock, rng = LoopClock(EPOCH_MS), random.Random(seed)
    options = SandboxOptions(frozenset({"BTC", "SOL"}), lighter_book_every_ms=200, hyperliquid_book_every_ms=500)
    sandbox = build_sandbox(options, clock, rng)
    network = InMemoryNetwork(clock, random.Random(rng.getrandbits(64)), latency_ms=(5, 40))
    attach(sandbox, network)
    driver = SyntheticDriver(
        sandbox.exchanges,
        load_parameters(),
        random.Random(rng.getrandbits(64)),
        clock,
        funding_every_ms=FUNDING_EVERY_MS,
        episodes_at_start=2,
    )
    engine = make_engine("sqlite:///:memory:")
    ensure_schema(engine)
    stage = Stage(clock, rng, sandbox, network, driver, engine)
    network.observe(
        lambda sent: stage.writes.append(sent) if "sendTx" in sent.path or "exchange" in sent.path else None
    )
    driver.open()
    return stage


async def raise_desk(stage: Stage, name: str) -> Run:
    """A desk on the stage's store; what the journal holds of a dry run goes on."""
    client = stage.network.client(name)
    access = {
        venue: VenueAccess(HTTP_URL.format(venue=venue.value), ws_url(venue)) for venue in stage.sandbox.exchanges
    }
    inner = connect(access, client.http(), client.sockets(), stage.clock, stage.rng)
    venues = {
        venue: PaperVenue(one, stage.clock, PaperSettings(CASH_USD, FEES[venue], funding_every_ms=FUNDING_EVERY_MS))
        for venue, one in inner.items()
    }
    store = Store(stage.engine, "inline", stage.clock)
    journal = Journal(store, stage.clock, stage.rng)
    run_id = await journal.begin_run("simulation", 1, 1)
    fills = [fill for fill, _ in await journal.load_fills_since(0)]
    payments = [payment for payment, _ in await journal.load_payments_since(0)]
    for venue in venues.values():
        venue.restore(fills, payments)
    desk = Desk(venues, journal, stage.clock, SETTINGS, run_id=run_id, salt=await journal.salt())
    await desk.start()
    return Run(desk, venues, store, asyncio.create_task(desk.run()))


def ws_url(venue: VenueName) -> str:
    return WS_URL.format(venue=venue.value) + ("/ws" if venue is VenueName.HYPERLIQUID else "/stream")


async def close_all(run: Run, clock: LoopClock) -> None:
    run.desk.accepts_entries = False
    for _ in range(600):
        run.desk.request_close(None, "end of the test")
        await clock.sleep_ms(1_000)
        if not run.desk.portfolio.open:
            return
    raise AssertionError("pairs are still open after ten minutes")


async def gained(run: Run) -> Decimal:
    """What the dry run's accounts gained since their first cash, USD."""
    accounts = [await venue.fetch_account() for venue in run.venues.values()]
    assert all(account.positions == {} for account in accounts)
    return sum((account.equity_usd - CASH_USD for account in accounts), Decimal(0))


async def check_funding(run: Run, settled: dict[VenueName, SettledRates]) -> None:
    """The last estimate before each settlement is within 3 % of what the venue then settled."""
    for name, venue in run.venues.items():
        payments = await venue.fetch_funding_payments(0)
        assert payments
        assert venue.paper.fundings_unknown == 0
        for payment in payments:
            truth = settled[name].rates[payment.asset, payment.at_ms]
            assert payment.size is not None
            expected = -payment.size * truth.price * truth.rate
            assert abs(payment.usd - expected) <= abs(expected) * Decimal("0.03")


async def end(run: Run) -> None:
    await run.desk.stop()
    await run.task
    await run.store.close()


def test_a_desk_opens_and_closes_pairs_and_explains_the_accounts_to_the_last_digit() -> None:
    async def scene() -> None:
        stage = build(seed=3)
        settled = {venue: SettledRates() for venue in stage.sandbox.exchanges}
        for venue, exchange in stage.sandbox.exchanges.items():
            exchange.listen(settled[venue])
        driving = asyncio.create_task(stage.driver.run())
        run = await raise_desk(stage, "desk")
        await stage.clock.sleep_ms(1_200_000)
        await close_all(run, stage.clock)
        pnl = run.desk.portfolio.pnl({})
        assert run.desk.counters.pairs_closed >= 2
        assert pnl.fees_usd < 0
        assert pnl.funding_usd != 0
        assert pnl.total_usd == await gained(run)
        assert not stage.writes
        await check_funding(run, settled)
        await end(run)
        driving.cancel()

    run_virtual(scene())


def test_a_dry_run_goes_on_from_the_journal_after_a_restart() -> None:
    async def scene() -> None:
        stage = build(seed=5)
        driving = asyncio.create_task(stage.driver.run())
        first = await raise_desk(stage, "first")
        while not any(ledger.pair.state is PairState.OPEN for ledger in first.desk.portfolio.open):
            await stage.clock.sleep_ms(1_000)
        await end(first)
        held = {v: (await venue.fetch_account()).positions for v, venue in first.venues.items()}
        second = await raise_desk(stage, "second")
        restored = {v: (await venue.fetch_account()).positions for v, venue in second.venues.items()}
        sizes = [{a: p.size for a, p in one.items()} for one in (*held.values(), *restored.values())]
        assert sizes[:2] == sizes[2:]
        assert any(sizes)
        await close_all(second, stage.clock)
        for pair in await second.desk.portfolio.journal.load_pairs():
            if pair.pair_id not in second.desk.portfolio.ledgers:
                await second.desk.portfolio.load_pair(pair)
        assert second.desk.portfolio.pnl({}).total_usd == await gained(second)
        assert second.desk.portfolio.unexplained == {}
        await end(second)
        driving.cancel()

    run_virtual(scene())
