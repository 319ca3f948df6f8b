"""What an account holds, as REST and streams show it: positions, collateral, margin."""

from decimal import Decimal

from perpdesk.domain.numbers import ZERO
from perpdesk.domain.positions import Position
from perpdesk.sandbox.wire.lighter.accounts import WireAccount
from perpdesk.sandbox.wire.lighter.encode import USDC_ASSET_ID, Json, usd_text
from perpdesk.sandbox.wire.lighter.state import LighterState


def position_object(state: LighterState, account: WireAccount, symbol: str) -> Json:
    """One position; `position` is unsigned and `sign` gives the direction. Flat markets show zeros."""
    exchange, scale = state.exchange, state.scale(symbol)
    held = exchange.account(account.account_id)
    position = held.positions.get(symbol, Position()) if held is not None else Position()
    mark = exchange.mark_price(symbol) if position.size else ZERO
    liquidation = exchange.liquidation_price(account.account_id, symbol) if position.size else None
    shown: Json = {
        "market_id": state.market_index(symbol),
        "symbol": symbol,
        "initial_margin_fraction": format(Decimal(state.margin_fraction(account, symbol)) / 100, ".2f"),
        "open_order_count": sum(1 for r in account.open_orders.values() if r.order.symbol == symbol),
        "pending_order_count": 0,
        "position_tied_order_count": 0,
        "sign": -1 if position.size < 0 else 1,
        "position": scale.size(abs(position.size)),
        "avg_entry_price": scale.price(position.entry_price or ZERO),
        "position_value": usd_text(abs(position.size) * mark),
        "unrealized_pnl": usd_text(position.unrealised_usd(mark)),
        "realized_pnl": usd_text(position.realised_usd),
        "liquidation_price": "0" if liquidation is None else scale.price(liquidation),
        "margin_mode": 0,
        "allocated_margin": usd_text(ZERO),
    }
    paid = account.funding_paid_usd.get(symbol)
    if paid:
        shown["total_funding_paid_out"] = usd_text(paid)
    return shown


def listed_symbols(state: LighterState, account: WireAccount) -> list[str]:
    """Markets the account's position list shows: any it ever held, has orders in or set leverage for."""
    held = state.exchange.account(account.account_id)
    touched = set(account.margin_fractions) | {r.order.symbol for r in account.open_orders.values()}
    if held is not None:
        touched |= set(held.positions)
    return [symbol for symbol in state.exchange.markets if symbol in touched]


def assets_object(state: LighterState, account: WireAccount) -> dict[str, Json]:
    held = state.exchange.account(account.account_id)
    usdc = {
        "symbol": "USDC",
        "asset_id": USDC_ASSET_ID,
        "balance": usd_text(ZERO),
        "locked_balance": usd_text(ZERO),
        "margin_mode": "disabled",
        "margin_balance": usd_text(held.cash_usd if held is not None else ZERO),
    }
    return {str(USDC_ASSET_ID): usdc}


def account_head(state: LighterState, account: WireAccount) -> Json:
    """What account lists by address show of one account."""
    held = state.exchange.account(account.account_id)
    return {
        "code": 0,
        "account_type": 0,
        "index": account.index,
        "l1_address": account.l1_address,
        "cancel_all_time": account.cancel_all_at_ms,
        "total_order_count": len(account.open_orders),
        "total_isolated_order_count": 0,
        "pending_order_count": 0,
        "available_balance": usd_text(state.exchange.available_usd(account.account_id)),
        "status": 1,
        "collateral": usd_text(held.cash_usd if held is not None else ZERO),
        "transaction_time": 0,
        "account_trading_mode": 0,
    }


def account_object(state: LighterState, account: WireAccount) -> Json:
    """The whole account, as `/account` shows it."""
    exchange, account_id = state.exchange, account.account_id
    equity = usd_text(exchange.equity_usd(account_id))
    return {
        **account_head(state, account),
        "account_index": account.index,
        "name": "",
        "description": "",
        "can_invite": False,
        "referral_points_percentage": "",
        "positions": [position_object(state, account, symbol) for symbol in listed_symbols(state, account)],
        "assets": list(assets_object(state, account).values()),
        "total_asset_value": equity,
        "cross_asset_value": equity,
        "cross_initial_margin_requirement": usd_text(exchange.initial_margin_usd(account_id)),
        "cross_maintenance_margin_requirement": usd_text(exchange.maintenance_margin_usd(account_id)),
        "shares": [],
        "pending_unlocks": [],
        "approved_integrators": [],
    }


def stats_object(state: LighterState, account: WireAccount) -> Json:
    """`user_stats`: `leverage` is notional over equity, `margin_usage` percent of equity."""
    exchange, account_id = state.exchange, account.account_id
    held = exchange.account(account_id)
    equity = exchange.equity_usd(account_id)
    positions = held.positions if held is not None else {}
    notional = sum((abs(p.size) * exchange.mark_price(s) for s, p in positions.items() if p.size), ZERO)
    usage = exchange.initial_margin_usd(account_id) / equity * 100 if equity > 0 else ZERO
    part = {
        "available_balance": usd_text(exchange.available_usd(account_id)),
        "buying_power": "0",
        "collateral": usd_text(held.cash_usd if held is not None else ZERO),
        "leverage": format(notional / equity if equity > 0 else ZERO, ".2f"),
        "margin_usage": format(usage, ".2f"),
        "portfolio_value": usd_text(equity),
    }
    return {"account_trading_mode": 0, **part, "cross_stats": part, "total_stats": part}
