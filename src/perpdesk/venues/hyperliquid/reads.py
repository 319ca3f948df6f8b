"""What we ask about our own account, page by page until it is complete."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import structlog

from perpdesk.domain.clock import Clock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill, OrderReport
from perpdesk.domain.positions import AccountState
from perpdesk.venues.base import FrameUnreadable, RequestRefused
from perpdesk.venues.hyperliquid.account_frames import (
    FillRow,
    cloid_of,
    convert_rows,
    fill_of,
    parse_abstraction,
    parse_account,
    parse_fees,
    parse_fill_rows,
    parse_funding_rows,
    parse_open_orders,
    parse_order_status,
    payment_of,
    with_unified_collateral,
)
from perpdesk.venues.hyperliquid.frames import parse_server_time_ms
from perpdesk.venues.hyperliquid.gateway import Gateway
from perpdesk.venues.hyperliquid.watch import Watch

log = structlog.get_logger(__name__)

PAGES_MAX = 500
PAGE_ROWS_LEAST = 500
"""A page this long may have been cut by the venue (2000 fills, 500 funding rows)."""
ABSTRACTION_AGE_MS_MAX = 3_600_000
UNIFIED = ("unifiedAccount", "portfolioMargin")
STANDARD = ("default", "disabled")

_Answer = TypeVar("_Answer")


class _Row(Protocol):
    @property
    def time(self) -> int: ...

    @property
    def key(self) -> tuple[object, ...]: ...


_RowT = TypeVar("_RowT", bound=_Row)


class AccountReads:
    """Reads of one account. Every method raises NotSent, RequestRefused or FrameUnreadable and is safe to repeat."""

    def __init__(self, gateway: Gateway, clock: Clock, account_address: str | None, watch: Watch) -> None:
        self._gateway = gateway
        self._clock = clock
        self._watch = watch
        self._address = account_address
        self._abstraction: tuple[str, int] | None = None

    async def ask(self, request: dict[str, Any], parse: Callable[[bytes], _Answer]) -> _Answer:
        """Post a read and parse its answer; an unreadable one is counted on its way out."""
        body = await self._gateway.ask(request)
        try:
            return parse(body)
        except FrameUnreadable as error:
            self._watch.unreadable(str(request["type"]), body, error)
            raise

    def _of_user(self, kind: str, **fields: object) -> dict[str, Any]:
        if self._address is None:
            raise RequestRefused(
                "NoAccount", "Hyperliquid: configure account_address (the master's) to read an account"
            )
        return {"type": kind, "user": self._address, **fields}

    async def fetch_server_time_ms(self) -> int:
        return await self.ask({"type": "exchangeStatus"}, parse_server_time_ms)

    async def fetch_fees(self) -> FeeRates:
        return await self.ask(self._of_user("userFees"), parse_fees)

    async def fetch_order(self, client_id: int) -> OrderReport | None:
        """By `orderStatus`, which takes a client id in its oid field; None where the venue has no record."""
        request = self._of_user("orderStatus", oid=cloid_of(client_id))
        return await self.ask(request, lambda body: parse_order_status(body, client_id))

    async def fetch_open_orders(self) -> tuple[OrderReport, ...]:
        return await self.ask(self._of_user("frontendOpenOrders"), parse_open_orders)

    async def fetch_account(self) -> AccountState:
        """Equity from the perpetual summary, or from the spot ledger where the account is unified."""
        is_unified = await self._fetch_is_unified()
        request = self._of_user("clearinghouseState")
        state = await self.ask(request, lambda body: parse_account(body, self._clock.wall_ms()))
        if not is_unified:
            return state
        return await self.ask(
            self._of_user("spotClearinghouseState"), lambda body: with_unified_collateral(state, body)
        )

    async def _fetch_is_unified(self) -> bool:
        now_ms = self._clock.monotonic_ms()
        if self._abstraction is None or now_ms - self._abstraction[1] > ABSTRACTION_AGE_MS_MAX:
            mode = await self.ask(self._of_user("userAbstraction"), parse_abstraction)
            if mode not in UNIFIED + STANDARD:
                raise RequestRefused(
                    "AccountMode",
                    f"Hyperliquid reports the unknown account mode {mode[:40]!r}: its equity is not known",
                )
            self._abstraction = (mode, now_ms)
        return self._abstraction[0] in UNIFIED

    async def fetch_fills(self, since_ms: int) -> tuple[Fill, ...]:
        """Every perpetual fill of the account since then. The venue leaves TWAP slices out; the desk places none."""

        async def page(start_ms: int, end_ms: int | None) -> list[FillRow]:
            return await self.ask(self._since("userFillsByTime", start_ms, end_ms), parse_fill_rows)

        rows = await _all_pages("userFillsByTime", since_ms, page)
        self._watch.foreign_fees(rows)
        return tuple(self._converted("fills", lambda: convert_rows("fill", rows, fill_of)))

    async def fetch_funding_payments(self, since_ms: int) -> tuple[FundingPayment, ...]:
        async def page(start_ms: int, end_ms: int | None) -> list[Any]:
            return await self.ask(self._since("userFunding", start_ms, end_ms), parse_funding_rows)

        rows = await _all_pages("userFunding", since_ms, page)
        return tuple(self._converted("funding", lambda: convert_rows("funding payment", rows, payment_of)))

    def _since(self, kind: str, start_ms: int, end_ms: int | None) -> dict[str, Any]:
        request = self._of_user(kind, startTime=start_ms)
        return request if end_ms is None else {**request, "endTime": end_ms}

    def _converted(self, what: str, convert: Callable[[], list[_Answer]]) -> list[_Answer]:
        try:
            return convert()
        except FrameUnreadable as error:
            self._watch.unreadable(what, error.raw, error)
            raise


async def _all_pages(
    what: str, since_ms: int, page: Callable[[int, int | None], Awaitable[list[_RowT]]]
) -> list[_RowT]:
    """Every row at or after `since_ms`, oldest first, in the venue's order inside one millisecond.

    Bounds are inclusive, so the last time seen is asked for again and known rows are dropped; a page that adds none ends
    it. Pages normally run forward; one that comes newest first (recorded in 2023) is followed backward instead, or its
    older part would be missed.
    """
    seen: set[tuple[object, ...]] = set()
    found: list[_RowT] = []
    start_ms, end_ms = since_ms, None  # an end is only set once a page came newest first
    for _ in range(PAGES_MAX):
        rows = [row for row in await page(start_ms, end_ms) if row.time >= since_ms]
        is_backward = end_ms is not None or (len(rows) > 1 and rows[0].time > rows[-1].time)
        fresh = []
        for row in reversed(rows) if is_backward else rows:
            if row.key not in seen:
                seen.add(row.key)
                fresh.append(row)
        found = fresh + found if is_backward else found + fresh
        if fresh and is_backward:
            end_ms = rows[-1].time
        elif fresh:
            start_ms = max(row.time for row in rows)
        elif len(rows) >= PAGE_ROWS_LEAST and rows[0].time == rows[-1].time:
            log.warning("page_of_one_time", venue="hyperliquid", request=what, time_ms=rows[0].time, rows=len(rows))
            start_ms, end_ms = (start_ms + 1, end_ms) if end_ms is None else (start_ms, end_ms - 1)
        else:
            return sorted(found, key=lambda row: row.time)
    raise RequestRefused("TooManyPages", f"Hyperliquid {what}: more than {PAGES_MAX} pages; ask from a later time")
