"""The desk's memory: tables, migrations, one durable writer, the journal over it, and the lock against a second desk.

`Store` commits work, `Journal` knows what is worth keeping, `DeskLock` guards the store. Everything is synchronous
SQLAlchemy Core behind one writer, so that the same code runs on a thread in the real worlds and inline in virtual time.
"""

from perpdesk.store.failures import StoreBusy, StoreError, StoreOutdated, StoreUnavailable
from perpdesk.store.ids import ClientIdParts, client_id, split_client_id
from perpdesk.store.journal import Journal
from perpdesk.store.lock import DeskLock
from perpdesk.store.orders import DuplicateOrder, OrderNotJournalled
from perpdesk.store.writer import Store

__all__ = [
    "ClientIdParts",
    "DeskLock",
    "DuplicateOrder",
    "Journal",
    "OrderNotJournalled",
    "Store",
    "StoreBusy",
    "StoreError",
    "StoreOutdated",
    "StoreUnavailable",
    "client_id",
    "split_client_id",
]
