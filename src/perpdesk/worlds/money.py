"""The desk's account of its money beside what the venues' accounts say, both looked at in one quiet moment."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.pnl import PnlParts
from perpdesk.domain.positions import AccountState, Position

LOOKS_MAX = 4
QUIET_MS = 400
"""How long nothing may arrive after an account was read for the look to count: pushes of that moment are here by then."""


@dataclass(frozen=True, slots=True)
class MoneyLook:
    """One moment.

    Attributes:
        equity_usd: By venue, as its account answer says. parts: All pairs, open legs at the marks of the same answers.
        is_quiet: No fill and no payment came while the accounts were read; otherwise the two sides are of different moments.
    """

    at_ms: int
    equity_usd: dict[VenueName, Decimal]
    parts: PnlParts
    is_quiet: bool

    def since(self, start: "MoneyLook") -> "MoneyChange":
        """What changed from `start` to this look."""
        reported = sum(
            (equity - start.equity_usd[venue] for venue, equity in self.equity_usd.items()),
            ZERO,
        )
        now, before = self.parts, start.parts
        parts = PnlParts(
            now.price_usd - before.price_usd,
            now.funding_usd - before.funding_usd,
            now.fees_usd - before.fees_usd,
            now.slippage_usd - before.slippage_usd,
        )
        return MoneyChange(parts, reported)


@dataclass(frozen=True, slots=True)
class MoneyChange:
    """The desk's four parts and what the venues' accounts gained over the same time; USD."""

    parts: PnlParts
    venue_reported_usd: Decimal

    @property
    def residual_usd(self) -> Decimal:
        """What the venues report beyond what the desk explains."""
        return self.venue_reported_usd - self.parts.total_usd


async def look(desk: Desk, clock: Clock, *, with_history: bool) -> MoneyLook:
    """Read every account and value the desk's pairs at it, again while something moves, LOOKS_MAX times at most.

    Args:
        with_history: Ask the venues for fills and payments too, instead of relying on what they pushed.

    Raises:
        VenueError: An account could not be read.
    """
    venues = list(desk.reconciler.books)
    for tries_left in range(LOOKS_MAX - 1, -1, -1):
        before = _state(desk)
        accounts = dict(
            zip(venues, await asyncio.gather(*(desk.reconciler.sync_account(v) for v in venues)), strict=True)
        )
        at_ms = clock.wall_ms()
        if with_history:
            await asyncio.gather(*(desk.reconciler.sync_fills(v) for v in venues))
            await asyncio.gather(*(desk.reconciler.sync_payments(v) for v in venues))
        else:
            await clock.sleep_ms(QUIET_MS)
        is_quiet = before == _state(desk)
        if is_quiet or tries_left == 0:
            equity = {venue: account.equity_usd for venue, account in accounts.items()}
            return MoneyLook(at_ms, equity, desk.portfolio.pnl(_marks(desk, accounts)), is_quiet)
    raise AssertionError("the last look always returns")


def _state(desk: Desk) -> tuple[int, int, bool]:
    """What moves money: equal before and after means nothing did."""
    ledgers = desk.portfolio.ledgers.values()
    is_settled = all(desk.is_settled(ledger) for ledger in desk.portfolio.open)
    return sum(len(led.fills) for led in ledgers), sum(len(led.payments) for led in ledgers), is_settled


def _marks(desk: Desk, accounts: dict[VenueName, AccountState]) -> dict[tuple[str, str], Decimal]:
    """Mark price of every open leg, out of the account answer itself.

    A venue says what a position has gained more exactly than at what price it marks it, so the mark is taken from the gain
    where the position is wholly ours.
    """
    marks: dict[tuple[str, str], Decimal] = {}
    for ledger in desk.portfolio.open:
        marks.update(desk.portfolio.marks(ledger))
    for venue, account in accounts.items():
        for asset, held in account.positions.items():
            ours = _position(desk.portfolio.open, venue, asset)
            if ours.size and ours.size == held.size:
                marks[venue.value, asset] = (ours.cost_usd + held.unrealised_usd) / ours.size
            elif held.mark_price is not None:
                marks[venue.value, asset] = held.mark_price
    return marks


def _position(ledgers: Iterable[Ledger], venue: VenueName, asset: str) -> Position:
    fills = [f for ledger in ledgers for f in ledger.fills if f.venue == venue and f.asset == asset]
    position = Position()
    for fill in sorted(fills, key=lambda fill: fill.at_ms):
        position = position.after_fill(fill)
    return position
