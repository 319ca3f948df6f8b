"""From a good opportunity to a new pair: the desk's own limits, the size, and which leg goes first."""

from decimal import Decimal

from perpdesk.arbitrage.checks import Check, fact
from perpdesk.arbitrage.gates import Opportunity
from perpdesk.arbitrage.guard import Guard
from perpdesk.arbitrage.portfolio import Portfolio
from perpdesk.arbitrage.prices import exact
from perpdesk.arbitrage.reconcile import Reconciler
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.arbitrage.size import decide_size
from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.pairs import EntryStyle, Leg, Pair, PairState
from perpdesk.market.view import MarketView

ACCOUNT_READS_MISSED_MAX = 4
"""Balance reads that may fail in a row before the free margin counts as unknown."""


class Openings:
    """Decides new pairs.

    Attributes:
        refused: The last reasons against entering each asset that passed the scan.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        reconciler: Reconciler,
        view: MarketView,
        guard: Guard,
        clock: Clock,
        settings: DeskSettings,
    ) -> None:
        self._portfolio = portfolio
        self._reconciler = reconciler
        self._view = view
        self._guard = guard
        self._clock = clock
        self._settings = settings
        self.refused: dict[str, tuple[Check, ...]] = {}

    def decide(self, opportunity: Opportunity, run_id: int) -> Pair | None:
        """The pair to open, or None; the reasons against are kept in `refused`."""
        checks = self._desk_checks(opportunity.asset)
        failed = tuple(check for check in checks if not check.passed)
        if failed:
            self.refused[opportunity.asset] = failed
            return None
        return self._sized(opportunity, run_id)

    def _desk_checks(self, asset: str) -> list[Check]:
        entry, now_ms = self._settings.entry, self._clock.wall_ms()
        open_pairs = self._portfolio.open
        ended = [ledger.pair.closed_at_ms or 0 for ledger in self._portfolio.ended if ledger.pair.asset == asset]
        since_ms = now_ms - max(ended, default=0)
        halts = self._guard.reasons
        return [
            fact("entries allowed" if not halts else f"entries allowed ({halts[0]})", not halts),
            Check(
                "legs unequal for",
                float(self._unequal_ms(now_ms)),
                self._settings.execution.naked_ms_max,
                "ms",
                is_floor=False,
            ),
            Check("open pairs", float(len(open_pairs)), entry.pairs_max - 1.0, "pairs", is_floor=False),
            fact(f"no {asset} pair open", all(ledger.pair.asset != asset for ledger in open_pairs)),
            Check("since the last one", float(since_ms), float(entry.cooldown_ms), "ms"),
        ]

    def _unequal_ms(self, now_ms: int) -> int:
        """How long the legs of any open pair have differed; nothing new is begun while that takes too long."""
        since = [ledger.unequal_since_ms(now_ms) for ledger in self._portfolio.open]
        return max((now_ms - at_ms for at_ms in since if at_ms is not None), default=0)

    def _sized(self, opportunity: Opportunity, run_id: int) -> Pair | None:
        asset, venues = opportunity.asset, (opportunity.long_venue, opportunity.short_venue)
        books = [self._view.book(venue, asset) for venue in venues]
        markets = [self._view.market(venue, asset) for venue in venues]
        long_mid, short_mid = (None if book is None else book.mid for book in books)
        long_market, short_market = markets
        if long_mid is None or short_mid is None or long_market is None or short_market is None:
            return None
        mid = exact((long_mid + short_mid) / 2)
        sized = decide_size(
            self._settings.entry,
            (long_market, short_market),
            mid,
            opportunity.depth_usd or 0.0,
            (self._available(opportunity.long_venue), self._available(opportunity.short_venue)),
        )
        if sized.size is None:
            self.refused[asset] = tuple(check for check in sized.checks if not check.passed)
            return None
        self.refused.pop(asset, None)
        return self._pair(opportunity, run_id, sized.size, sized.size * mid)

    def _available(self, venue: VenueName) -> Decimal | None:
        """Free margin on `venue`: what it last said, less what pairs decided since then will need; None when too old."""
        books, now_ms = self._reconciler.books[venue], self._clock.wall_ms()
        if (
            books.account is None
            or now_ms - books.account_at_ms > ACCOUNT_READS_MISSED_MAX * self._settings.account_every_ms
        ):
            return None
        promised = sum(
            (
                ledger.pair.notional_usd / self._settings.entry.leverage
                for ledger in self._portfolio.open
                if venue in (ledger.pair.long_venue, ledger.pair.short_venue)
                and (ledger.pair.decided_at_ms >= books.account_at_ms or ledger.pair.state is PairState.OPENING)
            ),
            Decimal(0),
        )
        # The share is of the margin before those pairs, so that a scan that opens several does not shrink them one by one.
        share = Decimal(str(self._settings.entry.margin_share_max))
        return max(books.account.available_usd - promised / share, Decimal(0))

    def _pair(self, opportunity: Opportunity, run_id: int, size: Decimal, notional_usd: Decimal) -> Pair:
        return Pair(
            pair_id=0,
            run_id=run_id,
            asset=opportunity.asset,
            long_venue=opportunity.long_venue,
            short_venue=opportunity.short_venue,
            first_leg=self._first_leg(opportunity, size),
            entry_style=EntryStyle(self._settings.entry.style),
            size_target=size,
            notional_usd=notional_usd,
            edge_bps_per_hour=opportunity.net_bps_per_hour or 0.0,
            state=PairState.OPENING,
            decided_at_ms=self._clock.wall_ms(),
        )

    def _first_leg(self, opportunity: Opportunity, size: Decimal) -> Leg:
        """The leg that is harder to get goes first, so that what is left to hedge is the easy one.

        A taker starts where depth impact is worse; a maker rests where taking would cost the higher fee.
        """
        asset = opportunity.asset
        if EntryStyle(self._settings.entry.style) is EntryStyle.MAKER:
            fees = [self._reconciler.books[v].fees for v in (opportunity.long_venue, opportunity.short_venue)]
            long_fee, short_fee = (Decimal(0) if fee is None else fee.taker for fee in fees)
            return Leg.LONG if long_fee >= short_fee else Leg.SHORT
        long_book = self._view.book(opportunity.long_venue, asset)
        short_book = self._view.book(opportunity.short_venue, asset)
        long_impact = None if long_book is None else long_book.impact_bps(Side.BUY, float(size))
        short_impact = None if short_book is None else short_book.impact_bps(Side.SELL, float(size))
        return Leg.LONG if (long_impact or 0.0) >= (short_impact or 0.0) else Leg.SHORT
