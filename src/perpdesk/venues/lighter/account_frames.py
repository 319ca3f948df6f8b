"""Our own account on Lighter: orders, trades, positions, fees, funding payments, transactions. Wire to domain.

Sources: the venue's API reference and recorded frames (shared reference `venues/lighter.md`, sections 7 to 14, read 2026-11).
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from perpdesk.domain.assets import VenueName, listing_of
from perpdesk.domain.books import Side
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.markets import Market
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import CLIENT_ID_MAX, Fill, OrderReport, OrderStatus
from perpdesk.domain.positions import AccountState, VenuePosition
from perpdesk.venues.base import FrameUnreadable, RequestRefused
from perpdesk.venues.lighter.frames import BAD_DATA, decode_with, finite, positive, readable_rows, unix_ms

TICK = Decimal(1_000_000)
MICRO_USD = Decimal("0.000001")
"""What the venue keeps its books in; how it rounds a fee is not published, half up is assumed."""
"""Fee ticks are 1e-6 of notional."""

Rows = list[msgspec.Raw]
"""Undecoded rows, so that one bad row does not hide the others."""

# --- orders

_RESTING = frozenset({"in-progress", "pending", "open"})


class OrderRow(msgspec.Struct):
    """An order as REST lists and `account_all_orders` show it. Amounts are decimal strings in contracts.

    Attributes:
        client_order_index: Ours, 0 when the order has none.
        filled_quote_amount: USD; over `filled_base_amount` it is the average price.
        status: "in-progress", "pending", "open", "filled", "canceled" or "canceled-<why>". There is no "rejected".
        timestamp: Unix ms.
    """

    client_order_index: int
    market_index: int
    filled_base_amount: Decimal
    filled_quote_amount: Decimal
    status: str
    timestamp: int = 0


_ORDER_ROW = msgspec.json.Decoder(OrderRow, strict=False)
_ROWS_BY_MARKET = msgspec.json.Decoder(dict[str, Rows])


class _OrderPage(msgspec.Struct):
    orders: Rows | None = None
    next_cursor: str | None = None


_ORDER_PAGE = msgspec.json.Decoder(_OrderPage)


def parse_order_page(raw: bytes) -> tuple[list[OrderRow], str | None]:
    """One page of orders and the cursor of the next. A single unreadable row spoils the page: a look-up must not miss one."""
    page = decode_with(_ORDER_PAGE, "orders", raw)
    rows = [decode_with(_ORDER_ROW, "order", bytes(row)) for row in page.orders or ()]
    return rows, page.next_cursor or None


def to_order_report(row: OrderRow, markets: Mapping[int, Market]) -> OrderReport | None:
    """A report per unit of the asset; None for orders without a client id and of markets we do not know.

    Cancelled never means "nothing happened": what filled is always read. ValueError for a status that is not known.
    """
    market = markets.get(row.market_index)
    if market is None or not 0 < row.client_order_index <= CLIENT_ID_MAX:
        return None
    status, reason = _status_of(row.status)
    contracts, quote = finite(row.filled_base_amount), finite(row.filled_quote_amount)
    if contracts < 0 or quote < 0:
        raise ValueError("filled amounts can not be negative")
    filled = contracts * market.multiplier
    average = quote / filled if filled > 0 else None
    return OrderReport(row.client_order_index, VenueName.LIGHTER, market.asset, status, filled, average, reason)


def _status_of(text: str) -> tuple[OrderStatus, str]:
    if text in _RESTING:
        return OrderStatus.RESTING, ""
    if text == "filled":
        return OrderStatus.FILLED, ""
    if text == "canceled" or text.startswith("canceled-"):
        return OrderStatus.CANCELED, text.removeprefix("canceled").removeprefix("-")
    raise ValueError(f"unknown order status {text[:40]!r}")


def parse_order_frame(raw: msgspec.Raw, markets: Mapping[int, Market]) -> tuple[list[OrderReport], int]:
    """Payload of `account_all_orders`: (reports, unreadable rows)."""

    def convert(data: bytes) -> OrderReport | None:
        return to_order_report(_ORDER_ROW.decode(data), markets)

    rows, bad = readable_rows("order", _flatten(raw, "orders"), convert)
    return [report for report in rows if report is not None], bad


def _flatten(raw: msgspec.Raw, what: str) -> Rows:
    """Rows of a payload keyed by market; an empty one may be an array or null instead of an object."""
    data = bytes(raw)
    if data.strip() in (b"[]", b"null"):
        return []
    return [row for rows in decode_with(_ROWS_BY_MARKET, what, data).values() for row in rows]


# --- trades


class TradeRow(msgspec.Struct):
    """An execution. `size` in contracts, `usd_amount` notional, fees in ticks of 1e-6 (a rate), omitted when zero.

    Attributes:
        ask_client_id, bid_client_id: 0 when the order has none.
        is_maker_ask: True when the aggressor bought.
        timestamp: Unix ms.
    """

    trade_id: int
    market_id: int
    size: Decimal
    price: Decimal
    usd_amount: Decimal
    ask_account_id: int
    bid_account_id: int
    is_maker_ask: bool
    timestamp: int
    ask_client_id: int = 0
    bid_client_id: int = 0
    maker_fee: int = 0
    taker_fee: int = 0


_TRADE_ROW = msgspec.json.Decoder(TradeRow, strict=False)


class _TradePage(msgspec.Struct):
    trades: Rows | None = None
    next_cursor: str | None = None


_TRADE_PAGE = msgspec.json.Decoder(_TradePage)


def parse_trade_page(
    raw: bytes, account_index: int, markets: Mapping[int, Market]
) -> tuple[list[Fill], int | None, str | None]:
    """One page of `/trades`: (our fills, Unix ms of the oldest row or None when empty, cursor of the next page).

    A single unreadable row spoils the page: a list of fills must be complete or fail.
    """
    page = decode_with(_TRADE_PAGE, "trades", raw)
    fills: list[Fill] = []
    oldest: int | None = None
    for data in page.trades or ():
        try:
            row = _TRADE_ROW.decode(data)
            at_ms = unix_ms(row.timestamp)
            fills += to_fills(row, account_index, markets)
        except BAD_DATA as error:
            raise FrameUnreadable("trade", bytes(data)) from error
        oldest = at_ms if oldest is None else min(oldest, at_ms)
    return fills, oldest, page.next_cursor or None


def parse_trade_frame(raw: msgspec.Raw, account_index: int, markets: Mapping[int, Market]) -> tuple[list[Fill], int]:
    """Payload of `account_all_trades`: (fills, unreadable rows)."""
    rows, bad = readable_rows(
        "trade", _flatten(raw, "trades"), lambda data: to_fills(_TRADE_ROW.decode(data), account_index, markets)
    )
    return [fill for fills in rows for fill in fills], bad


def to_fills(row: TradeRow, account_index: int, markets: Mapping[int, Market]) -> list[Fill]:
    """Our side of a trade; both sides, as two fills, when the account traded with itself; none when it was not in it."""
    market = markets.get(row.market_id)
    if market is None:
        return []
    fills = []
    if row.ask_account_id == account_index:
        fills.append(_to_fill(row, market, Side.SELL))
    if row.bid_account_id == account_index:
        fills.append(_to_fill(row, market, Side.BUY))
    return fills


def _to_fill(row: TradeRow, market: Market, side: Side) -> Fill:
    is_maker = row.is_maker_ask is (side is Side.SELL)
    client_id = row.ask_client_id if side is Side.SELL else row.bid_client_id
    fee_ticks = row.maker_fee if is_maker else row.taker_fee
    return Fill(
        venue=VenueName.LIGHTER,
        asset=market.asset,
        trade_id=f"{row.trade_id}:{side.value}",
        client_id=client_id if 0 < client_id <= CLIENT_ID_MAX else None,
        side=side,
        size=positive(row.size) * market.multiplier,
        price=positive(row.price) / market.multiplier,
        fee_usd=(positive(row.usd_amount) * fee_ticks / TICK).quantize(MICRO_USD, ROUND_HALF_UP),
        is_maker=is_maker,
        at_ms=unix_ms(row.timestamp),
    )


# --- account, fees, funding payments


class _PositionRow(msgspec.Struct):
    market_id: int
    symbol: str
    sign: int
    """1 long, -1 short: `position` itself is unsigned."""
    position: Decimal
    position_value: Decimal
    unrealized_pnl: Decimal
    avg_entry_price: Decimal | None = None


class _AccountRow(msgspec.Struct):
    available_balance: Decimal
    collateral: Decimal
    positions: list[_PositionRow] = []
    total_asset_value: Decimal | None = None
    """Equity: collateral plus unrealised profit."""


class _Accounts(msgspec.Struct):
    accounts: list[_AccountRow]


_ACCOUNTS = msgspec.json.Decoder(_Accounts, strict=False)


def parse_account(raw: bytes, markets: Mapping[int, Market], at_ms: int) -> AccountState:
    """Equity and open positions of `/account`. FrameUnreadable when any part is, so that no position is overlooked."""
    answer = decode_with(_ACCOUNTS, "account", raw)
    if len(answer.accounts) != 1:
        raise FrameUnreadable("account (expected one)", raw)
    row = answer.accounts[0]
    try:
        positions = [_to_position(p, markets) for p in row.positions if finite(p.position) != 0]
        unrealised = sum((p.unrealised_usd for p in positions), ZERO)
        equity = row.collateral + unrealised if row.total_asset_value is None else row.total_asset_value
        return AccountState(finite(equity), finite(row.available_balance), {p.asset: p for p in positions}, at_ms)
    except BAD_DATA as error:
        raise FrameUnreadable("account", raw) from error


def _to_position(row: _PositionRow, markets: Mapping[int, Market]) -> VenuePosition:
    """One open position. A market that is no longer listed still counts: its name says which asset it is."""
    if row.sign not in (1, -1):
        raise ValueError(f"position sign {row.sign}")
    market = markets.get(row.market_id)
    if market is not None:
        asset, multiplier = market.asset, market.multiplier
    else:
        listing = listing_of(VenueName.LIGHTER, row.symbol)
        asset, multiplier = listing.asset, listing.multiplier
    contracts = positive(row.position)
    entry = None if row.avg_entry_price is None else finite(row.avg_entry_price) / multiplier
    mark = abs(finite(row.position_value)) / (contracts * multiplier)
    return VenuePosition(
        asset=asset,
        size=contracts * multiplier * row.sign,
        entry_price=entry if entry is not None and entry > 0 else None,
        mark_price=mark if mark > 0 else None,
        unrealised_usd=finite(row.unrealized_pnl),
    )


class _Limits(msgspec.Struct):
    current_maker_fee_tick: int | None = None
    current_taker_fee_tick: int | None = None


_LIMITS = msgspec.json.Decoder(_Limits, strict=False)


def parse_fees(raw: bytes) -> FeeRates:
    """Fractions of notional from `/accountLimits`; RequestRefused when the venue leaves them out: no fee is assumed."""
    limits = decode_with(_LIMITS, "accountLimits", raw)
    maker, taker = limits.current_maker_fee_tick, limits.current_taker_fee_tick
    if maker is None or taker is None:
        raise RequestRefused(
            "no-fees", "Lighter did not say what this account pays; check the account's tier and try again"
        )
    return FeeRates(maker / TICK, taker / TICK)


class _PaymentRow(msgspec.Struct):
    timestamp: int
    market_id: int
    change: Decimal
    """USD effect on the collateral, + received."""
    funding_id: int | None = None
    position_size: Decimal | None = None
    position_side: str = ""


class _PaymentPage(msgspec.Struct):
    position_fundings: Rows | None = None
    next_cursor: str | None = None


_PAYMENT_ROW = msgspec.json.Decoder(_PaymentRow, strict=False)
_PAYMENT_PAGE = msgspec.json.Decoder(_PaymentPage)


def parse_payment_page(
    raw: bytes, markets: Mapping[int, Market]
) -> tuple[list[FundingPayment], int | None, str | None]:
    """One page of `/positionFunding`: (payments, Unix ms of the oldest row or None when empty, next cursor)."""
    page = decode_with(_PAYMENT_PAGE, "positionFunding", raw)
    payments: list[FundingPayment] = []
    oldest: int | None = None
    for data in page.position_fundings or ():
        try:
            row = _PAYMENT_ROW.decode(data)
            at_ms = unix_ms(row.timestamp)
            market = markets.get(row.market_id)
            if market is not None:
                payments.append(_to_payment(row, market, at_ms))
        except BAD_DATA as error:
            raise FrameUnreadable("funding payment", bytes(data)) from error
        oldest = at_ms if oldest is None else min(oldest, at_ms)
    return payments, oldest, page.next_cursor or None


def _to_payment(row: _PaymentRow, market: Market, at_ms: int) -> FundingPayment:
    sign = {"long": 1, "short": -1}.get(row.position_side)
    size = (
        None if row.position_size is None or sign is None else abs(finite(row.position_size)) * market.multiplier * sign
    )
    # A funding id of 0 or none at all says nothing; one market pays once per moment.
    payment_id = f"{row.market_id}:{row.funding_id or at_ms}"
    return FundingPayment(VenueName.LIGHTER, market.asset, payment_id, finite(row.change), size, at_ms)


# --- transactions


class TxAnswer(msgspec.Struct):
    """Answer to `sendTx`. Code 200 means queued for the sequencer, not executed."""

    code: int
    message: str = ""
    tx_hash: str | None = None


TX_ANSWER = msgspec.json.Decoder(TxAnswer)


class _Nonce(msgspec.Struct):
    nonce: int


_NONCE = msgspec.json.Decoder(_Nonce)


def parse_nonce(raw: bytes) -> int:
    """The nonce the next transaction of the key must carry."""
    nonce = decode_with(_NONCE, "nextNonce", raw).nonce
    if not 0 <= nonce < 1 << 62:
        raise FrameUnreadable("nextNonce", raw)
    return nonce


class TxStatus(msgspec.Struct):
    """A transaction as `/tx` shows it. `status`: 0 failed, 1 pending, 2 executed, 3 executed but not final.

    Attributes:
        event_info: JSON text; its key "ae" holds the sequencer's error, itself JSON text with a "message".
    """

    status: int
    event_info: str = ""

    @property
    def is_failed(self) -> bool:
        return self.status == 0

    @property
    def is_pending(self) -> bool:
        return self.status == 1


class _EventInfo(msgspec.Struct):
    ae: str = ""


class _AppError(msgspec.Struct):
    message: str


_TX_STATUS = msgspec.json.Decoder(TxStatus, strict=False)
_EVENT_INFO = msgspec.json.Decoder(_EventInfo)
_APP_ERROR = msgspec.json.Decoder(_AppError)
REASON_MAX = 200
"""Characters of the venue's own words that are kept."""


def parse_tx(raw: bytes) -> TxStatus:
    """FrameUnreadable when the status is missing."""
    return decode_with(_TX_STATUS, "tx", raw)


def failure_reason(tx: TxStatus) -> str:
    """Why the sequencer failed a transaction, in its own words as far as they can be read."""
    try:
        text = _EVENT_INFO.decode(tx.event_info).ae
    except BAD_DATA:
        return "failed at the sequencer, which gave no readable reason"
    try:
        return _APP_ERROR.decode(text).message[:REASON_MAX]
    except BAD_DATA:
        return text[:REASON_MAX] or "failed at the sequencer, which gave no reason"


class _ServerStatus(msgspec.Struct):
    timestamp: int


_SERVER_STATUS = msgspec.json.Decoder(_ServerStatus)


def parse_server_time(raw: bytes) -> int:
    """Unix ms from the venue's root status (whole seconds)."""
    try:
        return unix_ms(_SERVER_STATUS.decode(raw).timestamp)
    except BAD_DATA as error:
        raise FrameUnreadable("server status", raw) from error
