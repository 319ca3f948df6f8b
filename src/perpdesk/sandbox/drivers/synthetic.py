"""A market of its own: one fair price per asset, a premium per venue, fresh ladders and anonymous flow at every tick.

The index of an asset is the same fair price on every venue; a venue's mid is index x (1 + premium). Funding is not set: it
follows from premium samples through each venue's own formula, so it sits at the baseline most hours and only episodes pay.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import exp, log, sqrt
from random import Random

import structlog

from perpdesk.domain.assets import AssetKind, VenueName, listing_of
from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import floor_to
from perpdesk.sandbox.drivers.ladders import LadderMaker, Ladders
from perpdesk.sandbox.drivers.parameters import AssetClass, AssetParameters, Flow, SyntheticParameters
from perpdesk.sandbox.drivers.premium import RATE_HOURS, CommonRegime, PremiumProcess
from perpdesk.sandbox.exchange import Exchange, ListedMarket

log_events = structlog.get_logger(__name__)

HOUR_MS = 3_600_000
SAMPLES_PER_INTERVAL_MIN = 10
"""Premium samples a funding interval has at least, so that a shortened interval is still a mean."""
ORDERS_PER_TICK_MAX = 4
"""Aggressive orders on one market in one tick; a long tick would otherwise eat the whole ladder, which refills only once."""


@dataclass(slots=True)
class _DrivenMarket:
    exchange: Exchange
    listed: ListedMarket
    ladders: LadderMaker
    premium: PremiumProcess
    flow: Flow
    laid: Ladders = field(default_factory=lambda: ([], []))


class _FairPrice:
    """Geometric Brownian motion without drift, and jumps that play out over minutes as recorded moves do."""

    __slots__ = ("_jump_hours", "_parameters", "_pending", "_rng", "usd")

    def __init__(self, parameters: AssetParameters, jump_hours: float, rng: Random) -> None:
        self._parameters = parameters
        self._jump_hours = jump_hours
        self._rng = rng
        self._pending = 0.0
        self.usd = parameters.start_price_usd

    def advance(self, hours: float) -> None:
        """Let `hours` of price time pass."""
        parameters, rng = self._parameters, self._rng
        if rng.random() < parameters.jumps_per_hour * hours:
            self._pending += rng.gauss(0.0, parameters.jump_size)
        moved = self._pending * (1 - exp(-hours / self._jump_hours))
        self._pending -= moved
        self.usd *= exp(moved + rng.gauss(0.0, parameters.volatility_hourly * sqrt(hours)))


class SyntheticDriver:
    """Moves every market of `exchanges`.

    Args:
        tick_ms: Time between two steps; also how far each step moves prices.
        funding_every_ms: Length of a funding interval; boundaries are multiples of it in Unix time. One interval is charged one
            hour's rate and counts as one hour for the premium's episodes, so a shortened interval speeds funding up as a whole.
        premium_every_ms: Time between premium samples; shortened so that an interval has SAMPLES_PER_INTERVAL_MIN.
        episodes_at_start: Assets that begin with a rate difference between two venues worth trading.

    Raises:
        ParametersUnreadable: A listed asset was never fitted.
        ValueError: A duration is not positive, or more episodes are asked for than there are assets on two venues.
    """

    def __init__(
        self,
        exchanges: Mapping[VenueName, Exchange],
        parameters: SyntheticParameters,
        rng: Random,
        clock: Clock,
        *,
        tick_ms: int = 1_000,
        funding_every_ms: int = HOUR_MS,
        premium_every_ms: int = 60_000,
        episodes_at_start: int = 0,
    ) -> None:
        if min(tick_ms, funding_every_ms, premium_every_ms) <= 0:
            raise ValueError("tick_ms, funding_every_ms and premium_every_ms must be positive")
        self._exchanges = [exchanges[venue] for venue in sorted(exchanges)]
        self._parameters = parameters
        self._rng = rng
        self._clock = clock
        self._tick_ms = tick_ms
        self._funding_every_ms = funding_every_ms
        self._premium_every_ms = max(min(premium_every_ms, funding_every_ms // SAMPLES_PER_INTERVAL_MIN), 1)
        self._funding_due_ms = self._next_boundary_ms(funding_every_ms)
        self._premium_due_ms = self._next_boundary_ms(self._premium_every_ms)
        self._markets = self._drive()
        self._fair = {asset: _FairPrice(parameters.asset(asset), parameters.jump_hours, rng) for asset in self._markets}
        self._common = {
            asset: CommonRegime(parameters.common_of(asset), [market.premium for market in markets], rng)
            for asset, markets in self._markets.items()
        }
        self._start_episodes(episodes_at_start)

    def fair_price_usd(self, asset: str) -> float:
        """The hidden fair price per unit of `asset`; KeyError when it is not listed anywhere."""
        return self._fair[asset].usd

    def premium_bps(self, venue: VenueName, asset: str) -> float:
        """The hidden premium of the venue's mid over the index; KeyError when it is not listed there."""
        for market in self._markets[asset]:
            if market.exchange.venue is venue:
                return market.premium.premium_bps
        raise KeyError(f"{asset} is not listed on {venue}")

    def open(self) -> None:
        """Set first prices and take a first premium sample everywhere, before any client connects."""
        self._funding_due_ms = self._next_boundary_ms(self._funding_every_ms)
        listings = self._listings()
        for asset, markets in self._markets.items():
            self._lay(asset, markets, listings)
        self._sample()

    def step(self) -> None:
        """Let one tick pass. A funding boundary that passed is settled first, on the state the interval ended with."""
        now_ms = self._clock.wall_ms()
        is_settling = now_ms >= self._funding_due_ms
        if is_settling:
            self._settle()
        price_hours, premium_hours = self._tick_ms / HOUR_MS, self._tick_ms / self._funding_every_ms
        listings = self._listings()
        for asset, markets in self._markets.items():
            self._fair[asset].advance(price_hours)
            self._common[asset].advance(premium_hours)
            for market in markets:
                market.premium.advance(premium_hours)
            self._lay(asset, markets, listings)
        if is_settling or now_ms >= self._premium_due_ms:
            self._sample()
        for markets in self._markets.values():
            for market in markets:
                self._trade(market)
        for exchange in self._exchanges:
            exchange.expire_orders()
            exchange.liquidate()

    async def run(self) -> None:
        """Step once per tick until cancelled; `open` comes first."""
        while True:
            await self._clock.sleep_ms(self._tick_ms)
            self.step()

    def _next_boundary_ms(self, every_ms: int) -> int:
        return (self._clock.wall_ms() // every_ms + 1) * every_ms

    def _drive(self) -> dict[str, list[_DrivenMarket]]:
        listed = [
            (market.asset, exchange, market) for exchange in self._exchanges for market in exchange.markets.values()
        ]
        listed.sort(key=lambda row: (row[0], row[1].venue))
        markets: dict[str, list[_DrivenMarket]] = {}
        for asset, exchange, market in listed:
            markets.setdefault(asset, []).append(self._driven(exchange, market))
        return markets

    def _driven(self, exchange: Exchange, market: ListedMarket) -> _DrivenMarket:
        venue, asset, parameters = exchange.venue, market.asset, self._parameters
        liquidity = parameters.liquidity(venue, asset)
        ladders = LadderMaker(market, liquidity, parameters.ladder.size_sigma, self._rng)
        start = parameters.asset(asset).start_price_usd * float(market.multiplier)
        impact_usd = market.impact_notional_usd or exchange.rules.impact_notional_usd
        impact_bps = ladders.impact_bps(start, float(impact_usd))
        premium = PremiumProcess(parameters.premium_of(venue, asset), parameters.band, impact_bps, self._rng)
        return _DrivenMarket(exchange, market, ladders, premium, parameters.flow_of(venue, asset))

    def _start_episodes(self, count: int) -> None:
        paired = [asset for asset, markets in self._markets.items() if _is_tradable_pair(markets)]
        if count > len(paired):
            raise ValueError(f"episodes_at_start is {count}, but only {len(paired)} assets are listed on two venues")
        # Small coins first: that is where recorded differences pay.
        order = sorted(paired, key=lambda asset: self._parameters.asset(asset).asset_class is not AssetClass.SMALL)
        small = sum(self._parameters.asset(asset).asset_class is AssetClass.SMALL for asset in order)
        pool = order[: max(count, small)]
        demo = self._parameters.demo
        excess_bps = demo.spread_bps_per_hour / 2 * RATE_HOURS
        for asset in sorted(self._rng.sample(pool, count)):
            first, second = self._markets[asset][:2]
            dear, cheap = (first, second) if self._rng.random() < 0.5 else (second, first)
            dear.premium.force(excess_bps, demo.duration_hours)
            cheap.premium.force(-excess_bps, demo.duration_hours)
            log_events.info("episode_started", asset=asset, dear=dear.exchange.venue, cheap=cheap.exchange.venue)

    def _listings(self) -> dict[VenueName, dict[str, ListedMarket]]:
        """How markets are listed now; an operator may have delisted one since."""
        return {exchange.venue: exchange.markets for exchange in self._exchanges}

    def _lay(
        self, asset: str, markets: list[_DrivenMarket], listings: dict[VenueName, dict[str, ListedMarket]]
    ) -> None:
        fair = Decimal(f"{self._fair[asset].usd:.7g}")
        for market in markets:
            listed = listings[market.exchange.venue][market.listed.symbol]
            index_price = fair * listed.multiplier
            if listed.is_listed:
                mid = float(index_price) * (1 + market.premium.premium_bps / 10_000)
                market.laid = market.ladders.around(mid)
            else:
                market.laid = ([], [])
            market.exchange.set_prices(listed.symbol, index_price, *market.laid)

    def _sample(self) -> None:
        for markets in self._markets.values():
            for market in markets:
                market.exchange.sample_premium(market.listed.symbol)
        self._premium_due_ms = self._next_boundary_ms(self._premium_every_ms)

    def _settle(self) -> None:
        for exchange in self._exchanges:
            exchange.settle_funding()
        self._funding_due_ms = self._next_boundary_ms(self._funding_every_ms)

    def _trade(self, market: _DrivenMarket) -> None:
        bids, asks = market.laid
        if not bids or not asks:
            return
        rng, flow = self._rng, market.flow
        for _ in range(_arrivals(rng, flow.orders_per_second * self._tick_ms / 1_000)):
            side = Side.BUY if rng.random() < 0.5 else Side.SELL
            limit_price, best = (asks[-1][0], asks[0][0]) if side is Side.BUY else (bids[-1][0], bids[0][0])
            usd = rng.lognormvariate(log(flow.order_usd_median), flow.order_usd_sigma)
            size = floor_to(Decimal(f"{usd / float(best):.6g}"), market.listed.lot)
            if size > 0:
                market.exchange.take_ambient(market.listed.symbol, side, size, limit_price)


def _is_tradable_pair(markets: list[_DrivenMarket]) -> bool:
    """Whether the asset trades around the clock on at least two venues."""
    return len(markets) >= 2 and all(
        market.listed.is_listed
        and not market.listed.is_reduce_only
        and listing_of(market.exchange.venue, market.listed.symbol).kind is AssetKind.CRYPTO
        for market in markets[:2]
    )


def _arrivals(rng: Random, mean: float) -> int:
    """A Poisson draw, cut at ORDERS_PER_TICK_MAX."""
    left, chance, count = rng.random(), exp(-mean), 0
    while left >= chance and count < ORDERS_PER_TICK_MAX:
        left -= chance
        count += 1
        chance *= mean / count
    return count
