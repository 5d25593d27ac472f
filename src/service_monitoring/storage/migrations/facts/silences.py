"""Silences: those that decisions ask for, and those that are over."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "silences",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("ends", sa.Integer, nullable=False),
        sa.Column("over", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("silences_ends", "silences", ["ends"])
    op.create_index("silences_alive", "silences", ["id"], sqlite_where=sa.text("over = 0"))
