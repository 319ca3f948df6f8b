"""Pairs as rows. Every function works on a connection inside a transaction; `Journal` and `Store.run` provide one."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Connection

from perpdesk.domain.pairs import Pair, PairState
from perpdesk.store.failures import StoreError
from perpdesk.store.ids import PAIR_ID_MAX
from perpdesk.store.inserts import new_key
from perpdesk.store.tables import pairs

_FIELDS = tuple(field.name for field in fields(Pair))
_COLUMNS = tuple(pairs.c[name] for name in _FIELDS)
_ALIVE = tuple(state for state in PairState if not state.is_ended)

_INSERT = insert(pairs)
_UPDATE = update(pairs).where(pairs.c.pair_id == bindparam("key"))
_ONE = select(*_COLUMNS).where(pairs.c.pair_id == bindparam("key"))
_OPEN = select(*_COLUMNS).where(pairs.c.state.in_(_ALIVE)).order_by(pairs.c.pair_id)
_ABANDON = (
    update(pairs)
    .where(pairs.c.state.in_(_ALIVE))
    .values(state=PairState.ABANDONED, exit_reason=bindparam("reason"), closed_at_ms=bindparam("at"))
)


def insert_pair(connection: Connection, pair: Pair) -> Pair:
    """Write a new pair and return it with the id it was given; its own `pair_id` is ignored.

    StoreError once a store has used up the 20 bits a client order id has for pairs.
    """
    row = _row(pair)
    del row["pair_id"]
    pair_id = new_key(connection.execute(_INSERT, row))
    if pair_id > PAIR_ID_MAX:
        raise StoreError(f"this store has used all {PAIR_ID_MAX} pair ids; start a new store")
    return replace(pair, pair_id=pair_id)


def update_pair(connection: Connection, pair: Pair) -> None:
    """Overwrite a pair; StoreError when it was never added."""
    row = _row(pair)
    row["key"] = row.pop("pair_id")
    if connection.execute(_UPDATE, row).rowcount == 0:
        raise StoreError(f"pair {pair.pair_id} is not in the store; add it first")


def select_pair(connection: Connection, pair_id: int) -> Pair | None:
    """One pair, None when there is none with this id."""
    row = connection.execute(_ONE, {"key": pair_id}).first()
    return None if row is None else _pair(row)


def select_open_pairs(connection: Connection) -> list[Pair]:
    """Pairs that have not ended, oldest first."""
    return [_pair(row) for row in connection.execute(_OPEN)]


def select_pairs(
    connection: Connection, limit: int, since_ms: int | None = None, run_id: int | None = None
) -> list[Pair]:
    """The latest `limit` pairs, newest first, decided at or after `since_ms`, of one run or all."""
    query = select(*_COLUMNS).order_by(pairs.c.decided_at_ms.desc(), pairs.c.pair_id.desc()).limit(limit)
    if since_ms is not None:
        query = query.where(pairs.c.decided_at_ms >= since_ms)
    if run_id is not None:
        query = query.where(pairs.c.run_id == run_id)
    return [_pair(row) for row in connection.execute(query)]


def abandon_pairs(connection: Connection, reason: str, at_ms: int) -> int:
    """End every pair that is alive as ABANDONED; returns how many."""
    return connection.execute(_ABANDON, {"reason": reason, "at": at_ms}).rowcount


def _row(pair: Pair) -> dict[str, Any]:
    return {name: getattr(pair, name) for name in _FIELDS}


def _pair(row: Sequence[Any]) -> Pair:
    return Pair(*row)
