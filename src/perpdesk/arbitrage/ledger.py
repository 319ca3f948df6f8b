"""One pair's books: its orders, the fills that really happened, the funding that was really paid.

Quantities come from fills alone. What the venue says of an order only tells whether fills are still missing.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import Fill, OrderReport, OrderStatus
from perpdesk.domain.pairs import Leg, OrderRecord, OrderState, Pair, Purpose
from perpdesk.domain.pnl import Attribution, PnlParts, PricedFill, attribute
from perpdesk.store.ids import split_client_id

SKEW_BELIEVED_MS = 2_000
"""How far ahead of ours a venue's clock may run before its times say nothing."""


@dataclass(frozen=True, slots=True)
class Naked:
    """Time and notional with legs that differ by more than the tolerance.

    Attributes:
        ms: Total. ms_max: Longest stretch. usd_ms: Integral of notional over time. since_ms: Start of the stretch that is
            still going on, None when the legs agree.
    """

    ms: int
    ms_max: int
    usd_ms: Decimal
    stretches_ms: tuple[int, ...]
    since_ms: int | None


class Ledger:
    """Everything the desk knows of one pair, in memory; the journal holds the same on disk."""

    def __init__(
        self,
        pair: Pair,
        tolerance: Decimal,
        orders: Iterable[OrderRecord] = (),
        fills: Iterable[Fill] = (),
        payments: Iterable[FundingPayment] = (),
    ) -> None:
        self.pair = pair
        self.tolerance = tolerance
        self.orders: dict[int, OrderRecord] = {order.intent.client_id: order for order in orders}
        self._fills: dict[tuple[str, str], Fill] = {}
        self._payments: dict[tuple[str, str], FundingPayment] = {}
        self._filled: dict[int, Decimal] = {}
        self._last_number = max((split_client_id(known).number for known in self.orders), default=0)
        self._held: dict[Leg, Decimal] = {Leg.LONG: ZERO, Leg.SHORT: ZERO}
        self._sums = Attribution()
        self._has_early_fill = False
        for fill in fills:
            self.add_fill(fill)
        for payment in payments:
            self.add_payment(payment)

    # What happened ---------------------------------------------------------------------------------------------------

    def add_fill(self, fill: Fill) -> bool:
        """Take a fill; False when it is known already."""
        key = (fill.venue.value, fill.trade_id)
        if key in self._fills:
            return False
        self._fills[key] = fill
        self._sums.add_fill(PricedFill(fill, self._decision_mid(fill)))
        # An order written down only after its fill would change the fill's yardstick: then the sums are not to be trusted.
        self._has_early_fill |= fill.client_id is not None and fill.client_id not in self.orders
        leg = self.pair.leg_on(fill.venue)
        self._held[leg] += fill.size * (1 if fill.side is leg.opening_side else -1)
        if fill.client_id is not None:
            self._filled[fill.client_id] = self._filled.get(fill.client_id, ZERO) + fill.size
        return True

    def add_payment(self, payment: FundingPayment) -> bool:
        """Take a funding payment; False when it is known already."""
        key = (payment.venue.value, payment.payment_id)
        if key in self._payments:
            return False
        self._payments[key] = payment
        self._sums.add_payment(payment)
        return True

    def take_report(self, report: OrderReport) -> OrderRecord | None:
        """Fold what the venue says of an order into its record; the changed record, or None when nothing changed.

        A report never takes a final order back, and a smaller filled amount never replaces a larger one.
        """
        record = self.orders.get(report.client_id)
        if record is None:
            return None
        filled = max(record.filled_reported, report.filled_size)
        if report.status is OrderStatus.FILLED and report.filled_size == 0:
            filled = record.intent.size
        reason = report.reason or record.reason
        state = record.state
        if report.status.is_final and state is not OrderState.FINAL:
            is_complete = self.filled(report.client_id) >= record.intent.size
            state = OrderState.FINAL if is_complete else OrderState.ENDED
        elif state in (OrderState.JOURNALLED, OrderState.UNKNOWN):
            state = OrderState.ACCEPTED
        changed = replace(record, state=state, filled_reported=filled, reason=reason)
        if changed == record:
            return None
        self.orders[report.client_id] = changed
        return changed

    def take_order_number(self) -> int:
        """The next order's number within the pair. Taken at once, so that two legs placing side by side never share one."""
        self._last_number += 1
        return self._last_number

    def confirm_end(self, client_id: int) -> OrderRecord | None:
        """Take the reported end of an order as true, its fills having been read again; None when there is nothing to take."""
        record = self.orders[client_id]
        if record.state is not OrderState.ENDED or self.is_missing_fills(record):
            return None
        self.orders[client_id] = replace(record, state=OrderState.FINAL)
        return self.orders[client_id]

    def take_back_end(self, client_id: int) -> OrderRecord | None:
        """The venue, asked, says that an order it had reported as ended rests; None when it was not thought ended."""
        record = self.orders[client_id]
        if record.state is not OrderState.ENDED:
            return None
        self.orders[client_id] = replace(record, state=OrderState.ACCEPTED)
        return self.orders[client_id]

    def end_filled_order(self, client_id: int) -> OrderRecord | None:
        """Note the end of an order whose fills are complete; the changed record, None when there is nothing to note."""
        record = self.orders.get(client_id)
        if record is None or record.state is OrderState.FINAL or self.filled(client_id) < record.intent.size:
            return None
        self.orders[client_id] = replace(record, state=OrderState.FINAL, filled_reported=record.intent.size)
        return self.orders[client_id]

    # What holds ------------------------------------------------------------------------------------------------------

    @property
    def fills(self) -> tuple[Fill, ...]:
        return tuple(sorted(self._fills.values(), key=lambda fill: (fill.at_ms, fill.trade_id)))

    @property
    def payments(self) -> tuple[FundingPayment, ...]:
        return tuple(self._payments.values())

    def held(self, leg: Leg) -> Decimal:
        """Units of the asset a leg holds in its own direction; negative only if something reversed it."""
        return self._held[leg]

    @property
    def imbalance(self) -> Decimal:
        """Long leg less short leg, units of the asset."""
        return self._held[Leg.LONG] - self._held[Leg.SHORT]

    @property
    def is_flat(self) -> bool:
        return self._held[Leg.LONG] == 0 and self._held[Leg.SHORT] == 0

    def filled(self, client_id: int) -> Decimal:
        """What fills have shown of one order."""
        return self._filled.get(client_id, ZERO)

    def is_missing_fills(self, record: OrderRecord) -> bool:
        """Whether the venue reported more filled than fills have shown."""
        return record.filled_reported > self.filled(record.intent.client_id)

    def is_live(self, record: OrderRecord) -> bool:
        """Whether an order can still change or fills of it are not here yet. Fills of its whole size end every doubt."""
        if self.filled(record.intent.client_id) >= record.intent.size:
            return False
        return record.state is not OrderState.FINAL or self.is_missing_fills(record)

    def live_order(self, leg: Leg) -> OrderRecord | None:
        """The live order of `leg`; at most one by construction."""
        return next((record for record in self.orders.values() if record.leg is leg and self.is_live(record)), None)

    def attempts(self, leg: Leg, *purposes: Purpose) -> int:
        """How many orders of these purposes the leg has had."""
        return sum(1 for record in self.orders.values() if record.leg is leg and record.purpose in purposes)

    def shortfalls(self, leg: Leg, *purposes: Purpose) -> int:
        """How many of them did not fill whole: what retries and pauses are counted by."""
        return sum(
            1
            for client_id, record in self.orders.items()
            if record.leg is leg and record.purpose in purposes and self.filled(client_id) < record.intent.size
        )

    @property
    def known_fills(self) -> Container[tuple[str, str]]:
        """(venue, trade id) of every fill taken."""
        return self._fills

    @property
    def known_payments(self) -> Container[tuple[str, str]]:
        """(venue, payment id) of every payment taken."""
        return self._payments

    def unequal_since_ms(self, now_ms: int) -> int | None:
        """Since when the legs differ beyond the tolerance, by our clock; None while they agree.

        Fill times are the venue's. One outside the life of its order by our clock shows that the clocks differ: then
        the order's own start stands in, so that no skew can hide or invent a naked leg.
        """
        held = {Leg.LONG: ZERO, Leg.SHORT: ZERO}
        since: int | None = None
        for fill in self._fills.values():  # in order of arrival: two venues' clocks can not be sorted by
            leg = self.pair.leg_on(fill.venue)
            held[leg] += fill.size * (1 if fill.side is leg.opening_side else -1)
            if abs(held[Leg.LONG] - held[Leg.SHORT]) <= self.tolerance:
                since = None
            elif since is None:
                since = self._our_time_ms(fill, now_ms)
        return since

    def _our_time_ms(self, fill: Fill, now_ms: int) -> int:
        record = None if fill.client_id is None else self.orders.get(fill.client_id)
        begun_ms = now_ms if record is None else record.journalled_at_ms
        if fill.at_ms > now_ms:
            return now_ms if fill.at_ms - now_ms <= SKEW_BELIEVED_MS else begun_ms
        return fill.at_ms if record is None else max(fill.at_ms, begun_ms)

    def last_order_at_ms(self, leg: Leg) -> int | None:
        """When the leg's latest order was journalled."""
        return max((r.journalled_at_ms for r in self.orders.values() if r.leg is leg), default=None)

    def pnl(self, marks: dict[tuple[str, str], Decimal]) -> PnlParts:
        """The pair's money so far by source; see `domain.pnl.Attribution`. Every book event asks, so the sums are kept."""
        if self._has_early_fill:
            return attribute(self.priced_fills(), self.payments, marks)
        return self._sums.parts(marks)

    @property
    def cash_usd(self) -> Decimal:
        """What fills, fees and funding moved so far: the profit without what is still open."""
        return self._sums.cash_usd

    def priced_fills(self) -> list[PricedFill]:
        """Fills beside their decision's mid; a fill of no known order (liquidation) is its own yardstick."""
        return [PricedFill(fill, self._decision_mid(fill)) for fill in self._fills.values()]

    def _decision_mid(self, fill: Fill) -> Decimal:
        record = None if fill.client_id is None else self.orders.get(fill.client_id)
        return fill.price if record is None else record.decision_mid

    def naked(self, now_ms: int) -> Naked:
        """Exposure of unequal legs, by the venues' own fill times, up to `now_ms`."""
        held = {Leg.LONG: ZERO, Leg.SHORT: ZERO}
        total, usd_ms, stretches = 0, ZERO, list[int]()
        since: int | None = None
        last_ms, price = 0, ZERO
        for fill in (*self.fills, None):
            at_ms = now_ms if fill is None else fill.at_ms
            gap = abs(held[Leg.LONG] - held[Leg.SHORT])
            if since is not None:
                usd_ms += gap * price * max(at_ms - last_ms, 0)
            if fill is None:
                break
            leg = self.pair.leg_on(fill.venue)
            held[leg] += fill.size * (1 if fill.side is leg.opening_side else -1)
            last_ms, price = at_ms, fill.price
            is_naked = abs(held[Leg.LONG] - held[Leg.SHORT]) > self.tolerance
            if is_naked and since is None:
                since = at_ms
            elif not is_naked and since is not None:
                stretches.append(at_ms - since)
                total, since = total + at_ms - since, None
        open_ms = 0 if since is None else max(now_ms - since, 0)
        if since is not None:
            stretches.append(open_ms)
        return Naked(total + open_ms, max(stretches, default=0), usd_ms, tuple(stretches), since)
