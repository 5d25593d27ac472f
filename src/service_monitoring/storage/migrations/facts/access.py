"""Access: accounts, sessions, tokens, the audit trail, and answers to acts that may be asked again."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _integer(name: str, **given: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, **{"nullable": False, **given})


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    _people()
    op.create_table(
        "audit",
        _integer("position"),
        _integer("at"),
        *(_text(name) for name in ("by", "via", "what", "subject", "outcome", "detail", "hash")),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "answers",
        _text("hash"),
        _text("request"),
        _integer("status"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _integer("made_at"),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("answers_made", "answers", ["made_at"])


def _people() -> None:
    op.create_table(
        "accounts",
        _text("name"),
        _text("role"),
        _text("password"),
        _integer("disabled"),
        _integer("made_at"),
        _integer("changed_at"),
        _text("subject"),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sessions",
        _text("hash"),
        _text("account"),
        _text("handle"),
        _integer("made_at"),
        _integer("seen_at"),
        _text("address"),
        _text("agent"),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_account", "sessions", ["account"])
    op.create_table(
        "tokens",
        _text("hash"),
        _text("handle"),
        _text("name"),
        _text("account"),
        _text("scopes"),
        _integer("made_at"),
        _integer("expires_at", nullable=True),
        _integer("used_at", nullable=True),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("tokens_account", "tokens", ["account"])
