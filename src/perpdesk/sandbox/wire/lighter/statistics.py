"""`market_stats`: prices, funding and a day's figures of one market. Rates are percent per hour."""

from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.wire.lighter.encode import (
    FUNDING_CLAMP_BIG,
    FUNDING_CLAMP_SMALL,
    Json,
    go_number,
    signed_percent_text,
    usd_text,
)
from perpdesk.sandbox.wire.lighter.state import LighterState

OPEN_INTEREST_LIMIT = "72057594037927936.000000"
"""What the venue shows where it sets no limit."""


def market_stats_object(state: LighterState, symbol: str) -> Json | None:
    """One entry of `market_stats/all`, fields as recorded 2025-11; None before the market has an index price.

    Rates are percent per hour, open interest is USD, `funding_timestamp` is the last settlement.
    """
    exchange, scale = state.exchange, state.scale(symbol)
    try:
        index, mark = exchange.index_price(symbol), exchange.mark_price(symbol)
    except KeyError:
        return None
    settled = exchange.settled_rates(symbol)
    day = state.tape.market(symbol).day(state.clock.wall_ms())
    return {
        "market_id": state.market_index(symbol),
        "index_price": scale.price(index),
        "mark_price": scale.price(mark),
        "open_interest": usd_text(exchange.open_interest(symbol) * mark),
        "open_interest_limit": OPEN_INTEREST_LIMIT,
        "funding_clamp_small": FUNDING_CLAMP_SMALL,
        "funding_clamp_big": FUNDING_CLAMP_BIG,
        "last_trade_price": scale.price(exchange.last_price(symbol) or ZERO),
        "current_funding_rate": signed_percent_text(exchange.estimated_rate(symbol)),
        "funding_rate": signed_percent_text(settled[-1].rate if settled else ZERO),
        "funding_timestamp": settled[-1].at_ms if settled else 0,
        "daily_base_token_volume": go_number(day.volume_base),
        "daily_quote_token_volume": go_number(day.volume_usd),
        "daily_price_low": go_number(day.price_low),
        "daily_price_high": go_number(day.price_high),
        "daily_price_change": go_number(day.change_percent),
    }


def single_market_stats(state: LighterState, symbol: str) -> Json:
    """The richer object of `market_stats/{m}`: also the symbol, the middle of the book and the base interest rate."""
    shown = market_stats_object(state, symbol)
    if shown is None:
        return {"symbol": symbol, "market_id": state.market_index(symbol)}
    bids, asks = state.exchange.book(symbol, 1)
    mid = (bids[0][0] + asks[0][0]) / 2 if bids and asks else state.exchange.mark_price(symbol)
    return {
        "symbol": symbol,
        **shown,
        "mid_price": state.scale(symbol).price(mid),
        "base_interest_rate": "0.0100",
    }
