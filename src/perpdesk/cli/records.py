"""What the store holds of pairs, as documents: open ones with their legs, ended ones with where their money came from."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.cli.options import Refused
from perpdesk.domain.clock import SystemClock
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.pairs import Leg, Pair
from perpdesk.store.engine import describe, parse_url, sqlite_path
from perpdesk.store.journal import Journal
from perpdesk.store.lock import DeskLock, Holder
from perpdesk.store.writer import Store
from perpdesk.worlds.summary import iso

PAIRS_READ_MAX = 10_000
PARTS = ("price", "funding", "fees", "slippage")


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """A store opened beside whatever desk runs on it.

    Attributes:
        holder: The desk that holds it, None without one.
    """

    journal: Journal
    name: str
    holder: Holder | None
    clock: SystemClock

    def holder_document(self) -> dict[str, Any] | None:
        """For JSON."""
        held = self.holder
        return None if held is None else {"pid": held.pid, "host": held.host, "since": iso(held.since_ms)}


@asynccontextmanager
async def open_store(url: str, hint: str) -> AsyncIterator[OpenedStore]:
    """Open an existing store; Refused, with `hint` as the remedy, when there is none yet. Raises StoreError."""
    address, clock = parse_url(url), SystemClock()
    path = sqlite_path(address)
    if path is not None and not path.exists():
        raise Refused(f"{describe(address)} does not exist; {hint}")
    holder = DeskLock(url, clock).holder()
    store = Store.open(url, mode="thread", clock=clock)
    try:
        yield OpenedStore(Journal(store, clock, Random()), store.description, holder, clock)
    finally:
        await store.close()


async def load_ledger(journal: Journal, pair: Pair) -> Ledger:
    """A pair with its orders, fills and payments."""
    orders = await journal.load_orders(pair.pair_id)
    fills = await journal.load_fills(pair.pair_id)
    return Ledger(pair, ZERO, orders, fills, await journal.load_payments(pair.pair_id))


def position_document(ledger: Ledger, now_ms: int) -> dict[str, Any]:
    """An open pair. Money that needs a market to be known (price) is not here."""
    pair = ledger.pair
    return {
        "pair_id": pair.pair_id,
        "asset": pair.asset,
        "state": pair.state.value,
        "exit_reason": pair.exit_reason,
        "decided_at": iso(pair.decided_at_ms),
        "opened_at": None if pair.opened_at_ms is None else iso(pair.opened_at_ms),
        "held_s": None if pair.opened_at_ms is None else (now_ms - pair.opened_at_ms) / 1000,
        "notional_usd": pair.notional_usd,
        "expected_bps_per_hour": pair.edge_bps_per_hour,
        "legs": {leg.value: _leg_document(ledger, leg) for leg in Leg},
        "imbalance": ledger.imbalance,
        "funding_usd": sum((payment.usd for payment in ledger.payments), ZERO),
        "fees_usd": -sum((fill.fee_usd for fill in ledger.fills), ZERO),
        "slippage_usd": sum((priced.slippage_usd for priced in ledger.priced_fills()), ZERO),
        "naked_ms": ledger.naked(now_ms).ms,
    }


def _leg_document(ledger: Ledger, leg: Leg) -> dict[str, Any]:
    venue = ledger.pair.venue_of(leg)
    fills = [fill for fill in ledger.fills if fill.venue == venue]
    opening = [fill for fill in fills if fill.side is leg.opening_side]
    size = sum((fill.size for fill in opening), ZERO)
    return {
        "venue": venue.value,
        "size": ledger.held(leg),
        "entry_price": sum((fill.size * fill.price for fill in opening), ZERO) / size if size else None,
        "orders": [
            {
                "client_id": record.intent.client_id,
                "purpose": record.purpose.value,
                "side": record.intent.side.value,
                "size": record.intent.size,
                "filled": ledger.filled(record.intent.client_id),
                "state": record.state.value,
                "reason": record.reason,
            }
            for record in ledger.orders.values()
            if record.leg is leg
        ],
        "fills": [
            {
                "at": iso(fill.at_ms),
                "side": fill.side.value,
                "size": fill.size,
                "price": fill.price,
                "fee_usd": fill.fee_usd,
            }
            for fill in fills
        ],
    }


def history_document(pair: Pair, world: str | None) -> dict[str, Any]:
    """An ended pair; money is None for one that was abandoned with its sandbox."""
    return {
        "pair_id": pair.pair_id,
        "run_id": pair.run_id,
        "world": world,
        "asset": pair.asset,
        "long_venue": pair.long_venue.value,
        "short_venue": pair.short_venue.value,
        "state": pair.state.value,
        "exit_reason": pair.exit_reason,
        "opened_at": None if pair.opened_at_ms is None else iso(pair.opened_at_ms),
        "closed_at": None if pair.closed_at_ms is None else iso(pair.closed_at_ms),
        "held_s": None
        if pair.opened_at_ms is None or pair.closed_at_ms is None
        else (pair.closed_at_ms - pair.opened_at_ms) / 1000,
        "notional_usd": pair.notional_usd,
        "size_closed": pair.size_closed,
        "pnl_usd": pnl_document([pair]) if pair.price_usd is not None else None,
        "naked_ms": pair.naked_ms,
        "naked_ms_max": pair.naked_ms_max,
    }


def pnl_document(pairs: Sequence[Pair]) -> dict[str, Decimal]:
    """Four parts and their total over accounted pairs."""
    sums = {part: sum((getattr(pair, f"{part}_usd") or ZERO for pair in pairs), ZERO) for part in PARTS}
    return {**sums, "total": sum(sums.values(), ZERO)}


def totals_document(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Over all `pairs` that are listed."""
    accounted = [pair for pair in pairs if pair.price_usd is not None]
    return {
        "pairs": len(pairs),
        "accounted": len(accounted),
        "won": sum(1 for pair in accounted if pnl_document([pair])["total"] > 0),
        "pnl_usd": pnl_document(accounted),
        "naked_ms_max": max((pair.naked_ms_max for pair in pairs), default=None),
    }
