"""Groups of notices with their incidents in rows of their own, and what flaps.

What stood in the table of groups before knew one incident each, and nothing of routes: it is let go. Incidents that are
open are told anew by the routes of the first revision that comes after.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _body() -> sa.Column[bytes]:
    return sa.Column("body", sa.LargeBinary, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.drop_table("groups")
    op.create_table(
        "groups", _text("id"), _integer("ended"), _body(), sa.PrimaryKeyConstraint("id"), sqlite_with_rowid=False
    )
    op.create_index("groups_alive", "groups", ["id"], sqlite_where=sa.text("ended = 0"))
    op.create_table(
        "members",
        _integer("position"),
        _text("incident"),
        _text("group_id"),
        _integer("gone"),
        _body(),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("members_incident", "members", ["incident", "group_id"], unique=True)
    op.create_index("members_group", "members", ["group_id"])
    op.create_index("members_alive", "members", ["incident", "group_id"], sqlite_where=sa.text("gone = 0"))
    op.create_table(
        "flaps", _text("id"), _integer("ended"), _body(), sa.PrimaryKeyConstraint("id"), sqlite_with_rowid=False
    )
    op.create_index("flaps_alive", "flaps", ["id"], sqlite_where=sa.text("ended = 0"))
