"""Fills and funding payments as rows: what moved the money. A repeated report of the same one is found by its key.

The key is the venue's id within an *era*. An era ends when the venues themselves begin anew: a new sandbox counts its trades from
the start again, so without eras its fills would be taken for duplicates of the last one's. On real venues it is always 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.engine import Connection, Row

from perpdesk.domain.assets import VenueName
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill
from perpdesk.store.inserts import Insert, insert_unless_known
from perpdesk.store.tables import fills, funding_payments
from perpdesk.store.types import safe_text

T = TypeVar("T", Fill, FundingPayment)

Key = tuple[VenueName, str, str]


class CashTable(Generic[T]):
    """One table of records that carry a venue's own id.

    Args:
        kind: The domain type; each of its fields is a column.
        id_name: Its field with the venue's id.
    """

    def __init__(self, table: Table, kind: type[T], id_name: str) -> None:
        self._kind: Callable[..., T] = kind
        self._id_name = id_name
        self._fields = tuple(field.name for field in fields(kind))
        c = table.c
        key = (c.venue, c.asset, c[id_name])
        self._insert: Mapping[str, Insert] = insert_unless_known(table)
        self._returning = {name: statement.returning(*key) for name, statement in self._insert.items()}
        self._adopt = update(table).where(
            c.era == bindparam("era_"), *(column == bindparam(f"{column.name}_") for column in key), c.pair_id.is_(None)
        )
        columns = tuple(c[name] for name in self._fields)
        order = (c.at_ms, c.venue, c[id_name])
        self._of_pair = select(*columns).where(c.pair_id == bindparam("pair")).order_by(*order)
        self._since = (
            select(*columns, c.pair_id)
            .where(c.era == bindparam("era_"), c.at_ms >= bindparam("since"))
            .order_by(*order)
        )
        self._latest = select(c.venue, func.max(c.at_ms)).where(c.era == bindparam("era_")).group_by(c.venue)

    def insert(
        self, connection: Connection, era: int, items: Sequence[tuple[T, int | None]]
    ) -> list[tuple[T, int | None]]:
        """Write (record, pair id) entries and return those that were new; a known one that had no pair gets this one."""
        if not items:
            return []
        rows = [self._row(era, record, pair_id) for record, pair_id in items]
        statement = self._returning[connection.dialect.name]
        stored: set[Key] = {(venue, asset, own_id) for venue, asset, own_id in connection.execute(statement, rows)}
        new, known = [], []
        for item in items:
            key = self._key(item[0])
            if key in stored:
                stored.remove(key)
                new.append(item)
            elif item[1] is not None:
                known.append(self._adoption(era, key, item[1]))
        if known:
            connection.execute(self._adopt, known)
        return new

    def of_pair(self, connection: Connection, pair_id: int) -> list[T]:
        """Records of a pair, oldest first."""
        return [self._record(row) for row in connection.execute(self._of_pair, {"pair": pair_id})]

    def since(self, connection: Connection, era: int, since_ms: int) -> list[tuple[T, int | None]]:
        """(record, pair id) of every venue at or after `since_ms`, oldest first."""
        found = connection.execute(self._since, {"era_": era, "since": since_ms})
        return [(self._record(row[:-1]), row[-1]) for row in found]

    def latest_ms(self, connection: Connection, era: int) -> dict[VenueName, int]:
        """Time of the newest record by venue; a venue without any is missing."""
        return {row[0]: row[1] for row in connection.execute(self._latest, {"era_": era})}

    def _row(self, era: int, record: T, pair_id: int | None) -> dict[str, Any]:
        row = {name: getattr(record, name) for name in self._fields}
        row["era"], row["pair_id"] = era, pair_id
        return row

    def _key(self, record: T) -> Key:
        return VenueName(record.venue), safe_text(record.asset), safe_text(getattr(record, self._id_name))

    def _adoption(self, era: int, key: Key, pair_id: int) -> dict[str, Any]:
        venue, asset, own_id = key
        return {"era_": era, "venue_": venue, "asset_": asset, f"{self._id_name}_": own_id, "pair_id": pair_id}

    def _record(self, row: "Row[Any] | Sequence[Any]") -> T:
        return self._kind(*row)


FILLS = CashTable(fills, Fill, "trade_id")
PAYMENTS = CashTable(funding_payments, FundingPayment, "payment_id")
