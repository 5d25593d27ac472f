"""The first tables of `facts.db`: state, journal and outbox."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _integer(name: str, **given: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, **{"nullable": False, **given})


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _body(name: str = "body", **given: Any) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, **{"nullable": False, **given})


def upgrade() -> None:
    """Make the tables."""
    _state()
    _journal()
    _incidents()
    _outbox()


def _state() -> None:
    op.create_table(
        "policies",
        _text("service"),
        _integer("version"),
        sa.PrimaryKeyConstraint("service"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "holds",
        _text("service"),
        _text("rule"),
        _text("series"),
        _body(),
        sa.PrimaryKeyConstraint("service", "rule", "series"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "progress",
        _integer("id"),
        _integer("epoch"),
        _integer("at"),
        _text("revision"),
        _body(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table("configurations", _text("revision"), _body(), sa.PrimaryKeyConstraint("revision"))


def _journal() -> None:
    op.create_table(
        "journal",
        _integer("position"),
        _integer("epoch"),
        _integer("at"),
        _integer("place", nullable=True),
        _text("kind"),
        _text("service"),
        _text("subject"),
        _integer("version"),
        _body(),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("journal_inputs", "journal", ["epoch", "at", "place"], sqlite_where=sa.text("place IS NOT NULL"))
    op.create_index("journal_subject", "journal", ["subject"], sqlite_where=sa.text("subject <> ''"))


def _incidents() -> None:
    op.create_table(
        "incidents",
        _text("id"),
        _text("service"),
        _text("rule"),
        _text("series"),
        _text("severity"),
        _text("state"),
        _integer("sequence"),
        _integer("breached_at"),
        _integer("opened_at", nullable=True),
        _integer("acknowledged_at", nullable=True),
        _integer("ended_at", nullable=True),
        _body(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("incidents_newest", "incidents", ["breached_at", "id"])
    op.create_index("incidents_service", "incidents", ["service", "breached_at"])
    op.create_index("incidents_alive", "incidents", ["state"], sqlite_where=sa.text("ended_at IS NULL"))
    op.create_index("incidents_ended", "incidents", ["ended_at"], sqlite_where=sa.text("ended_at IS NOT NULL"))
    op.create_table(
        "groups",
        _text("id"),
        _text("incident"),
        _integer("ended"),
        _body(),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("groups_incident", "groups", ["incident"])
    op.create_index("groups_alive", "groups", ["id"], sqlite_where=sa.text("ended = 0"))


def _outbox() -> None:
    op.create_table(
        "notices",
        _integer("position"),
        _text("key"),
        _text("channel"),
        _integer("decided_at"),
        _integer("sequence"),
        _text("state"),
        _integer("attempt"),
        _integer("token"),
        _integer("due_at", nullable=True),
        _integer("settled_at", nullable=True),
        _body("message", nullable=True),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("notices_due", "notices", ["channel", "due_at"], sqlite_where=sa.text("due_at IS NOT NULL"))
    op.create_index("notices_key", "notices", ["key"], unique=True)
    op.create_index("notices_sending", "notices", ["key"], sqlite_where=sa.text("state = 'sending'"))
    op.create_index("notices_settled", "notices", ["settled_at"], sqlite_where=sa.text("settled_at IS NOT NULL"))
    op.create_table(
        "deliveries",
        _text("key"),
        _integer("token"),
        _integer("attempt"),
        _text("outcome"),
        _text("detail"),
        _integer("at"),
        sa.PrimaryKeyConstraint("key", "token"),
        sqlite_with_rowid=False,
    )
