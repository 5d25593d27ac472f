"""The first tables of `samples.db`: what checks observed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

FINITE = "value BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table("checks", _integer("id"), _text("service"), _text("name"), sa.PrimaryKeyConstraint("id"))
    op.create_index("checks_name", "checks", ["service", "name"], unique=True)
    op.create_table(
        "series",
        _integer("id"),
        _integer("check_id"),
        _text("metric"),
        _text("labels"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("series_name", "series", ["check_id", "metric", "labels"], unique=True)
    op.create_table(
        "observations",
        _integer("epoch"),
        _integer("at"),
        _integer("check_id"),
        _text("outcome"),
        _text("reason"),
        _text("detail"),
        _integer("started"),
        sa.Column("attempts", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "at"),
        sqlite_with_rowid=False,
    )
    op.create_index("observations_check", "observations", ["check_id", "epoch", "at"])
    op.create_table(
        "samples",
        _integer("epoch"),
        _integer("at"),
        _integer("ordinal"),
        _integer("series_id"),
        sa.Column("value", sa.Float, sa.CheckConstraint(FINITE, name="finite"), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "at", "ordinal"),
        sqlite_with_rowid=False,
    )
