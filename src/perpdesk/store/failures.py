"""What can go wrong with a store, and how to tell a failing database from a failing piece of work."""

import sqlite3
from enum import StrEnum

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError


class StoreError(Exception):
    """Base of what the store raises; each message is a plain sentence."""


class StoreUnavailable(StoreError):
    """Nothing was written: the database is locked, full, read-only, gone, or the store is closed."""


class StoreOutdated(StoreError):
    """The store's schema is not the one this program knows."""


class StoreBusy(StoreError):
    """Another desk holds the store."""


class Ailment(StrEnum):
    """What a database suffers from, worded to complete 'the store can not be used: ...'."""

    LOCKED = "another process keeps it locked; stop that process or try again"
    UNREACHABLE = "the database does not answer; check that it runs and can be reached"
    FULL = "the disk is full; free some space"
    READ_ONLY = "it can only be read; make the file and its folder writable"
    NOT_OPENED = "it can not be opened; check that the folder exists and may be written"
    REFUSED = "the database refuses the login; check user, password and database name"
    BROKEN = "reading or writing the disk failed; check the disk and restore the store from a backup"

    @property
    def may_pass(self) -> bool:
        """Trying again soon can help."""
        return self in (Ailment.LOCKED, Ailment.UNREACHABLE)


# Primary result codes, https://www.sqlite.org/rescode.html
_SQLITE_AILMENTS = {
    sqlite3.SQLITE_BUSY: Ailment.LOCKED,
    sqlite3.SQLITE_LOCKED: Ailment.LOCKED,
    sqlite3.SQLITE_FULL: Ailment.FULL,
    sqlite3.SQLITE_READONLY: Ailment.READ_ONLY,
    sqlite3.SQLITE_PERM: Ailment.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: Ailment.NOT_OPENED,
    sqlite3.SQLITE_IOERR: Ailment.BROKEN,
    sqlite3.SQLITE_CORRUPT: Ailment.BROKEN,
    sqlite3.SQLITE_NOTADB: Ailment.BROKEN,
}

# SQLSTATE codes and classes, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_AILMENTS = {
    "08": Ailment.UNREACHABLE,
    "28": Ailment.REFUSED,
    "3D": Ailment.REFUSED,
    "40": Ailment.LOCKED,
    "57P": Ailment.UNREACHABLE,
    "58": Ailment.BROKEN,
    "XX": Ailment.BROKEN,
    "25006": Ailment.READ_ONLY,
    "42501": Ailment.READ_ONLY,
    "53100": Ailment.FULL,
    "53300": Ailment.UNREACHABLE,
    "55P03": Ailment.LOCKED,
}


def ailment_of(error: BaseException) -> Ailment | None:
    """What the database suffers from, None when `error` is the fault of the work itself."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _SQLITE_AILMENTS.get((getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Ailment.UNREACHABLE
    if (code := _sqlstate(cause)) is not None:
        return next((_POSTGRES_AILMENTS[code[:n]] for n in (5, 3, 2) if code[:n] in _POSTGRES_AILMENTS), None)
    if isinstance(error, InterfaceError | OperationalError) or isinstance(cause, ConnectionError | TimeoutError):
        return Ailment.UNREACHABLE  # pg8000 has no code for a connection it lost or could not make
    return None


def _sqlstate(cause: BaseException | None) -> str | None:
    """pg8000 hands the server's answer on as one dict, with the code under "C"."""
    answer = cause.args[0] if cause is not None and cause.args else None
    code = answer.get("C") if isinstance(answer, dict) else None
    return code if isinstance(code, str) else None
