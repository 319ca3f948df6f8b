"""Alembic migrations, shipped inside the package and run through its API: no ini file, no command of its own.

Revisions are in `versions/`; each spells its tables out, so that an old revision stays what it was when `store.tables` moves on.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.sql import text

from perpdesk.store.engine import describe, make_engine
from perpdesk.store.failures import StoreError, StoreOutdated
from perpdesk.store.schema import in_transaction, stored_revision

_UPGRADE_LOCK = 0x7065_7270_6462
"""PostgreSQL advisory lock held while tables are made or changed."""


def upgrade(url: str) -> None:
    """Bring the store at `url` to `head_revision`; harmless when it is there, also while another process does the same.

    Raises:
        StoreOutdated: The store was written by a later version of this program.
        StoreUnavailable: The store can not be opened or written.
    """
    engine = make_engine(url)
    try:
        upgrade_engine(engine)
    finally:
        engine.dispose()


def current_revision(url: str) -> str | None:
    """Revision of the store at `url`, None when it has no tables yet. StoreUnavailable when it can not be opened."""
    engine = make_engine(url)
    try:
        return in_transaction(engine, stored_revision, is_read=True)
    finally:
        engine.dispose()


def head_revision() -> str:
    """Revision this program needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise StoreError("this installation lacks its store migrations; install perpdesk again")
    return head


def upgrade_engine(engine: Engine) -> None:
    """As `upgrade`, on an engine that is there already."""
    in_transaction(engine, _upgrade)


def _upgrade(connection: Connection) -> None:
    """One transaction, so that a killed upgrade leaves nothing half made and a second process waits for the first."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    config = _config()
    found = stored_revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        store = describe(connection.engine.url)
        raise StoreOutdated(f"{store} was written by a later version (revision {found}); install a newer perpdesk")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
