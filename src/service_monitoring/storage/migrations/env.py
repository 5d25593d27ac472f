"""Runs one migration on the connection that `storage.migrate` hands in, inside the transaction that it began."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
