"""Domain values that the store's tests keep and load again."""

from decimal import Decimal

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill, OrderIntent, TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderRecord, Pair, PairState, Purpose
from perpdesk.store import client_id

SALT = 471


def a_pair(run_id: int, state: PairState = PairState.OPENING, decided_at_ms: int = 1_000) -> Pair:
    """A pair that has no id yet."""
    return Pair(
        pair_id=0,
        run_id=run_id,
        asset="PEPE",
        long_venue=VenueName.LIGHTER,
        short_venue=VenueName.HYPERLIQUID,
        first_leg=Leg.SHORT,
        entry_style=EntryStyle.MAKER,
        size_target=Decimal("1200.50"),
        notional_usd=Decimal("15.0062500"),
        edge_bps_per_hour=1.25,
        state=state,
        decided_at_ms=decided_at_ms,
    )


def an_order(pair_id: int, number: int = 1) -> OrderRecord:
    """An order of a pair, not sent yet."""
    intent = OrderIntent(
        client_id=client_id(SALT, pair_id, number),
        venue=VenueName.HYPERLIQUID,
        asset="PEPE",
        side=Side.SELL,
        size=Decimal("1200"),
        limit_price=Decimal("0.00001249"),
        time_in_force=TimeInForce.POST_ONLY,
        is_reduce_only=False,
        expires_at_ms=31_000,
    )
    return OrderRecord(intent, pair_id, Leg.SHORT, Purpose.ENTRY, Decimal("0.000012495"), journalled_at_ms=1_500)


def a_fill(trade_id: str, at_ms: int = 2_000, venue: VenueName = VenueName.HYPERLIQUID) -> Fill:
    """An execution that carries no client id."""
    return Fill(
        venue=venue,
        asset="PEPE",
        trade_id=trade_id,
        client_id=None,
        side=Side.SELL,
        size=Decimal("600"),
        price=Decimal("0.00001250"),
        fee_usd=Decimal("-0.0000015"),
        is_maker=True,
        at_ms=at_ms,
    )


def a_payment(payment_id: str, at_ms: int = 3_600_000) -> FundingPayment:
    """Funding received."""
    return FundingPayment(VenueName.LIGHTER, "PEPE", payment_id, Decimal("0.000150"), Decimal("1200"), at_ms)
