"""Alembic's entry point: runs revisions on the connection, and inside the transaction, that `migrations` hands over."""

from alembic import context

from perpdesk.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite can not alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
