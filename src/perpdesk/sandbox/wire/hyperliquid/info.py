"""`POST /info`: which read answers a body, what it weighs, and how a refusal looks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from perpdesk.domain.clock import Clock
from perpdesk.sandbox.wire.hyperliquid.limits import WeightBudget
from perpdesk.sandbox.wire.hyperliquid.query import UNDECODABLE_TEXT, Query, Undecodable

log = structlog.get_logger(__name__)

DEFAULT_WEIGHT = 20
_WEIGHTS = {
    "l2Book": 2,
    "allMids": 2,
    "clearinghouseState": 2,
    "orderStatus": 2,
    "spotClearinghouseState": 2,
    "exchangeStatus": 2,
    "userRole": 60,
}
_ROWS_PER_WEIGHT = {
    "recentTrades": 20,
    "historicalOrders": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "fundingHistory": 20,
    "userFunding": 20,
    "userNonFundingLedgerUpdates": 20,
    "userTwapSliceFills": 20,
    "candleSnapshot": 60,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer; `type` names the read for socket posts."""

    status: int
    body: bytes
    type: str = ""

    @property
    def content_type(self) -> str:
        return "text/plain; charset=utf-8" if self.status == 422 else "application/json"


UNDECODABLE = Answer(422, UNDECODABLE_TEXT.encode())
OVER_BUDGET = Answer(429, b"null")
NO_SUCH_DEX = Answer(500, b"null")
BROKEN = Answer(500, b"null")
"""Our own fault, not the client's: logged as an error, answered as the venue answers its internal failures."""


class Reads(Protocol):
    """A group of reads by request type."""

    def handlers(self) -> dict[str, Callable[[Query], Any]]: ...


class InfoEndpoint:
    """Answers read requests within the weight budget that HTTP and socket posts share."""

    def __init__(self, reads: Sequence[Reads], budget: WeightBudget, clock: Clock) -> None:
        self._handlers: dict[str, Callable[[Query], Any]] = {}
        for group in reads:
            self._handlers |= group.handlers()
        self._budget = budget
        self._clock = clock

    def answer(self, body: bytes) -> Answer:
        """Read `body` and answer it. The base weight is spent before, the weight of the rows after."""
        now_ms = self._clock.wall_ms()
        try:
            query = Query.parse(body)
            handler = self._handlers.get(query.type)
            if handler is None:
                raise Undecodable(f"unknown request type {query.type[:40]!r}")
            if not self._budget.admit(_WEIGHTS.get(query.type, DEFAULT_WEIGHT), now_ms):
                return OVER_BUDGET
            if not query.is_main_dex:
                return NO_SUCH_DEX
            result = handler(query)
        except Undecodable as error:
            log.info("info_undecodable", error=str(error), body=body[:200])
            return UNDECODABLE
        except Exception:
            log.exception("info_failed", body=body[:200])
            return BROKEN
        rows = _ROWS_PER_WEIGHT.get(query.type)
        if rows is not None:
            self._budget.charge(-(-len(result) // rows), now_ms)
        return Answer(200, msgspec.json.encode(result), query.type)
