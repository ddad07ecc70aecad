"""Notices to recipients of what became of somebody's data, and the tenants in which some are open"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("request_id", ID, nullable=False),
        sa.Column("recipient", TOKEN, nullable=False),
        sa.Column("event", TOKEN, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("header", sa.LargeBinary()),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("give_up_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("result", TOKEN),
        sa.Column("entry", TOKEN, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notices")),
    )
    op.create_index(
        "ix_notices_request", "notices", ["tenant_id", "request_id", "recipient", "event"], unique=True
    )
    op.create_index("ix_notices_recipient", "notices", ["tenant_id", "recipient", "seq"], unique=True)
    op.create_index("ix_notices_state", "notices", ["tenant_id", "state", "id"])
    op.create_table(
        "notice_queue",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("oldest_at", sa.BigInteger()),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notice_queue")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("notices", "notice_queue"):
            isolate(table)


def isolate(table: str) -> None:
    """Row-level security, as in 0001."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant ON {table} "
        "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    op.drop_table("notice_queue")
    op.drop_table("notices")
