"""Runs that were not `ok` are few, and asked for on their own: by who counts failures over a month."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the index."""
    op.create_index(
        "observations_not_ok",
        "observations",
        ["check_id", "epoch", "at", "outcome"],
        sqlite_where=sa.text("outcome <> 'ok'"),
    )
