"""Moves simulated venues along recorded hours, and along nothing else.

What a recording does not hold does not happen: in an hour without a row the venue's book for that asset is empty and no
funding is charged. Nothing is filled forward and nothing looks ahead: during [T, T + 1 h) the running funding estimate is the
rate settled at T. Inside an hour the price goes in a line from the hour's open to its close, so what a price implies for
later in the hour is the one thing known early; only strategies that extrapolate within the hour could use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ONE
from perpdesk.sandbox.drivers.ladders import LadderMaker
from perpdesk.sandbox.drivers.parameters import Liquidity, SyntheticParameters
from perpdesk.sandbox.exchange import Exchange, ListedMarket

HOUR_MS = 3_600_000
_PRICE_DIGITS = Decimal("1E-12")


@dataclass(frozen=True, slots=True)
class RecordedHour:
    """One hour of one market, per unit of the asset.

    Attributes:
        at_ms: Start of the hour, Unix milliseconds, a multiple of an hour.
        price, close: Price at its start and at its end, USD. It serves as the index and as the middle of the book.
        funding_rate: Rate per hour that was settled AT `at_ms` (for the hour before), None where none is recorded.
        is_price_assumed: The price is not this venue's own recording but stands in for it.
    """

    at_ms: int
    price: Decimal
    close: Decimal
    funding_rate: Decimal | None
    is_price_assumed: bool


@dataclass(frozen=True, slots=True)
class RecordedParameters:
    """What hourly recordings do not show: the books.

    Attributes:
        liquidity: Ladder per venue and asset. refresh_ms: Time between two prices inside an hour; divides the hour.
    """

    liquidity: Mapping[tuple[VenueName, str], Liquidity]
    refresh_ms: int = 900_000

    @classmethod
    def fitted(
        cls, parameters: SyntheticParameters, series: Mapping[tuple[VenueName, str], object], refresh_ms: int = 900_000
    ) -> "RecordedParameters":
        """Fitted spreads and depths for the markets of `series`; unknown assets are treated as small coins."""
        return cls({(venue, asset): parameters.liquidity(venue, asset) for venue, asset in series}, refresh_ms)


@dataclass(slots=True)
class _RecordedMarket:
    exchange: Exchange
    listed: ListedMarket
    ladders: LadderMaker
    hours: dict[int, RecordedHour]
    is_empty: bool = True


class RecordedDriver:
    """Moves the markets of `series`; markets without a series never get a price.

    Raises:
        ValueError: An hour does not start on the hour or is given twice, a price is not positive, an asset is not listed, its
            liquidity is missing, or `refresh_ms` does not divide the hour.
    """

    def __init__(
        self,
        exchanges: Mapping[VenueName, Exchange],
        series: Mapping[tuple[VenueName, str], tuple[RecordedHour, ...]],
        parameters: RecordedParameters,
        clock: Clock,
    ) -> None:
        if parameters.refresh_ms <= 0 or HOUR_MS % parameters.refresh_ms:
            raise ValueError(f"refresh_ms must divide an hour ({HOUR_MS} ms), was {parameters.refresh_ms}")
        self._refresh_ms = parameters.refresh_ms
        self._clock = clock
        self._exchanges = [exchanges[venue] for venue in sorted(exchanges)]
        self._markets = {
            key: _recorded_market(exchanges, key, series[key], parameters.liquidity) for key in sorted(series)
        }
        self._slot_ms = 0

    def open(self) -> None:
        """Lay the books of the present moment and publish the last settled rates; nothing is settled."""
        now_ms = self._clock.wall_ms()
        self._slot_ms = now_ms - now_ms % self._refresh_ms
        hour_ms = now_ms - now_ms % HOUR_MS
        for market in self._markets.values():
            self._lay(market, self._slot_ms)
            hour = market.hours.get(hour_ms)
            if hour is not None and hour.funding_rate is not None:
                market.exchange.override_rate(market.listed.symbol, hour.funding_rate)

    def next_boundary_ms(self, now_ms: int) -> int:
        """The next time after `now_ms` at which a step changes anything: a refresh or the start of an hour."""
        return (now_ms // self._refresh_ms + 1) * self._refresh_ms

    def step(self, now_ms: int) -> None:
        """Bring the venues to `now_ms`; cheap when no boundary passed since the last step.

        Every hour boundary on the way is settled in order, at that hour's opening price. Payments carry the clock's time, so step
        at least once an hour.
        """
        slot_ms = now_ms - now_ms % self._refresh_ms
        if slot_ms > self._slot_ms:
            hour_ms = self._slot_ms - self._slot_ms % HOUR_MS + HOUR_MS
            while hour_ms <= slot_ms:
                self._settle(hour_ms)
                hour_ms += HOUR_MS
            self._slot_ms = slot_ms
            for market in self._markets.values():
                self._lay(market, slot_ms)
        for exchange in self._exchanges:
            exchange.expire_orders()
            exchange.liquidate()

    async def run(self) -> None:
        """Step at every boundary until cancelled; `open` comes first."""
        while True:
            now_ms = self._clock.wall_ms()
            await self._clock.sleep_ms(self.next_boundary_ms(now_ms) - now_ms)
            self.step(self._clock.wall_ms())

    def hour(self, venue: VenueName, asset: str, now_ms: int) -> RecordedHour | None:
        """The recorded hour that `now_ms` lies in; None in a hole or for a market without a series."""
        market = self._markets.get((venue, asset))
        return None if market is None else market.hours.get(now_ms - now_ms % HOUR_MS)

    def _settle(self, hour_ms: int) -> None:
        """Charge the rates recorded for `hour_ms`; markets in a hole, or without a rate, are left out."""
        symbols: dict[VenueName, list[str]] = {}
        for market in self._markets.values():
            self._lay(market, hour_ms)
            hour = market.hours.get(hour_ms)
            if hour is not None and hour.funding_rate is not None:
                market.exchange.override_rate(market.listed.symbol, hour.funding_rate)
                symbols.setdefault(market.exchange.venue, []).append(market.listed.symbol)
        for exchange in self._exchanges:
            if due := symbols.get(exchange.venue):
                exchange.settle_funding(due)

    def _lay(self, market: _RecordedMarket, at_ms: int) -> None:
        into_ms = at_ms % HOUR_MS
        hour = market.hours.get(at_ms - into_ms)
        if hour is None:
            self._empty(market)
            return
        price = hour.price + (hour.close - hour.price) * into_ms / HOUR_MS
        index_price = _plain(price * market.listed.multiplier)
        market.is_empty = False
        market.exchange.set_prices(market.listed.symbol, index_price, *market.ladders.around(float(index_price)))

    def _empty(self, market: _RecordedMarket) -> None:
        """Take the liquidity away and leave the last index: the venue is silent, not free."""
        if not market.is_empty:
            market.is_empty = True
            symbol = market.listed.symbol
            market.exchange.set_prices(symbol, market.exchange.index_price(symbol), [], [])


def _plain(price: Decimal) -> Decimal:
    """Without trailing zeros and without a positive exponent, as prices are written."""
    short = price.quantize(_PRICE_DIGITS).normalize()
    return short if short.as_tuple().exponent <= 0 else short.quantize(ONE)  # type: ignore[operator]


def _recorded_market(
    exchanges: Mapping[VenueName, Exchange],
    key: tuple[VenueName, str],
    rows: tuple[RecordedHour, ...],
    liquidity: Mapping[tuple[VenueName, str], Liquidity],
) -> _RecordedMarket:
    venue, asset = key
    if venue not in exchanges:
        raise ValueError(f"there is a series for {asset} on {venue}, but no such exchange")
    listed = next((market for market in exchanges[venue].markets.values() if market.asset == asset), None)
    if listed is None:
        raise ValueError(f"there is a series for {asset}, which {venue} does not list; list it or drop the series")
    if key not in liquidity:
        raise ValueError(f"no liquidity is given for {asset} on {venue}")
    hours = {row.at_ms: row for row in rows}
    if len(hours) != len(rows):
        raise ValueError(f"{asset} on {venue}: an hour is given twice")
    for row in rows:
        if row.at_ms % HOUR_MS or row.price <= 0 or row.close <= 0:
            raise ValueError(f"{asset} on {venue}: the hour at {row.at_ms} must start on the hour with positive prices")
    return _RecordedMarket(exchanges[venue], listed, LadderMaker(listed, liquidity[key], 0.0, None), hours)
