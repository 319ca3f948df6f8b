"""What an open pair would bring if it were closed into the visible books now. Pure.

The desk asks on every book event for every open pair, and nearly always the answer is "not enough": a bound in floats says so
at a fraction of the cost (`benchmarks/exits.py` measures it), and only what passes it is worked out exactly.
"""

from decimal import Decimal

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.prices import exact
from perpdesk.domain.books import Book
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.pairs import Leg

ROUNDING = 1e-9
"""Share of the sums that floats may be off by; many times what they are."""


def closing_profit_usd(ledger: Ledger, books: tuple[Book, Book], fees: tuple[FeeRates, FeeRates]) -> Decimal | None:
    """All four parts with open legs at what closing them would really bring, exit fees included.

    Args:
        books, fees: Of the long leg's venue, then of the short leg's.

    Returns:
        None when a book can not take a whole leg.
    """
    pair = ledger.pair
    marks: dict[tuple[str, str], Decimal] = {}
    fee_usd = ZERO
    legs = ((Leg.LONG, pair.long_venue, books[0].bids, fees[0]), (Leg.SHORT, pair.short_venue, books[1].asks, fees[1]))
    for leg, venue, makers, rates in legs:
        held = ledger.held(leg)
        sweep = makers.sweep(float(held))
        if sweep is None or sweep.size < float(held):
            return None
        price = exact(sweep.average_price)
        marks[venue.value, pair.asset] = price
        fee_usd += held * price * rates.taker
    return ledger.pnl(marks).total_usd - fee_usd


def closing_profit_usd_max(ledger: Ledger, books: tuple[Book, Book], fees: tuple[FeeRates, FeeRates]) -> float | None:
    """At least `closing_profit_usd`: as if the best prices took everything. None while one is missing.

    No sweep is better than its side's best price, and what a leg brings after a fee below 100 % only falls with a worse price.
    """
    bid, ask = books[0].bids.best_price, books[1].asks.best_price
    if bid is None or ask is None:
        return None
    cash = float(ledger.cash_usd)
    sold = float(ledger.held(Leg.LONG)) * bid * (1.0 - float(fees[0].taker))
    bought = float(ledger.held(Leg.SHORT)) * ask * (1.0 + float(fees[1].taker))
    return cash + sold - bought + (abs(cash) + abs(sold) + abs(bought)) * ROUNDING
