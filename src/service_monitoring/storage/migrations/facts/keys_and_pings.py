"""Keys of checks that report by themselves, and what came with their reports."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "keys",
        _text("hash"),
        _text("service"),
        _text("check_name"),
        _text("purpose"),
        _integer("made_at"),
        _integer("expires_at", nullable=True),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("keys_check", "keys", ["service", "check_name"])
    op.create_table(
        "pings",
        _integer("position"),
        _integer("epoch"),
        _integer("at"),
        _text("service"),
        _text("check_name"),
        _text("signal"),
        _text("run"),
        _integer("exit_code", nullable=True),
        _integer("cut"),
        _text("digest"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("pings_check", "pings", ["service", "check_name", "position"])
    op.create_index("pings_at", "pings", ["at"])
    op.create_index(
        "pings_run",
        "pings",
        ["service", "check_name", "run", "digest"],
        unique=True,
        sqlite_where=sa.text("run <> ''"),
    )
