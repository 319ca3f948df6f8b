"""First schema: runs, pairs, orders, fills, funding payments, opportunities, events, commands.

Decimals, enumerations and JSON documents are text columns; `perpdesk.store.types` says why.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text()
_MS = sa.BigInteger()


def upgrade() -> None:
    """Make every table of the first version."""
    op.create_table("meta", _need("key", _TEXT), _need("value", _TEXT), sa.PrimaryKeyConstraint("key", name="pk_meta"))
    _create_runs()
    _create_pairs()
    _create_orders()
    _create_fills()
    _create_funding_payments()
    _create_opportunities()
    _create_events()
    _create_commands()


def downgrade() -> None:
    """Drop everything."""
    for table in "commands events opportunities funding_payments fills orders pairs runs meta".split():
        op.drop_table(table)


def _create_runs() -> None:
    op.create_table(
        "runs",
        _number("run_id"),
        _need("world", _TEXT),
        _may("seed", sa.BigInteger()),
        _need("pid", sa.Integer()),
        _need("started_at_ms", _MS),
        _may("ended_at_ms", _MS),
        _may("summary", _TEXT),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
        sqlite_autoincrement=True,
    )


def _create_pairs() -> None:
    op.create_table(
        "pairs",
        _number("pair_id"),
        _need("run_id", _NUMBER),
        *(_need(name, _TEXT) for name in "asset long_venue short_venue first_leg entry_style".split()),
        *(_need(name, _TEXT) for name in "size_target notional_usd".split()),
        _need("edge_bps_per_hour", sa.Double()),
        _need("state", _TEXT),
        _need("decided_at_ms", _MS),
        *(_may(name, _MS) for name in "opened_at_ms closing_at_ms closed_at_ms".split()),
        _may("exit_reason", _TEXT),
        *(_need(name, _MS) for name in "naked_ms naked_ms_max".split()),
        _need("naked_usd_ms", _TEXT),
        *(_may(name, _TEXT) for name in "size_closed price_usd funding_usd fees_usd slippage_usd".split()),
        sa.PrimaryKeyConstraint("pair_id", name="pk_pairs"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_pairs_run_id"),
        sqlite_autoincrement=True,
    )
    _index("pairs", "state")
    _index("pairs", "decided_at_ms")


def _create_orders() -> None:
    op.create_table(
        "orders",
        _need("client_id", sa.BigInteger()),
        *(_need(name, _TEXT) for name in "venue asset side size limit_price time_in_force".split()),
        _need("is_reduce_only", sa.Boolean()),
        _need("expires_at_ms", _MS),
        _need("pair_id", _NUMBER),
        *(_need(name, _TEXT) for name in "leg purpose decision_mid".split()),
        _need("journalled_at_ms", _MS),
        *(_need(name, _TEXT) for name in "state filled_reported reason".split()),
        _may("cancel_requested_at_ms", _MS),
        _need("updated_at_ms", _MS),
        sa.PrimaryKeyConstraint("client_id", name="pk_orders"),
        sa.ForeignKeyConstraint(["pair_id"], ["pairs.pair_id"], name="fk_orders_pair_id"),
    )
    _index("orders", "pair_id")
    _index("orders", "state")


def _create_fills() -> None:
    op.create_table(
        "fills",
        _need("era", sa.Integer()),
        *(_need(name, _TEXT) for name in "venue asset trade_id".split()),
        _may("client_id", sa.BigInteger()),
        *(_need(name, _TEXT) for name in "side size price fee_usd".split()),
        _need("is_maker", sa.Boolean()),
        _need("at_ms", _MS),
        _may("pair_id", _NUMBER),
        sa.PrimaryKeyConstraint("era", "venue", "asset", "trade_id", name="pk_fills"),
        sa.ForeignKeyConstraint(["pair_id"], ["pairs.pair_id"], name="fk_fills_pair_id"),
    )
    _index("fills", "pair_id")
    _index("fills", "venue", "at_ms")


def _create_funding_payments() -> None:
    op.create_table(
        "funding_payments",
        _need("era", sa.Integer()),
        *(_need(name, _TEXT) for name in "venue asset payment_id usd".split()),
        _may("size", _TEXT),
        _need("at_ms", _MS),
        _may("pair_id", _NUMBER),
        sa.PrimaryKeyConstraint("era", "venue", "asset", "payment_id", name="pk_funding_payments"),
        sa.ForeignKeyConstraint(["pair_id"], ["pairs.pair_id"], name="fk_funding_payments_pair_id"),
    )
    _index("funding_payments", "pair_id")
    _index("funding_payments", "venue", "at_ms")


def _create_opportunities() -> None:
    op.create_table(
        "opportunities",
        _number("seq"),
        _may("run_id", _NUMBER),
        _need("at_ms", _MS),
        *(_need(name, _TEXT) for name in "asset long_venue short_venue document".split()),
        sa.PrimaryKeyConstraint("seq", name="pk_opportunities"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_opportunities_run_id"),
    )
    _index("opportunities", "at_ms")


def _create_events() -> None:
    op.create_table(
        "events",
        _number("seq"),
        _may("run_id", _NUMBER),
        _need("at_ms", _MS),
        *(_need(name, _TEXT) for name in "kind document".split()),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_events_run_id"),
        sqlite_autoincrement=True,
    )
    _index("events", "run_id", "kind")


def _create_commands() -> None:
    op.create_table(
        "commands",
        _number("command_id"),
        _need("kind", _TEXT),
        _may("argument", _TEXT),
        _need("state", _TEXT),
        _may("result", _TEXT),
        _need("created_at_ms", _MS),
        _may("done_at_ms", _MS),
        sa.PrimaryKeyConstraint("command_id", name="pk_commands"),
        sqlite_autoincrement=True,
    )
    _index("commands", "state")


def _number(name: str) -> sa.Column[Any]:
    """A key the database numbers itself."""
    return sa.Column(name, _NUMBER, nullable=False, autoincrement=True)


def _need(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, autoincrement=False)


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
