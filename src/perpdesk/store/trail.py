"""What tells the story of a run: runs, the audit trail, sampled opportunities, and facts about the store itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Connection

from perpdesk.domain.assets import VenueName
from perpdesk.store.bulk import BulkInsert
from perpdesk.store.failures import StoreError
from perpdesk.store.inserts import insert_unless_known, new_key
from perpdesk.store.tables import events, meta, opportunities, runs

Json = dict[str, Any]
"""A JSON object; Decimals in it are stored as strings."""


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a desk.

    Attributes:
        seed: What chance was drawn from, None where it was not seeded.
        ended_at_ms: None while it runs, and for ever when it was killed.
        summary: What it said of itself at the end.
    """

    run_id: int
    world: str
    seed: int | None
    pid: int
    started_at_ms: int
    ended_at_ms: int | None
    summary: Json | None


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the audit trail, numbered over the whole store."""

    seq: int
    run_id: int | None
    at_ms: int
    kind: str
    document: Json


@dataclass(frozen=True, slots=True)
class Opportunity:
    """One sampled row of the scan; `document` holds its numbers and why it was refused."""

    at_ms: int
    asset: str
    long_venue: VenueName
    short_venue: VenueName
    document: Json


_INSERT_RUN = insert(runs)
_END_RUN = update(runs).where(runs.c.run_id == bindparam("key"))
_ONE_RUN = select(runs).where(runs.c.run_id == bindparam("key"))
_INSERT_EVENTS = BulkInsert(events, ("run_id", "at_ms", "kind", "document"))
_INSERT_OPPORTUNITIES = BulkInsert(opportunities, ("run_id", "at_ms", "asset", "long_venue", "short_venue", "document"))
_GET_META = select(meta.c.value).where(meta.c.key == bindparam("name"))
_ADD_META = insert_unless_known(meta)
_SET_META = update(meta).where(meta.c.key == bindparam("name"))


def insert_run(connection: Connection, world: str, seed: int | None, pid: int, at_ms: int) -> int:
    """Begin a run; returns its id."""
    row = {"world": world, "seed": seed, "pid": pid, "started_at_ms": at_ms}
    return new_key(connection.execute(_INSERT_RUN, row))


def end_run(connection: Connection, run_id: int, summary: Json, at_ms: int) -> None:
    """Note a run's end; StoreError for a run that was never begun."""
    row = {"key": run_id, "summary": summary, "ended_at_ms": at_ms}
    if connection.execute(_END_RUN, row).rowcount == 0:
        raise StoreError(f"run {run_id} is not in the store; begin it first")


def select_run(connection: Connection, run_id: int) -> Run | None:
    """One run, None when there is none with this id."""
    row = connection.execute(_ONE_RUN, {"key": run_id}).first()
    return None if row is None else Run(*row)


def select_runs(connection: Connection, limit: int) -> list[Run]:
    """The latest runs, newest first."""
    return [Run(*row) for row in connection.execute(select(runs).order_by(runs.c.run_id.desc()).limit(limit))]


def insert_events(connection: Connection, run_id: int | None, entries: Sequence[tuple[int, str, Json]]) -> None:
    """Append (at_ms, kind, document) entries to the trail, in their order."""
    _INSERT_EVENTS.run(connection, [(run_id, *entry) for entry in entries])


def select_events(
    connection: Connection, limit: int, after_seq: int = 0, run_id: int | None = None, kind: str | None = None
) -> list[Event]:
    """The first `limit` entries after `after_seq`, oldest first, of one run or all, of one kind or all."""
    query = select(events).where(events.c.seq > after_seq).order_by(events.c.seq).limit(limit)
    if run_id is not None:
        query = query.where(events.c.run_id == run_id)
    if kind is not None:
        query = query.where(events.c.kind == kind)
    return [Event(*row) for row in connection.execute(query)]


def insert_opportunities(connection: Connection, run_id: int | None, samples: Sequence[Opportunity]) -> None:
    """Keep sampled scan rows."""
    rows = [(run_id, s.at_ms, s.asset, s.long_venue, s.short_venue, s.document) for s in samples]
    _INSERT_OPPORTUNITIES.run(connection, rows)


def select_opportunities(connection: Connection, limit: int, since_ms: int = 0) -> list[Opportunity]:
    """The first `limit` samples at or after `since_ms`, oldest first."""
    c = opportunities.c
    query = select(c.at_ms, c.asset, c.long_venue, c.short_venue, c.document).where(c.at_ms >= since_ms)
    return [Opportunity(*row) for row in connection.execute(query.order_by(c.at_ms, c.seq).limit(limit))]


def get_meta(connection: Connection, name: str) -> str | None:
    """A fact about the store, None when it was never set."""
    value: str | None = connection.execute(_GET_META, {"name": name}).scalar()
    return value


def add_meta(connection: Connection, name: str, value: str) -> str:
    """Set a fact unless it is set; returns what holds."""
    connection.execute(_ADD_META[connection.dialect.name], {"key": name, "value": value})
    held = get_meta(connection, name)
    assert held is not None
    return held


def set_meta(connection: Connection, name: str, value: str) -> None:
    """Set a fact, new or known."""
    if connection.execute(_SET_META, {"name": name, "value": value}).rowcount == 0:
        add_meta(connection, name, value)
