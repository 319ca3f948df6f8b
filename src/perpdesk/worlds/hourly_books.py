"""The money of a replay: what trades earned, what open ones are worth, and whether the venues' accounts say the same."""

from decimal import Decimal

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.history.dataset import HourlyData
from perpdesk.history.rows import HOUR_MS
from perpdesk.history.trades import Trade, unclaimed_usd
from perpdesk.worlds.sandbox import Sandbox


class HourlyBooks:
    """Equity over time and trades at the end, with the profit that stand-in prices may not claim left out.

    Attributes:
        curves: (Unix ms, net USD so far) by coin. total: The same over all coins.
    """

    def __init__(self, data: HourlyData, desk: Desk, sandbox: Sandbox, clock: Clock) -> None:
        self._desk = desk
        self._sandbox = sandbox
        self._clock = clock
        self._assumed = {coin: {h.at_ms: h.is_price_assumed for h in hours} for coin, hours in data.hours.items()}
        self._ended_usd: dict[int, tuple[str, Decimal]] = {}
        self.curves: dict[str, list[tuple[int, Decimal]]] = {coin: [] for coin in data.coins}
        self.total: list[tuple[int, Decimal]] = []

    def note(self, at_ms: int) -> None:
        """Add one point to every curve: what ended trades earned, and open ones at the venues' marks."""
        sums = dict.fromkeys(self.curves, ZERO)
        for pair_id, ledger in self._desk.portfolio.ledgers.items():
            if pair_id not in self._ended_usd:
                coin, value = ledger.pair.asset, self._claimed_usd(ledger)
                if ledger.pair.state.is_ended:
                    self._ended_usd[pair_id] = (coin, value)
                else:
                    sums[coin] += value
        for coin, value in self._ended_usd.values():
            sums[coin] += value
        for coin, value in sums.items():
            self.curves[coin].append((at_ms, value))
        self.total.append((at_ms, sum(sums.values(), ZERO)))

    def _claimed_usd(self, ledger: Ledger) -> Decimal:
        pnl = ledger.pnl(self._marks())
        return pnl.total_usd - unclaimed_usd(pnl.price_usd, self._has_assumed_price(ledger))

    def _marks(self) -> dict[tuple[str, str], Decimal]:
        """The venues' own marks by (venue, asset); assets that never had a price are left out."""
        marks = {}
        for venue, exchange in self._sandbox.exchanges.items():
            for market in exchange.markets.values():
                try:
                    marks[venue.value, market.asset] = exchange.mark_price(market.symbol) / market.multiplier
                except KeyError:
                    continue
        return marks

    def _has_assumed_price(self, ledger: Ledger) -> bool:
        """Whether it was opened, or closed or is now, in an hour whose price is a stand-in."""
        pair, assumed = ledger.pair, self._assumed[ledger.pair.asset]
        ends_ms = pair.closing_at_ms or self._clock.wall_ms()
        return any(assumed.get(at_ms - at_ms % HOUR_MS, True) for at_ms in (pair.decided_at_ms, ends_ms))

    def residual_usd(self, cash_usd: Decimal) -> Decimal:
        """What the accounts, each opened with `cash_usd`, gained beyond what the desk explains."""
        gained = ZERO
        for venue, exchange in self._sandbox.exchanges.items():
            gained += exchange.equity_usd(self._sandbox.accounts[venue][0].exchange_id) - cash_usd
        return gained - self._desk.portfolio.pnl(self._marks()).total_usd

    def trades(self) -> tuple[Trade, ...]:
        """Pairs that ended and had held anything, in order of decision."""
        ledgers = self._desk.portfolio.ledgers.values()
        return tuple(self._trade(ledger) for ledger in ledgers if ledger.pair.state.is_ended and ledger.fills)

    def _trade(self, ledger: Ledger) -> Trade:
        pair, size = ledger.pair, ledger.pair.size_closed or ZERO
        return Trade(
            coin=pair.asset,
            long_venue=pair.long_venue.value,
            short_venue=pair.short_venue.value,
            opened_at_ms=pair.decided_at_ms,
            closed_at_ms=pair.closed_at_ms or self._clock.wall_ms(),
            notional_usd=pair.notional_usd * size / pair.size_target,
            size_base=size,
            parts=ledger.pnl({}),
            exit_reason=pair.exit_reason or "unknown",
            has_assumed_price=self._has_assumed_price(ledger),
            edge_bps_per_hour=pair.edge_bps_per_hour,
        )
