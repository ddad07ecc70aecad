"""What people ask for by law, and when something is to be done about it"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
REQUESTS, QUEUE = "rights_requests", "rights_queue"


def upgrade() -> None:
    op.create_table(
        REQUESTS,
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", TOKEN, nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("subject_id", ID),
        sa.Column("opened_by", ID, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("timeline", sa.Text(), nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("header", sa.LargeBinary()),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("scope", sa.Text()),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("decided_by", ID),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("execute_at", sa.BigInteger()),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("ground", TOKEN),
        sa.Column("certificate_id", ID),
        sa.Column("envelope", sa.Text()),
        sa.Column("entry", TOKEN, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"pk_{REQUESTS}")),
    )
    op.create_index("ix_rights_requests_state", REQUESTS, ["tenant_id", "state", "id"])
    op.create_index("ix_rights_requests_certificate", REQUESTS, ["tenant_id", "certificate_id"])
    op.create_table(
        QUEUE,
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("deadline_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f(f"pk_{QUEUE}")),
    )
    op.create_index("ix_rights_queue_due", QUEUE, ["tenant_id", "due_at"])
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    for table in (REQUESTS, QUEUE):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} "
            "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
        )


def downgrade() -> None:
    op.drop_table(QUEUE)
    op.drop_table(REQUESTS)
