"""Orders on Lighter: placing, cancelling, looking one up, and making sure that a lost one can not take effect any more."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from decimal import Decimal

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.markets import Market
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import OrderIntent, OrderReport, OrderStatus, TimeInForce, filled_size
from perpdesk.venues.base import (
    FrameUnreadable,
    InsufficientMargin,
    NotSent,
    OrderRejected,
    OutcomeUnknown,
    RequestRefused,
    VenueError,
)
from perpdesk.venues.lighter.account_frames import (
    OrderRow,
    TxStatus,
    failure_reason,
    parse_order_page,
    parse_tx,
    to_order_report,
)
from perpdesk.venues.lighter.frames import BAD_DATA, to_steps
from perpdesk.venues.lighter.reads import PAGE_ROWS, LighterReads
from perpdesk.venues.lighter.rest import NO_KEY, LighterRest
from perpdesk.venues.lighter.signing import (
    BASE_MAX,
    ORDER_LIMIT,
    PRICE_MAX,
    TIF_GTC,
    TIF_IOC,
    TIF_POST_ONLY,
    OrderFields,
    SignedTx,
    Signer,
)
from perpdesk.venues.lighter.transactions import NonceRefused, TransactionLost, TransactionRefused, TransactionSender

VENUE = VenueName.LIGHTER

RESTING_MS = 28 * 86_400_000
"""How long a good-till-time or post-only order may rest: the venue takes 5 minutes to 30 days, its own SDK sends 28 days."""
DAY_MS = 86_400_000
SENT_KEPT_MAX = 10_000
ROW_LAG_MS = 60_000
"""Lists of orders lag behind execution; an executed transaction without an order row is believed only after this."""
LIST_PAGES_MAX = 20
DOOR_TRIES_MAX = 8
DOOR_PAUSE_MS = 300
SETTLE_POLLS_MAX = 12
SETTLE_PAUSE_MS = 1_000
"""Queued transactions execute within a second, takers up to 300 ms later than cancels."""
RESTART_LAG_MS = 10_000
"""How long after its expiry an earlier process's order may still be missing from the lists."""
CANCEL_AGAIN_EVERY = 4
ALL_MARKETS = 255

_DUPLICATE_CLIENT_ID = 21728
_MARGIN_CODES = frozenset({21739, 21508, 21301})
_NOT_FOUND = frozenset({"404", "29404"})
_TX_NOT_FOUND = _NOT_FOUND | {"21500"}
_TIME_IN_FORCE = {TimeInForce.IOC: TIF_IOC, TimeInForce.GTC: TIF_GTC, TimeInForce.POST_ONLY: TIF_POST_ONLY}


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is remembered of an order of this process: its transaction, since there may never be an order row."""

    tx_hash: str
    signed_hash: str
    nonce: int
    size: Decimal
    at_ms: int
    is_nonce_refused: bool = False


def to_order_fields(order: OrderIntent, market: Market, now_ms: int) -> OrderFields:
    """The venue's integers for `order`. OrderRejected, by ourselves, for what they can not say exactly."""
    time_in_force = _TIME_IN_FORCE.get(order.time_in_force)
    if time_in_force is None:
        raise OrderRejected("unsupported", f"Lighter has no {order.time_in_force.value} orders; use ioc")
    try:
        base = to_steps(order.size, market.lot)
        price = to_steps(order.limit_price, market.price_grid.tick)
    except BAD_DATA as error:
        raise OrderRejected("off-grid", f"size or price is not one Lighter can express: {error}") from error
    if not 1 <= base <= BASE_MAX or not 1 <= price <= PRICE_MAX:
        raise OrderRejected("out-of-range", f"size {order.size} or price {order.limit_price} is beyond Lighter's range")
    return OrderFields(
        market_index=market.venue_index,
        client_order_index=order.client_id,
        base_amount=base,
        price=price,
        is_ask=1 if order.side is Side.SELL else 0,
        order_type=ORDER_LIMIT,
        time_in_force=time_in_force,
        reduce_only=1 if order.is_reduce_only else 0,
        trigger_price=0,
        order_expiry=0 if time_in_force == TIF_IOC else now_ms + RESTING_MS,
    )


class LighterOrders:
    """Orders of one account and key, sent one at a time."""

    def __init__(
        self, rest: LighterRest, reads: LighterReads, sender: TransactionSender, signer: Signer | None, clock: Clock
    ) -> None:
        self._rest = rest
        self._reads = reads
        self._sender = sender
        self._signer = signer
        self._clock = clock
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._has_lookup = True

    # --- sending

    async def place(self, order: OrderIntent) -> None:
        """Send a limit order; see `Venue.place`. Returning means queued: the sequencer may still fail it."""
        signer = self._require_signer()
        market = self._reads.markets.get(order.asset)
        if market is None:
            raise OrderRejected("unknown-market", f"Lighter lists no perpetual of {order.asset}")
        fields = to_order_fields(order, market, self._clock.wall_ms())

        def before(signed: SignedTx, nonce: int) -> None:
            if self._clock.wall_ms() >= order.expires_at_ms:
                raise NotSent(f"order {order.client_id} expired before it could be sent")
            self._remember(
                order.client_id, _Sent(signed.tx_hash, signed.tx_hash, nonce, order.size, self._clock.wall_ms())
            )

        try:
            tx_hash = await self._sender.send(lambda nonce: signer.create_order(fields, nonce), before=before)
        except NonceRefused as error:
            # Mostly just out of step, but a copy of this very request may have got there first.
            self._remember(order.client_id, replace(self._sent[order.client_id], is_nonce_refused=True))
            raise OutcomeUnknown(order.client_id, f"its nonce had been used: {error}") from error
        except TransactionRefused as error:
            raise _order_refusal(order.client_id, error) from error
        except TransactionLost as error:
            raise OutcomeUnknown(order.client_id, str(error)) from error
        self._remember(order.client_id, replace(self._sent[order.client_id], tx_hash=tx_hash))

    async def cancel(self, asset: str, client_id: int) -> None:
        """Cancel by client id; see `Venue.cancel`."""
        signer = self._require_signer()
        index = self._reads.market(asset).venue_index
        try:
            await self._sender.send(lambda nonce: signer.cancel_order(index, client_id, nonce))
        except NonceRefused as error:
            raise NotSent(
                f"Lighter did not take the cancel: its nonce was out of step ({error}); send it again"
            ) from error
        except TransactionRefused as error:
            raise RequestRefused(str(error.code), error.message) from error
        except TransactionLost as error:
            raise OutcomeUnknown(client_id, str(error)) from error

    async def set_leverage(self, asset: str, leverage: int) -> None:
        """Set cross leverage of one market (repeatable). NotSent, RequestRefused; a lost answer is NotSent: ask again."""
        signer = self._require_signer()
        index = self._reads.market(asset).venue_index
        fraction = 10_000 // max(leverage, 1)
        try:
            await self._sender.send(lambda nonce: signer.update_leverage(index, fraction, 0, nonce))
        except (NonceRefused, TransactionLost) as error:
            raise NotSent(f"whether the leverage was set is not known: {error}; set it again") from error
        except TransactionRefused as error:
            raise RequestRefused(str(error.code), error.message) from error

    # --- looking up

    async def fetch_order(self, asset: str, client_id: int) -> OrderReport | None:
        """State of one order from its row or, where there is none, from its transaction.

        A transaction the sequencer failed leaves no order row: it is reported REJECTED in the sequencer's words. One
        that is still on its way is RESTING with nothing filled.
        """
        market = self._reads.market(asset)
        row = await self._find_row(market, client_id)
        if row is None:
            return await self._report_from_transaction(market, client_id)
        try:
            return to_order_report(row, self._reads.by_index)
        except BAD_DATA as error:
            raise FrameUnreadable("order", repr(row).encode()) from error

    async def fetch_open_orders(self) -> tuple[OrderReport, ...]:
        """Every resting order that carries a client id."""
        reports = []
        for row in await self._list("accountActiveOrders", ALL_MARKETS, since_ms=0):
            try:
                report = to_order_report(row, self._reads.by_index)
            except BAD_DATA as error:
                raise FrameUnreadable("order", repr(row).encode()) from error
            if report is not None and not report.status.is_final:
                reports.append(report)
        return tuple(reports)

    async def _find_row(self, market: Market, client_id: int) -> OrderRow | None:
        if self._has_lookup:
            query = {"account_index": self._reads.account_index(), "client_order_indexes": client_id}
            try:
                rows, _ = parse_order_page(await self._rest.get("accountOrders", query, is_private=True))
                return _match(rows, market, client_id)
            except RequestRefused as error:
                if error.code not in _NOT_FOUND:
                    raise
                self._has_lookup = False  # not offered here; the two lists say the same in more requests
        # Active before inactive: an order that moves between the two reads is then seen in one of them.
        since_ms = self._clock.wall_ms() - DAY_MS
        for path in ("accountActiveOrders", "accountInactiveOrders"):
            row = _match(await self._list(path, market.venue_index, since_ms, client_id), market, client_id)
            if row is not None:
                return row
        return None

    async def _list(self, path: str, market_id: int, since_ms: int, until_id: int | None = None) -> list[OrderRow]:
        """Rows of an order list, newest first, back to `since_ms` or to the order `until_id`."""
        query: dict[str, str | int] = {"account_index": self._reads.account_index(), "market_id": market_id}
        if path == "accountInactiveOrders":
            query["limit"] = PAGE_ROWS
        found: list[OrderRow] = []
        for _ in range(LIST_PAGES_MAX):
            rows, cursor = parse_order_page(await self._rest.get(path, query, is_private=True))
            found += rows
            is_reached = any(row.client_order_index == until_id for row in rows) if until_id is not None else False
            if cursor is None or not rows or is_reached or min(row.timestamp for row in rows) < since_ms:
                return found
            query["cursor"] = cursor
        raise RequestRefused("too-long", f"Lighter's list {path} does not end within {LIST_PAGES_MAX} pages")

    async def _report_from_transaction(self, market: Market, client_id: int) -> OrderReport | None:
        sent = self._sent.get(client_id)
        tx = None if sent is None else await self._fetch_tx(sent.tx_hash)
        if sent is None or tx is None:
            return None
        if tx.is_failed:
            self._sender.doubt_nonce()
            reason = failure_reason(tx)
            return OrderReport(client_id, VENUE, market.asset, OrderStatus.REJECTED, ZERO, None, reason)
        is_young = self._clock.wall_ms() - sent.at_ms < ROW_LAG_MS
        if tx.is_pending or is_young:
            return OrderReport(client_id, VENUE, market.asset, OrderStatus.RESTING, ZERO, None)
        report = await self._report_from_fills(market.asset, client_id, sent.size, sent.at_ms - ROW_LAG_MS)
        reason = "executed without leaving an order"
        return report or OrderReport(client_id, VENUE, market.asset, OrderStatus.CANCELED, ZERO, None, reason)

    async def _fetch_tx(self, tx_hash: str) -> TxStatus | None:
        try:
            return parse_tx(await self._rest.get("tx", {"by": "hash", "value": tx_hash}))
        except RequestRefused as error:
            if error.code not in _TX_NOT_FOUND:
                raise
            return None

    async def _report_from_fills(self, asset: str, client_id: int, size: Decimal, since_ms: int) -> OrderReport | None:
        """What our trades say of an order that can not rest any more; None when none is its own."""
        fills = [f for f in await self._reads.fetch_fills(since_ms) if f.client_id == client_id and f.asset == asset]
        if not fills:
            return None
        filled = filled_size(fills)
        average = sum((fill.size * fill.price for fill in fills), ZERO) / filled
        status = OrderStatus.FILLED if filled >= size else OrderStatus.CANCELED
        return OrderReport(client_id, VENUE, asset, status, filled, average, "read from trades; no order row")

    # --- settling

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        """Close the door on `order`, then say what became of it; see `Venue.settle`.

        The door is the key's nonce. A transaction is accepted only with exactly the next nonce, and this process never has
        more than one unanswered under way, so once ANY transaction with a nonce at or above the lost one's is accepted, the lost
        one either came before it (and is in the books below) or can never be accepted. The transaction spent here is an
        immediate cancel-all of the order's market: always valid, and it also removes the order should it rest. It takes any
        other order of ours in that market with it; the desk has one pair, hence one order, per asset.

        Then the order is asked for until its state is final: acceptance is only queueing, execution follows within a second.
        """
        self._require_signer()
        market = self._reads.market(order.asset)
        await self._close_door(market)
        if self._was_never_taken(order.client_id):
            return None
        failure: VenueError = RequestRefused(
            "unsettled", f"Lighter does not yet say what became of order {order.client_id}; settle it again", 5_000
        )
        unknown = 0
        for poll in range(1, SETTLE_POLLS_MAX + 1):
            await self._clock.sleep_ms(SETTLE_PAUSE_MS)
            try:
                report = await self.fetch_order(order.asset, order.client_id)
                if report is not None and report.status.is_final:
                    return report
                unknown = unknown + 1 if report is None else 0
                if unknown >= 2:
                    is_patient_enough = self._clock.wall_ms() >= self._patience_until_ms(order)
                    since_ms = min(self._clock.wall_ms(), order.expires_at_ms) - DAY_MS
                    traded = await self._report_from_fills(order.asset, order.client_id, order.size, since_ms)
                    if traded is not None or is_patient_enough:
                        return traded
            except (NotSent, FrameUnreadable) as error:
                failure = error  # one lost read must not undo the whole; the next poll asks again
                continue
            except RequestRefused as error:
                if error.retry_after_ms is None:
                    raise
                failure = error
                await self._clock.sleep_ms(error.retry_after_ms)
                continue
            if report is not None and poll % CANCEL_AGAIN_EVERY == 0:
                await self._close_door(market)  # a delayed taker came to rest after our cancel had passed
        raise failure

    def _was_never_taken(self, client_id: int) -> bool:
        """Proof by nonce: another transaction of ours was accepted with the number the order was sent under."""
        sent = self._sent.get(client_id)
        taken = None if sent is None else self._sender.accepted_hash(sent.nonce)
        return sent is not None and taken is not None and taken != sent.signed_hash

    def _patience_until_ms(self, order: OrderIntent) -> int:
        """Until when "not known" may only mean that the lists lag behind.

        An order this process sent, with a nonce it gave to nothing else, was taken: its row must come. Of an earlier
        process's order, and of one whose nonce was refused or given to another transaction too, only the time is known.
        """
        sent = self._sent.get(order.client_id)
        if sent is None or sent.is_nonce_refused or self._sender.was_contended(sent.nonce):
            return order.expires_at_ms + RESTART_LAG_MS
        return sent.at_ms + ROW_LAG_MS

    async def _close_door(self, market: Market) -> None:
        """Have one harmless transaction accepted whose nonce is at or above every lost one's."""
        signer = self._require_signer()
        failure: VenueError = RequestRefused("unsettled", "no transaction could be confirmed; settle again", 5_000)
        for _ in range(DOOR_TRIES_MAX):
            try:
                await self._sender.send(lambda nonce: signer.cancel_all(market.venue_index, nonce), is_nonce_fresh=True)
            except NotSent as error:
                failure = error
            except (NonceRefused, TransactionLost):
                pass  # the lost order came first, or this one's answer is lost too: read the nonce and send again
            except TransactionRefused as error:
                raise RequestRefused(str(error.code), f"Lighter refused to cancel all: {error.message}") from error
            else:
                if not self._sender.is_door_open:
                    return
                continue
            await self._clock.sleep_ms(DOOR_PAUSE_MS)
        raise failure

    # --- small things

    def _require_signer(self) -> Signer:
        if self._signer is None:
            raise RequestRefused("no-key", NO_KEY)
        return self._signer

    def _remember(self, client_id: int, sent: _Sent) -> None:
        self._sent[client_id] = sent
        while len(self._sent) > SENT_KEPT_MAX:
            self._sent.popitem(last=False)


def _match(rows: list[OrderRow], market: Market, client_id: int) -> OrderRow | None:
    """The newest row of that client id in that market."""
    own = [row for row in rows if row.client_order_index == client_id and row.market_index == market.venue_index]
    return max(own, key=lambda row: row.timestamp, default=None)


def _order_refusal(client_id: int, error: TransactionRefused) -> OrderRejected | OutcomeUnknown:
    if error.code == _DUPLICATE_CLIENT_ID:
        return OutcomeUnknown(client_id, "Lighter already has an order of this client id: an earlier send arrived")
    if error.code in _MARGIN_CODES:
        return InsufficientMargin(str(error.code), error.message)
    return OrderRejected(str(error.code), error.message)
