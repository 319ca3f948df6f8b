"""Watches a simulated desk from outside and says when it breaks a promise (numbers are those of the design, section 4).

What the desk believes is compared with what the venues' own books say. Wire messages are read here once more, without the
connectors' code, so that an encoding mistake can not hide itself.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Engine

from perpdesk.arbitrage.engine import Desk
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.pairs import Leg, OrderState, Purpose
from perpdesk.sandbox.exchange import Exchange, SettledRate, SimFill, SimFunding, SimOrder, SimStatus, SimTrade
from perpdesk.sandbox.network import Sent
from perpdesk.store.tables import fills as fills_table
from perpdesk.store.tables import orders as orders_table
from perpdesk.worlds.sandbox import Sandbox

BAND_MAX = Decimal("0.02")
"""An order's limit further than this from the venue's own mark has no band."""

TRACE_KEPT = 80
LIGHTER_ORDER = "14"
MONEY_TOLERANCE = Decimal("0.00001")
"""USD: a cost average is kept to 1e-12 per partial close; everything else is exact."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise.

    Attributes:
        invariant: Its number in the design.
        trace: The last events before it, oldest first.
    """

    invariant: int
    message: str
    at_ms: int
    trace: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class WireOrder:
    """An order as the bytes say, in the venue's contract units."""

    venue: VenueName
    client_id: int
    symbol: str
    is_buy: bool
    size: Decimal
    price: Decimal
    is_reduce_only: bool
    is_limit: bool


class Invariants:
    """Checks one episode. Attach `on_sent` to the network and the object itself to every exchange.

    Attributes:
        steps: Checks that were made. violations: What broke, each kind once per client id or asset.
    """

    def __init__(self, sandbox: Sandbox, engine: Engine, clock: Clock, initial_cash_usd: Decimal) -> None:
        self._sandbox = sandbox
        self._engine = engine
        self._clock = clock
        self._initial_cash_usd = initial_cash_usd
        self._sent_ids: set[tuple[VenueName, int]] = set()
        self._arrived_ids: set[tuple[VenueName, str]] = set()
        self._told: set[tuple[int, object]] = set()
        self._trace: deque[str] = deque(maxlen=TRACE_KEPT)
        self.steps = 0
        self._covered: dict[int, Decimal] = {}
        self.violations: list[Violation] = []
        self.on_trace: Callable[[str], None] | None = None
        for venue, exchange in sandbox.exchanges.items():
            exchange.listen(_Ear(self, venue, exchange))

    def note(self, event: str) -> None:
        """Add a line to the trace."""
        line = f"{self._clock.wall_ms()} {event}"
        self._trace.append(line)
        if self.on_trace is not None:
            self.on_trace(line)

    def break_(self, invariant: int, about: object, message: str) -> None:
        """Report a violation, once per invariant and subject."""
        if (invariant, about) not in self._told:
            self._told.add((invariant, about))
            self.violations.append(Violation(invariant, message, self._clock.wall_ms(), tuple(self._trace)))

    # On the wire -----------------------------------------------------------------------------------------------------

    def on_sent(self, sent: Sent) -> None:
        """Judge bytes at the instant they leave."""
        self.steps += 1
        if sent.kind != "http":
            return
        is_write = sent.path.endswith("/exchange") or "sendTx" in sent.path
        self.note(f"{sent.client} > {sent.venue.value} {sent.path} {_short(sent.body) if is_write else ''}")
        for order in read_orders(sent, self._sandbox.exchanges[sent.venue]):
            self._judge_order(order)

    def _judge_order(self, order: WireOrder) -> None:
        journalled = self._journalled(order.client_id)
        about = (order.venue, order.client_id)
        if journalled is None:
            self.break_(1, about, f"order {order.client_id} left for {order.venue.value} before it was journalled")
            return
        if about in self._sent_ids:
            self.break_(3, about, f"order {order.client_id} was sent to {order.venue.value} twice")
        self._sent_ids.add(about)
        self._judge_earlier(order, journalled)
        purpose = Purpose(journalled["purpose"])
        if purpose in (Purpose.TRIM, Purpose.CLOSE) and not order.is_reduce_only:
            self.break_(6, about, f"closing order {order.client_id} left without reduce-only")
        self._judge_price(order)
        if purpose is Purpose.HEDGE:
            self._judge_hedge(order, journalled)

    def _judge_earlier(self, order: WireOrder, journalled: Mapping[str, Any]) -> None:
        """A leg's next order leaves only when the desk has every fill of the leg's earlier ones on disk."""
        for client_id, known in self._known_fills(journalled["pair_id"], journalled["leg"]).items():
            if client_id != order.client_id and self._true_filled(order.venue, client_id) > known:
                self.break_(
                    3,
                    (order.venue, order.client_id),
                    f"order {order.client_id} left while {client_id} had filled unknown to the desk",
                )

    def _known_fills(self, pair_id: int, leg: str) -> dict[int, Decimal]:
        """Journalled fills of each order of a leg."""
        query = (
            select(orders_table.c.client_id, fills_table.c.size)
            .outerjoin(fills_table, fills_table.c.client_id == orders_table.c.client_id)
            .where(orders_table.c.pair_id == pair_id, orders_table.c.leg == leg)
        )
        known: dict[int, Decimal] = {}
        with self._engine.connect() as connection:
            for client_id, size in connection.execute(query):
                known[client_id] = known.get(client_id, ZERO) + (size or ZERO)
        return known

    def _judge_price(self, order: WireOrder) -> None:
        mark = self._sandbox.exchanges[order.venue].mark_price(order.symbol)
        if not order.is_limit or abs(order.price - mark) > mark * BAND_MAX:
            about = (order.venue, order.client_id)
            self.break_(
                7, about, f"order {order.client_id} limits at {order.price} while {order.symbol} marks at {mark}"
            )

    def _judge_hedge(self, order: WireOrder, journalled: Mapping[str, Any]) -> None:
        """The first leg, by the venue's own book, must already hold what this hedge completes."""
        pair_id, leg = journalled["pair_id"], Leg(journalled["leg"])
        first, second = (self._true_held(pair_id, side) for side in (leg.other, leg))
        size = order.size * self._market(order.venue, order.symbol).multiplier
        if second + size > first:
            self.break_(
                4,
                (pair_id, order.client_id),
                f"hedge {order.client_id} of {size} on {second}, but the first leg holds {first}",
            )

    # On the venues ---------------------------------------------------------------------------------------------------

    def on_order(self, venue: VenueName, order: SimOrder) -> None:
        """An order the desk had written off must not come alive at the venue."""
        self.steps += 1
        if order.client_id is None or not self._is_ours(venue, order.account_id):
            return
        self.note(
            f"{venue.value} order {order.client_id} {order.side} {order.size} {order.symbol} {order.status} {order.reason}"
        )
        about = (venue, order.client_id)
        if about in self._arrived_ids:
            return
        self._arrived_ids.add(about)
        journalled = self._journalled(int(order.client_id, 0))
        if order.status is not SimStatus.REJECTED and journalled and journalled["state"] == OrderState.FINAL.value:
            self.break_(3, about, f"order {order.client_id} was taken as ended and then came alive")

    def on_fill(self, venue: VenueName, fill: SimFill) -> None:
        """Positions never turn against their leg, and a leg never opens more than its pair wanted."""
        self.steps += 1
        if not self._is_ours(venue, fill.account_id):
            return
        self.note(
            f"{venue.value} fill {fill.client_id} {fill.side} {fill.trade.size} {fill.trade.symbol} @ {fill.trade.price}"
        )
        if fill.client_id is None:
            return
        journalled = self._journalled(int(fill.client_id, 0))
        if journalled is None:
            return
        self._judge_direction(venue, fill, Leg(journalled["leg"]))
        self._judge_total(journalled["pair_id"], Leg(journalled["leg"]))

    def _judge_direction(self, venue: VenueName, fill: SimFill, leg: Leg) -> None:
        after = fill.size_before + fill.trade.size * fill.side.sign
        if after * leg.opening_side.sign < 0:
            self.break_(
                6,
                (venue, fill.client_id),
                f"{venue.value} {fill.trade.symbol} turned to {after}, against its {leg} leg",
            )

    def _judge_total(self, pair_id: int, leg: Leg) -> None:
        with self._engine.connect() as connection:
            wanted = connection.execute(
                select(orders_table.c.size).where(
                    orders_table.c.pair_id == pair_id, orders_table.c.purpose == Purpose.ENTRY.value
                )
            ).scalar()
        held = self._true_held(pair_id, leg)
        if wanted is not None and held > wanted:
            self.break_(
                3, (pair_id, leg), f"the {leg} leg of pair {pair_id} holds {held}, more than the {wanted} wanted"
            )

    def _true_held(self, pair_id: int, leg: Leg) -> Decimal:
        """Units of the asset that the venue's own fills give to one leg of a pair."""
        held = ZERO
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(orders_table.c.client_id, orders_table.c.venue).where(
                    orders_table.c.pair_id == pair_id, orders_table.c.leg == leg.value
                )
            ).all()
        for client_id, venue_name in rows:
            venue = VenueName(venue_name)
            account = self._account(venue)
            order = account.by_client_id.get(self._wire_id(venue, client_id))
            if order is not None and order.filled:
                multiplier = self._market(venue, order.symbol).multiplier
                held += order.filled * multiplier * (1 if order.side is leg.opening_side else -1)
        return held

    # The desk against the venues -------------------------------------------------------------------------------------

    def check_desk(self, desk: Desk) -> None:
        """Every fill the desk counts is one the venue made, each of its own is explained (2), and its code fails nowhere (8)."""
        self.steps += 1
        for name, (reason, _) in desk.guard.halts.items():
            if name.startswith("bug:"):
                self.break_(8, name, reason)
        for fill in desk.portfolio.unexplained.values():
            if fill.client_id is not None:
                self.break_(2, fill.trade_id, f"fill {fill.trade_id} of order {fill.client_id} found no pair")
        for ledger in desk.portfolio.ledgers.values():
            for client_id, record in ledger.orders.items():
                filled = ledger.filled(client_id)
                if filled == self._covered.get(client_id, ZERO):
                    continue  # what a venue filled only grows: once covered, the same amount stays covered
                if filled <= self._true_filled(record.intent.venue, client_id):
                    self._covered[client_id] = filled
                else:
                    self.break_(
                        2, client_id, f"the desk counts {filled} of order {client_id}, more than the venue filled"
                    )

    def _true_filled(self, venue: VenueName, client_id: int) -> Decimal:
        order = self._account(venue).by_client_id.get(self._wire_id(venue, client_id))
        return ZERO if order is None else order.filled * self._market(venue, order.symbol).multiplier

    def check_money(self, desk: Desk) -> Decimal:
        """The desk's four parts against what the venues' accounts gained (9); returns the residual in USD."""
        self.steps += 1
        marks = {
            (venue.value, market.asset): exchange.mark_price(market.symbol) / market.multiplier
            for venue, exchange in self._sandbox.exchanges.items()
            for market in exchange.markets.values()
        }
        gained = sum(
            (
                exchange.equity_usd(self._sandbox.accounts[venue][0].exchange_id) - self._initial_cash_usd
                for venue, exchange in self._sandbox.exchanges.items()
            ),
            ZERO,
        )
        residual = gained - desk.portfolio.pnl(marks).total_usd
        if abs(residual) > MONEY_TOLERANCE:
            self.break_(
                9, "money", f"the venues' accounts changed by {gained} USD, {residual} USD more than the desk explains"
            )
        return residual

    def check_flat(self) -> None:
        """After everything was closed no position and no order may be left (5, 8)."""
        self.steps += 1
        for venue, exchange in self._sandbox.exchanges.items():
            account = self._account(venue)
            for symbol, position in account.positions.items():
                if position.size:
                    self.break_(
                        8,
                        (venue, symbol),
                        f"{venue.value} still holds {position.size} {symbol} after everything was closed",
                    )
            for order in exchange.resting_orders(account.account_id):
                self.break_(8, (venue, order.order_id), f"{venue.value} order {order.client_id} still rests at the end")

    # Helpers ---------------------------------------------------------------------------------------------------------

    def _account(self, venue: VenueName) -> Any:
        account = self._sandbox.exchanges[venue].account(self._sandbox.accounts[venue][0].exchange_id)
        assert account is not None
        return account

    def _is_ours(self, venue: VenueName, account_id: str) -> bool:
        return account_id == self._sandbox.accounts[venue][0].exchange_id

    def _market(self, venue: VenueName, symbol: str) -> Any:
        return self._sandbox.exchanges[venue].markets[symbol]

    @staticmethod
    def _wire_id(venue: VenueName, client_id: int) -> str:
        return f"0x{client_id:032x}" if venue is VenueName.HYPERLIQUID else str(client_id)

    def _journalled(self, client_id: int) -> Mapping[str, Any] | None:
        with self._engine.connect() as connection:
            row = (
                connection.execute(select(orders_table).where(orders_table.c.client_id == client_id)).mappings().first()
            )
        return None if row is None else dict(row)


class _Ear:
    """One exchange's listener: hands on what concerns the checks."""

    def __init__(self, invariants: Invariants, venue: VenueName, exchange: Exchange) -> None:
        self._invariants = invariants
        self._venue = venue
        self._exchange = exchange

    def on_book(self, symbol: str) -> None: ...

    def on_trade(self, trade: SimTrade) -> None: ...

    def on_fill(self, fill: SimFill) -> None:
        self._invariants.on_fill(self._venue, fill)

    def on_order(self, order: SimOrder) -> None:
        self._invariants.on_order(self._venue, order)

    def on_funding(self, funding: SimFunding) -> None:
        self._invariants.note(f"{self._venue.value} funding {funding.usd} {funding.symbol}")

    def on_settled(self, settled: SettledRate) -> None: ...

    def on_prices(self, symbol: str) -> None: ...


def _short(body: bytes) -> str:
    return body[:400].decode("utf-8", "replace")


def read_orders(sent: Sent, exchange: Exchange) -> list[WireOrder]:
    """The new orders inside one request's bytes; empty when it is something else."""
    by_index = {market.index: market.symbol for market in exchange.markets.values()}
    if sent.venue is VenueName.HYPERLIQUID and sent.path.endswith("/exchange"):
        action = msgspec.json.decode(sent.body)["action"]
        if action["type"] != "order":
            return []
        return [_hyperliquid_order(order, by_index) for order in action["orders"]]
    if sent.venue is VenueName.LIGHTER and sent.path.endswith("/sendTx"):
        form = parse_qs(sent.body.decode())
        if form["tx_type"] == [LIGHTER_ORDER]:
            return [_lighter_order(msgspec.json.decode(form["tx_info"][0]), by_index, exchange)]
    return []


def _hyperliquid_order(order: Mapping[str, Any], by_index: Mapping[int, str]) -> WireOrder:
    return WireOrder(
        VenueName.HYPERLIQUID,
        int(order["c"], 16),
        by_index[order["a"]],
        order["b"],
        Decimal(order["s"]),
        Decimal(order["p"]),
        order["r"],
        "limit" in order["t"],
    )


def _lighter_order(order: Mapping[str, Any], by_index: Mapping[int, str], exchange: Exchange) -> WireOrder:
    market = exchange.markets[by_index[order["MarketIndex"]]]
    return WireOrder(
        VenueName.LIGHTER,
        order["ClientOrderIndex"],
        market.symbol,
        order["IsAsk"] == 0,
        order["BaseAmount"] * market.lot,
        order["Price"] * market.price_grid.tick,
        order["ReduceOnly"] == 1,
        order["Type"] == 0,
    )
