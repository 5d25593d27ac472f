"""The tables, as SQLAlchemy describes them: what migrations must arrive at, and what a reader of the files may rely on.

`facts.db` holds state, journal and outbox, `samples.db` what checks observed and what was pushed. Instants are integers
of nanoseconds; bodies are JSON of `service_monitoring.wire`. Nobody on the way of a sample imports this module: hot
statements are text for the driver, and a test compares these tables with what the migrations make. Tables of narrow
rows are kept in their key; those with a wide body are not, for a wide row in a key's tree costs a page each.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

facts: Final = MetaData()
samples: Final = MetaData()

FINITE: Final = "value BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"


def _integer(name: str, **given: Any) -> Column[int]:
    return Column(name, Integer, nullable=False, **given)


def _text(name: str, **given: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **given)


def _body(name: str = "body", **given: Any) -> Column[bytes]:
    return Column(name, LargeBinary, **{"nullable": False, **given})


journal: Final = Table(
    "journal",
    facts,
    _integer("position", primary_key=True),
    _integer("epoch"),
    _integer("at"),
    Column("place", Integer),  # order among inputs of one instant; NULL for a decision
    _text("kind"),
    _text("service"),
    _text("subject"),
    _integer("version"),
    _body(),
)
Index("journal_inputs", journal.c.epoch, journal.c.at, journal.c.place, sqlite_where=text("place IS NOT NULL"))
Index("journal_subject", journal.c.subject, sqlite_where=text("subject <> ''"))

policies: Final = Table(
    "policies", facts, _text("service", primary_key=True), _integer("version"), sqlite_with_rowid=False
)

holds: Final = Table(
    "holds",
    facts,
    _text("service"),
    _text("rule"),
    _text("series"),
    _body(),
    PrimaryKeyConstraint("service", "rule", "series"),
    sqlite_with_rowid=False,
)

incidents: Final = Table(
    "incidents",
    facts,
    _text("id", primary_key=True),
    _text("service"),
    _text("rule"),
    _text("series"),
    _text("severity"),
    _text("state"),
    _integer("sequence"),
    _integer("breached_at"),
    Column("opened_at", Integer),
    Column("acknowledged_at", Integer),
    Column("ended_at", Integer),
    _body(),
)
Index("incidents_newest", incidents.c.breached_at, incidents.c.id)
Index("incidents_service", incidents.c.service, incidents.c.breached_at)
Index("incidents_alive", incidents.c.state, sqlite_where=text("ended_at IS NULL"))
Index("incidents_ended", incidents.c.ended_at, sqlite_where=text("ended_at IS NOT NULL"))

groups: Final = Table(
    "groups",
    facts,
    _text("id", primary_key=True),
    _integer("ended"),
    _body(),
    sqlite_with_rowid=False,
)
Index("groups_alive", groups.c.id, sqlite_where=text("ended = 0"))

# `gone`: nothing more is told of the incident in this group.
members: Final = Table(
    "members",
    facts,
    _integer("position", primary_key=True),
    _text("incident"),
    _text("group_id"),
    _integer("gone"),
    _body(),
)
Index("members_incident", members.c.incident, members.c.group_id, unique=True)
Index("members_group", members.c.group_id)
Index("members_alive", members.c.incident, members.c.group_id, sqlite_where=text("gone = 0"))

flaps: Final = Table("flaps", facts, _text("id", primary_key=True), _integer("ended"), _body(), sqlite_with_rowid=False)

notices: Final = Table(
    "notices",
    facts,
    _integer("position", primary_key=True),  # of the journal's record, which holds the body
    _text("key"),
    _text("channel"),
    _integer("decided_at"),
    _integer("sequence"),
    _text("state"),  # owed held sending waiting uncertain delivered parked withheld
    _integer("attempt"),
    _integer("token"),
    Column("due_at", Integer),  # NULL: held, being sent or settled; nobody may claim it
    Column("settled_at", Integer),
    _body("message", nullable=True),
)
Index("flaps_alive", flaps.c.id, sqlite_where=text("ended = 0"))
Index("notices_due", notices.c.channel, notices.c.due_at, sqlite_where=text("due_at IS NOT NULL"))
Index("notices_key", notices.c.key, unique=True)
Index("notices_sending", notices.c.key, sqlite_where=text("state = 'sending'"))
Index("notices_settled", notices.c.settled_at, sqlite_where=text("settled_at IS NOT NULL"))

deliveries: Final = Table(
    "deliveries",
    facts,
    _text("key"),
    _integer("token"),
    _integer("attempt"),
    _text("outcome"),
    _text("detail"),
    _integer("at"),
    PrimaryKeyConstraint("key", "token"),
    sqlite_with_rowid=False,
)

progress: Final = Table(
    "progress", facts, _integer("id", primary_key=True), _integer("epoch"), _integer("at"), _text("revision"), _body()
)

configurations: Final = Table("configurations", facts, _text("revision", primary_key=True), _body())

jobs: Final = Table(
    "jobs",
    facts,
    _text("service"),
    _text("check_name"),
    _body(),
    PrimaryKeyConstraint("service", "check_name"),
    sqlite_with_rowid=False,
)

silences: Final = Table(
    "silences",
    facts,
    _text("id", primary_key=True),
    _integer("ends"),
    _integer("over"),  # 1 where no decision asks for it any more
    _body(),
    sqlite_with_rowid=False,
)
Index("silences_ends", silences.c.ends)
Index("silences_alive", silences.c.id, sqlite_where=text("over = 0"))

# A key itself is nowhere: `hash` is its SHA-256. Past `expires_at` it opens nothing.
keys: Final = Table(
    "keys",
    facts,
    _text("hash", primary_key=True),
    _text("service"),
    _text("check_name"),
    _text("purpose"),  # ping push
    _integer("made_at"),
    Column("expires_at", Integer),
    sqlite_with_rowid=False,
)
Index("keys_check", keys.c.service, keys.c.check_name)

# `position` is that of the report in the journal. The same report of the same run is here once: `digest` tells.
pings: Final = Table(
    "pings",
    facts,
    _integer("position", primary_key=True),
    _integer("epoch"),
    _integer("at"),
    _text("service"),
    _text("check_name"),
    _text("signal"),
    _text("run"),
    Column("exit_code", Integer),
    _integer("cut"),  # 1 where more came than was kept
    _text("digest"),
    _body(),
)
Index("pings_check", pings.c.service, pings.c.check_name, pings.c.position)
Index("pings_at", pings.c.at)
Index(
    "pings_run",
    pings.c.service,
    pings.c.check_name,
    pings.c.run,
    pings.c.digest,
    unique=True,
    sqlite_where=text("run <> ''"),
)

# Who may sign in. `password` is a hash of Argon2 with its parameters and salt, or nothing where an identity provider
# answers for the account; `subject` is then what that provider calls it.
accounts: Final = Table(
    "accounts",
    facts,
    _text("name", primary_key=True),
    _text("role"),
    _text("password"),
    _integer("disabled"),
    _integer("made_at"),
    _integer("changed_at"),
    _text("subject"),
    sqlite_with_rowid=False,
)

# What opens a session or is a token is nowhere: `hash` is its SHA-256. `handle` names it and opens nothing.
sessions: Final = Table(
    "sessions",
    facts,
    _text("hash", primary_key=True),
    _text("account"),
    _text("handle"),
    _integer("made_at"),
    _integer("seen_at"),
    _text("address"),
    _text("agent"),
    sqlite_with_rowid=False,
)
Index("sessions_account", sessions.c.account)

tokens: Final = Table(
    "tokens",
    facts,
    _text("hash", primary_key=True),
    _text("handle"),
    _text("name"),
    _text("account"),
    _text("scopes"),  # with spaces between them
    _integer("made_at"),
    Column("expires_at", Integer),
    Column("used_at", Integer),
    sqlite_with_rowid=False,
)
Index("tokens_account", tokens.c.account)

# What accounts are asked besides their passwords. `sealed` can be opened with a key that is in no table; `step` is the
# last step of time whose code was used.
second_factors: Final = Table(
    "second_factors",
    facts,
    _text("account", primary_key=True),
    _text("sealed"),
    _integer("step"),
    _integer("made_at"),
    sqlite_with_rowid=False,
)

# What stands in for a second factor, by its SHA-256, once.
recovery: Final = Table(
    "recovery",
    facts,
    _text("hash", primary_key=True),
    _text("account"),
    _integer("made_at"),
    Column("used_at", Integer),
    sqlite_with_rowid=False,
)
Index("recovery_account", recovery.c.account)

# `hash` is that of the row and of the hash before it, so that no row can be another without all after it being others.
audit: Final = Table(
    "audit",
    facts,
    _integer("position", primary_key=True),
    _integer("at"),
    _text("by"),
    _text("via"),
    _text("what"),
    _text("subject"),
    _text("outcome"),
    _text("detail"),
    _text("hash"),
)

# What acts with a key of their senders' were answered: asked again, they are answered the same. `hash` is of that key.
answers: Final = Table(
    "answers",
    facts,
    _text("hash", primary_key=True),
    _text("request"),  # a digest of what was asked
    _integer("status"),
    _body(),
    _integer("made_at"),
)
Index("answers_made", answers.c.made_at)

checks: Final = Table("checks", samples, _integer("id", primary_key=True), _text("service"), _text("name"))
Index("checks_name", checks.c.service, checks.c.name, unique=True)

series: Final = Table(
    "series",
    samples,
    _integer("id", primary_key=True),
    _integer("check_id"),
    _text("metric"),
    _text("labels"),
)
Index("series_name", series.c.check_id, series.c.metric, series.c.labels, unique=True)

observations: Final = Table(
    "observations",
    samples,
    _integer("epoch"),
    _integer("at"),
    _integer("check_id"),
    _text("outcome"),
    _text("reason"),
    _text("detail"),
    _integer("started"),
    _body("attempts"),
    PrimaryKeyConstraint("epoch", "at"),
    sqlite_with_rowid=False,
)
Index("observations_check", observations.c.check_id, observations.c.epoch, observations.c.at)
Index(
    "observations_not_ok",
    observations.c.check_id,
    observations.c.epoch,
    observations.c.at,
    observations.c.outcome,
    sqlite_where=text("outcome <> 'ok'"),
)

# `ordinal` is the place in the run's own order: 0 is `up`, then what was measured; equal series may come twice.
measured: Final = Table(
    "samples",
    samples,
    _integer("epoch"),
    _integer("at"),
    _integer("ordinal"),
    _integer("series_id"),
    Column("value", Float, CheckConstraint(FINITE, name="finite"), nullable=False),
    PrimaryKeyConstraint("epoch", "at", "ordinal"),
    sqlite_with_rowid=False,
)

# `judged` is how many of its samples count; a push of which none does is never looked back at.
pushes: Final = Table(
    "pushes",
    samples,
    _integer("epoch"),
    _integer("at"),
    _integer("check_id"),
    _integer("judged"),
    PrimaryKeyConstraint("epoch", "at"),
    sqlite_with_rowid=False,
)
Index("pushes_check", pushes.c.check_id, pushes.c.epoch, pushes.c.at, sqlite_where=text("judged > 0"))

# `epoch` and `at` are the receipt's, `measured_at` is the sample's own instant; `mark` says what became of it.
pushed: Final = Table(
    "pushed",
    samples,
    _integer("epoch"),
    _integer("at"),
    _integer("ordinal"),
    _integer("series_id"),
    _integer("measured_at"),
    Column("value", Float, CheckConstraint(FINITE, name="finite"), nullable=False),
    _text("mark"),
    PrimaryKeyConstraint("epoch", "at", "ordinal"),
    sqlite_with_rowid=False,
)
