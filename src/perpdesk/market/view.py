"""What every venue shows now. Fed by venue events; answers only with data fresh enough to act on."""

from collections.abc import Iterable
from dataclasses import dataclass

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Book
from perpdesk.domain.clock import Clock
from perpdesk.domain.markets import Market
from perpdesk.venues.base import BookChanged, BookLost, FundingChanged, VenueEvent

Key = tuple[VenueName, str]
"""(venue, asset)."""


@dataclass(frozen=True, slots=True)
class FreshnessLimits:
    """Ages beyond which data is not acted on, milliseconds since it arrived."""

    book_age_ms_max: int
    funding_age_ms_max: int


@dataclass(slots=True)
class _Heard:
    book: Book | None = None
    book_at_ms: int = 0
    lost_because: str = "no book yet"
    funding: FundingChanged | None = None
    funding_at_ms: int = 0


class MarketView:
    """Books and funding of every (venue, asset), each with its age.

    `touched` names the assets that changed since the last `take_touched`, so that a tick re-evaluates only those.
    """

    def __init__(self, clock: Clock, limits: FreshnessLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._heard: dict[Key, _Heard] = {}
        self._markets: dict[Key, Market] = {}
        self._touched: set[str] = set()

    def list_markets(self, markets: Iterable[Market]) -> None:
        """Take the markets of one or more venues; a repeat replaces."""
        for market in markets:
            self._markets[market.venue, market.asset] = market

    def on_event(self, event: VenueEvent) -> bool:
        """Take one venue event; False when it is not market data."""
        match event:
            case BookChanged(venue, asset, book):
                heard = self._of(venue, asset)
                heard.book, heard.book_at_ms = book, self._clock.monotonic_ms()
            case BookLost(venue, asset, reason):
                heard = self._of(venue, asset)
                heard.book, heard.lost_because = None, reason
            case FundingChanged(venue, asset):
                heard = self._of(venue, asset)
                heard.funding, heard.funding_at_ms = event, self._clock.monotonic_ms()
            case _:
                return False
        self._touched.add(asset)
        return True

    def take_touched(self) -> set[str]:
        """Assets whose data changed since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    @property
    def assets(self) -> list[str]:
        """Assets listed on at least two venues, sorted: the ones a pair can be made of."""
        seen: dict[str, int] = {}
        for _, asset in self._markets:
            seen[asset] = seen.get(asset, 0) + 1
        return sorted(asset for asset, count in seen.items() if count > 1)

    def market(self, venue: VenueName, asset: str) -> Market | None:
        return self._markets.get((venue, asset))

    def venues_of(self, asset: str) -> list[VenueName]:
        """Venues that list `asset`, sorted by name."""
        return sorted(venue for venue, listed in self._markets if listed == asset)

    def book(self, venue: VenueName, asset: str) -> Book | None:
        """The live book, None when it is lost, older than the limit or has an empty side."""
        heard = self._heard.get((venue, asset))
        if heard is None or heard.book is None or heard.book.mid is None:
            return None
        age_ms = self._clock.monotonic_ms() - heard.book_at_ms
        return heard.book if age_ms <= self._limits.book_age_ms_max else None

    def book_age_ms(self, venue: VenueName, asset: str) -> int | None:
        """Milliseconds since the last update, None when there is no book at all."""
        heard = self._heard.get((venue, asset))
        return None if heard is None or heard.book is None else self._clock.monotonic_ms() - heard.book_at_ms

    def funding(self, venue: VenueName, asset: str) -> FundingChanged | None:
        """The running funding estimate, None when older than the limit."""
        heard = self._heard.get((venue, asset))
        if heard is None or heard.funding is None:
            return None
        age_ms = self._clock.monotonic_ms() - heard.funding_at_ms
        return heard.funding if age_ms <= self._limits.funding_age_ms_max else None

    def _of(self, venue: VenueName, asset: str) -> _Heard:
        return self._heard.setdefault((venue, asset), _Heard())
