"""The connector against the simulated venue's own wire, in virtual time, calm and with every fault."""

import contextlib
import random
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.venues.hyperliquid_fakes import NOW_MS, Recorder

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import LoopClock
from perpdesk.domain.orders import OrderIntent, OrderReport, OrderStatus, TimeInForce, filled_size
from perpdesk.sandbox.exchange import Exchange, SimStatus
from perpdesk.sandbox.faults import ALL_FAULTS, FaultPlan, FaultRates
from perpdesk.sandbox.network import InMemoryNetwork
from perpdesk.sandbox.rules import hyperliquid_market, hyperliquid_rules
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.sandbox.wire.hyperliquid import DeterministicVerifier, HyperliquidServer, RecoverSigner
from perpdesk.venues.base import (
    BookChanged,
    Filled,
    FundingChanged,
    NotSent,
    OrderChanged,
    OrderRejected,
    OutcomeUnknown,
    PrivateFeedRestored,
    RequestRefused,
    VenueError,
)
from perpdesk.venues.hyperliquid import (
    HyperliquidSettings,
    HyperliquidVenue,
    OfficialSigner,
    Signer,
    SimulatedSigner,
)

ACCOUNT = "0xec1c82c500672f858d702244a6e9b6620c6a70a2"
KEY = "0x1549ef6f0ebfaaac90d901b649761980847293e626a457b2e648a5c2ee04d75f"  # a published test vector
TTL_MS = 30_000
"""Longer than any request can be late, so that only the fence keeps a late order out."""
HEAVY = FaultRates(
    lost_before=0.06,
    refused=0.05,
    lost_after=0.08,
    delayed=0.08,
    duplicated=0.08,
    server_error=0.05,
    rate_limited=0.04,
    socket_cut=1.0,
    frame_lost=0.02,
    frame_duplicated=0.02,
    frame_delayed=0.01,
    frame_garbled=0.02,
    delay_ms_max=20_000,
)


class World:
    """One simulated venue with two markets that tick every second, and one connector on it."""

    def __init__(self, seed: int, rates: FaultRates | None, signer: Signer | None = None) -> None:
        self.clock = LoopClock(NOW_MS)
        self.faults = None if rates is None else FaultPlan(random.Random(f"{seed} faults"), rates, ALL_FAULTS)
        markets = [
            hyperliquid_market("SOL", 0, "SOL", 2, 20),
            hyperliquid_market("kPEPE", 1, "PEPE", 0, 10, Decimal(1000)),
        ]
        self.exchange = Exchange(VenueName.HYPERLIQUID, markets, hyperliquid_rules(), self.clock)
        self.exchange.open_account(ACCOUNT, Decimal(1_000_000))
        server = HyperliquidServer(
            self.exchange,
            self.clock,
            random.Random(seed),
            verifier=DeterministicVerifier() if signer is None else RecoverSigner(),
            weight_per_minute=None,
        )
        server.register(ACCOUNT)
        network = InMemoryNetwork(self.clock, random.Random(f"{seed} latency"), faults=self.faults)
        network.attach("http://sim", "ws://sim", server)
        self.network = network
        self.signer = signer or SimulatedSigner(ACCOUNT)
        self.rng = random.Random(f"{seed} desk")
        self.venue = self.connector()
        self.events = Recorder()
        self.price = Decimal("150.00")
        self.tick()

    def tick(self) -> None:
        """Move both markets by up to 0.1 %."""
        self.price = (self.price * (1 + Decimal(self.rng.randint(-10, 10)) / 10_000)).quantize(Decimal("0.01"))
        step = Decimal("0.01")
        self.exchange.set_prices(
            "SOL",
            self.price,
            [(self.price - step * n, Decimal(3)) for n in range(1, 6)],
            [(self.price + step * n, Decimal(3)) for n in range(1, 6)],
        )
        pepe = (self.price / 10_000).quantize(Decimal("0.00001"))
        step = Decimal("0.00001")
        self.exchange.set_prices(
            "kPEPE",
            pepe,
            [(pepe - step * n, Decimal(20_000)) for n in range(1, 6)],
            [(pepe + step * n, Decimal(20_000)) for n in range(1, 6)],
        )

    def connector(self) -> HyperliquidVenue:
        """A connector that knows nothing of earlier ones, as after a restart."""
        settings = HyperliquidSettings("http://sim", "ws://sim/ws", ACCOUNT)
        return HyperliquidVenue(
            self.network.http(), self.network.sockets(), self.clock, self.rng, settings, self.signer
        )

    async def start(self) -> None:
        """Start, as often as it takes."""
        while True:
            try:
                await self.venue.start(self.events)
            except VenueError:
                await self.clock.sleep_ms(500)
            else:
                return

    def intent(self, client_id: int) -> OrderIntent:
        """An order around the market: some trade, some rest, some can not."""
        asset = self.rng.choice(["SOL", "PEPE"])
        market = self.venue.markets[asset]
        side = self.rng.choice([Side.BUY, Side.SELL])
        offset = Decimal(self.rng.choice([-10, 0, 30])) / 10_000 * side.sign
        mid = self.price if asset == "SOL" else self.price / 10_000_000
        price = market.price_grid.floor(mid * (1 + offset))
        size = market.floor_size(Decimal(self.rng.randint(20, 900)) / price)
        tif = self.rng.choice([TimeInForce.IOC, TimeInForce.GTC, TimeInForce.POST_ONLY])
        expires_at_ms = self.clock.wall_ms() + TTL_MS
        return OrderIntent(client_id, VenueName.HYPERLIQUID, asset, side, size, price, tif, False, expires_at_ms)

    def truth(self, client_id: int) -> Any:
        return self.exchange.order_by_client_id(ACCOUNT, f"0x{client_id:032x}")


async def insist(clock: LoopClock, ask: Any) -> Any:
    """Repeat a read until the venue answers."""
    while True:
        try:
            return await ask()
        except (NotSent, RequestRefused):
            await clock.sleep_ms(700)


def run(main: Coroutine[Any, Any, None]) -> None:
    run_virtual(main)


def test_a_calm_venue_shows_books_funding_orders_fills_and_payments() -> None:
    async def main() -> None:
        world = World(1, rates=None)
        await world.start()
        for _ in range(5):
            world.tick()
            await world.clock.sleep_ms(1_000)
        events = world.events
        assert events.of(PrivateFeedRestored)
        assert {event.asset for event in events.of(BookChanged)} == {"SOL", "PEPE"}
        assert {event.asset for event in events.of(FundingChanged)} == {"SOL", "PEPE"}
        pepe = world.venue.markets["PEPE"]
        price = pepe.price_grid.floor(world.price / 10_000_000 * Decimal("1.01"))
        order = OrderIntent(
            42,
            VenueName.HYPERLIQUID,
            "PEPE",
            Side.BUY,
            Decimal(5_000_000),
            price,
            TimeInForce.IOC,
            False,
            NOW_MS + 90_000,
        )
        await world.venue.place(order)
        await world.clock.sleep_ms(1_000)
        assert {e.report.status for e in events.of(OrderChanged)} == {OrderStatus.FILLED}
        assert filled_size([e.fill for e in events.of(Filled)]) == 5_000_000
        report = await world.venue.fetch_order("PEPE", 42)
        assert report is not None
        assert report.filled_size == 5_000_000
        state = await world.venue.fetch_account()
        assert state.positions["PEPE"].size == 5_000_000
        assert state.equity_usd == round(world.exchange.equity_usd(ACCOUNT), 6)
        assert [f.trade_id for f in await world.venue.fetch_fills(0)] == [e.fill.trade_id for e in events.of(Filled)]
        world.exchange.sample_premium("kPEPE")
        world.exchange.settle_funding()
        await world.clock.sleep_ms(1_000)
        (payment,) = await world.venue.fetch_funding_payments(0)
        assert payment in [event.payment for event in events.events if hasattr(event, "payment")]
        assert (await world.venue.fetch_fees()).taker == Decimal("0.00045")
        assert set(await world.venue.fetch_funding()) == {"SOL", "PEPE"}
        assert (await world.venue.fetch_book("PEPE")).mid is not None
        assert world.venue.counters.frames_unreadable == world.venue.counters.errors == 0
        await world.venue.stop()

    run(main())


def test_official_signatures_are_accepted_end_to_end() -> None:
    async def main() -> None:
        world = World(1, rates=None, signer=OfficialSigner(KEY, is_mainnet=False))
        await world.start()
        for client_id in range(1, 9):
            with contextlib.suppress(OrderRejected):  # for its price; a bad signature would leave no trace of it
                await world.venue.place(world.intent(client_id))
            assert world.truth(client_id) is not None
        for report in await world.venue.fetch_open_orders():
            await world.venue.cancel(report.asset, report.client_id)
        assert await world.venue.fetch_open_orders() == ()
        await world.venue.stop()

    run(main())


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_wire_does_the_desk_knows_in_the_end_what_every_order_did(seed: int) -> None:
    """Lost, late, doubled and refused requests, cut sockets, damaged frames: settling always ends at the truth."""
    run(_orders_through_faults(seed))


async def _orders_through_faults(seed: int) -> None:
    world = World(seed, HEAVY)
    await world.start()
    never: list[int] = []
    refused: list[int] = []
    settled: dict[int, OrderReport] = {}
    for client_id in range(1, 61):
        world.tick()
        order = world.intent(client_id)
        try:
            await world.venue.place(order)
        except OutcomeUnknown:
            settler = world.venue if client_id % 2 else world.connector()
            report = await insist(world.clock, lambda order=order, by=settler: by.settle(order))
            if report is None:
                never.append(client_id)
            else:
                settled[client_id] = report
        except NotSent:
            never.append(client_id)
        except OrderRejected:
            refused.append(client_id)
        if client_id % 3 == 0 and world.truth(client_id) is not None:
            with contextlib.suppress(VenueError):
                await world.venue.cancel(order.asset, client_id)
        await world.clock.sleep_ms(300)
    await world.clock.sleep_ms(30_000)
    _require_truth(world, never, refused, settled)
    assert world.faults is not None
    world.faults.is_active = False
    await _require_account(world)
    assert {name for name, count in world.faults.counts.items() if count} >= {"lost_after", "delayed", "duplicated"}
    assert never
    assert settled
    await world.venue.stop()


def _require_truth(world: World, never: list[int], refused: list[int], settled: dict[int, OrderReport]) -> None:
    """What was called never taken was not, not even late; what was called final is what the venue did."""
    assert [n for n in never if world.truth(n) is not None] == []
    for client_id in refused:
        order = world.truth(client_id)
        assert order is None or (order.filled == 0 and order.status is not SimStatus.RESTING)
    for client_id, report in settled.items():
        order = world.truth(client_id)
        assert order is not None
        if report.status.is_final:
            assert report.filled_size == order.filled * world.venue.markets[report.asset].multiplier
            assert order.status is not SimStatus.RESTING


async def _require_account(world: World) -> None:
    """Fills by request add up to the positions, and the stream told no fill that the venue does not have."""
    await world.clock.sleep_ms(120_000)
    fills = await world.venue.fetch_fills(0)
    state = await world.venue.fetch_account()
    for asset in ("SOL", "PEPE"):
        held = state.positions[asset].size if asset in state.positions else 0
        assert sum(fill.signed_size for fill in fills if fill.asset == asset) == held
    known = {(fill.asset, fill.trade_id) for fill in fills}
    told = {(event.fill.asset, event.fill.trade_id) for event in world.events.of(Filled)}
    assert told <= known
    assert world.events.of(PrivateFeedRestored)
    resting = {report.client_id for report in await world.venue.fetch_open_orders()}
    assert resting == {n for n in range(1, 61) if (o := world.truth(n)) is not None and o.status is SimStatus.RESTING}


def test_a_seed_replays_exactly() -> None:
    counts = []
    for _ in range(2):
        world: list[World] = []

        async def main(kept: list[World] = world) -> None:
            kept.append(World(3, HEAVY))
            await kept[0].start()
            for client_id in range(1, 15):
                kept[0].tick()
                try:
                    await kept[0].venue.place(kept[0].intent(client_id))
                except VenueError:
                    await kept[0].clock.sleep_ms(100)
            await kept[0].venue.stop()

        run(main())
        counts.append((repr(world[0].venue.counters), [type(e).__name__ for e in world[0].events.events]))
    assert counts[0] == counts[1]
