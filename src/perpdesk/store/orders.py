"""Orders as rows: written before they are sent, changed as their venue is heard."""

from dataclasses import fields
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Connection, Row

from perpdesk.domain.orders import OrderIntent
from perpdesk.domain.pairs import OrderRecord, OrderState
from perpdesk.store.failures import StoreError
from perpdesk.store.inserts import insert_unless_known
from perpdesk.store.tables import orders

_INTENT_FIELDS = tuple(field.name for field in fields(OrderIntent))
_RECORD_FIELDS = tuple(field.name for field in fields(OrderRecord) if field.name != "intent")
_COLUMNS = tuple(orders.c[name] for name in (*_INTENT_FIELDS, *_RECORD_FIELDS))
_UNSETTLED = tuple(state for state in OrderState if state is not OrderState.FINAL)

_INSERT = insert_unless_known(orders)
_UPDATE = update(orders).where(orders.c.client_id == bindparam("key"))
_ONE = select(*_COLUMNS).where(orders.c.client_id == bindparam("key"))
_OF_PAIR = select(*_COLUMNS).where(orders.c.pair_id == bindparam("pair")).order_by(orders.c.client_id)
_OPEN = select(*_COLUMNS).where(orders.c.state.in_(_UNSETTLED)).order_by(orders.c.client_id)


class DuplicateOrder(StoreError):
    """An order with this client id was journalled before; it must not be sent."""


class OrderNotJournalled(StoreError):
    """A change to an order the journal does not hold."""


def insert_order(connection: Connection, record: OrderRecord, at_ms: int) -> None:
    """Write an order down; DuplicateOrder, and nothing written, when its client id was used before."""
    intent = record.intent
    row = {name: getattr(intent, name) for name in _INTENT_FIELDS}
    row |= {name: getattr(record, name) for name in _RECORD_FIELDS}
    row["updated_at_ms"] = at_ms
    if connection.execute(_INSERT[connection.dialect.name], row).rowcount == 0:
        raise DuplicateOrder(f"client order id {intent.client_id} was journalled before; give the order a new one")


def update_order(connection: Connection, record: OrderRecord, at_ms: int) -> None:
    """Overwrite what can change of an order: state, filled_reported, reason, cancel_requested_at_ms."""
    row = {
        "key": record.intent.client_id,
        "state": record.state,
        "filled_reported": record.filled_reported,
        "reason": record.reason,
        "cancel_requested_at_ms": record.cancel_requested_at_ms,
        "updated_at_ms": at_ms,
    }
    if connection.execute(_UPDATE, row).rowcount == 0:
        raise OrderNotJournalled(f"order {record.intent.client_id} is not in the journal; record its intent first")


def select_order(connection: Connection, client_id: int) -> OrderRecord | None:
    """One order, None when the journal does not hold it."""
    row = connection.execute(_ONE, {"key": client_id}).first()
    return None if row is None else _record(row)


def select_orders(connection: Connection, pair_id: int) -> list[OrderRecord]:
    """Orders of a pair in the order of their client ids."""
    return [_record(row) for row in connection.execute(_OF_PAIR, {"pair": pair_id})]


def select_unsettled_orders(connection: Connection) -> list[OrderRecord]:
    """Orders that are not final, of every pair, by client id."""
    return [_record(row) for row in connection.execute(_OPEN)]


def _record(row: Row[Any]) -> OrderRecord:
    split = len(_INTENT_FIELDS)
    return OrderRecord(OrderIntent(*row[:split]), *row[split:])
