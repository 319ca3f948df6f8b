"""A look at the venues without a desk: every opportunity judged, nothing traded."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from perpdesk.arbitrage.gates import Opportunity
from perpdesk.arbitrage.scanner import Scanner
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.domain.clock import Clock
from perpdesk.market.view import FreshnessLimits, MarketView
from perpdesk.venues.base import Venue, VenueError, VenueEvent
from perpdesk.worlds.realtime import World
from perpdesk.worlds.running import NothingToTrade

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look found.

    Attributes:
        opportunities: Best one of each asset on two venues, those that would be opened first, then by net edge; unknown last.
        unmeasured: Assets whose edge is not known: a rate or a book is missing, or a book is too thin for the notional.
    """

    opportunities: tuple[Opportunity, ...]
    unmeasured: tuple[str, ...]


async def scan_world(world: World, settings: DeskSettings, duration_ms: int, clock: Clock) -> Scan:
    """Listen to the venues for `duration_ms`, then judge what they show.

    Raises:
        VenueError: A venue can not be reached. NothingToTrade: No two venues list what is asked for.
    """
    view = MarketView(clock, FreshnessLimits(settings.book_age_ms_max, settings.funding_age_ms_max))

    def listen(event: VenueEvent) -> None:
        view.on_event(event)

    wanted = frozenset(settings.assets) or None
    try:
        await asyncio.gather(*(venue.start(listen, wanted) for venue in world.venues.values()))
        for venue in world.venues.values():
            view.list_markets(venue.markets.values())
        assets = tuple(asset for asset in view.assets if wanted is None or asset in wanted)
        if not assets:
            raise NothingToTrade(f"no two venues list {', '.join(sorted(wanted or ())) or 'the same asset'}")
        scanner = Scanner(view, tuple(world.venues), assets, settings.entry)
        for venue in world.venues.values():
            await _set_fees(scanner, venue)
        await clock.sleep_ms(duration_ms)
        scanner.refresh(set(assets))
    finally:
        await asyncio.gather(*(venue.stop() for venue in world.venues.values()))
    found = tuple(sort_opportunities(scanner.best.values()))
    return Scan(found, tuple(o.asset for o in found if o.net_bps_per_hour is None))


async def _set_fees(scanner: Scanner, venue: Venue) -> None:
    try:
        scanner.set_fees(venue.name, await venue.fetch_fees())
    except VenueError as error:
        log.warning("fees_unknown", venue=venue.name, error=str(error))


def sort_opportunities(found: Iterable[Opportunity]) -> list[Opportunity]:
    """What would be opened first, then by net edge; what could not be measured comes last."""
    return sorted(
        found,
        key=lambda o: (o.is_open, -float("inf") if o.net_bps_per_hour is None else o.net_bps_per_hour),
        reverse=True,
    )
