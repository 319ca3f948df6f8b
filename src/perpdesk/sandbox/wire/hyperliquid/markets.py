"""The public reads: what is listed, books, contexts, trades, candles and funding."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO, ceil_to, floor_to
from perpdesk.sandbox.exchange import Exchange, ListedMarket
from perpdesk.sandbox.wire.hyperliquid.candles import HOUR_MS, candle_row
from perpdesk.sandbox.wire.hyperliquid.encode import (
    RATE_PLACES,
    BookSide,
    Row,
    book_json,
    decimal_text,
    money_text,
    price_places,
    rounded_text,
    size_decimals,
    trade_row,
)
from perpdesk.sandbox.wire.hyperliquid.ledger import Ledger
from perpdesk.sandbox.wire.hyperliquid.query import Query, Undecodable

BOOK_DEPTH = 20
ROWS_MAX = 500
RECENT_TRADES = 10


class MarketReads:
    """Answers public `/info` types; the same objects feed the market channels."""

    def __init__(self, exchange: Exchange, ledger: Ledger, clock: Clock) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._clock = clock

    def handlers(self) -> dict[str, Callable[[Query], Any]]:
        return {
            "meta": lambda query: self.meta(),
            "allPerpMetas": lambda query: [self.meta()],
            "metaAndAssetCtxs": lambda query: [self.meta(), [self.context(m) for m in self._universe()]],
            "perpDexs": lambda query: [None],
            "spotMeta": lambda query: spot_meta(),
            "spotMetaAndAssetCtxs": lambda query: [spot_meta(), []],
            "allMids": lambda query: self.all_mids(),
            "l2Book": self._book,
            "recentTrades": self._recent_trades,
            "candleSnapshot": self._candles,
            "fundingHistory": self._funding_history,
            "predictedFundings": lambda query: self._predicted_fundings(),
            "perpsAtOpenInterestCap": lambda query: [],
            "marginTable": lambda query: margin_table(query.integer("id")),
            "exchangeStatus": lambda query: {"time": self._clock.wall_ms(), "specialStatuses": None},
        }

    # Listings --------------------------------------------------------------------------------------------------------

    def meta(self) -> Row:
        universe = self._universe()
        leverages = sorted({market.leverage_max for market in universe if market is not None})
        return {
            "universe": [_universe_row(market, index) for index, market in enumerate(universe)],
            "marginTables": [[leverage, margin_table(leverage)] for leverage in leverages],
            "collateralToken": 0,
        }

    def _universe(self) -> list[ListedMarket | None]:
        """Markets in the order of their asset numbers; None fills numbers that nothing is listed under."""
        by_index = {market.index: market for market in self._exchange.markets.values()}
        return [by_index.get(index) for index in range(max(by_index, default=-1) + 1)]

    # Prices ----------------------------------------------------------------------------------------------------------

    def mid(self, symbol: str) -> Decimal | None:
        """Mean of best bid and ask; the last trade's price, or nothing, while a side is empty."""
        bids, asks = self._exchange.book(symbol, 1)
        if bids and asks:
            return (bids[0][0] + asks[0][0]) / 2
        return self._exchange.last_price(symbol)

    def all_mids(self) -> dict[str, str]:
        mids = ((symbol, self.mid(symbol)) for symbol, market in self._exchange.markets.items() if market.is_listed)
        return {symbol: decimal_text(mid) for symbol, mid in mids if mid is not None}

    def index_price(self, symbol: str) -> Decimal | None:
        """The oracle price; None before the first."""
        try:
            return self._exchange.index_price(symbol)
        except KeyError:
            return None

    def context(self, market: ListedMarket | None) -> Row:
        """A perpetual's context; a market without prices has the zeros and nulls of a delisted one."""
        index = None if market is None else self.index_price(market.symbol)
        if market is None or index is None:
            return dict(_EMPTY_CONTEXT)
        symbol, places = market.symbol, price_places(market)
        bids, asks = self._exchange.book(symbol, 1)
        impact = self._exchange.impact_prices(symbol)
        day_price, day_usd, day_base = self._ledger.candles.day(symbol, self._clock.wall_ms())
        return {
            "funding": rounded_text(self._exchange.estimated_rate(symbol), RATE_PLACES),
            "openInterest": decimal_text(self._exchange.open_interest(symbol)),
            "prevDayPx": rounded_text(index if day_price is None else day_price, places),
            "dayNtlVlm": money_text(day_usd),
            "premium": None if impact is None else rounded_text(_premium(impact, index), RATE_PLACES),
            "oraclePx": rounded_text(index, places),
            "markPx": rounded_text(self._exchange.mark_price(symbol), places),
            "midPx": decimal_text((bids[0][0] + asks[0][0]) / 2) if bids and asks else None,
            "impactPxs": None if impact is None else [rounded_text(price, places) for price in impact],
            "dayBaseVlm": decimal_text(day_base),
        }

    # Books and trades ------------------------------------------------------------------------------------------------

    def levels(self, symbol: str, figures: int | None, mantissa: int | None, depth: int) -> tuple[BookSide, BookSide]:
        """Both sides, aggregated to `figures` significant figures when given."""
        if figures is None:
            return self._exchange.book(symbol, depth)
        bids, asks = self._exchange.book(symbol)
        return (
            _aggregate(bids, figures, mantissa or 1, floor_to)[:depth],
            _aggregate(asks, figures, mantissa or 1, ceil_to)[:depth],
        )

    def _book(self, query: Query) -> Any:
        symbol = query.text("coin")
        if symbol not in self._exchange.markets:
            return None
        figures, mantissa = book_precision(query)
        bids, asks = self.levels(symbol, figures, mantissa, BOOK_DEPTH)
        return msgspec.Raw(book_json(symbol, self._clock.wall_ms(), bids, asks).encode())

    def trade_rows(self, symbol: str, count: int) -> list[Row]:
        """The latest trades, newest first."""
        latest = list(self._exchange.trades(symbol))[-count:]
        return [trade_row(trade, self._ledger.trade_hash(trade)) for trade in reversed(latest)]

    def _recent_trades(self, query: Query) -> Any:
        return self.trade_rows(self._known_coin(query), RECENT_TRADES)

    def _candles(self, query: Query) -> Any:
        inner = query.nested("req")
        symbol, interval = self._known_coin(inner), inner.text("interval")
        try:
            bars = self._ledger.candles.candles(symbol, interval, *inner.times())
        except ValueError as error:
            raise Undecodable(str(error)) from error
        return [candle_row(bar, symbol, interval) for bar in bars]

    # Funding ---------------------------------------------------------------------------------------------------------

    def _funding_history(self, query: Query) -> Any:
        symbol = self._known_coin(query)
        start_ms, end_ms = query.times()
        rows = [
            {
                "coin": symbol,
                "fundingRate": rounded_text(settled.rate, RATE_PLACES),
                "premium": rounded_text(settled.premium, RATE_PLACES),
                "time": settled.at_ms,
            }
            for settled in self._exchange.settled_rates(symbol)
            if start_ms <= settled.at_ms <= end_ms
        ]
        return rows[:ROWS_MAX]

    def _predicted_fundings(self) -> list[Any]:
        """Own rows only: a simulated venue knows nothing of others."""
        now_ms = self._clock.wall_ms()
        next_ms = now_ms - now_ms % HOUR_MS + HOUR_MS
        rows: list[Any] = []
        for symbol, market in self._exchange.markets.items():
            if market.is_listed and self.index_price(symbol) is not None:
                rate = rounded_text(self._exchange.estimated_rate(symbol), RATE_PLACES)
                own = {"fundingRate": rate, "nextFundingTime": next_ms, "fundingIntervalHours": 1}
                rows.append([symbol, [["HlPerp", own]]])
        return rows

    def _known_coin(self, query: Query) -> str:
        symbol = query.text("coin")
        if symbol not in self._exchange.markets:
            raise Undecodable(f"unknown coin {symbol[:40]!r}")
        return symbol


_EMPTY_CONTEXT: Row = {
    "funding": "0.0",
    "openInterest": "0.0",
    "prevDayPx": "0.0",
    "dayNtlVlm": "0.0",
    "premium": None,
    "oraclePx": "0.0",
    "markPx": "0.0",
    "midPx": None,
    "impactPxs": None,
    "dayBaseVlm": "0.0",
}


def spot_meta() -> Row:
    """The collateral token and no pairs: spot is not simulated."""
    usdc = {
        "name": "USDC",
        "szDecimals": 8,
        "weiDecimals": 8,
        "index": 0,
        "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
        "isCanonical": True,
        "evmContract": None,
        "fullName": None,
        "deployerTradingFeeShare": "0.0",
    }
    return {"universe": [], "tokens": [usdc]}


def margin_table(leverage: int) -> Row:
    """A single tier: ids up to 50 mean one tier with that leverage."""
    return {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": leverage}]}


def book_precision(query: Query) -> tuple[int | None, int | None]:
    """(nSigFigs, mantissa) of a book request; Undecodable for a combination the venue does not take."""
    figures, mantissa = query.optional_integer("nSigFigs"), query.optional_integer("mantissa")
    if figures not in (None, 2, 3, 4, 5) or (mantissa is not None and (figures != 5 or mantissa not in (2, 5))):
        raise Undecodable(f"no book with nSigFigs {figures} and mantissa {mantissa}")
    return figures, mantissa


def _universe_row(market: ListedMarket | None, index: int) -> Row:
    if market is None:
        return {"name": f"UNLISTED{index}", "szDecimals": 0, "maxLeverage": 1, "marginTableId": 1, "isDelisted": True}
    row: Row = {
        "name": market.symbol,
        "szDecimals": size_decimals(market),
        "maxLeverage": market.leverage_max,
        "marginTableId": market.leverage_max,
    }
    if not market.is_listed:
        row["isDelisted"] = True
    return row


def _premium(impact: tuple[Decimal, Decimal], index: Decimal) -> Decimal:
    """What a premium sample would be now."""
    return (max(impact[0] - index, ZERO) - max(index - impact[1], ZERO)) / index


def _aggregate(
    side: BookSide, figures: int, mantissa: int, to_step: Callable[[Decimal, Decimal], Decimal]
) -> list[tuple[Decimal, Decimal, int]]:
    """Levels whose prices round to the same number of `figures` digits, merged; best first like `side`."""
    merged: list[tuple[Decimal, Decimal, int]] = []
    for price, size, count in side:
        step = Decimal(1).scaleb(price.adjusted() - figures + 1) * mantissa
        rounded = to_step(price, step)
        if merged and merged[-1][0] == rounded:
            merged[-1] = (rounded, merged[-1][1] + size, merged[-1][2] + count)
        else:
            merged.append((rounded, size, count))
    return merged
