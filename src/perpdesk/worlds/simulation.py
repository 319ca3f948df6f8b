"""Seeded fault simulation: the whole desk against the simulated venues in virtual time, one episode per seed.

Everything an episode does follows from its seed: markets, settings, faults, when the desk is killed and how. At the end
the faults stop, every pair is asked to close, and what is left is compared with the venues' books.
"""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy.engine import Engine

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.settings import DeskSettings, EntrySettings, ExecutionSettings, ExitSettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import LoopClock
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.drivers.parameters import SyntheticParameters, load_parameters
from perpdesk.sandbox.drivers.synthetic import SyntheticDriver
from perpdesk.sandbox.faults import FaultPlan, FaultRates
from perpdesk.sandbox.network import InMemoryNetwork, Sent
from perpdesk.sandbox.server import WireRequest
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.store.engine import make_engine
from perpdesk.store.schema import ensure_schema
from perpdesk.worlds.invariants import Invariants, Violation
from perpdesk.worlds.sandbox import Sandbox, SandboxOptions, build_sandbox
from perpdesk.worlds.summary import percentile
from perpdesk.worlds.virtual import DeskFactory, VirtualDesk, attach, bury, live, raise_desk

EPOCH_MS = 1_790_000_000_000
MS_PER_DAY = 86_400_000
CASH_USD = Decimal(100_000)
ASSETS = ("BTC", "ETH", "SOL", "DOGE", "PEPE", "FARTCOIN")
KILL = "kill"
"""The fault that is not on the wire: the desk dies and is started again on the same store."""

CALM_MS = 60_000
"""Faultless time given to the desk at the end before it is asked to close everything."""
CLOSE_LIMIT_MS = 900_000
"""Faultless time in which everything must be closed."""
KILL_PAUSE_MS = 20_000
LATE_MS = 15_000
"""How long a request that was under way may still arrive after its desk died; see FaultRates.delay_ms_max."""


@dataclass(frozen=True, slots=True)
class Episode:
    """What one seed did.

    Attributes:
        naked_ms: Every stretch with unequal legs, by the venues' fill times. residual_usd: Money nobody explains.
        trace_sha256: Of every request, order, fill and funding with its time; equal for equal seeds.
    """

    seed: int
    steps: int
    faults: dict[str, int]
    kills: int
    violations: tuple[Violation, ...]
    naked_ms: tuple[int, ...]
    pairs_opened: int
    pairs_closed: int
    residual_usd: Decimal | None
    simulated_ms: int
    trace_sha256: str


@dataclass(slots=True)
class _Stage:
    """Parts of a running episode."""

    seed: int
    clock: LoopClock
    rng: random.Random
    sandbox: Sandbox
    network: InMemoryNetwork
    faults: FaultPlan
    engine: Engine
    invariants: Invariants
    settings: DeskSettings
    factory: DeskFactory
    driver: SyntheticDriver
    digest: Any = field(default_factory=hashlib.sha256)
    incarnations: int = 0
    kills: int = 0


def simulate(seed: int, days: float, fault_names: frozenset[str], factory: DeskFactory = Desk) -> Episode:
    """Run one episode of `days` and its calm end.

    Args:
        fault_names: Faults of `sandbox.faults`, and `kill`.
        factory: Builds the desk; tests plant bugs here.
    """
    return run_virtual(_episode(seed, round(days * MS_PER_DAY), fault_names, factory))


async def _episode(seed: int, duration_ms: int, fault_names: frozenset[str], factory: DeskFactory) -> Episode:
    stage = _build(seed, fault_names, factory)
    stage.driver.open()
    background = frozenset({asyncio.create_task(stage.driver.run()), asyncio.current_task() or _no_task()})
    incarnation = await _raise(stage)
    end_ms = stage.clock.wall_ms() + duration_ms
    while stage.clock.wall_ms() < end_ms:
        life_ms = end_ms - stage.clock.wall_ms()
        is_killed = await _live_until(stage, incarnation, life_ms, KILL in fault_names)
        if is_killed:
            stage.kills += 1
            stage.invariants.note("desk killed")
            await bury(incarnation, background)
            await stage.clock.sleep_ms(stage.rng.randrange(100, KILL_PAUSE_MS))
            incarnation = await _raise(stage)
    residual = await _end(stage, incarnation)
    episode = _result(stage, incarnation, residual)
    incarnation.kill()
    await bury(incarnation, background)
    for task in background - {asyncio.current_task()}:
        task.cancel()
    stage.engine.dispose()
    return episode


def _no_task() -> "asyncio.Task[Any]":
    raise RuntimeError("an episode runs inside a task")


def _build(seed: int, fault_names: frozenset[str], factory: DeskFactory) -> _Stage:
    rng = random.Random(seed)
    clock = LoopClock(EPOCH_MS)
    assets = frozenset(rng.sample(ASSETS, 2))
    options = SandboxOptions(assets, CASH_USD, lighter_book_every_ms=200, hyperliquid_book_every_ms=500)
    sandbox = build_sandbox(options, clock, rng)
    _set_quirks(sandbox, rng)
    plan = FaultPlan(random.Random(rng.getrandbits(64)), _rates(rng), fault_names - {KILL}, is_write=_is_transaction)
    network = InMemoryNetwork(
        clock, random.Random(rng.getrandbits(64)), latency_ms=(5, rng.choice((20, 80))), faults=plan
    )
    attach(sandbox, network)
    engine = make_engine("sqlite:///:memory:")
    ensure_schema(engine)
    driver = SyntheticDriver(
        sandbox.exchanges,
        _parameters(),
        random.Random(rng.getrandbits(64)),
        clock,
        funding_every_ms=rng.choice((60_000, 300_000)),
        episodes_at_start=rng.choice((1, 2)),
    )
    invariants = Invariants(sandbox, engine, clock, CASH_USD)
    stage = _Stage(seed, clock, rng, sandbox, network, plan, engine, invariants, _settings(rng), factory, driver)
    invariants.on_trace = lambda line: stage.digest.update(line.encode())
    network.observe(lambda sent: _on_sent(stage, sent))
    return stage


_loaded: list[SyntheticParameters] = []


def _parameters() -> SyntheticParameters:
    if not _loaded:
        _loaded.append(load_parameters())
    return _loaded[0]


def _set_quirks(sandbox: Sandbox, rng: random.Random) -> None:
    lighter: Any = sandbox.servers[VenueName.LIGHTER]
    lighter.ghost_cancel = rng.random() < 0.3


def _is_transaction(request: WireRequest) -> bool:
    return request.method == "POST" and request.path != "/info"


def _rates(rng: random.Random) -> FaultRates:
    """From gentle to hostile."""
    harshness = rng.choice((0.3, 1.0, 1.5))
    request = 0.02 * harshness
    return FaultRates(
        lost_before=request,
        refused=request,
        lost_after=request,
        delayed=request,
        duplicated=request,
        server_error=request,
        rate_limited=request / 2,
        late_fill=0.3,
        socket_cut=0.3 * harshness,
        frame_lost=0.002 * harshness,
        frame_duplicated=0.002 * harshness,
        frame_delayed=0.0005 * harshness,
        frame_garbled=0.001 * harshness,
    )


def _settings(rng: random.Random) -> DeskSettings:
    """Short lives and varied sizes, so that an episode sees many entries, partial fills and exits."""
    return DeskSettings(
        entry=EntrySettings(
            notional_usd_max=rng.choice((Decimal(300), Decimal(3_000), Decimal(20_000))),
            style=rng.choice(("taker", "maker")),
            depth_share_max=rng.choice((0.3, 1.0)),
            carry_bps_per_hour_min=0.2,
            net_bps_per_hour_min=-5.0,
            break_even_hours_max=1_000.0,
            spread_bps_max=100.0,
            basis_bps_max=200.0,
            cooldown_ms=10_000,
            maker_wait_ms=rng.choice((2_000, 8_000)),
        ),
        execution=ExecutionSettings(band_bps=rng.choice((1.0, 5.0, 20.0)), naked_ms_max=rng.choice((2_000, 5_000))),
        exits=ExitSettings(
            hold_hours_max=rng.choice((30, 90, 300)) / 3600,
            flip_confirm_ms=rng.choice((5_000, 60_000)),
            profit_target_bps=rng.choice((5.0, 60.0)),
        ),
        account_every_ms=10_000,
        funding_poll_ms=20_000,
    )


def _on_sent(stage: _Stage, sent: Sent) -> None:
    stage.digest.update(f"{sent.at_ms} {sent.client} {sent.kind} {sent.path} ".encode() + sent.body)
    stage.invariants.on_sent(sent)


async def _raise(stage: _Stage) -> VirtualDesk:
    stage.incarnations += 1
    incarnation = await raise_desk(
        stage.sandbox,
        stage.network,
        stage.engine,
        stage.clock,
        random.Random(stage.rng.getrandbits(64)),
        stage.settings,
        name=f"desk{stage.incarnations}",
        seed=stage.seed,
        factory=stage.factory,
    )
    incarnation.task = asyncio.create_task(live(incarnation, stage.clock))
    return incarnation


async def _live_until(stage: _Stage, incarnation: VirtualDesk, life_ms: int, may_die: bool) -> bool:
    """Let the desk live for `life_ms` or until its chosen death; True when it died."""
    clock, rng = stage.clock, stage.rng
    end_ms = clock.wall_ms() + life_ms
    if may_die:
        end_ms = min(end_ms, clock.wall_ms() + _choose_death(stage, incarnation, rng))
    died_before_end = end_ms < clock.wall_ms() + life_ms
    while clock.wall_ms() < end_ms and not incarnation.is_dead:
        await clock.sleep_ms(min(1_000, end_ms - clock.wall_ms()))
        if not incarnation.is_dead:
            _require_alive(incarnation)
            stage.invariants.check_desk(incarnation.desk)
    if died_before_end and not incarnation.is_dead:
        incarnation.kill()
    return incarnation.is_dead


def _require_alive(incarnation: VirtualDesk) -> None:
    """A desk that ended by itself is a bug of its own: let its error out."""
    if incarnation.task is not None and incarnation.task.done():
        incarnation.task.result()
        raise RuntimeError("the desk ended by itself")


def _choose_death(stage: _Stage, incarnation: VirtualDesk, rng: random.Random) -> int:
    """Pick how the desk dies: at some time, right after some commit, or right after some order left. Returns the latest time."""
    way = rng.choice(("time", "commit", "send", "never"))
    if way == "commit":
        incarnation.store.on_commit = _countdown(rng.randrange(1, 120), incarnation.kill)
    elif way == "send":
        die = _countdown(rng.randrange(1, 12), incarnation.kill)
        name = f"desk{stage.incarnations}"
        stage.network.observe(lambda sent: die() if _is_deadly(stage, sent, name) else None)
    elif way == "time":
        return rng.randrange(1_000, 600_000)
    return MS_PER_DAY


def _is_deadly(stage: _Stage, sent: Sent, client: str) -> bool:
    """Whether this is a transaction of that desk, while faults still happen."""
    is_transaction = sent.kind == "http" and (sent.path.endswith("/exchange") or "sendTx" in sent.path)
    return stage.faults.is_active and sent.client == client and is_transaction


def _countdown(count: int, call: Callable[[], None]) -> Callable[[], None]:
    left = [count]

    def tick() -> None:
        left[0] -= 1
        if left[0] == 0:
            call()

    return tick


async def _end(stage: _Stage, incarnation: VirtualDesk) -> Decimal | None:
    """Stop the faults, close everything, and compare."""
    stage.faults.is_active = False
    incarnation.store.on_commit = None
    desk, clock = incarnation.desk, stage.clock
    desk.accepts_entries = False
    await clock.sleep_ms(CALM_MS)
    _require_alive(incarnation)
    deadline_ms = clock.wall_ms() + CLOSE_LIMIT_MS
    while desk.portfolio.open and clock.wall_ms() < deadline_ms:
        desk.request_close(None, "end of the episode")
        await clock.sleep_ms(1_000)
        _require_alive(incarnation)
        stage.invariants.check_desk(desk)
    if desk.portfolio.open:
        stuck = ", ".join(f"{ledger.pair.asset} {ledger.pair.state}" for ledger in desk.portfolio.open)
        stage.invariants.break_(8, "stuck", f"not closed {CLOSE_LIMIT_MS} ms after the last fault: {stuck}")
        return None
    await clock.sleep_ms(LATE_MS)
    await _load_history(desk, incarnation)
    for venue in stage.sandbox.exchanges:
        await desk.reconciler.sync_payments(venue)
    stage.invariants.check_flat()
    return stage.invariants.check_money(desk)


async def _load_history(desk: Desk, incarnation: VirtualDesk) -> None:
    """Bring pairs that ended under earlier incarnations back into the portfolio, for the sum of all money."""
    for pair in await desk.portfolio.journal.load_pairs(limit=100_000):
        if pair.pair_id not in desk.portfolio.ledgers:
            await desk.portfolio.load_pair(pair)


def _result(stage: _Stage, incarnation: VirtualDesk, residual: Decimal | None) -> Episode:
    ledgers = list(incarnation.desk.portfolio.ledgers.values())
    now_ms = stage.clock.wall_ms()
    faults = Counter(stage.faults.counts)
    return Episode(
        stage.seed,
        stage.invariants.steps,
        dict(faults),
        stage.kills,
        tuple(stage.invariants.violations),
        tuple(stretch for ledger in ledgers for stretch in ledger.naked(now_ms).stretches_ms),
        sum(1 for ledger in ledgers if ledger.pair.opened_at_ms is not None),
        sum(1 for ledger in ledgers if ledger.pair.state.is_ended and ledger.pair.opened_at_ms is not None),
        residual,
        now_ms - EPOCH_MS,
        stage.digest.hexdigest(),
    )


def summarise(episodes: list[Episode], real_s: float) -> dict[str, Any]:
    """The numbers of many episodes as one document, in order of seed."""
    episodes = sorted(episodes, key=lambda episode: episode.seed)
    naked = [stretch for episode in episodes for stretch in episode.naked_ms]
    faults: Counter[str] = Counter()
    for episode in episodes:
        faults.update(episode.faults)
    simulated_s = sum(episode.simulated_ms for episode in episodes) / 1000
    digest = hashlib.sha256("".join(episode.trace_sha256 for episode in episodes).encode()).hexdigest()
    residuals = [abs(episode.residual_usd) for episode in episodes if episode.residual_usd is not None]
    return {
        "seeds": len(episodes),
        "first_seed": episodes[0].seed if episodes else None,
        "steps": sum(episode.steps for episode in episodes),
        "faults": dict(sorted(faults.items())),
        "kills": sum(episode.kills for episode in episodes),
        "pairs_opened": sum(episode.pairs_opened for episode in episodes),
        "pairs_closed": sum(episode.pairs_closed for episode in episodes),
        "violations": sum(len(episode.violations) for episode in episodes),
        "violating_seeds": [episode.seed for episode in episodes if episode.violations],
        "naked_ms": {"p50": percentile(naked, 0.5), "p99": percentile(naked, 0.99), "max": max(naked, default=None)},
        "residual_usd_max": float(max(residuals, default=ZERO)),
        "simulated_days": simulated_s / 86_400,
        "x_real_time": simulated_s / real_s if real_s > 0 else None,
        "trace_sha256": digest,
    }
