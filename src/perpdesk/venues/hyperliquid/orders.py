"""Placing, cancelling and settling: what each answer, and each missing answer, lets us conclude."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog

from perpdesk.domain.clock import Clock
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import OrderIntent, OrderReport, OrderStatus, filled_size
from perpdesk.venues.base import FrameUnreadable, NotSent, OrderRejected, OutcomeUnknown, RequestRefused
from perpdesk.venues.hyperliquid.actions import (
    DUPLICATE_CLOID,
    NOOP,
    Action,
    ActionTaken,
    cancel_action,
    code_of,
    order_action,
    parse_cancel_answer,
    parse_order_answer,
    rejection_of,
)
from perpdesk.venues.hyperliquid.gateway import Gateway, Unanswered
from perpdesk.venues.hyperliquid.reads import AccountReads
from perpdesk.venues.hyperliquid.watch import Watch

log = structlog.get_logger(__name__)

T = TypeVar("T")

ORDERS_REMEMBERED_MAX = 10_000
"""Orders of this process whose nonce and last state are kept; the oldest are forgotten first."""
SETTLE_READS_MAX = 4
"""Tries of each read that a settlement needs."""
FENCE_ATTEMPTS_MAX = 3
FENCE_RETRY_MS = 500
EXPIRY_MARGIN_MS = 1_000
"""How far the venue's clock must be past an order's expiry before it counts as unable to arrive."""
EXPIRY_WAIT_MS_MAX = 120_000
"""Longest wait for an expiry inside one `settle`; after that the caller tries again later."""
CLOCK_READS_MAX = 10
STATUS_LAG_MS = 1_000
"""Order records appear a moment after the order; an unknown one is asked for once more after this."""
FILLS_LOOKBACK_MS = 24 * 3_600_000
"""How long before its expiry an order can have filled at the earliest; no order is given longer to arrive."""


class Orders:
    """The orders of one account, by client id."""

    def __init__(
        self, gateway: Gateway, reads: AccountReads, clock: Clock, watch: Watch, publish: Callable[[OrderReport], None]
    ) -> None:
        self._gateway = gateway
        self._reads = reads
        self._clock = clock
        self._watch = watch
        self._publish = publish
        self._nonces: dict[int, int] = {}
        self._spent: dict[int, int] = {}
        self._reports: dict[int, OrderReport] = {}

    def note(self, report: OrderReport) -> None:
        """Remember what the order feed said, so that a slower answer does not take it back."""
        self._reports.pop(report.client_id, None)
        self._reports[report.client_id] = report
        _drop_oldest(self._reports)

    async def place(self, order: OrderIntent, markets: Mapping[str, Market]) -> None:
        """See `Venue.place`. RequestRefused without a signer."""
        self._gateway.require_signer()
        market = markets.get(order.asset)
        if market is None:
            raise OrderRejected("UnknownAsset", f"Hyperliquid does not list {order.asset}")
        action = order_action(order, market)
        if order.expires_at_ms <= self._clock.wall_ms():
            raise OrderRejected("Expired", "the order's time to arrive had passed before it was sent")
        nonce = self._gateway.next_nonce()
        self._remember_nonce(order.client_id, nonce)
        taken = await self._submit(order, action, nonce)
        try:
            report = parse_order_answer(taken, order, market)
        except FrameUnreadable as error:
            self._watch.unreadable("order answer", error.raw, error)
            raise OutcomeUnknown(order.client_id, "unreadable answer") from error
        except OrderRejected as error:
            if error.code == DUPLICATE_CLOID:
                # Client ids are never used twice, so what the venue already has under it is this very order.
                raise OutcomeUnknown(order.client_id, error.reason) from error
            raise
        if report is not None and self._is_news(report):
            self._publish(report)

    async def _submit(self, order: OrderIntent, action: Action, nonce: int) -> ActionTaken:
        try:
            answer = await self._gateway.act(action, nonce, order.expires_at_ms)
        except Unanswered as error:
            raise OutcomeUnknown(order.client_id, error.cause) from error
        except RequestRefused as error:
            raise OrderRejected(error.code, error.reason) from error
        if isinstance(answer, ActionTaken):
            return answer
        if answer.is_about_nonce:
            # Our nonces are fresh: a spent one means that a copy of this very request got there first.
            raise OutcomeUnknown(order.client_id, f"the venue had seen its nonce: {answer.text}")
        raise rejection_of(answer.text)

    def _is_news(self, report: OrderReport) -> bool:
        """Whether an answer adds to what the order feed already said; the feed may well be faster."""
        known = self._reports.get(report.client_id)
        return known is None or (report.status.is_final and not known.status.is_final)

    def _remember_nonce(self, client_id: int, nonce: int) -> None:
        self._nonces.pop(client_id, None)
        self._nonces[client_id] = nonce
        _drop_oldest(self._nonces)

    async def cancel(self, asset: str, client_id: int, markets: Mapping[str, Market]) -> None:
        """See `Venue.cancel`. RequestRefused without a signer."""
        self._gateway.require_signer()
        market = markets.get(asset)
        if market is None:
            raise RequestRefused("UnknownAsset", f"Hyperliquid does not list {asset}")
        try:
            answer = await self._gateway.act(cancel_action(market, client_id), self._gateway.next_nonce(), None)
            if isinstance(answer, ActionTaken):
                reason = parse_cancel_answer(answer)
            elif answer.is_about_nonce:
                raise OutcomeUnknown(client_id, f"the venue had seen the cancel's nonce: {answer.text}")
            else:
                reason = answer.text
        except Unanswered as error:
            raise OutcomeUnknown(client_id, error.cause) from error
        except FrameUnreadable as error:
            self._watch.unreadable("cancel answer", error.raw, error)
            raise OutcomeUnknown(client_id, "unreadable answer") from error
        if reason is not None:
            raise RequestRefused(code_of(reason), reason)

    async def settle(self, order: OrderIntent) -> OrderReport | None:
        """See `Venue.settle`: shut the door first, then ask; asking first could miss a request still on its way."""
        if not await self._spend_nonce(order.client_id):
            await self._wait_for_expiry(order)
        report = await self._insist(lambda: self._reads.fetch_order(order.client_id))
        if report is None:
            await self._clock.sleep_ms(STATUS_LAG_MS)
            report = await self._insist(lambda: self._reads.fetch_order(order.client_id))
        if report is None:
            report = await self._find_elsewhere(order)
        log.info(
            "order_settled",
            venue="hyperliquid",
            client_id=order.client_id,
            status=None if report is None else report.status.value,
        )
        return report

    async def _spend_nonce(self, client_id: int) -> bool:
        """Use up the order's nonce with a noop, so that a copy still in flight is refused on arrival.

        True once the venue confirms it is spent: by taking the noop, or by complaining about the nonce, which the order or
        an earlier noop then has used. Any other refusal (rate limit, unknown wallet) proves nothing.
        """
        nonce = self._nonces.get(client_id)
        if nonce is None or self._spent.get(client_id) == nonce:
            return nonce is not None
        for attempt in range(1, FENCE_ATTEMPTS_MAX + 1):
            try:
                answer = await self._gateway.act(NOOP, nonce, None)
            except (Unanswered, NotSent, RequestRefused) as error:
                outcome = str(error)
            else:
                if isinstance(answer, ActionTaken) or answer.is_about_nonce:
                    self._spent[client_id] = nonce  # a settle that fails later need not do this again
                    _drop_oldest(self._spent)
                    return True
                outcome = answer.text
            log.warning("fence_unconfirmed", venue="hyperliquid", client_id=client_id, attempt=attempt, outcome=outcome)
            if attempt < FENCE_ATTEMPTS_MAX:
                await self._clock.sleep_ms(FENCE_RETRY_MS * attempt)
        return False

    async def _wait_for_expiry(self, order: OrderIntent) -> None:
        """Return once the venue's clock is past the order's expiry; NotSent when that takes too long."""
        safe_at_ms = order.expires_at_ms + EXPIRY_MARGIN_MS
        for _ in range(CLOCK_READS_MAX):
            left_ms = safe_at_ms - await self._insist(self._reads.fetch_server_time_ms)
            if left_ms < 0:
                return
            if left_ms > EXPIRY_WAIT_MS_MAX:
                break
            await self._clock.sleep_ms(left_ms + 1)
        raise NotSent(
            f"order {order.client_id} is not settled: the venue would still take it until {order.expires_at_ms}; "
            "settle it again after that"
        )

    async def _insist(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read again a few times when the answer is lost: a leg is frozen until the whole settlement is through."""
        for attempt in range(1, SETTLE_READS_MAX):
            try:
                return await read()
            except (NotSent, RequestRefused):
                await self._clock.sleep_ms(FENCE_RETRY_MS * attempt)
        return await read()

    async def _find_elsewhere(self, order: OrderIntent) -> OrderReport | None:
        """Look where an order the venue has no record of may still show: among resting orders and among fills.

        Records are kept for about 2000 orders, fills for far longer.
        """
        for report in await self._insist(self._reads.fetch_open_orders):
            if report.client_id == order.client_id:
                return report
        nonce = self._nonces.get(order.client_id, order.expires_at_ms)
        since_ms = max(0, min(nonce, order.expires_at_ms) - FILLS_LOOKBACK_MS)
        found = await self._insist(lambda: self._reads.fetch_fills(since_ms))
        fills = [fill for fill in found if fill.client_id == order.client_id]
        if not fills:
            return None
        size = filled_size(fills)
        average = sum(fill.size * fill.price for fill in fills) / size
        status = OrderStatus.FILLED if size == order.size else OrderStatus.CANCELED
        return OrderReport(order.client_id, order.venue, order.asset, status, size, average)


def _drop_oldest(remembered: dict[int, OrderReport] | dict[int, int]) -> None:
    while len(remembered) > ORDERS_REMEMBERED_MAX:
        del remembered[next(iter(remembered))]
