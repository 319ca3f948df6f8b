"""Keeps the scan grid current: a tick copies and re-evaluates only the assets it touched."""

import numpy as np

from perpdesk.arbitrage.gates import Opportunity, opportunities_of
from perpdesk.arbitrage.scan import ScanGrid, scan
from perpdesk.arbitrage.settings import EntrySettings
from perpdesk.domain.assets import VenueName
from perpdesk.domain.fees import FeeRates
from perpdesk.market.view import MarketView


class Scanner:
    """The best judged opportunity per asset, refreshed for whatever changed.

    Attributes:
        best: By asset; assets that fewer than two venues list are absent.
        scans: How often `refresh` evaluated something.
    """

    def __init__(self, view: MarketView, venues: tuple[VenueName, ...], assets: tuple[str, ...], entry: EntrySettings):
        self._view = view
        self._entry = entry
        self._grid = ScanGrid.empty(assets, venues)
        self._at = {asset: at for at, asset in enumerate(assets)}
        self.best: dict[str, Opportunity] = {}
        self.scans = 0

    @property
    def assets(self) -> frozenset[str]:
        """What is scanned."""
        return frozenset(self._at)

    def set_fees(self, venue: VenueName, fees: FeeRates | None) -> None:
        """Take what the account pays; None makes every edge on that venue unknown."""
        fee = np.nan if fees is None else float(fees.taker)
        self._grid.taker_fees[self._grid.venues.index(venue)] = fee

    def refresh(self, touched: set[str]) -> list[Opportunity]:
        """Re-evaluate `touched` assets and return their best opportunities, best edge first."""
        rows = sorted(self._at[asset] for asset in touched if asset in self._at)
        if not rows:
            return []
        for row in rows:
            self._copy(row)
        self.scans += 1
        part = self._grid.rows(rows)
        entry = self._entry
        result = scan(part, float(entry.notional_usd_max), entry.hold_hours, entry.depth_bps)
        found = []
        for at, asset in enumerate(part.assets):
            markets = {venue: market for venue in part.venues if (market := self._view.market(venue, asset))}
            opportunity = opportunities_of(part, result, at, markets, entry)
            if opportunity is not None:
                self.best[asset] = opportunity
                found.append(opportunity)
        return sorted(found, key=lambda o: -np.inf if o.net_bps_per_hour is None else o.net_bps_per_hour, reverse=True)

    def _copy(self, row: int) -> None:
        asset = self._grid.assets[row]
        for column, venue in enumerate(self._grid.venues):
            self._grid.put_book(row, column, self._view.book(venue, asset))
            funding = self._view.funding(venue, asset)
            self._grid.rates[row, column] = np.nan if funding is None else float(funding.rate.per_hour)
