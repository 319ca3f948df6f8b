"""The schema, one for SQLite and PostgreSQL. What ships it to a database is `migrations/`; a test holds the two equal.

Columns of `pairs`, `orders`, `fills` and `funding_payments` carry the names of the domain's fields. Money, prices and sizes are
exact text (`types.ExactDecimal`); times are Unix milliseconds.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, Table, Text

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.pairs import EntryStyle, Leg, OrderState, PairState, Purpose
from perpdesk.store.types import Document, EnumText, ExactDecimal, Milliseconds, RowNumber, SafeText

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
"""Facts about the store itself: `salt` of client ids, `era` of fills, `desk` that holds the lock (PostgreSQL)."""

runs = Table(
    "runs",
    metadata,
    Column("run_id", RowNumber, primary_key=True),
    Column("world", Text, nullable=False),
    Column("seed", BigInteger),
    Column("pid", Integer, nullable=False),
    Column("started_at_ms", Milliseconds, nullable=False),
    Column("ended_at_ms", Milliseconds),
    Column("summary", Document),
    sqlite_autoincrement=True,
)
"""One row per start of a desk; `ended_at_ms` stays empty when it was killed."""

pairs = Table(
    "pairs",
    metadata,
    Column("pair_id", RowNumber, primary_key=True),
    Column("run_id", RowNumber, ForeignKey("runs.run_id"), nullable=False),
    Column("asset", SafeText, nullable=False),
    Column("long_venue", EnumText(VenueName), nullable=False),
    Column("short_venue", EnumText(VenueName), nullable=False),
    Column("first_leg", EnumText(Leg), nullable=False),
    Column("entry_style", EnumText(EntryStyle), nullable=False),
    Column("size_target", ExactDecimal, nullable=False),
    Column("notional_usd", ExactDecimal, nullable=False),
    Column("edge_bps_per_hour", Double, nullable=False),
    Column("state", EnumText(PairState), nullable=False),
    Column("decided_at_ms", Milliseconds, nullable=False),
    Column("opened_at_ms", Milliseconds),
    Column("closing_at_ms", Milliseconds),
    Column("closed_at_ms", Milliseconds),
    Column("exit_reason", SafeText),
    Column("naked_ms", Milliseconds, nullable=False),
    Column("naked_ms_max", Milliseconds, nullable=False),
    Column("naked_usd_ms", ExactDecimal, nullable=False),
    Column("size_closed", ExactDecimal),
    Column("price_usd", ExactDecimal),
    Column("funding_usd", ExactDecimal),
    Column("fees_usd", ExactDecimal),
    Column("slippage_usd", ExactDecimal),
    Index(None, "state"),
    Index(None, "decided_at_ms"),
    sqlite_autoincrement=True,
)
"""Every pair the desk decided on. Ids are never used twice: client order ids are made from them."""

orders = Table(
    "orders",
    metadata,
    Column("client_id", BigInteger, primary_key=True, autoincrement=False),
    Column("venue", EnumText(VenueName), nullable=False),
    Column("asset", SafeText, nullable=False),
    Column("side", EnumText(Side), nullable=False),
    Column("size", ExactDecimal, nullable=False),
    Column("limit_price", ExactDecimal, nullable=False),
    Column("time_in_force", EnumText(TimeInForce), nullable=False),
    Column("is_reduce_only", Boolean, nullable=False),
    Column("expires_at_ms", Milliseconds, nullable=False),
    Column("pair_id", RowNumber, ForeignKey("pairs.pair_id"), nullable=False),
    Column("leg", EnumText(Leg), nullable=False),
    Column("purpose", EnumText(Purpose), nullable=False),
    Column("decision_mid", ExactDecimal, nullable=False),
    Column("journalled_at_ms", Milliseconds, nullable=False),
    Column("state", EnumText(OrderState), nullable=False),
    Column("filled_reported", ExactDecimal, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("cancel_requested_at_ms", Milliseconds),
    Column("updated_at_ms", Milliseconds, nullable=False),
    Index(None, "pair_id"),
    Index(None, "state"),
)
"""Every order, written before a byte of it leaves."""

fills = Table(
    "fills",
    metadata,
    Column("era", Integer, primary_key=True, autoincrement=False),
    Column("venue", EnumText(VenueName), primary_key=True),
    Column("asset", SafeText, primary_key=True),
    Column("trade_id", SafeText, primary_key=True),
    Column("client_id", BigInteger),
    Column("side", EnumText(Side), nullable=False),
    Column("size", ExactDecimal, nullable=False),
    Column("price", ExactDecimal, nullable=False),
    Column("fee_usd", ExactDecimal, nullable=False),
    Column("is_maker", Boolean, nullable=False),
    Column("at_ms", Milliseconds, nullable=False),
    Column("pair_id", RowNumber, ForeignKey("pairs.pair_id")),
    Index(None, "pair_id"),
    Index(None, "venue", "at_ms"),
)
"""Every execution on our accounts. `era` counts how often the venues began anew: a new sandbox numbers its trades from the
start again, and its fills must not be taken for duplicates of the old one's."""

funding_payments = Table(
    "funding_payments",
    metadata,
    Column("era", Integer, primary_key=True, autoincrement=False),
    Column("venue", EnumText(VenueName), primary_key=True),
    Column("asset", SafeText, primary_key=True),
    Column("payment_id", SafeText, primary_key=True),
    Column("usd", ExactDecimal, nullable=False),
    Column("size", ExactDecimal),
    Column("at_ms", Milliseconds, nullable=False),
    Column("pair_id", RowNumber, ForeignKey("pairs.pair_id")),
    Index(None, "pair_id"),
    Index(None, "venue", "at_ms"),
)
"""Every funding payment a venue booked; `era` as in `fills`."""

opportunities = Table(
    "opportunities",
    metadata,
    Column("seq", RowNumber, primary_key=True),
    Column("run_id", RowNumber, ForeignKey("runs.run_id")),
    Column("at_ms", Milliseconds, nullable=False),
    Column("asset", SafeText, nullable=False),
    Column("long_venue", EnumText(VenueName), nullable=False),
    Column("short_venue", EnumText(VenueName), nullable=False),
    Column("document", Document, nullable=False),
    Index(None, "at_ms"),
)
"""Sampled rows of the scan, taken or refused."""

events = Table(
    "events",
    metadata,
    Column("seq", RowNumber, primary_key=True),
    Column("run_id", RowNumber, ForeignKey("runs.run_id")),
    Column("at_ms", Milliseconds, nullable=False),
    Column("kind", SafeText, nullable=False),
    Column("document", Document, nullable=False),
    Index(None, "run_id", "kind"),
    sqlite_autoincrement=True,
)
"""The audit trail, in order of `seq`."""

commands = Table(
    "commands",
    metadata,
    Column("command_id", RowNumber, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("argument", Document),
    Column("state", Text, nullable=False),
    Column("result", Document),
    Column("created_at_ms", Milliseconds, nullable=False),
    Column("done_at_ms", Milliseconds),
    Index(None, "state"),
    sqlite_autoincrement=True,
)
"""What another process asks of the running desk: pending, then done or failed."""
