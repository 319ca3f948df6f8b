"""Which streams exist, who may subscribe to them, and the state each answers a subscription with.

A channel is asked for as `order_book/0` and named `order_book:0` in frames.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.wire.lighter.accounts import Refused, WireAccount
from perpdesk.sandbox.wire.lighter.balances import assets_object, listed_symbols, position_object, stats_object
from perpdesk.sandbox.wire.lighter.encode import Json, go_number
from perpdesk.sandbox.wire.lighter.execution import Sequencer
from perpdesk.sandbox.wire.lighter.objects import (
    fundings_by_market,
    order_object,
    orders_by_market,
    trade_object,
    trades_by_market,
    tx_object,
)
from perpdesk.sandbox.wire.lighter.state import LighterState
from perpdesk.sandbox.wire.lighter.statistics import market_stats_object, single_market_stats
from perpdesk.sandbox.wire.lighter.tape import HOUR_MS, TradeRecord

MARKET_CHANNELS = frozenset({"order_book", "ticker", "trade", "market_stats", "spot_market_stats"})
ACCOUNT_CHANNELS = frozenset(
    {
        "account_all",
        "account_all_orders",
        "account_all_trades",
        "account_all_positions",
        "account_all_assets",
        "account_tx",
        "user_stats",
        "notification",
    }
)
MARKET_ACCOUNT_CHANNELS = frozenset({"account_orders", "account_market"})
OPEN_ACCOUNT_CHANNELS = frozenset({"account_all"})
"""Account channels that answer without a token."""

SNAPSHOT_ROWS = 50
"""Latest trades, payments or transactions in a first frame."""

Row = TypeVar("Row")

_PERIODS_MS = {"daily": 24 * HOUR_MS, "weekly": 168 * HOUR_MS, "monthly": 720 * HOUR_MS}


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream. symbol is None where no market, or every market, is meant."""

    name: str
    key: str
    symbol: str | None = None
    account: WireAccount | None = None

    @property
    def needs_token(self) -> bool:
        return self.account is not None and self.name not in OPEN_ACCOUNT_CHANNELS


def parse_channel(state: LighterState, text: object) -> Channel:
    """Read a channel as a client writes it; Refused 30005 when there is none such."""
    refused = Refused(30005, f"Invalid Channel: {str(text)[:60]}")
    name, *rest = str(text).split("/")
    key = ":".join((name, *rest))
    try:
        if name == "height" and not rest:
            return Channel(name, key)
        if name in MARKET_CHANNELS and len(rest) == 1:
            if rest == ["all"] and name.endswith("market_stats"):
                return Channel(name, key)
            return Channel(name, key, state.market(_number(rest[0])).symbol)
        if name in ACCOUNT_CHANNELS and len(rest) == 1:
            return Channel(name, key, None, state.account(_number(rest[0])))
        if name in MARKET_ACCOUNT_CHANNELS and len(rest) == 2:
            symbol = state.market(_number(rest[0])).symbol
            return Channel(name, key, symbol, state.account(_number(rest[1])))
    except (Refused, ValueError) as error:
        raise refused from error
    raise refused


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 16:
        raise ValueError(text)
    return int(text)


class Snapshots:
    """First frames of every channel but the order book and the ticker, which the market feed keeps."""

    def __init__(self, state: LighterState, sequencer: Sequencer) -> None:
        self._state = state
        self._sequencer = sequencer

    def payload(self, channel: Channel) -> Json:
        """The channel's state, without `type` and `channel`."""
        if channel.account is not None:
            return self._of_account(channel, channel.account)
        if channel.name == "height":
            return {"height": self._state.height}
        if channel.name == "trade" and channel.symbol is not None:
            return trade_payload(self._state, _latest(self._state.tape.market(channel.symbol).trades))
        if channel.name == "market_stats":
            return stats_payload(self._state, channel.symbol)
        return {"spot_market_stats": {}}

    def _of_account(self, channel: Channel, account: WireAccount) -> Json:
        state = self._state
        if channel.name == "account_all_orders":
            return {"orders": orders_by_market(state, account.open_orders.values())}
        if channel.name == "account_all_trades":
            return {"trades": trades_by_market(state, _latest(account.trades)) or []}
        if channel.name == "account_all_positions":
            return positions_payload(state, account, listed_symbols(state, account))
        if channel.name == "account_all_assets":
            return assets_payload(state, account)
        if channel.name == "account_tx":
            return {"txs": [tx_object(state, tx) for tx in self._sequencer.latest(account.index, SNAPSHOT_ROWS)]}
        if channel.name == "user_stats":
            return stats_of_account(state, account)
        if channel.name == "notification":
            return {"notifs": []}
        if channel.name == "account_all":
            return self._everything(account)
        return self._of_market(channel, account)

    def _of_market(self, channel: Channel, account: WireAccount) -> Json:
        state, symbol = self._state, channel.symbol or ""
        orders = [r for r in account.open_orders.values() if r.order.symbol == symbol]
        if channel.name == "account_orders":
            shown = orders_by_market(state, orders)
            return {"account": account.index, "nonce": state.number, "orders": shown}
        held = state.exchange.account(account.account_id)
        fundings = [f for f in held.fundings if f.symbol == symbol] if held is not None else []
        trades = [r for r in account.trades if r.trade.symbol == symbol]
        return {
            "account": account.index,
            "orders": [order_object(state, record) for record in orders],
            "position": position_object(state, account, symbol),
            "trades": [trade_object(state, record) for record in trades[-SNAPSHOT_ROWS:]],
            "funding_histories": fundings_by_market(state, fundings[-SNAPSHOT_ROWS:]),
        }

    def _everything(self, account: WireAccount) -> Json:
        state = self._state
        held = state.exchange.account(account.account_id)
        positions = positions_payload(state, account, listed_symbols(state, account))["positions"]
        return {
            "account": account.index,
            "assets": assets_object(state, account),
            "positions": positions,
            "trades": trades_by_market(state, _latest(account.trades)),
            "funding_histories": fundings_by_market(state, _latest(held.fundings if held is not None else [])),
            "shares": [],
            **volumes(state, account),
        }


def _latest(rows: Sequence[Row]) -> list[Row]:
    """The last SNAPSHOT_ROWS, newest first."""
    return list(islice(reversed(rows), SNAPSHOT_ROWS))


def trade_payload(state: LighterState, records: Iterable[TradeRecord]) -> Json:
    ordinary: list[Json] = []
    liquidations: list[Json] = []
    for record in records:
        (liquidations if record.trade.is_liquidation else ordinary).append(trade_object(state, record))
    return {"trades": ordinary, "liquidation_trades": liquidations, "nonce": state.number}


def stats_payload(state: LighterState, symbol: str | None) -> Json:
    """One market's statistics, or all markets' by id."""
    if symbol is not None:
        return {"market_stats": single_market_stats(state, symbol), "timestamp": state.clock.wall_ms()}
    shown = {
        str(market.index): stats
        for name, market in state.exchange.markets.items()
        if (stats := market_stats_object(state, name)) is not None
    }
    return {"market_stats": shown}


def positions_payload(state: LighterState, account: WireAccount, symbols: Iterable[str]) -> Json:
    """Positions by market id. An update names only the markets that changed, flat ones included."""
    return {
        "positions": {str(state.market_index(symbol)): position_object(state, account, symbol) for symbol in symbols},
        "shares": [],
        "last_funding_round": None,
        "last_funding_discount": None,
    }


def assets_payload(state: LighterState, account: WireAccount) -> Json:
    return {"assets": assets_object(state, account), "timestamp": state.clock.wall_ms()}


def stats_of_account(state: LighterState, account: WireAccount) -> Json:
    return {"stats": stats_object(state, account), "timestamp": state.clock.wall_ms()}


def volumes(state: LighterState, account: WireAccount) -> Json:
    """Trade counts and USD volumes by period, to the hour."""
    now_ms = state.clock.wall_ms()
    shown: Json = {}
    for period, width_ms in _PERIODS_MS.items():
        hours = [hour for hour in account.traded_hours if hour.began_ms > now_ms - width_ms]
        shown[f"{period}_trades_count"] = sum(hour.count for hour in hours)
        shown[f"{period}_volume"] = go_number(sum((hour.usd for hour in hours), ZERO))
    shown["total_trades_count"] = account.trade_count
    shown["total_volume"] = go_number(account.traded_usd)
    return shown
