"""Runs pieces of work on one connection, many per transaction, and tries again while the database's trouble may pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.sql import text

from perpdesk.store.engine import describe, is_in_memory, only_reads
from perpdesk.store.failures import Ailment, StoreUnavailable, ailment_of

log = structlog.get_logger(__name__)

Work = Callable[[Connection], Any]
"""A piece of work. It may be run again when a transaction is repeated, so it must change nothing but the database."""

RETRY_DELAYS_MS = (20, 50, 100, 250, 500, 1_000)
"""Waits between the tries of a transaction; after the last one the store is unavailable."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one piece of work came to: `error` is None when `value` was committed."""

    value: Any = None
    error: BaseException | None = None


class _CommitUnanswered(Exception):
    """The connection died during COMMIT: the server knows whether transaction `xid` happened, we do not yet."""

    def __init__(self, xid: int, outcomes: list[Outcome]) -> None:
        super().__init__(f"commit of transaction {xid} was not answered")
        self.xid = xid
        self.outcomes = outcomes


class Transactor:
    """One connection to the store and the tries it makes.

    Args:
        pause: Waits that many milliseconds between tries; blocks the thread the transactor lives on.
        delays_ms: One per repetition, so () never repeats.
        is_read: Never writes, and does not wait for the write lock.
    """

    def __init__(
        self, engine: Engine, *, pause: Callable[[int], None], delays_ms: Sequence[int], is_read: bool = False
    ) -> None:
        self._engine = engine
        self._pause = pause
        self._delays_ms = tuple(delays_ms)
        self._is_read = is_read
        self._is_postgres = engine.dialect.name == "postgresql"
        self._connection: Connection | None = None
        self._unanswered: _CommitUnanswered | None = None

    def execute(self, works: Sequence[Work]) -> list[Outcome]:
        """Commit `works` together and say what each came to; one that raises is undone alone.

        Raises:
            StoreUnavailable: The database failed and none of it was written, or the answer to the commit is lost for good.
        """
        self._unanswered = None
        for delay_ms in (*self._delays_ms, None):
            try:
                return self._attempt(works)
            except _CommitUnanswered as unanswered:
                self._unanswered = unanswered
                ailment, error = Ailment.UNREACHABLE, unanswered.__cause__
            except (SQLAlchemyError, OSError, _driver_error(self._engine)) as failure:
                found = ailment_of(failure)
                if found is None:
                    self._drop_connection()
                    raise
                ailment, error = found, failure
            self._drop_connection()
            if delay_ms is None or not ailment.may_pass:
                break
            log.warning("store_retry", ailment=ailment.name.lower(), delay_ms=delay_ms)
            self._pause(delay_ms)
        raise self._given_up(ailment) from error

    def close(self) -> None:
        """Give the connection back; one that is lost already is only forgotten."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        try:
            connection.close()
        except (SQLAlchemyError, OSError, _driver_error(self._engine)) as error:
            log.warning("store_connection_not_closed", error=type(error).__name__)

    def _attempt(self, works: Sequence[Work]) -> list[Outcome]:
        connection = self._connect()
        if self._unanswered is not None:
            done = self._settle(connection, self._unanswered)
            self._unanswered = None
            if done is not None:
                return done
        transaction = connection.begin()
        try:
            if len(works) == 1:
                value = works[0](connection)
                outcomes = [Outcome(value)]
            else:
                outcomes = [_run_in_savepoint(connection, work) for work in works]
        except Exception as error:
            if ailment_of(error) is not None:
                raise  # the connection is dropped, and the transaction with it
            transaction.rollback()
            return [Outcome(error=error)]
        except BaseException:
            transaction.rollback()
            raise
        if self._is_read:
            transaction.rollback()
        elif self._is_postgres:
            self._commit_named(connection, outcomes)
        else:
            transaction.commit()
        return outcomes

    def _commit_named(self, connection: Connection, outcomes: list[Outcome]) -> None:
        """Commit on a server that may die before it answers; its transaction id then tells what became of it."""
        xid = connection.execute(_XID).scalar()
        try:
            connection.commit()
        except DBAPIError as error:
            if xid is not None and ailment_of(error) is Ailment.UNREACHABLE:
                raise _CommitUnanswered(int(xid), outcomes) from error
            raise

    def _settle(self, connection: Connection, unanswered: _CommitUnanswered) -> list[Outcome] | None:
        """Ask what became of an unanswered commit: its outcomes when it happened, None when it must be repeated."""
        with connection.begin():
            status = connection.execute(_XID_STATUS, {"xid": unanswered.xid}).scalar()
        log.warning("store_commit_settled", xid=unanswered.xid, status=status)
        if status == "committed":
            return unanswered.outcomes
        if status == "aborted":
            return None
        raise _CommitUnanswered(unanswered.xid, unanswered.outcomes)

    def _connect(self) -> Connection:
        if self._connection is None:
            connection = self._engine.connect()
            self._connection = only_reads(connection) if self._is_read else connection
        return self._connection

    def _drop_connection(self) -> None:
        """Start over on a new connection; in memory the connection is the database, so it is only rolled back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if is_in_memory(self._engine.url):
                connection.rollback()
            else:
                connection.invalidate()
        except (SQLAlchemyError, OSError, _driver_error(self._engine)) as error:
            log.warning("store_connection_not_dropped", error=type(error).__name__)
        self._give_back(connection)

    def _given_up(self, ailment: Ailment) -> StoreUnavailable:
        self._unanswered, lost = None, self._unanswered
        message = f"{describe(self._engine.url)} can not be used: {ailment.value}"
        if lost is not None:
            message += "; whether its last write is kept is not known"
        return StoreUnavailable(message)


def _driver_error(engine: Engine) -> type[Exception]:
    """Errors the driver raises before SQLAlchemy can wrap them, while a new connection is prepared."""
    error: type[Exception] = engine.dialect.loaded_dbapi.Error
    return error


def _run_in_savepoint(connection: Connection, work: Work) -> Outcome:
    savepoint = connection.begin_nested()
    try:
        value = work(connection)
    except Exception as error:
        if ailment_of(error) is not None:
            raise
        savepoint.rollback()
        return Outcome(error=error)
    savepoint.commit()
    return Outcome(value)


_XID = text("SELECT txid_current_if_assigned()")
_XID_STATUS = text("SELECT txid_status(:xid)")
