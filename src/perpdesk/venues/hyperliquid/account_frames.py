"""Wire <-> domain: what the venue says of our account. Money, prices and sizes are exact decimals."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import msgspec

from perpdesk.domain.books import Side
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.numbers import ZERO
from perpdesk.domain.orders import CLIENT_ID_MAX, Fill, OrderReport, OrderStatus
from perpdesk.domain.positions import AccountState, VenuePosition
from perpdesk.venues.hyperliquid.frames import (
    VENUE,
    Contract,
    checked_time_ms,
    contract_of,
    exact,
    exact_positive,
    reading,
)

FEE_RATE_MAX = Decimal("0.01")
"""No fee tier is anywhere near 1 %; a rate beyond is a damaged answer."""

_CLOID = re.compile(r"0x[0-9a-fA-F]{32}")
_SIDES = {"B": Side.BUY, "A": Side.SELL}
_Domain = TypeVar("_Domain")
_Row = TypeVar("_Row", bound=msgspec.Struct)


class FillRow(msgspec.Struct, gc=False):
    """One execution. `fee` is the total, positive a cost; `crossed` is true for the taker.

    `tid` and `feeToken` are missing in recordings before mid 2023, `cloid` before April 2026.
    """

    coin: str
    px: str
    sz: str
    side: str
    time: int
    oid: int
    crossed: bool
    fee: str
    tid: int | None = None
    feeToken: str = "USDC"  # noqa: N815 - the venue's spelling
    cloid: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What tells two executions apart; trade ids alone collide."""
        return self.time, self.coin, self.tid, self.oid, self.side


class OrderRow(msgspec.Struct, gc=False):
    """One order; `sz` is what is left of `origSz`."""

    coin: str
    sz: str
    origSz: str | None = None  # noqa: N815
    cloid: str | None = None


class OrderRecord(msgspec.Struct, gc=False):
    """An order beside the venue's word for its state."""

    order: OrderRow
    status: str


class _OrderStatus(msgspec.Struct, gc=False):
    status: str
    order: OrderRecord | None = None


class FundingRow(msgspec.Struct, gc=False):
    """Funding booked, as the socket sends it. `usdc` is our cash effect, `szi` the signed position."""

    coin: str
    usdc: str
    time: int
    szi: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return self.time, self.coin


class _FundingDelta(msgspec.Struct, gc=False):
    coin: str
    usdc: str
    type: str
    szi: str | None = None


class _FundingEntry(msgspec.Struct, gc=False):
    time: int
    delta: _FundingDelta


class _Fills(msgspec.Struct, gc=False):
    user: str
    fills: list[FillRow]


class _Fundings(msgspec.Struct, gc=False):
    user: str
    fundings: list[FundingRow]


class _Position(msgspec.Struct, gc=False):
    coin: str
    szi: str
    positionValue: str  # noqa: N815
    unrealizedPnl: str  # noqa: N815
    entryPx: str | None = None  # noqa: N815


class _AssetPosition(msgspec.Struct, gc=False):
    position: _Position


class _MarginSummary(msgspec.Struct, gc=False):
    accountValue: str  # noqa: N815


class _Clearinghouse(msgspec.Struct, gc=False):
    marginSummary: _MarginSummary  # noqa: N815
    withdrawable: str
    assetPositions: list[_AssetPosition]  # noqa: N815
    time: int | None = None


class _Balance(msgspec.Struct, gc=False):
    coin: str
    total: str
    hold: str = "0"


class _SpotState(msgspec.Struct, gc=False):
    balances: list[_Balance]


class _UserFees(msgspec.Struct, gc=False):
    userCrossRate: str  # noqa: N815
    userAddRate: str  # noqa: N815


_read_fill_rows = msgspec.json.Decoder(list[FillRow])
_read_user_fills = msgspec.json.Decoder(_Fills)
_read_order_rows = msgspec.json.Decoder(list[OrderRow])
_read_order_records = msgspec.json.Decoder(list[OrderRecord])
_read_order_status = msgspec.json.Decoder(_OrderStatus)
_read_funding_entries = msgspec.json.Decoder(list[_FundingEntry])
_read_user_fundings = msgspec.json.Decoder(_Fundings)
_read_clearinghouse = msgspec.json.Decoder(_Clearinghouse)
_read_spot_state = msgspec.json.Decoder(_SpotState)
_read_fees = msgspec.json.Decoder(_UserFees)
_read_text = msgspec.json.Decoder(str)


def cloid_of(client_id: int) -> str:
    """Our client id in the venue's 128-bit field."""
    return f"0x{client_id:032x}"


def client_id_of(cloid: str | None) -> int | None:
    """Our client id, None where the order has none or one that is not ours: random ones fill all 128 bits."""
    if cloid is None or _CLOID.fullmatch(cloid) is None:
        return None
    value = int(cloid, 16)
    return value if 0 < value <= CLIENT_ID_MAX else None


def fill_of(row: FillRow) -> Fill | None:
    """An execution in our words; None for spot and builder-dex markets. ValueError when it can not be one.

    A fee in another token than a dollar keeps its number: `has_foreign_fee` tells, and the caller makes it heard.
    """
    contract = contract_of(row.coin)
    if contract is None:
        return None
    if row.tid is None:
        raise ValueError(f"{row.coin}: a fill without trade id can not be told from its neighbours")
    size = contract.size(row.sz)
    if size <= 0 or row.side not in _SIDES:
        raise ValueError(f"{row.coin}: fill of {row.sz}, side {row.side[:8]!r}")
    return Fill(
        venue=VENUE,
        asset=contract.asset,
        trade_id=f"{checked_time_ms(row.time)}:{row.tid}:{row.oid}",
        client_id=client_id_of(row.cloid),
        side=_SIDES[row.side],
        size=size,
        price=contract.price(row.px),
        fee_usd=exact(row.fee),
        is_maker=not row.crossed,
        at_ms=row.time,
    )


def has_foreign_fee(row: FillRow) -> bool:
    """Whether the fee was charged in something else than a dollar; main-dex perpetuals charge USDC."""
    return not row.feeToken.startswith("USD")


def payment_of(row: FundingRow) -> FundingPayment | None:
    """Funding in our words; None for builder-dex markets."""
    contract = contract_of(row.coin)
    if contract is None:
        return None
    size = None if row.szi is None else contract.size(row.szi)
    payment_id = f"{row.coin}:{checked_time_ms(row.time)}"
    return FundingPayment(VENUE, contract.asset, payment_id, exact(row.usdc), size, row.time)


def report_of(order: OrderRow, status: str) -> OrderReport | None:
    """An order's state in our words; None unless it carries a client id of ours on a main-dex perpetual.

    The set of the venue's words grows, so they are read by their endings.
    """
    contract, client_id = contract_of(order.coin), client_id_of(order.cloid)
    if contract is None or client_id is None:
        return None
    if order.origSz is None:
        raise ValueError(f"{order.coin}: order without its original size")
    original, left = contract.size(order.origSz), contract.size(order.sz)
    if not 0 <= left <= original or original == 0:
        raise ValueError(f"{order.coin}: {order.sz} left of {order.origSz}")
    filled = original - left
    state = _state_of(status, filled, left)
    reason = status if state in (OrderStatus.CANCELED, OrderStatus.REJECTED) else ""
    return OrderReport(client_id, VENUE, contract.asset, state, filled, None, reason)


def _state_of(status: str, filled: Decimal, left: Decimal) -> OrderStatus:
    word = status.lower()
    if word in ("open", "triggered"):
        return OrderStatus.RESTING
    if word == "filled":
        if filled == 0:
            raise ValueError("an order that is filled with nothing filled")
        return OrderStatus.FILLED if left == 0 else OrderStatus.CANCELED  # an IOC whose rest was dropped
    if word.endswith(("canceled", "cancel")):
        return OrderStatus.CANCELED
    if word.endswith("rejected"):
        return OrderStatus.CANCELED if filled else OrderStatus.REJECTED
    raise ValueError(f"unknown order status {status[:40]!r}")


def parse_user_fills(raw: msgspec.Raw) -> tuple[str, list[FillRow]]:
    """`userFills` data as (user, rows); snapshots look the same."""
    wire = _read_user_fills.decode(raw)
    return wire.user, wire.fills


def parse_user_fundings(raw: msgspec.Raw) -> tuple[str, list[FundingRow]]:
    """`userFundings` data as (user, rows)."""
    wire = _read_user_fundings.decode(raw)
    return wire.user, wire.fundings


def parse_order_records(raw: bytes | msgspec.Raw) -> list[OrderRecord]:
    """`orderUpdates` data, or the answer to `historicalOrders`."""
    return _read_order_records.decode(raw)


def parse_fill_rows(body: bytes) -> list[FillRow]:
    """`userFills` and `userFillsByTime` answers, in the venue's order."""
    with reading("fills", body):
        return _read_fill_rows.decode(body)


def parse_funding_rows(body: bytes) -> list[FundingRow]:
    """`userFunding` answer, flattened to the socket's rows."""
    with reading("funding payments", body):
        entries = _read_funding_entries.decode(body)
        return [
            FundingRow(entry.delta.coin, entry.delta.usdc, entry.time, entry.delta.szi)
            for entry in entries
            if entry.delta.type == "funding"
        ]


def convert_rows(what: str, rows: list[_Row], convert: Callable[[_Row], _Domain | None]) -> list[_Domain]:
    """Every row in our words, foreign markets left out.

    FrameUnreadable when one row can not be true: a list with a silent hole would pass as complete.
    """
    converted = []
    for row in rows:
        with reading(what, msgspec.json.encode(row)):
            value = convert(row)
        if value is not None:
            converted.append(value)
    return converted


def parse_order_status(body: bytes, client_id: int) -> OrderReport | None:
    """`orderStatus` answer; None where the venue does not know the order."""
    with reading("order status", body):
        wire = _read_order_status.decode(body)
        if wire.order is None:
            if wire.status == "unknownOid":
                return None
            raise ValueError(f"status {wire.status[:40]!r} without an order")
        report = report_of(wire.order.order, wire.order.status)
        if report is None or report.client_id != client_id:
            raise ValueError("an answer about another order")
        return report


def parse_open_orders(body: bytes) -> tuple[OrderReport, ...]:
    """`frontendOpenOrders` answer: the resting orders that carry a client id of ours."""
    with reading("open orders", body):
        reports = [report_of(row, "open") for row in _read_order_rows.decode(body)]
    return tuple(report for report in reports if report is not None)


def parse_fees(body: bytes) -> FeeRates:
    """`userFees` answer: what this account pays on perpetuals."""
    with reading("fees", body):
        wire = _read_fees.decode(body)
        maker, taker = exact(wire.userAddRate), exact(wire.userCrossRate)
        if max(abs(maker), abs(taker)) > FEE_RATE_MAX:
            raise ValueError(f"fees of {maker} and {taker}")
        return FeeRates(maker, taker)


def parse_abstraction(body: bytes) -> str:
    """`userAbstraction` answer: "default", "disabled", "unifiedAccount" or "portfolioMargin"."""
    with reading("account abstraction", body):
        return _read_text.decode(body)


def parse_account(body: bytes, now_ms: int) -> AccountState:
    """`clearinghouseState` answer. Its equity is the account's only in standard mode: see `with_unified_collateral`."""
    with reading("account", body):
        wire = _read_clearinghouse.decode(body)
        positions: dict[str, VenuePosition] = {}
        for row in wire.assetPositions:
            contract = contract_of(row.position.coin)
            position = None if contract is None else _position(contract, row.position)
            if position is None:
                continue
            if position.asset in positions:
                raise ValueError(f"two positions in {position.asset}")
            positions[position.asset] = position
        at_ms = now_ms if wire.time is None else checked_time_ms(wire.time)
        return AccountState(exact(wire.marginSummary.accountValue), exact(wire.withdrawable), positions, at_ms)


def _position(contract: Contract, wire: _Position) -> VenuePosition | None:
    size = contract.size(wire.szi)
    if size == 0:
        return None
    entry = None if wire.entryPx is None else contract.price(wire.entryPx)
    mark = exact_positive(wire.positionValue) / abs(size)
    return VenuePosition(contract.asset, size, entry, mark, exact(wire.unrealizedPnl))


def with_unified_collateral(state: AccountState, body: bytes) -> AccountState:
    """`state` with equity and free margin from the spot ledger (`spotClearinghouseState`).

    In unified and portfolio-margin accounts collateral lives there and the perpetual summary is not the account's
    equity: one measured account showed 25.93 in it and held 977.58. Whether the ledger's total contains unrealised
    profit is not documented; it is taken as the equity as it stands.
    """
    with reading("spot balances", body):
        balances = [row for row in _read_spot_state.decode(body).balances if row.coin == "USDC"]
        total = sum((exact(row.total) for row in balances), ZERO)
        hold = sum((exact(row.hold) for row in balances), ZERO)
    return AccountState(total, max(total - hold, ZERO), state.positions, state.at_ms)
