"""Builds pairs, books and situations by hand, so that a test says only what matters to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.settings import DeskSettings, EntrySettings, ExecutionSettings
from perpdesk.arbitrage.steps import Situation
from perpdesk.domain.assets import AssetKind, VenueName
from perpdesk.domain.books import Book, Side
from perpdesk.domain.markets import Market, PriceGrid
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill, OrderIntent, TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderRecord, OrderState, Pair, PairState, Purpose
from perpdesk.store.ids import client_id

D = Decimal
HYPERLIQUID, LIGHTER = VenueName.HYPERLIQUID, VenueName.LIGHTER
VENUE = {Leg.LONG: LIGHTER, Leg.SHORT: HYPERLIQUID}
"""Long on Lighter, short on Hyperliquid, unless a test says otherwise."""

SALT = 7
TOLERANCE = Decimal("0.005")
T0 = 1_000_000
"""When the pair was decided."""


def market(venue: VenueName, **changes: object) -> Market:
    """ETH with a lot of 0.01, a least order of 10 USD and prices to the cent."""
    listed = Market(
        venue,
        "ETH",
        AssetKind.CRYPTO,
        "ETH",
        1,
        D(1),
        PriceGrid(D("0.01")),
        lot=D("0.01"),
        size_min=ZERO,
        notional_min_usd=D(10),
        leverage_max=D(20),
        maintenance_margin=D("0.02"),
    )
    return replace(listed, **changes)  # type: ignore[arg-type]


def book(bid: float = 99.0, ask: float = 101.0, size: float = 100.0) -> Book:
    """One level on each side; mid 100 by default."""
    made = Book()
    made.replace([(bid, size)], [(ask, size)], 0)
    return made


def pair(**changes: object) -> Pair:
    """An ETH pair of 1 unit per leg, first leg long, taker entry, being opened since T0."""
    made = Pair(
        pair_id=1,
        run_id=1,
        asset="ETH",
        long_venue=LIGHTER,
        short_venue=HYPERLIQUID,
        first_leg=Leg.LONG,
        entry_style=EntryStyle.TAKER,
        size_target=D(1),
        notional_usd=D(100),
        edge_bps_per_hour=0.5,
        state=PairState.OPENING,
        decided_at_ms=T0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


SETTINGS = DeskSettings(
    entry=EntrySettings(maker_wait_ms=8_000),
    execution=ExecutionSettings(
        hedge_attempts_max=3,
        naked_ms_max=5_000,
        order_ttl_ms=5_000,
        order_check_ms=1_500,
        retry_ms=500,
        retry_ms_max=8_000,
    ),
)


@dataclass
class Scene:
    """A pair and what happened to it, from which `situation` is taken at any moment.

    `order` and `fill` number client ids and trades by themselves; times are milliseconds after T0.
    """

    pair: Pair = field(default_factory=pair)
    settings: DeskSettings = SETTINGS
    tolerance: Decimal = TOLERANCE
    markets: Mapping[Leg, Market] = field(default_factory=lambda: {leg: market(VENUE[leg]) for leg in Leg})
    books: dict[Leg, Book | None] = field(default_factory=lambda: {leg: book() for leg in Leg})
    orders: list[OrderRecord] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    reported: dict[int, int] = field(default_factory=dict)

    def order(
        self,
        leg: Leg,
        purpose: Purpose,
        size: str,
        state: OrderState = OrderState.FINAL,
        *,
        at: int = 0,
        filled: str = "0",
        tif: TimeInForce = TimeInForce.IOC,
        **changes: object,
    ) -> OrderRecord:
        """Journal an order of ours; `filled` makes one fill of that size and the venue reports as much."""
        is_closing = purpose in (Purpose.TRIM, Purpose.CLOSE)
        side = leg.opening_side.opposite if is_closing else leg.opening_side
        number = client_id(SALT, self.pair.pair_id, len(self.orders) + 1)
        intent = OrderIntent(
            number, self.pair.venue_of(leg), "ETH", side, D(size), D(100), tif, is_closing, T0 + at + 5_000
        )
        record = OrderRecord(
            intent,
            self.pair.pair_id,
            leg,
            purpose,
            D(100),
            T0 + at,
            state,
            filled_reported=D(filled),
            **changes,  # type: ignore[arg-type]
        )
        self.orders.append(record)
        if D(filled):
            self.fill(record, filled, at=at)
        return record

    def fill(self, record: OrderRecord, size: str, *, at: int = 0, price: str = "100", fee: str = "0") -> Fill:
        """One execution of an order of ours."""
        made = Fill(
            record.intent.venue,
            "ETH",
            f"t{len(self.fills)}",
            record.intent.client_id,
            record.intent.side,
            D(size),
            D(price),
            D(fee),
            False,
            T0 + at,
        )
        self.fills.append(made)
        return made

    def open_both(self, size: str = "1", at: int = 0) -> "Scene":
        """Entry and hedge filled completely."""
        self.order(self.pair.first_leg, Purpose.ENTRY, size, at=at, filled=size)
        self.order(self.pair.first_leg.other, Purpose.HEDGE, size, at=at, filled=size)
        return self

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.pair, self.tolerance, self.orders, self.fills)

    def situation(self, at: int = 1_000, busy: Iterable[Leg] = ()) -> Situation:
        return Situation(
            self.ledger,
            T0 + at,
            self.settings,
            dict(self.markets),
            dict(self.books),
            frozenset(busy),
            dict(self.reported),
        )


def liquidation(venue: VenueName, side: Side, size: str, at: int = 0) -> Fill:
    """A fill that no order of ours asked for."""
    return Fill(venue, "ETH", f"liquidation{at}", None, side, D(size), D(90), D(1), False, T0 + at)
