"""The per-account reads: state, orders, fills, funding, fees and history."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import Exchange, SimAccount, SimFill
from perpdesk.sandbox.wire.hyperliquid.encode import (
    RATE_PLACES,
    Row,
    decimal_text,
    frontend_order_row,
    funding_event_row,
    money_text,
    order_row,
    order_status,
    price_places,
    rounded_text,
    user_funding_row,
)
from perpdesk.sandbox.wire.hyperliquid.ledger import AddressRecord, FundingSums, Ledger
from perpdesk.sandbox.wire.hyperliquid.query import Query

FILLS_MAX = 2_000
ROWS_MAX = 500
_WITHDRAWABLE_SHARE = Decimal("0.1")  # positions keep a tenth of their notional from being withdrawn


class AccountReads:
    """Answers `/info` types about one address; unknown addresses look empty, as on the venue."""

    def __init__(self, exchange: Exchange, ledger: Ledger, clock: Clock) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._clock = clock

    def handlers(self) -> dict[str, Callable[[Query], Any]]:
        return {
            "clearinghouseState": lambda query: self.state(query.address()),
            "spotClearinghouseState": self._spot_state,
            "openOrders": lambda query: [order_row(order) for order in self._resting(query.address())],
            "frontendOpenOrders": lambda query: self.frontend_orders(query.address()),
            "orderStatus": self._order_status,
            "historicalOrders": self._historical_orders,
            "userFills": lambda query: self.latest_fills(query.address(), query.flag("aggregateByTime")),
            "userFillsByTime": self._fills_by_time,
            "userTwapSliceFills": lambda query: self._nothing(query),
            "userFunding": self._fundings,
            "userNonFundingLedgerUpdates": self._transfers,
            "userVaultEquities": lambda query: self._nothing(query),
            "activeAssetData": self._active_asset_data,
        }

    # State -----------------------------------------------------------------------------------------------------------

    def state(self, address: str) -> Row:
        """`clearinghouseState`: everything is cross margin here."""
        account = self._ledger.account(address)
        equity = maintenance = withdrawable = signed = notional = used = ZERO
        positions: list[Row] = []
        if account is not None:
            equity = self._exchange.equity_usd(account.account_id)
            maintenance = self._exchange.maintenance_margin_usd(account.account_id)
            for symbol, held in account.positions.items():
                if held.size:
                    value = held.size * self._exchange.mark_price(symbol)
                    signed += value
                    notional += abs(value)
                    used += abs(value) / self._leverage(account, symbol)
                    positions.append(self._position_row(account, symbol))
            initial = self._exchange.initial_margin_usd(account.account_id)
            withdrawable = max(equity - max(initial, notional * _WITHDRAWABLE_SHARE), ZERO)
        summary = {
            "accountValue": money_text(equity),
            "totalNtlPos": money_text(notional),
            "totalRawUsd": money_text(equity - signed),
            "totalMarginUsed": money_text(used),
        }
        return {
            "marginSummary": summary,
            "crossMarginSummary": dict(summary),
            "crossMaintenanceMarginUsed": money_text(maintenance),
            "withdrawable": money_text(withdrawable),
            "assetPositions": positions,
            "time": self._clock.wall_ms(),
        }

    def _position_row(self, account: SimAccount, symbol: str) -> Row:
        market, position = self._exchange.markets[symbol], account.positions[symbol]
        mark, leverage = self._exchange.mark_price(symbol), self._leverage(account, symbol)
        value = abs(position.size * mark)
        unrealised = position.unrealised_usd(mark)
        liquidation = self._exchange.liquidation_price(account.account_id, symbol)
        sums = self._ledger.record(account.account_id).funding.get(symbol) or FundingSums()
        entry = position.entry_price or ZERO
        row = {
            "coin": symbol,
            "szi": decimal_text(position.size),
            "leverage": {"type": "cross", "value": leverage},
            "entryPx": rounded_text(entry, price_places(market)),
            "positionValue": money_text(value),
            "unrealizedPnl": money_text(unrealised),
            "returnOnEquity": rounded_text(unrealised * leverage / abs(position.cost_usd), RATE_PLACES),
            "liquidationPx": None if liquidation is None else rounded_text(liquidation, RATE_PLACES),
            "marginUsed": money_text(value / leverage),
            "maxLeverage": market.leverage_max,
            "cumFunding": {
                "allTime": money_text(sums.all_time),
                "sinceOpen": money_text(sums.since_open),
                "sinceChange": money_text(sums.since_change),
            },
        }
        return {"type": "oneWay", "position": row}

    def _leverage(self, account: SimAccount, symbol: str) -> int:
        return account.leverage.get(symbol, self._exchange.markets[symbol].default_leverage)

    def _spot_state(self, query: Query) -> Row:
        """No spot balances: the account is in standard mode and all collateral is in the perpetuals' ledger."""
        query.address()
        return {"balances": [{"coin": "USDC", "token": 0, "total": "0.0", "hold": "0.0", "entryNtl": "0.0"}]}

    def _active_asset_data(self, query: Query) -> Row | None:
        address, symbol = query.address(), query.text("coin")
        account = self._ledger.account(address)
        market = self._exchange.markets.get(symbol)
        if account is None or market is None:
            return None
        try:
            mark = self._exchange.mark_price(symbol)
        except KeyError:
            return None  # no price yet, so no size to speak of
        leverage = self._leverage(account, symbol)
        available = self._exchange.available_usd(account.account_id)
        size = available * leverage / mark // market.lot * market.lot
        return {
            "user": address,
            "coin": symbol,
            "leverage": {"type": "cross", "value": leverage},
            "maxTradeSzs": [decimal_text(size)] * 2,
            "availableToTrade": [money_text(available)] * 2,
            "markPx": rounded_text(mark, price_places(market)),
        }

    # Orders ----------------------------------------------------------------------------------------------------------

    def _resting(self, address: str) -> list[Any]:
        """Resting orders, newest first."""
        account = self._ledger.account(address)
        return [] if account is None else self._exchange.resting_orders(account.account_id)[::-1]

    def frontend_orders(self, address: str) -> list[Row]:
        return [frontend_order_row(order) for order in self._resting(address)]

    def _order_status(self, query: Query) -> Row:
        account, order_id = self._ledger.account(query.address()), query.order_id()
        order = None if account is None else self._ledger.order(account.account_id, order_id)
        if account is None or order is None:
            return {"status": "unknownOid"}
        record = self._ledger.record(account.account_id)
        return {"status": "order", "order": self._status_row(order, record)}

    def _historical_orders(self, query: Query) -> list[Row]:
        account = self._ledger.account(query.address())
        if account is None:
            return []
        record = self._ledger.record(account.account_id)
        latest = list(record.orders.values())[::-1][:FILLS_MAX]
        return [self._status_row(order, record) for order in latest]

    @staticmethod
    def _status_row(order: Any, record: AddressRecord) -> Row:
        return {
            "order": frontend_order_row(order, order.order_id in record.market_orders),
            "status": order_status(order),
            "statusTimestamp": order.changed_at_ms or order.placed_at_ms,
        }

    def _nothing(self, query: Query) -> list[Row]:
        """Lists that are always empty here: slices of timed orders, shares in vaults."""
        query.address()
        return []

    # Fills, funding, transfers ---------------------------------------------------------------------------------------

    def latest_fills(self, address: str, is_aggregated: bool = False) -> list[Row]:
        """The newest fills, newest first."""
        account = self._ledger.account(address)
        return [] if account is None else self._fill_rows(account.fills[-FILLS_MAX:], is_aggregated)[::-1]

    def _fills_by_time(self, query: Query) -> list[Row]:
        """A page: the oldest fills of the range in order or, with `reversed`, the newest ones newest first."""
        account = self._ledger.account(query.address())
        start_ms, end_ms = query.times()
        if account is None:
            return []
        found = list(self._ledger.fills(account, start_ms, end_ms))
        if query.flag("reversed"):
            return self._fill_rows(found[-FILLS_MAX:], query.flag("aggregateByTime"))[::-1]
        return self._fill_rows(found[:FILLS_MAX], query.flag("aggregateByTime"))

    def _fill_rows(self, fills: list[SimFill], is_aggregated: bool) -> list[Row]:
        rows = [self._ledger.fill_row(fill) for fill in fills]
        return aggregate_fills(rows) if is_aggregated else rows

    def _fundings(self, query: Query) -> list[Row]:
        account = self._ledger.account(query.address())
        bounds = query.times(start_default=0)
        if account is None:
            return []
        return [user_funding_row(funding) for funding in self._ledger.fundings(account, *bounds)][:ROWS_MAX]

    def funding_events(self, address: str) -> list[Row]:
        """The latest payments for a channel's snapshot, oldest first."""
        account = self._ledger.account(address)
        return [] if account is None else [funding_event_row(funding) for funding in account.fundings[-ROWS_MAX:]]

    def transfer_rows(self, address: str) -> list[Row]:
        account = self._ledger.account(address)
        if account is None:
            return []
        return [transfer.row() for transfer in self._ledger.notice_transfers(account.account_id).transfers]

    def _transfers(self, query: Query) -> list[Row]:
        start_ms, end_ms = query.times(start_default=0)
        rows = [row for row in self.transfer_rows(query.address()) if start_ms <= row["time"] <= end_ms]
        return rows[:ROWS_MAX]


def aggregate_fills(rows: list[Row]) -> list[Row]:
    """Merge neighbouring fills of one order at one time: sizes, fees and profits add up, the price is their mean."""
    merged: list[Row] = []
    for row in rows:
        last = merged[-1] if merged else None
        if last is None or (last["oid"], last["time"]) != (row["oid"], row["time"]):
            merged.append(dict(row))
            continue
        first, second = Decimal(last["sz"]), Decimal(row["sz"])
        mean = (Decimal(last["px"]) * first + Decimal(row["px"]) * second) / (first + second)
        last["px"], last["sz"] = rounded_text(mean, RATE_PLACES), decimal_text(first + second)
        for key in ("fee", "closedPnl"):
            last[key] = decimal_text(Decimal(last[key]) + Decimal(row[key]))
    return merged
