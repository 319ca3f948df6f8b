"""What actions do: place, cancel, modify, set leverage, arm the dead man's switch.

Texts marked [own] are worded by us; see `actions.py`.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from perpdesk.domain.books import Side
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO, plain
from perpdesk.sandbox.exchange import Exchange, ListedMarket, NewOrder, Reason, SimOrder, SimStatus
from perpdesk.sandbox.wire.hyperliquid.candles import DAY_MS
from perpdesk.sandbox.wire.hyperliquid.encode import Row, decimal_text, price_places, rounded_text
from perpdesk.sandbox.wire.hyperliquid.ledger import Ledger
from perpdesk.sandbox.wire.hyperliquid.query import parse_cloid, parse_order_id
from perpdesk.sandbox.wire.hyperliquid.requests import (
    FRONTEND_MARKET,
    TIFS,
    BatchModifyAction,
    CancelAction,
    CancelByCloidAction,
    LeverageAction,
    ModifyWire,
    OrderAction,
    OrderWire,
    ScheduleAction,
    limit_tif,
    positive_number,
)

MISSING_ORDER = "Order was never placed, already canceled, or filled."
CANNOT_MODIFY = "Cannot modify canceled or filled order"
TICK_ERROR = "Price must be divisible by tick size."
REFERENCE_BAND = Decimal("0.8")
SCHEDULE_AHEAD_MS = 5_000
SCHEDULE_FIRINGS_MAX = 10

_TEXTS = {
    Reason.TICK: TICK_ERROR,
    Reason.LOT: "Order has invalid size.",
    Reason.SIZE_MIN: "Order has invalid size.",
    Reason.MARGIN: "Insufficient margin to place order.",
    Reason.REDUCE_ONLY: "Reduce only order would increase position.",
    Reason.IOC_NO_MATCH: "Order could not immediately match against any resting orders.",
    Reason.MARKET_CLOSED: "Trading is halted.",  # [own]
    Reason.DUPLICATE_CLIENT_ID: "Client order id was already used.",  # [own]
}


class Refused(Exception):
    """The whole action is refused with one text: `{"status":"err","response":text}`."""


class OrderActions:
    """Handlers by action type; each takes the account and the action and returns the `response` object."""

    def __init__(self, exchange: Exchange, ledger: Ledger, clock: Clock) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._clock = clock
        self._symbols = {market.index: symbol for symbol, market in exchange.markets.items()}

    def handlers(self) -> dict[str, Callable[[str, dict[str, Any]], Any]]:
        return {
            "order": self._order,
            "cancel": self._cancel,
            "cancelByCloid": self._cancel_by_cloid,
            "modify": self._modify,
            "batchModify": self._batch_modify,
            "updateLeverage": self._update_leverage,
            "scheduleCancel": self._schedule_cancel,
        }

    # Placing ---------------------------------------------------------------------------------------------------------

    def _order(self, account_id: str, action: dict[str, Any]) -> Row:
        batch = msgspec.convert(action, OrderAction)
        if not batch.orders:
            raise Refused("An order action needs at least one order.")  # [own]
        if batch.grouping != "na":
            raise Refused(f"Grouping {batch.grouping!r} is not simulated: send orders with grouping na.")  # [own]
        if batch.builder is not None and batch.builder.get("f"):
            raise Refused("Builder fee has not been approved.")
        for order in batch.orders:
            fault = self._payload_fault(order)
            if fault is not None:
                return _statuses("order", [{"error": fault}])
        return _statuses("order", [self._place(account_id, order) for order in batch.orders])

    def _payload_fault(self, order: OrderWire) -> str | None:
        """A fault of the payload itself, for which a batch gets one error and none of its orders runs.

        Undecodable is raised from here and not from `_place`, so that half a batch never runs.
        """
        limit_tif(order.t)
        if order.c is not None:
            parse_cloid(order.c)
        market = self._market(order.a)
        if market is None:
            return _for_asset("Invalid asset.", order.a)  # [own]
        price, size = positive_number(order.p), positive_number(order.s)
        if size is None:
            return _for_asset("Order has zero size.", order.a)
        if price is None:
            return _for_asset("Order has invalid price.", order.a)
        if not market.price_grid.allows(price):
            return _for_asset(TICK_ERROR, order.a)
        return None

    def _place(self, account_id: str, order: OrderWire) -> Row:
        """Submit one checked order and word what became of it."""
        market = self._require_market(order.a)
        tif = limit_tif(order.t)
        if tif is None:
            return _error("Trigger orders are not simulated: send a limit order.", order.a)  # [own]
        new = NewOrder(
            account_id=account_id,
            symbol=market.symbol,
            side=Side.BUY if order.b else Side.SELL,
            size=Decimal(order.s),
            limit_price=Decimal(order.p),
            time_in_force=TIFS[tif],
            is_reduce_only=order.r,
            client_id=None if order.c is None else parse_cloid(order.c),
        )
        if self._is_far(new):
            return _error("Order price cannot be more than 80% away from the reference price", order.a)
        bbo = self._bbo_text(market)
        placed = self._exchange.submit(new)
        if tif == FRONTEND_MARKET:
            self._ledger.record(account_id).market_orders.add(placed.order_id)
        return self._placed_status(placed, market, bbo)

    def _placed_status(self, order: SimOrder, market: ListedMarket, bbo: str) -> Row:
        """A part fill that rests answers "resting", an immediate order's part fill "filled" [own]: the docs are silent."""
        echo: Row = {"oid": order.order_id}
        if order.client_id is not None:
            echo["cloid"] = order.client_id
        if order.status is SimStatus.RESTING:
            return {"resting": echo}
        if order.filled > ZERO:
            average = rounded_text(order.filled_quote / order.filled, price_places(market))
            return {"filled": {"totalSz": decimal_text(order.filled), "avgPx": average, **echo}}
        if order.reason is Reason.POST_ONLY_CROSS:
            return _error(f"Post only order would have immediately matched, bbo was {bbo}.", market.index)
        if order.reason is Reason.NOTIONAL_MIN:
            return _error(f"Order must have minimum value of ${plain(market.notional_min_usd)}.", market.index)
        return _error(_TEXTS.get(order.reason, f"Order was refused: {order.reason.value}."), market.index)

    def _is_far(self, new: NewOrder) -> bool:
        reference = self._reference_price(new.symbol)
        return reference is not None and abs(new.limit_price - reference) > reference * REFERENCE_BAND

    def _reference_price(self, symbol: str) -> Decimal | None:
        try:
            return self._exchange.mark_price(symbol)
        except KeyError:
            return None

    def _bbo_text(self, market: ListedMarket) -> str:
        bids, asks = self._exchange.book(market.symbol, 1)
        bid, ask = (plain(side[0][0]) if side else "0" for side in (bids, asks))
        return f"{bid}@{ask}"

    # Cancelling ------------------------------------------------------------------------------------------------------

    def _cancel(self, account_id: str, action: dict[str, Any]) -> Row:
        batch = msgspec.convert(action, CancelAction)
        return _statuses("cancel", [self._cancel_one(account_id, cancel.a, cancel.o) for cancel in batch.cancels])

    def _cancel_by_cloid(self, account_id: str, action: dict[str, Any]) -> Row:
        batch = msgspec.convert(action, CancelByCloidAction)
        wanted = [(cancel.asset, parse_cloid(cancel.cloid)) for cancel in batch.cancels]
        return _statuses("cancel", [self._cancel_one(account_id, asset, cloid) for asset, cloid in wanted])

    def _cancel_one(self, account_id: str, asset: int, order_id: int | str) -> Any:
        order = self._ledger.order(account_id, order_id)
        if order is None or order.symbol != self._symbols.get(asset):
            return _error(MISSING_ORDER, asset)
        if not self._exchange.cancel(account_id, order.order_id):
            return _error(MISSING_ORDER, asset)
        return "success"

    # Modifying -------------------------------------------------------------------------------------------------------

    def _modify(self, account_id: str, action: dict[str, Any]) -> Row:
        status = self._modify_one(account_id, msgspec.convert(action, ModifyWire))
        if "error" in status:
            raise Refused(status["error"])
        return {"type": "default"}

    def _batch_modify(self, account_id: str, action: dict[str, Any]) -> Row:
        batch = msgspec.convert(action, BatchModifyAction)
        for modify in batch.modifies:
            parse_order_id(modify.oid)
            self._payload_fault(modify.order)
        return _statuses("order", [self._modify_one(account_id, modify) for modify in batch.modifies])

    def _modify_one(self, account_id: str, modify: ModifyWire) -> Row:
        """Cancel and place anew under another id; when placing fails the old order is gone all the same."""
        asset = modify.order.a
        order = self._ledger.order(account_id, parse_order_id(modify.oid))
        if order is None or order.status is not SimStatus.RESTING or order.symbol != self._symbols.get(asset):
            return _error(CANNOT_MODIFY, asset)
        fault = self._payload_fault(modify.order)
        if fault is not None:
            return {"error": fault}
        if modify.order.c is not None and self._exchange.order_by_client_id(account_id, parse_cloid(modify.order.c)):
            return _error(_TEXTS[Reason.DUPLICATE_CLIENT_ID], asset)
        self._exchange.cancel(account_id, order.order_id)
        status = self._place(account_id, modify.order)
        if "error" in status:
            return {"error": f"Error placing new order during modify: {status['error']}"}
        return status

    # Settings --------------------------------------------------------------------------------------------------------

    def _update_leverage(self, account_id: str, action: dict[str, Any]) -> Row:
        wanted = msgspec.convert(action, LeverageAction)
        market = self._require_market(wanted.asset)
        if not wanted.is_cross:
            raise Refused("Isolated margin is not simulated: set cross leverage.")  # [own]
        if not 1 <= wanted.leverage <= market.leverage_max:
            raise Refused(f"Leverage {wanted.leverage} is outside 1 to {market.leverage_max}.")  # [own]
        if not self._exchange.set_leverage(account_id, market.symbol, wanted.leverage):
            raise Refused("Insufficient margin for this leverage.")  # [own]
        return {"type": "default"}

    def _schedule_cancel(self, account_id: str, action: dict[str, Any]) -> Row:
        """Arm, move or clear the dead man's switch. The real venue's volume floor for it is not applied."""
        at_ms = msgspec.convert(action, ScheduleAction).time
        record, now_ms = self._ledger.record(account_id), self._clock.wall_ms()
        if at_ms is not None and at_ms < now_ms + SCHEDULE_AHEAD_MS:
            raise Refused("Scheduled cancel time must be at least 5 seconds ahead.")  # [own]
        if at_ms is not None and record.cancel_firings.get(now_ms // DAY_MS, 0) >= SCHEDULE_FIRINGS_MAX:
            raise Refused("Scheduled cancel was triggered 10 times today; it can be set again tomorrow (UTC).")  # [own]
        if record.scheduled_cancel is not None:
            record.scheduled_cancel.cancel()
            record.scheduled_cancel = None
        if at_ms is not None:
            record.scheduled_cancel = self._clock.call_later_ms(at_ms - now_ms, lambda: self._fire(account_id))
        return {"type": "default"}

    def _fire(self, account_id: str) -> None:
        record, day = self._ledger.record(account_id), self._clock.wall_ms() // DAY_MS
        record.scheduled_cancel = None
        record.cancel_firings[day] = record.cancel_firings.get(day, 0) + 1
        for order in self._exchange.resting_orders(account_id):
            self._exchange.cancel(account_id, order.order_id, Reason.EXPIRED)

    # Markets ---------------------------------------------------------------------------------------------------------

    def _market(self, asset: int) -> ListedMarket | None:
        symbol = self._symbols.get(asset)
        return None if symbol is None else self._exchange.markets[symbol]

    def _require_market(self, asset: int) -> ListedMarket:
        market = self._market(asset)
        if market is None:
            raise Refused(f"Invalid asset. asset={asset}")  # [own]
        return market


def _statuses(kind: str, statuses: list[Any]) -> Row:
    return {"type": kind, "data": {"statuses": statuses}}


def _for_asset(text: str, asset: int) -> str:
    """The live venue ends order errors with the asset number; its documentation leaves that out."""
    return f"{text} asset={asset}"


def _error(text: str, asset: int) -> Row:
    return {"error": _for_asset(text, asset)}
