"""What was pushed: receipts, and samples with their own instants and what became of them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FINITE = "value BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pushes",
        _integer("epoch"),
        _integer("at"),
        _integer("check_id"),
        _integer("judged"),
        sa.PrimaryKeyConstraint("epoch", "at"),
        sqlite_with_rowid=False,
    )
    op.create_index("pushes_check", "pushes", ["check_id", "epoch", "at"], sqlite_where=sa.text("judged > 0"))
    op.create_table(
        "pushed",
        _integer("epoch"),
        _integer("at"),
        _integer("ordinal"),
        _integer("series_id"),
        _integer("measured_at"),
        sa.Column("value", sa.Float, sa.CheckConstraint(FINITE, name="finite"), nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "at", "ordinal"),
        sqlite_with_rowid=False,
    )
