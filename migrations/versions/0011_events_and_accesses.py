"""What retention counts from: events that happened to people, and the last access to a record"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("scope", TOKEN, nullable=False),
        sa.Column("name", TOKEN, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("entry", TOKEN, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject_id", "scope", "name", name=op.f("pk_events")),
    )
    op.add_column("records", sa.Column("accessed_at", sa.BigInteger()))
    op.add_column("records", sa.Column("accessed_entry", TOKEN))
    # What is there already may have been read until now, and nobody kept it. A default, because the owner of
    # the tables sees no row to update while row-level security is forced; whoever adds a row gives a value.
    now = str(time.time_ns() // 1000)
    since = sa.Column("access_since", sa.BigInteger(), nullable=False, server_default=now)
    op.add_column("tenant_state", since)
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    op.execute("ALTER TABLE events ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE events FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tenant ON events "
        "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    op.drop_column("tenant_state", "access_since")
    op.drop_column("records", "accessed_entry")
    op.drop_column("records", "accessed_at")
    op.drop_table("events")
